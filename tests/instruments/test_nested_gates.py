"""Nested gates: closed forms, the authors' own numbers, and recovery of a start that was hidden."""

import math

import numpy as np
import pytest

from assay.core.errors import SettingsError
from assay.instruments.abruptness import cliff_ratio
from assay.instruments.nested_gates import ALIGNED, Gates, correlation_at_jump, descend, fit


def test_gates_are_softmax_weights() -> None:
    x = np.array([0.3, -1.0, 2.0])

    def g(logit: float, others: float) -> float:
        return math.exp(logit) / (math.exp(logit) + others)

    first = g(0.3, 4)
    second = g(-1.0 * first, 5)
    chain = [first, second, g(2.0 * second, 6)]
    assert Gates((4, 5, 6))(x).tolist() == pytest.approx(chain)
    assert float(Gates((4, 5, 6)).loss(x)) == pytest.approx(-math.log(chain[2]))
    two_hop = [first, second, g(2.0 * (second + 1 / 6) * first, 6)]
    assert Gates((4, 5, 6), "two-hop")(x).tolist() == pytest.approx(two_hop)
    apart = [g(0.3, 4), g(-1.0, 5), g(2.0, 6)]
    assert float(Gates((4, 5, 6), "apart").loss(x)) == pytest.approx(-sum(map(math.log, apart)))
    assert Gates((4, 5, 6), open=(0, 1))(x).tolist() == pytest.approx([1, 1, g(2.0, 6)])


@pytest.mark.parametrize("form", ["chain", "two-hop", "apart"])
@pytest.mark.parametrize("held", [(), (0,), (1,), (2,)])
def test_the_written_out_slope_is_the_loss_s(form: str, held: tuple[int, ...]) -> None:
    gates = Gates((4, 5, 6), form, open=held)  # type: ignore[arg-type]
    x = np.random.default_rng(0).normal(size=(5, 3))
    for j in range(3):
        shift = np.eye(3)[j] * 1e-6
        numeric = (gates.loss(x + shift) - gates.loss(x - shift)) / 2e-6
        np.testing.assert_allclose(gates.slope(x)[:, j] * (j not in held), numeric, atol=1e-8)


def test_the_two_hop_model_repeats_the_authors_run() -> None:
    # From their notebook: alpha, beta, gamma = -0.40, -0.66, 1.41, learning rate 0.1; losses at 0, 400, 800, 1200, 3600 steps.
    run = descend(Gates((10, 10, 30), "two-hop"), np.array([[-0.40, -0.66, 1.41]]), learning_rate=0.1, n_steps=4000, every=400)
    seen = dict(zip(run.steps, run.loss_nats[0], strict=True))
    assert [seen[0], seen[400]] == pytest.approx([3.42, 3.38], abs=0.01)
    assert seen[800] < 0.5
    assert seen[1200] == pytest.approx(0.017, rel=0.3)
    assert seen[3600] == pytest.approx(0.0028, rel=0.1)
    assert run.parameters[0] == pytest.approx([6.18, 5.59, 9.00], abs=0.15)


def test_frozen_and_open_gates_do_not_move() -> None:
    run = descend(Gates((3, 3), open=(0,)), np.array([[0.5, 0.0], [1.0, 0.1]]), learning_rate=0.5, n_steps=200, frozen=(0,))
    assert run.parameters[:, 0].tolist() == [0.5, 1.0]
    assert (run.gates[..., 0] == 1).all()
    assert (run.loss_nats[:, -1] < 0.1).all()
    assert run.gates.shape == (2, 21, 2)


def test_one_gate_has_no_plateau_and_three_have() -> None:
    ratios = []
    for depth in (1, 3):
        run = descend(Gates((10.0,) * depth), np.zeros((1, depth)), learning_rate=1.0, n_steps=2000, every=1)
        fall = (run.loss_nats[0, 0] - run.loss_nats[0]) / run.loss_nats[0, 0]
        ratios.append(cliff_ratio(run.steps, fall, 0.25, 0.9))
    assert ratios[0] > 1
    assert ratios[1] < 0.5


def test_a_hidden_start_is_fitted() -> None:
    gates = Gates((10, 10, 30), "two-hop")
    hidden = descend(gates, np.array([[0.2, -0.5, 1.0]]), learning_rate=0.1, n_steps=6000)
    found = fit(gates, 3 * hidden.steps, 2 * hidden.loss_nats[0] + 1, rng=np.random.default_rng(0), n_starts=32)
    assert found.correlation > 0.995
    assert found.error < 0.03
    assert found.curve.shape == ALIGNED.shape
    assert correlation_at_jump(hidden.steps, hidden.loss_nats[0], 7 * hidden.steps, hidden.loss_nats[0]) == pytest.approx(1.0)
    slope = np.linspace(3, 0, 100)
    poor = fit(gates, np.arange(100), slope, rng=np.random.default_rng(0), n_starts=32)
    assert poor.error > 3 * found.error
    with pytest.raises(SettingsError, match="a run whose loss falls"):
        fit(gates, np.arange(100), np.ones(100), rng=np.random.default_rng(0), n_starts=4, n_steps=100)


def test_refuses_impossible_gates() -> None:
    with pytest.raises(SettingsError, match="positive number"):
        Gates((3.0, 0.0))
    with pytest.raises(SettingsError, match="three of them"):
        Gates((3.0,), "two-hop")
    with pytest.raises(SettingsError, match="held open"):
        Gates((3.0, 3.0), open=(0, 1))
