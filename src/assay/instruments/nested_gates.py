"""Nested gates: the smallest models with a plateau and a cliff, and how well they fit a training run.

A gate g(x, M) = e^x / (e^x + M) is the softmax weight of one chosen thing among M others. When the logit of one gate is
multiplied by how far another is open, gradient descent leaves them closed for long and then opens them in quick succession.
The same few lines describe an induction head (Reddy 2023, arXiv:2312.03002: previous token, target's pair, its label) and a
two-hop circuit (Guo et al. 2025, arXiv:2502.13913: parent, bridge, end).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from assay.core.errors import SettingsError
from assay.instruments.abruptness import Curve, crossing, normalised

__all__ = ["Descent", "Fit", "Gates", "correlation_at_jump", "descend", "fit"]

ALIGNED = np.linspace(0.0, 1.8, 181)  # multiples of the half-way step on which curves are compared


@dataclass(frozen=True)
class Gates:
    """A loss with one parameter a gate.

    Attributes:
        others: what each gate competes with (M), first gate first.
        form: "chain": the logit of gate j is x_j times gate j - 1. "two-hop": the last gate's logit is
            x_3 (g_2 + 1/(1 + M_2)) g_1, since the end can also be reached by guessing. "apart": logits are x_j alone and the
            probability is the product of all gates; nothing is nested.
        open: gates held open (g = 1) whatever their parameter.
        guess: whether the two-hop form has its guessing route, the 1/(1 + M_2).
    """

    others: tuple[float, ...]
    form: Literal["chain", "two-hop", "apart"] = "chain"
    open: tuple[int, ...] = ()
    guess: bool = True

    def __post_init__(self) -> None:
        if not self.others or min(self.others) <= 0 or (self.form == "two-hop" and len(self.others) != 3):
            raise SettingsError(
                f"gates need a positive number of competitors each, and the two-hop form three of them; got {self.others}"
            )
        if not set(self.open) < set(range(len(self.others))):
            raise SettingsError(f"gates held open must be some of 0–{len(self.others) - 1}, not all; got {self.open}")

    def __call__(self, x: Float[np.ndarray, "*start gate"]) -> Float[np.ndarray, "*start gate"]:
        """How far each gate is open."""
        gates: list[np.ndarray] = []
        for j, others in enumerate(self.others):
            logit = x[..., j] * self._factor(j, gates)
            gates.append(np.ones_like(logit) if j in self.open else 1 / (1 + others * np.exp(-logit)))
        return np.stack(gates, -1)

    def loss(self, x: Float[np.ndarray, "*start gate"]) -> Float[np.ndarray, "*start"]:
        """-log of the probability of the right answer, in nats."""
        logs: np.ndarray = -np.log(self(x))
        return np.asarray(logs.sum(-1) if self.form == "apart" else logs[..., -1])

    def slope(self, x: Float[np.ndarray, "*start gate"]) -> Float[np.ndarray, "*start gate"]:
        """The loss's gradient, written out from the last gate to the first."""
        gates = list(np.moveaxis(self(x), -1, 0))
        by_gate = [np.zeros_like(gate) for gate in gates]  # of the loss, through later logits
        slopes = []
        for j in reversed(range(len(gates))):
            direct = self.form == "apart" or j == len(gates) - 1
            by_logit = gates[j] - 1 if direct else by_gate[j] * gates[j] * (1 - gates[j])
            slopes.append(by_logit * self._factor(j, gates))
            if self.form == "chain" and j:
                by_gate[j - 1] = by_gate[j - 1] + by_logit * x[..., j]
            elif self.form == "two-hop" and j == 1:
                by_gate[0] = by_gate[0] + by_logit * x[..., 1]
            elif self.form == "two-hop" and j == 2:
                by_gate[0] = by_gate[0] + by_logit * x[..., 2] * (gates[1] + self._guess)
                by_gate[1] = by_gate[1] + by_logit * x[..., 2] * gates[0]
        return np.stack(slopes[::-1], -1)

    @property
    def _guess(self) -> float:
        """What the closed second gate lets through in the two-hop form: the route that guesses among the ends."""
        return 1 / (1 + self.others[1]) if self.guess else 0.0

    def _factor(self, j: int, gates: list[np.ndarray]) -> np.ndarray | float:
        """What gate j's parameter is multiplied by."""
        if self.form == "apart" or j == 0:
            return 1.0
        if self.form == "chain" or j == 1:
            return gates[j - 1]
        return np.asarray((gates[1] + self._guess) * gates[0])


