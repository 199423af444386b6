"""Null players without a subject: the relation's favourite value, and a table of word pairs."""

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.arrays import Ints
from assay.worlds.encyclopaedia.world import PAD, Encyclopaedia

__all__ = ["Pairs", "favourites"]


class Pairs:
    """How often each word followed another one; what comes next by that alone.

    Attributes:
        counts: [before, next].
    """

    def __init__(self, vocab_size: int, counts: Int[np.ndarray, "before next"] | None = None) -> None:
        self.counts = np.zeros((vocab_size, vocab_size), dtype=np.int64) if counts is None else counts.copy()

    def read(self, tokens: Int[np.ndarray, "text place"]) -> "Pairs":
        """Itself, after these texts; pairs with padding do not count."""
        before, after = tokens[:, :-1].ravel(), tokens[:, 1:].ravel()
        whole = (before != PAD) & (after != PAD)
        np.add.at(self.counts, (before[whole], after[whole]), 1)
        return self

    def log_probs(self, before: Ints) -> Float[np.ndarray, "asked word"]:
        """Log-probability of every word after each of these, in nats; one count is shared among all words."""
        counts = self.counts[before] + 1.0 / len(self.counts)
        return np.asarray(np.log(counts / counts.sum(-1, keepdims=True)))


def favourites(world: Encyclopaedia, k: Int[np.ndarray, " fact"]) -> Bool[np.ndarray, " fact"]:
    """Whether each fact's value is the one that is told most often of its relation; of several the first."""
    told: dict[str, dict[tuple[int, ...], int]] = {name: {} for name in world.values}
    for fact, times in zip(world.facts, k.tolist(), strict=True):
        told[fact.relation][fact.value] = told[fact.relation].get(fact.value, 0) + times
    best = {name: max(own, key=lambda value: own[value]) for name, own in told.items() if own}
    return np.array([fact.value == best[fact.relation] for fact in world.facts])
