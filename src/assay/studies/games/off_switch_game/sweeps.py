"""The theorems, and how common what they are about is, on random games."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le, doc

from assay.claims.study import Measurement, Table
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.solvers.games.batches import (
    alternating_values,
    channel_values,
    optimal_values,
    policies,
    team_payoffs,
    wait_table,
)
from assay.studies.games.off_switch_game.random_games import (
    OffSwitchBatch,
    cell_games,
    coordinated_garbling,
    kernel_games,
    redundant_games,
)
from assay.studies.games.off_switch_game.variants import best_value
from assay.worlds.games.off_switch import uncoordinated_garbling_pair


@dataclass(frozen=True)
class Settings:
    """Sizes of the random-game sweeps; every count is games in one run."""

    n_games: Annotated[int, Ge(64), doc("random games in each sweep")] = 16_384
    n_reversal_games: Annotated[int, Ge(64), doc("random games searched for reversals of deference")] = 131_072
    n_states: Annotated[int, Ge(2), Le(8), doc("states of games with random kernels")] = 4
    n_human: Annotated[int, Ge(2), Le(6), doc("H's observations")] = 3
    n_assistant: Annotated[int, Ge(3), Le(6), doc("A's observations")] = 4


def measure(settings: Settings, seeds: Seeds) -> Measurement:
    """Hold each theorem, and its control, against random integer games."""
    estimands: dict[str, float] = {}
    parts = (_redundancy, _garblings, _talk, _stochastic, _informed_human)
    for i, part in enumerate(parts):
        progress(i / (len(parts) + 2), part.__name__.strip("_"))
        estimands |= part(settings, seeds)
    progress(len(parts) / (len(parts) + 2), "signs")
    signs = signs_of_talk(settings, seeds)
    progress((len(parts) + 1) / (len(parts) + 2), "deference curve")
    prices, curves = _deference(settings, seeds)
    estimands |= {"reversal_share": signs["waits less"], "growth_share": signs["waits more"]}
    return Measurement(
        estimands | prices,
        tables=curves | {"signs": [{"change": change, "share": share} for change, share in signs.items()]},
    )


def _kernels(settings: Settings, seeds: Seeds, name: str) -> OffSwitchBatch:
    sizes = (settings.n_states, settings.n_human, settings.n_assistant)
    return kernel_games(settings.n_games, *sizes, rng=seeds(name))


def _redundancy(settings: Settings, seeds: Seeds) -> dict[str, float]:
    sizes = (settings.n_games, settings.n_states, settings.n_human, settings.n_assistant)
    exceptions = {}
    for side, letter in (("assistant", "a"), ("human", "h")):
        redundant = redundant_games(*sizes, rng=seeds(f"redundant {side}"), redundant=side)
        for kind, batch in (("redundant", redundant), ("private", _kernels(settings, seeds, f"private {side}"))):
            table = wait_table(*batch.tables())
            forced = table.always if side == "assistant" else table.never
            exceptions[f"{kind}_{letter}_exceptions"] = float((forced < table.total.max(axis=1)).sum())
    return exceptions


def _garblings(settings: Settings, seeds: Seeds) -> dict[str, float]:
    games = _kernels(settings, seeds, "garbled")
    values, _ = optimal_values(*games.tables())
    gains = {}
    for name, coordinated in (("garbling_gains", True), ("uncoordinated_gains", False)):
        coarse = coordinated_garbling(games, rng=seeds(name), coordinated=coordinated)
        garbled, _ = optimal_values(*coarse.tables())
        # Both are integers; cross-multiplied by the other's scale they compare exactly.
        gains[name] = float((garbled * games.scale > values * coarse.scale).sum())
    first, second = (best_value(game) for game in uncoordinated_garbling_pair())
    gains["uncoordinated_gains"] += float(second > first)
    return gains


def _talk(settings: Settings, seeds: Seeds) -> dict[str, float]:
    games = _kernels(settings, seeds, "talk")
    on, off = games.tables()
    by_size = channel_values(wait_table(on, off), settings.n_assistant)
    best = np.stack([values.max(axis=1) for values in by_size])
    reached = []
    for n_messages in (1, 2):
        payoff = team_payoffs(on, off, n_messages)
        start = seeds(f"start {n_messages}").integers(0, 2, size=(settings.n_games, payoff.shape[3]))
        reached.append(alternating_values(payoff, start))
    return {
        "talk_losses": float((np.diff(best, axis=0) < 0).any(axis=0).sum()),
        "equilibrium_talk_losses": float((reached[1] < reached[0]).sum()),
        "full_talk_exceptions": float((by_size[-1][:, -1] < best[-1]).sum()),
        "short_talk_exceptions": float((by_size[-2][:, -1] < best[-2]).sum()),
    }


def signs_of_talk(settings: Settings, seeds: Seeds) -> dict[str, float]:
    """Shares of 3 x 3 games with payoffs in [-4, 4] by what two messages do to the only wait set."""
    counts = {"waits less": 0, "waits more": 0, "waits on others": 0, "waits on the same": 0, "several optima": 0}
    rng, left = seeds("reversals"), settings.n_reversal_games
    while left:
        n = min(left, 16_384)
        silent, spoken = channel_values(wait_table(*cell_games(n, 3, 3, rng=rng).tables()), 2)
        sets, unique = [], np.ones(n, dtype=bool)
        for values in (silent, spoken):
            at_best = values == values.max(axis=1, keepdims=True)
            unique &= at_best.sum(axis=1) == 1
            sets.append(at_best.argmax(axis=1))
        before, after = sets
        moved, lost, won = unique & (before != after), before & ~after != 0, after & ~before != 0
        for change, found in (
            ("waits less", moved & ~won),
            ("waits more", moved & ~lost),
            ("waits on others", moved & lost & won),
            ("waits on the same", unique & ~moved),
            ("several optima", ~unique),
        ):
            counts[change] += int(found.sum())
        left -= n
    return {change: count / settings.n_reversal_games for change, count in counts.items()}


def _stochastic(settings: Settings, seeds: Seeds) -> dict[str, float]:
    """Random stochastic pairs against all deterministic ones, in integers: policies in steps of a third."""
    rng, n, tickets = seeds("stochastic"), settings.n_games, 3
    games = cell_games(n, 2, 3, rng=rng)
    on, off = games.tables()
    payoff = team_payoffs(on, off)
    plans_a, plans_h = policies(3, 3), policies(2, 2)
    chosen = payoff[:, np.arange(3), plans_a].sum(axis=2)  # [game, A's policy, oH, h]
    pairs = chosen[:, :, np.arange(2), plans_h].sum(axis=3)  # [game, A's policy, H's policy]
    flat = pairs.reshape(n, -1)
    best = flat.max(axis=1)
    unique = (flat == best[:, None]).sum(axis=1) == 1
    one_a, one_h = (plans[i] for plans, i in zip((plans_a, plans_h), np.divmod(flat.argmax(axis=1), len(plans_h)), strict=True))
    gains = ties = tied_ties = 0
    for draw in ("anywhere", "near an optimal pair"):
        mixed_a, mixed_h = _tickets(rng, n, 3, 3, tickets), _tickets(rng, n, 2, 2, tickets)
        if draw != "anywhere":
            # One observation of A (or of H) randomises; the rest of the pair stays optimal.
            rows, where = np.arange(n), rng.integers(0, 5, size=n)
            pure_a, pure_h = tickets * np.eye(3, dtype=np.int64)[one_a], tickets * np.eye(2, dtype=np.int64)[one_h]
            at_a, at_h = np.minimum(where, 2), np.maximum(where - 3, 0)
            pure_a[rows[where < 3], at_a[where < 3]] = mixed_a[rows[where < 3], at_a[where < 3]]
            pure_h[rows[where >= 3], at_h[where >= 3]] = mixed_h[rows[where >= 3], at_h[where >= 3]]
            mixed_a, mixed_h = pure_a, pure_h
        earned = np.einsum("goazh,goa,gzh->g", payoff, mixed_a, mixed_h, optimize=True)
        target = best * tickets**2
        proper = (mixed_a.max(axis=2) < tickets).any(axis=1) | (mixed_h.max(axis=2) < tickets).any(axis=1)
        gains += int((earned > target).sum())
        ties += int((proper & unique & (earned == target)).sum())
        tied_ties += int((proper & ~unique & (earned == target)).sum())
    informed = np.maximum(on, off).sum(axis=(1, 2))
    return {
        "stochastic_gains": float(gains),
        "informed_gains": float((informed > best).sum()),
        "stochastic_ties": float(ties),
        "tied_stochastic_ties": float(tied_ties),
    }


def _tickets(rng: np.random.Generator, n: int, n_observations: int, n_actions: int, tickets: int) -> np.ndarray:
    """[game, observation, action]; random integer weights that sum to `tickets`."""
    chances = rng.dirichlet(np.full(n_actions, 0.5), size=(n, n_observations))
    return np.asarray(rng.multinomial(tickets, chances))


def _informed_human(settings: Settings, seeds: Seeds) -> dict[str, float]:
    """The original off-switch game with random utilities and priors, and with a human who misreads them."""
    rng, n, n_states, grain = seeds("informed"), settings.n_games, 5, 8
    # A third of the games has non-negative utilities only, so that one sign is common.
    low = np.where(rng.random(n) < 1 / 3, 0, -9)[:, None]
    utility = rng.integers(low, 10, size=(n, n_states))
    weight = 1 + rng.multinomial(20, np.full(n_states, 1 / n_states), size=n)
    value = weight * utility
    formula = np.minimum(np.where(value >= 0, value, 0).sum(axis=1), -np.where(value < 0, value, 0).sum(axis=1))
    two_signs = (utility > 0).any(axis=1) & (utility < 0).any(axis=1)
    misses = {}
    for name, right in (("", grain), ("noisy_", grain // 2)):
        wrong = (grain - right) // (n_states - 1)
        reading = wrong + (right - wrong) * np.eye(n_states, dtype=np.int64)  # [state, reading], out of `grain`
        on = np.einsum("gs,sh->gh", value, reading)[:, :, None]
        table = wait_table(on, np.zeros_like(on))
        advantage = table.always - table.never
        misses[f"{name}formula_misses"] = float((advantage != formula * reading[0].sum()).sum())
        misses[f"{name}sign_misses"] = float(((advantage > 0) != two_signs).sum())
    return misses


def _deference(settings: Settings, seeds: Seeds) -> tuple[dict[str, float], dict[str, Table]]:
    """Value, waiting and the price of always waiting by channel size, over games with payoffs in [-1, 1]."""
    n, n_a, largest = settings.n_games, settings.n_assistant, 1000
    estimands: dict[str, float] = {}
    waiting: Table = []
    costs: Table = []
    private = cell_games(n, n_a, n_a, rng=seeds("curve"), largest=largest)
    redundant = redundant_games(n, settings.n_states, settings.n_human, n_a, rng=seeds("redundant curve"), largest=largest)
    for kind, games in (("private", private), ("redundant", redundant)):
        unit = games.scale * largest
        by_set = set_mass(games)
        by_size = channel_values(wait_table(*games.tables()), n_a)
        for m, values in enumerate(by_size, start=1):
            best = values.max(axis=1)
            price = (best - values[:, -1]) / unit
            at_best = values == best[:, None]
            # Where several wait sets tie, the most and the least deferential of them.
            most = np.where(at_best, by_set, -1.0).max(axis=1)
            least = np.where(at_best, by_set, 2.0).min(axis=1)
            rest = 1 - by_set[:, :-1]
            shortfall = (values[:, :-1] - values[:, -1:]) / unit
            bonus = np.where(rest > 0, np.maximum(shortfall, 0) / np.where(rest > 0, rest, 1), 0).max(axis=1)
            prefix = "" if kind == "private" else "redundant_"
            name = {1: "1", 2: "2", n_a: "full"}.get(m)
            if name:
                estimands[f"{prefix}price_{name}"] = float(price.mean())
            where: dict[str, float | int | str | bool] = {"games": kind, "messages": m}
            waiting.append(
                where | {"most": float(most.mean()), "least": float(least.mean()), "value": float((best / unit).mean())}
            )
            costs += [
                where | {"quantity": quantity, "mean": float(x.mean())}
                for quantity, x in (("price of always waiting", price), ("bonus that restores waiting", bonus))
            ]
    return estimands, {"waiting": waiting, "costs": costs}


def set_mass(games: OffSwitchBatch) -> np.ndarray:
    """[game, set]; probability that A sees an observation of the set."""
    seen = games.mass().sum(axis=1) / games.scale
    members = np.arange(2 ** seen.shape[1])[None, :] >> np.arange(seen.shape[1])[:, None] & 1
    return np.asarray(seen @ members)
