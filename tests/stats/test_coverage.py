"""Every row of the table in docs/statistics.md, simulated again with a tenth of its data sets and held to the page."""

import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CASES: tuple[Any, ...] = runpy.run_path(str(ROOT / "benchmarks" / "coverage.py"))["CASES"]
SCALE = 0.1
ALPHA = 0.05


def documented() -> dict[str, tuple[str, float, int]]:
    """What the page says of each case: expected, miss rate, data sets."""
    found = {}
    for line in (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 7 and (share := re.match(r"([\d.]+)%", cells[4])):
            found[" | ".join(cells[:3])] = (cells[3], float(share[1]) / 100, int(cells[6].replace(",", "")))
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_miss_rate(case: Any, agrees: Callable[..., bool]) -> None:
    count = case.run(SCALE)
    misses, n = count.misses, count.data_sets
    if case.expected == "exact":
        assert agrees(misses, n, rate=ALPHA)
    elif case.expected == "valid":
        assert agrees(misses, n, at_most=ALPHA)
    elif case.expected == "near":
        assert agrees(misses, n, at_most=0.07, at_least=0.03)
    elif case.expected == "broken":  # the control: the mistake must show
        assert not agrees(misses, n, at_most=ALPHA)
    else:
        assert case.expected == "short"  # how short is said on the page, which the next line holds it to
    _, share, data_sets = documented()[case.name]
    error = (share * (1 - share) / data_sets) ** 0.5 + 0.5 / data_sets
    assert agrees(misses, n, at_most=share + 3 * error + 5e-5, at_least=max(0.0, share - 3 * error - 5e-5))


def test_the_page_has_exactly_these_rows() -> None:
    assert {name: expected for name, (expected, _, _) in documented().items()} == {case.name: case.expected for case in CASES}


def test_rows_match_their_word() -> None:
    for name, (expected, share, n) in documented().items():
        error = 4 * (share * (1 - share) / n) ** 0.5
        holds = {
            "exact": abs(share - ALPHA) <= error,
            "valid": share <= ALPHA + error,
            "near": 0.03 <= share <= 0.07,
            "short": share > ALPHA + error,
            "broken": share > 1.9 * ALPHA,
        }
        assert holds[expected], name
