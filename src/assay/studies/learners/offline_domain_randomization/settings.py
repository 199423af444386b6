"""What is set of each experiment."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Lt, MinLen, doc

from assay.core.errors import SettingsError


@dataclass(frozen=True)
class Budgets:
    """What a law and a controller may cost.

    Attributes:
        n_draws: simulated next states per transition.
        fit: evaluations of CMA-ES for a law.
        policy: evaluations of CMA-ES for a controller.
        n_trained_on: systems a controller is trained on.
        n_starts: starts of each in training.
        n_tests: starts on the real system.
    """

    n_draws: int
    fit: int
    policy: int
    n_trained_on: int
    n_starts: int
    n_tests: int = 64


@dataclass(frozen=True)
class ConsistencySettings:
    """Sizes of the records and the noise of the sensor."""

    sizes: Annotated[tuple[int, ...], MinLen(2), doc("records N for the exact fits")] = (30, 100, 300, 1_000, 3_000, 10_000)
    searched_sizes: Annotated[tuple[int, ...], MinLen(2), doc("records N for the fits by CMA-ES (C2)")] = (20, 200)
    noise: Annotated[float, Gt(0), doc("standard deviation of the sensor, m and m/s")] = 0.01
    n_copies: Annotated[int, Ge(1), doc("records a run averages over")] = 24
    n_searched: Annotated[int, Ge(1), doc("records a run averages over in the fits by CMA-ES")] = 3
    budget: Annotated[int, Ge(20), doc("evaluations of CMA-ES")] = 500
    n_draws: Annotated[int, Ge(2), doc("simulated next states per transition")] = 20
    change: Annotated[float, Gt(0), doc("step-to-step deviation of the changing system's parameters, in search widths")] = 0.15
    box: Annotated[float, Gt(0), doc("half side of the box around the truth, in search widths")] = 0.05
    fixed_bonus: Annotated[float, Gt(0), doc("beta that does not grow")] = 1.0
    growing_bonus: Annotated[float, Gt(0), doc("beta / N of the bonus that grows; below 1")] = 0.25

    def __post_init__(self) -> None:
        for name in ("sizes", "searched_sizes"):
            sizes = getattr(self, name)
            if min(sizes) < 5 or list(sizes) != sorted(set(sizes)):
                raise SettingsError(f"{name} must rise from at least 5; got {sizes}")
        if not self.growing_bonus < 1:
            raise SettingsError(f"growing_bonus must be below 1, or the best deviation is infinite; got {self.growing_bonus}")


@dataclass(frozen=True)
class GapSettings:
    """Sizes of the exactly solved families and of the records."""

    sizes: Annotated[tuple[int, ...], MinLen(2), doc("numbers M of candidate processes")] = (2, 3, 4, 6, 8)
    records: Annotated[int, Ge(1), doc("recorded transitions, whatever M")] = 30
    records_each: Annotated[int, Ge(1), doc("recorded transitions for each candidate, where the record grows with M")] = 15
    mass: Annotated[float, Gt(0), Lt(1), doc("alpha, the mass of an informative law on the real process")] = 0.9
    n_families: Annotated[int, Ge(1), doc("random families of each size")] = 60
    horizon: Annotated[int, Ge(1), doc("steps of an episode")] = 4
    n_bound: Annotated[int, Ge(1), doc("families of four for the figure of the bound")] = 10

    def __post_init__(self) -> None:
        if min(self.sizes) < 2 or list(self.sizes) != sorted(set(self.sizes)):
            raise SettingsError(f"sizes must rise from at least 2; got {self.sizes}")


@dataclass(frozen=True)
class CollapseSettings:
    """Records of the cart-pole, and the one-parameter fits of the figure."""

    few: Annotated[int, Ge(1), doc("recorded transitions where records are scarce")] = 4
    plenty: Annotated[int, Ge(5), doc("recorded transitions where they are not")] = 100
    sensor: Annotated[float, Gt(0), doc("standard deviation of the sensor, in each state's unit")] = 0.1
    change: Annotated[float, Gt(0), doc("step-to-step deviation of the changing system's parameters, in search widths")] = 0.3
    bonus: Annotated[float, Gt(0), doc("beta of the large entropy bonus")] = 3.0
    n_copies: Annotated[int, Ge(1), doc("real systems a run averages over where records are scarce")] = 12
    n_plenty: Annotated[int, Ge(1), doc("real systems a run averages over where they are not: the first of those")] = 2
    n_draws: Annotated[int, Ge(2), doc("simulated next states per transition")] = 40
    fit_budget: Annotated[int, Ge(20), doc("evaluations of CMA-ES for a law")] = 400
    n_records: Annotated[int, Ge(10), doc("recorded transitions N of the figure's fits; even")] = 100
    noise_floor: Annotated[float, Gt(0), doc("eps of the figure's fits")] = 0.01
    bonuses: Annotated[tuple[float, ...], MinLen(1), doc("bonuses of the figure's fits, below N")] = (0.1, 1.0, 10.0)
    residuals: Annotated[tuple[float, ...], MinLen(1), doc("mean squares that the best mean leaves there")] = (0.0, 0.005, 0.02)

    def __post_init__(self) -> None:
        if self.n_plenty > self.n_copies:
            raise SettingsError(f"n_plenty must be at most n_copies; got {self.n_plenty} and {self.n_copies}")
        if self.n_records % 2:
            raise SettingsError(f"n_records must be even, so that residuals balance; got {self.n_records}")
        if min(self.bonuses) <= 0 or max(self.bonuses) >= self.n_records:
            raise SettingsError(f"bonuses must lie between 0 and n_records={self.n_records}; got {self.bonuses}")


@dataclass(frozen=True)
class MisfitSettings:
    """Records, the missing effect, block lengths and floors."""

    n_records: Annotated[int, Ge(20), doc("recorded transitions for C7")] = 1_000
    friction: Annotated[float, Gt(0), doc("Coulomb friction of the real spring that the simulator lacks, N")] = 0.5
    noise: Annotated[float, Gt(0), doc("standard deviation of the sensor for C7, m/s")] = 0.005
    sensor: Annotated[float, Gt(0), doc("standard deviation of the sensor for C8, m and m/s")] = 0.02
    lengths: Annotated[tuple[int, ...], MinLen(2), doc("block lengths lambda, rising from 1")] = (1, 16)
    n_episodes: Annotated[int, Ge(1), doc("recorded episodes for C8")] = 4
    n_steps: Annotated[int, Ge(2), doc("steps of each")] = 64
    tiny_floor: Annotated[float, Gt(0), doc("noise floor far below the sensor's variance")] = 1e-10
    n_copies: Annotated[int, Ge(1), doc("records a run averages over for C8")] = 4
    budget: Annotated[int, Ge(20), doc("evaluations of CMA-ES")] = 300
    n_draws: Annotated[int, Ge(2), doc("simulated next states per block")] = 12

    def __post_init__(self) -> None:
        if self.lengths[0] != 1 or list(self.lengths) != sorted(set(self.lengths)) or self.lengths[-1] > self.n_steps:
            raise SettingsError(f"lengths must rise from 1 to at most n_steps={self.n_steps}; got {self.lengths}")


@dataclass(frozen=True)
class TransferSettings:
    """Records, noise, bonuses and budgets."""

    few: Annotated[int, Ge(1), doc("recorded transitions where records are scarce")] = 4
    plenty: Annotated[int, Ge(5), doc("recorded transitions where they are not")] = 100
    sensor: Annotated[float, Gt(0), doc("standard deviation of the sensor, in each state's unit")] = 0.1
    friction: Annotated[float, Ge(0), doc("friction of the real cart that the simulator lacks, N s/m")] = 1.0
    bonus: Annotated[float, Gt(0), doc("beta of the entropy bonus")] = 0.3
    n_scarce: Annotated[int, Ge(1), doc("real systems a run averages over where records are scarce")] = 8
    n_plenty: Annotated[int, Ge(1), doc("real systems a run averages over where they are not")] = 2
    n_draws: Annotated[int, Ge(2), doc("simulated next states per transition")] = 40
    fit_budget: Annotated[int, Ge(20), doc("evaluations of CMA-ES for a law")] = 400
    policy_budget: Annotated[int, Ge(20), doc("evaluations of CMA-ES for a controller")] = 240
    n_trained_on: Annotated[int, Ge(2), doc("cart-poles a controller is trained on")] = 16
    n_starts: Annotated[int, Ge(1), doc("starts of each in training")] = 4

    def __post_init__(self) -> None:
        if self.few >= self.plenty:
            raise SettingsError(f"few must be below plenty; got {self.few} and {self.plenty}")

    @property
    def budgets(self) -> Budgets:
        """As the shared steps take them."""
        return Budgets(self.n_draws, self.fit_budget, self.policy_budget, self.n_trained_on, self.n_starts)


@dataclass(frozen=True)
class EngineSettings:
    """Records, searches and trainings in both systems."""

    records: Annotated[int, Ge(4), doc("transitions recorded on a real system, in episodes of 4")] = 20
    sensor: Annotated[float, Gt(0), doc("standard deviation of the sensor; its square is the noise floor")] = 0.03
    fit_budget: Annotated[int, Ge(10), doc("evaluations of CMA-ES for a law")] = 200
    n_draws: Annotated[int, Ge(2), doc("simulated next states per transition")] = 8
    policy_budget: Annotated[int, Ge(10), doc("evaluations of CMA-ES for a controller")] = 100
    n_trained_on: Annotated[int, Ge(1), doc("pendulums a controller is trained on")] = 6
    n_starts: Annotated[int, Ge(1), doc("starts of each in training")] = 3
    n_steps: Annotated[int, Ge(1), doc("steps of an episode of the pendulum, 0.04 s each")] = 40

    @property
    def budgets(self) -> Budgets:
        """As the shared steps take them."""
        return Budgets(self.n_draws, self.fit_budget, self.policy_budget, self.n_trained_on, self.n_starts)
