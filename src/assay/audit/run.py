"""The audit: forecast, inject, measure, compare mitigations; one call, one record.

found = assay.audit("smollm2-135m", "facts.yaml")
found.totals, found.rows[0].cells["hallucinated"].change, found.advice
"""

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from assay.audit.advice import advice
from assay.audit.chats import ChatTemplate
from assay.audit.columns import RETAINED
from assay.audit.cost import expected_minutes, peak_gib, refuse_beyond
from assay.audit.forecast import Cost
from assay.audit.forecast_tangent import can_be_stepped
from assay.audit.frontier import Spent, measure_arms
from assay.audit.inject import inject, n_steps, recipe_named
from assay.audit.kept import KeptAudits, depends_on
from assay.audit.memory import checked_memory
from assay.audit.mitigations import MITIGATIONS
from assay.audit.mitigations import chosen as mitigation_names
from assay.audit.probes import Extent
from assay.audit.record import Audit, plain
from assay.audit.retention import Plain, asked_at, plain_texts, recipe_of_steps
from assay.audit.session import Response, Session
from assay.core.errors import InputError
from assay.core.progress import part
from assay.core.seeds import Seeds
from assay.core.settings import digest
from assay.models.changes import Change
from assay.models.pretrained.adapters import is_adapter
from assay.models.pretrained.loading import Dtype, LanguageModel, load, locate
from assay.protocols.log_probs import weights_digest
from assay.store.memo import Memos
from assay.training.chosen import merged
from assay.training.recipe import Recipe
from assay.worlds.facts.file import read_facts
from assay.worlds.facts.model import Facts

__all__ = ["BRIEF", "BUDGET_MINUTES", "audit", "check_low_precision", "limited", "loaded_tuned", "update_between"]

BUDGET_MINUTES = 60.0
BRIEF = Extent(n_candidates=5, n_strangers=2, n_neighbours=3, n_contexts=4, n_said=8)


