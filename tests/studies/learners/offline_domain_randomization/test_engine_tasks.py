import sys

import numpy as np
import pytest

from assay.core.errors import MissingExtra, SettingsError
from assay.core.seeds import Seeds
from assay.studies.learners.offline_domain_randomization.engine_tasks import TASKS, simulator

INSTALLED = True
try:
    import gymnasium
    import mujoco  # noqa: F401
except ImportError:
    INSTALLED = False
needs_engine = pytest.mark.skipif(not INSTALLED, reason="needs the extra 'rl' (gymnasium, mujoco)")
NAMES = sorted(TASKS)


@needs_engine
@pytest.mark.parametrize("name", NAMES)
def test_the_simulator_is_the_environment_reset_to_each_state(name: str) -> None:
    task, rng = TASKS[name], Seeds(0)("actions")
    env = gymnasium.make(task.env_id)
    env.reset(seed=1)
    data = env.unwrapped.data
    rows = []
    for _ in range(12):
        action = rng.uniform(env.action_space.low, env.action_space.high)
        before = np.concatenate([data.qpos, data.qvel])
        terminated = env.step(action)[2]
        rows.append((before, action, np.concatenate([data.qpos, data.qvel])))
        if terminated:
            break
    env.close()
    state, action, after = (np.array(column) for column in zip(*rows, strict=True))
    np.testing.assert_allclose(simulator(name).step(np.array(task.usual), state, action), after, atol=1e-9)


@needs_engine
@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_matters_and_batches_do_not(name: str) -> None:
    task, engine, rng = TASKS[name], simulator(name), Seeds(0)("x")
    low, high = (np.array([getattr(p, side) for p in task.parameters]) for side in ("low", "high"))
    xi = rng.uniform(low, high, (300, len(low)))
    state = np.zeros(engine.width)
    state[1] = 1.25 if name == "hopper" else 0.1
    state[-3:] = 0.5
    action = np.full(3 if name == "hopper" else 1, 0.7)
    together = engine.step(xi, state, action)
    assert together.shape == (300, engine.width)
    np.testing.assert_array_equal(engine.step(xi[280:], state, action), together[280:])
    for i in range(len(low)):
        other = xi[:1].copy()
        other[0, i] = 0.9 * other[0, i] + 0.1 * (low[i] + high[i] - other[0, i]) + 0.01
        assert np.abs(engine.step(other, state, action) - together[:1]).max() > 1e-9, task.parameters[i].name


@needs_engine
@needs_engine
@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_written_whenever_they_change(name: str) -> None:
    task = TASKS[name]
    usual, other = np.array(task.usual), np.array([p.low for p in task.parameters])
    kept, width = simulator(name), simulator(name).width
    state = np.full((3, width), 0.1)
    action = np.full((3, 1 if name == "pendulum" else 3), 0.5)
    for xi in (np.stack([usual, usual, other]), np.stack([usual, other, other]), np.stack([usual, usual, other])):
        fresh = simulator(name)
        assert np.array_equal(kept.step(xi, state, action), fresh.step(xi, state, action))


@pytest.mark.parametrize("name", NAMES)
def test_the_real_system_differs_in_damping_that_no_parameter_covers(name: str) -> None:
    """The same at rest; in motion slower, by what more damping takes, and no more so with another hinge damping."""
    task, engine, real = TASKS[name], simulator(name), simulator(name, friction=True)
    xi, rest = np.array(task.usual), np.zeros(engine.width)
    still, moving = np.zeros(3 if name == "hopper" else 1), rest.copy()
    if name == "hopper":
        rest[1], moving[1] = 5.0, 5.0  # in the air, so that no ground pushes back
        moving[-3:] = 1.0
    else:
        moving[2] = 1.0
    slower, usual = real.step(xi, moving, still), engine.step(xi, moving, still)
    at_rest = np.abs(real.step(xi, rest, still) - engine.step(xi, rest, still)).max()
    assert at_rest < 1e-3 * np.abs(slower - usual).max()
    last = slice(-3, None) if name == "hopper" else 2
    assert np.abs(slower[last]).sum() < np.abs(usual[last]).sum()
    if name == "pendulum":  # the rail alone: m v' = -c v, so that ten times the damping takes ten times the speed
        lost = 1 - np.array([slower[2], usual[2]])
        assert lost[0] / lost[1] == pytest.approx(task.damping, rel=0.1)


@needs_engine
def test_the_usual_parameters_are_the_engines_own() -> None:
    for name, task in TASKS.items():
        env = gymnasium.make(task.env_id)
        mass = env.unwrapped.model.body_mass
        expected = mass[1:5] if name == "hopper" else [mass[1], mass[2], env.unwrapped.model.body_ipos[2][2], 1.0]
        np.testing.assert_allclose(task.usual, expected, rtol=1e-6)
        env.close()


@needs_engine
def test_unknown_names_are_refused() -> None:
    with pytest.raises(SettingsError, match="pendulum, hopper"):
        simulator("walker")


@pytest.mark.parametrize("missing", ["gymnasium", "mujoco"])
def test_a_missing_engine_is_named_before_anything_is_built(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtra, match=r"pip install 'assay\[rl\]'"):
        simulator("pendulum")
