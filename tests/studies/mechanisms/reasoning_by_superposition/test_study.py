"""What the study of superposition computes from networks, on planted ones; and what it refuses."""

import numpy as np
import pytest
import torch

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.core.settings import resolve
from assay.studies.mechanisms.reasoning_by_superposition import STUDY
from assay.studies.mechanisms.reasoning_by_superposition.claims import CONSTRUCTION
from assay.studies.mechanisms.reasoning_by_superposition.graph_reader import Thinking
from assay.studies.mechanisms.reasoning_by_superposition.graphs import adjacency, distances
from assay.studies.mechanisms.reasoning_by_superposition.readouts import (
    attention_ratios,
    attention_table,
    aucs,
    excess,
    growth_table,
    least,
)
from assay.studies.mechanisms.reasoning_by_superposition.settings import (
    ConstructionSettings,
    ShortcutSettings,
    TrainedSettings,
    Training,
)
from assay.studies.mechanisms.reasoning_by_superposition.system import Data, _label, chance_of_a_walk, right
from assay.studies.mechanisms.reasoning_by_superposition.trained import _larger, _layer_that_looks_up
from assay.studies.mechanisms.reasoning_by_superposition.world import LayeredWorld, Questions, superposition

SMALL = TrainedSettings(stage_steps=2, last_steps=2, batch=4, n_pool=40, n_eval=64, d_model=16, n_grown=16)


def asked(n: int = 300) -> Questions:
    rng = np.random.default_rng(0)
    return LayeredWorld(14, 3, 4).questions(n, rng=rng).retold(16, rng=rng)


def test_the_construction_s_thoughts_hold_everything_and_a_moving_front_only_the_frontier() -> None:
    questions = asked()
    built = aucs(superposition(questions.distance, 3), questions)
    for group in ("frontier", "off path", "other branch", "older"):
        assert least(built, group) == 1
    assert least(built, "preference") < 0.65  # not quite one half: where few nodes share a thought each weighs more
    front = np.stack([questions.frontier(c) for c in (1, 2, 3)], axis=1).astype(float)
    assert least(aucs(front, questions), "frontier") == 1
    assert least(aucs(front, questions), "older") == 0.5
    best = np.stack([questions.optimal(c) for c in (1, 2, 3)], axis=1).astype(float)
    assert least(aucs(best, questions), "off path") == 0.5
    assert least(aucs(best, questions), "preference") == 1
    drawn = np.random.default_rng(1).standard_normal(front.shape)
    assert all(abs(least(aucs(drawn, questions), group) - 0.5) < 0.12 for group in built)


def test_a_walker_holds_off_path_nodes_but_none_of_another_branch() -> None:
    questions = asked()
    joined = adjacency(questions.edges, questions.n_nodes)
    # The state of a network that says one path: the children of the node it is at.
    children = [joined[np.arange(300), questions.roots]]
    children += [joined[np.arange(300), questions.paths[:, c]] for c in (0, 1)]
    walker = aucs(np.stack(children, axis=1).astype(float), questions)
    assert min(walker["off path"][1:]) > 0.6
    assert max(walker["other branch"][1:]) < 0.55
    front = aucs(np.stack([questions.frontier(c) for c in (1, 2, 3)], axis=1).astype(float), questions)
    assert excess(front, walker, "other branch") > 0.4
    assert excess(walker, walker, "frontier") == 0


def test_attention_ratios_are_those_planted() -> None:
    questions = asked()
    away = questions.distance[np.arange(300)[:, None], questions.edges[..., 0]]
    weights = np.stack([np.where(away == c, 12.0, 1.0) for c in range(3)], axis=1)
    assert attention_ratios(weights, questions) == pytest.approx(
        {"frontier_ratio": np.log(12.0), "others_ratio": np.log(12.0), "optimal_ratio": 0.0}
    )
    # Who is at one node, on a path or off it, looks at edges of the frontier, and at no second node's.
    at = np.concatenate((questions.roots[:, None], questions.paths[:, :2]), axis=1)
    one = np.stack([np.where(questions.edges[..., 0] == at[:, [c]], 1000.0, 1.0) for c in range(3)], axis=1)
    ratios = attention_ratios(one, questions)
    assert ratios["frontier_ratio"] > np.log(100)
    assert ratios["others_ratio"] == pytest.approx(0)
    assert attention_ratios(np.ones_like(weights), questions) == pytest.approx(
        {"frontier_ratio": 0.0, "others_ratio": 0.0, "optimal_ratio": 0.0}
    )
    for row in attention_table({"planted": weights}, questions):
        # At the first step nothing has been reached before the root.
        expected = {
            "optimal": 12.0,
            "off path": 12.0,
            "older": np.nan if row["step"] == "step 1" else 1.0,
            "not reachable": 1.0,
        }
        assert row["attention"] == pytest.approx(expected[str(row["edges"])], nan_ok=True)


