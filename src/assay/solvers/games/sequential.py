"""The solution of a game of several steps as plain data: its exact value, both policies and the certificate."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from assay.solvers.games.dec_pomdp import DEFAULT_WORK, solve_dec_pomdp
from assay.worlds.games.rationals import shown
from assay.worlds.games.sequential import SequentialGame

__all__ = ["decimal_text", "solve_sequential"]

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
        InputError: the search would take more work than `limit`.
    """
    found = solve_dec_pomdp(game.dec_pomdp(discount), horizon, limit=limit)
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
            "says": "no joint policy earns more than `value` and `slack`; every branch not visited is bounded by what both "
            "could earn if they shared what they see",
            "slack": slack,
            "n_occupancy_states": found.n_nodes,
            "work": found.work,
        },
    }


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
