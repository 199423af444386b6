"""The audit of a file of preferences: forecast what training on it will do to its own chosen answers, train, measure, compare.

    found = assay.audit_preferences("smollm2-135m", "pairs.jsonl", mitigations=["filter-ches", "nll"])
    found.totals, found.rows[0].displaced, found.advice

Who trains on pairs sees the chosen answer itself become less likely, and asks whether that is a fault. It is what the loss
allows: it sees the difference of two answers alone. This says pair by pair, before training, whose chosen answer will fall; and
after it what fell, which tokens took its place, how good the forecast was, and what helps.
"""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import cast

import numpy as np
import torch

from assay.audit.certain import strangers
from assay.audit.chats import ChatTemplate
from assay.audit.cost import expected_minutes_of_pairs, peak_gib, refuse_beyond
from assay.audit.forecast import Calibration, Cost, calibration
from assay.audit.forecast_tangent import can_be_stepped
from assay.audit.frontier import Spent
from assay.audit.inject import RECIPES, recipe_named
from assay.audit.kept import KeptAudits, depends_on
from assay.audit.memory import checked_memory
from assay.audit.pairs import Pairs, as_texts, in_tokens, read_pairs
from assay.audit.preference_advice import pair_advice
from assay.audit.preference_measuring import (
    Asked,
    Scores,
    Tokens,
    ask,
    by_prompt,
    changes,
    first_step_changes,
    gained,
    pair_totals,
    scores,
)
from assay.audit.preference_mitigations import chosen_for_pairs, compare_arms, train_on
from assay.audit.preference_record import Gained, PairAudit, PairRow
from assay.audit.record import plain
from assay.audit.run import BUDGET_MINUTES, check_low_precision, loaded_tuned, update_between
from assay.core.errors import InputError, unknown_name
from assay.core.progress import part
from assay.core.seeds import Seeds
from assay.core.settings import digest
from assay.core.text import visible
from assay.models.pretrained.loading import Dtype, LanguageModel, load
from assay.protocols.log_probs import weights_digest
from assay.runner.environment import environment
from assay.store.memo import Memos
from assay.training.chosen import merged
from assay.training.preference import LOSSES, LossName, PreferenceRecipe

__all__ = ["PAIR_RECIPES", "TUNED", "audit_pairs", "begun_record", "pair_recipe", "recorded"]

PAIR_RECIPES: Mapping[str, PreferenceRecipe] = MappingProxyType(
    {
        name: PreferenceRecipe(
            method=one.method, parts=one.parts, learning_rate=5e-6 if one.method == "full" else 1e-4, n_epochs=3, batch_size=8
        )
        for name, one in RECIPES.items()
    }
)
"""What `--recipe` knows for preferences: three passes, at a sixth and a fifth of the rates that inject facts."""
BETAS = {"simpo": 2.0}
BETA = 0.1
TRAINED_ONCE = "The model was trained once: intervals are over prompts, and do not include what another training seed would do."
TUNED = "Intervals are over the prompts of this one tuned model; another training of it may differ by more."
UNCHANGED = (
    "The model after gives every answer exactly the probability that the model before does: nothing that was trained is in it. "
    "Was the tuned model saved, loaded and merged?"
)


def pair_recipe(name: str = "full", method: str = "dpo", beta: float | None = None) -> PreferenceRecipe:
    """The recipe of that name with that loss.

    Args:
        name: of `PAIR_RECIPES`.
        method: of `assay.training.preference.LOSSES`.
        beta: of the loss; None for 2.0 with `simpo`, which has no reference, and 0.1 with the others.

    Raises:
        InputError: there is no such recipe or loss.
        SettingsError: beta is not positive.
    """
    recipe_named(name)
    if method not in LOSSES:
        raise InputError(unknown_name("method", method, LOSSES, see=f"Methods are {', '.join(LOSSES)}"))
    return replace(PAIR_RECIPES[name], loss=cast("LossName", method), beta=BETAS.get(method, BETA) if beta is None else beta)


