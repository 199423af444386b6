"""Log-probabilities of many token sequences, kept in parts on disk, so that a measurement that was killed goes on."""

import hashlib
from collections.abc import Sequence
from functools import partial

import torch

from assay.core.errors import WorkError
from assay.core.progress import progress
from assay.core.settings import digest
from assay.instruments.scoring import score_tokens
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.packing import BUDGET
from assay.models.pretrained.text import TokenPair
from assay.models.sites import unwrapped
from assay.store.memo import Memos

__all__ = ["PART", "log_probs", "weights_digest"]

PART = 512  # pairs between two saves: a minute at most on a model of 135 million weights


def log_probs(
    model: LanguageModel, pairs: Sequence[TokenPair], *, memos: Memos | None = None, budget: int = BUDGET
) -> list[float]:
    """Log-probability of every completion as a whole, in nats; parts that were kept for these weights are read again.

    Args:
        model: any causal language model.
        pairs: contexts and completions; those that begin alike share their beginning if they stand together.
        memos: where parts are kept; None keeps nothing.
        budget: tokens computed at a time.

    Raises:
        WorkError: logits or log-probabilities are not finite, or memory ran out.
        StoreError: parts cannot be written.
    """
    weights = weights_digest(model) if memos is not None else ""
    found: list[float] = []
    for start in range(0, len(pairs), PART):
        some = pairs[start : start + PART]
        found += _score(model, some, budget) if memos is None else _load_or_score(model, some, budget, memos, weights)
        progress(len(found) / len(pairs), f"asked {len(found)} of {len(pairs)}")
    return found


def weights_digest(model: LanguageModel) -> str:
    """SHA-256 over names, shapes and values of all weights as they are now, and over the configuration's kind."""
    text = hashlib.sha256(str(unwrapped(model.model).config.model_type).encode())
    for name, value in model.model.state_dict().items():
        text.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        text.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return text.hexdigest()


def _load_or_score(model: LanguageModel, pairs: Sequence[TokenPair], budget: int, memos: Memos, weights: str) -> list[float]:
    plain = [[pair.context, pair.completion] for pair in pairs]
    key = {"weights": weights, "pairs": digest(plain), "threads": torch.get_num_threads(), "device": model.device.type}
    values: list[float] = memos.json("log-probs", key, partial(_score, model, pairs, budget))
    return values


def _score(model: LanguageModel, pairs: Sequence[TokenPair], budget: int) -> list[float]:
    values: list[float] = score_tokens(model.model, pairs, ranked=set(), budget=budget).log_prob.tolist()
    if not all(value > -float("inf") for value in values):
        raise WorkError("log-probabilities must be finite; some are not. Load the model in float32, or train it less hard")
    return values