class Searcher:
    """Stands for a network: one of its two layers looks at the frontier, and it answers once the target is in reach."""

    def __init__(self, layer: int) -> None:
        self.layer = layer

    def think(self, inputs: torch.Tensor, n_thoughts: int, *, look: bool = False) -> Thinking:
        told, rows = inputs.numpy(), np.arange(len(inputs))
        edges, candidates, roots = told[:, :-3].reshape(len(told), -1, 2), told[:, -3:-1], told[:, -1]
        away = distances(adjacency(edges, 18), (np.arange(18) == roots[:, None])[:, None])[:, 0]
        weights = np.ones((len(told), n_thoughts, 2, edges.shape[1]))
        frontier = away[rows[:, None], edges[..., 0]][:, None] == np.arange(n_thoughts)[:, None]
        weights[:, :, self.layer] += 8 * frontier
        reached = away[rows[:, None], candidates]
        logits = torch.zeros(len(told), 22)
        logits[torch.from_numpy(rows), torch.from_numpy(candidates[rows, reached.argmax(1)])] = 1.0
        logits[torch.from_numpy(reached.max(1) > n_thoughts)] *= -1
        return Thinking(logits, torch.empty(0), torch.from_numpy(weights))


@pytest.mark.parametrize("layer", [0, 1])
def test_the_layer_that_looks_up_is_found_on_other_graphs(layer: int) -> None:
    data = Data.drawn(SMALL, Seeds(0))
    assert _layer_that_looks_up(Searcher(layer), data, SMALL, Seeds(0)) == layer  # type: ignore[arg-type]


def test_a_search_grows_with_its_thoughts() -> None:
    sets = {name: questions for name, questions in _larger(SMALL, Seeds(0)).items()}
    assert {name: set(questions.n_steps) for name, questions in sets.items()} == {
        "18 nodes, 3 steps": {3}, "16 nodes, 4 steps": {4}, "18 nodes, 5 steps": {5}
    }  # fmt: skip
    for row in growth_table(Searcher(0), sets, 6):  # type: ignore[arg-type]
        assert row["preferred"] == float(int(row["thoughts"]) >= int(str(row["questions"]).split()[2]))


def test_labels_are_of_their_kind_and_the_fixed_path_is_fixed() -> None:
    questions, rng = asked(), np.random.default_rng(0)
    rows = np.arange(300)
    for c in (1, 2, 3):
        assert questions.optimal(c)[rows, _label(questions, "optimal", c, rng)].all()
        wide = _label(questions, "breadth-first", c, rng)
        assert questions.frontier(c)[rows, wide].all()
        fixed = _label(questions, "fixed path", c, rng)
        assert (fixed == _label(questions, "fixed path", c, rng)).all()
        assert questions.optimal(c)[rows, fixed].all()
    assert not questions.optimal(1)[rows, _label(questions, "breadth-first", 1, rng)].all()


def test_right_counts_exact_and_preferred_answers() -> None:
    questions = asked(4)
    logits = torch.zeros(4, 20)
    wrong = questions.candidates.sum(1) - questions.targets
    logits[torch.arange(4), torch.from_numpy(questions.targets)] = torch.tensor([2.0, 2.0, 2.0, -1.0])
    logits[1, 19] = 3.0  # something else altogether
    logits[2, wrong[2]] = 5.0
    assert right(logits, questions) == {"exact": 0.25, "preferred": 0.5}


def test_a_walk_on_a_fork_finds_the_target_half_of_the_time() -> None:
    edges = np.array([[[0, 1], [0, 2], [1, 3], [2, 4]]])
    distance, ahead = np.array([[0, 1, 1, 2, 2, -1]]), np.array([[2, 1, -1, 0, -1, -1]])
    fork = Questions(edges, np.array([0]), np.array([[3, 5]]), np.array([3]), distance, ahead, np.ones((1, 6), bool),
                     np.array([[1, 3]]))  # fmt: skip
    assert chance_of_a_walk(fork) == pytest.approx(0.5 + 0.5 / 2)


def test_training_begins_on_the_smallest_graphs_and_held_out_questions_are_others() -> None:
    data, rng = Data.drawn(SMALL, Seeds(0)), np.random.default_rng(0)
    assert len(data.pool) == 40
    assert data.held_out.present.shape == (64, SMALL.n_names)
    assert data.batch(SMALL, SMALL.all_small_steps - 1, rng).present.sum(1).tolist() == [10] * SMALL.batch
    assert data.batch(SMALL, SMALL.all_small_steps, rng).present.sum(1).tolist() == [SMALL.n_nodes] * SMALL.batch


def test_every_claim_of_the_card_is_there_and_has_a_control() -> None:
    names = {claim.name.split(".")[0] for claim in (*STUDY.claims, *STUDY.exact)}
    assert names == {f"C{i}" for i in range(1, 9)}


def test_the_construction_is_exact_at_the_quick_preset() -> None:
    settings = CONSTRUCTION.preset("quick").settings
    assert CONSTRUCTION.exact_numbers(settings) == {"C1": 1, "C1.answers": 1, "C1.short": 0}
    assert CONSTRUCTION.measure_run(settings, Seeds(3)).estimands == {"sharp/least_exact": 1, "blunt/least_exact": 0}


@pytest.mark.parametrize(
    ("settings", "override", "message"),
    [
        (Training(), "n_steps=2", "at least 3 steps"),
        (Training(), "n_names=11", "need as many names"),
        (Training(), "n_steps=8", "two ways of 8 edges need 18 nodes"),
        (ShortcutSettings(), "n_nodes=19", "need as many names"),
        (TrainedSettings(), "edges_at=2", "edges_at"),
        (ConstructionSettings(), "fewest_nodes=61", "fewest_nodes <= most_nodes"),
        (TrainedSettings(), "stage_steps=0", "stage_steps"),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_trained(settings: object, override: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        resolve(settings, [override], where="x")
