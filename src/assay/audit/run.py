"""The audit: forecast, inject, measure, compare mitigations; one call, one record.

found = assay.audit("smollm2-135m", "facts.yaml")
found.totals, found.rows[0].cells["hallucinated"].change, found.advice
"""

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from assay.audit.advice import advice
from assay.audit.cost import expected_minutes, peak_gib, refuse_beyond
from assay.audit.forecast import Cost
from assay.audit.frontier import compare, difference
from assay.audit.inject import inject, recipe_named
from assay.audit.mitigations import chosen as mitigation_names
from assay.audit.probes import Extent
from assay.audit.record import Audit, plain
from assay.audit.session import Session
from assay.core.errors import InputError
from assay.core.progress import part
from assay.core.seeds import Seeds
from assay.core.settings import digest
from assay.models.pretrained.loading import LanguageModel, load
from assay.protocols.log_probs import weights_digest
from assay.store.memo import Memos
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
    session = Session.of(base, read, extent, seeds)
    sentences, pairs = read.sentences, session.pairs
    kept = folder is not None
    minutes, training = expected_minutes(base, pairs, sentences, chosen if after is None else None, kept=kept)
    asking = (minutes - training) / 2
    arms_minutes = len(names) * (training + asking + 0.2) if names else 0.0
    whole = asking if forecast_only else minutes + arms_minutes
    refuse_beyond(budget_minutes, whole, len(pairs), len(read.facts))
    if folder is not None:
        folder /= weights_digest(base)[:16]
        session = replace(session, memos=Memos(folder / "answers"))
    begun = time.perf_counter()
    # How much of the work is done once the model was asked, was trained, and was asked again.
    asked, injected, main = (min(1.0, spent / max(whole, 1e-9)) for spent in (asking, asking + training, minutes))
    session = session.checked()
    with part(0.0, asked):
        before = session.ask(base)
    cost = Cost(expected_minutes=minutes, expected_training=training, mitigations_expected=arms_minutes if names else None)
    record = replace(
        session.forecast(before, tuned=after.name if after is not None else ""),
        recipe=plain(chosen) if after is None else {},
        cost=cost,
    )
    if forecast_only:
        return replace(record, advice=advice(record))

    if after is None:
        start = time.perf_counter()
        place = None if folder is None else folder / "training"
        with part(asked, injected):
            after = inject(base, sentences, chosen, seeds=seeds.child("training"), folder=place).model
        cost = replace(cost, training=(time.perf_counter() - start) / 60)
        if keep is not None:
            after.save(keep)
    with part(injected, main):
        said = session.ask(after)
    record = session.recorded(record, before, said)
    cost = replace(cost, minutes=(time.perf_counter() - begun) / 60, peak_gib=peak_gib())
    if names:
        start = time.perf_counter()
        update = difference(base, after)
        del after  # as large as the model, and not needed again
        with part(main, 1.0):
            arms, target = compare(
                base,
                read,
                chosen,
                names,
                lambda model: session.changes(before, session.ask(model)),
                seeds=seeds.child("training"),
                folder=None if folder is None else folder / f"arms-{digest([plain(chosen), seed])}",
                plain=update,
                plain_minutes=cost.training or 0.0,
            )
        cost = replace(cost, mitigations=(time.perf_counter() - start) / 60, peak_gib=peak_gib())
        record = replace(record, arms=tuple(arms), memorised=target)
    if folder is not None:  # states and updates are as large as the model; answers are small and stay
        for rest in (folder / "training", *folder.glob("arms-*")):
            shutil.rmtree(rest, ignore_errors=True)
    record = replace(record, cost=cost)
    return replace(record, advice=advice(record))


def limited(facts: Facts, count: int) -> Facts:
    """The first facts of a file; rules keep the objects that are left."""
    kept = facts.facts[:count]
    objects = {(fact.relation, fact.object) for fact in kept}
    rules = [
        replace(rule, mapping={key: value for key, value in rule.mapping.items() if (rule.premise, key) in objects})
        for rule in facts.implications
    ]
    return replace(facts, facts=kept, implications=tuple(rule for rule in rules if rule.mapping))
