"""The product-selection model: what hiding keeps and what it tells."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, doc

from assay.claims.study import Measurement, Table
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.studies.games.observation_interference.claims import PRODUCT_GAINS
from assay.studies.games.observation_interference.products import (
    best_depth,
    expected_payoff,
    informed_reply_gain,
    simulate,
)


@dataclass(frozen=True)
class Settings:
    """The product model."""

    n_trials: Annotated[int, Ge(100), doc("independent draws a setting; the paper's number")] = 30_000
    n_products: Annotated[tuple[int, ...], doc("numbers of products; 5 or more, and 10 among them")] = (2, 5, 10, 20)


def measure(settings: Settings, seeds: Seeds) -> Measurement:
    """Simulate the product model at every size, amount of private information and depth, beside its closed form."""
    rows: Table = []
    errors, errors_k1 = [], []
    found = {}
    for size, d in enumerate(settings.n_products):
        progress(size / len(settings.n_products), f"{d} products")
        for k in range(0, d + 1, 1 if d <= 10 else 4):
            trials = simulate(d, k, settings.n_trials, rng=seeds(f"products {d}, seen {k}"))
            found[d, k] = trials
            for depth in range(d):
                exact = float(expected_payoff(d, k, d - depth))
                errors.append(trials.payoff[depth] - exact)
                if k:
                    errors_k1.append(trials.payoff[depth] - float(expected_payoff(d, k - 1, d - depth)))
                rows.append(
                    {
                        "products": d,
                        "seen": k,
                        "depth": depth,
                        "payoff": float(trials.payoff[depth]),
                        "exact": exact,
                        "kept": float(trials.h[depth]),
                        "conveyed": float(trials.r[depth]),
                        "free_choice": float(trials.informed[depth] - trials.payoff[depth]),
                        "free_choice_exact": float(informed_reply_gain(d, k, d - depth)),
                    }
                )
    gains = {k: _gain(found[10, k], best_depth(10, k)[0]) for k in PRODUCT_GAINS}
    random_gains = {k: _random_gain(found[10, k], best_depth(10, k)[0]) for k in PRODUCT_GAINS}
    ten, blind = found[10, 10], found[10, 0]
    large = [d for d in settings.n_products if d >= 5]
    estimands = {
        "best_gain_0": float((blind.payoff[1:] - blind.payoff[0]).max()),
        "best_gain_10": float((ten.payoff[1:] - ten.payoff[0]).max()),
        **{f"gain_{k}": gain for k, gain in gains.items()},
        **{f"random_gain_{k}": gain for k, gain in random_gains.items()},
        "interior": float(all(0 < int(found[d, d].payoff.argmax()) < d - 1 for d in large)),
        "interior_blind": float(all(0 < int(found[d, 0].payoff.argmax()) < d - 1 for d in large)),
        "closed_form_error": float(np.mean(errors)),
        "closed_form_error_k1": float(np.mean(errors_k1)),
        "values_off": max(abs(gains[k] - value) for k, value in PRODUCT_GAINS.items()),
        "random_values_off": max(abs(random_gains[k] - value) for k, value in PRODUCT_GAINS.items()),
        "h_step": float(np.diff(ten.h).max()),
        "h_random_step": float(np.diff(ten.h_random).max()),
        "r_step": float(np.diff(ten.r).min()),
        "r_random_step": float(np.diff(ten.r_random).min()),
        "adaptive_gain": float(ten.adaptive - ten.payoff.max()),
        "adaptive_gain_blind": float(blind.adaptive - blind.payoff.max()),
    }
    trade: Table = [
        {"depth": depth, "part": part, "payoff": float(values[depth])}
        for part, values in (("information kept", ten.h), ("information conveyed", ten.r))
        for depth in range(10)
    ]
    return Measurement(estimands, tables={"products": rows, "trade": trade, "gains": _gain_rows(found)})


def _gain(trials: Any, depth: int) -> float:
    """Gain of a depth over hiding nothing, in the same draws."""
    return float(trials.payoff[depth] - trials.payoff[0])


def _random_gain(trials: Any, depth: int) -> float:
    """Gain of hiding as many products at random, in the same draws."""
    return float(trials.h[depth] + trials.r_random[depth] - trials.payoff[0])


def _gain_rows(found: dict[tuple[int, int], Any]) -> Table:
    rows: Table = []
    for (d, k), trials in found.items():
        depth, exact = best_depth(d, k)
        rows.append({"products": d, "seen_share": k / d, "depth": depth, "gain": _gain(trials, depth), "exact": float(exact)})
    return rows
