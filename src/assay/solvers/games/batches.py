"""Optima of many off-switch or assistance games at once, exact where the payoffs are integers.

Off-switch games come as two arrays of shape [game, human observation, assistant observation]: the payoff if the action goes
through (`on`) and if it does not (`off`), probabilities multiplied in. For every set B of A's observations let

    wait(B) = sum over oH of max( sum_{oA in B} on, sum_{oA in B} off )        H's best reply when A waits exactly on B
    else(B) = sum over oA not in B of max( sum_oH on, sum_oH off )             A decides alone elsewhere

Then the optimum is the maximum of wait(B) + else(B): 2^nA sets instead of 3^nA policies. With n messages to H, A may split B
into up to n blocks, one a message, and a dynamic program over subsets gives the best split (3^nA steps a message).

Integer payoffs are summed in the narrowest integer type that cannot overflow, so that results are exact and many games fit a
vector register; floating-point payoffs are summed in float64.
"""

from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from assay.core.arrays import Floats, Ints, Numbers
from assay.core.errors import InputError

__all__ = [
    "WaitTable",
    "alternating_values",
    "assistance_values",
    "best_plan",
    "boltzmann_values",
    "channel_values",
    "channel_values_to_assistant",
    "naive_values",
    "never_wait_values",
    "optimal_values",
    "policies",
    "team_payoffs",
    "wait_table",
]

MAX_OBSERVATIONS = 16  # of the enumerated side: 65,536 sets a game
CHUNK = 4096  # games held in cache at once


@dataclass(frozen=True)
class WaitTable:
    """Values of every wait set of a batch of off-switch games.

    Attributes:
        wait: [game, set]; H's best reply when A waits exactly on the set, without the payoff of the other observations.
        alone: [game, set]; A's best payoff from the observations outside the set, decided alone.
        n: number of A's observations; set b contains observation i iff bit i of b is 1.
    """

    wait: Numbers
    alone: Numbers
    n: int

    @property
    def total(self) -> Numbers:
        """[game, set]; the best value among pairs with that wait set, without messages."""
        return self.wait + self.alone

    @property
    def always(self) -> Numbers:
        """[game]; the best value among pairs that always wait."""
        return self.total[:, -1]

    @property
    def never(self) -> Numbers:
        """[game]; the best value among pairs that never wait."""
        return self.total[:, 0]


def wait_table(on: Numbers, off: Numbers) -> WaitTable:
    """The value of every wait set of every game.

    Args:
        on: [game, human observation, assistant observation]; payoff if the action goes through, times probability.
        off: the same if it does not.

    Raises:
        InputError: A has too many observations for a table of sets, or sums could leave the exactly representable integers.
    """
    n_games, _, n = on.shape
    if n > MAX_OBSERVATIONS:
        raise InputError(
            f"a table of wait sets (2^n a game) takes at most {MAX_OBSERVATIONS} observations of A; got {n}. "
            "Swap to optimal_values, which enumerates the human's policies"
        )
    kind, pays = _sum_type(on, off), bool(off.any())
    wait, alone = (np.empty((n_games, 2**n), dtype=_result_type(kind), order="F") for _ in range(2))
    for chunk in _chunks(n_games):
        through, shut = _columns(on[chunk], kind), _columns(off[chunk], kind) if pays else None
        wait[chunk] = _best_sums(through, shut).T
        alone[chunk] = _subset_sums(_alone(through, shut))[::-1].T
    return WaitTable(wait, alone, n)


