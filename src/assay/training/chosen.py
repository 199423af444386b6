"""Which of a language model's parameters are trained: whole layers or parts, or low-rank updates beside them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from torch import nn

from assay.core.errors import SettingsError
from assay.models.pretrained.library import optional, quiet
from assay.models.pretrained.loading import LanguageModel
from assay.models.sites import FAMILIES, unwrapped
from assay.training.recipe import Recipe

__all__ = ["adapted_maps", "checkpointed", "chosen_names", "merged", "prepared", "split_embedding"]

BLOCK_NUMBER = re.compile(r"(?:^|\.)(\d+)\.")


def chosen_names(model: nn.Module, recipe: Recipe) -> list[str]:
    """The names of the parameters that a recipe's `layers` and `parts` speak of, in the model's order.

    Raises:
        SettingsError: a layer or part is not in the model.
    """
    whole = unwrapped(model)
    n_layers = int(whole.config.num_hidden_layers)
    if missing := [layer for layer in recipe.layers if not 0 <= layer < n_layers]:
        raise SettingsError(f"recipe: layers must be among 0–{n_layers - 1}; got {missing[0]}")
    embeddings = {id(whole.get_input_embeddings().weight), id(whole.get_output_embeddings().weight)}
    found, used = [], set[str]()
    for name, parameter in whole.named_parameters():
        number = BLOCK_NUMBER.search(name)
        embedding = id(parameter) in embeddings
        parts = {part for part in recipe.parts if _is_part(name, part, whole, embedding=embedding)}
        used |= parts
        in_layers = not recipe.layers or (number is not None and int(number[1]) in recipe.layers) or "embedding" in parts
        if in_layers and (parts or not recipe.parts):
            found.append(name)
    if unused := sorted(set(recipe.parts) - used):
        modules = sorted({name.rsplit(".", 2)[-2] for name, _ in whole.named_parameters() if BLOCK_NUMBER.search(name)})
        raise SettingsError(
            f"recipe: parts must be attention, mlp, norm, embedding or modules of the model; it has no '{unused[0]}'. "
            f"Modules of a block: {', '.join(modules)}"
        )
    return found


def _is_part(name: str, part: str, whole: Any, *, embedding: bool) -> bool:
    if part == "embedding":
        return embedding
    if part == "norm":
        return "norm" in name or ".ln_" in name
    if part in ("attention", "mlp"):
        family = next((family for family in FAMILIES if family.model_type == whole.config.model_type), None)
        if family is None:
            raise SettingsError(
                f"recipe: the part '{part}' is known for {', '.join(family.model_type for family in FAMILIES)}; "
                f"this model is '{whole.config.model_type}'. Name its modules instead"
            )
        return f".{family.attention if part == 'attention' else family.mlp}." in name
    return f".{name}".rsplit(".", 1)[0].endswith(f".{part}")


@contextmanager
def prepared(model: LanguageModel, recipe: Recipe, *, split: bool) -> Iterator[LanguageModel]:
    """The model with gradients wanted for what the recipe trains and for nothing else; wrapped in an adapter for `lora`.

    With `split`, an embedding that is also the read-out becomes a parameter of its own over the same memory, see
    `split_embedding`.
    """
    if recipe.method == "lora":
        if hasattr(model.model, "get_base_model"):
            raise SettingsError("recipe: lora needs a model without an adapter; this one has one. Call merged(model) first")
        try:
            yield _with_adapter(model, recipe)
        finally:
            model.model.eval()
        return
    whole, names = unwrapped(model.model), set(chosen_names(model.model, recipe))
    before = {name: parameter.requires_grad for name, parameter in whole.named_parameters()}
    for name, parameter in whole.named_parameters():
        parameter.requires_grad_(name in names)
    embedding, weight = whole.get_input_embeddings(), whole.get_output_embeddings().weight
    tied = split and weight.requires_grad and embedding.weight is weight and hasattr(embedding, "sparse")
    if tied:
        was_sparse, embedding.sparse, embedding.weight = embedding.sparse, True, nn.Parameter(weight.detach())
    try:
        yield model
    finally:
        if tied:
            embedding.sparse, embedding.weight = was_sparse, weight
        for name, parameter in whole.named_parameters():
            parameter.requires_grad_(before[name])
            parameter.grad = None
        model.model.eval()


@contextmanager
def checkpointed(model: nn.Module, recipe: Recipe) -> Iterator[None]:
    """Inside the block, where the recipe asks for it, a block's inner values are computed again for the gradient, not kept.

    Raises:
        SettingsError: the model cannot do that.
    """
    if not recipe.gradient_checkpointing:
        yield
        return
    whole = unwrapped(model)
    if not getattr(whole, "supports_gradient_checkpointing", False):
        raise SettingsError(
            f"recipe: gradient_checkpointing needs a model that supports it; '{whole.config.model_type}' does not. Lower "
            f"budget instead"
        )
    with quiet():
        whole.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    try:
        yield
    finally:
        with quiet():
            whole.gradient_checkpointing_disable()


def split_embedding(model: nn.Module) -> tuple[nn.Parameter, nn.Parameter] | None:
    """Of an embedding that is also the read-out and was split by `prepared`: the looked-up weights, and the read-out's.

    Both are the same memory, and the read-out's is what the optimiser moves. The gradient of the looked-up ones has the few
    rows that a batch touched; added where it lies, it spares every step a second gradient of the whole vocabulary.
    """
    whole = unwrapped(model)
    embedding, read_out = whole.get_input_embeddings(), whole.get_output_embeddings()
    if read_out is None or embedding.weight is read_out.weight or embedding.weight.data_ptr() != read_out.weight.data_ptr():
        return None
    return embedding.weight, read_out.weight


def adapted_maps(model: nn.Module, recipe: Recipe) -> dict[str, nn.Module]:
    """The linear maps that a recipe's low-rank updates stand beside, by name, in order.

    Raises:
        SettingsError: there are none, or a layer or part is not in the model.
    """
    whole, names = unwrapped(model), set(chosen_names(model, recipe))
    read_out = whole.get_output_embeddings()
    linear = {name: module for name, module in whole.named_modules() if _is_linear(module) and f"{name}.weight" in names}
    targets = sorted(name for name, module in linear.items() if module is not read_out or "embedding" in recipe.parts)
    if not targets:
        raise SettingsError("recipe: lora needs linear maps; the chosen layers and parts have none. Choose attention or mlp")
    return {name: linear[name] for name in targets}


def _with_adapter(model: LanguageModel, recipe: Recipe) -> LanguageModel:
    peft = optional("peft", "low-rank adapters")
    whole, targets = model.model, adapted_maps(model.model, recipe)
    config = peft.LoraConfig(
        r=recipe.lora_rank,
        lora_alpha=recipe.lora_alpha,
        lora_dropout=recipe.lora_dropout,
        target_modules=list(targets),
        fan_in_fan_out=any(type(module).__name__ == "Conv1D" for module in targets.values()),
        task_type="CAUSAL_LM",
    )
    with quiet():
        return replace(model, model=peft.get_peft_model(whole, config))


def merged(model: LanguageModel) -> LanguageModel:
    """The model with its adapter's update added to its weights; one without an adapter as it is."""
    if not hasattr(model.model, "merge_and_unload"):
        return model
    with quiet():
        return replace(model, model=model.model.merge_and_unload())


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"  # GPT-2's linear map, transposed
