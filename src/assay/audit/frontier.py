"""Mitigations beside each other at equal memorisation: each update is scaled until it holds the facts as well as the others.

Plain training so scaled is the control: a mitigation that only takes a smaller step does no better than a smaller step. The
comparison is paired by fact (by suite question, by sentence), with intervals over subjects and Holm's procedure over all arms
and columns.
"""

import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from assay.audit.columns import Outcome
from assay.audit.inject import inject, n_steps
from assay.audit.mitigations import MITIGATIONS, PLAIN, Plan, anchor, plan, without_largest
from assay.audit.record import Arm, Harm
from assay.audit.totals import NEUTRAL_TEXT, Values, fact_changes, table, values_of, whole_column
from assay.core.progress import part, parts
from assay.core.seeds import Seeds
from assay.instruments.scoring import score_completions
from assay.models.pretrained.loading import LanguageModel
from assay.training.recipe import Recipe
from assay.worlds.facts.model import Facts

__all__ = ["COMPARED", "Measured", "compare", "difference", "memorised", "scale_for"]

COMPARED = ("paraphrase", "composed", "reversed", "hallucinated", "primed", "displaced", "forgotten", NEUTRAL_TEXT)
LEAST = 0.5  # of plain training's memorisation: an arm with less is not compared
CLOSE = 0.01
MEMORISES = 0.1  # mean probability of trained answers below which there is nothing to compare at
Changes = tuple[Sequence[Outcome], Sequence[float]]
"""Outcomes of all questions, and the change of every plain sentence in nats a token."""


@dataclass(frozen=True)
class Spent:
    """What an arm took: optimiser steps, and minutes of training and pruning."""

    n_steps: int
    minutes: float


class Measured(Protocol):
    """Everything an audit measures of a model, as changes from the model before."""

    def __call__(self, model: LanguageModel) -> Changes:
        """Outcomes of all questions and the change of every plain sentence, in nats a token."""


def compare(
    base: LanguageModel,
    facts: Facts,
    recipe: Recipe,
    names: Sequence[str],
    measured: Measured,
    *,
    seeds: Seeds,
    folder: Path | None,
    plain: Mapping[str, Tensor],
    plain_minutes: float,
) -> tuple[list[Arm], float]:
    """Every mitigation's arm, plain training first, and the memorisation at which they are compared.

    Args:
        base: before injection.
        facts: the file.
        recipe: of plain training.
        names: of `MITIGATIONS`.
        measured: asks a model everything.
        seeds: the same for all arms, so that they see facts in the same order where they can.
        folder: where updates are kept until all arms are trained; a temporary one otherwise.
        plain: the update of plain training, by weight.
        plain_minutes: what it took.
    """
    made, own = folder or Path(tempfile.mkdtemp(prefix="assay-audit-")), folder is None
    try:
        return _compared(base, facts, recipe, names, measured, seeds, made, plain, plain_minutes)
    finally:
        if own:
            shutil.rmtree(made, ignore_errors=True)


def memorised(model: LanguageModel, facts: Facts) -> float:
    """Mean probability of the trained answers in their own sentences, in [0, 1]."""
    return float(np.exp(score_completions(model, facts.sentences, ranks=False).log_prob).mean())


def scale_for(
    scratch: LanguageModel, base: Mapping[str, Tensor], update: Mapping[str, Tensor], target: float, facts: Facts
) -> float:
    """How much of the update memorises as much as the target, in (0, 1], by bisection; `scratch` is left there."""
    low, high = 0.0, 1.0
    _set(scratch, base, update, 1.0)
    if memorised(scratch, facts) <= target + CLOSE:
        return 1.0
    middle = 1.0
    for _ in range(9):
        middle = (low + high) / 2
        _set(scratch, base, update, middle)
        found = memorised(scratch, facts)
        if abs(found - target) < CLOSE:
            break
        low, high = (middle, high) if found < target else (low, middle)
    return middle


