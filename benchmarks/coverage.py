"""How often each interval misses, in simulation: the table of docs/statistics.md, and the cases its tests run.

    python benchmarks/coverage.py             # the table, some minutes on one core
    python benchmarks/coverage.py --scale 0.1 # as many data sets as the tests use

A case draws data sets of a known truth and counts the intervals that do not contain it. The nominal rate is 5 %. A sequence
is looked at after every value from the 2nd to the 200th, and counts as one miss if it is wrong at any look.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import ndtr, ndtri

from assay.core.seeds import Seeds
from assay.stats import curves, intervals, order_tests, resample, sequential
from assay.stats.intervals import Interval

LEVEL = 0.95
SEEDS = Seeds(20_26)
LOOKS = 200
N_RESAMPLES = 999  # enough for a miss rate; the intervals themselves use 9,999

Array = NDArray[np.float64]
Rng = np.random.Generator
Expected = Literal["exact", "valid", "near", "short", "broken"]


@dataclass(frozen=True)
class Count:
    """What a simulation of one case came to."""

    misses: int
    unbounded: int
    data_sets: int


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        quantity: what the interval is for.
        method: how it is made.
        values: what the data sets are drawn from, and how many units each has.
        expected: `exact` misses at the nominal rate; `valid` at most at that rate; `near` between 3 and 7 %; `short` more
            often, which the table is there to say; `broken`: a control, the mistake that the method beside it avoids.
        data_sets: how many the table takes; the tests take a tenth.
        simulate: counts over that many data sets.
    """

    quantity: str
    method: str
    values: str
    expected: Expected
    data_sets: int
    simulate: Callable[[int, Rng], Count]

    @property
    def name(self) -> str:
        """What distinguishes the row."""
        return f"{self.quantity} | {self.method} | {self.values}"

    def run(self, scale: float) -> Count:
        """The counts at a share of the table's data sets; the same at every call."""
        return self.simulate(round(self.data_sets * scale), SEEDS(f"{self.name} x {scale}"))


def one_by_one(draw: Callable[[Rng], object], interval: Callable[..., Interval], truth: float) -> Callable[[int, Rng], Count]:
    """Counts with a fresh data set for each interval; `interval` takes what `draw` returns, and rng where it resamples."""

    def simulate(data_sets: int, rng: Rng) -> Count:
        found = [interval(draw(rng), rng) for _ in range(data_sets)]
        return Count(
            sum(not i.low <= truth <= i.high for i in found),
            sum(math.isinf(i.low) or math.isinf(i.high) for i in found),
            data_sets,
        )

    return simulate


@dataclass(frozen=True)
class World:
    """A distribution of run values: how to draw n of them, and its mean."""

    draw: Callable[[Rng, int], Array]
    mean: float

    def runs(self, n: int) -> Callable[[Rng], Array]:
        """Draws data sets of n runs."""
        return lambda rng: self.draw(rng, n)


WORLDS = {
    "normal": World(lambda rng, n: rng.standard_normal(n), 0.0),
    "uniform": World(lambda rng, n: rng.random(n), 0.5),
    "lognormal": World(lambda rng, n: rng.lognormal(size=n), math.exp(0.5)),
    "accuracy near 1, Beta(8, 0.4)": World(lambda rng, n: rng.beta(8, 0.4, size=n), 8 / 8.4),
    "rounded to whole numbers (ties)": World(lambda rng, n: np.round(rng.standard_normal(n)), 0.0),
}
NORMAL = WORLDS["normal"]


def of_mean(method: str, interval: Callable[..., Interval], expected: Expected, world: str, n: int, data_sets: int) -> Case:
    """A row about the mean of n values."""
    simulate = one_by_one(WORLDS[world].runs(n), interval, WORLDS[world].mean)
    return Case("mean", method, f"{world}, {n} runs", expected, data_sets, simulate)


