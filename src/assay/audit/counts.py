"""Counts: how many questions of a column are answered rightly before and after, or are no longer, with an interval.

The interval is at 95 %, each by itself, of the share of questions: over the units that the table of totals has, with training
runs added where there are several; where all units are alike, the exact binomial one over them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assay.audit.columns import column_named
from assay.audit.outcomes import Outcome
from assay.audit.totals import OfFact, interval_of, shares_of, values_of, whole_column
from assay.core.seeds import Seeds
from assay.stats.intervals import proportion

__all__ = ["Count", "counts"]

LEVEL = 0.95


@dataclass(frozen=True)
class Count:
    """How many of a column's questions.

    Attributes:
        column: its name; the record of that name says what is counted.
        n: questions; of a column of losses those that were answered rightly before.
        before: how many were so before.
        after: how many are so now, the mean over training runs; of a column that counts what was lost, how many no longer are.
        low, high: the ends of a 95 % interval for `after`.
    """

    column: str
    n: int
    before: float
    after: float
    low: float
    high: float

    @property
    def ends(self) -> tuple[int, int]:
        """The interval's ends in whole questions, rounded outwards."""
        return math.floor(self.low + 1e-9), math.ceil(self.high - 1e-9)

    @property
    def number(self) -> str:
        """`after`, with one digit behind the point where runs differ."""
        return f"{self.after:.0f}" if abs(self.after - round(self.after)) < 0.05 else f"{self.after:.1f}"

    @property
    def text(self) -> str:
        """The count in a line: "28 of 30 trained sentences recalled (10 before), 95 % interval 26 to 30"."""
        column = column_named(self.column)
        before = "" if column.losses else f" ({self.before:.0f} before)"
        return f"{self.number} of {self.n} {column.counted}{before}, 95 % interval {{}} to {{}}".format(*self.ends)

    @property
    def moved(self) -> bool:
        """Whether `before` lies outside these ends; of a column that counts what was lost, 0."""
        low, high = self.ends
        return not low <= self.before <= high


def counts(facts: Sequence[OfFact], found: Sequence[Outcome], *, seeds: Seeds) -> tuple[Count, ...]:
    """One count a column, for those whose answers can be counted."""
    by_column: dict[str, list[Outcome]] = {}
    for outcome in found:
        if column_named(outcome.question.column).counted:
            by_column.setdefault(outcome.question.column, []).append(outcome)
    return tuple(_count(facts, name, whole_column(own), seeds.child(f"count {name}")) for name, own in by_column.items())


def _count(facts: Sequence[OfFact], name: str, found: Sequence[Outcome], seeds: Seeds) -> Count:
    values = shares_of(facts, found, _counted)
    share = float(np.mean([np.mean(_counted(one)) for one in found]))
    units, n = max(1, values.n_units), len(found)
    found_interval = interval_of(values, seeds, values_of(facts, found, _counted))(LEVEL) if units > 1 else None
    if found_interval is not None and found_interval.high > found_interval.low:
        low, high = found_interval.low, found_interval.high
    else:  # all alike: what has not been seen to vary is bounded by how many units were seen
        exact = proportion(round(share * units), units, level=LEVEL)
        low, high = exact.low, exact.high
    lost = column_named(name).counts == "lost"
    before = 0.0 if lost else float(sum(one.right_before for one in found))
    return Count(name, n, before, n * share, n * max(0.0, low), n * min(1.0, high))


def _counted(outcome: Outcome) -> tuple[float, ...]:
    """Of every training run 1 where the question counts, else 0."""
    right = outcome.right_runs or (outcome.right_after,)
    return tuple(1 - one for one in right) if column_named(outcome.question.column).counts == "lost" else right
