"""C4, C5: how sure of itself is a fitted law, and what holds it open?"""

import math

import numpy as np
import numpy.typing as npt

from assay.claims.study import Measurement, Table
from assay.core.progress import part, parts
from assay.core.seeds import Seeds
from assay.studies.learners.offline_domain_randomization.meeting import CART_POLE, fit_law, record_plant
from assay.studies.learners.offline_domain_randomization.randomisation import (
    SD_FLOOR,
    FitSettings,
    Randomisation,
    edropo_variance,
    fit_randomisation,
    uniform_randomisation,
)
from assay.studies.learners.offline_domain_randomization.settings import Budgets, CollapseSettings
from assay.studies.learners.offline_domain_randomization.simulators import LinearResponse, Transitions, draw_truth

Floats = npt.NDArray[np.float64]


def measure(settings: CollapseSettings, seeds: Seeds) -> Measurement:
    """How visible laws of the cart-pole are beside the sensor's noise, and how often the truth lies inside them."""
    found: dict[str, list[float]] = {}
    with part(0, 0.8, "cart-poles"):
        for copy in parts(range(settings.n_copies)):
            for name, value in _cart_pole(settings, seeds.child(f"copy/{copy}"), plentiful=copy < settings.n_plenty).items():
                found.setdefault(name, []).append(value)
    with part(0.8, 1, "one parameter"):
        rows = _one_parameter(settings, seeds.child("one parameter"))
    return Measurement(estimands={name: float(np.mean(values)) for name, values in found.items()}, tables={"collapse": rows})


def _cart_pole(settings: CollapseSettings, seeds: Seeds, *, plentiful: bool) -> dict[str, float]:
    """By arm: the law's share of what it predicts to vary, and the share of parameters inside two of its deviations.

    `plenty`: a hundred records of a cart-pole that the simulator has exactly; `changing`: of one whose parameters are drawn
    anew at every step; `scarce`: four records; `scarce-bonus`: the same four, fitted with the large bonus. The fits to a
    hundred records cost most and vary least; without `plentiful` they are left out.
    """
    parameters = CART_POLE.simulator.parameters
    truth = draw_truth(parameters, seeds("truth"))
    width = np.array([p.high - p.low for p in parameters])
    budgets = Budgets(settings.n_draws, settings.fit_budget, 1, 1, 1)
    floor = settings.sensor**2
    plenty, scarce = (
        record_plant(CART_POLE, CART_POLE.simulator, truth, n, sensor=settings.sensor, seeds=seeds.child(name))
        for name, n in (("plenty", settings.plenty), ("scarce", settings.few))
    )
    moving = truth + settings.change * width * seeds("changing").uniform(-math.sqrt(3), math.sqrt(3), (len(plenty), len(width)))
    moving = np.clip(moving, [p.low for p in parameters], [p.high for p in parameters])
    noise = plenty.next_state - CART_POLE.simulator.step(np.broadcast_to(truth, moving.shape), plenty.state, plenty.action)
    changed = CART_POLE.simulator.step(moving, plenty.state, plenty.action) + noise
    changing = Transitions(plenty.state, plenty.action, changed, plenty.episode)
    values: dict[str, float] = {}
    arms = [("scarce", scarce, 0.0), ("scarce-bonus", scarce, settings.bonus)]
    if plentiful:
        arms += [("plenty", plenty, 0.0), ("changing", changing, 0.0)]
    for arm, data, bonus in arms:
        law = fit_law(CART_POLE, data, budgets, floor=floor, bonus=bonus, seeds=seeds)
        values[f"{arm}/visible"] = visible_share(law, data, floor, rng=seeds("draws"))
        values[f"{arm}/coverage"] = float((np.abs(law.mean - truth) <= 2 * law.sd).mean())
    uniform = uniform_randomisation(parameters)
    values["uniform/visible"] = visible_share(uniform, plenty, floor, rng=seeds("draws"))
    values["uniform/coverage"] = float((np.abs(uniform.mean - truth) <= 2 * uniform.sd).mean())
    return values


def visible_share(
    law: Randomisation, data: Transitions, floor: float, *, rng: np.random.Generator, n_draws: int = 200
) -> float:
    """The law's part of the variance it predicts for the next state, averaged over states and coordinates: 0 to 1.

    0: its draws all predict the same beside the noise floor. A half: they vary as much as the floor.
    """
    xi = law.sample(200, rng=rng)[:, None]
    predicted = CART_POLE.simulator.step(xi, data.state[None], data.action[None])
    variance = predicted.var(axis=0)
    return float((variance / (variance + floor)).mean())


def _one_parameter(settings: CollapseSettings, seeds: Seeds) -> Table:
    """Deviations found by the search for one parameter, beside the closed form, over bonuses and residuals."""
    gain = float(seeds("gain").uniform(0.5, 2.0))
    rows: Table = []
    for tau2 in parts(settings.residuals):
        for bonus in (0.0, *settings.bonuses):
            exact = math.sqrt(edropo_variance(settings.n_records, gain, settings.noise_floor, tau2, bonus))
            rows.append(
                {
                    "residual": f"{tau2:g}",
                    "bonus": bonus,
                    "deviation": _searched(settings, seeds.child(f"{tau2}/{bonus}"), gain, tau2, bonus),
                    "expected": max(exact, SD_FLOOR),  # the search looks no lower
                }
            )
    return rows


def _searched(settings: CollapseSettings, seeds: Seeds, gain: float, tau2: float, bonus: float) -> float:
    """The deviation CMA-ES finds where the best mean leaves exactly tau^2."""
    n, truth = settings.n_records, float(seeds("truth").uniform(-1, 1))
    residual = math.sqrt(tau2) * np.where(np.arange(n) % 2, 1.0, -1.0)
    zeros = np.zeros((n, 1))
    data = Transitions(zeros, zeros, (gain * truth + residual)[:, None], np.arange(n))
    fit_settings = FitSettings(
        n_draws=10,
        noise_floor=settings.noise_floor,
        entropy_bonus=bonus,
        budget=settings.fit_budget,
        truncation=None,
        matched=True,
    )
    return float(fit_randomisation(LinearResponse(gain), data, fit_settings, rng=seeds("search")).law.sd[0])
