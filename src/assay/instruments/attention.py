"""Attention as it forms: how much it rests on chosen tokens, and what breaks when a head or a row of it is taken away.

Reading: `patterns` gives every layer's attention of our own decoder, `attention_on` averages the weight that chosen query
positions put on chosen keys (a progress measure). Cutting: `Uniform` spreads chosen rows evenly over what they may see,
`Silent` stops a head; `knocked_out` gives the logits with cuts in place. The model is never changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from assay.core.errors import InputError
from assay.models.decoder import Decoder, Visitor

__all__ = ["Attended", "Silent", "Uniform", "attended", "attention_on", "knocked_out", "patterns"]


@dataclass(frozen=True)
class Uniform:
    """Attention of some rows spread evenly over the positions they may see.

    Attributes:
        layer: of the attention.
        rows: query positions; None for all. May differ between sequences: [batch, row].
        head: None for all heads.
    """

    layer: int
    rows: Int[Tensor, "..."] | tuple[int, ...] | None = None
    head: int | None = None


@dataclass(frozen=True)
class Silent:
    """A head (or all heads of a layer) that writes nothing."""

    layer: int
    head: int | None = None


class Attended(NamedTuple):
    """One pass through a decoder.

    Attributes:
        logits: [batch, pos, n_outputs].
        patterns: of every layer, [batch, head, query, key].
    """

    logits: Tensor
    patterns: tuple[Tensor, ...]


def attended(model: Decoder, inputs: Tensor, *, offset: Tensor | None = None, scores: bool = False) -> Attended:
    """Logits and attention weights of every layer, from one pass; with `scores` the numbers before the softmax."""
    seen: dict[int, Tensor] = {}
    wanted = "attn_scores" if scores else "pattern"

    def look(site: str, layer: int, value: Tensor) -> None:
        if site == wanted:
            seen[layer] = value.detach()

    with torch.no_grad():
        logits: Tensor = model(inputs, offset=offset, visit=look)
    return Attended(logits, tuple(seen[layer] for layer in range(model.config.n_layers)))


def patterns(
    model: Decoder, inputs: Tensor, *, offset: Tensor | None = None, scores: bool = False
) -> tuple[Float[Tensor, "*run batch head query key"], ...]:
    """Attention weights of every layer; with `scores` the numbers before the softmax."""
    return attended(model, inputs, offset=offset, scores=scores).patterns


def attention_on(
    pattern: Float[Tensor, "*run batch head query key"],
    queries: Int[Tensor, "batch q"],
    keys: Int[Tensor, "batch q"] | Int[Tensor, "batch q k"] | Bool[Tensor, "batch q key"],
) -> Float[Tensor, "*run head"]:
    """Mean over sequences and queries of the attention that each query puts on its keys; shares sum over a query's keys.

    Args:
        pattern: of one layer.
        queries: query positions of each sequence.
        keys: the key of each query, several keys of each, or a mask over all positions. A query without any key counts as 0.
    """
    rows = torch.arange(len(queries))[:, None]
    chosen = pattern.movedim(-3, 0)[..., rows, queries, :]  # [head, *run, batch, q, key]
    if keys.dtype == torch.bool:
        shares = (chosen * keys).sum(-1)
    else:
        keys = keys if keys.dim() == 3 else keys[..., None]
        shares = chosen.gather(-1, keys.expand(*chosen.shape[:-1], -1)).sum(-1)
    return shares.mean((-2, -1)).movedim(0, -1)


def knocked_out(
    model: Decoder, inputs: Tensor, *cuts: Uniform | Silent, at: int | None = None, offset: Tensor | None = None
) -> Tensor:
    """Logits with the cuts in place, at every position [batch, pos, n_outputs] or at position `at` [batch, n_outputs].

    Raises:
        InputError: a layer, head or row that the model or the sequences do not have.
    """
    for cut in cuts:
        model.config.check_site("pattern", cut.layer)
        if cut.head is not None and not 0 <= cut.head < model.config.n_heads:
            raise InputError(f"cut at layer {cut.layer}, head {cut.head}: this model has heads 0–{model.config.n_heads - 1}")
    by_layer: dict[int, list[Uniform | Silent]] = {}
    for cut in cuts:
        by_layer.setdefault(cut.layer, []).append(cut)
    with torch.no_grad():
        logits: Tensor = model(inputs, offset=offset, visit=_cutter(by_layer))
    return logits if at is None else logits[..., at, :]


def _cutter(by_layer: Mapping[int, list[Uniform | Silent]]) -> Visitor:
    def visit(site: str, layer: int, value: Tensor) -> Tensor | None:
        if site != "pattern" or layer not in by_layer:
            return None
        for cut in by_layer[layer]:
            value = _silenced(value, cut.head) if isinstance(cut, Silent) else _evened(value, cut)
        return value

    return visit


def _silenced(pattern: Tensor, head: int | None) -> Tensor:
    pattern = pattern.clone()
    pattern[..., slice(None) if head is None else slice(head, head + 1), :, :] = 0.0
    return pattern


def _evened(pattern: Tensor, cut: Uniform) -> Tensor:
    n_batch, n_heads, n_pos = pattern.shape[-4:-1]
    even = torch.ones(n_pos, n_pos, dtype=pattern.dtype).tril()
    even /= even.sum(-1, keepdim=True)
    chosen = torch.zeros(n_batch, 1, n_pos, 1, dtype=torch.bool)
    if cut.rows is None:
        chosen[:] = True
    else:
        rows = torch.as_tensor(cut.rows) % n_pos if _inside(cut.rows, n_pos) else None
        if rows is None:
            raise InputError(
                f"cut at layer {cut.layer}: rows must be positions of the sequence (0–{n_pos - 1}); got {cut.rows}"
            )
        chosen[torch.arange(n_batch)[:, None], 0, rows.expand(n_batch, -1), 0] = True
    if cut.head is not None:
        chosen = chosen & (torch.arange(n_heads) == cut.head)[None, :, None, None]
    return torch.where(chosen, even, pattern)


def _inside(rows: Tensor | tuple[int, ...], n_pos: int) -> bool:
    positions = torch.as_tensor(rows)
    return bool(((positions >= -n_pos) & (positions < n_pos)).all())
