"""Noncentral t: confidence bounds of a noncentrality parameter, which is what the interval of an effect size rests on."""

import functools
import math

import numpy as np

from assay.core.arrays import Floats

__all__ = ["noncentrality"]

_REACH = 9.0  # standard deviations; the normal mass beyond is below 1e-18
_OUTSIDE = 1e-17  # mass of the chi distribution left out at either end


@functools.cache  # a tenth of a second that only those who ask for an effect size should pay
def _quadrature() -> tuple[Floats, Floats]:
    """Nodes and weights of Gauss-Legendre quadrature on [-1, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(160)
    return nodes, weights


def noncentrality(t: float, df: float, p: float) -> float:
    """The noncentrality nc for which a t statistic with `df` degrees of freedom exceeds `t` with probability p.

    It rises with p: its values at p = alpha / 2 and 1 - alpha / 2 bound a (1 - alpha) interval. Writing T = (Z + nc) / S, it is
    the p-quantile of t S - Z, which is well conditioned for effects of any size; SciPy's inverse of the noncentral
    distribution function is not (beyond t of about 1e4 it returns nan, or does not return).

    Source: Steiger & Fouladi 1997, Noncentrality interval estimation and the evaluation of statistical models.
    """
    from scipy.optimize import brentq
    from scipy.special import gammainc, gammainccinv, gammaincinv, ndtr

    if t < 0:  # tS - Z is then the mirror image of |t|S - Z
        return -noncentrality(-t, df, 1 - p)
    least, most = (t * math.sqrt(2 * inverse(df / 2, _OUTSIDE) / df) for inverse in (gammaincinv, gammainccinv))

    nodes, weights = _quadrature()

    def probability(q: float) -> float:
        """P(tS - Z <= q): tS is integrated where it varies, within reach of q, and is 0 or 1 elsewhere."""
        low, high = max(least - q, -_REACH), min(most - q, _REACH)  # of z = tS - q, which keeps its digits when q is huge
        certain = float(ndtr(q - most))
        if low >= high:
            return certain
        z = low + (high - low) * (nodes + 1) / 2
        density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
        below = gammainc(df / 2, df / 2 * ((q + z) / t) ** 2)
        return certain + float(weights @ (density * below)) * (high - low) / 2

    return float(brentq(lambda q: probability(q) - p, least - _REACH, most + _REACH, xtol=1e-12, rtol=1e-13))
