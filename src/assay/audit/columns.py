"""From answers to the audit's columns: one number a fact and column, each a change that is zero where nothing changed.

With P the model's probability of a whole answer, spellings added, and q an answer's share among the answers of its question,

    known         before: share of the fact's own sentences and paraphrases whose right answer comes first
    learned       q after - q before, on the sentence that is trained on
    paraphrase    the same on paraphrases
    composed      the same of what truly follows by a rule, for subjects of whom it was not said
    reversed      the same of the subject, asked from the object
    hallucinated  rules that do not follow: q after - q before; strangers and neighbours: P after - P before of the object;
                  the mean over those of the three that are asked
    primed        log10 P after - log10 P before of the object in unrelated contexts; P is not taken below 10^-10
    displaced     what must survive (neighbours, facts that are not trained, a fact's locality) and was answered rightly before:
                  q before - q after of its answer, injected objects among those offered
    forgotten     q before - q after of real facts that the model answered rightly before
    neutral_text  nats per token after - before, on plain sentences

Losses (displaced, forgotten) count where they reach 0.1; gains do not pay for them: a question's change is its loss, or zero.

A fact's number is the mean over its questions (of each kind, then over kinds). Its interval is over the strangers, neighbours,
contexts and wordings that happen to be asked; a fact that is asked one question in a column has none there.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from assay.audit.probes import COLUMNS, MODEL_WIDE, Column, Probe
from assay.stats.intervals import stratified_mean
from assay.worlds.facts.model import Fact, Facts
from assay.worlds.facts.questions import Answers

__all__ = ["LOSSES", "WORTH", "Cell", "FactRow", "Outcome", "bound", "fact_rows", "known_before", "least", "outcomes", "values"]

LOSSES: tuple[Column, ...] = ("displaced", "forgotten")
"""Columns that count what went away."""
WORTH = 0.1
"""The smallest loss of q that counts. Less comes with any training, and losses do not average out without the gains."""
FLOOR = 1e-10
BOUNDS = {"primed": -math.log10(FLOOR), "neutral_text": math.inf}


@dataclass(frozen=True)
class Outcome:
    """A question's value before and after.

    Attributes:
        question: what was asked.
        before, after: its value; a share or probability in [0, 1], or a decimal logarithm.
    """

    question: Probe
    before: float
    after: float

    @property
    def change(self) -> float:
        """What the question adds to its column; of losses only those worth counting."""
        if self.question.column not in LOSSES:
            return self.after - self.before
        lost = self.before - self.after
        return lost if lost >= WORTH else 0.0


@dataclass(frozen=True)
class Cell:
    """One column of one fact.

    Attributes:
        before, after: mean value over the fact's questions.
        change: the column's number.
        low, high: a 95 % interval over the questions, within what the column can be; kinds are strata, and a kind that is
            asked once counts as it is. None where no kind is asked twice.
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


def bound(column: str) -> float:
    """How far a column can change, in its unit: by one, as probabilities do, if nothing else is said of it."""
    return BOUNDS.get(column, 1.0)


def least(column: str) -> float:
    """The least that a column's change can be, in its unit; losses are never below zero."""
    return 0.0 if column in LOSSES else -bound(column)


def values(answers: Answers) -> Float[ndarray, " probe"]:
    """Every probe's value for a model that answers so."""
    by_measure = {
        "share": answers.share,
        "probability": answers.prob,
        "log10": np.maximum(answers.log_prob / math.log(10), math.log10(FLOOR)),
    }
    return np.array([by_measure[probe.measure][place] for place, probe in enumerate(_probes(answers))], dtype=float)


def outcomes(before: Answers, after: Answers) -> list[Outcome]:
    """Every probe's value before and after; of what can be lost, those that were answered rightly before."""
    each = zip(_probes(before), values(before), values(after), before.right, strict=True)
    return [Outcome(probe, float(was), float(now)) for probe, was, now, right in each if probe.column not in LOSSES or right]


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
    cells = {column: _cell([one for one in found if one.question.column == column]) for column in COLUMNS}
    kept: dict[str, Cell] = {column: cell for column, cell in cells.items() if cell is not None}
    return FactRow(fact.subject, fact.relation, fact.object, fact.trained, known, kept)


def _cell(found: Sequence[Outcome]) -> Cell | None:
    if not found:
        return None
    kinds = sorted({one.question.kind for one in found})
    groups = [[one for one in found if one.question.kind == kind] for kind in kinds]
    changes = [[one.change for one in group] for group in groups]
    low = high = None
    if len(found) > len(kinds):
        interval, column = stratified_mean(changes), found[0].question.column
        low, high = max(interval.low, least(column)), min(interval.high, bound(column))
    return Cell(
        before=_over_kinds([[one.before for one in group] for group in groups]),
        after=_over_kinds([[one.after for one in group] for group in groups]),
        change=_over_kinds(changes),
        low=low,
        high=high,
        n_questions=len(found),
    )


def _over_kinds(groups: Sequence[Sequence[float]]) -> float:
    return float(np.mean([np.mean(group) for group in groups]))
