"""Optimal pairs of random off-switch games: games per second beside brute force, OpenSpiel and nashpy, and growth with size.

All solve the same 5 x 5 games (five observations a side, 32 x 243 pairs of policies) and agree on every value. Times are CPU
seconds of one process, the best of several repeats, so that a busy machine and BLAS threads change little.

brute force   all pairs of 64 games by one matrix product: the strongest plain form we found (BLAS does the work)
OpenSpiel     the game as an extensive form; each of H's 32 policies gets its exact best response, the best pair is kept
nashpy        can express the games as 243 x 32 bimatrix games; its equilibrium enumeration does not end on that size, so that
              it is timed on checking whether one given pair is an equilibrium, the cheapest question it answers

Budget: 20 times the faster of brute force and OpenSpiel.
"""

import time
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from assay.solvers.games.batches import optimal_values, policies
from assay.solvers.games.pairs import optimal_pairs
from assay.studies.games.off_switch_game.random_games import OffSwitchBatch, cell_games

SIZE = 5
N_GAMES = 100_000
BUDGET = 20.0


def main() -> None:
    """Print games per second of each solver, their ratios, and the growth of time with observations on either side."""
    games = cell_games(N_GAMES, SIZE, SIZE, rng=np.random.default_rng(0))
    on, off = games.tables()
    ours, values = rate(lambda: optimal_values(on, off)[0], N_GAMES, repeats=20)
    rows = [("ours, batched, exact integers", ours)]
    brute, brute_values = rate(lambda: brute_force(on[:4000]), 4000, repeats=20)
    assert np.array_equal(brute_values, values[:4000])
    rows.append(("brute force, matrix products", brute))
    fast = brute
    one, found = rate(lambda: [optimal_pairs(games.game(i).team_form()) for i in range(40)], 40)
    assert [int(solution.value * games.scale) for solution in found] == values[:40].tolist()
    rows.append(("ours, one game, all ties + certificate", one))
    try:
        spiel, spiel_values = rate(lambda: [openspiel_value(games, i) for i in range(5)], 5)
        assert np.allclose(np.array(spiel_values) * games.scale, values[:5])
        rows.append(("OpenSpiel best responses", spiel))
        fast = max(fast, spiel)
    except ImportError:
        print("OpenSpiel is not installed: pip install 'assay[games]'")
    try:
        rows.append(("nashpy, one equilibrium check", nashpy_rate(on[0])))
    except ImportError:
        print("nashpy is not installed: pip install 'assay[games]'")
    for name, per_second in rows:
        print(f"{name:40} {per_second:12,.1f} games/s")
    ratio = ours / fast
    print(f"ours beside the faster baseline: {ratio:.1f} x   budget {BUDGET:g} x: {'kept' if ratio >= BUDGET else 'MISSED'}")
    growth()


def rate(solve: Callable[[], Any], n_games: int, *, repeats: int = 1) -> tuple[float, Any]:
    """Games per CPU second, best of `repeats`, and what the solver returned."""
    best, found = 0.0, None
    for _ in range(repeats):
        start = time.process_time()
        found = solve()
        best = max(best, n_games / (time.process_time() - start))
    return best, found


def brute_force(on: np.ndarray) -> np.ndarray:
    """Values by visiting all 32 x 243 pairs of each game: payoff = sum over oA of what A's action earns under H's policy."""
    human, assistant = policies(SIZE, 2), policies(SIZE, 3)
    picks = np.zeros((SIZE * 3, len(assistant)))
    for o in range(SIZE):
        picks[o * 3 + assistant[:, o], np.arange(len(assistant))] = 1.0
    values = np.empty(len(on))
    for start in range(0, len(on), 64):  # as many games a product as the cache holds
        tables = on[start : start + 64].astype(float)
        worth = np.zeros((len(tables), len(human), SIZE, 3))
        worth[..., 0] = tables.sum(axis=1)[:, None]
        worth[..., 1] = human @ tables
        paid = worth.reshape(-1, SIZE * 3) @ picks
        values[start : start + 64] = paid.reshape(len(tables), -1).max(axis=1)
    return values


