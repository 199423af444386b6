"""Assistants that learn beside models of the human, and whether they hide where theory says."""

from dataclasses import replace

import numpy as np

from assay.agents.policy_gradient import train
from assay.claims.study import Measurement, Table
from assay.core.progress import parts
from assay.core.seeds import Seeds
from assay.solvers.games.humans import Boltzmann, Human, Naive, Optimal, best_assistant
from assay.studies.games.observation_interference.products import product_game
from assay.studies.games.observation_interference.settings import LearnerSettings
from assay.worlds.games.assistance import AssistanceGame, blurred_choice, hiding_as_signal
from assay.worlds.games.team import TeamForm

UNTRAINED = 1e-9  # a step this small leaves the first policy as it was drawn
HUMANS: dict[str, Human] = {
    "optimal": Optimal(),
    "naive": Naive(),
    "noisy, beta 1": Boltzmann(1.0),
    "noisy, beta 0.1": Boltzmann(0.1),
}


def games() -> dict[str, AssistanceGame]:
    """What the learners play."""
    return {
        "hiding tells": hiding_as_signal(),
        "nothing to tell": hiding_as_signal(assistant_informed=False),
        "two products": product_game(2, 2),
        "hiding spares": blurred_choice((3, 9)),
    }


def measure(settings: LearnerSettings, seeds: Seeds) -> Measurement:
    """Train A against models of the human and ask whether it hides exactly where every optimal policy does."""
    rows: Table = []
    ends: dict[str, dict[bool, list[bool]]] = {arm: {True: [], False: []} for arm in ("trained", "untrained")}
    cells = [(name, human) for name in games() for human in HUMANS]
    for name, human in parts(cells):
        form = games()[name].team_form()
        theory = hides_in_theory(form, HUMANS[human])
        hides = {
            arm: _hides(form, HUMANS[human], chosen, seeds(f"{name}, {human}"))
            for arm, chosen in (("trained", settings), ("untrained", untrained(settings)))
        }
        if theory is not None:
            for arm, found in hides.items():
                ends[arm][theory] += found
        rows.append(
            {
                "game": name,
                "human": human,
                "theory": "either" if theory is None else "hides" if theory else "shows",
                "hides_trained": float(np.mean(hides["trained"])),
                "hides_untrained": float(np.mean(hides["untrained"])),
            }
        )
    return Measurement({f"{arm}/agreement": agreement(found) for arm, found in ends.items()}, tables={"learners": rows})


def measure_nulls(settings: LearnerSettings, seeds: Seeds) -> Measurement:
    """The agreement of assistants that have not learned, that always hide and that never do."""
    ends: dict[str, dict[bool, list[bool]]] = {
        null: {True: [], False: []} for null in ("untrained", "always-hides", "never-hides")
    }
    for name, game in games().items():
        for human, model in HUMANS.items():
            form = game.team_form()
            theory = hides_in_theory(form, model)
            if theory is not None:
                first = _hides(form, model, untrained(settings), seeds(f"{name}, {human}"))
                ends["untrained"][theory] += first
                ends["always-hides"][theory] += [True] * len(first)
                ends["never-hides"][theory] += [False] * len(first)
    return Measurement({f"{null}/agreement": agreement(found) for null, found in ends.items()})


def hides_in_theory(form: TeamForm, human: Human) -> bool | None:
    """Whether every best policy of A hides something (True) or none does (False); None where both kinds tie."""
    kinds = {any(form.marked[a] for a in policy) for policy in best_assistant(form, human).assistants}
    return kinds.pop() if len(kinds) == 1 else None


def untrained(settings: LearnerSettings) -> LearnerSettings:
    """Settings under which a policy stays as it was drawn."""
    return replace(settings, n_steps=1, learning_rate=UNTRAINED)


def agreement(ends: dict[bool, list[bool]]) -> float:
    """Share of learners that do what theory says, the cases where it says hide and where it says show weighing the same."""
    return (float(np.mean(ends[True])) + 1 - float(np.mean(ends[False]))) / 2


def _hides(form: TeamForm, human: Human, settings: LearnerSettings, rng: np.random.Generator) -> list[bool]:
    """Of each learner, whether its most probable policy hides anything."""
    learned = train(
        form,
        rng=rng,
        n_seeds=settings.n_learners,
        n_steps=settings.n_steps,
        learning_rate=settings.learning_rate,
        human=human,
    )
    return [any(form.marked[a] for a in assistant) for assistant, _ in learned.greedy()]
