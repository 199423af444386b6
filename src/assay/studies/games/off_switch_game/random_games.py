"""Batches of random off-switch games with integer payoffs, so that comparing their optima needs no tolerance.

Probabilities are integer weights with one common total a game; payoffs in a batch are therefore scaled by a known integer
(`scale`), the same for all its games, and every sum is an exact integer.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from assay.worlds.games.off_switch import OffSwitchGame

__all__ = ["OffSwitchBatch", "cell_games", "coordinated_garbling", "kernel_games", "redundant_games"]

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class OffSwitchBatch:
    """Many off-switch games of one size.

    Attributes:
        weight: [game, state]; integer prior weights, the same total in every game.
        observe: [game, state, human observation, assistant observation]; integer weights, the same total in every row.
        act: [game, state]; integer payoff if the action goes through. Not going through pays 0.
    """

    weight: Integers
    observe: Integers
    act: Integers

    @property
    def scale(self) -> int:
        """What a payoff must be divided by to be in the game's own unit."""
        return int(self.weight[0].sum() * self.observe[0, 0].sum())

    def tables(self) -> tuple[Integers, Integers]:
        """Payoff, times `scale` and probability, of going through and of not: [game, human obs., assistant obs.], int64."""
        on = np.einsum("gs,gsha->gha", self.weight * self.act, self.observe)
        return np.ascontiguousarray(on), np.zeros_like(on)

    def mass(self) -> Integers:
        """Probability, times `scale`, of each pair of observations: [game, human obs., assistant obs.]."""
        return np.asarray(np.einsum("gs,gsha->gha", self.weight, self.observe))

    def game(self, i: int) -> OffSwitchGame:
        """Game `i` as an exact record."""
        n_s, n_h, n_a = self.observe.shape[1:]
        prior, row = int(self.weight[i].sum()), int(self.observe[i, 0].sum())
        return OffSwitchGame(
            name=f"random game {i}",
            states=tuple(f"s{s}" for s in range(n_s)),
            prior=tuple(Fraction(int(w), prior) for w in self.weight[i]),
            human_observations=tuple(f"h{o}" for o in range(n_h)),
            assistant_observations=tuple(f"a{o}" for o in range(n_a)),
            observe=tuple(tuple(tuple(Fraction(int(w), row) for w in line) for line in table) for table in self.observe[i]),
            act=tuple(Fraction(int(u)) for u in self.act[i]),
            off=tuple(Fraction(0) for _ in range(n_s)),
        )


def cell_games(n: int, n_human: int, n_assistant: int, *, rng: np.random.Generator, largest: int = 4) -> OffSwitchBatch:
    """Games on the cells of a table, uniform: H sees the row, A the column; payoffs are integers in [-largest, largest]."""
    cells = n_human * n_assistant
    observe = np.eye(cells, dtype=np.int64).reshape(cells, n_human, n_assistant)
    return OffSwitchBatch(
        np.ones((n, cells), dtype=np.int64),
        np.broadcast_to(observe, (n, *observe.shape)),
        rng.integers(-largest, largest + 1, size=(n, cells)),
    )


def kernel_games(
    n: int,
    n_states: int,
    n_human: int,
    n_assistant: int,
    *,
    rng: np.random.Generator,
    grain: int = 6,
    largest: int = 9,
) -> OffSwitchBatch:
    """Games with random priors and random, correlated observation kernels in steps of 1/grain."""
    return OffSwitchBatch(
        _shares(rng, (n,), n_states, grain),
        _shares(rng, (n, n_states), n_human * n_assistant, grain).reshape(n, n_states, n_human, n_assistant),
        rng.integers(-largest, largest + 1, size=(n, n_states)),
    )


def redundant_games(
    n: int,
    n_states: int,
    n_human: int,
    n_assistant: int,
    *,
    rng: np.random.Generator,
    grain: int = 6,
    largest: int = 9,
    redundant: str = "assistant",
) -> OffSwitchBatch:
    """Games in which one side's observation is redundant given the other's: O(oH, oA | s) = O(oH | s) K(oA | oH), or mirrored.

    Args:
        n: number of games; likewise the sizes after it.
        n_states: states of Nature.
        n_human: observations of H.
        n_assistant: observations of A.
        rng: randomness.
        grain: probabilities are multiples of 1/grain.
        largest: payoffs are integers in [-largest, largest].
        redundant: whose observation adds nothing, "assistant" or "human".
    """
    first, second = (n_human, n_assistant) if redundant == "assistant" else (n_assistant, n_human)
    seen = _shares(rng, (n, n_states), first, grain)
    copied = _shares(rng, (n, first), second, grain)
    observe = np.einsum("gsx,gxy->gsxy", seen, copied)
    if redundant == "human":
        observe = observe.transpose(0, 1, 3, 2)
    return OffSwitchBatch(_shares(rng, (n,), n_states, grain), observe, rng.integers(-largest, largest + 1, size=(n, n_states)))


def coordinated_garbling(
    batch: OffSwitchBatch, *, rng: np.random.Generator, n_coins: int = 3, grain: int = 4, coordinated: bool = True
) -> OffSwitchBatch:
    """The same games seen through random garblings of both sides' observations.

    Args:
        batch: the games.
        rng: randomness.
        n_coins: outcomes of the coin both sides share; each selects an independent garbling of either side.
        grain: garbling probabilities are multiples of 1/grain.
        coordinated: False garbles the pair of observations jointly, which no pair of sides could do by themselves.
    """
    n, _, n_h, n_a = batch.observe.shape
    if not coordinated:
        joint = _shares(rng, (n, n_h * n_a), n_h * n_a, grain)
        flat = batch.observe.reshape(n, -1, n_h * n_a)
        observe = np.einsum("gsx,gxy->gsy", flat, joint).reshape(batch.observe.shape)
        return OffSwitchBatch(batch.weight, observe, batch.act)
    coin = _shares(rng, (n,), n_coins, grain)
    human = _shares(rng, (n, n_coins, n_h), n_h, grain)
    assistant = _shares(rng, (n, n_coins, n_a), n_a, grain)
    observe = np.zeros_like(batch.observe)
    for c in range(n_coins):
        half = np.einsum("gsxy,gxu->gsuy", batch.observe, human[:, c])
        observe = observe + coin[:, c, None, None, None] * np.einsum("gsuy,gyv->gsuv", half, assistant[:, c])
    return OffSwitchBatch(batch.weight, observe, batch.act)


def _shares(rng: np.random.Generator, shape: tuple[int, ...], k: int, total: int) -> Integers:
    """Random integer weights over k cells that sum to `total`, sparse enough that certainties and zeros occur."""
    chances = rng.dirichlet(np.full(k, 0.5), size=shape)
    return np.asarray(rng.multinomial(total, chances), dtype=np.int64)
