"""Sequences of words and the steps that saw them, against a dictionary."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.errors import InputError
from assay.instruments.ngrams import NgramIndex

TEXTS = st.lists(st.lists(st.integers(0, 3), max_size=12), max_size=12)


@given(texts=TEXTS, longest=st.integers(1, 8), seed=st.integers(0, 9))
def test_steps_and_counts_are_those_of_a_dictionary(texts: list[list[int]], longest: int, seed: int) -> None:
    steps = np.random.default_rng(seed).integers(0, 5, size=len(texts))
    index = NgramIndex.of(texts, steps, longest=longest)
    known: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for text, step in zip(texts, steps.tolist(), strict=True):
        for length in range(1, longest + 1):
            for start in range(len(text) - length + 1):
                known[tuple(text[start : start + length])].append(step)
    for words, seen in known.items():
        assert index.steps_of(words).tolist() == sorted(seen)
    assert index.steps_of([9]).tolist() == []
    for text in texts[:3]:
        for length in range(1, longest + 1):
            places = max(0, len(text) - length + 1)
            assert index.counts(text, length).tolist() == [len(known[tuple(text[i : i + length])]) for i in range(places)]


def test_what_an_index_does_not_hold_is_refused() -> None:
    index = NgramIndex.of([[1, 2, 3]], [4], longest=2)
    for call, said in (
        (lambda: NgramIndex.of([[1]], [0], longest=9), "1 to 8 words"),
        (lambda: NgramIndex.of([[1]], [0, 1]), "a step for each text"),
        (lambda: index.steps_of([1, 2, 3]), "got one of 3"),
        (lambda: index.steps_of([]), "got one of 0"),
        (lambda: index.counts([1, 2], 3), "got 3"),
    ):
        with pytest.raises(InputError, match=said):
            call()
