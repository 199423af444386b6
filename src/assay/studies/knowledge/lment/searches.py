"""Searches for an entity's chunks by strings of its names, the chunks that a search returns first, and how many are right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.arrays import Ints
from assay.instruments.entity_index.postings import EntityIndex
from assay.worlds.encyclopaedia.pages import Corpus

__all__ = ["SEARCHES", "Hits", "Returned", "Strings", "returned", "titled"]

Tokens = tuple[int, ...]
SEARCHES = {"name": (False, False), "names": (True, False), "name-any-case": (False, True), "names-any-case": (True, True)}
"""The four string searches: whether aliases are looked for as well, and whether capitals are ignored."""


@dataclass(frozen=True, eq=False)
class Hits:
    """Where a search found an entity, one row a place.

    Attributes:
        entity: who was looked for.
        chunk: where something was found.
        strength: of the evidence; chunks are returned by their strongest, then by how many there are.
    """

    entity: Int[np.ndarray, " hit"]
    chunk: Int[np.ndarray, " hit"]
    strength: Float[np.ndarray, " hit"]

    def __add__(self, other: "Hits") -> "Hits":
        """The hits of both."""
        pairs = zip((self.entity, self.chunk, self.strength), (other.entity, other.chunk, other.strength), strict=True)
        return Hits(*(np.concatenate(pair) for pair in pairs))

    @classmethod
    def alike(cls, entity: Ints, chunk: Ints) -> "Hits":
        """Hits of equal strength."""
        return cls(entity, chunk, np.ones(len(entity)))


class Strings:
    """Finds words and pairs of words in the chunks of a corpus, as a search for a whole phrase does."""

    def __init__(self, corpus: Corpus, *, ignore_case: bool = False) -> None:
        words = corpus.world.words
        lower = {word: number for number, word in enumerate(dict.fromkeys(word.lower() for word in words))}
        self.number = np.array([lower[word.lower()] for word in words]) if ignore_case else np.arange(len(words))
        self.n_words = len(words)
        tokens = self.number[corpus.tokens]
        chunk = np.broadcast_to(np.arange(len(tokens))[:, None], tokens.shape)
        single, pairs = tokens.ravel(), (tokens[:, :-1] * self.n_words + tokens[:, 1:]).ravel()
        self._codes, self._chunks = {}, {}
        for size, codes, own in ((1, single, chunk.ravel()), (2, pairs, chunk[:, :-1].ravel())):
            order = np.argsort(codes, kind="stable")
            self._codes[size], self._chunks[size] = codes[order], own[order]

    def chunks(self, phrase: Tokens) -> Ints:
        """The chunks that hold a phrase of one or two words, each as often as it stands there."""
        numbers = self.number[list(phrase)].tolist()
        code = numbers[0] if len(phrase) == 1 else numbers[0] * self.n_words + numbers[1]
        first, last = np.searchsorted(self._codes[len(phrase)], [code, code + 1])
        return np.asarray(self._chunks[len(phrase)][first:last])

    def hits(self, phrases: Sequence[Sequence[Tokens]]) -> Hits:
        """The places of every phrase of every entity."""
        found = [(entity, self.chunks(phrase)) for entity, own in enumerate(phrases) for phrase in dict.fromkeys(own)]
        entity = np.repeat([one for one, _ in found], [len(chunks) for _, chunks in found])
        return Hits.alike(entity.astype(np.int64), np.concatenate([chunks for _, chunks in found]))


def titled(corpus: Corpus, strings: Strings) -> Hits:
    """Hits of a reader who takes every surname, pronoun and description for the page's own entity, where that has the form.

    Names and aliases are looked for as strings. No antecedent, link or confidence takes part.
    """
    surfaces = corpus.world.surfaces
    found = strings.hits([(*own["link"], *own["alias"]) for own in surfaces])
    title = corpus.title[corpus.page]
    short = [
        tuple(dict.fromkeys(form for how in ("surname", "pronoun", "description") for form in own[how])) for own in surfaces
    ]
    phrases = sorted({form for own in short for form in own})
    has = np.zeros((len(surfaces), len(phrases)), dtype=bool)
    place = {form: i for i, form in enumerate(phrases)}
    for entity, own in enumerate(short):
        has[entity, [place[form] for form in own]] = True
    for i, form in enumerate(phrases):
        chunks = strings.chunks(form)
        own = chunks[has[title[chunks], i]]
        found += Hits.alike(title[own], own)
    return found


@dataclass(frozen=True, eq=False)
class Returned:
    """What a search returns of each entity.

    Attributes:
        right: chunks among those returned that mention the entity.
        n: chunks returned.
        most: chunks that a perfect search would return.
    """

    right: Int[np.ndarray, " entity"]
    n: Int[np.ndarray, " entity"]
    most: Int[np.ndarray, " entity"]

    def recall(self, of: Bool[np.ndarray, " entity"] | None = None) -> float:
        """Mean over entities of the right chunks as a share of those that a perfect search would return."""
        return self._mean(self.right, self.most, of)

    def precision(self, of: Bool[np.ndarray, " entity"] | None = None) -> float:
        """Mean over entities of which something was returned of the share that is right."""
        return self._mean(self.right, self.n, of)

    def lead(self, other: "Returned") -> float:
        """Share of entities of which this search returns more right chunks than the other, minus those with fewer."""
        return float(np.sign(self.right - other.right).mean())

    @staticmethod
    def _mean(some: Ints, whole: Ints, of: Bool[np.ndarray, " entity"] | None) -> float:
        asked = (whole > 0) if of is None else of & (whole > 0)
        return float((some[asked] / whole[asked]).mean()) if asked.any() else float("nan")


def returned(hits: Hits, truth: EntityIndex, best: int, ties: Int[np.ndarray, " chunk"]) -> Returned:
    """The best chunks of every entity, judged by the truth.

    Args:
        hits: of a search.
        truth: who is mentioned where.
        best: chunks that are returned at most.
        ties: a number of each chunk by which equally strong ones are ordered.
    """
    n_entities, n_chunks = truth.n_entities, truth.n_chunks
    codes, which, counts = np.unique(hits.entity * n_chunks + hits.chunk, return_inverse=True, return_counts=True)
    strongest = np.zeros(len(codes))
    np.maximum.at(strongest, which, hits.strength)
    entity, chunk = np.divmod(codes, n_chunks)
    order = np.lexsort((ties[chunk], -counts, -strongest, entity))
    first = np.searchsorted(entity, np.arange(n_entities))
    kept = order[np.arange(len(order)) - first[entity[order]] < best]
    right = np.isin(codes[kept], truth.postings)
    return Returned(
        np.bincount(entity[kept], weights=right, minlength=n_entities).astype(np.int64),
        np.bincount(entity[kept], minlength=n_entities).astype(np.int64),
        np.minimum(truth.counts, best),
    )
