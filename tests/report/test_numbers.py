"""Numbers are spelled with the digits their interval supports, and never with a sign or digit that misleads."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.report.numbers import general, interval_text, level_text, shared, typeset


@pytest.mark.parametrize(
    ("numbers", "texts"),
    [
        ((3.0379, 3.0156, 3.0603), ("3.038", "[3.016, 3.060]")),
        ((2.14e-6, 4.67e-7, 3.5e-6), ("2.1e-06", "[4.7e-07, 3.5e-06]")),
        ((1.0, 1.0, 1.0), ("1", "[1, 1]")),
        ((0.5, None, 0.7), ("0.50", "(-inf, 0.70]")),
        ((0.5, 0.3, None), ("0.50", "[0.30, inf)")),
        ((0.0, -0.1, 0.1), ("0.00", "[-0.10, 0.10]")),
        ((1234567.0, 1.2e6, 1.3e6), ("1.235e+06", "[1.200e+06, 1.300e+06]")),
        ((0.670512, 0.670431, 0.670593), ("0.6705", "[0.6704, 0.6706]")),
        ((0.999968, 0.999951, 0.999985), ("1.000", "[1.000, 1.000]")),
        ((None, None, None), ("–", "–")),
    ],
)
def test_an_estimate_has_two_significant_digits_of_its_half_width(
    numbers: tuple[float | None, ...], texts: tuple[str, str]
) -> None:
    assert interval_text(*numbers) == texts


sizes = st.floats(-1e9, 1e9, allow_nan=False).filter(lambda value: value == 0 or abs(value) > 1e-9)


@given(sizes, st.floats(1e-9, 1e9))
def test_what_is_printed_stays_within_a_tenth_of_the_half_width(middle: float, half_width: float) -> None:
    ends = (middle - half_width, middle, middle + half_width)
    largest = max(map(abs, ends))
    # At most eight significant digits are printed, however narrow the interval.
    slack = max(0.1 * half_width, 1e-7 * largest)
    for value, text in zip(ends, shared(list(ends), half_width), strict=True):
        assert math.isclose(float(text), value, abs_tol=slack)
        assert float(text) != 0 or not text.startswith("-")


def test_typeset_touches_numbers_only() -> None:
    assert typeset("in [-0.02, 1e-05]") == "in [−0.02, 10⁻⁵]"
    assert typeset("= 0 ± 2.5e-07") == "= 0 ± 2.5 × 10⁻⁷"
    assert typeset("(-inf, 3.2]") == "(−∞, 3.2]"
    assert typeset("C-1 a-b information") == "C-1 a-b information"
    assert typeset("x >= 1, y <= -2") == "x ≥ 1, y ≤ −2"
    assert typeset("2026-11-30") == "2026-11-30"
    assert typeset("it is below -0.02.") == "it is below −0.02."
    assert typeset("version 1.2.3, -1.2.3") == "version 1.2.3, -1.2.3"


def test_absence_is_never_a_number() -> None:
    assert general(None) == general(math.nan) == level_text(None) == "–"
    assert general(-0.0) == "0"
    assert level_text(0.9958333) == "99.58 %"


def test_an_end_that_is_not_zero_does_not_read_as_zero() -> None:
    assert interval_text(0.275, 0.0048, 0.546) == ("0.275", "[0.005, 0.546]")
    assert interval_text(0.275, 0.0, 0.546) == ("0.28", "[0.00, 0.55]")
