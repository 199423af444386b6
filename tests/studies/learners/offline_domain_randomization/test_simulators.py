import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.errors import InputError, SettingsError
from assay.core.seeds import Seeds
from assay.studies.learners.offline_domain_randomization.simulators import (
    CartPole,
    Doors,
    LinearResponse,
    Parameter,
    SpringDamper,
    Transitions,
    record_episodes,
    record_transitions,
)

SIMULATORS = [LinearResponse(2.0), SpringDamper(), SpringDamper(with_mass=True, friction=0.3), CartPole(substeps=2)]
WIDTHS = {LinearResponse: 1, SpringDamper: 2, CartPole: 4}


@pytest.mark.parametrize("simulator", SIMULATORS, ids=lambda s: type(s).__name__)
def test_a_step_of_many_is_the_steps_of_each(simulator) -> None:
    rng = Seeds(0)("x")
    low = np.array([p.low for p in simulator.parameters])
    high = np.array([p.high for p in simulator.parameters])
    width = WIDTHS[type(simulator)]
    xi = rng.uniform(low, high, (3, 5, len(low)))
    state, action = rng.normal(size=(3, 5, width)), rng.normal(size=(3, 5, 1))
    together = simulator.step(xi, state, action)
    assert together.shape == state.shape
    for i, j in np.ndindex(3, 5):
        np.testing.assert_allclose(simulator.step(xi[i, j], state[i, j], action[i, j]), together[i, j], rtol=1e-12)
    assert np.array_equal(simulator.step(xi[:, :1], state, action)[:, 0], together[:, 0])  # broadcasts


def test_a_spring_without_force_shows_only_ratios_to_the_mass() -> None:
    spring = SpringDamper(with_mass=True)
    state = Seeds(0)("s").normal(size=(20, 2))
    xi = np.array([1.0, 3.0, 0.4])
    still, pushed = np.zeros((20, 1)), np.ones((20, 1))
    np.testing.assert_allclose(spring.step(2.5 * xi, state, still), spring.step(xi, state, still), rtol=1e-12)
    assert np.abs(spring.step(2.5 * xi, state, pushed) - spring.step(xi, state, pushed)).max() > 0.01


def test_a_free_cart_pole_keeps_momentum_and_nearly_energy() -> None:
    pole = CartPole(dt=1e-4)
    xi = np.array([9.8, 1.0, 0.1, 0.5])
    state = np.array([0.0, 0.3, 0.4, -0.2])

    def momentum(s):
        return 1.1 * s[1] + 0.1 * 0.5 * s[3] * np.cos(s[2])

    def energy(s):
        _, v, theta, omega = s
        kinetic = 0.5 * 1.1 * v**2 + 0.1 * 0.5 * v * omega * np.cos(theta) + 0.5 * (4 / 3) * 0.1 * 0.25 * omega**2
        return kinetic + 0.1 * 9.8 * 0.5 * np.cos(theta)

    start = state
    for _ in range(5000):
        state = pole.step(xi, state, np.zeros(1))
    assert momentum(state) == pytest.approx(momentum(start), abs=1e-3)
    assert energy(state) == pytest.approx(energy(start), abs=1e-3)


def test_simulators_take_steps_of_their_own_length_unless_it_is_said() -> None:
    pole, usual, rolling = CartPole(), np.array([9.8, 1.0, 0.1, 0.5]), np.array([0.0, 1.0, 0.0, 0.0])
    assert (pole.dt, pole.substeps, pole.friction) == (0.02, 1, 0.0)
    assert pole.step(usual, rolling, np.zeros(1)).tolist() == pytest.approx([0.02, 1.0, 0.0, 0.0])
    held = CartPole(dt=0.01, substeps=4).step(usual, rolling, np.zeros(1))
    assert held[0] == pytest.approx(0.04)
    spring = SpringDamper()
    assert not spring.with_mass
    assert spring.friction == 0
    moved = spring.step(np.array([0.0, 0.0]), np.array([0.0, 1.0]), np.zeros(1))
    assert moved.tolist() == pytest.approx([spring.dt, 1.0])
    assert spring.dt > 0


