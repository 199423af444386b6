"""The audit: forecast, inject, measure, compare mitigations; one call, one record.

found = assay.audit("smollm2-135m", "facts.yaml")
found.totals, found.rows[0].cells["hallucinated"].change, found.advice
"""

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from assay.audit.advice import advice
from assay.audit.chats import ChatTemplate
from assay.audit.cost import expected_minutes, peak_gib, refuse_beyond
from assay.audit.forecast import Cost
from assay.audit.frontier import compare, difference
from assay.audit.inject import inject, recipe_named
from assay.audit.kept import KeptAudits, depends_on
from assay.audit.memory import available_gib, expected_memory, refuse_beyond_memory
from assay.audit.mitigations import chosen as mitigation_names
from assay.audit.probes import Extent
from assay.audit.record import Audit, plain
from assay.audit.session import Session
from assay.core.errors import InputError
from assay.core.progress import part
from assay.core.seeds import Seeds
from assay.core.settings import digest
from assay.models.device import chosen_device
from assay.models.pretrained.adapters import is_adapter
from assay.models.pretrained.loading import Dtype, LanguageModel, check_folder, load, locate
from assay.protocols.log_probs import weights_digest
from assay.store.memo import Memos
from assay.training.chosen import merged
from assay.training.recipe import Recipe
from assay.worlds.facts.file import read_facts
from assay.worlds.facts.model import Facts

__all__ = ["BRIEF", "BUDGET_MINUTES", "audit", "limited"]

