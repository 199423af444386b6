"""Verdicts: pure judgement of stored rows under declared claims.

Claims that infer share the error of their family (`assay.stats.families`); each is judged at its own part of it, on the side
where it can be wrong (`assay.claims.rules`), and the interval shown is the one that decided. Statements about every run and
exact checks infer nothing and take no part. A claim counts as decided before its controls are looked at; what they make of it
is `name_verdict`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from assay.claims.claim import Arm, Claim, Kind, names
from assay.claims.evidence import Decision, Evidence, RunRow, Runs, decide, look_at
from assay.claims.rules import Judgement
from assay.claims.study import Experiment, Study
from assay.core.seeds import Seeds
from assay.stats.families import ERROR, Tier, step_down
from assay.stats.sequential import planned_looks, spent_at

__all__ = [
    "ONE_LOOK",
    "PILOT_SEEDS",
    "VERDICTS",
    "ControlVerdict",
    "RunRow",
    "Verdict",
    "VerdictName",
    "counts",
    "error_rates",
    "expected_false",
    "judge",
    "name_verdict",
    "peeked",
    "tier_of",
    "undecided",
]

VerdictName = Literal["supported", "refuted", "not-reproduced", "inconclusive", "void", "not-asked", "holds", "fails"]
VERDICTS: tuple[VerdictName, ...] = (
    "supported", "refuted", "not-reproduced", "inconclusive", "void", "not-asked", "holds", "fails",
)  # fmt: skip
ONE_LOOK = "allows for one look"
PILOT_SEEDS = range(901, 921)  # runs by which a study is planned; never judged with those that count


@dataclass(frozen=True)
class ControlVerdict:
    """How one of a claim's controls came out.

    Attributes:
        says: what was changed and what must happen then.
        rule: the rule it was judged by, and `expected`, the judgement it had to reach.
        estimate: with `low` and `high`, the control's interval, as the rule is written; None where there was no number.
        judgement: what it reached, at 5 % error of its own; None where there was no number.
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
    """One claim, judged. Numbers are None where there is none.

    Attributes:
        study: slug, with the `experiment`, the `claim`'s name, what it `says` and its `source`.
        rule: as a reader writes it.
        estimate: over the runs, with the ends `low` and `high` of the interval that decided, never beyond the quantity's range;
            as the rule is written, a ratio where the estimand is a logarithm.
        level: of that interval, counted on both its ends.
        n_runs: that took part, at the look that decided.
        unit: what a run is.
        paper_value: the paper's own.
        control: the negative control.
        verdict: see `name_verdict`.
        reason: why void, open or not reproduced, or which runs take no part.
        effect: distance of the estimate from the rule's boundary in standard deviations over runs; positive inside the rule.
        method: how the interval was made.
        kind: `finding`; `every` and `exact` infer nothing and stand outside the correction.
        family: the question of the paper whose error rate it shares, with the `tier` it begins in.
        error: the probability with which it may be wrong, by its place in the family; None outside it.
        side: "one" where one end of the interval could be wrong, and had all of `error`; "both" where either could, with half
            each; "each step" for a refuted ordering.
        positive: the positive control, where the claim has one.
        estimand_unit: of the number, with the `range` it can have.
        looks: how often the runs may be looked at for the interval to hold, and that they were looked at before where it does
            not allow for that; empty where nothing is inferred.
    """

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
    reason: str
    effect: float | None
    method: str
    kind: Kind = "finding"
    family: str = ""
    tier: Tier = "paper"
    error: float | None = None
    side: str = ""
    positive: ControlVerdict | None = None
    estimand_unit: str = ""
    range: str = ""
    looks: str = ""


