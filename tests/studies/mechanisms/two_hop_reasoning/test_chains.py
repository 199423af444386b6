"""Chains: every sequence can be solved by following its edges, and the interleavings are the paper's."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core.errors import SettingsError
from assay.studies.mechanisms.two_hop_reasoning.chains import SPECIAL, ChainWorld


@given(
    n_chains=st.integers(1, 4), n_hops=st.integers(1, 3), n_loose=st.integers(0, 3), seed=st.integers(0, 10**6),
    order=st.sampled_from(["forward", "backward", "any"]),
)  # fmt: skip
@settings(max_examples=60)
def test_following_the_edges_gives_the_answer(n_chains: int, n_hops: int, n_loose: int, seed: int, order: str) -> None:
    world = ChainWorld(n_chains, n_hops, n_nodes=30, n_loose=n_loose, order=order)  # type: ignore[arg-type]
    drawn = world.sequences(12, rng=np.random.default_rng(seed))
    for i, tokens in enumerate(drawn.tokens):
        assert len(tokens) == world.n_tokens
        edges = dict(tokens[1:-1].reshape(-1, 2).tolist())
        assert len(edges) == world.n_edges
        node = tokens[-1]
        for _ in range(n_hops):
            node = edges[node]
        assert node == drawn.answers[i] == drawn.ends[i, drawn.asked[i]]
        assert node not in edges
        slots = drawn.asked_slots[i]
        for hop, slot in enumerate(slots):
            assert tokens[1 + 2 * slot : 3 + 2 * slot].tolist() == drawn.chains[i, drawn.asked[i], hop : hop + 2].tolist()
        if order != "any":
            assert (np.diff(drawn.slots[i]) * (1 if order == "forward" else -1) > 0).all()
        nodes = np.unique(tokens[1:])
        assert len(nodes) == world.n_used
        assert nodes.min() >= SPECIAL
        assert nodes.max() < world.vocab_size


def test_interleavings_follow_the_authors_law() -> None:
    # Picking a chain with probability proportional to its remaining edges: two chains of two edges, 6 orders, each 1/6.
    drawn = ChainWorld(2, 2, n_nodes=6).sequences(6000, rng=np.random.default_rng(0))
    orders = Counter(tuple(sorted(slots.tolist())) for slots in drawn.slots[:, 0])
    assert len(orders) == 6
    assert all(abs(count / 6000 - 1 / 6) < 0.02 for count in orders.values())


def test_every_chain_is_asked_equally_often() -> None:
    drawn = ChainWorld().sequences(5000, rng=np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(drawn.asked) / 5000, 0.2, atol=0.02)
    assert drawn.tokens.shape == (5000, 22)
    assert ChainWorld().vocab_size == 34


@pytest.mark.parametrize("changes", [{"n_chains": 11}, {"n_loose": 8}, {"n_chains": 0}, {"n_hops": 0}, {"n_loose": -1}])
def test_refuses_impossible_chains(changes: dict[str, int]) -> None:
    with pytest.raises(SettingsError, match="chain world"):
        ChainWorld(**changes)  # type: ignore[arg-type]


def test_some_of_a_batch_are_its_own() -> None:
    drawn = ChainWorld(3).sequences(6, rng=np.random.default_rng(0))
    first = drawn[:2]
    assert (first.tokens == drawn.tokens[:2]).all()
    assert (first.asked_slots == drawn.asked_slots[:2]).all()
    assert (first.ends[np.arange(2), first.asked] == drawn.answers[:2]).all()
    assert (first.sources[np.arange(2), first.asked] == drawn.tokens[:2, -1]).all()
    assert len(drawn[:9].answers) == 6