BUDGET_MINUTES = 60.0
BRIEF = Extent(n_candidates=5, n_strangers=2, n_neighbours=3, n_contexts=4)


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

    Raises:
        InputError: model or facts cannot be used, or the audit would exceed its budget of time or memory.
        Diverged: training left the finite numbers.
        WorkError: memory ran out, or logits are not finite.
    """
    seeds = Seeds(seed)
    read = facts if isinstance(facts, Facts) else read_facts(Path(facts))
    chosen = recipe if isinstance(recipe, Recipe) else recipe_named(recipe)
    trains = tuned is None and not forecast_only
    held = model.dtype if isinstance(model, LanguageModel) else dtype
    if held != "float32" and trains:
        _check_low_precision(chosen, mitigations, held)
    # Without mitigations nothing is compared with the weights before, so a model that was loaded here is trained itself.
    in_place = not (isinstance(model, LanguageModel) or mitigations)
    n_models = 2 if tuned is not None else 1 if not trains or in_place else 4 if mitigations else 2
    needed = _needed(model, read, chosen if trains else None, dtype, n_models, memory_gib)
    initial = model if isinstance(model, LanguageModel) else load(model, base=base, dtype=dtype)
    after = tuned if tuned is None or isinstance(tuned, LanguageModel) else _tuned(tuned, initial)
    if after is not None and (mitigations or forecast_only):
        raise InputError("with a tuned model nothing is trained or forecast; leave out mitigations and forecast_only")
    names = mitigation_names(mitigations)
    if after is None and hasattr(initial.model, "merge_and_unload"):  # what is trained on has no adapter of its own
        initial = merged(initial.copy())
    if not read.trained:
        raise InputError(f"{read.name}: an audit needs at least one fact to inject; none of these is. Raise the limit")
    session = Session.of(initial, read, extent, seeds, template=chat_template, tuned=after)
    read = session.facts  # with chats as the model meets them
    sentences, pairs = read.sentences, session.pairs
    weights = weights_digest(initial) if folder is not None or kept is not None else ""
    if kept is not None:
        asked_for = {
            "asked": session.identity,
            "facts": [read.name, read.digest],
            "sentences": digest([list(pair) for pair in sentences]),
            "recipe": plain(chosen) if trains else {},
            "mitigations": list(names),
            "forecast": forecast_only,
            "seed": seed,
            "threads": torch.get_num_threads(),
        }
        models = [(initial, weights), *([(after, weights_digest(after))] if after is not None else [])]
        name = depends_on(models, asked_for)
        if not anew and keep is None and (made := kept.get(name)) is not None:
            return made
    minutes, training = expected_minutes(initial, pairs, sentences, chosen if after is None else None, kept=folder is not None)
    asking = (minutes - training) / 2
    arms_minutes = len(names) * (training + asking + 0.2) if names else 0.0
    whole = asking if forecast_only else minutes + arms_minutes
    refuse_beyond(budget_minutes, whole, len(pairs), len(read.facts))
    if folder is not None:
        folder /= weights[:16]
        session = replace(session, memos=Memos(folder / "answers"))
    begun = time.perf_counter()
    # How much of the work is done once the model was asked, was trained, and was asked again.
    asked, injected, main = (min(1.0, spent / max(whole, 1e-9)) for spent in (asking, asking + training, minutes))
    session = session.checked(*([after] if after is not None and after.tokenizer is not initial.tokenizer else []))
    notes = (*initial.notes, *((*after.notes, *session.certain(after)) if after is not None else ()))
    with part(0.0, asked):
        before = session.ask(initial)
    cost = Cost(
        expected_minutes=minutes,
        expected_training=training,
        mitigations_expected=arms_minutes if names else None,
        expected_gib=needed,
    )
    forecast = session.forecast(before, tuned=after.name if after is not None else "")
    record = replace(
        forecast,
        notes=(*notes, *forecast.notes),
        recipe=plain(chosen) if after is None else {},
        cost=cost,
    )
    if forecast_only:
        record = replace(record, advice=advice(record))
        return record if kept is None else kept.put(record, name)

    if after is None:
        start = time.perf_counter()
        place = None if folder is None else folder / "training"
        with part(asked, injected):
            after = inject(initial, sentences, chosen, seeds=seeds.child("training"), folder=place, in_place=in_place).model
        cost = replace(cost, training=(time.perf_counter() - start) / 60)
        if keep is not None:
            after.save(keep)
    with part(injected, main):
        said = session.ask(after)
    record = session.recorded(record, before, said)
    cost = replace(cost, minutes=(time.perf_counter() - begun) / 60, peak_gib=peak_gib(initial.device))
    if names:
        start = time.perf_counter()
        update = difference(initial, after)
        del after  # as large as the model, and not needed again
        with part(main, 1.0):
            arms, target = compare(
                initial,
                read,
                chosen,
                names,
                lambda model: session.changes(before, session.ask(model)),
                seeds=seeds.child("training"),
                folder=None if folder is None else folder / f"arms-{digest([plain(chosen), seed])}",
                plain=update,
                plain_minutes=cost.training or 0.0,
            )
        cost = replace(cost, mitigations=(time.perf_counter() - start) / 60, peak_gib=peak_gib(initial.device))
        record = replace(record, arms=tuple(arms), memorised=target)
    if folder is not None:  # states and updates are as large as the model; answers are small and stay
        for rest in (folder / "training", *folder.glob("arms-*")):
            shutil.rmtree(rest, ignore_errors=True)
    record = replace(record, cost=cost)
    record = replace(record, advice=advice(record))
    return record if kept is None else kept.put(record, name)


def _needed(
    model: str | Path | LanguageModel, facts: Facts, recipe: Recipe | None, dtype: Dtype, n_models: int, most: float | None
) -> float | None:
    """The memory that an audit is expected to take, in GiB; None for an adapter, whose base says it only once it is loaded.

    Raises:
        InputError: it is more than there is.
    """
    if isinstance(model, LanguageModel):
        device, n_models, held = model.device, n_models - 1, model.dtype  # its own weights are there already
        found = expected_memory(model, facts.sentences, recipe, n_models=n_models)
    else:
        place, device, held = locate(model), chosen_device(), dtype
        if is_adapter(place):
            return None
        check_folder(place, allow_pickle=True, needs_tokenizer=False)
        try:
            found = expected_memory(place, facts.sentences, recipe, dtype=dtype, n_models=n_models)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None  # loading says what is wrong with it
    refuse_beyond_memory(found, available_gib(device) if most is None else most, device, recipe, held)
    return found.gib


def _check_low_precision(recipe: Recipe, mitigations: Sequence[str], dtype: Dtype) -> None:
    if recipe.method == "full":
        raise InputError(
            f"training the weights themselves needs float32, because a step is smaller than {dtype} can hold; got weights in "
            f"{dtype}. Train an adapter (--recipe lora), or compute in bfloat16 only (--set precision=bfloat16)"
        )
    if mitigations:
        raise InputError(
            f"mitigations are compared by scaling updates, which needs float32; got weights in {dtype}. Leave out --mitigate, "
            f"or hold the weights in float32"
        )


def _tuned(source: str | Path, base: LanguageModel) -> LanguageModel:
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
