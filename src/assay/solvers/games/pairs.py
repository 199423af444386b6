"""Every optimal pair of a one-shot common-payoff game, by branch and bound in exact arithmetic, with its certificate.

One side's policies are enumerated observation by observation; the other side answers in closed form, since with one policy
fixed each observation of the other side is a separate maximisation. A partial policy is abandoned when even an upper bound on
all its completions stays below the best value known. The bound is the smaller of two relaxations of what is still undecided:

    shared    sum_j max_h ( S[j,h] + sum_i max_a W[i,a,j,h] )     i may act on what the other side sees and does
    separate  sum_j max_h S[j,h] + sum_i max_a sum_j max_h W[i,a,j,h]     the other side may act on what i sees and does

with W the payoff table, S its sum over the decided observations, i the undecided ones and j the other side's observations.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import log10, prod
from typing import Literal

import numpy as np

from assay.core.arrays import Floats, Ints
from assay.core.errors import InputError
from assay.solvers.games.ties import Policy, count_pairs, list_policies, marked_sets, replies
from assay.worlds.games.team import Table, TeamForm

__all__ = [
    "DEFAULT_LIMIT",
    "Certificate",
    "OptimalPolicies",
    "Solution",
    "alternating_best_response",
    "assistant_best_responses",
    "brute_force",
    "human_best_responses",
    "optimal_pairs",
    "optimal_value",
    "person_by_person_optima",
    "refuse_policies",
]

DEFAULT_LIMIT = 2_000_000  # policies of the smaller side; some twenty seconds where no bound bites
POLICIES_PER_SECOND = 100_000  # measured on one core where no bound bites (3^12 tied policies); used for predictions only
MAX_TIED_POLICIES = 20_000  # of A, listed
MAX_SETS = 1_000
BLOCK = 4096  # partial policies expanded at once

Side = Literal["assistant", "human"]
SIDES = {"assistant": "A", "human": "H"}


@dataclass(frozen=True)
class Certificate:
    """A proof that no pair does better than the value, in terms of one side's policies.

    The partial policies in `closed` and the policies in `attained` together cover every policy of `side` exactly once. Each
    closed one carries an upper bound, strictly below the value, on everything its completions can earn; each attained one earns
    the value against a best reply. A checker recomputes the bounds from the payoff table (module docstring) and the cover.

    Attributes:
        side: whose policies were enumerated.
        order: observations of that side in the order in which they were decided.
        closed: (actions for the first observations of `order`, bound).
        attained: complete policies, actions in the order of `order`.
    """

    side: Side
    order: tuple[int, ...]
    closed: tuple[tuple[Policy, Fraction], ...]
    attained: tuple[Policy, ...]

    @property
    def margin(self) -> Fraction | None:
        """The largest bound of a closed part; None when nothing was closed (every policy attains the value)."""
        return max((bound for _, bound in self.closed), default=None)


@dataclass(frozen=True)
class OptimalPolicies:
    """An optimal policy of A together with every best reply of H.

    Attributes:
        assistant: an action for every observation of A.
        human: for every observation of H, all actions that are optimal there; every combination of them is a best reply.
        reached: whether each observation of H can occur, and matter, under this policy of A.
    """

    assistant: Policy
    human: tuple[tuple[int, ...], ...]
    reached: tuple[bool, ...]

    @property
    def n_pairs(self) -> int:
        """How many deterministic pairs this stands for."""
        return prod(len(options) for options in self.human)


@dataclass(frozen=True)
class Solution:
    """The optimum of a game: its value, its optimal pairs, and the certificate.

    Attributes:
        value: the exact common payoff of an optimal pair.
        policies: optimal policies of A with all best replies; all of them where `complete`.
        certificate: why nothing does better.
        form: the game.
        n_pairs: how many deterministic pairs attain the value, H's choices at unreached observations included.
        n_pairs_on_path: how many differ where it matters: choices at observations that cannot occur are not told apart; None
            where that is too long to count.
        complete: whether `policies` lists every optimal policy of A.
        marked_sets: the distinct sets of A's observations at which an optimal policy takes a marked action (waits, hides).
        all_marked_sets: whether `marked_sets` lists them all.
    """

    value: Fraction
    policies: tuple[OptimalPolicies, ...]
    certificate: Certificate
    form: TeamForm
    n_pairs: int
    n_pairs_on_path: int | None
    complete: bool
    marked_sets: tuple[frozenset[str], ...]
    all_marked_sets: bool

    def pairs(self) -> Iterator[tuple[Policy, Policy]]:
        """Every listed optimal deterministic pair (A's policy, H's policy), one by one."""
        for policies in self.policies:
            for human in product(*policies.human):
                yield policies.assistant, human


def optimal_pairs(form: TeamForm, *, limit: int = DEFAULT_LIMIT, listed: int = MAX_TIED_POLICIES) -> Solution:
    """The value of a game, its optimal pairs, counted and listed, and a certificate, exactly.

    Args:
        form: the game.
        limit: how many policies the smaller side may have. The search usually visits a small part of them.
        listed: how many optimal policies of A are listed; ties beyond are counted.

    Raises:
        InputError: the smaller side has more policies than `limit`.
    """
    value, certificate = optimal_value(form, limit=limit, every=True)
    payoff = form.guarded()
    attained = []
    for policy in certificate.attained:
        by_observation = [0] * form.payoff.shape[0 if certificate.side == "assistant" else 2]
        for observation, action in zip(certificate.order, policy, strict=True):
            by_observation[observation] = action
        attained.append(tuple(by_observation))
    side = certificate.side
    n_pairs, on_path = count_pairs(form, payoff, side, attained)
    policies, complete = list_policies(form, payoff, side, attained, listed)
    sets, all_sets = marked_sets(form, payoff, side, attained, MAX_SETS)
    answers = zip(policies, replies(form, payoff, "assistant", policies), strict=True)
    found = tuple(OptimalPolicies(policy, options, _reached(form, policy)) for policy, options in answers)
    return Solution(value, found, certificate, form, n_pairs, on_path, complete, sets, all_sets)


def optimal_value(form: TeamForm, *, limit: int = DEFAULT_LIMIT, every: bool = False) -> tuple[Fraction, Certificate]:
    """The value of a game and its certificate, without listing the optimal pairs.

    Args:
        form: the game.
        limit: as for `optimal_pairs`.
        every: decide also at H's observations that no policy of A leads to, as a complete certificate does.

    Raises:
        InputError: the smaller side has more policies than `limit`.
    """
    all_ = every or bool(form.human_reach)
    matters = np.arange(form.shape[2]) if all_ else np.flatnonzero(form.mass.any(axis=(0, 1)))
    n_a = prod(sum(row) for row in form.allowed("assistant"))
    n_h = prod(sum(row) for row, z in zip(form.allowed("human"), range(form.shape[2]), strict=True) if z in matters)
    side: Side = "assistant" if n_a <= n_h else "human"
    refuse_policies(min(n_a, n_h), limit, what=f"'{form.name}': the smaller side ({SIDES[side]})")
    payoff = form.guarded()
    table: Table = payoff if side == "assistant" else payoff.transpose(2, 3, 0, 1)
    spread = np.argsort(-_spread(table), kind="stable")
    order = tuple(int(i) for i in spread if side == "assistant" or i in matters)
    # What H would do where she is never asked changes nothing: a constant (the maximum leaves out what is illegal).
    rest = [z for z in range(form.shape[2]) if z not in matters]
    base = table[rest].max(axis=1).sum(axis=0) if side == "human" and rest else np.zeros_like(table[0, 0])
    if not order:  # nothing to decide on this side
        closed: list[tuple[Policy, int]] = []
        attained: list[Policy] = [()]
        best = int(base.max(axis=1).sum())
    else:
        start = max(int(_worth(payoff, pair)) for pair in _starts(form, payoff))
        closed, attained, best = _search(table[list(order)], base, start)
    allowed = form.allowed(side)
    listed = tuple(
        (prefix, Fraction(bound, form.denominator))
        for prefix, bound in closed
        if all(allowed[i][a] for i, a in zip(order, prefix, strict=False))
    )
    return Fraction(best, form.denominator), Certificate(side, order, listed, tuple(attained))


def refuse_policies(n: int, limit: int, *, what: str) -> None:
    """Return nothing if a search may cover so many policies.

    Raises:
        InputError: there are more; the message says how many, how long it could take, and which option raises the limit.
    """
    if n > limit:
        raise InputError(
            f"{what} must have at most {limit:,} policies; it has {_power(n)}, up to {_duration(n)} of search. "
            "Merge observations or actions, or raise the limit (--limit)"
        )


def human_best_responses(form: TeamForm, assistant: Sequence[int]) -> tuple[Fraction, tuple[tuple[int, ...], ...]]:
    """The best value H can reach against a policy of A, and all her optimal actions at each observation."""
    table = form.guarded()[np.arange(form.shape[0]), np.asarray(assistant)].sum(axis=0)
    return Fraction(int(table.max(axis=1).sum()), form.denominator), _maximisers(table)


def assistant_best_responses(form: TeamForm, human: Sequence[int]) -> tuple[Fraction, tuple[tuple[int, ...], ...]]:
    """The best value A can reach against a policy of H, and all its optimal actions at each observation."""
    table = form.guarded()[:, :, np.arange(form.shape[2]), np.asarray(human)].sum(axis=2)
    return Fraction(int(table.max(axis=1).sum()), form.denominator), _maximisers(table)


def alternating_best_response(form: TeamForm, human: Sequence[int]) -> tuple[Fraction, Policy, Policy]:
    """The person-by-person optimum that best replies in turn reach from a policy of H: value, A's policy, H's policy.

    Neither side can gain by changing alone; together they may. An action is kept while it is still a best reply, so that the
    value rises strictly until it stops.
    """
    current_h = tuple(human)
    current_a: Policy | None = None
    while True:
        value, options = assistant_best_responses(form, current_h)
        next_a = _keep(options, current_a)
        value, replies = human_best_responses(form, next_a)
        next_h = _keep(replies, current_h)
        if next_a == current_a and next_h == current_h:
            return value, next_a, next_h
        current_a, current_h = next_a, next_h


def person_by_person_optima(form: TeamForm) -> list[tuple[Fraction, Policy, Policy]]:
    """Every deterministic pair from which neither side gains alone, best value first. Visits all H-policies: for tiny games."""
    found = []
    for human in product(range(form.shape[3]), repeat=form.shape[2]):
        value, options = assistant_best_responses(form, human)
        for assistant in product(*options):
            best, replies = human_best_responses(form, assistant)
            if best == value and all(action in allowed for action, allowed in zip(human, replies, strict=True)):
                found.append((value, assistant, human))
    return sorted(found, key=lambda item: (-item[0], item[1], item[2]))


def brute_force(form: TeamForm) -> tuple[Fraction, list[tuple[Policy, Policy]]]:
    """The value and every optimal pair by visiting all pairs: the reference the other solvers are held to."""
    n_a, k_a, n_z, k_h = form.shape
    scored = [
        (form.value(assistant, human), assistant, human)
        for assistant in product(range(k_a), repeat=n_a)
        for human in product(range(k_h), repeat=n_z)
    ]
    best = max(value for value, _, _ in scored)
    return best, [(assistant, human) for value, assistant, human in scored if value == best]


def _search(table: Table, base: Table, best: int) -> tuple[list[tuple[Policy, int]], list[Policy], int]:
    """Closed prefixes with integer bounds, policies attaining the best value, and that value.

    Args:
        table: in branching order.
        base: [other side's observation, action], earned in any case.
        best: a value that some pair attains.
    """
    n, k, n_other, _ = table.shape
    shared = [np.zeros_like(table[0, 0])]
    separate = [0]
    for i in reversed(range(n)):
        shared.append(shared[-1] + table[i].max(axis=0))
        separate.append(separate[-1] + int(table[i].max(axis=2).sum(axis=1).max()))
    shared, separate = shared[::-1], separate[::-1]
    closed: list[tuple[Ints, Table]] = []
    leaves: list[tuple[Ints, Table]] = []
    stack = [(np.zeros((1, 0), dtype=np.int64), base[None])]
    while stack:
        prefixes, sums = stack.pop()
        depth = prefixes.shape[1]
        grown = (sums[:, None] + table[depth][None]).reshape(-1, n_other, table.shape[3])
        prefixes = np.concatenate([np.repeat(prefixes, k, axis=0), np.tile(np.arange(k), len(prefixes))[:, None]], axis=1)
        bound = np.minimum(
            (grown + shared[depth + 1]).max(axis=2).sum(axis=1), grown.max(axis=2).sum(axis=1) + separate[depth + 1]
        )
        if depth + 1 == n:
            best = max(best, int(bound.max()))
            leaves.append((prefixes, bound))
            continue
        open_ = np.asarray(bound >= best, dtype=bool)
        if not open_.all():
            closed.append((prefixes[~open_], bound[~open_]))
        prefixes, grown, bound = prefixes[open_], grown[open_], bound[open_]
        promise = np.argsort(bound, kind="stable")  # the most promising block ends on top of the stack
        for start in range(0, len(promise), BLOCK):
            block = promise[start : start + BLOCK]
            stack.append((prefixes[block], grown[block]))
    attained: list[Policy] = []
    for prefixes, bound in leaves:
        reaches = np.asarray(bound == best, dtype=bool)
        attained.extend(tuple(int(a) for a in row) for row in prefixes[reaches])
        closed.append((prefixes[~reaches], bound[~reaches]))
    listed = [
        (tuple(int(a) for a in row), int(b)) for prefixes, bounds in closed for row, b in zip(prefixes, bounds, strict=True)
    ]
    return sorted(listed), sorted(attained), best


def _starts(form: TeamForm, payoff: Table) -> Iterator[tuple[Policy, Policy]]:
    """A few person-by-person optima, as first lower bounds."""
    for action in range(form.shape[3]):
        _, assistant, human = alternating_best_response(form, (action,) * form.shape[2])
        yield assistant, human


def _worth(payoff: Table, pair: tuple[Policy, Policy]) -> int:
    assistant, human = pair
    cells = payoff[np.arange(payoff.shape[0]), np.asarray(assistant)][:, np.arange(payoff.shape[2]), np.asarray(human)]
    return int(cells.sum())


def _reached(form: TeamForm, assistant: Policy) -> tuple[bool, ...]:
    mass = form.mass[np.arange(form.shape[0]), np.asarray(assistant)].sum(axis=0)
    return tuple(bool(m > 0) for m in mass)


def _maximisers(table: Table) -> tuple[tuple[int, ...], ...]:
    best = table == table.max(axis=1, keepdims=True)
    return tuple(tuple(a for a, optimal in enumerate(row) if optimal) for row in best.tolist())


def _keep(options: tuple[tuple[int, ...], ...], current: Policy | None) -> Policy:
    if current is None:
        return tuple(actions[0] for actions in options)
    return tuple(now if now in actions else actions[0] for actions, now in zip(options, current, strict=True))


def _spread(table: Table) -> Floats:
    """How much an observation's decision can matter, to decide the important ones first."""
    return np.asarray((table.max(axis=(1, 3)) - table.min(axis=(1, 3))).sum(axis=1), dtype=np.float64)


def _power(n: int) -> str:
    return f"{n:,}" if n < 10**9 else f"about 10^{int(log10(n))}"


def _duration(n_policies: int) -> str:
    seconds = n_policies // POLICIES_PER_SECOND
    for unit, length in (("years", 31_557_600), ("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= length:
            return f"{_power(seconds // length)} {unit}"
    return f"{max(seconds, 1)} seconds"
