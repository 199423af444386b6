"""Prompts of a pretrained model that are being continued: computed once each, and the cache copied for every continuation."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from assay.core.errors import InputError
from assay.models.pretrained.library import optional
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.packing import longest_packed, packs_exactly
from assay.models.sites import unwrapped

__all__ = ["PretrainedContinuation", "pads_exactly"]


def pads_exactly(model: LanguageModel, length: int) -> bool:
    """Whether texts of different length, up to this one, can share a batch: the model honours a mask and given positions."""
    return packs_exactly(model.model) and length <= longest_packed(model.model)


class PretrainedContinuation:
    """Rows that continue prompts, which differ in length only where the model `pads_exactly`; one run.

    Shorter prompts have padding in front that nothing attends to. A model that keeps another kind of state than keys and values
    is run on whole texts.
    """

    def __init__(self, model: LanguageModel, prompts: Sequence[Sequence[int]], n: int, n_new: int) -> None:
        whole = unwrapped(model.model)
        most = getattr(whole.config, "max_position_embeddings", None)
        longest = max(map(len, prompts))
        if isinstance(most, int) and longest + n_new > most:
            raise InputError(
                f"a prompt with its continuation must have at most {most} tokens for this model; got {longest} and "
                f"{n_new}. Shorten it, or lower n_new"
            )
        self.model, self.whole = model.model, whole
        self.last = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(type(whole).forward).parameters else {}
        self.lengths = torch.tensor([len(prompt) for prompt in prompts], device=model.device)
        self.seen: Bool[Tensor, "row pos"] | None = None  # which places of each row hold its text; None for all
        self.cache: Any = None
        if not getattr(whole, "_is_stateful", False):
            dynamic = optional("transformers", "a pretrained language model").DynamicCache
            # Layers of a window keep the window alone; where padding is among the keys, all of them are kept.
            padded = len(set(self.lengths.tolist())) > 1
            made = getattr(whole, "empty_cache", None)  # of a product of models
            self.cache = made() if made is not None else dynamic() if padded else dynamic(config=whole.config)
            self.seen = torch.arange(longest, device=model.device) >= longest - self.lengths[:, None] if padded else None
        rows = [[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
        self.texts: Int[Tensor, "row pos"] = torch.tensor(rows, device=model.device)
        self.next = self._run(self.texts).repeat_interleave(n, 0)
        self.texts, self.lengths = self.texts.repeat_interleave(n, 0), self.lengths.repeat_interleave(n)
        self.seen = None if self.seen is None else self.seen.repeat_interleave(n, 0)
        if self.cache is not None:
            self.cache.batch_repeat_interleave(n)

    def logits(self) -> Float[Tensor, "run row vocab"]:
        """Of the next token of every row that is left."""
        return self.next[None]

    def extend(self, tokens: Int[Tensor, "run row"], kept: Int[Tensor, "run row"] | None) -> None:
        """Goes on with the rows at `kept`, each with its token behind it; None keeps all as they are."""
        if kept is not None:
            self.texts, self.lengths = self.texts[kept[0]], self.lengths[kept[0]]
            self.seen = None if self.seen is None else self.seen[kept[0]]
            if self.cache is not None:
                self.cache.batch_select_indices(kept[0])
        self.texts = torch.cat([self.texts, tokens[0][:, None]], dim=1)
        self.lengths = self.lengths + 1
        if self.seen is not None:
            self.seen = torch.cat([self.seen, torch.ones_like(self.seen[:, :1])], dim=1)
        self.next = self._run(self.texts if self.cache is None else tokens[0][:, None])

    def _run(self, tokens: Int[Tensor, "row pos"]) -> Float[Tensor, "row vocab"]:
        """Logits behind the last of these tokens."""
        given = {"use_cache": False} if self.cache is None else {"past_key_values": self.cache, "use_cache": True}
        if self.seen is not None:
            n_new, n_seen = tokens.shape[1], self.seen.shape[1]
            place = torch.arange(n_seen, device=tokens.device)
            own = place == place[-n_new:, None]  # padding attends to itself: a row of nothing has no softmax
            mask = (self.seen[:, None] & (place <= place[-n_new:, None])) | own
            given |= {
                "attention_mask": self._additive(mask[:, None]),
                "position_ids": (self.lengths[:, None] - n_seen + place[-n_new:]).clamp_min(0),
            }
        logits: Tensor = self.model(input_ids=tokens, **given, **self.last).logits[:, -1]
        return logits

    def _additive(self, mask: Bool[Tensor, "row 1 new seen"]) -> Tensor:
        """The mask as the model's attention takes it."""
        if self.whole.config._attn_implementation == "sdpa":
            return mask
        dtype = next(self.whole.parameters()).dtype
        return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, torch.finfo(dtype).min)
