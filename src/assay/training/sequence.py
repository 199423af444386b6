"""Training a decoder on sequences: one loop, fresh batches, a log-step grid of observations, checkpoints and curricula.

The loop takes anything that is a module and a loss; a decoder with a run axis trains all its runs in the same program, and a
run shares nothing with its batch mates. Steps are counted by updates taken: an observation at step 0 sees the initial weights.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from assay.core.errors import Diverged, InputError, SettingsError
from assay.core.memory import freed_memory_kept
from assay.core.progress import progress
from assay.models.decoder import Decoder, DecoderConfig
from assay.training.adamw import Stepper, adamw

__all__ = [
    "Batch",
    "Checkpoint",
    "Optimiser",
    "Row",
    "Stage",
    "Trace",
    "last_token_loss",
    "log_steps",
    "next_token_loss",
    "train",
]

IGNORED = -100  # a target that carries no loss
Row = Mapping[str, float | Float[np.ndarray, " run"]]


class Batch(NamedTuple):
    """What one step is trained on.

    Attributes:
        inputs: tokens [batch, pos] or vectors [batch, pos, d_content]; with a run axis in front for several runs.
        targets: the answer [batch], or the next token at every position [batch, pos] (-100 carries no loss).
        offset: added to the positions of each sequence, [batch].
    """

    inputs: Tensor
    targets: Tensor
    offset: Tensor | None = None


M = TypeVar("M", bound=nn.Module)
Draw = Callable[[int], Batch]  # the batch of a step; called once a step, in order


def last_token_loss(model: Decoder, batch: Batch) -> Float[Tensor, "*run"]:
    """Mean cross-entropy of the answer at the last position, in nats, per run."""
    return _cross_entropy(model(batch.inputs, at=-1, offset=batch.offset), batch.targets, over=-1)


def next_token_loss(model: Decoder, batch: Batch) -> Float[Tensor, "*run"]:
    """Mean cross-entropy of the next token over the positions that have a target, in nats, per run."""
    return _cross_entropy(model(batch.inputs, offset=batch.offset), batch.targets, over=-2)


def _cross_entropy(logits: Tensor, targets: Tensor, *, over: int) -> Tensor:
    flat = F.cross_entropy(logits.flatten(0, -2), targets.flatten(), ignore_index=IGNORED, reduction="none")
    losses, counted = flat.view(targets.shape), targets != IGNORED
    return losses.flatten(over).sum(-1) / counted.flatten(over).sum(-1)


@dataclass(frozen=True)
class Optimiser:
    """How a gradient becomes a step.

    Attributes:
        weight_decay: decoupled for every kind: a step also multiplies the parameters by 1 - learning rate * weight_decay.
        momentum: of SGD.
        betas: of Adam.
        clip_norm: the largest norm of a run's gradient; None for no limit.
        warmup_steps: the learning rate rises linearly over these.
        schedule: what it does after the warm-up: stay, or fall to zero at the last step.
    """

    kind: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    clip_norm: float | None = None
    warmup_steps: int = 0
    schedule: Literal["constant", "linear", "cosine"] = "constant"

    def __post_init__(self) -> None:
        if not self.learning_rate > 0 or self.weight_decay < 0:
            raise SettingsError(
                f"the learning rate must be positive and the decay not negative; got {self.learning_rate}, {self.weight_decay}"
            )

    def of(self, parameters: Sequence[nn.Parameter]) -> "Stepper":
        """What takes the steps of `parameters`, with moments at zero."""
        if self.kind == "sgd":
            return _descent(parameters, momentum=self.momentum, weight_decay=self.weight_decay)
        return adamw(parameters, betas=self.betas, weight_decay=self.weight_decay)

    def rate(self, step: int, n_steps: int) -> float:
        """The learning rate of step `step` (from 0) of `n_steps`."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, n_steps - self.warmup_steps)
        shrink = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[self.schedule]
        return self.learning_rate * shrink


