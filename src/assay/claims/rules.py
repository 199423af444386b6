"""Rules: how an interval becomes a judgement. Each is a frozen record; a margin is part of the claim, not of the data."""

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

    @property
    def text(self) -> str:
        """The rule as a reader writes it, for tables."""
        ...


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

    def distance(self, value: float) -> float:
        """`value - bound`."""
        return value - self.bound

    @property
    def text(self) -> str:
        """For tables."""
        return f"> {self.bound:g}"


@dataclass(frozen=True)
class Below:
    """The estimand is smaller than `bound`."""

    bound: float

    def judge(self, interval: Interval) -> Judgement:
        """Supported when the whole interval is below the bound, refuted when it is wholly above."""
        return _side(self.bound - interval.high, self.bound - interval.low)

    def distance(self, value: float) -> float:
        """`bound - value`."""
        return self.bound - value

    @property
    def text(self) -> str:
        """For tables."""
        return f"< {self.bound:g}"


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

    def distance(self, value: float) -> float:
        """Distance to the nearer end, positive inside."""
        return min(value - self.low, self.high - value)

    @property
    def text(self) -> str:
        """For tables."""
        return f"in [{self.low:g}, {self.high:g}]"


@dataclass(frozen=True)
class Outside:
    """The estimand lies outside [low, high]: a difference in either direction that is large enough to matter."""

    low: float
    high: float

    def judge(self, interval: Interval) -> Judgement:
        """Supported when the whole interval is outside, refuted when it is wholly inside."""
        inside = Within(self.low, self.high).judge(interval)
        return {"supported": "refuted", "refuted": "supported", "inconclusive": "inconclusive"}[inside]  # type: ignore[return-value]

    def distance(self, value: float) -> float:
        """Distance to the nearer end, positive outside."""
        return -min(value - self.low, self.high - value)

    @property
    def text(self) -> str:
        """For tables."""
        return f"outside [{self.low:g}, {self.high:g}]"


@dataclass(frozen=True)
class Equals:
    """The estimand equals `value` to within `tolerance`: for statements that are exact up to arithmetic."""

    value: float
    tolerance: float = 0.0

    def judge(self, interval: Interval) -> Judgement:
        """As `Within(value - tolerance, value + tolerance)`."""
        return Within(self.value - self.tolerance, self.value + self.tolerance).judge(interval)

    def distance(self, value: float) -> float:
        """`tolerance - |value - self.value|`."""
        return self.tolerance - abs(value - self.value)

    @property
    def text(self) -> str:
        """For tables."""
        return f"= {self.value:g}" + (f" ± {self.tolerance:g}" if self.tolerance else "")


@dataclass(frozen=True)
class Ordered:
    """Several estimands rise in the order named, each step by more than `margin`; paired within a run.

    The claim is an intersection: it is supported when every step is, refuted as soon as one step is, so no step needs a
    correction for the others. The judged interval is the one of the weakest step.
    """

    margin: float = 0.0

    def judge(self, interval: Interval) -> Judgement:
        """Judges the interval of one step (a paired difference)."""
        return _side(interval.low - self.margin, interval.high - self.margin)

    def distance(self, value: float) -> float:
        """`value - margin` of a step."""
        return value - self.margin

    @property
    def text(self) -> str:
        """For tables."""
        return "rising" + (f" by > {self.margin:g}" if self.margin else "")