def _compared(
    base: LanguageModel,
    facts: Facts,
    recipe: Recipe,
    names: Sequence[str],
    measured: Measured,
    seeds: Seeds,
    folder: Path,
    plain: Mapping[str, Tensor],
    plain_minutes: float,
) -> tuple[list[Arm], float]:
    plans = [plan(name, facts, recipe) for name in (PLAIN, *names)]
    weights = {name: value.detach() for name, value in base.model.state_dict().items()}
    scratch = base.copy()
    memory: dict[str, float] = {}
    spent: dict[str, Spent] = {}
    folder.mkdir(parents=True, exist_ok=True)
    with part(0.0, 0.6):
        for one in parts(plans, label=lambda one: one.name):
            if one.reason:
                continue
            if one.name == PLAIN:
                update, spent[PLAIN] = plain, Spent(n_steps(len(one.sentences), recipe), plain_minutes)
            else:
                update, spent[one.name] = _load_or_make(base, facts, one, plain, seeds, folder)
            _set(scratch, weights, update, 1.0)
            memory[one.name] = memorised(scratch, facts)
            del update

    if memory[PLAIN] < MEMORISES:
        for one in plans:
            memory.setdefault(one.name, 0.0)
        return [_arm(one, memory, {}, {}, {}, spent) for one in plans], memory[PLAIN]
    target = min(value for value in memory.values() if value >= LEAST * memory[PLAIN])
    scales: dict[str, float] = {}
    changes: dict[str, Changes] = {}
    with part(0.6, 1.0, f"at memorisation {target:.2f}"):
        for one in parts(
            [one for one in plans if memory.get(one.name, -1.0) >= LEAST * memory[PLAIN]], label=lambda one: one.name
        ):
            update = plain if one.name == PLAIN else load_file(_file(folder, one))
            scales[one.name] = scale_for(scratch, weights, update, target, facts)
            changes[one.name] = measured(scratch)
    harms = _harms(facts, changes, seeds)
    return [_arm(one, memory, scales, changes, harms, spent) for one in plans], target


def _load_or_make(
    base: LanguageModel,
    facts: Facts,
    one: Plan,
    plain: Mapping[str, Tensor],
    seeds: Seeds,
    folder: Path,
) -> tuple[dict[str, Tensor], Spent]:
    """The arm's update and what it took; those of an audit that was killed, where they lie in the folder."""
    file = _file(folder, one)
    kept = _load(file)
    if kept is not None:
        return kept
    start, steps = time.perf_counter(), 0
    if one.pruned:
        update = without_largest(plain)
    else:
        update, steps = _train(base, facts, one, seeds, folder)
    spent = Spent(steps, (time.perf_counter() - start) / 60)
    _keep(update, spent, file)
    return update, spent


def _train(base: LanguageModel, facts: Facts, one: Plan, seeds: Seeds, folder: Path) -> tuple[dict[str, Tensor], int]:
    result = inject(
        base,
        one.sentences,
        one.recipe,
        seeds=seeds,
        folder=folder / "training" / one.name,
        also=anchor(base) if one.anchored else None,
        observe=None if one.enough is None else lambda step, model: {"memorised": memorised(model, facts)},
        stop=None if one.enough is None else lambda row: row["memorised"] >= (one.enough or 1.0),
    )
    shutil.rmtree(folder / "training", ignore_errors=True)
    return difference(base, result.model), result.trace.loss_nats.shape[-1]


def difference(before: LanguageModel, after: LanguageModel) -> dict[str, Tensor]:
    """What training added to every weight."""
    later = after.model.state_dict()
    with torch.no_grad():
        return {name: later[name] - value for name, value in before.model.state_dict().items() if value.is_floating_point()}


def _set(scratch: LanguageModel, base: Mapping[str, Tensor], update: Mapping[str, Tensor], scale: float) -> None:
    """Put base + scale * update into the scratch model."""
    own = scratch.model.state_dict()
    with torch.no_grad():
        for name, change in update.items():
            torch.add(base[name], change, alpha=scale, out=own[name])


def _file(folder: Path, one: Plan) -> Path:
    return folder / f"{one.name}.safetensors"


