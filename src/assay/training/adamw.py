"""AdamW without the library's bookkeeping, which takes longer than the step itself where models are small."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.optim.adamw import adamw as _adamw

__all__ = ["Stepper", "adamw"]

Stepper = Callable[[Sequence[Tensor | None], float], None]
"""step(gradients, rate) moves the parameters it was made for, in place; one without a gradient (None) stays as it is."""


def adamw(parameters: Sequence[Tensor], *, betas: tuple[float, float] = (0.9, 0.999), weight_decay: float = 0.0) -> Stepper:
    """A stepper whose steps are those of `torch.optim.AdamW(fused=True)` to the bit, with moments at zero."""
    assert all(parameter.is_contiguous() for parameter in parameters)
    first, second = ([torch.zeros_like(parameter, requires_grad=False) for parameter in parameters] for _ in range(2))
    taken = [torch.zeros(()) for _ in parameters]

    @torch.no_grad()
    def step(gradients: Sequence[Tensor | None], rate: float) -> None:
        # The kernel reads a gradient as it lies in memory, so it must lie there as its parameter does.
        moved = [(i, gradient.contiguous()) for i, gradient in enumerate(gradients) if gradient is not None]
        _adamw(
            [parameters[i] for i, _ in moved], [gradient for _, gradient in moved], [first[i] for i, _ in moved],
            [second[i] for i, _ in moved], [], [taken[i] for i, _ in moved], fused=True, amsgrad=False, beta1=betas[0],
            beta2=betas[1], lr=rate, weight_decay=weight_decay, eps=1e-8, maximize=False,
        )  # fmt: skip

    return step
