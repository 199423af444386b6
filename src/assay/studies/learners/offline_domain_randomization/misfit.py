"""C7, C8: what an effect outside the simulator does to a fit, and what block length and noise floor do."""

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from assay.claims.study import Measurement, Table
from assay.core.progress import parts
from assay.core.seeds import Seeds
from assay.studies.learners.offline_domain_randomization.randomisation import (
    FitSettings,
    LinearModel,
    fit_linear,
    fit_randomisation,
)
from assay.studies.learners.offline_domain_randomization.settings import MisfitSettings
from assay.studies.learners.offline_domain_randomization.simulators import (
    LinearResponse,
    Simulator,
    SpringDamper,
    Transitions,
    draw_truth,
    record_episodes,
)

Floats = npt.NDArray[np.float64]
RECORDS = ("damping", "exact-starts", "visible")


def measure(settings: MisfitSettings, seeds: Seeds) -> Measurement:
    """Widths and errors with and without friction; what longer blocks and other noise floors do to the error."""
    friction: Table = []
    estimands: dict[str, float] = {}
    for arm, strength in (("with-friction", settings.friction), ("without-friction", 0.0)):
        estimands[f"{arm}/width"], estimands[f"{arm}/bias"] = _with_friction(settings, seeds, strength)
        for fit, name in (("deviation of the law", "width"), ("error of the point", "bias")):
            friction.append({"system": arm.replace("-", " "), "fit": fit, "in_widths": estimands[f"{arm}/{name}"]})
    copies = [_searches(settings, seeds.child(f"search/{copy}")) for copy in parts(range(settings.n_copies))]
    log_error = {fit: 0.5 * math.log(float(np.mean([errors[fit] ** 2 for errors in copies]))) for fit in copies[0]}
    shortest, longest = settings.lengths[0], settings.lengths[-1]
    for arm in RECORDS:
        estimands[f"{arm}/log_gain_of_length"] = log_error[arm, shortest, "right"] - log_error[arm, longest, "right"]
    for floor in ("tiny", "double"):
        estimands[f"{floor}/log_cost"] = log_error["damping", shortest, floor] - log_error["damping", shortest, "right"]
    # What is said without a record: all of the box, or its middle; no record, so nothing gained or lost by its use.
    estimands |= {"uniform/width": 1 / math.sqrt(12), "uniform/bias": _middle_error(seeds)}
    estimands |= {"uniform/log_gain_of_length": 0.0, "uniform/log_cost": 0.0}
    lengths: Table = [
        {"length": length, "record": arm, "error": math.exp(log_error[arm, length, "right"])}
        for arm in RECORDS
        for length in settings.lengths
    ]
    return Measurement(estimands=estimands, tables={"friction": friction, "lengths": lengths})


def _with_friction(settings: MisfitSettings, seeds: Seeds, friction: float) -> tuple[float, float]:
    """(deviation of the fitted law, error of the squared-error point), both for damping in search widths."""
    real = SpringDamper(friction=friction)
    width = np.array([p.high - p.low for p in real.parameters])
    truth = draw_truth(real.parameters, seeds("truth"))
    n = settings.n_records
    state, force = seeds("state").uniform(-1, 1, (n, 2)), 2 * seeds("force").standard_normal((n, 1))
    seen = real.step(np.broadcast_to(truth, (n, 2)), state, force)[:, 1] + settings.noise * seeds("noise").standard_normal(n)
    gain = -real.dt * state
    response = seen - state[:, 1] - real.dt * force[:, 0]
    sd = fit_linear(LinearModel(gain, response, settings.noise))[1]
    point = np.linalg.lstsq(gain, response, rcond=None)[0]
    return float(sd[1] / width[1]), float(abs(point[1] - truth[1]) / width[1])


def _middle_error(seeds: Seeds) -> float:
    """Distance of the true damping from the middle of its bounds, in search widths."""
    damping = SpringDamper().parameters[1]
    truth = draw_truth(SpringDamper().parameters, seeds("truth"))[1]
    return float(abs((damping.low + damping.high) / 2 - truth) / (damping.high - damping.low))


def _searches(settings: MisfitSettings, seeds: Seeds) -> dict[tuple[str, int, str], float]:
    """Error of the fitted mean of the last parameter, in its own unit, by (record, block length, noise floor).

    `damping`: a spring behind a noisy sensor. `exact-starts`: the same spring, but each block starts from the true state, so
    that only its end is noisy. `visible`: an offset that one step shows in full.
    """
    spring, visible = SpringDamper(), LinearResponse(1.0)
    right = 2 * settings.sensor**2  # the sensor's noise at both ends of a block
    truth, offset = (draw_truth(one.parameters, seeds(name)) for one, name in ((spring, "truth"), (visible, "offset")))
    starts = seeds("starts").uniform(-1, 1, (settings.n_episodes, 2))
    noisy = record_episodes(spring, truth, starts, _push, settings.n_steps, noise=settings.sensor, rng=seeds("record"))
    true = record_episodes(spring, truth, starts, _push, settings.n_steps, noise=0.0, rng=seeds("record"))
    ends = true.next_state + settings.sensor * seeds("ends").standard_normal(true.next_state.shape)
    rest = np.zeros((settings.n_episodes, 1))
    plain = record_episodes(visible, offset, rest, _rest, settings.n_steps, noise=settings.sensor, rng=seeds("plain"))
    records: dict[str, tuple[Simulator, Transitions, Floats]] = {
        "damping": (spring, noisy, truth),
        "exact-starts": (spring, dataclasses.replace(true, next_state=ends), truth),
        "visible": (visible, plain, offset),
    }
    asked = [(arm, length, "right") for arm in RECORDS for length in settings.lengths]
    asked += [("damping", settings.lengths[0], floor) for floor in ("tiny", "double")]
    floors = {"right": right, "tiny": settings.tiny_floor, "double": 2 * right}
    return {
        (arm, length, floor): _error(settings, seeds, *records[arm], length, floors[floor])
        for arm, length, floor in parts(asked)
    }


def _push(state: Floats, rng: np.random.Generator) -> Floats:
    return 2 * rng.standard_normal((len(state), 1))


def _rest(state: Floats, rng: np.random.Generator) -> Floats:
    return np.zeros((len(state), 1))


def _error(
    settings: MisfitSettings, seeds: Seeds, simulator: Simulator, data: Transitions, truth: Floats, length: int, floor: float
) -> float:
    """Error of the fitted mean of the last parameter, in its own unit."""
    fit_settings = FitSettings(n_draws=settings.n_draws, block_length=length, noise_floor=floor, budget=settings.budget)
    fit = fit_randomisation(simulator, data, fit_settings, rng=seeds(f"cma/{length}/{floor}"))
    return float(abs(fit.law.mean[-1] - truth[-1]))
