"""From a record to a law to a controller to the real system: what every experiment on transfer does, for any pole on a cart."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from assay.core.seeds import Seeds
from assay.studies.learners.offline_domain_randomization.feedback_control import Regulation, rollout_cost, train_feedback
from assay.studies.learners.offline_domain_randomization.randomisation import FitSettings, Randomisation, fit_randomisation
from assay.studies.learners.offline_domain_randomization.settings import Budgets
from assay.studies.learners.offline_domain_randomization.simulators import CartPole, Simulator, Transitions, record_transitions

__all__ = ["CART_POLE", "Plant", "another_truth", "fit_law", "real_cost", "record_plant"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Plant:
    """A pole on a cart as a task: the simulator, what keeping it up costs, and the sizes of states, forces and gains.

    Attributes:
        simulator: what laws are fitted with and controllers are trained in.
        task: the cost of a step.
        recorded: largest size of each state coordinate in a record.
        push: deviation of the recorded actions.
        starts: largest size of each state coordinate at the start of an episode.
        gain_scale: order of magnitude of each gain of the linear controller.
    """

    simulator: Simulator
    task: Regulation
    recorded: Floats
    push: float
    starts: Floats
    gain_scale: Floats


CART_POLE = Plant(
    CartPole(dt=0.04, substeps=4),  # the force is held for 0.16 s, so a controller for a heavier system overshoots
    Regulation(
        weights=np.array([1.0, 0.1, 5.0, 0.1]), effort=0.001, limits=np.array([3.0, 20.0, 0.8, 20.0]), lost=10.0, n_steps=30
    ),
    recorded=np.array([0.5, 0.5, 0.3, 0.5]),
    push=2.0,
    starts=np.array([0.5, 0.5, 0.25, 0.5]),
    gain_scale=np.array([-4.0, -5.0, -40.0, -10.0]),
)


def record_plant(plant: Plant, real: Simulator, truth: Floats, n: int, *, sensor: float, seeds: Seeds) -> Transitions:
    """n transitions of the real system under careful random actions, the next state measured with noise."""
    width = len(plant.recorded)
    state = plant.recorded * seeds("states").uniform(-1, 1, (n, width))
    action = plant.push * seeds("forces").standard_normal((n, 1))
    return record_transitions(real, truth, state, action, noise=sensor, rng=seeds("sensor"))


def fit_law(plant: Plant, data: Transitions, budgets: Budgets, *, floor: float, bonus: float, seeds: Seeds) -> Randomisation:
    """The law fitted to a record with this noise floor and entropy bonus."""
    settings = FitSettings(n_draws=budgets.n_draws, noise_floor=floor, entropy_bonus=bonus, budget=budgets.fit)
    return fit_randomisation(plant.simulator, data, settings, rng=seeds("search")).law


def real_cost(
    plant: Plant, law: Randomisation | None, budgets: Budgets, real: Simulator, truth: Floats, *, seeds: Seeds
) -> float:
    """Mean cost per step on the real system of the controller trained on draws of a law; without a law, on the truth itself.

    Laws that are compared are given the same seeds: standard draws, starts, the search's draws and the tests are then common.
    """
    systems = truth[None] if law is None else law.sample(budgets.n_trained_on, rng=seeds("draws"))
    width = len(plant.starts)
    starts = plant.starts * seeds("starts").uniform(-1, 1, (budgets.n_starts, width))
    gains = train_feedback(
        plant.simulator,
        plant.task,
        systems,
        starts,
        scale=plant.gain_scale,
        budget=budgets.policy,
        rng=seeds("policy search"),
    )
    tests = plant.starts * seeds("tests").uniform(-1, 1, (budgets.n_tests, width))
    return float(rollout_cost(real, plant.task, gains[None], truth[None], tests)[0])


def another_truth(simulator: Simulator, truth: Floats) -> Floats:
    """Another system in the box, half of the box's width away in every parameter."""
    low, high = (np.array([getattr(p, side) for p in simulator.parameters]) for side in ("low", "high"))
    return np.asarray(low + (truth - low + (high - low) / 2) % (high - low))
