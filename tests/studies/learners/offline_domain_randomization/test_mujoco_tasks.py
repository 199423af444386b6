import sys

import numpy as np
import pytest

from assay.core.errors import InputError, MissingExtra, SettingsError
from assay.core.seeds import Seeds
from assay.studies.learners.offline_domain_randomization.mujoco_tasks import TASKS, make_env, simulator

INSTALLED = True
try:
    import gymnasium  # noqa: F401
    import mujoco  # noqa: F401
except ImportError:
    INSTALLED = False
needs_engine = pytest.mark.skipif(not INSTALLED, reason="needs the extra 'rl' (gymnasium, mujoco)")
NAMES = sorted(TASKS)


@needs_engine
@pytest.mark.parametrize("friction", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_the_simulator_is_the_environment_reset_to_each_state(name: str, friction: bool) -> None:
    task, rng = TASKS[name], Seeds(0)("actions")
    xi = np.array(task.usual) * 1.2
    env = make_env(name, sampler=lambda _: xi, seed=0, friction=friction)
    _, info = env.reset(seed=1)
    rows = []
    for _ in range(12):
        action = rng.uniform(env.action_space.low, env.action_space.high)
        before = info["state"]
        _, _, terminated, _, info = env.step(action)
        rows.append((before, action, info["state"]))
        if terminated:
            break
    env.close()
    state, action, after = (np.array(column) for column in zip(*rows, strict=True))
    np.testing.assert_allclose(simulator(name, friction=friction).step(xi, state, action), after, atol=1e-9)


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
def test_the_usual_parameters_are_the_engines_own() -> None:
    import gymnasium

    for name, task in TASKS.items():
        env = gymnasium.make(task.env_id)
        mass = env.unwrapped.model.body_mass
        expected = mass[1:5] if name == "hopper" else [mass[1], mass[2], env.unwrapped.model.body_ipos[2][2], 1.0]
        np.testing.assert_allclose(task.usual, expected, rtol=1e-6)
        env.close()


@needs_engine
def test_bad_samplers_and_names_are_refused() -> None:
    with pytest.raises(SettingsError, match="pendulum, hopper"):
        simulator("walker")
    env = make_env("pendulum", sampler=lambda _: np.array([1.0]), seed=0)
    with pytest.raises(InputError, match="4 finite parameters"):
        env.reset()
    env.close()


@pytest.mark.parametrize("missing", ["gymnasium", "mujoco"])
def test_a_missing_engine_is_named_before_anything_is_built(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtra, match=r"pip install 'assay\[rl\]'"):
        simulator("pendulum")
    with pytest.raises(MissingExtra):
        make_env("hopper", sampler=lambda _: np.ones(4), seed=0)
