"""Independent policy-gradient learners on the paper's games, and where they end."""

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, doc

from assay.agents.policy_gradient import Learned, train
from assay.claims.study import Measurement, Table
from assay.core.progress import parts
from assay.core.seeds import Seeds
from assay.solvers.games.pairs import optimal_value, person_by_person_optima
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


@dataclass(frozen=True)
class Settings:
    """Tabular policy gradient."""

    n_learners: Annotated[int, Ge(2), doc("independent pairs of learners a game and run")] = 200
    n_steps: Annotated[int, Ge(10), doc("steps of exact gradient ascent")] = 1500
    learning_rate: Annotated[float, doc("step size on logits, per unit of payoff")] = 3.0


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


def measure(settings: Settings, seeds: Seeds) -> Measurement:
    """Train independent softmax learners on the examples and see where they end, and where they began."""
    inferior: dict[str, float] = {}
    ends: Table = []
    curves: Table = []
    stable: dict[str, list[bool]] = {"trained": [], "untrained": []}
    for name, game in parts(games().items()):
        form = game.team_form()
        best = optimal_value(form)[0]
        learned = _train(form, settings, seeds(name))
        values = [form.value(*pair) for pair in learned.greedy()]
        inferior[name] = sum(value < best for value in values) / len(values)
        untrained = _train(form, replace(settings, n_steps=1, learning_rate=UNTRAINED), seeds(name))
        optima = {(a, h) for _, a, h in person_by_person_optima(form)}
        stable["trained"] += [pair in optima for pair in learned.greedy()]
        stable["untrained"] += [pair in optima for pair in untrained.greedy()]
        ends.append(
            {
                "game": NAMES[name],
                "optimum": float(best),
                "at_the_optimum": 1 - inferior[name],
                "mean_value": float(learned.value.mean()),
            }
        )
        curves += [
            {"game": NAMES[name], "step": int(step), "share_of_optimum": float(row.mean() / float(best))}
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


def _train(form: TeamForm, settings: Settings, rng: np.random.Generator) -> Learned:
    return train(form, rng=rng, n_seeds=settings.n_learners, n_steps=settings.n_steps, learning_rate=settings.learning_rate)
