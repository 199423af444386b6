"""Other versions of the paper's games: more or less shown to a side, a side restricted."""

from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np

from assay.solvers.games.pairs import human_best_responses, optimal_value
from assay.studies.games.off_switch_game.random_games import OffSwitchBatch, coordinated_garbling
from assay.worlds.games.off_switch import OffSwitchGame


def best_value(game: OffSwitchGame) -> Fraction:
    """The value of an optimal pair."""
    return optimal_value(game.team_form())[0]


def restricted_value(game: OffSwitchGame, *, waits: bool) -> Fraction:
    """The optimum when A may only wait, or may never wait."""
    form = game.team_form()
    allowed = [a for a, marked in enumerate(form.marked) if marked == waits]
    return max(human_best_responses(form, policy)[0] for policy in product(allowed, repeat=form.shape[0]))


def always_waiting_value(game: OffSwitchGame) -> Fraction:
    """The optimum when A must always wait."""
    return restricted_value(game, waits=True)


def with_code_shown(game: OffSwitchGame) -> OffSwitchGame:
    """The same game in which H sees A's observation too."""
    pairs = [(h, a) for h in game.human_observations for a in game.assistant_observations]
    observe = tuple(
        tuple(
            tuple(table[i][j] if game.assistant_observations[j] == a else Fraction(0) for j in range(len(table[i])))
            for h, a in pairs
            for i in (game.human_observations.index(h),)
        )
        for table in game.observe
    )
    return _with_human_observations(game, tuple(f"{h} {a}" for h, a in pairs), observe)


def with_version_shown(game: OffSwitchGame) -> OffSwitchGame:
    """The same game in which A sees H's observation too, and can decide alone."""
    pairs = [(h, a) for h in range(len(game.human_observations)) for a in range(len(game.assistant_observations))]
    return replace(
        game,
        name=f"{game.name}, A sees both",
        assistant_observations=tuple(f"{game.human_observations[h]} {game.assistant_observations[a]}" for h, a in pairs),
        observe=tuple(
            tuple(tuple(table[h][a] if h == i else Fraction(0) for h, a in pairs) for i in range(len(game.human_observations)))
            for table in game.observe
        ),
    )


def with_coin(game: OffSwitchGame) -> OffSwitchGame:
    """The same game in which H sees a fair coin beside her observation."""
    observe = tuple(tuple(tuple(p / 2 for p in row) for row in table for _ in range(2)) for table in game.observe)
    return _with_human_observations(
        game, tuple(f"{h} {c}" for h in game.human_observations for c in ("heads", "tails")), observe
    )


def _with_human_observations(
    game: OffSwitchGame, names: tuple[str, ...], observe: tuple[tuple[tuple[Fraction, ...], ...], ...]
) -> OffSwitchGame:
    return replace(game, human_observations=names, observe=observe)


def garbled(game: OffSwitchGame, rng: np.random.Generator) -> OffSwitchGame:
    """The game seen through a random coordinated garbling."""
    n_h, n_a = len(game.human_observations), len(game.assistant_observations)
    weight = np.array([[1] * len(game.states)])
    observe = np.array([[[[int(p) for p in row] for row in table] for table in game.observe]])
    batch = OffSwitchBatch(weight, observe, np.array([[int(u) for u in game.act]]))
    assert observe.shape == (1, len(game.states), n_h, n_a)
    return coordinated_garbling(batch, rng=rng).game(0)
