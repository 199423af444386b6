"""Every arm, switch and control of the study is what its name says, and differs from its neighbour in nothing else."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from assay.core.seeds import Seeds
from assay.studies.mechanisms.reasoning_by_superposition import branches, shortcut, system, trained
from assay.studies.mechanisms.reasoning_by_superposition.branches import (
    Pairs,
    answer_with,
    other_drops,
    other_preferred,
    pairs_of,
    thoughts_fed,
    words_preferred,
)
from assay.studies.mechanisms.reasoning_by_superposition.graph_reader import Edit, GraphReader, Speaking, Thinking
from assay.studies.mechanisms.reasoning_by_superposition.graphs import adjacency, distances
from assay.studies.mechanisms.reasoning_by_superposition.readouts import (
    array,
    attention_ratios,
    aucs,
    collapse,
    nearest,
    sampled,
)
from assay.studies.mechanisms.reasoning_by_superposition.settings import ShortcutSettings, TrainedSettings, Training
from assay.studies.mechanisms.reasoning_by_superposition.system import Data, guessing, network, right, speaking, thinking, told
from assay.studies.mechanisms.reasoning_by_superposition.thoughts import content, drawn_node
from assay.studies.mechanisms.reasoning_by_superposition.world import LayeredWorld, Questions, deeper_candidate
from assay.training.losses import answer_loss
from assay.training.optimiser import Optimiser
from assay.training.sequence import train

TINY = {"small_steps": 2, "stage_steps": 3, "last_steps": 30, "batch": 6, "n_pool": 40, "n_eval": 64, "d_model": 16}
SETTINGS = TrainedSettings(**TINY, n_grown=16, n_branching=600)  # type: ignore[arg-type]


def reader(settings: Training, seed: int, edges_at: int | None = None) -> GraphReader:
    at = settings.edges_at if edges_at is None else edges_at
    made = GraphReader.init(network(settings), np.random.default_rng(seed), edges_at=at)
    return made.requires_grad_(requires_grad=False)


# --- what each network is trained on


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Training, int, list[Any]]]:
    """What would have been trained: settings, number of networks, stages; the networks stay as they began."""
    caught: list[tuple[Training, int, list[Any]]] = []

    def instead(settings: Training, rngs: list[np.random.Generator], stages: list[Any]) -> list[GraphReader]:
        caught.append((settings, len(rngs), stages))
        return [reader(settings, i) for i in range(len(rngs))]

    monkeypatch.setattr(system, "_trained", instead)
    return caught


def test_thinkers_of_a_seed_see_the_same_graphs_and_differ_in_their_labels(programs: list[Any]) -> None:
    data = [Data.drawn(SETTINGS, Seeds(i)) for i in (0, 1)]
    thinking(data, SETTINGS, [Seeds(0), Seeds(1)], ("optimal", "fixed path", "breadth-first"))
    ((_, n_networks, stages),) = programs
    assert n_networks == 6
    assert [stage.n_steps for stage in stages] == [2, 2, 2, 2, 3, 3, 3, 30]
    batch = stages[-2].draw(9)  # two thoughts, then a node three steps away
    inputs, targets = batch.inputs.numpy(), batch.targets.numpy()
    assert (inputs[:, :, -1] == 2).all()
    for first in (0, 3):
        assert (inputs[first : first + 3] == inputs[first]).all()
    assert not (inputs[0] == inputs[3]).all()
    for row, labels in zip(inputs[0], targets.T[:, :3], strict=True):
        edges = row[:-4].reshape(1, -1, 2)
        away = distances(adjacency(edges, 18), np.eye(18, dtype=bool)[[row[-2]]][None])[0, 0]
        assert away[labels].tolist() == [3, 3, 3], "after two thoughts the label is three steps away"
    last = stages[-1].draw(25)
    assert (last.inputs.numpy()[:, :, -1] == 3).all()
    assert (last.targets.numpy()[:3] == last.targets.numpy()[0]).all(), "the answer is the same for all labels"
    assert not (targets[0] == targets[2]).all(), "labels of the whole frontier are not those of shortest paths"


def test_the_answer_is_asked_for_after_the_last_thought_alone(programs: list[Any]) -> None:
    thinking([Data.drawn(SETTINGS, Seeds(0))], SETTINGS, [Seeds(0)], ("optimal",))
    stages, model = programs[0][2], GraphReader.init(network(SETTINGS), [np.random.default_rng(0)], edges_at=1)
    for stage, asked in ((stages[-1], True), (stages[-2], False)):
        batch = stage.draw(11)
        k = int(batch.inputs[0, 0, -1])
        assert (k == 3) == asked
        expected = answer_loss(model.think(batch.inputs[..., :-1], k, ask=asked).logits, batch.targets)
        torch.testing.assert_close(stage.loss(model, batch), expected)


@pytest.mark.parametrize("edges_at", [0, 1])
def test_training_takes_its_settings(monkeypatch: pytest.MonkeyPatch, edges_at: int) -> None:
    asked: list[Optimiser] = []

    def watched(model: Any, stages: Any, optimiser: Optimiser) -> Any:
        asked.append(optimiser)
        return train(model, stages, optimiser)

    monkeypatch.setattr(system, "train", watched)
    settings = replace(SETTINGS, edges_at=edges_at, small_steps=1, stage_steps=1, last_steps=1, learning_rate=0.002)
    (model,) = speaking([Data.drawn(settings, Seeds(0))], settings, [Seeds(0)])
    assert model.edges_at == edges_at
    (optimiser,) = asked
    assert (optimiser.learning_rate, optimiser.weight_decay, optimiser.clip_norm) == (0.002, 0.01, 1.0)
    assert (optimiser.kind, optimiser.schedule, optimiser.warmup_steps) == ("adamw", "linear", 20)


def test_every_tenth_batch_is_of_an_earlier_stage(programs: list[Any]) -> None:
    thinking([Data.drawn(SETTINGS, Seeds(0))], SETTINGS, [Seeds(0)], ("optimal",))
    stages = programs[0][2]
    thoughts = [int(stages[-1].draw(step).inputs[0, 0, -1]) for step in range(20, 60)]
    assert [thoughts[i] for i in (0, 10, 20, 30)] == [2, 3, 0, 1]
    assert {k for i, k in enumerate(thoughts) if i % 10} == {3}
    unmixed = replace(SETTINGS, mixing=0.0)
    thinking([Data.drawn(unmixed, Seeds(0))], unmixed, [Seeds(0)], ("optimal",))
    assert {int(programs[1][2][-1].draw(step).inputs[0, 0, -1]) for step in (20, 30, 40)} == {3}


def test_words_are_taught_the_item_s_own_shortest_path(programs: list[Any]) -> None:
    speaking([Data.drawn(SETTINGS, Seeds(0))], SETTINGS, [Seeds(0)])
    ((settings, _, (stage,)),) = programs
    assert settings == SETTINGS
    assert stage.n_steps == SETTINGS.total_steps
    batch = stage.draw(SETTINGS.all_small_steps)
    inputs, said = batch.inputs.numpy()[0], batch.targets.numpy()[0]
    path, asked = inputs[:, -3:], inputs[:, :-3]
    np.testing.assert_array_equal(said[:, :3], path)
    np.testing.assert_array_equal(said[:, 3], path[:, -1])
    for row, nodes in zip(asked, path, strict=True):
        edges = {tuple(edge) for edge in row[:-3].reshape(-1, 2).tolist()}
        assert {(int(row[-1]), int(nodes[0])), (int(nodes[0]), int(nodes[1])), (int(nodes[1]), int(nodes[2]))} <= edges
        assert nodes[2] in row[-3:-1]


@pytest.mark.parametrize(("small_first", "guess_factor"), [(True, 1.0), (False, 1.5)])
def test_a_guesser_meets_small_graphs_first_or_never(programs: list[Any], small_first: bool, guess_factor: float) -> None:
    settings = replace(SETTINGS, guess_factor=guess_factor)
    guessing([Data.drawn(SETTINGS, Seeds(0))], settings, [Seeds(0)], small_first=small_first)
    ((_, _, (stage,)),) = programs
    assert stage.n_steps == round(guess_factor * SETTINGS.total_steps)
    edges = [int((stage.draw(step).inputs[0, :, :-3] >= 0).sum(1)[0]) // 2 for step in (0, SETTINGS.all_small_steps)]
    assert edges == [10 if small_first else 18, 18]


def test_what_is_held_out_was_drawn_apart_from_what_is_trained_on() -> None:
    data, other = Data.drawn(SETTINGS, Seeds(0)), Data.drawn(SETTINGS, Seeds(1))
    seen = {edges.tobytes() for edges in np.sort(data.pool.edges, axis=1)}
    drawn = SETTINGS.world.questions(SETTINGS.n_eval, rng=Seeds(0)("held out"))
    assert not seen & {edges.tobytes() for edges in np.sort(drawn.edges, axis=1)}
    assert sorted(drawn.n_steps.tolist()) == sorted(data.held_out.n_steps.tolist())
    assert not (data.held_out.edges == other.held_out.edges).all()


# --- which settings each arm is given


class Recorder:
    """Stands for training: remembers what it was asked for, and returns networks as they begin."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
        self.calls: list[tuple[str, Training, Any]] = []
        self.models: list[GraphReader] = []
        for name in ("thinking", "speaking", "guessing"):
            monkeypatch.setattr(module, name, self._stand_in(name))

    def _stand_in(self, name: str) -> Any:
        def instead(data: Any, settings: Training, seeds: Any, *labels: Any, **options: Any) -> Any:
            self.calls.append((name, settings, labels[0] if labels else options))
            made = [reader(settings, 10 * len(self.calls) + i) for i in range(len(labels[0]) if labels else 1)]
            self.models += made
            return [made] if labels else made

        return instead


