"""What the hiding experiments can be set to."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Le, doc


@dataclass(frozen=True)
class GameSettings:
    """Sizes of one run of random games, and of the games on which theorems are checked."""

    n_games: Annotated[int, Ge(64), doc("random games of one run, for each weight of what only A sees")] = 2048
    n_compared: Annotated[int, Ge(4), doc("random games of one run whose signals are compared by linear programs")] = 150
    n_private: Annotated[int, Ge(3), Le(4), doc("values of what only A sees")] = 3
    beta: Annotated[float, Gt(0), doc("inverse temperature of the noisy human, per largest base payoff")] = 8.0
    n_checked: Annotated[int, Ge(64), doc("random games on which each theorem is checked")] = 16_384


@dataclass(frozen=True)
class ProductSettings:
    """The product model."""

    n_trials: Annotated[int, Ge(100), doc("independent draws a setting; the paper's number")] = 30_000
    n_products: Annotated[tuple[int, ...], doc("numbers of products; 10 among them")] = (2, 5, 10, 20)


@dataclass(frozen=True)
class LearnerSettings:
    """Tabular policy gradient for A against models of the human."""

    n_learners: Annotated[int, Ge(2), doc("independent learners a game, human and run")] = 30
    n_steps: Annotated[int, Ge(10), doc("steps of exact gradient ascent")] = 1500
    learning_rate: Annotated[float, Gt(0), doc("step size on logits, per unit of payoff")] = 4.0