def audit(
    model: str | Path | LanguageModel,
    facts: str | Path | Facts,
    *,
    base: str | Path | LanguageModel | None = None,
    tuned: str | Path | LanguageModel | None = None,
    recipe: str | Recipe = "full",
    mitigations: Sequence[str] = (),
    forecast_only: bool = False,
    budget_minutes: float = BUDGET_MINUTES,
    extent: Extent = Extent(),  # noqa: B008 - frozen
    seed: int = 0,
    chat_template: ChatTemplate | None = None,
    folder: Path | None = None,
    keep: Path | None = None,
    dtype: Dtype = "float32",
    memory_gib: float | None = None,
    kept: KeptAudits | None = None,
    anew: bool = False,
    runs: int = 1,
    then: int | None = None,
    plain_file: Path | None = None,
) -> Audit:
    """What injecting the facts into the model would do, did, and what helps; the model given is left as it is.

    Args:
        model: a name of `assay models list`, a folder, or a loaded model.
        facts: a file, or facts already read.
        base: what the model is loaded around, where it is an adapter; None for the base that its configuration names.
        tuned: the model after an injection elsewhere; nothing is trained then. An adapter is loaded around `model`, whatever
            its configuration says; a folder without a tokenizer takes that of `model`.
        recipe: a name of `RECIPES` or a recipe.
        mitigations: names of `MITIGATIONS`, compared at equal memorisation.
        forecast_only: stop before anything is trained.
        budget_minutes: more than this is refused, with what would make it less.
        extent: how much is asked.
        seed: of training, of which wrong answers are offered, and of bootstraps.
        chat_template: how chat rows are rendered: with the model's own template, or with `none`.
        folder: where parts and training states are kept, so that a killed audit goes on; None keeps nothing.
        keep: a folder for the tuned model, in safetensors.
        dtype: of the weights of models that are loaded here. 16 bits are for adapters and for comparing: training weights
            themselves needs float32.
        memory_gib: more than this is refused before a weight is loaded; None for what is free on the device.
        kept: where audits are kept: the same one is read from there and not made again. None keeps none.
        anew: make it all the same. So does `keep`, which wants the tuned model.
        runs: trainings that differ in their seed alone, each kept as an audit of its own; intervals then include training.
            Mitigations are compared, and the tuned model is saved, in the first.
        then: plain steps after injection, for the column `retained`; None leaves it out.
        plain_file: the texts of those steps, see `plain_texts`; None for pages of an invented encyclopaedia.

    Raises:
        InputError: model or facts cannot be used, or the audit would exceed its budget of time or memory.
        Diverged: training left the finite numbers.
        WorkError: memory ran out, or logits are not finite.
    """
    seeds = Seeds(seed)
    read = facts if isinstance(facts, Facts) else read_facts(Path(facts))
    chosen = recipe if isinstance(recipe, Recipe) else recipe_named(recipe)
    names = mitigation_names(mitigations)
    _check_mode(names, tuned is not None, forecast_only, runs)
    _check_plain(then, plain_file, forecast_only)
    trains = tuned is None and not forecast_only
    held = model.dtype if isinstance(model, LanguageModel) else dtype
    if held != "float32" and (trains or names or then):
        check_low_precision(chosen if trains else None, names, held, then)
    # Without mitigations nothing is compared with the weights before, so a model that was loaded here is trained itself.
    in_place = not (isinstance(model, LanguageModel) or names) and runs == 1
    n_models = 3 if names and not trains else 2 if tuned is not None else 1 if not trains or in_place else 4 if names else 2
    n_models += then is not None and tuned is not None  # the tuned model is the user's, so a copy takes the plain steps
    steps = trains or (forecast_only and can_be_stepped(chosen, held)) or bool(then)
    plain_steps = None if then is None else plain_texts(then, chosen.batch_size, plain_file, seeds=seeds.child("plain"))
    trained_on = [*read.sentences, *(plain_steps.examples if plain_steps is not None else ())]
    needed = checked_memory(model, trained_on, chosen if steps else None, dtype, n_models, memory_gib)
    initial = model if isinstance(model, LanguageModel) else load(model, base=base, dtype=dtype)
    after = tuned if tuned is None or isinstance(tuned, LanguageModel) else loaded_tuned(tuned, initial)
    if after is None and hasattr(initial.model, "merge_and_unload"):  # what is trained on has no adapter of its own
        initial = merged(initial.copy())
    if not read.trained:
        raise InputError(f"{read.name}: an audit needs at least one fact to inject; none of these is. Raise the limit")
    session = Session.of(initial, read, extent, seeds, template=chat_template, tuned=after)
    read = session.facts  # with chats as the model meets them
    if plain_steps is not None:
        plain_steps = plain_steps.checked(initial if after is None else after)
    weights = weights_digest(initial) if folder is not None or kept is not None else ""
    job = _Job(
        initial=initial,
        after=after,
        session=session,
        recipe=chosen,
        mitigations=names,
        forecast_only=forecast_only,
        seeds=seeds,
        folder=None if folder is None else folder / weights[:16],
        keep=keep,
        in_place=in_place,
        needed=needed,
        plain_steps=plain_steps,
    )
    digests = [] if kept is None else job.digests(weights, runs)
    found: dict[int, Audit] = {}
    if kept is not None and not anew and keep is None:
        if isinstance(whole := kept.get(digests[-1]), Audit):
            return whole
        found = {run: one for run in range(runs) if isinstance(one := kept.get(digests[run]), Audit)}
    job = job.budgeted(budget_minutes, [run for run in range(runs) if run not in found])
    for run, record in job.made([run for run in range(runs) if run not in found]):
        found[run] = record if kept is None else kept.put(record, digests[run])
    if runs == 1:
        return found[0]
    record = session.over_runs([found[run] for run in range(runs)])
    record = replace(record, advice=advice(record))
    return record if kept is None else kept.put(record, digests[-1])


