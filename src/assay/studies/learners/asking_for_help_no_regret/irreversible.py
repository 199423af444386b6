"""C6: a walker on a ridge that can fall for ever, against learners that try things."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, MinLen, doc

from assay.claims.charts import Figure, Lines
from assay.claims.rules import Above, Below
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.stats.scaling import log_log_slope
from assay.studies.learners.asking_for_help_no_regret.agents import Run, Schedule, ThresholdCover, Transcript, ask_for_help
from assay.studies.learners.asking_for_help_no_regret.horizons import check_horizons, copies_of
from assay.studies.learners.asking_for_help_no_regret.payoff_learners import Explore, grid_cells, try_and_see
from assay.studies.learners.asking_for_help_no_regret.world import Half, both_losses, random_walk

Floats = npt.NDArray[np.float64]
LOST = 40.0  # nats of survival after which a walker's fate, 1 - exp(-40), is 1 in double precision


LEARNERS: dict[Explore, str] = {"ucb": "Q-learning, confidence bonus", "greedy": "Q-learning, random tries"}

CLAIMS = (
    Claim(
        "C6.gap",
        says="In an irreversible world the return lost to the mentor becomes a vanishing share of the run.",
        source="arXiv:2502.14043v2, main theorem",
        estimand="gap_slope",
        rule=Below(0.0),
        margin="sublinear regret: the share lost per step falls",
        control=Control(
            "without the distance test the walker falls, and the share lost rises to all of it", "gap_slope_hedge_only"
        ),
        paper_value="sublinear regret",
    ),
    Claim(
        "C6.catastrophe",
        says="The chance of falling does not grow with the length of the run.",
        source="arXiv:2502.14043v2, main theorem",
        estimand="fall_growth",
        rule=Below(0.05),
        margin="five points of probability from the shortest to the longest run, a hundred times longer",
        control=Control("without the distance test it does grow", "fall_growth_hedge_only"),
        paper_value="no growth",
    ),
    Claim(
        "C6.no-regret",
        says="The usual no-regret learners (Q-learning with a confidence bonus, and with random tries) fall.",
        source="arXiv:2502.14043, introduction",
        estimand="fall_trial_and_error",
        rule=Above(0.95),
        margin="nineteen in twenty",
        control=Control("the agent that asks walks the same path and does not", "fall"),
        paper_value="probability 1",
    ),
    Claim(
        "C6.competent",
        says="Those learners are no poor learners: where a fall costs one step, they lose little per step.",
        source="ours",
        estimand="reversible_loss",
        rule=Below(0.05),
        margin="one step in twenty, a third of what tossing a coin loses here",
        control=Control("the same learners where a fall is for ever lose nearly every step", "irreversible_loss"),
    ),
)


@dataclass(frozen=True)
class WalkerSettings:
    """Lengths of a walk and what the walkers and the learners are like."""

    horizons: Annotated[tuple[int, ...], MinLen(2), doc("numbers of steps T")] = (1_000, 3_000, 10_000, 30_000, 100_000)
    n_copies: Annotated[int, Ge(1), doc("walkers a run averages over; three times as many up to 10,000 steps")] = 4
    step: Annotated[float, Gt(0), doc("standard deviation of a step in each coordinate of the unit square")] = 0.05
    lipschitz: Annotated[float, Gt(0), doc("chance of sliding off per unit of distance to the ridge, after a wrong action")] = (
        1.0
    )
    cells_per_side: Annotated[int, Ge(2), doc("grid of the Q-learners")] = 10
    n_trial_steps: Annotated[int, Ge(100), doc("most steps the Q-learners are followed for")] = 10_000

    def __post_init__(self) -> None:
        check_horizons(self.horizons)


def measure_walker(settings: WalkerSettings, seeds: Seeds) -> Measurement:
    """One run of `measure_walker_many`."""
    return measure_walker_many(settings, [seeds])[0]


def measure_walker_many(settings: WalkerSettings, many: Sequence[Seeds]) -> list[Measurement]:
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

    return Measurement(
        estimands={
            "gap_slope": slope("asks for help"),
            "gap_slope_hedge_only": slope("no distance test"),
            "fall": mean("fallen", "asks for help", longest),
            "fall_growth": mean("fallen", "asks for help", longest) - mean("fallen", "asks for help", shortest),
            "fall_growth_hedge_only": mean("fallen", "no distance test", longest)
            - mean("fallen", "no distance test", shortest),
            "fall_trial_and_error": min(mean("fallen", learner, world="for ever") for learner in LEARNERS.values()),
            "reversible_loss": max(mean("lost", learner, world="costs a step") for learner in LEARNERS.values()),
            "irreversible_loss": min(mean("lost", learner, world="for ever") for learner in LEARNERS.values()),
            "walker_query_slope": log_log_slope(
                settings.horizons, [mean("query_rate", "asks for help", horizon) for horizon in settings.horizons]
            ),
        },
        tables={"walker": table, "survival": curves},
    )


EXPERIMENT = Experiment(
    "irreversible",
    question="Who is still on the ridge, and has stopped asking?",
    claims=CLAIMS,
    presets={
        "quick": Preset(WalkerSettings(horizons=(100, 300), n_copies=1, n_trial_steps=100), 2),
        "laptop": Preset(WalkerSettings(), 10),
    },
    measure=measure_walker,
    measure_many=measure_walker_many,
    batch=5,
    cost="26 s of one core",
    figures=(
        Figure(
            "survival",
            title="Who is still on the ridge",
            caption="A walker wanders along a ridge. On either side there is one safe way to lean, only the mentor knows "
            "where the ridge is, and leaning the wrong way slides it off for ever with a chance that grows with its distance "
            "from the ridge. Learners that try things are lost within a hundred steps; the walker that asks whenever nothing "
            "similar has been answered yet stays, and asks ever less.",
            chart=Lines(
                "survival",
                x="step",
                y="survival",
                by="agent",
                x_scale="log",
                x_label="steps walked",
                y_label="chance of still being there",
            ),
        ),
        Figure(
            "walker",
            title="The share of the run that is lost",
            caption="Expected share of the mentor's return that is lost, over the length of the run. Each length has its own "
            "settings, so every point is a fresh walk.",
            chart=Lines(
                "walker",
                x="rounds",
                y="lost",
                by="agent",
                x_scale="log",
                y_scale="log",
                x_label="steps T",
                y_label="share of return lost",
                markers=True,
            ),
            further=True,
        ),
    ),
)
