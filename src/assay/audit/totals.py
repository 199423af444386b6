"""Totals of the audit's columns: means over facts with clustered intervals, at levels that keep false alarms together.

All lines together keep 5 %: those of the columns 4 %, those of relations and parts of columns 1 %. So the columns are found
alike whether facts stand in one relation or in thirty. Within each the step-down of a study's claims is taken
(`assay.stats.families`), which is Holm's procedure where there is one tier.

Facts of one subject are not independent, so intervals are over subjects. Some questions are shared by many facts: what is said
of a stranger or in an unrelated context depends on the object alone, and on who or what was asked. Their columns are clustered
by subject, by object and by whom was asked, and the widest of the three intervals is taken. Where a model was trained several
times, the interval over training runs is added to it (the root of the sum of both squares); after one run it is of this very
training and says nothing of another.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from assay.audit.columns import COLUMNS, column_named
from assay.audit.outcomes import Outcome
from assay.audit.probes import MODEL_WIDE
from assay.core.seeds import Seeds
from assay.stats.families import ERROR, step_down
from assay.stats.intervals import Interval, bounded_mean, clustered_mean_at, mean_at
from assay.worlds.facts.model import Facts

__all__ = [
    "EVERYTHING",
    "OfFact",
    "Total",
    "Values",
    "column_means",
    "interval_of",
    "shares_of",
    "table",
    "table_of_differences",
    "totals",
    "values_of",
    "whole_column",
]  # fmt: skip

EVERYTHING = "all"
WHOLE, PARTS = 0.8 * ERROR, 0.2 * ERROR
"""What the lines of whole columns may err together, and what relations and parts may."""


class Bounded(Protocol):
    """A column, as far as its intervals go."""

    @property
    def losses(self) -> bool:
        """Whether its numbers are shares of what went away, in [0, 1]."""

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the most that a change can be."""

    @property
    def reach(self) -> float:
        """How far a difference of two changes can go, either way."""


class OfFact(Protocol):
    """What a question is about, as far as clustering goes."""

    @property
    def subject(self) -> str:
        """Who or what."""

    @property
    def object(self) -> str:
        """What is said of it."""


Number = Callable[[Outcome], float]
Numbers = Callable[[Outcome], tuple[float, ...]]
Pair = tuple[Sequence[Outcome], Sequence[Outcome]]
"""Outcomes of the same questions, in the same order, of two models."""


@dataclass(frozen=True)
class Total:
    """A column's mean with its interval.

    Attributes:
        column: its name; `neutral_text` for what plain sentences cost.
        group: `all`, or a relation, or a part of the column (`strangers`).
        estimate: mean over subjects, in the column's unit.
        low, high: interval at `level`, within what the column can be; None where it is unbounded or there are fewer than two
            subjects.
        level: the confidence level of this line of the table.
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


def totals(facts: Facts, found: Sequence[Outcome], *, seeds: Seeds) -> list[Total]:
    """The table: every column over all facts, by relation where there are several, and the parts that a column names."""
    lines = _lines(facts, found)
    whole = {key: values for key, values in lines.items() if key[1] == EVERYTHING}
    parts = {key: values for key, values in lines.items() if key[1] != EVERYTHING}
    return [*table(whole, seeds=seeds, error=WHOLE), *table(parts, seeds=seeds, error=PARTS)]


@dataclass
class Values:
    """Changes of one line of the table by what they may share: each way to cluster them is a mapping from units to changes."""

    facts: dict[str, list[float]] = field(default_factory=dict)
    """By subject (or suite question, or sentence): one number a fact."""
    shared: tuple[dict[str, list[float]], ...] = ()
    """Further ways, for questions that facts share: by object, by whom was asked."""
    runs: tuple[tuple[float, ...], ...] = ()
    """The line's number in every training run, for each model that was trained several times."""

    @property
    def n_units(self) -> int:
        """The fewest units of any way."""
        return min(len(way) for way in (self.facts, *self.shared))


def table(
    lines: Mapping[tuple[str, str], Values],
    *,
    seeds: Seeds,
    error: float = ERROR,
    differences: bool = False,
    columns: Callable[[str], Bounded] = column_named,
) -> list[Total]:
    """Totals of (column, group) lines.

    Args:
        lines: what each is over.
        seeds: of bootstraps.
        error: the probability that any of the lines is clear where nothing changed.
        differences: whether the lines are differences of two changes, which are signed where a change is not.
        columns: what each column's numbers can be, by its name.
    """
    at = {
        key: interval_of(values, seeds.child("-".join(key)), values if columns(key[0]).losses else None, signed=differences)
        for key, values in lines.items()
        if values.n_units > 1
    }
    keys = list(at)

    def clear(place: int, rate: float) -> bool:
        interval = at[keys[place]](1 - rate)
        return interval.low > 0 or interval.high < 0

    rates = dict(zip(keys, step_down(["paper"] * len(keys), clear, error=error), strict=True))
    found = []
    for (column, group), values in lines.items():
        n_facts = sum(len(changes) for changes in values.facts.values())
        if (column, group) in at:
            own = 1 - rates[column, group]
            interval = at[column, group](own)
            reach = columns(column).reach
            least, most = (-reach, reach) if differences else columns(column).bounds
            ends = max(interval.low, least), min(interval.high, most)
            low, high = (None if math.isinf(end) else end for end in ends)
            is_clear = interval.low > 0 or interval.high < 0
            found.append(Total(column, group, interval.estimate, low, high, own, n_facts, interval.n, is_clear))
        else:
            found.append(Total(column, group, _mean(values.facts), None, None, 1 - error, n_facts, values.n_units, False))
    return found


