"""Humans who are not optimal, and what an assistant who knows them should do.

Three models of a human in a one-shot common-payoff game: optimal (best reply to A's policy), naive (takes A's action to say
nothing, as if A acted at random; in an off-switch game: ignores that A chose to wait) and Boltzmann (knows A's policy, chooses
h with probability proportional to exp(beta * expected payoff)).
"""

import decimal
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, product
from math import lcm, prod
from typing import Protocol, runtime_checkable

import numpy as np

from assay.core.arrays import Bools, Floats, Ints, Numbers
from assay.core.errors import InputError
from assay.solvers.games.pairs import DEFAULT_LIMIT, optimal_pairs, refuse_policies
from assay.worlds.games.team import Table, TeamForm, fits_64_bits, total_magnitude

__all__ = ["Boltzmann", "Human", "Naive", "Optimal", "Reply", "best_assistant", "payoff_against"]

Policy = tuple[int, ...]
MAX_LISTED = 20_000
CHUNK = 4096


@runtime_checkable
class Human(Protocol):
    """How a human replies to many policies of A at once."""

    def replies(self, form: TeamForm, tables: Numbers, masses: Numbers) -> Floats:
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

    def replies(self, form: TeamForm, tables: Numbers, masses: Numbers) -> Floats:
        """See `Human`."""
        return _greedy(tables)


@dataclass(frozen=True)
class Naive:
    """Best replies to an A who acts uniformly at random whatever it sees; ties are split evenly."""

    def replies(self, form: TeamForm, tables: Numbers, masses: Numbers) -> Floats:
        """See `Human`."""
        return np.broadcast_to(_greedy(self.expects(form)[None]), tables.shape)

    def expects(self, form: TeamForm) -> Table:
        """[human observation, action]: her payoff against a random A, in a unit of her own; integers, so that ties are seen."""
        return _outlook(form)[0]

    def chances(self, form: TeamForm) -> list[list[Fraction]]:
        """[human observation][action]: what she does, as exact probabilities."""
        found = []
        for row, allowed in zip(self.expects(form).tolist(), form.allowed("human"), strict=True):
            best = max(x for x, may in zip(row, allowed, strict=True) if may)
            optimal = [may and x == best for x, may in zip(row, allowed, strict=True)]
            found.append([Fraction(int(o), sum(optimal)) for o in optimal])
        return found


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

    def replies(self, form: TeamForm, tables: Numbers, masses: Numbers) -> Floats:
        """See `Human`."""
        expected = tables / np.where(masses > 0, masses, 1.0)[..., None]
        # A cell in which H is never asked holds no choice of hers; uniform there, which no payoff depends on.
        with np.errstate(over="ignore"):
            weights = np.exp(self.beta * (expected - expected.max(axis=2, keepdims=True)))
        weights = np.where(masses[..., None] > 0, weights, 1.0)
        return np.asarray(weights / weights.sum(axis=2, keepdims=True))

    def unaware(self, form: TeamForm) -> list[list[Fraction]]:
        """[human observation][action]: the noisy reply to an A who acts at random; fractions that add up to one exactly."""
        tables, masses = _outlook(form)
        legal = np.array(form.allowed("human"))
        found = []
        for row in _noisy(tables, masses, form, self.beta, legal):
            # Fifty digits are kept, so that the fractions stay short.
            parts = [int(p.scaleb(50, _CONTEXT).to_integral_value(context=_CONTEXT)) for p in row]
            found.append([Fraction(part, sum(parts)) for part in parts])
        return found


