"""Finite Markov decision processes as plain records, and random ones with traps that cannot be left."""

from dataclasses import dataclass

import numpy as np

from assay.core.arrays import Floats
from assay.core.errors import InputError

__all__ = ["FiniteMDP", "random_trap_mdp"]


@dataclass(frozen=True)
class FiniteMDP:
    """A finite MDP.

    Attributes:
        transition: P[s, a, s'], the chance of s' after a in s; each row sums to 1.
        reward: r[s, a].
        initial: the law of the first state.
    """

    transition: Floats
    reward: Floats
    initial: Floats

    def __post_init__(self) -> None:
        n_states, n_actions = self.reward.shape if self.reward.ndim == 2 else (0, 0)
        if min(n_states, n_actions) < 1 or self.transition.shape != (n_states, n_actions, n_states):
            raise InputError(
                "a finite MDP needs reward[s, a] and transition[s, a, s'] of matching shapes; "
                f"got {self.reward.shape} and {self.transition.shape}"
            )
        for name, law in (("transition", self.transition), ("initial", self.initial)):
            if not np.isfinite(law).all() or (law < 0).any() or not np.allclose(law.sum(-1), 1, atol=1e-9):
                worst = float(np.nanmax(np.abs(law.sum(-1) - 1)))
                raise InputError(
                    f"every row of {name} must be a probability law; got an entry below 0 or a sum off by {worst:.3g}"
                )
        if self.initial.shape != (n_states,):
            raise InputError(f"initial must have one entry a state ({n_states}); got shape {self.initial.shape}")
        if not np.isfinite(self.reward).all():
            raise InputError("rewards must be finite; got inf or nan")

    @property
    def n_states(self) -> int:
        """The number of states."""
        return int(self.reward.shape[0])

    @property
    def n_actions(self) -> int:
        """The number of actions in each state."""
        return int(self.reward.shape[1])


def random_trap_mdp(
    n_states: int, n_actions: int, *, rng: np.random.Generator, traps: int = 1, reach: float = 0.3
) -> FiniteMDP:
    """An MDP with rewards in [0, 1] whose last `traps` states pay nothing and are never left.

    Every action of every other state has a random chance up to `reach` of falling into a trap, for half of them zero.
    """
    alive = n_states - traps
    transition = np.zeros((n_states, n_actions, n_states))
    transition[:alive, :, :alive] = rng.dirichlet(np.full(alive, 0.5), (alive, n_actions))
    fall = rng.uniform(0, reach, (alive, n_actions)) * (rng.random((alive, n_actions)) < 0.5)
    transition[:alive] *= (1 - fall)[..., None]
    transition[:alive, :, alive:] += fall[..., None] * rng.dirichlet(np.ones(traps), (alive, n_actions))
    transition[alive:, :, alive:] = np.eye(traps)[:, None, :]
    reward = np.zeros((n_states, n_actions))
    reward[:alive] = rng.random((alive, n_actions))
    initial = np.zeros(n_states)
    initial[:alive] = rng.dirichlet(np.ones(alive))
    return FiniteMDP(transition, reward, initial)
