"""How a language model is fine-tuned: the recipe, and the order of examples. Loads no torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds

if TYPE_CHECKING:
    from assay.training.optimiser import Optimiser

__all__ = ["Example", "Recipe", "batches"]


class Example(Protocol):
    """A prompt and its completion in tokens."""

    @property
    def context(self) -> tuple[int, ...]:
        """What is given."""
        ...

    @property
    def completion(self) -> tuple[int, ...]:
        """What is trained on."""
        ...


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes:
        method: `full` trains the chosen weights themselves, `lora` low-rank updates of the chosen matrices (Hu et al. 2021,
            arXiv:2106.09685) and leaves the rest.
        layers: which blocks, from 0; empty for all of them, and for what is outside of blocks.
        parts: what in them: `attention`, `mlp`, `norm`, `embedding`, or names of modules (`o_proj`, `mlp.down_proj`); empty for
            all.
        learning_rate: of AdamW.
        schedule: `constant`, or `linear` from the full rate to zero at the end.
        warmup: share of the steps over which the rate rises from zero, in [0, 1).
        weight_decay: decoupled.
        betas, eps: of AdamW.
        n_epochs: passes over the examples.
        batch_size: examples a step.
        bucket: batches drawn together and sorted by length, so that a batch holds similar lengths; 1 draws freely. It only
            saves time for models that cannot be packed.
        max_grad_norm: gradients are scaled down to this norm; None leaves them.
        precision: `bfloat16` computes in bfloat16 and keeps weights and optimiser as they are.
        lora_rank, lora_alpha, lora_dropout: of `lora`; an update is scaled by alpha / rank.
        budget: tokens of a forward pass; a batch with more is split, which changes memory, not the result.
        gradient_checkpointing: keep the inputs of every block only and compute the rest again for the gradient: a fraction of
            the memory for a third more time, and the same result.
    """

    method: Literal["full", "lora"] = "full"
    layers: tuple[int, ...] = ()
    parts: tuple[str, ...] = ()
    learning_rate: float = 1e-5
    schedule: Literal["constant", "linear"] = "constant"
    warmup: float = 0.0
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    n_epochs: int = 8
    batch_size: int = 8
    bucket: int = 1
    max_grad_norm: float | None = 1.0
    precision: Literal["float32", "bfloat16"] = "float32"
    lora_rank: int = 16
    lora_alpha: float = 32.0
    lora_dropout: float = 0.0
    budget: int = 2048
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        for name in ("n_epochs", "batch_size", "bucket", "lora_rank", "budget"):
            if getattr(self, name) < 1:
                raise SettingsError(f"recipe: {name} must be at least 1; got {getattr(self, name)}")
        if (
            not 0 < self.learning_rate < 10
            or not 0 <= self.warmup < 1
            or self.weight_decay < 0
            or not 0 <= self.lora_dropout < 1
        ):
            raise SettingsError(
                "recipe: learning_rate must lie in (0, 10), warmup and lora_dropout in [0, 1), weight_decay from 0; "
                f"got {self.learning_rate}, {self.warmup}, {self.lora_dropout}, {self.weight_decay}"
            )
        if self.max_grad_norm is not None and self.max_grad_norm <= 0:
            raise SettingsError(f"recipe: max_grad_norm must be positive or None; got {self.max_grad_norm}")
        for name, known in (
            ("method", ("full", "lora")),
            ("schedule", ("constant", "linear")),
            ("precision", ("float32", "bfloat16")),
        ):
            if getattr(self, name) not in known:
                raise SettingsError(f"recipe: {name} must be one of {', '.join(known)}; got {getattr(self, name)!r}")

    def optimiser(self, n_steps: int) -> "Optimiser":
        """How gradients become steps in a run of that many."""
        from assay.training.optimiser import Optimiser

        return Optimiser(
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            betas=self.betas,
            eps=self.eps,
            clip_norm=self.max_grad_norm,
            warmup_steps=math.ceil(self.warmup * n_steps),
            schedule=self.schedule,
        )


def batches(pairs: Sequence[Example], recipe: Recipe, seeds: Seeds, epoch: int) -> list[list[int]]:
    """The batches of one epoch, as indices of examples: every example once, in an order drawn for this epoch."""
    rng = seeds(f"epoch {epoch}")
    order = [int(index) for index in rng.permutation(len(pairs))]
    if recipe.bucket > 1:
        pool = recipe.batch_size * recipe.bucket
        pools = [order[start : start + pool] for start in range(0, len(order), pool)]
        order = [
            index for some in pools for index in sorted(some, key=lambda i: len(pairs[i].context) + len(pairs[i].completion))
        ]
    made = [order[start : start + recipe.batch_size] for start in range(0, len(order), recipe.batch_size)]
    return [made[int(index)] for index in rng.permutation(len(made))] if recipe.bucket > 1 else made