@pytest.fixture(scope="module")
def run() -> Iterator[tuple[Recorder, Mapping[str, float]]]:
    with pytest.MonkeyPatch.context() as patch:
        recorder = Recorder(patch, trained)
        (found,) = trained.measure_many(SETTINGS, [Seeds(0)])
        yield recorder, found.estimands


def test_arms_of_trained_are_given_what_their_names_say(run: tuple[Recorder, Mapping[str, float]]) -> None:
    recorder, _ = run
    assert recorder.calls == [
        ("thinking", SETTINGS, ("optimal", "fixed path", "breadth-first")),
        ("thinking", replace(SETTINGS, edges_at=0), ("optimal",)),
        ("speaking", SETTINGS, {}),
        ("guessing", SETTINGS, {}),
    ]
    assert SETTINGS.edges_at == 1
    assert list(trained.LABELS) == ["thoughts", "fixed-path", "breadth-first"]
    assert tuple(trained.LABELS.values()) == recorder.calls[0][2]


def test_numbers_of_trained_are_of_the_arm_they_are_named_after(run: tuple[Recorder, Mapping[str, float]]) -> None:
    recorder, found = run
    networks = dict(zip(("thoughts", "fixed-path", "breadth-first", "spare"), recorder.models[:4], strict=True))
    speaker, guesser = recorder.models[4:]
    questions = Data.drawn(SETTINGS, Seeds(0)).held_out
    inputs = torch.from_numpy(told(questions))
    seen = {name: model.think(inputs, 3) for name, model in networks.items()}
    preferred = {name: right(thought.logits, questions)["preferred"] for name, thought in seen.items()}
    preferred["words"] = right(speaker.speak(inputs, 3).logits, questions)["preferred"]
    preferred["given-path"] = right(speaker.spoken(inputs, torch.from_numpy(questions.paths))[:, 3], questions)["preferred"]
    preferred["no-thoughts"] = right(guesser.think(inputs, 0).logits, questions)["preferred"]
    assert preferred["given-path"] != preferred["words"]
    for name, value in preferred.items():
        assert found[f"{name}/preferred"] == value
        if name != "thoughts":
            assert found[f"{name}/behind"] == pytest.approx(preferred["thoughts"] - value)
    states = {name: thought.thoughts for name, thought in seen.items()} | {"words": speaker.speak(inputs, 3).states}
    read = {
        name: aucs(array(content(state, {**networks, "words": speaker}[name].embeddings[:18])), questions)
        for name, state in states.items()
    }

    def auc_of(state: torch.Tensor, model: Any, group: str) -> float:
        return float(np.mean(aucs(array(content(state, model.embeddings[:18])), questions)[group][1:]))

    for name in ("thoughts", "fixed-path", "breadth-first"):
        model = networks[name]
        ahead = np.mean(read[name]["frontier"][1:]) - np.mean(read["words"]["frontier"][1:])
        assert found[f"{name}/frontier_excess"] == pytest.approx(ahead)
        walked = auc_of(
            model.think(inputs, 3, edit=sampled(model, 18, Seeds(0)(f"walk {name}"))).thoughts, model, "other branch"
        )
        held = np.mean(read[name]["other branch"][1:])
        assert found[f"{name}/branch_excess"] == pytest.approx(held - walked)
        if name != "breadth-first":
            one = auc_of(model.think(inputs, 3, edit=nearest(model, 18)).thoughts, model, "other branch")
            assert found[f"{name}-nearest/branch_excess"] == pytest.approx(one - walked)
        if name != "thoughts":
            lean = min(read["thoughts"]["preference"][:-1]) - min(read[name]["preference"][:-1])
            assert found[f"{name}/flattened"] == pytest.approx(lean)
    rng = Seeds(0)("walk words")
    said = speaker.speak(inputs, 3, choose=lambda logits: drawn_node(logits[..., :18], rng))
    ahead = np.mean(read["words"]["other branch"][1:]) - auc_of(said.states, speaker, "other branch")
    assert found["words/branch_excess"] == pytest.approx(ahead)
    assert found["thoughts/auc_older"] == pytest.approx(min(read["thoughts"]["older"][1:]))
    assert found["built/auc_older"] == 1
    assert found["shuffled/auc_older"] != found["thoughts/auc_older"]
    drops = {
        name: collapse(networks["thoughts"], questions, 3, Seeds(0)("collapse thoughts")) for name in ("nearest", "frontier")
    }
    for name, changed in drops.items():
        assert found[f"{name}/collapse_drop"] == pytest.approx(changed["intact"] - changed[name])


