"""C3: how much return does not knowing the simulator cost, with and without a fitted law?"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le, MinLen, doc

from assay.claims.charts import Figure, Lines
from assay.claims.rules import Above, Below, Within
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.stats.scaling import log_log_slope
from assay.studies.learners.offline_domain_randomization.belief import optimal_under_belief
from assay.studies.learners.offline_domain_randomization.simulators import Doors
from assay.worlds.mdps import random_trap_mdp

Floats = npt.NDArray[np.float64]

CLAIMS = (
    Claim(
        "C3.ratio",
        says="With M candidate simulators, the steps the uniform law loses, over those the fitted law loses, grow like M.",
        source="arXiv:2506.10133v1, comparison of bounds",
        estimand="ratio_slope",
        rule=Within(0.75, 1.15),
        margin="about linear; the exact slope of (M+1)/2 from 2 to 64 doors is 0.90",
        control=Control("a record that never tries a door tells nothing: the ratio stays 1", "ratio_slope_uninformed"),
        paper_value="up to O(M)",
    ),
    Claim(
        "C3.known",
        says="Meanwhile the fitted law puts nearly all of its mass on the real simulator.",
        source="arXiv:2506.10133v2, alpha-informativeness",
        estimand="belief_in_truth",
        rule=Above(0.95),
        margin="alpha = 0.95",
        control=Control("the record that never tries a door leaves it at 1/M", "belief_uninformed"),
        paper_value="goes to 1",
    ),
    Claim(
        "C3.bound",
        says="The gap never exceeds the average gap under the law divided by the law's mass on the real simulator.",
        source="derived from arXiv:2506.10133v1",
        estimand="worst_excess",
        rule=Below(1e-9),
        summary="every",
        margin="exact up to rounding",
        control=Control("without the division the statement is false", "worst_excess_undivided"),
        paper_value="M for the uniform law, 1/alpha for an informative one",
    ),
)


@dataclass(frozen=True)
class Settings:
    """Numbers of simulators and sizes of the exactly solved families."""

    doors: Annotated[tuple[int, ...], MinLen(2), doc("numbers M of candidate simulators")] = (2, 4, 8, 16, 32, 64)
    records: Annotated[int, Ge(1), doc("recorded tries of a half-trained policy")] = 30
    aim: Annotated[float, Gt(0), Le(1), doc("how often that policy tries the door that opens")] = 0.3
    n_copies: Annotated[int, Ge(1), doc("records a run averages over")] = 20
    n_families: Annotated[int, Ge(1), doc("random families solved over beliefs")] = 25
    family_size: Annotated[int, Ge(2), doc("decision processes in each")] = 4
    horizon: Annotated[int, Ge(1), doc("steps of an episode in these families")] = 4

    def __post_init__(self) -> None:
        if min(self.doors) < 2 or list(self.doors) != sorted(set(self.doors)):
            raise SettingsError(f"doors must rise from at least 2; got {self.doors}")


def measure(settings: Settings, seeds: Seeds) -> Measurement:
    """Lost steps at M doors, and the elementary bound on random families."""
    rows: Table = []
    for n_doors in settings.doors:
        world = Doors(n_doors, horizon=2 * max(settings.doors))
        informed, uninformed = [], []
        for copy in range(settings.n_copies):
            rng = seeds(f"doors/{n_doors}/{copy}")
            real = int(rng.integers(n_doors))
            tries = np.where(rng.random(settings.records) < settings.aim, real, rng.integers(n_doors, size=settings.records))
            belief = _fitted_belief(world, tries, tries == real)
            informed.append((world.expected_gap(belief, real), belief[real]))
            blind = _fitted_belief(world, tries[:0], tries[:0] == real)
            uninformed.append((world.expected_gap(blind, real), blind[real]))
        uniform = world.expected_gap(np.full(n_doors, 1 / n_doors), 0)
        for law, (gap, mass) in (
            ("fitted law", np.mean(informed, axis=0)),
            ("fitted to nothing", np.mean(uninformed, axis=0)),
            ("uniform law", (uniform, 1 / n_doors)),
        ):
            rows.append({"simulators": n_doors, "law": law, "lost_steps": float(gap), "mass_on_truth": float(mass)})

    def ratio_slope(law: str) -> float:
        steps = {(row["simulators"], row["law"]): 1 + float(row["lost_steps"]) for row in rows}
        return log_log_slope(settings.doors, [steps[m, "uniform law"] / steps[m, law] for m in settings.doors])

    bounds, masses = _bounds(settings, seeds)
    last = max(settings.doors)
    mass = {row["law"]: float(row["mass_on_truth"]) for row in rows if row["simulators"] == last}
    return Measurement(
        estimands={
            "ratio_slope": ratio_slope("fitted law"),
            "ratio_slope_uninformed": ratio_slope("fitted to nothing"),
            "belief_in_truth": mass["fitted law"],
            "belief_uninformed": mass["fitted to nothing"],
            "worst_excess": max(float(row["gap"]) - float(row["bound"]) for row in bounds),
            "worst_excess_undivided": max(float(row["gap"]) - float(row["average_gap"]) for row in bounds),
        },
        tables={"doors": rows, "masses": masses, "bounds": bounds[:200]},
    )


def _fitted_belief(world: Doors, tries: npt.NDArray[np.int64], opened: npt.NDArray[np.bool_]) -> Floats:
    """The maximum-likelihood law over the M simulators; where several are best, the evenest of them.

    A transition's chance under a law p is p[door] if it opened and 1 - p[door] if not. Outcomes are certain, so one opened door
    has all the mass, and otherwise the law lies anywhere on the doors never tried.
    """
    possible = world.likelihood(tries, opened)
    if not possible.any():
        raise AssertionError("one door does open, so some simulator explains every record")
    return np.asarray(possible / possible.sum())


MASSES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.95)


def _bounds(settings: Settings, seeds: Seeds) -> tuple[Table, Table]:
    """Every gap of the policy that is optimal under a law, beside its bound; the worst gap by the law's mass on the truth."""
    rows: Table = []
    worst = dict.fromkeys(MASSES, 0.0)  # the real process's gap over the average gap, in the family where it is largest
    for k in range(settings.n_families):
        rng = seeds(f"family {k}")
        family = [random_trap_mdp(3, 2, rng=rng) for _ in range(settings.family_size)]
        laws = {
            "uniform law": np.full(settings.family_size, 1 / settings.family_size),
            "random law": rng.dirichlet(np.ones(settings.family_size)),
        }
        for mass in MASSES:
            law_of_mass = np.full(settings.family_size, (1 - mass) / (settings.family_size - 1))
            law_of_mass[0] = mass
            laws[f"mass {mass:g}"] = law_of_mass
        for law, p in laws.items():
            solution = optimal_under_belief(family, p, settings.horizon)
            if law.startswith("mass") and solution.bayes_gap > 1e-12:
                worst[float(p[0])] = max(worst[float(p[0])], float(solution.gaps[0]) / solution.bayes_gap)
            for m in range(settings.family_size):
                rows.append(
                    {
                        "case": f"{k}/{law}/{m}",
                        "law": law,
                        "gap": float(solution.gaps[m]),
                        "average_gap": solution.bayes_gap,
                        "bound": solution.bayes_gap / float(p[m]),
                    }
                )
    return rows, [{"mass": mass, "worst": ratio, "bound": 1 / mass} for mass, ratio in worst.items()]


