"""Planning: how many runs the open claims of a study need, from the runs that are there."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from assay.claims.claim import Arm, Claim, names
from assay.claims.evidence import RunRow, Runs, look_at
from assay.claims.rules import Equals, Judgement, Ordered, Outside, Rule, Within
from assay.claims.study import Study
from assay.claims.verdict import error_rates, judge, tier_of
from assay.core.seeds import Seeds
from assay.stats import power
from assay.stats.families import ERROR
from assay.stats.intervals import Interval, proportion

__all__ = ["Need", "needs", "needs_unseen"]

DECIDED = ("supported", "refuted", "not-reproduced", "holds", "fails")


@dataclass(frozen=True)
class Need:
    """What it takes to decide one finding.

    Attributes:
        study: slug, with the `experiment`, the `claim`, and its `family` and `tier`.
        verdict: today's; "not run" where no run counts.
        heading: what the claim would come to with enough runs: supported or refuted; None where nothing tells.
        distance: of the estimate from the bound that must be cleared, in standard deviations over runs.
        error: the error rate at which the claim is judged by its place in the family.
        n_runs: how many runs count today.
        needed: how many runs in all make a verdict nine times in ten probable; None where no affordable number does.
        more: `needed` less `n_runs`, and at least 1 for an open claim.
        n_seen: the runs that the answer rests on.
        why: what takes the most runs, or why no number of them decides.
    """

    study: str
    experiment: str
    claim: str
    family: str
    tier: str
    verdict: str
    heading: Judgement | None
    distance: float | None
    error: float
    n_runs: int
    needed: int | None
    more: int | None
    n_seen: int
    why: str


def needs(
    study: Study,
    counted: Mapping[str, Sequence[RunRow]],
    seen: Mapping[str, Sequence[RunRow]],
    *,
    most: int,
    looks: Mapping[str, int] | None = None,
) -> list[Need]:
    """What each finding of the study's experiments in `seen` needs; of decided ones nothing.

    The effect and the spread are taken to be those of the runs seen. With four pilot runs that is a guess: the spread may
    be twice as large, and the runs with it four times as many.

    Args:
        study: the study.
        counted: the runs that are judged, by experiment.
        seen: the runs to learn from, by experiment: counted ones, a pilot's, or stale ones.
        most: the most runs an experiment may have.
        looks: as for `judge`.
    """
    rates = error_rates(study, counted, looks=looks)
    verdicts = {one.claim: one for one in judge(study, counted, looks=looks)}
    found = []
    for experiment in study.experiments:
        for claim in experiment.claims if experiment.name in seen else ():
            if claim.kind != "finding":
                continue
            n_runs, rate = len(counted.get(experiment.name, ())), rates[claim.name]
            own = verdicts.get(claim.name)
            verdict = own.verdict if own is not None and n_runs else "not run"
            planned = _plan(study, claim, Runs(seen[experiment.name]), rate, most)
            if verdict in DECIDED:
                planned = _Plan(planned.heading, planned.distance, n_runs, "decided")
            more = None if planned.needed is None else 0 if verdict in DECIDED else max(1, planned.needed - n_runs)
            found.append(
                Need(
                    study.slug, experiment.name, claim.name, experiment.family, tier_of(claim), verdict, planned.heading,
                    planned.distance, rate, n_runs, planned.needed, more, len(seen[experiment.name]), planned.why,
                )
            )  # fmt: skip
    return found


def needs_unseen(study: Study, counted: Mapping[str, Sequence[RunRow]], seen: Collection[str]) -> list[Need]:
    """The findings of experiments that are not in `seen`: nothing tells what they need but the preset's number of runs."""
    rates, found = error_rates(study, counted), []
    for experiment in study.experiments:
        n_runs, preset = len(counted.get(experiment.name, ())), experiment.presets["laptop"].n_runs
        for claim in experiment.claims if experiment.name not in seen else ():
            if claim.kind == "finding":
                why = "nothing is stored of it: the preset's runs"
                found.append(
                    Need(
                        study.slug, experiment.name, claim.name, experiment.family, tier_of(claim), "not run", None, None,
                        rates[claim.name], n_runs, preset, max(1, preset - n_runs), 0, why,
                    )
                )  # fmt: skip
    return found


@dataclass(frozen=True)
class _Plan:
    heading: Judgement | None
    distance: float | None
    needed: int | None
    why: str