def judge(
    study: Study,
    rows: Mapping[str, Sequence[RunRow]],
    *,
    quick: bool = False,
    looks: Mapping[str, int] | None = None,
    before: Mapping[str, Sequence[int]] | None = None,
    error: float = ERROR,
) -> list[Verdict]:
    """One verdict per claim of every experiment in `rows`, in the study's order.

    Args:
        study: the declared claims.
        rows: runs by experiment name; all of one settings value and one code version (pooling others is the caller's bug).
        quick: the rows come from the quick preset, which may not speak: every verdict is void, whatever is estimated.
        looks: of experiments to which runs were added until they were decided, the most runs that were allowed beforehand. A
            number of runs that is one of the looks planned for that most is judged by what the looks may spend; any other
            number, and a most of 0 (nothing was planned), by intervals that stay valid whenever one looks.
        before: at how many runs an experiment was judged before; told beside intervals that do not allow for it.
        error: of each family.
    """
    pending = _pending(study, rows, quick, looks or {})
    rates = _rates(study, pending, error)
    seen = before or {}
    return [one.verdict(rates.get(one.claim.name, error), error, seen.get(one.experiment.name, ())) for one in pending]


def peeked(looks: str) -> bool:
    """Whether a verdict's `looks` say that its runs were judged before and its interval does not allow for that."""
    return looks.startswith(f"{ONE_LOOK};")


def error_rates(
    study: Study, rows: Mapping[str, Sequence[RunRow]], *, looks: Mapping[str, int] | None = None, error: float = ERROR
) -> dict[str, float]:
    """The error rate at which each finding of the study is judged on these rows, by claim, those without rows included."""
    return _rates(study, _pending(study, rows, False, looks or {}), error)


