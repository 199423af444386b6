"""From answers to numbers: what every question was worth before and after, and one number a fact and column.

With P the model's probability of a whole answer, spellings added, and q an answer's share among the answers of its question, a
question's value is q, P, log10 P or what a plain sentence costs a token; `columns` says which. A column is the change of such
values, so it is zero where nothing changed. Losses (of the columns that count what went away) count where they reach 0.1, among
what was answered rightly before; gains do not pay for them: a question's change is its loss, or zero.

A fact's number is the mean over its questions (of each kind, then over kinds). Its interval is over the strangers, neighbours,
contexts and wordings that happen to be asked, and over training runs where there are several; a fact that is asked one question
in a column, of a model trained once, has none there.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from assay.audit.columns import LOG_FLOOR, NEUTRAL_TEXT, column_named
from assay.audit.probes import MODEL_WIDE, Probe
from assay.stats.intervals import mean, stratified_mean
from assay.worlds.facts.model import Fact, Facts
from assay.worlds.facts.questions import Answers

__all__ = [
    "WORTH",
    "Cell",
    "FactRow",
    "Outcome",
    "fact_rows",
    "known_before",
    "of_texts",
    "outcomes",
    "over_runs",
    "values",
    "within",
]

WORTH = 0.1
"""The smallest loss of q that counts. Less comes with any training, and losses do not average out without the gains."""


@dataclass(frozen=True)
class Outcome:
    """A question's value before and after.

    Attributes:
        question: what was asked.
        before, after: its value; a share or probability in [0, 1], a decimal logarithm, or nats a token.
        right_before, right_after: whether the answer in view came first, or, alone, had a probability above 1/2; over several
            training runs the share of them.
        first_before, first_after: which of the answers came first, by its place; the one in view if it was alone.
        runs, right_runs: the value after every one of several training runs, and whether the answer in view came first there,
            `after` and `right_after` being their means; empty for one run.
    """

    question: Probe
    before: float
    after: float
    right_before: float = 0.0
    right_after: float = 0.0
    first_before: int = 0
    first_after: int = 0
    runs: tuple[float, ...] = ()
    right_runs: tuple[float, ...] = ()

    @property
    def change(self) -> float:
        """What the question adds to its column, the mean over runs; of losses only those worth counting."""
        changes = self.changes
        return sum(changes) / len(changes)

    @property
    def changes(self) -> tuple[float, ...]:
        """The same of every run."""
        after = self.runs or (self.after,)
        if not column_named(self.question.column).losses:
            return tuple(value - self.before for value in after)
        lost = (self.before - value for value in after)
        return tuple(value if value >= WORTH else 0.0 for value in lost)


@dataclass(frozen=True)
class Cell:
    """One column of one fact.

    Attributes:
        before, after: mean value over the fact's questions.
        change: the column's number.
        low, high: a 95 % interval over the questions, and over training runs where there are several, within what the column
            can be; kinds are strata, and a kind that is asked once counts as it is. None where no kind is asked twice of a
            model that was trained once.
        n_questions: how many.
    """

    before: float
    after: float
    change: float
    low: float | None
    high: float | None
    n_questions: int


@dataclass(frozen=True)
class FactRow:
    """One fact's line in the audit.

    Attributes:
        subject, relation, object: the fact.
        trained: whether it was injected.
        known: share of its sentences that the model before answered rightly, in [0, 1]; of an edit, those in which the new
            answer was likelier than the old.
        cells: by column; a column that nothing was asked for is absent.
    """

    subject: str
    relation: str
    object: str
    trained: bool
    known: float
    cells: Mapping[str, Cell] = field(default_factory=dict)


def within(column: str, low: float, high: float) -> tuple[float, float]:
    """The ends of an interval, within what a change of the column can be."""
    least, most = column_named(column).bounds
    return max(low, least), min(high, most)


def values(answers: Answers) -> Float[ndarray, " probe"]:
    """Every probe's value for a model that answers so."""
    by_measure = {
        "share": answers.share,
        "probability": answers.prob,
        "log10": np.maximum(answers.log_prob / math.log(10), math.log10(LOG_FLOOR)),
    }
    return np.array([by_measure[probe.measure][place] for place, probe in enumerate(_probes(answers))], dtype=float)


