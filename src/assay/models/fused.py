"""Steps of a small network whose gradient is written out: the same functions as the library's, in fewer passes over memory.

At toy sizes half of a training step goes into such steps and not into products: autograd records each elementary operation,
keeps its result and goes over it again. Each function here keeps what its gradient needs and no more. The tests compare
values and gradients with the library's.
"""

import math
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["cross_entropies", "gelu", "rms_norm", "rotate"]

GELU_SCALE = 2 * math.sqrt(2 / math.pi)
GELU_CUBE = 0.044715


def gelu(x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """The tanh form of GELU, x sigmoid(2 √(2/π) (x + 0.044715 x³)); the library's `gelu(x, approximate="tanh")`."""
    y: Tensor = _Gelu.apply(x)  # type: ignore[no-untyped-call]
    return y


class _Gelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        gate = (x * x).mul_(GELU_SCALE * GELU_CUBE).add_(GELU_SCALE).mul_(x).sigmoid_()
        ctx.save_for_backward(x, gate)
        return x * gate

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        x, gate = ctx.saved_tensors
        inner = (x * x).mul_(3 * GELU_SCALE * GELU_CUBE).add_(GELU_SCALE).mul_(x)  # x times the slope of the gate's argument
        inner.mul_(1 - gate).add_(1).mul_(gate)
        d_x: Tensor = inner.mul_(slope)
        return d_x


def rms_norm(x: Float[Tensor, "*lead d"], weight: Float[Tensor, "*run d"], eps: float) -> Float[Tensor, "*lead d"]:
    """x over its root mean square, times the weight; with a run axis, each run's own."""
    y: Tensor = _RmsNorm.apply(x, weight, eps)  # type: ignore[no-untyped-call]
    return y


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        inverse = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        unit = x * inverse
        spread = weight if weight.dim() == 1 else weight.view(len(weight), *(1 for _ in x.shape[1:-1]), -1)
        ctx.save_for_backward(unit, inverse, weight)
        y: Tensor = unit * spread
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor, None]:
        unit, inverse, weight = ctx.saved_tensors
        product = slope * unit
        lead = 0 if weight.dim() == 1 else 1
        d_weight = product.flatten(lead, -2).sum(-2)
        spread = weight if lead == 0 else weight.view(len(weight), *(1 for _ in slope.shape[1:-1]), -1)
        along = product.mul_(spread).mean(-1, keepdim=True)
        d_x = (slope * spread).sub_(unit * along).mul_(inverse)
        return d_x, d_weight, None


def rotate(
    x: Float[Tensor, "*lead pos d_head"], cos: Float[Tensor, "pos half"], sin: Float[Tensor, "pos half"]
) -> Float[Tensor, "*lead pos d_head"]:
    """Pairs (i, i + d_head/2) of every position turned by the angle with that cosine and sine."""
    y: Tensor = _Rotate.apply(x, cos, sin)  # type: ignore[no-untyped-call]
    return y


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.turn = cos, sin
        return _turned(x, cos, sin)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.turn
        return _turned(slope, cos, -sin), None, None


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    left, right = x.chunk(2, -1)
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    first, second = out.chunk(2, -1)
    torch.mul(left, cos, out=first).addcmul_(right, sin, value=-1)
    torch.mul(right, cos, out=second).addcmul_(left, sin)
    return out


@lru_cache(maxsize=32)
def turns(d_head: int, base: float, first: int, n_pos: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the rotary angles of the positions, [pos, d_head / 2]; not to be changed."""
    half = d_head // 2
    frequency = base ** (-torch.arange(half, dtype=dtype, device=device) / half)
    angles = torch.arange(first, first + n_pos, dtype=dtype, device=device)[:, None] * frequency
    return angles.cos(), angles.sin()


def cross_entropies(logits: Float[Tensor, "row n"], targets: Tensor, *, ignored: int) -> Float[Tensor, " row"]:
    """-log softmax(logits) at each row's target, in nats; nought where the target is `ignored`."""
    losses: Tensor = _CrossEntropies.apply(logits, targets, ignored)  # type: ignore[no-untyped-call]
    return losses


class _CrossEntropies(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, ignored: int) -> Tensor:
        counted = targets != ignored
        index = torch.where(counted, targets, 0)[:, None]
        p = torch.softmax(logits, -1)
        # The largest probability is at least 1/n, so that its logarithm has all its digits.
        normaliser = logits.amax(-1) - p.amax(-1).log_()
        losses = normaliser.sub_(logits.gather(1, index).squeeze(1))
        ctx.save_for_backward(p, index, counted)
        return losses.mul_(counted) if not bool(counted.all()) else losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        p, index, counted = ctx.saved_tensors
        slope = (slope * counted)[:, None]
        return (p * slope).scatter_add_(1, index, -slope), None, None
