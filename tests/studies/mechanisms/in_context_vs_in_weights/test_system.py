"""Contrasts, networks side by side and evaluations of the in-context study; and what its settings refuse."""

import numpy as np
import pytest
import torch

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.core.settings import resolve
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
from assay.training.sequence import draw_together


def test_contrasts_have_the_sign_of_what_is_claimed() -> None:
    settings = DataSettings()
    corners = settings.corners
    assert corners == {
        "few": "K=128 B=2",
        "many": "K=2048 B=2",
        "single": "K=512 B=1",
        "burst": "K=512 B=4",
        "noisy": "K=608 B=1 eps=0.5",
        "clean": "K=608 B=1 eps=0.1",
    }
    context = {"ic": 0.9, "cost": 0.6, "scrambled": 0.1, "stranger_cost": 0.0}
    weights = {"ic": 0.1, "cost": -0.1, "scrambled": 0.1, "stranger_cost": 0.0}
    final = {cell: context if role in ("many", "burst", "noisy") else weights for role, cell in corners.items()}
    found = contrasts(final, corners)
    assert found["classes/ic_gain"] == found["bursts/ic_gain"] == found["noise/ic_gain"] == pytest.approx(0.8)
    assert found["classes/iw_cost"] == found["bursts/iw_cost"] == found["noise/iw_cost"] == pytest.approx(0.7)
    assert found["classes-scrambled/ic_gain"] == found["noise-stranger/iw_cost"] == 0


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

    config = network("strict", 32)
    assert (config.scaled, config.output_matrix, config.residual, config.norm, config.positions) == (
        False, False, True, "none", "one-hot",
    )  # fmt: skip
    model = Decoder.init(config, np.random.default_rng(0))
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
        (SkewSettings(), "exponents=0,1,-1", "not negative"),
        (DataSettings(), "noises=-0.1,0.75", "not negative"),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_trained(settings: object, override: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        resolve(settings, [override], where="x")
