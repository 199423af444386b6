"""An agent that learns a mentor's policy, asks when it is far from what it was told, and never sees a payoff.

The algorithm (Plaut et al. 2025, arXiv:2402.08062, algorithm 1): with probability p a round is *forced*: ask, update Hedge over
a cover of the mentor's class, redraw a policy. On other rounds play the drawn policy's action, but only if some input with that
very action has been heard within the radius r; else ask.

`HelpAsker` is that, one round at a time, for any environment. `ask_for_help` is the same for many runs at once, on inputs that
do not depend on the agent: the draws of Hedge are computed for all runs together (they do not depend on the trigger), the
trigger with k-d trees over growing blocks. Both make the same decisions from the same generators.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from assay.core.errors import SettingsError
from assay.studies.learners.asking_for_help_no_regret.world import Inputs, Labels, Values

__all__ = [
    "Cover",
    "FiniteCover",
    "HelpAsker",
    "Run",
    "Schedule",
    "ThresholdCover",
    "Transcript",
    "ask_for_help",
    "ask_within_budget",
    "bisect_mentor",
    "copy_nearest",
    "cover_precision",
    "halfspace_cover",
]

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Schedule:
    """The three numbers of the algorithm.

    Attributes:
        forced_rate: p, the chance that a round is a forced query.
        radius: r, how near a heard input with the same action must be.
        step_size: eta of Hedge.
    """

    forced_rate: float
    radius: float
    step_size: float

    def __post_init__(self) -> None:
        if not 0 <= self.forced_rate <= 1:
            raise SettingsError(f"the forced query rate must be in [0, 1]; got {self.forced_rate}")
        if not (self.radius >= 0 and self.step_size >= 0):
            raise SettingsError(f"radius and step size must not be negative; got {self.radius} and {self.step_size}")

    @classmethod
    def online(cls, n_rounds: int, n_dims: int, cover_size: int, *, importance_weighted: bool = False) -> "Schedule":
        """The base paper's: with eps the cover's precision, p = 1/sqrt(eps T), r = eps^(1/n), eta of label-efficient Hedge.

        So r = T^(-2/(2n+1)) and p = T^(-1/(4n+2)). Label-efficient Hedge weighs a loss seen with probability p by 1/p
        (Cesa-Bianchi et al. 2005); `importance_weighted` puts that factor into the step size.
        """
        eps = cover_precision(n_rounds, n_dims)
        forced = min(1.0, 1 / math.sqrt(eps * n_rounds))
        step = max(math.sqrt(forced * math.log(max(cover_size, 2)) / (2 * n_rounds)), forced**2 / math.sqrt(2))
        return cls(forced, eps ** (1 / n_dims), step / forced if importance_weighted else step)

    @classmethod
    def irreversible(cls, n_rounds: int, n_dims: int) -> "Schedule":
        """For irreversible MDPs: the follow-up's radius T^(-1/(n+1)), p = T^(-1/(2n+2)) from its bound on queries, eta = 1.

        A step of constant size is what keeps mistakes at O(log / p) over a cover of precision 1/T, so that mistakes times the
        radius, the total risk, still goes to zero; with the online schedule's step it would not.
        """
        if n_rounds < 1 or n_dims < 1:
            raise SettingsError(f"n_rounds and n_dims must be at least 1; got {n_rounds} and {n_dims}")
        return cls(n_rounds ** (-1 / (2 * n_dims + 2)), n_rounds ** (-1 / (n_dims + 1)), 1.0)


def cover_precision(n_rounds: int, n_dims: int) -> float:
    """eps = T^(-2n/(2n+1)): how often the nearest policy of the cover may disagree with the mentor (arXiv:2402.08062)."""
    if n_rounds < 1 or n_dims < 1:
        raise SettingsError(f"n_rounds and n_dims must be at least 1; got {n_rounds} and {n_dims}")
    return float(n_rounds ** (-2 * n_dims / (2 * n_dims + 1)))


class Cover(Protocol):
    """Finitely many policies, numbered from 0."""

    @property
    def size(self) -> int:
        """How many."""
        ...

    def votes(self, x: Inputs) -> Labels:
        """The action of every policy on each of m inputs, (m, size)."""
        ...

    def act(self, members: Labels, x: Inputs) -> Labels:
        """The action of policy `members[i]` on input `x[i]`."""
        ...


@dataclass(frozen=True)
class ThresholdCover:
    """The policies [normal . x > theta] for a known normal and ordered thresholds (VC dimension 1 in any dimension)."""

    normal: tuple[float, ...]
    thetas: Values

    def __post_init__(self) -> None:
        if len(self.thetas) < 1 or (np.diff(self.thetas) <= 0).any():
            raise SettingsError(f"a threshold cover needs thresholds in rising order; got {len(self.thetas)} of them")

    @classmethod
    def even(cls, normal: tuple[float, ...], precision: float) -> "ThresholdCover":
        """1/precision thresholds, evenly spaced over the scores of the unit cube."""
        size = max(2, math.ceil(1 / precision))
        top = sum(max(part, 0.0) for part in normal)
        low = sum(min(part, 0.0) for part in normal)
        return cls(normal, low + (top - low) * (np.arange(size) + 0.5) / size)

    @property
    def size(self) -> int:
        """The number of thresholds."""
        return len(self.thetas)

    def place(self, x: Inputs) -> Labels:
        """How many thresholds lie below each input's score: the policies that say 1."""
        return np.asarray(np.searchsorted(self.thetas, x @ np.asarray(self.normal), side="left"))

    def votes(self, x: Inputs) -> Labels:
        """The action of every policy on each of m inputs, (m, size)."""
        return (np.arange(self.size) < self.place(x)[:, None]).astype(np.int64)

    def act(self, members: Labels, x: Inputs) -> Labels:
        """The action of policy `members[i]` on input `x[i]`."""
        return np.asarray(members < self.place(x), dtype=np.int64)


