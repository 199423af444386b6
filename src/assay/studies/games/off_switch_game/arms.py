"""Arms of the random-games experiment: the same games with one thing added or taken away, and games near a paper's example.

Games come as tables [game, human observation, assistant observation]: the payoff of going through, times probability and a
scale that all games of a table share. Not going through pays nothing.
"""

from collections.abc import Sequence

import numpy as np

from assay.solvers.games.batches import wait_table
from assay.studies.games.off_switch_game.random_games import Integers, OffSwitchBatch

__all__ = [
    "alike_in_two_rows",
    "changes",
    "near",
    "only_wait_set",
    "shown_to_human",
    "silent_values",
    "with_coin",
]


def shown_to_human(on: Integers) -> Integers:
    """The same games in which H sees A's observation too: A has no private information left."""
    n, n_h, n_a = on.shape
    out = np.zeros((n, n_h, n_a, n_a), dtype=on.dtype)
    out[:, :, np.arange(n_a), np.arange(n_a)] = on
    return out.reshape(n, n_h * n_a, n_a)


def with_coin(on: Integers) -> Integers:
    """The same games in which H also sees a fair coin, which tells her nothing; payoffs are times twice the scale."""
    return np.repeat(on, 2, axis=1)


def alike_in_two_rows(on: Integers) -> Integers:
    """The same games in which H's first two observations look alike to her."""
    return np.concatenate([on[:, :1] + on[:, 1:2], on[:, 2:]], axis=1)


def near(
    act: Sequence[Sequence[int]], n: int, *, rng: np.random.Generator, magnify: int = 20, largest: int = 4
) -> OffSwitchBatch:
    """Games near an example: its payoffs, a row for each of H's observations, magnified and moved by up to `largest` each."""
    payoff = magnify * np.array(act, dtype=np.int64)
    n_h, n_a = payoff.shape
    observe = np.eye(n_h * n_a, dtype=np.int64).reshape(n_h * n_a, n_h, n_a)
    return OffSwitchBatch(
        np.ones((n, n_h * n_a), dtype=np.int64),
        np.broadcast_to(observe, (n, *observe.shape)),
        payoff.ravel() + rng.integers(-largest, largest + 1, size=(n, n_h * n_a)),
    )


def only_wait_set(values: Integers) -> tuple[np.ndarray, np.ndarray]:
    """From values [game, wait set]: whether one set alone is optimal, and the first optimal set, bit i for observation i."""
    at_best = values == values.max(axis=1, keepdims=True)
    return at_best.sum(axis=1) == 1, at_best.argmax(axis=1)


def changes(before: Integers, after: Integers) -> dict[str, float]:
    """Shares of games by what happens to the only wait set between two [game, wait set] tables of values."""
    (one, old), (other, new) = only_wait_set(before), only_wait_set(after)
    unique, lost, won = one & other, (old & ~new) != 0, (new & ~old) != 0
    return {
        "waits less": float((unique & lost & ~won).mean()),
        "waits more": float((unique & won & ~lost).mean()),
        "waits on others": float((unique & lost & won).mean()),
        "waits on the same": float((unique & ~lost & ~won).mean()),
        "several optima": float((~unique).mean()),
    }


def silent_values(on: Integers) -> Integers:
    """[game, wait set]; the best value of every wait set without messages."""
    return wait_table(on, np.zeros_like(on)).total
