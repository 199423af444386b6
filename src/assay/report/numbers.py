"""Numbers as a reader sees them: as many digits as the interval supports, one spelling for page, figure and table."""

import math
import re
from collections.abc import Sequence

__all__ = ["general", "interval_text", "level_text", "shared", "typeset"]

MOST_DIGITS = 4  # of an estimate and its interval
MINUS = "\N{MINUS SIGN}"
_NUMBER = re.compile(r"(?<![\w.])-?(?:inf\b|\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?!\w|\.\d)")
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def general(value: float | None, digits: int = 4) -> str:
    """One number with `digits` significant digits, in ASCII; an en dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    text = f"{value:.{digits}g}"
    return text[1:] if text.lstrip("-0.") == "" and text.startswith("-") else text


def shared(values: Sequence[float | None], half_width: float, most: int = 8) -> list[str]:
    """The numbers with the same last digit: two significant digits of `half_width`, the interval's half-width.

    At most `most` significant digits, and one or two more where a number would else read as zero: on which side of it an end
    lies may decide. A number that is None becomes an en dash. With a half-width of zero every number is spelled by `general`.
    """
    finite = [value for value in values if value is not None and math.isfinite(value)]
    largest = max((abs(value) for value in finite), default=0.0)
    if not (half_width > 0 and math.isfinite(half_width)) or largest == 0:
        return [general(value) for value in values]
    exponent = math.floor(math.log10(float(f"{largest:.{most - 1}e}")))  # 0.99999 in four digits is 1.000
    digits = min(max(exponent - math.floor(math.log10(half_width)) + 2, 2), most)
    fixed, places = -4 <= exponent < 6, max(digits - 1 - exponent, 0)
    if fixed:
        enough = (n for n in range(places, places + 3) if all(value == 0 or round(value, n) != 0 for value in finite))
        places = next(enough, places)
    spelled = f".{places}f" if fixed else f".{digits - 1}e"
    return [
        _unsigned_zero(format(value, spelled)) if value is not None and math.isfinite(value) else general(value)
        for value in values
    ]


def interval_text(estimate: float | None, low: float | None, high: float | None) -> tuple[str, str]:
    """The estimate and its interval `[low, high]`, in ASCII, at most four digits each; an end that is absent is unbounded.

    Both texts are empty-handed en dashes when there is no estimate.
    """
    if estimate is None:
        return "–", "–"
    reach = [abs(end - estimate) for end in (low, high) if end is not None]
    half_width = (high - low) / 2 if low is not None and high is not None else max(reach, default=0.0)
    middle, below, above = shared([estimate, low, high], half_width, MOST_DIGITS)
    return middle, f"{'(-inf' if low is None else '[' + below}, {'inf)' if high is None else above + ']'}"


def level_text(level: float | None) -> str:
    """A confidence level in per cent, with enough digits to tell Holm's levels apart; an en dash where there is none."""
    return "–" if level is None else f"{100 * level:.4g} %"


def typeset(text: str) -> str:
    """A text of numbers (an estimate, an interval, a rule) with true minus signs, raised exponents, infinity and ≤, ≥."""
    return _NUMBER.sub(_typeset_number, text.replace(">=", "≥").replace("<=", "≤"))


def _typeset_number(found: re.Match[str]) -> str:
    mantissa, _, exponent = found[0].replace("-", MINUS, found[0].startswith("-")).replace("inf", "∞").partition("e")
    if not exponent:
        return mantissa
    power = f"10{str(int(exponent.replace(MINUS, '-'))).translate(_SUPERSCRIPT)}"
    return power if mantissa == "1" else f"{mantissa} × {power}"


def _unsigned_zero(text: str) -> str:
    return text[1:] if text.startswith("-") and float(text) == 0 else text