@dataclass(frozen=True)
class FiniteCover:
    """Half-spaces [normals[j] . x > offsets[j]], any list of them: a finite class is its own cover."""

    normals: Inputs
    offsets: Values

    @property
    def size(self) -> int:
        """The number of half-spaces."""
        return len(self.offsets)

    def votes(self, x: Inputs) -> Labels:
        """The action of every policy on each of m inputs, (m, size)."""
        return np.asarray(x @ self.normals.T > self.offsets, dtype=np.int64)

    def act(self, members: Labels, x: Inputs) -> Labels:
        """The action of policy `members[i]` on input `x[i]`."""
        return np.asarray((x * self.normals[members]).sum(axis=1) > self.offsets[members], dtype=np.int64)


def halfspace_cover(n_angles: int, n_offsets: int) -> FiniteCover:
    """Half-planes of the unit square: evenly spaced directions, and offsets spread over what each direction meets."""
    angles = 2 * np.pi * np.arange(n_angles) / n_angles
    normals = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    low, high = np.minimum(normals, 0).sum(axis=1), np.maximum(normals, 0).sum(axis=1)
    places = (np.arange(n_offsets) + 0.5) / n_offsets
    offsets = low[:, None] + (high - low)[:, None] * places
    return FiniteCover(np.repeat(normals, n_offsets, axis=0), offsets.ravel())


@dataclass(frozen=True)
class Run:
    """One run's surroundings: what arrives, what the mentor would say, and the agent's class, numbers and randomness.

    Attributes:
        inputs: (T, n), in the coordinates in which the agent measures distance.
        labels: (T,), what the mentor says if asked; read only on rounds on which the agent asks.
        cover: the policies Hedge runs over.
        schedule: p, r, eta.
        rng: used up by the run.
        seen: the inputs as the cover reads them, where the agent's metric sees others; the same as `inputs` otherwise.
    """

    inputs: Inputs
    labels: Labels
    cover: Cover
    schedule: Schedule
    rng: np.random.Generator
    seen: Inputs | None = None

    @property
    def features(self) -> Inputs:
        """What the policies of the cover read."""
        return self.inputs if self.seen is None else self.seen


