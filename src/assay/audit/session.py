"""One audit's questions, asked of several models: the model before, after, and every mitigation's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from assay.audit.benchmarks import benchmarks
from assay.audit.certain import other_tokens, strangers
from assay.audit.chats import ChatTemplate, rendered
from assay.audit.columns import COLUMNS, RETAINED, column_named, questions
from assay.audit.counts import counts
from assay.audit.disjoint import disjoint, left_out_note
from assay.audit.forecast import TANGENT_COLUMNS, Cost, FactForecast, calibrate, forecasts, premise_questions, with_tangent
from assay.audit.forecast_tangent import tangent_answers
from assay.audit.measuring import Tokens, continued, log_probs_of, tokenised
from assay.audit.outcomes import FactRow, Outcome, fact_rows, known_before, of_texts, outcomes, over_runs
from assay.audit.probes import Extent, Probe, neutral_texts
from assay.audit.record import Audit, Run, Spoken
from assay.audit.record import plain as as_json
from assay.audit.retention import Plain, combined, followed, recipe_of_steps, retained
from assay.audit.retention_record import Retention
from assay.audit.totals import EVERYTHING, Total, totals
from assay.core.progress import part, progress
from assay.core.seeds import Seeds
from assay.core.settings import digest
from assay.models.pretrained.loading import LanguageModel
from assay.runner.environment import environment
from assay.store.memo import Memos
from assay.training.recipe import Recipe
from assay.worlds.facts.model import Facts
from assay.worlds.facts.questions import Answers, pairs_of

__all__ = ["Measured", "Response", "Session"]

UNCHANGED = (
    "The model after answers every question exactly as the model before does, to the last digit: nothing that was trained is "
    "in it. Was the tuned model saved, loaded and merged?"
)
TRAINED_ONCE = (
    "The model was trained once: intervals are over what was asked, and do not include what another training seed would do "
    "(those of 'assay audit --runs 5' do)."
)
TUNED = "Intervals are over what was asked of this one tuned model; another training of it may differ by more."


@dataclass(frozen=True)
class Measured:
    """What a model did against the one before: rows by fact, the table of totals, and every question."""

    rows: tuple[FactRow, ...]
    totals: tuple[Total, ...]
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, eq=False)
class Response:
    """What a model answered in an audit.

    Attributes:
        probes: to the audit's questions.
        premises: to those about rules, behind their premise.
        neutral: what every plain sentence costs it, in nats a token.
        said: what it says behind the prompts that are continued, see `Session.prompts`; empty if it was not let.
    """

    probes: Answers
    premises: Answers
    neutral: Float[ndarray, " sentence"]
    said: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        """As JSON values."""
        found = {name: [row.tolist() for row in getattr(self, name).log_probs] for name in ("probes", "premises")}
        return {**found, "neutral": self.neutral.tolist(), "said": list(self.said)}

    def __eq__(self, other: object) -> bool:
        """Whether all answers are the same to the last digit."""
        if not isinstance(other, Response):
            return NotImplemented
        return np.array_equal(self.neutral, other.neutral) and all(
            np.array_equal(one, two)
            for ours, theirs in ((self.probes, other.probes), (self.premises, other.premises))
            for one, two in zip(ours.log_probs, theirs.log_probs, strict=True)
        )


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
        n_said: how many prompts models continue in their own words.
        notes: what a reader should know about the questions.
    """

    base: LanguageModel
    facts: Facts
    asked: tuple[Probe, ...]
    premises: Mapping[int, Probe]
    seeds: Seeds
    tokens: Tokens
    memos: Memos | None = None
    n_said: int = 0
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        base: LanguageModel,
        facts: Facts,
        extent: Extent,
        seeds: Seeds,
        folder: Path | None = None,
        *,
        template: ChatTemplate | None = None,
        tuned: LanguageModel | None = None,
    ) -> "Session":
        """The questions about these facts, not yet checked against the tokenizer.

        Args:
            base: the model before.
            facts: the file; its chats are rendered here.
            extent: how much is asked.
            seeds: of which wrong answers are offered.
            folder: where answers are kept.
            template: how chats are rendered, see `rendered`.
            tuned: the model after, where it is known; its chat template is used if `base` has none.

        Raises:
            InputError: a chat cannot be rendered.
        """
        facts = rendered(facts, base, template, tuned=tuned)
        asked = tuple(questions(facts, extent=extent, seeds=seeds.child("questions")))
        memos = None if folder is None else Memos(folder / "answers")
        return cls(base, facts, asked, premise_questions(facts, asked), seeds, {}, memos, extent.n_said)

    @property
    def identity(self) -> str:
        """A digest of everything that is asked: answers of two sessions with the same one can be compared."""
        return digest([self.facts.digest, list(self.asked), list(self.premises.values()), [text for _, text in self.neutral]])

    def read(self, kept: Mapping[str, Any]) -> Response:
        """Answers that were kept as JSON values."""
        asked = {"probes": list(self.asked), "premises": list(self.premises.values())}
        probes, premises = (Answers.of(asked[name], kept[name]) for name in ("probes", "premises"))
        return Response(probes, premises, np.array(kept["neutral"], dtype=float), tuple(map(str, kept.get("said", ()))))

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Everything that is scored of every model."""
        return [*pairs_of([*self.asked, *self.premises.values()]), *self.neutral]

    @property
    def neutral(self) -> list[tuple[str, str]]:
        """The plain sentences that are measured: the file's own, or those that ship with Assay."""
        return [("", text) for text in self.facts.neutral or neutral_texts()]

    def checked(self, *others: LanguageModel) -> "Session":
        """The session with all its texts in tokens, and with questions whose answers exclude each other.

        Args:
            others: models with tokenizers of their own that will be asked too.

        Raises:
            InputError: a text does not survive the tokenizer.
        """
        if self.tokens:
            return self
        session = self
        for model in (*others, self.base):
            tokenised(model, session.facts.sentences, facts=session.facts)
            session = session._disjoint(tokenised(model, session.pairs, facts=session.facts, asked=session.asked))
        kept = dict.fromkeys(session.pairs)
        return replace(session, tokens={pair: tokens for pair, tokens in session.tokens.items() if pair in kept})

    def _disjoint(self, tokens: Tokens) -> "Session":
        """The session without answers that other answers of their question begin."""
        told = [disjoint(probe, tokens) for probe in self.asked]
        asked = tuple(probe for probe, _ in told)
        premises = {
            place: disjoint(replace(probe, candidates=asked[place].candidates, measure=asked[place].measure), tokens)[0]
            for place, probe in self.premises.items()
        }
        notes = left_out_note([(probe, left_out) for probe, (_, left_out) in zip(self.asked, told, strict=True)])
        return replace(self, asked=asked, premises=premises, tokens=tokens, notes=tuple(dict.fromkeys((*self.notes, *notes))))

    def tokens_of(self, model: LanguageModel) -> Tokens:
        """All texts in this model's tokens."""
        if model.tokenizer is self.base.tokenizer:
            return self.tokens
        return tokenised(model, list(self.tokens), facts=self.facts, asked=self.asked)

    def certain(self, model: LanguageModel) -> tuple[str, ...]:
        """What is certain of a tuned model beside the base, before anything is asked: sentences."""
        found = (strangers(self.base, model), other_tokens(self.base, model, self.tokens, self.tokens_of(model)))
        return tuple(sentence for sentence in found if sentence)

    @property
    def prompts(self) -> list[Probe]:
        """Questions whose prompts the models continue in their own words: of each prompt one, those that tell most first.

        They are taken in turn from what is trained on, what must survive, what was known, and what rules say.
        """
        groups: list[dict[str, Probe]] = [{}, {}, {}, {}]
        for probe in self.asked:
            place = {"learned": 0, "displaced": 1, "forgotten": 2}.get(probe.column, 3 if probe.kind == "rule" else -1)
            if place >= 0 and probe.prompt and probe.kind not in column_named(probe.column).by_fact:
                groups[place].setdefault(probe.prompt, probe)
        turns = [probe for turn in zip_longest(*(group.values() for group in groups)) for probe in turn if probe is not None]
        return list({probe.prompt: probe for probe in reversed(turns)}.values())[::-1][: self.n_said]

    def heard(self, model: LanguageModel) -> Response:
        """What the model answers to everything, and what it says of its own choice."""
        with part(0.0, 0.7):
            answers = self.ask(model)
        with part(0.7, 1.0):
            return replace(answers, said=self.words(model))

    def words(self, model: LanguageModel) -> tuple[str, ...]:
        """What the model says of its own choice behind every one of `prompts`."""
        tokens = self.tokens_of(model)
        return tuple(continued(model, [tokens[probe.lesson] for probe in self.prompts]))

    def ask(self, model: LanguageModel) -> Response:
        """What the model answers to everything."""
        progress(0.0, "asking")
        tokens = self.tokens_of(model)
        found = log_probs_of(model, tokens, memos=self.memos)
        return Response(
            Answers.from_pairs(self.asked, found),
            Answers.from_pairs(list(self.premises.values()), found),
            np.array([-found[pair] / len(self.tokens[pair].completion) for pair in self.neutral]),
        )

    def changes(self, before: Response, after: Response) -> list[Outcome]:
        """Every question, and every plain sentence, before and after."""
        texts = [text for _, text in self.neutral]
        return [*outcomes(before.probes, after.probes), *of_texts(texts, before.neutral.tolist(), after.neutral.tolist())]

    def judged(self, before: Response, after: Response) -> Measured:
        """Rows, totals and outcomes of a model with these answers."""
        return self.measured(self.changes(before, after), known_before(self.facts, before.probes))

    def measured(self, found: Sequence[Outcome], known: Sequence[float]) -> Measured:
        """Rows and totals of these outcomes, where the model before knew so much of every fact."""
        rows = fact_rows(self.facts, found, known)
        table = totals(self.facts, found, seeds=self.seeds.child("totals"))
        return Measured(tuple(rows), tuple(table), tuple(found))

    def forecast(self, before: Response, *, tuned: str = "", recipe: Recipe | None = None) -> Audit:
        """The record of an audit in which nothing was trained yet; with the tangent forecast where training is planned."""
        made, notes = forecasts(self.base, self.facts, before.probes, self.tokens, self.premises, before.premises)
        whole = (*self.facts.notes, *self.notes, *notes, *_notes(self.asked, before.probes))
        record = self.begun(before, made, whole, tuned=tuned)
        return record if recipe is None else self._with_tangent(record, before, recipe)

    def _with_tangent(self, record: Audit, before: Response, recipe: Recipe) -> Audit:
        """The record with what one virtual step of that training, carried on, says of every fact and in total."""
        answers, carried = tangent_answers(
            self.base, self.facts.sentences, recipe, before.probes, self.tokens, seeds=self.seeds.child("training")
        )
        expected = self.judged(before, replace(before, probes=answers))
        sums = {
            total.column if total.group == EVERYTHING else f"{total.column}: {total.group}": total.estimate
            for total in expected.totals
            if total.column in TANGENT_COLUMNS and total.group in (EVERYTHING, *column_named(total.column).parts)
        }
        made = with_tangent(self.facts, record.forecast, expected.rows, expected.outcomes)
        return replace(record, forecast=tuple(made), expected=sums, carried=carried)

    def begun(self, before: Response, made: Sequence[FactForecast], notes: Sequence[str], *, tuned: str = "") -> Audit:
        """The same from a forecast that was made already."""
        return Audit(
            model=self.base.name,
            tuned=tuned,
            facts_name=self.facts.name,
            facts_digest=self.facts.digest,
            n_facts=len(self.facts.facts),
            n_trained=len(self.facts.trained),
            n_questions=len(self.asked),
            recipe={},
            known=tuple(known_before(self.facts, before.probes)),
            forecast=tuple(made),
            notes=tuple(notes),
            environment={**environment(torch.get_num_threads(), self.base.device.type), "seed": self.seeds.root},
        )

    def retained(
        self,
        model: LanguageModel,
        plain: Plain,
        recipe: Recipe,
        before: Response,
        after: Response,
        *,
        seeds: Seeds,
        folder: Path | None,
    ) -> tuple[list[Outcome], Retention]:
        """What plain steps leave of the sentences that were trained on, and how it was lost on the way.

        Args:
            model: after injection; it is trained further itself.
            plain: the plain steps.
            recipe: of the injection.
            before: what was answered before it.
            after: what was answered after it.
            seeds: of the order of the plain texts.
            folder: where states of that training are kept, so that a killed audit goes on.
        """
        told = [place for place, probe in enumerate(self.asked) if probe.column == "learned"]
        asked = [self.asked[place] for place in told]
        first, last = (Answers.of(asked, [answers.probes.log_probs[place] for place in told]) for answers in (before, after))
        later, curve, recipe = last, np.zeros((0, len(asked))), recipe_of_steps(recipe)
        if plain.n_steps:
            tokens = {pair: tokens for pair, tokens in self.tokens_of(model).items() if pair in set(pairs_of(asked))}
            model, curve = followed(model, plain, recipe, asked, tokens, seeds=seeds, folder=folder)
            later = Answers.from_pairs(asked, log_probs_of(model, tokens))
        return retained(self.facts, plain, as_json(recipe), first, last, later, curve, seeds=self.seeds.child(RETAINED))

    def recorded(
        self,
        record: Audit,
        before: Response,
        after: Response,
        later: tuple[Sequence[Outcome], Retention] | None = None,
    ) -> Audit:
        """The record with what the model after injection did, how good the forecast was, and what plain steps left of it."""
        spoken = [
            Spoken(probe.prompt, was, (now,)) for probe, was, now in zip(self.prompts, before.said, after.said, strict=False)
        ]
        record = replace(
            record,
            spoken=tuple(spoken),
            notes=(*([UNCHANGED] if after == before else []), *record.notes, TUNED if record.tuned else TRAINED_ONCE),
            benchmarks=benchmarks(before.probes, after.probes),
            retention=None if later is None else later[1],
        )
        return self._measured(record, [*self.changes(before, after), *(() if later is None else later[0])])

    def over_runs(self, runs: Sequence[Audit]) -> Audit:
        """One record of several trainings of the same facts: the first one's, with intervals that include training."""
        first = runs[0]
        record = replace(
            first,
            spoken=tuple(
                Spoken(each[0].prompt, each[0].before, tuple(one.after[0] for one in each))
                for each in zip(*(run.spoken for run in runs), strict=True)
            ),
            notes=tuple(note for note in first.notes if note != TRAINED_ONCE),
            benchmarks=tuple(
                replace(each[0], after=float(np.mean([one.after for one in each])))
                for each in zip(*(run.benchmarks for run in runs), strict=True)
            ),
            runs=tuple(
                Run(
                    place,
                    run.digest,
                    {total.column: total.estimate for total in run.totals if total.group == EVERYTHING},
                    run.cost.training or 0.0,
                )
                for place, run in enumerate(runs)
            ),
            retention=None
            if first.retention is None
            else combined([run.retention for run in runs if run.retention is not None], seeds=self.seeds.child(RETAINED)),
            cost=_summed([run.cost for run in runs]),
        )
        return self._measured(record, over_runs([run.outcomes for run in runs]))

    def _measured(self, record: Audit, found: Sequence[Outcome]) -> Audit:
        """The record with all that follows from these outcomes."""
        measured = self.measured(found, record.known)
        calibration = calibrate(self.facts, record.forecast, measured.rows, measured.outcomes, seeds=self.seeds)
        return replace(
            record,
            rows=measured.rows,
            totals=measured.totals,
            counts=counts(self.facts.facts, found, seeds=self.seeds.child("counts")),
            outcomes=measured.outcomes,
            calibration=tuple(calibration),
        )