@dataclass(frozen=True, eq=False)
class _Job:
    """One audit as it will be made: what all of its training runs share.

    Attributes:
        initial, after: the model before; the one that was tuned elsewhere, or None.
        session: the questions.
        recipe, mitigations, forecast_only, seeds: how facts are injected and what is compared.
        folder: where parts are kept.
        keep: where the tuned model is saved.
        in_place: whether the model before is trained itself.
        needed: memory, in GiB.
        plain_steps: what is trained on after injection, for the column `retained`; None leaves it out.
        minutes: expected of asking before or after, and of one training.
        plain_minutes: expected of the plain steps.
    """

    initial: LanguageModel
    after: LanguageModel | None
    session: Session
    recipe: Recipe
    mitigations: tuple[str, ...]
    forecast_only: bool
    seeds: Seeds
    folder: Path | None
    keep: Path | None
    in_place: bool
    needed: float | None
    plain_steps: Plain | None = None
    minutes: tuple[float, float] = (0.0, 0.0)
    plain_minutes: float = 0.0

    def digests(self, weights: str, runs: int) -> list[str]:
        """The digest of every training run's audit, and last of all of them together."""
        facts = self.session.facts
        asked_for = {
            "asked": self.session.identity,
            "facts": [facts.name, facts.digest],
            "sentences": digest([list(pair) for pair in facts.sentences]),
            "recipe": plain(self.recipe) if self.after is None else {},
            "forecast": self.forecast_only,
            "seed": self.seeds.root,
            "threads": torch.get_num_threads(),
            "said": self.session.n_said,
        }
        if self.plain_steps is not None:  # their recipe is the injection's, also where that was somebody else's
            asked_for["then"] = [self.plain_steps.n_steps, self.plain_steps.digest, plain(self.recipe)]
        models = [(self.initial, weights), *([(self.after, weights_digest(self.after))] if self.after is not None else [])]
        each = [{"run": run, "mitigations": list(self.mitigations) if run == 0 else []} for run in range(runs)]
        whole = [{"runs": runs, "mitigations": list(self.mitigations)}] if runs > 1 else []
        return [depends_on(models, asked_for | one) for one in (*each, *whole)]

    def budgeted(self, budget: float, left: Sequence[int]) -> "_Job":
        """The same with the minutes that its parts are expected to take.

        Raises:
            InputError: what is left would take longer than the budget.
        """
        sentences, pairs, n_facts = self.session.facts.sentences, self.session.pairs, len(self.session.facts.facts)
        recipe = self.recipe if self.after is None else None
        if not left:
            return self
        said = len(self.session.prompts) if not self.forecast_only else 0
        whole, training = expected_minutes(self.initial, pairs, sentences, recipe, kept=self.folder is not None, n_said=said)
        made = replace(self, minutes=((whole - training) / 2, training), plain_minutes=self._expected_of_plain_steps())
        refuse_beyond(budget, made._expected(left), n_facts, f"{n_facts} facts with {len(pairs)} answers to score")
        return made

    @property
    def planned(self) -> Recipe | None:
        """The training of which one step is forecast; None for a model tuned elsewhere, and where none can be taken."""
        return self.recipe if self.after is None and can_be_stepped(self.recipe, self.initial.dtype) else None

    def _forecast_minutes(self) -> float:
        """Of the tangent forecast: one pass over the sentences, and about half of the questions."""
        asking, training = self.minutes
        return training / self.recipe.n_epochs + asking / 2 if self.planned is not None else 0.0

    def _expected(self, left: Sequence[int]) -> float:
        """Minutes of the audits that are left to be made."""
        asking, training = self.minutes
        if self.forecast_only:
            return asking + self._forecast_minutes()
        return (
            asking
            + self._forecast_minutes()
            + len(left) * (training + asking + self.plain_minutes)
            + (self._arms_minutes() if 0 in left else 0.0)
        )

    def _expected_of_plain_steps(self) -> float:
        """Minutes of training on plain text and of asking on the way."""
        plain_steps = self.plain_steps
        if plain_steps is None or not plain_steps.n_steps:
            return 0.0
        lessons = [probe.lesson for probe in self.session.asked if probe.column == "learned"]
        recipe, kept = recipe_of_steps(self.recipe), self.folder is not None
        whole, training = expected_minutes(self.initial, lessons, plain_steps.examples, recipe, kept=kept)
        return training + (whole - training) / 2 * len(asked_at(plain_steps.n_steps))

    def _arms_minutes(self) -> float:
        """Of mitigations."""
        asking, training = self.minutes
        plans = [MITIGATIONS[name] for name in self.mitigations]
        return sum((training if one.trains else 0.0) + asking + 0.2 for one in plans) + (asking + 0.2 if plans else 0.0)

    def made(self, left: Sequence[int]) -> Iterator[tuple[int, Audit]]:
        """The audits of these training runs, one after the other; the model before is asked once."""
        if not left:
            return
        whole, (asking, training) = max(self._expected(left), 1e-9), self.minutes
        session = self._with_folder().checked(
            *([self.after] if self.after is not None and self.after.tokenizer is not self.initial.tokenizer else [])
        )
        after, initial = self.after, self.initial
        notes = (*initial.notes, *((*after.notes, *session.certain(after)) if after is not None else ()))
        begun = time.perf_counter()
        with part(0.0, min(1.0, asking / whole)):
            before = session.ask(initial) if self.forecast_only else session.heard(initial)
        forecast = session.forecast(before, tuned=after.name if after is not None else "", recipe=self.planned)
        asked_minutes = (time.perf_counter() - begun) / 60
        once = asking + self._forecast_minutes()  # of the model before, however many trainings follow
        cost = Cost(
            expected_minutes=once + asking + training,
            expected_training=training,
            plain_expected=self.plain_minutes if self.plain_steps is not None else None,
            mitigations_expected=self._arms_minutes() if self.mitigations else None,
            expected_gib=self.needed,
        )
        record = replace(
            forecast,
            notes=(*notes, *forecast.notes, *(self.plain_steps.notes if self.plain_steps is not None else ())),
            recipe=plain(self.recipe) if after is None else {},
            cost=cost,
        )
        if self.forecast_only:
            yield 0, replace(record, advice=advice(record))
            return
        done = once
        for run in left:
            if run != left[0]:
                record = replace(record, cost=replace(cost, expected_minutes=asking + training))
                asked_minutes = 0.0
            upto = done + training + asking + self.plain_minutes + (self._arms_minutes() if run == 0 else 0.0)
            with part(min(1.0, done / whole), min(1.0, upto / whole), f"run {run + 1}" if len(left) > 1 else ""):
                made = self._run(session, record, before, run, asked_minutes)
            yield run, made
            done = upto
        self._tidy()

    def _with_folder(self) -> Session:
        return self.session if self.folder is None else replace(self.session, memos=Memos(self.folder / "answers"))

    def _run(self, session: Session, record: Audit, before: Response, run: int, asked_minutes: float) -> Audit:
        """One training, what came of it, and in the first one mitigations beside it."""
        begun = time.perf_counter()
        facts, cost = session.facts, record.cost
        names = self.mitigations if run == 0 else ()
        asking, training = self.minutes
        main = training + asking + self.plain_minutes
        whole = max(main + (self._arms_minutes() if names else 0.0), 1e-9)
        # How much of the work is done once the model was trained, was asked again, and has made its plain steps.
        injected, heard, lasted = (min(1.0, spent / whole) for spent in (training, training + asking, main))
        seeds = self.seeds.child("training") if run == 0 else self.seeds.child(f"training {run}")
        after = self.after
        if after is None:
            start = time.perf_counter()
            place = None if self.folder is None else self.folder / "training"
            with part(0.0, injected):
                after = inject(
                    self.initial, facts.sentences, self.recipe, seeds=seeds, folder=place, in_place=self.in_place
                ).model
            cost = replace(cost, training=(time.perf_counter() - start) / 60)
            if self.keep is not None and run == 0:
                after.save(self.keep)
        with part(injected, heard):
            said = session.heard(after)
        cost = replace(cost, minutes=asked_minutes + (time.perf_counter() - begun) / 60)
        update = update_between(self.initial, after) if names else None
        later = None
        if self.plain_steps is not None:
            start = time.perf_counter()
            with part(heard, lasted, "plain steps"):
                later = session.retained(
                    after if self.after is None or not self.plain_steps.n_steps else merged(after.copy()),
                    self.plain_steps,
                    self.recipe,
                    before,
                    said,
                    seeds=seeds.child("plain steps"),
                    folder=None if self.folder is None else self.folder / "training",
                )
            cost = replace(cost, plain=(time.perf_counter() - start) / 60)
        record = session.recorded(record, before, said, later)
        cost = replace(cost, peak_gib=peak_gib(self.initial.device))
        del after  # as large as the model, and not needed again
        if update is not None:
            start = time.perf_counter()
            with part(lasted, 1.0):
                arms, target = measure_arms(
                    self.initial,
                    facts,
                    self.recipe,
                    names,
                    lambda model: session.changes(before, session.ask(model)),
                    seeds=seeds,
                    folder=None
                    if self.folder is None
                    else self.folder
                    / f"arms-{digest([facts.digest, list(map(list, facts.sentences)), plain(self.recipe), seeds])}",
                    plain=update,
                    outcomes=[one for one in record.outcomes if one.question.column != RETAINED],
                    spent=Spent(n_steps(len(facts.sentences), self.recipe), cost.training or 0.0) if cost.training else Spent(),
                )
            cost = replace(cost, mitigations=(time.perf_counter() - start) / 60, peak_gib=peak_gib(self.initial.device))
            record = replace(record, arms=tuple(arms), memorised=target)
        record = replace(record, cost=cost)
        return replace(record, advice=advice(record))

    def _tidy(self) -> None:
        """States and updates are as large as the model, and go; answers are small and stay."""
        if self.folder is not None:
            for rest in (self.folder / "training", *self.folder.glob("arms-*")):
                shutil.rmtree(rest, ignore_errors=True)


