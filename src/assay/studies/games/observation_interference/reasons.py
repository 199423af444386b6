"""How often there is a reason to hide among random games, by human, by what A alone sees and by what it may say."""

from collections import defaultdict
from typing import Any

import numpy as np

from assay.claims.study import Measurement, Table
from assay.core.progress import part, parts, progress
from assay.core.seeds import Seeds
from assay.solvers.games.batches import assistance_values, boltzmann_values, naive_values, policies
from assay.solvers.games.information import garbling_test, may_be_garbling
from assay.studies.games.observation_interference.random_hiding import (
    SHOW,
    HidingBatch,
    games_near_signalling,
    hiding_games,
)
from assay.studies.games.observation_interference.settings import GameSettings
from assay.studies.games.observation_interference.small_games import tables as small_tables

WEIGHTS = {"none": 0, "quarter": 1, "half": 2, "whole": 4}  # of what only A sees, in quarters of the rest of the payoff
BETAS = (0.5, 2.0, 8.0, 32.0)  # of noisy humans, per largest base payoff
BASE_PAYOFF = 36.0  # largest payoff of the part that does not turn on what only A sees
CHUNK = 1024  # games counted at once


def measure(settings: GameSettings, seeds: Seeds) -> Measurement:
    """Draw random games and count in which of them forbidding A to hide costs something, arm by arm."""
    with part(0.0, 0.5, "reasons to hide"):
        shares, tables = _incentives(settings, seeds)
    with part(0.5, 1.0, "comparing signals"):
        games = hiding_games(settings.n_compared, rng=seeds("compared"), n_private=2)
        shares |= dominated(games, settings.beta, seeds("problems"))
    planted = games_near_signalling(settings.n_games, rng=seeds("near signalling"))
    shares["planted/reason"] = reason_share(planted)
    return Measurement(shares, tables | small_tables())


def measure_nulls(settings: GameSettings, seeds: Seeds) -> Measurement:
    """Every estimand of a claim on games in which an optimal human loses nothing by seeing everything."""
    found: dict[str, float] = {}
    for null, weight in (("none", "none"), ("blind", "half")):
        games = hiding_games(settings.n_games, rng=seeds("null games"), relevance=WEIGHTS[weight])
        compared = hiding_games(settings.n_compared, rng=seeds("null compared"), relevance=WEIGHTS[weight])
        if null == "blind":
            games, compared = games.uninformed(), compared.uninformed()
        found[f"{null}/reason"] = reason_share(games)
        for arm in ("quarter", "half", "whole"):
            drawn = hiding_games(
                settings.n_games, rng=seeds(f"null {arm}"), relevance=WEIGHTS["none" if null == "none" else arm]
            )
            found[f"{null}-{arm}/reason"] = reason_share(drawn.uninformed() if null == "blind" else drawn)
        found[f"{null}/dominated"] = dominated(compared, settings.beta, seeds("problems"))["optimal/dominated"]
    return Measurement(found)


def reason_share(games: HidingBatch) -> float:
    """Share of games in which, with an optimal human, every optimal policy of A hides something."""
    values = assistance_values(games.payoff(), policies(games.n_assistant, 3))
    return float((values.max(axis=1) > values[:, 0]).mean())  # the first policy shows everything, always