def audit_pairs(
    model: str | Path | LanguageModel,
    pairs: str | Path | Pairs,
    *,
    base: str | Path | LanguageModel | None = None,
    tuned: str | Path | LanguageModel | None = None,
    recipe: PreferenceRecipe | None = None,
    mitigations: Sequence[str] = (),
    forecast_only: bool = False,
    budget_minutes: float = BUDGET_MINUTES,
    seed: int = 0,
    chat_template: ChatTemplate | None = None,
    folder: Path | None = None,
    keep: Path | None = None,
    dtype: Dtype = "float32",
    memory_gib: float | None = None,
    kept: KeptAudits | None = None,
    anew: bool = False,
) -> PairAudit:
    """What training on the pairs would do to their answers, did, and what helps; the model given is left as it is.

    Args:
        model: a name of `assay models list`, a folder, or a loaded model.
        pairs: a file, or pairs already read.
        base: what the model is loaded around, where it is an adapter; None for the base that its configuration names.
        tuned: the model after a training elsewhere; nothing is trained then.
        recipe: of `pair_recipe`, changed or not; None for whole weights and dpo.
        mitigations: names of `PAIR_MITIGATIONS`, compared at equal margin.
        forecast_only: stop before anything is trained.
        budget_minutes: more than this is refused, with what would make it less.
        seed: of training, of a random subset, and of bootstraps.
        chat_template: how rows of messages are rendered: with the model's own template, or with `none`.
        folder: where parts and training states are kept, so that a killed audit goes on; None keeps nothing.
        keep: a folder for the tuned model, in safetensors.
        dtype: of the weights of models that are loaded here.
        memory_gib: more than this is refused before a weight is loaded; None for what is free on the device.
        kept: where audits are kept: the same one is read from there and not made again. None keeps none.
        anew: make it all the same.

    Raises:
        InputError: model or pairs cannot be used, or the audit would exceed its budget of time or memory.
        Diverged: training left the finite numbers; what was measured before stays in the folder.
        WorkError: memory ran out, or logits are not finite.
    """
    read = pairs if isinstance(pairs, Pairs) else read_pairs(Path(pairs))
    chosen = pair_recipe() if recipe is None else recipe
    names = chosen_for_pairs(mitigations)
    _check_mode(names, tuned is not None, forecast_only)
    trains = tuned is None and not forecast_only
    held = model.dtype if isinstance(model, LanguageModel) else dtype
    if held != "float32" and (trains or names):
        check_low_precision(chosen if trains else None, names, held, None)
    # A forecast holds gradients of both answers, as a training holds a gradient and two moments.
    steps = chosen if trains or (forecast_only and can_be_stepped(chosen, held)) else None
    texts = [(pair.prompt or "".join(text for _, text in pair.chat), max(pair.texts[1:], key=len)) for pair in read.pairs]
    needed = checked_memory(model, texts, steps, dtype, 1 if forecast_only else 4 if names else 2, memory_gib)
    initial = model if isinstance(model, LanguageModel) else load(model, base=base, dtype=dtype)
    after = tuned if tuned is None or isinstance(tuned, LanguageModel) else loaded_tuned(tuned, initial)
    if after is None and hasattr(initial.model, "merge_and_unload"):  # what is trained on has no adapter of its own
        initial = merged(initial.copy())
    read = as_texts(read, initial, chat_template)
    weights = weights_digest(initial) if folder is not None or kept is not None else ""
    job = _Job(
        initial=initial,
        after=after,
        pairs=read,
        tokens=in_tokens(initial, read, ends=chosen.ends),
        recipe=chosen,
        mitigations=names,
        forecast_only=forecast_only,
        seeds=Seeds(seed),
        folder=None if folder is None else folder / weights[:16],
        weights=weights,
        keep=keep,
        needed=needed,
    )
    name = "" if kept is None else job.digest
    if kept is not None and not anew and keep is None:
        whole = kept.get(name)
        if isinstance(whole, PairAudit):
            return whole
    record = job.budgeted(budget_minutes).made()
    return record if kept is None else kept.put(record, name)


