"""How often there is a reason to hide, and whether it ever lies at the level of policies, on random games."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le, doc

from assay.claims.study import Measurement, Table
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.solvers.games.batches import assistance_values, boltzmann_values, naive_values, policies
from assay.solvers.games.information import garbling_test, may_be_garbling
from assay.studies.games.observation_interference.random_hiding import SHOW, HidingBatch, hiding_games

RELEVANCES = (0, 1, 2, 4)  # quarters of the payoff that turn on what only A sees
BETAS = (0.5, 2.0, 8.0, 32.0)  # of noisy humans, per largest base payoff
BASE_PAYOFF = 36.0  # largest payoff of the part that does not


@dataclass(frozen=True)
class Settings:
    """Sizes of the random-game sweeps; every count is games in one run."""

    n_games: Annotated[int, Ge(64), doc("random games in each sweep")] = 16_384
    n_blackwell_games: Annotated[int, Ge(4), doc("random games whose signals are compared by linear programs")] = 150
    n_private: Annotated[int, Ge(3), Le(4), doc("values of what only A sees")] = 3
    beta: Annotated[float, Gt(0), doc("inverse temperature of the noisy human, per largest base payoff")] = 8.0


def measure(settings: Settings, seeds: Seeds) -> Measurement:
    """Frequencies and theorems on random hiding games."""
    shares, tables = _incentives(settings, seeds)
    return Measurement(shares | _domination(settings, seeds), tables=tables)


def _incentives(settings: Settings, seeds: Seeds) -> tuple[dict[str, float], dict[str, Table]]:
    """Shares of games with a reason to hide, by human and by how much turns on what A sees; prices and channels."""
    estimands: dict[str, float] = {}
    rows: Table = []
    noise: Table = []
    channels: Table = []
    n = settings.n_games // len(RELEVANCES)
    totals: dict[str, float] = defaultdict(float)
    for step, relevance in enumerate(RELEVANCES):
        progress(step / len(RELEVANCES) / 2, "reasons to hide")
        rng, left = seeds(f"relevance {relevance}"), n
        sums: dict[str, float] = defaultdict(float)
        while left:
            part = min(left, 1024)
            games = hiding_games(part, rng=rng, n_private=settings.n_private, relevance=relevance)
            for name, amount in count_reasons(games, settings.beta, BETAS if relevance == 0 else ()).items():
                sums[name] += amount
                totals[name] += amount
            left -= part
        estimands[f"share_r{relevance}"] = sums["share, optimal human"] / n
        estimands[f"uninformed_r{relevance}"] = sums["share, A sees nothing"] / n
        for human in ("optimal", "naive", "noisy"):
            if relevance in (0, 2):
                estimands[f"share_{human}{'_irrelevant' if relevance == 0 else ''}"] = sums[f"share, {human} human"] / n
        words = [f"optimal human, {m} words" for m in range(2, settings.n_private + 1)]
        for case in ("optimal human", "naive human", "noisy human", *words):
            rows.append(
                {
                    "relevance": relevance / 4,
                    "case": case,
                    "share": sums[f"share, {case}"] / n,
                    "price": sums[f"price, {case}"] / n,
                }
            )
        # The cheapest channel that makes hiding needless: one word is silence.
        short = [1.0, *(sums[f"share, {case}"] / n for case in ("optimal human", *words))]
        channels += [
            {"relevance": relevance / 4, "words": m + 1, "share": short[m] - short[m + 1]} for m in range(settings.n_private)
        ]
        if relevance == 0:
            noise = [{"beta": beta, "share": sums[f"share, beta {beta:g}"] / n} for beta in BETAS]
    return estimands | {
        "uninformed_gains": totals["share, A sees nothing"],
        "informed_gains": totals["share, optimal human"],
        "full_channel_prices": totals[f"share, optimal human, {settings.n_private} words"],
        "one_bit_prices": totals["share, optimal human, 2 words"],
    }, {"incentive": rows, "noise": noise, "channels": channels}


def count_reasons(games: HidingBatch, beta: float, grid: tuple[float, ...]) -> dict[str, float]:
    """Over a batch: how many games give a reason to hide, and the summed price of forbidding it, case by case.

    Args:
        games: the batch.
        beta: of the noisy human.
        grid: further values of beta to count at.
    """
    payoff, unit, n_o = games.payoff(), games.scale * BASE_PAYOFF, games.n_assistant
    hiding = policies(n_o, 3)
    show = int(np.flatnonzero((hiding == SHOW).all(axis=1))[0])
    values = {
        "optimal human": assistance_values(payoff, hiding),
        "naive human": naive_values(payoff, hiding),
        "noisy human": boltzmann_values(payoff, games.mass(), hiding, beta=beta / BASE_PAYOFF),
    }
    values |= {f"beta {b:g}": boltzmann_values(payoff, games.mass(), hiding, beta=b / BASE_PAYOFF) for b in grid}
    found = {}
    for case, value in values.items():
        gain = value.max(axis=1) - value[:, show]
        # Integers for the optimal human; elsewhere a gain within rounding is none.
        found[f"share, {case}"] = float((gain > (0 if case == "optimal human" else 1e-9 * unit)).sum())
        found[f"price, {case}"] = float(gain.sum() / unit)
    # Nothing is hidden and A says one of n words: what is still missing to the optimum with hiding.
    shown, best = payoff[:, :, SHOW], values["optimal human"].max(axis=1)
    for n_words in range(2, n_o + 1):
        told = [
            sum(shown[:, plan == word].sum(axis=1).max(axis=2).sum(axis=1) for word in range(n_words))
            for plan in policies(n_o, n_words)
        ]
        reached = np.max(told, axis=0)
        found[f"share, optimal human, {n_words} words"] = float((best > reached).sum())
        found[f"price, optimal human, {n_words} words"] = float(np.maximum(best - reached, 0).sum() / unit)
    alone = assistance_values(games.uninformed().payoff(), policies(1, 3))
    found["share, A sees nothing"] = float((alone.max(axis=1) > alone[:, SHOW]).sum())
    return found


def _domination(settings: Settings, seeds: Seeds) -> dict[str, float]:
    """Games in which every best policy of A is strictly less informative than another, for an optimal and a noisy human."""
    games = hiding_games(settings.n_blackwell_games, rng=seeds("blackwell"), n_private=2)
    plans = policies(2, 3)
    values = {
        "dominated_optima": assistance_values(games.payoff(), plans),
        "dominated_noisy_optima": boltzmann_values(games.payoff(), games.mass(), plans, beta=settings.beta / BASE_PAYOFF),
    }
    problems = seeds("problems").standard_normal((48, 8, 3))
    counts = {name: 0 for name in values}
    for i in range(settings.n_blackwell_games):
        progress(0.5 + 0.5 * i / settings.n_blackwell_games, "Blackwell")
        kernels = [games.signals(i, plan) for plan in plans.tolist()]
        floats = [kernel.astype(float) for kernel in kernels]
        known: dict[int, bool] = {}
        for name, value in values.items():
            tolerance = 0 if name == "dominated_optima" else 1e-9 * abs(value[i]).max()
            best = np.flatnonzero(value[i] >= value[i].max() - tolerance)
            for p in best.tolist():
                if p not in known:
                    known[p] = any(_strictly_below(p, q, kernels, floats, problems) for q in range(len(plans)) if q != p)
            counts[name] += all(known[p] for p in best.tolist())
    return {name: float(count) for name, count in counts.items()}


def _strictly_below(p: int, q: int, kernels: list[Any], floats: list[Any], problems: Any) -> bool:
    """Whether signal p is a strict garbling of signal q; random decision problems rule most pairs out before any program."""
    if not may_be_garbling(floats[p], floats[q], problems=problems):
        return False
    return garbling_test(kernels[p], kernels[q]).holds and not garbling_test(kernels[q], kernels[p]).holds