@dataclass(frozen=True)
class Descent:
    """Gradient descent from several starts at once.

    Attributes:
        steps: observed steps.
        loss_nats: at each of them.
        gates: how far each gate was open.
        parameters: the gates' parameters at the end.
    """

    steps: Float[np.ndarray, " point"]
    loss_nats: Float[np.ndarray, "start point"]
    gates: Float[np.ndarray, "start point gate"]
    parameters: Float[np.ndarray, "start gate"]


def descend(
    gates: Gates,
    starts: Float[np.ndarray, "start gate"],
    *,
    learning_rate: float,
    n_steps: int,
    every: int = 10,
    frozen: Collection[int] = (),
) -> Descent:
    """What gradient descent on the gates' loss does from each start.

    Args:
        gates: the loss.
        starts: initial parameters.
        learning_rate: of plain descent.
        n_steps: updates.
        every: steps between observations.
        frozen: parameters that stay.
    """
    x = np.array(starts, dtype=float)
    moves = learning_rate * np.array([float(j not in frozen) for j in range(x.shape[-1])])
    steps, losses, opened = [], [], []
    for step in range(n_steps + 1):
        if step % every == 0:
            steps.append(step)
            losses.append(gates.loss(x))
            opened.append(gates(x))
        x -= moves * gates.slope(x)
    return Descent(np.array(steps, dtype=float), np.stack(losses, -1), np.stack(opened, -2), x)


@dataclass(frozen=True)
class Fit:
    """The gates' run that lies closest to a training run, both aligned at their half-way step.

    Attributes:
        start: its initial parameters.
        steps_per_step: how many of its steps one step of the training run is worth.
        correlation: of the aligned, normalised curves.
        error: root mean squared distance between them; the curves run from 1 to 0.
        curve: the gates' normalised loss on `ALIGNED`.
    """

    start: Float[np.ndarray, " gate"]
    steps_per_step: float
    correlation: float
    error: float
    curve: Float[np.ndarray, " aligned"]


def correlation_at_jump(steps: Curve, loss: Curve, other_steps: Curve, other: Curve) -> float:
    """Pearson correlation of two loss curves, each normalised and with its half-way step moved to 1; nan if one never falls."""
    first, second = normalised(steps, loss, ALIGNED), normalised(other_steps, other, ALIGNED)
    return _correlation(first, second)


def fit(
    gates: Gates,
    steps: Curve,
    loss: Curve,
    *,
    rng: np.random.Generator,
    n_starts: int = 64,
    spread: float = 1.0,
    learning_rate: float = 0.1,
    n_steps: int = 6000,
    frozen: Collection[int] = (),
) -> Fit:
    """The best of many runs of the gates' descent beside a training run's loss curve.

    Only the start is fitted (by drawing `n_starts` from N(0, spread²)); time is stretched so that both curves are half-way at
    the same place, and both are normalised to run from 1 to 0.

    Raises:
        SettingsError: the training run never falls half-way, or none of the gates' runs does.
    """
    target = normalised(steps, loss, ALIGNED)
    starts = rng.normal(0.0, spread, size=(n_starts, len(gates.others)))
    run = descend(gates, starts, learning_rate=learning_rate, n_steps=n_steps, frozen=frozen)
    curves = [normalised(run.steps, one, ALIGNED) for one in run.loss_nats]
    errors = np.array([float(np.sqrt(np.mean((curve - target) ** 2))) for curve in curves])
    if not np.isfinite(errors).any():
        raise SettingsError("a fit needs a run whose loss falls, and gates that learn within n_steps; got none. Train longer")
    best = int(np.nanargmin(errors))
    halves = [_half(run.steps, run.loss_nats[best]), _half(np.asarray(steps, dtype=float), np.asarray(loss, dtype=float))]
    return Fit(starts[best], halves[0] / halves[1], _correlation(curves[best], target), float(errors[best]), curves[best])


def _half(steps: np.ndarray, loss: np.ndarray) -> float:
    return crossing(steps, loss, (loss[0] + loss.min()) / 2, falling=True)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    if not (np.isfinite(first).all() and np.isfinite(second).all()) or min(first.std(), second.std()) == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])
