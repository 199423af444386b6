"""C7, C8: what an effect outside the simulator does to a fit, and what block length and noise floor do."""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, MinLen, doc

from assay.claims.charts import Bars, Figure, Lines
from assay.claims.rules import Above
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.errors import SettingsError
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.studies.learners.offline_domain_randomization.randomisation import (
    FitSettings,
    LinearModel,
    fit_linear,
    fit_randomisation,
)
from assay.studies.learners.offline_domain_randomization.simulators import (
    LinearResponse,
    Simulator,
    SpringDamper,
    Transitions,
    record_episodes,
)

Floats = npt.NDArray[np.float64]

CLAIMS = (
    Claim(
        "C7.wide",
        says="An effect that no parameter covers widens the law that the likelihood fits.",
        source="arXiv:2201.08434; arXiv:2506.10133v1",
        estimand="width_with_friction",
        rule=Above(0.05),
        margin="a twentieth of the search width, the box of alpha-informativeness",
        control=Control("without the effect the law stays narrow", "width_without_friction"),
        paper_value="likelihood widens sigma",
    ),
    Claim(
        "C7.biased",
        says="Fitting one point by squared error moves it away from the truth instead, and nothing shows it.",
        source="arXiv:2201.08434; arXiv:2506.10133v1",
        estimand="bias_with_friction",
        rule=Above(0.1),
        margin="a tenth of the search width",
        control=Control("without the effect the point is right", "bias_without_friction"),
        paper_value="squared error gives a biased point",
    ),
    Claim(
        "C8.length",
        says="Longer open-loop blocks find a weakly visible parameter better: damping behind a noisy sensor.",
        source="arXiv:2201.08434",
        estimand="gain_of_length",
        rule=Above(0.2),
        margin="log error of single steps minus blocks of the longest length; 0.2 is a fifth less error",
        control=Control("a parameter that one step shows in full: fewer blocks find it worse", "gain_of_length_visible"),
        paper_value="longer lambda helps",
    ),
    Claim(
        "C8.floor",
        says="A noise floor far below the sensor's noise makes the fit worse.",
        source="arXiv:2201.08434, choice of epsilon",
        estimand="cost_of_small_floor",
        rule=Above(0.2),
        margin="log error at a floor of 1e-10 minus at the sensor's own variance; 0.2 is a fifth more error",
        control=Control("twice the right floor costs nothing", "cost_of_double_floor"),
        paper_value="too small a floor is ill-conditioned",
    ),
)


@dataclass(frozen=True)
class Settings:
    """Records, the missing effect, block lengths and floors."""

    n_records: Annotated[int, Ge(20), doc("recorded transitions for C7")] = 1_000
    friction: Annotated[float, Gt(0), doc("Coulomb friction of the real spring that the simulator lacks, N")] = 0.5
    noise: Annotated[float, Gt(0), doc("standard deviation of the sensor for C7, m/s")] = 0.005
    sensor: Annotated[float, Gt(0), doc("standard deviation of the sensor for C8, m and m/s")] = 0.02
    lengths: Annotated[tuple[int, ...], MinLen(2), doc("block lengths lambda, rising from 1")] = (1, 4, 16)
    n_episodes: Annotated[int, Ge(1), doc("recorded episodes for C8")] = 4
    n_steps: Annotated[int, Ge(2), doc("steps of each")] = 64
    n_copies: Annotated[int, Ge(1), doc("records a run averages over for C8")] = 6
    budget: Annotated[int, Ge(20), doc("evaluations of CMA-ES")] = 300
    n_draws: Annotated[int, Ge(2), doc("simulated next states per block")] = 12

    def __post_init__(self) -> None:
        if self.lengths[0] != 1 or list(self.lengths) != sorted(set(self.lengths)) or self.lengths[-1] > self.n_steps:
            raise SettingsError(f"lengths must rise from 1 to at most n_steps={self.n_steps}; got {self.lengths}")


def measure(settings: Settings, seeds: Seeds) -> Measurement:
    """Widths and biases with and without friction; errors over block lengths and floors."""
    effect = {
        name: _with_friction(settings, seeds, strength) for name, strength in (("without", 0.0), ("with", settings.friction))
    }
    progress(0.1, "friction")
    lengths, floors = _searches(settings, seeds)

    def log_error(table: Table, column: str, value: float | int | str, simulator: str) -> float:
        errors = [float(row["error"]) for row in table if row[column] == value and row["simulator"] == simulator]
        return math.log(math.sqrt(float(np.mean(np.square(errors)))))

    longest = settings.lengths[-1]
    return Measurement(
        estimands={
            "width_with_friction": effect["with"][0],
            "width_without_friction": effect["without"][0],
            "bias_with_friction": effect["with"][1],
            "bias_without_friction": effect["without"][1],
            "gain_of_length": log_error(lengths, "length", 1, "damping") - log_error(lengths, "length", longest, "damping"),
            "gain_of_length_visible": log_error(lengths, "length", 1, "visible")
            - log_error(lengths, "length", longest, "visible"),
            "cost_of_small_floor": log_error(floors, "floor", "1e-10", "damping")
            - log_error(floors, "floor", "right", "damping"),
            "cost_of_double_floor": log_error(floors, "floor", "double", "damping")
            - log_error(floors, "floor", "right", "damping"),
        },
        tables={
            "friction": [
                {"system": f"{name} friction", "fit": fit, "in_widths": value}
                for name, values in effect.items()
                for fit, value in zip(("deviation of the law", "error of the point"), values, strict=True)
            ],
            "lengths": lengths,
            "floors": floors,
        },
    )