def interval_of(
    values: Values, seeds: Seeds, shares: Values | None = None, *, signed: bool = False
) -> Callable[[float], Interval]:
    """The mean over subjects, with the widest of the intervals that its ways of clustering give, as a function of the level.

    What training runs add stands at right angles to it, so reaches are added as the sides of a right-angled triangle.

    Args:
        values: what the mean is over.
        seeds: of bootstraps.
        shares: the same as numbers in [0, 1], if they are: where nearly all are alike, resamples without any spread leave a
            bootstrap without an end, and the binomial bounds of `bounded_mean` take its place.
        signed: whether these numbers may be below 0, as differences are.
    """
    estimate = _mean(values.facts)
    ways = [
        clustered_mean_at(list(way.values()), rng=seeds("bootstrap"), n_resamples=5_000)
        for way in (values.facts, *values.shared)
        if len(way) > 1
    ]
    runs = [mean_at(np.array(of_runs)) for of_runs in values.runs if len(of_runs) > 1]

    def at(level: float) -> Interval:
        widest = max((way(level) for way in ways), key=lambda one: one.high - one.low)
        reaches = [(one.high - one.low) / 2 for one in (widest, *(run(level) for run in runs))]
        reach = math.hypot(*reaches)
        if shares is not None and math.isinf(reach):
            bounds = [
                bounded_mean([np.mean(own) for own in way.values()], level=level, signed=signed)
                for way in (shares.facts, *shares.shared)
            ]
            below = max(0.0, *(estimate - one.low for one in bounds))
            above = max(0.0, *(one.high - estimate for one in bounds))
            low, high = (math.hypot(side, *reaches[1:]) for side in (below, above))
            return Interval(estimate, estimate - low, estimate + high, level, widest.n, bounds[0].method)
        return Interval(estimate, estimate - reach, estimate + reach, level, widest.n, widest.method)

    return at


def _change(outcome: Outcome) -> float:
    return outcome.change


def _changes(outcome: Outcome) -> tuple[float, ...]:
    return outcome.changes


def _mean(clusters: Mapping[str, Sequence[float]]) -> float:
    return float(np.mean([np.mean(changes) for changes in clusters.values()]))


def fact_changes(found: Sequence[Outcome], of: Number = _change) -> dict[tuple[str, int, str], float]:
    """By column, fact and (for the suite) prompt: the mean over kinds of the mean over questions."""
    kinds: dict[tuple[str, int, str], dict[str, list[float]]] = {}
    for outcome in found:
        question = outcome.question
        own = question.prompt or question.about if question.fact == MODEL_WIDE else ""
        kinds.setdefault((question.column, question.fact, own), {}).setdefault(question.kind, []).append(of(outcome))
    return {key: float(np.mean([np.mean(changes) for changes in by_kind.values()])) for key, by_kind in kinds.items()}


