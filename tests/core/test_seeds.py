import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.seeds import Seeds

NAMES = st.text(min_size=0, max_size=12)


@given(st.integers(0, 2**40), NAMES)
def test_a_stream_depends_on_root_and_name_only(root: int, name: str) -> None:
    first = Seeds(root)
    first("something else").random(3)
    assert np.array_equal(first(name).random(4), Seeds(root)(name).random(4))
    assert first.integer(name) == Seeds(root).integer(name)


@given(NAMES, NAMES)
def test_different_names_give_different_streams(a: str, b: str) -> None:
    if a != b:
        assert Seeds(1).integer(a) != Seeds(1).integer(b)
    assert Seeds(1).child(a).integer(b) != Seeds(1).integer(a + b)


def test_integers_fit_a_signed_64_bit_seed() -> None:
    values = [Seeds(0).integer(str(i)) for i in range(1000)]
    assert len(set(values)) == 1000
    assert min(values) >= 0
    assert max(values) < 2**63


def test_neighbouring_roots_are_uncorrelated() -> None:
    draws = np.array([Seeds(root)("x").standard_normal(400) for root in range(20)])
    off_diagonal = np.corrcoef(draws)[~np.eye(20, dtype=bool)]
    # 190 independent correlations of standard error 1/20: the largest of them stays below 4 standard errors.
    assert np.abs(off_diagonal).max() < 4 / np.sqrt(400)


@pytest.mark.parametrize("root", [0, -1, 2**100])
def test_any_integer_is_a_root(root: int) -> None:
    assert Seeds(root)("a").random() != Seeds(root)("b").random()
