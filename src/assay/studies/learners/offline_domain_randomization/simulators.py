"""Simulators with unknown physical parameters, and transitions recorded on one of them.

A simulator is a pure function of parameters, state and action, vectorised over any leading axes, so that the likelihood of many
candidate parameters is one call. The closed-form ones are NumPy; `mujoco_tasks` beside this file has the physics engine's.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from assay.core.errors import InputError, SettingsError

__all__ = [
    "CartPole",
    "Doors",
    "LinearResponse",
    "Parameter",
    "Simulator",
    "SpringDamper",
    "Transitions",
    "draw_truth",
    "record_episodes",
    "record_transitions",
]

Floats = npt.NDArray[np.float64]
Policy = Callable[[Floats, np.random.Generator], Floats]  # states (m, s) -> actions (m, a)


@dataclass(frozen=True)
class Parameter:
    """One unknown of a simulator.

    Attributes:
        name: what it is, with its unit.
        low: with `high`, the bounds of the search for its mean.
        minimum: the smallest physical value; draws are never below.
    """

    name: str
    low: float
    high: float
    minimum: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.minimum <= self.low < self.high):
            raise SettingsError(
                f"parameter '{self.name}' needs minimum <= low < high, all finite; got {self.minimum}, {self.low}, {self.high}"
            )


class Simulator(Protocol):
    """What a fit needs: bounds of the parameters, and one step from any state."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The unknowns, in the order of the last axis of `xi`."""
        ...

    def step(self, xi: Floats, state: Floats, action: Floats) -> Floats:
        """The next state; all arguments share leading axes, or broadcast."""
        ...


@dataclass(frozen=True)
class Transitions:
    """Recorded transitions.

    Attributes:
        state: (n, s).
        action: (n, a).
        next_state: (n, s).
        episode: (n,), the episode of each; consecutive rows of one episode follow each other in time.
    """

    state: Floats
    action: Floats
    next_state: Floats
    episode: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        n = len(self.state)
        if n < 1 or self.state.shape != self.next_state.shape or self.action.shape[:1] != (n,) or self.episode.shape != (n,):
            raise InputError(
                "transitions need a row and equal lengths: state (n, s), action (n, a), next_state (n, s), episode (n,); "
                f"got {self.state.shape}, {self.action.shape}, {self.next_state.shape}, {self.episode.shape}"
            )
        for name in ("state", "action", "next_state"):
            if not np.isfinite(getattr(self, name)).all():
                row = int(np.flatnonzero(~np.isfinite(getattr(self, name)).all(axis=1))[0])
                raise InputError(f"transitions must be finite; {name} is not in row {row}. Remove or mend that row")

    def __len__(self) -> int:
        return len(self.state)

    def take(self, rows: npt.ArrayLike) -> "Transitions":
        """The chosen rows as single transitions, each an episode of its own."""
        chosen = np.asarray(rows)
        return Transitions(self.state[chosen], self.action[chosen], self.next_state[chosen], np.arange(len(chosen)))

    def blocks(self, length: int) -> tuple[Floats, Floats, Floats]:
        """(first states, actions, last states) of all non-overlapping runs of `length` rows within an episode.

        Returns:
            (m, s), (m, length, a) and (m, s).

        Raises:
            InputError: no episode is that long.
        """
        if length < 1:
            raise SettingsError(f"a block has at least 1 transition; got {length}")
        if length == 1:
            return self.state, self.action[:, None], self.next_state
        edges = np.flatnonzero(np.diff(self.episode)) + 1
        starts, ends = np.r_[0, edges], np.r_[edges, len(self)]
        names = self.episode[starts]
        if len(np.unique(names)) < len(names):
            twice = next(int(name) for name in names if (names == name).sum() > 1)
            raise InputError(f"the rows of an episode must stand together; those of episode {twice} do not")
        first = np.concatenate([np.arange(a, b - length + 1, length) for a, b in zip(starts, ends, strict=True)])
        if not first.size:
            raise InputError(f"no episode has {length} transitions; shorten the blocks or record longer episodes")
        return (
            self.state[first],
            self.action[first[:, None] + np.arange(length)],
            self.next_state[first + length - 1],
        )


@dataclass(frozen=True)
class LinearResponse:
    """One unknown and a next state that is linear in it: s' = gain * xi, whatever the state. For exact answers.

    Attributes:
        gain: g.
    """

    gain: float = 1.0

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """One unknown in [-2, 2]."""
        return (Parameter("offset", -2.0, 2.0, -100.0),)

    def step(self, xi: Floats, state: Floats, action: Floats) -> Floats:
        """gain * xi."""
        return self.gain * xi + 0.0 * state


@dataclass(frozen=True)
class SpringDamper:
    """A mass on a spring with a damper: state (position m, velocity m/s), action a force in N; semi-implicit Euler.

    Without the mass among the unknowns the next velocity is linear in them. With it, and no force, only the ratios
    stiffness/mass and damping/mass can be known, however much is recorded.

    Attributes:
        with_mass: whether the mass is unknown too; it is 1 kg otherwise.
        dt: s per step.
        friction: Coulomb friction in N, an effect that no parameter covers.
    """

    with_mass: bool = False
    dt: float = 0.05
    friction: float = 0.0

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """(mass,) stiffness, damping."""
        rest = (Parameter("stiffness, N/m", 0.5, 8.0, 0.01), Parameter("damping, N s/m", 0.05, 2.0, 0.001))
        return (Parameter("mass, kg", 0.3, 4.0, 0.05), *rest) if self.with_mass else rest

    def step(self, xi: Floats, state: Floats, action: Floats) -> Floats:
        """The state dt later."""
        mass = xi[..., 0] if self.with_mass else 1.0
        stiffness, damping = xi[..., -2], xi[..., -1]
        x, v = state[..., 0], state[..., 1]
        force = action[..., 0] - stiffness * x - damping * v - self.friction * np.tanh(20 * v)
        v_next = v + self.dt * force / mass
        return np.stack(np.broadcast_arrays(x + self.dt * v_next, v_next), axis=-1)


