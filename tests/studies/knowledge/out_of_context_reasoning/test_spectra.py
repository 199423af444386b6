import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from assay.core.errors import SettingsError
from assay.studies.knowledge.out_of_context_reasoning.spectra import effective_rank, schatten, singular_values

matrices = arrays(float, (4, 3), elements=st.floats(-10, 10).map(lambda x: round(x, 3)))


@given(matrices)
def test_schatten_one_and_two_are_the_nuclear_and_the_frobenius_norm(W):
    assert schatten(W, 1) == pytest.approx(np.linalg.norm(W, "nuc"), rel=1e-9, abs=1e-9)
    assert schatten(W, 2) == pytest.approx(np.linalg.norm(W), rel=1e-9, abs=1e-9)


@given(matrices, st.floats(0.3, 4), st.floats(0.3, 4))
def test_schatten_norms_fall_with_p(W, p, q):
    low, high = sorted((p, q))
    assert schatten(W, low) >= schatten(W, high) * (1 - 1e-9)


def test_norms_of_a_matrix_with_known_singular_values():
    W = np.diag([4.0, 1.0])
    assert schatten(W, 0.5) == pytest.approx((2 + 1) ** 2)  # (√4 + √1)²
    np.testing.assert_allclose(singular_values(W), [4, 1])


def test_effective_rank_counts_equal_directions():
    assert effective_rank(np.diag([2.0, 2.0, 2.0, 0.0])) == pytest.approx(3)
    np.testing.assert_allclose(effective_rank(np.stack([np.eye(4), np.ones((4, 4))])), [4, 1])


def test_a_norm_of_order_nought_is_refused():
    with pytest.raises(SettingsError, match="p > 0"):
        schatten(np.eye(2), 0)
