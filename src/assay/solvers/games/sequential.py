"""The solution of a game of several steps as plain data: its exact value, both policies and the certificate."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from assay.core.errors import InputError
from assay.solvers.games.dec_pomdp import DEFAULT_WORK, solve_dec_pomdp
from assay.worlds.games.dec_pomdp import DecPOMDP
from assay.worlds.games.rationals import shown
from assay.worlds.games.sequential import SequentialGame

__all__ = ["decimal_text", "solve_sequential"]

MAX_LOOK_AHEAD = 64  # steps; the number of histories never falls with more
LOOK_AHEAD_WORK = 30_000_000  # entries to go through: some tenths of a second
MAX_EXACT_DIGITS = 3_000  # beyond which a value's fraction is given by its first digits only


def solve_sequential(
    game: SequentialGame, horizon: int, *, discount: Fraction | None = None, limit: int = DEFAULT_WORK
) -> dict[str, Any]:
    """What is known about a game of several steps once solved, ready for JSON.

    The search runs in floating point; the value is that of the policy found, computed again in rational arithmetic, and the
    certificate says by how much any other joint policy could be better at most.

    Args:
        game: the game.
        horizon: how many steps.
        discount: factor per step; the game's own where None.
        limit: how much work the search may take.

    Raises:
        InputError: the search would take more work than `limit`, or any policy more histories.
    """
    searched = game.dec_pomdp(discount)
    _refuse_long(searched, horizon, limit)
    found = solve_dec_pomdp(searched, horizon, limit=limit)
    value = game.value(horizon, found.assistant, found.human, discount)
    factor = game.discount if discount is None else discount
    size = max((abs(float(x)) for x in game.reward.flat), default=0.0) * horizon
    slack = found.slack + 1e-12 * size + abs(float(value) - found.value)
    names = game.assistant_observations, game.human_observations
    policies = (
        (found.assistant, game.assistant_actions, names[0] if game.first is not None else None, names[0]),
        (found.human, game.human_actions, names[1] if game.first is not None else None, names[1]),
    )
    assistant, human = (_policy(*parts) for parts in policies)
    short = max(len(str(value.denominator)), len(str(abs(value.numerator)))) <= MAX_EXACT_DIGITS
    return {
        "game": game.name,
        "kind": "sequential",
        "human": "optimal",
        "horizon": horizon,
        "discount": shown(factor),
        "value": shown(value) if short else f"{float(value):.17g}",
        "value_decimal": decimal_text(value),
        "value_float": float(value),
        "assistant": assistant,
        "human_policy": human if len(game.human_actions) > 1 else None,
        "certificate": {
            "says": "`value` is what these policies earn, in rational arithmetic; that no joint policy earns more than `value` "
            "and `slack` was found in floating point, every branch not visited being bounded by what both could earn if they "
            "shared what they see",
            "slack": slack,
            "n_occupancy_states": found.n_nodes,
            "work": found.work,
        },
    }


def _refuse_long(game: DecPOMDP, horizon: int, limit: int) -> None:
    """Refuse, before any search, what no policy can be written down and evaluated for within the limit."""
    if game.discount and horizon * (horizon + 1) // 2 > limit:
        raise InputError(
            f"'{game.name}': the histories of one course of {horizon:,} steps must have at most {limit:,} entries together; "
            f"they have {horizon * (horizon + 1) // 2:,}. Shorten the horizon, or raise the limit (--limit)"
        )
    least = _least_histories(game, horizon, limit)
    if least > limit:
        raise InputError(
            f"'{game.name}': every policy of {horizon:,} steps must meet at most {limit:,} joint histories of observations; it "
            f"meets at least {least:,.0f}. Shorten the horizon, merge observations, or raise the limit (--limit)"
        )


def _least_histories(game: DecPOMDP, horizon: int, enough: int) -> float:
    """How many joint histories of observations lead to the last step at least, whatever both do; stops counting at `enough`.

    After each joint observation, as many follow as from the possible next state that leads to the most; the actions that lead
    to the fewest are assumed to be taken.
    """
    if not game.discount:
        return 1.0
    moves = game.transition > 0
    seen = (game.observation > 0).reshape(*game.observation.shape[:3], -1)
    steps = min(horizon - 1, MAX_LOOK_AHEAD, max(2, LOOK_AHEAD_WORK // (moves.size * seen.shape[3])))
    from_here = np.ones(len(game.start))
    for _ in range(steps):
        following = np.zeros(moves.shape[:3])
        for kind in np.moveaxis(seen, 3, 0):
            following += ((moves & kind) * from_here).max(axis=3)
        from_here = following.min(axis=(1, 2))
        if from_here.min() > enough:
            break
    first = (game.first > 0).sum(axis=(1, 2))
    return float((from_here * first)[game.start > 0].max())


def decimal_text(value: Fraction, digits: int = 15) -> str:
    """A rational as a decimal: exact where it ends within the digits, rounded to as many otherwise."""
    shifted = value.denominator
    for prime in (2, 5):
        while shifted % prime == 0:
            shifted //= prime
    places = 0
    if shifted == 1:
        scale = 1
        while scale % value.denominator:
            scale *= 10
            places += 1
            if places > digits:
                break
        else:
            whole = abs(value.numerator) * (scale // value.denominator)
            text = f"{whole // scale}" + (f".{whole % scale:0{places}d}" if places else "")
            return f"-{text}" if value < 0 else text
    return f"{float(value):.12g}"


def _policy(
    chosen: Mapping[tuple[int, ...], int], actions: tuple[str, ...], first: tuple[str, ...] | None, later: tuple[str, ...]
) -> list[dict[str, Any]]:
    """What to do after each history of observations that can occur, shortest first."""
    rows = []
    for history in sorted(chosen, key=lambda h: (len(h), h)):
        seen = [first[history[0]]] if first is not None else []
        rows.append({"after": [*seen, *(later[x] for x in history[1:])], "action": actions[chosen[history]]})
    return rows