@dataclass(frozen=True)
class Transcript:
    """What an agent did, round by round.

    Attributes:
        asked: whether it asked; then the mentor's action was played.
        forced: whether the query was one of Hedge's own (a subset of `asked`).
        action: what the agent's policy would play; on rounds not asked it was played.
        member: the policy of the cover that stands on each round, for agents that draw one.
    """

    asked: Bools
    forced: Bools
    action: Labels
    member: Labels | None = None

    def played(self, mentor: Labels) -> Labels:
        """The action played in each round: the mentor's where asked, else the agent's."""
        return np.where(self.asked, mentor, self.action)


class HelpAsker:
    """The algorithm one round at a time: `decide` an action or ask, `hear` the answer.

    Plain and quadratic in the number of queries: the reading copy, the oracle of the tests, and the agent for environments
    whose inputs depend on what it does.
    """

    def __init__(self, cover: Cover, schedule: Schedule, *, rng: np.random.Generator) -> None:
        self.cover, self.schedule = cover, schedule
        self._coins, self._draws = rng.spawn(2)
        self._weights = np.ones(cover.size)
        self._policy = self._draw()
        self._heard: dict[int, Inputs] = {}  # by action; grown by doubling, the first `_n_heard` rows are used
        self._n_heard: dict[int, int] = {}
        self.forced = False

    def decide(self, x: Values, seen: Values | None = None) -> int | None:
        """The action to play on input x, or None to ask. `seen` is x as the policies read it, where that differs."""
        self.forced = bool(self._coins.random() < self.schedule.forced_rate)
        if self.forced:
            return None
        action = self.propose(x if seen is None else seen)
        n = self._n_heard.get(action, 0)
        if n == 0 or ((self._heard[action][:n] - x) ** 2).sum(axis=1).min() > self.schedule.radius**2:
            return None
        return action

    def propose(self, x: Values) -> int:
        """The action of the policy drawn last."""
        return int(self.cover.act(np.array([self._policy]), x[None])[0])

    def hear(self, x: Values, label: int, seen: Values | None = None) -> None:
        """Take in the mentor's action on the input last asked about."""
        n = self._n_heard.get(label, 0)
        kept = self._heard.setdefault(label, np.empty((64, len(x))))
        if n == len(kept):
            self._heard[label] = kept = np.concatenate([kept, np.empty_like(kept)])
        kept[n] = x
        self._n_heard[label] = n + 1
        if self.forced:
            wrong = self.cover.votes((x if seen is None else seen)[None])[0] != label
            self._weights[wrong] *= math.exp(-self.schedule.step_size)
            self._weights /= self._weights.max()
            self._policy = self._draw()

    def _draw(self) -> int:
        mass = np.cumsum(self._weights)
        return int(np.searchsorted(mass, self._draws.random() * mass[-1], side="right").clip(0, len(mass) - 1))


def ask_for_help(runs: Sequence[Run], *, trigger: bool = True) -> list[Transcript]:
    """One transcript per run, the same as `HelpAsker` would leave behind.

    Args:
        runs: inputs that do not depend on the agent; lengths, covers and schedules may differ.
        trigger: False drops the distance test (Hedge alone): every round that is not forced is played.
    """
    streams = [run.rng.spawn(2) for run in runs]
    forced = [coins.random(len(run.labels)) < run.schedule.forced_rate for run, (coins, _) in zip(runs, streams, strict=True)]
    uniforms = [draws.random(int(f.sum()) + 1) for f, (_, draws) in zip(forced, streams, strict=True)]
    members = _hedge_draws(runs, forced, uniforms)
    transcripts = []
    for run, f, drawn in zip(runs, forced, members, strict=True):
        # On a forced round the old policy still stands; the redraw counts from the next round on.
        member = drawn[np.cumsum(f) - f]
        action = run.cover.act(member, run.features)
        asked = _trigger(run.inputs, run.labels, action, f, run.schedule.radius) if trigger else f
        transcripts.append(Transcript(asked, f, action, member))
    return transcripts


