"""What the symbolic system computes from networks and curves, on planted ones; that every arm is what it is called."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.core.settings import resolve
from assay.instruments.attention import patterns
from assay.models.decoder import Decoder
from assay.store.memo import memos_in
from assay.studies.mechanisms.two_hop_reasoning import STUDY, depth, symbolic, system
from assay.studies.mechanisms.two_hop_reasoning.chains import ChainSequences, ChainWorld
from assay.studies.mechanisms.two_hop_reasoning.gate_fit import MODELS, NESTED, log_error_ratios, mixed_attention, predictions
from assay.studies.mechanisms.two_hop_reasoning.gates import measure_many as measure_gates
from assay.studies.mechanisms.two_hop_reasoning.settings import DepthSettings, GateSettings, SymbolicSettings, Training
from assay.studies.mechanisms.two_hop_reasoning.symbolic import (
    cliff,
    coincidence,
    course_numbers,
    cuts,
    exchanged_bridges,
    fewer_chains,
    guessing_share,
    last_rise,
    single_chain,
)
from assay.studies.mechanisms.two_hop_reasoning.system import Course, network, probabilities, train_start
from assay.training.losses import Batch, last_token_loss

SYMBOLIC, DEPTH, GATES, _ = STUDY.experiments
QUICK: SymbolicSettings = SYMBOLIC.preset("quick").settings
QUICK_DEPTH: DepthSettings = DEPTH.preset("quick").settings
NEVER = 2.0  # a probability that no network reaches


def drawn_for(settings: Training) -> ChainSequences:
    return settings.world.sequences(settings.n_eval, rng=np.random.default_rng(0))


# ------------------------------------------------------------------------------------------------- numbers on planted curves


def test_probabilities_add_up_and_a_perfect_answer_is_perfect() -> None:
    drawn = ChainWorld().sequences(50, rng=np.random.default_rng(0))
    perfect = np.full((50, 34), -1e3)
    perfect[np.arange(50), drawn.answers] = 0.0
    found = probabilities(perfect, drawn)
    assert [found[name] for name in ("target", "ends", "accuracy")] == pytest.approx([1, 1, 1])
    among_ends = np.full((50, 34), -1e3)
    np.put_along_axis(among_ends, drawn.ends, 0.0, axis=1)
    found = probabilities(among_ends, drawn)
    assert found["ends"] == pytest.approx(1)
    assert found["target"] == pytest.approx(0.2)
    assert found["loss"] == pytest.approx(np.log(5))
    even = probabilities(np.zeros((50, 34)), drawn)
    assert [even[name] * 34 for name in ("ends", "middle", "outside")] == pytest.approx([5, 10, 19])


def test_the_share_of_guessing_is_the_share_of_steps() -> None:
    steps = np.arange(0.0, 1001.0, 10.0)
    target = np.where(steps < 400, 0.05, np.where(steps < 900, 0.2, 1.0))
    assert guessing_share(steps, target, 900.0, n_ends=5) == pytest.approx(5 / 9, abs=0.02)
    assert guessing_share(steps, 0 * target, 900.0, n_ends=5) == 0
    assert guessing_share(steps, 2 * target, 900.0, n_ends=5) == 0


def test_a_cliff_that_has_not_come_down_by_the_end_is_at_least_so_long() -> None:
    steps = np.arange(0.0, 1001.0, 10.0)
    assert cliff(steps, np.where(steps < 500, 0.2, 1.0), n_ends=5) == pytest.approx(0.6 * 10 / 0.8 / 500, rel=0.05)
    assert cliff(steps, steps / 1000, n_ends=5) == pytest.approx(0.6 / 0.5)
    assert cliff(steps, np.where(steps < 500, 0.2, 0.6), n_ends=5) == pytest.approx((1000 - 492) / 497.5, rel=0.01)
    assert cliff(steps, np.full(101, 0.2), n_ends=5) == 1


def test_with_fewer_ends_guessing_and_the_jump_start_higher() -> None:
    steps = np.arange(0.0, 1001.0, 10.0)
    assert guessing_share(steps, np.full(101, 0.33), 1000.0, n_ends=4) == pytest.approx(1, abs=0.01)
    assert guessing_share(steps, np.full(101, 0.33), 1000.0, n_ends=5) == 0
    assert cliff(steps, steps / 1000, n_ends=4) == pytest.approx(0.55 / 0.5)


def test_half_way_is_where_a_curve_stays_past_the_middle_of_its_rise() -> None:
    steps = np.array([0.0, 10, 20, 30, 40])
    assert last_rise(steps, np.array([0.0, 0.25, 0.75, 1, 1])) == pytest.approx(15)
    assert last_rise(steps, np.array([0.0, 0.9, 0.1, 0.1, 1])) == pytest.approx(30 + 10 * 0.4 / 0.9)  # let go, and rose again
    assert np.isnan(last_rise(steps, np.ones(5)))
    curves = {"one": np.array([0.0, 0.25, 0.75, 1, 1]), "other": np.array([0.0, 0, 0.25, 0.75, 1])}
    assert coincidence(steps, curves, ("one", "other"), 20.0) == pytest.approx(10 / 20)
    assert coincidence(steps, curves | {"flat": np.ones(5)}, ("one", "flat", "other"), 20.0) == 1


def planted_course(right: np.ndarray, first: np.ndarray, second: np.ndarray) -> Course:
    """A network that is always at the ends, with these attentions; layer 1 copies from the start, layer 3 from the jump on."""
    rows = [
        {"target": r, "ends": 1.0, "middle": 0.0, "outside": 0.0, "accuracy": r, "loss": -np.log(r), "parent": a, "bridge": b,
         "end": r, "copy_0": 5.0, "copy_2": 8 * r - 4}
        for r, a, b in zip(right, first, second, strict=True)
    ]  # fmt: skip
    rows[0] = rows[0] | {"ends": 5 / 34, "copy_0": 0.0}
    return Course(tuple(range(0, 20 * len(rows), 20)), tuple(rows), solved=True)


def rising(n: int, middle: float, width: float) -> np.ndarray:
    return np.asarray(0.1 + 0.8 / (1 + np.exp(-(np.arange(n) - middle) / width)))


def test_a_network_that_guesses_and_jumps_passes_and_what_was_planted_elsewhere_does_not() -> None:
    first, second = rising(100, 79, 3), rising(100, 81, 3)
    odds = 12 * first * second - 1.2
    right = 1 / (1 + 4 * np.exp(-odds))
    found, tables = course_numbers(planted_course(right, first, second), n_ends=5)
    assert found["network/jump_step"] == pytest.approx(1600, abs=60)
    assert found["network/ends_probability"] == found["at-jump/ends_probability"] == 1
    assert found["untrained/ends_probability"] == pytest.approx(5 / 34)
    assert found["network/coincidence"] < 0.1
    assert (found["layer-1/copy_margin"], found["layer-1-untrained/copy_margin"]) == (5, 0)
    assert found["layer-3/copy_margin"] < -2
    assert found["layer-3-end/copy_margin"] > 3
    assert {row["measure"] for row in tables["phases"]} == {"target", "ends", "middle", "parent", "bridge", "end"}


def mixtures() -> tuple[np.ndarray, np.ndarray]:
    """Both gates in 25 mixtures; as in a network the second cannot be open where the first is shut."""
    kept = np.linspace(1, 0, 5)
    first, share = (values.ravel() for values in np.meshgrid(0.1 + 0.8 * kept, kept, indexing="ij"))
    return first, np.asarray(0.05 + share * 0.65 * (first - 0.1) / 0.8)


def answers(log_odds: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + 4 * np.exp(-log_odds)) + np.random.default_rng(0).normal(0, 0.01, len(log_odds)))


def test_three_gates_are_told_from_two() -> None:
    first, second = mixtures()
    deviations = np.random.default_rng(1).normal(0, 0.01, len(first))
    nested = log_error_ratios(first, second, answers(12 * first * second), 5, deviations=deviations)
    assert nested["network"] < np.log(0.8)
    assert nested["planted-three"] < np.log(0.8) < nested["planted-two"]
    for other in (9 * second, 7 * first, 14 * second**2, 8 * first**2, 4 * first + 6 * second):
        found = log_error_ratios(first, second, answers(other - 0.5), 5, deviations=deviations)
        assert found["network"] > 0
        assert found["planted-three"] < np.log(0.8) < found["planted-two"]


def test_what_is_fitted_has_not_seen_what_it_is_judged_on() -> None:
    first, second = mixtures()
    right = answers(12 * first * second)
    other = right.copy()
    other[1::2] = np.random.default_rng(0).uniform(0.2, 0.9, 12)
    again = predictions(first, second, other, 5)
    for name, said in predictions(first, second, right, 5).items():
        np.testing.assert_allclose(said, again[name], rtol=1e-6)
    assert set(again) == set(MODELS) > {NESTED}


def test_mixing_goes_from_the_network_s_own_attention_to_a_uniform_one() -> None:
    model = Decoder.init(network(QUICK, QUICK.world), np.random.default_rng(0))
    drawn = drawn_for(QUICK)
    first, second, right = mixed_attention(model, drawn, (0.0, 0.5, 1.0))
    own = system.gates_of(model, drawn)
    children = np.arange(2, drawn.tokens.shape[1] - 1, 2)
    assert first.reshape(3, 3)[:, 0] == pytest.approx(
        np.interp([0, 0.5, 1], [0, 1], [own["parent"], np.mean(1 / (children + 1))])
    )
    assert (second[0], second[2]) == pytest.approx((own["bridge"], 1 / drawn.tokens.shape[1]))
    assert second[1] == pytest.approx((second[0] + second[2]) / 2)
    layer_2_cut = symbolic.cuts(drawn.tokens.shape[1])["layer 2, query"]
    logits = symbolic.knocked_out(
        model, torch.from_numpy(drawn.tokens), symbolic.Uniform(layer_2_cut[0], rows=layer_2_cut[1]), at=-1
    )
    among_ends = logits.gather(-1, torch.from_numpy(drawn.ends)).softmax(-1).numpy()
    assert right[2] == pytest.approx(among_ends[np.arange(len(among_ends)), drawn.asked].mean(), rel=1e-5)
    assert (first[2], second[2]) == pytest.approx((own["parent"], 1 / drawn.tokens.shape[1]))


# -------------------------------------------------------------------------------------------------------- training, equal terms


@pytest.mark.parametrize("preset", ["laptop", "paper"])
def test_depth_and_the_symbolic_experiment_train_alike(preset: str) -> None:
    one, other = (experiment.preset(preset).settings for experiment in (SYMBOLIC, DEPTH))
    for field in fields(Training):
        assert getattr(one, field.name) == getattr(other, field.name)


def test_depths_differ_in_layers_and_heads_alone_and_three_layers_are_the_first_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[str, dict[str, Any]]] = []
    train = system.train_network

    def noted(name: str, world: ChainWorld, settings: Training, seeds: Seeds, **kwargs: Any) -> Any:
        trained.append((name, {"world": world, "settings": settings, "seeds": seeds, **kwargs}))
        return train(name, world, settings, seeds, **kwargs)

    monkeypatch.setattr(system, "train_network", noted)
    with memos_in(tmp_path):
        drawn = QUICK_DEPTH.world.sequences(QUICK_DEPTH.n_eval, rng=Seeds(0)("evaluation"))
        _, course = train_start(QUICK_DEPTH, Seeds(0), drawn)
        found = depth.measure(QUICK_DEPTH, Seeds(0))
    assert [name for name, _ in trained] == [
        "three layers, start 1", "2 layers, 1 heads, start 1", "1 layers, 1 heads, start 1", "2 layers, 2 heads, start 1",
    ]  # fmt: skip
    shapes = [(how.pop("n_layers"), how.pop("n_heads")) for _, how in trained]
    assert shapes == [(3, 1), (2, 1), (1, 1), (2, 2)]
    for _, how in trained[1:]:
        for key in ("world", "settings", "seeds", "observe_at"):
            assert how[key] == trained[0][1][key]
    assert set(depth.depths(DEPTH.preset("laptop").settings)) == {"three-layers", "two-layers", "one-layer"}
    assert found.estimands["three-layers/best_accuracy"] == max(course.series("accuracy"))
    for n_layers, n_heads in shapes:
        config = network(QUICK_DEPTH, QUICK_DEPTH.world, n_layers=n_layers, n_heads=n_heads)
        assert (config.n_layers, config.n_heads, config.d_model) == (n_layers, n_heads, QUICK_DEPTH.d_model)


@pytest.mark.parametrize(("solved", "share"), [(0.0, 1.0), (NEVER, 0.0)])
def test_every_depth_is_judged_by_the_same_bound(tmp_path: Path, solved: float, share: float) -> None:
    with memos_in(tmp_path):
        found = depth.measure(replace(QUICK_DEPTH, solved=solved, n_steps=4), Seeds(0)).estimands
    assert {name: value for name, value in found.items() if name.endswith("/solved")} == {
        f"{arm}/solved": share for arm in ("three-layers", "two-layers", "two-layers-more-heads", "one-layer")
    }


def test_a_network_comes_back_from_the_store_as_it_was(tmp_path: Path) -> None:
    settings, drawn = replace(QUICK, solved=NEVER), drawn_for(QUICK)
    with memos_in(tmp_path):
        (model, course), (again, same) = (train_start(settings, Seeds(0), drawn) for _ in range(2))
    assert course == same
    for name, value in model.state_dict().items():
        assert (value == again.state_dict()[name]).all()
    assert system.gates_of(model, drawn) == {name: course.rows[-1][name] for name in system.gates_of(model, drawn)}


def test_a_start_that_does_not_solve_the_task_gives_way_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[int] = []
    train = symbolic.train_start

    def noted(*args: Any, start: int) -> Any:
        starts.append(start)
        model, course = train(*args, start=start)
        return model, replace(course, solved=start == 2)

    monkeypatch.setattr(symbolic, "train_start", noted)
    with memos_in(tmp_path):
        found = symbolic.measure(replace(QUICK, n_starts=3), Seeds(0)).estimands
    assert starts == [1, 2]
    assert (found["first-start/solved"], found["network/start"]) == (0, 2)


def test_where_no_start_solves_the_task_nothing_is_said_of_networks_that_do(tmp_path: Path) -> None:
    with memos_in(tmp_path):
        found = symbolic.measure(replace(QUICK, n_starts=2, solved=NEVER, single_steps=4), Seeds(0))
    assert set(found.estimands) == {"first-start/solved", "one-chain/guessing_share", "one-chain/cliff"}
    assert found.estimands["first-start/solved"] == 0
    assert not found.tables
    for claim in SYMBOLIC.claims:
        assert claim.given, f"{claim.name} must say whom it is about"


@pytest.mark.parametrize("ask_all", [True, False])
def test_a_context_is_asked_for_all_of_its_chains_or_for_one(monkeypatch: pytest.MonkeyPatch, ask_all: bool) -> None:
    seen: dict[str, Any] = {}

    def noted(model: Decoder, stage: Any, optimiser: Any, **kwargs: Any) -> Any:
        seen.update(batch=stage.draw(0), loss=stage.loss)

    monkeypatch.setattr(system, "train", noted)
    settings, world = replace(QUICK, ask_all=ask_all), QUICK.world
    system.train_network("x", world, settings, Seeds(0), observe=lambda model: {}, observe_at=())
    drawn = world.sequences(settings.batch, rng=Seeds(0).child("x")("batches"))
    asked, answers = (drawn.sources, drawn.ends) if ask_all else (drawn.tokens[:, -1:], drawn.answers)
    np.testing.assert_array_equal(seen["batch"].inputs, np.concatenate((drawn.tokens[:, :-1], asked), axis=1))
    np.testing.assert_array_equal(seen["batch"].targets, answers)
    assert seen["loss"] is (system.all_chains_loss if ask_all else last_token_loss)


def test_ends_are_told_half_way_to_the_jump_and_at_it() -> None:
    right = rising(100, 50, 1)
    course = planted_course(right, right, right)
    rows = tuple(row | {"ends": i / 100} for i, row in enumerate(course.rows))
    found, _ = course_numbers(replace(course, rows=rows), n_ends=5)
    assert found["at-jump/ends_probability"] == pytest.approx(found["network/jump_step"] / 2000)
    assert found["network/ends_probability"] == pytest.approx(found["at-jump/ends_probability"] / 2)


def test_planted_answers_deviate_by_half_of_what_two_halves_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, seen = drawn_for(QUICK), {}
    first, second = mixtures()
    right = answers(12 * first * second)

    def halved(model: Any, part: ChainSequences, shares: Any) -> tuple[np.ndarray, ...]:
        other = part.tokens[0].tolist() != drawn.tokens[0].tolist()
        seen[other] = len(part.answers)
        return first - 0.2 * other, second, right + 0.02 * other

    def noted(one: Any, two: Any, said: Any, n_ends: int, *, deviations: Any) -> dict[str, float]:
        seen.update(first=one, right=said, n_ends=n_ends, deviations=deviations)
        return {}

    monkeypatch.setattr(symbolic, "mixed_attention", halved)
    monkeypatch.setattr(symbolic, "log_error_ratios", noted)
    symbolic.gate_numbers(None, drawn)  # type: ignore[arg-type]
    assert (seen[False], seen[True], seen["n_ends"]) == (12, 12, 3)
    np.testing.assert_allclose(seen["first"], first - 0.1)
    np.testing.assert_allclose(seen["right"], right + 0.01)
    np.testing.assert_allclose(seen["deviations"], -0.01)


def test_training_stops_once_the_task_is_solved_and_starts_differ(tmp_path: Path) -> None:
    settings, drawn = replace(QUICK, n_steps=8, solved=NEVER), drawn_for(QUICK)
    with memos_in(tmp_path):
        _, whole = train_start(settings, Seeds(0), drawn)
        _, early = train_start(replace(settings, solved=0.0), Seeds(0), drawn)
        _, second = train_start(settings, Seeds(0), drawn, start=2)
    assert (whole.steps[-1], whole.solved) == (8, False)
    assert early.solved
    assert early.rows == whole.rows[:2]  # before training nothing counts as solved
    assert whole.rows[0] != second.rows[0]


def test_attention_starts_uniform_and_positions_half_as_large_as_tokens() -> None:
    settings = replace(QUICK, d_model=64)
    model = system.untrained(settings, settings.world, np.random.default_rng(0))
    drawn = drawn_for(settings)
    n_tokens = settings.world.n_tokens
    even = torch.ones(n_tokens, n_tokens).tril() / torch.arange(1, n_tokens + 1)[:, None]
    for pattern in patterns(model, torch.from_numpy(drawn.tokens)):
        torch.testing.assert_close(pattern, even.expand_as(pattern))
    assert model.W_pos is not None
    assert model.W_E is not None
    assert float(model.W_E.detach().std()) == pytest.approx(settings.embed, rel=0.05)
    assert float(model.W_pos.detach().std()) == pytest.approx(settings.embed / 2, rel=0.05)


@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_asking_for_all_chains_at_once_is_asking_one_by_one(n_layers: int) -> None:
    model = Decoder.init(network(QUICK, QUICK.world, n_layers=n_layers), np.random.default_rng(0))
    drawn = QUICK.world.sequences(7, rng=np.random.default_rng(1))
    contexts, tokens = torch.from_numpy(drawn.tokens[:, :-1]), torch.from_numpy(drawn.tokens.copy())
    together = system.answers_of_all(model, contexts, torch.from_numpy(drawn.sources.copy()))
    losses = []
    for chain in range(QUICK.n_chains):
        tokens[:, -1] = torch.from_numpy(drawn.sources[:, chain].copy())
        torch.testing.assert_close(together[:, chain], model(tokens, at=-1))
        losses.append(last_token_loss(model, Batch(tokens, torch.from_numpy(drawn.ends[:, chain].copy()))))
    asked = torch.from_numpy(np.concatenate((drawn.tokens[:, :-1], drawn.sources), axis=1))
    whole = system.all_chains_loss(model, Batch(asked, torch.from_numpy(drawn.ends.copy())))
    torch.testing.assert_close(whole, torch.stack(losses).mean())


def test_a_single_chain_is_the_same_network_without_distractors(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    train = symbolic.train_network

    def noted(name: str, world: ChainWorld, settings: Training, seeds: Seeds, **kwargs: Any) -> Any:
        seen.update(world=world, settings=settings, steps=kwargs["n_steps"], shape=set(kwargs) & {"n_layers", "n_heads"})
        return train(name, world, settings, seeds, **kwargs)

    monkeypatch.setattr(symbolic, "train_network", noted)
    found = single_chain(replace(QUICK, single_steps=3), Seeds(0), np.random.default_rng(0))
    assert seen == {"world": ChainWorld(1, 2, 20), "settings": replace(QUICK, single_steps=3), "steps": 3, "shape": set()}
    assert set(found) == {"one-chain/guessing_share", "one-chain/cliff"}


# ------------------------------------------------------------------------------------------- cuts, routes, fewer chains


def test_cuts_split_every_layer_into_the_circuit_s_rows_and_the_others() -> None:
    found = cuts(22)
    for layer, (own, others) in enumerate(zip(symbolic.CIRCUIT, symbolic.OTHERS, strict=True)):
        assert found[own][0] == found[others][0] == layer
        assert sorted(found[own][1] + found[others][1]) == list(range(22))
    assert found["layer 1, children"][1] == tuple(range(2, 21, 2))  # second tokens of edges
    assert found["layer 2, query"][1] == found["layer 3, query"][1] == (21,)


def hand_built() -> tuple[Decoder, ChainWorld]:
    """A network that cannot be told what to do by attention: its cuts change nothing."""
    settings = replace(QUICK, d_model=16)
    model = Decoder.init(network(settings, settings.world), np.random.default_rng(0))
    with torch.no_grad():
        for block in model.blocks:
            block.W_O.zero_()  # type: ignore[union-attr, operator]
    return model, settings.world


def test_cuts_change_attention_and_nothing_else() -> None:
    still, world = hand_built()
    drawn = world.sequences(40, rng=np.random.default_rng(1))
    whole = symbolic.accuracy_of(still, drawn)
    assert {symbolic.accuracy_of(still, drawn, cut) for cut in cuts(world.n_tokens).values()} == {whole}


def test_the_cut_arms_are_the_circuit_s_and_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = dict(zip((*symbolic.CIRCUIT, *symbolic.OTHERS), (0.1, 0.2, 0.3, 0.7, 0.8, 0.9), strict=True))
    by_cut = {cut: planted[name] for name, cut in cuts(QUICK.world.n_tokens).items()}
    monkeypatch.setattr(symbolic, "accuracy_of", lambda model, drawn, cut=None: by_cut.get(cut, 1.0))
    model = Decoder.init(network(QUICK, QUICK.world), np.random.default_rng(0))
    found, _ = symbolic.model_numbers(model, drawn_for(QUICK), QUICK, np.random.default_rng(1))
    assert found["circuit/least_lost"] == pytest.approx(1 - 0.3)
    assert found["circuit/most_lost"] == pytest.approx(1 - 0.1)
    assert found["other-rows/least_lost"] == pytest.approx(1 - 0.9)
    assert found["other-rows/most_lost"] == pytest.approx(1 - 0.7)
    assert found["fewer-chains/least_accuracy"] == 1.0
    assert found["fewer-chains-cut/least_accuracy"] == 0.2  # the query's row of layer 2


def test_exchanged_bridges_lead_the_asked_source_to_the_other_end() -> None:
    drawn = ChainWorld().sequences(60, rng=np.random.default_rng(3))
    tokens, other = exchanged_bridges(drawn)
    assert ((tokens != drawn.tokens).sum(axis=1) == 2).all()
    for row in range(60):
        edges = dict(tokens[row, 1:-1].reshape(-1, 2).tolist())
        assert edges[edges[int(tokens[row, -1])]] == drawn.chains[row, other[row], -1] != drawn.answers[row]


def test_routes_join_the_layers_that_their_names_say(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    def noted(model: Any, clean: Any, corrupted: Any, metric: Any, sender: Any, receiver: Any) -> float:
        seen[len(seen)] = (sender.name, sender.layer, receiver.name, receiver.layer)
        return float(len(seen))

    monkeypatch.setattr(symbolic, "path_patching", noted)
    model = Decoder.init(network(QUICK, QUICK.world), np.random.default_rng(0))
    names = list(symbolic.routes(model, drawn_for(QUICK)))
    assert dict(zip(names, seen.values(), strict=True)) == {
        "tokens-to-2": ("resid_pre", 0, "attn_out", 1),
        "layer-1-to-2": ("attn_out", 0, "attn_out", 1),
        "layer-2-to-3": ("attn_out", 1, "attn_out", 2),
        "layer-1-to-3": ("attn_out", 0, "attn_out", 2),
        "tokens-to-3": ("resid_pre", 0, "attn_out", 2),
    }


def test_fewer_chains_keep_positions_or_shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int, Any]] = []

    def noted(model: Any, drawn: ChainSequences, cut: Any = None) -> float:
        asked.append((drawn.chains.shape[1], drawn.tokens.shape[1], cut))
        return 0.5

    monkeypatch.setattr(symbolic, "accuracy_of", noted)
    rows = fewer_chains(None, ChainWorld(), 8, np.random.default_rng(1))  # type: ignore[arg-type]
    cut = cuts(22)["layer 2, query"]
    assert asked == [one for k in (2, 3, 4, 5) for one in ((k, 22, None), (k, 22, cut), (k, 2 + 4 * k, None))]
    assert {row["chains"] for row in rows} == {2, 3, 4, 5}


# ----------------------------------------------------------------------------------------------------------------------- gates


def test_gates_that_never_open_count_as_having_no_cliff() -> None:
    short = measure_gates(GateSettings(n_steps=50), [Seeds(0), Seeds(1)])
    assert [found.estimands["nested/cliff"] for found in short] == [1.0, 1.0]


def test_nulls_are_the_arms_that_the_claims_name() -> None:
    untrained = symbolic.measure_nulls(replace(QUICK, solved=NEVER), Seeds(0)).estimands
    judged = {str(claim.estimand).partition("/")[2] for claim in SYMBOLIC.claims}
    assert judged <= {name.partition("/")[2] for name in untrained}
    assert untrained["untrained/guessing_share"] == 0
    assert depth.measure_nulls(QUICK_DEPTH, Seeds(0)).estimands["untrained/solved"] == 0
    gates = measure_gates(GateSettings(n_steps=1500), [Seeds(0)])[0].estimands
    assert gates["apart/without_guess"] == 1  # gates side by side have no such route
    assert {f"apart/{str(claim.estimand).partition('/')[2]}" for claim in GATES.claims} <= set(gates)


# -------------------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("settings", [SymbolicSettings(), DepthSettings()])
def test_more_chains_than_nodes_are_refused(settings: Training) -> None:
    with pytest.raises(SettingsError, match="need 33 nodes"):
        resolve(settings, ["n_chains=11"], where="x")
