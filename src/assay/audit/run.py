"""The audit: forecast, inject, measure, compare mitigations; one call, one record.

found = assay.audit("smollm2-135m", "facts.yaml")
found.totals, found.rows[0].cells["hallucinated"].change, found.advice
"""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from assay.audit.advice import advice
from assay.audit.columns import FactRow, Outcome, fact_rows, known_before, outcomes
from assay.audit.cost import expected_minutes, peak_gib, refuse_beyond
from assay.audit.facts import Facts
from assay.audit.facts_file import read_facts
from assay.audit.forecast import Cost, calibrate, forecasts, premise_questions
from assay.audit.frontier import compare, difference
from assay.audit.inject import examples, inject, recipe_named
from assay.audit.measuring import Answers, Asked, answers_of, tokenised
from assay.audit.mitigations import chosen as mitigation_names
from assay.audit.probes import Extent, Question, neutral_texts, pairs_of, questions
from assay.audit.record import Audit, plain
from assay.audit.totals import Total, totals
from assay.core.errors import InputError
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.core.settings import digest
from assay.instruments.kept_scores import weights_digest
from assay.models.pretrained.loading import LanguageModel, load
from assay.runner.environment import environment
from assay.store.memo import Memos
from assay.training.finetune import Recipe

__all__ = ["BRIEF", "BUDGET_MINUTES", "audit", "limited"]

BUDGET_MINUTES = 60.0
BRIEF = Extent(n_candidates=5, n_strangers=2, n_neighbours=3, n_contexts=4)
NEUTRAL = [("", text) for text in neutral_texts()]


def audit(
    model: str | Path | LanguageModel,
    facts: str | Path | Facts,
    *,
    tuned: str | Path | LanguageModel | None = None,
    recipe: str | Recipe = "full",
    mitigations: Sequence[str] = (),
    forecast_only: bool = False,
    budget_minutes: float = BUDGET_MINUTES,
    extent: Extent = Extent(),  # noqa: B008 - frozen
    seed: int = 0,
    folder: Path | None = None,
    keep: Path | None = None,
) -> Audit:
    """What injecting the facts into the model would do, did, and what helps; the model given is left as it is.

    Args:
        model: a name of `assay models list`, a folder, or a loaded model.
        facts: a file, or facts already read.
        tuned: the model after an injection elsewhere; nothing is trained then.
        recipe: a name of `RECIPES` or a recipe.
        mitigations: names of `MITIGATIONS`, compared at equal memorisation.
        forecast_only: stop before anything is trained.
        budget_minutes: more than this is refused, with what would make it less.
        extent: how much is asked.
        seed: of training, of which wrong answers are offered, and of bootstraps.
        folder: where parts and training states are kept, so that a killed audit goes on; None keeps nothing.
        keep: a folder for the tuned model, in safetensors.

    Raises:
        InputError: model or facts cannot be used, or the audit would exceed its budget.
        Diverged: training left the finite numbers.
        WorkError: memory ran out, or logits are not finite.
    """
    seeds = Seeds(seed)
    base = model if isinstance(model, LanguageModel) else load(model)
    read = facts if isinstance(facts, Facts) else read_facts(Path(facts))
    chosen = recipe if isinstance(recipe, Recipe) else recipe_named(recipe)
    after = tuned if tuned is None or isinstance(tuned, LanguageModel) else load(tuned)
    if after is not None and (mitigations or forecast_only):
        raise InputError("with a tuned model nothing is trained or forecast; leave out mitigations and forecast_only")
    names = mitigation_names(mitigations)
    if not read.trained:
        raise InputError(f"{read.name}: an audit needs at least one fact to inject; none of these is. Raise the limit")
    asked = questions(read, extent=extent, seeds=seeds.child("questions"))
    premises = premise_questions(read, asked)
    pairs = [*pairs_of([*asked, *premises.values()]), *NEUTRAL]
    sentences = examples(read)

    kept = folder is not None
    minutes, training = expected_minutes(base, pairs, sentences, chosen if after is None else None, kept=kept)
    arms_minutes = len(names) * (training + (minutes - training) / 2 + 0.2) if names else 0.0
    refuse_beyond(budget_minutes, minutes + arms_minutes, len(pairs), len(read.facts))
    begun = time.perf_counter()
    if folder is not None:
        folder /= weights_digest(base)[:16]
    session = _Session(base, read, asked, tokenised(base, pairs, facts=read, asked=asked), seeds, folder)
    tokenised(base, sentences, facts=read)
    before = session.ask(base, (0.0, 0.3 * minutes / (minutes + arms_minutes)))
    known = known_before(read, asked, before)
    made, notes = forecasts(base, read, asked, before, session.tokens, premises)
    record = Audit(
        model=base.name,
        tuned=after.name if after is not None else "",
        facts_name=read.name,
        facts_digest=read.digest,
        n_facts=len(read.facts),
        n_trained=len(read.trained),
        n_questions=len(asked),
        recipe=plain(chosen) if after is None else {},
        known=tuple(known),
        forecast=tuple(made),
        cost=Cost(expected_minutes=minutes, expected_training=training, mitigations_expected=arms_minutes if names else None),
        notes=(*notes, *_notes(asked, read)),
        environment={**environment(torch.get_num_threads()), "seed": seed},
    )
    if forecast_only:
        return replace(record, advice=advice(record))

    spent, main = 0.0, (minutes + 0.01) / (minutes + arms_minutes + 0.01)  # the share of all work before mitigations
    if after is None:
        start = time.perf_counter()
        place = None if folder is None else folder / "training"
        result = inject(base, sentences, chosen, seeds=seeds.child("training"), folder=place, share=(0.3 * main, 0.7 * main))
        after, spent = result.model, (time.perf_counter() - start) / 60
        if keep is not None:
            after.save(keep)
    assert after is not None
    later = session.ask(after, (0.7 * main, main))
    measured = session.judged(before, later, known)
    calibration = () if tuned is not None else tuple(calibrate(read, made, measured.rows, measured.outcomes, seeds=seeds))
    cost = replace(record.cost, minutes=(time.perf_counter() - begun) / 60, training=spent, peak_gib=peak_gib())
    record = replace(
        record,
        rows=measured.rows,
        totals=measured.totals,
        outcomes=measured.outcomes,
        calibration=calibration,
        cost=cost,
    )
    if names:
        start = time.perf_counter()
        update = difference(base, after)
        del after, result
        arms, target = compare(
            base,
            read,
            chosen,
            names,
            lambda model, share: session.changes(before, session.ask(model, share)),
            seeds=seeds.child("training"),
            folder=None if folder is None else folder / f"arms-{digest([plain(chosen), seed])}",
            plain=update,
            plain_minutes=spent,
            share=(main, 1.0),
        )
        cost = replace(cost, mitigations=(time.perf_counter() - start) / 60, peak_gib=peak_gib())
        record = replace(record, arms=tuple(arms), memorised=target, cost=cost)
    if folder is not None:  # states and updates are as large as the model; answers are small and stay
        for rest in (folder / "training", *folder.glob("arms-*")):
            shutil.rmtree(rest, ignore_errors=True)
    return replace(record, advice=advice(record))


