"""C1, C2, C6: does the fitted law close in on the truth as records grow, and what keeps it from doing so?"""

import numpy as np
import numpy.typing as npt

from assay.claims.study import Measurement, Table
from assay.core.progress import part, parts
from assay.core.seeds import Seeds
from assay.stats.scaling import log_log_slope
from assay.studies.learners.offline_domain_randomization.randomisation import (
    FitSettings,
    LinearModel,
    Randomisation,
    fit_linear,
    fit_randomisation,
    uniform_randomisation,
)
from assay.studies.learners.offline_domain_randomization.settings import ConsistencySettings
from assay.studies.learners.offline_domain_randomization.simulators import SpringDamper, draw_truth, record_transitions

Floats = npt.NDArray[np.float64]
SPRING, HEAVY_SPRING = SpringDamper(), SpringDamper(with_mass=True)  # the mass known, and unknown
LINEAR_ARMS = ("plain", "changing", "still", "fixed-bonus", "growing-bonus", "uniform")
SEARCHED_ARMS = ("forced", "free", "held", "uniform")


def measure(settings: ConsistencySettings, seeds: Seeds) -> Measurement:
    """Errors, deviations and masses of laws fitted to growing records, by arm."""
    with part(0, 0.4, "exact fits"):
        rows = _linear_rows(settings, seeds)
    with part(0.4, 1, "searches"):
        searched = _searched_rows(settings, seeds)
    estimands: dict[str, float] = {}
    for arm in LINEAR_ARMS:
        mine = {int(row["records"]): row for row in rows if row["law"] == arm}
        for name in ("error", "deviation"):
            values = [float(mine[n][name]) for n in settings.sizes]
            estimands[f"{arm}/{name}_slope"] = log_log_slope(settings.sizes, values) if min(values) > 0 else 0.0
        estimands[f"{arm}/mass"] = float(mine[max(settings.sizes)]["mass"])
    most = max(settings.searched_sizes)
    for arm in SEARCHED_ARMS:
        last = [row for row in searched if row["law"] == arm and row["records"] == most]
        for name in ("error", "ratio_error"):
            estimands[f"{arm}/{name}"] = float(np.mean([float(row[name]) for row in last]))
    return Measurement(estimands=estimands, tables={"consistency": rows, "identifiability": searched})


def _linear_rows(settings: ConsistencySettings, seeds: Seeds) -> Table:
    """A spring of known mass: the next velocity is linear in stiffness and damping, so the fit is exact."""
    rows: Table = []
    for n in parts(settings.sizes):
        found: dict[str, list[tuple[float, float, float]]] = {arm: [] for arm in LINEAR_ARMS}
        for copy in range(settings.n_copies):
            for arm, values in _linear_fits(settings, seeds.child(f"linear/{n}/{copy}"), n).items():
                found[arm].append(values)
        for arm, fits in found.items():
            error, deviation, mass = np.mean(fits, axis=0)
            rows.append({"records": n, "law": arm, "error": float(error), "deviation": float(deviation), "mass": float(mass)})
    return rows


def _linear_fits(settings: ConsistencySettings, seeds: Seeds, n: int) -> dict[str, tuple[float, float, float]]:
    """(error of the mean, size of the deviation, mass near the truth) by arm, the first two in search widths.

    All arms have the same truth, states and sensor noise; each differs from `plain` in what it is called after.
    """
    truth = draw_truth(SPRING.parameters, seeds("truth"))
    state = seeds("state").uniform(-1, 1, (n, 2))
    noise = settings.noise * seeds("noise").standard_normal(n)
    width = np.array([p.high - p.low for p in SPRING.parameters])
    # What spring and damper add to the velocity; the forces are known and taken off (a test holds that this is the simulator).
    gain = -SPRING.dt * state
    changing = truth + settings.change * width * seeds("changing").standard_normal((n, 2))
    still = gain * np.array([1.0, 0.0])  # held still: no velocity, so nothing shows the damping
    plain = gain @ truth + noise

    def judged(law: Randomisation) -> tuple[float, float, float]:
        mean_error, deviation = (law.mean - truth) / width, law.sd / width
        return float(np.linalg.norm(mean_error)), float(np.linalg.norm(deviation)), law.mass_near(truth, settings.box)

    def fitted(gain: Floats, response: Floats, bonus: float = 0.0) -> tuple[float, float, float]:
        mean, sd = fit_linear(LinearModel(gain, response, settings.noise), entropy_bonus=bonus)
        return judged(Randomisation(SPRING.parameters, "normal", mean, sd))

    return {
        "plain": fitted(gain, plain),
        "changing": fitted(gain, (gain * changing).sum(axis=1) + noise),
        "still": fitted(still, still @ truth + noise),
        "fixed-bonus": fitted(gain, plain, settings.fixed_bonus),
        "growing-bonus": fitted(gain, plain, settings.growing_bonus * n),
        "uniform": judged(uniform_randomisation(SPRING.parameters)),
    }


def _searched_rows(settings: ConsistencySettings, seeds: Seeds) -> Table:
    """A spring whose mass is unknown too, fitted by CMA-ES: with forces in the record, without, and with nothing moving.

    The three records share truth, sensor noise and search; `free` has no force, `held` no velocity either.
    """
    rows: Table = []
    fit_settings = FitSettings(n_draws=settings.n_draws, noise_floor=settings.noise**2, budget=settings.budget, matched=True)
    for n in parts(settings.searched_sizes):
        for copy in parts(range(settings.n_searched)):
            branch = seeds.child(f"searched/{n}/{copy}")
            truth = draw_truth(HEAVY_SPRING.parameters, branch("truth"))
            state, force = branch("state").uniform(-1, 1, (n, 2)), 3 * branch("force").standard_normal((n, 1))
            at_rest = state * np.array([1.0, 0.0])
            for arm, start, push in (("forced", state, force), ("free", state, 0 * force), ("held", at_rest, 0 * force)):
                data = record_transitions(HEAVY_SPRING, truth, start, push, noise=settings.noise, rng=branch("noise"))
                mean = fit_randomisation(HEAVY_SPRING, data, fit_settings, rng=branch("search")).law.mean
                rows.append({"records": n, "law": arm, **_errors(mean, truth)})
            middle = uniform_randomisation(HEAVY_SPRING.parameters).mean
            rows.append({"records": n, "law": "uniform", **_errors(middle, truth)})
    return rows


def _errors(mean: Floats, truth: Floats) -> dict[str, float]:
    """Root mean square error of mass, stiffness and damping, and of the last two once the mass is taken as known; in widths."""
    width = np.array([p.high - p.low for p in HEAVY_SPRING.parameters])
    rescaled = mean * truth[0] / mean[0]
    error, ratio_error = (mean - truth) / width, ((rescaled - truth) / width)[1:]
    return {"error": float(np.sqrt(np.mean(error**2))), "ratio_error": float(np.sqrt(np.mean(ratio_error**2)))}
