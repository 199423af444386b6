"""The forest puts every interval on the side of its rule where judgement put it."""

import math
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.claims.rules import Above, Below, Equals, Ordered, Outside, Rule, Within
from assay.claims.verdict import Verdict, judge
from assay.report.forest import _Axis, forest
from assay.stats.intervals import Interval

RULES: list[Rule] = [Above(1.0), Below(-2.0), Within(-1.0, 3.0), Outside(-1.0, 3.0), Equals(0.5, 0.25), Ordered(0.1)]
numbers = st.floats(-1e6, 1e6).map(lambda value: round(value, 6))
ends = st.one_of(numbers, st.just(math.inf))


class Even:
    """A rule from outside: holds where the value is nearer to an even number than to an odd one."""

    text = "nearly even"

    def distance(self, value: float) -> float:
        return abs(value % 2 - 1) - 0.5

    def judge(self, interval: Interval) -> Any:
        raise NotImplementedError


@given(st.sampled_from(RULES), numbers, st.floats(0, 1e6), st.floats(0, 1e6))
def test_an_interval_lies_in_the_zone_exactly_when_its_claim_is_supported(
    rule: Rule, middle: float, down: float, up: float
) -> None:
    low, high = middle - down, middle + up
    judgement = rule.judge(Interval(middle, low, high, 0.95, 10, "t"))
    axis = _Axis.of(rule, (low, middle, high))
    claim, control = axis.lane((low, middle, high), holds=True), axis.lane((low, middle, high), holds=False)
    slack = 1e-9
    assert claim.interval is not None
    assert -1 <= claim.interval[0] <= claim.interval[1] <= claim.interval[2] <= 1

    def inside(zones: tuple[tuple[float, float], ...]) -> bool:
        assert claim.interval is not None
        return any(start - slack <= claim.interval[0] and claim.interval[2] <= end + slack for start, end in zones)

    if judgement == "supported":
        assert inside(claim.zones)
    if judgement == "refuted":
        assert inside(control.zones)
    if judgement == "inconclusive":
        assert not inside(claim.zones) or any(abs(bound - end) < 1e-6 for bound in claim.bounds for end in claim.interval)


@pytest.mark.parametrize("rule", RULES)
def test_an_unbounded_end_reaches_the_edge(rule: Rule) -> None:
    lane = _Axis.of(rule, (-math.inf, 0.7, math.inf)).lane((-math.inf, 0.7, math.inf), holds=True)
    assert lane.interval is not None
    assert (lane.interval[0], lane.interval[2]) == (-1.0, 1.0)


def test_a_rule_from_outside_is_drawn_by_its_own_distance() -> None:
    axis = _Axis.of(Even(), (1.9, 2.0, 2.1))
    lane = axis.lane((1.9, 2.0, 2.1), holds=True)
    assert lane.interval is not None
    assert lane.interval[0] > lane.bounds[0]


def test_the_picture_names_every_verdict_and_control(synthetic: Any, verdicts: list[Verdict]) -> None:
    drawn = forest(synthetic.STUDY, verdicts, ident="v")
    texts = [element.text for element in ElementTree.fromstring(drawn.wide.inline).iter("text")]
    for verdict in verdicts:
        assert verdict.verdict in texts
    assert texts.count("control flips") == 6
    assert "control: supported" in texts
    assert {"C3", "= 0 ± 10⁻⁵"} <= set(texts)
    assert [row[0] for row in drawn.rows] == [verdict.claim for verdict in verdicts]
    assert {verdict.verdict for verdict in verdicts} == {"supported", "not-reproduced", "inconclusive", "void"}


def test_a_claim_without_a_number_says_so(synthetic: Any) -> None:
    void = judge(synthetic.STUDY, {"symbolic": synthetic.rows(1)[0]})
    drawn = forest(synthetic.STUDY, void, ident="v")
    without = sum(verdict.estimate is None for verdict in void)
    assert without == len(void) - 1  # one run has no interval; an exact check needs none
    assert drawn.wide.inline.count(">no number<") == 2 * without  # the claim has none, nor has its control
