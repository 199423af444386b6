"""Common-payoff games of several steps with names and exact numbers: what a `.pomdp`, a `.dpomdp` or a JSON file holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from assay.core.arrays import Exacts
from assay.core.errors import InputError
from assay.worlds.games.dec_pomdp import DecPOMDP
from assay.worlds.games.off_switch import check_names
from assay.worlds.games.rationals import check_kernel

__all__ = ["MAX_ENTRIES", "SequentialGame"]

MAX_ENTRIES = 2_000_000  # of the exact tables together: some seconds to read
History = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class SequentialGame:
    """A finite common-payoff game in time for an assistant A and a human H who see different things.

    A partner with one action and one observation makes it a POMDP.

    Attributes:
        name: for tables.
        states: names of the states, and likewise the four fields after it.
        start: [state]; distribution of the first state.
        transition: [state, A's action, H's action, next state].
        observation: [A's action, H's action, next state, A's observation, H's observation].
        reward: [state, A's action, H's action]; expected common reward of a step.
        first: [state, A's observation, H's observation]; what either sees before the first action; None where nothing is seen.
        discount: factor per step.
        horizon: how many steps, if the file says.
    """

    name: str
    states: tuple[str, ...]
    assistant_actions: tuple[str, ...]
    human_actions: tuple[str, ...]
    assistant_observations: tuple[str, ...]
    human_observations: tuple[str, ...]
    start: Exacts
    transition: Exacts
    observation: Exacts
    reward: Exacts
    first: Exacts | None
    discount: Fraction
    horizon: int | None = None

    def __post_init__(self) -> None:
        for names in ("states", "assistant_actions", "human_actions", "assistant_observations", "human_observations"):
            check_names(getattr(self, names), where=f"{self.name}: {names}")
        if not 0 <= self.discount <= 1:
            raise InputError(f"{self.name}: discount must lie in [0, 1]; got {self.discount}. Values beyond never settle")
        check_kernel(list(self.start), where=f"{self.name}: the distribution of the first state")
        for s, state in enumerate(self.states):
            for a, act in enumerate(self.assistant_actions):
                for h, reply in enumerate(self.human_actions):
                    where = f"{self.name}: after '{act}'" + (f" and '{reply}'" if len(self.human_actions) > 1 else "")
                    check_kernel(self.transition[s, a, h].tolist(), where=f"{where} in state '{state}', the next state")
                    check_kernel(self.observation[a, h, s].ravel().tolist(), where=f"{where}, what is seen in state '{state}'")
        if self.first is not None:
            for state, table in zip(self.states, self.first, strict=True):
                check_kernel(table.ravel().tolist(), where=f"{self.name}: what is seen first in state '{state}'")

    def dec_pomdp(self, discount: Fraction | None = None) -> DecPOMDP:
        """The game in floating point, as the search takes it."""
        n = len(self.states)
        first = np.ones((n, 1, 1)) if self.first is None else self.first.astype(float)
        start, transition, observation, reward = (
            table.astype(float) for table in (self.start, self.transition, self.observation, self.reward)
        )
        factor = self.discount if discount is None else discount
        return DecPOMDP(self.name, start, transition, observation, reward, first, float(factor))

    def value(
        self, horizon: int, assistant: Mapping[History, int], human: Mapping[History, int], discount: Fraction | None = None
    ) -> Fraction:
        """The exact expected discounted sum of rewards of a joint policy given by observation histories."""
        factor = self.discount if discount is None else discount
        sees = _seen(self.observation)
        moves = _support(self.transition)
        live: dict[tuple[History, History], dict[int, Fraction]] = {}
        for s, p in enumerate(self.start):
            if not p:
                continue
            seen = [(0, 0, Fraction(1))] if self.first is None else _pairs(self.first[s])
            for x, y, q in seen:
                live.setdefault(((x,), (y,)), {})[s] = p * q
        total, weight = Fraction(0), Fraction(1)
        for step in range(horizon):
            if not weight:  # a discount of zero: later steps are worth nothing and have no policy
                break
            following: dict[tuple[History, History], dict[int, Fraction]] = {}
            for (ha, hh), masses in live.items():
                a, h = assistant[ha], human[hh]
                arrived: dict[int, Fraction] = {}
                for s, p in masses.items():
                    total += weight * p * self.reward[s, a, h]
                    if step + 1 < horizon:
                        for to, q in moves(s, a, h):
                            arrived[to] = arrived.get(to, Fraction(0)) + p * q
                for to, p in arrived.items():
                    for x, y, q in sees(a, h, to):
                        into = following.setdefault(((*ha, x), (*hh, y)), {})
                        into[to] = into.get(to, Fraction(0)) + p * q
            live, weight = following, weight * factor
        return total


def _pairs(table: Exacts) -> list[tuple[int, int, Fraction]]:
    return [(int(x), int(y), table[x, y]) for x, y in zip(*np.nonzero(table), strict=True)]


def _seen(observation: Exacts) -> Any:
    cache: dict[tuple[int, int, int], list[tuple[int, int, Fraction]]] = {}

    def sees(a: int, h: int, s: int) -> list[tuple[int, int, Fraction]]:
        if (a, h, s) not in cache:
            cache[a, h, s] = _pairs(observation[a, h, s])
        return cache[a, h, s]

    return sees


def _support(transition: Exacts) -> Any:
    cache: dict[tuple[int, int, int], list[tuple[int, Fraction]]] = {}

    def moves(s: int, a: int, h: int) -> list[tuple[int, Fraction]]:
        if (s, a, h) not in cache:
            row = transition[s, a, h]
            cache[s, a, h] = [(int(to), row[to]) for to in np.flatnonzero(row)]
        return cache[s, a, h]

    return moves
