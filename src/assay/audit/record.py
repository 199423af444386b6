"""What an audit returns: one frozen record, and its JSON form."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from assay.audit.benchmarks import Benchmark
from assay.audit.columns import FactRow, Outcome
from assay.audit.forecast import Calibration, Cost, FactForecast
from assay.audit.totals import Total

__all__ = ["Arm", "Audit", "Harm", "plain"]


@dataclass(frozen=True)
class Harm:
    """How a mitigation changes a column against plain training that memorises as much.

    Attributes:
        column: its name.
        estimate: the mitigation minus plain, mean over paired units; below zero is less of it.
        low, high: its interval at the level Holm's procedure gives; None where it is unbounded.
        n: paired units (subjects, suite subjects or sentences).
        clear: whether the interval excludes zero.
    """

    column: str
    estimate: float
    low: float | None
    high: float | None
    n: int
    clear: bool


@dataclass(frozen=True)
class Arm:
    """One mitigation's training, and what it did at the memorisation that all arms share.

    Attributes:
        name: of the mitigation; `plain` for training without one.
        says: what it does, in a line.
        applied: False where the facts give it nothing to work on; `reason` says why.
        reason: for an arm that was not applied or does not memorise enough to be compared.
        memorised: mean probability of the trained answers at full strength, in [0, 1].
        scale: how much of its update was kept to memorise as much as the others, in (0, 1].
        columns: mean of every column at that scale.
        harms: against plain at the same memorisation, paired by fact.
        n_steps: optimiser steps.
        n_sentences: sentences that were trained on in one pass.
        minutes: of training and pruning.
    """

    name: str
    says: str
    applied: bool
    reason: str
    memorised: float | None = None
    scale: float | None = None
    columns: Mapping[str, float] = field(default_factory=dict)
    harms: tuple[Harm, ...] = ()
    n_steps: int = 0
    n_sentences: int = 0
    minutes: float = 0.0


@dataclass(frozen=True)
class Audit:
    """An audit of a model and a file of facts.

    Attributes:
        model: its name; `tuned` names the other folder where two models were compared and nothing was trained.
        facts_name, facts_digest: the file.
        recipe: how facts were injected; empty where nothing was trained.
        known: for every fact the share of its sentences that the model before answers rightly.
        forecast: for every trained fact, made before any training.
        rows: one a fact; empty for a forecast alone.
        totals: the table of totals.
        calibration: forecast against outcome.
        outcomes: every question with its value before and after.
        benchmarks: numbers by which editing methods are compared; empty where no fact replaces another answer.
        arms: mitigations.
        memorised: the memorisation at which arms are compared, in [0, 1].
        advice: ranked, in plain words.
        cost: minutes and memory, expected and spent.
        notes: what a reader should know about these numbers.
        environment: versions, machine class, threads, seed.
        digest, made: under which it is kept, and since when, in UTC; empty for one that is not kept.
    """

    model: str
    tuned: str
    facts_name: str
    facts_digest: str
    n_facts: int
    n_trained: int
    n_questions: int
    recipe: Mapping[str, object]
    known: tuple[float, ...]
    forecast: tuple[FactForecast, ...]
    rows: tuple[FactRow, ...] = ()
    totals: tuple[Total, ...] = ()
    calibration: tuple[Calibration, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    benchmarks: tuple[Benchmark, ...] = ()
    arms: tuple[Arm, ...] = ()
    memorised: float | None = None
    advice: tuple[str, ...] = ()
    cost: Cost = field(default_factory=lambda: Cost())
    notes: tuple[str, ...] = ()
    environment: Mapping[str, object] = field(default_factory=dict)
    digest: str = ""
    made: str = ""

    def json(self) -> dict[str, Any]:
        """The record as JSON values; single questions stand in the CSV beside the report."""
        return {name: plain(getattr(self, name)) for name in (f.name for f in dataclasses.fields(self)) if name != "outcomes"}


def plain(value: object) -> Any:
    """A value of a record as JSON; numbers that do not exist become null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
