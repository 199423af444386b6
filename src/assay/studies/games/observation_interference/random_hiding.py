"""Batches of random one-shot hiding games: two attributes H may see, one that A sees, preferences only H knows.

The state is (x1, x2, r, theta). A sees r and shows all, hides x1 or hides x2. H knows theta, learns which attribute (if any) is
hidden, and reads each shown attribute through an instrument that errs at random, so that signals are not mere partitions of
the states. She picks one of several options; payoffs are integers. Probabilities are integer weights with one common total.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product

import numpy as np
import numpy.typing as npt

from assay.worlds.games.assistance import AssistanceGame

__all__ = ["SHOW", "HidingBatch", "games_near_signalling", "hiding_games"]

Integers = npt.NDArray[np.int64]
SHOW, HIDE_1, HIDE_2 = 0, 1, 2
ACTIONS = ("show", "hide 1", "hide 2")
BLANK = 2  # the reading of a hidden attribute; shown ones read 0 or 1


@dataclass(frozen=True, eq=False)
class HidingBatch:
    """Many hiding games of one size.

    Attributes:
        weight: [game, x1, x2, r, theta]; integer prior weights, the same total in every game.
        right: [game, attribute]; out of `grain`, how often H reads a shown attribute correctly.
        reward: [game, x1, x2, r, theta, option]; integer payoffs.
        grain: the denominator of `right`.
        informed: whether A sees r; otherwise it sees nothing.
    """

    weight: Integers
    right: Integers
    reward: Integers
    grain: int
    informed: bool = True

    @property
    def scale(self) -> int:
        """What a payoff must be divided by to be in the game's own unit."""
        return int(self.weight[0].sum()) * self.grain**2

    @property
    def n_assistant(self) -> int:
        """Number of A's observations."""
        return self.weight.shape[3] if self.informed else 1

    def readings(self) -> Integers:
        """[game, action, x1, x2, reading]; weights out of grain^2 of what H reads; reading = 3 * (of x1) + (of x2)."""
        n = len(self.right)
        single = np.zeros((n, 2, 2, 3), dtype=np.int64)  # [game, attribute, value, reading]
        for value in range(2):
            single[:, :, value, value] = self.right
            single[:, :, value, 1 - value] = self.grain - self.right
        blank = np.zeros((n, 2, 3), dtype=np.int64)
        blank[:, :, BLANK] = self.grain
        by_action = []
        for action in (SHOW, HIDE_1, HIDE_2):
            first = blank if action == HIDE_1 else single[:, 0]
            second = blank if action == HIDE_2 else single[:, 1]
            by_action.append(np.einsum("gxa,gyb->gxyab", first, second))
        return np.stack(by_action, axis=1).reshape(n, 3, 2, 2, 9)

    def payoff(self) -> Integers:
        """[game, A's observation, action, H's observation, option]; payoff times probability times `scale`.

        H's observation is reading * n_theta + theta.
        """
        weighted = self.weight[..., None] * self.reward
        table: Integers = np.einsum("gxyrto,gaxyz->grazto", weighted, self.readings(), optimize=True)
        table = table.reshape(*table.shape[:3], -1, table.shape[-1])
        return table if self.informed else table.sum(axis=1, keepdims=True)

    def mass(self) -> Integers:
        """[game, A's observation, action, H's observation]; probability times `scale`."""
        table: Integers = np.einsum("gxyrt,gaxyz->grazt", self.weight, self.readings(), optimize=True)
        table = table.reshape(*table.shape[:3], -1)
        return table if self.informed else table.sum(axis=1, keepdims=True)

    def signals(self, i: int, plan: Sequence[int]) -> npt.NDArray[np.object_]:
        """What H reads in game `i` under a policy of A, as exact kernel: [(x1, x2, r), reading].

        Preferences are left out: H always knows them and readings do not depend on them.
        """
        readings = replace(self, right=self.right[i : i + 1]).readings()[0]
        rows = [
            [Fraction(int(w), self.grain**2) for w in readings[plan[r if self.informed else 0], x, y]]
            for x, y, r in product(range(2), range(2), range(self.weight.shape[3]))
        ]
        return np.array(rows, dtype=object)

    def shared(self) -> Integers:
        """[game, A's observation, H's observation, option]; as `payoff` when nothing is hidden, for A telling H all it saw."""
        return self.payoff()[:, :, SHOW]

    def uninformed(self) -> "HidingBatch":
        """The same games in which A sees nothing."""
        return replace(self, informed=False)

    def game(self, i: int) -> AssistanceGame:
        """Game `i` as an exact record."""
        n_r, n_t = self.weight.shape[3:]
        cells = list(product(range(2), range(2), range(n_r), range(n_t)))
        total = int(self.weight[i].sum())
        readings = self.readings()[i]
        names = [f"{a}{b} theta={t}" for a in "01?" for b in "01?" for t in range(n_t)]
        return AssistanceGame(
            name=f"random hiding game {i}",
            states=tuple(f"x={x}{y} r={r} theta={t}" for x, y, r, t in cells),
            prior=tuple(Fraction(int(self.weight[i][cell]), total) for cell in cells),
            assistant_observations=tuple(f"r={r}" for r in range(n_r)) if self.informed else ("nothing",),
            assistant_sees=tuple(
                tuple(Fraction(int(r == o)) for o in range(n_r)) if self.informed else (Fraction(1),) for _, _, r, _ in cells
            ),
            assistant_actions=ACTIONS,
            hides=(False, True, True),
            human_observations=tuple(names),
            human_sees=tuple(
                tuple(
                    tuple(
                        Fraction(int(readings[a, x, y, z]), self.grain**2) if t == theta else Fraction(0)
                        for z in range(9)
                        for t in range(n_t)
                    )
                    for a in range(3)
                )
                for x, y, _, theta in cells
            ),
            human_actions=tuple(f"option {o + 1}" for o in range(self.reward.shape[-1])),
            reward=tuple(tuple(tuple(Fraction(int(u)) for u in self.reward[i][cell]) for _ in range(3)) for cell in cells),
        )