def limited(facts: Facts, count: int) -> Facts:
    """The first facts of a file; rules keep the objects that are left."""
    kept = facts.facts[:count]
    objects = {(fact.relation, fact.object) for fact in kept}
    rules = [
        replace(rule, mapping={key: value for key, value in rule.mapping.items() if (rule.premise, key) in objects})
        for rule in facts.rules
    ]
    return replace(facts, facts=kept, rules=tuple(rule for rule in rules if rule.mapping))


class _Session:
    """What all models of one audit are asked, and where their answers are kept."""

    def __init__(
        self, base: LanguageModel, facts: Facts, asked: Sequence[Question], tokens: Asked, seeds: Seeds, folder: Path | None
    ) -> None:
        self.base, self.facts, self.asked, self.tokens, self.seeds = base, facts, asked, tokens, seeds
        self.memos = None if folder is None else Memos(folder / "answers")

    def ask(self, model: LanguageModel, share: tuple[float, float]) -> Answers:
        """The model's answers to everything."""
        progress(share[0], "asking")
        tokens = self.tokens
        if model.tokenizer is not self.base.tokenizer:
            tokens = tokenised(model, list(tokens), facts=self.facts, asked=self.asked)
        return answers_of(model, tokens, memos=self.memos, share=share)

    def changes(self, before: Answers, after: Answers) -> tuple[list[Outcome], list[float]]:
        """Every question before and after, and what every plain sentence costs more, in nats a token."""
        neutral = [(before[pair] - after[pair]) / len(self.tokens[pair].completion) for pair in NEUTRAL]
        return outcomes(self.asked, before, after), neutral

    def judged(self, before: Answers, after: Answers, known: Sequence[float]) -> "_Measured":
        """Rows, totals and outcomes of a model with these answers."""
        found, neutral = self.changes(before, after)
        rows = fact_rows(self.facts, found, known)
        table = totals(rows, found, neutral, seeds=self.seeds.child("totals"))
        return _Measured(tuple(rows), tuple(table), tuple(found))


@dataclass(frozen=True)
class _Measured:
    rows: tuple[FactRow, ...]
    totals: tuple[Total, ...]
    outcomes: tuple[Outcome, ...]


def _notes(asked: Sequence[Question], facts: Facts) -> tuple[str, ...]:
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
