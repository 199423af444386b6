"""Assistants that learn beside models of the human, and whether they hide where theory says."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, doc

from assay.agents.policy_gradient import train
from assay.claims.study import Measurement, Table
from assay.core.seeds import Seeds
from assay.solvers.games.humans import Boltzmann, Human, Naive, Optimal, best_assistant
from assay.studies.games.observation_interference.products import product_game
from assay.worlds.games.assistance import blurred_choice, hiding_as_signal


@dataclass(frozen=True)
class Settings:
    """Tabular policy gradient for A against models of the human."""

    n_learners: Annotated[int, Ge(2), doc("independent learners a game, human and run")] = 30
    n_steps: Annotated[int, Ge(10), doc("steps of exact gradient ascent")] = 1500
    learning_rate: Annotated[float, Gt(0), doc("step size on logits, per unit of payoff")] = 4.0


def measure(settings: Settings, seeds: Seeds) -> Measurement:
    """Train A against models of the human and ask whether it hides exactly where the optimum does."""
    humans: dict[str, Human] = {
        "optimal": Optimal(),
        "naive": Naive(),
        "noisy, beta 1": Boltzmann(1.0),
        "noisy, beta 0.1": Boltzmann(0.1),
    }
    games = (hiding_as_signal(), hiding_as_signal(assistant_informed=False), product_game(2, 2), blurred_choice((3, 9)))
    rows: Table = []
    agreements: list[bool] = []
    untrained: list[bool] = []
    for game in games:
        form = game.team_form()
        for name, human in humans.items():
            best = best_assistant(form, human)
            hides = {any(form.marked[a] for a in policy) for policy in best.assistants}
            stream = f"{game.name}, {name}"
            shares = []
            for n_steps, kept in ((settings.n_steps, agreements), (1, untrained)):
                learned = train(
                    form,
                    rng=seeds(stream),
                    n_seeds=settings.n_learners,
                    n_steps=n_steps,
                    learning_rate=settings.learning_rate,
                    human=human,
                )
                ends = [any(form.marked[a] for a in assistant) for assistant, _ in learned.greedy()]
                shares.append(float(np.mean(ends)))
                # Where optimal policies of both kinds tie, theory says nothing.
                if len(hides) == 1:
                    kept += [end in hides for end in ends]
            rows.append(
                {
                    "game": game.name,
                    "human": name,
                    "theory": "hides" if hides == {True} else "shows" if hides == {False} else "either",
                    "hides_trained": shares[0],
                    "hides_untrained": shares[1],
                }
            )
    return Measurement(
        {"agreement": float(np.mean(agreements)), "agreement_untrained": float(np.mean(untrained))}, tables={"learners": rows}
    )
