"""Losses of sequence models: a loss takes a model and a batch and gives nats, one number a run."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from jaxtyping import Float, Int
from torch import Tensor, nn

from assay.models.fused import cross_entropies

__all__ = ["IGNORED", "Batch", "Loss", "answer_loss", "cross_entropy", "last_token_loss", "next_token_loss"]

IGNORED = -100  # a target that carries no loss

M = TypeVar("M")
B = TypeVar("B")
N = TypeVar("N", bound=nn.Module)  # a decoder, or what stands around one
Loss = Callable[[M, B], Tensor]
"""loss(model, batch) is a mean in nats: a number, or one a run."""


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


def last_token_loss(model: N, batch: Batch) -> Float[Tensor, "*run"]:
    """Mean cross-entropy of the answer at the last position, in nats, per run."""
    return answer_loss(model(batch.inputs, at=-1, offset=batch.offset), batch.targets)


def next_token_loss(model: N, batch: Batch) -> Float[Tensor, "*run"]:
    """Mean cross-entropy of the next token over the positions that have a target, in nats, per run."""
    return cross_entropy(model(batch.inputs, offset=batch.offset), batch.targets, over=2)


def answer_loss(logits: Float[Tensor, "*run batch n_outputs"], answers: Int[Tensor, "*run batch"]) -> Float[Tensor, "*run"]:
    """Mean cross-entropy of the answers, in nats, per run."""
    return cross_entropy(logits, answers, over=1)


def cross_entropy(
    logits: Float[Tensor, "*lead n_outputs"], targets: Int[Tensor, "*lead"], *, over: int
) -> Float[Tensor, "..."]:
    """Mean cross-entropy in nats over the last `over` axes of the targets, of those that are not -100."""
    flat = cross_entropies(logits.flatten(0, -2), targets.flatten(), ignored=IGNORED)
    losses, counted = flat.view(targets.shape), targets != IGNORED
    return losses.flatten(-over).sum(-1) / counted.flatten(-over).sum(-1)
