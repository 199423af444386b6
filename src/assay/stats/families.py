"""Families: how much error each claim may be judged at, so that any false verdict in a family has a probability of at most 5 %.

A family holds the claims that answer one question of a paper, in two tiers: the paper's claims and ours. The paper's tier
begins with 4 % and ours with 1 % (a tier alone with all 5 %), shared equally inside the tier, as in Holm's procedure. A claim
that is decided hands its share on, half to the open claims of its own tier and half to those of the other; where one of the two
has no open claim left, the other gets all. An open claim of the paper therefore never blocks ours, nor the reverse.

Why the error rate holds, whatever the claims have to do with each other. Let w(i | I) be claim i's part of the 5 % while the
set I of claims is open. It depends on I alone, not on the way there; its sum over I is at most 1; and it never falls when I
loses a claim (`parts` is written so, and a test goes through all sets). Let T be the claims for which one of the two verdicts
would be false, and look at the first false decision. Until then all of T was open, so the set I that was open contains T, and
the claim i that is decided falsely was judged at 5 % times w(i | I) <= w(i | T). So the event lies in the union over i in T of
"claim i is decided falsely at 5 % times w(i | T)", whose probability is at most 5 % times the sum of w(i | T), at most 5 %.

Source: Holm 1979, Scandinavian Journal of Statistics 6; Bretz, Maurer, Brannath & Posch 2009, A graphical approach to
sequentially rejective multiple test procedures, Statistics in Medicine 28; Marcus, Peritz & Gabriel 1976 for closed testing.
"""

from collections.abc import Callable, Sequence
from typing import Literal

__all__ = ["ERROR", "Tier", "parts", "step_down"]

Tier = Literal["paper", "ours"]
ERROR = 0.05
# What each tier has of a family's error before anything is decided.
FIRST = {"paper": 0.8, "ours": 0.2}


def parts(open_paper: int, open_ours: int, n_paper: int, n_ours: int) -> tuple[float, float]:
    """The part of the family's error of each open claim of the paper, and of each open claim of ours; 0 where none is open.

    Args:
        open_paper: how many of the paper's claims are open, of `n_paper`.
        open_ours: how many of ours are open, of `n_ours`.
    """
    if not open_paper or not open_ours:
        return (1 / open_paper if open_paper else 0.0), (1 / open_ours if open_ours else 0.0)
    handed_by_paper = FIRST["paper"] * (1 - open_paper / n_paper) / 2
    handed_by_ours = FIRST["ours"] * (1 - open_ours / n_ours) / 2
    paper = FIRST["paper"] - handed_by_paper + handed_by_ours
    return paper / open_paper, (1 - paper) / open_ours


def step_down(tiers: Sequence[Tier], decides: Callable[[int, float], bool], *, error: float = ERROR) -> list[float]:
    """The error rate at which each claim of a family was decided, or, of the open ones, may be judged in the end.

    Args:
        tiers: of each claim of the family, those included that have no runs yet: judging a part is never easier.
        decides: whether the i-th claim is decided at an error rate; once decided, it stays so at larger ones.
        error: the family's.
    """
    n_paper, n_ours = tiers.count("paper"), tiers.count("ours")
    rates = [0.0] * len(tiers)
    still_open = list(range(len(tiers)))
    while still_open:
        open_paper = sum(tiers[i] == "paper" for i in still_open)
        paper, ours = parts(open_paper, len(still_open) - open_paper, n_paper, n_ours)
        for i in still_open:
            rates[i] = error * (paper if tiers[i] == "paper" else ours)
        left = [i for i in still_open if not decides(i, rates[i])]
        if len(left) == len(still_open):
            break
        still_open = left
    return rates
