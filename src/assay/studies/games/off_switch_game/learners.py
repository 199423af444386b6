"""Independent policy-gradient learners on the paper's games, and where they end."""

from dataclasses import replace

import numpy as np

from assay.agents.policy_gradient import Learned, train
from assay.claims.study import Measurement, Table
from assay.core.progress import parts
from assay.core.seeds import Seeds
from assay.solvers.games.pairs import optimal_value, person_by_person_optima
from assay.studies.games.off_switch_game.settings import LearnerSettings
from assay.studies.games.off_switch_game.variants import with_version_shown
from assay.worlds.games.off_switch import (
    OffSwitchGame,
    bounded_talk_game,
    file_deletion,
    file_deletion_three_versions,
    original_off_switch,
)
from assay.worlds.games.team import TeamForm

UNTRAINED = 1e-9  # a step this small leaves the first policy as it was drawn
NAMES = {
    "two-sided": "File Deletion Game",
    "first-digit": "three versions, first digit",
    "full-version": "three versions, full version",
    "alone": "File Deletion, A sees both",
    "informed": "H sees everything",
    "one-bit": "File Deletion, one bit",
    "bounded-talk": "bounded talk",
}


def games() -> dict[str, OffSwitchGame]:
    """What the learners play: the paper's games and ours, and two in which less has to be coordinated."""
    return {
        "two-sided": file_deletion(),
        "first-digit": file_deletion_three_versions(fine=False),
        "full-version": file_deletion_three_versions(fine=True),
        "alone": with_version_shown(file_deletion()),
        "informed": original_off_switch([3, -2, 1, -4]),
        "one-bit": file_deletion().with_channel(to_human=2),
        "bounded-talk": bounded_talk_game(),
    }


def measure(settings: LearnerSettings, seeds: Seeds) -> Measurement:
    """Train independent softmax learners on the examples and see where they end, and where they began."""
    inferior: dict[str, float] = {}
    stable: dict[str, list[bool]] = {"trained": [], "untrained": []}
    ends: Table = []
    curves: Table = []
    for name, game in parts(games().items()):
        form = game.team_form()
        learned = _train(form, settings, seeds(name))
        inferior[name] = inferior_share(form, learned)
        stable["trained"] += are_stable(form, learned)
        stable["untrained"] += are_stable(form, _train(form, untrained(settings), seeds(name)))
        best = float(optimal_value(form)[0])
        ends.append(
            {
                "game": NAMES[name],
                "optimum": best,
                "at_the_optimum": 1 - inferior[name],
                "mean_value": float(learned.value.mean()),
            }
        )
        curves += [
            {"game": NAMES[name], "step": int(step), "share_of_optimum": float(row.mean() / best)}
            for step, row in zip(learned.steps, learned.curve, strict=True)
        ]
    estimands = {
        "two-sided/inferior_excess": inferior["two-sided"] - inferior["informed"],
        "alone/inferior_excess": inferior["alone"] - inferior["informed"],
        "informed/inferior": inferior["informed"],
        "alone/inferior": inferior["alone"],
        **{f"{arm}/stable": float(np.mean(found)) for arm, found in stable.items()},
    }
    return Measurement(estimands, tables={"ends": ends, "learning": curves})


def measure_nulls(settings: LearnerSettings, seeds: Seeds) -> Measurement:
    """Every estimand of a claim on learners that have not learned."""
    forms = {name: game.team_form() for name, game in games().items()}
    first = {name: _train(form, untrained(settings), seeds(name)) for name, form in forms.items()}
    inferior = {name: inferior_share(forms[name], first[name]) for name in ("two-sided", "informed")}
    return Measurement(
        {
            "untrained/inferior_excess": inferior["two-sided"] - inferior["informed"],
            "untrained/inferior": inferior["informed"],
            "untrained/stable": float(np.mean([end for name in forms for end in are_stable(forms[name], first[name])])),
        }
    )


def untrained(settings: LearnerSettings) -> LearnerSettings:
    """Settings under which a policy stays as it was drawn."""
    return replace(settings, n_steps=1, learning_rate=UNTRAINED)


def inferior_share(form: TeamForm, learned: Learned) -> float:
    """Share of learners whose most probable policies earn less than an optimal pair."""
    best = optimal_value(form)[0]
    ends = learned.greedy()
    return sum(form.value(*pair) < best for pair in ends) / len(ends)


def are_stable(form: TeamForm, learned: Learned) -> list[bool]:
    """Of each learner, whether neither side would gain by changing its most probable policy alone."""
    optima = {(assistant, human) for _, assistant, human in person_by_person_optima(form)}
    return [pair in optima for pair in learned.greedy()]


def _train(form: TeamForm, settings: LearnerSettings, rng: np.random.Generator) -> Learned:
    return train(form, rng=rng, n_seeds=settings.n_learners, n_steps=settings.n_steps, learning_rate=settings.learning_rate)