def _hedge_draws(runs: Sequence[Run], forced: Sequence[Bools], uniforms: Sequence[Values]) -> list[Labels]:
    """For each run the policy drawn at the start and after each forced round."""
    ordered = [i for i, run in enumerate(runs) if isinstance(run.cover, ThresholdCover)]
    found: dict[int, Labels] = {}
    if ordered:
        for i, drawn in zip(
            ordered,
            _threshold_draws([runs[i] for i in ordered], [forced[i] for i in ordered], [uniforms[i] for i in ordered]),
            strict=True,
        ):
            found[i] = drawn
    for i, run in enumerate(runs):
        if i not in found:
            found[i] = _dense_draws(run, forced[i], uniforms[i])
    return [found[i] for i in range(len(runs))]


def _dense_draws(run: Run, forced: Bools, uniforms: Values, block: int = 256) -> Labels:
    """Hedge over any cover: cumulative mistakes of all policies, a block of forced rounds at a time."""
    features, labels = run.features[forced], run.labels[forced]
    mistakes = np.zeros(run.cover.size)
    drawn = [_sample(np.ones((1, run.cover.size)), uniforms[:1])]
    for start in range(0, len(labels), block):
        wrong = run.cover.votes(features[start : start + block]) != labels[start : start + block, None]
        counts = mistakes + np.cumsum(wrong, axis=0)
        weights = np.exp(-run.schedule.step_size * (counts - counts.min(axis=1, keepdims=True)))
        drawn.append(_sample(weights, uniforms[1 + start : 1 + start + len(counts)]))
        mistakes = counts[-1]
    return np.concatenate(drawn)


def _sample(weights: Inputs, uniforms: Values) -> Labels:
    mass = np.cumsum(weights, axis=1)
    return np.asarray(np.minimum((mass <= (uniforms * mass[:, -1])[:, None]).sum(axis=1), weights.shape[1] - 1))


