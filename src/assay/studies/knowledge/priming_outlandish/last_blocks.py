"""The last blocks of a pretrained model, which alone are trained, behind what its other blocks made of every text once.

While the last blocks are trained and asked, what stands below them stays as it is. So each sequence passes through the first
blocks a single time; from then on its residual stream in front of the last ones is put there instead.

A model that cannot be packed, or whose blocks are not known, is run whole: the same numbers in more time.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from assay.core.seeds import Seeds
from assay.models.changes import Change
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.packing import Reading, evaluating, pack, packs_exactly, read_logits, readings
from assay.models.pretrained.text import TokenPair, token_pairs
from assay.models.sites import FAMILIES, captured, patched, resid_pre, site_map, unwrapped
from assay.training.chosen import chosen_names
from assay.training.finetune import finetune_batches
from assay.training.recipe import Recipe

__all__ = ["LastBlocks"]


class LastBlocks:
    """A model of which only the last blocks are run.

    Attributes:
        model: the whole of it.
        layers: the blocks that may be trained.
    """

    def __init__(self, model: LanguageModel, n_blocks: int) -> None:
        config = unwrapped(model.model).config
        n_layers = int(config.num_hidden_layers)
        self.model = model
        self.layers = tuple(range(max(0, n_layers - n_blocks), n_layers))
        known = any(family.model_type == config.model_type for family in FAMILIES)
        self._blocks: tuple[nn.Module, ...] = site_map(model.model).blocks if known and packs_exactly(model.model) else ()
        self._below: dict[tuple[int, ...], Tensor] = {}
        self._still = Change.between(model, model)

    def trained(
        self, examples: Sequence[tuple[str, str]], batches: Sequence[Sequence[int]], recipe: Recipe, *, seeds: Seeds
    ) -> Change:
        """How training on these batches changes the last blocks; afterwards, on error too, they are what they were, to the bit.

        Args:
            examples: (prompt, completion) pairs, as `finetune_batches` takes them.
            batches: the examples of each step.
            recipe: how; its layers are the last blocks.
            seeds: as for `finetune_batches`.

        Raises:
            InputError: an example cannot be tokenised, or is longer than the model can take.
            Diverged: the loss or the gradient left the finite numbers.
        """
        recipe = replace(recipe, layers=self.layers)
        weights = dict(unwrapped(self.model.model).named_parameters())
        before = {name: weights[name].detach().clone() for name in chosen_names(self.model.model, recipe)}
        pairs = token_pairs(self.model.tokenizer, examples)
        try:
            with self.passes([[pairs[i] for i in batch] for batch in batches]):
                finetune_batches(self.model, examples, batches, recipe, seeds=seeds)
            return replace(self._still, tensors={name: weights[name].detach() - old for name, old in before.items()})
        finally:
            with torch.no_grad():
                for name, old in before.items():
                    weights[name].copy_(old)

    @contextmanager
    def passes(self, of: Sequence[Sequence[TokenPair]]) -> Iterator[None]:
        """Inside the block the model makes just these forward passes by its last blocks alone, each of such sequences in a row.

        Args:
            of: the sequences of every pass, in order.
        """
        first = self.layers[0]
        if not self._blocks or first == 0:
            yield
            return
        self._look_below([pair for some in of for pair in some])
        rows = iter([torch.cat([self._below[_laid(pair)] for pair in some], 1) for some in of])

        def put(hidden: Tensor) -> Tensor:
            row = next(rows)
            assert row.shape == hidden.shape, "passes must be made as they were announced"
            return row

        with _left_out(self._blocks[:first]), patched(self.model.model, {resid_pre(first): put}):
            yield

    def readings(self, pairs: Sequence[TokenPair]) -> list[Reading]:
        """What the model as it is now says of every completion token of the pairs."""
        rows = pack(pairs, share=False)
        with self.passes([[pairs[i] for i in dict.fromkeys(row.owner.tolist())] for row in rows]):
            return list(readings(self.model.model, pairs, share=False))

    @torch.no_grad()
    def _look_below(self, pairs: Sequence[TokenPair]) -> None:
        """Keep what the first blocks make of sequences that they have not seen yet."""
        new = [pair for laid, pair in {_laid(pair): pair for pair in pairs}.items() if laid not in self._below]
        first = resid_pre(self.layers[0])
        with evaluating(self.model.model), captured(self.model.model, [first]) as seen, _left_out(self._blocks[first.layer :]):
            for row in pack(new, share=False):
                some = [new[i] for i in dict.fromkeys(row.owner.tolist())]
                read_logits(self.model.model, row)
                laid = [_laid(pair) for pair in some]
                self._below.update(zip(laid, torch.split(seen[first], [len(tokens) for tokens in laid], 1), strict=True))


def _laid(pair: TokenPair) -> tuple[int, ...]:
    """The tokens of a sequence that a pass computes: all but the last."""
    return (*pair.context, *pair.completion)[:-1]


@contextmanager
def _left_out(blocks: Sequence[nn.Module]) -> Iterator[None]:
    """Inside the block these blocks of a model hand on what they receive."""

    def hand_on(hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        return hidden_states

    for block in blocks:
        block.forward = hand_on
    try:
        yield
    finally:
        for block in blocks:
            del block.forward
