"""Many token sequences in one forward pass, each as if it stood alone, without padding, with logits only where they are read.

Sequences are laid into one row. A token attends to its own predecessors only, through a mask, and has the position it would
have alone. Sequences that begin alike share the tokens of their common beginning: the row is a forest, and a token's
predecessors are its ancestors. What is computed is the same sum of the same terms; only the order of floating-point additions
may differ.

The last token of a sequence is never computed, because nothing is read behind it.

This needs a model whose attention honours a mask and given positions. `packs_exactly` finds out by trying, so that no list of
architectures has to be kept; models that do not (state-space layers, biases on distances) are run in batches of equal length.
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from assay.core.errors import WorkError
from assay.models.pretrained.library import optional
from assay.models.pretrained.text import TokenPair
from assay.models.sites import unwrapped

__all__ = [
    "BUDGET",
    "Pack",
    "Prefix",
    "Reading",
    "alone",
    "evaluating",
    "longest_packed",
    "pack",
    "packs_exactly",
    "read_logits",
    "readings",
    "shared_prefix",
]

BUDGET = 256  # tokens of a row: enough for full speed of matrix products on a CPU, and attention still costs little


@dataclass(frozen=True)
class Pack:
    """One row of tokens and what is read from it.

    Attributes:
        tokens: the row.
        positions: of each token in its own sequence.
        mask: which tokens a token may attend to (itself and its ancestors), those of a cached prefix first.
        read: at which tokens logits are read.
        row: for each scored token, which of the read logits speaks of it.
        target: the scored token's id.
        owner: which sequence of the call it belongs to; the tokens of a sequence stand in order.
    """

    tokens: Int[Tensor, " node"]
    positions: Int[Tensor, " node"]
    mask: Bool[Tensor, "node seen"]
    read: Int[Tensor, " read"]
    row: Int[Tensor, " scored"]
    target: Int[Tensor, " scored"]
    owner: Int[Tensor, " scored"]


@dataclass(frozen=True)
class Prefix:
    """Keys and values of a beginning that all sequences share, [1, head, pos, d_head] a layer."""

    tokens: tuple[int, ...]
    layers: tuple[tuple[Tensor, Tensor], ...]


class _Row:
    """A row that is being laid: tokens, their parents, and what is scored."""

    def __init__(self, skip: int) -> None:
        self.skip = skip  # tokens of the cached prefix, which are not laid again
        self.tokens, self.parents, self.depths = list[int](), list[int](), list[int]()
        self.children: dict[tuple[int, int], int] = {}
        self.scored: list[tuple[int, int, int]] = []  # (node whose logits are read, target, owner)

    def missing(self, pair: TokenPair, share: bool) -> int:
        """How many tokens the pair would add."""
        laid = (*pair.context, *pair.completion)[self.skip : -1]
        if not share:
            return len(laid)
        node = -1
        for known, token in enumerate(laid):
            if (node, token) not in self.children:
                return len(laid) - known
            node = self.children[node, token]
        return 0

    def add(self, owner: int, pair: TokenPair, share: bool) -> None:
        whole, node = (*pair.context, *pair.completion), -1
        for index in range(self.skip, len(whole)):
            if index >= len(pair.context):
                self.scored.append((node, whole[index], owner))
            if index == len(whole) - 1:
                break
            following = self.children.get((node, whole[index])) if share else None
            if following is None:
                following = len(self.tokens)
                self.children[node, whole[index]] = following
                self.tokens.append(whole[index])
                self.parents.append(node)
                self.depths.append(index)
            node = following

    def done(self) -> Pack:
        count = len(self.tokens)
        mask = np.zeros((count, self.skip + count), dtype=bool)
        mask[:, : self.skip] = True
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                mask[node] = mask[parent]
            mask[node, self.skip + node] = True
        read = sorted({node for node, _, _ in self.scored})
        place = {node: row for row, node in enumerate(read)}
        nodes, targets, owners = zip(*self.scored, strict=True)
        return Pack(
            tokens=torch.tensor(self.tokens),
            positions=torch.tensor(self.depths),
            mask=torch.from_numpy(mask),
            read=torch.tensor(read),
            row=torch.tensor([place[node] for node in nodes]),
            target=torch.tensor(targets),
            owner=torch.tensor(owners),
        )


def pack(pairs: Sequence[TokenPair], *, budget: int = BUDGET, share: bool = True, skip: int = 0) -> list[Pack]:
    """Rows of at most about `budget` tokens that hold all sequences; a sequence longer than that has a row of its own.

    Args:
        pairs: contexts and the completions whose tokens are scored.
        budget: tokens a row.
        share: lay common beginnings once. Without it sequences stay apart, as dropout in training needs.
        skip: how many leading tokens are in a cached prefix; fewer than every context has.
    """
    wholes = [(*pair.context, *pair.completion) for pair in pairs]
    order = sorted(range(len(pairs)), key=wholes.__getitem__) if share else list(range(len(pairs)))
    packs, row = [], _Row(skip)
    for owner in order:
        length = len(wholes[owner]) - 1 - skip
        new = row.missing(pairs[owner], share)
        # A sequence that shares most of its tokens with the row is cheaper here than in a row of its own, up to a limit.
        fits = len(row.tokens) + new <= (budget if 2 * new > length else 4 * budget)
        if row.tokens and not fits:
            packs.append(row.done())
            row = _Row(skip)
        row.add(owner, pairs[owner], share)
    if row.scored:
        packs.append(row.done())
    return packs


def alone(pairs: Sequence[TokenPair], *, budget: int = BUDGET) -> Iterator[tuple[Int[Tensor, "batch pos"], list[int]]]:
    """Batches of sequences of equal length, less their last token, and which they are: for models that cannot be packed."""
    wholes = [(*pair.context, *pair.completion) for pair in pairs]
    by_length = sorted(range(len(pairs)), key=lambda index: (len(wholes[index]), wholes[index]))
    start = 0
    while start < len(by_length):
        length = len(wholes[by_length[start]])
        most = max(1, budget // max(length - 1, 1))
        stop = start
        while stop < len(by_length) and stop - start < most and len(wholes[by_length[stop]]) == length:
            stop += 1
        chosen = by_length[start:stop]
        yield torch.tensor([wholes[index][:-1] for index in chosen]), chosen
        start = stop


@dataclass(frozen=True)
class Reading:
    """What one forward pass says about scored tokens.

    Attributes:
        logits: at the places that are read.
        row: for each scored token, which of them speaks of it.
        target: its id.
        owner: which pair of the call it belongs to; the tokens of a pair come in order.
    """

    logits: Float[Tensor, "read vocab"]
    row: Int[Tensor, " scored"]
    target: Int[Tensor, " scored"]
    owner: list[int]


def readings(
    model: nn.Module, pairs: Sequence[TokenPair], *, budget: int = BUDGET, share: bool = True, whole: bool = False
) -> Iterator[Reading]:
    """Forward passes that together speak of every completion token of the pairs once.

    Args:
        model: a causal language model; one that cannot be packed is run on batches of equal length.
        pairs: contexts and completions.
        budget: tokens of a pass.
        share: compute common beginnings once, also from a cache; only where nothing is trained.
        whole: all pairs in one pass, whatever the budget; for processes that must make equally many passes.
    """
    device = next(model.parameters()).device
    longest = longest_packed(model) if packs_exactly(model) else 0
    lengths = [len(pair.context) + len(pair.completion) for pair in pairs]
    short = [index for index, length in enumerate(lengths) if length <= longest]
    some = [pairs[index] for index in short]
    prefix = shared_prefix(model, some) if share else None
    for row in pack(some, budget=sum(lengths) if whole else budget, share=share, skip=len(prefix.tokens) if prefix else 0):
        owner = [short[index] for index in row.owner.tolist()]
        yield Reading(read_logits(model, row, prefix=prefix), row.row.to(device), row.target.to(device), owner)
    long = [index for index, length in enumerate(lengths) if length > longest]
    some = [pairs[index] for index in long]
    for tokens, chosen in alone(some, budget=budget):
        logits = model(input_ids=tokens.to(device), use_cache=False).logits
        places, targets, owner = [], list[int](), list[int]()
        for row_index, index in enumerate(chosen):
            pair = some[index]
            places += [row_index * tokens.shape[1] + len(pair.context) - 1 + step for step in range(len(pair.completion))]
            targets += pair.completion
            owner += [long[index]] * len(pair.completion)
        read = logits.flatten(0, 1)[torch.tensor(places, device=device)]
        yield Reading(read, torch.arange(len(places), device=device), torch.tensor(targets, device=device), owner)


def read_logits(model: nn.Module, pack: Pack, *, prefix: Prefix | None = None) -> Float[Tensor, "read vocab"]:
    """Logits at the places that are read, computed by the model itself."""
    whole, device = unwrapped(model), next(model.parameters()).device
    given: dict[str, Any] = {
        "input_ids": pack.tokens[None].to(device),
        "position_ids": pack.positions[None].to(device),
        "attention_mask": _attention_mask(whole, pack.mask.to(device)),
        "use_cache": False,
    }
    if prefix is not None:
        given |= {"past_key_values": _cache_of(prefix), "use_cache": True}
    if "logits_to_keep" in inspect.signature(type(whole).forward).parameters:
        logits: Tensor = model(**given, logits_to_keep=pack.read.to(device)).logits[0]
    else:
        logits = model(**given).logits[0, pack.read.to(device)]
    if len(logits) != len(pack.read):
        raise WorkError(
            f"the model must return logits at {len(pack.read)} positions; it returned {len(logits)}. Report its architecture"
        )
    return logits


def shared_prefix(model: nn.Module, pairs: Sequence[TokenPair], *, least: int = 16) -> Prefix | None:
    """Keys and values of the beginning that all contexts share, if it has at least `least` tokens; else None."""
    if len(pairs) < 2:
        return None
    first, last = min(pair.context for pair in pairs), max(pair.context for pair in pairs)
    length = 0
    # One token of every context stays outside, because logits are read from laid tokens.
    most = min(len(pair.context) for pair in pairs) - 1
    while length < most and first[length] == last[length]:
        length += 1
    if length < least:
        return None
    device = next(model.parameters()).device
    tokens = torch.tensor(first[:length], device=device)[None]
    given: dict[str, Any] = {"input_ids": tokens, "past_key_values": _empty_cache(), "use_cache": True}
    if "logits_to_keep" in inspect.signature(type(unwrapped(model)).forward).parameters:
        given["logits_to_keep"] = 1
    found = model(**given).past_key_values
    return Prefix(first[:length], tuple((layer.keys, layer.values) for layer in found.layers))


def longest_packed(model: nn.Module) -> int:
    """How many tokens a packed sequence may have: the window of a model whose attention slides, else practically unbounded."""
    config = unwrapped(model).config
    windows = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
    return min([window for window in windows if isinstance(window, int)], default=2**31)


_exact: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


def packs_exactly(model: nn.Module) -> bool:
    """Whether packed logits equal those of every sequence alone, tried once for each model on a few tokens.

    The tolerance is far below what an ignored mask or position would change, and far above rounding; so it is tried in the
    weights' own precision, also where passes are to be made in a lower one.
    """
    whole = unwrapped(model)
    if whole not in _exact:
        device = next(model.parameters()).device.type
        with evaluating(model), torch.no_grad(), torch.autocast(device, enabled=False):
            _exact[whole] = _try_packing(model, whole)
    return _exact[whole]


def _try_packing(model: nn.Module, whole: Any) -> bool:
    if getattr(whole.config, "_attn_implementation", None) not in ("sdpa", "eager"):
        return False
    size = int(whole.get_input_embeddings().weight.shape[0])
    draw = np.random.default_rng(0).integers(0, size, size=12).tolist()
    start, left, right, other = tuple(draw[:3]), tuple(draw[3:6]), tuple(draw[6:8]), tuple(draw[8:12])
    pairs = [TokenPair(start, left), TokenPair(start, right), TokenPair(other[:2], other[2:])]
    (row,) = pack(pairs)
    try:
        got = read_logits(model, row)[row.row].float()
        device = row_device = next(model.parameters()).device
        expected = torch.cat(
            [
                model(input_ids=torch.tensor([*pair.context, *pair.completion[:-1]], device=device)[None], use_cache=False)
                .logits[0, len(pair.context) - 1 :]
                .float()
                for pair in pairs
            ]
        )
        in_order = torch.cat([got[row.owner.to(row_device) == owner] for owner in range(len(pairs))])
    except (TypeError, ValueError, RuntimeError, NotImplementedError, WorkError):
        return False  # the model takes no such mask, positions or selection: it is run in plain batches
    rounding = torch.finfo(next(model.parameters()).dtype).eps ** 0.5
    return bool((in_order - expected).abs().max() <= max(rounding, 1e-3) * expected.std())


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Inside the block the model is in evaluation mode (no dropout); afterwards as it was."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _attention_mask(whole: Any, allowed: Bool[Tensor, "node seen"]) -> Tensor:
    if whole.config._attn_implementation == "sdpa":
        return allowed[None, None]
    dtype = next(whole.parameters()).dtype
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill(~allowed, torch.finfo(dtype).min)[
        None, None
    ]


def _empty_cache() -> Any:
    return optional("transformers", "a pretrained language model").DynamicCache()


def _cache_of(prefix: Prefix) -> Any:
    """A cache of its own for one forward pass, which will add to it."""
    cache = _empty_cache()
    for layer, (keys, values) in enumerate(prefix.layers):
        cache.update(keys, values, layer)
    return cache
