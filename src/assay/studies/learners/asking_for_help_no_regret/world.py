"""Problems in which an agent may ask a mentor, sees no payoff, and may not be able to take a mistake back.

A round: an input x in [0, 1]^n arrives, the agent plays an action or asks; a round on which it asks plays the mentor's action.
The payoff of a round is the chance of surviving it. Every problem here satisfies *local generalisation*: playing the mentor's
action of x' at x costs at most L times the distance of x and x' (Plaut et al. 2025, arXiv:2402.08062, assumption 2).
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from assay.core.errors import SettingsError

__all__ = [
    "Cells",
    "Half",
    "Inputs",
    "Labels",
    "MentorProblem",
    "blurred",
    "boundary_inputs",
    "noisy_labels",
    "smooth_inputs",
    "uniform_inputs",
]

Inputs = npt.NDArray[np.float64]  # (rounds, n)
Labels = npt.NDArray[np.int64]  # (rounds,)
Values = npt.NDArray[np.float64]  # (rounds,)


class MentorProblem(Protocol):
    """What is true and what it costs; an agent sees only `mentor`, and only when it asks."""

    def mentor(self, inputs: Inputs) -> Labels:
        """The mentor's action on each input."""
        ...

    def loss(self, inputs: Inputs, actions: Labels) -> Values:
        """The mentor's payoff minus the action's, in chance of survival per round; the mentor always survives."""
        ...


@dataclass(frozen=True)
class Half:
    """A plane cuts the cube; beyond it (`normal . x > offset`) the mentor plays 1, before it 0.

    A wrong action costs L times the distance to the plane, at most 1: the least that local generalisation allows an adversary
    everywhere, and exactly what it allows on the way to the nearest point with the other action.

    Attributes:
        normal: a unit vector.
        offset: where along the normal the plane stands.
        lipschitz: L, per unit of distance; the agent does not know it.
    """

    normal: tuple[float, ...]
    offset: float
    lipschitz: float = 1.0

    def __post_init__(self) -> None:
        length = math.sqrt(sum(part * part for part in self.normal))
        if not math.isclose(length, 1.0, rel_tol=1e-9):
            raise SettingsError(f"the normal of a half-space must have length 1; got {length:.6g}. Divide it by its length")
        if not (math.isfinite(self.offset) and math.isfinite(self.lipschitz) and self.lipschitz >= 0):
            raise SettingsError(
                f"offset and lipschitz must be finite, lipschitz not negative; got {self.offset} and {self.lipschitz}"
            )

    @classmethod
    def sample(cls, n_dims: int, *, rng: np.random.Generator, lipschitz: float = 1.0) -> "Half":
        """A plane across the diagonal of [0, 1]^n through a point of its middle half, drawn uniformly."""
        if n_dims < 1:
            raise SettingsError(f"n_dims must be at least 1; got {n_dims}")
        side = math.sqrt(n_dims)
        return cls((1 / side,) * n_dims, float(side * rng.uniform(0.25, 0.75)), lipschitz)

    @property
    def n_dims(self) -> int:
        """The dimension of the inputs."""
        return len(self.normal)

    def score(self, inputs: Inputs) -> Values:
        """`normal . x` of each input: what a threshold policy compares with its threshold."""
        return np.asarray(inputs @ np.asarray(self.normal))

    def mentor(self, inputs: Inputs) -> Labels:
        """1 beyond the plane, 0 before and on it."""
        return (self.score(inputs) > self.offset).astype(np.int64)

    def loss(self, inputs: Inputs, actions: Labels) -> Values:
        """L times the distance to the plane where the action is wrong (at most 1), 0 where it is right."""
        wrong = actions != self.mentor(inputs)
        return np.where(wrong, np.minimum(1.0, self.lipschitz * np.abs(self.score(inputs) - self.offset)), 0.0)