def _threshold_draws(runs: Sequence[Run], forced: Sequence[Bools], uniforms: Sequence[Values]) -> list[Labels]:
    """Hedge over ordered thresholds, all runs together.

    A label rules out a prefix or a suffix of the thresholds, so weights are kept in blocks of about sqrt(size) with one
    multiplier each: an update or a draw touches O(sqrt(size)) numbers of each run instead of all.
    """
    rounds = np.array([int(f.sum()) for f in forced])
    order = np.argsort(-rounds, kind="stable")  # runs still going form a prefix
    n_runs, longest = len(runs), int(rounds.max(initial=0))
    sizes = np.array([runs[i].cover.size for i in order])
    width = math.isqrt(int(sizes.max()) - 1) + 1
    n_blocks = -(-int(sizes.max()) // width)
    places = np.zeros((longest, n_runs), dtype=np.int64)
    says_one = np.zeros((longest, n_runs), dtype=bool)
    us = np.zeros((longest + 1, n_runs))
    for column, i in enumerate(order):
        run, cover = runs[i], runs[i].cover
        assert isinstance(cover, ThresholdCover)
        places[: rounds[i], column] = cover.place(run.features[forced[i]])
        says_one[: rounds[i], column] = run.labels[forced[i]] == 1
        us[: rounds[i] + 1, column] = uniforms[i]
    weights = (np.arange(n_blocks * width) < sizes[:, None]).astype(float).reshape(n_runs * n_blocks, width)
    sums, multiplier = weights.sum(axis=1), np.ones((n_runs, n_blocks))
    decay = np.exp(-np.array([runs[i].schedule.step_size for i in order]))[:, None]
    drawn = np.zeros((longest + 1, n_runs), dtype=np.int64)
    going = np.searchsorted(-rounds[order], -np.arange(longest + 1), side="right")  # runs with at least k forced rounds

    # Which whole blocks, and which part of its own block, a label rules out: rows of two tables, by place and label.
    block, offset = places // width, places % width
    beyond = block == n_blocks  # a place after the last threshold rules out all blocks or none, and no part of one
    numbers, inside = np.arange(n_blocks + 1)[:, None], np.arange(width)[:, None]
    whole = np.concatenate([np.arange(n_blocks) < numbers, np.arange(n_blocks) > numbers])
    partly = np.concatenate([np.arange(width) < inside, np.arange(width) >= inside, np.zeros((1, width), dtype=bool)])
    whole_row = block + (n_blocks + 1) * says_one
    partly_row = np.where(beyond, 2 * width, offset + width * says_one)
    first = n_blocks * np.arange(n_runs)
    own = first + np.minimum(block, n_blocks - 1)
    mass = np.zeros((n_runs, n_blocks + 1))
    rows = np.arange(n_runs)

    for k in range(longest + 1):
        m = int(going[k])
        scale = multiplier[:m]
        if k > 0:
            np.multiply(scale, decay[:m], out=scale, where=whole[whole_row[k - 1, :m]])
            touched = own[k - 1, :m]
            part = weights[touched]
            np.multiply(part, decay[:m], out=part, where=partly[partly_row[k - 1, :m]])
            weights[touched] = part
            sums[touched] = part.sum(axis=1)
            if k % 256 == 0:  # long before exp(-256 eta) could underflow
                live = weights[: m * n_blocks]
                top = live.max(axis=1)
                top[top == 0] = 1.0
                live /= top[:, None]
                scale *= top.reshape(m, n_blocks)
                scale /= scale.max(axis=1, keepdims=True)
                sums[: m * n_blocks] = live.sum(axis=1)
        np.cumsum(scale * sums[: m * n_blocks].reshape(m, n_blocks), axis=1, out=mass[:m, 1:])
        target = us[k, :m] * mass[:m, -1]
        chosen = np.minimum((mass[:m, 1:] <= target[:, None]).sum(axis=1), n_blocks - 1)
        rest = (target - mass[rows[:m], chosen]) / scale[rows[:m], chosen]
        within = weights[first[:m] + chosen].cumsum(axis=1)
        drawn[k, :m] = chosen * width + np.minimum((within <= rest[:, None]).sum(axis=1), width - 1)
    drawn = np.minimum(drawn, sizes - 1)
    found: list[Labels] = [np.empty(0, dtype=np.int64)] * n_runs
    for column, i in enumerate(order):
        found[i] = drawn[: rounds[i] + 1, column]
    return found


def _blocks(n_rounds: int, first: int = 256) -> list[slice]:
    """Blocks that grow with what is known, so that the trees are rebuilt only about log T times."""
    cuts = [0]
    while cuts[-1] < n_rounds:
        cuts.append(min(n_rounds, cuts[-1] + max(first, cuts[-1] // 2)))
    return [slice(a, b) for a, b in pairwise(cuts)]


def _trigger(inputs: Inputs, labels: Labels, action: Labels, forced: Bools, radius: float) -> Bools:
    """Which rounds ask: the forced ones, and those with no heard input of the same action within the radius."""
    asked = forced.copy()
    bound = math.nextafter(radius, math.inf)
    for block in _blocks(len(labels)):
        known = np.flatnonzero(asked[: block.start])
        x, y, free = inputs[block], action[block], ~forced[block]
        near = np.zeros(len(y), dtype=bool)
        for value in np.unique(y[free]):
            told = known[labels[known] == value]
            mine = np.flatnonzero(free & (y == value))
            if told.size and mine.size:
                near[mine] = np.isfinite(
                    cKDTree(inputs[told], balanced_tree=False, compact_nodes=False).query(x[mine], distance_upper_bound=bound)[
                        0
                    ]
                )
        open_rounds = np.flatnonzero(free & ~near)
        if not open_rounds.size:
            continue
        # Only forced and open rounds of this block can add what an open round could lean on; settle them in order.
        teachers = np.flatnonzero(~free | ~near)
        rank = np.full(len(y), -1)
        rank[teachers] = np.arange(len(teachers))
        lists = cKDTree(x[teachers]).query_ball_point(x[open_rounds], radius)
        said = labels[block][teachers].tolist()
        heard = forced[block][teachers].tolist()
        for j, candidates in zip(open_rounds.tolist(), lists, strict=True):
            mine_rank, mine_action = rank[j], y[j]
            if not any(i < mine_rank and heard[i] and said[i] == mine_action for i in candidates):
                heard[mine_rank] = True
                asked[block.start + j] = True
    return asked


def copy_nearest(inputs: Inputs, labels: Labels, radius: float) -> Transcript:
    """No Hedge: play the action of the nearest heard input if it lies within the radius, else ask."""
    n_rounds = len(labels)
    asked = np.zeros(n_rounds, dtype=bool)
    action = np.zeros(n_rounds, dtype=np.int64)
    bound = math.nextafter(radius, math.inf)
    for block in _blocks(n_rounds):
        x = inputs[block]
        best = np.full(len(x), np.inf)
        teacher = np.zeros(len(x), dtype=np.int64)
        known = np.flatnonzero(asked[: block.start])
        if known.size:
            best, index = cKDTree(inputs[known]).query(x, distance_upper_bound=bound)
            teacher = np.where(np.isfinite(best), known[np.minimum(index, len(known) - 1)], 0)
        tree = cKDTree(x)
        for j in np.flatnonzero(best > radius):
            if best[j] <= radius:
                continue  # settled by a query of this block
            asked[block.start + j] = True  # what is heard here is known to every later round of the block
            around = np.asarray(tree.query_ball_point(x[j], radius), dtype=np.int64)
            later = around[around > j]
            distance = np.sqrt(((x[later] - x[j]) ** 2).sum(axis=1))
            nearer = distance < best[later]
            best[later[nearer]] = distance[nearer]
            teacher[later[nearer]] = block.start + j
        action[block] = labels[teacher]
    return Transcript(asked, np.zeros(n_rounds, dtype=bool), action)


def bisect_mentor(inputs: Inputs, labels: Labels, normal: tuple[float, ...]) -> Transcript:
    """The exact learner of one threshold: ask iff the input lies between the nearest answers 0 and 1; never wrong.

    The version space of a noiseless threshold mentor is an interval; queries grow like log T on independent inputs.
    """
    score = inputs @ np.asarray(normal)
    asked = np.zeros(len(labels), dtype=bool)
    low, high = -math.inf, math.inf
    start = 0
    while start < len(labels):
        unsure = (score[start:] > low) & (score[start:] < high)
        if not unsure.any():
            break
        t = start + int(unsure.argmax())
        asked[t] = True
        if labels[t] == 1:
            high = min(high, float(score[t]))
        else:
            low = max(low, float(score[t]))
        start = t + 1
    # Beyond the interval the action is sure; each round is judged by the interval as it stood, which only shrank since.
    action = np.where(score >= high, 1, 0)
    return Transcript(asked, np.zeros(len(labels), dtype=bool), action)


def ask_within_budget(inputs: Inputs, labels: Labels, budget: int, *, cell: Labels | None = None) -> Transcript:
    """Ask on the first inputs of a new kind until the budget is spent; then copy the nearest answer.

    Args:
        inputs: (T, n).
        labels: the mentor's action on each round.
        budget: the most queries.
        cell: the kind of each input, for an agent that knows which inputs share an action: it asks once a kind, and plays 0 on
            kinds it never asked about. None asks on the first `budget` rounds.
    """
    n_rounds = len(labels)
    asked = np.zeros(n_rounds, dtype=bool)
    action = np.zeros(n_rounds, dtype=np.int64)
    if cell is None:
        asked[:budget] = True
        told = np.flatnonzero(asked)
        if told.size:
            action = labels[told[cKDTree(inputs[told], balanced_tree=False, compact_nodes=False).query(inputs)[1]]]
        return Transcript(asked, np.zeros(n_rounds, dtype=bool), action)
    _, first = np.unique(cell, return_index=True)
    asked[np.sort(first)[:budget]] = True
    answers = np.zeros(int(cell.max(initial=0)) + 1, dtype=np.int64)
    answers[cell[asked]] = labels[asked]
    return Transcript(asked, np.zeros(n_rounds, dtype=bool), answers[cell])