def _check_mode(mitigations: Sequence[str], tuned: bool, forecast_only: bool, runs: int) -> None:
    """Nothing; what contradicts itself is refused."""
    if runs < 1:
        raise InputError(f"an audit is made of at least one training run; got {runs}")
    if runs > 1 and (tuned or forecast_only):
        raise InputError(f"with a tuned model, or for a forecast, nothing is trained; got {runs} runs. Leave out --runs")
    if tuned and forecast_only:
        raise InputError("with a tuned model nothing is trained or forecast; leave out forecast_only")
    if forecast_only and mitigations:
        raise InputError("for a forecast alone nothing is trained; leave out mitigations")
    training = [name for name in mitigations if MITIGATIONS[name].trains]
    if tuned and training:
        others = ", ".join(name for name, one in MITIGATIONS.items() if not one.trains)
        raise InputError(
            f"with a tuned model nothing is trained, so only mitigations of its update can be compared ({others}); got "
            f"{', '.join(training)}"
        )


def _check_plain(then: int | None, plain_file: Path | None, forecast_only: bool) -> None:
    """Nothing; plain steps that contradict what is asked for are refused."""
    if then is None and plain_file is not None:
        raise InputError("texts of plain steps need plain steps; got a file and no number of them. Say --then 100")
    if then is not None and forecast_only:
        raise InputError("for a forecast alone nothing is trained; leave out the plain steps (--then)")


