"""C2-C5 and C8: the algorithm and its ablations on inputs that arrive whatever the agent does."""

import math
from collections.abc import Sequence

import numpy as np

from assay.claims.study import Measurement, Table
from assay.core.progress import progress
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
from assay.studies.learners.asking_for_help_no_regret.payoff_learners import grid_cells, try_and_see
from assay.studies.learners.asking_for_help_no_regret.settings import OnlineSettings
from assay.studies.learners.asking_for_help_no_regret.world import Half, both_losses, uniform_inputs


def measure_many(settings: OnlineSettings, many: Sequence[Seeds]) -> list[Measurement]:
    """Regret and queries of the algorithm and its ablations over horizons and dimensions, for several seeds at once."""
    tables: list[Table] = [[] for _ in many]
    slopes: list[dict[str, float]] = [{} for _ in many]
    for n_dims in (1, 2, 3):
        keys = [
            (s, horizon, copy)
            for s in range(len(many))
            for horizon in settings.horizons
            for copy in range(copies_of(settings.n_copies, horizon))
        ]
        built = [_problem(many[s], horizon, n_dims, copy) for s, horizon, copy in keys]
        full = ask_for_help([run for _, run in built])
        rows: list[Row] = []
        if n_dims == 2:
            again = [_problem(many[s], horizon, 2, copy, importance_weighted=True) for s, horizon, copy in keys]
            for key, (problem, run), transcript in zip(keys, again, ask_for_help([run for _, run in again]), strict=True):
                rows.append((*key, "importance-weighted Hedge", *_regrets(problem, run, transcript)))
        for key, (problem, run), transcript in zip(keys, built, full, strict=True):
            hedge_only = Transcript(transcript.forced, transcript.forced, transcript.action)
            nearest = copy_nearest(run.inputs, run.labels, run.schedule.radius)
            rows += [
                (*key, "full algorithm", *_regrets(problem, run, transcript)),
                (*key, "no distance test", *_regrets(problem, run, hedge_only)),
                (*key, "no Hedge (copies nearest)", *_regrets(problem, run, nearest)),
                (
                    *key,
                    "exact learner (bisection)",
                    *_regrets(problem, run, bisect_mentor(run.inputs, run.labels, problem.normal)),
                ),
            ]
        for s in range(len(many)):
            mine = [row for row in rows if row[0] == s]
            tables[s] += _averaged(mine, n_dims)
            slopes[s] |= _online_slopes(mine, n_dims)
        progress(n_dims / 4, f"{n_dims} dimensions")
    measurements = []
    for s, seeds in enumerate(many):
        extra, rows_more = _online_extras(settings, seeds)
        longest = max(settings.horizons)
        rate = {row["agent"]: float(row["query_rate"]) for row in tables[s] if row["n_dims"] == 1 and row["rounds"] == longest}
        survival = {
            row["agent"]: float(row["survival"]) for row in tables[s] if row["n_dims"] == 1 and row["rounds"] == longest
        }
        measurements.append(
            Measurement(
                estimands={
                    **slopes[s],
                    **extra,
                    "no-hedge-1d/queries_to_full": rate["no Hedge (copies nearest)"] / rate["full algorithm"],
                    "exact-1d/queries_to_full": rate["exact learner (bisection)"] / rate["full algorithm"],
                    "full-1d/survival": survival["full algorithm"],
                },
                tables={
                    "online": tables[s],
                    "regret": [row for row in tables[s] if row["agent"] != "exact learner (bisection)"],
                    "queries": [row for row in tables[s] if row["agent"] == "full algorithm"],
                    "reference": _reference(tables[s]),
                    **rows_more,
                },
            )
        )
    return measurements


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
    seeds: Seeds, horizon: int, n_dims: int, copy: int, *, radius: float | None = None, importance_weighted: bool = False
) -> tuple[Half, Run]:
    seeds = seeds.child(f"online/{n_dims}/{horizon}/{copy}")
    problem = Half.sample(n_dims, rng=seeds("mentor"))
    inputs = uniform_inputs(horizon, n_dims, rng=seeds("inputs"))
    cover = ThresholdCover.even(problem.normal, cover_precision(horizon, n_dims))
    schedule = Schedule.online(horizon, n_dims, cover.size, importance_weighted=importance_weighted)
    if radius is not None:
        schedule = Schedule(schedule.forced_rate, radius, schedule.step_size)
    return problem, Run(inputs, problem.mentor(inputs), cover, schedule, seeds("agent"))


