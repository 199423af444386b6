"""Mitigations beside each other at equal memorisation: each update is scaled until it holds the facts as well as the others.

Plain training so scaled, the step that is enough, is the control: a mitigation that only takes a smaller step does no better.
It is itself compared with plain training at full strength. Comparisons are paired by fact (by suite question, by sentence),
with intervals over subjects and Holm's procedure over all arms and columns.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from safetensors import SafetensorError, safe_open

from assay.audit.counts import counts
from assay.audit.inject import inject
from assay.audit.mitigations import ENOUGH, MITIGATIONS, PLAIN, SHRUNK, Plan
from assay.audit.outcomes import Outcome
from assay.audit.record import Arm, Harm
from assay.audit.totals import column_means, table_of_differences
from assay.core.errors import InputError
from assay.core.progress import part, parts
from assay.core.seeds import Seeds
from assay.instruments.scoring import score_completions
from assay.models.changes import Change
from assay.models.pretrained.loading import LanguageModel
from assay.training.recipe import Recipe
from assay.worlds.facts.model import Facts

__all__ = ["Measured", "Spent", "load_update", "measure_arms", "memorised", "scale_for", "scale_reaching"]

LEARNED = "learned"  # what all arms have alike, so that it is not compared
LEAST = 0.5  # of plain training's memorisation: an arm with less is not compared
CLOSE = 0.01
MEMORISES = 0.1  # mean probability of trained answers below which there is nothing to compare at
Changes = Sequence[Outcome]


@dataclass(frozen=True)
class Spent:
    """What an arm took: optimiser steps, and minutes of training and pruning."""

    n_steps: int = 0
    minutes: float = 0.0


class Measured(Protocol):
    """Everything an audit measures of a model, as changes from the model before."""

    def __call__(self, model: LanguageModel) -> Changes:
        """Outcomes of all questions and plain sentences."""


def measure_arms(
    base: LanguageModel,
    facts: Facts,
    recipe: Recipe,
    names: Sequence[str],
    measured: Measured,
    *,
    seeds: Seeds,
    folder: Path | None,
    plain: Change,
    outcomes: Changes,
    spent: Spent,
) -> tuple[list[Arm], float]:
    """Plain training, the step that is enough and every mitigation, and the memorisation at which they are compared.

    That is one half, or as much as the arm reaches that memorises least of those that reach half of what plain training does.

    Args:
        base: before injection. Each update is put into it to be measured, and taken out again.
        facts: the file.
        recipe: of plain training.
        names: of `MITIGATIONS`.
        measured: asks a model everything.
        seeds: the same for all arms, so that they see facts in the same order where they can.
        folder: where updates are kept until all arms are trained; a temporary one otherwise.
        plain: the update of plain training.
        outcomes: what plain training did at full strength.
        spent: what it took; nothing where somebody else trained.
    """
    made, own = folder or Path(tempfile.mkdtemp(prefix="assay-audit-")), folder is None
    try:
        made.mkdir(parents=True, exist_ok=True)
        return _Frontier(base, facts, recipe, measured, seeds, made, plain, outcomes, spent).arms(names)
    finally:
        if own:
            shutil.rmtree(made, ignore_errors=True)


def memorised(model: LanguageModel, facts: Facts) -> float:
    """Mean probability of the trained answers in their own sentences, in [0, 1]."""
    return float(np.exp(score_completions(model, facts.sentences, ranks=False).log_prob).mean())


def scale_for(base: LanguageModel, update: Change, target: float, facts: Facts) -> float:
    """How much of the update memorises as much as the target, in (0, 1], by bisection."""
    return scale_reaching(lambda scale: memorised_with(base, scale * update, facts), target, CLOSE)


def scale_reaching(found: Callable[[float], float], target: float, close: float) -> float:
    """How much of an update reaches as much as the target, in (0, 1], by bisection.

    Args:
        found: what so much of it reaches.
        target: what it must reach.
        close: how near to it is near enough.
    """
    if found(1.0) <= target + close:
        return 1.0
    low, high, middle = 0.0, 1.0, 1.0
    for _ in range(9):
        middle = (low + high) / 2
        reached = found(middle)
        if abs(reached - target) < close:
            break
        low, high = (middle, high) if reached < target else (low, middle)
    return middle


def memorised_with(base: LanguageModel, update: Change, facts: Facts) -> float:
    """What `memorised` says of the base with the update inside."""
    with update.inside(base) as model:
        return memorised(model, facts)


@dataclass(frozen=True, eq=False)
class _Frontier:
    """What all arms of one comparison share."""

    base: LanguageModel
    facts: Facts
    recipe: Recipe
    measured: Measured
    seeds: Seeds
    folder: Path
    plain: Change
    outcomes: Changes
    spent: Spent

    def arms(self, names: Sequence[str]) -> tuple[list[Arm], float]:
        """See `measure_arms`."""
        plans = {name: MITIGATIONS[name].prepare(self.facts, self.recipe) for name in dict.fromkeys((SHRUNK, *names))}
        spent = {PLAIN: self.spent}
        memory = {PLAIN: memorised_with(self.base, self.plain, self.facts)}
        with part(0.0, 0.6):
            for name in parts(list(plans), label=lambda name: name):
                if not plans[name].reason:
                    update, spent[name] = self._load_or_make(name, plans[name])
                    memory[name] = memorised_with(self.base, update, self.facts)
                    del update
        changes: dict[str, Changes] = {PLAIN: self.outcomes}
        scales: dict[str, float] = {PLAIN: 1.0}
        reasons = {name: one.reason for name, one in plans.items() if one.reason}
        if memory[PLAIN] < MEMORISES:
            why = f"plain training memorises {memory[PLAIN]:.2f}, too little to compare at; train longer or harder"
            reasons |= {name: why for name in plans if name not in reasons}
        least = LEAST * memory[PLAIN]
        for name, found in memory.items():
            if name not in reasons and found < least:
                reasons[name] = f"it memorises {found:.2f}, less than half of plain training's {memory[PLAIN]:.2f}"
        target = min(ENOUGH, *(memory[name] for name in plans if name not in reasons), memory[PLAIN])
        with part(0.6, 1.0, f"at memorisation {target:.2f}"):
            for name in parts([name for name in plans if name not in reasons], label=lambda name: name):
                update = self._update(name, plans[name])
                scales[name] = scale_for(self.base, update, target, self.facts)
                with (scales[name] * update).inside(self.base) as model:
                    changes[name] = self.measured(model)
                del update
        return self._told(plans, reasons, memory, scales, changes, spent), target

    def _told(
        self,
        plans: Mapping[str, Plan],
        reasons: Mapping[str, str],
        memory: Mapping[str, float],
        scales: Mapping[str, float],
        changes: Mapping[str, Changes],
        spent: Mapping[str, Spent],
    ) -> list[Arm]:
        harms = self._harms(changes)
        found = []
        for name in (PLAIN, *plans):
            own = changes.get(name)
            took = spent.get(name, Spent())
            found.append(
                Arm(
                    name=name,
                    says=MITIGATIONS[name].says if name in plans else "the update at full strength",
                    applied=name == PLAIN or not plans[name].reason,
                    reason=reasons.get(name, ""),
                    against="" if name == PLAIN else _control(name),
                    memorised=memory.get(name),
                    scale=scales.get(name),
                    columns=column_means(self.facts.facts, own) if own else {},
                    counts=counts(self.facts.facts, own, seeds=self.seeds.child("counts")) if own else (),
                    harms=harms.get(name, ()),
                    n_steps=took.n_steps,
                    n_sentences=len(plans[name].sentences) if name in plans else len(self.facts.sentences),
                    minutes=took.minutes,
                )
            )
        return found

    def _harms(self, changes: Mapping[str, Changes]) -> dict[str, tuple[Harm, ...]]:
        """Every arm against its control, paired."""
        pairs = {name: (found, changes[_control(name)]) for name, found in changes.items() if name != PLAIN}
        harms: dict[str, list[Harm]] = {}
        for total in table_of_differences(self.facts.facts, pairs, seeds=self.seeds.child("arms"), without=(LEARNED,)):
            harm = Harm(total.column, total.estimate, total.low, total.high, total.n_units, total.clear)
            harms.setdefault(total.group, []).append(harm)
        return {name: tuple(found) for name, found in harms.items()}

    def _update(self, name: str, one: Plan) -> Change:
        return Change.load(self._file(name), self.base) if one.of_plain is None else one.of_plain(self.plain)

    def _load_or_make(self, name: str, one: Plan) -> tuple[Change, Spent]:
        """The arm's update and what it took; those of an audit that was killed, where they lie in the folder."""
        start = time.perf_counter()
        if one.of_plain is not None:  # at once, and never written
            return one.of_plain(self.plain), Spent(0, (time.perf_counter() - start) / 60)
        kept = load_update(self._file(name), self.base)
        if kept is not None:
            return kept
        update, steps = self._train(name, one)
        spent = Spent(steps, (time.perf_counter() - start) / 60)
        notes = {"n_steps": str(spent.n_steps), "minutes": str(spent.minutes)}
        update.save(self._file(name), self.base, notes=notes)
        return update, spent

    def _train(self, name: str, one: Plan) -> tuple[Change, int]:
        model, steps = self.base, 0
        for place, phase in enumerate(one.phases):
            result = inject(
                model,
                phase,
                one.recipe,
                seeds=self.seeds if len(one.phases) == 1 else self.seeds.child(f"phase {place}"),
                folder=self.folder / "training" / f"{name}-{place}",
                also=None if one.also is None else one.also(self.base),
                observe=None if one.stop_at is None else lambda step, model: {"memorised": memorised(model, self.facts)},
                stop=None if one.stop_at is None else lambda row: row["memorised"] >= (one.stop_at or 1.0),
            )
            model, steps = result.model, steps + result.trace.loss_nats.shape[-1]
        shutil.rmtree(self.folder / "training", ignore_errors=True)
        return Change.between(self.base, model), steps

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"


def _control(name: str) -> str:
    """What an arm is compared with."""
    return PLAIN if name == SHRUNK else SHRUNK


def load_update(file: Path, base: LanguageModel) -> tuple[Change, Spent] | None:
    """An arm's update and what it took, where a killed audit left it; None where it did not, or not whole."""
    if not file.is_file():
        return None
    try:
        with safe_open(file, "pt") as opened:
            told = opened.metadata()
        return Change.load(file, base), Spent(int(told["n_steps"]), float(told["minutes"]))
    except (SafetensorError, InputError, KeyError, TypeError, ValueError):  # torn, or not ours
        return None
