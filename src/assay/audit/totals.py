"""Totals of the audit's columns: means over facts with clustered intervals, at levels by Holm's procedure.

All lines together keep 5 %: those of the columns 4 %, those of relations and parts of columns 1 %. So the columns are found
alike whether facts stand in one relation or in thirty.

Facts of one subject are not independent, so intervals are over subjects. Some questions are shared by many facts: what is said
of a stranger or in an unrelated context depends on the object alone, and on who or what was asked. Their columns are clustered
by subject, by object and by whom was asked, and the widest of the three intervals is taken.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from assay.audit.columns import Outcome, bound, least
from assay.audit.probes import COLUMNS, MODEL_WIDE
from assay.core.seeds import Seeds
from assay.stats.intervals import Interval, clustered_mean
from assay.stats.tests import holm_levels
from assay.worlds.facts.model import Facts

__all__ = [
    "EVERYTHING", "NEUTRAL_TEXT", "Total", "Values", "fact_changes", "smallest_error", "table", "totals", "values_of",
    "whole_column",
]  # fmt: skip

EVERYTHING = "all"
NEUTRAL_TEXT = "neutral_text"
LEVEL = 0.95
COLUMNS_LEVEL, PARTS_LEVEL = 0.96, 0.99
SHARED = ("strangers", "neighbours", "contexts", "locality")
ATTRIBUTED = "neighbours"
"""The kind of displacement that is told by fact; in total every neighbour counts once (`kept`), not once a fact."""


@dataclass(frozen=True)
class Total:
    """A column's mean with its interval.

    Attributes:
        column: its name; `neutral_text` for what plain sentences cost.
        group: `all`, or a relation, or a part of the column (`hallucinated: strangers`).
        estimate: mean over subjects, in the column's unit.
        low, high: interval at `level`, within what the column can be; None where it is unbounded or there are fewer than two
            subjects.
        level: the confidence level that Holm's procedure gives this line of the table.
        n_facts: facts (or suite questions, or sentences) behind it.
        n_units: independent units behind the interval: subjects, or objects, or those who were asked, where that is wider.
        clear: whether the interval excludes zero at that level.
    """

    column: str
    group: str
    estimate: float
    low: float | None
    high: float | None
    level: float
    n_facts: int
    n_units: int
    clear: bool


def totals(facts: Facts, found: Sequence[Outcome], neutral: Sequence[float], *, seeds: Seeds) -> list[Total]:
    """The table: every column over all facts, by relation where there are several, and parts of what was hallucinated."""
    lines = _lines(facts, found, neutral)
    whole = {key: values for key, values in lines.items() if key[1] == EVERYTHING}
    parts = {key: values for key, values in lines.items() if key[1] != EVERYTHING}
    return [*table(whole, seeds=seeds, level=COLUMNS_LEVEL), *table(parts, seeds=seeds, level=PARTS_LEVEL)]


@dataclass
class Values:
    """Changes of one line of the table by what they may share: each way to cluster them is a mapping from units to changes."""

    facts: dict[str, list[float]] = field(default_factory=dict)
    """By subject (or suite question, or sentence): one number a fact."""
    shared: tuple[dict[str, list[float]], ...] = ()
    """Further ways, for questions that facts share: by object, by whom was asked."""


def table(
    lines: Mapping[tuple[str, str], Values], *, seeds: Seeds, level: float = LEVEL, differences: bool = False
) -> list[Total]:
    """Totals of (column, group) lines, with Holm's levels over all of them.

    Args:
        lines: what each is over.
        seeds: of bootstraps.
        level: of all lines together.
        differences: whether the lines are differences of two changes, which are signed where a change is not.
    """
    at = {
        key: _interval_of(values, seeds.child("-".join(key)))
        for key, values in lines.items()
        if min(len(way) for way in (values.facts, *values.shared)) > 1
    }
    p_values = [smallest_error(interval) for interval in at.values()]
    levels = dict(zip(at, holm_levels(p_values, 1 - level), strict=True)) if at else {}
    found = []
    for (column, group), values in lines.items():
        n_facts = sum(len(changes) for changes in values.facts.values())
        if (column, group) in at:
            own = float(levels[column, group])
            interval = at[column, group](own)
            most = bound(column)  # no interval reaches beyond
            lowest = -most if differences else least(column)
            low, high = (
                None if math.isinf(end) and math.isinf(most) else min(max(end, lowest), most)
                for end in (interval.low, interval.high)
            )
            clear = interval.low > 0 or interval.high < 0
            found.append(Total(column, group, interval.estimate, low, high, own, n_facts, interval.n, clear))
        else:
            units = min(len(way) for way in (values.facts, *values.shared))
            found.append(Total(column, group, _mean(values.facts), None, None, level, n_facts, units, False))
    return found


def smallest_error(interval_at: Callable[[float], Interval]) -> float:
    """The smallest error rate at which the interval excludes zero, by bisection on its logarithm; 1 if at none up to 1/2."""

    def excludes(error: float) -> bool:
        interval = interval_at(1 - error)
        return interval.low > 0 or interval.high < 0

    low, high = math.log(1e-9), math.log(0.5)
    if not excludes(math.exp(high)):
        return 1.0
    if excludes(math.exp(low)):
        return math.exp(low)
    for _ in range(18):
        middle = (low + high) / 2
        low, high = (low, middle) if excludes(math.exp(middle)) else (middle, high)
    return math.exp(high)


def _interval_of(values: Values, seeds: Seeds) -> Callable[[float], Interval]:
    """The mean over subjects with the widest of the intervals that its ways of clustering give."""
    estimate = _mean(values.facts)
    ways = [list(way.values()) for way in (values.facts, *values.shared)]

    def at(level: float) -> Interval:
        # A fresh generator each time, so that the same level always gives the same interval.
        made = [clustered_mean(way, level=level, rng=seeds("bootstrap"), n_resamples=5_000) for way in ways]
        reach, widest = max(((one.high - one.low) / 2, -place) for place, one in enumerate(made))
        one = made[-widest]
        return Interval(estimate, estimate - reach, estimate + reach, level, one.n, one.method)

    return at


def _mean(clusters: Mapping[str, Sequence[float]]) -> float:
    return float(np.mean([np.mean(changes) for changes in clusters.values()]))


def fact_changes(found: Sequence[Outcome]) -> dict[tuple[str, int, str], float]:
    """By column, fact and (for the suite) prompt: the mean over kinds of the mean over questions."""
    kinds: dict[tuple[str, int, str], dict[str, list[float]]] = {}
    for outcome in found:
        question = outcome.question
        own = question.prompt if question.fact == MODEL_WIDE else ""
        kinds.setdefault((question.column, question.fact, own), {}).setdefault(question.kind, []).append(outcome.change)
    return {key: float(np.mean([np.mean(changes) for changes in by_kind.values()])) for key, by_kind in kinds.items()}


def whole_column(found: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes of one column that its total is over: of displacement everything that must survive, once."""
    once = [one for one in found if one.question.column != "displaced" or one.question.kind != ATTRIBUTED]
    return once or list(found)


