"""How in-context learning appears when it is isolated: slow phase, jump, the circuit and what it needs (C5 to C8)."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from assay.claims.study import Measurement, Table
from assay.core.progress import part
from assay.core.seeds import Seeds
from assay.instruments.abruptness import cliff_ratio, crossing, jump_of
from assay.instruments.attention import Uniform, attention_on, knocked_out, patterns
from assay.models.decoder import Decoder
from assay.studies.mechanisms.in_context_vs_in_weights.settings import EmergenceSettings
from assay.studies.mechanisms.in_context_vs_in_weights.system import (
    Setting,
    Trained,
    accuracies,
    answers,
    train_regimes,
)
from assay.training.sequence import log_steps

GUESSING = 0.1  # accuracy at which guessing among the context's labels is read: it never has more than one in N = 1/8
SHARES = (0.1, 0.25, 0.5)  # of their rises, at which the order of the measures is shown
CLAIMED = 0.25  # the share that is claimed of
MEMORISER_LOOKS = 40
SHOWN = ("ic", "ic2", "context_labels", "previous_item", "target_label")


def _of_context(logits: np.ndarray, setting: Setting) -> dict[str, float]:
    """Accuracy, the share of answers that stand in the context, and the mean probability of its labels (CLA)."""
    odds = np.exp(logits - logits.max(-1, keepdims=True))
    shown = np.zeros(odds.shape, dtype=bool)
    np.put_along_axis(shown, setting.drawn.item_labels, True, axis=1)
    given = logits.argmax(-1)
    return {
        "ic": float((given == setting.drawn.answers).mean()),
        "from_context": float(shown[np.arange(len(given)), given].mean()),
        "context_labels": float(((odds * shown).sum(-1) / odds.sum(-1)).mean()),
    }


def _measures(model: Decoder, sets: Mapping[str, Setting], n_attended: int) -> dict[str, float]:
    """Accuracies, and the paper's progress measures on sequences of new classes, attention on `n_attended` of them."""

    found = _of_context(answers(model, sets["ic"].batch), sets["ic"]) | accuracies(model, sets, ("ic2",))
    drawn, batch = sets["ic"]
    offset = None if batch.offset is None else batch.offset[:n_attended]
    first, second = patterns(model, batch.inputs[:n_attended], offset=offset)
    matches = torch.from_numpy(drawn.matches[:n_attended])
    n, n_items = matches.shape
    label_places = torch.arange(1, 2 * n_items, 2).expand(n, -1)
    found["previous_item"] = float(attention_on(first, label_places, label_places - 1).max())
    matching = torch.zeros(n, 1, 2 * n_items + 1, dtype=torch.bool)
    matching[:, 0, 1::2] = matches
    query = torch.full((n, 1), 2 * n_items)
    found["target_label"] = float(attention_on(second, query, matching).max())
    return found


def _cut(done: Trained) -> dict[str, float]:
    """In-context accuracy with parts of the attention made uniform."""

    drawn, batch = done.sets["ic"]
    query = drawn.content.shape[1] - 1

    def accuracy(*cuts: Uniform) -> float:
        logits = knocked_out(done.model, batch.inputs, *cuts, at=-1, offset=batch.offset)
        return float((logits.argmax(-1).numpy() == drawn.answers).mean())

    return {
        "whole": accuracy(),
        "layer 1, label rows": accuracy(Uniform(0, rows=tuple(range(1, query, 2)))),
        "layer 1, all rows": accuracy(Uniform(0)),
        "layer 1, item rows": accuracy(Uniform(0, rows=tuple(range(0, query, 2)))),
        "layer 2, query row": accuracy(Uniform(1, rows=(query,))),
    }


def part_rises(steps: np.ndarray, curves: Mapping[str, np.ndarray], share: float) -> dict[str, float]:
    """The step by which each curve has gone that share of its way from start to end."""
    return {name: crossing(steps, values, values[0] + share * (values[-1] - values[0])) for name, values in curves.items()}


def leads(rises: Mapping[str, float]) -> dict[str, float]:
    """Steps by which each measure is ahead of accuracy, all read at one share of their rises.

    `attention` is the later of the induction head's two patterns: both must be there.
    """
    attention = max(rises["previous_item"], rises["target_label"])
    return {
        "attention": rises["ic"] - attention,
        "context-labels": rises["ic"] - rises["context_labels"],
        "shifted-labels": rises["ic"] - rises["ic2"],
    }


def guessers_lead(done: Trained, share: float) -> float:
    """Steps by which the probability of the context's labels is ahead of accuracy where there is only guessing to learn."""
    steps = np.array(done.trace.steps, dtype=float)
    rises = part_rises(steps, {key: done.curve(key) for key in ("ic", "context_labels")}, share)
    return rises["ic"] - rises["context_labels"]


def share_at_guessing(steps: np.ndarray, accuracy: np.ndarray, from_context: np.ndarray) -> float:
    """Share of answers that stand in the context when accuracy first is nearly that of guessing among its labels."""
    return float(np.interp(crossing(steps, accuracy, GUESSING), steps, from_context))


