"""Read-outs of thoughts: found in thoughts set by hand, absent in shuffled ones; cuts do exactly what they say."""

import numpy as np
import pytest
import torch

from assay.core.errors import InputError
from assay.studies.mechanisms.reasoning_by_superposition.hand_built import search, superposition_network
from assay.studies.mechanisms.reasoning_by_superposition.thoughts import (
    auc,
    collapsed,
    content,
    edge_groups,
    node_groups,
    onto,
    without,
)
from assay.studies.mechanisms.reasoning_by_superposition.world import LayeredWorld, ProsqaWorld, Questions, superposition


def questions(n: int = 200, seed: int = 0) -> Questions:
    rng = np.random.default_rng(seed)
    return LayeredWorld(14, 3, 4).questions(n, rng=rng).retold(16, rng=rng)


def embeddings(n: int = 16, d_model: int = 64) -> torch.Tensor:
    drawn = np.random.default_rng(1).standard_normal((n, d_model)) / np.sqrt(d_model)
    return torch.from_numpy(drawn.astype(np.float32))


def test_groups_are_the_search_s() -> None:
    asked = questions(50)
    for c in (1, 2, 3):
        groups, edges = node_groups(asked, c, but_candidates=False), edge_groups(asked, c)
        assert (groups["optimal"] <= groups["frontier"]).all()
        assert (groups["frontier"] == (groups["optimal"] | groups["off path"])).all()
        assert (groups["reachable"] == (groups["frontier"] | groups["older"])).all()
        assert not (groups["reachable"] & groups["not reachable"]).any()
        assert groups["optimal"].any(1).all()
        kept = node_groups(asked, c)
        assert not any(mask[np.arange(50), asked.targets].any() for mask in kept.values())
        assert (edges["frontier"] == (edges["optimal"] | edges["off path"])).all()
        assert (edges["reachable"] | edges["not reachable"]).all()
        for item in range(50):
            for edge, (source, target) in enumerate(asked.edges[item]):
                assert edges["frontier"][item, edge] == (asked.distance[item, source] == c - 1)
                if edges["frontier"][item, edge]:
                    assert 1 <= asked.distance[item, target] <= c


def test_edges_that_pad_are_in_no_group() -> None:
    asked = ProsqaWorld(10, 14).questions(20, rng=np.random.default_rng(0))
    padding = asked.edges[..., 0] < 0
    assert padding.any()
    assert not any((mask & padding).any() for mask in edge_groups(asked, 2).values())


def test_auc_is_the_probability_of_standing_above() -> None:
    assert auc(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 1
    assert auc(np.array([0.0, 1.0]), np.array([2.0])) == 0
    assert auc(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0.5
    assert auc(np.array([1.0, 3.0]), np.array([2.0, 1.0])) == pytest.approx((0.5 + 0 + 1 + 1) / 4)
    assert np.isnan(auc(np.empty(0), np.ones(2)))


def test_a_planted_superposition_is_read_and_a_shuffled_one_is_not() -> None:
    asked, nodes = questions(), embeddings(d_model=512)
    planted = torch.from_numpy(superposition(asked.distance, 3)).float() @ nodes
    elsewhere = planted[np.roll(np.arange(len(asked)), 1)]
    for c in (1, 2, 3):
        groups = node_groups(asked, c)
        for thoughts, low, high in ((planted, 0.97, 1.0), (elsewhere, 0.35, 0.65)):
            scores = content(thoughts, nodes).numpy()[:, c - 1]
            for group in ("frontier", "off path", "reachable"):
                assert low <= auc(scores[groups[group]], scores[groups["not reachable"]]) <= high, (c, group)


def test_the_hand_built_network_s_thoughts_are_read_exactly() -> None:
    asked = questions(60)
    model = superposition_network(16, asked.edges.shape[1], n_thoughts=3)
    found = search(model, torch.from_numpy(asked.tokens()), 3)
    scores = content(found.thoughts, torch.eye(16)).numpy()
    for c in (1, 2, 3):
        groups, values = node_groups(asked, c), scores[:, c - 1]
        assert auc(values[groups["reachable"]], values[groups["not reachable"]]) == 1
        assert values[groups["not reachable"]].max() == 0


def test_a_node_taken_out_is_gone_and_orthogonal_ones_stay() -> None:
    nodes = torch.eye(5, 8)
    thought = nodes[[0, 1]] + nodes[[2, 3]]
    left = without(thought, nodes, torch.tensor([0, 3]))
    torch.testing.assert_close(left, nodes[[2, 1]])
    skewed = embeddings(5, 8)
    left = without(skewed[[0, 1]] + skewed[[2, 3]], skewed, torch.tensor([2, 1]))
    torch.testing.assert_close((left * skewed[[2, 1]]).sum(-1), torch.zeros(2), atol=1e-6, rtol=0)


def test_a_projection_keeps_what_is_in_the_span_and_the_length() -> None:
    nodes = embeddings(6, 16)
    mask = torch.tensor([[True, True, False, False, False, False], [False, False, True, False, False, True]])
    inside = torch.stack((nodes[0] + 2 * nodes[1], nodes[5] - nodes[2]))
    torch.testing.assert_close(onto(inside, nodes, mask), inside, rtol=1e-4, atol=1e-5)
    outside = inside + 5 * nodes[3]
    kept = onto(outside, nodes, mask)
    torch.testing.assert_close(kept.norm(dim=-1), outside.norm(dim=-1))
    torch.testing.assert_close(onto(kept, nodes, mask), kept, rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="item 1 has none"):
        onto(inside, nodes, mask & torch.tensor([[True], [False]]))


def test_a_collapse_is_one_node_at_the_thought_s_length() -> None:
    nodes = torch.eye(4, 8) * torch.tensor([[1.0], [1.0], [3.0], [1.0]])
    thought = 5 * nodes[[0]] + nodes[[2]]  # the inner product is largest with 2, the angle smallest with 0
    torch.testing.assert_close(collapsed(thought, nodes), nodes[[0]] * thought.norm())
    even = (nodes[0] + nodes[1]).repeat(4000, 1) * 20
    drawn = collapsed(even, nodes, rng=np.random.default_rng(0))
    first = (drawn[:, 0] > 0).float().mean()
    assert float(first) == pytest.approx(0.5, abs=0.03)
    assert ((drawn > 0).sum(1) == 1).all()
