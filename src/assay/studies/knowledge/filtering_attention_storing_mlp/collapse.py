"""What orders extraction over settings and over facts: an isotonic fit to one number, and a logistic slope on coverage."""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import isotonic_regression

__all__ = ["FLOOR", "falling_fit", "log_error", "log_odds_slope", "sampled_shares"]

FLOOR = 1e-3  # the smallest error whose logarithm is taken; a run asks some hundred facts


def log_error(extracted: Float[np.ndarray, " setting"]) -> Float[np.ndarray, " setting"]:
    """Logarithm of the share of facts not told, of each setting."""
    errors: np.ndarray = np.log(np.maximum(1 - extracted, FLOOR))
    return errors


def falling_fit(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> float:
    """Share of the variance of y that the best falling function of x explains; equal x get one value."""
    levels, which, counts = np.unique(x, return_inverse=True, return_counts=True)
    means = np.bincount(which, weights=y) / counts
    fitted = isotonic_regression(means, weights=counts, increasing=False).x[which] if len(levels) > 1 else means[which]
    spread = float(((y - y.mean()) ** 2).sum())
    return 1 - float(((y - fitted) ** 2).sum()) / spread if spread > 0 else float("nan")


def sampled_shares(
    shares: Float[np.ndarray, " setting"], n: Int[np.ndarray, " setting"], rng: np.random.Generator
) -> Float[np.ndarray, " setting"]:
    """What so many facts of each setting show of these shares."""
    found: np.ndarray = rng.binomial(n, shares) / n
    return found


def log_odds_slope(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"] | Bool[np.ndarray, " n"], *, ridge: float = 0.01, n_steps: int = 30
) -> float:
    """Slope of the logistic regression of y (0 or 1) on x by Newton's method, with a small ridge for separable data."""
    design = np.stack([np.ones_like(x), x - x.mean()], axis=1)
    weights = np.zeros(2)
    penalty = ridge * np.diag([0.0, 1.0])
    for _ in range(n_steps):
        p = 1 / (1 + np.exp(-(design @ weights)))
        slope = design.T @ (p - y) + penalty @ weights
        weights = weights - np.linalg.solve((design.T * np.maximum(p * (1 - p), 1e-9)) @ design + penalty, slope)
    return float(weights[1])