def _plan(study: Study, claim: Claim, runs: Runs, rate: float, most: int) -> _Plan:
    measured = [
        name for one in (claim.estimand, *(arm.measured(claim.estimand) for arm in claim.controls)) for name in names(one)
    ]
    if missing := [name for name in measured if not runs.measured(name)]:
        return _Plan(None, None, None, f"'{missing[0]}' is not in the runs seen")
    n_all = len(runs.rows)
    runs = Runs([run for run in runs.rows if run.status == "ok"]).having(measured, claim.summary)
    if len(runs.rows) < 2:
        return _Plan(None, None, None, f"{len(runs.rows)} of {n_all} runs seen have the claim's numbers; it takes 2")
    taking_part = len(runs.rows) / n_all
    heading, distance, own = _towards(claim.rule, claim.estimand, claim, runs, rate)
    steps: list[tuple[str, Callable[[int], float]]] = [("the claim", own)]
    fails_here = heading == "refuted" and tier_of(claim) == "paper"
    if heading == "supported" and (control := _control(claim, claim.negative, "refuted", runs, steps, "its control")):
        return _Plan(heading, distance, None, control)
    if fails_here and claim.positive is not None:
        expected: Judgement = "supported"
        if _control(claim, claim.positive, expected, runs, steps, "its positive control"):
            steps = steps[:1]  # it does not show the effect: the claim will be not reproduced, whatever its interval
    wanted = [(power.least_runs(chance, most), what) for what, chance in steps]
    never = [what for n, what in wanted if n is None]
    if never:
        return _Plan(heading, distance, None, f"{never[0]} is too near its bound for {most} runs")
    slowest, what = max((n or 0, what) for n, what in wanted)
    needed = int(np.ceil(slowest / taking_part))
    if needed > most:
        return _Plan(heading, distance, None, f"only {taking_part:.0%} of the runs take part; {needed} would be needed")
    return _Plan(heading, distance, needed, f"{what} takes the most")


def _control(
    claim: Claim, arm: Arm, expected: Judgement, runs: Runs, steps: list[tuple[str, Callable[[int], float]]], what: str
) -> str:
    """Adds what a control needs to `steps`; says so where it is heading the wrong way."""
    rule, wanted = (claim.rule, expected) if arm.rule is None else (arm.rule, "supported")
    heading, _, chance = _towards(rule, arm.measured(claim.estimand), claim, runs, ERROR)
    if heading != wanted:
        return f"{what} is heading to be {heading}, not {wanted}: no number of runs helps"
    steps.append((what, chance))
    return ""


def _towards(
    rule: Rule, measured: str | tuple[str, ...], claim: Claim, runs: Runs, error: float
) -> tuple[Judgement, float | None, Callable[[int], float]]:
    """Where the rule is heading if the truth is as the runs say, how far it is, and the chance of that verdict with n runs."""
    look = look_at(measured, claim.summary, runs, Seeds(0), anytime=False, part=1.0)
    found = [step(0.25) for step in look.steps]
    support, refutation = rule.shares(len(found))
    if claim.summary == "share":
        p = found[0].estimate
        heading: Judgement = "supported" if rule.distance(p) > 0 else "refuted"
        rate = error * (support if heading == "supported" else refutation)
        return heading, None, lambda n: power.power_of_share(p, n, _decided_share(rule, heading, rate))
    gaps = [_gaps(rule, interval.estimate) for interval in found]
    spreads = [spread if spread > 0 else 1e-12 for spread in look.spreads]
    if isinstance(rule, Ordered):
        scaled = [gap[0] / spread for gap, spread in zip(gaps, spreads, strict=True)]
        holds = min(scaled) > 0
        distances = scaled if holds else [-min(scaled)]
    else:
        holds = rule.distance(found[0].estimate) > 0
        distances = [abs(gap) / spreads[0] for gap in gaps[0]]
    chance = {"median": power.power_of_median, "iqm": power.power_of_iqm}.get(claim.summary, power.power_of_mean)
    rate = error * (support if holds else refutation)
    shown = min(distances) if min(distances) < 1e6 else None  # runs without spread
    return ("supported" if holds else "refuted"), shown, lambda n: chance(distances, n, rate)


def _gaps(rule: Rule, value: float) -> list[float]:
    """Distances from the bounds that the interval must clear for the judgement it is heading to."""
    if isinstance(rule, Equals):
        return _gaps(Within(rule.value - rule.tolerance, rule.value + rule.tolerance), value)
    if isinstance(rule, Within | Outside):
        inside = rule.low <= value <= rule.high
        return [value - rule.low, rule.high - value] if inside else [min(abs(value - rule.low), abs(value - rule.high))]
    return [rule.distance(value)]


def _decided_share(rule: Rule, heading: Judgement, error: float) -> Callable[[int, int], bool]:
    def decided(successes: int, n: int) -> bool:
        interval: Interval = proportion(successes, n, level=1 - 2 * error)
        return rule.judge(interval) == heading

    return decided
