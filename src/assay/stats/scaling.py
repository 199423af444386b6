"""Power laws read from a few sizes."""

import numpy as np
import numpy.typing as npt

__all__ = ["log_log_slope"]


def log_log_slope(sizes: npt.ArrayLike, values: npt.ArrayLike) -> float:
    """The exponent b of the least-squares power law values ~ sizes**b; nan where it is not defined.

    It is not defined with fewer than two different sizes, or when a size or value is not positive and finite: a zero has no
    logarithm, and leaving it out would bend the law.
    """
    x, y = np.asarray(sizes, dtype=float), np.asarray(values, dtype=float)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"sizes and values must be two lists of one length; got shapes {x.shape} and {y.shape}")
    if len(np.unique(x)) < 2 or not (np.isfinite(x) & np.isfinite(y) & (x > 0) & (y > 0)).all():
        return float("nan")
    a, b = np.log(x) - np.log(x).mean(), np.log(y) - np.log(y).mean()
    return float((a @ b) / (a @ a))