def optimal_values(on: Numbers, off: Numbers) -> tuple[Numbers, Ints]:
    """The optimal value of every game and one optimal policy of the enumerated side as a bit set.

    Enumerates the wait sets of A or the policies of H, whichever side has fewer observations; the other side answers in closed
    form, so the cost is linear in its observations.

    Args:
        on: [game, human observation, assistant observation]; payoff if the action goes through, times probability.
        off: the same if it does not.

    Returns:
        Values [game], and bit sets [game]: A's wait set if A has no more observations than H, else the observations at which
        H says ON.

    Raises:
        InputError: both sides have too many observations to enumerate.
    """
    n_games, n_h, n_a = on.shape
    if min(n_a, n_h) > MAX_OBSERVATIONS:
        raise InputError(
            f"one side must have at most {MAX_OBSERVATIONS} observations (2^n sets a game); got {n_h} and {n_a}. "
            "Use pairs.optimal_pairs, which need not visit all of them"
        )
    bits = min(n_a, n_h)
    kind, pays = _sum_type(on, off, spare_bits=bits), bool(off.any())
    values, sets = np.empty(n_games, dtype=_result_type(kind)), np.empty(n_games, dtype=np.int64)
    for chunk in _chunks(n_games):
        through, shut = _columns(on[chunk], kind), _columns(off[chunk], kind) if pays else None
        alone = _alone(through, shut)
        if n_a <= n_h:
            total = _best_sums(through, shut)
            total += _subset_sums(alone)[::-1]
        else:
            # H says ON at the observations in the set; A waits wherever that beats deciding alone.
            total = np.zeros((2**n_h, alone.shape[1]), dtype=kind)
            for column in range(n_a):
                if shut is None:
                    gain = _subset_sums(through[:, column])
                else:
                    gain = _subset_sums(through[:, column] - shut[:, column])
                    gain += shut[:, column].sum(axis=0, dtype=kind)
                total += np.maximum(gain, alone[column], out=gain)
        if kind == np.float64:
            values[chunk], sets[chunk] = total.max(axis=0), total.argmax(axis=0)
        else:
            # One reduction for both: the set's number rides in the low bits, complemented so that ties go to the first set.
            total <<= bits
            total += np.arange(len(total) - 1, -1, -1, dtype=kind)[:, None]
            top = total.max(axis=0)
            values[chunk], sets[chunk] = top >> bits, len(total) - 1 - (top & (len(total) - 1))
    return values, sets


def channel_values(table: WaitTable, n_messages: int) -> list[Numbers]:
    """Values of every wait set with 1, 2, ..., n messages from A to H.

    Returns:
        One [game, set] array per channel size: the best value among pairs with that wait set. The last column is always-wait.
    """
    split = table.wait
    # No waiting needs no message; every channel size leaves that entry alone.
    values = [split + table.alone]
    for _ in range(1, n_messages):
        better = split.copy()
        for whole in range(1, 2**table.n):
            lowest = whole & -whole
            part = (whole - 1) & whole
            while part:
                if part & lowest:
                    np.maximum(better[:, whole], table.wait[:, part] + split[:, whole ^ part], out=better[:, whole])
                part = (part - 1) & whole
        split = better
        values.append(split + table.alone)
    return values


def channel_values_to_assistant(on: Numbers, off: Numbers, n_messages: int) -> list[Numbers]:
    """The optimal value of every game with 1, 2, ..., n messages from H to A, sent before A moves.

    H's observations are split into blocks, one a message; within a block H fixes her reply and A decides per observation.

    Returns:
        One [game] array per channel size.
    """
    n_games, n_h, _ = on.shape
    if n_h > 8:
        raise InputError(f"messages from H to A are solved for at most 8 observations of H; got {n_h}. Merge observations")
    block = np.zeros((n_games, 2**n_h), dtype=on.dtype)
    for members in range(1, 2**n_h):
        inside = [i for i in range(n_h) if members >> i & 1]
        through, shut = on[:, inside], off[:, inside]
        alone = np.maximum(through.sum(axis=1), shut.sum(axis=1))
        answers = [
            np.maximum(np.where(says_on[None, :, None], through, shut).sum(axis=1), alone).sum(axis=1)
            for says_on in policies(len(inside), 2).astype(bool)
        ]
        block[:, members] = np.max(answers, axis=0)
    split, values = block, [block[:, -1]]
    for _ in range(1, n_messages):
        better = split.copy()
        for whole in range(1, 2**n_h):
            part = (whole - 1) & whole
            while part:
                np.maximum(better[:, whole], block[:, part] + split[:, whole ^ part], out=better[:, whole])
                part = (part - 1) & whole
        split = better
        values.append(split[:, -1])
    return values


def never_wait_values(on: Numbers, off: Numbers) -> Numbers:
    """The best value of every game among pairs that never wait when H has told A all she sees."""
    return np.asarray(np.maximum(on, off).sum(axis=(1, 2)))


