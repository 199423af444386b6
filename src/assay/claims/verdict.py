"""Verdicts: pure judgement of stored rows under declared claims.

The interval shown and the verdict always agree: each claim is judged at the confidence level that Holm's step-down procedure
over all claims of the study assigns to it, and that interval is the one reported. Statements that must hold in every run are
judged on the range over runs and take no part in the correction.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from assay.claims.claim import Claim, Summary, names
from assay.claims.rules import Judgement, Ordered, Rule
from assay.claims.study import Experiment, Study
from assay.core.seeds import Seeds
from assay.stats import intervals, sequential
from assay.stats.intervals import Interval
from assay.stats.tests import holm_levels

__all__ = ["ControlVerdict", "RunRow", "Verdict", "VerdictName", "judge", "undecided"]

VerdictName = Literal["supported", "refuted", "inconclusive", "void"]
LEVEL = 0.95
FEW_EQUAL = 10
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RunRow:
    """One run as the store holds it: what judgement needs and nothing else."""

    experiment: str
    seed: int
    status: Literal["ok", "diverged", "failed"]
    estimands: Mapping[str, float]
    items: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class ControlVerdict:
    """How a claim's control came out.

    Attributes:
        says: what was changed and what must happen then.
        rule: the rule it was judged by, and `expected`, the judgement it had to reach.
        estimate: with `low` and `high`, the control's interval at the unadjusted level; None where there was no number.
        judgement: what it reached; None where there was no number.
    """

    says: str
    rule: str
    expected: Judgement
    estimate: float | None
    low: float | None
    high: float | None
    judgement: Judgement | None

    @property
    def flips(self) -> bool:
        """Whether the control came out as it had to."""
        return self.judgement == self.expected


@dataclass(frozen=True)
class Verdict:
    """One claim, judged. The fields up to `verdict` are the row that `--json` prints; numbers are None where there is none."""

    study: str
    experiment: str
    claim: str
    says: str
    source: str
    rule: str
    estimate: float | None
    low: float | None
    high: float | None
    level: float | None
    n_runs: int
    unit: str
    paper_value: str | float | None
    control: ControlVerdict
    verdict: VerdictName
    reason: str  # why void, or which runs take no part; empty otherwise
    effect: float | None  # distance of the estimate from the rule's boundary in standard deviations over runs
    method: str  # how the interval was made


def judge(
    study: Study,
    rows: Mapping[str, Sequence[RunRow]],
    *,
    quick: bool = False,
    anytime: bool = False,
    level: float = LEVEL,
) -> list[Verdict]:
    """One verdict per claim of every experiment in `rows`, in the study's order.

    Args:
        study: the declared claims.
        rows: runs by experiment name; all of one settings value and one code version (pooling others is the caller's bug).
        quick: the rows come from the quick preset, which may not speak: every verdict is void.
        anytime: use intervals that stay valid although runs are added until the claim is decided.
        level: confidence level of the whole family before Holm's correction.
    """
    found = {name: _Runs(own) for name, own in rows.items()}
    pending = [
        (experiment, claim, found[experiment.name])
        for experiment in study.experiments
        if experiment.name in rows
        for claim in experiment.claims
    ]
    evidence = [_evidence(study, claim, runs, quick=quick, anytime=anytime) for _, claim, runs in pending]
    levels = _holm_levels(
        evidence, [claim for _, claim, _ in pending], family=sum(c.summary != "every" for c in study.claims), level=level
    )
    return [
        _verdict(study, experiment, claim, runs.rows, one, claim_level, level)
        for (experiment, claim, runs), one, claim_level in zip(pending, evidence, levels, strict=True)
    ]


def undecided(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts that more runs could still change: inconclusive ones, and void ones with an undecided control."""
    return [
        v for v in verdicts if v.verdict == "inconclusive" or (v.verdict == "void" and v.control.judgement == "inconclusive")
    ]


IntervalAt = Callable[[float], Interval]


class _Runs:
    """The runs of one experiment, column by column; a store may hold a hundred thousand, and many claims read each column."""

    def __init__(self, rows: Sequence[RunRow]) -> None:
        self.rows = list(rows)
        self.statuses = Counter(run.status for run in rows)
        self._columns: dict[str, Values] = {}

    def column(self, name: str) -> Values:
        """An estimand of every run; nan where a run lacks it."""
        if name not in self._columns:
            column = np.array([run.estimands.get(name) for run in self.rows], dtype=float)
            column.setflags(write=False)  # many claims read it
            self._columns[name] = column
        return self._columns[name]

    def clusters(self, name: str) -> list[Values]:
        """The items of every run under this name; empty where a run lacks them."""
        return [np.atleast_1d(np.asarray(run.items.get(name, ()), dtype=float)) for run in self.rows]

    def n_absent(self, name: str, summary: Summary) -> int:
        """How many runs lack it, or have something in its place that is not finite."""
        if summary == "clustered":
            return sum(values.size == 0 or not np.isfinite(values).all() for values in self.clusters(name))
        return int(np.count_nonzero(~np.isfinite(self.column(name))))

    def taking_part(self, claim: Claim) -> "_Runs":
        """The runs in which the numbers of a conditional claim and of its control exist; all runs for any other claim."""
        if not claim.given:
            return self
        exists = np.ones(len(self.rows), dtype=bool)
        for name in _names(claim):
            if claim.summary == "clustered":
                exists &= np.array([values.size > 0 for values in self.clusters(name)], dtype=bool)
            else:
                exists &= ~np.isnan(self.column(name))
        return _Runs([run for run, kept in zip(self.rows, exists, strict=True) if kept])


@dataclass(frozen=True)
class _Evidence:
    """Either a reason why the claim may not speak, or its interval(s) and its control's as functions of the level."""

    void: str
    rows: list[RunRow]  # that take part
    steps: tuple[IntervalAt, ...] = ()  # one, or one per step of an Ordered claim
    spreads: tuple[float, ...] = ()  # standard deviation over runs, per step
    control_steps: tuple[IntervalAt, ...] = ()


def _evidence(study: Study, claim: Claim, runs: _Runs, *, quick: bool, anytime: bool) -> _Evidence:
    all_runs, runs = runs, runs.taking_part(claim)
    reason = _may_not_speak(claim, all_runs, runs, quick, anytime)
    if reason:
        return _Evidence(reason, all_runs.rows)
    rng_seed = Seeds(0).child(study.slug).child(claim.name)
    steps, spreads = _interval_functions(claim.estimand, claim.summary, runs, anytime, rng_seed.child("claim"))
    control_steps, _ = _interval_functions(
        claim.negative.measured(claim.estimand), claim.summary, runs, anytime, rng_seed.child("control")
    )
    return _Evidence("", runs.rows, steps, spreads, control_steps)


def _names(claim: Claim) -> list[str]:
    """The estimands of a claim and of its control."""
    return [*names(claim.estimand), *names(claim.negative.measured(claim.estimand))]


def _may_not_speak(claim: Claim, runs: _Runs, taking_part: _Runs, quick: bool, anytime: bool) -> str:
    """Why these runs may not decide this claim; empty when they may."""
    if quick:
        return "the quick preset exercises the plumbing and judges nothing"
    n = len(runs.rows)
    if not n:
        return "no runs are stored"
    for status in ("diverged", "failed"):
        if runs.statuses[status]:
            return f"{runs.statuses[status]} of {n} runs {status}"
    if 2 * len(taking_part.rows) <= n:
        return _without(claim, n - len(taking_part.rows), n)
    runs, n = taking_part, len(taking_part.rows)
    for name in _names(claim):
        absent = runs.n_absent(name, claim.summary)
        if absent and not any(name in run.estimands or name in run.items for run in runs.rows):
            return f"'{name}' is not measured with these settings"
        if absent:
            return f"'{name}' is missing or not a number in {absent} of {n} runs"
    if n < 2 and claim.summary != "every":
        return "an interval needs at least 2 runs; 1 is stored"
    if anytime and claim.summary == "iqm":
        return "an interquartile mean has no anytime-valid interval; judge it without --until-decided"
    if claim.summary == "share":
        values = set(runs.column(claim.estimand).tolist()) if isinstance(claim.estimand, str) else set()
        if not values <= {0.0, 1.0}:
            return f"'{claim.estimand}' must be 0 or 1 in each run for an exact share; got {sorted(values)[:3]}"
    return ""


def _without(claim: Claim, n_without: int, n: int) -> str:
    """That these runs hold nothing a conditional claim could speak of."""
    return f"{n_without} of {n} runs {'is' if n_without == 1 else 'are'} without {claim.given}"


def _interval_functions(
    names: str | tuple[str, ...], summary: Summary, runs: _Runs, anytime: bool, seeds: Seeds
) -> tuple[tuple[IntervalAt, ...], tuple[float, ...]]:
    if summary == "clustered":
        if isinstance(names, tuple):
            raise TypeError("an ordering over clustered items is not defined; give the items as paired differences")
        clusters = runs.clusters(names)
        means = np.array([cluster.mean() for cluster in clusters])
        if anytime:
            return ((lambda level: _seen_to_vary(sequential.mean_anytime(means, level=level))),), (_spread(means),)
        return ((lambda level: intervals.clustered_mean(clusters, level=level, rng=seeds("bootstrap"))),), (_spread(means),)
    columns = [runs.column(name) for name in ((names,) if isinstance(names, str) else names)]
    series = columns if len(columns) == 1 else [later - earlier for earlier, later in pairwise(columns)]
    return tuple(_summarised(values, summary, anytime, seeds) for values in series), tuple(_spread(values) for values in series)


def _summarised(values: Values, summary: Summary, anytime: bool, seeds: Seeds) -> IntervalAt:
    n = len(values)
    if summary == "every":
        return lambda level: intervals.every(values)
    if summary == "share":
        successes = round(float(values.sum()))
        if anytime:
            return lambda level: sequential.proportion_anytime(successes, n, level=level)
        return lambda level: intervals.proportion(successes, n, level=level)
    if summary == "median":
        if anytime:
            return lambda level: sequential.median_anytime(values, level=level)
        return lambda level: intervals.median(values, level=level)
    if anytime:  # bca is an interval of the mean too; iqm is refused before it comes here
        return lambda level: _seen_to_vary(sequential.mean_anytime(values, level=level))
    if summary == "bca":
        return lambda level: intervals.mean_bca(values, level=level, rng=seeds("bootstrap"))
    if summary == "iqm":
        return lambda level: intervals.iqm(values, level=level, rng=seeds("bootstrap"))
    return lambda level: intervals.mean(values, level=level)


def _seen_to_vary(interval: Interval) -> Interval:
    """The interval, unbounded while fewer than `FEW_EQUAL` runs have all been equal.

    Runs at a ceiling (accuracy 1 in each) give a width of zero, and stopping at once would take the first few for all.
    """
    if interval.low < interval.high or interval.n >= FEW_EQUAL:
        return interval
    return replace(interval, low=-math.inf, high=math.inf, method=f"{interval.method}, needs {FEW_EQUAL} equal runs")


def _spread(values: Values) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def _judge_steps(rule: Rule, steps: tuple[IntervalAt, ...], level: float) -> tuple[Judgement, Interval, int]:
    """The judgement at one level, the interval that decided it (of an ordering: the weakest step's) and that step's place."""
    found = [step(level) for step in steps]
    if not isinstance(rule, Ordered):
        return rule.judge(found[0]), found[0], 0
    judgements = [rule.judge(interval) for interval in found]
    if all(judgement == "supported" for judgement in judgements):
        place = min(range(len(found)), key=lambda i: found[i].low)
        return "supported", found[place], place
    place = min(range(len(found)), key=lambda i: found[i].high)
    return ("refuted" if "refuted" in judgements else "inconclusive"), found[place], place


def _p_value(rule: Rule, steps: tuple[IntervalAt, ...]) -> float:
    """The smallest error rate at which the claim is decided either way, by bisection on its logarithm; 1 if never."""
    if _judge_steps(rule, steps, 0.5)[0] == "inconclusive":
        return 1.0
    low, high = math.log(1e-12), math.log(0.5)
    if _judge_steps(rule, steps, 1 - math.exp(low))[0] != "inconclusive":
        return math.exp(low)
    for _ in range(30):
        middle = (low + high) / 2
        if _judge_steps(rule, steps, 1 - math.exp(middle))[0] == "inconclusive":
            low = middle
        else:
            high = middle
    return math.exp(high)


def _holm_levels(evidence: list[_Evidence], claims: list[Claim], *, family: int, level: float) -> list[float]:
    """The confidence level of each claim under Holm's step-down procedure.

    The family is every claim of the study that is judged by an interval, also those that have no runs yet, so that judging one
    experiment alone never makes its claims easier.
    """
    chosen = [level] * len(claims)
    tested = [i for i, claim in enumerate(claims) if claim.summary != "every" and not evidence[i].void]
    if tested:
        p_values = [_p_value(claims[i].rule, evidence[i].steps) for i in tested]
        levels = holm_levels([*p_values, *[1.0] * (family - len(tested))], 1 - level)
        for i, found in zip(tested, levels, strict=False):
            chosen[i] = float(found)
    return chosen


def _verdict(
    study: Study, experiment: Experiment, claim: Claim, runs: list[RunRow], found: _Evidence, claim_level: float, level: float
) -> Verdict:
    control = _control_verdict(claim, found, level)
    judgement: VerdictName = "void"
    reason, interval, effect = found.void, None, None
    if not found.void:
        if len(found.rows) < len(runs):
            reason = f"{_without(claim, len(runs) - len(found.rows), len(runs))}, and no part of this"
        judgement, interval, place = _judge_steps(claim.rule, found.steps, claim_level)
        if found.spreads[place] > 0:
            effect = claim.rule.distance(interval.estimate) / found.spreads[place]
        if not control.flips:
            failed = f"the control did not come out as it must: {control.judgement}, not {control.expected}"
            judgement, reason = "void", f"{failed}; {reason}" if reason else failed
    return Verdict(
        study=study.slug,
        experiment=experiment.name,
        claim=claim.name,
        says=claim.sentence,
        source=claim.at,
        rule=claim.rule_text,
        estimate=_number(interval.estimate if interval else None),
        low=_number(interval.low if interval else None),
        high=_number(interval.high if interval else None),
        level=interval.level if interval else None,
        n_runs=len(found.rows),
        unit=claim.run_is,
        paper_value=claim.paper,
        control=control,
        verdict=judgement,
        reason=reason,
        effect=_number(effect),
        method=interval.method if interval else "",
    )


def _control_verdict(claim: Claim, found: _Evidence, level: float) -> ControlVerdict:
    control = claim.negative
    rule = claim.rule if control.rule is None else control.rule
    expected: Judgement = "refuted" if control.rule is None else "supported"
    if found.void:
        return ControlVerdict(control.says, rule.text, expected, None, None, None, None)
    judgement, interval, _ = _judge_steps(rule, found.control_steps, level)
    numbers = (_number(interval.estimate), _number(interval.low), _number(interval.high))
    return ControlVerdict(control.says, rule.text, expected, *numbers, judgement)


def _number(value: float | None) -> float | None:
    """None for a number that does not exist: an infinite end of an interval is shown as absent, never as a value."""
    return value if value is not None and math.isfinite(value) else None
