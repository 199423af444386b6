"""The smallest induction head: two attention maps with one number each, and the classifier that reads what they fetch.

As with `Decoder`, a model made from several generators has a run axis in front of every parameter, input and activation, and
run i computes what it would compute alone. Source: Reddy 2023, arXiv:2312.03002, section 4 (two- and three-parameter models).
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from assay.models.runs import Parameters, SideBySide

__all__ = ["MinimalInduction"]


class MinimalInduction(SideBySide):
    """Layer 1 attends to the previous token with logit beta_1, layer 2 from the query to tokens by what came before them.

    Token j carries t_j, the content of the tokens before it under layer 1's attention. The query attends to j with logit
    alpha (s_q . t_j) + beta_2 [j is a label]; the classifier sees the query's content beside the content attended to.

    Attributes:
        gates: beta_1, alpha and beta_2 (used with `label_bias` only, the three-parameter model).
        held: whether the gates stay where they are, [*run].
        rates: what the gates count in attention, [*run]: under Adam, whose steps have one size, they move so many times as fast
            as the classifier's weights.
    """

    gates: Tensor
    held: Tensor
    rates: Tensor

    def __init__(
        self,
        *,
        rng: np.random.Generator | Sequence[np.random.Generator],
        d_content: int,
        n_labels: int,
        width: int = 128,
        n_readout: int = 3,
        label_bias: bool = False,
    ) -> None:
        alone = isinstance(rng, np.random.Generator)
        rngs = [rng] if isinstance(rng, np.random.Generator) else rng
        super().__init__(None if alone else len(rngs))
        draw = Parameters(self.n_runs, rngs)
        self.gates = draw.zeros(3)
        self.register_buffer("held", torch.zeros(draw.lead, dtype=torch.bool))
        self.register_buffer("rates", torch.ones(draw.lead))
        self.label_bias = label_bias
        sizes = [2 * d_content, *(width for _ in range(n_readout))]
        self.weights = nn.ParameterList(draw.normal(math.sqrt(2 / a), a, b) for a, b in pairwise(sizes))
        self.biases = nn.ParameterList(draw.normal(math.sqrt(1 / a), 1) for a in sizes[:-1])
        self.W_U = draw.normal(math.sqrt(1 / width), width, n_labels)

    def hold(self, which: bool | Bool[np.ndarray, " run"]) -> None:
        """The gates of the runs for which it is true stay where they are from now on."""
        self.held[...] = torch.as_tensor(which)

    def set_rates(self, rates: float | Float[np.ndarray, " run"]) -> None:
        """The gates of each run count so many times in attention from now on."""
        self.rates[...] = torch.as_tensor(rates)

    @property
    def parameters_by_name(self) -> dict[str, float]:
        """The attention logits by name, of a single run."""
        logits = (self.rates[..., None] * self.gates).detach()
        return dict(zip(("beta_1", "alpha", "beta_2"), logits.tolist(), strict=True))

    def attention(self, content: Float[Tensor, "*run batch pos d_content"]) -> Float[Tensor, "*run batch pos"]:
        """How the query attends to every token."""
        n_pos = content.shape[-2]
        gates = self.rates[..., None] * torch.where(self.held[..., None], self.gates.detach(), self.gates)
        beta_1, alpha, beta_2 = gates[..., None, None].unbind(-3)
        places = torch.arange(n_pos)
        previous = (places[None, :] == places[:, None] - 1).to(content.dtype)
        later = places[None, :] > places[:, None]
        first = (beta_1 * previous).masked_fill(later, -math.inf).softmax(-1)
        likeness = (content @ content[..., -1, :, None]).squeeze(-1)  # s_q . x_i, so that s_q . t_j is its mean under layer 1
        logits: Tensor = alpha * likeness @ first.mT
        return (logits + beta_2 * (places % 2 == 1) if self.label_bias else logits).softmax(-1)

    def forward(self, content: Float[Tensor, "*run batch pos d_content"]) -> Float[Tensor, "*run batch n_labels"]:
        """Logits of the query's label."""
        fetched = (self.attention(content)[..., None, :] @ content).squeeze(-2)
        x = torch.cat((content[..., -1, :], fetched), -1)
        for weight, bias in zip(self.weights, self.biases, strict=True):
            x = torch.relu(x @ weight + bias[..., None, :])
        return x @ self.W_U