def test_where_a_thought_looks_is_read_in_the_layer_that_looks_up(run: tuple[Recorder, Mapping[str, float]]) -> None:
    recorder, found = run
    data = Data.drawn(SETTINGS, Seeds(0))
    inputs = torch.from_numpy(told(data.held_out))
    fresh = {at: GraphReader.init(network(SETTINGS), Seeds(0)(f"untrained {at}"), edges_at=at) for at in (0, 1)}
    for name, model in (
        ("thoughts", recorder.models[0]), ("spare", recorder.models[3]), ("untrained", fresh[1]), ("untrained-spare", fresh[0])
    ):  # fmt: skip
        attention = array(model.think(inputs, 3, look=True).attention)
        layer = trained._layer_that_looks_up(model, data, SETTINGS, Seeds(0))
        assert attention.shape[2] == (2 if "spare" in name else 1)
        expected = attention_ratios(attention[:, :, layer], data.held_out)
        assert {what: found[f"{name}/{what}"] for what in expected} == pytest.approx(expected)
    spoken = array(recorder.models[4].speak(inputs, 3, look=True).attention)
    assert spoken.shape[2] == 1
    expected = attention_ratios(spoken[:, :, 0], data.held_out)
    assert {what: found[f"words/{what}"] for what in expected} == pytest.approx(expected)