def hiding_games(
    n: int,
    *,
    rng: np.random.Generator,
    n_private: int = 2,
    n_theta: int = 2,
    n_options: int = 3,
    grain: int = 8,
    largest: int = 9,
    relevance: int = 4,
) -> HidingBatch:
    """Random hiding games: payoff 4 base(x1, x2, theta, option) + relevance * private(x1, x2, r, theta, option).

    Args:
        n: number of games.
        rng: randomness.
        n_private: values of A's attribute r.
        n_theta: types of the human.
        n_options: options she picks from.
        grain: readings are right with probability 5/8, 6/8, 7/8 or 1 (at the default of 8).
        largest: both parts of the payoff are integers in [-largest, largest].
        relevance: how much of the payoff turns on what A alone sees, in quarters of the rest; 0 makes r irrelevant.
    """
    # r is independent of the rest: what A sees matters only through the payoff, by `relevance`.
    seen_by_h = 1 + rng.multinomial(32 * n_theta, rng.dirichlet(np.ones(4 * n_theta), size=n)).reshape(n, 2, 2, 1, n_theta)
    seen_by_a = 1 + rng.multinomial(8 * n_private, rng.dirichlet(np.ones(n_private), size=n)).reshape(n, 1, 1, n_private, 1)
    weight, shape = seen_by_h * seen_by_a, (n, 2, 2, n_private, n_theta)
    return HidingBatch(
        weight.astype(np.int64),
        rng.integers(grain // 2 + 1, grain + 1, size=(n, 2)),
        4 * rng.integers(-largest, largest + 1, size=(n, 2, 2, 1, n_theta, n_options))
        + relevance * rng.integers(-largest, largest + 1, size=(*shape, n_options)),
        grain,
    )


def games_near_signalling(n: int, *, rng: np.random.Generator, magnify: int = 20, largest: int = 3) -> HidingBatch:
    """Games near the signalling game: payoffs x_i + R_i of its two products magnified, each moved by up to `largest`.

    H reads x1 and x2 without error and has no preferences of her own; A sees r, which stands for (R1, R2) in {0, 2}^2.
    """
    x1, x2, r = np.meshgrid(np.arange(2), np.arange(2), np.arange(4), indexing="ij")
    payoff = np.stack([x1 + 2 * (r // 2), x2 + 2 * (r % 2)], axis=-1)[:, :, :, None]  # [x1, x2, r, theta, option]
    shape = (n, 2, 2, 4, 1)
    return HidingBatch(
        np.ones(shape, dtype=np.int64),
        np.ones((n, 2), dtype=np.int64),
        magnify * payoff[None] + rng.integers(-largest, largest + 1, size=(*shape, 2)),
        grain=1,
    )
