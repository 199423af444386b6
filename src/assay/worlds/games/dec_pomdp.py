"""Small decentralised POMDPs: two agents, one reward, separate observations, several steps.

An assistance game of several steps is one of these: the human's preferences are part of the state and reach her through her
first observation.
"""

from dataclasses import dataclass

import numpy as np

from assay.core.arrays import Floats
from assay.core.errors import InputError
from assay.worlds.games.assistance import TwoStageGame

__all__ = ["DecPOMDP", "two_stage_as_dec_pomdp"]


@dataclass(frozen=True, eq=False)
class DecPOMDP:
    """A finite common-payoff game in time for two agents, A and H.

    Attributes:
        name: for tables.
        start: [state]; distribution of the first state.
        transition: [state, A's action, H's action, next state].
        observation: [A's action, H's action, next state, A's observation, H's observation].
        reward: [state, A's action, H's action]; expected common reward of a step.
        first: [state, A's observation, H's observation]; what either sees before the first action. A single observation each
            where nothing is seen.
        discount: factor per step.
    """

    name: str
    start: Floats
    transition: Floats
    observation: Floats
    reward: Floats
    first: Floats
    discount: float = 1.0

    def __post_init__(self) -> None:
        n_s, k_a, k_h = self.reward.shape
        shapes = {
            "start": (self.start, (n_s,), 1),
            "transition": (self.transition, (n_s, k_a, k_h, n_s), 1),
            "observation": (self.observation, (k_a, k_h, n_s, *self.observation.shape[3:]), 2),
            "first": (self.first, (n_s, *self.first.shape[1:]), 2),
        }
        for what, (table, shape, axes) in shapes.items():
            if table.shape != shape or 0 in table.shape:
                raise InputError(f"{self.name}: {what} must have the shape {shape} with no empty axis; got {table.shape}")
            total = table.sum(axis=tuple(range(-axes, 0)))
            if not np.allclose(total, 1, atol=1e-9) or (table < 0).any():
                raise InputError(f"{self.name}: {what} must hold distributions; a row sums to {float(np.ravel(total)[0]):.6g}")
        if not np.isfinite(self.reward).all():
            raise InputError(f"{self.name}: reward must be finite everywhere; it is not. Infinite payoffs have no optimum")
        if not 0 <= self.discount <= 1:
            raise InputError(f"{self.name}: discount must lie in [0, 1]; got {self.discount}")


def two_stage_as_dec_pomdp(game: TwoStageGame) -> DecPOMDP:
    """The two-stage assistance game played out in three steps: A shows or hides; H chooses; A serves.

    In each step the other agent's action has no effect. H's own knowledge must not depend on A's action: what she knows in all
    cases is learned at her observation after step 1. The optimal value of horizon 3 is the optimum with an optimal human
    (without messages).

    Raises:
        InputError: the second payoff depends on the earlier actions, or not everything is legal; neither has a place here.
    """
    first = game.first
    if any(row != rows[0][0] for rows in game.second_reward for by_action in rows for row in by_action):
        raise InputError(
            f"{game.name}: the second payoff must depend on the state alone to be played in three steps; it does not"
        )
    if first.legal_assistant or first.legal_human:
        raise InputError(f"{game.name}: every action must be legal everywhere to be played in three steps; some is not")
    n_s, k_a1, k_h = len(first.states), len(first.assistant_actions), len(first.human_actions)
    n_o, n_z, k_a2 = len(first.assistant_observations), len(first.human_observations), len(game.second_actions)
    k_a = max(k_a1, k_a2)
    # States: (s) at step 1, (s, a1) at step 2, (s) at step 3, and the end.
    at_1, at_2, at_3 = np.arange(n_s), n_s + np.arange(n_s * k_a1).reshape(n_s, k_a1), n_s * (1 + k_a1) + np.arange(n_s)
    end = n_s * (2 + k_a1)
    n = end + 1
    see_a, see_h = 1 + k_h, 1 + n_z  # observation 0 is "nothing"
    transition, reward = np.zeros((n, k_a, k_h, n)), np.zeros((n, k_a, k_h))
    observation = np.zeros((k_a, k_h, n, see_a, see_h))
    observation[:, :, :, 0, 0] = 1.0
    for s in range(n_s):
        for a in range(k_a):
            a1, a2 = min(a, k_a1 - 1), min(a, k_a2 - 1)  # surplus actions repeat the last one
            transition[at_1[s], a, :, at_2[s, a1]] = 1.0
            for h in range(k_h):
                reward[at_3[s], a, h] = float(game.second_reward[s][0][0][a2])
        for a1 in range(k_a1):
            for h in range(k_h):
                transition[at_2[s, a1], :, h, at_3[s]] = 1.0
                reward[at_2[s, a1], :, h] = float(first.reward[s][a1][h])
                observation[:, h, at_3[s]] = 0.0
                observation[:, h, at_3[s], 1 + h, 0] = 1.0
            observation[:, :, at_2[s, a1]] = 0.0
            for z in range(n_z):
                observation[:, :, at_2[s, a1], 0, 1 + z] = float(first.human_sees[s][a1][z])
        transition[at_3[s], :, :, end] = 1.0
    transition[end, :, :, end] = 1.0
    start, opening = np.zeros(n), np.zeros((n, n_o, 1))
    opening[:, 0, 0] = 1.0
    for s in range(n_s):
        start[s] = float(first.prior[s])
        opening[s, :, 0] = [float(p) for p in first.assistant_sees[s]]
    return DecPOMDP(first.name, start, transition, observation, reward, opening)
