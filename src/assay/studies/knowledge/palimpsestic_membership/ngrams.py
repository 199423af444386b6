"""Which steps of a training saw the word sequences of a text: the longest one at each place, looked up by hash."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

__all__ = ["SequenceIndex"]

BASE = np.uint64(1_000_003)
AT_ONCE = 200  # texts: bounds the memory


@dataclass(frozen=True, eq=False)
class SequenceIndex:
    """Sequences of 1 to k words of texts that were seen at known steps, each within one text.

    Two sequences are taken for the same if their 64-bit hashes agree.

    Attributes:
        hashes: of each length the hashes of all occurrences, sorted.
        steps: of each occurrence.
        n_steps: of the training.
    """

    hashes: tuple[np.ndarray, ...]
    steps: tuple[Int[np.ndarray, " _occurrence"], ...]
    n_steps: int

    @classmethod
    def of(
        cls, texts: Int[np.ndarray, "text place"], steps: Int[np.ndarray, " text"], n_steps: int, *, longest: int
    ) -> "SequenceIndex":
        """The index of texts of one length."""
        hashes, of_steps = [], []
        for some in _hashes(texts, longest):
            order = np.argsort(some.ravel(), kind="stable")
            hashes.append(some.ravel()[order])
            of_steps.append(np.repeat(steps, some.shape[1])[order])
        return cls(tuple(hashes), tuple(of_steps), n_steps)

    def counts(self, texts: Int[np.ndarray, "text place"]) -> Float[np.ndarray, "text step"]:
        """For each text and step: how many of the text's places point there.

        A place points to the occurrences of the longest known sequence that starts there, and counts one in all, shared among
        them: a common short sequence says little of any step.
        """
        parts = [self._counts(texts[start : start + AT_ONCE]) for start in range(0, len(texts), AT_ONCE)]
        return np.concatenate(parts)

    def _counts(self, texts: Int[np.ndarray, "text place"]) -> Float[np.ndarray, "text step"]:
        found = np.zeros((len(texts), self.n_steps))
        left = np.ones(texts.shape, dtype=bool)  # places without a sequence yet
        wanted = _hashes(texts, len(self.hashes))
        for length in range(len(self.hashes), 0, -1):
            known, steps = self.hashes[length - 1], self.steps[length - 1]
            some = wanted[length - 1]
            first, last = np.searchsorted(known, some, "left"), np.searchsorted(known, some, "right")
            hit = (last > first) & left[:, : some.shape[1]]
            text, place = np.nonzero(hit)
            sizes = (last - first)[text, place]
            occurrences = np.repeat(first[text, place], sizes) + _within(sizes)
            np.add.at(found, (np.repeat(text, sizes), steps[occurrences]), np.repeat(1 / sizes, sizes))
            left[:, : some.shape[1]] &= ~hit
        return found


def _hashes(texts: Int[np.ndarray, "text place"], longest: int) -> list[np.ndarray]:
    """Of each length from 1 the hash of the sequence that starts at each place and ends within the text."""
    words = texts.astype(np.uint64) + np.uint64(1)
    rolled, found = np.zeros_like(words), []
    n = texts.shape[1]
    for length in range(1, min(longest, n) + 1):
        rolled = rolled[:, : n - length + 1] * BASE + words[:, length - 1 :]
        mixed = rolled ^ (rolled >> np.uint64(31))
        found.append(mixed * np.uint64(0x9E3779B97F4A7C15))
    return found


def _within(sizes: Int[np.ndarray, " stretch"]) -> Int[np.ndarray, " place"]:
    """0, 1, ... inside each stretch of these sizes."""
    starts = np.cumsum(sizes) - sizes
    return np.asarray(np.arange(sizes.sum()) - np.repeat(starts, sizes))