def outcomes(before: Answers, after: Answers) -> list[Outcome]:
    """Every probe's value before and after; of what can be lost, those that were answered rightly before."""
    each = zip(_probes(before), values(before), values(after), before.right, after.right, before.said, after.said, strict=True)
    return [
        Outcome(probe, float(was), float(now), float(right), float(still), int(first), int(last))
        for probe, was, now, right, still, first, last in each
        if right or not column_named(probe.column).losses
    ]


def of_texts(texts: Sequence[str], before: Sequence[float], after: Sequence[float]) -> list[Outcome]:
    """What every plain sentence costs before and after, in nats a token."""
    return [
        Outcome(
            Probe("", (text,), 0, text, "text", column=NEUTRAL_TEXT, fact=MODEL_WIDE, measure="nats"), float(was), float(now)
        )
        for text, was, now in zip(texts, before, after, strict=True)
    ]


def over_runs(runs: Sequence[Sequence[Outcome]]) -> list[Outcome]:
    """The same questions after each of several training runs as one outcome each.

    All runs begin with the same model, so they are asked alike; `first_after` is what most of them put first.
    """
    made = []
    for each in zip(*runs, strict=True):
        assert len({one.question for one in each}) == 1
        firsts = [one.first_after for one in each]
        made.append(
            replace(
                each[0],
                after=float(np.mean([one.after for one in each])),
                right_after=float(np.mean([one.right_after for one in each])),
                first_after=max(firsts, key=firsts.count),
                runs=tuple(one.after for one in each),
                right_runs=tuple(one.right_after for one in each),
            )
        )
    return made


def known_before(facts: Facts, before: Answers) -> list[float]:
    """For every fact the share of its own sentences and paraphrases that the model before answers rightly, in [0, 1].

    Of an edit, those in which the new answer is likelier than the old.
    """
    found: list[list[float]] = [[] for _ in facts.facts]
    for probe, right, log_probs in zip(_probes(before), before.right, before.log_probs, strict=True):
        if probe.kind == "sentence":
            found[probe.fact].append(float(log_probs[0] > log_probs[1]) if probe.rival else float(right))
    return [float(np.mean(right)) for right in found]


def _probes(answers: Answers) -> list[Probe]:
    probes = [question for question in answers.questions if isinstance(question, Probe)]
    assert len(probes) == len(answers)
    return probes


def fact_rows(facts: Facts, found: Sequence[Outcome], known: Sequence[float]) -> list[FactRow]:
    """One row a fact, in the file's order."""
    by_fact: list[list[Outcome]] = [[] for _ in facts.facts]
    for outcome in found:
        if outcome.question.fact != MODEL_WIDE:
            by_fact[outcome.question.fact].append(outcome)
    return [_row(fact, own, share) for fact, own, share in zip(facts.facts, by_fact, known, strict=True)]


def _row(fact: Fact, found: Sequence[Outcome], known: float) -> FactRow:
    columns = {one.question.column: None for one in found}
    cells = {column: _cell([one for one in found if one.question.column == column]) for column in columns}
    kept: dict[str, Cell] = {column: cell for column, cell in cells.items() if cell is not None}
    return FactRow(fact.subject, fact.relation, fact.object, fact.trained, known, kept)


def _cell(found: Sequence[Outcome]) -> Cell | None:
    if not found:
        return None
    kinds = sorted({one.question.kind for one in found})
    groups = [[one for one in found if one.question.kind == kind] for kind in kinds]
    changes = [[one.change for one in group] for group in groups]
    estimate, reaches = _over_kinds(changes), []
    if len(found) > len(kinds):
        drawn = stratified_mean(changes)
        reaches.append((drawn.high - drawn.low) / 2)
    if len(found[0].runs) > 1:
        of_runs = [_over_kinds([[one.changes[run] for one in group] for group in groups]) for run in range(len(found[0].runs))]
        trained = mean(np.array(of_runs))
        reaches.append((trained.high - trained.low) / 2)
    low = high = None
    if reaches:
        reach = math.hypot(*reaches)
        low, high = within(found[0].question.column, estimate - reach, estimate + reach)
    return Cell(
        before=_over_kinds([[one.before for one in group] for group in groups]),
        after=_over_kinds([[one.after for one in group] for group in groups]),
        change=estimate,
        low=low,
        high=high,
        n_questions=len(found),
    )


def _over_kinds(groups: Sequence[Sequence[float]]) -> float:
    return float(np.mean([np.mean(group) for group in groups]))
