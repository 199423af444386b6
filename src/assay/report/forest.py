"""The picture of a verdict: each claim's interval against its rule, and its control against where it had to come out."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet

from assay.claims.claim import Claim
from assay.claims.rules import Above, Below, Equals, Ordered, Outside, Rule, Within
from assay.claims.study import Study
from assay.claims.verdict import ControlVerdict, Verdict
from assay.report.numbers import typeset
from assay.report.palette import INK, PAPER, SERIES, SOFT, VERDICT
from assay.report.sketch import SMALL, Picture, Plan, render, shown
from assay.report.tables import Cell

__all__ = ["Lane", "forest", "lane_of"]

_MARKS = {
    "supported": "o", "refuted": "X", "not-reproduced": "v", "inconclusive": "D", "void": "s", "not-asked": "s", "holds": "o",
    "fails": "X",
}  # fmt: skip
_COLUMNS = (
    "claim", "rule", "estimate", "low", "high", "level", "verdict", "unit", "range",
    "control_rule", "control_must_be", "control_estimate", "control_low", "control_high", "control_judgement",
)  # fmt: skip


def forest(study: Study, verdicts: Sequence[Verdict], *, ident: str) -> Picture:
    """One row a claim: its interval over the zone where its rule holds, and below it the control over the zone it had to reach.

    A row has its own scale, centred on the rule's bound and compressed towards both ends, so that a control far away does not
    hide on which side of the bound an interval lies. Sides compare between rows; lengths do not.

    Args:
        study: declares the rules.
        verdicts: of one experiment.
        ident: begins every id of the drawing; unique within a page.
    """
    rows = [_lanes(study, verdict) for verdict in verdicts]

    def paint(ax: Axes, panel: int, several: bool) -> None:
        for place, (verdict, (claim, control)) in enumerate(zip(verdicts, rows, strict=True)):
            colour = VERDICT[verdict.verdict].light
            face = colour if verdict.verdict in ("supported", "refuted") else PAPER.light
            _paint_lane(ax, claim, place - 0.14, 0.17, SERIES[2].light)
            _paint_lane(ax, control, place + 0.22, 0.11, SOFT.light)
            _paint_interval(ax, claim, place - 0.14, _MARKS[verdict.verdict], 6.5, colour, face)
            _paint_interval(ax, control, place + 0.22, "o", 4.0, SOFT.light, PAPER.light)
            if verdict.estimate is None:
                look = {"fontsize": SMALL, "color": SOFT.light, "ha": "center", "va": "center"}
                ax.text(0, place - 0.14, "no number", **look)  # type: ignore[arg-type]
        ax.set(xlim=(-1.02, 1.02), ylim=(len(verdicts) - 0.5, -0.5))
        ax.set_xticks([])
        ax.set_yticks([])
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)

    def decorate(sheet: Sheet, axes: list[Axes]) -> Callable[[], None]:
        for place, verdict in enumerate(verdicts):
            claim, control = place - 0.14, place + 0.22
            for x, y, text, colour, size in (
                (-0.02, claim, shown(verdict.claim, 24), INK, 9.5),
                (-0.02, control, shown(typeset(verdict.rule), 24), SOFT, 8.5),
                (1.02, claim, verdict.verdict, VERDICT[verdict.verdict], 9.5),
                (1.02, control, _control_outcome(verdict), SOFT, 8.0),
            ):
                look = {"color": colour.light, "fontsize": size, "va": "center", "ha": "right" if x < 0 else "left"}
                axes[0].text(x, y, text, transform=axes[0].get_yaxis_transform(), **look)  # type: ignore[arg-type]
        return lambda: None

    outcomes = " ".join(f"{verdict.claim}: {verdict.verdict}, {_control_outcome(verdict)}." for verdict in verdicts)
    plan = Plan(
        panels=("",),
        paint=paint,
        height=14 + 34 * len(verdicts),
        legend=(),
        columns=_COLUMNS,
        rows=[_row(verdict) for verdict in verdicts],
        note="",
        description=f"Intervals against their rules. {outcomes}",
        decorate=decorate,
    )
    return render(plan, ident=ident, title="Each claim against its rule")


def lane_of(study: Study, verdict: Verdict) -> "Lane":
    """A claim's interval against its rule, without its control."""
    return _lanes(study, verdict)[0]


def _row(verdict: Verdict) -> tuple[Cell, ...]:
    own = (verdict.claim, verdict.rule, verdict.estimate, verdict.low, verdict.high, verdict.level, verdict.verdict)
    control = verdict.control
    return (
        *own,
        verdict.estimand_unit,
        verdict.range,
        control.rule,
        control.expected,
        control.estimate,
        control.low,
        control.high,
        control.judgement,
    )


