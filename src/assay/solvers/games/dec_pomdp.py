"""Optimal joint policies of Dec-POMDPs, by dynamic programming over what both agents' plans make common.

While planning, both policies so far are known, so that the joint distribution of the state and the two observation histories is
a sufficient statistic (the occupancy state). The search goes forward from stage to stage over pairs of decision rules, most
promising first, and leaves out what cannot beat the best policy known: the bound is the value if both agents shared their
observations from here on (the underlying POMDP's; where too many beliefs can arise, the value if both saw the state). Histories
that lead to the same beliefs about state and partner are merged, which loses nothing. The pairs of rules of a stage are never
listed: one side's rules are searched by branch and bound, and for each the other's come in the order of what they promise. The
last stage is a one-shot team problem, solved in closed form on one side.

Sources: Oliehoek et al. 2013 (incremental clustering and expansion), Dibangoye et al. 2016 (occupancy states).
"""

import heapq
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from assay.core.arrays import Floats
from assay.core.errors import InputError
from assay.worlds.games.dec_pomdp import DecPOMDP

__all__ = ["DEFAULT_WORK", "DecPOMDPSolution", "evaluate", "solve_dec_pomdp"]

History = tuple[int, ...]
Rule = tuple[int, ...]
DEFAULT_WORK = 50_000_000  # partial decision rules, pairs of rules and beliefs; some minutes
SLACK = 1e-9  # a branch must promise this much more than the best value known
MAX_BELIEFS = 20_000  # at once, in the bound; beyond it the state is taken to be seen
MAX_KNOWN = 256  # numbers in a set of beliefs whose worth is remembered, and how many sets are
MAX_KNOWN_SETS = 100_000
MAX_FLOATS = 30_000_000  # of the tables of one stage


@dataclass(frozen=True, eq=False)
class DecPOMDPSolution:
    """An optimal joint policy.

    Attributes:
        value: expected discounted sum of rewards from the start.
        assistant: action by A's observation history (first observation included), for every history that can occur.
        human: the same for H.
        n_nodes: occupancy states visited by the search.
        work: partial decision rules, pairs of rules and beliefs looked at.
        slack: no joint policy earns more than `value` and this, up to rounding.
    """

    value: float
    assistant: Mapping[History, int]
    human: Mapping[History, int]
    n_nodes: int
    work: int
    slack: float


@dataclass(frozen=True, eq=False)
class _Stage:
    """An occupancy state: [state, A's cluster of histories, H's cluster], and the histories merged in each cluster."""

    occupancy: Floats
    assistant: tuple[tuple[History, ...], ...]
    human: tuple[tuple[History, ...], ...]


def solve_dec_pomdp(game: DecPOMDP, horizon: int, *, limit: int = DEFAULT_WORK) -> DecPOMDPSolution:
    """An optimal joint policy, exact to floating point.

    Args:
        game: the game.
        horizon: how many steps.
        limit: how much work the search may take; see `DecPOMDPSolution.work`.

    Raises:
        InputError: the horizon is below one, or the search would take more work than `limit`.
    """
    if horizon < 1:
        raise InputError(f"'{game.name}': the horizon must be at least 1 step; got {horizon}")
    search = _Search(game, horizon, limit)
    n_a, n_h = game.first.shape[1:]
    root = _merge(
        _Stage(
            game.start[:, None, None] * game.first,
            tuple(((o,),) for o in range(n_a)),
            tuple(((o,),) for o in range(n_h)),
        )
    )
    depth = sys.getrecursionlimit()
    try:  # the search goes one call deeper with every step, and its bounds four
        sys.setrecursionlimit(max(depth, 1_000 + 10 * horizon))
        search.visit(root, 0, 0.0, [])
    finally:
        sys.setrecursionlimit(depth)
    assert search.best_rules is not None
    assistant: dict[History, int] = {}
    human: dict[History, int] = {}
    for stage, rule_a, rule_h in search.best_rules:
        for merged, rule, policy in ((stage.assistant, rule_a, assistant), (stage.human, rule_h, human)):
            for histories, action in zip(merged, rule, strict=True):
                for history in histories:
                    policy[history] = action
    return DecPOMDPSolution(search.best, assistant, human, search.n_nodes, search.work, max(SLACK * horizon, search.slack))


