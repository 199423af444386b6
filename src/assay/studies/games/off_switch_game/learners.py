"""Independent policy-gradient learners on the paper's games, and where they end."""

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, doc

from assay.agents.policy_gradient import train
from assay.claims.study import Measurement, Table
from assay.core.seeds import Seeds
from assay.solvers.games.pairs import optimal_value, person_by_person_optima
from assay.studies.games.off_switch_game.variants import with_version_shown
from assay.worlds.games.off_switch import (
    bounded_talk_game,
    file_deletion,
    file_deletion_three_versions,
    original_off_switch,
)


@dataclass(frozen=True)
class Settings:
    """Tabular policy gradient."""

    n_learners: Annotated[int, Ge(2), doc("independent pairs of learners a game and run")] = 200
    n_steps: Annotated[int, Ge(10), doc("steps of exact gradient ascent")] = 1500
    learning_rate: Annotated[float, doc("step size on logits, per unit of payoff")] = 3.0


def measure(settings: Settings, seeds: Seeds) -> Measurement:
    """Train independent softmax learners on the fixed games and see where they end."""
    games = {
        "g1": file_deletion(),
        "g2 coarse": file_deletion_three_versions(fine=False),
        "g2 fine": file_deletion_three_versions(fine=True),
        "alone": with_version_shown(file_deletion()),
        "g4": original_off_switch([3, -2, 1, -4]),
        "g5": replace(file_deletion(), name="File Deletion Game, one bit", to_human=2),
        "g6": bounded_talk_game(),
    }
    estimands: dict[str, float] = {}
    ends: Table = []
    curves: Table = []
    stable: list[bool] = []
    stable_at_first: list[bool] = []
    for name, game in games.items():
        form = game.team_form()
        best = optimal_value(form)[0]
        sizes = {"n_seeds": settings.n_learners, "learning_rate": settings.learning_rate}
        learned = train(form, rng=seeds(name), n_steps=settings.n_steps, **sizes)  # type: ignore[arg-type]
        untrained = train(form, rng=seeds(name), n_steps=1, **sizes)  # type: ignore[arg-type]
        values = [form.value(*pair) for pair in learned.greedy()]
        inferior = sum(value < best for value in values) / len(values)
        if name in ("g1", "alone"):
            estimands[f"{name}_inferior"] = inferior
        if form.shape[2] <= 4:
            optima = {(a, h) for _, a, h in person_by_person_optima(form)}
            stable += [pair in optima for pair in learned.greedy()]
            stable_at_first += [pair in optima for pair in untrained.greedy()]
        ends.append(
            {
                "game": game.name,
                "optimum": float(best),
                "at_the_optimum": 1 - inferior,
                "mean_value": float(learned.value.mean()),
            }
        )
        curves += [
            {"game": game.name, "step": int(step), "share_of_optimum": float(row.mean() / float(best))}
            for step, row in zip(learned.steps, learned.curve, strict=True)
        ]
    estimands |= {"stable_ends": float(np.mean(stable)), "stable_starts": float(np.mean(stable_at_first))}
    return Measurement(estimands, tables={"ends": ends, "learning": curves})
