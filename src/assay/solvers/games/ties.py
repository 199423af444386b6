"""How many optimal pairs a game has, counted exactly without listing them, and which sets of observations they mark.

A search leaves all optimal policies of one side (`attained`); the other side's optimal actions given each are read off. Two
pairs are one "on path" where they differ only at observations of the follower that cannot occur. With the leader's policies
enumerated those are left out of the product. With the follower's enumerated, each pair is weighed by one over the number of its
copies, and the weights are added up over the sets of observations that the leader's optimal actions can reach.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice, product
from math import prod

import numpy as np

from assay.worlds.games.team import Table, TeamForm

__all__ = ["Policy", "count_pairs", "list_policies", "marked_sets", "replies"]

Policy = tuple[int, ...]
Options = tuple[tuple[int, ...], ...]
BLOCK = 2048
MAX_MASKS = 20_000  # distinct sets of reached observations followed at once; beyond it the pairs on path are not counted


def replies(form: TeamForm, payoff: Table, side: str, policies: Sequence[Policy]) -> Iterator[Options]:
    """For each policy of one side, all optimal actions of the other at each of its observations."""
    table = payoff if side == "assistant" else payoff.transpose(2, 3, 0, 1)
    rows = np.arange(table.shape[0])
    for start in range(0, len(policies), BLOCK):
        chosen = np.asarray(policies[start : start + BLOCK]).reshape(-1, table.shape[0])
        worth = np.zeros((len(chosen), *table.shape[2:]), dtype=table.dtype)
        for i in rows:
            worth = worth + table[i, chosen[:, i]]
        best = worth == worth.max(axis=2, keepdims=True)
        for policy in best.tolist():
            yield tuple(tuple(a for a, optimal in enumerate(row) if optimal) for row in policy)


def count_pairs(form: TeamForm, payoff: Table, side: str, attained: Sequence[Policy]) -> tuple[int, int | None]:
    """All optimal deterministic pairs, and how many differ where it matters; the second None where it is too long to count.

    Args:
        form: the game.
        payoff: its payoffs with what is illegal made worse than everything.
        side: whose policies were enumerated.
        attained: all of its optimal policies, actions in the order of its observations.
    """
    leader = "human" if form.human_reach else "assistant"
    follower = "assistant" if leader == "human" else "human"
    reach = form.reach()
    copies = [sum(row) for row in form.allowed(follower)]
    pairs, on_path = 0, Fraction(0)
    countable = True
    for policy, options in zip(attained, replies(form, payoff, side, attained), strict=True):
        pairs += prod(len(actions) for actions in options)
        if side == leader:
            reached = 0
            for observation, action in enumerate(policy):
                reached |= reach[observation][action]
            on_path += prod(len(actions) for z, actions in enumerate(options) if reached >> z & 1)
        elif countable:
            masks: dict[int, int] = {0: 1}
            for observation, actions in enumerate(options):
                grown: dict[int, int] = {}
                for action in actions:
                    for mask, n in masks.items():
                        key = mask | reach[observation][action]
                        grown[key] = grown.get(key, 0) + n
                masks = grown
                if len(masks) > MAX_MASKS:
                    countable = False
                    break
            for mask, n in masks.items():
                on_path += Fraction(n, prod(k for z, k in enumerate(copies) if not mask >> z & 1))
    return pairs, int(on_path) if countable else None


def list_policies(form: TeamForm, payoff: Table, side: str, attained: Sequence[Policy], most: int) -> tuple[list[Policy], bool]:
    """Optimal policies of A, at most so many, and whether these are all."""
    if side == "assistant":
        return sorted(attained)[:most], len(attained) <= most
    found: set[Policy] = set()
    for options in replies(form, payoff, side, attained):
        found.update(islice(product(*options), most + 1))
        if len(found) > most:
            return sorted(found)[:most], False
    return sorted(found), True


def marked_sets(
    form: TeamForm, payoff: Table, side: str, attained: Sequence[Policy], most: int
) -> tuple[tuple[frozenset[str], ...], bool]:
    """The sets of A's observations where an optimal policy takes a marked action, at most so many; whether they are all."""
    names, marked = form.assistant_observations, form.marked
    found: set[frozenset[str]] = set()
    complete = True
    if side == "assistant":
        for policy in attained:
            found.add(frozenset(name for name, action in zip(names, policy, strict=True) if marked[action]))
            if len(found) > most:
                complete = False
                break
    else:
        for options in replies(form, payoff, side, attained):
            either = [sorted({marked[action] for action in actions}) for actions in options]
            for picked in islice(product(*either), most + 1):
                found.add(frozenset(name for name, mark in zip(names, picked, strict=True) if mark))
            if len(found) > most:
                complete = False
                break
    ordered = sorted(found, key=lambda names_: (len(names_), sorted(names_)))
    return tuple(ordered[:most]), complete