def undecided(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts that more runs could still change.

    Inconclusive ones, unless they speak of every run, and void ones whose control is open.
    """
    return [
        one
        for one in verdicts
        if (one.verdict == "inconclusive" and one.kind == "finding")
        or (one.verdict == "void" and one.control.judgement == "inconclusive")
    ]


def expected_false(study: Study, *, error: float = ERROR) -> float:
    """How many of a study's families may at most, in expectation, hold a false verdict about a finding."""
    return error * sum(bool(_members(study, family)) for family in study.families)


def counts(study: Study, experiment: str, seed: int) -> bool:
    """Whether a run of the experiment with this seed is judged: neither a pilot's nor before the first that counts."""
    return seed >= study.first_seed_of(experiment) and seed not in PILOT_SEEDS


def name_verdict(
    judgement: Judgement, tier: Tier, negative: ControlVerdict, positive: ControlVerdict | None, *, power_only: bool = False
) -> tuple[VerdictName, str]:
    """The verdict on a finding, and why it is not what the rule alone would say.

    A claim that passes is supported if its negative control comes out as it must. A claim that fails is refuted if it is ours.
    If it is the paper's, then only where the positive control, in which the effect is known to be there, was seen by the same
    function; else our experiment could not have seen it, and it is not reproduced.

    Args:
        judgement: of the rule on the claim.
        tier: whose claim it is.
        negative: the control without the cause.
        positive: the control with the effect planted, where there is one.
        power_only: whether the positive control shows no more than that numbers of such a size would be seen.
    """
    if judgement == "inconclusive":
        return "inconclusive", ""
    if judgement == "supported":
        if negative.flips:
            return "supported", ""
        wrong = f"the control did not come out as it must: {negative.judgement}, not {negative.expected}"
        return ("inconclusive" if negative.judgement == "inconclusive" else "void"), wrong
    if tier == "ours":
        return "refuted", ""
    if positive is None:
        return "not-reproduced", "no positive control shows that the effect would be seen here"
    if positive.judgement == "inconclusive":
        return "inconclusive", "the claim fails, and it is open whether the positive control would show the effect"
    if not positive.flips:
        return "not-reproduced", "the positive control does not show the effect either"
    if power_only:
        return "not-reproduced", "the positive control shows power only: the effect was not trained into this very system"
    return "refuted", ""


def tier_of(claim: Claim) -> Tier:
    """Whether a claim is the paper's or ours, by the place where it is made."""
    return "ours" if claim.at.lower().startswith("ours") else "paper"


def _pending(study: Study, rows: Mapping[str, Sequence[RunRow]], quick: bool, looks: Mapping[str, int]) -> "list[_Pending]":
    found = {name: Runs(own) for name, own in rows.items()}
    return [
        _Pending(study, experiment, claim, found[experiment.name], quick, looks.get(experiment.name))
        for experiment in study.experiments
        if experiment.name in rows
        for claim in experiment.claims
    ]


def _rates(study: Study, pending: "Sequence[_Pending]", error: float) -> dict[str, float]:
    ready = {one.claim.name: one for one in pending if one.evidence}
    rates: dict[str, float] = {}
    for family in study.families:
        members = _members(study, family)

        def decides(place: int, rate: float, members: list[Claim] = members) -> bool:
            one = ready.get(members[place].name)
            return one is not None and decide(one.claim.rule, one.evidence, rate).judgement != "inconclusive"

        found = step_down([tier_of(claim) for claim in members], decides, error=error)
        rates |= {claim.name: rate for claim, rate in zip(members, found, strict=True)}
    return rates


def _members(study: Study, family: str) -> list[Claim]:
    """The claims that share a family's error: all that infer, also those without runs, so that a part is never easier."""
    own = [experiment for experiment in study.experiments if experiment.family == family]
    return [claim for experiment in own for claim in experiment.claims if claim.kind == "finding"]


class _Pending:
    """A claim on its way to a verdict: the runs that take part, the evidence of claim and controls, or why there is none."""

    def __init__(self, study: Study, experiment: Experiment, claim: Claim, runs: Runs, quick: bool, most: int | None) -> None:
        self.study, self.experiment, self.claim, self.all = study, experiment, claim, runs
        self.runs = runs.having(_measured(claim), claim.summary) if claim.given else runs
        self.evidence: Evidence = ()
        self.controls: dict[str, Evidence] = {}
        self._most = most
        anytime, planned = self._design(most)
        self._anytime = anytime
        self.unasked = "" if quick else self._unasked()
        self.void = "" if self.unasked else self._may_not_speak(quick, anytime)
        self.unskilled = "" if self.unasked or self.void else self._unskilled()
        # What a quick run measured decides nothing; its author sees it all the same.
        seen = quick and bool(self.all.rows) and not self._may_not_speak(False, anytime) and not self._unskilled()
        if seen or not (self.unasked or self.void or self.unskilled):
            self.evidence = self._looks(claim.estimand, "claim", anytime, planned)
            for what, arm in (("control", claim.negative), ("positive", claim.positive)):
                if arm is not None:
                    self.controls[what] = self._looks(arm.measured(claim.estimand), what, anytime, planned)

    def _design(self, most: int | None) -> tuple[bool, tuple[tuple[int, float], ...]]:
        """Whether to judge by anytime-valid intervals; else the planned looks so far, each with what it may spend."""
        n = len(self.all.rows)
        if most is None or self.claim.kind != "finding":
            return False, ((n, 1.0),)
        looks = planned_looks(most) if most > 1 else ()
        if n not in looks:
            return True, ((n, 1.0),)
        return False, tuple((look, part) for look, part in zip(looks, spent_at(looks), strict=True) if look <= n)

    def _looks(
        self, measured: str | tuple[str, ...], what: str, anytime: bool, planned: tuple[tuple[int, float], ...]
    ) -> Evidence:
        seeds = Seeds(0).child(self.study.slug).child(self.claim.name).child(what)
        found = []
        for n, part in planned:
            some = self.all.first(n)
            some = some.having(_measured(self.claim), self.claim.summary) if self.claim.given else some
            last = n == planned[-1][0]
            if last or (len(some.rows) > 1 and 2 * len(some.rows) > n):
                found.append(look_at(measured, self.claim.summary, some, seeds, anytime=anytime, part=part))
        return tuple(found)

    def _unasked(self) -> str:
        """Which number of the claim these settings leave out, or that nobody has run them; empty where neither is so."""
        if not self.all.rows:
            return "no runs are stored"
        if self.all.statuses["ok"] < len(self.all.rows) or self.claim.given:
            return ""
        missing = [name for name in _measured(self.claim) if not self.all.measured(name)]
        return f"'{missing[0]}' is not measured with these settings" if missing else ""

    def _may_not_speak(self, quick: bool, anytime: bool) -> str:
        """Why these runs may not decide this claim; empty when they may."""
        claim, n = self.claim, len(self.all.rows)
        if quick:
            return "the quick preset exercises the plumbing and judges nothing"
        for status in ("diverged", "failed"):
            if self.all.statuses[status]:
                return f"{self.all.statuses[status]} of {n} runs {status}"
        n = len(self.runs.rows)
        for name in _measured(claim):
            if absent := self.runs.n_absent(name, claim.summary):
                return f"'{name}' is missing or not a number in {absent} of {n} runs"
        if len(self.all.rows) < 2 and claim.kind == "finding":
            return "an interval needs at least 2 runs; 1 is stored"
        if anytime and claim.summary == "iqm":
            return "an interquartile mean can only be judged at looks planned beforehand; add runs up to the next"
        if claim.summary == "share":
            values = {value for name in names(claim.estimand) for value in self.runs.column(name).tolist()}
            if not values <= {0.0, 1.0}:
                return f"'{claim.estimand}' must be 0 or 1 in each run for an exact share; got {sorted(values)[:3]}"
        return ""

    def _unskilled(self) -> str:
        """That too few runs hold what the claim speaks of; empty where more than half do."""
        few = 2 * len(self.runs.rows) <= len(self.all.rows) or len(self.runs.rows) < 2
        return self._without() if self.claim.given and few else ""

    def _without(self) -> str:
        """That some runs hold nothing a conditional claim could speak of."""
        n, n_without = len(self.all.rows), len(self.all.rows) - len(self.runs.rows)
        return f"{n_without} of {n} runs {'is' if n_without == 1 else 'are'} without {self.claim.given}"

    def verdict(self, rate: float, family_error: float, before: Sequence[int] = ()) -> Verdict:
        """The claim at its error rate, its controls at the whole of a family's; `before` as of `judge`."""
        claim, tier = self.claim, tier_of(self.claim)
        negative = self._control("control", claim.negative, "refuted", family_error)
        positive = None if claim.positive is None else self._control("positive", claim.positive, "supported", family_error)
        verdict: VerdictName = "not-asked" if self.unasked else "void"
        if self.unskilled:  # a model that cannot do the first thing shows nothing about the second
            verdict = "not-reproduced" if tier == "paper" else "inconclusive"
        reason, decision = self.unasked or self.void or self.unskilled, None
        if self.evidence:
            decision = decide(claim.rule, self.evidence, rate)
            if not self.void:
                verdict, reason = self._named(decision, negative, positive)
            if len(self.runs.rows) < len(self.all.rows):
                left_out = f"{self._without()}, and no part of this"
                reason = f"{reason}; {left_out}" if reason else left_out
        interval = decision.interval if decision else None
        effect = (
            claim.rule.distance(interval.estimate) / decision.spread if decision and interval and decision.spread > 0 else None
        )
        low, high = (self._inside(end) for end in ((interval.low, interval.high) if interval else (None, None)))
        cut = interval is not None and (low, high) != (_number(interval.low), _number(interval.high))
        return Verdict(
            study=self.study.slug,
            experiment=self.experiment.name,
            claim=claim.name,
            says=claim.sentence,
            source=claim.at,
            rule=claim.rule_text,
            estimate=self._shown(_number(interval.estimate if interval else None)),
            low=self._shown(low),
            high=self._shown(high),
            level=interval.level if interval else None,
            n_runs=decision.n_runs if decision else len(self.all.rows),
            unit=claim.run_is,
            estimand_unit="" if claim.defined is None else claim.defined.unit,
            # The number of an ordering is a step, a difference of two such quantities: their range is not its.
            range="" if claim.defined is None or isinstance(claim.estimand, tuple) else claim.defined.range,
            paper_value=claim.paper,
            control=negative,
            verdict=verdict,
            reason=reason,
            effect=_number(effect),
            method=f"{interval.method}{', shown within its range' if cut else ''}" if interval else "",
            kind=claim.kind,
            family=self.experiment.family,
            tier=tier,
            error=rate if claim.kind == "finding" else None,
            side=decision.side if decision and claim.kind == "finding" else "",
            positive=positive,
            looks=self._looks_said(before) if decision and claim.kind == "finding" else "",
        )

    def _looks_said(self, before: Sequence[int]) -> str:
        """Which looks at the runs the interval allows for, and those before that it does not."""
        if self._anytime:
            return "allows for a look at any time"
        if self._most:
            return f"allows for the looks planned at {_listed(planned_looks(self._most))} runs"
        earlier = sorted({n for n in before if 1 < n < len(self.all.rows)})
        return f"{ONE_LOOK}; judged before at {_listed(earlier)} runs" if earlier else ONE_LOOK

    def _named(self, decision: Decision, negative: ControlVerdict, positive: ControlVerdict | None) -> tuple[VerdictName, str]:
        claim = self.claim
        if claim.kind == "exact":
            if not negative.flips:
                return "void", f"the control did not come out as it must: {negative.judgement}, not {negative.expected}"
            return ("holds" if decision.judgement == "supported" else "fails"), ""
        power_only = claim.positive is not None and claim.positive.power_only
        return name_verdict(decision.judgement, tier_of(claim), negative, positive, power_only=power_only)

    def _control(self, what: str, arm: Arm, expected: Judgement, error: float) -> ControlVerdict:
        """A control under the claim's rule, or under its own, which it must fulfil."""
        rule, expected = (self.claim.rule, expected) if arm.rule is None else (arm.rule, "supported")
        text = rule.as_text(self.claim.bound_shown)
        if what not in self.controls:
            return ControlVerdict(arm.says, text, expected, None, None, None, None)
        decision = decide(rule, self.controls[what], error)
        found = decision.interval
        own = arm.estimand is None  # another estimand has another range
        ends = (self._inside(found.low), self._inside(found.high)) if own else (_number(found.low), _number(found.high))
        estimate, low, high = (self._shown(number) for number in (_number(found.estimate), *ends))
        return ControlVerdict(arm.says, text, expected, estimate, low, high, decision.judgement)

    def _shown(self, value: float | None) -> float | None:
        """The number as a reader is shown it: the ratio where the estimand is a logarithm."""
        return value if value is None or self.claim.defined is None else _number(self.claim.defined.shown(value))

    def _inside(self, end: float | None) -> float | None:
        """An interval's end, moved into the range of what is measured: shown so, and judged as it was."""
        shown = _number(end)
        if end is None or self.claim.defined is None or isinstance(self.claim.estimand, tuple):
            return shown
        inside = self.claim.defined.inside(end)
        return inside if math.isfinite(inside) else shown


def _listed(numbers: Sequence[int]) -> str:
    """Numbers with commas and an "and": "3 and 5"."""
    *some, last = map(str, numbers)
    return f"{', '.join(some)} and {last}" if some else last


def _measured(claim: Claim) -> list[str]:
    """The measured names of a claim and of its controls."""
    return [
        name
        for measured in (claim.estimand, *(arm.measured(claim.estimand) for arm in claim.controls))
        for name in names(measured)
    ]


def _number(value: float | None) -> float | None:
    """None for a number that does not exist: an infinite end of an interval is shown as absent, never as a value."""
    return value if value is not None and math.isfinite(value) else None
