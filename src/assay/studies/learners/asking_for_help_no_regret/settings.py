"""The settings of the experiments."""

import math
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Le, MinLen, doc

from assay.core.errors import SettingsError
from assay.studies.learners.asking_for_help_no_regret.horizons import check_horizons

ROUNDS_PER_QUERY = 30
DEGREES = ("broken a little", "broken badly", "third degree", "fourth degree", "fifth degree")


@dataclass(frozen=True)
class WalkerSettings:
    """Lengths of a walk and what the walkers and the learners are like."""

    horizons: Annotated[tuple[int, ...], MinLen(2), doc("numbers of steps T")] = (1_000, 3_000, 10_000, 30_000)
    n_copies: Annotated[int, Ge(1), doc("walkers a run averages over; three times as many up to 10,000 steps")] = 8
    step: Annotated[float, Gt(0), doc("standard deviation of a step across the ridge, whose width is 1")] = 0.05
    climb: Annotated[float, Gt(0), Le(1), doc("height gained a step, of at most 1")] = 0.01
    fatal: Annotated[float, Gt(0), Le(1), doc("share of slips that are for ever; the others lead back to the foot")] = 0.03
    lipschitz: Annotated[float, Gt(0), doc("chance of slipping per unit of distance to the place, after a wrong action")] = 1.0
    cells_per_side: Annotated[int, Ge(2), doc("grid of the Q-learners")] = 10
    n_trial_steps: Annotated[int, Ge(100), doc("most steps the Q-learners and the coin are followed for")] = 10_000

    def __post_init__(self) -> None:
        check_horizons(self.horizons)


@dataclass(frozen=True)
class OnlineSettings:
    """Lengths of a run, copies and the values of L."""

    horizons: Annotated[tuple[int, ...], MinLen(2), doc("numbers of rounds T")] = (1_000, 3_000, 10_000, 30_000, 100_000)
    n_copies: Annotated[int, Ge(3), doc("independent copies a run averages over; three times as many up to 10,000 rounds")] = 3
    n_angles: Annotated[int, Ge(2), doc("directions in the finite class of half-planes")] = 60
    n_offsets: Annotated[int, Ge(2), doc("offsets for each of its directions")] = 40

    def __post_init__(self) -> None:
        check_horizons(self.horizons)


@dataclass(frozen=True)
class ImpossibleSettings:
    """Lengths of a run and exponents of the budget."""

    horizons: Annotated[tuple[int, ...], MinLen(2), doc("numbers of rounds T")] = (1_000, 10_000, 100_000)
    budgets: Annotated[tuple[float, ...], MinLen(1), doc("exponents a of the budget q = T^a")] = (0.1, 0.25, 0.5, 0.75)
    n_copies: Annotated[int, Ge(1), doc("independent copies a run averages over")] = 4

    def __post_init__(self) -> None:
        check_horizons(self.horizons)
        if any(not 0 < a < 1 for a in self.budgets):
            raise SettingsError(f"budgets are exponents of a sublinear q = T^a, 0 < a < 1; got {self.budgets}")
        if not self.sparse_budgets:
            raise SettingsError(
                f"at least one budget must leave {ROUNDS_PER_QUERY} rounds a query in a run of {min(self.horizons)}; "
                f"got {self.budgets}. Add a smaller exponent or lengthen the runs"
            )

    @property
    def sparse_budgets(self) -> tuple[float, ...]:
        """The budgets whose exponent is fitted."""
        return tuple(a for a in self.budgets if min(self.horizons) ** (1 - a) >= ROUNDS_PER_QUERY)


@dataclass(frozen=True)
class LocalSettings:
    """Sizes of the decision processes."""

    n_processes: Annotated[int, Ge(1), doc("random decision processes a run looks at")] = 60
    n_states: Annotated[int, Ge(3), doc("states, the last one or two of them traps")] = 6
    n_actions: Annotated[int, Ge(2), doc("actions")] = 3
    horizon: Annotated[int, Ge(1), doc("steps")] = 50


@dataclass(frozen=True)
class MisspecifiedSettings:
    """Lengths of a run and how far each assumption is broken."""

    horizons: Annotated[tuple[int, ...], MinLen(2), doc("numbers of rounds T")] = (1_000, 10_000, 100_000)
    noise: Annotated[tuple[float, ...], MinLen(1), doc("chance that the mentor is misheard")] = (0.05, 0.2)
    blindness: Annotated[tuple[float, ...], MinLen(1), doc("share of every distance that the metric misses")] = (0.6, 0.9)
    boundary: Annotated[tuple[float, ...], MinLen(1), doc("share of inputs moved close to the boundary")] = (0.3, 1.0)
    n_copies: Annotated[int, Ge(1), doc("independent copies a run averages over; three times as many up to 10,000 rounds")] = 4

    def __post_init__(self) -> None:
        check_horizons(self.horizons)
        for name in ("noise", "blindness", "boundary"):
            levels = getattr(self, name)
            if any(not 0 <= level <= 1 for level in levels):
                raise SettingsError(f"every level of {name} must be in [0, 1]; got {levels}")
            if len(levels) > len(DEGREES) or list(levels) != sorted(set(levels)):
                raise SettingsError(f"{name} must be up to {len(DEGREES)} rising levels; got {levels}")


def bound_slope(n_dims: int, horizons: tuple[int, ...]) -> float:
    """The slope on log-log axes that the base paper's bound on regret, T^(-1/(2n+1)) log T, has over these horizons itself."""
    xs = [math.log(horizon) for horizon in horizons]
    ys = [math.log(x) - x / (2 * n_dims + 1) for x in xs]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / sum((x - mean_x) ** 2 for x in xs)
