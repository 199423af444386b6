"""What the off-switch experiments can be set to."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Le, doc


@dataclass(frozen=True)
class GameSettings:
    """Sizes of one run; payoffs are integers, so that optima are compared without a tolerance."""

    n_games: Annotated[int, Ge(64), doc("random games of one run")] = 4096
    n_talks: Annotated[int, Ge(64), doc("random games of one run in which talk is allowed")] = 32_768
    n_human: Annotated[int, Ge(3), Le(6), doc("H's observations")] = 4
    n_assistant: Annotated[int, Ge(3), Le(5), doc("A's observations")] = 4
    largest: Annotated[int, Ge(4), Le(999), doc("payoffs are integers up to this; small ones tie often")] = 99
    n_checked: Annotated[int, Ge(64), doc("random games on which each theorem is checked")] = 16_384


@dataclass(frozen=True)
class LearnerSettings:
    """Tabular policy gradient."""

    n_learners: Annotated[int, Ge(2), doc("independent pairs of learners a game and run")] = 200
    n_steps: Annotated[int, Ge(10), doc("steps of exact gradient ascent")] = 1500
    learning_rate: Annotated[float, Gt(0), doc("step size on logits, per unit of payoff")] = 3.0
