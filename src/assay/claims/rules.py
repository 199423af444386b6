"""Rules: how an interval becomes a judgement. Each is a frozen record; a margin is part of the claim, not of the data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from assay.core.errors import SettingsError
from assay.stats.intervals import Interval

__all__ = ["Above", "Below", "Equals", "Judgement", "Ordered", "Outside", "Rule", "Within"]

Judgement = Literal["supported", "refuted", "inconclusive"]


@runtime_checkable
class Rule(Protocol):
    """What a claim asserts of its estimand."""

    def judge(self, interval: Interval) -> Judgement:
        """`supported` or `refuted` when the whole interval lies on one side, else `inconclusive`."""
        ...

    def distance(self, value: float) -> float:
        """Signed distance of a value from the rule's nearest boundary, in the estimand's unit; positive inside the rule."""
        ...

    def shares(self, n_steps: int) -> tuple[float, float]:
        """How much of the error rate one end of the interval may have when the rule is called supported, and when refuted.

        1 where only one end can be wrong, 1/2 where either can, 1/n where any of n steps can.
        """
        ...

    @property
    def numbers(self) -> Mapping[str, float]:
        """The rule's numbers by the names by which a claim's sentence may call them."""
        ...

    def as_text(self, shown: Callable[[float], float]) -> str:
        """The rule as a reader writes it, each number as `shown` shows it (the ratio, of a logarithm)."""
        ...

    @property
    def text(self) -> str:
        """The rule as a reader writes it, on the estimand's own scale."""
        ...


Shown = Callable[[float], float]


def _own(value: float) -> float:
    return value


def _digits(value: float) -> str:
    """At most six digits: what a logarithm of 2 is raised to is 2, not 1.9999999."""
    return f"{float(f'{value:.6g}'):g}"


def _band(low: float, high: float) -> dict[str, float]:
    return {"low": low, "high": high} | ({"margin": high} if low == -high else {})


def _side(low: float, high: float) -> Judgement:
    """Judgement from an interval of signed distances, each end on the side where the rule holds (> 0) or fails (< 0)."""
    if low > 0:
        return "supported"
    return "refuted" if high < 0 else "inconclusive"


@dataclass(frozen=True)
class Above:
    """The estimand is larger than `bound`."""

    bound: float

    def judge(self, interval: Interval) -> Judgement:
        """Supported when the whole interval is above the bound, refuted when it is wholly below."""
        return _side(interval.low - self.bound, interval.high - self.bound)

    def shares(self, n_steps: int) -> tuple[float, float]:
        """False support and false refutation exclude each other, and each has one end: 1 and 1."""
        return 1.0, 1.0

    def distance(self, value: float) -> float:
        """`value - bound`."""
        return value - self.bound

    @property
    def numbers(self) -> Mapping[str, float]:
        """`bound`."""
        return {"bound": self.bound}

    def as_text(self, shown: Shown) -> str:
        """For tables, on the scale of `shown`."""
        return f"> {_digits(shown(self.bound))}"

    @property
    def text(self) -> str:
        """For tables."""
        return self.as_text(_own)


@dataclass(frozen=True)
class Below:
    """The estimand is smaller than `bound`."""

    bound: float

    def judge(self, interval: Interval) -> Judgement:
        """Supported when the whole interval is below the bound, refuted when it is wholly above."""
        return _side(self.bound - interval.high, self.bound - interval.low)

    def shares(self, n_steps: int) -> tuple[float, float]:
        """As of `Above`."""
        return 1.0, 1.0

    def distance(self, value: float) -> float:
        """`bound - value`."""
        return self.bound - value

    @property
    def numbers(self) -> Mapping[str, float]:
        """`bound`."""
        return {"bound": self.bound}

    def as_text(self, shown: Shown) -> str:
        """For tables, on the scale of `shown`."""
        return f"< {_digits(shown(self.bound))}"

    @property
    def text(self) -> str:
        """For tables."""
        return self.as_text(_own)


