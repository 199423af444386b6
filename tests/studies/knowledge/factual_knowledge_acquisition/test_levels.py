"""Numbers of planted levels: what was put in comes out, and nothing where nothing was."""

import math

import numpy as np
import pytest

from assay.core.seeds import Seeds
from assay.studies.knowledge.factual_knowledge_acquisition import levels
from assay.studies.knowledge.factual_knowledge_acquisition.levels import Track

ROUNDS, SPACING, PLAIN, N_ITEMS, N_FACTS = 5, 40, 1000, 8, 6
RNG = Seeds(2)("levels")


def a_track(response: levels.Response | None = None, noise: float = 0.02, last_only: bool = False) -> Track:
    """Untold levels of noise; where a response is given, it is added to the told subjects."""
    end = ROUNDS * SPACING + 5
    states = np.array([*range(1, end + 101), *range(end + 108, end + PLAIN + 1, 8)])
    at = 5 + SPACING * np.arange(ROUNDS) + RNG.integers(0, 10, size=(N_ITEMS, ROUNDS))
    own, reference, other = (noise * RNG.normal(size=(len(states), N_ITEMS, N_FACTS)) - 3 for _ in range(3))
    dealt = noise * RNG.normal(size=(3, *own.shape)) - 3
    base = np.full((3, N_ITEMS, N_FACTS), -3.0)
    track = Track(states, at, own, reference, other, dealt, base)
    if response is None:
        return track
    planted = (track.ending if last_only else track).planted(response)
    return Track(states, at, own + planted.own - reference, reference, other, dealt, base)


def test_windows_are_the_states_they_say() -> None:
    track = a_track()
    values = np.broadcast_to(track.states[:, None, None].astype(float), track.own.shape)
    before, after = track.windows(values)
    assert np.allclose(before, track.at[..., None] - 2)  # states t - 4 to t
    assert np.allclose(after, track.at[..., None] + 8.5)  # states t + 5 to t + 12


def test_jumps_are_seen_where_they_are_and_nowhere_else() -> None:
    track = a_track(lambda since: np.full(since.shape, 0.3))
    assert levels.jump(track) == pytest.approx(0.3, abs=0.01)
    assert levels.jump(track.untold) == pytest.approx(0, abs=0.01)
    assert levels.jump(track.redealt) == pytest.approx(0, abs=0.01)
    assert levels.fall(track) == pytest.approx(0, abs=0.05)
    assert math.isnan(levels.fall(a_track(noise=0.0)))


def test_a_jump_that_falls_by_half_has_lost_half() -> None:
    track = a_track(lambda since: 0.4 * (1 - 0.5 * ((since - 12) / 6).clip(0, 1)))
    assert levels.jump(track) == pytest.approx(0.4, abs=0.02)
    assert levels.fall(track) == pytest.approx(0.5, abs=0.08)


def test_planting_puts_in_what_it_says_and_keeps_the_noise() -> None:
    track = a_track()
    planted = track.planted(lambda since: np.full(since.shape, 0.7))
    assert np.allclose(planted.level[-1] - track.untold.level[-1], 0.7 * ROUNDS)
    assert np.allclose(planted.level[0], track.untold.level[0])
    assert np.allclose(track.ending.planted(lambda since: np.full(since.shape, 0.7)).level[-1] - track.untold.level[-1], 0.7)


@pytest.mark.parametrize("fall", [0.1, 0.3])
def test_decay_and_threshold_of_a_planted_line(fall: float) -> None:
    track = a_track(lambda since: 2 * (1 - fall * np.log10(since / 8.3)), last_only=True)
    assert levels.gain(track) == pytest.approx(2, abs=0.05)
    assert levels.decay(track, 12, PLAIN) == pytest.approx(fall, abs=0.03)
    assert math.log10(levels.threshold(track, 12, PLAIN)) == pytest.approx(math.log10(8.3) + 1 / fall, rel=0.15)
    assert levels.kept_after(track, 500) == pytest.approx(1 - fall * math.log10(500 / 8.3), abs=0.03)
    assert levels.level_after(track, 900) == pytest.approx(2 * (1 - fall * math.log10(900 / 8.3)), abs=0.05)
    assert math.isnan(levels.decay(a_track(noise=0.0), 12, PLAIN))
    assert math.isnan(levels.kept_after(a_track(noise=0.0), 500))


def test_lines_and_floored_falls_are_told_apart() -> None:
    line = a_track(lambda since: 2 * (1 - 0.3 * np.log10(since)), last_only=True)
    floored = a_track(lambda since: 2 * (1 + 2 * np.exp(-since / 60)) / 3, last_only=True)
    assert levels.shape_error(line, PLAIN) < -0.02
    assert levels.shape_error(floored, PLAIN) > 0.1


def test_time_is_each_items_own_and_bins_are_common() -> None:
    track = a_track()
    since = (track.states[:, None] - track.at.max(1))[..., None]
    ramp = Track(track.states, track.at, np.broadcast_to(np.log10(np.maximum(since, 1)), track.own.shape) - 3.0,
                 np.full_like(track.own, -3.0), track.other, track.dealt, track.base)  # fmt: skip
    times, kept = ramp.kept(PLAIN)
    assert times[0] == 1
    assert times[-1] > 0.9 * PLAIN
    assert np.abs(kept - np.log10(times)).max() < 0.06  # a bin of a twentieth of a decade, and unequal steps in it


def test_pairs_are_within_the_distance_and_used_once() -> None:
    one, other, third = RNG.normal(size=40), RNG.normal(size=30) + 0.5, RNG.normal(size=60)
    chosen = levels.pairs([one, other, third], 0.3)
    assert len({len(some) for some in chosen}) == 1
    assert len(chosen[0]) > 10
    for some in chosen:
        assert len(set(some.tolist())) == len(some)
    together = np.stack([one[chosen[0]], other[chosen[1]], third[chosen[2]]])
    assert np.abs(together[1:] - together[0]).max() <= 0.3
    assert [len(some) for some in levels.pairs([np.zeros(3), np.ones(3)], 0.3)] == [0, 0]


def test_a_difference_that_log_p_before_explains_is_gone_among_pairs() -> None:
    before = [RNG.normal(size=(40, 1, 6)) - 3, RNG.normal(size=(40, 1, 6)) - 2.5]
    jumps = [-0.5 * values for values in before]
    raw = [float(some.mean()) for some in jumps]
    paired = levels.matched(list(zip(before, jumps, strict=True)))
    assert raw[0] - raw[1] > 0.15
    assert abs(paired[0] - paired[1]) < 0.03
    assert all(math.isnan(value) for value in levels.matched(list(zip(before, jumps, strict=True)), fewest=10_000))


def test_ratios_have_a_floor_and_need_a_jump() -> None:
    assert levels.log_ratio(2.0, 1.0) == pytest.approx(math.log(2))
    assert levels.log_ratio(0.0, 1.0) == pytest.approx(math.log(0.01))
    assert levels.log_ratio(-1.0, 1.0) == pytest.approx(math.log(0.01))
    assert math.isnan(levels.log_ratio(0.0, 0.0))
    assert math.isnan(levels.log_ratio(math.nan, 1.0))
