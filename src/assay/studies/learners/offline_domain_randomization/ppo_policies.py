"""Policies trained by a kept library's PPO on environments with drawn parameters. Needs the extra `rl`; loads torch."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from assay.core.errors import MissingExtra, SettingsError
from assay.studies.learners.offline_domain_randomization.simulators import Transitions

__all__ = ["PPOSettings", "evaluate_policy", "record_policy", "train_ppo"]

Floats = npt.NDArray[np.float64]
EnvMaker = Callable[[int], Any]  # a seed -> a gymnasium environment


@dataclass(frozen=True)
class PPOSettings:
    """What is set of PPO (Schulman et al. 2017, arXiv:1707.06347); the rest is the library's default.

    Attributes:
        n_steps: environment steps in all.
        n_envs: environments side by side.
        rollout: steps of each between updates.
        batch_size: of a gradient step.
        n_epochs: passes over a rollout.
        learning_rate: of Adam.
    """

    n_steps: int
    n_envs: int = 8
    rollout: int = 256
    batch_size: int = 256
    n_epochs: int = 5
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        if min(self.n_steps, self.n_envs, self.n_epochs) < 1 or self.rollout < 2 or self.batch_size < 2:
            raise SettingsError(f"PPO needs at least one step, environment and epoch, and a rollout and batch of 2; got {self}")


@contextmanager
def _own_generators(seed: int) -> Iterator[None]:
    """The library draws from the global generators: seed them inside, put them back outside; one thread, so runs repeat."""
    python, numpy, threads = random.getstate(), np.random.get_state(), torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        try:
            torch.set_num_threads(1)
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
            torch.set_num_threads(threads)


def train_ppo(
    make_env: EnvMaker, settings: PPOSettings, *, seed: int, on_progress: Callable[[float], None] = lambda share: None
) -> Any:
    """A trained policy of the library (it has `.predict`).

    Args:
        make_env: builds one environment from a seed; each of the parallel ones gets its own.
        settings: of the training.
        seed: of everything that draws.
        on_progress: called with the share that is done.

    Raises:
        MissingExtra: the library is not installed.
    """
    try:
        from stable_baselines3 import PPO
        from stable_baselines3.common.callbacks import BaseCallback
        from stable_baselines3.common.logger import Logger
        from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
    except ImportError as error:
        raise MissingExtra(error.name or "stable-baselines3", "rl", "training a policy") from error

    class Progress(BaseCallback):
        def _on_step(self) -> bool:
            on_progress(min(1.0, self.num_timesteps / settings.n_steps))
            return True

    seed %= 2**31
    with _own_generators(seed):
        envs = VecNormalize(DummyVecEnv([partial(make_env, seed + i) for i in range(settings.n_envs)]))
        model = PPO(
            "MlpPolicy",
            envs,
            n_steps=settings.rollout,
            batch_size=min(settings.batch_size, settings.rollout * settings.n_envs),
            n_epochs=settings.n_epochs,
            learning_rate=settings.learning_rate,
            seed=seed,
            device="cpu",
        )
        # The library's own would leave a folder behind for each training.
        model.set_logger(Logger(folder=None, output_formats=[]))
        model.learn(settings.n_steps, callback=Progress())
        envs.training = False
        envs.close()
    return _Normalised(model, envs)


@dataclass(frozen=True)
class _Normalised:
    """A trained model with the observation scaling it was trained with."""

    model: Any
    envs: Any

    def predict(self, obs: Floats, rng: np.random.Generator, noise: float = 0.0) -> Floats:
        """The mean action on one observation or several, with Gaussian exploration noise of this deviation if wanted."""
        action = np.asarray(self.model.predict(self.envs.normalize_obs(obs), deterministic=True)[0], dtype=float)
        low, high = self.model.action_space.low, self.model.action_space.high
        return np.asarray(np.clip(action + noise * (high - low) / 2 * rng.standard_normal(action.shape), low, high))


def evaluate_policy(policy: Any, make_env: EnvMaker, n_episodes: int, *, seed: int) -> Floats:
    """The return of each of n episodes, undiscounted, with the mean action, (n_episodes,).

    Each episode has an environment of its own; all go on side by side, so that the policy is asked once a step and not n times.
    """
    envs = [make_env(seed + episode) for episode in range(n_episodes)]
    obs = np.stack([env.reset(seed=seed % 2**31 + episode)[0] for episode, env in enumerate(envs)])
    rng = np.random.default_rng(seed)
    returns = np.zeros(n_episodes)
    going = list(range(n_episodes))
    while going:
        actions = policy.predict(obs[going], rng)
        still = []
        for episode, action in zip(going, actions, strict=True):
            obs[episode], reward, terminated, truncated, _ = envs[episode].step(action)
            returns[episode] += float(reward)
            if not (terminated or truncated):
                still.append(episode)
        going = still
    for env in envs:
        env.close()
    return returns


def record_policy(policy: Any, make_env: EnvMaker, n_transitions: int, *, noise: float, seed: int) -> Transitions:
    """Transitions of an environment whose info carries "state", under the policy with exploration noise."""
    env = make_env(seed)
    rng = np.random.default_rng(seed)
    rows: list[tuple[Floats, Floats, Floats, int]] = []
    episode = 0
    while len(rows) < n_transitions:
        obs, info = env.reset(seed=seed % 2**31 + episode)
        over = False
        while not over and len(rows) < n_transitions:
            action = policy.predict(obs, rng, noise)
            state = info["state"]
            obs, _, terminated, truncated, info = env.step(action)
            rows.append((state, action, info["state"], episode))
            over = terminated or truncated
        episode += 1
    env.close()
    state, action, next_state, episodes = (np.array(column) for column in zip(*rows, strict=True))
    return Transitions(state, action, next_state, episodes)