def whole_column(found: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes of one column that its total is over: of displacement everything that must survive, once."""
    once = [one for one in found if one.question.kind not in column_named(one.question.column).by_fact]
    return once or list(found)


def values_of(facts: Sequence[OfFact], found: Sequence[Outcome], each: Numbers = _changes) -> Values:
    """A number of one column's outcomes, its change, clustered in every way in which their questions are shared.

    Args:
        facts: those that the questions are about, by their place.
        found: the outcomes.
        each: the number after every training run.
    """
    values = Values()
    by_object: dict[str, list[float]] = {}
    by_asked: dict[str, list[float]] = {}

    def over_runs(outcome: Outcome) -> float:
        numbers = each(outcome)
        return sum(numbers) / len(numbers)

    for (_, fact, own), change in fact_changes(found, over_runs).items():
        subject, object_ = (own, own) if fact == MODEL_WIDE else (facts[fact].subject, facts[fact].object)
        values.facts.setdefault(subject, []).append(change)
        by_object.setdefault(object_, []).append(change)
    for outcome in found:
        by_asked.setdefault(outcome.question.about, []).append(over_runs(outcome))
    if _share_questions(found):
        values.shared = (by_object, by_asked)
    elif found[0].question.fact == MODEL_WIDE:
        values.shared = (by_asked,)
    n_runs = len(each(found[0]))
    if n_runs > 1:
        values.runs = (tuple(_of_run(facts, found, each, run) for run in range(n_runs)),)
    return values


def shares_of(facts: Sequence[OfFact], found: Sequence[Outcome], each: Numbers) -> Values:
    """A number of one column's questions, every question counting once, clustered as `values_of` clusters it.

    A unit's entry is the mean over all questions plus what the unit adds to it, times the number of units (the linearised
    values of a ratio): their mean is the mean over questions, and their spread says how well it is known.

    Args:
        facts: those that the questions are about, by their place.
        found: the outcomes.
        each: the number after every training run.
    """
    numbers = np.array([np.mean(each(outcome)) for outcome in found])
    whole = float(numbers.mean())

    def over(units: Sequence[str]) -> dict[str, list[float]]:
        sums: dict[str, float] = {}
        for unit, number in zip(units, numbers, strict=True):
            sums[unit] = sums.get(unit, 0.0) + float(number) - whole
        return {unit: [whole + len(sums) * total / len(found)] for unit, total in sums.items()}

    model_wide = found[0].question.fact == MODEL_WIDE
    asked = [outcome.question.about for outcome in found]
    own = [outcome.question.prompt or outcome.question.about for outcome in found]
    values = Values(over(own if model_wide else [facts[outcome.question.fact].subject for outcome in found]))
    if _share_questions(found):
        objects = own if model_wide else [facts[outcome.question.fact].object for outcome in found]
        values.shared = (over(objects), over(asked))
    elif model_wide:
        values.shared = (over(asked),)
    if len(each(found[0])) > 1:
        values.runs = (tuple(np.mean([each(outcome) for outcome in found], axis=0).tolist()),)
    return values


def _share_questions(found: Sequence[Outcome]) -> bool:
    return any(outcome.question.kind in column_named(outcome.question.column).shared for outcome in found)


def _of_run(facts: Sequence[OfFact], found: Sequence[Outcome], each: Numbers, run: int) -> float:
    """The mean over subjects of one training run."""
    subjects: dict[str, list[float]] = {}
    for (_, fact, own), change in fact_changes(found, lambda outcome: each(outcome)[run]).items():
        subjects.setdefault(own if fact == MODEL_WIDE else facts[fact].subject, []).append(change)
    return _mean(subjects)


TAKEN = {EVERYTHING, *(part for column in COLUMNS.values() for part in column.parts)}  # groups that are no relations


def _lines(facts: Facts, found: Sequence[Outcome]) -> dict[tuple[str, str], Values]:
    by_column: dict[str, list[Outcome]] = {name: [] for name in COLUMNS}
    for outcome in found:
        by_column.setdefault(outcome.question.column, []).append(outcome)
    by_column = {name: own for name, own in by_column.items() if own}
    lines = {(name, EVERYTHING): values_of(facts.facts, whole_column(own)) for name, own in by_column.items()}
    relations = list(dict.fromkeys(fact.relation for fact in facts.facts))
    for relation in relations if len(relations) > 1 else ():
        for name, outcomes in by_column.items():
            own = [
                one
                for one in outcomes
                if one.question.fact != MODEL_WIDE and facts.facts[one.question.fact].relation == relation
            ]
            if own:
                lines[name, relation if relation not in TAKEN else f"relation {relation}"] = values_of(facts.facts, own)
    for name, outcomes in by_column.items():
        for kind in column_named(name).parts:
            if part := [one for one in outcomes if one.question.kind == kind]:
                lines[name, kind] = values_of(facts.facts, part)
    return lines


class _Difference(Outcome):
    """The change of one arm less another's, which is signed for losses too."""

    @property
    def changes(self) -> tuple[float, ...]:
        """The difference."""
        return (self.after,)


def table_of_differences(
    facts: Sequence[OfFact],
    pairs: Mapping[str, tuple[Sequence[Outcome], Sequence[Outcome]]],
    *,
    seeds: Seeds,
    without: Sequence[str] = (),
) -> list[Total]:
    """By pair and column the first's changes less the second's, paired question by question and clustered as totals are.

    Args:
        facts: those that the questions are about, by their place.
        pairs: what is compared, by name: outcomes of the same questions in the same order.
        seeds: of bootstraps.
        without: columns that are left out.
    """
    lines = {}
    for name, (one, other) in pairs.items():
        by_column: dict[str, list[Outcome]] = {column: [] for column in COLUMNS}
        for first, second in zip(one, other, strict=True):
            assert first.question == second.question
            found = _Difference(first.question, 0.0, first.change - second.change)
            by_column.setdefault(first.question.column, []).append(found)
        for column, own in by_column.items():
            if own and column not in without:
                values = values_of(facts, whole_column(own))
                sides = [whole_column([two for two in side if two.question.column == column]) for side in (one, other)]
                values.runs = tuple(run for side in sides for run in values_of(facts, side).runs)
                lines[column, name] = values
    return table(lines, seeds=seeds, differences=True)


def column_means(facts: Sequence[OfFact], changes: Sequence[Outcome]) -> dict[str, float]:
    """The mean of every column over subjects, as totals have it (suite questions, sentences)."""
    by_column: dict[str, list[Outcome]] = {}
    for one in changes:
        by_column.setdefault(one.question.column, []).append(one)
    return {column: _mean(values_of(facts, whole_column(own)).facts) for column, own in by_column.items()}
