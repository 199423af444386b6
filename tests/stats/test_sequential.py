"""Anytime-valid intervals: each is the inverse of its e-process, the e-process is one, and exact error rates under peeking."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from assay.core.errors import InputError
from assay.stats import intervals, sequential
from assay.stats.intervals import Interval


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- each interval is the inverse of its e-process, computed another way -------------------------------------------------


@pytest.mark.parametrize("level", [0.9, 0.95, 0.999])
@pytest.mark.parametrize("n", [7, 12, 60])
def test_t_mixture_ends_are_where_the_integrated_likelihood_ratio_reaches_one_over_alpha(n: int, level: float) -> None:
    values = generator(n).normal(size=n)
    found = sequential.mean_anytime(values, level=level)
    t = (values.mean() - found.low) / (values.std(ddof=1) / math.sqrt(n))
    scale = math.sqrt(sequential.PRIOR_VARIANCE)

    def weighted(effect: float) -> float:
        return float(scipy.stats.nct.pdf(t, n - 1, effect * math.sqrt(n)) * scipy.stats.norm.pdf(effect, scale=scale))

    around = t / math.sqrt(n)
    ratio = sum(quad(weighted, a, b, limit=200)[0] for a, b in itertools.pairwise([-30, 0, around, 2 * around, 30]))
    assert ratio / scipy.stats.t.pdf(t, n - 1) == pytest.approx(1 / (1 - level), rel=1e-5)
    assert found.high - found.estimate == pytest.approx(found.estimate - found.low)


def test_t_mixture_is_infinite_until_there_are_enough_runs() -> None:
    assert [math.isinf(sequential.mean_anytime(range(n)).high) for n in (2, 3, 4, 5)] == [True, False, False, False]
    # At the strictest level Holm's procedure gives to 12 claims it takes 4.
    assert [math.isinf(sequential.mean_anytime(range(n), level=1 - 0.05 / 12).high) for n in (3, 4)] == [True, False]


@pytest.mark.parametrize("level", [0.95, 1 - 0.05 / 12])
def test_prior_variance_is_within_a_fifth_of_the_best(level: float, monkeypatch: pytest.MonkeyPatch) -> None:
    def width(n: int, variance: float) -> float:
        monkeypatch.setattr(sequential, "PRIOR_VARIANCE", variance)
        found = sequential.mean_anytime(range(n), level=level)
        return found.high - found.low

    for n in range(5, 31):
        assert width(n, 20.0) <= 6 / 5 * min(width(n, variance) for variance in np.geomspace(0.1, 1000, 60))


@pytest.mark.parametrize(("successes", "n"), [(0, 5), (1, 1), (3, 10), (50, 50), (70, 400)])
def test_proportion_ends_are_where_the_mixture_reaches_one_over_alpha(successes: int, n: int) -> None:
    found = sequential.proportion_anytime(successes, n)
    for end in {found.low, found.high} - {0.0, 1.0}:
        own = _log_likelihood(end, successes, n)

        def weighted(q: float, own: float = own) -> float:
            return float(scipy.stats.beta.pdf(q, 0.5, 0.5)) * math.exp(_log_likelihood(q, successes, n) - own)

        peak = [successes / n] if 0 < successes < n else None
        assert quad(weighted, 0, 1, points=peak, limit=400)[0] == pytest.approx(20, rel=1e-4)


def _log_likelihood(p: float, successes: int, n: int) -> float:
    return (successes * math.log(p) if successes else 0.0) + ((n - successes) * math.log1p(-p) if n > successes else 0.0)


def test_bets_make_a_fair_game_at_the_true_mean_and_a_losing_one_above_it() -> None:
    """The expected capital over every sequence of 9 coin flips, exactly."""
    flips = np.array(list(itertools.product([0.0, 1.0], repeat=9)))
    for p in (0.2, 0.5, 0.9):
        probability = p ** flips.sum(axis=1) * (1 - p) ** (9 - flips.sum(axis=1))
        for t in (1, 4, 9):
            assert probability @ np.exp(sequential.log_capital(flips, p, alpha=0.05)[:, t - 1]) == pytest.approx(1, abs=1e-12)
            assert probability @ np.exp(sequential.log_capital(flips, p + 0.05, alpha=0.05)[:, t - 1]) < 1


def test_betting_ends_are_where_the_capital_reaches_its_bound() -> None:
    values = generator(3).beta(2, 5, size=80)
    found = sequential.bounded_mean_anytime(values, 0, 1)
    assert 0 < found.low < values.mean() < found.high < 1
    assert sequential.log_capital(values, found.low, alpha=0.05)[-1] == pytest.approx(math.log(40), abs=1e-6)
    assert sequential.log_capital(1 - values, 1 - found.high, alpha=0.05)[-1] == pytest.approx(math.log(40), abs=1e-6)


def test_bets_by_hand() -> None:
    # First bet: sqrt(2 log(2 / alpha) / (1/4 log 2)) = 6.5, cut to 1 / (2 m); one success at m = 1/4 wins 1 + 2 * 3/4.
    assert sequential.log_capital(np.array([1.0]), 0.25, alpha=0.05) == pytest.approx([math.log(2.5)])


def test_quantile_sequence_by_hand() -> None:
    # All of n below the candidate: the mixture bets B(1/2, n + 1/2) / pi * 2^n, which passes 20 at n = 7 (23.8; 12.0 at 6).
    assert math.isinf(sequential.median_anytime(range(6)).low)
    assert (lambda i: (i.low, i.high))(sequential.median_anytime(range(7))) == (0, 6)


# --- exact error rates under peeking ----------------------------------------------------------------------------------


def ever_missed(interval: Callable[[int, int], Interval], p: float, n_max: int) -> float:
    """The exact probability that some interval at n = 1, ..., n_max misses p, by running through the paths not yet missed."""
    alive, missed = np.array([1.0]), 0.0
    for n in range(1, n_max + 1):
        alive = np.append(alive * (1 - p), 0.0) + np.insert(alive * p, 0, 0.0)
        wrong = np.array([not (i := interval(s, n)).low <= p <= i.high for s in range(n + 1)])
        missed += alive[wrong].sum()
        alive[wrong] = 0.0
    return missed


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("p", [0.02, 0.3, 0.5])
def test_peeking_at_a_share_after_every_trial_is_free(p: float, level: float) -> None:
    assert ever_missed(lambda s, n: sequential.proportion_anytime(s, n, level=level), p, 80) <= 1 - level
    if p > 0.1:  # the control: the fixed-n interval, exact at each n, is not made for this
        assert ever_missed(lambda s, n: intervals.proportion(s, n, level=level), p, 80) > 2 * (1 - level)


def test_peeking_at_a_median_after_every_value_is_free() -> None:
    ranks = {n: sequential.median_anytime(range(1, n + 1)) for n in range(2, 151)}

    def on_counts(below: int, n: int) -> Interval:
        """As an interval for the share of values below the true median, 1/2 exactly when the order statistics contain it."""
        covered = n < 2 or (ranks[n].low <= below and below < ranks[n].high) or math.isinf(ranks[n].low)
        return Interval(below / n, *((0.0, 1.0) if covered else (-1.0, -1.0)), 0.95, n, "")

    assert 0.01 < ever_missed(on_counts, 0.5, 150) <= 0.05


def test_stopping_when_it_looks_good_breaks_the_fixed_interval_and_not_the_sequence(agrees: Callable[..., bool]) -> None:
    """A claim "the mean is above 0", false by a hair (the mean is 0), watched until it is supported, for up to 100 runs.

    The public functions, run by run; the table's rows on peeking hold many more trajectories against the same ends.
    """
    rng, n = generator(11), 300
    supported = {"fixed": 0, "anytime": 0}
    for _ in range(n):
        values = rng.standard_normal(100)
        looks = range(3, 101, 3)
        supported["fixed"] += any(intervals.mean(values[:k]).low > 0 for k in looks)
        supported["anytime"] += any(sequential.mean_anytime(values[:k]).low > 0 for k in looks)
    assert agrees(supported["anytime"], n, at_most=0.025)
    assert not agrees(supported["fixed"], n, at_most=0.025)


# --- properties -------------------------------------------------------------------------------------------------------

ON_VALUES: dict[str, Callable[..., Interval]] = {
    "mean": sequential.mean_anytime,
    "median": sequential.median_anytime,
    "bounded": lambda x, level=0.95: sequential.bounded_mean_anytime(x, np.min(x) - 1, np.max(x) + 3, level=level),
}
FIXED_N = {"mean": intervals.mean, "median": intervals.median}
whole = st.lists(st.integers(-100, 100), min_size=2, max_size=40)


@pytest.mark.parametrize("name", ON_VALUES)
@given(values=whole, shift=st.integers(-50, 50), power=st.integers(-3, 3))
@settings(max_examples=25)
def test_shifting_and_scaling(name: str, values: list[int], shift: int, power: int) -> None:
    x, scale = np.array(values, dtype=float), 2.0**power
    before = ON_VALUES[name](x)
    if name == "bounded":
        after = sequential.bounded_mean_anytime(scale * x + shift, scale * (x.min() - 1) + shift, scale * (x.max() + 3) + shift)
    else:
        after = ON_VALUES[name](scale * x + shift)
    for end in ("estimate", "low", "high"):
        assert getattr(after, end) == pytest.approx(scale * getattr(before, end) + shift, rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("name", ON_VALUES)
@given(values=whole, levels=st.tuples(st.floats(0.3, 0.9999), st.floats(0.3, 0.9999)))
@settings(max_examples=25)
def test_a_higher_level_contains_a_lower_one_and_peeking_has_its_price(
    name: str, values: list[int], levels: tuple[float, float]
) -> None:
    x = np.array(values, dtype=float)
    narrow, wide = (ON_VALUES[name](x, level=level) for level in sorted(levels))
    if name != "bounded":  # there the bets themselves depend on the level
        assert wide.low <= narrow.low
        assert narrow.high <= wide.high
        fixed = FIXED_N[name](x, level=max(levels))
        assert wide.low <= fixed.low
        assert fixed.high <= wide.high


@pytest.mark.parametrize("name", ["mean", "median"])
@given(values=whole, data=st.data())
@settings(max_examples=25)
def test_the_order_of_runs_does_not_matter(name: str, values: list[int], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(values))
    one, other = ON_VALUES[name](np.array(values, dtype=float)), ON_VALUES[name](np.array(shuffled, dtype=float))
    assert (one.estimate, one.low, one.high) == pytest.approx((other.estimate, other.low, other.high))


@given(n=st.integers(1, 500), level=st.floats(0.5, 0.999999), data=st.data())
@settings(max_examples=50)
def test_a_share_contains_its_estimate_and_mirrors_its_complement(n: int, level: float, data: st.DataObject) -> None:
    s = data.draw(st.integers(0, n))
    share, rest = sequential.proportion_anytime(s, n, level=level), sequential.proportion_anytime(n - s, n, level=level)
    fixed = intervals.proportion(s, n, level=level)
    assert 0 <= share.low <= share.estimate <= share.high <= 1
    assert (share.low, share.high) == pytest.approx((1 - rest.high, 1 - rest.low), abs=1e-9)
    assert share.low <= fixed.low + 1e-9
    assert fixed.high <= share.high + 1e-9


def test_sequences_close_in_on_the_truth() -> None:
    values = generator(4).normal(3.0, 1.0, size=5_000)
    for function in (
        sequential.mean_anytime,
        sequential.median_anytime,
        lambda x: sequential.bounded_mean_anytime(np.clip(x, -3, 9), -3, 9),
    ):
        few, many = function(values[:50]), function(values)
        assert many.high - many.low < 0.25 < few.high - few.low
        assert many.low <= 3.0 <= many.high


def test_spent_levels_sum_to_the_error_rate() -> None:
    spent = [1 - sequential.spent_level(look, level=0.95) for look in range(1, 2_001)]
    assert sum(spent) == pytest.approx(0.05 * (1 - 1 / 2_001))
    assert sequential.spent_level(1) == pytest.approx(0.975)


def test_constant_values_have_no_width_and_the_method_says_so() -> None:
    found = sequential.mean_anytime([0.1] * 6)
    assert found == Interval(0.1, 0.1, 0.1, 0.95, 6, "t mixture sequence (no spread)")
    assert math.isinf(sequential.mean_anytime([0.1] * 2).high)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sequential.mean_anytime([1.0]), "needs at least 2 values; got 1"),
        (lambda: sequential.mean_anytime([1.0, math.nan]), "got nan at position 1 of 2"),
        (lambda: sequential.mean_anytime([1.0, 2.0], level=1.0), "strictly between 0 and 1"),
        (lambda: sequential.median_anytime([]), "needs at least 2 values; got 0"),
        (lambda: sequential.proportion_anytime(0, 0), "0 <= successes <= n and n >= 1; got 0 of 0"),
        (lambda: sequential.proportion_anytime(1, 2, level=0), "strictly between 0 and 1"),
        (lambda: sequential.bounded_mean_anytime([0.5], 0, 1), "needs at least 2 values; got 1"),
        (lambda: sequential.bounded_mean_anytime([0.5, 1.5], 0, 1), r"within \[0, 1\]; got 0.5 to 1.5"),
        (lambda: sequential.bounded_mean_anytime([0.5, 0.6], 1, 0), r"low < high; got \[1, 0\]"),
        (lambda: sequential.bounded_mean_anytime([0.5, 0.6], 0, math.inf), "finite with low < high"),
        (lambda: sequential.spent_level(0), "counted 1, 2, 3, ...; got 0"),
        (lambda: sequential.spent_level(1.5), "got 1.5"),  # type: ignore[arg-type]
    ],
)
def test_what_is_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
