"""What is certain of a model before and a model after, whatever is measured: said in sentences, without statistics."""

from collections.abc import Mapping
from typing import Any

import torch

from assay.audit.measuring import Tokens
from assay.core.text import visible
from assay.models.pretrained.loading import LanguageModel
from assay.models.sites import unwrapped

__all__ = ["other_tokens", "strangers"]

RELATED = 0.1  # cosine of the weights: unrelated models have 0 within 0.02, and training far enough for 0.1 leaves no model
SAMPLE = 12  # matrices


def strangers(base: LanguageModel, tuned: LanguageModel) -> str:
    """A sentence where one model cannot be a tuned version of the other; empty where it can."""
    one, other = unwrapped(base.model), unwrapped(tuned.model)
    if hasattr(tuned.model, "get_base_model"):  # an adapter, which was loaded around this base
        return ""
    named = f"'{visible(tuned.name)}' is no tuned version of '{visible(base.name)}'"
    shapes = [_shape(model) for model in (one, other)]
    if shapes[0] != shapes[1]:
        return f"{named}: {_told(shapes[1])} against {_told(shapes[0])}. What is measured is the difference of two models."
    likeness = _likeness(one, other)
    if likeness is not None and likeness < RELATED:
        return (
            f"{named}: their weights have nothing in common (cosine {likeness:.2f}). What is measured is the difference of two "
            f"models."
        )
    return ""


def other_tokens(base: LanguageModel, tuned: LanguageModel, before: Tokens, after: Tokens) -> str:
    """A sentence where the two models' tokenizers differ; empty where they are the same."""
    if before is after:
        return ""
    cut = [pair for pair, tokens in before.items() if after[pair] != tokens]
    own, theirs = _vocabulary(base), _vocabulary(tuned)
    if cut:
        prompt, completion = cut[0]
        return (
            f"The tokenizers of '{visible(base.name)}' and '{visible(tuned.name)}' differ: {len(cut)} of {len(before)} texts "
            f"have other tokens, e.g. '{visible(prompt + completion)[-60:]}'. Probabilities are those of the same texts."
        )
    if own != theirs:
        added = sorted(theirs.keys() - own.keys())
        which = f" ({', '.join(visible(token)[:40] for token in added[:3])})" if added else ""
        count = len(own.items() ^ theirs.items())
        return (
            f"The tokenizers of '{visible(base.name)}' and '{visible(tuned.name)}' differ by {count} tokens{which}, none of "
            f"which is asked about."
        )
    return ""


def _shape(model: Any) -> tuple[str, int, int]:
    config = model.config
    return str(config.model_type), int(config.num_hidden_layers), int(config.hidden_size)


def _told(shape: tuple[str, int, int]) -> str:
    return f"{visible(shape[0])} of {shape[1]} layers and width {shape[2]}"


def _likeness(one: Any, other: Any) -> float | None:
    """The cosine of the weights of some matrices that both have; None without any."""
    theirs: Mapping[str, torch.Tensor] = dict(other.named_parameters())
    skipped = {id(one.get_input_embeddings().weight)}
    common = [
        (value, theirs[name])
        for name, value in one.named_parameters()
        if value.dim() == 2 and id(value) not in skipped and name in theirs and theirs[name].shape == value.shape
    ]
    if not common:
        return None
    some = common[:: max(1, len(common) // SAMPLE)]
    products = torch.zeros(3, dtype=torch.float64)
    with torch.no_grad():
        for a, b in some:
            x, y = a.flatten().float(), b.flatten().float().to(a.device)
            products += torch.stack([x @ y, x @ x, y @ y]).double().cpu()
    return float(products[0] / (products[1] * products[2]).sqrt().clamp_min(1e-30))


def _vocabulary(model: LanguageModel) -> dict[str, int]:
    found: dict[str, int] = model.tokenizer.get_vocab()
    return found
