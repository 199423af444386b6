"""At which steps of a training each sequence of up to eight words was seen, looked up by hash.

    index = NgramIndex.of(texts, steps, longest=8)
    index.steps_of(words)

Texts are rows of word or token ids, of any lengths. Two sequences are taken for the same if their 64-bit hashes agree: with n
different sequences of one length, one that was never seen is taken for a seen one with a probability of about n / 2^64.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from assay.core.arrays import Ints
from assay.core.errors import InputError

__all__ = ["LONGEST", "NgramIndex"]

LONGEST = 8
BASE, MIX = np.uint64(0xD6E8FEB86659FD93), np.uint64(0x9E3779B97F4A7C15)
Hashes = np.ndarray
Words = Sequence[int] | Ints


@dataclass(frozen=True, eq=False)
class NgramIndex:
    """Every occurrence of every sequence within a text.

    Attributes:
        hashes: of each length, from one word, the hashes of all occurrences in rising order.
        steps: of each length the step of each occurrence; those of one sequence in rising order.
    """

    hashes: tuple[Hashes, ...]
    steps: tuple[Int[np.ndarray, " _occurrence"], ...]

    @classmethod
    def of(cls, texts: Sequence[Words], steps: Words, *, longest: int = LONGEST) -> "NgramIndex":
        """The index of texts that were each seen at one step; one that was seen several times is given as often.

        Raises:
            InputError: `longest` is not in 1 to 8, or there is not a step for each text.
        """
        seen = np.asarray(steps, dtype=np.int64).ravel()
        if not 1 <= longest <= LONGEST:
            raise InputError(f"an index holds sequences of 1 to {LONGEST} words at most; got longest={longest}")
        if len(seen) != len(texts):
            raise InputError(f"an index needs a step for each text; got {len(seen)} steps for {len(texts)} texts")
        rows = [np.asarray(text, dtype=np.int64).ravel() for text in texts]
        words = np.concatenate([np.zeros(0, dtype=np.int64), *rows])
        step = np.repeat(seen, [len(row) for row in rows])
        left = np.concatenate([np.zeros(0, dtype=np.int64), *(np.arange(len(row), 0, -1) for row in rows)])  # words to the end
        found = [cls._sorted(hashed, step, left >= length) for length, hashed in enumerate(_rolled(words, longest), 1)]
        return cls(tuple(hashed for hashed, _ in found), tuple(own for _, own in found))

    @staticmethod
    def _sorted(hashed: Hashes, step: Ints, whole: np.ndarray) -> tuple[Hashes, Ints]:
        kept = whole[: len(hashed)]
        some, own = hashed[kept], step[: len(hashed)][kept]
        order = np.lexsort((own, some))
        return some[order], own[order]

    def steps_of(self, words: Words) -> Ints:
        """The steps at which a sequence was seen, in rising order, one for each occurrence; empty if it never was.

        Raises:
            InputError: it is empty, or longer than the index's sequences.
        """
        asked = np.asarray(words, dtype=np.int64).ravel()
        if not 1 <= len(asked) <= len(self.hashes):
            raise InputError(f"this index holds sequences of 1 to {len(self.hashes)} words; got one of {len(asked)}")
        first, last = self._range(len(asked), _rolled(asked, len(asked))[-1])
        return self.steps[len(asked) - 1][first[0] : last[0]]

    def counts(self, words: Words, length: int) -> Ints:
        """How often the sequence of that length at each place of a text was seen.

        Raises:
            InputError: the index holds no sequences of that length.
        """
        if not 1 <= length <= len(self.hashes):
            raise InputError(f"this index holds sequences of 1 to {len(self.hashes)} words; got {length}")
        first, last = self._range(length, _rolled(np.asarray(words, dtype=np.int64).ravel(), length)[-1])
        return np.asarray(last - first)

    def _range(self, length: int, hashed: Hashes) -> tuple[Ints, Ints]:
        known = self.hashes[length - 1]
        return np.searchsorted(known, hashed, "left"), np.searchsorted(known, hashed, "right")


def _rolled(words: Ints, longest: int) -> list[Hashes]:
    """Of each length from 1 the hash of the sequence that begins at each place, across the ends of texts."""
    own = words.astype(np.uint64) + np.uint64(1)
    rolled, found = np.zeros_like(own), []
    for length in range(1, longest + 1):
        n = max(0, len(own) - length + 1)
        rolled = rolled[:n] * BASE + own[length - 1 : length - 1 + n]
        mixed = (rolled ^ (rolled >> np.uint64(32))) * MIX
        found.append(mixed ^ (mixed >> np.uint64(29)))
    return found
