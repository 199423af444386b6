"""The product-selection model, simulated: what hiding keeps and tells, and what choosing its depth is worth."""

from assay.claims.study import Measurement, Table
from assay.core.progress import parts
from assay.core.seeds import Seeds
from assay.studies.games.observation_interference.products import Trials, best_depth, simulate
from assay.studies.games.observation_interference.settings import ProductSettings

TEN = 10  # products, where one number is told of each depth


def measure(settings: ProductSettings, seeds: Seeds) -> Measurement:
    """Simulate the product model at every size and amount of private information, at all hiding depths in the same draws."""
    found: dict[tuple[int, int], Trials] = {}
    for d in parts(settings.n_products, label=lambda d: f"{d} products"):
        for k in range(0, d + 1, 1 if d <= TEN else 4):
            found[d, k] = simulate(d, k, settings.n_trials, rng=seeds(f"products {d}, seen {k}"))
    seeing, blind = found[TEN, TEN], found[TEN, 0]
    trade: Table = [
        {"depth": depth, "part": part, "payoff": float(values[depth])}
        for part, values in (("information kept", seeing.h), ("information conveyed", seeing.r))
        for depth in range(TEN)
    ]
    gains: Table = []
    for (d, k), trials in found.items():
        depth, exact = best_depth(d, k)
        gain = float(trials.payoff[depth] - trials.payoff[0])
        gains.append({"products": d, "seen_share": k / d, "depth": depth, "gain": gain, "exact": float(exact)})
    return Measurement(
        {f"{arm}/adaptive_gain": adaptive_gain(trials) for arm, trials in (("seeing", seeing), ("blind", blind))},
        tables={"trade": trade, "gains": gains},
    )


def adaptive_gain(trials: Trials) -> float:
    """Payoff of choosing the depth by what A saw, minus the payoff of the best fixed depth, in the same draws."""
    return float(trials.adaptive - trials.payoff.max())