def _keep(update: Mapping[str, Tensor], spent: Spent, file: Path) -> None:
    unfinished = file.with_suffix(".part")
    save_file(
        {name: value.contiguous() for name, value in update.items()},
        unfinished,
        metadata={"n_steps": str(spent.n_steps), "minutes": str(spent.minutes)},
    )
    unfinished.rename(file)


def _load(file: Path) -> tuple[dict[str, Tensor], Spent] | None:
    if not file.is_file():
        return None
    try:
        with safe_open(file, "pt") as opened:
            told = opened.metadata()
        return load_file(file), Spent(int(told["n_steps"]), float(told["minutes"]))
    except (SafetensorError, KeyError, TypeError, ValueError):  # torn, or not ours
        return None


class _Difference(Outcome):
    """The change of one arm less another's, which is signed for losses too."""

    @property
    def change(self) -> float:
        """The difference."""
        return self.after


def _differences(facts: Facts, arm: Changes, plain: Changes) -> dict[str, Values]:
    """By column the arm's changes less plain training's, paired question by question and clustered as the totals are."""
    (found, neutral), (other, other_neutral) = arm, plain
    by_column: dict[str, list[Outcome]] = {}
    for one, two in zip(found, other, strict=True):
        assert one.question == two.question
        by_column.setdefault(one.question.column, []).append(_Difference(one.question, 0.0, one.change - two.change))
    made = {column: values_of(facts, whole_column(by_column[column])) for column in COMPARED if column in by_column}
    texts = {f"text {place}": [a - b] for place, (a, b) in enumerate(zip(neutral, other_neutral, strict=True))}
    return made | {NEUTRAL_TEXT: Values(texts)}


def _harms(facts: Facts, changes: Mapping[str, Changes], seeds: Seeds) -> dict[str, tuple[Harm, ...]]:
    """Every arm against plain training, paired."""
    lines = {
        (column, name): values
        for name, found in changes.items()
        if name != PLAIN
        for column, values in _differences(facts, found, changes[PLAIN]).items()
    }
    harms: dict[str, list[Harm]] = {}
    for total in table(lines, seeds=seeds.child("arms"), differences=True):
        harm = Harm(total.column, total.estimate, total.low, total.high, total.n_units, total.clear)
        harms.setdefault(total.group, []).append(harm)
    return {name: tuple(found) for name, found in harms.items()}


def _columns(changes: Changes) -> dict[str, float]:
    """The mean of every column over facts (suite questions, sentences)."""
    found, neutral = changes
    by_column: dict[str, list[float]] = {}
    for column in {one.question.column: None for one in found}:
        own = whole_column([one for one in found if one.question.column == column])
        by_column[column] = list(fact_changes(own).values())
    return {column: float(np.mean(values)) for column, values in by_column.items()} | {NEUTRAL_TEXT: float(np.mean(neutral))}


def _arm(
    one: Plan,
    memory: Mapping[str, float],
    scales: Mapping[str, float],
    changes: Mapping[str, Changes],
    harms: Mapping[str, tuple[Harm, ...]],
    spent: Mapping[str, Spent],
) -> Arm:
    says = MITIGATIONS.get(one.name, "trains on the facts' own sentences; scaled, the control that every other must beat")
    reason = one.reason
    if not reason and memory[PLAIN] < MEMORISES:
        reason = f"plain training memorises {memory[PLAIN]:.2f}, too little to compare at; train longer or harder"
    if not reason and one.name not in scales:
        reason = f"it memorises {memory[one.name]:.2f}, less than half of plain training's {memory[PLAIN]:.2f}"
    return Arm(
        name=one.name,
        says=says,
        applied=not one.reason,
        reason=reason,
        memorised=memory.get(one.name),
        scale=scales.get(one.name),
        columns=_columns(changes[one.name]) if one.name in changes else {},
        harms=harms.get(one.name, ()),
        n_steps=spent[one.name].n_steps if one.name in spent else 0,
        n_sentences=len(one.sentences),
        minutes=spent[one.name].minutes if one.name in spent else 0.0,
    )
