"""How gradients become steps: one record for every kind of optimiser, and what takes the steps of many runs side by side."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

import torch
from torch import Tensor
from torch.optim.adamw import adamw as _adamw

from assay.core.errors import SettingsError

__all__ = ["Optimiser", "RmsProp", "Stepper", "clip"]


@dataclass(frozen=True)
class Optimiser:
    """How a gradient becomes a step.

    Attributes:
        kind: `adamw`; `sgd`; `sign`, steps of one size along the gradient's signs; `normalised`, steps of one length along the
            gradient, so that time does not stop as the loss vanishes.
        learning_rate: the size of a step; of `normalised` its length.
        weight_decay: decoupled for every kind: a step also multiplies the parameters by 1 - learning rate * weight_decay.
        momentum: of `sgd`.
        betas, eps: of `adamw`.
        growth: of `normalised`: the length of a step is at least `growth` times that of the run's parameters.
        clip_norm: the largest norm of a run's gradient; None for no limit.
        warmup_steps: the learning rate rises linearly over these.
        schedule: what it does after the warm-up: stay, or fall to zero at the last step.
    """

    kind: Literal["adamw", "sgd", "sign", "normalised"] = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    growth: float = 0.0
    clip_norm: float | None = None
    warmup_steps: int = 0
    schedule: Literal["constant", "linear", "cosine"] = "constant"

    def __post_init__(self) -> None:
        if not self.learning_rate > 0 or self.weight_decay < 0:
            raise SettingsError(
                f"the learning rate must be positive and the decay not negative; got {self.learning_rate}, {self.weight_decay}"
            )

    def share_of_rate(self, step: int, n_steps: int) -> float:
        """The factor of the learning rate at step `step` (from 0) of `n_steps`."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, n_steps - self.warmup_steps)
        return {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[self.schedule]

    def rate(self, step: int, n_steps: int) -> float:
        """The learning rate of step `step` (from 0) of `n_steps`."""
        return self.learning_rate * self.share_of_rate(step, n_steps)


@dataclass(frozen=True)
class RmsProp(Optimiser):
    """RMSProp, written as `adamw` without its first moment and without its correction of the second one.

    A step is learning rate * g / (sqrt(v) + eps'), v the running mean of g squared that begins at zero, so the first steps are
    1 / sqrt(1 - betas[1]) times as long as later ones. Here eps' is eps * sqrt(1 - betas[1]**step), which goes to eps.
    Source: Hinton 2012, lecture 6e; torch.optim.RMSprop with alpha = betas[1] takes the same steps up to epsilon.

    Attributes:
        betas: 0, and the share of the running mean that stays at a step.
    """

    betas: tuple[float, float] = (0.0, 0.99)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind != "adamw" or self.betas[0] != 0 or not 0 <= self.betas[1] < 1:
            raise SettingsError(f"RMSProp must have betas of 0 and a share in [0, 1); got {self.kind} with {self.betas}")

    def share_of_rate(self, step: int, n_steps: int) -> float:
        """The factor of the learning rate at step `step` (from 0) of `n_steps`, for steps of `adamw`."""
        return super().share_of_rate(step, n_steps) / math.sqrt(1 - self.betas[1] ** (step + 1))


class Stepper:
    """Takes the steps of parameters in place; moments start at zero.

    Steps of `adamw` are those of `torch.optim.AdamW(fused=True)` to the bit, without the library's bookkeeping, which takes
    longer than the step itself where models are small.
    """

    def __init__(
        self, parameters: Sequence[Tensor], optimisers: Optimiser | Sequence[Optimiser], *, n_runs: int | None = None
    ) -> None:
        """For parameters with as many runs along their first axis (None: no such axis), of one optimiser or one a run.

        Raises:
            SettingsError: not one optimiser a run, or they differ in more than learning rate and weight decay.
        """
        self.n_runs = n_runs
        self.optimisers = [optimisers] * (n_runs or 1) if isinstance(optimisers, Optimiser) else list(optimisers)
        if len(self.optimisers) != (n_runs or 1):
            raise SettingsError(f"one optimiser is needed for each of {n_runs or 1} runs; got {len(self.optimisers)}")
        self.parameters = [parameter.detach() for parameter in parameters]
        self.plan = plan = self.optimisers[0]
        for other in self.optimisers[1:]:
            if replace(other, learning_rate=plan.learning_rate, weight_decay=plan.weight_decay) != plan:
                raise SettingsError(
                    "optimisers of runs side by side may differ in learning rate and weight decay only; "
                    f"got {plan} and {other}. Train them one after the other"
                )
        assert all(parameter.is_contiguous() for parameter in self.parameters)
        n_moments = {"adamw": 2, "sgd": int(plan.momentum > 0), "sign": 0, "normalised": 0}[plan.kind]
        self.moments = [[torch.zeros_like(parameter) for parameter in self.parameters] for _ in range(n_moments)]
        self.taken = [torch.zeros(()) for _ in self.parameters]
        self.groups = self._grouped()

    def _grouped(self) -> list[tuple[slice, Optimiser]]:
        """Stretches of runs with one rate and decay; everything for a single run."""
        if len(set(self.optimisers)) == 1:
            return [(slice(None), self.plan)]
        runs = range(len(self.optimisers))
        stretches = [list(stretch) for _, stretch in groupby(runs, key=lambda run: self.optimisers[run])]
        return [(slice(stretch[0], stretch[-1] + 1), self.optimisers[stretch[0]]) for stretch in stretches]

    def select(self, runs: Sequence[int], parameters: Sequence[Tensor]) -> None:
        """Goes on with some of the runs, whose parameters are given."""
        self.parameters = [parameter.detach() for parameter in parameters]
        self.moments = [[moment[list(runs)] for moment in moments] for moments in self.moments]
        self.optimisers, self.n_runs = [self.optimisers[run] for run in runs], len(runs)
        self.groups = self._grouped()

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor | None], share_of_rate: float = 1.0) -> None:
        """Moves the parameters at that share of their learning rates; one without a gradient (None) stays as it is."""
        moved = [i for i, gradient in enumerate(gradients) if gradient is not None]
        # The kernels read a gradient as it lies in memory, so it must lie there as its parameter does.
        laid = {i: gradient.contiguous() for i, gradient in enumerate(gradients) if gradient is not None}
        for runs, optimiser in self.groups:
            whole = runs == slice(None)
            parameters = [self.parameters[i] if whole else self.parameters[i][runs] for i in moved]
            slopes = [laid[i] if whole else laid[i][runs] for i in moved]
            moments = [[moment[i] if whole else moment[i][runs] for i in moved] for moment in self.moments]
            rate, decay = optimiser.learning_rate * share_of_rate, optimiser.weight_decay
            if optimiser.kind == "adamw":
                # Each stretch counts the steps for itself, and all of them have taken equally many.
                taken = [self.taken[i] if whole else self.taken[i].clone() for i in moved]
                _adamw(
                    parameters, slopes, moments[0], moments[1], [], taken, fused=True, amsgrad=False, beta1=optimiser.betas[0],
                    beta2=optimiser.betas[1], lr=rate, weight_decay=decay, eps=optimiser.eps, maximize=False,
                )  # fmt: skip
                continue
            if decay:
                torch._foreach_mul_(parameters, 1 - rate * decay)
            if optimiser.kind == "normalised":
                self._step_of_length(parameters, slopes, rate, optimiser.growth)
                continue
            if optimiser.kind == "sign":
                slopes = [torch.sign(slope) for slope in slopes]
            elif optimiser.momentum:
                for velocity, slope in zip(moments[0], slopes, strict=True):
                    velocity.mul_(optimiser.momentum).add_(slope)
                slopes = moments[0]
            torch._foreach_add_(parameters, slopes, alpha=-rate)
        if self.plan.kind == "adamw" and len(self.groups) > 1:
            for i in moved:
                self.taken[i] += 1

    def _step_of_length(self, parameters: list[Tensor], slopes: list[Tensor], length: float, growth: float) -> None:
        n_runs = None if self.n_runs is None else len(slopes[0])
        lengths = _norms(parameters, n_runs=n_runs).mul_(growth).clamp_(min=length)
        scale = lengths / _norms(slopes, n_runs=n_runs)
        for parameter, slope in zip(parameters, slopes, strict=True):
            parameter.sub_(slope * _spread(scale, slope))


def clip(gradients: Sequence[Tensor | None], norm: float, *, n_runs: int | None) -> list[Tensor | None]:
    """The gradients, each run's shrunk to `norm` where it is longer."""
    present = [gradient for gradient in gradients if gradient is not None]
    scale = (norm / _norms(present, n_runs=n_runs).clamp_min(1e-12)).clamp_max(1.0)
    return [gradient if gradient is None else gradient * _spread(scale, gradient) for gradient in gradients]


def _norms(tensors: Sequence[Tensor], *, n_runs: int | None) -> Tensor:
    """Euclidean norm of each run's numbers, [run]; added up in the same order however many runs there are."""
    squares = [tensor.square().reshape(n_runs or 1, -1).sum(-1) for tensor in tensors]
    return torch.stack(squares, -1).sum(-1).sqrt()


def _spread(scale: Tensor, like: Tensor) -> Tensor:
    """A number a run, along the first axis of a tensor; a single one for everything."""
    return scale.view(-1, *(1 for _ in like.shape[1:])) if len(scale) > 1 or like.dim() == 0 else scale.squeeze()