def test_records_follow_the_simulator_and_the_sensor() -> None:
    spring, xi = SpringDamper(), np.array([3.0, 0.5])
    state, action = Seeds(0)("s").normal(size=(4000, 2)), Seeds(0)("a").normal(size=(4000, 1))
    data = record_transitions(spring, xi, state, action, noise=0.1, rng=Seeds(0)("n"))
    residual = data.next_state - spring.step(np.broadcast_to(xi, (4000, 2)), state, action)
    assert residual.std() == pytest.approx(0.1, rel=0.05)
    assert np.abs(residual.mean(axis=0)).max() < 4 * 0.1 / np.sqrt(4000)


def test_episodes_go_on_from_the_true_state() -> None:
    spring, xi = SpringDamper(), np.array([3.0, 0.5])
    starts = Seeds(0)("s").normal(size=(3, 2))
    data = record_episodes(spring, xi, starts, lambda s, rng: np.ones((len(s), 1)), 5, noise=0.0, rng=Seeds(0)("n"))
    assert len(data) == 15
    assert data.episode.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    np.testing.assert_array_equal(data.state[1:5], data.next_state[:4])
    np.testing.assert_array_equal(data.state[::5], starts)


@given(st.lists(st.integers(1, 7), min_size=1, max_size=5), st.integers(1, 4))
def test_blocks_stay_inside_episodes(lengths: list[int], size: int) -> None:
    episode = np.repeat(np.arange(len(lengths)), lengths)
    n = len(episode)
    column = np.arange(n, dtype=float)[:, None]
    data = Transitions(column, column + 0.25, column + 0.5, episode)
    if max(lengths) < size:
        with pytest.raises(InputError, match="no episode has"):
            data.blocks(size)
        return
    first, actions, last = data.blocks(size)
    assert len(first) == sum(length // size for length in lengths)
    np.testing.assert_array_equal(actions[:, :, 0] - 0.25, first + np.arange(size))
    np.testing.assert_array_equal(last - 0.5, first + size - 1)
    rows = first[:, 0].astype(int)
    assert np.array_equal(episode[rows], episode[rows + size - 1])


def test_the_expected_gap_at_the_doors() -> None:
    world = Doors(8, horizon=20)
    assert world.expected_gap(np.full(8, 1 / 8), 3) == pytest.approx(3.5)  # (M - 1) / 2
    sure = np.zeros(8)
    sure[3] = 1.0
    assert world.expected_gap(sure, 3) == 0
    assert world.expected_gap(np.array([0.4, 0.3, 0.2, 0.1, 0, 0, 0, 0]), 2) == 2
    tries = np.array([0, 1, 3])
    assert world.likelihood(tries, tries == 3).tolist() == [0, 0, 0, 1, 0, 0, 0, 0]
    assert world.likelihood(tries[:2], np.array([False, False])).tolist() == [0, 0, 1, 1, 1, 1, 1, 1]


def test_bad_records_and_parameters_are_refused() -> None:
    ok = np.zeros((2, 1))
    with pytest.raises(InputError, match="next_state is not in row 1"):
        Transitions(ok, ok, np.array([[0.0], [np.nan]]), np.arange(2))
    with pytest.raises(InputError, match="equal lengths"):
        Transitions(ok, ok[:1], ok, np.arange(2))
    with pytest.raises(InputError, match="stand together"):
        Transitions(np.zeros((3, 1)), np.zeros((3, 1)), np.zeros((3, 1)), np.array([0, 1, 0])).blocks(2)
    with pytest.raises(SettingsError, match="at least 1"):
        Transitions(ok, ok, ok, np.arange(2)).blocks(0)
    with pytest.raises(SettingsError, match="low < high"):
        Parameter("mass", 2.0, 1.0, 0.1)
    with pytest.raises(SettingsError, match="doors"):
        Doors(30, horizon=20)
