"""Learners that try things and look at the payoff: the usual no-regret behaviour, safe only where nothing is irreparable."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from assay.core.errors import SettingsError

__all__ = ["Explore", "QLearners", "grid_cells", "try_and_see"]

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


def try_and_see(
    cells: Ints, payoffs: Floats, losses: Floats, uniforms: Floats, n_cells: int, explore: Explore, *, patience: float
) -> tuple[Ints, Floats]:
    """(actions, what they cost) of Q-learners that see every payoff, (rows, steps) each.

    Args:
        cells: the state of each step, (rows, steps); it does not depend on the action.
        payoffs: what each action would show, (rows, steps, actions).
        losses: what each action really costs, of the same shape.
        uniforms: for random tries and ties, (steps, rows, 2).
        n_cells: the number of states.
        explore: how they try.
        patience: a row ends, and costs nothing more, when it has lost more than this.
    """
    n_rows, n_steps = cells.shape
    learners = QLearners.start(n_rows, n_cells, payoffs.shape[2], explore)
    actions, cost = np.zeros((n_rows, n_steps), dtype=np.int64), np.zeros((n_rows, n_steps))
    rows, lost = np.arange(n_rows), np.zeros(n_rows)
    for t in range(n_steps):
        going = lost <= patience
        if not going.any():
            break
        actions[:, t] = learners.act(cells[:, t], uniforms[t])
        cost[:, t] = np.where(going, losses[rows, t, actions[:, t]], 0.0)
        lost += cost[:, t]
        learners.learn(cells[:, t], actions[:, t], payoffs[rows, t, actions[:, t]], cells[:, min(t + 1, n_steps - 1)])
    return actions, cost
