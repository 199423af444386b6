"""The logit lens: what the stream, or a single token's value vector, would say if the model stopped there.

Source: nostalgebraist 2020, "interpreting GPT: the logit lens"; on values, Guo et al. 2025, arXiv:2502.13913, section 4.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from assay.core.errors import InputError
from assay.models.decoder import Decoder
from assay.models.sites import resid_post, resid_pre, site_map, unwrapped
from assay.studies.mechanisms.two_hop_reasoning.patching import values_at

__all__ = ["diagonal_margin", "logit_lens", "unembedded", "value_lens"]

FINAL_NORM = {"model.layers": "model.norm", "transformer.h": "transformer.ln_f", "gpt_neox.layers": "gpt_neox.final_layer_norm"}


def unembedded(model: nn.Module, stream: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos vocab"]:
    """Logits that the model's own final norm and read-out give for stream vectors (before any soft cap).

    Raises:
        InputError: the architecture has no site map.
    """
    if isinstance(model, Decoder):
        return model.read_out(model.final_norm(stream))
    norm = unwrapped(model).get_submodule(FINAL_NORM[site_map(model).family.layers])
    logits: Tensor = unwrapped(model).get_output_embeddings()(norm(stream))
    return logits


def logit_lens(model: nn.Module, tokens: Tensor, layers: Sequence[int]) -> tuple[Float[Tensor, "batch pos vocab"], ...]:
    """Logits read from the stream after each of the layers; after the last layer they are the model's own."""
    with torch.no_grad():
        kept = values_at(model, tokens, [resid_post(layer) for layer in layers])
        return tuple(unembedded(model, kept[resid_post(layer)]) for layer in layers)


def value_lens(model: Decoder, tokens: Tensor, *, layer: int, head: int = 0) -> Float[Tensor, "batch pos vocab"]:
    """What each position would say if a head copied its value alone: read-out of final norm of (W_OV of the normed stream).

    Raises:
        InputError: the model has no such layer or head.
    """
    model.config.check_site("resid_pre", layer)
    if not 0 <= head < model.config.n_heads:
        raise InputError(f"value lens at layer {layer}, head {head}: this model has heads 0–{model.config.n_heads - 1}")
    with torch.no_grad():
        stream = values_at(model, tokens, [resid_pre(layer)])[resid_pre(layer)]
        return unembedded(model, model.values_of(stream, layer=layer)[..., head, :, :])


def diagonal_margin(
    logits: Float[Tensor, "batch pos vocab"], own: Tensor, *, positions: Tensor | slice = slice(None)
) -> Float[Tensor, "batch pos"]:
    """How far each position's own token stands above the best other token, in logits; positive where the lens is diagonal.

    Args:
        logits: of a lens.
        own: the token of each position, [batch, pos].
        positions: which positions are read.
    """
    logits, own = logits[:, positions], own[:, positions, None]
    others = logits.scatter(-1, own, float("-inf")).amax(-1)
    return logits.gather(-1, own).squeeze(-1) - others