@dataclass(frozen=True)
class Within:
    """The estimand lies in [low, high]: an equivalence claim. Not being significantly different never supports it."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise SettingsError(f"Within(low, high) needs low <= high; got Within({self.low}, {self.high})")

    def judge(self, interval: Interval) -> Judgement:
        """Supported when the whole interval is inside (ends included), refuted when it is wholly outside."""
        if self.low <= interval.low and interval.high <= self.high:
            return "supported"
        return "refuted" if interval.high < self.low or interval.low > self.high else "inconclusive"

    def shares(self, n_steps: int) -> tuple[float, float]:
        """It is supported by both ends, either of which must be right; it is refuted by either end: 1 and 1/2."""
        return 1.0, 0.5

    def distance(self, value: float) -> float:
        """Distance to the nearer end, positive inside."""
        return min(value - self.low, self.high - value)

    @property
    def numbers(self) -> Mapping[str, float]:
        """`low` and `high`, and `margin` of a band around 0."""
        return _band(self.low, self.high)

    def as_text(self, shown: Shown) -> str:
        """For tables, on the scale of `shown`."""
        return f"in [{_digits(shown(self.low))}, {_digits(shown(self.high))}]"

    @property
    def text(self) -> str:
        """For tables."""
        return self.as_text(_own)


@dataclass(frozen=True)
class Outside:
    """The estimand lies outside [low, high]: a difference in either direction that is large enough to matter."""

    low: float
    high: float

    def judge(self, interval: Interval) -> Judgement:
        """Supported when the whole interval is outside, refuted when it is wholly inside."""
        inside = Within(self.low, self.high).judge(interval)
        return {"supported": "refuted", "refuted": "supported", "inconclusive": "inconclusive"}[inside]  # type: ignore[return-value]

    def shares(self, n_steps: int) -> tuple[float, float]:
        """The reverse of `Within`: 1/2 and 1."""
        return 0.5, 1.0

    def distance(self, value: float) -> float:
        """Distance to the nearer end, positive outside."""
        return -min(value - self.low, self.high - value)

    @property
    def numbers(self) -> Mapping[str, float]:
        """`low` and `high`, and `margin` of a band around 0."""
        return _band(self.low, self.high)

    def as_text(self, shown: Shown) -> str:
        """For tables, on the scale of `shown`."""
        return f"outside [{_digits(shown(self.low))}, {_digits(shown(self.high))}]"

    @property
    def text(self) -> str:
        """For tables."""
        return self.as_text(_own)


@dataclass(frozen=True)
class Equals:
    """The estimand equals `value` to within `tolerance`: for statements that are exact up to arithmetic."""

    value: float
    tolerance: float = 0.0

    def judge(self, interval: Interval) -> Judgement:
        """As `Within(value - tolerance, value + tolerance)`."""
        return Within(self.value - self.tolerance, self.value + self.tolerance).judge(interval)

    def shares(self, n_steps: int) -> tuple[float, float]:
        """As of `Within`."""
        return 1.0, 0.5

    def distance(self, value: float) -> float:
        """`tolerance - |value - self.value|`."""
        return self.tolerance - abs(value - self.value)

    @property
    def numbers(self) -> Mapping[str, float]:
        """`value` and `tolerance`."""
        return {"value": self.value, "tolerance": self.tolerance}

    def as_text(self, shown: Shown) -> str:
        """For tables, on the scale of `shown`."""
        return f"= {_digits(shown(self.value))}" + (f" ± {self.tolerance:g}" if self.tolerance else "")

    @property
    def text(self) -> str:
        """For tables."""
        return self.as_text(_own)


@dataclass(frozen=True)
class Ordered:
    """Several estimands rise in the order named, each step by more than `margin`; paired within a run.

    It is supported when every step is: then no step needs a correction for the others, because a claim that is false has one
    step that fails. It is refuted as soon as one step is: then each step has its share of the error rate, because a claim that
    is true has many steps that may fail by chance. The judged interval is the one of the weakest step.
    """

    margin: float = 0.0

    def judge(self, interval: Interval) -> Judgement:
        """Judges the interval of one step (a paired difference)."""
        return _side(interval.low - self.margin, interval.high - self.margin)

    def shares(self, n_steps: int) -> tuple[float, float]:
        """Supported by all steps, any of which must be right; refuted by any of them: 1 and 1/n."""
        return 1.0, 1.0 / n_steps

    def distance(self, value: float) -> float:
        """`value - margin` of a step."""
        return value - self.margin

    @property
    def numbers(self) -> Mapping[str, float]:
        """`margin`."""
        return {"margin": self.margin}

    def as_text(self, shown: Shown) -> str:
        """For tables, on the scale of `shown`."""
        return "rising" + (f" by > {_digits(shown(self.margin))}" if self.margin else "")

    @property
    def text(self) -> str:
        """For tables."""
        return self.as_text(_own)