def team_payoffs(on: Numbers, off: Numbers, n_messages: int = 1) -> Numbers:
    """Off-switch games as payoff tables [game, oA, A's action, H's observation, H's action], for the functions below.

    A's actions are act, wait with each message, off; H's observations are hers with the message heard; her actions OFF and ON.

    Args:
        on: [game, human observation, assistant observation]; as for `wait_table`.
        off: the same if the action does not go through.
        n_messages: messages A may send along with waiting; 1 is silence.
    """
    n_games, n_h, n_a = on.shape
    through, shut = on.transpose(0, 2, 1), off.transpose(0, 2, 1)
    payoff = np.zeros((n_games, n_a, n_messages + 2, n_h, n_messages, 2), dtype=on.dtype)
    payoff[:, :, 0, :, 0] = through[..., None]
    payoff[:, :, -1, :, 0] = shut[..., None]
    for message in range(n_messages):
        payoff[:, :, 1 + message, :, message, 0] = shut
        payoff[:, :, 1 + message, :, message, 1] = through
    return payoff.reshape(n_games, n_a, n_messages + 2, n_h * n_messages, 2)


def alternating_values(payoff: Numbers, human: Ints) -> Numbers:
    """The value that best replies in turn reach in every game from given replies of H: a person-by-person optimum.

    Args:
        payoff: [game, assistant observation, assistant action, human observation, human action].
        human: [game, human observation]; H's action at first.
    """
    games = np.arange(len(payoff))[:, None]
    value = (
        np.full(len(payoff), np.iinfo(np.int64).min)
        if np.issubdtype(payoff.dtype, np.integer)
        else np.full(len(payoff), -np.inf)
    )
    while True:
        for_a = np.take_along_axis(payoff, human[:, None, None, :, None], axis=4)[..., 0].sum(axis=3)
        assistant = for_a.argmax(axis=2)
        for_h = payoff[games, np.arange(payoff.shape[1]), assistant].sum(axis=1)
        best = for_h.argmax(axis=2)
        # A reply is kept where another is no better, so that the value rises strictly until it stops.
        kept = np.take_along_axis(for_h, human[..., None], axis=2)[..., 0]
        human = np.where(kept == for_h.max(axis=2), human, best)
        reached = for_h.max(axis=2).sum(axis=1)
        if np.array_equal(reached, value):
            return np.asarray(reached)
        value = reached


def policies(n_observations: int, n_actions: int) -> Ints:
    """All deterministic policies, [policy, observation]; the last observation runs fastest."""
    grids = np.meshgrid(*[np.arange(n_actions)] * n_observations, indexing="ij")
    return np.stack([grid.ravel() for grid in grids], axis=1)


def assistance_values(payoff: Numbers, plans: Ints) -> Numbers:
    """Value of every policy of A in every game, H answering in closed form.

    Args:
        payoff: [game, assistant observation, assistant action, human observation, human action]; probability multiplied in.
        plans: [policy, assistant observation].

    Returns:
        [game, policy].
    """
    table = payoff[:, 0, plans[:, 0]]
    for observation in range(1, payoff.shape[1]):
        table = table + payoff[:, observation, plans[:, observation]]
    return np.asarray(_best_option(table).sum(axis=2))


def naive_values(payoff: Numbers, plans: Ints) -> Floats:
    """Value of every policy of A in every game against a human who takes A's action to say nothing; ties are split evenly.

    Args:
        payoff: as for `assistance_values`.
        plans: [policy, assistant observation].

    Returns:
        [game, policy].
    """
    prior = payoff.sum(axis=(1, 2))
    best = prior == prior.max(axis=2, keepdims=True)
    replies = best / best.sum(axis=2, keepdims=True)
    worth = np.einsum("gaozh,gzh->gao", payoff, replies)
    return np.asarray(np.take_along_axis(worth[:, None], plans[None, :, :, None], axis=3)[..., 0].sum(axis=2))