def openspiel_value(games: OffSwitchBatch, i: int) -> float:
    """The value of one game by OpenSpiel: A's exact best response to each policy of H."""
    import pyspiel

    game = pyspiel.load_efg_game(extensive_form(games.game(i)))
    human_states = [f"H{k}" for k in range(SIZE)]
    keys, legal = {}, {}

    def visit(state: Any) -> None:
        if state.is_terminal():
            return
        if state.is_chance_node():
            children = [action for action, _ in state.chance_outcomes()]
        else:
            children = state.legal_actions()
            text = state.information_state_string()
            legal[state.current_player(), text] = children
            if state.current_player() == 1:
                keys[next(name for name in human_states if text.endswith(name))] = text
        for action in children:
            visit(state.child(action))

    visit(game.new_initial_state())
    table = {text: [(action, 1 / len(actions)) for action in actions] for (_, text), actions in legal.items()}
    best = -np.inf
    for plan in product(range(2), repeat=SIZE):
        for k, choice in enumerate(plan):
            actions = legal[1, keys[f"H{k}"]]
            table[keys[f"H{k}"]] = [(action, float(j == choice)) for j, action in enumerate(actions)]
        policy = pyspiel.TabularPolicy(table)  # the response keeps a bare pointer to it
        response = pyspiel.TabularBestResponse(game, 0, policy)
        best = max(best, response.value_from_state(game.new_initial_state()))
    return best


def extensive_form(game: Any) -> str:
    """The off-switch game in OpenSpiel's .efg text."""
    cells = [(s, i, j) for s in range(len(game.states)) for i in range(SIZE) for j in range(SIZE) if game.observe[s][i][j]]
    chances = " ".join(f'"{k}" {float(game.prior[s])}' for k, (s, _, _) in enumerate(cells))
    lines, outcome = ['EFG 2 R "g" { "A" "H" } ""', f'c "root" 1 "draw" {{ {chances} }} 0'], 0
    for s, i, j in cells:
        act, off = float(game.act[s]), float(game.off[s])
        lines.append(f'p "" 1 {j + 1} "A{j}" {{ "act" "off" "wait" }} 0')
        for value in (act, off, None, off, act):
            if value is None:
                lines.append(f'p "" 2 {i + 1} "H{i}" {{ "OFF" "ON" }} 0')
            else:
                outcome += 1
                lines.append(f't "" {outcome} "" {{ {value} {value} }}')
    return "\n".join(lines) + "\n"


def nashpy_rate(table: np.ndarray) -> float:
    """Games per second of building the bimatrix and asking nashpy whether one pair is an equilibrium."""
    import nashpy

    human, assistant = policies(SIZE, 2), policies(SIZE, 3)

    def check() -> Any:
        worth = np.zeros((len(human), SIZE, 3))
        worth[:, :, 0] = table.sum(axis=0)
        worth[:, :, 1] = human @ table
        payoff = np.stack([worth[:, np.arange(SIZE), plan].sum(axis=1) for plan in assistant])
        game = nashpy.Game(payoff, payoff)
        return game.is_best_response(np.eye(len(assistant))[0], np.eye(len(human))[0])

    return rate(lambda: [check() for _ in range(20)], 20)[0]


def growth() -> None:
    """Microseconds a game as either side gets more observations: exponential in the smaller side, linear in the larger."""
    print("\nmicroseconds a game, batched (rows: observations of H, columns: observations of A)")
    sizes = (2, 4, 6, 8, 10, 12)
    print("      " + "".join(f"{n:9d}" for n in sizes))
    for n_h in sizes:
        cells = []
        for n_a in sizes:
            n = max(64, 40_000 // 2 ** min(n_h, n_a))
            on, off = cell_games(n, n_h, n_a, rng=np.random.default_rng(1)).tables()
            cells.append(1e6 / rate(lambda on=on, off=off: optimal_values(on, off), n, repeats=2)[0])
        print(f"{n_h:5d} " + "".join(f"{cell:9.2f}" for cell in cells))
    print("\nmilliseconds a game, branch and bound with certificate (n x n)")
    for n in (3, 5, 7, 9, 11):
        games = cell_games(3, n, n, rng=np.random.default_rng(2))
        forms = [games.game(i).team_form() for i in range(3)]
        per_second, found = rate(lambda forms=forms: [optimal_pairs(form) for form in forms], 3)
        parts = np.mean([len(solution.certificate.closed) for solution in found])
        print(f"{n:3d}   {1000 / per_second:9.1f}   {parts:8.0f} closed parts of {2**n} policies")


if __name__ == "__main__":
    main()
