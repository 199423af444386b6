"""C2-C5 and C8: the algorithm and its ablations on inputs that arrive whatever the agent does."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from assay.claims.study import Measurement, Table
from assay.core.progress import parts
from assay.core.seeds import Seeds
from assay.stats.scaling import log_log_slope
from assay.studies.learners.asking_for_help_no_regret.agents import (
    Run,
    Schedule,
    ThresholdCover,
    Transcript,
    ask_for_help,
    bisect_mentor,
    copy_nearest,
    cover_precision,
    halfspace_cover,
)
from assay.studies.learners.asking_for_help_no_regret.horizons import copies_of
from assay.studies.learners.asking_for_help_no_regret.settings import OnlineSettings
from assay.studies.learners.asking_for_help_no_regret.world import Half, Inputs, Labels, uniform_inputs

Numbers = tuple[float, float, float, float, float]
Row = tuple[int, int, int, str, float, float, float, float, float]  # seed, horizon, copy, agent, then `_regrets`
ADDITIVE, QUERY_RATE, TESTED = 1, 2, 4  # places in what `_regrets` returns
N_FRESH = 200_000
Plays = Literal["tested", "untested", "nearest", "right"]
Step = Literal["plain", "weighted", "constant"]
STEPS: dict[Step, str] = {"plain": "full", "weighted": "weighted", "constant": "constant"}
NAMES = {
    "full": "full algorithm",
    "weighted": "importance-weighted Hedge",
    "constant": "Hedge with a constant step",
    "no-test": "no distance test",
    "no-hedge": "no Hedge (copies nearest)",
    "exact": "exact learner (bisection)",
}


def measure_many(settings: OnlineSettings, many: Sequence[Seeds]) -> list[Measurement]:
    """Regret and queries of the algorithm and its ablations over horizons and dimensions, for several seeds at once."""
    tables: list[Table] = [[] for _ in many]
    slopes: list[dict[str, float]] = [{} for _ in many]
    for n_dims in parts((1, 2, 3), label=lambda n: f"{n} dimensions", weights=(1.0, 1.2, 1.4)):
        keys = [
            (s, horizon, copy)
            for s in range(len(many))
            for horizon in settings.horizons
            for copy in range(copies_of(settings.n_copies, horizon))
        ]
        rows: list[Row] = []
        for step in parts(STEPS):
            built = [_problem(many[s], horizon, n_dims, copy, step=step) for s, horizon, copy in keys]
            for key, (problem, run), transcript in zip(keys, built, ask_for_help([run for _, run in built]), strict=True):
                seed, horizon, copy = key
                fresh = Fresh.draw(problem, rng=many[seed].child(f"online/{n_dims}/{horizon}/{copy}")("fresh"))
                rows.append((*key, NAMES[STEPS[step]], *_regrets(problem, run, transcript, fresh=fresh)))
                if step == "plain":
                    rows += [(*key, name, *values) for name, values in _ablations(problem, run, transcript, fresh)]
        for s in range(len(many)):
            mine = [row for row in rows if row[0] == s]
            tables[s] += _averaged(mine, n_dims)
            slopes[s] |= _online_slopes(mine, n_dims)
    return [_measurement(settings, seeds, table, found) for seeds, table, found in zip(many, tables, slopes, strict=True)]


@dataclass(frozen=True)
class Fresh:
    """Uniform inputs in rising order of their scores, to take an expectation over, and what draws among them."""

    inputs: Inputs
    scores: npt.NDArray[np.float64]
    rng: np.random.Generator

    @classmethod
    def draw(cls, problem: Half, *, rng: np.random.Generator, n: int = N_FRESH) -> "Fresh":
        """n of them for a mentor's problem; in one dimension none are needed."""
        inputs = uniform_inputs(n if problem.n_dims > 1 else 1, problem.n_dims, rng=rng)
        scores = problem.score(inputs)
        order = np.argsort(scores)
        return cls(inputs[order], scores[order], rng)