def boltzmann_values(payoff: Numbers, mass: Numbers, plans: Ints, *, beta: float) -> Floats:
    """Value of every policy of A in every game against a noisy human who knows it.

    Args:
        payoff: as for `assistance_values`.
        mass: [game, assistant observation, assistant action, human observation]; in the same unit of probability as `payoff`.
        plans: [policy, assistant observation].
        beta: inverse temperature, per unit of `payoff` divided by `mass`.

    Returns:
        [game, policy].
    """
    table, seen = payoff[:, 0, plans[:, 0]], mass[:, 0, plans[:, 0]]
    for observation in range(1, payoff.shape[1]):
        table = table + payoff[:, observation, plans[:, observation]]
        seen = seen + mass[:, observation, plans[:, observation]]
    slope = beta / np.where(seen > 0, seen, 1)
    best = _best_option(table)
    earned = chances = np.zeros(seen.shape)
    for option in range(table.shape[3]):
        weight = np.exp(slope * (table[..., option] - best))
        earned, chances = earned + weight * table[..., option], chances + weight
    return np.asarray((earned / chances).sum(axis=2))


def _best_option(table: Numbers) -> Numbers:
    """The maximum over the last axis, option by option: much faster than a reduction over a short axis."""
    return np.asarray(reduce(np.maximum, (table[..., option] for option in range(table.shape[-1]))))


def best_plan(payoff: Numbers, human: Floats) -> Floats:
    """The best value of A in every game against fixed replies of H, A answering in closed form.

    Args:
        payoff: as for `assistance_values`.
        human: [game, human observation, human action]; probabilities of H's actions.
    """
    return np.asarray(np.einsum("gaozh,gzh->gao", payoff, human).max(axis=2).sum(axis=1))


def _best_sums(through: Numbers, shut: Numbers | None) -> Numbers:
    """[set, game]: H's best replies when A waits on the set, summed over her observations; inputs are [oH, oA, game].

    `shut` is None where not going through never pays anything.
    """
    best = np.empty((2 ** through.shape[1], through.shape[2]), dtype=through.dtype)
    # An array of zeros rather than a scalar: the comparison of two arrays is vectorised, that with a scalar is not.
    other, total = np.zeros_like(best), np.zeros_like(best)
    for row in range(len(through)):
        _subset_sums(through[row], out=best)
        if shut is not None:
            _subset_sums(shut[row], out=other)
        total += np.maximum(best, other, out=best)
    return total


def _alone(through: Numbers, shut: Numbers | None) -> Numbers:
    """[oA, game]: what A earns at each observation by acting or shutting down, whichever is better."""
    act = through.sum(axis=0, dtype=through.dtype)
    return np.asarray(np.maximum(act, np.zeros_like(act) if shut is None else shut.sum(axis=0, dtype=act.dtype)))


def _subset_sums(values: Numbers, *, out: Numbers | None = None) -> Numbers:
    """[set, game] from [element, game]: the sum over every subset, by doubling; written into `out` if given."""
    if out is None:
        out = np.empty((2 ** len(values), values.shape[1]), dtype=values.dtype)
    out[0] = 0
    for i, value in enumerate(values):
        np.add(out[: 1 << i], value, out=out[1 << i : 2 << i])
    return out


def _columns(values: Numbers, kind: np.dtype[Any]) -> Numbers:
    """[oH, oA, game] from [game, oH, oA], contiguous, in the type sums are taken in."""
    narrow = values.reshape(len(values), -1).astype(kind)
    return np.ascontiguousarray(narrow.T).reshape(*values.shape[1:], len(values))


def _sum_type(on: Numbers, off: Numbers, *, spare_bits: int = 0) -> np.dtype[Any]:
    """The narrowest integer type in which no sum of a game's payoffs overflows; float64 for floating-point payoffs.

    Args:
        on: payoffs if the action goes through.
        off: payoffs if it does not.
        spare_bits: how many low bits must be left beside a sum.

    Raises:
        InputError: integer payoffs too large for 64 bits.
    """
    if not (np.issubdtype(on.dtype, np.integer) and np.issubdtype(off.dtype, np.integer)):
        return np.dtype(np.float64)
    largest = max(max(int(values.max(initial=0)), -int(values.min(initial=0))) for values in (on, off))
    bound = (2 * largest * on.shape[1] * on.shape[2] + 1) << spare_bits
    for kind in (np.int16, np.int32, np.int64):
        if bound <= np.iinfo(kind).max:
            return np.dtype(kind)
    raise InputError(f"integer payoffs must stay below 2^62 in sum; got up to {largest}. Divide by a common factor")


def _result_type(kind: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(np.float64) if kind == np.float64 else np.dtype(np.int64)


def _chunks(n: int) -> list[slice]:
    return [slice(start, min(start + CHUNK, n)) for start in range(0, n, CHUNK)]