def _incentives(settings: GameSettings, seeds: Seeds) -> tuple[dict[str, float], dict[str, Table]]:
    """Shares of games with a reason to hide, by human and by how much turns on what A sees; prices and channels."""
    shares: dict[str, float] = {}
    rows: Table = []
    noise: Table = []
    channels: Table = []
    n = settings.n_games
    words = [f"optimal human, {m} words" for m in range(2, settings.n_private + 1)]
    for weight in parts(WEIGHTS):
        rng, left = seeds(f"weight {weight}"), n
        sums: dict[str, float] = defaultdict(float)
        while left:
            size = min(left, CHUNK)
            games = hiding_games(size, rng=rng, n_private=settings.n_private, relevance=WEIGHTS[weight])
            for name, amount in count_reasons(games, settings.beta, BETAS if weight == "none" else ()).items():
                sums[name] += amount
            left -= size
        shares[f"{weight}/reason"] = sums["share, optimal human"] / n
        shares[f"blind-{weight}/reason"] = sums["share, A sees nothing"] / n
        if weight == "none":
            shares |= {f"{human}-none/reason": sums[f"share, {human} human"] / n for human in ("naive", "noisy")}
            noise = [{"beta": beta, "share": sums[f"share, beta {beta:g}"] / n} for beta in BETAS]
        if weight == "half":
            shares |= {f"{human}/reason": sums[f"share, {human} human"] / n for human in ("naive", "noisy")}
            shares |= {"two-words/reason": sums[f"share, {words[0]}"] / n, "every-word/reason": sums[f"share, {words[-1]}"] / n}
        for case in ("optimal human", "naive human", "noisy human", *words):
            rows.append(
                {
                    "relevance": WEIGHTS[weight] / 4,
                    "case": case,
                    "share": sums[f"share, {case}"] / n,
                    "price": sums[f"price, {case}"] / n,
                }
            )
        # The cheapest channel that makes hiding needless: one word is silence.
        short = [1.0, *(sums[f"share, {case}"] / n for case in ("optimal human", *words))]
        channels += [
            {"relevance": WEIGHTS[weight] / 4, "words": m + 1, "share": short[m] - short[m + 1]}
            for m in range(settings.n_private)
        ]
    return shares, {"incentive": rows, "noise": noise, "channels": channels}


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
    best = values["optimal human"].max(axis=1)
    for n_words in range(2, n_o + 1):
        missing = np.maximum(best - values_with_words(games, n_words), 0)
        found[f"share, optimal human, {n_words} words"] = float((missing > 0).sum())
        found[f"price, optimal human, {n_words} words"] = float(missing.sum() / unit)
    found["share, A sees nothing"] = reason_share(games.uninformed()) * len(games.weight)
    return found


def values_with_words(games: HidingBatch, n_words: int) -> np.ndarray:
    """[game]; the optimal value, times the scale, if nothing is hidden and A says one of `n_words` words."""
    shown = games.payoff()[:, :, SHOW]
    told = [
        sum(shown[:, plan == word].sum(axis=1).max(axis=2).sum(axis=1) for word in range(n_words))
        for plan in policies(games.n_assistant, n_words)
    ]
    return np.asarray(np.max(told, axis=0))


def dominated(games: HidingBatch, beta: float, rng: np.random.Generator) -> dict[str, float]:
    """Shares of games in which every best policy of A tells H strictly less than another policy would, by human.

    Args:
        games: the games; A's signals are compared as exact kernels.
        beta: of the noisy human, per largest base payoff.
        rng: draws the decision problems that rule most pairs of signals out before any linear program.
    """
    plans = policies(games.n_assistant, 3)
    values = {
        "optimal": assistance_values(games.payoff(), plans),
        "noisy": boltzmann_values(games.payoff(), games.mass(), plans, beta=beta / BASE_PAYOFF),
    }
    n = len(games.weight)
    problems = rng.standard_normal((48, len(games.signals(0, plans[0].tolist())), 3))
    counts = dict.fromkeys(values, 0)
    for i in range(n):
        progress(i / n)
        kernels = [games.signals(i, plan) for plan in plans.tolist()]
        floats = [kernel.astype(float) for kernel in kernels]
        known: dict[int, bool] = {}
        for human, value in values.items():
            tolerance = 0 if human == "optimal" else 1e-9 * abs(value[i]).max()
            best = np.flatnonzero(value[i] >= value[i].max() - tolerance)
            for p in best.tolist():
                if p not in known:
                    known[p] = any(_strictly_below(p, q, kernels, floats, problems) for q in range(len(plans)) if q != p)
            counts[human] += all(known[p] for p in best.tolist())
    return {f"{human}/dominated": count / n for human, count in counts.items()}


def _strictly_below(p: int, q: int, kernels: list[Any], floats: list[Any], problems: Any) -> bool:
    """Whether signal p is a strict garbling of signal q; random decision problems rule most pairs out before any program."""
    if not may_be_garbling(floats[p], floats[q], problems=problems):
        return False
    return garbling_test(kernels[p], kernels[q]).holds and not garbling_test(kernels[q], kernels[p]).holds
