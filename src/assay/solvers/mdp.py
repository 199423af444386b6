"""Exact solutions of finite MDPs, each with a certificate: how far from optimal the answer can be at the most."""

from dataclasses import dataclass

import numpy as np

from assay.core.arrays import Floats, Ints
from assay.core.errors import SettingsError, WorkError
from assay.worlds.mdps import FiniteMDP

__all__ = [
    "FiniteHorizonSolution",
    "Solution",
    "backward_induction",
    "evaluate",
    "expected_sum",
    "policy_iteration",
    "residual_bound",
    "value_iteration",
]


@dataclass(frozen=True)
class Solution:
    """A stationary policy for a discounted MDP and how good it provably is.

    Attributes:
        values: the value function it came with, one entry a state.
        policy: the greedy action in each state under `values`.
        residual: max over states of |T V - V|, T the Bellman optimality operator.
        value_error: an upper bound of max |V - V*|, from the residual alone: residual / (1 - discount).
        policy_gap: an upper bound of max (V* - V^policy): 2 residual / (1 - discount) (Williams and Baird 1993).
        sweeps: how many sweeps or policy improvements it took.
    """

    values: Floats
    policy: Ints
    residual: float
    value_error: float
    policy_gap: float
    sweeps: int


@dataclass(frozen=True)
class FiniteHorizonSolution:
    """Optimal values and actions by steps to go; exact up to arithmetic.

    Attributes:
        values: values[h, s], the best expected sum of h more rewards; values[0] is zero.
        policy: policy[h, s], a best first action with h steps to go; policy[0] is unused and -1.
    """

    values: Floats
    policy: Ints


def residual_bound(mdp: FiniteMDP, values: Floats, discount: float) -> tuple[Floats, float, float]:
    """(Q, residual, value_error): the certificate of any value function, whoever made it."""
    _check_discount(discount)
    q = mdp.reward + discount * (mdp.transition @ values)
    residual = float(np.abs(q.max(axis=1) - values).max())
    return q, residual, residual / (1 - discount)


def value_iteration(mdp: FiniteMDP, discount: float, *, tolerance: float = 1e-10, max_sweeps: int = 1_000_000) -> Solution:
    """A solution whose certified value error is at most `tolerance`, by repeated Bellman backups.

    Raises:
        SettingsError: the discount is not in [0, 1) or the tolerance not positive.
        WorkError: the tolerance was not reached (it may lie below what double precision can certify).
    """
    _check_discount(discount)
    if tolerance <= 0:
        raise SettingsError(f"tolerance must be positive; got {tolerance}")
    values = np.zeros(mdp.n_states)
    for sweep in range(1, max_sweeps + 1):
        q, residual, error = residual_bound(mdp, values, discount)
        if error <= tolerance:
            return Solution(values, q.argmax(axis=1), residual, error, 2 * error, sweep)
        values = q.max(axis=1)
    raise WorkError(
        f"value iteration must certify an error of at most {tolerance:g}; got {error:.3g} after {max_sweeps} sweeps. "
        "Raise max_sweeps or the tolerance, or use policy_iteration"
    )


def evaluate(mdp: FiniteMDP, policy: Floats, discount: float) -> Floats:
    """The value of each state under a stationary policy given as probabilities [s, a], by one linear solve."""
    _check_discount(discount)
    transition = np.einsum("sa,sat->st", policy, mdp.transition)
    reward = (policy * mdp.reward).sum(axis=1)
    return np.asarray(np.linalg.solve(np.eye(mdp.n_states) - discount * transition, reward))


def policy_iteration(mdp: FiniteMDP, discount: float) -> Solution:
    """The optimal policy by exact evaluation and greedy improvement; ends after finitely many improvements.

    An action is only changed when another is better by more than rounding, so ties cannot make it cycle.
    """
    _check_discount(discount)
    states = np.arange(mdp.n_states)
    policy = mdp.reward.argmax(axis=1)
    sweeps = 0
    while True:
        sweeps += 1
        values = evaluate(mdp, np.eye(mdp.n_actions)[policy], discount)
        q, residual, error = residual_bound(mdp, values, discount)
        slack = 1e-12 * max(1.0, float(np.abs(q).max()))
        better = q.max(axis=1) > q[states, policy] + slack
        if not better.any():
            return Solution(values, policy, residual, error, 2 * error, sweeps)
        policy = np.where(better, q.argmax(axis=1), policy)


def backward_induction(mdp: FiniteMDP, horizon: int) -> FiniteHorizonSolution:
    """The optimal values and actions for every number of steps to go up to `horizon`."""
    if horizon < 0:
        raise SettingsError(f"horizon must not be negative; got {horizon}")
    values = np.zeros((horizon + 1, mdp.n_states))
    policy = np.full((horizon + 1, mdp.n_states), -1, dtype=np.int64)
    for h in range(1, horizon + 1):
        q = mdp.reward + mdp.transition @ values[h - 1]
        values[h], policy[h] = q.max(axis=1), q.argmax(axis=1)
    return FiniteHorizonSolution(values, policy)


def expected_sum(mdp: FiniteMDP, policy: Floats, cost: Floats, horizon: int) -> float:
    """The expected sum of `cost[s, a]` over `horizon` steps under a policy, from the MDP's own start.

    Args:
        mdp: gives the dynamics; its reward is not used.
        policy: probabilities [s, a], or [t, s, a] for a policy that changes with time.
        cost: any function of state and action, such as the reward itself.
        horizon: the number of steps.
    """
    law = mdp.initial
    total = 0.0
    for t in range(horizon):
        rule = policy if policy.ndim == 2 else policy[t]
        joint = law[:, None] * rule
        total += float((joint * cost).sum())
        law = np.einsum("sa,sat->t", joint, mdp.transition)
    return total


def _check_discount(discount: float) -> None:
    if not 0 <= discount < 1:
        raise SettingsError(f"the discount must be in [0, 1), or the certificate is infinite; got {discount}")
