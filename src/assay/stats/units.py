"""What an interval is taken over: values of independent units, checked once at the door. Absence is never a number."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from assay.core.arrays import Floats
from assay.core.errors import InputError

__all__ = ["counts", "pairs", "tail", "units"]


def units(values: ArrayLike, *, what: str, needs: int = 2) -> Floats:
    """The values as a float64 array [n], one per unit (run, item, episode).

    Args:
        values: one finite number per unit.
        what: the quantity asked for, for the message.
        needs: how many units it takes.

    Raises:
        InputError: fewer than `needs` values, more than one axis, a value that is not a finite number.
    """
    array = _floats(values, what)
    if array.ndim != 1:
        raise InputError(
            f"{what} takes one value per unit; got an array of shape {array.shape}. Reduce each unit to one number"
        )
    if len(array) < needs:
        raise InputError(f"{what} needs at least {needs} values; got {len(array)}. Add units (runs, items)")
    missing = np.flatnonzero(~np.isfinite(array))
    if len(missing):
        raise InputError(
            f"{what} takes finite values; got {array[missing[0]]} at position {missing[0]} of {len(array)}"
            f"{f' and {len(missing) - 1} more such' if len(missing) > 1 else ''}. "
            "Account for the units that made them; they are never dropped silently"
        )
    return array


def pairs(a: ArrayLike, b: ArrayLike, *, what: str, needs: int = 2) -> tuple[Floats, Floats]:
    """Two arrays [n] whose i-th values belong to the same unit.

    Raises:
        InputError: as `units`, or the arrays differ in length.
    """
    first, second = units(a, what=what, needs=needs), units(b, what=what, needs=needs)
    if len(first) != len(second):
        raise InputError(
            f"{what} takes pairs; got {len(first)} and {len(second)} values. Give both values of every unit, in order"
        )
    return first, second


def counts(successes: int, n: int, *, what: str) -> None:
    """Checks that `successes` of `n` can be counted.

    Raises:
        InputError: not whole numbers with 0 <= successes <= n and n >= 1.
    """
    whole = all(isinstance(value, int | np.integer) and not isinstance(value, bool) for value in (successes, n))
    if not whole or not 0 <= successes <= n or n < 1:
        raise InputError(f"{what} needs whole numbers 0 <= successes <= n and n >= 1; got {successes} of {n}. Count again")


def tail(level: float) -> float:
    """The error rate 1 - level, in (0, 1).

    Raises:
        InputError: the level is not strictly between 0 and 1.
    """
    if not 0 < level < 1:
        raise InputError(f"a confidence level lies strictly between 0 and 1; got {level}. Use 0.95 for 95 %")
    return 1 - level


def _floats(values: Any, what: str) -> Floats:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} takes numbers; got {type(values).__name__} ({error}). Give one float per unit") from error
