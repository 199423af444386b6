"""A walker on a ridge: what it does moves it, it is paid for its height, and some slips cannot be taken back.

The state is (across, height) in the unit square. On either side of a hidden place across the ridge there is one safe way to
lean, which the mentor knows. A step leaned safely climbs. A step leaned the other way does so too, except that with a chance of
L times the distance to the hidden place the walker slips: it falls for ever, or it is back at the foot, somewhere else across.
So taking the mentor's action of a nearby state changes the law of the next state by at most L times the distance (total
variation), which is local generalisation of the dynamics; the reward, the height, does not depend on the action at all.

Falls are not drawn: a path is drawn among those that have not fallen, and weighed by the chance of it.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.studies.learners.asking_for_help_no_regret.agents import Run, Schedule, ThresholdCover, ask_for_help
from assay.studies.learners.asking_for_help_no_regret.payoff_learners import Explore, QLearners, grid_cells

__all__ = ["Chances", "Fate", "Ridges", "path_of", "walk", "walk_asking", "walk_tossing", "walk_trying"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
ACROSS = (1.0, 0.0)  # the direction in the state along which the safe way to lean changes


@dataclass(frozen=True)
class Ridges:
    """The worlds of m walkers side by side.

    Attributes:
        place: (m,), where across it is that the safe way to lean changes: 1 beyond, 0 before and on it.
        fatal: (m,), share of slips that are for ever.
        lipschitz: L, the chance of a slip a unit of distance to the place.
        sideways: deviation of the walk across, a step; its walls reflect.
        climb: height gained a step, up to 1.
    """

    place: Floats
    fatal: Floats
    lipschitz: float
    sideways: float
    climb: float

    def __post_init__(self) -> None:
        if self.place.shape != self.fatal.shape or (self.fatal < 0).any() or (self.fatal > 1).any():
            raise SettingsError(f"fatal must be in [0, 1], one for each place; got {self.fatal} for {self.place}")
        if not 0 < self.climb <= 1 or self.sideways < 0 or self.lipschitz < 0:
            raise SettingsError(
                "a ridge needs climb in (0, 1], sideways and lipschitz of at least 0; "
                f"got {self.climb}, {self.sideways} and {self.lipschitz}"
            )

    def only(self, walker: int) -> "Ridges":
        """The world of one walker, for as many states as are asked about."""
        return dataclasses.replace(self, place=self.place[walker : walker + 1], fatal=self.fatal[walker : walker + 1])

    def mentor(self, state: Floats) -> Ints:
        """The safe way to lean in states (m, 2)."""
        return (state[:, 0] > self.place).astype(np.int64)

    def hazard(self, state: Floats, action: Ints) -> Floats:
        """The chance that a step slips, (m,)."""
        distance = np.abs(state[:, 0] - self.place)
        return np.where(action != self.mentor(state), np.minimum(1.0, self.lipschitz * distance), 0.0)

    def thrown(self, hazard: Floats, uniform: Floats) -> npt.NDArray[np.bool_]:
        """Who slips back to the foot, of those who do not fall, at these hazards."""
        # Where every slip is a fall nobody is thrown; a certain fall leaves nobody to ask about.
        return np.asarray(uniform * np.maximum(1 - self.fatal * hazard, 1e-300) < (1 - self.fatal) * hazard)


@dataclass(frozen=True)
class Chances:
    """The draws of a walk, the same for every walker that is compared.

    Attributes:
        start: (m,), the place across at the start; every walk starts at the foot.
        drift: (T, m), standard normal.
        slip: (T, m), uniform.
        fresh: (T, m), uniform.
    """

    start: Floats
    drift: Floats
    slip: Floats
    fresh: Floats

    @classmethod
    def draw(cls, n_steps: int, n_walkers: int, *, rng: np.random.Generator) -> "Chances":
        """Those of m walkers over T steps."""
        shape = (n_steps, n_walkers)
        return cls(rng.random(n_walkers), rng.standard_normal(shape), rng.random(shape), rng.random(shape))


@dataclass(frozen=True)
class Fate:
    """What became of a walker, given its path among those that have not fallen.

    Attributes:
        height: (T,), the reward of each step.
        hazard: (T,), its chance of slipping.
        asked: (T,), whether it asked.
        fatal: share of slips that are for ever.
    """

    height: Floats
    hazard: Floats
    asked: npt.NDArray[np.bool_]
    fatal: float

    @property
    def alive(self) -> Floats:
        """The chance of not having fallen before each step, and after the last one, (T + 1,)."""
        return np.concatenate([[1.0], np.cumprod(1 - self.fatal * self.hazard)])

    @property
    def fallen(self) -> float:
        """The chance of having fallen."""
        return float(1 - self.alive[-1])

    def lost_share(self, climb: float) -> float:
        """The share of the mentor's return, who climbs from the foot and never slips, that is lost."""
        mentor = np.minimum(1.0, climb * np.arange(len(self.height)))
        return float(1 - (self.alive[:-1] * self.height).sum() / mentor.sum())


Choose = Callable[[int, Floats], tuple[Ints, npt.NDArray[np.bool_]]]
Tell = Callable[[Floats], None]


