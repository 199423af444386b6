"""Training sequence models: one loop, fresh batches, a log-step grid of observations, curricula and runs that stop.

The loop takes anything that is a module and a loss; one with a run axis trains all its runs in the same program, and a run
shares nothing with its batch mates: neither random streams nor rates, and one that diverges or is stopped changes no other.
Steps are counted by updates taken: an observation at step 0 sees the initial weights.
"""

import copy
import math
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor, nn

from assay.core.errors import Diverged, SettingsError
from assay.core.memory import freed_memory_kept
from assay.core.progress import progress
from assay.models.runs import SideBySide
from assay.training.losses import Batch, Loss
from assay.training.optimiser import Optimiser, Stepper, clip
from assay.training.trace import Observation, Observe, Trace, find_divergence

__all__ = ["Draw", "Stage", "State", "draw_ahead", "draw_together", "log_steps", "train", "train_from"]

M = TypeVar("M", bound=nn.Module)
B = TypeVar("B")
Draw = Callable[[int], B]
"""The batch of a step; called once a step, in order."""
Stop = Callable[[int, Observation], bool | Bool[np.ndarray, " run"]]
"""stop(step, observed) is whether training ends there, for all runs or one by one."""


@dataclass(frozen=True)
class Stage(Generic[M, B]):
    """A stretch of training with its own data and loss; a curriculum is a sequence of stages.

    Attributes:
        n_steps: its length.
        draw: the batch of a step.
        loss: what is minimised, one number a run.
        fresh_optimiser: forget the moments of the stage before.
    """

    n_steps: int
    draw: Draw[B]
    loss: Loss[M, B]
    fresh_optimiser: bool = False


def draw_ahead(draw: Draw[B], n: int = 8) -> Draw[B]:
    """The same batches, drawn `n` at a time: after a training step a draw finds its tables gone from the processor's cache.

    Raises:
        SettingsError: n is not positive.
    """
    if n < 1:
        raise SettingsError(f"batches are drawn at least one at a time; got {n}")
    waiting: deque[B] = deque()

    def next_of(step: int) -> B:
        if not waiting:
            waiting.extend(draw(step + ahead) for ahead in range(n))
        return waiting.popleft()

    return next_of


