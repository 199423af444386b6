"""Two-player matrix games, exactly: dominance, maximin, every extreme equilibrium and the Pareto cells, with certificates.

Equilibria are pairs of vertices of the players' best-reply polytopes that together label every action: each action is unplayed
or a best reply. Vertices are found support by support in rational arithmetic, so that degenerate games give all their extreme
equilibria. The maximin value is the one of a zero-sum game, solved by the simplex method with Bland's rule; the strategy that
holds the other down is its certificate.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations, product
from math import comb
from typing import Any

from assay.core.errors import InputError
from assay.worlds.games.matrix import MatrixGame
from assay.worlds.games.rationals import shown

__all__ = ["MAX_BASES", "dominated", "equilibria", "maximin", "pareto_cells", "pure_equilibria", "solve_matrix"]

MAX_BASES = 40_000  # square systems a player's vertices may take; some ten seconds
Matrix = Sequence[Sequence[Fraction]]
Mixed = tuple[Fraction, ...]


def solve_matrix(game: MatrixGame, *, limit: int = MAX_BASES) -> dict[str, Any]:
    """What is known about a matrix game once solved, ready for JSON; rationals are texts such as "7/4".

    Raises:
        InputError: the game is too large for all its equilibria.
    """
    rows, columns = game.actions
    mine, theirs = game.payoff(0), _transposed(game.payoff(1))
    pairs = equilibria(game, limit=limit)
    found: dict[str, Any] = {"game": game.name, "kind": "matrix", "players": list(game.players), "rounds": game.rounds}
    found["dominated"] = [
        {"player": game.players[p], "action": game.actions[p][i], "by": game.actions[p][j], "strictly": strict}
        for p, table in ((0, mine), (1, theirs))
        for i, j, strict in dominated(table)
    ]
    found["maximin"] = []
    for p, table in ((0, mine), (1, theirs)):
        value, own, other = maximin(table)
        found["maximin"].append(
            {
                "player": game.players[p],
                "value": shown(value),
                "strategy": _named(game.actions[p], own),
                "held_down_by": _named(game.actions[1 - p], other),
            }
        )
    found["pure_equilibria"] = [
        {"actions": [rows[i], columns[j]], "payoffs": [shown(x) for x in game.payoffs[i][j]]} for i, j in pure_equilibria(game)
    ]
    found["equilibria"] = [
        {
            "strategies": [_named(rows, x), _named(columns, y)],
            "payoffs": [shown(_expected(mine, x, y)), shown(_expected(theirs, y, x))],
            "certificate": {
                game.players[0]: {
                    rows[i]: shown(sum((a * q for a, q in zip(mine[i], y, strict=True)), Fraction(0))) for i in range(len(rows))
                },
                game.players[1]: {
                    columns[j]: shown(sum((a * p for a, p in zip(theirs[j], x, strict=True)), Fraction(0)))
                    for j in range(len(columns))
                },
            },
        }
        for x, y in pairs
    ]
    found["pareto_cells"] = [
        {"actions": [rows[i], columns[j]], "payoffs": [shown(x) for x in game.payoffs[i][j]]} for i, j in pareto_cells(game)
    ]
    return found


def dominated(table: Matrix) -> list[tuple[int, int, bool]]:
    """Rows that another row beats: (row, a row that beats it, whether everywhere strictly).

    A row is beaten weakly where the other is never worse and somewhere better.
    """
    found = []
    for i, row in enumerate(table):
        beats = [
            (j, all(b > a for a, b in zip(row, other, strict=True))) for j, other in enumerate(table) if _weakly(row, other)
        ]
        if beats:
            j, strict = max(beats, key=lambda pair: (pair[1], -pair[0]))
            found.append((i, j, strict))
    return found


def _weakly(row: Sequence[Fraction], other: Sequence[Fraction]) -> bool:
    return all(b >= a for a, b in zip(row, other, strict=True)) and any(b > a for a, b in zip(row, other, strict=True))


def pure_equilibria(game: MatrixGame) -> list[tuple[int, int]]:
    """Cells from which neither player gains by changing alone."""
    mine, theirs = game.payoff(0), _transposed(game.payoff(1))
    best_rows = [max(column) for column in zip(*mine, strict=True)]
    best_columns = [max(row) for row in zip(*theirs, strict=True)]
    return [
        (i, j)
        for i, j in product(range(len(mine)), range(len(theirs)))
        if mine[i][j] == best_rows[j] and theirs[j][i] == best_columns[i]
    ]


def pareto_cells(game: MatrixGame) -> list[tuple[int, int]]:
    """Cells that no other cell beats for one player without harm to the other."""
    best: dict[Fraction, Fraction] = {}
    for row in game.payoffs:
        for a, b in row:
            best[a] = max(best.get(a, b), b)
    efficient, top = set(), None
    for a in sorted(best, reverse=True):
        if top is None or best[a] > top:
            efficient.add((a, best[a]))
            top = best[a]
    return [(i, j) for i, row in enumerate(game.payoffs) for j, cell in enumerate(row) if cell in efficient]


def equilibria(game: MatrixGame, *, limit: int = MAX_BASES) -> list[tuple[Mixed, Mixed]]:
    """Every extreme equilibrium in mixed strategies, pure ones included; all equilibria are mixtures of these.

    Raises:
        InputError: the game has too many candidate supports.
    """
    mine, theirs = game.payoff(0), _transposed(game.payoff(1))
    m, n = len(mine), len(theirs)
    if comb(m + n, n) > limit:
        raise InputError(
            f"'{game.name}': {m} by {n} actions have {comb(m + n, n):,} candidate supports; at most {limit:,} are tried. "
            "Remove dominated actions, or raise the limit (--limit)"
        )
    # A vertex of the row player's strategies carries labels: its own unplayed actions and the other's best replies.
    ours, others = _vertices(theirs, m), _vertices(mine, n)
    whole = frozenset((0, i) for i in range(m)) | frozenset((1, j) for j in range(n))
    rows = [(x, frozenset((0, i) for i in range(m) if not x[i]) | frozenset((1, j) for j in best)) for x, best in ours]
    columns = [(y, frozenset((1, j) for j in range(n) if not y[j]) | frozenset((0, i) for i in best)) for y, best in others]
    return sorted(((x, y) for (x, a), (y, b) in product(rows, columns) if a | b == whole), reverse=True)


def _vertices(table: Matrix, n_own: int) -> list[tuple[Mixed, tuple[int, ...]]]:
    """Vertices of {(x, v): x a mixed strategy, table[j] . x <= v for all j}, each with the best replies j to it."""
    found: dict[Mixed, tuple[int, ...]] = {}
    for size in range(1, min(n_own, len(table)) + 1):
        for support in combinations(range(n_own), size):
            for tight in combinations(range(len(table)), size):
                solved = _solve(
                    [[table[j][i] for i in support] + [Fraction(-1)] for j in tight] + [[Fraction(1)] * size + [Fraction(0)]],
                    [Fraction(0)] * size + [Fraction(1)],
                )
                if solved is None or any(p < 0 for p in solved[:-1]):
                    continue
                x = [Fraction(0)] * n_own
                for i, p in zip(support, solved, strict=False):
                    x[i] = p
                worth = [sum((a * p for a, p in zip(row, x, strict=True)), Fraction(0)) for row in table]
                if max(worth) == solved[-1]:
                    found[tuple(x)] = tuple(j for j, w in enumerate(worth) if w == solved[-1])
    return list(found.items())


def _solve(rows: list[list[Fraction]], right: list[Fraction]) -> list[Fraction] | None:
    """The solution of a square system, or None where it is not unique."""
    n = len(rows)
    work = [[*row, r] for row, r in zip(rows, right, strict=True)]
    for k in range(n):
        pivot = next((i for i in range(k, n) if work[i][k]), None)
        if pivot is None:
            return None
        work[k], work[pivot] = work[pivot], work[k]
        scale = work[k][k]
        work[k] = [x / scale for x in work[k]]
        for i in range(n):
            if i != k and work[i][k]:
                factor = work[i][k]
                work[i] = [x - factor * y for x, y in zip(work[i], work[k], strict=True)]
    return [row[-1] for row in work]


def maximin(table: Matrix) -> tuple[Fraction, Mixed, Mixed]:
    """What the row player can make sure of, by which mixed strategy, and the other's strategy that holds it down to that."""
    low = min(min(row) for row in table)
    shifted = [[x - low + 1 for x in row] for row in table]  # positive, so that the value is too
    m, n = len(shifted), len(shifted[0])
    # Columns' program: maximise sum(w) with shifted @ w <= 1, w >= 0; its dual is the rows' strategy.
    tableau = [[*row, *(Fraction(int(i == k)) for k in range(m)), Fraction(1)] for i, row in enumerate(shifted)]
    cost = [Fraction(-1)] * n + [Fraction(0)] * (m + 1)
    basis = [n + i for i in range(m)]
    while (entering := next((j for j in range(n + m) if cost[j] < 0), None)) is not None:
        ratios = [(row[-1] / row[entering], basis[i], i) for i, row in enumerate(tableau) if row[entering] > 0]
        _, _, leaving = min(ratios)
        scale = tableau[leaving][entering]
        tableau[leaving] = [x / scale for x in tableau[leaving]]
        for i, row in enumerate(tableau):
            if i != leaving and row[entering]:
                factor = row[entering]
                tableau[i] = [x - factor * y for x, y in zip(row, tableau[leaving], strict=True)]
        factor = cost[entering]
        cost = [x - factor * y for x, y in zip(cost, tableau[leaving], strict=True)]
        basis[leaving] = entering
    total = cost[-1]
    weights = [Fraction(0)] * (n + m)
    for i, j in enumerate(basis):
        weights[j] = tableau[i][-1]
    return 1 / total + low - 1, tuple(cost[n + i] / total for i in range(m)), tuple(w / total for w in weights[:n])


def _expected(table: Matrix, own: Mixed, other: Mixed) -> Fraction:
    return sum((p * a * q for p, row in zip(own, table, strict=True) for a, q in zip(row, other, strict=True)), Fraction(0))


def _transposed(table: Matrix) -> tuple[tuple[Fraction, ...], ...]:
    return tuple(zip(*table, strict=True))


def _named(names: Sequence[str], mixed: Mixed) -> dict[str, str]:
    return {name: shown(p) for name, p in zip(names, mixed, strict=True) if p}
