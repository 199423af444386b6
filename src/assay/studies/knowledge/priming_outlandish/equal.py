"""Changes of weights at equal P of a text's keyword: the one that gives it more is scaled down as a whole until both agree."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

__all__ = ["Changed", "Pair", "at_equal_p", "shares_for"]

ByShare = Callable[[Float[np.ndarray, " text"]], Float[np.ndarray, " text"]]
EDGE = 0.05  # of the bracket, within which its ends are not tried again


@dataclass(frozen=True)
class Changed:
    """What a change does to each text when a share of it is made; a share of nan may give anything.

    Attributes:
        says: log-probability of the keyword after the text's original prompt, in nats.
        primes: S_prime in powers of ten.
    """

    says: ByShare
    primes: ByShare


@dataclass(frozen=True, eq=False)
class Pair:
    """S_prime of two changes at equal P, nan where they cannot agree, and the shares of them that it took."""

    first: Float[np.ndarray, " text"]
    second: Float[np.ndarray, " text"]
    shares: tuple[Float[np.ndarray, " text"], Float[np.ndarray, " text"]]

    @property
    def difference(self) -> Float[np.ndarray, " text"]:
        """Of the first minus of the second, in powers of ten."""
        return np.asarray(self.first - self.second)


def at_equal_p(first: Changed, second: Changed, n: int, n_steps: int) -> Pair:
    """Both at the P of the one that has less. They cannot agree on a text where that is less than before the change.

    Args:
        first: one change of every text's copy.
        second: another.
        n: texts.
        n_steps: of the search for the shares.
    """
    whole = np.ones(n)
    wanted = np.minimum(first.says(whole), second.says(whole))
    shares = tuple(shares_for(one.says, wanted, n_steps) for one in (first, second))
    found = [
        np.where(np.isnan(share), math.nan, one.primes(np.nan_to_num(share)))
        for one, share in zip((first, second), shares, strict=True)
    ]
    return Pair(found[0], found[1], (shares[0], shares[1]))


def shares_for(says: ByShare, wanted: Float[np.ndarray, " text"], n_steps: int) -> Float[np.ndarray, " text"]:
    """The share in [0, 1] at which a quantity that is below what is wanted at 0 has that value; 1 where it never has more.

    nan where it is above already at 0. The bracket is cut where a line between its ends would be right.

    Args:
        says: the quantity at a share for each text.
        wanted: its value.
        n_steps: cuts.
    """
    low, high = np.zeros(len(wanted)), np.ones(len(wanted))
    at_low, at_high = says(low), says(high)
    outside, never = at_low > wanted, at_high <= wanted
    middle = high
    for _ in range(n_steps):
        rise = np.where(at_high > at_low, at_high - at_low, 1.0)
        middle = low + (high - low) * np.clip((wanted - at_low) / rise, EDGE, 1 - EDGE)
        found = says(middle)
        below = found < wanted
        low, at_low = np.where(below, middle, low), np.where(below, found, at_low)
        high, at_high = np.where(below, high, middle), np.where(below, at_high, found)
    rise = np.where(at_high > at_low, at_high - at_low, 1.0)
    middle = low + (high - low) * np.clip((wanted - at_low) / rise, 0, 1)
    return np.where(outside, math.nan, np.where(never, 1.0, middle))