@dataclass(frozen=True)
class Lane:
    """An interval on its normalised axis from -1 to 1, and the stretches of that axis it has to lie in."""

    zones: tuple[tuple[float, float], ...]
    bounds: tuple[float, ...]
    interval: tuple[float, float, float] | None  # low, estimate, high


def _lanes(study: Study, verdict: Verdict) -> tuple[Lane, Lane]:
    claim = study.claim(verdict.claim)
    numbers, of_control = _numbers(claim, verdict), _numbers(claim, verdict.control)
    own = _Axis.of(claim.rule, numbers)
    control = own if claim.negative.rule is None else _Axis.of(claim.negative.rule, of_control)
    return own.lane(numbers, holds=True), control.lane(of_control, holds=claim.negative.rule is not None)


def _numbers(claim: Claim, judged: Verdict | ControlVerdict) -> tuple[float, float, float] | None:
    """Low, estimate and high of a verdict or a control, as they were measured; an end that is absent is infinite."""
    if judged.estimate is None:
        return None
    ends = (judged.low, judged.estimate, judged.high)
    numbers = [None if end is None or claim.defined is None else claim.defined.measured(end) for end in ends]
    low, estimate, high = ends if claim.defined is None else numbers
    return (-math.inf if low is None else low, estimate or 0.0, math.inf if high is None else high)


@dataclass(frozen=True)
class _Axis:
    rule: Rule
    inside: tuple[float, float]  # the rule holds between these (for Outside: beyond them)
    centre: float
    spread: float

    @classmethod
    def of(cls, rule: Rule, numbers: tuple[float, float, float] | None) -> "_Axis":
        """The axis of a rule, on which an estimate at `numbers` stands half-way between the centre and an end."""
        low, high = _holds_between(rule)
        finite = [bound for bound in (low, high) if math.isfinite(bound)]
        centre = sum(finite) / len(finite)
        reach = [bound - centre for bound in finite]
        if numbers is not None:
            below, estimate, above = (_value(rule, number) for number in numbers)
            reach += [estimate - centre, above - estimate, estimate - below]
        return cls(
            rule, (low, high), centre, max((abs(length) for length in reach if math.isfinite(length)), default=0.0) or 1.0
        )

    def lane(self, numbers: tuple[float, float, float] | None, *, holds: bool) -> Lane:
        low, high = (self._at(bound) for bound in self.inside)
        between = holds != isinstance(self.rule, Outside)
        zones = ((low, high),) if between else tuple(zone for zone in ((-1.0, low), (high, 1.0)) if zone[0] < zone[1])
        bounds = tuple(self._at(bound) for bound in self.inside if math.isfinite(bound))
        interval = None if numbers is None else tuple(sorted(self._at(_value(self.rule, number)) for number in numbers))
        return Lane(zones, bounds, interval)  # type: ignore[arg-type]  # three numbers stay three

    def _at(self, value: float) -> float:
        away = value - self.centre
        return math.copysign(1.0, away) if math.isinf(away) else away / (abs(away) + self.spread)


def _holds_between(rule: Rule) -> tuple[float, float]:
    match rule:
        case Above(bound):
            return bound, math.inf
        case Below(bound):
            return -math.inf, bound
        case Within(low, high) | Outside(low, high):
            return low, high
        case Equals(value, tolerance):
            return value - tolerance, value + tolerance
        case Ordered(margin):
            return margin, math.inf
        case _:  # a rule from outside: its own signed distance is the axis
            return 0.0, math.inf


def _value(rule: Rule, number: float) -> float:
    known = isinstance(rule, (Above, Below, Within, Outside, Equals, Ordered))
    return number if known or math.isinf(number) else rule.distance(number)


def _paint_lane(ax: Axes, lane: Lane, at: float, half: float, colour: str) -> None:
    ax.plot([-1, 1], [at, at], color=SOFT.light, linewidth=0.4, alpha=0.6, zorder=1)
    for low, high in lane.zones:
        ax.fill_between([low, high], at - half, at + half, color=colour, alpha=0.15, linewidth=0)
    for bound in lane.bounds:
        ax.plot([bound, bound], [at - half, at + half], color=colour, linewidth=0.9)


def _paint_interval(ax: Axes, lane: Lane, at: float, mark: str, size: float, colour: str, face: str) -> None:
    if lane.interval is None:
        return
    low, estimate, high = lane.interval
    ax.plot([low, high], [at, at], color=colour, linewidth=size / 3, solid_capstyle="butt")
    ax.plot([estimate], [at], color=colour, marker=mark, markersize=size, markerfacecolor=face, markeredgewidth=1.1)


def _control_outcome(verdict: Verdict) -> str:
    if verdict.control.judgement is None:
        return "no number"
    return "control flips" if verdict.control.flips else f"control: {verdict.control.judgement}"