def _ablations(problem: Half, run: Run, transcript: Transcript, fresh: Fresh) -> list[tuple[str, Numbers]]:
    """What the same round's inputs cost without the distance test, without Hedge, and the exact learner of one threshold."""
    hedge_only = Transcript(transcript.forced, transcript.forced, transcript.action, transcript.member)
    return [
        (NAMES["no-test"], _regrets(problem, run, hedge_only, plays="untested", fresh=fresh)),
        (
            NAMES["no-hedge"],
            _regrets(problem, run, copy_nearest(run.inputs, run.labels, run.schedule.radius), plays="nearest", fresh=fresh),
        ),
        (
            NAMES["exact"],
            _regrets(problem, run, bisect_mentor(run.inputs, run.labels, problem.normal), plays="right", fresh=fresh),
        ),
    ]


COIN_ASKS = 0.05  # of the rounds that are not forced, in place of the distance test


def measure_nulls(settings: OnlineSettings, seeds: Seeds) -> Measurement:
    """Who plays a coin toss, and asks by the schedule's coin and, in place of the distance test, by one that comes up 1 in 20.

    Its one number of regret, of questions and of the ratio is that in one dimension.
    """
    estimands: dict[str, float] = {}
    rates: list[float] = []
    for n_dims in (1, 2, 3):
        numbers = []
        for horizon in settings.horizons:
            found = []
            for copy in range(settings.n_copies):
                problem, run = _problem(seeds, horizon, n_dims, copy)
                rng = seeds.child(f"coin/{n_dims}/{horizon}/{copy}")("coin")
                forced = rng.random(horizon) < run.schedule.forced_rate
                asked = forced | (rng.random(horizon) < COIN_ASKS)
                tossed = Transcript(asked, forced, rng.integers(2, size=horizon))
                loss = problem.loss(run.inputs, tossed.played(run.labels)).sum()
                found.append((loss, asked.mean(), asked[~forced].mean()))
            numbers.append(np.mean(found, axis=0))
        slopes = [log_log_slope(settings.horizons, [float(row[column]) for row in numbers]) for column in range(3)]
        estimands[f"coin-full-{n_dims}d/test_slope"] = slopes[2]
        if n_dims == 1:
            estimands |= {"coin/additive_slope": slopes[0], "coin/query_slope": slopes[1]}
            rates.append(float(numbers[-1][1]))
    _, run = _problem(seeds, max(settings.horizons), 1, 0)
    estimands["coin/queries_to_full"] = rates[0] / float(ask_for_help([run])[0].asked.mean())
    return Measurement(estimands)


def _measurement(settings: OnlineSettings, seeds: Seeds, table: Table, slopes: dict[str, float]) -> Measurement:
    longest = max(settings.horizons)
    rate = {row["agent"]: float(row["query_rate"]) for row in table if row["n_dims"] == 1 and row["rounds"] == longest}
    short = [horizon for horizon in settings.horizons if horizon <= 10_000] or [min(settings.horizons)]
    no_transfer = [
        ask_for_help([_problem(seeds, horizon, 1, 0, radius=0.0)[1]])[0].asked.mean()
        for horizon in settings.horizons[: max(2, len(short))]
    ]
    return Measurement(
        estimands={
            **slopes,
            "no-transfer-1d/query_slope": log_log_slope(settings.horizons[: len(no_transfer)], no_transfer),
            "no-hedge-1d/queries_to_full": rate[NAMES["no-hedge"]] / rate[NAMES["full"]],
            "exact-1d/queries_to_full": rate[NAMES["exact"]] / rate[NAMES["full"]],
        },
        tables={
            "online": table,
            "regret": [row for row in table if row["agent"] != NAMES["exact"]],
            "queries": [row for row in table if row["agent"] == NAMES["full"]],
            "reference": _reference(table),
            "half_planes": _half_planes(settings, seeds, short),
        },
    )


