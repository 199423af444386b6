"""The paper's theorems on random integer games: how many exceptions there are, with and without their condition."""

import numpy as np

from assay.core.progress import parts
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

N_STATES, N_HUMAN, N_ASSISTANT = 4, 3, 4  # of games with random kernels


def exceptions(n_games: int, seeds: Seeds) -> dict[str, float]:
    """How many of `n_games` random games break each theorem, and how many break it once its condition is dropped."""
    found: dict[str, float] = {}
    for part in parts((_redundancy, _garblings, _talk, _stochastic, _informed_human)):
        found |= part(n_games, seeds)
    return found


def _kernels(n: int, seeds: Seeds, name: str) -> OffSwitchBatch:
    return kernel_games(n, N_STATES, N_HUMAN, N_ASSISTANT, rng=seeds(name))


def _redundancy(n: int, seeds: Seeds) -> dict[str, float]:
    broken = {}
    for side in ("assistant", "human"):
        redundant = redundant_games(n, N_STATES, N_HUMAN, N_ASSISTANT, rng=seeds(f"redundant {side}"), redundant=side)
        for kind, batch in (("redundant", redundant), ("private", _kernels(n, seeds, f"private {side}"))):
            table = wait_table(*batch.tables())
            forced = table.always if side == "assistant" else table.never
            broken[f"{kind}-{side}/exceptions"] = float((forced < table.total.max(axis=1)).sum())
    return broken


def _garblings(n: int, seeds: Seeds) -> dict[str, float]:
    games = _kernels(n, seeds, "garbled")
    values, _ = optimal_values(*games.tables())
    gains = {}
    for name, coordinated in (("coordinated", True), ("joint", False)):
        coarse = coordinated_garbling(games, rng=seeds(f"{name} garbling"), coordinated=coordinated)
        garbled, _ = optimal_values(*coarse.tables())
        # Both are integers; cross-multiplied by the other's scale they compare exactly.
        gains[f"{name}/gains"] = float((garbled * games.scale > values * coarse.scale).sum())
    return gains


def _talk(n: int, seeds: Seeds) -> dict[str, float]:
    games = _kernels(n, seeds, "talk")
    on, off = games.tables()
    by_size = channel_values(wait_table(on, off), N_ASSISTANT)
    best = np.stack([values.max(axis=1) for values in by_size])
    reached = []
    for n_messages in (1, 2):
        payoff = team_payoffs(on, off, n_messages)
        start = seeds(f"start {n_messages}").integers(0, 2, size=(n, payoff.shape[3]))
        reached.append(alternating_values(payoff, start))
    return {
        "optimum/losses": float((np.diff(best, axis=0) < 0).any(axis=0).sum()),
        "in-turn/losses": float((reached[1] < reached[0]).sum()),
        "every-word/exceptions": float((by_size[-1][:, -1] < best[-1]).sum()),
        "one-word-short/exceptions": float((by_size[-2][:, -1] < best[-2]).sum()),
    }


def _stochastic(n: int, seeds: Seeds) -> dict[str, float]:
    """Random stochastic pairs against all deterministic ones, in integers: policies in steps of a third."""
    rng, tickets = seeds("stochastic"), 3
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
        "separate/mixture_gains": float(gains),
        "joint/mixture_gains": float((informed > best).sum()),
        "one-optimum/mixture_ties": float(ties),
        "several-optima/mixture_ties": float(tied_ties),
    }


def _tickets(rng: np.random.Generator, n: int, n_observations: int, n_actions: int, tickets: int) -> np.ndarray:
    """[game, observation, action]; random integer weights that sum to `tickets`."""
    chances = rng.dirichlet(np.full(n_actions, 0.5), size=(n, n_observations))
    return np.asarray(rng.multinomial(tickets, chances))


def _informed_human(n: int, seeds: Seeds) -> dict[str, float]:
    """The original off-switch game with random utilities and priors, and with a human who misreads them."""
    rng, n_states, grain = seeds("informed"), 5, 8
    # A third of the games has non-negative utilities only, so that one sign is common.
    low = np.where(rng.random(n) < 1 / 3, 0, -9)[:, None]
    utility = rng.integers(low, 10, size=(n, n_states))
    weight = 1 + rng.multinomial(20, np.full(n_states, 1 / n_states), size=n)
    value = weight * utility
    formula = np.minimum(np.where(value >= 0, value, 0).sum(axis=1), -np.where(value < 0, value, 0).sum(axis=1))
    two_signs = (utility > 0).any(axis=1) & (utility < 0).any(axis=1)
    misses = {}
    for name, right in (("informed", grain), ("misreading", grain // 2)):
        wrong = (grain - right) // (n_states - 1)
        reading = wrong + (right - wrong) * np.eye(n_states, dtype=np.int64)  # [state, reading], out of `grain`
        on = np.einsum("gs,sh->gh", value, reading)[:, :, None]
        table = wait_table(on, np.zeros_like(on))
        advantage = table.always - table.never
        misses[f"{name}/formula_misses"] = float((advantage != formula * reading[0].sum()).sum())
        misses[f"{name}/sign_misses"] = float(((advantage > 0) != two_signs).sum())
    return misses
