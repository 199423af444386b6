"""What the two studies of small transformers compute from networks and curves, on planted ones; and what they refuse."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.core.settings import resolve
from assay.store.memo import memos_in
from assay.studies.mechanisms.in_context_vs_in_weights.data import contrasts
from assay.studies.mechanisms.in_context_vs_in_weights.settings import (
    DataSettings,
    EmergenceSettings,
    Regime,
    SkewSettings,
    Training,
)
from assay.studies.mechanisms.in_context_vs_in_weights.system import (
    _programs,
    network,
    prepare,
    train_regimes,
)
from assay.studies.mechanisms.two_hop_reasoning import system as two_hop
from assay.studies.mechanisms.two_hop_reasoning.chains import ChainWorld
from assay.studies.mechanisms.two_hop_reasoning.depth import DEPTH
from assay.studies.mechanisms.two_hop_reasoning.gates import GateSettings
from assay.studies.mechanisms.two_hop_reasoning.gates import measure_many as measure_gates
from assay.studies.mechanisms.two_hop_reasoning.symbolic import (
    SYMBOLIC,
    SymbolicSettings,
    _cliff,
    _cuts,
    _fewer_chains,
    _guessing_share,
)
from assay.studies.mechanisms.two_hop_reasoning.system import network as two_hop_network
from assay.studies.mechanisms.two_hop_reasoning.system import probabilities
from assay.training.sequence import draw_together


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
    ends = np.where(steps < 400, 0.1, 0.95)
    assert _guessing_share(steps, target, ends, 900.0, among_ends=True) == pytest.approx(5 / 9, abs=0.02)
    assert _guessing_share(steps, target, 0 * ends, 900.0, among_ends=True) == 0
    assert _guessing_share(steps, 0 * target, ends, 900.0, among_ends=False) == 0


def test_a_cliff_that_has_not_come_down_by_the_end_is_at_least_so_long() -> None:
    steps = np.arange(0.0, 1001.0, 10.0)
    assert _cliff(steps, np.where(steps < 500, 0.2, 1.0)) == pytest.approx(0.6 * 10 / 0.8 / 500, rel=0.05)
    assert _cliff(steps, steps / 1000) == pytest.approx(0.6 / 0.5)
    assert _cliff(steps, np.where(steps < 500, 0.2, 0.6)) == pytest.approx((1000 - 492) / 497.5, rel=0.01)
    assert np.isnan(_cliff(steps, np.full(101, 0.2)))


@pytest.mark.parametrize("preset", ["quick", "laptop", "paper"])
def test_depth_and_the_symbolic_experiment_train_alike(preset: str) -> None:
    one, other = (experiment.preset(preset).settings for experiment in (SYMBOLIC, DEPTH))
    for field in fields(two_hop.Training):
        assert getattr(one, field.name) == getattr(other, field.name)


def test_depth_takes_the_network_that_the_symbolic_experiment_has_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []
    train = two_hop.train_network

    def counted(name: str, *args: Any, **kwargs: Any) -> Any:
        built.append(name)
        return train(name, *args, **kwargs)

    monkeypatch.setattr(two_hop, "train_network", counted)
    settings = [replace(experiment.preset("quick").settings, n_starts=1) for experiment in (SYMBOLIC, DEPTH)]
    with memos_in(tmp_path):
        (model, course, drawn), (again, same, also) = (two_hop.solver(one, Seeds(0)) for one in settings)
        two_hop.solver(settings[0], Seeds(1))
    assert built == ["three layers, start 1"] * 2  # of two seeds
    assert course == same
    assert (drawn.tokens == also.tokens).all()
    for name, value in model.state_dict().items():
        assert (value == again.state_dict()[name]).all()
    assert two_hop.gates_of(model, drawn) == {name: course.rows[-1][name] for name in two_hop.gates_of(model, drawn)}


@pytest.mark.parametrize(("solved", "start", "last"), [(0.0, 1, 0), (2.0, 2, 20)])
def test_a_start_that_does_not_solve_the_task_gives_way_to_the_next(
    tmp_path: Path, solved: float, start: int, last: int
) -> None:
    settings = replace(SYMBOLIC.preset("quick").settings, n_starts=2, solved=solved, give_up=1.0)
    with memos_in(tmp_path):
        _, course, _ = two_hop.solver(settings, Seeds(0))
    assert (course.start, course.steps[-1]) == (start, last)


def test_gates_that_never_open_count_as_having_no_cliff() -> None:
    short = measure_gates(GateSettings(n_steps=50), [Seeds(0), Seeds(1)])
    assert [found.estimands["cliff"] for found in short] == [1.0, 1.0]
    assert all(np.isnan(found.estimands["one_gate/cliff"]) for found in short)


def test_cuts_split_every_layer_into_the_circuit_s_rows_and_the_others() -> None:
    cuts = _cuts(22)
    for layer, (own, others) in enumerate(
        [
            ("layer 1, children", "layer 1, other rows"),
            ("layer 2, query", "layer 2, other rows"),
            ("layer 3, query", "layer 3, other rows"),
        ]
    ):
        assert cuts[own][0] == cuts[others][0] == layer
        assert sorted(cuts[own][1] + cuts[others][1]) == list(range(22))


def test_fewer_chains_keep_positions_or_shorten() -> None:
    from assay.models.decoder import Decoder

    settings = SymbolicSettings(d_model=16)
    model = Decoder.init(two_hop_network(settings, settings.world), np.random.default_rng(0))
    rows = _fewer_chains(model, settings.world, 8, np.random.default_rng(1))
    assert {row["chains"] for row in rows} == {2, 3, 4, 5}
    assert all(0 <= float(row["accuracy"]) <= 1 for row in rows)


def test_contrasts_have_the_sign_of_what_is_claimed() -> None:
    settings = DataSettings()
    corners = settings.corners
    assert corners == {
        "few": "K=128 B=2",
        "many": "K=2048 B=2",
        "single": "K=512 B=1",
        "burst": "K=512 B=4",
        "noisy": "K=512 B=1 eps=0.75",
    }
    looks_up, remembers = {"ic": 0.9, "iw": 0.1}, {"ic": 0.1, "iw": 0.8}
    final = {
        cell: {**(looks_up if role in ("many", "burst", "noisy") else remembers), "scrambled": 0.1, "stranger": 0.0}
        for role, cell in corners.items()
    }
    found = contrasts(final, corners)
    assert found["classes/ic_gain"] == found["bursts/ic_gain"] == found["noise/ic_gain"] == pytest.approx(0.8)
    assert found["classes/iw_loss"] == found["bursts/iw_loss"] == found["noise/iw_loss"] == pytest.approx(0.7)
    assert found["classes-scrambled/ic_gain"] == found["noise-stranger/iw_loss"] == 0


@pytest.mark.parametrize("kind", ["strict", "modern"])
def test_either_network_learns_and_evaluations_are_of_its_shape(kind: str) -> None:
    settings = Training(n_steps=3, n_eval=16, batch=8, network=kind)  # type: ignore[arg-type]
    seen: list[set[str]] = []

    def observe(name: str, model: torch.nn.Module, sets: object) -> dict[str, float]:
        seen.append(set(sets))  # type: ignore[call-overload]
        return {"x": 0.0}

    done = train_regimes({"x": Regime(64, 2)}, settings, Seeds(0), observe=observe, observe_at=(0, 3))["x"]
    assert seen[0] == {"ic", "ic2", "iw", "iw_uniform", "known", "scrambled", "stranger"}
    assert done.sets["ic"].batch.inputs.shape == (16, 17, network(kind, 32).d_content)
    assert (done.sets["ic"].batch.offset is not None) == (kind == "strict")
    scrambled, plain = done.sets["scrambled"].drawn.content, done.sets["ic"].drawn.content
    np.testing.assert_array_equal(np.sort(scrambled[:, 1::2], axis=1), np.sort(plain[:, 1::2], axis=1))
    np.testing.assert_array_equal(scrambled[:, ::2], plain[:, ::2])


@pytest.mark.parametrize("kind", ["strict", "modern"])
def test_a_network_trained_beside_others_is_the_one_trained_alone(kind: str) -> None:
    settings = Training(n_steps=5, n_eval=16, batch=8, network=kind)  # type: ignore[arg-type]
    regimes = {"few": Regime(32, 2), "many": Regime(256, 1, p_fresh=0.5), "skewed": Regime(64, 2, zipf=1.0, p_bursty=0.5)}

    def observe(name: str, model: torch.nn.Module, sets: object) -> dict[str, float]:
        return {"number": float(list(regimes).index(name))}

    together = train_regimes(regimes, settings, Seeds(3), observe=observe, observe_at=(0, 5))
    for place, (name, regime) in enumerate(regimes.items()):
        alone = train_regimes({name: regime}, settings, Seeds(3), observe=observe, observe_at=(0, 5))[name]
        np.testing.assert_allclose(together[name].trace.loss_nats[place], alone.trace.loss_nats[0], rtol=1e-4)
        for key, value in together[name].model.state_dict().items():
            torch.testing.assert_close(value, alone.model.state_dict()[key], atol=2e-4, rtol=1e-3)
        assert together[name].curve("number").tolist() == [place, place]
        for key, setting in together[name].sets.items():
            assert torch.equal(setting.batch.inputs, alone.sets[key].batch.inputs)


def test_a_program_holds_arms_of_equally_many_labels_that_fit() -> None:
    regimes = {name: Regime(64, 2) for name in "abcd"} | {"e": Regime(64, 2, n_labels=8), "f": Regime(64, 2)}
    assert _programs(regimes, 64) == [["a", "b", "c"], ["d"], ["e"], ["f"]]
    assert _programs(regimes, 1024) == [["a"], ["b"], ["c"], ["d"], ["e"], ["f"]]
    assert _programs(regimes, 8) == [["a", "b", "c", "d"], ["e"], ["f"]]


def test_a_start_that_has_not_jumped_in_time_is_given_up(tmp_path: Path) -> None:
    settings = replace(SYMBOLIC.preset("quick").settings, n_steps=60, n_starts=2, give_up=0.4, solved=1.1)
    with memos_in(tmp_path):
        _, course, _ = two_hop.solver(settings, Seeds(0))
        _, patient, _ = two_hop.solver(replace(settings, give_up=1.0), Seeds(0))
    assert course.start == patient.start == 2
    assert 24 <= course.steps[-1] < 60 == patient.steps[-1]
    assert course.rows == patient.rows[: len(course.rows)]


def test_an_arm_named_twice_is_drawn_once() -> None:
    settings = Training(n_eval=8, batch=4)
    first, second = (
        prepare(name, Regime(64, 2), settings, Seeds(0), d_content=63, placed=True) for name in ("first", "second")
    )
    draw, alone = (
        draw_together([first.draw, second.draw, first.draw]),
        prepare("first", Regime(64, 2), settings, Seeds(0), d_content=63, placed=True),
    )
    for step in range(3):
        inputs, targets, offset = draw(step)
        assert offset is not None
        for drawn, single in zip((inputs, targets, offset), alone.draw(step), strict=True):
            assert torch.equal(drawn[0], drawn[2])
            assert torch.equal(drawn[0], single)
        assert not torch.equal(inputs[0], inputs[1])


def test_the_strict_network_is_the_paper_s() -> None:
    from assay.models.decoder import Decoder

    model = Decoder.init(network("strict", 32), np.random.default_rng(0))
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters()}
    attention = {f"blocks.{layer}.W_{letter}": (1, 128, 128) for layer in (0, 1) for letter in "QKV"}
    assert shapes == attention | {"W_readout": (3, 128, 128), "b_readout": (3, 1), "W_U": (128, 32)}
    assert float(model.blocks[0].W_Q.detach().std()) == pytest.approx(63**-0.5, rel=0.02)
    assert float(model.W_readout.detach().std()) == pytest.approx((2 / 128) ** 0.5, rel=0.02)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("settings", "override", "message"),
    [
        (DataSettings(), "classes=100,512", "multiple of n_labels"),
        (DataSettings(), "bursts=3", "burst must divide"),
        (EmergenceSettings(), "burst=5", "burst must divide"),
        (EmergenceSettings(), "p_fresh=1.5", "shares"),
        (SkewSettings(), "exponents=1,2", "must start with 0"),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_trained(settings: object, override: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        resolve(settings, [override], where="x")


def test_more_chains_than_nodes_are_refused() -> None:
    with pytest.raises(SettingsError, match="need 33 nodes"):
        resolve(SymbolicSettings(), ["n_chains=11"], where="x")