def _summed(costs: Sequence[Cost]) -> Cost:
    """What several trainings took together; mitigations are compared once."""
    sums = {
        name: float(np.sum([getattr(cost, name) or 0.0 for cost in costs]))
        for name in ("expected_minutes", "minutes", "expected_training", "training", "plain_expected", "plain")
        if getattr(costs[0], name) is not None
    }
    peaks = [cost.peak_gib for cost in costs if cost.peak_gib is not None]
    return replace(costs[0], **sums, peak_gib=max(peaks, default=None))


def _notes(asked: Sequence[Probe], before: Answers) -> tuple[str, ...]:
    """What could not be asked, in sentences."""
    columns = {question.column for question in asked}
    notes = [column.missing for column in COLUMNS.values() if column.missing and column.name not in columns]
    kinds = {question.kind for question in asked if question.column == "hallucinated"}
    if kinds and "rule" not in kinds:
        notes.append("No spurious rules are given, so only strangers and neighbours can show hallucination.")
    if any(question.measure == "probability" and question.kind == "sentence" for question in asked):
        notes.append("Some relations have one possible answer; it is judged by its probability. Name candidates to compare.")
    surviving = [right for probe, right in zip(asked, before.right, strict=True) if _survives(probe)]
    if surviving:
        notes.append(
            f"{len(surviving)} questions ask what must survive; the model answered {int(sum(surviving))} rightly before, "
            "and only these can be displaced."
        )
    return tuple(notes)


def _survives(probe: Probe) -> bool:
    return probe.column == "displaced" and probe.kind not in column_named("displaced").by_fact