def check_low_precision(recipe: Recipe | None, mitigations: Sequence[str], dtype: Dtype, then: int | None) -> None:
    """Nothing; what weights in 16 bits are too coarse for is refused.

    Args:
        recipe: of a training; None where nothing is trained.
        mitigations: that are to be compared.
        dtype: of the weights.
        then: plain steps.

    Raises:
        InputError: and what to do.
    """
    if then:
        raise InputError(
            f"plain steps train on from what injection left, which needs float32; got weights in {dtype}. Leave out --then, or "
            "hold the weights in float32"
        )
    if recipe is not None and recipe.method == "full":
        raise InputError(
            f"training the weights themselves needs float32, because a step is smaller than {dtype} can hold; got weights in "
            f"{dtype}. Train an adapter (--recipe lora), or compute in bfloat16 only (--set precision=bfloat16)"
        )
    if mitigations:
        raise InputError(
            f"mitigations are compared by scaling updates, which needs float32; got weights in {dtype}. Leave out --mitigate, "
            f"or hold the weights in float32"
        )


def update_between(base: LanguageModel, after: LanguageModel) -> Change:
    """What training added to the base's weights, an adapter folded in.

    Raises:
        InputError: the models have other weights.
    """
    try:
        return Change.between(base, merged(after.copy()) if hasattr(after.model, "merge_and_unload") else after)
    except InputError as error:
        raise InputError(
            f"mitigations scale the update, so both models must have the same weights; '{after.name}' has others than "
            f"'{base.name}': {error}. Leave out --mitigate"
        ) from error


def loaded_tuned(source: str | Path, base: LanguageModel) -> LanguageModel:
    """The model after, from a name or a folder: an adapter around the base, a whole model with its own or the base's tokens."""
    given = {"tokenizer": base.tokenizer} if not is_adapter(locate(source)) else {"base": base}
    return load(source, dtype=base.dtype, device=base.place, **given)


def limited(facts: Facts, count: int) -> Facts:
    """The first facts of a file; rules keep the objects that are left."""
    kept = facts.facts[:count]
    objects = {(fact.relation, fact.object) for fact in kept}
    rules = [
        replace(rule, mapping={key: value for key, value in rule.mapping.items() if (rule.premise, key) in objects})
        for rule in facts.implications
    ]
    return replace(facts, facts=kept, implications=tuple(rule for rule in rules if rule.mapping))
