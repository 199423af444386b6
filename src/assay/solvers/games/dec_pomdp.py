"""Optimal joint policies of small Dec-POMDPs to horizon 4, by dynamic programming over what both agents' plans make common.

While planning, both policies so far are known, so that the joint distribution of the state and the two observation histories is
a sufficient statistic (the occupancy state). The search goes forward from stage to stage over pairs of decision rules, most
promising first, and leaves out what cannot beat the best policy known: the bound is the value if both agents shared their
observations from here on (the underlying POMDP's). Histories that lead to the same beliefs about state and partner are merged,
which loses nothing. The last stage is a one-shot team problem, solved in closed form on one side.

Sources: Oliehoek et al. 2013 (incremental clustering), Dibangoye et al. 2016 (occupancy states).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np
import numpy.typing as npt

from assay.core.errors import InputError
from assay.worlds.games.dec_pomdp import DecPOMDP

__all__ = ["DecPOMDPSolution", "evaluate", "solve_dec_pomdp"]

Floats = npt.NDArray[np.float64]
History = tuple[int, ...]
Rule = tuple[int, ...]
MAX_HORIZON = 4
MAX_RULES = 2_000_000  # pairs of decision rules at one stage
SLACK = 1e-9  # a branch must promise this much more than the best value known


@dataclass(frozen=True, eq=False)
class DecPOMDPSolution:
    """An optimal joint policy.

    Attributes:
        value: expected discounted sum of rewards from the start.
        assistant: action by A's observation history (first observation included), for every history that can occur.
        human: the same for H.
        n_nodes: occupancy states visited by the search.
    """

    value: float
    assistant: Mapping[History, int]
    human: Mapping[History, int]
    n_nodes: int


@dataclass(frozen=True, eq=False)
class _Stage:
    """An occupancy state: [state, A's cluster of histories, H's cluster], and the histories merged in each cluster."""

    occupancy: Floats
    assistant: tuple[tuple[History, ...], ...]
    human: tuple[tuple[History, ...], ...]


def solve_dec_pomdp(game: DecPOMDP, horizon: int) -> DecPOMDPSolution:
    """An optimal joint policy for 1 to 4 steps, exact to floating point.

    Raises:
        InputError: the horizon is out of range, or a stage has too many pairs of decision rules.
    """
    if not 1 <= horizon <= MAX_HORIZON:
        raise InputError(
            f"'{game.name}': the horizon must lie in 1 to {MAX_HORIZON}; got {horizon}. The number of policies is doubly "
            f"exponential in it"
        )
    search = _Search(game, horizon)
    n_a, n_h = game.first.shape[1:]
    root = _merge(
        _Stage(
            game.start[:, None, None] * game.first,
            tuple(((o,),) for o in range(n_a)),
            tuple(((o,),) for o in range(n_h)),
        )
    )
    search.visit(root, 0, 0.0, [])
    assert search.best_rules is not None
    assistant: dict[History, int] = {}
    human: dict[History, int] = {}
    for stage, rule_a, rule_h in search.best_rules:
        for merged, rule, policy in ((stage.assistant, rule_a, assistant), (stage.human, rule_h, human)):
            for histories, action in zip(merged, rule, strict=True):
                for history in histories:
                    policy[history] = action
    return DecPOMDPSolution(search.best, assistant, human, search.n_nodes)


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

    def __init__(self, game: DecPOMDP, horizon: int) -> None:
        self.game, self.horizon = game, horizon
        self.best, self.n_nodes = -np.inf, 0
        self.best_rules: list[tuple[_Stage, Rule, Rule]] | None = None
        n_s, k_a, k_h = game.reward.shape
        self.k_a, self.k_h = k_a, k_h
        # [state, joint action, joint observation, next state]: one step of the centralised POMDP.
        step = np.einsum("sahn,ahnxy->sahxyn", game.transition, game.observation)
        self.step = step
        self.central = step.reshape(n_s, k_a * k_h, -1, n_s)

    def visit(self, stage: _Stage, t: int, earned: float, path: list[tuple[_Stage, Rule, Rule]]) -> None:
        """Search below one occupancy state, `earned` being the discounted reward so far."""
        self.n_nodes += 1
        factor = self.game.discount**t
        table = self._promise(stage, self.horizon - t)
        choices_a = [_distinct(self._effects(stage, "a", c)) for c in range(len(stage.assistant))]
        choices_h = [_distinct(self._effects(stage, "h", c)) for c in range(len(stage.human))]
        n_rules = prod(map(len, choices_a)), prod(map(len, choices_h))
        last = t == self.horizon - 1
        if (min(n_rules) if last else n_rules[0] * n_rules[1]) > MAX_RULES:
            raise InputError(
                f"'{self.game.name}': a stage must have at most {MAX_RULES:,} pairs of decision rules; stage {t + 1} has "
                f"{n_rules[0]} by {n_rules[1]}. Shorten the horizon or merge observations"
            )
        if last:
            value, rule_a, rule_h = _best_pair(table, choices_a, choices_h)
            if earned + factor * value > self.best + SLACK or self.best_rules is None:
                self.best, self.best_rules = earned + factor * value, [*path, (stage, rule_a, rule_h)]
            return
        rules_a, rules_h = list(product(*choices_a)), list(product(*choices_h))
        # Promise of every pair of rules: sum over pairs of clusters.
        by_a = np.zeros((len(rules_a), len(choices_h), self.k_h))
        for c in range(len(choices_a)):
            by_a += table[c, [rule[c] for rule in rules_a]]
        promise = np.zeros((len(rules_a), len(rules_h)))
        for c in range(len(choices_h)):
            promise += by_a[:, c, [rule[c] for rule in rules_h]]
        for flat in np.argsort(-promise, axis=None, kind="stable"):
            i, j = divmod(int(flat), len(rules_h))
            if earned + factor * promise[i, j] <= self.best + SLACK:
                break
            reward, following = self._follow(stage, rules_a[i], rules_h[j])
            self.visit(following, t + 1, earned + factor * reward, [*path, (stage, rules_a[i], rules_h[j])])

    def _promise(self, stage: _Stage, steps: int) -> Floats:
        """[A's cluster, A's action, H's cluster, H's action]: reward now plus the shared-observation value of what follows."""
        occupancy = stage.occupancy.transpose(1, 2, 0)
        n_a, n_h, n_s = occupancy.shape
        now = np.einsum("xys,sah->xyah", occupancy, self.game.reward)
        if steps > 1:
            reached = np.einsum("xys,sapn->xyapn", occupancy, self.central)
            later = self._shared_value(reached.reshape(-1, n_s), steps - 1).reshape(*reached.shape[:-1]).sum(axis=-1)
            now = now + self.game.discount * later.reshape(n_a, n_h, self.k_a, self.k_h)
        return np.ascontiguousarray(now.transpose(0, 2, 1, 3))

    def _shared_value(self, weights: Floats, steps: int) -> Floats:
        """The POMDP value, times probability, of unnormalised beliefs [belief, state] when both agents share observations."""
        out = np.zeros(len(weights))
        live = np.flatnonzero(weights.sum(axis=1) > 0)
        for start in range(0, len(live), 4096):
            rows = live[start : start + 4096]
            now = weights[rows] @ self.game.reward.reshape(len(self.game.start), -1)
            if steps > 1:
                reached = np.einsum("bs,sapn->bapn", weights[rows], self.central)
                later = self._shared_value(reached.reshape(-1, reached.shape[-1]), steps - 1)
                now = now + self.game.discount * later.reshape(reached.shape[:-1]).sum(axis=-1)
            out[rows] = now.max(axis=1)
        return out

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


def _best_pair(table: Floats, choices_a: list[tuple[int, ...]], choices_h: list[tuple[int, ...]]) -> tuple[float, Rule, Rule]:
    """The best pair of decision rules of a one-shot team problem; the side with fewer rules is enumerated."""
    if prod(map(len, choices_h)) < prod(map(len, choices_a)):
        value, rule_h, rule_a = _best_pair(table.transpose(2, 3, 0, 1), choices_h, choices_a)
        return value, rule_a, rule_h
    rules = np.array(list(product(*choices_a)))
    by_rule = table[0, rules[:, 0]]
    for c in range(1, len(choices_a)):
        by_rule = by_rule + table[c, rules[:, c]]
    allowed = np.full(table.shape[2:], -np.inf)
    for c, actions in enumerate(choices_h):
        allowed[c, list(actions)] = 0.0
    answers = by_rule + allowed
    totals = answers.max(axis=2).sum(axis=1)
    best = int(totals.argmax())
    return float(totals[best]), tuple(int(a) for a in rules[best]), tuple(int(h) for h in answers[best].argmax(axis=1))
