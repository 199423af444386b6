"""What training saw: losses, observations, which runs left the finite numbers, which were stopped."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from assay.core.errors import Diverged

__all__ = ["Observation", "Observe", "Trace", "find_divergence"]

M = TypeVar("M")
Observation = Mapping[str, float | Float[np.ndarray, " run"]]
"""Named quantities at one step: a number, or one a run."""
Observe = Callable[[int, M], Observation]
"""observe(step, model), called without gradients; it may draw and forward as it likes, the training stays the same."""


@dataclass(frozen=True)
class Trace:
    """What training saw.

    Attributes:
        loss_nats: loss of every step before it was taken, [run, step]; one run for a model without a run axis. Behind the
            step at which a run was stopped it is nan.
        steps: the steps observed, in order.
        observations: what the observing hook returned at each of them; nan for runs stopped before.
        diverged: per run, or None where the loss stayed finite.
        stopped: per run the number of steps it had taken when it was stopped, or None where it went to the end.
    """

    loss_nats: Float[np.ndarray, "run n_steps"]
    steps: tuple[int, ...] = ()
    observations: tuple[Observation, ...] = ()
    diverged: tuple[Diverged | None, ...] = ()
    stopped: tuple[int | None, ...] = ()

    def series(self, name: str) -> Float[np.ndarray, "*run observation"]:
        """The observed quantity called `name` over `steps`, observations last."""
        return np.stack([np.asarray(observed[name], dtype=float) for observed in self.observations], axis=-1)

    def raise_if_diverged(self) -> None:
        """Nothing where every loss stayed finite: for runs that count only together.

        Raises:
            Diverged: a run's loss left the finite numbers.
        """
        for lost in self.diverged:
            if lost is not None:
                raise lost


def find_divergence(losses: Float[np.ndarray, " n_steps"]) -> Diverged | None:
    """The first step at which a run's loss left the finite numbers, or None."""
    lost = np.flatnonzero(~np.isfinite(losses))
    if not lost.size:
        return None
    return Diverged(int(lost[0]), float(losses[lost[0] - 1]) if lost[0] else math.nan)
