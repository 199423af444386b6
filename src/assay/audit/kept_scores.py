"""Log-probabilities of many token sequences, kept in parts on disk, so that a measurement that was killed goes on."""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial

import torch

from assay.core.errors import WorkError
from assay.core.settings import digest
from assay.instruments.scoring import score_tokens
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.text import TokenPair
from assay.models.sites import unwrapped
from assay.store.memo import Memos

__all__ = ["PART", "kept_log_probs", "weights_digest"]

PART = 512  # pairs between two saves: a minute at most on a model of 135 million weights


def kept_log_probs(
    model: LanguageModel,
    pairs: Sequence[TokenPair],
    *,
    memos: Memos | None = None,
    on_part: Callable[[int], None] | None = None,
) -> list[float]:
    """Log-probability of every completion as a whole, in nats; parts that were kept for these weights are read again.

    Args:
        model: any causal language model.
        pairs: contexts and completions; those that begin alike share their beginning if they stand together.
        memos: where parts are kept; None keeps nothing.
        on_part: called with the number of pairs that are done.

    Raises:
        WorkError: logits or log-probabilities are not finite, or memory ran out.
        StoreError: parts cannot be written.
    """
    weights = weights_digest(model) if memos is not None else ""
    found: list[float] = []
    for start in range(0, len(pairs), PART):
        some = pairs[start : start + PART]
        found += _scored(model, some) if memos is None else _kept(model, some, memos, weights)
        if on_part is not None:
            on_part(len(found))
    return found


def weights_digest(model: LanguageModel) -> str:
    """SHA-256 over names, shapes and values of all weights as they are now, and over the configuration's kind."""
    text = hashlib.sha256(str(unwrapped(model.model).config.model_type).encode())
    for name, value in model.model.state_dict().items():
        text.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        text.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return text.hexdigest()


def _kept(model: LanguageModel, pairs: Sequence[TokenPair], memos: Memos, weights: str) -> list[float]:
    plain = [[pair.context, pair.completion] for pair in pairs]
    key = {"weights": weights, "pairs": digest(plain), "threads": torch.get_num_threads()}
    values: list[float] = memos.json("log-probs", key, partial(_scored, model, pairs))
    return values


def _scored(model: LanguageModel, pairs: Sequence[TokenPair]) -> list[float]:
    values: list[float] = score_tokens(model.model, pairs, ranked=set()).log_prob.tolist()
    if not all(value > -float("inf") for value in values):
        raise WorkError("log-probabilities must be finite; some are not. Load the model in float32, or train it less hard")
    return values
