"""How in-context learning appears when it is isolated: slow phase, jump, the circuit and what it needs (C5 to C8)."""

from collections.abc import Mapping

import numpy as np
import torch

from assay.claims.study import Measurement, Table
from assay.core.seeds import Seeds
from assay.instruments.abruptness import cliff_ratio, crossing, jump_of, lag
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


def _of_context(logits: np.ndarray, setting: Setting) -> dict[str, float]:
    """Accuracy, and the mean probability of the labels that stand in the context (CLA)."""
    odds = np.exp(logits - logits.max(-1, keepdims=True))
    shown = np.zeros(odds.shape, dtype=bool)
    np.put_along_axis(shown, setting.drawn.item_labels, True, axis=1)
    return {
        "ic": float((logits.argmax(-1) == setting.drawn.answers).mean()),
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
        "layer 2, other rows": accuracy(Uniform(1, rows=tuple(range(query)))),
    }


def _rise(steps: np.ndarray, values: np.ndarray) -> float:
    """The step by which a curve has gone a tenth of its way from start to end."""

    return crossing(steps, values, values[0] + 0.1 * (values[-1] - values[0]))


def measure(settings: EmergenceSettings, seeds: Seeds) -> Measurement:
    """One seed: the isolated network, the variant with L = N and the memoriser."""

    regimes, n_steps = settings.regimes, settings.n_steps
    looks = log_steps(n_steps, per_decade=settings.per_decade)

    def observe(name: str, model: Decoder, sets: Mapping[str, Setting]) -> dict[str, float]:
        if name == "isolated":
            return _measures(model, sets, settings.n_attended)
        return accuracies(model, sets, ("ic" if name == "equal" else "iw",))

    done = train_regimes(regimes, settings, seeds, observe=observe, observe_at=looks)
    isolated, equal, memoriser = done["isolated"], done["equal"], done["memoriser"]
    steps = np.array(isolated.trace.steps, dtype=float)
    ic, ic2 = isolated.curve("ic"), isolated.curve("ic2")
    quarter, half = crossing(steps, ic, 0.25), crossing(steps, ic, 0.5)
    rises = {name: _rise(steps, isolated.curve(name)) for name in ("previous_item", "target_label", "context_labels")}
    attention = max(rises["previous_item"], rises["target_label"])
    other = memoriser.sets["ic"]
    cuts = _cut(isolated)
    estimands = {
        "isolated/cliff": cliff_ratio(steps, ic, 0.25, 0.9),
        "memoriser/cliff": cliff_ratio(steps, memoriser.curve("iw"), 0.25, 0.9),
        "isolated/context_label_share": float(np.interp(quarter, steps, isolated.curve("context_labels"))),
        "memoriser/last_context_label_share": _of_context(answers(memoriser.model, other.batch), other)["context_labels"],
        "isolated/ic": isolated.last("ic"),
        "equal/ic": equal.last("ic"),
        "head-uniform/ic": max(cuts["layer 1, label rows"], cuts["layer 1, all rows"], cuts["layer 2, query row"]),
        "other-rows-uniform/ic": cuts["layer 2, other rows"],
        "attention/lead": half - attention,
        "shifted-labels/half_lead": half - crossing(steps, ic2, 0.5),
        "context-labels/lead_over_attention": min(rises["previous_item"], rises["target_label"]) - rises["context_labels"],
        "accuracy/half_lead_over_attention": min(rises["previous_item"], rises["target_label"]) - half,
        "previous-item/lag": lag(steps, isolated.curve("previous_item"), ic),
        "shifted-labels/lag": lag(steps, ic2, ic),
    }
    jumps: Table = [
        {"arm": name, "step": jump.step, "seen": jump.seen}
        for name in ("isolated", "equal")
        for jump in [jump_of(done[name].trace.steps, done[name].curve("ic"), 0.5)]
    ]
    shown = ("ic", "context_labels", "previous_item", "target_label")
    curves: Table = [
        {"step": int(step), "measure": name, "value": float(value)}
        for name in shown
        for step, value in zip(isolated.trace.steps, isolated.curve(name), strict=True)
        if step
    ]
    accuracy: Table = [
        {"step": int(step), "arm": name, "accuracy": float(value)}
        for name, key in (("isolated", "ic"), ("equal", "ic"), ("memoriser", "iw"))
        for step, value in zip(done[name].trace.steps, done[name].curve(key), strict=True)
        if step
    ]
    cut_rows: Table = [{"cut": name, "accuracy": value} for name, value in cuts.items()]
    return Measurement(estimands, {"curves": curves, "accuracy": accuracy, "cuts": cut_rows, "jumps": jumps})
