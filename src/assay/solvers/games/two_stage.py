"""Two-stage assistance games: the assistant's belief about the human after her first action, and the best plan, backwards.

For a fixed human the assistant's problem falls apart by what it saw. Its value at observation o after first action a is

    sum_z sum_h sigma(h|z) F1[o,a,z,h]  +  sum_{h,m} max_{a2} sum_{z: mu(z)=m} sigma(h|z) F2[o,a,z,h,a2]

with F1 and F2 the payoffs of the two stages times probability: the second term is backward induction, one belief for every
(first action, human action, message) that can be seen. H's policies are searched observation by observation; with some of them
decided, what the others can still bring is bounded by the smaller of

    separate  each undecided observation earns what it would alone, A replying to it apart
    shared    A's first action fits all of them, and they choose for A's good, A replying to each apart
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from assay.core.arrays import Exacts, Ints, Numbers
from assay.core.errors import InputError
from assay.solvers.games.humans import Boltzmann, Human, Naive, Optimal
from assay.solvers.games.pairs import DEFAULT_LIMIT, Certificate, refuse_policies
from assay.worlds.games.assistance import TwoStageGame
from assay.worlds.games.team import MAX_CELLS, Legal, Table, fits_64_bits, integers, refuse_above, total_magnitude

__all__ = ["Plan", "TwoStageSolution", "belief", "solve_two_stage"]

MAX_PLANS = 20_000
CELLS = 4_000_000  # of the sums kept for the policies expanded at once


@dataclass(frozen=True)
class Plan:
    """One optimal policy of H and A's best first actions against it.

    Attributes:
        action: for every observation of H, what she does; None for a behavioural human (see `TwoStageSolution.human`).
        message: for every observation of H, what she says.
        first: for every observation of A, all its optimal first actions.
    """

    action: tuple[int, ...] | None
    message: tuple[int, ...]
    first: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class TwoStageSolution:
    """The best plan of A with a given human, and hers.

    Attributes:
        value: expected common payoff of both stages; with a Boltzmann human, whose chances are irrational, to some 40 digits.
        plans: optimal plans: H's policies that attain the value, with A's best first actions against each; at most `MAX_PLANS`.
        n_plans: how many policies of H attain the value, listed or not.
        by_action: [assistant observation][first action]; under the first plan, the value of that first action when A saw that,
            divided by the probability of the observation.
        human: [human observation, human action]; probabilities of H's action under the first plan.
        certificate: why no policy of H does better; its actions are numbered action * messages + message.
        exact: whether the value is rational as given.
    """

    value: Fraction
    plans: tuple[Plan, ...]
    n_plans: int
    by_action: tuple[tuple[Fraction, ...], ...]
    human: Numbers
    certificate: Certificate
    exact: bool

    @property
    def first_actions(self) -> frozenset[tuple[int, ...]]:
        """Every optimal deterministic first policy of A among the listed plans: an action for each of its observations."""
        return frozenset(policy for options in {plan.first for plan in self.plans} for policy in product(*options))


def solve_two_stage(game: TwoStageGame, human: Human, *, limit: int = DEFAULT_LIMIT) -> TwoStageSolution:
    """The optimum of A's plan with an optimal, an immediate-outcome (`Naive`) or a noisy (`Boltzmann`) human.

    An optimal human picks the joint optimum. A naive one maximises the payoff of stage 1 as if A's first action told nothing; a
    Boltzmann one does so noisily. Messages cost nothing at stage 1, so that either uses them to the common good.

    Args:
        game: the game.
        human: how H behaves.
        limit: how many policies of H the search may have to cover.

    Raises:
        InputError: the human has more policies than `limit`, or the tables would exceed the stated limit.
    """
    n_z, k_h, n_m = len(game.first.human_observations), len(game.first.human_actions), game.to_assistant
    legal = game.first.legal_human or ((True,) * k_h,) * n_z
    chosen = isinstance(human, Optimal)
    n_policies = 1
    for row in legal:
        n_policies *= (sum(row) if chosen else 1) * n_m
    refuse_policies(n_policies, limit, what=f"'{game.name}': H")
    f1, f2, denominator, seen = _tables(game)
    behaviour = None if chosen else _behaviour(game, human)
    own, parts, allowed = _worths(f1, f2, behaviour, n_m, legal)
    n_words = k_h * n_m
    search = _Search(own[0], own[1], allowed, game.first.legal_assistant, n_words)
    scale = Fraction(1, denominator * parts)
    attained = search.attained
    listed = attained[:MAX_PLANS]
    values = [search.by_action(policy) for policy in listed]
    plans = tuple(
        Plan(
            tuple(x // n_m for x in policy) if chosen else None,
            tuple(x % n_m for x in policy),
            tuple(
                tuple(a for a, (v, may) in enumerate(zip(row, ok, strict=True)) if may and v == best)
                for row, ok, best in zip(value, search.legal, search.best_rows(value), strict=True)
            ),
        )
        for policy, value in zip(listed, values, strict=True)
    )
    closed = tuple((prefix, int(bound) * scale) for prefix, bound in search.closed)
    first = plans[0]
    return TwoStageSolution(
        value=search.best * scale,
        plans=plans,
        n_plans=len(attained),
        by_action=tuple(tuple(int(v) * scale / (seen[o] or 1) for v in row) for o, row in enumerate(values[0])),
        human=np.array([[Fraction(int(h == a)) for h in range(k_h)] for a in first.action or ()], dtype=object)
        if behaviour is None
        else behaviour,
        certificate=Certificate("human", tuple(range(n_z)), closed, tuple(attained)),
        exact=not isinstance(human, Boltzmann),
    )


def belief(
    game: TwoStageGame, solution: TwoStageSolution, *, saw: int, first: int, human_action: int, message: int = 0
) -> tuple[Fraction, ...] | None:
    """A's belief over the states before stage 2, or None if what it observed cannot occur.

    Args:
        game: the game.
        solution: supplies the human's policy (of its first plan).
        saw: A's observation.
        first: its first action.
        human_action: what H did.
        message: what H said.
    """
    weights: list[Any] = []
    for s, prior in enumerate(game.first.prior):
        likelihood: Any = sum(
            (
                game.first.human_sees[s][first][z] * solution.human[z, human_action]
                for z in range(len(game.first.human_observations))
                if solution.plans[0].message[z] == message
            ),
            Fraction(0),
        )
        weights.append(prior * game.first.assistant_sees[s][saw] * likelihood)
    total = sum(weights)
    return tuple(w / total for w in weights) if total else None


def _tables(game: TwoStageGame) -> tuple[Table, Table, int, list[Fraction]]:
    """Integer tables [oA, a, z, h] and [oA, a, z, h, a2] over one denominator, and the probability of each oA."""
    first = game.first
    n_a, k_a = len(first.assistant_observations), len(first.assistant_actions)
    n_z, k_h, k_2 = len(first.human_observations), len(first.human_actions), len(game.second_actions)
    cells = n_a * k_a * n_z * k_h * (1 + k_2)
    refuse_above(MAX_CELLS // 10, cells, what=f"the payoff tables of '{game.name}'", unit="cells")
    f1 = np.full((n_a, k_a, n_z, k_h), Fraction(0), dtype=object)
    f2 = np.full((n_a, k_a, n_z, k_h, k_2), Fraction(0), dtype=object)
    seen = [Fraction(0)] * n_a
    for s, prior in enumerate(first.prior):
        second = np.array(game.second_reward[s], dtype=object).reshape(k_a, k_h, k_2)
        for o, q in enumerate(first.assistant_sees[s]):
            seen[o] += prior * q
            for a in range(k_a):
                for z, r in enumerate(first.human_sees[s][a]):
                    p = prior * q * r
                    if p:
                        f1[o, a, z] += p * np.array(first.reward[s][a], dtype=object)
                        f2[o, a, z] += p * second[a]
    both, denominator = integers(np.concatenate([f1.ravel(), f2.ravel()]))
    return both[: f1.size].reshape(f1.shape), both[f1.size :].reshape(f2.shape), denominator, seen


def _behaviour(game: TwoStageGame, human: Human) -> Exacts:
    """[human observation, human action] exact probabilities; both look at stage 1 only and take A's action to tell nothing."""
    form = game.first.team_form()
    if isinstance(human, Naive):
        return np.array(human.chances(form), dtype=object)
    if isinstance(human, Boltzmann):
        return np.array(human.unaware(form), dtype=object)
    raise InputError(f"a two-stage game knows the humans Optimal, Naive and Boltzmann; got {type(human).__name__}")


