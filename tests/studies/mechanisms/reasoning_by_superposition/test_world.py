"""Reachability: every question agrees with a plain breadth-first search, and the second family has no shortcut."""

from collections import deque
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core.errors import InputError, SettingsError
from assay.studies.mechanisms.reasoning_by_superposition.graphs import adjacency, diameter, distances, is_acyclic, random_dags
from assay.studies.mechanisms.reasoning_by_superposition.world import (
    LayeredWorld,
    ProsqaWorld,
    Questions,
    Vocabulary,
    asked_everywhere,
    deeper_candidate,
    superposition,
)


def searched(edges: np.ndarray, root: int, n_nodes: int) -> list[int]:
    """Distances by a queue, one edge at a time."""
    found = [-1] * n_nodes
    found[root] = 0
    queue = deque([root])
    while queue:
        node = queue.popleft()
        for source, target in edges.tolist():
            if source == node and found[target] < 0:
                found[target] = found[node] + 1
                queue.append(target)
    return found


def assert_true(questions: Questions, item: int) -> None:
    edges = questions.edges[item]
    edges = edges[edges[:, 0] >= 0]
    n_nodes, root, target = questions.n_nodes, int(questions.roots[item]), int(questions.targets[item])
    assert questions.distance[item].tolist() == searched(edges, root, n_nodes)
    assert questions.ahead[item].tolist() == searched(edges[:, ::-1], target, n_nodes)
    (wrong,) = set(questions.candidates[item].tolist()) - {target}
    assert questions.distance[item, target] == questions.n_steps[item] > 0
    assert questions.distance[item, wrong] == -1
    assert set(edges.ravel().tolist()) <= set(np.flatnonzero(questions.present[item]).tolist())
    assert not {target, wrong} & set(edges[:, 0].tolist()), "candidates are leaves"
    path = [root, *(node for node in questions.paths[item].tolist() if node >= 0)]
    assert len(path) == questions.n_steps[item] + 1
    assert path[-1] == target
    for c, step in enumerate(pairwise(path), start=1):
        assert list(step) in edges.tolist()
        assert questions.optimal(c)[item, step[1]]
        assert (questions.optimal(c) <= questions.frontier(c)).all()


@given(seed=st.integers(0, 10**6), family=st.sampled_from([LayeredWorld(), LayeredWorld(10, 2, 3), ProsqaWorld()]))
@settings(max_examples=20)
def test_questions_agree_with_a_plain_search_before_and_after_retelling(seed: int, family: LayeredWorld | ProsqaWorld) -> None:
    rng = np.random.default_rng(seed)
    drawn = family.questions(6, rng=rng)
    told = drawn.retold(drawn.n_nodes + 4, rng=rng)
    for item in range(6):
        assert_true(drawn, item)
        assert_true(told, item)
    np.testing.assert_array_equal(told.n_steps, drawn.n_steps)
    np.testing.assert_array_equal(told.present.sum(1), drawn.present.sum(1))


