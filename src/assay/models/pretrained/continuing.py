"""A prompt of a pretrained model that is being continued: the cache of the prompt, copied for every continuation."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from assay.core.errors import InputError
from assay.models.pretrained.library import optional
from assay.models.pretrained.loading import LanguageModel
from assay.models.sites import unwrapped

__all__ = ["PretrainedContinuation"]


class PretrainedContinuation:
    """Rows that continue one prompt; a model that keeps another kind of state than keys and values is run on whole texts."""

    def __init__(self, model: LanguageModel, prompt: Sequence[int], n: int, n_new: int) -> None:
        whole = unwrapped(model.model)
        most = getattr(whole.config, "max_position_embeddings", None)
        if isinstance(most, int) and len(prompt) + n_new > most:
            raise InputError(
                f"a prompt with its continuation must have at most {most} tokens for this model; got {len(prompt)} and "
                f"{n_new}. Shorten it, or lower n_new"
            )
        self.model = model.model
        self.last = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(type(whole).forward).parameters else {}
        self.cache: Any = None
        if not getattr(whole, "_is_stateful", False):
            self.cache = optional("transformers", "a pretrained language model").DynamicCache(config=whole.config)
        self.texts: Int[Tensor, "row pos"] = torch.tensor([list(prompt)], device=model.device)
        self.next = self._run(self.texts).expand(n, -1)
        self.texts = self.texts.expand(n, -1)
        if self.cache is not None:
            self.cache.batch_repeat_interleave(n)

    def logits(self) -> Float[Tensor, "row vocab"]:
        """Of the next token of every row that is left."""
        return self.next

    def extend(self, tokens: Int[Tensor, " row"], kept: Sequence[int]) -> None:
        """Goes on with these rows only, each with its token behind it."""
        if self.cache is None:
            self.texts = torch.cat([self.texts[list(kept)], tokens[:, None]], dim=1)
            self.next = self._run(self.texts)
            return
        if len(kept) < len(self.next):
            self.cache.batch_select_indices(torch.tensor(kept, device=tokens.device))
        self.next = self._run(tokens[:, None])

    def _run(self, tokens: Int[Tensor, "row pos"]) -> Float[Tensor, "row vocab"]:
        """Logits behind the last of these tokens."""
        given = {"use_cache": False} if self.cache is None else {"past_key_values": self.cache, "use_cache": True}
        logits: Tensor = self.model(input_ids=tokens, **given, **self.last).logits[:, -1]
        return logits
