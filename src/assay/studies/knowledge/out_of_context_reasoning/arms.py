"""What the experiments share: one variant trained for all runs at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from assay.core.errors import Diverged
from assay.core.seeds import Seeds
from assay.studies.knowledge.out_of_context_reasoning.world import Kind, RecallWorld

if TYPE_CHECKING:
    from assay.studies.knowledge.out_of_context_reasoning.instruments import Reading
    from assay.studies.knowledge.out_of_context_reasoning.model import Architecture, RecallStack
    from assay.training.optimiser import Optimiser

__all__ = ["Arm", "descended", "trained"]


@dataclass(frozen=True)
class Arm:
    """One trained variant of every run, and its readings on the way.

    Attributes:
        stack: the trained models.
        worlds: the world of each run.
        steps: when readings were taken.
        readings: by kind of question, at each of those steps.
        diverged: the runs that left the finite numbers.
    """

    stack: "RecallStack"
    worlds: Sequence[RecallWorld]
    steps: tuple[int, ...]
    readings: Sequence[Mapping[Kind, "Reading"]]
    diverged: tuple[Diverged | None, ...]

    def final(self, kind: Kind, quantity: str) -> Float[ndarray, " runs"]:
        """A reading at the last step."""
        values: Float[ndarray, " runs"] = getattr(self.readings[-1][kind], quantity)
        return values

    def course(self, kind: Kind, quantity: str) -> Float[ndarray, "steps runs"]:
        """A reading at all steps."""
        return np.stack([getattr(reading[kind], quantity) for reading in self.readings])

    def worst_taught_loss(self) -> Float[ndarray, " runs"]:
        """The largest of the losses of the kinds that were taught, at the last step, in nats."""
        losses = [self.final(kind, "loss_nats") for kind in self.worlds[0].taught]
        worst: Float[ndarray, " runs"] = np.max(losses, axis=0)
        return worst

    def facts_kept(self) -> Float[ndarray, " runs"]:
        """The smallest of the taught kinds' accuracies at the last step."""
        kept: Float[ndarray, " runs"] = np.min([self.final(kind, "accuracy") for kind in self.worlds[0].taught], axis=0)
        return kept


def trained(
    worlds: Sequence[RecallWorld],
    seeds: Sequence[Seeds],
    *,
    architecture: "Architecture",
    n_steps: int,
    optimiser: "Optimiser | None" = None,
    initialisation: Literal["constant", "gaussian"] = "constant",
    std: float | None = None,
    read_every: int = 100,
    product_penalty: float = 0.0,
) -> Arm:
    """Minibatch training of one variant from step 0, read every `read_every` steps and at the end."""
    from assay.studies.knowledge.out_of_context_reasoning.instruments import RecallProbe
    from assay.studies.knowledge.out_of_context_reasoning.model import RecallStack
    from assay.studies.knowledge.out_of_context_reasoning.training import train

    if initialisation == "constant":
        stack = RecallStack.constant(worlds[0], architecture, n_runs=len(worlds))
    else:
        stack = RecallStack.gaussian(worlds[0], architecture, rngs=[node("init") for node in seeds], std=std)
    probe = RecallProbe.sampled(worlds, seeds)
    steps = (*range(0, n_steps, read_every), n_steps)
    readings: list[Mapping[Kind, Reading]] = []
    trace = train(
        stack,
        worlds,
        seeds=seeds,
        n_steps=n_steps,
        optimiser=optimiser,
        product_penalty=product_penalty,
        observe=lambda step, stack: readings.append(probe.read(stack)),
        observe_at=frozenset(steps),
    )
    return Arm(stack, worlds, steps, readings, trace.diverged)


def descended(
    worlds: Sequence[RecallWorld],
    seeds: Sequence[Seeds],
    *,
    depth: int,
    std: float,
    n_steps: int,
    step_size: float,
    growth: float = 1e-3,
    observe: Callable[[int, "RecallStack"], None] | None = None,
    observe_at: Sequence[int] = (),
) -> tuple["RecallStack", tuple[Diverged | None, ...]]:
    """Normalised descent on the exact population in double precision, with attention fixed as the theory assumes.

    The worlds should be without noise (length 3): fixed attention does not look at it.
    """
    import torch

    from assay.studies.knowledge.out_of_context_reasoning.model import Architecture, RecallStack
    from assay.studies.knowledge.out_of_context_reasoning.training import descend

    stack = RecallStack.gaussian(
        worlds[0],
        Architecture(depth, key_query="fixed"),
        rngs=[node("init") for node in seeds],
        std=std,
        dtype=torch.float64,
    )
    trace = descend(
        stack,
        worlds,
        n_steps=n_steps,
        step_size=step_size,
        normalised=True,
        growth=growth,
        observe=observe,
        observe_at=observe_at,
    )
    return stack, trace.diverged