def _regrets(problem: Half, run: Run, transcript: Transcript) -> tuple[float, float, float, float]:
    """Multiplicative regret, additive regret, query rate, wrong actions played."""
    truth = problem.mentor(run.inputs)
    played = transcript.played(truth)
    loss = problem.loss(run.inputs, played)
    with np.errstate(divide="ignore"):  # a certain catastrophe is an infinite multiplicative regret, and a survival of 0
        logs = float(-np.log1p(-loss).sum())
    return logs, float(loss.sum()), float(transcript.asked.mean()), float((played != truth).sum())


Row = tuple[int, int, int, str, float, float, float, float]  # seed, horizon, copy, agent, then `_regrets`
REGRET, ADDITIVE, QUERY_RATE = range(3)  # places in what `_regrets` returns


def _averaged(rows: list[Row], n_dims: int) -> Table:
    table: Table = []
    for horizon, agent in sorted({(row[1], row[3]) for row in rows}):
        mine = np.array([row[4:] for row in rows if row[1] == horizon and row[3] == agent])
        regret, additive, rate, wrong = map(float, mine.mean(axis=0))
        table.append(
            {
                "n_dims": n_dims,
                "dimension": f"n = {n_dims}",
                "rounds": horizon,
                "agent": agent,
                "additive_regret": additive,
                "query_rate": rate,
                "wrong_actions": wrong,
                "survival": float(np.exp(-mine[:, 0]).mean()),
                "query_bound": horizon ** (-1 / (4 * n_dims + 2)),
            }
            | ({"regret": regret} if math.isfinite(regret) else {})
        )
    return table


def _slope(rows: list[Row], agent: str, column: int, copies: slice = slice(None)) -> float:
    horizons = sorted({row[1] for row in rows})
    means = []
    for horizon in horizons:
        values = [(row[4], row[5], row[6], row[7])[column] for row in rows if row[1] == horizon and row[3] == agent]
        means.append(float(np.mean(values[copies])))
    return log_log_slope(horizons, means)


def _online_slopes(rows: list[Row], n_dims: int) -> dict[str, float]:
    found = {
        f"full-{n_dims}d/regret_slope": _slope(rows, "full algorithm", REGRET),
        f"full-{n_dims}d/additive_slope": _slope(rows, "full algorithm", ADDITIVE),
        f"full-{n_dims}d/query_slope": _slope(rows, "full algorithm", QUERY_RATE),
        f"no-hedge-{n_dims}d/additive_slope": _slope(rows, "no Hedge (copies nearest)", ADDITIVE),
    }
    if n_dims == 2:
        found["weighted-2d/regret_slope"] = _slope(rows, "importance-weighted Hedge", REGRET)
    if n_dims == 1:
        thirds = {"first": slice(0, None, 3), "second": slice(1, None, 3), "third": slice(2, None, 3)}
        found |= {
            f"full-1d-{name}/query_slope": _slope(rows, "full algorithm", QUERY_RATE, part) for name, part in thirds.items()
        }
        # Nothing in the unit interval is as far as 1 from the boundary: no mistake is certain death, and the logarithm exists.
        found["no-test-1d/regret_slope"] = _slope(rows, "no distance test", REGRET)
        found["no-test-1d/additive_slope"] = _slope(rows, "no distance test", ADDITIVE)
    return found