def test_numbers_of_second_targets_are_of_the_arm_they_are_named_after(monkeypatch: pytest.MonkeyPatch) -> None:
    arms = ("thoughts", "fixed-path", "breadth-first", "spare", "untrained")
    models: dict[str, Any] = {name: reader(SETTINGS, i) for i, name in enumerate(arms)}
    number = {id(model): float(i) for i, model in enumerate(models.values())}
    words = reader(SETTINGS, 9)

    def preferred(model: Any, pairs: Any, n: int, edit: Any = None) -> float:
        return number[id(model)] + (100 if edit else 0)

    monkeypatch.setattr(trained, "other_preferred", preferred)
    monkeypatch.setattr(trained, "words_preferred", lambda model, pairs, n: 7.0 if model is words else -1.0)
    monkeypatch.setattr(
        trained, "other_drops", lambda model, pairs, n, rng: {"cut": number[id(model)], "cut-elsewhere": number[id(model)] + 10}
    )
    assert trained._of_pairs(SETTINGS, Seeds(0), drawn_pairs(400), models, words) == {
        **{f"{name}/other_preferred": float(i) for i, name in enumerate(arms)},
        "words/other_preferred": 7.0,
        "thoughts-walk/other_preferred": 100.0,
        "cut/other_drop": 0.0,
        "cut-elsewhere/other_drop": 10.0,
        "breadth-first/other_drop": 2.0,
        "untrained/other_drop": 4.0,
    }


