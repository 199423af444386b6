"""How much one step of training changes any log-probability: to first order, and by taking the step.

    down = descent_of_texts(model.model, token_pairs(model.tokenizer, sentences))   # minus the gradient of their mean loss
    step = first_step(down, Optimiser(learning_rate=3e-5))                          # what AdamW makes of it first: its sign
    log_prob_changes(model.model, asked, step, way="derivative")                    # d log P along the step
    log_prob_changes(model.model, asked, step, way="step")                          # log P after the step less log P before

The derivative is exact to first order and costs one pass in which every number carries its tangent, two to three times a plain
one. The step costs two plain passes (one where the answers before are known) and holds what is beyond first order as well. For
a network of any other kind, `descent`, `slopes` and `stepped` do the same with a loss and values of the caller's.

For one text and the plain gradient, the first-order change of another text's log-probability is the inner product of their
gradients, the empirical tangent kernel (Jacot et al. 2018, arXiv:1806.07572), times the learning rate. In the sign of the
gradient, which is AdamW's first step, it is the inner product with the signs: every weight counts alike, however small its
gradient.
"""

import math
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional as F  # noqa: N812 - its usual name
from torch.nn.attention import SDPBackend, sdpa_kernel

from assay.core.errors import SettingsError
from assay.models.changes import displaced
from assay.models.pretrained.packing import BUDGET, evaluating, packs_exactly, readings
from assay.models.pretrained.text import TokenPair
from assay.training.optimiser import Optimiser

__all__ = [
    "Direction",
    "descent",
    "descent_of_texts",
    "first_step",
    "log_prob_changes",
    "log_probs_of_texts",
    "slopes",
    "stepped",
]


@dataclass(frozen=True, eq=False)
class Direction:
    """A displacement of a model's parameters.

    Attributes:
        tensors: by the parameter's name; parameters without one stay where they are.
    """

    tensors: Mapping[str, Tensor]

    def scaled(self, by: float) -> "Direction":
        """The displacement that is so many times as long."""
        return Direction({name: tensor * by for name, tensor in self.tensors.items()})

    def dot(self, other: "Direction") -> float:
        """The inner product with another displacement, over the parameters that both move; added up in double precision."""
        both = [name for name in self.tensors if name in other.tensors]
        products = [(self.tensors[name].double() * other.tensors[name].double()).sum() for name in both]
        return float(torch.stack(products).sum()) if products else 0.0

    @property
    def norm(self) -> float:
        """Its Euclidean length."""
        return math.sqrt(self.dot(self))


def descent(model: nn.Module, losses: Callable[[], Iterable[Tensor]], *, names: Collection[str] | None = None) -> Direction:
    """Minus the gradient of a loss: the direction in which it falls fastest. The model stays as it is.

    Args:
        model: whose parameters.
        losses: gives the loss in parts, whose sum it is; each is differentiated, and freed, before the next is made.
        names: of the parameters that may move; None for all that require a gradient.

    Raises:
        SettingsError: no parameter may move, or one is named that the model does not have.
    """
    moving = _moving(model, names)
    found = {name: torch.zeros_like(parameter) for name, parameter in moving.items()}
    wanted = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in moving)
    try:
        for loss in losses():
            gradients = torch.autograd.grad(loss, list(moving.values()), allow_unused=True)
            for total, gradient in zip(found.values(), gradients, strict=True):
                if gradient is not None:
                    total.sub_(gradient)
    finally:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(wanted[name])
    return Direction(found)


def descent_of_texts(
    model: nn.Module, pairs: Sequence[TokenPair], *, names: Collection[str] | None = None, budget: int = BUDGET
) -> Direction:
    """Minus the gradient of the mean loss per completion token, as fine-tuning takes it over one batch of all these texts.

    Args:
        model: a causal language model of transformers, with or without an adapter.
        pairs: what is trained on.
        names: of the parameters that may move; None for all that require a gradient.
        budget: tokens of a pass; changes memory, not the result.
    """
    n_tokens = sum(len(pair.completion) for pair in pairs)

    def losses() -> Iterator[Tensor]:
        for reading in readings(model, pairs, budget=budget, share=False):
            yield F.cross_entropy(reading.logits[reading.row].float(), reading.target, reduction="sum") / n_tokens

    with evaluating(model):
        return descent(model, losses, names=names)


def first_step(down: Direction, optimiser: Optimiser) -> Direction:
    """The displacement that the optimiser's first step makes of a gradient; moments are empty then.

    Of AdamW it is learning rate * g / (|g| + eps): the gradient's sign, wherever it is not tiny. Weight decay and a warm-up are
    left out: they move a parameter whatever is trained on.

    Args:
        down: minus the gradient.
        optimiser: how gradients become steps.
    """
    gradient, rate = down, optimiser.learning_rate
    if optimiser.clip_norm is not None and down.norm > optimiser.clip_norm:
        gradient = down.scaled(optimiser.clip_norm / down.norm)
    if optimiser.kind == "adamw":
        return Direction({name: rate * g / (g.abs() + optimiser.eps) for name, g in gradient.tensors.items()})
    if optimiser.kind == "sign":
        return Direction({name: rate * g.sign() for name, g in gradient.tensors.items()})
    if optimiser.kind == "sgd":
        return gradient.scaled(rate)
    if gradient.norm == 0:
        raise SettingsError("a step of one length needs a gradient; this one is zero everywhere. Train on something else")
    return gradient.scaled(rate / gradient.norm)