EXPERIMENT = Experiment(
    "gap",
    question="What does not knowing the simulator cost?",
    cost="11 s of one core",
    claims=CLAIMS,
    presets={
        "quick": Preset(Settings(doors=(2, 4), n_copies=2, n_families=2, horizon=2), 2),
        "laptop": Preset(Settings(), 10),
    },
    measure=measure,
    figures=(
        Figure(
            "doors",
            title="A record saves the search",
            caption="One of M doors opens, and staying there pays. A policy trained on all M simulators alike must try doors "
            "until one opens; trained on the law fitted to thirty recorded tries it goes to the right one.",
            chart=Lines(
                "doors",
                x="simulators",
                y="lost_steps",
                by="law",
                x_label="candidate simulators M",
                y_label="steps lost on the real one",
                markers=True,
            ),
            names={
                "fitted law": "law fitted to thirty tries",
                "fitted to nothing": "law fitted to an empty record",
                "uniform law": "uniform law over all M",
            },
            further=True,
        ),
        Figure(
            "bounds",
            title="How much a law that knows more can lose",
            caption="Random families of four decision processes, one of them real; the policy that is best under a law over "
            "them. Return it loses on the real one, over what it loses on average under the law, in the family where that is "
            "largest; dashed, the bound: one over the law's mass on the real process. Exact, by recursion over all histories.",
            chart=Lines(
                "masses",
                x="mass",
                y="worst",
                theory="bound",
                x_label="mass of the law on the real process",
                y_label="loss on it over average loss",
                markers=True,
            ),
            names={"bound": "bound"},
        ),
    ),
)
