"""Game files beside plain enumeration: 2,000 random files, a hundred odd ones, and games of several steps.

random files    every kind and human against an enumerator that shares no code; every value and price must agree
odd files       how each malformed or strange file is answered, and how fast (`--table` prints them all)
several steps   the search beside all pairs of policies in sequence form (one matrix product: the strongest plain form found),
                where that ends; time and memory alone where it does not. Budget: a tenth of the enumeration's time where that
                takes at least half a second

`python benchmarks/bench_game_files.py --seeds N` changes how many random files a kind and human are tried (167).
"""

import argparse
import json
import re
import resource
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "solvers" / "games"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "worlds" / "games"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "cli"))

import instances
from enumerator import HUMANS, KINDS
from odd_game_files import odd_files
from test_random_files import disagreements

from assay.cli.game import app
from assay.core.errors import AssayError
from assay.solvers.games.dec_pomdp import solve_dec_pomdp
from assay.worlds.games.dec_pomdp import DecPOMDP
from assay.worlds.games.files import read_game
from assay.worlds.games.pomdp_files import parse_pomdp

ROOT = Path(__file__).parents[1]
MAX_PAIRS = 2_000_000_000  # of policies, visited by enumeration
MAX_PLANS = 100_000  # of one side: a matrix of some hundred megabytes
BUDGET = 10.0