def test_arms_of_shortcut_are_given_what_their_names_say(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ShortcutSettings(**TINY)  # type: ignore[arg-type]
    recorder = Recorder(monkeypatch, shortcut)
    (found,) = shortcut.measure_many(settings, [Seeds(0)])
    assert recorder.calls == [
        ("thinking", settings, ("optimal",)),
        ("speaking", settings, {}),
        ("guessing", replace(settings, edges_at=0), {"small_first": False}),
    ]
    assert settings.family == "prosqa"
    questions = Data.drawn(settings, Seeds(0)).held_out
    inputs = torch.from_numpy(told(questions))
    thinker, speaker, guesser = recorder.models
    preferred = {
        "thoughts": right(thinker.think(inputs, 3).logits, questions)["preferred"],
        "given-path": right(speaker.spoken(inputs, torch.from_numpy(questions.paths))[:, 3], questions)["preferred"],
        "words": right(speaker.speak(inputs, 3).logits, questions)["preferred"],
        "no-thoughts": right(guesser.think(inputs, 0).logits, questions)["preferred"],
        "deeper": deeper_candidate(questions),
    }
    for name, value in preferred.items():
        assert found.estimands[f"{name}/preferred"] == value
    world = LayeredWorld(settings.n_nodes, 3)
    matched = world.questions(64, rng=Seeds(0)("matched")).retold(settings.n_names, rng=Seeds(0)("matched names"))
    assert deeper_candidate(matched) == 0.5
    answered = right(guesser.think(torch.from_numpy(told(matched)), 0).logits, matched)
    assert found.estimands["no-thoughts-matched/exact"] == answered["exact"]
    assert found.estimands["no-thoughts-matched/preferred"] == answered["preferred"]
    assert found.estimands["words/behind"] == pytest.approx(preferred["thoughts"] - preferred["words"])
    assert deeper_candidate(questions) > 0.7


def test_the_graphs_without_a_shortcut_have_none_and_the_benchmark_s_have_it() -> None:
    assert trained.check(SETTINGS) == {"C2.none": 0.5}
    assert trained.check(ShortcutSettings(n_eval=200))["C2.none"] > 0.5  # type: ignore[arg-type]


# --- a second target on another branch


def drawn_pairs(n: int = 2500) -> Pairs:
    rng = np.random.default_rng(0)
    return pairs_of(LayeredWorld(16, 3, 4).questions(n, rng=rng).retold(18, rng=rng), rng)


def test_a_second_question_is_about_another_branch_of_the_same_graph() -> None:
    pairs = drawn_pairs()
    assert len(pairs) > 60
    first, second = pairs.first, pairs.second
    np.testing.assert_array_equal(first.edges, second.edges)
    np.testing.assert_array_equal(first.roots, second.roots)
    np.testing.assert_array_equal(second.distance, first.distance)
    assert (second.n_steps == 3).all()
    for item in range(len(pairs)):
        edges = [(int(s), int(t)) for s, t in first.edges[item]]
        assert not set(first.candidates[item]) & set(second.candidates[item])
        wrong = int(second.candidates[item].sum() - second.targets[item])
        assert first.distance[item, wrong] == -1
        parents = {s for s, t in edges if t == second.targets[item]}
        on_the_way = {s for s, t in edges if t == first.targets[item] and first.distance[item, s] == 2}
        assert on_the_way
        assert not parents & on_the_way
    joined = adjacency(second.edges, 18).sum(1)
    rows = np.arange(len(pairs))
    gap = joined[rows, second.targets] - joined[rows, second.candidates.sum(1) - second.targets]
    assert abs(np.mean(np.sign(gap))) < 0.3, "edges into the candidates hardly tell"


class Planted:
    """Stands for a network whose thoughts are sets of nodes: the whole frontier, or the one way to the shown target."""

    def __init__(self, *, many: bool) -> None:
        self.many, self.embeddings = many, torch.eye(22)

    def think(self, inputs: torch.Tensor, n_thoughts: int, *, edit: Edit | None = None) -> Thinking:
        joined = torch.from_numpy(adjacency(inputs[:, :-3].numpy().reshape(len(inputs), -1, 2), 22)).float()
        ahead = [torch.nn.functional.one_hot(inputs[:, -3:-1], 22).sum(1).float()]  # nodes that lead to a shown candidate
        for _ in range(n_thoughts - 1):
            ahead.insert(0, (joined @ ahead[0].unsqueeze(-1)).squeeze(-1))
        here = torch.nn.functional.one_hot(inputs[:, -1], 22).float()
        made = []
        for c in range(1, n_thoughts + 1):
            here = ((here.unsqueeze(1) @ joined).squeeze(1) > 0).float()
            if not self.many:
                best = (here * ahead[c - 1]).argmax(-1)
                here = torch.nn.functional.one_hot(best, 22).float() * here
            made.append(here)
            here = here if edit is None else edit(c, here)
        return Thinking(here, torch.stack(made, 1), torch.empty(0))

    def speak(self, inputs: torch.Tensor, n_steps: int) -> Speaking:
        states = self.think(inputs, n_steps).thoughts
        return Speaking(states.argmax(-1), states[:, -1], states, states[..., :0])

    def spoken(self, inputs: torch.Tensor, path: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(path, 22).float()


def test_only_a_thought_that_holds_many_paths_answers_about_another_branch() -> None:
    pairs = drawn_pairs()
    many, one = Planted(many=True), Planted(many=False)
    for model in (many, one):
        answered = model.think(torch.from_numpy(told(pairs.first)), 3).logits
        assert right(answered, pairs.first)["preferred"] == 1, "both answer the question that they think about"
    assert other_preferred(many, pairs, 3) == 1  # type: ignore[arg-type]
    assert other_preferred(one, pairs, 3) == 0  # type: ignore[arg-type]
    assert words_preferred(one, pairs, 3) == 0  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    assert other_drops(many, pairs, 3, rng) == {"cut": 1.0, "cut-elsewhere": 0.0}  # type: ignore[arg-type]
    assert other_drops(one, pairs, 3, rng) == {"cut": 0.0, "cut-elsewhere": 0.0}  # type: ignore[arg-type]


def test_what_is_taken_out_lies_on_the_way_it_is_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs, taken = drawn_pairs(), []
    monkeypatch.setattr(branches, "without", lambda thought, nodes, chosen: (taken.append(chosen.numpy()), thought)[1])
    other_drops(Planted(many=True), pairs, 3, np.random.default_rng(0))  # type: ignore[arg-type]
    on_second, elsewhere = taken[-2], taken[-1]  # of the second thought
    way, first = pairs.second.optimal(2), pairs.first.optimal(2)
    neither = pairs.first.frontier(2) & ~first & ~way
    fine = (way.sum(1) == 1) & ~(way & first).any(1) & neither.any(1)
    rows = np.arange(int(fine.sum()))
    assert way[fine][rows, on_second].all()
    assert neither[fine][rows, elsewhere].all()


def test_what_replaces_a_thought_is_what_the_arm_says() -> None:
    rng = np.random.default_rng(0)
    questions = LayeredWorld(16, 3, 4).questions(200, rng=rng).retold(18, rng=rng)
    found = collapse(Planted(many=True), questions, 3, rng)  # type: ignore[arg-type]
    assert found["intact"] == found["frontier"] == 1
    assert found["nearest"] < 0.8
    assert found["sampled"] < 0.8
    model = reader(SETTINGS, 0)
    first, again = (thoughts_fed(model, questions, 3, sampled(model, 18, np.random.default_rng(i))) for i in (0, 1))
    assert not torch.allclose(first[:, 0], again[:, 0]), "drawn, not nearest"


def test_no_pairs_have_no_number() -> None:
    none = drawn_pairs(400).take(np.zeros(0, dtype=int))
    assert np.isnan(other_preferred(Planted(many=True), none, 3))  # type: ignore[arg-type]
    assert np.isnan(other_drops(Planted(many=True), none, 3, np.random.default_rng(0))["cut"])  # type: ignore[arg-type]


def test_thoughts_fed_back_are_those_that_were_made_and_edited() -> None:
    model, questions = reader(SETTINGS, 0), drawn_pairs(400).first
    inputs = torch.from_numpy(told(questions))
    plain = model.think(inputs, 3)
    fed = thoughts_fed(model, questions, 3)
    torch.testing.assert_close(fed, plain.thoughts)
    torch.testing.assert_close(answer_with(model, questions, fed), plain.logits)
    assert not torch.allclose(answer_with(model, questions, fed.roll(1, 0)), plain.logits)
    torch.testing.assert_close(thoughts_fed(model, questions, 3, lambda c, thought: c * thought)[:, 0], fed[:, 0])
    assert not torch.allclose(thoughts_fed(model, questions, 3, lambda c, thought: c * thought)[:, 1], fed[:, 1])


def test_a_walk_carries_one_node_at_a_time() -> None:
    model, questions = reader(SETTINGS, 0), drawn_pairs(400).first
    walk = sampled(model, 18, np.random.default_rng(0))
    fed, plain = thoughts_fed(model, questions, 3, walk), thoughts_fed(model, questions, 3)
    nodes = model.embeddings[:18] / model.embeddings[:18].norm(dim=-1, keepdim=True)
    along = (fed @ nodes.T).max(-1).values / fed.norm(dim=-1)
    torch.testing.assert_close(along, torch.ones_like(along), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(fed[:, 0].norm(dim=-1), plain[:, 0].norm(dim=-1))


def test_a_thought_s_nearest_node_is_one_node_and_always_the_same() -> None:
    model, questions = reader(SETTINGS, 0), drawn_pairs(400).first
    one, again = (thoughts_fed(model, questions, 3, nearest(model, 18)) for _ in range(2))
    torch.testing.assert_close(one, again)
    nodes = model.embeddings[:18] / model.embeddings[:18].norm(dim=-1, keepdim=True)
    first = thoughts_fed(model, questions, 3)[:, 0]
    torch.testing.assert_close((one[:, 0] @ nodes.T).argmax(-1), (first @ nodes.T).argmax(-1))
    along = (one @ nodes.T).max(-1).values / one.norm(dim=-1)
    torch.testing.assert_close(along, torch.ones_like(along), rtol=1e-4, atol=1e-4)


def test_words_are_likeliest_or_chosen_and_their_attention_is_of_what_made_them() -> None:
    model, questions = reader(SETTINGS, 0), drawn_pairs(400).first
    inputs = torch.from_numpy(told(questions))
    plain = model.speak(inputs, 3, look=True)
    assert plain.attention.shape == (len(questions), 3, 1, questions.edges.shape[1])
    torch.testing.assert_close(plain.attention[:, 0], model.think(inputs, 1, look=True).attention[:, 0])
    torch.testing.assert_close(plain.states[:, 0], model.think(inputs, 1).thoughts[:, 0])
    other = model.speak(inputs, 3, choose=lambda logits: torch.full_like(logits[..., 0], 5, dtype=torch.long))
    assert (other.path == 5).all()
    assert not model.speak(inputs, 3).attention.numel()


def test_a_node_is_drawn_as_likely_as_its_score_says() -> None:
    scores = torch.log(torch.tensor([0.7, 0.2, 0.1])).expand(6000, 3)
    counts = torch.bincount(drawn_node(scores, np.random.default_rng(0)), minlength=3) / 6000
    torch.testing.assert_close(counts, torch.tensor([0.7, 0.2, 0.1]), atol=0.025, rtol=0)


def test_questions_from_the_other_root_lead_to_the_other_candidate() -> None:
    rng = np.random.default_rng(0)
    questions: Questions = LayeredWorld(16, 3, 4).questions(50, rng=rng).retold(18, rng=rng)
    turned, rows = questions.from_the_other_root(), np.arange(50)
    wrong = questions.candidates.sum(1) - questions.targets
    assert (turned[rows, wrong] == 3).all()
    assert (turned[rows, questions.targets] == -1).all()
    assert (turned[rows, questions.roots] == -1).all()
