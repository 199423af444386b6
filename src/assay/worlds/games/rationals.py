"""Exact numbers as users write them: integers, decimals and fractions such as "1/3"; what is not finite is refused."""

import math
import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from numbers import Rational

import numpy as np

from assay.core.errors import InputError
from assay.core.text import visible

__all__ = ["Exact", "check_kernel", "exact", "exact_row", "shown"]

MAX_DIGITS = 100  # of numerator, denominator and exponent: every sum of products still has a float beside it

# One way to write a number: no underscores, no digits of other scripts, no spaces within.
_SPELLED = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?\d+/\d+", re.ASCII)

Exact = int | float | str | Fraction | np.generic


def exact(value: object, *, where: str) -> Fraction:
    """The rational number that `value` spells: 3, "1/3", "0.25", "1e-3" or a finite float.

    A float stands for its shortest decimal spelling (0.1 is one tenth), as a reader of the file would take it.

    Args:
        value: what the user wrote.
        where: what the number belongs to, for the message.

    Raises:
        InputError: it is no number, or it is infinite or not a number (NaN).
    """
    try:
        if isinstance(value, np.generic):
            value = value.item()  # NumPy's integers overflow, its floats spell themselves otherwise
        if isinstance(value, bool) or not isinstance(value, (Rational, float, str)):
            raise TypeError
        if isinstance(value, str):
            # A short text can spell a number of a billion digits; refuse it before it is expanded.
            exponent = re.search(r"[eE]([+-]?\d+)", value)
            if len(value) > MAX_DIGITS or (exponent and abs(int(exponent[1])) > MAX_DIGITS):
                raise ValueError
            if not _SPELLED.fullmatch(value.strip(" ")):
                raise ValueError
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError
        found = (
            Fraction(repr(value)) if isinstance(value, float) else Fraction(value.strip() if isinstance(value, str) else value)
        )
        if max(abs(found.numerator), found.denominator) >= 10**MAX_DIGITS:
            raise ValueError
        return found
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        shown_ = (
            f"an integer of {value.bit_length()} bits"
            if isinstance(value, int) and value.bit_length() > 300
            else visible(repr(value)[:60])
        )
        raise InputError(
            f'{where} must be a finite number of at most {MAX_DIGITS} digits such as 3, 0.25 or "1/3"; got {shown_}. '
            "Infinite and NaN payoffs have no optimum"
        ) from None


def exact_row(values: Iterable[object], *, where: str) -> tuple[Fraction, ...]:
    """The rationals of a sequence, in order.

    Raises:
        InputError: an element is no finite number.
    """
    return tuple(exact(value, where=f"{where}[{i}]") for i, value in enumerate(values))


def check_kernel(row: Sequence[Fraction], *, where: str) -> None:
    """Return nothing if `row` is a probability distribution.

    Raises:
        InputError: a probability is negative or the row does not sum to exactly one.
    """
    positive = [p for p in row if p]  # most entries of a large table are zero
    if any(p < 0 for p in positive):
        raise InputError(f"{where} must hold no negative probability; got {shown(min(positive))}. Correct that entry")
    total = sum(positive, Fraction(0))
    if total != 1:
        gap = abs(float(total - 1))
        noise = f" ({gap:.2g} too {'much' if total > 1 else 'little'}: rounding)" if gap < 1e-3 else ""
        raise InputError(
            f"{where} must sum to exactly 1; it sums to {_brief(total)}{noise}. "
            'Write fractions as texts, "1/3" or "1/4", rather than as rounded decimals'
        )


def _brief(value: Fraction) -> str:
    text = shown(value)
    return text if len(text) <= 30 else f"{float(value):.17g}"


def shown(value: Fraction) -> str:
    """A rational as text: "7/4", "3"."""
    return str(value.numerator) if value.denominator == 1 else f"{value.numerator}/{value.denominator}"