def draw_together(draws: Sequence[Draw[Batch]]) -> Draw[Batch]:
    """The batches of several runs as one with a run axis in front; a draw that is named twice is drawn once a step."""
    distinct = list({id(draw): draw for draw in draws}.values())
    places = [next(i for i, one in enumerate(distinct) if one is draw) for draw in draws]

    def join(parts: Sequence[Tensor]) -> Tensor:
        return torch.stack(tuple(parts)) if len(parts) > 1 else parts[0][None]  # a stack of one would be a copy

    def draw(step: int) -> Batch:
        drawn = [one(step) for one in distinct]
        inputs, targets, offsets = zip(*(drawn[place] for place in places), strict=True)
        return Batch(join(inputs), join(targets), None if offsets[0] is None else join(offsets))

    return draw_ahead(draw, max(1, 8 // len(distinct)))


def log_steps(n_steps: int, *, per_decade: int = 20, dense_from: int = 0, every: int = 0) -> tuple[int, ...]:
    """0, then steps evenly spaced on a logarithmic grid, then n_steps; distinct and rising.

    Args:
        n_steps: the last step.
        per_decade: grid points per factor of ten.
        dense_from: from this step on, also every `every` steps.
        every: see `dense_from`; 0 for none.

    Raises:
        SettingsError: n_steps or per_decade is not positive.
    """
    if n_steps < 1 or per_decade < 1:
        raise SettingsError(f"a log-step grid needs n_steps and per_decade of at least 1; got {n_steps}, {per_decade}")
    grid = np.round(10 ** np.arange(0, math.log10(n_steps), 1 / per_decade)).astype(int).tolist()
    dense = range(dense_from, n_steps, every) if every else ()
    return tuple(sorted({0, n_steps, *grid, *dense}))


@freed_memory_kept()
def train(
    model: M,
    stages: Stage[M, B] | Sequence[Stage[M, B]],
    optimiser: Optimiser | Sequence[Optimiser],
    *,
    observe: Observe[M] | None = None,
    observe_at: Collection[int] = (),
    stop: Stop | None = None,
) -> Trace:
    """The trace of training `model` in place through `stages`.

    Args:
        model: a module; parameters that do not require gradients stay.
        stages: one stage or a curriculum.
        optimiser: how gradients become steps; for a model with a run axis also one a run.
        observe: called without gradients as observe(step, model); may draw and forward as it likes, the run stays the same.
            Once runs were stopped it gets the others alone, and `model.runs` says which they are.
        observe_at: the steps at which it is called, within 0..total.
        stop: looks at what was just observed and says whether training ends; for a model with a run axis, whose. A stopped run
            keeps the weights of that step, and the others train on as if it were still there.

    Raises:
        Diverged: the loss of a single run left the finite numbers; of several runs the lost ones are named in the trace.
        SettingsError: an observed step is not a step of this training, or optimisers do not fit the runs.
    """
    stages = [stages] if isinstance(stages, Stage) else list(stages)
    n_steps = sum(stage.n_steps for stage in stages)
    outside = [step for step in observe_at if not 0 <= step <= n_steps]
    if n_steps < 1 or outside:
        raise SettingsError(f"observed steps must lie in 0..{n_steps}, at least one step; got {outside[:3]}")
    batch = _Runs(model, optimiser)
    seen = _Seen(batch, observe, frozenset(observe_at), stop)
    with _flush_denormals():
        step = 0
        seen.look(step)
        for stage in stages:
            if stage.fresh_optimiser:
                batch.forget_moments()
            for _ in range(stage.n_steps):
                if not batch.training:
                    break
                loss = stage.loss(batch.model, batch.share_of(stage.draw(step)))
                seen.losses.append((loss.detach(), batch.training))
                if loss.dim() == 0 and not math.isfinite(loss.item()):
                    raise Diverged(step, seen.losses[-2][0].item() if step else math.nan)
                batch.take_step(loss, step, n_steps)
                step += 1
                if step % 50 == 0:
                    progress(step / n_steps)
                seen.look(step)
    batch.put_back()
    return seen.trace()


@dataclass(frozen=True)
class State(Generic[M]):
    """A moment of a training, from which any number of branches can go on with `train_from`; it stays as it is.

    Attributes:
        step: how many steps were taken.
        model: the weights of that moment; a copy that nobody trains.
        moments: of the optimiser, one list a moment with one tensor a trained parameter.
        taken: how often each of these parameters was moved.
        optimisers: one a run.
    """

    step: int
    model: M
    moments: tuple[tuple[Tensor, ...], ...]
    taken: tuple[Tensor, ...]
    optimisers: tuple[Optimiser, ...]

    @classmethod
    def fresh(cls, model: M, optimiser: Optimiser | Sequence[Optimiser]) -> "State[M]":
        """The state before the first step of `model`, which is copied; moments are zero.

        Raises:
            SettingsError: optimisers do not fit the runs.
        """
        return _Branch(copy.deepcopy(model), optimiser).state(0)


@freed_memory_kept()
def train_from(
    start: State[M],
    stages: Stage[M, B] | Sequence[Stage[M, B]],
    *,
    optimiser: Optimiser | Sequence[Optimiser] | None = None,
    horizon: int | None = None,
    observe: Observe[M] | None = None,
    observe_at: Collection[int] = (),
) -> tuple[State[M], Trace]:
    """The state after the stages, and the trace of this stretch; `start` is not changed and may be gone on from again.

    Steps count on from `start.step`, for draws and observations alike, so two stretches are one long training to the bit, with
    a run axis too. What draws and losses take random numbers from is the caller's to carry on.

    Args:
        start: where training goes on, with weights and moments.
        stages: one stage or a curriculum.
        optimiser: of this branch, of the same kind as before; None for the one of `start`. Moments are kept.
        horizon: the step at which a rate that falls arrives at zero; None for the last step of these stages.
        observe: as for `train`.
        observe_at: the steps at which it is called, from `start.step` to the last one.

    Raises:
        Diverged: as for `train`; of several runs the lost ones are named in the trace, whose losses begin with this stretch.
        SettingsError: a step is none of this stretch, the horizon lies before its end, or the optimiser does not fit the
            moments or the runs.
    """
    stages = [stages] if isinstance(stages, Stage) else list(stages)
    first, last = start.step, start.step + sum(stage.n_steps for stage in stages)
    outside = [step for step in observe_at if not first <= step <= last]
    if last == first or outside:
        raise SettingsError(f"observed steps must lie in {first}..{last}, at least one step; got {outside[:3]}")
    if horizon is not None and horizon < last:
        raise SettingsError(f"the horizon must not lie before the last step, {last}; got {horizon}")
    batch = _Branch(copy.deepcopy(start.model), start.optimisers if optimiser is None else optimiser)
    batch.take_up(start)
    seen = _Seen(batch, observe, frozenset(observe_at), None)
    with _flush_denormals():
        step = first
        seen.look(step)
        for stage in stages:
            if stage.fresh_optimiser:
                batch.forget_moments()
            for _ in range(stage.n_steps):
                loss = stage.loss(batch.model, stage.draw(step))
                seen.losses.append((loss.detach(), batch.training))
                if loss.dim() == 0 and not math.isfinite(loss.item()):
                    raise Diverged(step, seen.losses[-2][0].item() if step > first else math.nan)
                batch.take_step(loss, step, horizon or last)
                step += 1
                if step % 50 == 0:
                    progress((step - first) / (last - first))
                seen.look(step)
    return batch.state(last), seen.trace()


class _Runs(Generic[M]):
    """The runs that are still training, as one model, and what takes their steps.

    Attributes:
        whole: the model that was given.
        model: that model, or the runs of it that are still training.
        training: their places in it; (0,) for a model without a run axis.
    """

    def __init__(self, model: M, optimiser: Optimiser | Sequence[Optimiser]) -> None:
        self.whole = self.model = model
        self.n_runs = model.n_runs if isinstance(model, SideBySide) else None
        self.training = tuple(range(self.n_runs or 1))
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.stepper = Stepper(self.parameters, optimiser, n_runs=self.n_runs)
        self.plan = self.stepper.plan

    def share_of(self, batch: B) -> B:
        """The part of a batch that is the training runs'."""
        if len(self.training) == (self.n_runs or 1):
            return batch
        training = list(self.training)
        parts: Any = batch
        return type(parts)(*[None if part is None else part[training] for part in parts])  # type: ignore[no-any-return]

    def take_step(self, loss: Tensor, step: int, n_steps: int) -> None:
        """Moves the weights against the gradient of the losses."""
        gradients: Sequence[Tensor | None] = torch.autograd.grad(loss.sum(), self.parameters, allow_unused=True)
        if self.plan.clip_norm is not None:
            gradients = clip(gradients, self.plan.clip_norm, n_runs=len(loss) if loss.dim() else None)
        self.stepper.step(gradients, self.plan.share_of_rate(step, n_steps))

    def forget_moments(self) -> None:
        """Starts the optimiser anew."""
        self.stepper = Stepper(
            self.parameters, self.stepper.optimisers, n_runs=None if self.n_runs is None else len(self.training)
        )

    def stop(self, stopped: Sequence[bool]) -> None:
        """Takes the runs for which it is true out of the program; their weights stay as they are."""
        self.put_back()
        stay = [place for place, ends in enumerate(stopped) if not ends]
        self.training = tuple(self.training[place] for place in stay)
        if not self.training or not isinstance(self.whole, SideBySide):
            return
        self.model = self.whole.select(self.training)
        self.model.runs = self.training
        self.parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.stepper.select(stay, self.parameters)

    def put_back(self) -> None:
        """Brings the weights of the training runs to where they belong."""
        if self.model is not self.whole and isinstance(self.whole, SideBySide) and isinstance(self.model, SideBySide):
            self.whole.put(self.training, self.model)


class _Branch(_Runs[M]):
    """All runs of a training that begins at a state and ends in one."""

    def take_up(self, start: State[M]) -> None:
        """Gives the optimiser the moments of a state.

        Raises:
            SettingsError: they are of another kind of optimiser.
        """
        mine, theirs = self.stepper.plan, start.optimisers[0]
        if (mine.kind, len(self.stepper.moments)) != (theirs.kind, len(start.moments)):
            raise SettingsError(
                f"a branch must go on with an optimiser of the same kind, with or without momentum as before; the state has "
                f"moments of {theirs}, the branch takes {mine}. Take one of that kind, or begin anew with State.fresh"
            )
        self.stepper.moments = [[moment.clone() for moment in moments] for moments in start.moments]
        self.stepper.taken = [taken.clone() for taken in start.taken]

    def state(self, step: int) -> State[M]:
        """Where this training is; it must not go on afterwards."""
        stepper = self.stepper
        moments = tuple(tuple(moments) for moments in stepper.moments)
        return State(step, self.model, moments, tuple(stepper.taken), tuple(stepper.optimisers))


class _Seen(Generic[M]):
    """What training has shown so far."""

    def __init__(self, batch: _Runs[M], observe: Observe[M] | None, at: frozenset[int], stop: Stop | None) -> None:
        self.batch, self.observe, self.at, self.stop = batch, observe, at, stop
        self.losses: list[tuple[Tensor, tuple[int, ...]]] = []
        self.steps: list[int] = []
        self.observations: list[Observation] = []
        self.stopped: list[int | None] = [None] * len(batch.training)

    def look(self, step: int) -> None:
        """Observes what is due at this step, and stops the runs that are to stop."""
        batch = self.batch
        if self.observe is None or step not in self.at or not batch.training:
            return
        with torch.no_grad(), torch.random.fork_rng(devices=()):
            observed = self.observe(step, batch.model)
        self.steps.append(step)
        self.observations.append({name: self._in_place(value) for name, value in observed.items()})
        if self.stop is None:
            return
        stopped = np.broadcast_to(self.stop(step, observed), len(batch.training)).tolist()
        if any(stopped):
            for place, ends in zip(batch.training, stopped, strict=True):
                self.stopped[place] = step if ends else None
            batch.stop(stopped)

    def _in_place(self, value: Any) -> Any:
        """A quantity of the training runs as one of all runs, nan where a run was stopped before."""
        n_all, training = len(self.stopped), self.batch.training
        if len(training) == n_all or np.ndim(value) == 0:
            return value
        whole = np.full((n_all, *np.shape(value)[1:]), np.nan)
        whole[list(training)] = value
        return whole

    def trace(self) -> Trace:
        """All of it."""
        losses = np.full((len(self.stopped), len(self.losses)), np.nan)
        start = 0
        while start < len(self.losses):  # stretches with the same runs
            training = self.losses[start][1]
            end = next((i for i in range(start, len(self.losses)) if self.losses[i][1] is not training), len(self.losses))
            together = torch.stack([loss for loss, _ in self.losses[start:end]], -1).double().numpy()
            losses[list(training), start:end] = together
            start = end
        ends = [len(self.losses) if stopped is None else stopped for stopped in self.stopped]
        diverged = tuple(find_divergence(run[:end]) for run, end in zip(losses, ends, strict=True))
        return Trace(losses, tuple(self.steps), tuple(self.observations), diverged, tuple(self.stopped))


@contextmanager
def _flush_denormals() -> Iterator[None]:
    """Inside the block, denormal numbers (below 1.2e-38) count as zero in this thread.

    A softmax makes them of hopeless tokens, and AdamW of the squares of vanishing gradients; a processor is many times slower
    at them than at others, and no result shows them.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
