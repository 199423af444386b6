"""A frozen decoder with low-rank updates beside chosen matrices: W + A B with A random, B zero at the start.

Source: Hu et al. 2021, "LoRA", arXiv:2106.09685 (without its scale).
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from assay.core.errors import SettingsError, unknown_name
from assay.models.decoder import Decoder, Visitor
from assay.models.runs import SideBySide

__all__ = ["LowRank"]


class LowRank(SideBySide):
    """A copy of a decoder whose own weights stay, with an update of the given rank beside each chosen matrix.

    Attributes:
        rank: of every update; a matrix with head or run axes gets one update for each.
        base: the decoder as it was.
    """

    def __init__(self, base: Decoder, names: Sequence[str], *, rank: int, rng: np.random.Generator) -> None:
        """Updates of rank `rank` beside the parameters called `names` (as in `state_dict`); at first they change nothing.

        Raises:
            SettingsError: the rank is not positive, or a parameter is unknown or no matrix.
        """
        super().__init__(base.n_runs)
        weights = base.state_dict()
        n_lead = 0 if base.n_runs is None else 1
        if rank < 1 or not names:
            raise SettingsError(f"a low-rank update needs a rank of at least 1 and a matrix; got rank {rank} of {list(names)}")
        for name in names:
            if name not in weights:
                raise SettingsError(unknown_name("parameter", name, list(weights), see=f"It has: {', '.join(weights)}"))
            if weights[name].dim() < n_lead + 2:
                raise SettingsError(f"a low-rank update stands beside a matrix; {name} has shape {tuple(weights[name].shape)}")
        self.rank = rank
        self.base = Decoder.from_weights(base.config, weights).requires_grad_(requires_grad=False)
        self.names = tuple(names)
        self.down, self.up = nn.ParameterList(), nn.ParameterList()
        for name in names:
            *lead, rows, columns = weights[name].shape
            drawn = rng.standard_normal((*lead, rows, rank), dtype=np.float32) / np.float32(math.sqrt(rows))
            self.down.append(nn.Parameter(torch.from_numpy(drawn)))
            self.up.append(nn.Parameter(torch.zeros(*lead, rank, columns)))

    def weights(self) -> dict[str, Tensor]:
        """The decoder's weights with the updates added."""
        own = dict(self.base.named_parameters())
        return own | {name: own[name] + a @ b for name, a, b in zip(self.names, self.down, self.up, strict=True)}

    def merged(self) -> Decoder:
        """A plain decoder that computes the same."""
        return Decoder.from_weights(self.base.config, {name: value.detach() for name, value in self.weights().items()})

    def forward(
        self, inputs: Tensor, *, at: int | None = None, offset: Tensor | None = None, visit: Visitor | None = None
    ) -> Float[Tensor, "*run batch pos n_outputs"]:
        """As `Decoder.forward`, with the updates in place."""
        arguments = {"at": at, "offset": offset, "visit": visit}
        logits: Tensor = torch.func.functional_call(self.base, self.weights(), (inputs,), arguments)
        return logits
