"""The run axis: independent networks in one program, each of which computes exactly what it would compute alone.

Every parameter, input and activation of such a module has the runs in front. Weights are drawn run by run, from a generator of
its own, so that they do not depend on the others; runs can be selected, and one can be taken out as an ordinary network.
"""

import copy
from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from torch import nn

from assay.core.errors import InputError

__all__ = ["Parameters", "SideBySide"]


class SideBySide(nn.Module):
    """A module whose parameters and buffers all have a run axis in front, or, with `n_runs` None, none.

    Attributes:
        n_runs: networks side by side; None for a single one without the axis.
        runs: the places of these runs among those that were trained together; some are missing once they were stopped.
    """

    def __init__(self, n_runs: int | None) -> None:
        super().__init__()
        self.n_runs = n_runs
        self.runs: tuple[int, ...] = tuple(range(n_runs or 1))

    def select(self, indices: Sequence[int]) -> Self:
        """The runs at these places, copied, in this order; one may be named more than once.

        Raises:
            InputError: there is no run axis, or no such place.
        """
        self._check(indices)
        return self._taken(list(indices))

    def run(self, index: int) -> Self:
        """The run at this place alone, copied, without the run axis.

        Raises:
            InputError: there is no run axis, or no such place.
        """
        self._check([index])
        return self._taken(index)

    @torch.no_grad()
    def put(self, indices: Sequence[int], chosen: "SideBySide") -> None:
        """Copies the weights of `chosen`, selected from this module, back to these places."""
        theirs = chosen.state_dict()
        for name, value in self.state_dict().items():
            value[list(indices)] = theirs[name]

    def _check(self, indices: Sequence[int]) -> None:
        if self.n_runs is None:
            raise InputError(f"runs are taken from a {type(self).__name__} with a run axis; this one is a single run")
        outside = [index for index in indices if not -self.n_runs <= index < self.n_runs]
        if outside:
            raise InputError(f"there are runs 0 to {self.n_runs - 1}; got {outside[0]}")

    def _taken(self, where: int | list[int]) -> Self:
        """A copy with `where` of every parameter."""
        memo: dict[int, object] = {}
        for parameter in self.parameters():
            part = parameter.detach()[where].clone()
            memo[id(parameter)] = nn.Parameter(part, requires_grad=parameter.requires_grad)
        memo |= {id(buffer): buffer[where].clone() for buffer in self.buffers()}
        taken = copy.deepcopy(self, memo)
        for module in taken.modules():
            if isinstance(module, SideBySide):
                module.n_runs = None if isinstance(where, int) else len(where)
                module.runs = tuple(range(module.n_runs or 1))
        return taken


class Parameters:
    """Draws parameters in declaration order, one generator a run, so that a run's weights do not depend on the others.

    Without generators everything that would be drawn is zero.
    """

    def __init__(self, n_runs: int | None, rngs: Sequence[np.random.Generator] | None) -> None:
        self.rngs = rngs
        self.lead = () if n_runs is None else (n_runs,)

    def ones(self, *shape: int) -> nn.Parameter:
        """Ones."""
        return nn.Parameter(torch.ones(*self.lead, *shape))

    def zeros(self, *shape: int) -> nn.Parameter:
        """Zeros."""
        return nn.Parameter(torch.zeros(*self.lead, *shape))

    def normal(self, std: float, *shape: int) -> nn.Parameter:
        """Normal entries of standard deviation `std`."""
        if self.rngs is None:
            return self.zeros(*shape)
        drawn = np.stack([rng.standard_normal(shape, dtype=np.float32) for rng in self.rngs]) * np.float32(std)
        return nn.Parameter(torch.from_numpy(drawn if self.lead else drawn[0]))
