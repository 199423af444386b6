"""Random game files of every kind and human agree with an enumerator that shares no code; the long run is in benchmarks/."""

import json
import random
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from assay.solvers.games.humans import Boltzmann, Human, Naive, Optimal
from assay.solvers.games.summary import summary
from assay.worlds.games.files import parse_game

sys.path.insert(0, str(Path(__file__).parent))

from enumerator import HUMANS, KINDS, best, random_game

BETAS = ("0", "0.3", "1", "1e-18", "50")


def disagreements(seed: int, kind: str, human: str) -> list[str]:
    """Values and prices of one random file that the enumerator does not confirm."""
    game, beta = random_game(seed, kind), random.Random(seed).choice(BETAS)
    humans: dict[str, Human] = {"optimal": Optimal(), "naive": Naive(), "boltzmann": Boltzmann(float(beta))}
    found = summary(parse_game(json.dumps(game)), humans[human])
    hiding = game.get("hiding_actions", [])
    asked: list[tuple[str, Any]] = [("value", None)]
    if kind == "off-switch":
        asked += [("always_wait_value", lambda a: a == "wait"), ("never_wait_value", lambda a: a != "wait")]
    elif kind != "human-first":
        asked += [("always_hide_value", lambda a: a in hiding), ("never_hide_value", lambda a: a not in hiding)]
    wrong = []
    for key, only in asked:
        if key not in found:
            continue
        ours, theirs = Fraction(found[key]), Fraction(best(game, human, beta, only))
        # Twelve digits are printed for a noisy human; every other number is exact.
        slack = abs(theirs) * Fraction(1, 10**11) if human == "boltzmann" else Fraction(0)
        if abs(ours - theirs) > slack:
            wrong.append(f"{kind} {seed}, {human} (beta {beta}), {key}: {found[key]} against {theirs}")
    return wrong


@pytest.mark.parametrize("human", HUMANS)
@pytest.mark.parametrize("kind", KINDS)
def test_random_files_agree_with_the_enumerator(kind: str, human: str) -> None:
    assert [line for seed in range(6) for line in disagreements(seed, kind, human)] == []


@pytest.mark.parametrize(
    ("kind", "seed", "human"),
    [
        ("off-switch", 1065, "optimal"),  # never waiting, with a reply of H that is illegal where she is never asked
        ("off-switch", 1138, "optimal"),
        ("assistance", 1030, "boltzmann"),  # terms that cancel
        ("human-first", 39, "boltzmann"),  # a loss of e to the minus 10^17
    ],
)
def test_files_that_once_disagreed(kind: str, seed: int, human: str) -> None:
    assert disagreements(seed, kind, human) == []
