"""How often verdicts are false, in simulation: each rule and summary on its bound, whole studies through `judge`, and power."""

import itertools
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.stats.families import parts
from assay.stats.power import clear_distance, least_runs, power_of_mean, power_of_share
from assay.stats.sequential import planned_looks, spent_at

ROOT = Path(__file__).parents[2]
CASES: tuple[Any, ...] = runpy.run_path(str(ROOT / "benchmarks" / "verdicts.py"))["CASES"]
SCALE = 0.02


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rates(case: Any, agrees: Callable[..., bool]) -> None:
    hits, n = case.run(SCALE)
    if case.expected == "at most 5 %":
        assert agrees(hits, n, at_most=0.05)
    elif case.expected == "5 to 9 %":
        assert agrees(hits, n, at_most=0.09)
    elif case.expected == "at least 90 %":
        assert agrees(hits, n, at_least=0.9)
    elif case.expected == "about half":
        assert agrees(hits, n, at_least=0.4, at_most=0.6)
    else:
        assert hits / n > 0.05


def test_parts_of_a_family_sum_to_at_most_one_and_never_fall_when_a_claim_is_decided() -> None:
    for n_paper, n_ours in itertools.product(range(7), range(7)):
        for a, b in itertools.product(range(n_paper + 1), range(n_ours + 1)):
            paper, ours = parts(a, b, n_paper, n_ours)
            assert a * paper + b * ours <= 1 + 1e-12
            for fewer in ((a - 1, b), (a, b - 1)):
                if min(fewer) >= 0:
                    then = parts(*fewer, n_paper, n_ours)
                    assert not fewer[0] or then[0] >= paper - 1e-12
                    assert not fewer[1] or then[1] >= ours - 1e-12


TABLE = {
    4: (1.56, 1.29, 1.00, 0.85, 0.75, 0.62, 0.49, 0.42, 0.29),
    8: (1.93, 1.56, 1.18, 0.98, 0.86, 0.71, 0.55, 0.47, 0.32),
    12: (2.17, 1.72, 1.29, 1.06, 0.93, 0.76, 0.59, 0.50, 0.34),
}


@pytest.mark.parametrize("m", TABLE)
def test_the_distance_that_a_verdict_takes(m: int) -> None:
    runs = (5, 6, 8, 10, 12, 16, 24, 32, 64)
    assert [round(clear_distance(n, 0.05 / m), 2) for n in runs] == list(TABLE[m])
    for n in runs:
        assert power_of_mean([1.6 * clear_distance(n, 0.05 / m)], n, 0.05 / m) > 0.9


def test_runs_needed() -> None:
    assert least_runs(lambda n: power_of_mean([1.0], n, 0.01), 64) == 16
    assert least_runs(lambda n: power_of_mean([0.01], n, 0.01), 64) is None
    assert power_of_share(1.0, 64, lambda k, n: k == n) == pytest.approx(1.0)


@pytest.mark.parametrize("most", [2, 7, 32, 100])
def test_planned_looks_spend_the_whole_error_once(most: int) -> None:
    looks = planned_looks(most)
    assert looks[-1] == most
    assert sum(spent_at(looks)) == pytest.approx(1.0)
    assert min(spent_at(looks)) > 0
