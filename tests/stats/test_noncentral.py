"""Noncentrality: SciPy's distribution function where that can be trusted, symmetry, and the limit of large effects."""

import math

import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.stats.noncentral import noncentrality


@pytest.mark.parametrize("df", [1, 4, 30, 5_000])
@pytest.mark.parametrize("t", [0.0, 1e-6, 0.7, 3.0, 25.0])
@pytest.mark.parametrize("p", [1e-4, 0.025, 0.5, 0.975])
def test_inverts_the_distribution_function(t: float, df: int, p: float) -> None:
    assert scipy.stats.nct.sf(t, df, noncentrality(t, df, p)) == pytest.approx(p, rel=1e-7)


@given(t=st.floats(-1e6, 1e6), df=st.integers(1, 500), p=st.floats(0.001, 0.999))
@settings(max_examples=60)
def test_mirrors_and_rises(t: float, df: int, p: float) -> None:
    found = noncentrality(t, df, p)
    assert found == pytest.approx(-noncentrality(-t, df, 1 - p), rel=1e-9, abs=1e-9)
    assert noncentrality(t, df, p + 0.0005) > found


def test_without_an_observed_effect_it_is_the_normal_quantile() -> None:
    assert noncentrality(0.0, 7, 0.975) == pytest.approx(1.959963984540054)


def test_for_a_huge_effect_only_the_spread_is_uncertain() -> None:
    assert noncentrality(1e12, 9, 0.3) == pytest.approx(1e12 * math.sqrt(scipy.stats.chi2.ppf(0.3, 9) / 9), rel=1e-9)
