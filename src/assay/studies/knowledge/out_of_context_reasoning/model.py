"""One-layer attention models of the recall task: many independent ones in one stack, with their gradient written out.

The paper's model reads a sequence of one-hot tokens X (length x d), the last being EOS, through a single head:

    f(X) = W_OV Xᵀ a,   a = X W_KQ x_T (linear attention)   or   a = softmax(X W_KQ x_T / √d)

There are no positions, no residual stream and no MLP, embedding and unembedding are the identity. So only the EOS column of
W_KQ acts (one score per token), and only how often a token occurs in the sequence:

    linear    f = Σ_v  n_v s_v W_OV[:, v]
    softmax   f = Σ_v  n_v e_v W_OV[:, v] / Σ_v n_v e_v,   e_v = exp(s_v / √d)

with n_v the count and s_v the score of token v. The *factorised* model trains W_O and W_V with W_OV = W_O W_Vᵀ, the *combined*
one trains W_OV itself. Both express the same functions; the question is which of them training finds.

Source: Huang et al. 2025, arXiv:2506.10887, section 3.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from assay.core.errors import SettingsError
from assay.models.runs import SideBySide
from assay.studies.knowledge.out_of_context_reasoning.world import RecallWorld

__all__ = ["Architecture", "RecallStack", "aligned"]

CACHE_LINE = 64  # bytes; also the widest vector, and where the library aligns what it allocates


@dataclass(frozen=True)
class Architecture:
    """What is trained.

    Attributes:
        depth: matrices whose product is W_OV: 1 is the combined model, 2 the factorised one, more is deeper still.
        d_hidden: width between the factors; None is the width of the model, which limits no rank.
        attention: `linear` (scores as they are) or `softmax`.
        key_query: `trained`, or `fixed` to weight one on subject and relation and zero on the rest, as the theory assumes.
    """

    depth: int = 2
    d_hidden: int | None = None
    attention: Literal["linear", "softmax"] = "linear"
    key_query: Literal["trained", "fixed"] = "trained"

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise SettingsError(f"W_OV must be the product of at least one matrix; got depth={self.depth}")
        if self.d_hidden is not None and self.d_hidden < 1:
            raise SettingsError(f"the width between factors must be at least 1; got d_hidden={self.d_hidden}")
        if self.attention == "softmax" and self.key_query == "fixed":
            raise SettingsError(
                "softmax attention cannot put weight zero on a token; use attention='linear' with key_query='fixed'"
            )


class RecallStack(SideBySide):
    """Independent models of one architecture on worlds of one size, one per run, with all their parameters in one tensor.

    Rows of W_OV are output tokens, columns the tokens that occur in sequences (`RecallWorld.input_ids`); columns of other
    tokens never act. With a constant initialisation all output tokens that are never a label start equal and have equal
    gradients, hence stay equal: one row stands for all of them, with its multiplicity in the softmax. This is exact.

    No run reads another's numbers, and a run does not depend on its stack mates, to the bit. For that, each run's part of each
    product must begin at the same place of a cache line: on some processors the library adds up in another order where the
    result begins at another multiple of 16 bytes. So the rows of W_OV and the width between factors are filled up to whole
    cache lines, with weights that are zero and stay so and output tokens that are never predicted. Whole lines are also what
    vector instructions like best: the filling costs no time at the paper's sizes.

    Attributes:
        weights: (runs, n_parameters), filling included; `factors` and `scores` are views into it.
        gradient: of the same shape; `backward` writes it.
        factors: the matrices F_1 … F_depth with W_OV = F_1 ⋯ F_depth; (runs, rows, d_hidden), …, (runs, d_hidden, n_inputs).
        scores: W_KQ[v, EOS] for every input token v; (runs, n_inputs).
        multiplicity: how many output tokens a row stands for; (rows,).
        answer_rows: the rows of facts, implications and "unknown", in the order of `RecallWorld.answer_ids`.
    """

    def __init__(
        self,
        world: RecallWorld,
        architecture: Architecture,
        n_runs: int,
        *,
        tied_rows: bool,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(n_runs)
        self.architecture, self.tied_rows, self._world = architecture, tied_rows, world
        self.vocab_size, self.n_inputs = world.vocab_size, world.n_inputs
        if tied_rows:
            self.answer_rows = slice(0, world.n_answers)
            self.multiplicity = torch.tensor([1.0] * world.n_answers + [float(world.vocab_size - world.n_answers)], dtype=dtype)
        else:
            self.answer_rows = slice(int(world.answer_ids[0]), int(world.answer_ids[-1]) + 1)
            self.multiplicity = torch.ones(world.vocab_size, dtype=dtype)
        line = CACHE_LINE // dtype.itemsize
        edges = [len(self.multiplicity), *[architecture.d_hidden or world.vocab_size] * (architecture.depth - 1)]
        self._shapes = list(pairwise([*edges, world.n_inputs]))
        self._filled_shapes = list(pairwise([*(-(-edge // line) * line for edge in edges), world.n_inputs]))
        self._n_scores = world.n_inputs if architecture.key_query == "trained" else 0
        used = sum(rows * columns for rows, columns in self._filled_shapes) + self._n_scores
        self.weights = nn.Parameter(torch.zeros(n_runs, -(-used // line) * line, dtype=dtype))
        self.gradient = torch.zeros_like(self.weights, requires_grad=False)
        self._filled, self.factors, self.scores = self._views(self.weights.detach())
        self._filled_gradients, self._factor_gradients, self._score_gradient = self._views(self.gradient)
        self._multiplicity = torch.zeros(self._filled_shapes[0][0], dtype=dtype)
        self._multiplicity[: len(self.multiplicity)] = self.multiplicity
        # k tokens of one logit count k times in the softmax, and the filling never.
        self._log_multiplicity = None if bool((self._multiplicity == 1).all()) else torch.log(self._multiplicity)
        if architecture.key_query == "fixed":
            self.scores = torch.zeros(n_runs, world.n_inputs, dtype=dtype)
            self.scores[:, : 2 + world.n_subjects] = 1.0

    # --------------------------------------------------------------------------------------------------- initialisation

    @classmethod
    def constant(
        cls,
        world: RecallWorld,
        architecture: Architecture,
        *,
        n_runs: int,
        scale: float = 1e-4,
        dtype: torch.dtype = torch.float32,
    ) -> "RecallStack":
        """Models in the paper's headline initialisation: W_O and W_KQ all `scale`, W_V `scale` times the identity.

        Where d_hidden is not the model's width there is no identity, and W_V is all `scale` too, as in the official code. The
        combined model's W_OV is all `scale`.
        """
        stack = cls(world, architecture, n_runs, tied_rows=True, dtype=dtype)
        for factor in stack.factors:
            factor.fill_(scale)
        if architecture.depth > 1 and (architecture.d_hidden or world.vocab_size) == world.vocab_size:
            for factor in stack.factors[1:-1]:
                factor.copy_(scale * torch.eye(world.vocab_size, dtype=dtype))
            stack.factors[-1].copy_(scale * torch.eye(world.vocab_size, dtype=dtype)[:, torch.from_numpy(world.input_ids)])
        if architecture.key_query == "trained":
            stack.scores.fill_(scale)
        return stack

    @classmethod
    def gaussian(
        cls,
        world: RecallWorld,
        architecture: Architecture,
        *,
        rngs: Sequence[np.random.Generator],
        std: float | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> "RecallStack":
        """Models with independent normal entries, one per generator; `std` is 1/√d unless given, as in the rank sweep."""
        stack = cls(world, architecture, len(rngs), tied_rows=False, dtype=dtype)
        std = 1 / math.sqrt(world.vocab_size) if std is None else std
        trained = [*stack.factors, *([stack.scores] if architecture.key_query == "trained" else [])]
        for run, rng in enumerate(rngs):
            for tensor in trained:
                tensor[run] = torch.from_numpy(std * rng.standard_normal(tuple(tensor.shape[1:]))).to(dtype)
        return stack

    def combined(self) -> "RecallStack":
        """Combined models that compute the same functions: W_OV set to the product of the factors, the same scores."""
        one = Architecture(1, None, self.architecture.attention, self.architecture.key_query)
        other = RecallStack(self._world, one, len(self.weights), tied_rows=self.tied_rows, dtype=self.dtype)
        other.factors[0].copy_(self.value_output())
        other.scores.copy_(self.scores)
        return other

    @property
    def dtype(self) -> torch.dtype:
        """Of all parameters."""
        return self.weights.dtype

    def _taken(self, where: int | list[int]) -> "RecallStack":
        runs = [where] if isinstance(where, int) else where
        other = RecallStack(self._world, self.architecture, len(runs), tied_rows=self.tied_rows, dtype=self.dtype)
        other.weights.detach().copy_(self.weights.detach()[runs])
        return other

    # ---------------------------------------------------------------------------------------------------------- forward

    def value_output(self) -> Float[Tensor, "runs rows n_inputs"]:
        """W_OV of every run."""
        return self._product()[:, : len(self.multiplicity)]

    def token_weights(self) -> Float[Tensor, "runs n_inputs"]:
        """The weight of a token in the sum over the sequence: its score, or e^(score/√d) before normalisation."""
        if self.architecture.attention == "linear":
            return self.scores
        return torch.exp(self.scores / math.sqrt(self.vocab_size))

    def logits(self, counts: Float[Tensor, "runs batch n_inputs"]) -> Float[Tensor, "runs batch rows"]:
        """The logit of every row's token (of each single token, where a row stands for several)."""
        counts, weights = aligned(counts), self.token_weights()
        logits = torch.bmm(counts, (self._product() * weights[:, None, :]).mT)[:, :, : len(self.multiplicity)]
        if self.architecture.attention == "softmax":
            logits = logits / self._normaliser(counts, weights)
        return logits

    # --------------------------------------------------------------------------------------------------------- backward

    def backward(
        self,
        counts: Float[Tensor, "runs batch n_inputs"],
        labels: Int[Tensor, "runs batch"],
        *,
        weights: Float[Tensor, " batch"] | None = None,
        floor: float = 0.0,
        product_penalty: float = 0.0,
        direction_only: bool = False,
    ) -> Float[Tensor, " runs"]:
        """The cross-entropy of every run in nats; its gradient is written to `gradient`.

        Written out rather than recorded by autograd: the products below are all there is, and a small stack's time goes into
        them instead of into bookkeeping. Loss per sequence: -log(p_label + floor), the paper's form with floor = 1e-8.

        Args:
            counts: how often each input token occurs in each sequence.
            labels: the right answers, as positions in `RecallWorld.answer_ids`.
            weights: weight of each sequence; their mean if None.
            floor: see above.
            product_penalty: λ of an added penalty λ ‖W_OV‖_F² on the product of the factors; not part of the returned loss.
            direction_only: multiply each run's gradient by a positive factor of its own such that the largest error is 1. Late
                in training the gradient is smaller than the smallest float; its direction is not.
        """
        *outer, inner = self._filled
        counts, tails = aligned(counts), _tails(outer)
        token_weights = self.token_weights()
        # The cheaper order: through the hidden states where they are few, else through the product of all factors.
        narrow = bool(outer) and not product_penalty and self._is_narrow(counts.shape[1])
        if narrow:
            weighted = inner * token_weights[:, None, :]
            hidden = torch.bmm(counts, weighted.mT)
            logits = torch.bmm(hidden, tails[0].mT)
        else:
            product = torch.bmm(tails[0], inner) if outer else inner
            logits = torch.bmm(counts, (product * token_weights[:, None, :]).mT)
        if self.architecture.attention == "softmax":
            normaliser = self._normaliser(counts, token_weights)
            plain = logits.div_(normaliser).clone()
        if self._log_multiplicity is not None:
            logits += self._log_multiplicity
        index = (labels + self.answer_rows.start).unsqueeze(2)
        share = torch.full((1, 1), 1 / counts.shape[1], dtype=self.dtype) if weights is None else weights[:, None]
        error = torch.softmax(logits, dim=2)
        right = error.gather(2, index)
        # 1 - right as the sum of what is wrong: keeps its digits when right rounds to one.
        wrong = error.scatter_(2, index, 0.0).sum(dim=2, keepdim=True)
        loss = -torch.log(right + floor) if floor else torch.where(right < 0.5, -torch.log(right), -torch.log1p(-wrong))
        if direction_only:
            log_error = torch.log_softmax(logits, dim=2).scatter_(2, index, -math.inf) + torch.log(share)
            error = torch.exp(log_error - log_error.amax(dim=(1, 2), keepdim=True))
            error.scatter_(2, index, -error.sum(dim=2, keepdim=True))
        else:
            error.scatter_(2, index, -wrong).mul_(right / (right + floor) * share if floor else share)
        mean_loss = (loss * share).sum(dim=(1, 2))

        if self.architecture.attention == "softmax":
            d_normaliser = -(error * plain).sum(dim=2, keepdim=True).div_(normaliser)
            error.div_(normaliser)
        if narrow:
            d_outer = torch.bmm(error.mT, hidden)
            d_inner = torch.bmm(torch.bmm(error, tails[0]).mT, counts)
            d_weights = torch.sum(inner * d_inner, dim=1)
            d_inner.mul_(token_weights[:, None, :])
        else:
            d_product = torch.bmm(error.mT, counts)
            d_weights = torch.sum(product * d_product, dim=1)
            d_product.mul_(token_weights[:, None, :])
            if product_penalty:
                d_product += 2 * product_penalty * self._multiplicity[:, None] * product
            d_inner, d_outer = d_product, d_product
            if outer:
                d_inner, d_outer = torch.bmm(tails[0].mT, d_product), torch.bmm(d_product, inner.mT)
        if self.architecture.key_query == "trained":
            if self.architecture.attention == "softmax":
                d_weights += (d_normaliser * counts).sum(dim=1)
                d_weights *= token_weights / math.sqrt(self.vocab_size)
            self._score_gradient.copy_(d_weights)
        *outer_gradients, inner_gradient = self._filled_gradients
        for i, (factor, gradient) in enumerate(zip(outer, outer_gradients, strict=True)):
            last = i + 1 == len(outer)
            gradient.copy_(d_outer if last else torch.bmm(d_outer, tails[i + 1].mT))
            d_outer = d_outer if last else torch.bmm(factor.mT, d_outer)
        inner_gradient.copy_(d_inner)
        if self.tied_rows:
            # A row that stands for k tokens has summed k equal gradients; each of the tokens has one of them.
            self._factor_gradients[0].div_(self.multiplicity[:, None])
        return mean_loss

    def _is_narrow(self, batch: int) -> bool:
        """Whether it takes fewer products to pass each sequence through the hidden states than to multiply the factors out."""
        n_rows, n_hidden = len(self._multiplicity), self._filled[-1].shape[1]
        through_states = batch * n_hidden * (self.n_inputs + n_rows)
        multiplied_out = n_rows * self.n_inputs * (batch + n_hidden)
        return through_states < multiplied_out

    @staticmethod
    def _normaliser(counts: Tensor, weights: Tensor) -> Tensor:
        """Σ_v n_v e_v of every sequence, as a column; a single column of products cannot be filled up, so it is summed."""
        return (counts * weights[:, None, :]).sum(dim=2, keepdim=True)

    def _product(self) -> Tensor:
        """W_OV of every run with the rows that fill it up."""
        return _tails(self._filled)[0]

    def _views(self, flat: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """The factors filled up, the factors proper, and the scores."""
        filled, start = [], 0
        for rows, columns in self._filled_shapes:
            filled.append(flat[:, start : start + rows * columns].view(len(flat), rows, columns))
            start += rows * columns
        proper = [factor[:, :rows, :columns] for factor, (rows, columns) in zip(filled, self._shapes, strict=True)]
        return filled, proper, flat[:, start : start + self._n_scores]


def _tails(factors: Sequence[Tensor]) -> list[Tensor]:
    """F_i ⋯ F_last for every i; the first is the product of all."""
    tails: list[Tensor] = []
    for factor in reversed(factors):
        tails.insert(0, torch.bmm(factor, tails[0]) if tails else factor)
    return tails


def aligned(counts: Float[Tensor, "runs batch n_inputs"]) -> Float[Tensor, "runs batch n_inputs"]:
    """The same numbers with every run beginning at a cache line: the tensor itself where that holds, else a copy.

    Of use where one tensor is multiplied many times: what is aligned once is not copied again.
    """
    per_run, line = counts[0].numel(), CACHE_LINE // counts.dtype.itemsize
    lone_or_whole = len(counts) == 1 or counts.stride(0) % line == 0
    if counts.data_ptr() % CACHE_LINE == 0 and lone_or_whole:
        return counts
    lines = torch.empty(len(counts), -(-per_run // line) * line, dtype=counts.dtype)
    return lines[:, :per_run].view(counts.shape).copy_(counts)
