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
    train_regimes,
)


def _iw_after_cuts(done: Trained) -> dict[str, float]:
    """In-weights accuracy with each half of the induction head made uniform, and with the query exchanged."""

    drawn, batch = done.sets["iw"]
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
        "query exchanged": accuracy(exchanged),
    }


def measure(settings: SkewSettings, seeds: Seeds) -> Measurement:
    """One seed: a network for every exponent."""

    def observe(name: str, model: Decoder, sets: Mapping[str, Setting]) -> dict[str, float]:
        return accuracies(model, sets, ("ic", "ic2", "iw", "iw_uniform"))

    looks = sorted({round(settings.n_steps * i / 6) for i in range(1, 7)})
    regimes = {f"alpha={exponent:g}": regime for exponent, regime in settings.regimes.items()}
    cells = train_regimes(regimes, settings, seeds, observe=observe, observe_at=looks)
    done = dict(zip(settings.exponents, cells.values(), strict=True))
    both, both_uniform = (
        {a: min(cell.last("ic"), cell.last(weights)) for a, cell in done.items()} for weights in ("iw", "iw_uniform")
    )
    best = max(both, key=both.__getitem__)
    cuts = _iw_after_cuts(done[settings.exponents[-1]])
    changes = [cuts[name] - cuts["whole"] for name in ("layer 1 uniform", "layer 2 uniform")]
    estimands = {
        "frequent/gain": max(both[a] for a in settings.exponents[1:]) - both[0.0],
        "uniform/gain": max(both_uniform[a] for a in settings.exponents[1:]) - both_uniform[0.0],
        "frequent/best_exponent": best,
        "head-uniform/iw_change": float(max(changes, key=abs)),
        "query-exchanged/iw_change": cuts["query exchanged"] - cuts["whole"],
    }
    rows: Table = [
        {"exponent": f"{a:g}", "evaluation": key, "accuracy": cell.last(key)}
        for a, cell in done.items()
        for key in ("ic", "iw", "iw_uniform")
    ]
    course: Table = [
        {"exponent": f"{a:g}", "step": step, "evaluation": key, "accuracy": float(value)}
        for a, cell in done.items()
        for key in ("ic", "iw")
        for step, value in zip(cell.trace.steps, cell.curve(key), strict=True)
    ]
    cut_rows: Table = [{"cut": name, "accuracy": value} for name, value in cuts.items()]
    return Measurement(estimands, {"skew": rows, "course": course, "cuts": cut_rows})
