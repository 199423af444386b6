"""Resampling: exact bootstrap distributions, the unit that is drawn, and memory in chunks."""

import itertools
import math

import numpy as np
import pytest

from assay.core.errors import InputError
from assay.stats import resample


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def means(x: np.ndarray) -> np.ndarray:
    return x.mean(axis=-1)


def test_bootstrap_of_three_values_has_the_distribution_of_all_27_resamples() -> None:
    values = np.array([1.0, 2.0, 4.0])
    exact = [np.mean(r) for r in itertools.product(values, repeat=3)]
    replicates = resample.bootstrap(values, means, rng=generator(), n_resamples=200_000)
    for value in set(exact):
        p = exact.count(value) / 27
        share = np.mean(np.isclose(replicates, value))
        assert share == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / 200_000))


def test_columns_of_a_unit_stay_together() -> None:
    x = generator(1).normal(size=9)
    rows = np.stack([x, 2 * x], axis=1)
    replicates = resample.bootstrap(rows, lambda r: (2 * r[..., 0] - r[..., 1]).mean(axis=-1), rng=generator(), n_resamples=500)
    assert np.all(replicates == 0)


def test_chunks_bound_the_memory_and_lose_nothing() -> None:
    sizes = list(resample.chunks(1_000_000, 10))
    assert sizes == [4, 4, 2]
    assert sum(resample.chunks(7, 9_999)) == 9_999
    assert list(resample.chunks(10**9, 2)) == [1, 1]
    values = generator(2).normal(size=900_000)
    assert len(resample.bootstrap(values, means, rng=generator(), n_resamples=9)) == 9


def test_jackknife_leaves_each_unit_out_once() -> None:
    values = np.array([1.0, 5.0, 9.0, 2.0])
    assert resample.jackknife(values, means) == pytest.approx([16 / 3, 4.0, 8 / 3, 5.0])


def test_order_ends_by_hand() -> None:
    replicates = generator().permutation(np.arange(1.0, 100.0))  # 1 to 99: the p-quantile is 100 p
    assert resample.order_ends(replicates, 0.05, 0.05) == (5, 95)
    assert resample.order_ends(replicates, 0.059, 0.059) == (5, 95)  # rounded outwards
    assert resample.order_ends(replicates, 0.009, 0.01) == (-math.inf, 99)  # less than one in a hundred cannot be seen
    assert resample.order_ends(replicates, 0.05, 0.02, finest=0.03) == (5, math.inf)


def test_studentised_ends_are_infinite_while_resamples_without_spread_are_common() -> None:
    def mean_and_error(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x.mean(axis=-1), x.std(axis=-1, ddof=1) / math.sqrt(x.shape[-1])

    # Of the 27 resamples of three values, 3 have no spread: 11 % > 5 %, but less than 20 %.
    values = np.array([0.1, 0.2, 0.4])
    ends = resample.studentised(values, mean_and_error, rng=generator())
    assert ends(0.9) == (-math.inf, math.inf)
    # At 60 % each end leaves out a fifth of the resamples: 5.4 of 27, of which 3 have no spread and count on either side.
    low, high = ends(0.6)
    resamples = np.array(list(itertools.product(values, repeat=3)))
    estimates, errors = mean_and_error(resamples[np.ptp(resamples, axis=1) > 0])
    t = np.sort((estimates - values.mean()) / errors)
    error = values.std(ddof=1) / math.sqrt(3)
    assert low == pytest.approx(values.mean() - np.append(t, [math.inf] * 3)[math.ceil(0.8 * 27) - 1] * error)
    assert high == pytest.approx(values.mean() - np.append([-math.inf] * 3, t)[math.floor(0.2 * 27)] * error)


def test_variance_of_the_clustered_bootstrap_is_what_theory_says() -> None:
    rng = generator(3)
    k, m = 6, 8
    clusters = [rng.normal() + 4 * rng.normal(size=m) for _ in range(k)]
    centres = np.array([c.mean() for c in clusters])
    between, within = centres.var(), np.mean([c.var() for c in clusters])

    def mean_of_means(drawn: list[np.ndarray]) -> float:
        return sum(float(d.sum()) / len(d) for d in drawn) / len(drawn)

    n = 4_000
    whole = resample.bootstrap_clusters(clusters, mean_of_means, rng=generator(4), n_resamples=n).var()
    staged = resample.bootstrap_clusters(clusters, mean_of_means, rng=generator(5), items_too=True, n_resamples=n).var()
    tolerance = 5 * math.sqrt(2 / n)  # relative error of a variance, normal values
    assert whole == pytest.approx(between / k, rel=tolerance)
    assert staged == pytest.approx(between / k + within / (k * m), rel=tolerance)
    assert staged > whole * (1 + tolerance)


def test_clusters_are_drawn_whole() -> None:
    clusters = [np.full(3, float(i)) for i in range(4)]
    replicates = resample.bootstrap_clusters(
        clusters, lambda drawn: float(all(np.ptp(d) == 0 and len(d) == 3 for d in drawn)), rng=generator(), n_resamples=50
    )
    assert np.all(replicates == 1)


@pytest.mark.parametrize(
    ("clusters", "message"),
    [
        ([[1.0, 2.0]], "at least 2 clusters; got 1"),
        ([[1.0], []], "cluster 1 .* needs at least 1"),
        ([[1.0], [math.nan]], "nan"),
    ],
)
def test_clusters_that_cannot_be_drawn_are_refused(clusters: list[list[float]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        resample.bootstrap_clusters(clusters, lambda drawn: 0.0, rng=generator())
