"""What an audit returns: one frozen record, and its JSON form."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from assay.audit.benchmarks import Benchmark
from assay.audit.columns import COLUMNS
from assay.audit.counts import Count
from assay.audit.forecast import Calibration, Carried, Cost, FactForecast
from assay.audit.outcomes import FactRow, Outcome
from assay.audit.retention_record import Retention
from assay.audit.totals import Total

__all__ = ["Advice", "Arm", "Audit", "Harm", "Run", "Spoken", "plain"]


@dataclass(frozen=True)
class Harm:
    """How a mitigation changes a column against its control.

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
        against: the arm that it is compared with: the step that is enough, which memorises as much; that one with plain.
        memorised: mean probability of the trained answers at full strength, in [0, 1].
        scale: how much of its update was kept to memorise as much as the others, in (0, 1]; all of plain training's.
        columns: mean of every column at that scale.
        counts: how many of a column's questions at that scale.
        harms: against that arm, paired by fact.
        n_steps: optimiser steps.
        n_sentences: sentences that were trained on in one pass.
        minutes: of training and pruning.
    """

    name: str
    says: str
    applied: bool
    reason: str
    against: str = ""
    memorised: float | None = None
    scale: float | None = None
    columns: Mapping[str, float] = field(default_factory=dict)
    counts: tuple[Count, ...] = ()
    harms: tuple[Harm, ...] = ()
    n_steps: int = 0
    n_sentences: int = 0
    minutes: float = 0.0


@dataclass(frozen=True)
class Advice:
    """One thing to do, or to know.

    Attributes:
        says: it, in a sentence.
        cites: the number that it rests on, and where that stands: in this record, or in a table of the documentation.
    """

    says: str
    cites: str


@dataclass(frozen=True)
class Spoken:
    """What the model says behind a prompt when it may choose its words, the likeliest at each step, before and after.

    Attributes:
        prompt: of a question of the audit.
        before: the model before.
        after: the model after, in every training run.
    """

    prompt: str
    before: str
    after: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """One of several trainings of the same facts, which differ in their seed alone.

    Attributes:
        run: its number, from 0.
        digest: under which its own audit is kept; empty for one that is not.
        totals: every column's mean.
        minutes: of training.
    """

    run: int
    digest: str
    totals: Mapping[str, float]
    minutes: float


@dataclass(frozen=True)
class Audit:
    """An audit of a model and a file of facts.

    Attributes:
        model: its name; `tuned` names the other folder where two models were compared and nothing was trained.
        facts_name, facts_digest: the file.
        recipe: how facts were injected; empty where nothing was trained.
        known: for every fact the share of its sentences that the model before answers rightly.
        forecast: for every trained fact, made before any training.
        expected: by column, the change in total that the tangent forecast expects; empty without one.
        carried: how it was made.
        rows: one a fact; empty for a forecast alone.
        totals: the table of totals.
        counts: how many of a column's questions, before and after.
        spoken: what the model says of its own choice, before and after, to some of the questions.
        runs: the trainings behind these numbers, where there were several; empty for one.
        calibration: forecast against outcome.
        outcomes: every question with its value before and after.
        benchmarks: numbers by which editing methods are compared; empty where no fact replaces another answer.
        retention: how facts were lost over plain steps after injection; None where none were asked for.
        arms: mitigations.
        memorised: the memorisation at which arms are compared, in [0, 1].
        advice: ranked, in plain words, each with the number that it rests on.
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
    expected: Mapping[str, float] = field(default_factory=dict)
    carried: Carried | None = None
    rows: tuple[FactRow, ...] = ()
    totals: tuple[Total, ...] = ()
    counts: tuple[Count, ...] = ()
    spoken: tuple[Spoken, ...] = ()
    runs: tuple[Run, ...] = ()
    calibration: tuple[Calibration, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    benchmarks: tuple[Benchmark, ...] = ()
    retention: Retention | None = None
    arms: tuple[Arm, ...] = ()
    memorised: float | None = None
    advice: tuple[Advice, ...] = ()
    cost: Cost = field(default_factory=lambda: Cost())
    notes: tuple[str, ...] = ()
    environment: Mapping[str, object] = field(default_factory=dict)
    digest: str = ""
    made: str = ""

    def json(self) -> dict[str, Any]:
        """The record as JSON values, with what its columns are; single questions stand in the CSV beside the report."""
        fields = (item.name for item in dataclasses.fields(self) if item.name != "outcomes")
        named = dict.fromkeys(total.column for total in self.totals)
        about = {
            name: {key: plain(getattr(COLUMNS[name], key)) for key in ("unit", "wanted", "bounds", "formula", "meaning")}
            for name in named
            if name in COLUMNS
        }
        return {**{name: plain(getattr(self, name)) for name in fields}, "columns": about}


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