def _online_extras(settings: OnlineSettings, seeds: Seeds) -> tuple[dict[str, float], dict[str, Table]]:
    """What needs runs of its own: no transfer, never asking, changed payoffs, other L, an unknown direction."""
    short = [horizon for horizon in settings.horizons if horizon <= 10_000] or [min(settings.horizons)]
    longest, middle = max(settings.horizons), max(short)
    no_transfer = ask_for_help(
        [_problem(seeds, horizon, 1, 0, radius=0.0)[1] for horizon in settings.horizons[: max(2, len(short))]]
    )
    problem, run = _problem(seeds, longest, 1, 0)
    first_policy = seeds("never asks").integers(run.cover.size, size=1)
    guess = run.cover.act(np.repeat(first_policy, longest), run.features)
    nothing = np.zeros(longest, dtype=bool)
    lost = _regrets(problem, run, Transcript(nothing, nothing, guess))[0]
    scale, lipschitz_rows = _lipschitz(settings, seeds, middle)
    return (
        {
            "no-transfer-1d/query_slope": log_log_slope(
                settings.horizons[: len(no_transfer)], [transcript.asked.mean() for transcript in no_transfer]
            ),
            "never-asks-1d/survival": math.exp(-lost),
            **scale,
            **_payoff_test(seeds, min(settings.horizons)),
        },
        {"lipschitz": lipschitz_rows, "half_planes": _half_planes(settings, seeds, short)},
    )


def _lipschitz(settings: OnlineSettings, seeds: Seeds, horizon: int) -> tuple[dict[str, float], Table]:
    rows: Table = []
    built = [_problem(seeds, horizon, 1, copy) for copy in range(copies_of(settings.n_copies, horizon))]
    transcripts = ask_for_help([run for _, run in built])
    for value in settings.lipschitz:
        regret, additive = [], []
        for (problem, run), transcript in zip(built, transcripts, strict=True):
            steeper = Half(problem.normal, problem.offset, value)
            regret.append(_regrets(steeper, run, transcript)[0])
            additive.append(_regrets(steeper, run, Transcript(transcript.forced, transcript.forced, transcript.action))[1])
        for agent, values in (("full algorithm", regret), ("no distance test", additive)):
            rows.append({"lipschitz": value, "agent": agent, "regret": float(np.mean(values))})
    slope = {
        agent: log_log_slope(settings.lipschitz, [float(row["regret"]) for row in rows if row["agent"] == agent])
        for agent in ("full algorithm", "no distance test")
    }
    return {
        "full-1d/lipschitz_slope": slope["full algorithm"],
        "no-test-1d/additive_lipschitz_slope": slope["no distance test"],
    }, rows


def _payoff_test(seeds: Seeds, horizon: int) -> dict[str, float]:
    """The share of decisions that change when every payoff does, for the algorithm and for Q-learning.

    `ask_for_help` has no argument through which a payoff could reach it, which is the stronger half of the claim.
    """
    decisions, actions = [], []
    for lipschitz in (1.0, 0.0):  # at L = 0 nothing ever costs anything
        problem, run = _problem(seeds, horizon, 1, 0)
        problem = Half(problem.normal, problem.offset, lipschitz)
        transcript = ask_for_help([run])[0]
        decisions.append(np.where(transcript.asked, -1, transcript.action))
        losses = both_losses(problem, run.inputs)[None]
        draws = seeds("q learner").random((horizon, 1, 2))
        actions.append(
            try_and_see(grid_cells(run.inputs, 10)[None], 1 - losses, losses, draws, 10, "ucb", patience=math.inf)[0][0]
        )
    return {
        "full-1d/decisions_changed": float(np.mean(decisions[0] != decisions[1])),
        "q-learning/decisions_changed": float(np.mean(actions[0] != actions[1])),
    }


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
        logs, additive, rate, wrong = _regrets(problem, run, ask_for_help([run])[0])
        rows.append(
            {"rounds": horizon, "regret": logs, "additive_regret": additive, "query_rate": rate, "wrong_actions": wrong}
        )
    return rows
