"""Evidence: what runs say of an estimand under a rule, as intervals that are functions of the error rate, look by look."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from assay.claims.claim import Summary
from assay.claims.rules import Judgement, Ordered, Rule
from assay.core.arrays import Floats
from assay.core.seeds import Seeds
from assay.stats import intervals, sequential
from assay.stats.intervals import Interval, IntervalAt

__all__ = ["Decision", "Evidence", "Look", "RunRow", "Runs", "decide", "look_at"]

FEW_EQUAL = 10
Names = str | tuple[str, ...]


@dataclass(frozen=True)
class RunRow:
    """One run as the store holds it: what judgement needs and nothing else."""

    experiment: str
    seed: int
    status: Literal["ok", "diverged", "failed"]
    estimands: Mapping[str, float]
    items: Mapping[str, Sequence[float]] = field(default_factory=dict)


class Runs:
    """The runs of one experiment, column by column; a store may hold a hundred thousand, and many claims read each column."""

    def __init__(self, rows: Sequence[RunRow]) -> None:
        self.rows = list(rows)
        self.statuses = Counter(run.status for run in rows)
        self._columns: dict[str, Floats] = {}
        self.looks: dict[object, Look] = {}  # that many claims share, such as one control's

    def column(self, name: str) -> Floats:
        """An estimand of every run; nan where a run lacks it."""
        if name not in self._columns:
            column = np.array([run.estimands.get(name) for run in self.rows], dtype=float)
            column.setflags(write=False)  # many claims read it
            self._columns[name] = column
        return self._columns[name]

    def clusters(self, name: str) -> list[Floats]:
        """The items of every run under this name; empty where a run lacks them."""
        return [np.atleast_1d(np.asarray(run.items.get(name, ()), dtype=float)) for run in self.rows]

    def measured(self, name: str) -> bool:
        """Whether any run has it."""
        return any(name in run.estimands or name in run.items for run in self.rows)

    def n_absent(self, name: str, summary: Summary) -> int:
        """How many runs lack it, or have something in its place that is not finite."""
        if summary == "clustered":
            return sum(values.size == 0 or not np.isfinite(values).all() for values in self.clusters(name))
        return int(np.count_nonzero(~np.isfinite(self.column(name))))

    def having(self, names: Sequence[str], summary: Summary) -> "Runs":
        """The runs in which all these numbers exist."""
        exists = np.ones(len(self.rows), dtype=bool)
        for name in names:
            if summary == "clustered":
                exists &= np.array([values.size > 0 for values in self.clusters(name)], dtype=bool)
            else:
                exists &= ~np.isnan(self.column(name))
        return Runs([run for run, kept in zip(self.rows, exists, strict=True) if kept])

    def first(self, n: int) -> "Runs":
        """The first n runs, by seed."""
        return self if n >= len(self.rows) else Runs(sorted(self.rows, key=lambda run: run.seed)[:n])


@dataclass(frozen=True)
class Look:
    """The intervals of an estimand (one, or one for each step of an ordering) at one number of runs.

    Attributes:
        steps: each as a function of the error rate of one end.
        spreads: standard deviation over runs, per step.
        part: what this look may spend of the claim's error rate; 1 where it is the only one.
        n_runs: how many runs take part.
    """

    steps: tuple[IntervalAt, ...]
    spreads: tuple[float, ...]
    part: float
    n_runs: int


Evidence = tuple[Look, ...]


@dataclass(frozen=True)
class Decision:
    """What a rule says of the evidence at an error rate, and the interval that says it.

    Attributes:
        judgement: of the first look that decides; else inconclusive, of the last.
        interval: of an ordering, that of the weakest step.
        spread: the standard deviation over runs behind it.
        n_runs: of the look.
        side: "one" where only one end of the interval could have been wrong, and had all of the error; "both" where either
            could, and had half; "each step" for the refutation of an ordering, where each step had its share.
    """

    judgement: Judgement
    interval: Interval
    spread: float
    n_runs: int
    side: Literal["one", "both", "each step"]


def decide(rule: Rule, evidence: Evidence, error: float) -> Decision:
    """The first decision that a look reaches when the claim may be wrong with probability `error`."""
    found = [_decide(rule, look, error * look.part) for look in evidence]
    return next((one for one in found if one.judgement != "inconclusive"), found[-1])


def _decide(rule: Rule, look: Look, error: float) -> Decision:
    """One look's decision: supported by the interval for support, refuted by the interval for refutation.

    Where neither decides, the wider of the two is shown: it is neither inside the rule nor outside.
    """
    support, refutation = rule.shares(len(look.steps))
    holding = [step(error * support) for step in look.steps]
    failing = holding if refutation == support else [step(error * refutation) for step in look.steps]

    def decision(judgement: Judgement, found: list[Interval], place: int, share: float) -> Decision:
        side: Literal["one", "both", "each step"] = (
            "one" if share == 1 else "each step" if isinstance(rule, Ordered) else "both"
        )
        return Decision(judgement, found[place], look.spreads[place], look.n_runs, side)

    weakest = min(range(len(holding)), key=lambda i: holding[i].low)
    if all(rule.judge(interval) == "supported" for interval in holding):
        return decision("supported", holding, weakest, support)
    refuted = [i for i, interval in enumerate(failing) if rule.judge(interval) == "refuted"]
    if refuted:
        return decision("refuted", failing, min(refuted, key=lambda i: failing[i].high), refutation)
    return decision("inconclusive", *((failing, weakest, refutation) if refutation < support else (holding, weakest, support)))


def look_at(names: Names, summary: Summary, runs: Runs, seeds: Seeds, *, anytime: bool, part: float) -> Look:
    """The evidence on an estimand at one number of runs.

    Args:
        names: the estimand, or those of an ordering.
        summary: how runs are summarised.
        runs: that take part.
        seeds: of the bootstrap.
        anytime: intervals that stay valid although nobody fixed beforehand when to look.
        part: what this look may spend; below 1 it is one of several that were planned.
    """
    key = (names, summary, anytime, part)
    if summary not in ("mean", "every", "share", "median"):  # the others draw from streams of their own
        return _look_at(names, summary, runs, seeds, anytime, part)
    if key not in runs.looks:
        runs.looks[key] = _look_at(names, summary, runs, seeds, anytime, part)
    return runs.looks[key]


def _look_at(names: Names, summary: Summary, runs: Runs, seeds: Seeds, anytime: bool, part: float) -> Look:
    if summary == "clustered":
        if isinstance(names, tuple):
            raise TypeError("an ordering over clustered items is not defined; give the items as paired differences")
        clusters = runs.clusters(names)
        series = [np.array([cluster.mean() for cluster in clusters])]
        steps: list[IntervalAt] = (
            [_anytime(series[0], "mean")]
            if anytime
            else [_per_end(intervals.clustered_mean_at(clusters, rng=seeds("bootstrap")))]
        )
    else:
        columns = [runs.column(name) for name in ((names,) if isinstance(names, str) else names)]
        series = columns if len(columns) == 1 else [later - earlier for earlier, later in pairwise(columns)]
        steps = [_anytime(values, summary) if anytime else _fixed(values, summary, seeds) for values in series]
    if (anytime or part < 1) and summary not in ("every", "share", "median"):
        steps = [_seen_to_vary(step) for step in steps]
    return Look(tuple(steps), tuple(_spread(values) for values in series), part, len(runs.rows))


def _fixed(values: Floats, summary: Summary, seeds: Seeds) -> IntervalAt:
    """The interval for a number of runs fixed beforehand; each of its ends is wrong at most at the error rate."""
    if summary == "every":
        return lambda error: intervals.every(values)
    if summary == "share":
        return _per_end(lambda level: intervals.proportion(round(float(values.sum())), len(values), level=level))
    if summary == "median":
        return _per_end(lambda level: intervals.median(values, level=level))
    if summary == "bca":
        return _per_end(intervals.mean_bca_at(values, rng=seeds("bootstrap")))
    if summary == "iqm":
        return _per_end(intervals.iqm_at(values, rng=seeds("bootstrap")))
    return _per_end(intervals.mean_at(values))


def _per_end(at_level: IntervalAt) -> IntervalAt:
    """The interval as a function of the error of one end: all intervals here have equal tails, so its level is 1 - 2 error."""
    return lambda error: at_level(1 - 2 * error)


def _anytime(values: Floats, summary: Summary) -> IntervalAt:
    """The sequence that may be looked at whenever one likes.

    Its ends are not known to share the error equally, so each is given the whole of it: level 1 - error. BCa is an interval of
    the mean too; an interquartile mean is refused before it comes here.
    """
    if summary == "every":
        return lambda error: intervals.every(values)
    if summary == "share":
        return lambda error: sequential.proportion_anytime(round(float(values.sum())), len(values), level=1 - error)
    if summary == "median":
        return lambda error: sequential.median_anytime(values, level=1 - error)
    return lambda error: sequential.mean_anytime(values, level=1 - error)


def _seen_to_vary(step: IntervalAt) -> IntervalAt:
    """The interval, unbounded while fewer than `FEW_EQUAL` runs have all been equal.

    Runs at a ceiling (accuracy 1 in each) give a width of zero, and stopping at once would take the first few for all.
    """

    def at(error: float) -> Interval:
        interval = step(error)
        if interval.low < interval.high or interval.n >= FEW_EQUAL:
            return interval
        return replace(interval, low=-math.inf, high=math.inf, method=f"{interval.method}, needs {FEW_EQUAL} equal runs")

    return at


def _spread(values: Floats) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