def _with_friction(settings: Settings, seeds: Seeds, friction: float) -> tuple[float, float]:
    """(deviation of the fitted law, error of the squared-error point), both for damping in search widths."""
    real = SpringDamper(friction=friction)
    low, high = np.array([p.low for p in real.parameters]), np.array([p.high for p in real.parameters])
    truth = seeds("truth").uniform(low + 0.25 * (high - low), high - 0.25 * (high - low))
    n = settings.n_records
    state, force = seeds("state").uniform(-1, 1, (n, 2)), 2 * seeds("force").standard_normal((n, 1))
    seen = real.step(np.broadcast_to(truth, (n, 2)), state, force)[:, 1] + settings.noise * seeds("noise").standard_normal(n)
    gain = -real.dt * state
    response = seen - state[:, 1] - real.dt * force[:, 0]
    sd = fit_linear(LinearModel(gain, response, settings.noise))[1]
    point = np.linalg.lstsq(gain, response, rcond=None)[0]
    width = high - low
    return float(sd[1] / width[1]), float(abs(point[1] - truth[1]) / width[1])


def _searches(settings: Settings, seeds: Seeds) -> tuple[Table, Table]:
    spring, visible = SpringDamper(), LinearResponse(1.0)
    right = 2 * settings.sensor**2  # the sensor's noise at both ends of a block
    lengths: Table = []
    floors: Table = []
    for copy in range(settings.n_copies):
        branch = seeds.child(f"search/{copy}")
        truth = branch("truth").uniform([2.0, 0.3], [6.0, 1.2])
        starts = branch("starts").uniform(-1, 1, (settings.n_episodes, 2))
        data = record_episodes(spring, truth, starts, _push, settings.n_steps, noise=settings.sensor, rng=branch("record"))
        offset = branch("offset").uniform(-1, 1, 1)
        plain_starts = np.zeros((settings.n_episodes, 1))
        plain = record_episodes(
            visible, offset, plain_starts, _rest, settings.n_steps, noise=settings.sensor, rng=branch("plain")
        )
        for length in settings.lengths:
            for name, simulator, record, true in (("damping", spring, data, truth), ("visible", visible, plain, offset)):
                error = _error(settings, branch, simulator, record, true, length, right)
                lengths.append({"length": length, "simulator": name, "error": error})
        at_right = next(float(row["error"]) for row in lengths[-2 * len(settings.lengths) :] if row["simulator"] == "damping")
        floors.append({"floor": "right", "simulator": "damping", "error": at_right})
        for name, floor in (("1e-10", 1e-10), ("double", 2 * right)):
            error = _error(settings, branch, spring, data, truth, 1, floor)
            floors.append({"floor": name, "simulator": "damping", "error": error})
        progress(0.1 + 0.9 * (copy + 1) / settings.n_copies, "searches")
    return lengths, floors


def _push(state: Floats, rng: np.random.Generator) -> Floats:
    return 2 * rng.standard_normal((len(state), 1))


def _rest(state: Floats, rng: np.random.Generator) -> Floats:
    return np.zeros((len(state), 1))


def _error(
    settings: Settings, seeds: Seeds, simulator: Simulator, data: Transitions, truth: Floats, length: int, floor: float
) -> float:
    """Error of the fitted mean of the last parameter, in its own unit."""
    fit_settings = FitSettings(n_draws=settings.n_draws, block_length=length, noise_floor=floor, budget=settings.budget)
    fit = fit_randomisation(simulator, data, fit_settings, rng=seeds(f"cma/{length}/{floor}"))
    return float(abs(fit.law.mean[-1] - truth[-1]))


EXPERIMENT = Experiment(
    "misfit",
    question="What do missing effects, short blocks and small noise floors do to a fit?",
    cost="85 s of one core",
    claims=CLAIMS,
    presets={
        "quick": Preset(Settings(n_records=50, lengths=(1, 2), n_episodes=1, n_steps=8, n_copies=1, budget=30, n_draws=6), 2),
        "laptop": Preset(Settings(), 8),
    },
    measure=measure,
    needs={"cma": "rl"},
    figures=(
        Figure(
            "friction",
            title="A law that cannot explain widens; a point moves, silently",
            caption="A real spring with friction, fitted by a simulator without. Left, how wide the fitted law of the damping "
            "is; right, how far the best single value is from the truth. Both in units of the search width.",
            chart=Bars("friction", x="fit", y="in_widths", by="system", x_label="", y_label="search widths"),
        ),
        Figure(
            "lengths",
            title="Longer blocks, but fewer of them",
            caption="Error of the fitted value over the number of recorded steps simulated open loop. Damping acts little in "
            "one step and more in many, but long blocks are few; a parameter that one step shows in full only loses records.",
            chart=Lines(
                "lengths",
                x="length",
                y="error",
                by="simulator",
                x_scale="log",
                y_scale="log",
                x_label="steps per block",
                y_label="error of the fitted value",
                markers=True,
            ),
            further=True,
        ),
    ),
)