def main() -> int:
    """Print the three tables; the number of disagreements, wrong answers and missed budgets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=167)
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    return random_files(asked.seeds) + odd(asked.table) + several_steps()


def random_files(seeds: int) -> int:
    """How many values and prices the enumerator does not confirm."""
    start, wrong = time.process_time(), []
    for seed, kind, human in product(range(1_000, 1_000 + seeds), KINDS, HUMANS):
        wrong += disagreements(seed, kind, human)
    n = seeds * len(KINDS) * len(HUMANS)
    print(
        f"random files: {n:,} games of every kind and human, {len(wrong)} disagreements ({time.process_time() - start:.0f} s)"
    )
    print("\n".join(wrong[:20]))
    return len(wrong)


def odd(table: bool) -> int:
    """How many odd files are not answered as they should be."""
    folder = Path(tempfile.mkdtemp())
    wrong, slowest = 0, 0.0
    rows = list(odd_files())
    CliRunner().invoke(app, ["template", "matrix"])  # so that no file pays for loading
    for says, name, content, options, outcome in rows:
        (folder / name).write_bytes(content)
        start = time.process_time()
        try:
            result = CliRunner().invoke(app, ["solve", str(folder / name), "--json", *options], catch_exceptions=False)
            told: Any = json.loads(result.stdout)
        except AssayError as error:
            told = f"exit {error.exit_code}: {error}"
        took = time.process_time() - start
        slowest = max(slowest, took)
        if isinstance(outcome, str):
            right = isinstance(told, str) and told.startswith("exit 3") and re.search(outcome, told) is not None
        else:
            right = not isinstance(told, str) and all(told[key] == value for key, value in outcome.items())
        wrong += not right
        if table or not right:
            short = told if isinstance(told, str) else f"solved, value {str(told.get('value', '-'))[:40]}"
            print(f"{'  ' if right else '! '}{says:45} {took:5.2f} s  {short[:150]}")
    print(f"odd files: {len(rows)}, {wrong} answered wrongly, slowest {slowest:.2f} s")
    return wrong


def several_steps() -> int:
    """Time of the search and of enumeration, game by game."""
    games = [
        ("two doors", read_game(ROOT / "examples" / "two-doors.dpomdp"), (3, 4, 5)),
        ("tiger, one agent", read_game(ROOT / "examples" / "tiger.pomdp"), (3, 4)),
        ("two generals", parse_pomdp(instances.two_generals()), (3, 4)),
        ("recycling", parse_pomdp(instances.recycling()), (3, 4)),
        ("broadcast", parse_pomdp(instances.broadcast()), (3, 4)),
        ("meeting in a grid", parse_pomdp(instances.meeting_in_a_grid()), (3, 4)),
        ("fire fighting", parse_pomdp(instances.fire_fighting()), (3, 4)),
        ("box pushing", parse_pomdp(instances.box_pushing()), (2, 3, 4)),
    ]
    missed = 0
    print(f"\n{'several steps':20} steps {'value':>12} {'search':>9} {'enumeration':>12} {'ratio':>8}")
    for name, game, horizons in games:
        exact = game.dec_pomdp()  # type: ignore[union-attr]
        for horizon in horizons:
            start = time.process_time()
            found = solve_dec_pomdp(exact, horizon)
            ours = time.process_time() - start
            start = time.process_time()
            plain = enumerate_policies(exact, horizon)
            took = time.process_time() - start
            line = f"{name:20} {horizon:5d} {found.value:12.6f} {ours:7.2f} s "
            if plain is None:
                print(f"{line}{'does not end':>12}")
                continue
            assert abs(plain - found.value) < 1e-6, (name, horizon, plain, found.value)
            kept = took < 0.5 or took >= BUDGET * ours
            missed += not kept
            print(f"{line}{took:10.2f} s {took / ours:7.0f}x{'' if kept else '  MISSED'}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"largest memory of the process: {peak:.2f} GB")
    return missed


def enumerate_policies(game: DecPOMDP, horizon: int) -> float | None:
    """The best value over all pairs of deterministic policies; None where there are too many."""
    n_x, n_y = game.observation.shape[3:]
    k_a, k_h = game.reward.shape[1:]
    spots = [sum(n**t for t in range(horizon)) for n in (n_x, n_y)]
    sizes = np.log(float(k_a)) * spots[0], np.log(float(k_h)) * spots[1]
    if sum(sizes) > np.log(MAX_PAIRS) or max(sizes) > np.log(MAX_PLANS):
        return None
    sides = [_plans(k, n, horizon) for k, n in ((k_a, n_x), (k_h, n_y))]
    payoff = np.zeros((len(sides[0][0]), len(sides[1][0])))
    first = game.start * game.first.sum(axis=(1, 2))
    live = [((), (), first)]
    factor = 1.0
    for _ in range(horizon):
        following = []
        for seq_a, seq_h, weight in live:
            for a, h in product(range(k_a), range(k_h)):
                own, other = (*seq_a, a), (*seq_h, h)
                payoff[sides[0][0][own], sides[1][0][other]] += factor * float(weight @ game.reward[:, a, h])
                arrived = weight @ game.transition[:, a, h]
                for x, y in product(range(n_x), range(n_y)):
                    then = arrived * game.observation[a, h, :, x, y]
                    if then.any():
                        following.append(((*own, x), (*other, y), then))
        live, factor = following, factor * game.discount
    mine, theirs = sides[0][1], sides[1][1]
    best = -np.inf
    block = max(1, 100_000_000 // len(theirs))
    for start in range(0, len(mine), block):
        best = max(best, float(((mine[start : start + block] @ payoff) @ theirs.T).max()))
    return best


def _plans(k: int, n: int, horizon: int) -> tuple[dict[tuple[int, ...], int], Any]:
    """Sequences of actions and observations by number, and [policy, sequence]: whether a policy plays it."""
    histories = [h for t in range(horizon) for h in product(range(n), repeat=t)]
    place = {h: i for i, h in enumerate(histories)}
    choices = np.array(list(product(range(k), repeat=len(histories))), dtype=np.int8)
    sequences: dict[tuple[int, ...], int] = {}
    columns = []
    for history in histories:
        for actions in product(range(k), repeat=len(history) + 1):
            word = tuple(x for pair in zip(actions, (*history, -1), strict=True) for x in pair)[:-1]
            plays = np.ones(len(choices), dtype=bool)
            for t, action in enumerate(actions):
                plays &= choices[:, place[history[:t]]] == action
            sequences[word] = len(columns)
            columns.append(plays)
    return sequences, np.stack(columns, axis=1).astype(np.float64)


if __name__ == "__main__":
    sys.exit(min(main(), 1))
