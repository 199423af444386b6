"""What the experiments share: one variant trained for all runs at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from assay.core.errors import Diverged
from assay.core.seeds import Seeds
from assay.studies.knowledge.out_of_context_reasoning.instruments import (
    RecallProbe,
    Scores,
    block_completion,
    value_output,
)
from assay.studies.knowledge.out_of_context_reasoning.model import Architecture, RecallStack
from assay.studies.knowledge.out_of_context_reasoning.training import descend, train
from assay.studies.knowledge.out_of_context_reasoning.world import Kind, RecallWorld
from assay.training.optimiser import Optimiser

__all__ = ["TrainedArm", "completions", "descend_arm", "draw_fixed", "train_arm"]


@dataclass(frozen=True)
class TrainedArm:
    """One trained variant of every run, and how it scored on the way.

    Attributes:
        stack: the trained models.
        worlds: the world of each run.
        steps: when it was asked.
        scores: by kind of question, at each of those steps.
        diverged: the runs that left the finite numbers.
    """

    stack: RecallStack
    worlds: Sequence[RecallWorld]
    steps: tuple[int, ...]
    scores: Sequence[Mapping[Kind, Scores]]
    diverged: tuple[Diverged | None, ...]

    def final(self, kind: Kind, quantity: str) -> Float[ndarray, " runs"]:
        """A score at the last step."""
        values: Float[ndarray, " runs"] = getattr(self.scores[-1][kind], quantity)
        return values

    def course(self, kind: Kind, quantity: str) -> Float[ndarray, "steps runs"]:
        """A score at all steps."""
        return np.stack([getattr(scores[kind], quantity) for scores in self.scores])

    def worst_taught_loss(self, at: int = -1) -> Float[ndarray, " runs"]:
        """The largest of the losses of the kinds that were taught, at the last asking or another, in nats."""
        losses = [self.scores[at][kind].loss_nats for kind in self.worlds[0].taught]
        worst: Float[ndarray, " runs"] = np.max(losses, axis=0)
        return worst

    def facts_kept(self) -> Float[ndarray, " runs"]:
        """The smallest of the taught kinds' accuracies at the last step."""
        kept: Float[ndarray, " runs"] = np.min([self.final(kind, "accuracy") for kind in self.worlds[0].taught], axis=0)
        return kept

    def least_excess(self) -> Float[ndarray, " runs"]:
        """The least loss on held-out implications over all askings, minus the logarithm of their number, in nats."""
        least: Float[ndarray, " runs"] = self.course("test_implication", "loss_nats").min(axis=0) - np.log(self.worlds[0].n)
        return least


def train_arm(
    worlds: Sequence[RecallWorld],
    seeds: Sequence[Seeds],
    *,
    architecture: Architecture,
    n_steps: int,
    optimiser: Optimiser | None = None,
    initialisation: Literal["constant", "gaussian"] = "constant",
    std: float | None = None,
    read_every: int = 100,
    product_penalty: float = 0.0,
) -> TrainedArm:
    """Minibatch training of one variant, asked before the first step, every `read_every` steps and at the end."""
    if initialisation == "constant":
        stack = RecallStack.constant(worlds[0], architecture, n_runs=len(worlds))
    else:
        stack = RecallStack.gaussian(worlds[0], architecture, rngs=[node("init") for node in seeds], std=std)
    probe = RecallProbe.sampled(worlds, seeds)
    steps = (*range(0, n_steps, read_every), n_steps)
    scores: list[Mapping[Kind, Scores]] = []
    trace = train(
        stack,
        worlds,
        seeds=seeds,
        n_steps=n_steps,
        optimiser=optimiser,
        product_penalty=product_penalty,
        observe=lambda step, stack: scores.append(probe.read(stack)),
        observe_at=frozenset(steps),
    )
    return TrainedArm(stack, worlds, steps, scores, trace.diverged)


def descend_arm(
    worlds: Sequence[RecallWorld],
    seeds: Sequence[Seeds],
    *,
    depth: int,
    std: float,
    n_steps: int,
    step_size: float,
    growth: float = 1e-3,
    observe: Callable[[int, RecallStack], None] | None = None,
    observe_at: Sequence[int] = (),
) -> tuple[RecallStack, tuple[Diverged | None, ...]]:
    """Models after normalised descent on the exact population in double precision, with attention fixed as the theory assumes.

    The worlds should be without noise (length 3): fixed attention does not look at it.
    """
    stack = draw_fixed(worlds[0], seeds, depth=depth, std=std)
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


def draw_fixed(world: RecallWorld, seeds: Sequence[Seeds], *, depth: int, std: float) -> RecallStack:
    """Models as they are drawn for `descend_arm`: fixed attention, double precision."""
    fixed = Architecture(depth, key_query="fixed")
    return RecallStack.gaussian(world, fixed, rngs=[node("init") for node in seeds], std=std, dtype=torch.float64)


def completions(stack: RecallStack, worlds: Sequence[RecallWorld], *, weighted: bool = False) -> Float[ndarray, " runs"]:
    """Block completion of every run."""
    matrices = value_output(stack, weighted=weighted)
    return np.array([block_completion(W, world) for W, world in zip(matrices, worlds, strict=True)])
