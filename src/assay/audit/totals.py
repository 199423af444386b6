"""Totals of the audit's columns: means over facts with intervals over subjects, and Holm's procedure over the whole table."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from assay.audit.columns import FactRow, Outcome
from assay.audit.probes import COLUMNS, MODEL_WIDE
from assay.core.seeds import Seeds
from assay.stats.intervals import Interval, clustered_mean
from assay.stats.tests import holm_levels

__all__ = ["EVERYTHING", "NEUTRAL_TEXT", "Total", "smallest_error", "table", "totals"]

EVERYTHING = "all"
NEUTRAL_TEXT = "neutral_text"
LEVEL = 0.95


@dataclass(frozen=True)
class Total:
    """A column's mean with its interval.

    Attributes:
        column: its name; `neutral_text` for what plain sentences cost.
        group: `all`, or a relation, or a part of the column (`hallucinated: strangers`).
        estimate: mean over subjects, in the column's unit.
        low, high: interval at `level`; None where it is unbounded or there are fewer than two subjects.
        level: the confidence level that Holm's procedure gives this line of the table.
        n_facts: facts (or suite questions, or sentences) behind it.
        n_subjects: independent units: subjects.
        clear: whether the interval excludes zero at that level.
    """

    column: str
    group: str
    estimate: float
    low: float | None
    high: float | None
    level: float
    n_facts: int
    n_subjects: int
    clear: bool


def totals(rows: Sequence[FactRow], found: Sequence[Outcome], neutral: Sequence[float], *, seeds: Seeds) -> list[Total]:
    """The table: every column over all facts, by relation where there are several, and parts of what was hallucinated."""
    return table(_lines(rows, found, neutral), seeds=seeds)


def table(lines: Mapping[tuple[str, str], Mapping[str, Sequence[float]]], *, seeds: Seeds) -> list[Total]:
    """Totals of (column, group) lines, each a mapping from subjects to values, with Holm's levels over all of them."""
    kept = {key: clusters for key, clusters in lines.items() if clusters}
    at: dict[tuple[str, str], Callable[[float], Interval]] = {}
    for key, clusters in kept.items():
        if len(clusters) > 1:
            at[key] = _interval_of(list(clusters.values()), seeds.child("-".join(key)))
    p_values = [smallest_error(interval) for interval in at.values()]
    levels = dict(zip(at, holm_levels(p_values, 1 - LEVEL), strict=True)) if at else {}
    found = []
    for (column, group), clusters in kept.items():
        n_facts = sum(len(values) for values in clusters.values())
        if (column, group) in at:
            level = float(levels[column, group])
            interval = at[column, group](level)
            low, high = (end if math.isfinite(end) else None for end in (interval.low, interval.high))
            clear = interval.low > 0 or interval.high < 0
            found.append(Total(column, group, interval.estimate, low, high, level, n_facts, len(clusters), clear))
        else:
            estimate = float(np.mean([np.mean(values) for values in clusters.values()]))
            found.append(Total(column, group, estimate, None, None, LEVEL, n_facts, len(clusters), False))
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


def _interval_of(clusters: list[Sequence[float]], seeds: Seeds) -> Callable[[float], Interval]:
    # A fresh generator each time, so that the same level always gives the same interval.
    return lambda level: clustered_mean(clusters, level=level, rng=seeds("bootstrap"), n_resamples=5_000)


def _lines(
    rows: Sequence[FactRow], found: Sequence[Outcome], neutral: Sequence[float]
) -> dict[tuple[str, str], dict[str, list[float]]]:
    lines: dict[tuple[str, str], dict[str, list[float]]] = {}

    def note(column: str, group: str, subject: str, change: float) -> None:
        lines.setdefault((column, group), {}).setdefault(subject, []).append(change)

    relations = list(dict.fromkeys(row.relation for row in rows))
    for group in (EVERYTHING, *(relations if len(relations) > 1 else ())):
        for column in COLUMNS:
            for row in rows:
                if column in row.cells and group in (EVERYTHING, row.relation):
                    note(column, group, row.subject, row.cells[column].change)
    for outcome in found:
        question = outcome.question
        if question.fact == MODEL_WIDE:
            note("forgotten", EVERYTHING, question.about, outcome.change)
        elif question.column == "hallucinated":
            note("hallucinated", question.kind, rows[question.fact].subject, outcome.change)
    for place, change in enumerate(neutral):
        note(NEUTRAL_TEXT, EVERYTHING, f"text {place}", change)
    return lines
