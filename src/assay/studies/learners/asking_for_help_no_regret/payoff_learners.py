"""Learners that try things and look at the payoff: the usual no-regret behaviour, safe only where nothing is irreparable."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from assay.core.errors import SettingsError

__all__ = ["Explore", "QLearners", "grid_cells"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Explore = Literal["ucb", "greedy"]


def grid_cells(inputs: Floats, per_side: int) -> Ints:
    """The number of the grid cell that holds each input of [0, 1]^n, any leading shape, last axis n."""
    places = np.clip((inputs * per_side).astype(np.int64), 0, per_side - 1)
    return np.asarray(places @ (per_side ** np.arange(inputs.shape[-1])))


@dataclass
class QLearners:
    """Tabular Q-learning of many runs side by side (one row a run).

    Attributes:
        values: Q[row, state, action], started at the largest value that rewards of at most 1 can have (optimism).
        counts: how often each action was tried.
        explore: `ucb` adds bonus * sqrt(log t / count); `greedy` takes a random action with probability epsilon.
    """

    values: Floats
    counts: Floats
    explore: Explore
    discount: float
    bonus: float = 0.3
    epsilon: float = 0.05
    steps: int = 0

    @classmethod
    def start(cls, n_runs: int, n_states: int, n_actions: int, explore: Explore, *, discount: float = 0.9) -> "QLearners":
        """Learners that have tried nothing."""
        if not 0 <= discount < 1:
            raise SettingsError(f"the discount of Q-learning must be in [0, 1); got {discount}")
        shape = (n_runs, n_states, n_actions)
        return cls(np.full(shape, 1 / (1 - discount)), np.zeros(shape), explore, discount)

    def act(self, states: Ints, uniforms: Floats) -> Ints:
        """One action a row.

        Args:
            states: (rows,).
            uniforms: (rows, 2) from [0, 1): whether to explore and what, for `greedy`; ties, for both.
        """
        rows = np.arange(len(states))
        q, n = self.values[rows, states], self.counts[rows, states]
        n_actions = q.shape[1]
        if self.explore == "ucb":
            q = np.where(n == 0, np.inf, q + self.bonus * np.sqrt(np.log(self.steps + 2) / np.maximum(n, 1)))
        # Ties go round from a random action, so that no action is favoured for its number.
        turn = (np.arange(n_actions) + (uniforms[:, 1:] * n_actions).astype(np.int64)) % n_actions
        best = np.take_along_axis(turn, np.take_along_axis(q, turn, 1).argmax(1)[:, None], 1)[:, 0]
        if self.explore == "greedy":
            return np.where(uniforms[:, 0] < self.epsilon, turn[:, 0], best)
        return best

    def learn(self, states: Ints, actions: Ints, rewards: Floats, next_states: Ints) -> None:
        """One Q-learning update a row, with step size 1 / count^0.6 (square summable, not summable)."""
        rows = np.arange(len(states))
        self.steps += 1
        self.counts[rows, states, actions] += 1
        rate = self.counts[rows, states, actions] ** -0.6
        target = rewards + self.discount * self.values[rows, next_states].max(axis=1)
        self.values[rows, states, actions] += rate * (target - self.values[rows, states, actions])