# Regret, query rate, wrong actions and Hedge-only regret of the reference run (1-D thresholds, L = 1, 12 seeds), by rounds.
REFERENCE = {
    1_000: (0.013, 0.39, 3.7, 13.3),
    3_000: (0.014, 0.32, 7.1, 26.6),
    10_000: (0.009, 0.25, 10.0, 53.6),
    30_000: (0.007, 0.21, 15.1, 93.4),
}


def _reference(table: Table) -> Table:
    """Our numbers beside the reference run's, where both have the same number of rounds."""
    ours = {(row["rounds"], row["agent"]): row for row in table if row["n_dims"] == 1}
    rows: Table = []
    for horizon, theirs in REFERENCE.items():
        if (horizon, "full algorithm") not in ours:
            continue
        full, hedge = ours[horizon, "full algorithm"], ours[horizon, "no distance test"]
        found = (full["additive_regret"], full["query_rate"], full["wrong_actions"], hedge["additive_regret"])
        for name, mine, reference in zip(
            ("regret", "query rate", "wrong actions", "Hedge-only regret"), found, theirs, strict=True
        ):
            rows.append({"rounds": horizon, "quantity": name, "ours": mine, "reference": reference})
    return rows


def _problem(
    seeds: Seeds, horizon: int, n_dims: int, copy: int, *, radius: float | None = None, step: Step = "plain"
) -> tuple[Half, Run]:
    """A mentor and a run of the algorithm on it; the mentor, the inputs and the agent's draws are the same for every step."""
    seeds = seeds.child(f"online/{n_dims}/{horizon}/{copy}")
    problem = Half.sample(n_dims, rng=seeds("mentor"))
    inputs = uniform_inputs(horizon, n_dims, rng=seeds("inputs"))
    cover = ThresholdCover.even(problem.normal, cover_precision(horizon, n_dims))
    schedule = Schedule.online(horizon, n_dims, cover.size, importance_weighted=step == "weighted")
    if radius is not None:
        schedule = dataclasses.replace(schedule, radius=radius)
    if step == "constant":
        schedule = dataclasses.replace(schedule, step_size=1.0)
    return problem, Run(inputs, problem.mentor(inputs), cover, schedule, seeds("agent"))


def _regrets(
    problem: Half, run: Run, transcript: Transcript, *, plays: Plays = "tested", fresh: Fresh | None = None
) -> Numbers:
    """Multiplicative regret, additive regret, query rate, wrong actions played, share asked of the rounds that are not forced.

    With `fresh` inputs the additive regret is the `expected_regret`: the mean of what is drawn, without the luck of few inputs;
    only who copies the nearest answer in more than one dimension keeps what is drawn.
    """
    truth = problem.mentor(run.inputs)
    played = transcript.played(truth)
    loss = problem.loss(run.inputs, played)
    with np.errstate(divide="ignore"):  # a certain catastrophe is an infinite multiplicative regret, and a survival of 0
        logs = float(-np.log1p(-loss).sum())
    additive = float(loss.sum())
    if fresh is not None and (problem.n_dims == 1 or plays != "nearest"):
        additive = expected_regret(problem, run, transcript, plays=plays, fresh=fresh)
    tested = float(transcript.asked[~transcript.forced].mean()) if (~transcript.forced).any() else 0.0
    return logs, additive, float(transcript.asked.mean()), float((played != truth).sum()), tested