@dataclass(frozen=True)
class CartPole:
    """A pole on a cart: state (x m, x' m/s, theta rad, theta' rad/s), action a force in N; semi-implicit Euler.

    Attributes:
        dt: s per substep.
        substeps: how many substeps one force is held for.
        friction: of the cart, N s/m: an effect that no parameter covers.
        force_limit: N.
    """

    dt: float = 0.02
    substeps: int = 1
    friction: float = 0.0
    force_limit: float = 20.0

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Gravity, both masses, half the pole's length."""
        return (
            Parameter("gravity, m/s^2", 5.0, 15.0, 0.5),
            Parameter("cart mass, kg", 0.3, 3.0, 0.1),
            Parameter("pole mass, kg", 0.03, 0.6, 0.01),
            Parameter("half length, m", 0.15, 1.0, 0.05),
        )

    def step(self, xi: Floats, state: Floats, action: Floats) -> Floats:
        """The state `substeps * dt` later (Florian 2007, without joint friction)."""
        # Contiguous copies: on views of a broadcast array every sum below would run in steps of a few numbers.
        gravity, cart, pole, half = (np.array(xi[..., i], order="C") for i in range(4))
        total = cart + pole
        x, v, theta, omega = (np.array(state[..., i], order="C") for i in range(4))
        force = np.clip(action[..., 0], -self.force_limit, self.force_limit) / total
        # What does not change over the substeps is computed once.
        drag, lever, inertia = self.friction / total, pole * half / total, 4 / 3 * half
        for _ in range(self.substeps):
            sin, cos = np.sin(theta), np.cos(theta)
            push = force + lever * omega**2 * sin
            if self.friction:
                push -= drag * v
            angular = (gravity * sin - cos * push) / (inertia - lever * cos**2)
            v = v + self.dt * (push - lever * angular * cos)
            x = x + self.dt * v
            omega = omega + self.dt * angular
            theta = theta + self.dt * omega
        return np.stack(np.broadcast_arrays(x, v, theta, omega), axis=-1)


def draw_truth(parameters: tuple[Parameter, ...], rng: np.random.Generator) -> Floats:
    """Parameters of a real system, drawn evenly from the whole box in which a law is searched."""
    return rng.uniform([p.low for p in parameters], [p.high for p in parameters])


def record_transitions(
    simulator: Simulator, xi: Floats, state: Floats, action: Floats, *, noise: float, rng: np.random.Generator
) -> Transitions:
    """Independent transitions from chosen states and actions, the next state measured with Gaussian noise of this deviation."""
    next_state = simulator.step(np.broadcast_to(xi, (len(state), len(xi))), state, action)
    measured = next_state + noise * rng.standard_normal(next_state.shape)
    return Transitions(state, action, measured, np.arange(len(state)))


def record_episodes(
    simulator: Simulator, xi: Floats, starts: Floats, policy: Policy, n_steps: int, *, noise: float, rng: np.random.Generator
) -> Transitions:
    """Episodes under a policy from the given starts, (n_episodes * n_steps) rows; every state measured with noise once.

    The true state goes on unmeasured: noise is the sensor's, not the system's.
    """
    n_episodes = len(starts)
    true, seen = starts, starts + noise * rng.standard_normal(starts.shape)
    rows: list[tuple[Floats, Floats, Floats]] = []
    for _ in range(n_steps):
        action = policy(seen, rng)
        true = simulator.step(np.broadcast_to(xi, (n_episodes, len(xi))), true, action)
        seen_next = true + noise * rng.standard_normal(true.shape)
        rows.append((seen, action, seen_next))
        seen = seen_next
    state, action, next_state = (
        np.stack(column, axis=1).reshape(n_episodes * n_steps, -1) for column in zip(*rows, strict=True)
    )
    return Transitions(state, action, next_state, np.repeat(np.arange(n_episodes), n_steps))


@dataclass(frozen=True)
class Doors:
    """M simulators that differ in which of M doors opens: trying it pays 1 a step, any other door pays nothing.

    The separated family on which not knowing the simulator costs a searcher about M / 2 steps.
    """

    n_doors: int
    horizon: int = field(default=128)

    def __post_init__(self) -> None:
        if not 1 <= self.n_doors <= self.horizon:
            raise SettingsError(f"there must be between 1 and horizon={self.horizon} doors; got {self.n_doors}")

    def likelihood(self, doors: npt.NDArray[np.int64], opened: npt.NDArray[np.bool_]) -> Floats:
        """The chance of the recorded outcomes under each of the M simulators: 1 or 0, as outcomes are certain."""
        agrees = (doors[:, None] == np.arange(self.n_doors)) == opened[:, None]
        return np.asarray(agrees.all(axis=0), dtype=float)

    def expected_gap(self, belief: Floats, real: int) -> float:
        """Return lost on the real simulator, in steps, by the policy that is optimal under a belief.

        That policy tries doors in falling order of belief and stays at the one that opens; ties are broken at random, and the
        expectation over them is exact.
        """
        mine = belief[real]
        return float((belief > mine).sum() + ((belief == mine).sum() - 1) / 2)