def means() -> Iterator[Case]:
    """Student's t and the bootstrap, and where they stop being true."""

    def t(x: Array, rng: Rng) -> Interval:
        return intervals.mean(x)

    def bca(x: Array, rng: Rng) -> Interval:
        return intervals.mean_bca(x, rng=rng, n_resamples=N_RESAMPLES)

    for n in (2, 5, 20):
        yield of_mean("t", t, "exact", "normal", n, 40_000)
    yield of_mean("t", t, "short", "uniform", 5, 40_000)
    for world in ("lognormal", "accuracy near 1, Beta(8, 0.4)"):
        for n in (5, 20, 100):
            yield of_mean("t", t, "short", world, n, 40_000)
    for world, n in (("normal", 5), ("normal", 20), ("lognormal", 20), ("lognormal", 100)):
        yield of_mean("BCa bootstrap", bca, "short", world, n, 10_000)


def robust() -> Iterator[Case]:
    """Medians and interquartile means."""
    ties = "rounded to whole numbers (ties)"
    for world, n, middle in (("normal", 5, 0.0), ("lognormal", 10, 1.0), ("lognormal", 20, 1.0), (ties, 10, 0.0)):
        yield Case("median", "order statistics", f"{world}, {n} runs", "valid", 20_000,
                   one_by_one(WORLDS[world].runs(n), lambda x, rng: intervals.median(x), middle))  # fmt: skip

    def iqm(x: Array, rng: Rng) -> Interval:
        return intervals.iqm(x, rng=rng, n_resamples=N_RESAMPLES)

    def percentile(x: Array, rng: Rng) -> Interval:
        replicates = resample.bootstrap(
            x,
            lambda r: np.sort(r, axis=-1)[:, len(x) // 4 : len(x) - len(x) // 4].mean(axis=-1),
            rng=rng,
            n_resamples=N_RESAMPLES,
        )
        return Interval(math.nan, *resample.order_ends(replicates, 0.025, 0.025), LEVEL, len(x), "percentile")

    quarter = float(ndtri(0.75))
    middle_lognormal = math.exp(0.5) * 2 * float(ndtr(quarter - 1) - ndtr(-quarter - 1))  # mean between the quartiles
    for n in (5, 10):
        yield Case("interquartile mean", "winsorised t", f"normal, {n} runs", "near", 10_000,
                   one_by_one(NORMAL.runs(n), iqm, 0.0))  # fmt: skip
    yield Case("interquartile mean", "percentile bootstrap", "normal, 5 runs", "broken", 10_000,
               one_by_one(NORMAL.runs(5), percentile, 0.0))  # fmt: skip
    for world, truth in (("normal", 0.0), ("lognormal", middle_lognormal)):
        yield Case("interquartile mean", "studentised bootstrap", f"{world}, 20 runs", "near", 10_000,
                   one_by_one(WORLDS[world].runs(20), iqm, truth))  # fmt: skip


def comparisons() -> Iterator[Case]:
    """Shares, differences, ratios, effect sizes."""

    def share(n: int, p: float) -> Callable[[int, Rng], Count]:
        return one_by_one(lambda rng: int(rng.binomial(n, p)), lambda s, rng: intervals.proportion(s, n), p)

    for n, p in ((10, 0.5), (20, 0.95)):
        yield Case("share", "Clopper-Pearson", f"{n} trials of probability {p}", "valid", 20_000, share(n, p))

    def arms(rng: Rng) -> tuple[Array, Array]:
        """Two arms that share their seeds: a large common part, a difference of 1."""
        common = 3 * rng.standard_normal(5)
        return common + rng.standard_normal(5) + 1, common + rng.standard_normal(5)

    yield Case("difference", "paired t", "shared seeds, 5 pairs", "exact", 20_000,
               one_by_one(arms, lambda d, rng: intervals.difference(*d, paired=True), 1.0))  # fmt: skip
    yield Case("difference", "Welch t", "normal, 5 and 15 runs, variances 9 : 1", "near", 20_000,
               one_by_one(lambda rng: (3 * rng.standard_normal(5), rng.standard_normal(15)),
                          lambda d, rng: intervals.difference(*d, paired=False), 0.0))  # fmt: skip

    def fieller(denominator: float) -> Callable[[int, Rng], Count]:
        return one_by_one(
            lambda rng: (2 * denominator + rng.standard_normal(6), denominator + rng.standard_normal(6)),
            lambda d, rng: intervals.ratio(*d),
            2.0,
        )

    yield Case("ratio", "Fieller", "normal, denominator 10 sd from 0, 6 runs", "exact", 20_000, fieller(10.0))
    yield Case("ratio", "Fieller", "normal, denominator 0.5 sd from 0, 6 runs", "valid", 20_000, fieller(0.5))

    yield Case("effect size", "noncentral t", "paired, 0.8 sd, 8 runs", "exact", 5_000,
               one_by_one(lambda rng: 0.8 + rng.standard_normal(8),
                          lambda x, rng: intervals.effect_size(x, 0.0), 0.8))  # fmt: skip
    yield Case("effect size", "noncentral t", "independent, 0.8 sd, 6 and 9 runs", "exact", 5_000,
               one_by_one(lambda rng: (0.8 + rng.standard_normal(6), rng.standard_normal(9)),
                          lambda d, rng: intervals.effect_size(*d), 0.8))  # fmt: skip


def associations() -> Iterator[Case]:
    """Rank correlations and power laws."""

    def correlated(n: int, rho: float) -> Callable[[Rng], tuple[Array, Array]]:
        def draw(rng: Rng) -> tuple[Array, Array]:
            x = rng.standard_normal(n)
            return x, rho * x + math.sqrt(1 - rho**2) * rng.standard_normal(n)

        return draw

    def spearman(d: tuple[Array, Array], rng: Rng) -> Interval:
        return intervals.rank_correlation(*d, rng=rng, n_resamples=N_RESAMPLES)

    for n, rho in ((5, 0.98), (10, 0.0), (10, 0.9), (20, 0.98)):
        yield Case("rank correlation", "BCa and Fisher z, the wider", f"normal, correlation {rho}, {n} units", "valid", 2_000,
                   one_by_one(correlated(n, rho), spearman, 6 / math.pi * math.asin(rho / 2)))  # fmt: skip

    def fan(rng: Rng) -> tuple[Array, Array]:
        x = rng.standard_normal(20)
        return x, x * rng.standard_normal(20)

    yield Case("rank correlation", "BCa and Fisher z, the wider", "uncorrelated but dependent, 20 units", "near", 2_000,
               one_by_one(fan, spearman, 0.0))  # fmt: skip

    sizes = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    yield Case("power-law exponent", "least squares on logarithms", "5 sizes, normal errors of the logarithm", "exact", 20_000,
               one_by_one(lambda rng: 3 * sizes**0.5 * np.exp(0.1 * rng.standard_normal(5)),
                          lambda y, rng: intervals.loglog_slope(sizes, y), 0.5))  # fmt: skip


def clustered() -> Iterator[Case]:
    """Items inside runs, and what goes wrong when the run is forgotten."""

    def runs(sizes: tuple[int, ...]) -> Callable[[Rng], list[Array]]:
        """Normal items, a fifth of whose variance is shared by the items of a run."""
        return lambda rng: [math.sqrt(0.2) * rng.standard_normal() + math.sqrt(0.8) * rng.standard_normal(m) for m in sizes]

    def graded(k: int) -> Callable[[Rng], list[Array]]:
        """Right or wrong answers to 50 items; the share of right ones varies from run to run around 0.9."""
        return lambda rng: [(rng.random(50) < p).astype(float) for p in rng.beta(18, 2, size=k)]

    def ours(c: list[Array], rng: Rng) -> Interval:
        return intervals.clustered_mean(c, rng=rng, n_resamples=N_RESAMPLES)

    def pooled(c: list[Array], rng: Rng) -> Interval:
        return intervals.mean(np.concatenate(c))

    def percentile(items_too: bool) -> Callable[[list[Array], Rng], Interval]:
        def interval(c: list[Array], rng: Rng) -> Interval:
            replicates = resample.bootstrap_clusters(
                c, lambda drawn: sum(float(d.sum()) / len(d) for d in drawn) / len(drawn),
                rng=rng, items_too=items_too, n_resamples=199,
            )  # fmt: skip
            return Interval(math.nan, *resample.order_ends(replicates, 0.025, 0.025), LEVEL, len(c), "percentile")

        return interval

    for k in (3, 5):
        yield Case("mean of items in runs", "t over run means", f"{k} runs of 50 items", "exact", 20_000,
                   one_by_one(runs((50,) * k), ours, 0.0))  # fmt: skip
    yield Case("mean of items in runs", "t over run means", "3 runs of 10, 50 and 200 items", "near", 20_000,
               one_by_one(runs((10, 50, 200)), ours, 0.0))  # fmt: skip
    yield Case("mean of items in runs", "t over run means", "3 runs of 50 graded answers, about 0.9 right", "short", 20_000,
               one_by_one(graded(3), ours, 0.9))  # fmt: skip
    yield Case("mean of items in runs", "studentised cluster bootstrap", "20 runs of 50 items", "near", 10_000,
               one_by_one(runs((50,) * 20), ours, 0.0))  # fmt: skip
    yield Case("mean of items in runs", "studentised cluster bootstrap", "20 runs of 50 graded answers, about 0.9 right",
                   "near", 10_000, one_by_one(graded(20), ours, 0.9))  # fmt: skip
    for k in (3, 20):
        yield Case("mean of items in runs", "t over all items", f"{k} runs of 50 items", "broken", 20_000,
                   one_by_one(runs((50,) * k), pooled, 0.0))  # fmt: skip
    for k, items_too in ((3, False), (5, False), (3, True)):
        method = "two-stage percentile bootstrap" if items_too else "cluster-only percentile bootstrap"
        yield Case("mean of items in runs", method, f"{k} runs of 50 items", "broken", 2_000,
                   one_by_one(runs((50,) * k), percentile(items_too), 0.0))  # fmt: skip


def stratified() -> Iterator[Case]:
    """Draws inside given strata, one of which is known."""

    def draw(rng: Rng) -> list[Array]:
        return [2 + 3 * rng.standard_normal(3), rng.standard_normal(6), np.array([-2.0])]

    yield Case("mean of strata", "Satterthwaite t", "3, 6 and 1 values, variances 9 : 1 : 0", "near", 20_000,
               one_by_one(draw, lambda s, rng: intervals.stratified_mean(s), 0.0))  # fmt: skip


def peeked() -> Iterator[Case]:
    """Sequences, looked at after every value; fixed-n intervals treated the same way are the control."""

    def of_spread(interval: Callable[[Array, int], Interval], looks: NDArray[np.int64]) -> Callable[[int, Rng], Count]:
        """For an interval that is mean ± c(n) sd: c is read off one sample, then held against many trajectories at once."""
        reach = np.empty(len(looks))
        for i, n in enumerate(looks):
            standard = np.arange(n, dtype=float)
            found = interval(standard, i + 1)
            reach[i] = (found.high - found.estimate) / standard.std(ddof=1)

        def simulate(data_sets: int, rng: Rng) -> Count:
            x = rng.standard_normal((data_sets, looks[-1]))
            total, squares = np.cumsum(x, axis=1)[:, looks - 1], np.cumsum(x**2, axis=1)[:, looks - 1]
            sd = np.sqrt(np.maximum(squares - total**2 / looks, 0) / (looks - 1))
            return Count(int(np.sum(np.any(np.abs(total / looks) > reach * sd, axis=1))), 0, data_sets)

        return simulate

    every_look = np.arange(2, LOOKS + 1)
    yield Case("mean, peeked at", "t mixture sequence", "normal, 2 to 200 runs", "valid", 20_000,
               of_spread(lambda x, look: sequential.mean_anytime(x), every_look))  # fmt: skip
    yield Case("mean, peeked at", "t (fixed n)", "normal, 2 to 200 runs", "broken", 20_000,
               of_spread(lambda x, look: intervals.mean(x), every_look))  # fmt: skip

    yield Case("mean, peeked at", "t at spent levels", "normal, 4, 8, 16, ..., 256 runs", "valid", 20_000,
               of_spread(lambda x, look: intervals.mean(x, level=sequential.spent_level(look)),
                         2 ** np.arange(2, 9)))  # fmt: skip

    def of_share(interval: Callable[[int, int], Interval], p: float) -> Callable[[int, Rng], Count]:
        wrong = np.zeros((LOOKS + 1, LOOKS + 1), dtype=bool)
        for n in range(1, LOOKS + 1):
            for s in range(n + 1):
                found = interval(s, n)
                wrong[n, s] = not found.low <= p <= found.high

        def simulate(data_sets: int, rng: Rng) -> Count:
            s = np.cumsum(rng.random((data_sets, LOOKS)) < p, axis=1)
            return Count(int(np.sum(np.any(wrong[np.arange(1, LOOKS + 1), s], axis=1))), 0, data_sets)

        return simulate

    for p in (0.5, 0.05):
        yield Case("share, peeked at", "beta-binomial mixture sequence", f"1 to 200 trials of probability {p}", "valid", 20_000,
                   of_share(lambda s, n: sequential.proportion_anytime(s, n), p))  # fmt: skip
    yield Case("share, peeked at", "Clopper-Pearson (fixed n)", "1 to 200 trials of probability 0.5", "broken", 20_000,
               of_share(lambda s, n: intervals.proportion(s, n), 0.5))  # fmt: skip

    def of_median(interval: Callable[[Array], Interval], rounded: bool) -> Callable[[int, Rng], Count]:
        rank = np.full(LOOKS + 1, 0)  # the lower end is the rank-th value, 0 where it is infinite
        for n in range(2, LOOKS + 1):
            found = interval(np.arange(1.0, n + 1))
            rank[n] = 0 if math.isinf(found.low) else round(found.low)

        def simulate(data_sets: int, rng: Rng) -> Count:
            x = rng.standard_normal((data_sets, LOOKS))
            x = np.round(x) if rounded else x
            needed = rank[1:]
            above, below = np.cumsum(x >= 0, axis=1), np.cumsum(x <= 0, axis=1)
            return Count(int(np.sum(np.any((below < needed) | (above < needed), axis=1))), 0, data_sets)

        return simulate

    yield Case("median, peeked at", "quantile sequence", "normal, 2 to 200 runs", "valid", 20_000,
               of_median(sequential.median_anytime, False))  # fmt: skip
    yield Case("median, peeked at", "quantile sequence", "rounded to whole numbers (ties), 2 to 200 runs", "valid", 20_000,
               of_median(sequential.median_anytime, True))  # fmt: skip
    yield Case("median, peeked at", "order statistics (fixed n)", "normal, 2 to 200 runs", "broken", 20_000,
               of_median(intervals.median, False))  # fmt: skip

    def of_bounded(draw: Callable[[Rng, tuple[int, int]], Array], truth: float) -> Callable[[int, Rng], Count]:
        def simulate(data_sets: int, rng: Rng) -> Count:
            alpha = 1 - LEVEL
            x = draw(rng, (data_sets, LOOKS))
            up = sequential.log_capital(x, truth, alpha=alpha)
            down = sequential.log_capital(1 - x, 1 - truth, alpha=alpha)
            return Count(int(np.sum(np.any(np.maximum(up, down) >= math.log(2 / alpha), axis=1))), 0, data_sets)

        return simulate

    yield Case("bounded mean, peeked at", "hedged betting sequence", "accuracy near 1, Beta(8, 0.4), 2 to 200 runs", "valid",
               20_000, of_bounded(lambda rng, shape: rng.beta(8, 0.4, size=shape), 8 / 8.4))  # fmt: skip
    yield Case("bounded mean, peeked at", "hedged betting sequence", "0 or 1 with probability 0.1, 2 to 200 runs", "valid",
               20_000, of_bounded(lambda rng, shape: (rng.random(shape) < 0.1).astype(float), 0.1))  # fmt: skip


def orders() -> Iterator[Case]:
    """Tests of loss against the order of training, of models that know nothing of it: a rejection is a miss."""
    n, alpha = 120, 1 - LEVEL

    def losses(rng: Rng) -> Array:
        """Two domains, one with a heavy tail; three in ten examples stand twice."""
        found = np.concatenate([rng.pareto(1.5, n // 2), 5 + rng.standard_normal(n // 2)])
        found[: 3 * n // 10] = found[3 * n // 10 : 6 * n // 10]
        return found

    def rejections(p_value: Callable[[Rng], float]) -> Callable[[int, Rng], Count]:
        def simulate(data_sets: int, rng: Rng) -> Count:
            return Count(sum(p_value(rng) <= alpha for _ in range(data_sets)), 0, data_sets)

        return simulate

    drawn = f"{n} losses of two domains, with duplicates, 8 a step"
    for name, scores in (("Spearman", order_tests.uniform), ("Savage", order_tests.savage)):

        def by_permutation(rng: Rng, scores: order_tests.Scores = scores) -> float:
            steps = rng.permutation(n) // 8
            return order_tests.order_test(steps, losses(rng), rng=rng, scores=scores, n_permutations=5 * n).p_value

        yield Case("order of training", f"permutations, {name}'s scores", drawn, "exact", 10_000, rejections(by_permutation))

    def by_bet(rng: Rng) -> float:
        return 1 / float(order_tests.bet_on_order(rng.permutation(n) // 8, losses(rng), rng=rng).capital.max())

    yield Case("order of training, peeked at", "bet on ranks", drawn, "valid", 10_000, rejections(by_bet))

    def among(p_value: Callable[[float, Array], float], k: int) -> Callable[[int, Rng], Count]:
        def one(rng: Rng) -> float:
            values = rng.standard_normal(k + 1)
            return p_value(float(values[0]), values[1:])

        return rejections(one)

    def as_released(own: float, others: Array) -> float:
        return 2 * float(ndtr(-abs(own - others.mean()) / others.std()))

    yield Case("one model among its reshuffles", "rank", "normal, 19 reshuffles", "exact", 20_000,
               among(order_tests.exchangeable_rank, 19))  # fmt: skip
    for k in (4, 9, 19):
        yield Case("one model among its reshuffles", "t, with the mean's own error", f"normal, {k} reshuffles", "exact", 20_000,
                   among(lambda own, others: order_tests.exchangeable_t(own, others)[1], k))  # fmt: skip
    for k in (4, 9):
        yield Case("one model among its reshuffles", "z read as normal", f"normal, {k} reshuffles", "broken", 20_000,
                   among(as_released, k))  # fmt: skip


def forgetting() -> Iterator[Case]:
    """Curves of kept gain over items: line, threshold and family; a family that is not recognised counts as a miss."""
    times, fall, at_one = np.geomspace(1, 1000, 40), 0.28, 0.9
    centred = np.log10(times) - np.log10(times).mean()

    def items(n: int, spread: float) -> Callable[[Rng], tuple[Array, Array]]:
        """Kept gains [item, time] and gains [item]: lognormal gains, normal slopes, errors that last over times."""

        def draw(rng: Rng) -> tuple[Array, Array]:
            gains, slopes = rng.lognormal(0, spread, n), fall + 0.08 * rng.standard_normal(n)
            return gains[:, None] * (at_one - np.outer(slopes, np.log10(times)) + lasting(rng, n, len(times), 0.8, 0.1)), gains

        return draw

    def decay(d: tuple[Array, Array], rng: Rng) -> Interval:
        return curves.decay_interval(times, *d, rng=rng, n_resamples=N_RESAMPLES)

    def threshold(d: tuple[Array, Array], rng: Rng) -> Interval:
        return curves.threshold_interval(times, d[0], rng=rng, n_resamples=N_RESAMPLES)

    def over_times(d: tuple[Array, Array], rng: Rng) -> Interval:
        """The paper's: the error of the line through the mean curve, as if its times were independent."""
        share = d[0].mean(axis=0) / d[1].mean()
        slope = -float(share @ centred / (centred @ centred))
        left = share - share.mean() + slope * centred
        reach = 2.024 * math.sqrt(left @ left / 38 / (centred @ centred))  # t with 38 degrees of freedom
        return Interval(slope, slope - reach, slope + reach, LEVEL, len(times), "t over times")

    method = "Fieller, bootstrapped over items"
    sizes: tuple[tuple[int, float, Expected], ...] = (
        (4, 0.3, "valid"),
        (8, 0.3, "near"),
        (24, 0.3, "near"),
        (24, 1.0, "near"),
    )
    for n, spread, expected in sizes:
        drawn = f"{n} items, log gains of sd {spread:g}"
        yield Case("slope of forgetting", method, drawn, expected, 2_000,
                   one_by_one(items(n, spread), decay, fall))  # fmt: skip
        yield Case("threshold of forgetting", method, drawn, expected, 2_000,
                   one_by_one(items(n, spread), threshold, 10 ** (at_one / fall)))  # fmt: skip
    yield Case("slope of forgetting", "t over times", "24 items, log gains of sd 0.3", "broken", 2_000,
               one_by_one(items(24, 0.3), over_times, fall))  # fmt: skip

    steps = np.arange(1, 1001.0)

    def recognised(family: str, share: Array) -> Callable[[int, Rng], Count]:
        def missed(rng: Rng) -> bool:
            kept = rng.lognormal(0, 0.3, 24)[:, None] * (share + lasting(rng, 24, len(steps), 0.9, 0.05))
            grid, binned = curves.on_log_grid(steps, kept)
            return curves.choose(grid, binned, fit_until=250, rng=rng, n_resamples=199).family != family

        return lambda data_sets, rng: Count(sum(missed(rng) for _ in range(data_sets)), 0, data_sets)

    for family, share in PLANTED.items():
        yield Case("family of forgetting", "chosen by held-out times", f"{family}, 24 items", "valid", 300,
                   recognised(family, share(steps)))  # fmt: skip


PLANTED: dict[str, Callable[[Array], Array]] = {
    "log-linear": lambda t: 0.95 - 0.28 * np.log10(t),
    "exponential": lambda t: np.exp(-t / 150),
    "power": lambda t: t**-0.3,
    "floored log-linear": lambda t: np.maximum(0.3, 1 - 0.35 * np.log10(t)),
    "floored exponential": lambda t: 0.3 + 0.7 * np.exp(-t / 60),
    "floored power": lambda t: 0.3 + 0.7 * t**-0.7,
}


def lasting(rng: Rng, n: int, length: int, rho: float, sd: float) -> Array:
    """Normal errors [n, length] of standard deviation `sd` whose neighbours correlate by `rho`."""
    fresh = sd * math.sqrt(1 - rho**2) * rng.standard_normal((n, length))
    fresh[:, 0] /= math.sqrt(1 - rho**2)
    return np.asarray(lfilter([1.0], [1.0, -rho], fresh, axis=-1))


PARTS = (means, robust, comparisons, associations, clustered, stratified, peeked, orders, forgetting)
CASES = tuple(case for part in PARTS for case in part())
HEADER = ("quantity", "interval", "simulated", "expected", "misses", "unbounded", "data sets")


def row(case: Case, count: Count) -> str:
    """The table's line for a case."""
    share, n = count.misses / count.data_sets, count.data_sets
    error = math.sqrt(max(share * (1 - share), 1 / n) / n)
    cells = (case.quantity, case.method, case.values, case.expected, f"{share:.2%} ± {error:.2%}",
             f"{count.unbounded / n:.1%}" if count.unbounded else "–", f"{n:,}")  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Prints the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the table's data sets (default 1)")
    scale = parser.parse_args().scale
    print(f"| {' | '.join(HEADER)} |\n|{' --- |' * len(HEADER)}", flush=True)
    for case in CASES:
        print(row(case, case.run(scale)), flush=True)


if __name__ == "__main__":
    main()