def expected_regret(problem: Half, run: Run, transcript: Transcript, *, plays: Plays, fresh: Fresh) -> float:
    """Additive regret, each round's in expectation over its uniform input, given all that went before.

    Wrong are the inputs between the mentor's plane and the agent's; they are played as far as a heard input of that action is
    within the radius (everywhere without the distance test), and each costs L times its distance to the mentor's plane. In one
    dimension that is a sum of squares. In more, one of the rounds on which a policy stands is taken for all of them, and one
    fresh input from between the planes for all of those.

    Args:
        problem: the mentor.
        run: inputs and answers.
        transcript: who was asked when, and the policies that stood.
        plays: its policy's action after the distance test or without it, the nearest answer within the radius (in one
            dimension alone), or never wrong.
        fresh: inputs to draw from.
    """
    if plays == "right":
        return 0.0
    if problem.n_dims == 1:
        return _expected_on_a_line(problem, run, transcript, plays)
    assert isinstance(run.cover, ThresholdCover)
    assert transcript.member is not None
    free = np.flatnonzero(~transcript.forced)
    stands = np.cumsum(transcript.forced)[free]  # how many redraws there have been
    starts = np.flatnonzero(np.r_[True, np.diff(stands) > 0])
    lengths = np.diff(np.r_[starts, len(free)])
    uniforms = fresh.rng.random((2, len(starts)))
    rounds = free[starts + (uniforms[0] * lengths).astype(np.int64)]
    threshold = run.cover.thetas[transcript.member[rounds]]
    reach = run.schedule.radius if plays == "tested" else np.inf
    near, far = np.minimum(threshold, problem.offset), np.maximum(threshold, problem.offset)
    first, last = (
        np.searchsorted(fresh.scores, edge, side="right")
        for edge in (np.maximum(near, problem.offset - reach), np.minimum(far, problem.offset + reach))
    )
    drawn = np.minimum(first + (uniforms[1] * (last - first)).astype(np.int64), len(fresh.scores) - 1)
    played = last > first
    if plays == "tested":
        wrong = (threshold < problem.offset).astype(np.int64)  # it says 1 where the mentor says 0, or the other way round
        for action in (0, 1):
            mine = np.flatnonzero(played & (wrong == action))
            told = np.flatnonzero(transcript.asked & (run.labels == action))
            played[mine] = _first_near(run.inputs[told], told, fresh.inputs[drawn[mine]], run.schedule.radius) < rounds[mine]
    chance = (1 - run.schedule.forced_rate) * len(run.labels) / len(free) * lengths * (last - first) / len(fresh.scores)
    cost = np.minimum(1.0, problem.lipschitz * np.abs(fresh.scores[drawn] - problem.offset))
    return float((played * chance * cost).sum())


def _first_near(told: Inputs, rounds: Labels, inputs: Inputs, radius: float) -> Labels:
    """The first of the rounds on which an input within the radius was told, for each input; none is a very late one."""
    never = np.iinfo(np.int64).max
    found = np.full(len(inputs), never)
    if len(told) and len(inputs):
        balls = cKDTree(told).query_ball_point(inputs, radius)
        sizes = np.fromiter(map(len, balls), dtype=np.int64, count=len(balls))
        some = np.flatnonzero(sizes)
        if some.size:
            inside = np.concatenate([np.asarray(balls[i], dtype=np.int64) for i in some])
            found[some] = np.minimum.reduceat(rounds[inside], np.r_[0, np.cumsum(sizes[some])[:-1]])
    return found


def _expected_on_a_line(problem: Half, run: Run, transcript: Transcript, plays: Plays) -> float:
    """`expected_regret` in one dimension, where the outermost heard input of an action is the nearest to what is wrong.

    The threshold of who copies the nearest answer is half way between the nearest two.
    """
    x, place = run.inputs[:, 0], problem.offset
    low = _before(np.maximum.accumulate(np.where(transcript.asked & (run.labels == 0), x, -np.inf)), -np.inf)
    high = _before(np.minimum.accumulate(np.where(transcript.asked & (run.labels == 1), x, np.inf)), np.inf)
    if plays == "nearest":
        silent = np.isinf(low) & np.isinf(high)  # nothing heard: it asks
        threshold = np.where(silent, place, (np.where(silent, 0.0, low) + np.where(silent, 0.0, high)) / 2)
        played = 1.0
    else:
        assert isinstance(run.cover, ThresholdCover)
        assert transcript.member is not None
        threshold = run.cover.thetas[transcript.member]
        played = 1 - run.schedule.forced_rate
    top = np.minimum(threshold, low + run.schedule.radius) if plays != "untested" else threshold
    bottom = np.maximum(threshold, high - run.schedule.radius) if plays != "untested" else threshold
    squares = (np.clip(top, place, 1.0) - place) ** 2 + (place - np.clip(bottom, 0.0, place)) ** 2
    return float(played * problem.lipschitz * squares.sum() / 2)


