"""Humans who are not optimal, and what an assistant who knows them should do.

Three models of a human in a one-shot common-payoff game: optimal (best reply to A's policy), naive (takes A's action to say
nothing, as if A acted at random; in an off-switch game: ignores that A chose to wait) and Boltzmann (knows A's policy, chooses
h with probability proportional to exp(beta * expected payoff)).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import log
from typing import Protocol

import numpy as np
import numpy.typing as npt

from assay.core.errors import InputError
from assay.worlds.games.team import Table, TeamForm

__all__ = ["Boltzmann", "Human", "Naive", "Optimal", "Reply", "best_assistant", "payoff_against"]

Policy = tuple[int, ...]
Floats = npt.NDArray[np.float64]
MAX_POLICIES = 2_000_000  # of A; each costs one reply of the human
CHUNK = 4096


class Human(Protocol):
    """How a human replies to many policies of A at once."""

    def replies(self, form: TeamForm, tables: Floats, masses: Floats) -> Floats:
        """Probabilities of each action, [policy, human observation, action].

        Args:
            form: the game.
            tables: [policy, human observation, action]; payoff of each action, times probability, under each policy of A
                (for `Optimal` in any unit).
            masses: [policy, human observation]; probability of each observation under each policy of A.
        """
        ...


@dataclass(frozen=True)
class Optimal:
    """Best replies to A's policy; ties are split evenly."""

    def replies(self, form: TeamForm, tables: Floats, masses: Floats) -> Floats:
        """See `Human`."""
        return _greedy(tables)


@dataclass(frozen=True)
class Naive:
    """Best replies to an A who acts uniformly at random whatever it sees; ties are split evenly."""

    def replies(self, form: TeamForm, tables: Floats, masses: Floats) -> Floats:
        """See `Human`."""
        prior = form.payoff.sum(axis=(0, 1))  # integers, so ties are seen
        return np.broadcast_to(_greedy(prior[None]), tables.shape)


@dataclass(frozen=True)
class Boltzmann:
    """Noisy replies to A's policy.

    Attributes:
        beta: inverse temperature, per unit of payoff; 0 chooses uniformly, large values approach the optimal human.
    """

    beta: float

    def __post_init__(self) -> None:
        if not (0 <= self.beta < float("inf")):
            raise InputError(f"beta must be a finite number of at least 0; got {self.beta}. For a rational human use 'optimal'")

    def replies(self, form: TeamForm, tables: Floats, masses: Floats) -> Floats:
        """See `Human`."""
        expected = tables / np.where(masses > 0, masses, 1.0)[..., None]
        # A cell in which H is never asked holds no choice of hers; uniform there, which no payoff depends on.
        weights = np.exp(self.beta * (expected - expected.max(axis=2, keepdims=True)))
        weights = np.where(masses[..., None] > 0, weights, 1.0)
        return np.asarray(weights / weights.sum(axis=2, keepdims=True))


@dataclass(frozen=True)
class Reply:
    """What an assistant who knows its human achieves.

    Attributes:
        value: expected common payoff of the best A-policy, in the game's unit; exact where `exact`.
        assistants: every best policy of A (to within 1e-12 for a Boltzmann human).
        human: [human observation, action]; H's reply to the first of them, as probabilities.
    """

    value: float
    assistants: tuple[Policy, ...]
    human: Floats

    @property
    def rational(self) -> Fraction:
        """The value as the nearest fraction with a denominator below a million."""
        return Fraction(self.value).limit_denominator(1_000_000)


def payoff_against(form: TeamForm, assistant: Sequence[int], human: Human) -> float:
    """Expected common payoff of one policy of A against a model of H."""
    return float(_payoffs(form, np.asarray([assistant]), human)[0][0])


def best_assistant(form: TeamForm, human: Human, *, among: Sequence[Policy] | None = None) -> Reply:
    """The best policies of an assistant who knows how its human behaves.

    Args:
        form: the game.
        human: the model.
        among: the policies A may choose from; all deterministic ones where omitted.

    Raises:
        InputError: A has more policies than can be visited.
    """
    n_a, k_a, _, _ = form.shape
    if among is None and n_a * log(max(k_a, 1)) > log(MAX_POLICIES):
        raise InputError(
            f"'{form.name}': with this human A must have at most {MAX_POLICIES:,} policies; it has {k_a}^{n_a}. "
            "Merge observations or actions"
        )
    best, reply = -np.inf, np.zeros(form.shape[2:])
    found: list[Policy] = []
    for block in _blocks(product(range(k_a), repeat=n_a) if among is None else iter(among)):
        values, replies = _payoffs(form, np.asarray(block), human)
        top = float(values.max())
        tolerance = 1e-12 * max(1.0, abs(top))
        if top > best + tolerance:
            best, found, reply = top, [], replies[int(values.argmax())]
        found.extend(policy for policy, value in zip(block, values, strict=True) if value >= best - tolerance)
    return Reply(best, tuple(found), reply)


def _payoffs(form: TeamForm, policies: npt.NDArray[np.int64], human: Human) -> tuple[Floats, Floats]:
    """Value of each policy of A, and H's reply to it."""
    # Integers as long as they last: int64 or Python's own, so that ties are ties.
    tables = np.zeros((len(policies), *form.shape[2:]), dtype=form.payoff.dtype)
    masses = np.zeros((len(policies), form.shape[2]), dtype=form.mass.dtype)
    for observation in range(form.shape[0]):
        tables += form.payoff[observation, policies[:, observation]]
        masses += form.mass[observation, policies[:, observation]]
    scaled = np.asarray(tables / form.denominator, dtype=np.float64)
    probability = np.asarray(masses / form.mass_denominator, dtype=np.float64)
    replies = human.replies(form, tables if isinstance(human, Optimal) else scaled, probability)
    return np.asarray((scaled * replies).sum(axis=(1, 2))), replies


def _greedy(tables: Table) -> Floats:
    best = tables == tables.max(axis=2, keepdims=True)
    return np.asarray(best / best.sum(axis=2, keepdims=True), dtype=np.float64)


def _blocks(policies: Iterator[Policy]) -> Iterator[list[Policy]]:
    block: list[Policy] = []
    for policy in policies:
        block.append(policy)
        if len(block) == CHUNK:
            yield block
            block = []
    if block:
        yield block
