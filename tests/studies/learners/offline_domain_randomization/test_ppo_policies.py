import random
import sys

import numpy as np
import pytest
import torch

from assay.core.errors import MissingExtra, SettingsError
from assay.core.seeds import Seeds
from assay.studies.learners.offline_domain_randomization.feedback_control import Regulation, train_feedback
from assay.studies.learners.offline_domain_randomization.mujoco_tasks import TASKS, make_env
from assay.studies.learners.offline_domain_randomization.ppo_policies import (
    PPOSettings,
    evaluate_policy,
    record_policy,
    train_ppo,
)
from assay.studies.learners.offline_domain_randomization.randomisation import FitSettings, fit_randomisation
from assay.studies.learners.offline_domain_randomization.simulators import LinearResponse, Transitions

INSTALLED = True
try:
    import gymnasium  # noqa: F401
    import mujoco  # noqa: F401
    import stable_baselines3  # noqa: F401
except ImportError:
    INSTALLED = False
needs_library = pytest.mark.skipif(not INSTALLED, reason="needs the extra 'rl' (gymnasium, mujoco, stable-baselines3)")
TINY = PPOSettings(64, n_envs=2, rollout=16, batch_size=16, n_epochs=1)


def pendulum(seed: int):
    usual = np.array(TASKS["pendulum"].usual)
    return make_env("pendulum", sampler=lambda rng: usual * rng.uniform(0.9, 1.1, 4), seed=seed)


@needs_library
def test_training_repeats_and_leaves_global_generators_alone() -> None:
    before = (random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state(), torch.get_num_threads())
    first, second = (train_ppo(pendulum, TINY, seed=3) for _ in range(2))
    assert random.getstate() == before[0]
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert torch.equal(torch.get_rng_state(), before[2])
    assert torch.get_num_threads() == before[3]
    obs = np.array([0.01, -0.02, 0.03, 0.04])
    assert np.array_equal(first.predict(obs, Seeds(0)("p")), second.predict(obs, Seeds(0)("p")))
    assert not np.array_equal(first.predict(obs, Seeds(0)("p")), train_ppo(pendulum, TINY, seed=4).predict(obs, Seeds(0)("p")))
    returns = evaluate_policy(first, pendulum, 3, seed=5)
    assert np.array_equal(returns, evaluate_policy(second, pendulum, 3, seed=5))
    assert ((returns >= 0) & (returns <= 1000)).all()


@needs_library
def test_records_are_whole_transitions_of_the_environment() -> None:
    policy = train_ppo(pendulum, TINY, seed=3)
    data = record_policy(policy, pendulum, 25, noise=0.5, seed=1)
    assert data.state.shape == (25, 4)
    together = np.flatnonzero(np.diff(data.episode) == 0)
    np.testing.assert_array_equal(data.state[together + 1], data.next_state[together])


def test_bad_settings_are_refused() -> None:
    with pytest.raises(SettingsError, match="at least one step"):
        PPOSettings(0)


def test_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(MissingExtra, match="training a policy"):
        train_ppo(pendulum, TINY, seed=0)
    monkeypatch.setitem(sys.modules, "cma", None)
    data = Transitions(np.zeros((2, 1)), np.zeros((2, 1)), np.zeros((2, 1)), np.arange(2))
    with pytest.raises(MissingExtra, match=r"assay\[rl\]"):
        fit_randomisation(LinearResponse(), data, FitSettings(n_draws=2, budget=2), rng=Seeds(0)("x"))
    task = Regulation(np.ones(1), 0.1, np.ones(1), 1.0, 2)
    with pytest.raises(MissingExtra, match="feedback"):
        train_feedback(LinearResponse(), task, np.ones((1, 1)), np.ones((1, 1)), scale=np.ones(1), budget=2, rng=Seeds(0)("x"))
