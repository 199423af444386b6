"""Linear feedback trained on drawn simulators: the smallest policy whose transfer to a real system can be measured."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from assay.core.errors import SettingsError
from assay.core.extras import load_extra
from assay.studies.learners.offline_domain_randomization.simulators import Simulator

__all__ = ["Regulation", "rollout_cost", "train_feedback"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Regulation:
    """Keep the state at zero: cost per step = state . weights . state + effort * action^2, cut at `lost` once the state leaves.

    Attributes:
        weights: (s,), how much each squared state coordinate costs.
        effort: cost of a squared unit of action.
        limits: (s,), beyond any of which the system counts as lost; every step from then on costs `lost`.
        lost: the largest cost of a step, and the cost of a lost one.
        n_steps: steps of an episode.
    """

    weights: Floats
    effort: float
    limits: Floats
    lost: float
    n_steps: int

    def __post_init__(self) -> None:
        if self.n_steps < 1 or not self.lost > 0:
            raise SettingsError(f"an episode needs a step and a positive cost of losing; got {self.n_steps} and {self.lost}")


def rollout_cost(simulator: Simulator, task: Regulation, gains: Floats, xi: Floats, starts: Floats) -> Floats:
    """Mean cost per step of each policy a = -gains . state, (P,), averaged over parameters and starts (each with each).

    Args:
        simulator: stepped as a whole: P policies, K parameters, E starts.
        task: what costs.
        gains: (P, s).
        xi: (K, d).
        starts: (E, s).
    """
    shape = (len(gains), len(xi), len(starts))
    state = np.broadcast_to(starts, (*shape, starts.shape[1]))
    parameters = np.broadcast_to(xi[None, :, None, :], (*shape, xi.shape[1]))
    alive = np.ones(shape, dtype=bool)
    total = np.zeros(shape)
    with np.errstate(over="ignore", invalid="ignore"):  # a lost system may run away; it is frozen below
        for _ in range(task.n_steps):
            action = -np.einsum("pkes,ps->pke", state, gains)
            cost = (state**2) @ task.weights + task.effort * action**2
            total += np.where(alive, np.minimum(cost, task.lost), task.lost)
            state = simulator.step(parameters, state, action[..., None])
            alive &= (np.abs(state) <= task.limits).all(axis=-1)
            state = np.where(alive[..., None], state, 0.0)
    return np.asarray(total.mean(axis=(1, 2)) / task.n_steps)


def train_feedback(
    simulator: Simulator, task: Regulation, xi: Floats, starts: Floats, *, scale: Floats, budget: int, rng: np.random.Generator
) -> Floats:
    """The gains (s,) that CMA-ES finds to cost least on average over the drawn parameters.

    Args:
        simulator: where it is trained.
        task: what costs.
        xi: (K, d), draws of a law, the same for every candidate.
        starts: (E, s).
        scale: (s,), the order of magnitude of each gain: the search's first step size.
        budget: evaluations.
        rng: for the search.
    """
    cma = load_extra("cma", "rl", "training a feedback policy")
    options = {
        "maxfevals": budget,
        "verbose": -9,
        "seed": math.nan,
        "randn": lambda *size: rng.standard_normal(size),
        "tolfun": 1e-6,
    }
    search = cma.CMAEvolutionStrategy(np.zeros(len(scale)), 0.5, options)
    best, best_cost = np.zeros(len(scale)), math.inf
    while not search.stop():
        points = np.stack(search.ask())
        costs = rollout_cost(simulator, task, points * scale, xi, starts)
        if costs.min() < best_cost:
            best, best_cost = points[int(costs.argmin())], float(costs.min())
        search.tell(list(points), list(costs))
    return np.asarray(best * scale)