@given(seed=st.integers(0, 10**6), n_nodes=st.integers(1, 12), share=st.floats(0.02, 0.4))
@settings(max_examples=40)
def test_distances_are_exact_with_cycles_too(seed: int, n_nodes: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    source, target = np.nonzero(rng.random((n_nodes, n_nodes)) < share)
    edges = np.stack((source, target), axis=1)
    found = distances(adjacency(edges[None], n_nodes))[0]
    for root in range(n_nodes):
        assert found[root].tolist() == searched(edges, root, n_nodes)


def test_layered_graphs_give_nothing_away_but_by_search() -> None:
    world = LayeredWorld(14, 3, 4)
    drawn = world.questions(3000, rng=np.random.default_rng(0))
    assert drawn.edges.shape == (3000, world.n_edges, 2)
    assert set(drawn.n_steps.tolist()) == {3}
    assert deeper_candidate(drawn) == 0.5
    wrong = drawn.candidates.sum(1) - drawn.targets
    parents = adjacency(drawn.edges, 14).sum(1)
    rows = np.arange(3000)
    gap = parents[rows, drawn.targets] - parents[rows, wrong]
    assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(3000), "in-edges do not tell them apart"
    assert abs((drawn.roots == 0).mean() - 0.5) < 0.04
    assert abs((drawn.candidates[:, 0] == drawn.targets).mean() - 0.5) < 0.04
    step = drawn.distance[rows[:, None, None], drawn.edges]
    assert ((step[..., 1] - step[..., 0] == 1) | (step[..., 0] < 0)).all(), "edges join consecutive layers"


def test_prosqa_graphs_look_like_the_benchmark_and_have_its_shortcut() -> None:
    drawn = ProsqaWorld().questions(3000, rng=np.random.default_rng(0))
    assert set(drawn.n_steps.tolist()) == {3, 4}
    assert ((drawn.edges[..., 0] < drawn.edges[..., 1]) | (drawn.edges[..., 0] < 0)).all()
    # The published test file: 22.7 nodes, 36.0 edges, 13.1 reachable, frontiers 1, 3.0, 4.5, 3.4, 1.2.
    assert drawn.present.sum(1).mean() == pytest.approx(22.7, abs=1.5)
    assert (drawn.edges[..., 0] >= 0).sum(1).mean() == pytest.approx(36.0, abs=4)
    assert (drawn.distance >= 0).sum(1).mean() == pytest.approx(13.1, abs=1)
    sizes = [drawn.frontier(c).sum(1).mean() for c in range(5)]
    assert sizes == pytest.approx([1, 3.0, 4.5, 3.4, 1.2], abs=0.5)
    assert deeper_candidate(drawn) > 0.7


def test_exact_thoughts_are_unit_vectors_over_what_is_within_reach() -> None:
    distance = np.array([[0, 1, 1, 2, -1]])
    thoughts = superposition(distance, 2)[0]
    np.testing.assert_allclose(thoughts[0], np.array([1, 1, 1, 0, 0]) / np.sqrt(3))
    np.testing.assert_allclose(thoughts[1], np.array([1, 1, 1, 1, 0]) / 2)


def test_the_symbolic_and_the_worded_form_tell_the_same_graph() -> None:
    drawn = ProsqaWorld(10, 14).questions(20, rng=np.random.default_rng(1))
    words, tokens = Vocabulary(drawn.n_nodes), drawn.tokens()
    eos, bar = words.special("<eos>"), words.special("|")
    for item, row in enumerate(tokens.tolist()):
        body = row[max(place for place, token in enumerate(row) if token == eos) + 1 :]
        question = body.index(words.special("[Q]"))
        triples = np.array(body[:question]).reshape(-1, 3)
        assert (triples[:, 2] == bar).all()
        edges = drawn.edges[item]
        np.testing.assert_array_equal(triples[:, :2], edges[edges[:, 0] >= 0])
        tail = [words.special("[Q]"), *drawn.candidates[item], words.special("[R]"), drawn.roots[item]]
        assert body[question:] == tail
        said = drawn.worded(item)
        assert said.count("Every ") == len(triples)
        assert said.endswith("?")
    assert len({drawn.worded(item) for item in range(20)}) == 20


def test_every_source_is_asked_about_a_farthest_node() -> None:
    rng = np.random.default_rng(0)
    for edges in random_dags(30, fewest_nodes=4, most_nodes=12, rng=rng):
        drawn = asked_everywhere(edges, 12, 40, rng=rng)
        for item in range(len(drawn)):
            away = searched(edges, int(drawn.roots[item]), 12)
            assert drawn.distance[item].tolist() == away
            assert drawn.n_steps[item] == max(away)
            (wrong,) = set(drawn.candidates[item].tolist()) - {int(drawn.targets[item])}
            assert away[wrong] == -1
            assert wrong in edges


def test_graphs_of_limited_size_have_one_width() -> None:
    limited = ProsqaWorld(14, 14, most_edges=18)
    for seed in range(3):
        edges = limited.questions(30, rng=np.random.default_rng(seed)).edges
        assert edges.shape == (30, 18, 2)
        assert ((edges[..., 0] >= 0).sum(1) <= 18).all()


def test_random_graphs_are_acyclic_and_of_the_sizes_asked_for() -> None:
    graphs = random_dags(200, fewest_nodes=4, most_nodes=60, rng=np.random.default_rng(0))
    for edges in graphs[:50]:
        joined = adjacency(edges[None], 60)
        assert is_acyclic(joined).all()
        assert diameter(joined)[0] == distances(joined).max()
    assert max(edges.max(initial=0) for edges in graphs) > 40


def test_a_cycle_has_no_diameter() -> None:
    chain, ring = [[0, 1], [1, 2], [-1, -1]], [[0, 1], [1, 2], [2, 0]]
    both = adjacency(np.array([chain, ring]), 3)
    assert is_acyclic(both).tolist() == [True, False]
    assert diameter(both[:1]).tolist() == [2]
    with pytest.raises(InputError, match=r"graph 1 .* has a cycle"):
        diameter(both)


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda: adjacency(np.zeros((1, 1, 2), dtype=int), 513), InputError, "1 to 512 nodes; got 513"),
        (lambda: adjacency(np.array([[[0, 7]]]), 5), InputError, "must join nodes 0..4"),
        (lambda: superposition(np.zeros((1, 3), dtype=int), 0), SettingsError, "at least one thought"),
        (lambda: LayeredWorld(7, 3), SettingsError, "need 8 nodes"),
        (lambda: LayeredWorld(8, 0), SettingsError, "at least one step"),
        (lambda: LayeredWorld(600, 3), SettingsError, "512 are the most"),
        (lambda: LayeredWorld(8, 3, 90), SettingsError, "no room"),
        (lambda: ProsqaWorld(3, 5), SettingsError, "4 <= fewest_nodes"),
        (lambda: ProsqaWorld(fewest_steps=0), SettingsError, "at least one"),
        (lambda: ProsqaWorld(most_edges=9), SettingsError, "at least 12 edges"),
        (lambda: LayeredWorld().questions(0, rng=np.random.default_rng(0)), SettingsError, "at least one question"),
        (lambda: LayeredWorld(8, 3, 11).questions(4, rng=np.random.default_rng(0)), SettingsError, "too rare"),
        (lambda: random_dags(3, fewest_nodes=9, most_nodes=5, rng=np.random.default_rng(0)), SettingsError, "random graphs"),
    ],
)
def test_what_cannot_be_is_refused(ask: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ask()  # type: ignore[operator]


def test_retelling_needs_enough_numbers() -> None:
    drawn = LayeredWorld().questions(2, rng=np.random.default_rng(0))
    with pytest.raises(SettingsError, match="at least as many node numbers"):
        drawn.retold(11, rng=np.random.default_rng(0))
