"""One declared budget of false alarms for every stochastic assertion of this room."""

from collections.abc import Callable, Iterator

import pytest
from scipy.stats import binomtest

# The chance that a right implementation fails somewhere here when all seeds are redrawn, split evenly over the assertions.
FALSE_ALARM_BUDGET = 1e-3
ASSERTIONS = 475


@pytest.fixture(scope="session")
def _spent() -> Iterator[list[str]]:
    spent: list[str] = []
    yield spent
    assert len(spent) <= ASSERTIONS, f"{len(spent)} stochastic assertions share a budget for {ASSERTIONS}; raise ASSERTIONS"


@pytest.fixture
def agrees(_spent: list[str], request: pytest.FixtureRequest) -> Callable[..., bool]:
    """Whether a count of `misses` among `n` could come from a rate of `at_most`, `at_least`, or exactly `rate`."""

    def check(
        misses: int, n: int, *, rate: float | None = None, at_most: float | None = None, at_least: float | None = None
    ) -> bool:
        tests = [("two-sided", rate), ("greater", at_most), ("less", at_least)]
        asked = [(side, value) for side, value in tests if value is not None]
        _spent.extend([request.node.nodeid] * len(asked))
        return all(binomtest(misses, n, p, alternative=side).pvalue >= FALSE_ALARM_BUDGET / ASSERTIONS for side, p in asked)

    return check
