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

    Exact: the unnormalised belief is carried along every history of actions and next states (rewards are known
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
    initial = np.stack([mdp.initial for mdp in family])  # (M, S)
    transition = np.stack([mdp.transition for mdp in family])  # (M, S, A, S)
    reward = np.stack([mdp.reward for mdp in family])  # (M, S, A)
    values = np.zeros(initial.shape)
    if horizon > 0:
        values = _values(transition, reward, p[:, None] * initial, horizon)
    total = (initial * values).sum(axis=1)
    optimal = np.array([mdp.initial @ backward_induction(mdp, horizon).values[horizon] for mdp in family])
    return BeliefSolution(total, optimal, float(p @ (optimal - total)))


def _values(transition: Floats, reward: Floats, weight: Floats, horizon: int) -> Floats:
    """What the best continuation earns in each MDP from each first state, (M, S), given unnormalised beliefs at the start.

    Forward, the states and beliefs at the end of every history of each length; backward, the best action after each. Where no
    MDP of the belief could have made a history, every action is as good and the first is taken.
    """
    n_models, n_states, n_actions = reward.shape
    states, weights = [np.arange(n_states)], [weight]
    for _ in range(horizon - 1):
        follow = weights[-1][:, :, None, None] * transition[:, states[-1]]  # (M, histories, A, S)
        weights.append(follow.reshape(n_models, -1))
        states.append(np.tile(np.arange(n_states), follow.shape[1] * n_actions))
    after: Floats | None = None
    for state, belief in zip(reversed(states), reversed(weights), strict=True):
        earned = reward[:, state]  # (M, histories, A)
        if after is not None:
            earned = earned + (transition[:, state] * after.reshape(n_models, len(state), n_actions, n_states)).sum(axis=3)
        best = np.einsum("mh,mha->ha", belief, earned).argmax(axis=1)
        after = np.take_along_axis(earned, best[None, :, None], axis=2)[:, :, 0]
    assert after is not None
    return after
