"""Can one network do both? Skewed class frequencies (C4), and whether the circuit for the one carries the other (C7)."""

from collections.abc import Mapping

import torch

from assay.claims.study import Measurement, Table
from assay.core.seeds import Seeds
from assay.instruments.attention import Uniform, knocked_out
from assay.models.decoder import Decoder
from assay.studies.mechanisms.in_context_vs_in_weights.settings import SkewSettings
from assay.studies.mechanisms.in_context_vs_in_weights.system import (
    Setting,
    Trained,
    accuracies,
    constant_accuracy,
    guessing_accuracy,
    train_regimes,
    untrained,
)

HEAD = ("layer 1 uniform", "layer 2 uniform")


def lesser_excess(done: Trained, *, weights: str = "iw") -> float:
    """The smaller of both accuracies at the end, each beyond what can be had without looking up, or without remembering.

    In context that is guessing among the labels of the context, in weights the best constant answer. A network that is not
    beyond one of them has nothing, 0: who only remembers answers about new classes worse than by guessing.
    """
    looked_up = done.last("ic") - guessing_accuracy(done.sets["ic"])
    return max(0.0, min(looked_up, done.last(weights) - constant_accuracy(done.sets[weights])))


def after_cuts(done: Trained, key: str) -> dict[str, float]:
    """An accuracy with each half of the induction head made uniform, with the other rows made so, and with another query."""

    drawn, batch = done.sets[key]
    query = drawn.content.shape[1] - 1

    def accuracy(inputs: torch.Tensor, *cuts: Uniform) -> float:
        logits = knocked_out(done.model, inputs, *cuts, at=-1, offset=batch.offset)
        return float((logits.argmax(-1).numpy() == drawn.answers).mean())

    exchanged = batch.inputs.clone()
    exchanged[:, -1] = exchanged[:, -1].roll(1, 0)
    return {
        "whole": accuracy(batch.inputs),
        "layer 1 uniform": accuracy(batch.inputs, Uniform(0)),
        "layer 2 uniform": accuracy(batch.inputs, Uniform(1, rows=(query,))),
        "layer 1 uniform, item rows": accuracy(batch.inputs, Uniform(0, rows=tuple(range(0, query, 2)))),
        "query exchanged": accuracy(exchanged),
    }


def measure(settings: SkewSettings, seeds: Seeds) -> Measurement:
    """One seed: a network for every exponent."""

    def observe(name: str, model: Decoder, sets: Mapping[str, Setting]) -> dict[str, float]:
        return accuracies(model, sets, ("ic", "iw", "iw_uniform", "stranger"))

    looks = sorted({round(settings.n_steps * i / 6) for i in range(1, 7)})
    regimes = {f"alpha={exponent:g}": regime for exponent, regime in settings.regimes.items()}
    cells = train_regimes(regimes, settings, seeds, observe=observe, observe_at=looks)
    done = dict(zip(settings.exponents, cells.values(), strict=True))
    gains = {
        f"{arm}/gain": lesser_excess(done[settings.claimed], weights=weights) - lesser_excess(done[0.0], weights=weights)
        for arm, weights in (("frequent", "iw"), ("uniform", "iw_uniform"), ("stranger", "stranger"))
    }
    steepest = done[settings.exponents[-1]]
    gains["steepest/gain"] = lesser_excess(steepest) - lesser_excess(done[0.0])
    weights, context = (after_cuts(steepest, key) for key in ("iw", "ic"))
    changes = [weights[name] - weights["whole"] for name in HEAD]
    estimands = gains | {
        "head-uniform/iw_change": float(max(changes, key=abs)),
        "query-exchanged/iw_change": weights["query exchanged"] - weights["whole"],
        "head-uniform/ic_loss": min(context["whole"] - context[name] for name in HEAD),
        "item-rows-uniform/ic_loss": context["whole"] - context["layer 1 uniform, item rows"],
    }
    rows: Table = [
        {"exponent": f"{a:g}", "evaluation": key, "accuracy": cell.last(key)}
        for a, cell in done.items()
        for key in ("ic", "iw", "iw_uniform")
    ] + [
        {"exponent": f"{a:g}", "evaluation": "constant", "accuracy": constant_accuracy(cell.sets["iw"])}
        for a, cell in done.items()
    ]
    course: Table = [
        {"exponent": f"{a:g}", "step": step, "evaluation": key, "accuracy": float(value)}
        for a, cell in done.items()
        for key in ("ic", "iw")
        for step, value in zip(cell.trace.steps, cell.curve(key), strict=True)
    ]
    cut_rows: Table = [
        {"cut": name, "evaluation": key, "accuracy": value}
        for key, cuts in (("iw", weights), ("ic", context))
        for name, value in cuts.items()
    ]
    return Measurement(estimands, {"skew": rows, "course": course, "cuts": cut_rows})


def measure_nulls(settings: SkewSettings, seeds: Seeds) -> Measurement:
    """One seed of the same networks before training."""
    found = measure(untrained(settings), seeds).estimands
    arms = {"gain": "frequent", "iw_change": "head-uniform", "ic_loss": "head-uniform"}
    return Measurement({f"untrained/{name}": found[f"{arm}/{name}"] for name, arm in arms.items()})
