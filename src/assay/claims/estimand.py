"""Estimand: what a number is that runs yield and claims speak of, said once for each experiment."""

import math
from dataclasses import dataclass
from typing import Literal

from assay.core.errors import SettingsError

__all__ = ["Estimand", "arm_of", "name_of"]

BASES = {"e": math.e, "10": 10.0}


@dataclass(frozen=True)
class Estimand:
    """A named quantity that an experiment measures on one or more of its arms.

    A run yields it as "arm/name"; the first segment is the arm, all that follows is the name.

    Attributes:
        name: the part after the arm, such as "test_loss".
        says: what it is, as a reader of the field would define it.
        unit: "nats", "steps", "share of items"; "yes or no" for a fact that is 1 where it holds and 0 where it does not.
        low: the smallest value it can have; None where there is none. An interval is never shown beyond it.
        high: the largest value it can have.
        log: "e" or "10" where the number is a logarithm to that base: readers are shown the ratio.
    """

    name: str
    says: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    log: Literal["e", "10"] | None = None

    def __post_init__(self) -> None:
        if not self.name.strip() or self.name.startswith("/"):
            raise SettingsError(f"an estimand must have a name, the part that follows the arm; got {self.name!r}")
        if not self.says.strip():
            raise SettingsError(f"estimand '{self.name}': says must tell what the number is; it is empty")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise SettingsError(f"estimand '{self.name}': low must be below high; got {self.low} and {self.high}")
        if self.log not in (None, *BASES):
            raise SettingsError(f"estimand '{self.name}': log must be None, 'e' or '10'; got {self.log!r}")

    @property
    def is_fact(self) -> bool:
        """True for a statement that holds (1) or does not (0)."""
        return self.unit == "yes or no"

    @property
    def is_pure(self) -> bool:
        """True for a number without a unit that a reader must know: a share, a probability, a fact, an exponent."""
        return not self.unit or self.is_fact or self.unit.startswith(("share", "probability"))

    @property
    def range(self) -> str:
        """The values it can have, such as "0 to 1" or "at least 0"; empty where any number will do."""
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        if self.low is not None:
            return f"at least {self.low:g}"
        return "" if self.high is None else f"at most {self.high:g}"

    def shown(self, value: float) -> float:
        """The value as readers are shown it: the ratio where the number is a logarithm, else the number."""
        if self.log is None:
            return value
        try:
            return math.pow(BASES[self.log], value)
        except OverflowError:
            return math.inf

    def measured(self, shown: float) -> float:
        """The number as it was measured, from what readers are shown: the inverse of `shown`."""
        if self.log is None:
            return shown
        return math.log(shown, BASES[self.log]) if shown > 0 else -math.inf

    def inside(self, value: float) -> float:
        """The nearest value that it can have."""
        if self.low is not None and value < self.low:
            return self.low
        return self.high if self.high is not None and value > self.high else value


def arm_of(measured: str) -> str:
    """The arm of a measured number: "isolated" for "isolated/ic"."""
    return measured.partition("/")[0]


def name_of(measured: str) -> str:
    """The estimand of a measured number: "ic" for "isolated/ic"; empty where no arm is named."""
    return measured.partition("/")[2]
