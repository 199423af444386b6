"""The walker's world against a plain loop, a sampled one and its own assumption."""

import numpy as np
import pytest

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.studies.learners.asking_for_help_no_regret.agents import HelpAsker, Schedule, ThresholdCover
from assay.studies.learners.asking_for_help_no_regret.ridge import (
    ACROSS,
    Chances,
    Fate,
    Ridges,
    path_of,
    walk,
    walk_asking,
    walk_tossing,
    walk_trying,
)


def ridges(m: int, *, lipschitz: float = 1.0, fatal: float = 0.2, climb: float = 0.02) -> Ridges:
    return Ridges(Seeds(0)("place").uniform(0.25, 0.75, m), np.full(m, fatal), lipschitz, 0.05, climb)


class Untested(HelpAsker):
    """The algorithm without the distance test, one round at a time."""

    def decide(self, x, seen=None):
        self.forced = bool(self._coins.random() < self.schedule.forced_rate)
        return None if self.forced else self.propose(x)


@pytest.mark.parametrize("trigger", [True, False])
def test_walkers_that_ask_fare_as_the_agent_that_goes_round_by_round(trigger: bool) -> None:
    m, n_steps = 5, 300
    worlds, chances = ridges(m, lipschitz=16.0), Chances.draw(n_steps, m, rng=Seeds(1)("chances"))
    schedule = Schedule.irreversible(n_steps, 2)
    agents = [Seeds(1).child(str(i)) for i in range(m)]
    together = walk_asking(worlds, schedule, chances, agents, trigger=trigger)
    thrown = 0
    for i, fate in enumerate(together):
        kind = HelpAsker if trigger else Untested
        agent = kind(ThresholdCover.even(ACROSS, 1 / n_steps), schedule, rng=agents[i]("agent"))
        one, column = worlds.only(i), slice(i, i + 1)

        def choose(step, state, agent=agent, one=one):
            action = agent.decide(state[0])
            if action is None:
                agent.hear(state[0], int(one.mentor(state)[0]))
            return np.array([action or 0]), np.array([action is None])

        mine = Chances(chances.start[column], chances.drift[:, column], chances.slip[:, column], chances.fresh[:, column])
        (alone,) = walk(one, choose, mine)
        assert np.array_equal(alone.asked, fate.asked)
        np.testing.assert_allclose(alone.hazard, fate.hazard, atol=1e-12)
        np.testing.assert_allclose(alone.height, fate.height, atol=1e-12)
        thrown += int((alone.height[1:] == 0).sum())
    assert thrown > 2  # or nothing was put to the test


def test_falls_are_weighed_as_they_would_be_drawn() -> None:
    m, n_steps = 20_000, 25
    worlds = Ridges(np.full(m, 0.4), np.full(m, 0.3), 1.0, 0.05, 0.1)
    fates = walk_tossing(worlds, Chances.draw(n_steps, m, rng=Seeds(2)("c")), rng=Seeds(2)("coin"))
    fallen = np.mean([fate.fallen for fate in fates])
    lost = np.mean([fate.lost_share(0.1) for fate in fates])
    # Drawn: a coin, a slip, and of the slips three in ten for ever.
    rng = Seeds(3)("drawn")
    place, height, alive, earned = rng.random(m), np.zeros(m), np.ones(m, dtype=bool), np.zeros(m)
    for _ in range(n_steps):
        earned += np.where(alive, height, 0.0)
        wrong = rng.integers(2, size=m) != (place > 0.4)
        slip = wrong & (rng.random(m) < np.abs(place - 0.4))
        alive &= ~(slip & (rng.random(m) < 0.3))
        place = np.abs(place + 0.05 * rng.standard_normal(m))
        place = np.where(place > 1, 2 - place, place)
        place, height = np.where(slip, rng.random(m), place), np.where(slip, 0.0, np.minimum(1, height + 0.1))
    assert fallen == pytest.approx(1 - alive.mean(), abs=4 * 0.5 / np.sqrt(m))
    mentor = np.minimum(1, 0.1 * np.arange(n_steps)).sum()
    assert lost == pytest.approx(1 - earned.mean() / mentor, abs=4 * earned.std() / mentor / np.sqrt(m) * 2)