def evaluate(game: DecPOMDP, horizon: int, assistant: Mapping[History, int], human: Mapping[History, int]) -> float:
    """Expected discounted sum of rewards of a joint policy given by observation histories; unmerged, for checking."""
    live: dict[tuple[History, History], Floats] = {
        ((oa,), (oh,)): game.start * game.first[:, oa, oh]
        for oa in range(game.first.shape[1])
        for oh in range(game.first.shape[2])
    }
    total, factor = 0.0, 1.0
    for _ in range(horizon):
        following: dict[tuple[History, History], Floats] = {}
        for (ha, hh), weight in live.items():
            if not weight.any():
                continue
            a, h = assistant[ha], human[hh]
            total += factor * float(weight @ game.reward[:, a, h])
            arrived = weight @ game.transition[:, a, h]
            for oa in range(game.observation.shape[3]):
                for oh in range(game.observation.shape[4]):
                    following[(*ha, oa), (*hh, oh)] = arrived * game.observation[a, h, :, oa, oh]
        live, factor = following, factor * game.discount
    return total


class _Search:
    """Depth-first search over pairs of decision rules; holds the best policy found."""

    def __init__(self, game: DecPOMDP, horizon: int, limit: int) -> None:
        self.game, self.horizon, self.limit = game, horizon, limit
        self.best, self.n_nodes, self.work = -np.inf, 0, 0
        # The bounds are raised by a little for every step to come (see `_worth`); a branch must promise more than that too.
        self.slack = max(SLACK, 1e-11 * (horizon + float(np.abs(game.reward).max()) * horizon * (horizon + 1) / 2))
        self.best_rules: list[tuple[_Stage, Rule, Rule]] | None = None
        n_s, k_a, k_h = game.reward.shape
        self.k_a, self.k_h = k_a, k_h
        # [state, joint action, joint observation, next state]: one step of the centralised POMDP.
        size = game.transition.size * prod(game.observation.shape[3:])
        if size > MAX_FLOATS:
            raise InputError(f"'{game.name}': one step must have at most {MAX_FLOATS:,} cases; it has {size:,}. Merge states")
        step = np.einsum("sahn,ahnxy->sahxyn", game.transition, game.observation)
        self.step = step
        self.central = step.reshape(n_s, k_a * k_h, -1, n_s)
        self.known: dict[tuple[int, bytes], Floats] = {}  # (steps to go, a few beliefs): what `_worth` says of them
        # [steps to go][state]: the value if both saw the state.
        self.seen = [np.zeros(n_s)]
        rewards, moves = game.reward.reshape(n_s, -1), game.transition.reshape(n_s, -1, n_s)
        for _ in range(horizon):
            self.seen.append((rewards + game.discount * (moves @ self.seen[-1])).max(axis=1))

    def count(self, work: int) -> None:
        """Add up the work; refuse what goes beyond the limit, and say what is known."""
        self.work += work
        if self.work > self.limit:
            known = f"; the value is at least {self.best:.9g}" if self.best_rules is not None else ""
            raise InputError(
                f"'{self.game.name}': a search of {self.horizon} steps must take at most {self.limit:,} decision rules and "
                f"beliefs; it takes more{known}. Shorten the horizon, merge observations, or raise the limit (--limit)"
            )

    def visit(self, stage: _Stage, t: int, earned: float, path: list[tuple[_Stage, Rule, Rule]]) -> None:
        """Search below one occupancy state, `earned` being the discounted reward so far."""
        self.n_nodes += 1
        factor = self.game.discount**t
        table = self._promise(stage, self.horizon - t)
        choices_a = [_distinct(self._effects(stage, "a", c)) for c in range(len(stage.assistant))]
        choices_h = [_distinct(self._effects(stage, "h", c)) for c in range(len(stage.human))]

        def bar() -> float:
            """What a pair must promise from here to be of use."""
            return -np.inf if self.best_rules is None or not factor else (self.best + self.slack - earned) / factor

        pairs = _by_promise(table, choices_a, choices_h, bar, self.count)
        for promise, rule_a, rule_h in pairs:
            if promise <= bar():
                return
            if t == self.horizon - 1 or not factor:
                self.best, self.best_rules = earned + factor * promise, [*path, (stage, rule_a, rule_h)]
                return
            reward, following = self._follow(stage, rule_a, rule_h)
            self.visit(following, t + 1, earned + factor * reward, [*path, (stage, rule_a, rule_h)])

    def _promise(self, stage: _Stage, steps: int) -> Floats:
        """[A's cluster, A's action, H's cluster, H's action]: reward now plus the shared-observation value of what follows."""
        occupancy = stage.occupancy.transpose(1, 2, 0)
        n_a, n_h, n_s = occupancy.shape
        now = np.einsum("xys,sah->xyah", occupancy, self.game.reward)
        if steps > 1:
            later = self._later(occupancy.reshape(-1, n_s), steps)
            now = now + self.game.discount * later.reshape(n_a, n_h, self.k_a, self.k_h)
        return np.ascontiguousarray(now.transpose(0, 2, 1, 3))

    def _later(self, weights: Floats, steps: int) -> Floats:
        """[belief, joint action]: the shared-observation value, after this step, of unnormalised beliefs."""
        n, n_s = weights.shape
        out = np.zeros((n, self.central.shape[1]))
        live = np.flatnonzero(weights.any(axis=1))
        block = max(1, MAX_FLOATS // (4 * self.central[0].size))
        if len(live) * prod(self.central.shape[1:3]) > 50 * MAX_BELIEFS:
            out[live] = np.einsum("bs,sapn,n->ba", weights[live], self.central, self.seen[steps - 1], optimize=True)
            return out
        for start in range(0, len(live), block):
            rows = live[start : start + block]
            reached = np.einsum("bs,sapn->bapn", weights[rows], self.central)
            out[rows] = self._shared_value(reached.reshape(-1, n_s), steps - 1).reshape(reached.shape[:-1]).sum(axis=-1)
        return out

    def _shared_value(self, weights: Floats, steps: int) -> Floats:
        """The POMDP value, times probability, of unnormalised beliefs [belief, state] when both agents share observations."""
        mass = weights.sum(axis=1)
        live = np.flatnonzero(mass > 0)
        out = np.zeros(len(weights))
        if not len(live):
            return out
        # Beliefs that differ by rounding alone are one: few remain where observations commute.
        rounded, where = np.unique(np.round(weights[live] / mass[live, None], 12) + 0.0, axis=0, return_inverse=True)
        self.count(len(live))
        if len(rounded) > MAX_BELIEFS:
            out[live] = weights[live] @ self.seen[steps]
            return out
        out[live] = mass[live] * self._worth(rounded, steps)[where.ravel()]
        return out

    def _worth(self, beliefs: Floats, steps: int) -> Floats:
        """[belief]: the POMDP value of normalised beliefs when both agents share observations."""
        key = steps, beliefs.tobytes() if beliefs.size <= MAX_KNOWN else b""
        if key[1] and key in self.known:
            return self.known[key]
        now = beliefs @ self.game.reward.reshape(len(self.game.start), -1)
        if steps > 1:
            now = now + self.game.discount * self._later(beliefs, steps)
        # Rounding a belief in the twelfth digit must not lower the bound.
        worth: Floats = now.max(axis=1) + 1e-11 * (1 + np.abs(now).max())
        if key[1] and len(self.known) < MAX_KNOWN_SETS:
            self.known[key] = worth
        return worth

    def _effects(self, stage: _Stage, side: str, cluster: int) -> Floats:
        """[action, ...]: everything an action does in the states this cluster can be in."""
        occupancy = stage.occupancy[:, cluster] if side == "a" else stage.occupancy[:, :, cluster]
        states = np.flatnonzero(occupancy.any(axis=1))
        axis = 1 if side == "a" else 2
        k = self.k_a if side == "a" else self.k_h
        reward = np.moveaxis(self.game.reward[states], axis, 0).reshape(k, -1)
        step = np.moveaxis(self.step[states], axis, 0).reshape(k, -1)
        return np.concatenate([reward, step], axis=1)

    def _follow(self, stage: _Stage, rule_a: Rule, rule_h: Rule) -> tuple[float, _Stage]:
        """The stage's expected reward under a pair of rules, and the next occupancy state."""
        n_s, n_a, n_h = stage.occupancy.shape
        n_x, n_y = self.step.shape[3:5]
        reward, following = 0.0, np.zeros((n_s, n_a, n_x, n_h, n_y))
        for i, a in enumerate(rule_a):
            for j, h in enumerate(rule_h):
                weight = stage.occupancy[:, i, j]
                if weight.any():
                    reward += float(weight @ self.game.reward[:, a, h])
                    following[:, i, :, j, :] = np.einsum("s,sxyn->nxy", weight, self.step[:, a, h])
        grown_a = tuple(tuple((*h, o) for h in merged) for merged in stage.assistant for o in range(n_x))
        grown_h = tuple(tuple((*h, o) for h in merged) for merged in stage.human for o in range(n_y))
        return reward, _merge(_Stage(following.reshape(n_s, n_a * n_x, n_h * n_y), grown_a, grown_h))


def _merge(stage: _Stage) -> _Stage:
    """The same occupancy with impossible histories dropped and equivalent ones merged, on either side until nothing changes."""
    occupancy, names = stage.occupancy, [stage.assistant, stage.human]
    while True:
        shape = occupancy.shape
        for axis in (1, 2):
            rows = np.moveaxis(occupancy, axis, 0)
            groups: dict[bytes, list[int]] = {}
            for i, row in enumerate(rows):
                total = row.sum()
                if total > 0:
                    # Twelve digits: histories that differ by rounding alone are the same belief.
                    groups.setdefault((np.round(row / total, 12) + 0.0).tobytes(), []).append(i)
            merged = list(groups.values())
            occupancy = np.moveaxis(np.stack([rows[group].sum(axis=0) for group in merged]), 0, axis)
            names[axis - 1] = tuple(tuple(h for i in group for h in names[axis - 1][i]) for group in merged)
        if occupancy.shape == shape:
            return _Stage(np.ascontiguousarray(occupancy), names[0], names[1])


def _distinct(effects: Floats) -> tuple[int, ...]:
    """Actions that differ in effect, the first of each kind."""
    seen: dict[bytes, int] = {}
    for action, row in enumerate(effects):
        seen.setdefault(row.tobytes(), action)
    return tuple(seen.values())


def _by_promise(
    table: Floats,
    choices_a: list[tuple[int, ...]],
    choices_h: list[tuple[int, ...]],
    bar: Callable[[], float],
    count: Callable[[int], None],
) -> Iterator[tuple[float, Rule, Rule]]:
    """Pairs of decision rules and what they promise, the most promising first, as far as they promise more than the bar.

    Args:
        table: [A's cluster, A's action, H's cluster, H's action]; a pair promises the sum over pairs of clusters.
        choices_a: actions worth looking at, by A's cluster.
        choices_h: the same for H.
        bar: what a pair must promise at least; asked again before each pair, as it may rise.
        count: told of every partial rule and pair looked at.
    """
    if sum(np.log(len(c)) for c in choices_h) < sum(np.log(len(c)) for c in choices_a):
        for promise, rule_h, rule_a in _by_promise(table.transpose(2, 3, 0, 1), choices_h, choices_a, bar, count):
            yield promise, rule_a, rule_h
        return
    n = len(choices_a)
    barred = np.full(table.shape[2:], -np.inf)
    for c, actions in enumerate(choices_h):
        barred[c, list(actions)] = 0.0
    # Clusters of A whose decision matters most come first; what the others can still bring bounds from above.
    spread = [float(np.ptp(table[c, list(choices_a[c])], axis=0).max(axis=1).sum()) for c in range(n)]
    order = sorted(range(n), key=lambda c: -spread[c])
    rest = [np.zeros(table.shape[2:])]
    for c in reversed(order):
        rest.append(rest[-1] + table[c, list(choices_a[c])].max(axis=0))
    rest.reverse()
    queue: list[tuple[float, int, int, tuple[int, ...]]] = []  # -promise, -depth, serial, actions decided
    serial = 0
    heapq.heappush(queue, (-np.inf, 0, serial, ()))
    answers: dict[int, tuple[Rule, Iterator[tuple[float, Rule]]]] = {}  # H's best reply to a complete rule, and the next ones
    while queue:
        minus, depth, key, decided = heapq.heappop(queue)
        if -minus <= bar():
            return
        if key in answers:
            rule_h, others = answers.pop(key)
            following = next(others, None)
            if following is not None:
                serial += 1
                answers[serial] = following[1], others
                heapq.heappush(queue, (-following[0], depth, serial, decided))
            yield -minus, tuple(decided[order.index(c)] for c in range(n)), rule_h
            continue
        level = len(decided)
        base = sum((table[c, a] for c, a in zip(order, decided, strict=False)), np.zeros(table.shape[2:]))
        count(len(choices_a[order[level]]))
        for action in choices_a[order[level]]:
            grown = base + table[order[level], action]
            bound = float((grown + rest[level + 1] + barred).max(axis=1).sum())
            if bound <= bar():
                continue
            serial += 1
            if level + 1 == n:
                others = _replies(grown, choices_h)
                bound, reply = next(others)
                answers[serial] = reply, others
            heapq.heappush(queue, (-bound, -(level + 1), serial, (*decided, action)))


def _replies(worth: Floats, choices: list[tuple[int, ...]]) -> Iterator[tuple[float, Rule]]:
    """Rules of one side by what they promise, best first; each cluster's action adds its own part."""
    ranked = [sorted(actions, key=lambda a, row=row: -row[a]) for actions, row in zip(choices, worth, strict=True)]  # type: ignore[misc]
    losses = [[float(row[actions[0]] - row[a]) for a in actions] for actions, row in zip(ranked, worth, strict=True)]
    best = float(sum(row[actions[0]] for actions, row in zip(ranked, worth, strict=True)))
    queue: list[tuple[float, tuple[int, ...], int]] = [(0.0, (0,) * len(choices), 0)]
    while queue:
        loss, ranks, moved = heapq.heappop(queue)
        yield best - loss, tuple(actions[r] for actions, r in zip(ranked, ranks, strict=True))
        for c in range(moved, len(choices)):  # each combination is reached once: only later clusters move on
            if ranks[c] + 1 < len(ranked[c]):
                step = losses[c][ranks[c] + 1] - losses[c][ranks[c]]
                heapq.heappush(queue, (loss + step, (*ranks[:c], ranks[c] + 1, *ranks[c + 1 :]), c))
