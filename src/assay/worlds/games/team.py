"""The reduced form of a one-shot common-payoff game: all that an optimal pair depends on.

Assistant A sees one of `nA` observations and acts; human H then sees a signal, whose law may depend on A's action, and acts.
With deterministic policies the common payoff is

    value(piA, piH) = sum over oA, z of payoff[oA, piA(oA), z, piH(z)] / denominator

where `payoff[oA, a, z, h]` already holds the probability of the cell. Off-switch games, hiding games, static team problems and
cheap talk all have this form, so one set of solvers serves them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np
import numpy.typing as npt

from assay.core.errors import InputError

__all__ = ["MAX_CELLS", "MAX_EXACT_CELLS", "Table", "TeamForm", "integers", "refuse_above"]

MAX_CELLS = 20_000_000  # of a payoff table: 160 MB as 64-bit integers
MAX_EXACT_CELLS = 2_000_000  # of a game's observation tables, kept as rationals: some seconds to read
Table = npt.NDArray[Any]  # integers: int64 where all sums fit, Python integers otherwise


@dataclass(frozen=True, eq=False)
class TeamForm:
    """A one-shot common-payoff game with its probabilities multiplied in.

    Attributes:
        payoff: [assistant observation, assistant action, human observation, human action]; integers over `denominator`
            (int64 where every sum fits, Python integers otherwise).
        denominator: what the integers of `payoff` are divided by.
        mass: [assistant observation, assistant action, human observation]; the probability, over `mass_denominator`, that A
            sees this and H, after A's action, is asked to act on that. Zero where H's action has no effect.
        mass_denominator: what the integers of `mass` are divided by.
        assistant_observations: names, in the order of the axis; likewise the three fields after it.
        marked: whether each assistant action belongs to the set worth reporting (waiting, hiding).
        mark: what that set is called ("wait", "hide").
    """

    payoff: Table
    denominator: int
    mass: Table
    mass_denominator: int
    assistant_observations: tuple[str, ...]
    assistant_actions: tuple[str, ...]
    human_observations: tuple[str, ...]
    human_actions: tuple[str, ...]
    marked: tuple[bool, ...]
    mark: str
    name: str = ""

    def __post_init__(self) -> None:
        shape = (
            len(self.assistant_observations),
            len(self.assistant_actions),
            len(self.human_observations),
            len(self.human_actions),
        )
        assert self.payoff.shape == shape, (self.payoff.shape, shape)
        assert self.mass.shape == shape[:3], (self.mass.shape, shape)
        assert len(self.marked) == shape[1]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Counts of assistant observations, assistant actions, human observations, human actions."""
        n_a, k_a, n_z, k_h = self.payoff.shape
        return n_a, k_a, n_z, k_h

    def value(self, assistant: Sequence[int], human: Sequence[int]) -> Fraction:
        """The exact common payoff of a deterministic pair, in the game's own unit.

        Args:
            assistant: an action index for every assistant observation.
            human: an action index for every human observation.
        """
        chosen = self.payoff[np.arange(self.shape[0]), np.asarray(assistant)]
        cells = chosen[:, np.arange(self.shape[2]), np.asarray(human)]
        return Fraction(int(cells.sum()), self.denominator)

    def weights(self) -> npt.NDArray[np.float64]:
        """The payoff table as floats in the game's own unit, same axes."""
        return np.asarray(self.payoff / self.denominator, dtype=np.float64)

    def with_messages(self, n: int) -> "TeamForm":
        """The same game in which A's action carries one of `n` free messages to H.

        Axes grow to [oA, (action, message), (human observation, message), human action]. One message is silence.

        Raises:
            InputError: there is not at least one message, or the table would exceed the stated limit.
        """
        if n < 1:
            raise InputError(f"a channel must carry at least 1 message (1 is silence); got {n}")
        if n == 1:
            return self
        n_a, k_a, n_z, k_h = self.shape
        refuse_above(MAX_CELLS, n_a * k_a * n * n_z * n * k_h, what=f"the payoff table with {n} messages", unit="cells")
        payoff = np.zeros((n_a, k_a, n, n_z, n, k_h), dtype=self.payoff.dtype)
        mass = np.zeros((n_a, k_a, n, n_z, n), dtype=self.mass.dtype)
        for m in range(n):
            payoff[:, :, m, :, m, :] = self.payoff
            mass[:, :, m, :, m] = self.mass
        return TeamForm(
            payoff.reshape(n_a, k_a * n, n_z * n, k_h),
            self.denominator,
            mass.reshape(n_a, k_a * n, n_z * n),
            self.mass_denominator,
            self.assistant_observations,
            tuple(f"{action}, say {m + 1}" for action in self.assistant_actions for m in range(n)),
            tuple(f"{signal}, told {m + 1}" for signal in self.human_observations for m in range(n)),
            self.human_actions,
            tuple(marked for marked in self.marked for _ in range(n)),
            self.mark,
            self.name,
        )


def integers(table: Table) -> tuple[Table, int]:
    """A table of rationals as integers over their least common denominator.

    Returns int64 where the sum of all magnitudes fits with room to spare, so that no sum of cells can overflow; Python
    integers otherwise.
    """
    denominator = lcm(*(Fraction(x).denominator for x in table.flat), 1)
    scaled = [int(Fraction(x) * denominator) for x in table.flat]
    fits = sum(abs(x) for x in scaled) < 2**61
    out: Table = np.empty(table.shape, dtype=np.int64 if fits else object)
    out.reshape(-1)[:] = scaled
    return out, denominator


def refuse_above(limit: int, got: int, *, what: str, unit: str) -> None:
    """Return nothing if a size is within its limit.

    Raises:
        InputError: the size is larger; the message states the limit and the predicted cost.
    """
    if got > limit:
        raise InputError(
            f"{what} must hold at most {limit:,} {unit}; it would hold {got:,}. Merge observations or split the game"
        )