@dataclass(frozen=True, eq=False)
class _Job:
    """One audit of preferences as it will be made.

    Attributes:
        initial, after: the model before; the one that was tuned elsewhere, or None.
        pairs, tokens: the file, as texts and in the tokens of the model before.
        recipe, mitigations, forecast_only, seeds: how pairs are trained on and what is compared.
        folder: where parts are kept.
        weights: the digest of the model before, where something is kept.
        keep: where the tuned model is saved.
        needed: memory, in GiB.
        asking, forecasting, training: expected minutes of asking once, of scores and forecasts, and of one training.
    """

    initial: LanguageModel
    after: LanguageModel | None
    pairs: Pairs
    tokens: Tokens
    recipe: PreferenceRecipe
    mitigations: tuple[str, ...]
    forecast_only: bool
    seeds: Seeds
    folder: Path | None
    weights: str
    keep: Path | None
    needed: float | None
    asking: float = 0.0
    forecasting: float = 0.0
    training: float = 0.0

    @property
    def digest(self) -> str:
        """Of everything that the audit depends on."""
        asked_for = {
            "pairs": [self.pairs.name, self.pairs.digest, [pair.line for pair in self.pairs.pairs]],
            "recipe": plain(self.recipe),
            "forecast": self.forecast_only,
            "mitigations": list(self.mitigations),
            "seed": self.seeds.root,
            "threads": torch.get_num_threads(),
        }
        models = [(self.initial, self.weights), *([(self.after, weights_digest(self.after))] if self.after is not None else [])]
        return depends_on(models, asked_for)

    @property
    def steppable(self) -> bool:
        """Whether a step of the training can be forecast."""
        return self.after is None and can_be_stepped(self.recipe, self.initial.dtype)

    def budgeted(self, budget: float) -> "_Job":
        """The same with the minutes that its parts are expected to take.

        Raises:
            InputError: together they would take longer than the budget.
        """
        recipe = self.recipe if self.after is None else None
        minutes = expected_minutes_of_pairs(self.initial, self.tokens, recipe, kept=self.folder is not None)
        made = replace(self, asking=minutes.asking, forecasting=minutes.forecasting, training=minutes.training)
        n = len(self.tokens)
        what = f"{n} pairs with {sum(len(one.completion) for pair in self.tokens for one in pair)} tokens of answers"
        refuse_beyond(budget, made._whole, n, what, less="" if self.forecast_only else "forecast alone (--forecast-only), ")
        return made

    @property
    def _main(self) -> float:
        """Expected minutes without mitigations."""
        return self.asking + self.forecasting + (0.0 if self.forecast_only else self.asking + self.training)

    @property
    def _arms(self) -> float:
        """Of mitigations: each is trained, asked, and asked again while its scale is looked for."""
        return len(self.mitigations) * (self.training + 6 * self.asking) + (6 * self.asking if self.mitigations else 0.0)

    @property
    def _whole(self) -> float:
        return self._main + self._arms

    def made(self) -> PairAudit:
        """The audit."""
        begun = time.perf_counter()
        memos = None if self.folder is None else Memos(self.folder / "answers")
        whole = max(self._whole, 1e-9)
        asked, told, done = (
            self.asking / whole,
            (self.asking + self.forecasting) / whole,
            self._main / whole,
        )
        seeds = self.seeds.child("training")
        notes = [*self.initial.notes, *self.pairs.notes, *self._certain()]
        with part(0.0, asked, "asking"):
            before = ask(self.initial, self.tokens, memos=memos)
        together = None
        with part(asked, told, "forecasting"):
            found = scores(self.initial, self.tokens, self.recipe, seeds=seeds, memos=memos, weights=self.weights)
            if self.steppable:
                together = first_step_changes(
                    self.initial, self.tokens, self.recipe, seeds=seeds, memos=memos, weights=self.weights
                )
        cost = Cost(
            expected_minutes=self._main if not self.forecast_only else self._main + self.asking + self.training,
            expected_training=self.training,
            mitigations_expected=self._arms if self.mitigations else None,
            expected_gib=self.needed,
        )
        record = replace(
            begun_record(self.initial, self.pairs, self.tokens, before, found, together, notes, seeds=self.seeds),
            tuned="" if self.after is None else self.after.name,
            recipe=plain(self.recipe) if self.after is None else {},
            cost=cost,
        )
        if self.forecast_only:
            return replace(record, advice=pair_advice(record))
        after, n_steps = self.after, 0
        if after is None:
            start = time.perf_counter()
            states = None if self.folder is None else self.folder / "training"
            with part(told, max(told, done - asked), "training"):
                after, n_steps = train_on(self.initial, self.pairs.texts, self.recipe, seeds=seeds, folder=states)
            cost = replace(cost, training=(time.perf_counter() - start) / 60)
            if self.keep is not None:
                after.save(self.keep)
        with part(max(told, done - asked), done, "asking"):
            record = self._recorded(record, before, after, memos)
        record = replace(record, cost=replace(cost, minutes=(time.perf_counter() - begun) / 60))
        if self.mitigations:
            start = time.perf_counter()
            update = update_between(self.initial, after)
            del after  # as large as the model, and not needed again
            with part(done, 1.0):
                arms, margin = compare_arms(
                    self.initial,
                    self.pairs,
                    self.tokens,
                    self.recipe,
                    self.mitigations,
                    found,
                    before,
                    seeds=seeds,
                    folder=None if self.folder is None else self.folder / f"arms-{self._named_arms}",
                    plain=update,
                    spent=Spent(n_steps, record.cost.training or 0.0),
                )
            took = replace(record.cost, mitigations=(time.perf_counter() - start) / 60)
            record = replace(record, arms=tuple(arms), margin=margin, cost=took)
        self._tidy()
        record = replace(record, cost=replace(record.cost, peak_gib=peak_gib(self.initial.device)))
        return replace(record, advice=pair_advice(record))

    def _certain(self) -> list[str]:
        """What is certain of a tuned model before anything is asked: sentences."""
        if self.after is None:
            return []
        notes = [*self.after.notes, strangers(self.initial, self.after)]
        if self._other_tokens:
            notes.append(
                f"The tokenizers of '{visible(self.initial.name)}' and '{visible(self.after.name)}' differ: answers are the "
                "same texts, and which tokens gained is not told."
            )
        return [note for note in notes if note]

    @property
    def _other_tokens(self) -> bool:
        theirs = self.after.tokenizer if self.after is not None else self.initial.tokenizer
        return theirs is not self.initial.tokenizer and theirs.get_vocab() != self.initial.tokenizer.get_vocab()

    def _recorded(self, record: PairAudit, before: Asked, after: LanguageModel, memos: Memos | None) -> PairAudit:
        """The record with what came."""
        own = self.tokens
        if self.after is not None and after.tokenizer is not self.initial.tokenizer:
            own = in_tokens(after, self.pairs, ends=self.recipe.ends)
        now = ask(after, own, memos=memos)
        tokens: Sequence[tuple[Gained, ...]] = [()] * len(own)
        if not self._other_tokens:
            tokens = gained(self.initial, after, self.tokens)
        note = TUNED if self.after is not None else TRAINED_ONCE
        return recorded(record, before, now, tokens, note=note, seeds=self.seeds)

    @property
    def _named_arms(self) -> str:
        return digest([self.pairs.digest, plain(self.recipe), self.seeds.root])

    def _tidy(self) -> None:
        """States and updates are as large as the model, and go; answers and scores are small and stay."""
        if self.folder is not None:
            for rest in (self.folder / "training", *self.folder.glob("arms-*")):
                shutil.rmtree(rest, ignore_errors=True)


