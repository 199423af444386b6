"""Families of candidate decision processes, laws over them fitted to a record, and what each law's best policy loses."""

import numpy as np
import numpy.typing as npt

from assay.worlds.mdps import FiniteMDP, random_trap_mdp

__all__ = ["fit_finite_law", "law_of_mass", "random_family", "record_of"]

Floats = npt.NDArray[np.float64]
N_STATES, N_ACTIONS = 3, 2  # the last state is a trap


def random_family(size: int, *, rng: np.random.Generator) -> list[FiniteMDP]:
    """`size` independent random decision processes of three states, one of them a trap, and two actions."""
    return [random_trap_mdp(N_STATES, N_ACTIONS, rng=rng) for _ in range(size)]


def record_of(family: list[FiniteMDP], member: int, n: int, *, rng: np.random.Generator) -> Floats:
    """The chance, under every process of the family, of each of n transitions recorded on one of them, (n, M).

    States (no traps) and actions are drawn evenly, the next state by the recorded process.
    """
    transition = np.stack([mdp.transition for mdp in family])
    state, action = rng.integers(N_STATES - 1, size=n), rng.integers(N_ACTIONS, size=n)
    reached = (rng.random((n, 1)) > transition[member, state, action].cumsum(axis=1)).sum(axis=1)
    after = np.minimum(reached, N_STATES - 1)  # the sum of a row may miss 1 by rounding
    return np.asarray(transition[:, state, action, after].T)


def fit_finite_law(chance: Floats, *, n_steps: int = 300) -> Floats:
    """The law p over M processes that makes a record most likely: the maximum of sum_i log sum_m p_m chance[i, m], (M,).

    Offline domain randomisation where the simulators are finitely many. The objective is concave; expectation-maximisation
    climbs it from the even law, so that of several best laws it finds one that leaves none out needlessly.
    """
    law = np.full(chance.shape[1], 1 / chance.shape[1])
    for _ in range(n_steps):
        shared = chance * law
        law = (shared / shared.sum(axis=1, keepdims=True)).mean(axis=0)
    return law


def law_of_mass(mass: float, size: int, *, member: int = 0) -> Floats:
    """The law with `mass` on one process and the rest spread evenly over the others."""
    law = np.full(size, (1 - mass) / (size - 1))
    law[member] = mass
    return law
