"""C6: a walker on a ridge that can fall for ever, against learners that try things."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from assay.claims.study import Measurement, Table
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.stats.scaling import log_log_slope
from assay.studies.learners.asking_for_help_no_regret.agents import Run, Schedule, ThresholdCover, Transcript, ask_for_help
from assay.studies.learners.asking_for_help_no_regret.horizons import copies_of
from assay.studies.learners.asking_for_help_no_regret.payoff_learners import Explore, grid_cells, try_and_see
from assay.studies.learners.asking_for_help_no_regret.settings import WalkerSettings
from assay.studies.learners.asking_for_help_no_regret.world import Half, both_losses, random_walk

Floats = npt.NDArray[np.float64]
LOST = 40.0  # nats of survival after which a walker's fate, 1 - exp(-40), is 1 in double precision


LEARNERS: dict[Explore, str] = {"ucb": "Q-learning, confidence bonus", "greedy": "Q-learning, random tries"}


def measure_many(settings: WalkerSettings, many: Sequence[Seeds]) -> list[Measurement]:
    """Survival of walkers on a ridge: one that asks, its ablations, and learners that try things."""
    keys = [
        (s, horizon, copy)
        for s in range(len(many))
        for horizon in settings.horizons
        for copy in range(copies_of(settings.n_copies, horizon))
    ]
    built = [_walker(settings, many[s], horizon, copy) for s, horizon, copy in keys]
    full = ask_for_help([run for _, run in built])
    progress(0.5, "walkers that ask")
    rows: list[dict[str, float | int | str]] = []
    curves: list[Table] = [[] for _ in many]
    for (s, horizon, copy), (problem, run), transcript in zip(keys, built, full, strict=True):
        never = np.zeros(horizon, dtype=bool)
        first_policy = many[s].child(f"{horizon}/{copy}")("never asks").integers(run.cover.size, size=1)
        guess = run.cover.act(np.repeat(first_policy, horizon), run.features)
        agents = {
            "asks for help": transcript,
            "no distance test": Transcript(transcript.forced, transcript.forced, transcript.action),
            "never asks": Transcript(never, never, guess),
        }
        for agent, what in agents.items():
            hazard = problem.loss(run.inputs, what.played(run.labels))
            rows.append({"s": s, "rounds": horizon, "agent": agent, **_fate(hazard), "query_rate": float(what.asked.mean())})
            if horizon == max(settings.horizons) and copy == 0:
                curves[s] += _survival_curve(agent, hazard)
    for s, (trial, trial_curves) in enumerate(_trial_and_error(settings, many)):
        rows += [{"s": s, **row} for row in trial]
        curves[s] += trial_curves
    return [_walker_measurement(settings, [row for row in rows if row["s"] == s], curves[s]) for s in range(len(many))]


def _walker(settings: WalkerSettings, seeds: Seeds, horizon: int, copy: int) -> tuple[Half, Run]:
    seeds = seeds.child(f"walker/{horizon}/{copy}")
    problem = Half.sample(2, rng=seeds("ridge"), lipschitz=settings.lipschitz)
    path = random_walk(horizon, 2, settings.step, rng=seeds("path"))
    cover = ThresholdCover.even(problem.normal, 1 / horizon)
    return problem, Run(path, problem.mentor(path), cover, Schedule.irreversible(horizon, 2), seeds("agent"))


def _fate(hazard: Floats) -> dict[str, float]:
    """Expected share of the mentor's return lost, chance of having fallen, and summed local risk, given a hazard per step."""
    survival = np.cumprod(1 - hazard)
    return {"lost": float(1 - survival.mean()), "fallen": float(1 - survival[-1]), "risk": float(hazard.sum())}


def _survival_curve(agent: str, hazard: Floats) -> Table:
    survival = np.cumprod(1 - hazard)
    steps = np.unique(np.geomspace(1, len(hazard), 40).astype(int))
    return [{"agent": agent, "step": int(step), "survival": float(survival[step - 1])} for step in steps]


def _trial_and_error(settings: WalkerSettings, many: Sequence[Seeds]) -> list[tuple[Table, Table]]:
    """Q-learners on the ridge, where a fall is for ever, and on a reversible one, where it costs a step."""
    n_steps = min(settings.n_trial_steps, max(settings.horizons))
    built = [_walker(settings, seeds, n_steps, copy) for seeds in many for copy in range(settings.n_copies)]
    cells = grid_cells(np.stack([run.inputs for _, run in built]), settings.cells_per_side)
    losses = np.stack([both_losses(problem, run.inputs) for problem, run in built])
    slips = np.concatenate([seeds("slips").random((settings.n_copies, n_steps, 1)) for seeds in many]) < losses
    found: list[tuple[Table, Table]] = [([], []) for _ in many]
    for explore, name in LEARNERS.items():
        for world in ("for ever", "costs a step"):
            # Who is still on an irreversible ridge has seen nothing but rewards of 1; the risk run along the way is known.
            payoffs: Floats = np.ones_like(losses) if world == "for ever" else 1.0 - slips.astype(float)
            draws = [seeds(f"{explore}/{world}").random((n_steps, settings.n_copies, 2)) for seeds in many]
            hazards = try_and_see(
                cells,
                payoffs,
                losses,
                np.concatenate(draws, axis=1),
                settings.cells_per_side**2,
                explore,
                patience=LOST if world == "for ever" else math.inf,
            )[1]
            for place, hazard in enumerate(hazards):
                rows, curves = found[place // settings.n_copies]
                fate = _fate(hazard) if world == "for ever" else {"lost": float(hazard.mean())}
                rows.append({"rounds": n_steps, "agent": name, "world": world, **fate})
                if world == "for ever" and place % settings.n_copies == 0:
                    curves += _survival_curve(name, hazard)
    return found


def _walker_measurement(settings: WalkerSettings, rows: list[dict[str, float | int | str]], curves: Table) -> Measurement:
    def mean(column: str, agent: str, horizon: int | None = None, world: str | None = None) -> float:
        found = [
            float(row[column])
            for row in rows
            if row["agent"] == agent and row["rounds"] == (horizon or row["rounds"]) and row.get("world") == world
        ]
        return float(np.mean(found))

    shortest, longest = min(settings.horizons), max(settings.horizons)
    table: Table = []
    for horizon in settings.horizons:
        for agent in ("asks for help", "no distance test", "never asks"):
            columns = {column: mean(column, agent, horizon) for column in ("lost", "fallen", "risk", "query_rate")}
            table.append({"rounds": horizon, "agent": agent, **columns})

    def slope(agent: str) -> float:
        return log_log_slope(settings.horizons, [mean("lost", agent, horizon) for horizon in settings.horizons])

    def growth(agent: str) -> float:
        return mean("fallen", agent, longest) - mean("fallen", agent, shortest)

    return Measurement(
        estimands={
            "asks/lost_share_slope": slope("asks for help"),
            "no-test/lost_share_slope": slope("no distance test"),
            "asks/fallen": mean("fallen", "asks for help", longest),
            "asks/fallen_growth": growth("asks for help"),
            "no-test/fallen_growth": growth("no distance test"),
            "tries/fallen": min(mean("fallen", learner, world="for ever") for learner in LEARNERS.values()),
            "tries-reversible/lost_share": max(mean("lost", learner, world="costs a step") for learner in LEARNERS.values()),
            "tries/lost_share": max(mean("lost", learner, world="for ever") for learner in LEARNERS.values()),
            "asks/query_slope": log_log_slope(
                settings.horizons, [mean("query_rate", "asks for help", horizon) for horizon in settings.horizons]
            ),
        },
        tables={"walker": table, "survival": curves},
    )