def begun_record(
    model: LanguageModel,
    pairs: Pairs,
    tokens: Tokens,
    before: Asked,
    found: Scores,
    together: Sequence[float] | np.ndarray | None,
    notes: Sequence[str],
    *,
    seeds: Seeds,
) -> PairAudit:
    """The record of an audit in which nothing was trained yet.

    Args:
        model: before.
        pairs, tokens: the file, as texts and in tokens.
        before: log-probabilities of its answers.
        found: scores of every pair.
        together: what the first step of the training would do; None where that was not forecast.
        notes: what a reader should know.
        seeds: of the audit.
    """
    rank = found.rank
    rows = tuple(
        PairRow(
            pair.line,
            *pair.texts,
            n_chosen=len(tokens[place][0].completion),
            n_rejected=len(tokens[place][1].completion),
            log_prob_chosen=float(before.chosen[place]),
            log_prob_rejected=float(before.rejected[place]),
            ches=float(found.ches[place]),
            ches_per_token=float(found.ches_per_token[place]),
            rank=rank[place],
            edit_distance=float(found.edit_distance[place]),
            alone=None if found.alone is None else float(found.alone[place]),
            together=None if together is None else float(together[place]),
        )
        for place, pair in enumerate(pairs.pairs)
    )
    return PairAudit(
        model=model.name,
        tuned="",
        pairs_name=pairs.name,
        pairs_digest=pairs.digest,
        n_pairs=len(rows),
        n_prompts=len({row.prompt for row in rows}),
        recipe={},
        rows=rows,
        notes=tuple(notes),
        environment={**environment(torch.get_num_threads(), model.device.type), "seed": seeds.root},
    )


