"""The chunks that mention each entity as sorted lists, and the chunks that mention two of them.

index = EntityIndex.of(mentions.entity, mentions.chunk, n_entities=800, n_chunks=8_000)
index.chunks_of(3), index.both(3, 5), index.n_both(pairs)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from assay.core.arrays import Ints
from assay.core.errors import InputError

__all__ = ["EntityIndex"]

Pairs = Sequence[Sequence[int]] | Ints


@dataclass(frozen=True, eq=False)
class EntityIndex:
    """Posting lists: of each entity the chunks that mention it, each once and in rising order.

    Attributes:
        n_chunks: how many chunks there are.
        bounds: where in `postings` the list of each entity begins, and where the last one ends.
        postings: entity * n_chunks + chunk, in rising order, so that one search finds a chunk in any entity's list.
    """

    n_chunks: int
    bounds: Int[np.ndarray, " entity_and_1"]
    postings: Int[np.ndarray, " posting"]

    @classmethod
    def of(cls, entity: Sequence[int] | Ints, chunk: Sequence[int] | Ints, *, n_entities: int, n_chunks: int) -> "EntityIndex":
        """The index of mentions, given by entity and chunk; several in one chunk count once.

        Raises:
            InputError: an entity is not among 0 to n_entities - 1, or a chunk not among 0 to n_chunks - 1.
        """
        entities, chunks = (np.asarray(one, dtype=np.int64).ravel() for one in (entity, chunk))
        for what, some, n in (("entities", entities, n_entities), ("chunks", chunks, n_chunks)):
            if some.size and (some.min() < 0 or some.max() >= n):
                raise InputError(f"an index needs {what} from 0 to {n - 1}; got {some.min()} to {some.max()}")
        if len(entities) != len(chunks):
            raise InputError(f"an index needs a chunk for each mention; got {len(chunks)} chunks for {len(entities)} mentions")
        postings = np.unique(entities * n_chunks + chunks)
        return cls(n_chunks, np.searchsorted(postings, np.arange(n_entities + 1) * n_chunks), postings)

    @property
    def n_entities(self) -> int:
        """How many entities there are, those without mention among them."""
        return len(self.bounds) - 1

    @property
    def counts(self) -> Ints:
        """How many chunks mention each entity."""
        return np.diff(self.bounds)

    def chunks_of(self, entity: int) -> Ints:
        """The chunks that mention an entity, in rising order.

        Raises:
            InputError: there is no such entity.
        """
        self._known(np.array([entity]))
        return self.postings[self.bounds[entity] : self.bounds[entity + 1]] - entity * self.n_chunks

    def both(self, one: int, other: int) -> Ints:
        """The chunks that mention both entities, in rising order.

        Raises:
            InputError: there is no such entity.
        """
        return self.all_both([[one, other]])[1]

    def all_both(self, pairs: Pairs) -> tuple[Ints, Ints]:
        """For [pair 2] entities the chunks that mention both: the number of the pair and the chunk, in the order of pairs.

        Each chunk of the shorter list is looked for in the longer one, those of all pairs in one call.

        Raises:
            InputError: there is no such entity.
        """
        asked = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
        self._known(asked)
        sizes = self.counts[asked]
        swapped = sizes[:, 0] > sizes[:, 1]
        short, long = (np.where(swapped, asked[:, b], asked[:, a]) for a, b in ((0, 1), (1, 0)))
        sizes = sizes.min(axis=1)
        pair = np.repeat(np.arange(len(asked)), sizes)
        ends = np.cumsum(sizes)
        within = np.arange(len(pair)) - np.repeat(ends - sizes, sizes)
        chunk = self.postings[np.repeat(self.bounds[short], sizes) + within] - short[pair] * self.n_chunks
        wanted = long[pair] * self.n_chunks + chunk
        place = np.searchsorted(self.postings, wanted)
        hit = self.postings[np.minimum(place, len(self.postings) - 1)] == wanted if len(wanted) else np.zeros(0, dtype=bool)
        return pair[hit], chunk[hit]

    def n_both(self, pairs: Pairs) -> Ints:
        """For [pair 2] entities the number of chunks that mention both.

        Raises:
            InputError: there is no such entity.
        """
        asked = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
        return np.bincount(self.all_both(asked)[0], minlength=len(asked)).astype(np.int64)

    def _known(self, entities: Ints) -> None:
        if entities.size and (entities.min() < 0 or entities.max() >= self.n_entities):
            raise InputError(f"this index has entities 0 to {self.n_entities - 1}; got {entities.min()} to {entities.max()}")
