"""M: a noisy mentor, a wrong metric and inputs that crowd at the boundary. Which assumption breaks first?"""

from collections.abc import Sequence

import numpy as np

from assay.claims.study import Measurement, Table
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.stats.scaling import log_log_slope
from assay.studies.learners.asking_for_help_no_regret.agents import Run, Schedule, ThresholdCover, ask_for_help, cover_precision
from assay.studies.learners.asking_for_help_no_regret.horizons import copies_of
from assay.studies.learners.asking_for_help_no_regret.settings import DEGREES, MisspecifiedSettings
from assay.studies.learners.asking_for_help_no_regret.world import Half, Inputs, blurred, boundary_inputs, noisy_labels

NAMES = {"noise": "mentor misheard", "metric": "distance missed", "boundary": "inputs at the boundary"}


def measure_many(settings: MisspecifiedSettings, many: Sequence[Seeds]) -> list[Measurement]:
    """Regret in one dimension with a noisy mentor, a wrong metric or inputs near the boundary."""
    cases = [("none", 0.0)]
    for kind, levels in (("noise", settings.noise), ("metric", settings.blindness), ("boundary", settings.boundary)):
        cases += [(kind, level) for level in levels]
    found: list[dict[tuple[str, float, int], list[tuple[float, float, float]]]] = [{} for _ in many]
    for place, (kind, level) in enumerate(cases):
        keys = [
            (s, T, copy) for s in range(len(many)) for T in settings.horizons for copy in range(copies_of(settings.n_copies, T))
        ]
        built = [_broken(many[s], kind, level, horizon, copy) for s, horizon, copy in keys]
        transcripts = ask_for_help([run for _, _, run in built])
        for (s, horizon, _), (problem, inputs, _), transcript in zip(keys, built, transcripts, strict=True):
            # A misheard answer is not a misplayed round: the mentor itself acts on the rounds it is asked about.
            truth = problem.mentor(inputs)
            loss = problem.loss(inputs, transcript.played(truth))
            untested = problem.loss(inputs, np.where(transcript.forced, truth, transcript.action))
            values = (float(-np.log1p(-loss).sum()), float(transcript.asked.mean()), float(-np.log1p(-untested).sum()))
            found[s].setdefault((kind, level, horizon), []).append(values)
        progress((place + 1) / len(cases), f"{kind} {level:g}")
    return [_misspecified_measurement(settings, mine) for mine in found]


def measure_nulls(settings: MisspecifiedSettings, seeds: Seeds) -> Measurement:
    """Who asks as the schedule's coin says and tosses a coin elsewhere, and who knows the threshold to within one over T."""
    tossed, told = [], []
    for horizon in settings.horizons:
        lost = []
        for copy in range(settings.n_copies):
            problem, inputs, run = _broken(seeds, "none", 0.0, horizon, copy)
            rng = seeds.child(f"coin/{horizon}/{copy}")("coin")
            truth = problem.mentor(inputs)
            asked = rng.random(horizon) < run.schedule.forced_rate
            loss = problem.loss(inputs, np.where(asked, truth, rng.integers(2, size=horizon)))
            lost.append(-np.log1p(-loss).sum())
        tossed.append(float(np.mean(lost)))
        told.append(horizon * (1 / horizon) ** 2 / 2)  # in expectation: each of the T uniform inputs, up to 1 / T off
    return Measurement(
        {
            "coin/regret_slope": log_log_slope(settings.horizons, tossed),
            "told/regret_slope": log_log_slope(settings.horizons, told),
        }
    )


def _broken(seeds: Seeds, kind: str, level: float, horizon: int, copy: int) -> tuple[Half, Inputs, Run]:
    seeds = seeds.child(f"broken/{horizon}/{copy}")  # the same mentor and inputs for every kind and level
    problem = Half.sample(1, rng=seeds("mentor"))
    inputs = boundary_inputs(problem, horizon, level if kind == "boundary" else 0.0, rng=seeds("inputs"))
    labels = noisy_labels(problem.mentor(inputs), level if kind == "noise" else 0.0, rng=seeds("noise"))
    measured = blurred(problem, inputs, 1 - level) if kind == "metric" else inputs
    cover = ThresholdCover.even(problem.normal, cover_precision(horizon, 1))
    schedule = Schedule.online(horizon, 1, cover.size, importance_weighted=True)
    return problem, inputs, Run(measured, labels, cover, schedule, seeds("agent"), seen=inputs)


def _misspecified_measurement(
    settings: MisspecifiedSettings, found: dict[tuple[str, float, int], list[tuple[float, float, float]]]
) -> Measurement:
    means = {key: np.mean(values, axis=0) for key, values in found.items()}
    rows: Table = []
    levels = {"noise": settings.noise, "metric": settings.blindness, "boundary": settings.boundary}
    for (kind, level, horizon), (regret, rate, _) in means.items():
        for shown in levels if kind == "none" else (kind,):
            rows.append(
                {
                    "assumption": f"{NAMES[shown]}: {', '.join(f'{value:g}' for value in levels[shown])}",
                    "degree": "unbroken" if kind == "none" else DEGREES[levels[kind].index(level)],
                    "level": level,
                    "rounds": horizon,
                    "regret": float(regret),
                    "query_rate": float(rate),
                    "times_clean": float(regret / means["none", 0.0, horizon][0]),
                }
            )

    def slope(kind: str, level: float, column: int = 0) -> float:
        return log_log_slope(settings.horizons, [means[kind, level, horizon][column] for horizon in settings.horizons])

    return Measurement(
        estimands={
            "unbroken/regret_slope": slope("none", 0.0),
            "no-test/regret_slope": slope("none", 0.0, 2),
            "misheard/regret_slope": slope("noise", max(settings.noise)),
            "blind-metric/regret_slope": slope("metric", max(settings.blindness)),
            "crowded/regret_slope": slope("boundary", max(settings.boundary)),
        },
        tables={"misspecified": rows},
    )
