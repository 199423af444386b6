"""Training stacks of recall models: on fresh minibatches as in the paper, or on the exact population.

What the study adds to the laboratory's training loop: its batches, its losses with their gradient written out, and the paper's
optimiser.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.studies.knowledge.out_of_context_reasoning.model import RecallStack, aligned
from assay.studies.knowledge.out_of_context_reasoning.world import FACT, Kind, RecallWorld
from assay.training import sequence
from assay.training.optimiser import Optimiser
from assay.training.sequence import Draw, Stage
from assay.training.trace import Trace

__all__ = ["PAPER_ADAMW", "RecallBatch", "descend", "recall_loss", "train"]

PAPER_ADAMW = Optimiser("adamw", 5e-3, weight_decay=0.03)
LABEL_FLOOR = 1e-8  # the paper's loss is -log(p + 1e-8)
BLOCK = 50  # batches drawn at a time; part of the meaning of a stream, so a change makes other draws

Observe = Callable[[int, RecallStack], object]


class RecallBatch(NamedTuple):
    """What one step is trained on.

    Attributes:
        counts: how often each input token occurs in each sequence, [run, batch, n_inputs].
        labels: the right answers, [run, batch].
        weights: of each sequence, [batch]; None for equal ones.
    """

    counts: Tensor
    labels: Tensor
    weights: Tensor | None


def recall_loss(stack: RecallStack, batch: RecallBatch, **options: Any) -> Tensor:
    """Mean cross-entropy of every run in nats, [run], with the gradient that `RecallStack.backward` writes out.

    Args:
        stack: the models.
        batch: what they are asked.
        options: of `RecallStack.backward`.
    """
    losses: Tensor = _RecallLoss.apply(stack.weights, stack, batch, options)  # type: ignore[no-untyped-call]
    return losses


class _RecallLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, stack: RecallStack, batch: RecallBatch, options: dict[str, Any]) -> Tensor:
        ctx.gradient = stack.gradient
        return stack.backward(batch.counts, batch.labels, weights=batch.weights, **options)

    @staticmethod
    def backward(ctx: Any, *slopes: Any) -> tuple[Tensor, None, None, None]:
        (slope,), gradient = slopes, ctx.gradient
        return gradient if bool((slope == 1).all()) else gradient * slope[:, None], None, None, None


def train(
    stack: RecallStack,
    worlds: Sequence[RecallWorld],
    *,
    seeds: Sequence[Seeds],
    n_steps: int,
    optimiser: Optimiser | None = None,
    per_kind: int | None = 84,
    product_penalty: float = 0.0,
    observe: Observe | None = None,
    observe_at: Collection[int] = (),
) -> Trace:
    """Loss of every step of training with an optimiser, in nats; the stack is trained in place.

    Every step draws a fresh batch: `per_kind` sequences of each kind that the world teaches (the paper's 252 = 3 x 84). With
    `per_kind` None every step sees the exact population instead, and nothing is random.

    Args:
        stack: the models, one per run.
        worlds: the world of each run; of one size, so that one stack can hold them.
        seeds: the node of each run; its stream "batches" is used.
        n_steps: optimiser steps.
        optimiser: the paper's AdamW unless given.
        per_kind: sequences of each kind in a batch; None for the population.
        product_penalty: λ of a penalty λ ‖W_OV‖_F² on the product.
        observe: called as observe(step, stack) before the first step for 0 and after every step in `observe_at`.
        observe_at: steps, 0 … n_steps.

    Raises:
        SettingsError: stack, worlds and seeds differ in number, or worlds in size.
    """
    _check_alike(stack, worlds, len(seeds))
    draw = _population(stack, worlds) if per_kind is None else _Batches(stack, worlds, seeds, per_kind).draw

    def loss(models: RecallStack, batch: RecallBatch) -> Tensor:
        return recall_loss(models, batch, floor=LABEL_FLOOR, product_penalty=product_penalty)

    return _train(stack, Stage(n_steps, draw, loss), optimiser or PAPER_ADAMW, observe, observe_at)


def descend(
    stack: RecallStack,
    worlds: Sequence[RecallWorld],
    *,
    n_steps: int,
    step_size: float,
    normalised: bool,
    growth: float = 0.0,
    observe: Observe | None = None,
    observe_at: Collection[int] = (),
) -> Trace:
    """Loss of every step of gradient descent on the exact population, in nats; the stack is trained in place.

    Nothing is random here. A plain step is `step_size` times the gradient. A normalised one has a length of its own in each
    run, so that time does not stop as the loss vanishes: `step_size`, or `growth` times the length of the parameters where that
    is more. With growth, weights rise geometrically, and the direction they tend to comes into reach although margins grow only
    with the logarithm of time under plain gradient flow.

    Raises:
        SettingsError: stack and worlds differ in number, or worlds in size.
    """
    _check_alike(stack, worlds, len(worlds))

    def loss(models: RecallStack, batch: RecallBatch) -> Tensor:
        return recall_loss(models, batch, direction_only=normalised)

    kind: Literal["normalised", "sgd"] = "normalised" if normalised else "sgd"
    optimiser = Optimiser(kind, step_size, growth=growth)
    return _train(stack, Stage(n_steps, _population(stack, worlds), loss), optimiser, observe, observe_at)


def _train(
    stack: RecallStack,
    stage: Stage[RecallStack, RecallBatch],
    optimiser: Optimiser,
    observe: Observe | None,
    observe_at: Collection[int],
) -> Trace:
    """The laboratory's loop, for an observer that keeps what it sees itself."""

    def look(step: int, models: RecallStack) -> dict[str, float]:
        if observe is not None:
            observe(step, models)
        return {}

    return sequence.train(stack, stage, optimiser, observe=look, observe_at=observe_at)


class _Batches:
    """Fresh batches of every run as dense counts, in one buffer that is overwritten by the next call."""

    def __init__(self, stack: RecallStack, worlds: Sequence[RecallWorld], seeds: Sequence[Seeds], per_kind: int) -> None:
        self.worlds, self.rngs = worlds, [node("batches") for node in seeds]
        self.per_kind: dict[Kind, int] = dict.fromkeys(worlds[0].taught, per_kind)
        n_runs, batch = len(worlds), per_kind * len(self.per_kind)
        self.counts = aligned(torch.zeros(n_runs, batch, worlds[0].n_inputs, dtype=stack.dtype))
        relation = np.repeat([0 if kind.endswith("fact") else 1 for kind in self.per_kind], per_kind)
        self.counts[:, np.arange(batch), relation] = 1.0
        self.counts[:, :, -1] = 1.0
        self.noise_columns = slice(2 + worlds[0].n_subjects, worlds[0].n_inputs - 1)
        self.shown = torch.full((n_runs, batch, 1), 2)  # the column of each sequence's subject, where the buffer holds a one
        self.at = BLOCK
        assert FACT == 0

    def draw(self, step: int) -> RecallBatch:
        """The batch of the next step."""
        if self.at == BLOCK:
            drawn = [world.draw(self.per_kind, BLOCK, rng) for world, rng in zip(self.worlds, self.rngs, strict=True)]
            labels = [world.labels(draws) for world, draws in zip(self.worlds, drawn, strict=True)]
            # (block, runs, batch, …): a step then reads one contiguous slice.
            self.labels = torch.from_numpy(np.stack(labels, axis=1))
            self.subjects = torch.from_numpy(np.stack([draws.subject for draws in drawn], axis=1) + 2).unsqueeze(3)
            self.noise = torch.from_numpy(np.stack([draws.noise for draws in drawn], axis=1))
            self.at = 0
        place, self.at = self.at, self.at + 1
        self.counts.scatter_(2, self.shown, 0.0)
        self.shown = self.subjects[place]
        self.counts.scatter_(2, self.shown, 1.0)
        self.counts[:, :, self.noise_columns] = self.noise[place]
        return RecallBatch(self.counts, self.labels[place], None)


def _population(stack: RecallStack, worlds: Sequence[RecallWorld]) -> Draw[RecallBatch]:
    """Every sequence the worlds teach, with its weight: the same at every step."""
    draws, weights = worlds[0].population(worlds[0].taught)
    counts = aligned(torch.from_numpy(worlds[0].counts(draws)).to(stack.dtype).repeat(len(worlds), 1, 1))
    labels = torch.from_numpy(np.stack([world.labels(draws) for world in worlds]))
    batch = RecallBatch(counts, labels, torch.from_numpy(weights).to(stack.dtype))
    return lambda step: batch


def _check_alike(stack: RecallStack, worlds: Sequence[RecallWorld], n_seeds: int) -> None:
    if not len(worlds) == n_seeds == stack.n_runs:
        raise SettingsError(
            f"a stack needs one world and one seed per run; got {stack.n_runs} runs, {len(worlds)} worlds and {n_seeds} seeds"
        )
    sizes = {(w.n, w.m_train, w.m_test, w.m_abstain, w.n_noise, w.length) for w in worlds}
    if len(sizes) > 1:
        raise SettingsError(
            f"the worlds of one stack must have one size; got (n, m_train, m_test, m_abstain, n_noise, length) in {sizes}"
        )