def values_of(facts: Facts, found: Sequence[Outcome]) -> Values:
    """The outcomes of one column, clustered in every way in which their questions are shared."""
    values = Values()
    by_object: dict[str, list[float]] = {}
    by_asked: dict[str, list[float]] = {}
    for (_, fact, own), change in fact_changes(found).items():
        subject = own if fact == MODEL_WIDE else facts.facts[fact].subject
        values.facts.setdefault(subject, []).append(change)
        by_object.setdefault(own if fact == MODEL_WIDE else facts.facts[fact].object, []).append(change)
    for outcome in found:
        by_asked.setdefault(outcome.question.about, []).append(outcome.change)
    if any(outcome.question.kind in SHARED for outcome in found):
        values.shared = (by_object, by_asked)
    elif found[0].question.fact == MODEL_WIDE:
        values.shared = (by_asked,)
    return values


def _lines(facts: Facts, found: Sequence[Outcome], neutral: Sequence[float]) -> dict[tuple[str, str], Values]:
    by_column: dict[str, list[Outcome]] = {}
    for outcome in found:
        by_column.setdefault(outcome.question.column, []).append(outcome)
    lines: dict[tuple[str, str], Values] = {}
    for column in COLUMNS:
        if column in by_column:
            lines[column, EVERYTHING] = values_of(facts, whole_column(by_column[column]))
    lines[NEUTRAL_TEXT, EVERYTHING] = Values({f"text {place}": [change] for place, change in enumerate(neutral)})
    relations = list(dict.fromkeys(fact.relation for fact in facts.facts))
    for relation in relations if len(relations) > 1 else ():
        for name, outcomes in by_column.items():
            own = [
                one
                for one in outcomes
                if one.question.fact != MODEL_WIDE and facts.facts[one.question.fact].relation == relation
            ]
            if own:
                lines[name, relation] = values_of(facts, own)
    for kind in ("rule", "strangers", "neighbours"):
        if part := [one for one in by_column.get("hallucinated", []) if one.question.kind == kind]:
            lines["hallucinated", kind] = values_of(facts, part)
    return lines
