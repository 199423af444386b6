"""Two sets of runs of one study beside each other: what the second measured beyond the first, paired where seeds are shared."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from assay.claims.claim import names
from assay.claims.estimand import Estimand
from assay.claims.evidence import FEW_EQUAL, RunRow
from assay.claims.study import Study
from assay.core.arrays import Floats
from assay.stats import intervals
from assay.stats.families import ERROR, step_down
from assay.stats.intervals import Interval

__all__ = ["Difference", "differences"]


@dataclass(frozen=True)
class Difference:
    """What the second runs measured beyond the first, of one number.

    Attributes:
        experiment: its name, with the `claims` that speak of the number.
        estimand: the measured number, "arm/estimand".
        unit: of all numbers; "times" where the estimand is a logarithm, whose difference is a ratio.
        first, second: its mean in each, over the runs that take part.
        estimate: second less first (a ratio, of a logarithm), with its interval.
        low, high: None where it is unbounded.
        level: by Holm's procedure over all numbers that are compared.
        n_runs: pairs, or, without pairs, the runs of both.
        paired: whether the runs of equal seeds were compared with each other.
        clear: whether the interval excludes no difference.
        says: what that means.
    """

    experiment: str
    claims: str
    estimand: str
    unit: str
    first: float
    second: float
    estimate: float
    low: float | None
    high: float | None
    level: float
    n_runs: int
    paired: bool
    clear: bool
    says: str


@dataclass(frozen=True)
class _Sides:
    """One number of both sets of runs: in pairs, or each on its own."""

    experiment: str
    claims: tuple[str, ...]
    name: str
    estimand: Estimand | None
    first: Floats
    second: Floats
    paired: bool

    def interval(self, error: float) -> Interval:
        """Second less first, wrong with that probability; unbounded where too few differences have all been equal."""
        found = intervals.difference(self.second, self.first, level=1 - error, paired=self.paired)
        few = found.low == found.high != 0 and found.n < FEW_EQUAL
        return Interval(found.estimate, -math.inf, math.inf, found.level, found.n, found.method) if few else found

    def decides(self, error: float) -> bool:
        found = self.interval(error)
        return found.low > 0 or found.high < 0

    def difference(self, error: float) -> Difference:
        found, clear = self.interval(error), self.decides(error)
        log = self.estimand is not None and self.estimand.log is not None

        def shown(value: float) -> float | None:
            number = self.estimand.shown(value) if self.estimand is not None else value
            return number if math.isfinite(number) and math.isfinite(value) else None

        estimate, means = shown(found.estimate), (shown(float(self.first.mean())), shown(float(self.second.mean())))
        says = f"the second is {'larger' if found.estimate > 0 else 'smaller'}" if clear else "not clear"
        if self.paired and np.array_equal(self.first, self.second):
            says = "equal to the bit"
        return Difference(
            self.experiment,
            ", ".join(self.claims),
            self.name,
            "times" if log else "" if self.estimand is None else self.estimand.unit,
            math.nan if means[0] is None else means[0],
            math.nan if means[1] is None else means[1],
            math.nan if estimate is None else estimate,
            shown(found.low),
            shown(found.high),
            found.level,
            found.n,
            self.paired,
            clear,
            says,
        )


def differences(
    study: Study, first: Mapping[str, Sequence[RunRow]], second: Mapping[str, Sequence[RunRow]]
) -> list[Difference]:
    """What the second runs measured beyond the first, of every number that a claim speaks of and both have.

    Runs of equal seeds are compared in pairs, where there are two or more; seeds that one side alone has are then left out.
    Without such pairs all runs of both sides are compared by Welch's interval.

    Args:
        study: whose claims say what is compared.
        first, second: runs by experiment.
    """
    sides = [
        side
        for experiment in study.experiments
        for name, claims in _spoken_of(study, experiment.name).items()
        if (
            side := _sides(
                experiment.name,
                claims,
                name,
                experiment.estimand(name),
                _values(first.get(experiment.name, ()), name),
                _values(second.get(experiment.name, ()), name),
            )
        )
    ]
    rates = step_down(["paper"] * len(sides), lambda place, error: sides[place].decides(error), error=ERROR)
    return [side.difference(rate) for side, rate in zip(sides, rates, strict=True)]


def _spoken_of(study: Study, experiment: str) -> dict[str, tuple[str, ...]]:
    """The claims that speak of each measured number."""
    found: dict[str, tuple[str, ...]] = {}
    for claim in study.experiment(experiment).claims:
        for name in names(claim.estimand):
            found[name] = (*found.get(name, ()), claim.name)
    return found


def _values(rows: Sequence[RunRow], name: str) -> dict[int, float]:
    """The number of every run that has it, by seed; the mean of its items where it has only those."""
    found = {}
    for row in rows:
        items = row.items.get(name, ())
        value = row.estimands.get(name, float(np.mean(items)) if len(items) else math.nan)
        if row.status == "ok" and math.isfinite(value):
            found[row.seed] = value
    return found


def _sides(
    experiment: str,
    claims: tuple[str, ...],
    name: str,
    estimand: Estimand | None,
    first: Mapping[int, float],
    second: Mapping[int, float],
) -> _Sides | None:
    shared = sorted(first.keys() & second.keys())
    paired = len(shared) > 1
    one = [first[seed] for seed in (shared if paired else sorted(first))]
    two = [second[seed] for seed in (shared if paired else sorted(second))]
    if len(one) < 2 or len(two) < 2:
        return None
    return _Sides(experiment, claims, name, estimand, np.array(one), np.array(two), paired)