@dataclass(frozen=True)
class Stage(Generic[M]):
    """A stretch of training with its own data and loss; a curriculum is a sequence of stages.

    Attributes:
        fresh_optimiser: forget the moments of the stage before.
    """

    n_steps: int
    draw: Draw
    loss: Callable[[M, Batch], Tensor]
    fresh_optimiser: bool = False


@dataclass(frozen=True)
class Checkpoint:
    """The weights of a decoder at a step."""

    step: int
    config: DecoderConfig
    weights: Mapping[str, Tensor]

    def restored(self, config: DecoderConfig) -> Decoder:
        """The decoder as it was.

        Raises:
            InputError: the checkpoint is of another configuration.
        """
        if config != self.config:
            differing = [name for name in config.__dict__ if getattr(config, name) != getattr(self.config, name)]
            raise InputError(
                f"a checkpoint must be of the configuration it is restored into; this one (step {self.step}) differs in "
                f"{', '.join(f'{name}: {getattr(self.config, name)} not {getattr(config, name)}' for name in differing)}"
            )
        return Decoder.from_weights(config, self.weights)


@dataclass(frozen=True)
class Trace:
    """What training saw.

    Attributes:
        loss_nats: loss of every step before it was taken, [run, step]; one run for a model without a run axis.
        steps: the steps observed, in order.
        rows: what `observe` returned at each of them.
        checkpoints: by step.
        diverged: per run, or None where the loss stayed finite.
    """

    loss_nats: Float[np.ndarray, "run n_steps"]
    steps: tuple[int, ...] = ()
    rows: tuple[Row, ...] = ()
    checkpoints: Mapping[int, Checkpoint] = field(default_factory=dict)
    diverged: tuple[Diverged | None, ...] = ()

    def series(self, name: str) -> Float[np.ndarray, "*run observation"]:
        """The observed quantity called `name` over `steps`, observations last."""
        return np.stack([np.asarray(row[name], dtype=float) for row in self.rows], axis=-1)


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
    stages: Stage[M] | Sequence[Stage[M]],
    optimiser: Optimiser,
    *,
    observe: Callable[[int, M], Row] | None = None,
    observe_at: Collection[int] = (),
    checkpoint_at: Collection[int] = (),
    stop: Callable[[Row], bool] | None = None,
    share: tuple[float, float] | None = None,
    label: str = "",
) -> Trace:
    """The trace of training `model` in place through `stages`.

    Args:
        model: a module; parameters that do not require gradients stay.
        stages: one stage or a curriculum.
        optimiser: how gradients become steps.
        observe: called without gradients as observe(step, model); may draw and forward as it likes, the run stays the same.
        observe_at: the steps at which it is called, within 0..total.
        checkpoint_at: the steps whose weights are kept.
        stop: ends training after an observed row for which it is true; for a model of a single run only, since a run may
            not depend on its batch mates.
        share: which part (from, to) of the measurement's progress this training is, shown with `label`.
        label: see `share`.

    Raises:
        Diverged: the loss of a single run left the finite numbers; of several runs the lost ones are named in the trace.
        SettingsError: an observed or kept step is not a step of this training, or `stop` is given for several runs.
    """
    stages = [stages] if isinstance(stages, Stage) else list(stages)
    n_steps = sum(stage.n_steps for stage in stages)
    outside = [step for step in (*observe_at, *checkpoint_at) if not 0 <= step <= n_steps]
    if n_steps < 1 or outside:
        raise SettingsError(f"observed and kept steps must lie in 0..{n_steps}, at least one step; got {outside[:3]}")
    if checkpoint_at and not isinstance(model, Decoder):
        raise SettingsError(f"checkpoints are kept of decoders; got {type(model).__name__}. Leave checkpoint_at empty")
    if stop is not None and getattr(model, "n_runs", None) is not None:
        raise SettingsError("stop is for a single run; runs trained side by side would end each other's training")

    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    stepper = optimiser.of(parameters)
    observe_at, checkpoint_at = frozenset(observe_at), frozenset(checkpoint_at)
    losses: list[Tensor] = []
    steps: list[int] = []
    rows: list[Row] = []
    checkpoints: dict[int, Checkpoint] = {}

    def look(step: int) -> bool:
        """Observes and keeps what is due at this step; whether to stop."""
        if step in checkpoint_at and isinstance(model, Decoder):
            weights = {name: value.clone() for name, value in model.state_dict().items()}
            checkpoints[step] = Checkpoint(step, model.config, weights)
        if observe is None or step not in observe_at:
            return False
        with torch.no_grad(), torch.random.fork_rng(devices=()):
            rows.append(observe(step, model))
        steps.append(step)
        return stop is not None and stop(rows[-1])

    step, stopped = 0, look(0)
    for stage in stages:
        if stage.fresh_optimiser:
            stepper = optimiser.of(parameters)
        for _ in range(0 if stopped else stage.n_steps):
            loss = stage.loss(model, stage.draw(step))
            gradients: Sequence[Tensor | None] = torch.autograd.grad(loss.sum(), parameters, allow_unused=True)
            losses.append(loss.detach())
            if loss.dim() == 0 and not math.isfinite(loss.item()):
                raise Diverged(step, losses[-2].item() if step else math.nan)
            if optimiser.clip_norm is not None:
                gradients = _clipped(gradients, optimiser.clip_norm, n_runs=len(loss) if loss.dim() else None)
            stepper(gradients, optimiser.rate(step, n_steps))
            step += 1
            if share is not None and step % 50 == 0:
                progress(share[0] + (share[1] - share[0]) * step / n_steps, label)
            if look(step):
                stopped = True
                break
    loss_nats = torch.stack(losses, -1).double().numpy() if losses else np.empty((1, 0))
    loss_nats = np.atleast_2d(loss_nats)
    return Trace(loss_nats, tuple(steps), tuple(rows), checkpoints, tuple(_divergence(run) for run in loss_nats))