def test_the_mentor_climbs_and_never_slips() -> None:
    worlds, chances = ridges(3), Chances.draw(200, 3, rng=Seeds(4)("c"))
    fates = walk(worlds, lambda step, state: (worlds.mentor(state), np.zeros(3, dtype=bool)), chances)
    for fate in fates:
        assert fate.fallen == 0
        assert fate.lost_share(0.02) == pytest.approx(0.0)


def test_what_a_walker_does_moves_it() -> None:
    worlds, chances = ridges(1, lipschitz=2.0, fatal=0.0), Chances.draw(60, 1, rng=Seeds(5)("c"))
    never = np.zeros(1, dtype=bool)
    safe = walk(worlds, lambda step, state: (worlds.mentor(state), never), chances)[0]
    wrong = walk(worlds, lambda step, state: (1 - worlds.mentor(state), never), chances)[0]
    assert wrong.height.mean() < 0.5 * safe.height.mean()
    assert wrong.fallen == 0  # nothing is for ever here, and yet return is lost
    assert wrong.lost_share(0.02) > 0.4


def test_the_world_generalises_locally() -> None:
    """Taking the mentor's action of another place costs at most L times the distance, in chance of a slip."""
    worlds, rng = ridges(1, lipschitz=1.5), Seeds(6)("x")
    states = rng.random((400, 2))
    world = Ridges(np.repeat(worlds.place, 400), np.repeat(worlds.fatal, 400), 1.5, 0.05, 0.02)
    others = states[rng.permutation(400)]
    distance = np.sqrt(((states - others) ** 2).sum(axis=1))
    assert (world.hazard(states, world.mentor(others)) <= 1.5 * distance + 1e-12).all()
    assert (world.hazard(states, world.mentor(states)) == 0).all()


def test_a_path_is_the_walk_with_the_same_throws() -> None:
    worlds = ridges(1, lipschitz=3.0, fatal=0.0)
    chances, never = Chances.draw(80, 1, rng=Seeds(7)("c")), np.zeros(1, dtype=bool)
    seen: list[np.ndarray] = []

    def choose(step, state):
        seen.append(state[0])
        return 1 - worlds.mentor(state), never

    fate = walk(worlds, choose, chances)[0]
    throws = np.flatnonzero(worlds.thrown(fate.hazard, chances.slip[:, 0]))
    assert throws.size > 2
    last = throws[throws < 79].tolist()
    np.testing.assert_allclose(path_of(worlds, chances, 0, last), np.array(seen), atol=1e-12)


def test_a_fate_adds_up() -> None:
    fate = Fate(np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.5, 1.0]), np.zeros(3, dtype=bool), 0.5)
    assert fate.alive.tolist() == [1.0, 1.0, 0.75, 0.375]
    assert fate.fallen == 0.625
    assert fate.lost_share(0.5) == pytest.approx(1 - (0.5 + 0.75) / 1.5)


def test_learners_lose_less_than_a_coin_where_slips_can_be_undone() -> None:
    worlds = Ridges(np.full(2, 0.4), np.zeros(2), 1.0, 0.05, 0.05)
    chances = Chances.draw(4000, 2, rng=Seeds(8)("c"))
    coin = walk_tossing(worlds, chances, rng=Seeds(8)("coin"))
    learner = walk_trying(worlds, "ucb", chances, per_side=10, rng=Seeds(8)("q"))
    assert max(f.lost_share(0.05) for f in learner) < min(f.lost_share(0.05) for f in coin) - 0.1


def test_bad_ridges_are_refused() -> None:
    with pytest.raises(SettingsError, match="fatal"):
        Ridges(np.zeros(2), np.array([0.5, 1.5]), 1.0, 0.05, 0.02)
    with pytest.raises(SettingsError, match="climb"):
        ridges(1, climb=0.0)