def walk(ridges: Ridges, choose: Choose, chances: Chances, *, tell: Tell | None = None) -> list[Fate]:
    """The fates of walkers side by side.

    Args:
        ridges: their worlds.
        choose: (step, states) -> their actions and who asks; on a step on which it asks a walker leans as the mentor does.
        chances: their draws.
        tell: is told each step's next states, for walkers that learn from what happens.
    """
    n_steps, m = chances.drift.shape
    free, tall = chances.start.copy(), np.zeros(m)  # the walk across without walls, and the height
    height, hazard, asked = np.zeros((n_steps, m)), np.zeros((n_steps, m)), np.zeros((n_steps, m), dtype=bool)
    state = np.stack([folded(free), tall], axis=1)
    for t in range(n_steps):
        height[t] = tall
        action, asked[t] = choose(t, state)
        hazard[t] = np.where(asked[t], 0.0, ridges.hazard(state, action))
        thrown = ridges.thrown(hazard[t], chances.slip[t])
        free = np.where(thrown, chances.fresh[t], free + ridges.sideways * chances.drift[t])
        tall = np.where(thrown, 0.0, np.minimum(1.0, tall + ridges.climb))
        state = np.stack([folded(free), tall], axis=1)
        if tell is not None:
            tell(state)
    return [Fate(height[:, i], hazard[:, i], asked[:, i], float(ridges.fatal[i])) for i in range(m)]


def folded(free: Floats) -> Floats:
    """A walk without walls folded into the unit interval, whose walls reflect."""
    place = np.mod(free, 2.0)
    return np.where(place > 1, 2 - place, place)


def path_of(ridges: Ridges, chances: Chances, walker: int, thrown: list[int]) -> Floats:
    """The states (T, 2) of a walker that is thrown back to the foot after these steps, and no others."""
    n_steps = len(chances.drift)
    states = np.empty((n_steps, 2))
    for first, last in pairwise([0, *(step + 1 for step in thrown), n_steps]):
        place = chances.start[walker] if first == 0 else chances.fresh[first - 1, walker]
        moved = np.concatenate([[place], ridges.sideways * chances.drift[first : max(last - 1, first), walker]])
        states[first:last, 0] = folded(np.cumsum(moved))[: last - first]
        states[first:last, 1] = np.minimum(1.0, np.cumsum(np.r_[0.0, np.full(last - first, ridges.climb)])[: last - first])
    return states


def walk_asking(
    ridges: Ridges, schedule: Schedule, chances: Chances, agents: Sequence[Seeds], *, trigger: bool = True
) -> list[Fate]:
    """The fates of walkers that ask by the algorithm, each as the agent that goes round by round would fare.

    Its class is one of places across; its distance is that of states. Throws are few, so all walk on as if there were no more
    of them until one comes up, and walk again from the start with it.

    Args:
        ridges: their worlds.
        schedule: of the algorithm.
        chances: their draws.
        agents: for each walker, the seeds of its agent.
        trigger: False drops the distance test.
    """
    n_steps, m = chances.drift.shape
    cover = ThresholdCover.even(ACROSS, 1 / n_steps)
    thrown: list[list[int]] = [[] for _ in range(m)]
    fates: dict[int, Fate] = {}
    while len(fates) < m:
        going = [i for i in range(m) if i not in fates]
        paths = [path_of(ridges, chances, i, thrown[i]) for i in going]
        mine = [ridges.only(i) for i in going]
        runs = [
            Run(path, one.mentor(path), cover, schedule, agents[i]("agent"))
            for i, one, path in zip(going, mine, paths, strict=True)
        ]
        for i, one, path, transcript in zip(going, mine, paths, ask_for_help(runs, trigger=trigger), strict=True):
            hazard = np.where(transcript.asked, 0.0, one.hazard(path, transcript.action))
            slips = np.flatnonzero(one.thrown(hazard, chances.slip[:, i]))
            new = slips[slips > (thrown[i][-1] if thrown[i] else -1)]
            if new.size:
                thrown[i].append(int(new[0]))
            else:
                fates[i] = Fate(path[:, 1], hazard, transcript.asked, float(ridges.fatal[i]))
    return [fates[i] for i in range(m)]


def walk_tossing(ridges: Ridges, chances: Chances, *, rng: np.random.Generator) -> list[Fate]:
    """The fates of walkers that toss a coin for every step."""
    coins = rng.integers(2, size=chances.drift.shape)
    never = np.zeros(chances.drift.shape[1], dtype=bool)
    return walk(ridges, lambda step, state: (coins[step], never), chances)


def walk_trying(ridges: Ridges, explore: Explore, chances: Chances, *, per_side: int, rng: np.random.Generator) -> list[Fate]:
    """The fates of Q-learners, which see their state, what they do and the height it brings; the state is a cell of a grid."""
    n_steps, m = chances.drift.shape
    learners = QLearners.start(m, per_side**2, 2, explore)
    uniforms, never = rng.random((n_steps, m, 2)), np.zeros(m, dtype=bool)
    last: list[Ints] = []

    def choose(step: int, state: Floats) -> tuple[Ints, npt.NDArray[np.bool_]]:
        cells = grid_cells(state, per_side)
        last[:] = [cells, learners.act(cells, uniforms[step])]
        return last[1], never

    def tell(state: Floats) -> None:
        learners.learn(last[0], last[1], state[:, 1], grid_cells(state, per_side))

    return walk(ridges, choose, chances, tell=tell)
