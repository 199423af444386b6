"""M: a noisy mentor, a wrong metric and inputs that crowd at the boundary. Which assumption breaks first?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, MinLen, doc

from assay.claims.charts import Figure, Lines
from assay.claims.rules import Above, Below
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.errors import SettingsError
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.stats.scaling import log_log_slope
from assay.studies.learners.asking_for_help_no_regret.agents import Run, Schedule, ThresholdCover, ask_for_help, cover_precision
from assay.studies.learners.asking_for_help_no_regret.horizons import check_horizons, copies_of
from assay.studies.learners.asking_for_help_no_regret.world import Half, Inputs, blurred, boundary_inputs, noisy_labels

CLAIMS = (
    Claim(
        "M.noise",
        says="A mentor misheard one time in five breaks the guarantee: regret grows with the length of the run (n = 1).",
        source="ours",
        estimand="slope_noise",
        rule=Above(0.0),
        margin="the sign decides whether total risk goes to zero",
        control=Control("a mentor always heard right: regret falls", "slope_clean"),
    ),
    Claim(
        "M.boundary",
        says="So do inputs that crowd at the boundary, at log-uniform distances from it (n = 1).",
        source="ours; arXiv:2402.08062 assumes a density of at most 1/sigma",
        estimand="slope_boundary",
        rule=Above(0.0),
        margin="the sign decides whether total risk goes to zero",
        control=Control("uniform inputs: regret falls", "slope_clean"),
    ),
    Claim(
        "M.metric",
        says="A metric that misses nine tenths of every distance costs a factor, not the guarantee: regret falls (n = 1).",
        source="ours",
        estimand="slope_metric",
        rule=Below(0.0),
        margin="the sign decides whether total risk goes to zero",
        control=Control("a true metric but no distance test: regret grows", "slope_no_test"),
    ),
)
NAMES = {"noise": "mentor misheard", "metric": "distance missed", "boundary": "inputs at the boundary"}
DEGREES = ("broken a little", "broken badly", "third degree", "fourth degree", "fifth degree")


@dataclass(frozen=True)
class MisspecifiedSettings:
    """Lengths of a run and how far each assumption is broken."""

    horizons: Annotated[tuple[int, ...], MinLen(2), doc("numbers of rounds T")] = (1_000, 10_000, 100_000)
    noise: Annotated[tuple[float, ...], MinLen(1), doc("chance that the mentor is misheard")] = (0.05, 0.2)
    blindness: Annotated[tuple[float, ...], MinLen(1), doc("share of every distance that the metric misses")] = (0.6, 0.9)
    boundary: Annotated[tuple[float, ...], MinLen(1), doc("share of inputs moved close to the boundary")] = (0.3, 1.0)
    n_copies: Annotated[int, Ge(1), doc("independent copies a run averages over; three times as many up to 10,000 rounds")] = 4

    def __post_init__(self) -> None:
        check_horizons(self.horizons)
        for name in ("noise", "blindness", "boundary"):
            levels = getattr(self, name)
            if any(not 0 <= level <= 1 for level in levels):
                raise SettingsError(f"every level of {name} must be in [0, 1]; got {levels}")
            if len(levels) > len(DEGREES) or list(levels) != sorted(set(levels)):
                raise SettingsError(f"{name} must be up to {len(DEGREES)} rising levels; got {levels}")


def measure_misspecified(settings: MisspecifiedSettings, seeds: Seeds) -> Measurement:
    """One run of `measure_misspecified_many`."""
    return measure_misspecified_many(settings, [seeds])[0]


def measure_misspecified_many(settings: MisspecifiedSettings, many: Sequence[Seeds]) -> list[Measurement]:
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
            values = (float(-np.log1p(-loss).sum()), float(transcript.asked.mean()), float(untested.sum()))
            found[s].setdefault((kind, level, horizon), []).append(values)
        progress((place + 1) / len(cases), f"{kind} {level:g}")
    return [_misspecified_measurement(settings, mine) for mine in found]


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
            "slope_clean": slope("none", 0.0),
            "slope_no_test": slope("none", 0.0, 2),
            "slope_noise": slope("noise", max(settings.noise)),
            "slope_metric": slope("metric", max(settings.blindness)),
            "slope_boundary": slope("boundary", max(settings.boundary)),
        },
        tables={"misspecified": rows},
    )


EXPERIMENT = Experiment(
    "misspecified",
    question="Which assumption breaks first?",
    claims=CLAIMS,
    presets={
        "quick": Preset(
            MisspecifiedSettings(horizons=(100, 200), noise=(0.2,), blindness=(0.9,), boundary=(1.0,), n_copies=2), 2
        ),
        "laptop": Preset(MisspecifiedSettings(), 8),
    },
    measure=measure_misspecified,
    measure_many=measure_misspecified_many,
    batch=4,
    cost="51 s of one core",
    figures=(
        Figure(
            "misspecified",
            title="Mishearing and crowding cost the guarantee; blindness costs a factor",
            caption="Regret over the length of the run in one dimension, with one assumption broken to the degree shown: the "
            "chance that the mentor is misheard, the share of every distance that the metric misses, the share of inputs moved "
            "close to the boundary. The numbers above each panel are these degrees.",
            chart=Lines(
                "misspecified",
                x="rounds",
                y="regret",
                by="degree",
                panel="assumption",
                x_scale="log",
                y_scale="log",
                x_label="rounds T",
                y_label="nats of survival lost",
                markers=True,
            ),
        ),
    ),
)
