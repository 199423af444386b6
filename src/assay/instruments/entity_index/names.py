"""Many names found in texts at once, and linked to the entities that have them.

Names stand for themselves: "Paris" is not found in "Parisian", and of names that overlap the one that begins first counts, of
those the longest. In scripts that put no space between words a name may stand anywhere.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ahocorasick_rs import AhoCorasick
from jaxtyping import Float, Int

from assay.core.errors import InputError

__all__ = ["Links", "NameFinder", "StringLinker", "without_spaces"]

# First and last characters of scripts without spaces between words: Thai and Lao, Myanmar, Khmer, kana and Chinese characters.
WITHOUT_SPACES = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0x20000, 0x3FFFF))


class NameFinder:
    """Finds the names of a list in texts, in time that hardly depends on how many names there are."""

    def __init__(self, names: Sequence[str], *, ignore_case: bool = False) -> None:
        """Look for these names.

        Args:
            names: none twice.
            ignore_case: whether capitals count.

        Raises:
            InputError: there is no name, or an empty one.
        """
        if not names or not all(name.strip() for name in names):
            raise InputError(f"names must be looked for by at least one letter each; got {len(names)} names, or an empty one")
        self.ignore_case = ignore_case
        self._patterns = AhoCorasick([self._folded(name) for name in names])

    def find(self, text: str) -> list[tuple[int, int, int]]:
        """Where names stand: first character, the one behind the last, and the number of the name, in the order of the text."""
        folded = self._folded(text)
        found = [
            (start, end, number)
            for number, start, end in self._patterns.find_matches_as_indexes(folded, overlapping=True)
            if not (_joined(folded, start) or _joined(folded, end))
        ]
        found.sort(key=lambda one: (one[0], -one[1]))
        kept: list[tuple[int, int, int]] = []
        for one in found:
            if not kept or one[0] >= kept[-1][1]:
                kept.append(one)
        return kept

    def _folded(self, text: str) -> str:
        if not self.ignore_case:
            return text
        lower = text.lower()
        if len(lower) == len(text):
            return lower
        return "".join(small if len(small := one.lower()) == 1 else one for one in text)  # places must stay the same


def without_spaces(character: str) -> bool:
    """Whether the character is of a script that puts no space between words."""
    code = ord(character)
    return any(first <= code <= last for first, last in WITHOUT_SPACES)


def _joined(text: str, place: int) -> bool:
    """Whether the characters on both sides of a place belong to one word."""
    if not 0 < place < len(text):
        return False
    before, after = text[place - 1], text[place]
    return _of_word(before) and _of_word(after) and not (without_spaces(before) or without_spaces(after))


def _of_word(character: str) -> bool:
    return character.isalnum() or unicodedata.combining(character) != 0


@dataclass(frozen=True, eq=False)
class Links:
    """Candidates of every name found, one row a candidate.

    Attributes:
        mention: number of the mention; candidates of one mention follow each other.
        entity: the candidate.
        confidence: that the mention means it, in (0, 1]; those of a mention sum to 1.
        text: of each mention the number of its text.
        span: of each mention the first character and the one behind the last.
    """

    mention: Int[np.ndarray, " candidate"]
    entity: Int[np.ndarray, " candidate"]
    confidence: Float[np.ndarray, " candidate"]
    text: Int[np.ndarray, " mention"]
    span: Int[np.ndarray, "mention 2"]

    def above(self, threshold: float) -> tuple[Int[np.ndarray, " kept"], Int[np.ndarray, " kept"]]:
        """Entity and text of the candidates of at least this confidence."""
        kept = self.confidence >= threshold
        return self.entity[kept], self.text[self.mention[kept]]


class StringLinker:
    """Links names to entities by how popular these are, and by words of the text that go with one of them.

    The confidence of a candidate is proportional to its prior times exp(weight * overlap), where overlap is the share of the
    entity's context words that stand in the text.
    """

    def __init__(
        self,
        names: Mapping[int, Sequence[str]],
        *,
        prior: Mapping[int, float] | None = None,
        context: Mapping[int, Sequence[str]] | None = None,
        weight: float = 4.0,
        ignore_case: bool = False,
    ) -> None:
        """Link these names.

        Args:
            names: of each entity.
            prior: how popular each entity is, above 0; all alike where none is given.
            context: words that go with an entity, in small letters.
            weight: of the overlap with these words.
            ignore_case: whether capitals count.

        Raises:
            InputError: there is no name, or a prior is not above 0.
        """
        self.holders: dict[str, list[int]] = {}
        for entity, own in names.items():
            for name in own:
                holders = self.holders.setdefault(name.lower() if ignore_case else name, [])
                if entity not in holders:
                    holders.append(entity)
        self.prior = {entity: float((prior or {}).get(entity, 1.0)) for entity in names}
        if any(not value > 0 for value in self.prior.values()):
            raise InputError("a linker's priors must be above 0; give a rare entity a small one")
        self.context = {entity: frozenset(words) for entity, words in (context or {}).items()}
        self.weight = weight
        self._names = list(self.holders)
        self._finder = NameFinder(self._names, ignore_case=ignore_case)

    def link(self, texts: Sequence[str]) -> Links:
        """The candidates of every name in the texts."""
        mention, entity, confidence = list[int](), list[int](), list[float]()
        of_text, spans = list[int](), list[tuple[int, int]]()
        for number, text in enumerate(texts):
            words: set[str] | None = None
            for start, end, name in self._finder.find(text):
                holders = self.holders[self._names[name]]
                if len(holders) > 1 and words is None:
                    words = set(text.lower().replace(".", " ").split())
                mention += [len(of_text)] * len(holders)
                entity += holders
                confidence += self._confidences(holders, words or set())
                of_text.append(number)
                spans.append((start, end))
        return Links(
            np.array(mention, dtype=np.int64),
            np.array(entity, dtype=np.int64),
            np.array(confidence, dtype=float),
            np.array(of_text, dtype=np.int64),
            np.array(spans, dtype=np.int64).reshape(-1, 2),
        )

    def _confidences(self, holders: Sequence[int], words: set[str]) -> list[float]:
        if len(holders) == 1:
            return [1.0]
        weights = []
        for entity in holders:
            own = self.context.get(entity, frozenset())
            overlap = len(own & words) / len(own) if own else 0.0
            weights.append(self.prior[entity] * float(np.exp(self.weight * overlap)))
        return [weight / sum(weights) for weight in weights]