def measure(settings: EmergenceSettings, seeds: Seeds) -> Measurement:
    """One seed: the isolated network, the guesser, the one whose answers are renamed, the variant with L = N, the memoriser."""

    regimes = settings.regimes
    looks = log_steps(settings.n_steps, per_decade=settings.per_decade, every=settings.every)

    def observe(name: str, model: Decoder, sets: Mapping[str, Setting]) -> dict[str, float]:
        if name in ("isolated", "renamed"):
            return _measures(model, sets, settings.n_attended)
        if name == "equal":
            return accuracies(model, sets, ("ic",))
        found = _of_context(answers(model, sets["ic"].batch), sets["ic"])
        return found if name == "guesser" else found | accuracies(model, sets, ("iw",))

    memoriser = {"memoriser": regimes.pop("memoriser")}  # is done long before the others
    brief = replace(settings, n_steps=settings.memoriser_steps)
    early = sorted({round(brief.n_steps * place / MEMORISER_LOOKS) for place in range(MEMORISER_LOOKS + 1)})
    with part(0.0, 0.05):
        done = train_regimes(memoriser, brief, seeds, observe=observe, observe_at=early)
    with part(0.05, 1.0):
        done |= train_regimes(regimes, settings, seeds, observe=observe, observe_at=looks)
    isolated = done["isolated"]
    steps = {name: np.array(trained.trace.steps, dtype=float) for name, trained in done.items()}
    asked = {name: done[name].curve("iw" if name == "memoriser" else "ic") for name in done}  # by what they are trained on
    shares = {
        name: share_at_guessing(steps[name], asked[name], done[name].curve("from_context"))
        for name in ("isolated", "guesser", "memoriser")
    }
    cuts = _cut(isolated)
    rises = {
        (name, share): part_rises(steps[name], {key: done[name].curve(key) for key in SHOWN}, share)
        for name in ("isolated", "renamed")
        for share in SHARES
    }
    own = leads(rises["isolated", CLAIMED])
    guessing = {share: guessers_lead(done["guesser"], share) for share in SHARES}
    estimands = {
        **{f"{name}/cliff": cliff_ratio(steps[name], asked[name], 0.25, 0.9) for name in ("isolated", "memoriser", "renamed")},
        **{f"{name}/from_context": share for name, share in shares.items()},
        "isolated/ic": isolated.last("ic"),
        "equal/ic": done["equal"].last("ic"),
        "layer-1-uniform/cut_ic": max(cuts["layer 1, label rows"], cuts["layer 1, all rows"]),
        "layer-2-uniform/cut_ic": cuts["layer 2, query row"],
        "item-rows-uniform/cut_ic": cuts["layer 1, item rows"],
        **{f"{name}/lead": lead for name, lead in own.items()},
        "attention-renamed/lead": leads(rises["renamed", CLAIMED])["attention"],
        "guesser/lead": guessing[CLAIMED],
    }
    jumps: Table = [
        {"arm": name, "step": jump.step, "seen": jump.seen}
        for name in ("isolated", "equal")
        for jump in [jump_of(done[name].trace.steps, done[name].curve("ic"), 0.5)]
    ]
    shown: Table = [
        {"step": int(step), "measure": name, "value": float(value)}
        for name in SHOWN
        if name != "ic2"
        for step, value in zip(isolated.trace.steps, isolated.curve(name), strict=True)
        if step
    ]
    accuracy: Table = [
        {"step": int(step), "arm": name, "accuracy": float(value)}
        for name, curve in asked.items()
        for step, value in zip(done[name].trace.steps, curve, strict=True)
        if step
    ]
    order: Table = [
        {"share": f"{share:.0%}", "measure": name if arm == "isolated" else f"{name}, {arm}", "lead": lead}
        for (arm, share), found in rises.items()
        for name, lead in leads(found).items()
        if arm == "isolated" or name == "attention"
    ]
    order += [{"share": f"{share:.0%}", "measure": "context-labels, guesser", "lead": lead} for share, lead in guessing.items()]
    cut_rows: Table = [{"cut": name, "accuracy": value} for name, value in cuts.items()]
    return Measurement(estimands, {"curves": shown, "accuracy": accuracy, "cuts": cut_rows, "jumps": jumps, "order": order})


def measure_nulls(settings: EmergenceSettings, seeds: Seeds) -> Measurement:
    """A learner without parts: everything about it rises evenly from chance to the end, and no cut touches it."""
    steps = np.linspace(0.0, settings.n_steps, 400)
    even = steps / settings.n_steps
    chance, of_context = 1 / 32, 1 / 4
    accuracy, labels = chance + (1 - chance) * even, of_context + (1 - of_context) * even
    lead = leads(part_rises(steps, dict.fromkeys(SHOWN, accuracy), CLAIMED))
    found = {
        "cliff": cliff_ratio(steps, accuracy, 0.25, 0.9),
        "from_context": share_at_guessing(steps, accuracy, labels),
        "ic": float(accuracy[-1]),
        "cut_ic": float(accuracy[-1]),
        "lead": max(lead["attention"], lead["context-labels"]),
    }
    return Measurement({f"even/{name}": value for name, value in found.items()})