@dataclass(frozen=True)
class Cells:
    """[0, 1] in equal cells; a wrong action costs L times the distance to the nearer border of the cell.

    With a coin flip for every cell nothing can be learned in one cell about another: the generator of the impossibility
    theorem (arXiv:2402.08062, theorem 4.1). With `structured` cells the safe action changes once, so the class is learnable.

    Attributes:
        safe: the safe action (0 or 1) of each cell, from left to right.
        lipschitz: L.
    """

    safe: tuple[int, ...]
    lipschitz: float = 1.0

    def __post_init__(self) -> None:
        if not self.safe or set(self.safe) - {0, 1}:
            raise SettingsError(f"every cell needs a safe action 0 or 1, and there must be a cell; got {self.safe[:5]}")

    @classmethod
    def sample(cls, n_cells: int, *, rng: np.random.Generator, structured: bool = False, lipschitz: float = 1.0) -> "Cells":
        """Cells with independent fair coins, or with one change at a random place of the middle half."""
        if n_cells < 1:
            raise SettingsError(f"n_cells must be at least 1; got {n_cells}")
        if structured:
            change = rng.uniform(0.25, 0.75) * n_cells
            safe = np.arange(n_cells) >= change
        else:
            safe = rng.random(n_cells) < 0.5
        return cls(tuple(int(bit) for bit in safe), lipschitz)

    @property
    def n_dims(self) -> int:
        """Always 1."""
        return 1

    def cell(self, inputs: Inputs) -> Labels:
        """The number of the cell that holds each input."""
        n_cells = len(self.safe)
        return np.clip((inputs[:, 0] * n_cells).astype(np.int64), 0, n_cells - 1)

    def mentor(self, inputs: Inputs) -> Labels:
        """The safe action of each input's cell."""
        return np.asarray(self.safe, dtype=np.int64)[self.cell(inputs)]

    def stake(self, inputs: Inputs) -> Values:
        """What a wrong action would cost on each input."""
        place = inputs[:, 0] * len(self.safe) - self.cell(inputs)
        return np.minimum(1.0, self.lipschitz * np.minimum(place, 1 - place) / len(self.safe))

    def loss(self, inputs: Inputs, actions: Labels) -> Values:
        """The stake where the action is wrong, 0 where it is safe."""
        return np.where(actions != self.mentor(inputs), self.stake(inputs), 0.0)


def uniform_inputs(n_rounds: int, n_dims: int, *, rng: np.random.Generator) -> Inputs:
    """Independent uniform inputs on the unit cube, (n_rounds, n_dims)."""
    return rng.random((n_rounds, n_dims))


def smooth_inputs(n_rounds: int, n_dims: int, sigma: float, *, rng: np.random.Generator, n_phases: int = 10) -> Inputs:
    """Inputs whose law changes over time but whose density never exceeds 1/sigma: each phase is uniform on its own box.

    Raises:
        SettingsError: sigma is not in (0, 1].
    """
    if not 0 < sigma <= 1:
        raise SettingsError(f"sigma must be in (0, 1], as the density of a smooth input is at most 1/sigma; got {sigma}")
    side = sigma ** (1 / n_dims)
    corners = rng.uniform(0, 1 - side, (n_phases, n_dims)) if side < 1 else np.zeros((n_phases, n_dims))
    phase = np.arange(n_rounds) * n_phases // max(n_rounds, 1)
    return np.asarray(corners[phase] + side * rng.random((n_rounds, n_dims)))


def boundary_inputs(problem: Half, n_rounds: int, share: float, *, rng: np.random.Generator, closest: float = 1e-6) -> Inputs:
    """Uniform inputs, of which a share is moved towards the plane: its distance becomes log-uniform between `closest` and 1/4.

    The density at the plane is unbounded as `closest` goes to 0, so smoothness fails at every scale at once.

    Raises:
        SettingsError: the share is not in [0, 1].
    """
    if not 0 <= share <= 1:
        raise SettingsError(f"the share of boundary inputs must be in [0, 1]; got {share}")
    inputs = uniform_inputs(n_rounds, problem.n_dims, rng=rng)
    moved = rng.random(n_rounds) < share
    distance = np.exp(rng.uniform(math.log(closest), math.log(0.25), n_rounds)) * rng.choice([-1.0, 1.0], n_rounds)
    onto = inputs + (problem.offset + distance - problem.score(inputs))[:, None] * np.asarray(problem.normal)
    return np.asarray(np.where(moved[:, None], onto, inputs))


def noisy_labels(labels: Labels, flip: float, *, rng: np.random.Generator) -> Labels:
    """What a mentor reports who says the other of two actions with probability `flip`, independently each time."""
    if not 0 <= flip <= 1:
        raise SettingsError(f"a flip probability must be in [0, 1]; got {flip}")
    return np.where(rng.random(len(labels)) < flip, 1 - labels, labels)


def blurred(problem: Half, inputs: Inputs, sight: float) -> Inputs:
    """The inputs as an agent with a wrong metric sees them: differences along the plane's normal shrunk to `sight` times."""
    along = problem.score(inputs)[:, None] * np.asarray(problem.normal)
    return np.asarray(inputs - (1 - sight) * along)
