"""The birthday problem: among 23 people, do two share a birthday more often than not?

A whole study in one file: assay run examples/birthday.py
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Annotated

import numpy as np
from annotated_types import Ge, doc

from assay.claims.charts import Figure, Lines
from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand
from assay.claims.exact import Exact
from assay.claims.paper import Cost, Departure, Headline, Paper
from assay.claims.rules import Above
from assay.claims.study import Experiment, Measurement, Preset, Study
from assay.core.seeds import Seeds

DAYS = 365
SIZES = (5, 10, 15, 20, 22, 23, 25, 30, 35, 40)

ESTIMANDS = (Estimand("shared", "groups in which two people or more have one birthday", "share of groups", low=0, high=1),)

CLAIMS = (
    Claim(
        "C1",
        "In more than {bound:.0%} of all groups of 23 people two have the same birthday.",
        "twenty-three/shared",
        Above(0.5),
        why="an even chance; the formula gives 0.507",
        at="section 3",
        paper="0.507",
        negative=Arm("twenty-two", "one person fewer: fewer than half of the groups"),
    ),
)

EXACT = (
    Exact(
        "E1",
        "If all days are alike, the probability is above {bound} for 23 people.",
        Above(0.5),
        why="one minus the product of (365 - k) / 365",
        at="section 3",
        paper=0.507,
    ),
)


@dataclass(frozen=True)
class Settings:
    """How much a run draws."""

    n_groups: Annotated[int, Ge(10), doc("groups of each size")] = 20_000


def measure(settings: Settings, seeds: Seeds) -> Measurement:
    """Draw birthdays, and count the groups in which one occurs twice."""
    groups = seeds.child("groups")
    found = {n: _shared(n, settings.n_groups, groups(str(n))) for n in SIZES}
    return Measurement(
        estimands={"twenty-three/shared": found[23], "twenty-two/shared": found[22], "days-of-their-own/shared": 0.0},
        tables={"sizes": [{"people": n, "shared": share, "formula": probability(n)} for n, share in found.items()]},
    )


def check(settings: Settings) -> Mapping[str, float]:
    """The probability by the formula."""
    return {"E1": probability(23)}


def probability(people: int) -> float:
    """That two of so many people share a birthday, if all days are alike."""
    return 1 - prod((DAYS - k) / DAYS for k in range(people))


def _shared(people: int, n_groups: int, rng: np.random.Generator) -> float:
    birthdays = np.sort(rng.integers(DAYS, size=(n_groups, people)), axis=1)
    return float((np.diff(birthdays, axis=1) == 0).any(axis=1).mean())


FIGURES = (
    Figure(
        "sizes",
        title="Twenty-three are enough",
        caption="Share of groups in which two people have one birthday, by the size of the group.",
        chart=Lines("sizes", x="people", y="shared", theory="formula"),
    ),
)

STUDY = Study(
    "birthday",
    title="The birthday problem: among 23 people, do two share a birthday more often than not?",
    paper=Paper(
        "von Mises",
        1939,
        "Über Aufteilungs- und Besetzungswahrscheinlichkeiten",
        "Revue de la Faculté des Sciences de l'Université d'Istanbul 4",
        headlines=(
            Headline("Twenty-three people make it more likely than not that two share a birthday.", claims=("C1",)),
            Headline("The probability is one minus a product.", claims=("E1",)),
            Headline("How many people share a birthday on average is another question.", reason="not asked here"),
        ),
    ),
    scale="Theirs: a formula. Ours: twenty thousand drawn groups a run.",
    departures=(Departure("D1", "Days are drawn alike; real birthdays are not, which makes a shared one likelier."),),
    experiments=(
        Experiment(
            "groups",
            question="How many people does it take?",
            estimands=ESTIMANDS,
            claims=CLAIMS,
            exact=EXACT,
            check=check,
            nulls=(Arm("days-of-their-own", "everybody has a day of their own: nothing is shared"),),
            presets={"quick": Preset(Settings(n_groups=100), 2), "laptop": Preset(Settings(), 8)},
            measure=measure,
            cost=Cost(minutes=0.1, cores=1),
            figures=FIGURES,
        ),
    ),
)