def recorded(
    record: PairAudit, before: Asked, after: Asked, tokens: Sequence[tuple[Gained, ...]], *, note: str, seeds: Seeds
) -> PairAudit:
    """The record with what came, in total and pair by pair, and how good the forecasts were.

    Args:
        record: of `begun_record`.
        before, after: log-probabilities of the answers.
        tokens: that gained, of every pair.
        note: what the intervals do not include.
        seeds: of the audit.
    """
    found = changes(before, after)
    rows = tuple(
        replace(
            row,
            chosen_after=float(after.chosen[place]),
            rejected_after=float(after.rejected[place]),
            displaced=bool(found[place]["displaced"]),
            gained=tokens[place],
        )
        for place, row in enumerate(record.rows)
    )
    same = all(one["chosen"] == one["rejected"] == 0 for one in found)
    return replace(
        record,
        rows=rows,
        totals=tuple(pair_totals([row.prompt for row in rows], found, seeds=seeds.child("totals"))),
        calibration=tuple(_calibrated(rows, seeds=seeds.child("calibration"))),
        notes=(*([UNCHANGED] if same else []), *record.notes, note),
    )


def _calibrated(rows: Sequence[PairRow], *, seeds: Seeds) -> list[Calibration]:
    """Every forecast against what came, over prompts: how far chosen answers fell, as a whole or a token."""
    prompts = [row.prompt for row in rows]

    def means(of: Callable[[PairRow], float | None]) -> list[float]:
        values = [value for row in rows if (value := of(row)) is not None]
        if len(values) < len(rows):
            return []
        return [float(np.mean(own)) for own in by_prompt(prompts, values).values()]

    def fall(row: PairRow) -> float:
        return -row.changes["chosen"]

    def fall_per_token(row: PairRow) -> float:
        return fall(row) / row.n_chosen

    table: list[tuple[str, Callable[[PairRow], float | None], str, Callable[[PairRow], float | None]]] = [
        ("ches", lambda row: row.ches, "fall of the chosen answer", fall),
        ("ches_per_token", lambda row: row.ches_per_token, "fall of the chosen answer a token", fall_per_token),
        ("alone", lambda row: row.alone, "change of the chosen answer", lambda row: -fall(row)),
        ("together", lambda row: row.together, "change of the chosen answer", lambda row: -fall(row)),
    ]
    found = []
    for name, said, column, came in table:
        if points := list(zip(means(said), means(came), strict=False)):
            found.append(calibration(name, column, None, False, points, seeds=seeds))
    return found


def _check_mode(mitigations: Sequence[str], tuned: bool, forecast_only: bool) -> None:
    """Nothing; what contradicts itself is refused."""
    if tuned and forecast_only:
        raise InputError("with a tuned model nothing is trained or forecast; leave out forecast_only")
    if mitigations and (tuned or forecast_only):
        which = "with a tuned model" if tuned else "for a forecast alone"
        raise InputError(f"{which} nothing is trained, and mitigations of preferences train; leave them out")
