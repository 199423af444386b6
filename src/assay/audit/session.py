"""One audit's questions, asked of several models: the model before, after, and every mitigation's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from assay.audit.columns import FactRow, Outcome, fact_rows, known_before, outcomes
from assay.audit.facts import Facts
from assay.audit.forecast import calibrate, forecasts, premise_questions
from assay.audit.inject import examples
from assay.audit.measuring import Answers, Asked, answers_of, tokenised
from assay.audit.probes import Extent, Question, neutral_texts, pairs_of, questions
from assay.audit.record import Audit
from assay.audit.totals import Total, totals
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.models.pretrained.loading import LanguageModel
from assay.runner.environment import environment
from assay.store.memo import Memos

__all__ = ["Measured", "Session"]

NEUTRAL = [("", text) for text in neutral_texts()]


@dataclass(frozen=True)
class Measured:
    """What a model did against the one before: rows by fact, the table of totals, and every question."""

    rows: tuple[FactRow, ...]
    totals: tuple[Total, ...]
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True)
class Session:
    """What all models of one audit are asked, and where their answers are kept.

    Attributes:
        base: the model before.
        facts: the file.
        asked: all questions.
        premises: for questions about rules, by place, the same behind their premise; for the forecast.
        seeds: of the audit.
        tokens: of every pair, by the tokenizer of `base`; empty until `checked`.
        memos: where answers are kept.
    """

    base: LanguageModel
    facts: Facts
    asked: tuple[Question, ...]
    premises: Mapping[int, Question]
    seeds: Seeds
    tokens: Asked
    memos: Memos | None = None

    @classmethod
    def of(cls, base: LanguageModel, facts: Facts, extent: Extent, seeds: Seeds, folder: Path | None = None) -> "Session":
        """The questions about these facts, not yet checked against the tokenizer."""
        asked = tuple(questions(facts, extent=extent, seeds=seeds.child("questions")))
        memos = None if folder is None else Memos(folder / "answers")
        return cls(base, facts, asked, premise_questions(facts, asked), seeds, {}, memos)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Everything that is scored of every model."""
        return [*pairs_of([*self.asked, *self.premises.values()]), *NEUTRAL]

    def checked(self) -> "Session":
        """The session with all its texts in tokens.

        Raises:
            InputError: a text does not survive the tokenizer, or an answer is the beginning of another.
        """
        if self.tokens:
            return self
        tokenised(self.base, examples(self.facts), facts=self.facts)
        return replace(self, tokens=tokenised(self.base, self.pairs, facts=self.facts, asked=self.asked))

    def ask(self, model: LanguageModel, share: tuple[float, float] = (0, 1)) -> Answers:
        """The model's answers to everything; `share` is how much of the whole audit is done before and after."""
        progress(share[0], "asking")
        tokens = self.tokens
        if model.tokenizer is not self.base.tokenizer:
            tokens = tokenised(model, list(tokens), facts=self.facts, asked=self.asked)
        return answers_of(model, tokens, memos=self.memos, share=share)

    def changes(self, before: Answers, after: Answers) -> tuple[list[Outcome], list[float]]:
        """Every question before and after, and what every plain sentence costs more, in nats a token."""
        neutral = [(before[pair] - after[pair]) / len(self.tokens[pair].completion) for pair in NEUTRAL]
        return outcomes(self.asked, before, after), neutral

    def judged(self, before: Answers, after: Answers) -> Measured:
        """Rows, totals and outcomes of a model with these answers."""
        found, neutral = self.changes(before, after)
        rows = fact_rows(self.facts, found, known_before(self.facts, self.asked, before))
        table = totals(self.facts, found, neutral, seeds=self.seeds.child("totals"))
        return Measured(tuple(rows), tuple(table), tuple(found))

    def forecast(self, before: Answers, *, tuned: str = "") -> Audit:
        """The record of an audit in which nothing was trained yet."""
        made, notes = forecasts(self.base, self.facts, self.asked, before, self.tokens, self.premises)
        return Audit(
            model=self.base.name,
            tuned=tuned,
            facts_name=self.facts.name,
            facts_digest=self.facts.digest,
            n_facts=len(self.facts.facts),
            n_trained=len(self.facts.trained),
            n_questions=len(self.asked),
            recipe={},
            known=tuple(known_before(self.facts, self.asked, before)),
            forecast=tuple(made),
            notes=(*notes, *_notes(self.asked)),
            environment={**environment(torch.get_num_threads()), "seed": self.seeds.root},
        )

    def recorded(self, record: Audit, before: Answers, after: Answers) -> Audit:
        """The record with what the model after injection did, and how good the forecast was."""
        measured = self.judged(before, after)
        calibration = calibrate(self.facts, record.forecast, measured.rows, measured.outcomes, seeds=self.seeds)
        return replace(
            record, rows=measured.rows, totals=measured.totals, outcomes=measured.outcomes, calibration=tuple(calibration)
        )


def _notes(asked: Sequence[Question]) -> tuple[str, ...]:
    """What could not be asked, in sentences."""
    columns = {question.column for question in asked}
    missing = {
        "paraphrase": "No paraphrases are given, so it is not known whether facts hold in other words.",
        "composed": "No true rules are given, so composition is not measured.",
        "reversed": "No reverse sentences are given, so reversal is not measured.",
    }
    notes = [text for column, text in missing.items() if column not in columns]
    kinds = {question.kind for question in asked if question.column == "hallucinated"}
    if "rule" not in kinds:
        notes.append("No spurious rules are given, so only strangers and neighbours can show hallucination.")
    if any(question.measure == "probability" and question.kind == "sentence" for question in asked):
        notes.append("Some relations have one possible answer; it is judged by its probability. Name candidates to compare.")
    return tuple(notes)
