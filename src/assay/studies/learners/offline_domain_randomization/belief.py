"""Optimal play when one of finitely many MDPs is the real one: history-dependent policies, by recursion over beliefs."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from assay.core.errors import SettingsError
from assay.solvers.mdp import backward_induction
from assay.worlds.mdps import FiniteMDP

__all__ = ["BeliefSolution", "optimal_under_belief"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BeliefSolution:
    """The history-dependent policy that is best on average under a belief, as its values.

    Attributes:
        values: values[m], what it earns when MDP m is the real one.
        optimal: optimal[m], what a policy made for MDP m would earn there.
        bayes_gap: the belief's average of optimal - values.
    """

    values: Floats
    optimal: Floats
    bayes_gap: float

    @property
    def gaps(self) -> Floats:
        """Return lost in each MDP; never negative."""
        return np.asarray(self.optimal - self.values)


def optimal_under_belief(
    family: list[FiniteMDP], belief: npt.ArrayLike, horizon: int, *, max_histories: int = 2_000_000
) -> BeliefSolution:
    """The best policy over `horizon` steps that may use all it has seen, for a real MDP drawn from `belief`.

    Exact: the recursion carries the unnormalised belief along every history of actions and next states (rewards are known
    functions of state and action and are not used as observations).

    Args:
        family: MDPs of one shape; the first state is drawn from each one's own `initial`.
        belief: one probability for each.
        horizon: the number of steps.
        max_histories: refuse larger trees.

    Raises:
        SettingsError: shapes or probabilities do not fit, or there are more than `max_histories` histories.
    """
    p = np.asarray(belief, dtype=float)
    shapes = {mdp.reward.shape for mdp in family}
    if len(shapes) != 1 or p.shape != (len(family),) or (p < 0).any() or not np.isclose(p.sum(), 1):
        raise SettingsError(
            f"a belief needs one probability for each of {len(family)} MDPs of one shape, summing to 1; "
            f"got shapes {sorted(shapes)} and probabilities {p.tolist()}"
        )
    n_states, n_actions = family[0].reward.shape
    histories = n_states * (n_states * n_actions) ** horizon
    if histories > max_histories:
        raise SettingsError(
            f"{n_states} states, {n_actions} actions and horizon {horizon} have {histories} histories, "
            f"more than {max_histories}; shorten the horizon"
        )
    transition = np.stack([mdp.transition for mdp in family])  # (M, S, A, S)
    reward = np.stack([mdp.reward for mdp in family])  # (M, S, A)

    def values(state: int, weight: Floats, steps: int) -> Floats:
        """What the best continuation earns in each MDP, given unnormalised beliefs."""
        best: Floats = np.zeros(len(family))
        best_score = -np.inf
        for action in range(n_actions):
            earned = reward[:, state, action].copy()
            if steps > 1:
                chance = transition[:, state, action]
                for after in range(n_states):
                    if (weight * chance[:, after]).any():
                        earned += chance[:, after] * values(after, weight * chance[:, after], steps - 1)
                    elif chance[:, after].any():
                        # Impossible under the belief, possible in a doubted MDP: any play is optimal; take action 0.
                        earned += chance[:, after] * _first_action(transition, reward, after, steps - 1)
            score = float(weight @ earned)
            if score > best_score:
                best, best_score = earned, score
        return best

    total = np.zeros(len(family))
    optimal = np.zeros(len(family))
    initial = np.stack([mdp.initial for mdp in family])
    if horizon > 0:
        for state in range(n_states):
            if initial[:, state].any():
                weight = p * initial[:, state]
                found = values(state, weight, horizon) if weight.any() else _first_action(transition, reward, state, horizon)
                total += initial[:, state] * found
        for m, mdp in enumerate(family):
            optimal[m] = float(mdp.initial @ backward_induction(mdp, horizon).values[horizon])
    return BeliefSolution(total, optimal, float(p @ (optimal - total)))


def _first_action(transition: Floats, reward: Floats, state: int, steps: int) -> Floats:
    """What always taking action 0 earns in each MDP."""
    value = np.zeros(reward.shape[:2])
    for _ in range(steps):
        value = reward[:, :, 0] + np.einsum("mst,mt->ms", transition[:, :, 0], value)
    return np.asarray(value[:, state])
