"""Language models from Python: load one, or take one that is loaded, and audit it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core.errors import InputError

if TYPE_CHECKING:
    from typing import TypeVar

    from assay.audit.pairs import Pairs
    from assay.audit.preference_record import PairAudit
    from assay.audit.record import Audit
    from assay.models.pretrained.loading import Dtype, LanguageModel
    from assay.training.preference import PreferenceRecipe
    from assay.training.recipe import Recipe
    from assay.worlds.facts.model import Facts

    AnyRecipe = TypeVar("AnyRecipe", Recipe, PreferenceRecipe)
    Emulation = tuple[str | Path | LanguageModel, str | Path | LanguageModel, float]

__all__ = ["audit_model", "audit_preferences", "changed_recipe", "load_model", "names_of", "read_facts_with"]


def load_model(
    model: "str | Path | LanguageModel | Any",
    tokenizer: Any = None,
    *,
    base: "str | Path | LanguageModel | None" = None,
    name: str = "",
    dtype: "Dtype" = "float32",
    device: str | None = None,
    allow_pickle: bool = False,
) -> "LanguageModel":
    """A causal language model with its tokenizer: from the cache, a folder, or a transformers object that is loaded already.

    An object stays the one that was given: it is put into evaluation mode, and neither copied nor moved.

    Args:
        model: a name of `assay models list`, a folder, or a transformers causal language model (with or without an adapter).
        tokenizer: of an object; of a folder without one, the base's.
        base: what an adapter is loaded around.
        name: what an object is called in reports; its own name if empty.
        dtype, device, allow_pickle: of what is loaded; see `assay.models.pretrained.loading.load`.

    Raises:
        InputError: it cannot be used, and why; or an object comes without a tokenizer.
        MissingExtra: transformers is not installed.
    """
    from assay.models.pretrained.loading import LanguageModel, load

    if isinstance(model, LanguageModel):
        return model
    if isinstance(model, (str, Path)):
        _check_folders(model, base)
        return load(model, dtype=dtype, device=device, base=base, tokenizer=tokenizer, allow_pickle=allow_pickle)
    if not callable(getattr(model, "get_output_embeddings", None)) or model.get_output_embeddings() is None:
        raise InputError(
            f"a model must be a name, a folder, or a transformers causal language model; got a {type(model).__name__}. Load it "
            "with AutoModelForCausalLM"
        )
    if tokenizer is None:
        raise InputError("a model that is loaded already needs its tokenizer; got none. Give tokenizer=...")
    model.eval()
    return LanguageModel(name or str(getattr(model, "name_or_path", "") or "model"), model, tokenizer)


def audit_model(
    model: "str | Path | LanguageModel | Any",
    facts: "str | Path | Facts",
    *,
    tokenizer: Any = None,
    base: "str | Path | LanguageModel | None" = None,
    tuned: "str | Path | LanguageModel | Any" = None,
    emulate: "Emulation | None" = None,
    recipe: "str | Recipe" = "full",
    set: Mapping[str, object] | Sequence[str] = (),
    mitigations: str | Sequence[str] = (),
    forecast_only: bool = False,
    budget_minutes: float = 60.0,
    limit: int | None = None,
    brief: bool = False,
    prompts: Mapping[str, str] | None = None,
    joint: str | None = None,
    chat_template: str | None = None,
    suite: str | Path | None = None,
    texts: str | Path | None = None,
    seed: int = 0,
    runs: int = 1,
    then: int | None = None,
    plain: str | Path | None = None,
    keep: str | Path | None = None,
    anew: bool = False,
    device: str | None = None,
    dtype: str = "float32",
    memory_gib: float | None = None,
    store: str | Path | None = None,
) -> "Audit":
    """What injecting facts into a model would do, did, and what helps; kept below the store, and read from there the next time.

    Args:
        model: a name, a folder, or a loaded model, as of `load_model`.
        facts: a file, or facts that are read already.
        tokenizer: of a model that is a transformers object.
        base: what an adapter is loaded around.
        tuned: the model after an injection elsewhere; nothing is trained then.
        emulate: a small tuned model, what it was tuned from, and the weight of their difference: the model with that difference
            added to its log-probabilities is audited as if it were the tuned one.
        recipe: "full", "lora", "mlp", "attention", or a recipe.
        set: what is changed of the recipe.
        mitigations: names, or "all".
        forecast_only: stop before anything is trained.
        budget_minutes: refuse what would take longer.
        limit: audit the first so many facts.
        brief: ask less.
        prompts: how a relation is asked that the file does not say, by its name.
        joint: what stands between a row's prompt and completion where neither has a blank.
        chat_template: "model" or "none": how rows of chats are rendered.
        suite, texts: files of facts to keep, and of plain sentences to measure, instead of those of Assay.
        seed: of training, of wrong answers offered, of bootstraps.
        runs: trainings that differ in their seed; intervals then include training.
        then: plain steps after injection, which tell how long facts stay.
        plain: a file of texts for them; pages of an invented encyclopaedia without one.
        keep: a folder for the tuned model.
        anew: make it even where the same audit is kept.
        device, dtype, memory_gib: where models are loaded, in which precision, and the most memory they may take.
        store: below which audits are kept.

    Raises:
        InputError: model or facts cannot be used, or the audit would exceed its budget of time or memory.
        SettingsError: a setting of the recipe is refused.
        WorkError: the work failed.
    """
    from assay.audit import run
    from assay.audit.chats import chat_template_named
    from assay.audit.inject import recipe_named
    from assay.audit.kept import KeptAudits
    from assay.audit.probes import Extent
    from assay.core.device import on_device
    from assay.core.places import default_folder
    from assay.core.settings import digest
    from assay.models.pretrained.loading import LanguageModel, dtype_named
    from assay.worlds.facts.model import Facts

    read = facts if isinstance(facts, Facts) else read_facts_with(Path(facts), prompts, joint, suite, texts)
    if limit is not None:
        read = run.limited(read, limit)
    chosen = changed_recipe(recipe_named(recipe) if isinstance(recipe, str) else recipe, set)
    folder = (default_folder() if store is None else Path(store)) / "audits"
    if emulate is not None and tuned is not None:
        raise InputError("a product is audited as the tuned model; got a tuned model too. Leave out one")
    with on_device(device):
        before = model if isinstance(model, (str, Path, LanguageModel)) else load_model(model, tokenizer)
        after = tuned if tuned is None or isinstance(tuned, (str, Path, LanguageModel)) else load_model(tuned, tokenizer)
        _check_folders(before, base, after, *(() if emulate is None else emulate[:2]))
        called = before.name if isinstance(before, LanguageModel) else str(before)
        if emulate is not None:
            before = load_model(before, tokenizer, base=base, dtype=dtype_named(dtype))
            after = _product(before, emulate, dtype_named(dtype))
        return run.audit(
            before,
            read,
            base=base,
            tuned=after,
            recipe=chosen,
            mitigations=names_of(mitigations),
            forecast_only=forecast_only,
            budget_minutes=budget_minutes,
            extent=run.BRIEF if brief else Extent(),
            seed=seed,
            chat_template=chat_template_named(chat_template),
            folder=folder / digest([called, read.digest]),
            kept=KeptAudits(folder),
            anew=anew,
            keep=None if keep is None else Path(keep),
            dtype=dtype_named(dtype),
            memory_gib=memory_gib,
            runs=runs,
            then=then,
            plain_file=None if plain is None else Path(plain),
        )


def audit_preferences(
    model: "str | Path | LanguageModel | Any",
    pairs: "str | Path | Pairs",
    *,
    tokenizer: Any = None,
    base: "str | Path | LanguageModel | None" = None,
    tuned: "str | Path | LanguageModel | Any" = None,
    method: str = "dpo",
    beta: float | None = None,
    recipe: "str | PreferenceRecipe" = "full",
    set: Mapping[str, object] | Sequence[str] = (),
    mitigations: str | Sequence[str] = (),
    forecast_only: bool = False,
    budget_minutes: float = 60.0,
    limit: int | None = None,
    chat_template: str | None = None,
    seed: int = 0,
    keep: str | Path | None = None,
    anew: bool = False,
    device: str | None = None,
    dtype: str = "float32",
    memory_gib: float | None = None,
    store: str | Path | None = None,
) -> "PairAudit":
    """What training a model on preferences would do to its answers, did, and what helps; kept below the store as audits are.

    Args:
        model: a name, a folder, or a loaded model, as of `load_model`.
        pairs: a file of rows with prompt, chosen and rejected, or pairs that are read already.
        tokenizer: of a model that is a transformers object.
        base: what an adapter is loaded around.
        tuned: the model after a training elsewhere; nothing is trained then.
        method: the loss: "dpo", "ipo", "hinge", "simpo", "dpo+nll" or "dpop".
        beta: of the loss; None for 0.1, and 2.0 with "simpo".
        recipe: "full", "lora", "mlp", "attention", or a recipe of preferences, which has its own method and beta.
        set: what is changed of the recipe.
        mitigations: "filter-ches", "random-subset", "nll", "dpop", or "all".
        forecast_only: stop before anything is trained.
        budget_minutes: refuse what would take longer.
        limit: audit the first so many pairs.
        chat_template: "model" or "none": how rows of messages are rendered.
        seed: of training, of a random subset, of bootstraps.
        keep: a folder for the tuned model.
        anew: make it even where the same audit is kept.
        device, dtype, memory_gib: where models are loaded, in which precision, and the most memory they may take.
        store: below which audits are kept.

    Raises:
        InputError: model or pairs cannot be used, or the audit would exceed its budget of time or memory.
        SettingsError: a setting of the recipe is refused.
        WorkError: the work failed.
    """
    from assay.audit.chats import chat_template_named
    from assay.audit.kept import KeptAudits
    from assay.audit.pairs import Pairs, read_pairs
    from assay.audit.preference import audit_pairs, pair_recipe
    from assay.core.device import on_device
    from assay.core.places import default_folder
    from assay.core.settings import digest
    from assay.models.pretrained.loading import LanguageModel, dtype_named

    read = pairs if isinstance(pairs, Pairs) else read_pairs(Path(pairs))
    read = read if limit is None else read.first(limit)
    chosen = changed_recipe(pair_recipe(recipe, method, beta) if isinstance(recipe, str) else recipe, set)
    folder = (default_folder() if store is None else Path(store)) / "audits"
    with on_device(device):
        before = model if isinstance(model, (str, Path, LanguageModel)) else load_model(model, tokenizer)
        after = tuned if tuned is None or isinstance(tuned, (str, Path, LanguageModel)) else load_model(tuned, tokenizer)
        _check_folders(before, base, after)
        called = before.name if isinstance(before, LanguageModel) else str(before)
        return audit_pairs(
            before,
            read,
            base=base,
            tuned=after,
            recipe=chosen,
            mitigations=names_of(mitigations),
            forecast_only=forecast_only,
            budget_minutes=budget_minutes,
            seed=seed,
            chat_template=chat_template_named(chat_template),
            folder=folder / digest([called, read.digest]),
            keep=None if keep is None else Path(keep),
            dtype=dtype_named(dtype),
            memory_gib=memory_gib,
            kept=KeptAudits(folder),
            anew=anew,
        )


def changed_recipe(recipe: "AnyRecipe", changes: Mapping[str, object] | Sequence[str]) -> "AnyRecipe":
    """The recipe with these of its settings.

    Args:
        recipe: of facts or of preferences.
        changes: by name, or as NAME=VALUE.

    Raises:
        SettingsError: a setting is unknown or out of range.
        UsageError: one has several values.
    """
    from assay.core.errors import UsageError
    from assay.core.settings import resolve, spelled

    said = [f"{name}={spelled(value)}" for name, value in changes.items()] if isinstance(changes, Mapping) else list(changes)
    grid = resolve(recipe, said, where=f"recipe {recipe.method}")
    if len(grid) > 1:
        raise UsageError("audit: a recipe takes one value a setting; got a list. Run once for each")
    return grid[0]


def names_of(mitigations: str | Sequence[str]) -> list[str]:
    """Names of mitigations, given one by one or by commas."""
    names = mitigations.split(",") if isinstance(mitigations, str) else mitigations
    return [name.strip() for name in names if name.strip()]


def _product(model: "LanguageModel", emulate: "Emulation", dtype: "Dtype") -> "LanguageModel":
    """The model with what tuning changed in a small one added to its log-probabilities."""
    from assay.audit.run import loaded_tuned
    from assay.models.emulated import Emulated
    from assay.models.pretrained.loading import LanguageModel

    given, reference, weight = emulate
    small = load_model(reference, dtype=dtype)
    tuned = given if isinstance(given, LanguageModel) else loaded_tuned(given, small)
    return Emulated(model, tuned, small, weight).language_model


def _check_folders(*models: object) -> None:
    """Nothing; the folders among them are held to their limits, see `check_own_folder`."""
    from assay.models.pretrained.named import check_own_folder

    for one in models:
        if isinstance(one, (str, Path)):
            check_own_folder(one)


def read_facts_with(
    file: Path,
    prompts: Mapping[str, str] | None = None,
    joint: str | None = None,
    suite: str | Path | None = None,
    texts: str | Path | None = None,
) -> "Facts":
    """The facts of a file, with the facts to keep and the plain sentences of other files, where they are named.

    Args:
        file: of the facts.
        prompts: how a relation is asked that the file does not say, by its name.
        joint: what stands between a row's prompt and completion; `\\n` and `\\t` mean a new line and a tabulator.
        suite, texts: the other files.

    Raises:
        InputError: a file cannot be read, or says something that cannot be meant.
    """
    from assay.worlds.facts.file import read_facts, with_suite, with_texts

    stated = None if joint is None else joint.replace("\\n", "\n").replace("\\t", "\t")
    facts = read_facts(file, prompts=dict(prompts or {}), joint=stated)
    if suite is not None:
        facts = with_suite(facts, read_facts(Path(suite), prompts=dict(prompts or {}), joint=stated))
    return facts if texts is None else with_texts(facts, Path(texts))