def _clipped(gradients: Sequence[Tensor | None], norm: float, *, n_runs: int | None) -> tuple[Tensor | None, ...]:
    """The gradients, each run's shrunk to `norm` where it is longer."""
    squares = [gradient.square().reshape(n_runs or 1, -1).sum(-1) for gradient in gradients if gradient is not None]
    total = torch.stack(squares, -1).sum(-1)  # along a run's own numbers: the same order however many runs there are
    scale = (norm / total.sqrt().clamp_min(1e-12)).clamp_max(1.0)

    def shrunk(gradient: Tensor) -> Tensor:
        return gradient * (scale.view(-1, *(1 for _ in gradient.shape[1:])) if n_runs else scale.squeeze())

    return tuple(gradient if gradient is None else shrunk(gradient) for gradient in gradients)


def _descent(parameters: Sequence[Tensor], *, momentum: float, weight_decay: float) -> Stepper:
    """Plain descent with decoupled decay; velocities start at the first gradient."""
    velocities: dict[int, Tensor] = {}

    @torch.no_grad()
    def step(gradients: Sequence[Tensor | None], rate: float) -> None:
        if weight_decay:
            torch._foreach_mul_(list(parameters), 1 - rate * weight_decay)
        for i, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
            if gradient is None:
                continue
            if momentum:
                velocities[i] = gradient if i not in velocities else velocities[i] * momentum + gradient
                gradient = velocities[i]
            parameter.add_(gradient, alpha=-rate)

    return step


def _divergence(losses: Float[np.ndarray, " n_steps"]) -> Diverged | None:
    lost = np.flatnonzero(~np.isfinite(losses))
    if not lost.size:
        return None
    return Diverged(int(lost[0]), float(losses[lost[0] - 1]) if lost[0] else math.nan)
