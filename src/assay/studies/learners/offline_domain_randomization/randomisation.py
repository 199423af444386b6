"""Fit a distribution over simulators to recorded transitions, then train on simulators drawn from it.

DROPO (Tiboni et al. 2023, arXiv:2201.08434): a normal law over physical parameters; for each recorded transition the simulator
is reset to its state, the action applied under many drawn parameters, and the recorded next state scored under the normal law
with the draws' mean and covariance. CMA-ES searches means and deviations. E-DROPO (Fickinger et al. 2025, arXiv:2506.10133v1)
adds beta times the entropy of the law, so that the deviations do not collapse.

The likelihood of a whole population of candidates is one call of the simulator; the draws are common to all candidates.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import ndtr

from assay.core.errors import SettingsError, WorkError
from assay.core.extras import load_extra
from assay.studies.learners.offline_domain_randomization.simulators import Parameter, Simulator, Transitions

__all__ = [
    "Fit",
    "FitSettings",
    "LinearModel",
    "Randomisation",
    "edropo_variance",
    "fit_linear",
    "fit_randomisation",
    "fit_squared_error",
    "log_likelihood",
    "standard_draws",
    "uniform_randomisation",
]

Floats = npt.NDArray[np.float64]
Objective = Callable[[Floats, Floats], Floats]  # (P, d) means and deviations -> (P,) scores
IMPOSSIBLE = -1e200  # log likelihood of a block that the simulator cannot follow in finite numbers
SD_FLOOR = 1e-5  # the released search never looks below this deviation


@dataclass(frozen=True)
class Randomisation:
    """A law over a simulator's parameters from which a policy's training draws.

    Attributes:
        parameters: what they are and how far they may go.
        kind: `normal`: independent, cut at two deviations and at the physical minimum; `uniform`: over [low, high].
        mean: of each parameter; for `uniform` the middle.
        sd: deviation before cutting; for `uniform` of the uniform law.
    """

    parameters: tuple[Parameter, ...]
    kind: Literal["normal", "uniform"]
    mean: Floats
    sd: Floats

    def sample(self, n: int, *, rng: np.random.Generator) -> Floats:
        """n draws, (n, d)."""
        minimum = np.array([p.minimum for p in self.parameters])
        if self.kind == "uniform":
            low, high = self._bounds()
            return rng.uniform(low, high, (n, len(low)))
        z = standard_draws((n, len(self.mean)), rng=rng, truncation=2.0)
        return np.asarray(np.maximum(self.mean + self.sd * z, minimum))

    def mass_near(self, point: Floats, radius: float) -> float:
        """The probability of the box of `radius` (in units of the search width) around a point, before cutting."""
        low, high = self._bounds()
        a, b = point - radius * (high - low), point + radius * (high - low)
        if self.kind == "uniform":
            return float(np.prod(np.clip(np.minimum(b, high) - np.maximum(a, low), 0, None) / (high - low)))
        sd = np.maximum(self.sd, 1e-300)
        return float(np.prod(ndtr((b - self.mean) / sd) - ndtr((a - self.mean) / sd)))

    def _bounds(self) -> tuple[Floats, Floats]:
        return np.array([p.low for p in self.parameters]), np.array([p.high for p in self.parameters])


def uniform_randomisation(parameters: tuple[Parameter, ...]) -> Randomisation:
    """Uniform over the search bounds: what is done when nothing was recorded."""
    low, high = np.array([p.low for p in parameters]), np.array([p.high for p in parameters])
    return Randomisation(parameters, "uniform", (low + high) / 2, (high - low) / math.sqrt(12))


@dataclass(frozen=True)
class FitSettings:
    """How a law is fitted.

    Attributes:
        n_draws: K, simulated next states per transition.
        block_length: lam, recorded steps simulated open loop from each reset.
        noise_floor: eps, added to the variance of every state coordinate (in standardised units if `standardise`).
        entropy_bonus: beta of E-DROPO; 0 is DROPO.
        budget: evaluations of CMA-ES.
        truncation: draws beyond this many deviations are redrawn; None keeps the whole normal law.
        matched: shift and scale the draws to have mean 0 and variance 1 exactly, which makes linear simulators exact.
        standardise: divide states by their deviation in the data.
        likelihood: `moments` scores under the draws' mean and covariance (DROPO); `mixture` averages the draws' own densities,
            each normal with variance `noise_floor` (the exact q of the theory, by Monte Carlo).
    """

    n_draws: int = 100
    block_length: int = 1
    noise_floor: float = 1e-5
    entropy_bonus: float = 0.0
    budget: int = 1000
    truncation: float | None = 2.0
    matched: bool = False
    standardise: bool = False
    likelihood: Literal["moments", "mixture"] = "moments"

    def __post_init__(self) -> None:
        if self.n_draws < 2:
            raise SettingsError(f"a covariance needs at least 2 draws; got n_draws={self.n_draws}")
        if not self.noise_floor > 0:
            raise SettingsError(f"noise_floor must be positive, or a point law has no density; got {self.noise_floor}")
        if self.entropy_bonus < 0 or self.budget < 1 or self.block_length < 1:
            raise SettingsError(
                "entropy_bonus must not be negative, budget and block_length must be at least 1; "
                f"got {self.entropy_bonus}, {self.budget}, {self.block_length}"
            )


@dataclass(frozen=True)
class Fit:
    """A fitted law and how the search went.

    Attributes:
        law: the best law found.
        log_likelihood: of it, in nats, summed over blocks.
        objective: log likelihood + beta * sum of log deviations.
        evaluations: how many candidates were scored.
        at_floor: whether each deviation is at the lowest the search allows.
    """

    law: Randomisation
    log_likelihood: float
    objective: float
    evaluations: int
    at_floor: npt.NDArray[np.bool_]


def standard_draws(shape: tuple[int, ...], *, rng: np.random.Generator, truncation: float | None) -> Floats:
    """Standard normal draws; beyond the truncation redrawn up to 20 times, then clipped (the released code's way)."""
    z = rng.standard_normal(shape)
    if truncation is None:
        return z
    for _ in range(20):
        outside = np.abs(z) > truncation
        if not outside.any():
            return z
        z[outside] = rng.standard_normal(int(outside.sum()))
    return np.clip(z, -truncation, truncation)


def log_likelihood(
    simulator: Simulator, data: Transitions, means: Floats, sds: Floats, draws: Floats, settings: FitSettings
) -> Floats:
    """The log likelihood of each candidate law, in nats, (P,).

    Args:
        simulator: reset to each recorded state.
        data: recorded transitions.
        means: (P, d).
        sds: (P, d).
        draws: standard draws common to all candidates, (m, K, d) for m blocks of the data.
        settings: block length, noise floor and kind of likelihood are read.
    """
    first, actions, last = data.blocks(settings.block_length)
    if draws.shape[0] != len(first) or draws.shape[2] != means.shape[1]:
        raise SettingsError(f"draws must be ({len(first)}, K, {means.shape[1]}) for this data; got {draws.shape}")
    minimum = np.array([p.minimum for p in simulator.parameters])
    xi = np.maximum(means[:, None, None, :] + sds[:, None, None, :] * draws, minimum)  # (P, m, K, d)
    state = np.broadcast_to(first[:, None, :], (*xi.shape[:3], first.shape[1]))
    for t in range(settings.block_length):
        state = simulator.step(xi, state, actions[None, :, None, t, :])
    unit = data.next_state.std(axis=0) if settings.standardise else np.ones(last.shape[1])
    unit = np.where(unit > 0, unit, 1.0)
    simulated, recorded = state / unit, last / unit
    if settings.likelihood == "mixture":
        return _mixture(simulated, recorded, settings.noise_floor)
    return _moments(simulated, recorded, settings.noise_floor)


def _moments(simulated: Floats, recorded: Floats, floor: float) -> Floats:
    n_draws, width = simulated.shape[2:]
    centre = simulated.mean(axis=2)
    spread = simulated - centre[:, :, None]
    covariance = np.matmul(spread.swapaxes(2, 3), spread) / (n_draws - 1)
    # Beside a spread of 1e12 floors the floor itself is lost to rounding, and the matrix with it.
    least = np.maximum(floor, 1e-12 * np.einsum("pmss->pm", covariance))
    covariance += least[..., None, None] * np.eye(width)
    residual = recorded - centre
    # Where a candidate throws the simulator out of the finite numbers it is simply a bad candidate.
    bad = ~(np.isfinite(covariance).all(axis=(2, 3)) & np.isfinite(residual).all(axis=2))
    covariance[bad], residual[bad] = np.eye(width), 0.0
    root = np.linalg.cholesky(covariance)
    whitened = np.linalg.solve(root, residual[..., None])[..., 0]
    log_det = 2 * np.log(np.einsum("pmss->pms", root)).sum(axis=2)
    score = -0.5 * ((whitened**2).sum(axis=2) + log_det + width * math.log(2 * math.pi))
    return np.asarray(np.where(bad, IMPOSSIBLE, score).sum(axis=1))


def _mixture(simulated: Floats, recorded: Floats, floor: float) -> Floats:
    n_draws, width = simulated.shape[2:]
    distance = ((recorded[None, :, None] - simulated) ** 2).sum(axis=3)
    distance = np.where(np.isfinite(distance), distance, -IMPOSSIBLE * floor)
    scores = -0.5 * distance / floor
    top = scores.max(axis=2)
    average = top + np.log(np.exp(scores - top[:, :, None]).sum(axis=2) / n_draws)
    return np.asarray((average - 0.5 * width * math.log(2 * math.pi * floor)).sum(axis=1))


def fit_randomisation(simulator: Simulator, data: Transitions, settings: FitSettings, *, rng: np.random.Generator) -> Fit:
    """The law that CMA-ES finds to explain the data best: DROPO, or E-DROPO with an entropy bonus.

    The search space is the released one: means mapped to [0, 4] from their bounds, deviations from 1e-5 to a quarter of the
    width, on a log scale, mapped to [0, 4]; both started at the centre.

    Raises:
        MissingExtra: the package `cma` is not installed.
        WorkError: no candidate had a finite likelihood.
    """
    blocks = len(data.blocks(settings.block_length)[0])
    draws = standard_draws((blocks, settings.n_draws, len(simulator.parameters)), rng=rng, truncation=settings.truncation)
    if settings.matched:
        draws = draws - draws.mean(axis=1, keepdims=True)
        draws /= draws.std(axis=1, ddof=1, keepdims=True)

    def objective(means: Floats, sds: Floats) -> Floats:
        likelihood = log_likelihood(simulator, data, means, sds, draws, settings)
        return np.asarray(likelihood + settings.entropy_bonus * np.log(sds).sum(axis=1))

    mean, sd, score, evaluations = _search(simulator.parameters, objective, settings.budget, rng)
    if score <= IMPOSSIBLE:
        raise WorkError(
            "no candidate parameters gave finite next states; check the bounds of the simulator and the data's units"
        )
    at_floor = sd <= SD_FLOOR * 1.05
    likelihood = score - settings.entropy_bonus * float(np.log(sd).sum())
    return Fit(Randomisation(simulator.parameters, "normal", mean, sd), likelihood, score, evaluations, at_floor)


def _search(
    parameters: tuple[Parameter, ...], objective: Objective, budget: int, rng: np.random.Generator
) -> tuple[Floats, Floats, float, int]:
    """(mean, sd, objective, evaluations) of the best candidate of CMA-ES."""
    cma = load_extra("cma", "rl", "fitting a simulator's randomisation")
    low, high = np.array([p.low for p in parameters]), np.array([p.high for p in parameters])
    d = len(parameters)
    top = (high - low) / 4

    def decode(points: Floats) -> tuple[Floats, Floats]:
        return low + points[:, :d] / 4 * (high - low), SD_FLOOR * (top / SD_FLOOR) ** (points[:, d:] / 4)

    options = {
        "bounds": [0, 4],
        "maxfevals": budget,
        "verbose": -9,
        "seed": math.nan,  # leave the global generator alone: the draws come from ours
        "randn": lambda *size: rng.standard_normal(size),
        "tolfun": 1e-9,
        "tolflatfitness": 20,
    }
    search = cma.CMAEvolutionStrategy(np.full(2 * d, 2.0), 1.0, options)
    best, best_score, evaluations = np.full(2 * d, 2.0), -math.inf, 0
    while not search.stop():
        points = np.clip(np.stack(search.ask()), 0, 4)
        scores = objective(*decode(points))
        evaluations += len(points)
        if scores.max() > best_score:
            best, best_score = points[int(scores.argmax())], float(scores.max())
        search.tell(list(points), list(-scores))
    mean, sd = decode(best[None])
    return mean[0], sd[0], best_score, evaluations


def fit_squared_error(simulator: Simulator, data: Transitions, settings: FitSettings, *, rng: np.random.Generator) -> Floats:
    """The one parameter vector whose next states are nearest in squared error: what is fitted without a law, (d,)."""
    first, actions, last = data.blocks(settings.block_length)
    unit = data.next_state.std(axis=0) if settings.standardise else np.ones(last.shape[1])
    unit = np.where(unit > 0, unit, 1.0)

    def objective(means: Floats, sds: Floats) -> Floats:
        state = np.broadcast_to(first, (len(means), *first.shape))
        for t in range(settings.block_length):
            state = simulator.step(means[:, None, :], state, actions[None, :, t])
        error = (((state - last) / unit) ** 2).sum(axis=(1, 2))
        return -np.where(np.isfinite(error), error, 1e9)

    return _search(simulator.parameters, objective, settings.budget, rng)[0]


@dataclass(frozen=True)
class LinearModel:
    """A scalar response that is linear in the parameters: y = gain . xi + noise. Everything about it is exact.

    Attributes:
        gain: (n, d).
        response: (n,).
        noise: standard deviation of the noise; the law's own variance adds to it.
    """

    gain: Floats
    response: Floats
    noise: float


def fit_linear(model: LinearModel, *, entropy_bonus: float = 0.0) -> tuple[Floats, Floats]:
    """(mean, sd) of the maximum-likelihood normal law for a linear response, exactly: by gradients, from several starts.

    Maximises sum_i log N(y_i; g_i . mean, sum_j g_ij^2 sd_j^2 + noise^2) + beta * sum_j log sd_j.
    """
    # A row per parameter: sums over many records then run along contiguous memory.
    g, y = np.ascontiguousarray(model.gain.T), model.response
    squares = g**2
    d = len(g)
    tiny = 1e-14

    def mean_given(variance: Floats) -> tuple[Floats, Floats, Floats]:
        total = variance @ squares + model.noise**2
        weighted = g / total
        # What the record does not show is left out: of all the best means, the shortest.
        values, vectors = np.linalg.eigh(weighted @ g.T)
        seen = values > d * np.finfo(float).eps * values[-1]
        mean = vectors @ (np.where(seen, vectors.T @ (weighted @ y), 0.0) / np.where(seen, values, 1.0))
        return np.asarray(mean, dtype=float), y - mean @ g, total

    def negative(variance: Floats) -> tuple[float, Floats]:
        # The best mean for these variances is a weighted least-squares fit, so only variances are searched (envelope theorem).
        _, residual, total = mean_given(variance)
        excess = residual**2 / total
        value = 0.5 * float(np.log(total).sum() + excess.sum())
        slope = 0.5 * (squares @ ((1 - excess) / total))
        if entropy_bonus:
            value -= 0.5 * entropy_bonus * float(np.log(variance).sum())
            slope = slope - 0.5 * entropy_bonus / variance
        return value, slope

    scale = max(float(np.var(y)), model.noise**2) / np.maximum(squares.mean(axis=1), 1e-30)
    # The likelihood may have several peaks: climbed from the best law whose parameters all spread alike, and from the best in
    # which one spreads alone.
    levels = np.array([1e-4, 1e-2, 1e-1, 1.0])
    alike, alone = (levels[:, None, None] * spread for spread in (np.ones((1, d)), np.eye(d)))
    climbs = []
    for kind in (alike, alone) if d > 1 else (alike,):
        starts = np.maximum(kind.reshape(-1, d), 1e-6) * scale
        start = min(starts, key=lambda variance: negative(variance)[0])
        climbs.append(minimize(negative, start, jac=True, method="L-BFGS-B", bounds=[(tiny, None)] * d))
    best = min(climbs, key=lambda found: float(found.fun)).x
    variance = np.where(best <= tiny * 1.01, 0.0, best)
    return mean_given(np.maximum(variance, tiny))[0], np.sqrt(variance)


def edropo_variance(n: int, gain: float, noise_floor: float, residual_variance: float, entropy_bonus: float) -> float:
    """sigma^2 that maximises N [-log(v)/2 - tau^2/(2v)] + beta log sigma, v = g^2 sigma^2 + eps: a quadratic's root.

    Without a bonus it is (tau^2 - eps)/g^2, or 0 where that is negative. With one it is never 0: for tau^2 < eps and a small
    bonus about beta eps / (N g^2 (1 - tau^2/eps)).

    Args:
        n: N, the number of recorded transitions.
        gain: g, how strongly the next state depends on the parameter.
        noise_floor: eps.
        residual_variance: tau^2, the mean square of what the best mean leaves unexplained.
        entropy_bonus: beta; must be below N, or the objective grows without end.
    """
    if not 0 <= entropy_bonus < n:
        raise SettingsError(f"with an entropy bonus of N={n} or more the best variance is infinite; got beta={entropy_bonus}")
    # With u = g^2 sigma^2: (N - beta) u^2 - (N (tau^2 - eps) + 2 beta eps) u - beta eps^2 = 0, the positive root.
    a = n - entropy_bonus
    b = -(n * (residual_variance - noise_floor) + 2 * entropy_bonus * noise_floor)
    c = -entropy_bonus * noise_floor**2
    root = math.sqrt(b * b - 4 * a * c)
    u = (-b + root) / (2 * a) if b <= 0 else -2 * c / (b + root)  # the form without cancellation
    return max(u, 0.0) / gain**2
