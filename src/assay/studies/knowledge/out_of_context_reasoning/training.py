"""Training stacks of recall models: on fresh minibatches as in the paper, or on the exact population.

Plain loops. A stack's runs share the loop and nothing else: each draws from its own streams, so a run's numbers do not depend
on its stack mates, and one that leaves the finite numbers is reported and does not disturb the others.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from assay.core.errors import Diverged, SettingsError
from assay.core.seeds import Seeds
from assay.studies.knowledge.out_of_context_reasoning.model import RecallStack, aligned
from assay.studies.knowledge.out_of_context_reasoning.world import FACT, Kind, RecallWorld
from assay.training.optimiser import Optimiser as SharedOptimiser
from assay.training.optimiser import Stepper

__all__ = ["Optimiser", "Trace", "descend", "train"]

LABEL_FLOOR = 1e-8  # the paper's loss is -log(p + 1e-8)
BLOCK = 50  # batches drawn at a time; part of the meaning of a stream, so a change makes other draws


@dataclass(frozen=True)
class Optimiser:
    """How a gradient becomes a step.

    Attributes:
        name: `adamw` (decoupled decay), `sgd` or `sign` (steps of equal size along the gradient's signs).
        learning_rate: constant over training.
        weight_decay: decoupled: each step also multiplies the parameters by 1 - learning_rate * weight_decay.
    """

    name: Literal["adamw", "sgd", "sign"] = "adamw"
    learning_rate: float = 5e-3
    weight_decay: float = 0.03


@dataclass(frozen=True)
class Trace:
    """What training saw.

    Attributes:
        loss_nats: training loss of every step, before the step was taken.
        diverged: for every run, the step at which its loss left the finite numbers, or None.
    """

    loss_nats: Float[np.ndarray, "runs n_steps"]
    diverged: tuple[Diverged | None, ...]


Observe = Callable[[int, RecallStack], None]


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
    step_once = _stepper(stack, optimiser or Optimiser())
    data: _Batches | _Population
    if per_kind is None:
        data = _Population(stack, worlds)
    else:
        data = _Batches(stack, worlds, [node("batches") for node in seeds], per_kind)
    losses = torch.empty(n_steps, stack.n_runs, dtype=stack.dtype)
    if observe and 0 in observe_at:
        observe(0, stack)
    with _tiny_numbers_as_nought():
        for step in range(n_steps):
            counts, labels, weights = data.next()
            losses[step] = stack.backward(counts, labels, weights=weights, floor=LABEL_FLOOR, product_penalty=product_penalty)
            step_once()
            if observe and step + 1 in observe_at:
                observe(step + 1, stack)
    return _trace(losses)


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
    counts, labels, weights = _Population(stack, worlds).next()
    losses = torch.empty(n_steps, stack.n_runs, dtype=stack.dtype)
    if observe and 0 in observe_at:
        observe(0, stack)
    for step in range(n_steps):
        losses[step] = stack.backward(counts, labels, weights=weights, direction_only=normalised)
        if normalised:
            length = torch.linalg.vector_norm(stack.parameters, dim=1, keepdim=True).mul_(growth).clamp_(min=step_size)
            stack.gradient.mul_(length / torch.linalg.vector_norm(stack.gradient, dim=1, keepdim=True))
            stack.parameters.sub_(stack.gradient)
        else:
            stack.parameters.sub_(stack.gradient, alpha=step_size)
        if observe and step + 1 in observe_at:
            observe(step + 1, stack)
    return _trace(losses)


class _Batches:
    """Fresh batches of every run as dense counts, in one buffer that is overwritten by the next call."""

    def __init__(
        self, stack: RecallStack, worlds: Sequence[RecallWorld], rngs: Sequence[np.random.Generator], per_kind: int
    ) -> None:
        self.worlds, self.rngs = worlds, rngs
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

    def next(self) -> tuple[Tensor, Tensor, None]:
        if self.at == BLOCK:
            drawn = [world.draw(self.per_kind, BLOCK, rng) for world, rng in zip(self.worlds, self.rngs, strict=True)]
            labels = [world.labels(draws) for world, draws in zip(self.worlds, drawn, strict=True)]
            # (block, runs, batch, …): a step then reads one contiguous slice.
            self.labels = torch.from_numpy(np.stack(labels, axis=1))
            self.subjects = torch.from_numpy(np.stack([draws.subject for draws in drawn], axis=1) + 2).unsqueeze(3)
            self.noise = torch.from_numpy(np.stack([draws.noise for draws in drawn], axis=1))
            self.at = 0
        step, self.at = self.at, self.at + 1
        self.counts.scatter_(2, self.shown, 0.0)
        self.shown = self.subjects[step]
        self.counts.scatter_(2, self.shown, 1.0)
        self.counts[:, :, self.noise_columns] = self.noise[step]
        return self.counts, self.labels[step], None


class _Population:
    """Every sequence the worlds teach, with its weight: the same at every step."""

    def __init__(self, stack: RecallStack, worlds: Sequence[RecallWorld]) -> None:
        draws, weights = worlds[0].population(worlds[0].taught)
        self.counts = aligned(torch.from_numpy(worlds[0].counts(draws)).to(stack.dtype).repeat(stack.n_runs, 1, 1))
        self.labels = torch.from_numpy(np.stack([world.labels(draws) for world in worlds]))
        self.weights = torch.from_numpy(weights).to(stack.dtype)

    def next(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.counts, self.labels, self.weights


@contextmanager
def _tiny_numbers_as_nought() -> Iterator[None]:
    """Numbers below the smallest normal float (1.2e-38) count as 0 in this thread.

    Softmax makes them of hopeless tokens, and AdamW of the squares of vanishing gradients; a processor is many times slower
    at them than at others, and no result shows them.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _stepper(stack: RecallStack, optimiser: Optimiser) -> Callable[[], object]:
    rate, decay = optimiser.learning_rate, optimiser.weight_decay
    if optimiser.name == "adamw":
        stepper = Stepper([stack.parameters], SharedOptimiser("adamw", rate, weight_decay=decay))
        return lambda: stepper.step([stack.gradient])

    def step() -> None:
        if decay:
            stack.parameters.mul_(1 - rate * decay)
        stack.parameters.sub_(torch.sign(stack.gradient) if optimiser.name == "sign" else stack.gradient, alpha=rate)

    return step


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


def _trace(losses: Tensor) -> Trace:
    values = losses.double().numpy().T
    diverged: list[Diverged | None] = []
    for run in values:
        bad = np.flatnonzero(~np.isfinite(run))
        diverged.append(Diverged(int(bad[0]), float(run[bad[0] - 1]) if bad[0] else float("nan")) if len(bad) else None)
    return Trace(values, tuple(diverged))