def _outlook(form: TeamForm) -> tuple[Table, Table]:
    """[human observation, action] payoffs and [human observation] probability against an A who acts at random, in one unit."""
    allowed = form.allowed("assistant")
    whole = lcm(*(sum(row) for row in allowed))
    weights = np.array([[whole // sum(row) * may for may in row] for row in allowed], dtype=object)
    if (weights == 1).all():
        return np.asarray(form.payoff.sum(axis=(0, 1))), np.asarray(form.mass.sum(axis=(0, 1)))
    payoff = (form.payoff.astype(object) * weights[:, :, None, None]).sum(axis=(0, 1))
    return np.asarray(payoff), np.asarray((form.mass.astype(object) * weights[:, :, None]).sum(axis=(0, 1)))


@dataclass(frozen=True)
class Reply:
    """What an assistant who knows its human achieves.

    Attributes:
        value: expected common payoff of the best A-policy, in the game's unit.
        assistants: best policies of A, at most `MAX_LISTED`.
        human: [human observation, action]; H's reply to the first of them, as probabilities.
        exact: the value as a fraction; None for a Boltzmann human, whose reply is irrational.
        precise: the value as a fraction in any case; with a Boltzmann human to hundreds of digits.
        n_best: how many deterministic policies of A are best, listed or not.
        chances: the human's reply as exact fractions where it is rational.
        worth: [assistant observation][assistant action], payoff times probability against a human whose reply does not depend
            on A's policy; the best legal ones add up to the value. None for the others.
    """

    value: float
    assistants: tuple[Policy, ...]
    human: Floats
    exact: Fraction | None
    precise: Fraction
    n_best: int
    chances: list[list[Fraction]] | None = None
    worth: list[list[Fraction]] | None = None

    @property
    def rational(self) -> Fraction:
        """The exact value where there is one; else the nearest fraction with a denominator below a million."""
        return Fraction(self.value).limit_denominator(1_000_000) if self.exact is None else self.exact


def payoff_against(form: TeamForm, assistant: Sequence[int], human: Human) -> float:
    """Expected common payoff of one policy of A against a model of H."""
    tables = form.payoff[np.arange(form.shape[0]), np.asarray(assistant)].sum(axis=0)[None]
    masses = form.mass[np.arange(form.shape[0]), np.asarray(assistant)].sum(axis=0)[None]
    scaled = np.asarray(tables / form.denominator, dtype=np.float64)
    probability = np.asarray(masses / form.mass_denominator, dtype=np.float64)
    replies = human.replies(form, tables if isinstance(human, Optimal) else scaled, probability)
    return float((scaled * replies).sum())


def best_assistant(form: TeamForm, human: Human, *, limit: int = DEFAULT_LIMIT) -> Reply:
    """The best policies of an assistant who knows how its human behaves.

    Args:
        form: the game.
        human: the model.
        limit: how many policies a search may have to cover (with a naive human none is needed).

    Raises:
        InputError: there are more policies than `limit`.
    """
    if isinstance(human, Boltzmann):
        return _against_noise(form, human, limit)
    if isinstance(human, Naive):
        return _against_fixed(form, human.chances(form))
    solution = optimal_pairs(form, limit=limit, listed=MAX_LISTED)
    tables = form.guarded()[np.arange(form.shape[0]), np.asarray(solution.policies[0].assistant)].sum(axis=0)
    assistants = tuple(policies.assistant for policies in solution.policies)
    return Reply(float(solution.value), assistants, _greedy(tables[None])[0], solution.value, solution.value, len(assistants))


def _against_fixed(form: TeamForm, chances: list[list[Fraction]]) -> Reply:
    """A's best policies against a human whose behaviour does not depend on A's: observation by observation."""
    whole = lcm(*(p.denominator for row in chances for p in row))
    sigma = np.array([[int(p * whole) for p in row] for row in chances], dtype=object)
    payoff = form.payoff
    if not fits_64_bits(total_magnitude(payoff), whole):
        payoff = payoff.astype(object)
    worth = (payoff * (sigma if payoff.dtype == object else sigma.astype(np.int64))).sum(axis=(2, 3))
    allowed = form.allowed("assistant")
    options, total = [], 0
    for row, may in zip(worth.tolist(), allowed, strict=True):
        best = max(x for x, legal in zip(row, may, strict=True) if legal)
        options.append(tuple(a for a, (x, legal) in enumerate(zip(row, may, strict=True)) if legal and x == best))
        total += best
    value = Fraction(total, form.denominator * whole)
    listed = tuple(islice(product(*options), MAX_LISTED))
    n_best = prod(len(actions) for actions in options)
    unit = Fraction(1, form.denominator * whole)
    parts = [[x * unit for x in row] for row in worth.tolist()]
    return Reply(float(value), listed, np.array(chances, dtype=float), value, value, n_best, chances, parts)


def _against_noise(form: TeamForm, human: Boltzmann, limit: int) -> Reply:
    """A's best policies against a noisy human: all visited in floating point, the best compared with many digits.

    Value = what a best reply would earn (exact) - what noise loses (a sum of positive terms), both from integers, so that an
    offset of all payoffs changes nothing.
    """
    allowed, legal_h = form.allowed("assistant"), np.array(form.allowed("human"))
    options = [[a for a, may in enumerate(row) if may] for row in allowed]
    n_policies = prod(len(actions) for actions in options)
    refuse_policies(n_policies, limit, what=f"'{form.name}': with a Boltzmann human A")
    reference: int | None = None
    kept: list[tuple[float, float, Policy]] = []  # value above the reference, size of the terms in it, policy
    bar = -np.inf
    grid = product(*options)
    while block := list(islice(grid, CHUNK)):
        tables, masses = _sums(form, np.asarray(block))
        gains, regrets = _parts(tables, legal_h)
        if reference is None:
            reference = int(gains[0])
        with np.errstate(over="ignore", under="ignore"):
            probability = np.asarray(masses / form.mass_denominator, dtype=np.float64)
            loss = _loss(np.asarray(regrets / form.denominator, dtype=np.float64), probability, human.beta, legal_h)
            above = np.asarray((gains - reference) / form.denominator, dtype=np.float64) - loss
            size = np.abs(np.asarray((gains - reference) / form.denominator, dtype=np.float64)) + loss
        slack = 1e-9 * float(size.max())
        bar = max(bar, float(above.max()) - slack)
        kept += [(float(above[i]), slack, block[i]) for i in np.flatnonzero(above >= bar)]
        if len(kept) > 4 * MAX_LISTED:
            kept = [entry for entry in kept if entry[0] >= bar]
    slack = max(entry[1] for entry in kept)
    candidates = [policy for above_, _, policy in kept if above_ >= max(entry[0] for entry in kept) - slack]
    worth: dict[bytes, _Digits] = {}
    scored = []
    for start in range(0, len(candidates), CHUNK):
        block = candidates[start : start + CHUNK]
        tables, masses = _sums(form, np.asarray(block))
        for policy, table, mass in zip(block, tables, masses, strict=True):
            key = str((table.tolist(), mass.tolist())).encode()
            if key not in worth:
                worth[key] = _precisely(form, table, mass, human.beta, legal_h)
            scored.append((worth[key], policy))
    best = max(value for value, _ in scored)
    spread = max((abs(x) for x in (best, *(v for v, _ in scored))), default=best)
    ties = [policy for value, policy in scored if best - value <= spread.scaleb(-45)]
    tables, masses = _sums(form, np.asarray(ties[:1]))
    reply = _noisy(tables[0], masses[0], form, human.beta, legal_h)
    precise = _as_fraction(best)
    return Reply(float(precise), tuple(ties[:MAX_LISTED]), np.array(reply, dtype=float), None, precise, len(ties))


_Digits = decimal.Decimal
# Far more digits than any comparison needs, for payoffs of up to 100; what underflows is zero.
_CONTEXT = decimal.Context(prec=320, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[decimal.InvalidOperation])


def _sums(form: TeamForm, policies: Ints) -> tuple[Table, Table]:
    """[policy, z, h] payoff times probability and [policy, z] probability under each policy of A; integers."""
    tables = np.zeros((len(policies), *form.shape[2:]), dtype=form.payoff.dtype)
    masses = np.zeros((len(policies), form.shape[2]), dtype=form.mass.dtype)
    for observation in range(form.shape[0]):
        tables = tables + form.payoff[observation, policies[:, observation]]
        masses = masses + form.mass[observation, policies[:, observation]]
    return tables, masses


def _parts(tables: Table, legal: Bools) -> tuple[Table, Table]:
    """What a best reply earns under each policy, and how much worse each reply is; both integers."""
    lowest = tables.min()
    best = np.where(legal, tables, lowest).max(axis=2, keepdims=True)
    return np.asarray(best[..., 0].astype(object).sum(axis=1)), np.asarray(best - tables)


def _loss(regrets: Floats, masses: Floats, beta: float, legal: Bools) -> Floats:
    expected = regrets / np.where(masses > 0, masses, 1.0)[..., None]
    weights = np.where(legal, np.exp(-(beta * np.where(expected > 0, expected, 0.0))), 0.0)
    weights = np.where(masses[..., None] > 0, weights, legal.astype(float))
    shares = weights / weights.sum(axis=2, keepdims=True)
    return np.asarray((shares * np.where(legal, regrets, 0.0)).sum(axis=(1, 2)))


def _noisy(table: Table, mass: Table, form: TeamForm, beta: float, legal: Bools) -> list[list[_Digits]]:
    """[z][h]: the noisy reply to one policy of A, with many digits."""
    with decimal.localcontext(_CONTEXT):
        found = []
        for row, m, may in zip(table.tolist(), mass.tolist(), legal.tolist(), strict=True):
            if not m:
                found.append([_Digits(int(ok)) / sum(may) for ok in may])
                continue
            best = max(x for x, ok in zip(row, may, strict=True) if ok)
            unit = _Digits(form.mass_denominator) / (_Digits(form.denominator) * _Digits(m)) * _Digits(repr(beta))
            weights = [(-(_Digits(best - x) * unit)).exp() if ok else _Digits(0) for x, ok in zip(row, may, strict=True)]
            total = sum(weights)
            found.append([w / total for w in weights])
        return found


def _precisely(form: TeamForm, table: Table, mass: Table, beta: float, legal: Bools) -> _Digits:
    """The payoff of one policy of A against the noisy reply to it, with many digits."""
    with decimal.localcontext(_CONTEXT):
        value, size = _Digits(0), _Digits(0)
        for row, shares in zip(table.tolist(), _noisy(table, mass, form, beta, legal), strict=True):
            value += sum((p * _Digits(x) for p, x in zip(shares, row, strict=True)), _Digits(0))
            size += sum((p * abs(_Digits(x)) for p, x in zip(shares, row, strict=True)), _Digits(0))
        # What is left after 250 digits is rounding: terms that cancel leave nothing.
        return (value if abs(value) > size.scaleb(-250) else _Digits(0)) / _Digits(form.denominator)


def _as_fraction(value: _Digits) -> Fraction:
    """The value to 450 decimals: what noise leaves of a loss can be a number of a googol of zeros, which no fraction holds."""
    scaled = value.scaleb(450, _CONTEXT).to_integral_value(context=_CONTEXT)
    return Fraction(int(scaled), 10**450)


def _greedy(tables: Table) -> Floats:
    best = tables == tables.max(axis=2, keepdims=True)
    return np.asarray(best / best.sum(axis=2, keepdims=True), dtype=np.float64)