def _worths(
    f1: Table, f2: Table, behaviour: Exacts | None, n_m: int, legal: Legal
) -> tuple[tuple[Table, Table], int, list[list[int]]]:
    """What one observation of H brings, by what she does there.

    Returns:
        First-stage worth [z, option, oA, a] and second-stage worth [z, option, oA, a, word, a2], a denominator beside the
        tables', and the options at each observation: (action, message) for a human who chooses, a message for one who behaves.
    """
    n_a, k_a, n_z, k_h = f1.shape
    k_2 = f2.shape[4]
    n_words = k_h * n_m
    n_options = n_words if behaviour is None else n_m
    refuse_above(MAX_CELLS, n_z * n_options * n_a * k_a * n_words * k_2, what="the tables of the search", unit="cells")
    if behaviour is None:
        parts, dtype = 1, f1.dtype
        sigma: Any = None
    else:
        sigma, parts = integers(behaviour)
        fits = f1.dtype != object and fits_64_bits(total_magnitude(f1) + total_magnitude(f2), parts)
        dtype = np.dtype(np.int64) if fits and sigma.dtype != object else np.dtype(object)
        f1, f2, sigma = f1.astype(dtype), f2.astype(dtype), sigma.astype(dtype)
    one = np.zeros((n_z, n_options, n_a, k_a), dtype=dtype)
    two = np.zeros((n_z, n_options, n_a, k_a, n_words, k_2), dtype=dtype)
    for z in range(n_z):
        for option in range(n_options):
            if behaviour is None:
                h = option // n_m
                one[z, option] = f1[:, :, z, h]
                two[z, option, :, :, option] = f2[:, :, z, h]
            else:
                one[z, option] = (f1[:, :, z] * sigma[z]).sum(axis=2)
                for h in range(k_h):
                    two[z, option, :, :, h * n_m + option] = f2[:, :, z, h] * sigma[z, h]
    options = [[x for x in range(n_options) if behaviour is not None or legal[z][x // n_m]] for z in range(n_z)]
    return (one, two), int(parts), options


class _Search:
    """Branch and bound over H's policies; holds the best value, the policies that attain it and the closed parts."""

    def __init__(self, one: Table, two: Table, options: list[list[int]], legal: Legal, n_words: int) -> None:
        self.one, self.two, self.options = one, two, options
        n_a, k_a = one.shape[2:]
        self.legal = legal or ((True,) * k_a,) * n_a
        self.open = np.array(self.legal)
        self.low = -(total_magnitude(one) + total_magnitude(two)) - 1
        if one.dtype != object and abs(self.low) >= 2**61:
            self.one, self.two = one.astype(object), two.astype(object)
        n_z = len(options)
        best_two = self.two.max(axis=5).sum(axis=4) if n_words else 0
        alone = self.one + best_two  # [z, option, oA, a]
        self.separate, self.shared = [0], [np.zeros_like(self.one[0, 0])]
        for z in reversed(range(n_z)):
            mine = alone[z, options[z]]
            self.separate.append(self.separate[-1] + int(self._best(mine).sum(axis=1).max()))
            self.shared.append(self.shared[-1] + mine.max(axis=0))
        self.separate, self.shared = self.separate[::-1], self.shared[::-1]
        self.best = self._start()
        self.closed: list[tuple[tuple[int, ...], int]] = []
        self.attained: list[tuple[int, ...]] = []
        self._run()

    def _best(self, by_action: Table) -> Table:
        """[..., oA]: A's best legal first action's worth."""
        return np.asarray(np.where(self.open, by_action, self.low).max(axis=-1))

    def by_action(self, policy: Sequence[int]) -> Table:
        """[oA, a]: value times probability under a complete policy of H."""
        one = sum(self.one[z, x] for z, x in enumerate(policy))
        two = sum(self.two[z, x] for z, x in enumerate(policy))
        return np.asarray(one + two.max(axis=3).sum(axis=2))

    def best_rows(self, value: Table) -> list[Any]:
        """The best legal worth at each observation of A."""
        return list(self._best(value).tolist())

    def _start(self) -> int:
        """The value of some policies: every option alone, improved one observation at a time."""
        best: int | None = None
        for option in range(self.one.shape[1]):
            policy = [option if option in options else options[0] for options in self.options]
            value = int(self._best(self.by_action(policy)).sum())
            while True:
                before = value
                for z, options in enumerate(self.options):
                    for x in options:
                        tried = int(self._best(self.by_action([*policy[:z], x, *policy[z + 1 :]])).sum())
                        if tried > value:
                            value, policy[z] = tried, x
                if value == before:
                    break
            best = value if best is None else max(best, value)
        assert best is not None
        return best

    def _run(self) -> None:
        n_z = len(self.options)
        stack = [(np.zeros((1, 0), dtype=np.int64), np.zeros_like(self.one[0, 0])[None], np.zeros_like(self.two[0, 0])[None])]
        size = max(1, CELLS // (self.two[0].size + 1))
        leaves: list[tuple[Ints, Table]] = []
        cut: list[tuple[Ints, Table]] = []
        while stack:
            prefixes, one, two = stack.pop()
            depth = prefixes.shape[1]
            choices = self.options[depth]
            k = len(choices)
            one = (one[:, None] + self.one[depth, choices][None]).reshape(-1, *one.shape[1:])
            two = (two[:, None] + self.two[depth, choices][None]).reshape(-1, *two.shape[1:])
            prefixes = np.concatenate([np.repeat(prefixes, k, axis=0), np.tile(choices, len(prefixes))[:, None]], axis=1)
            now = one + two.max(axis=4).sum(axis=3)
            bound = np.minimum(
                self._best(now).sum(axis=1) + self.separate[depth + 1],
                self._best(now + self.shared[depth + 1]).sum(axis=1),
            )
            if depth + 1 == n_z:
                self.best = max(self.best, int(bound.max()))
                reaches = np.asarray(bound == self.best, dtype=bool)
                cut.append((prefixes[~reaches], bound[~reaches]))
                leaves.append((prefixes[reaches], bound[reaches]))
                continue
            open_ = np.asarray(bound >= self.best, dtype=bool)
            cut.append((prefixes[~open_], bound[~open_]))
            prefixes, one, two, bound = prefixes[open_], one[open_], two[open_], bound[open_]
            promise = np.argsort(bound, kind="stable")
            for start in range(0, len(promise), size):
                block = promise[start : start + size]
                stack.append((prefixes[block], one[block], two[block]))
        for prefixes, bounds in leaves:
            for row, bound in zip(prefixes.tolist(), bounds.tolist(), strict=True):
                if bound == self.best:
                    self.attained.append(tuple(row))
                else:
                    self.closed.append((tuple(row), int(bound)))
        self.attained.sort()
        for prefixes, bounds in cut:
            self.closed += [(tuple(row), int(b)) for row, b in zip(prefixes.tolist(), bounds.tolist(), strict=True)]
        self.closed.sort()