def slopes(model: nn.Module, values: Callable[[], Float[Tensor, " item"]], along: Direction) -> Float[Tensor, " item"]:
    """The derivative of values along a displacement: what they change by, to first order, when it is made. In one pass.

    Args:
        model: whose parameters would move; they do not.
        values: computed by the model, from its parameters as they are when it is called.
        along: the displacement.

    Raises:
        SettingsError: the displacement moves a parameter that the model does not have, or an operation of the model has no
            derivative of this kind.
    """
    _check(model, along)
    placed = [
        (module, name, parameter)
        for module in model.modules()
        for name, parameter in module._parameters.items()
        if parameter is not None
    ]
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    # Attention kernels that fuse everything know no tangents; the plain formula does.
    with _tangents(), sdpa_kernel(SDPBackend.MATH):
        duals: dict[int, Any] = {
            identity: forward_ad.make_dual(parameter.detach(), along.tensors[names[identity]].to(parameter))  # type: ignore[no-untyped-call]
            for _, _, parameter in placed
            if names[identity := id(parameter)] in along.tensors
        }
        try:
            for module, name, parameter in placed:
                if id(parameter) in duals:
                    module._parameters[name] = duals[id(parameter)]
            found = values()
            tangent: Tensor | None = forward_ad.unpack_dual(found).tangent  # type: ignore[no-untyped-call]
            return torch.zeros_like(found) if tangent is None else tangent.detach().clone()
        except NotImplementedError as error:
            raise SettingsError(
                f"a derivative needs a model whose every operation has one; {type(model).__name__} has one without. Take the "
                f"step instead (way='step')"
            ) from error
        finally:
            for module, name, parameter in placed:
                module._parameters[name] = parameter


@contextmanager
def stepped(model: nn.Module, step: Direction, size: float = 1.0) -> Iterator[None]:
    """Inside the block the parameters are displaced by `size` times the step; afterwards they are what they were, to the bit.

    Raises:
        SettingsError: the step moves a parameter that the model does not have.
    """
    _check(model, step)
    with displaced(model, step.tensors, size):
        yield


def log_probs_of_texts(model: nn.Module, pairs: Sequence[TokenPair], *, budget: int = BUDGET) -> Float[Tensor, " pair"]:
    """Log-probability of every completion as a whole, in nats, as a tensor that can be differentiated."""
    owners, values = list[int](), list[Tensor]()
    for reading in readings(model, pairs, budget=budget):
        logits = reading.logits.to(torch.promote_types(reading.logits.dtype, torch.float32))
        values.append(torch.log_softmax(logits, -1)[reading.row, reading.target])
        owners += reading.owner
    tokens = torch.cat(values)
    # Not in place: the sum carries tangents where its terms do.
    return torch.zeros(len(pairs), dtype=tokens.dtype, device=tokens.device).index_add(
        0, torch.tensor(owners, device=tokens.device), tokens
    )


def log_prob_changes(
    model: nn.Module,
    pairs: Sequence[TokenPair],
    step: Direction,
    *,
    way: Literal["derivative", "step"] = "derivative",
    size: float = 1.0,
    budget: int = BUDGET,
) -> Float[Tensor, " pair"]:
    """How much a step changes the log-probability of every completion, in nats. The model stays as it is.

    Args:
        model: a causal language model of transformers, with or without an adapter.
        pairs: what is asked.
        step: the displacement.
        way: `derivative` along the step, times `size`; or `step`: taken, and asked again.
        size: how many steps long.
        budget: tokens of a pass.
    """
    packs_exactly(model)  # tried while the weights are their own
    with evaluating(model), torch.no_grad():
        if way == "derivative":
            return slopes(model, lambda: log_probs_of_texts(model, pairs, budget=budget), step) * size
        before = log_probs_of_texts(model, pairs, budget=budget)
        with stepped(model, step, size):
            return log_probs_of_texts(model, pairs, budget=budget) - before


@contextmanager
def _tangents() -> Iterator[None]:
    """Inside the block numbers can carry tangents."""
    with forward_ad.dual_level():
        with warnings.catch_warnings():  # torch gets ready at the first of them, by means that it deprecates itself
            warnings.simplefilter("ignore", DeprecationWarning)
            forward_ad.make_dual(torch.zeros(()), torch.zeros(()))  # type: ignore[no-untyped-call]
        yield


def _moving(model: nn.Module, names: Collection[str] | None) -> dict[str, nn.Parameter]:
    known = dict(model.named_parameters())
    wanted = [name for name, value in known.items() if value.requires_grad] if names is None else list(names)
    if unknown := [name for name in wanted if name not in known]:
        raise SettingsError(f"parameters that move must be in the model; '{unknown[0]}' is not. It has {len(known)} others")
    if not wanted:
        raise SettingsError("a gradient needs parameters that may move; none of this model's requires one. Name some")
    return {name: known[name] for name in known if name in set(wanted)}


def _check(model: nn.Module, step: Direction) -> None:
    known = dict(model.named_parameters())
    for name, tensor in step.tensors.items():
        if name not in known or known[name].shape != tensor.shape:
            got = "is not there" if name not in known else f"has shape {tuple(known[name].shape)} there"
            raise SettingsError(f"a step must fit the model's parameters; '{name}' {got}. Make the step from this model")
