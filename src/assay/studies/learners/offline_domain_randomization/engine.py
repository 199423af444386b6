"""P1, P3: the same questions in a physics engine: the masses of a hopper, and a controller for a pendulum on a cart."""

import math

import numpy as np
import numpy.typing as npt

from assay.claims.study import Measurement, Table
from assay.core.progress import part, parts
from assay.core.seeds import Seeds
from assay.studies.learners.offline_domain_randomization.engine_tasks import simulator
from assay.studies.learners.offline_domain_randomization.feedback_control import Regulation
from assay.studies.learners.offline_domain_randomization.meeting import (
    Plant,
    another_truth,
    fit_law,
    real_cost,
    record_plant,
)
from assay.studies.learners.offline_domain_randomization.randomisation import (
    FitSettings,
    Randomisation,
    fit_randomisation,
    uniform_randomisation,
)
from assay.studies.learners.offline_domain_randomization.settings import EngineSettings
from assay.studies.learners.offline_domain_randomization.simulators import Transitions, draw_truth, record_episodes

Floats = npt.NDArray[np.float64]
HOPPER_START = np.array([0.0, 1.25] + [0.0] * 10)  # upright


def pendulum(n_steps: int) -> Plant:
    """The engine's pendulum on a cart; its state is (position, angle, their velocities), an action a share of 100 N."""
    return Plant(
        simulator("pendulum"),
        Regulation(
            weights=np.array([1.0, 5.0, 0.1, 0.1]),
            effort=0.001,
            limits=np.array([0.95, 0.8, 20.0, 20.0]),  # the rail ends at 1 m
            lost=10.0,
            n_steps=n_steps,
        ),
        recorded=np.array([0.3, 0.2, 0.5, 0.5]),
        push=1.0,
        starts=np.array([0.3, 0.2, 0.3, 0.3]),
        gain_scale=np.array([-0.5, -6.0, -1.0, -1.5]),
    )


def measure(settings: EngineSettings, seeds: Seeds) -> Measurement:
    """How much nearer a fitted law brings the hopper's masses, and what laws are worth on the real pendulum."""
    with part(0, 0.25, "hopper"):
        estimands, laws = _hopper(settings, seeds.child("hopper"))
    with part(0.25, 1, "pendulum"):
        costs = _pendulum(settings, seeds.child("pendulum"))
    log_cost = {law: math.log(cost) for law, cost in costs.items()}
    for arm in ("fitted", "other", "uniform"):
        estimands[f"{arm}/log_gain_over_uniform"] = log_cost["uniform"] - log_cost[arm]
    names = {
        "uniform": "every pendulum",
        "fitted": "fitted law",
        "other": "fitted to another",
    }
    rows: Table = [{"trained_on": names[law], "cost": cost} for law, cost in costs.items()]
    return Measurement(estimands=estimands, tables={"costs": rows, "masses": laws})


def _hopper(settings: EngineSettings, seeds: Seeds) -> tuple[dict[str, float], Table]:
    """Log of how many times nearer the truth a law's mean is than the middle of the box: by record, of it or of another."""
    engine, real = simulator("hopper"), simulator("hopper", friction=True)
    truth = draw_truth(engine.parameters, seeds("truth"))
    starts = HOPPER_START + 0.05 * seeds("starts").uniform(-1, 1, (settings.records // 4, len(HOPPER_START)))
    width = np.array([p.high - p.low for p in engine.parameters])
    middle = float(np.linalg.norm((uniform_randomisation(engine.parameters).mean - truth) / width))
    estimands = {"uniform/log_nearer": 0.0}  # its mean is the middle
    rows: Table = []
    for arm, xi in parts([("fitted", truth), ("other", another_truth(engine, truth))]):
        data = record_episodes(real, xi, starts, _shake, 4, noise=settings.sensor, rng=seeds("record"))
        fit_settings = FitSettings(n_draws=settings.n_draws, noise_floor=settings.sensor**2, budget=settings.fit_budget)
        law = fit_randomisation(engine, data, fit_settings, rng=seeds("search")).law
        estimands[f"{arm}/log_nearer"] = math.log(middle / float(np.linalg.norm((law.mean - truth) / width)))
        rows += [
            {"law": arm, "link": parameter.name, "mean": float(mean), "truth": float(true)}
            for parameter, mean, true in zip(engine.parameters, law.mean, truth, strict=True)
        ]
    return estimands, rows


def _shake(state: Floats, rng: np.random.Generator) -> Floats:
    return rng.uniform(-1, 1, (len(state), 3))


def _pendulum(settings: EngineSettings, seeds: Seeds) -> dict[str, float]:
    """Cost per step on the real pendulum, whose rail has damping that the simulator lacks, by the law trained on."""
    plant, real = pendulum(settings.n_steps), simulator("pendulum", friction=True)
    truth = draw_truth(plant.simulator.parameters, seeds("truth"))
    data, strange = (
        record_plant(plant, real, xi, settings.records, sensor=settings.sensor, seeds=seeds)
        for xi in (truth, another_truth(plant.simulator, truth))
    )

    def fitted(record: Transitions) -> Randomisation:
        return fit_law(plant, record, settings.budgets, floor=settings.sensor**2, bonus=0.0, seeds=seeds)

    costs: dict[str, float] = {}
    for name in parts(("uniform", "fitted", "other")):
        if name == "uniform":
            law = uniform_randomisation(plant.simulator.parameters)
        else:
            law = fitted(strange if name == "other" else data)
        costs[name] = real_cost(plant, law, settings.budgets, real, truth, seeds=seeds)
    return costs