def _before(values: npt.NDArray[np.float64], first: float) -> npt.NDArray[np.float64]:
    """What stood before each round."""
    return np.concatenate([[first], values[:-1]])


def _averaged(rows: list[Row], n_dims: int) -> Table:
    table: Table = []
    for horizon, agent in sorted({(row[1], row[3]) for row in rows}):
        mine = np.array([row[4:] for row in rows if row[1] == horizon and row[3] == agent])
        regret, additive, rate, wrong, tested = map(float, mine.mean(axis=0))
        table.append(
            {
                "n_dims": n_dims,
                "dimension": f"n = {n_dims}",
                "rounds": horizon,
                "agent": agent,
                "additive_regret": additive,
                "query_rate": rate,
                "tested_rate": tested,
                "wrong_actions": wrong,
                "survival": float(np.exp(-mine[:, 0]).mean()),
                "test_bound": horizon ** (-1 / (2 * n_dims + 1)),
            }
            | ({"regret": regret} if math.isfinite(regret) else {})
        )
    return table


def _slope(rows: list[Row], agent: str, column: int, copies: slice = slice(None)) -> float:
    horizons = sorted({row[1] for row in rows})
    means = []
    for horizon in horizons:
        values = [row[4:][column] for row in rows if row[1] == horizon and row[3] == agent]
        means.append(float(np.mean(values[copies])))
    return log_log_slope(horizons, means)


def _online_slopes(rows: list[Row], n_dims: int) -> dict[str, float]:
    found = {f"{arm}-{n_dims}d/additive_slope": _slope(rows, NAMES[arm], ADDITIVE) for arm in NAMES if arm != "exact"}
    found[f"full-{n_dims}d/query_slope"] = _slope(rows, NAMES["full"], QUERY_RATE)
    found[f"full-{n_dims}d/test_slope"] = _slope(rows, NAMES["full"], TESTED)
    if n_dims == 1:
        thirds = {"first": slice(0, None, 3), "second": slice(1, None, 3), "third": slice(2, None, 3)}
        found |= {f"full-1d-{name}/test_slope": _slope(rows, NAMES["full"], TESTED, part) for name, part in thirds.items()}
    return found


def _half_planes(settings: OnlineSettings, seeds: Seeds, horizons: list[int]) -> Table:
    """The algorithm over a finite class of half-planes whose direction it does not know either."""
    cover = halfspace_cover(settings.n_angles, settings.n_offsets)
    rows: Table = []
    for horizon in horizons:
        branch = seeds.child(f"half-planes/{horizon}")
        # The mentor is a member whose boundary crosses the middle of the square.
        central = np.flatnonzero(np.abs(cover.offsets - cover.normals @ np.array([0.5, 0.5])) < 0.25)
        member = int(branch("mentor").choice(central))
        problem = Half((float(cover.normals[member, 0]), float(cover.normals[member, 1])), float(cover.offsets[member]))
        inputs = uniform_inputs(horizon, 2, rng=branch("inputs"))
        run = Run(inputs, problem.mentor(inputs), cover, Schedule.online(horizon, 2, cover.size), branch("agent"))
        logs, additive, rate, wrong, _ = _regrets(problem, run, ask_for_help([run])[0])
        rows.append(
            {"rounds": horizon, "regret": logs, "additive_regret": additive, "query_rate": rate, "wrong_actions": wrong}
        )
    return rows
