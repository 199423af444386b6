"""Posting lists against sets: chunks of an entity, of two, of many pairs at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.errors import InputError
from assay.instruments.entity_index.postings import EntityIndex

MENTIONS = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 30)), max_size=150)


@given(mentions=MENTIONS, pairs=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=40))
def test_lists_and_intersections_are_those_of_sets(mentions: list[tuple[int, int]], pairs: list[tuple[int, int]]) -> None:
    index = EntityIndex.of([e for e, _ in mentions], [c for _, c in mentions], n_entities=8, n_chunks=31)
    sets = [{chunk for entity, chunk in mentions if entity == one} for one in range(8)]
    assert index.n_entities == 8
    assert index.counts.tolist() == [len(one) for one in sets]
    for entity in range(8):
        assert index.chunks_of(entity).tolist() == sorted(sets[entity])
    pair, chunk = index.all_both(pairs)
    expected = [(i, one) for i, (a, b) in enumerate(pairs) for one in sorted(sets[a] & sets[b])]
    assert list(zip(pair.tolist(), chunk.tolist(), strict=True)) == expected
    assert index.n_both(pairs).tolist() == [len(sets[a] & sets[b]) for a, b in pairs]
    for a, b in pairs[:3]:
        assert index.both(a, b).tolist() == sorted(sets[a] & sets[b])


def test_what_is_not_there_is_refused() -> None:
    index = EntityIndex.of([0, 1], [0, 4], n_entities=2, n_chunks=5)
    for call, said in (
        (lambda: EntityIndex.of([2], [0], n_entities=2, n_chunks=5), "entities from 0 to 1"),
        (lambda: EntityIndex.of([0], [5], n_entities=2, n_chunks=5), "chunks from 0 to 4"),
        (lambda: EntityIndex.of([0, 1], [0], n_entities=2, n_chunks=5), "a chunk for each mention"),
        (lambda: index.chunks_of(2), "entities 0 to 1"),
        (lambda: index.both(0, -1), "entities 0 to 1"),
    ):
        with pytest.raises(InputError, match=said):
            call()
    assert np.array_equal(index.both(0, 1), [])
