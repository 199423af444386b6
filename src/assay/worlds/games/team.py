"""The reduced form of a one-shot common-payoff game: all that an optimal pair depends on.

Assistant A sees one of `nA` observations and acts; human H then sees a signal, whose law may depend on A's action, and acts.
With deterministic policies the common payoff is

    value(piA, piH) = sum over oA, z of payoff[oA, piA(oA), z, piH(z)] / denominator

where `payoff[oA, a, z, h]` already holds the probability of the cell. Off-switch games, hiding games, static team problems and
cheap talk all have this form, so one set of solvers serves them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import lcm, prod

import numpy as np

from assay.core.arrays import Floats, Numbers
from assay.core.errors import InputError

__all__ = [
    "MAX_CELLS",
    "MAX_EXACT_CELLS",
    "Legal",
    "Table",
    "TeamForm",
    "fits_64_bits",
    "integers",
    "refuse_above",
    "total_magnitude",
]

MAX_CELLS = 20_000_000  # of a payoff table: 160 MB as 64-bit integers
MAX_EXACT_CELLS = 2_000_000  # of a game's observation tables, kept as rationals: some seconds to read
Legal = tuple[tuple[bool, ...], ...]
Table = Numbers  # integers: int64 where all sums fit, Python integers otherwise


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
        partly: whether each assistant action is a plan marked after some of the words it may hear; `marked` where empty.
        legal_assistant: [assistant observation][assistant action], whether it may be taken; everything where empty.
        legal_human: the same for the human.
        human_reach: where H moves first: [human observation][human action], the set of A's observations that can follow, as a
            bit mask; empty where A moves first.
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
    partly: tuple[bool, ...] = ()
    legal_assistant: Legal = ()
    legal_human: Legal = ()
    human_reach: tuple[tuple[int, ...], ...] = ()

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

    @property
    def touched(self) -> tuple[bool, ...]:
        """Whether each assistant action is marked after at least one word."""
        return self.partly or self.marked

    def allowed(self, side: str) -> Legal:
        """[observation][action], whether a side may take an action."""
        n_a, k_a, n_z, k_h = self.shape
        if side == "assistant":
            return self.legal_assistant or ((True,) * k_a,) * n_a
        return self.legal_human or ((True,) * k_h,) * n_z

    def guarded(self) -> Table:
        """The payoff table with a loss beyond all payoffs on what is illegal, so that no optimum takes it."""
        if not self.legal_assistant and not self.legal_human:
            return self.payoff
        loss = 2 * total_magnitude(self.payoff) + 1
        table = self.payoff.astype(object)
        # A pair of policies passes through exactly one cell of each (oA, z): the loss is booked where it is passed once.
        for o, row in enumerate(self.legal_assistant):
            for a, may in enumerate(row):
                if not may:
                    table[o, a, 0, :] -= loss
        for z, row in enumerate(self.legal_human):
            for h, may in enumerate(row):
                if not may:
                    table[0, :, z, h] -= loss
        return table

    def reach(self) -> tuple[tuple[int, ...], ...]:
        """[leader's observation][leader's action]: the follower's observations that can matter after it, as a bit mask."""
        if self.human_reach:
            return self.human_reach
        return tuple(
            tuple(sum(1 << z for z, m in enumerate(row) if m > 0) for row in actions) for actions in self.mass.tolist()
        )

    def with_actions(self, keep: Sequence[int]) -> "TeamForm":
        """The same game in which A has only the actions with these indices."""
        keep = list(keep)
        return replace(
            self,
            payoff=np.ascontiguousarray(self.payoff[:, keep]),
            mass=np.ascontiguousarray(self.mass[:, keep]),
            assistant_actions=tuple(self.assistant_actions[a] for a in keep),
            marked=tuple(self.marked[a] for a in keep),
            partly=tuple(self.touched[a] for a in keep),
            legal_assistant=tuple(tuple(row[a] for a in keep) for row in self.legal_assistant),
        )

    def value(self, assistant: Sequence[int], human: Sequence[int]) -> Fraction:
        """The exact common payoff of a deterministic pair, in the game's own unit.

        Args:
            assistant: an action index for every assistant observation.
            human: an action index for every human observation.
        """
        chosen = self.payoff[np.arange(self.shape[0]), np.asarray(assistant)]
        cells = chosen[:, np.arange(self.shape[2]), np.asarray(human)]
        return Fraction(int(cells.sum()), self.denominator)

    def weights(self) -> Floats:
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
            legal_assistant=tuple(tuple(may for may in row for _ in range(n)) for row in self.legal_assistant),
            legal_human=tuple(row for row in self.legal_human for _ in range(n)),
        )


def integers(table: Table) -> tuple[Table, int]:
    """A table of rationals as integers over their least common denominator.

    Returns int64 where the sum of all magnitudes fits with room to spare, so that no sum of cells can overflow; Python
    integers otherwise.
    """
    denominator = lcm(*{x.denominator for x in table.flat}, 1)
    scaled = [x.numerator * (denominator // x.denominator) for x in table.flat]
    fits = sum(abs(x) for x in scaled) < 2**61
    out: Table = np.empty(table.shape, dtype=np.int64 if fits else object)
    out.reshape(-1)[:] = scaled
    return out, denominator


def fits_64_bits(*bounds: int) -> bool:
    """Whether sums of products of numbers whose magnitudes add up to these bounds stay within 64 bits, with room to spare."""
    return prod(max(bound, 1) for bound in bounds) < 2**61


def total_magnitude(table: Table) -> int:
    """The sum of all magnitudes of a table of integers, exactly."""
    if table.dtype == object:
        return sum(abs(int(x)) for x in table.flat)
    return int(np.abs(table).astype(object).sum()) if table.size else 0


def refuse_above(limit: int, got: int, *, what: str, unit: str) -> None:
    """Return nothing if a size is within its limit.

    Raises:
        InputError: the size is larger; the message states the limit and the predicted cost.
    """
    if got > limit:
        raise InputError(
            f"{what} must hold at most {limit:,} {unit}; it would hold {got:,}. Merge observations or split the game"
        )
