"""C2-C5 and C8: the algorithm and its ablations on inputs that arrive whatever the agent does."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, MinLen, doc

from assay.claims.charts import Figure, Lines
from assay.claims.rules import Above, Below, Equals, Ordered, Within
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.errors import SettingsError
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
from assay.studies.learners.asking_for_help_no_regret.horizons import check_horizons, copies_of
from assay.studies.learners.asking_for_help_no_regret.payoff_learners import grid_cells, try_and_see
from assay.studies.learners.asking_for_help_no_regret.world import Half, both_losses, uniform_inputs

CLAIMS = (
    Claim(
        "C2.regret",
        says="With a learnable mentor the log chance of survival lost to it, summed, falls as the run gets longer (n = 1).",
        source="arXiv:2402.08062, main theorem",
        estimand="regret_slope_1",
        rule=Below(0.0),
        margin="the goal is a regret that goes to zero, so the slope on log-log axes must be negative",
        control=Control("without the distance test regret must grow", "hedge_only_slope"),
        paper_value="upper bound: -1/3, times log T",
    ),
    Claim(
        "C2.queries",
        says="The share of rounds on which it asks falls with the length of the run (n = 1).",
        source="arXiv:2402.08062, main theorem",
        estimand="query_slope_1",
        rule=Below(-0.05),
        margin="a rate that falls by less than a tenth per decade could not be told from a constant one",
        control=Control(
            "radius 0, so that no answer carries over to another input: it asks for ever", "query_slope_no_transfer"
        ),
        paper_value="upper bound: -1/6",
    ),
    Claim(
        "C3.trigger",
        says="Without the distance test regret grows about as the square root of the number of rounds.",
        source="arXiv:2402.08062, section on the algorithm",
        estimand="hedge_only_slope",
        rule=Within(0.35, 0.65),
        margin="a half, with the room that a reference run (slope 0.59 up to 30,000 rounds) asked for",
        control=Control("with the distance test: no such growth", "regret_slope_1"),
        paper_value="1/2",
    ),
    Claim(
        "C3.hedge",
        says="Without Hedge, copying the nearest answer, regret grows with the number of rounds in three dimensions.",
        source="arXiv:2402.08062; derived: (2n-3)/(2n+1) for a smooth boundary",
        estimand="nearest_slope_3",
        rule=Above(0.0),
        margin="the sign decides whether total risk goes to zero",
        control=Control("with Hedge: regret falls in three dimensions too", "regret_slope_3"),
        paper_value="both ingredients are needed",
    ),
    Claim(
        "C3.nearest-queries",
        says="In one dimension copying the nearest answer asks more often than the full algorithm.",
        source="arXiv:2402.08062, by contrast",
        estimand="nearest_query_ratio",
        rule=Above(1.0),
        margin="more than as many",
        control=Control(
            "the exact learner of one threshold asks less, so the ratio can come out below 1", "bisect_query_ratio"
        ),
        paper_value="compare",
    ),
    Claim(
        "C3.asking",
        says="An agent that never asks does not survive the longest run.",
        source="arXiv:2402.08062, section 1",
        estimand="never_asking_survival",
        rule=Below(0.01),
        margin="one in a hundred",
        control=Control("the agent that asks survives it", "survival"),
        paper_value="catastrophe",
    ),
    Claim(
        "C4",
        says="No payoff is used: with every payoff changed, every decision stays the same.",
        source="arXiv:2402.08062, section 3",
        estimand="decisions_changed",
        rule=Equals(0.0),
        summary="every",
        margin="exact equality",
        control=Control("Q-learning decides otherwise when payoffs change", "decisions_changed_q"),
        paper_value="payoffs are never observed",
    ),
    Claim(
        "C5",
        says="Without knowing L the same run is safe for every L: regret is proportional to L.",
        source="arXiv:2402.08062, main theorem",
        estimand="lipschitz_slope",
        rule=Within(0.95, 1.05),
        margin="proportionality is a slope of 1; log(1-x) bends it by less than 0.05 while L r is small",
        control=Control("without the distance test losses saturate, so the slope is lower", "lipschitz_slope_hedge_only"),
        paper_value="linear in L",
    ),
    Claim(
        "C8",
        says="The more dimensions, the slower the share of queries falls: its slope flattens from one to two to three.",
        source="arXiv:2402.08062, main theorem: -1/6, -1/10, -1/14",
        estimand=("query_slope_1", "query_slope_2", "query_slope_3"),
        rule=Ordered(0.01),
        margin="the bounds' slopes differ by 0.067 and 0.029; 0.01 is a third of the smaller step",
        control=Control(
            "one dimension three times: no step", ("query_slope_1_first", "query_slope_1_second", "query_slope_1_third")
        ),
        paper_value="-0.167, -0.100, -0.071",
    ),
)


@dataclass(frozen=True)
class OnlineSettings:
    """Lengths of a run, copies and the values of L."""

    horizons: Annotated[tuple[int, ...], MinLen(2), doc("numbers of rounds T")] = (1_000, 3_000, 10_000, 30_000, 100_000)
    n_copies: Annotated[int, Ge(3), doc("independent copies a run averages over; three times as many up to 10,000 rounds")] = 3
    lipschitz: Annotated[tuple[float, ...], MinLen(2), doc("values of L for C5")] = (0.25, 1.0, 4.0, 16.0, 64.0)
    n_angles: Annotated[int, Ge(2), doc("directions in the finite class of half-planes")] = 60
    n_offsets: Annotated[int, Ge(2), doc("offsets for each of its directions")] = 40

    def __post_init__(self) -> None:
        check_horizons(self.horizons)
        if any(not value > 0 for value in self.lipschitz):
            raise SettingsError(f"every L must be positive; got {self.lipschitz}")


def measure_online(settings: OnlineSettings, seeds: Seeds) -> Measurement:
    """One run of `measure_online_many`."""
    return measure_online_many(settings, [seeds])[0]


def measure_online_many(settings: OnlineSettings, many: Sequence[Seeds]) -> list[Measurement]:
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
                    "nearest_query_ratio": rate["no Hedge (copies nearest)"] / rate["full algorithm"],
                    "bisect_query_ratio": rate["exact learner (bisection)"] / rate["full algorithm"],
                    "survival": survival["full algorithm"],
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
        f"regret_slope_{n_dims}": _slope(rows, "full algorithm", REGRET),
        f"query_slope_{n_dims}": _slope(rows, "full algorithm", QUERY_RATE),
        f"nearest_slope_{n_dims}": _slope(rows, "no Hedge (copies nearest)", ADDITIVE),
    }
    if n_dims == 2:
        found["regret_slope_2_weighted"] = _slope(rows, "importance-weighted Hedge", REGRET)
    if n_dims == 1:
        thirds = {"first": slice(0, None, 3), "second": slice(1, None, 3), "third": slice(2, None, 3)}
        found |= {f"query_slope_1_{name}": _slope(rows, "full algorithm", QUERY_RATE, part) for name, part in thirds.items()}
        found["hedge_only_slope"] = _slope(rows, "no distance test", ADDITIVE)
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
            "query_slope_no_transfer": log_log_slope(
                settings.horizons[: len(no_transfer)], [transcript.asked.mean() for transcript in no_transfer]
            ),
            "never_asking_survival": math.exp(-lost),
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
    return {"lipschitz_slope": slope["full algorithm"], "lipschitz_slope_hedge_only": slope["no distance test"]}, rows


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
        "decisions_changed": float(np.mean(decisions[0] != decisions[1])),
        "decisions_changed_q": float(np.mean(actions[0] != actions[1])),
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


EXPERIMENT = Experiment(
    "online",
    question="Does the risk go to zero while the agent stops asking, and which part of it is needed?",
    claims=CLAIMS,
    presets={
        "quick": Preset(OnlineSettings(horizons=(300, 600), n_angles=8, n_offsets=8), 2),
        "laptop": Preset(OnlineSettings(), 8),
    },
    measure=measure_online,
    measure_many=measure_online_many,
    batch=4,
    cost="100 s of one core",
    figures=(
        Figure(
            "regret",
            title="Risk falls with the length of the run, if both parts are there",
            caption="What playing cost beyond the mentor's own play, summed over the run. Without the distance test mistakes "
            "far from anything heard are played; without Hedge mistakes near the boundary never end, which shows from two "
            "dimensions on. The exact learner of a threshold makes none, and is not drawn.",
            chart=Lines(
                "regret",
                x="rounds",
                y="additive_regret",
                by="agent",
                panel="dimension",
                x_scale="log",
                y_scale="log",
                x_label="rounds T",
                y_label="chance of survival lost, summed",
                markers=True,
            ),
        ),
        Figure(
            "queries",
            title="It stops asking, more slowly in more dimensions",
            caption="Share of rounds on which the full algorithm asks; dashed, the rate of the theorem's upper bound.",
            chart=Lines(
                "queries",
                x="rounds",
                y="query_rate",
                by="dimension",
                theory="query_bound",
                x_scale="log",
                y_scale="log",
                x_label="rounds T",
                y_label="share of rounds asked",
                markers=True,
            ),
            names={"query_bound": "rate of the upper bound"},
            further=True,
        ),
    ),
)
