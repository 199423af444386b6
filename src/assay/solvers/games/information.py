"""Which of two observation structures tells more: garbling, coordinated garbling and Blackwell tests with certificates.

A signal K (rows = hidden states, columns = what is seen, rows sum to one) is a garbling of K' when K = K' G for a
row-stochastic G: whoever sees K' can manufacture K. If it is not, some decision problem separates them: payoffs
Y[state, action], one action a column of K, for which obeying K earns more than any use of K'. One linear program returns
whichever holds,

    maximise   sum K[s,o] Y[s,o]  -  sum_j max_o sum_s K'[s,j] Y[s,o]     over  |Y| <= 1,

since its optimum is zero exactly for garblings and its dual variables are then G. For two sides with separate observations the
same program over products of deterministic maps tests coordinated garblings (independent garblings of either side, chosen by a
shared coin). Both answers are verified in rational arithmetic when the inputs are rational.

Sources: Blackwell 1953; Garber et al. 2024, arXiv:2411.17749, Definitions 4.4 to 4.7; Lehrer, Rosenberg and Shmaya 2010.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any, Literal

import numpy as np

from assay.core.arrays import Bools, Exacts, Floats, Numbers
from assay.core.errors import InputError, WorkError

__all__ = [
    "CoordinatedGarblingTest",
    "GarblingTest",
    "compare",
    "coordinated_garbling_test",
    "garbling_test",
    "may_be_garbling",
]

Kernel = Sequence[Sequence[Fraction | int]] | Numbers
MAX_MAPS = 100_000  # products of deterministic maps in the coordinated test
TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class GarblingTest:
    """Whether one signal is a garbling of another, and the proof.

    Attributes:
        holds: it is.
        garbling: [finer column, coarser column]; the row-stochastic G if it is, else None.
        witness: [state, action]; payoffs of a decision problem in which it does strictly better, if it is not.
        advantage: by how much, at equal weight on all states (sum over rows, not mean); 0 for a garbling.
        exact: the proof was verified in rational arithmetic; otherwise it holds to within 1e-9.
    """

    holds: bool
    garbling: Exacts | Floats | None
    witness: Exacts | Floats | None
    advantage: Fraction | float
    exact: bool


@dataclass(frozen=True, eq=False)
class CoordinatedGarblingTest:
    """Whether one two-sided observation structure is a coordinated garbling of another, and the proof.

    Attributes:
        holds: it is.
        mixture: ((map of H's observations, map of A's observations), probability) of the shared coin's outcomes, if it is.
        witness: [state, human action, assistant action]; payoffs of a common-payoff game in which the structure does strictly
            better when both sides play what they see, if it is not.
        advantage: by how much (sum over states); 0 for a coordinated garbling.
        exact: the proof was verified in rational arithmetic; otherwise it holds to within 1e-9.
    """

    holds: bool
    mixture: tuple[tuple[tuple[tuple[int, ...], tuple[int, ...]], Fraction | float], ...]
    witness: Exacts | Floats | None
    advantage: Fraction | float
    exact: bool


def garbling_test(coarse: Kernel, fine: Kernel) -> GarblingTest:
    """Whether `coarse` is a garbling of `fine`, with a garbling matrix or a separating decision problem.

    Args:
        coarse: [state, signal]; rows sum to one. Rationals for an exact answer.
        fine: [state, signal]; the same states.

    Raises:
        InputError: the two do not have the same number of states, or a row does not sum to one.
    """
    k, f = _kernel(coarse, "coarse"), _kernel(fine, "fine")
    if len(k) != len(f):
        raise InputError(f"both signals must have the same states; got {len(k)} and {len(f)} rows")
    y, g, gap = _separate(np.asarray(k, dtype=float), np.asarray(f, dtype=float))
    rational = k.dtype == object and f.dtype == object
    if gap > TOLERANCE:
        if rational:
            exact_y = _rational(y)
            exact_gap = _advantage(k, f, exact_y)
            if exact_gap > 0:
                return GarblingTest(False, None, exact_y, exact_gap, True)
        return GarblingTest(False, None, y, gap, False)
    if rational:
        exact_g = _garbling_on_support(k, f, g > TOLERANCE)
        if exact_g is not None:
            return GarblingTest(True, exact_g, None, Fraction(0), True)
    return GarblingTest(True, g, None, 0.0, False)


def may_be_garbling(coarse: Floats, fine: Floats, *, problems: Floats) -> bool:
    """False if one of some decision problems proves that `coarse` is no garbling of `fine`; True leaves it open.

    A fast test before `garbling_test`: a garbling never earns more, in any problem.

    Args:
        coarse: [state, signal].
        fine: [state, signal].
        problems: [problem, state, action]; payoffs of the decision problems to try.
    """
    earned = [np.einsum("sj,psa->pja", kernel, problems).max(axis=2).sum(axis=1) for kernel in (coarse, fine)]
    return bool((earned[0] <= earned[1] + TOLERANCE).all())


def compare(first: Kernel, second: Kernel) -> Literal["equal", "finer", "coarser", "incomparable"]:
    """How `first` stands to `second` in Blackwell's order: finer means that it tells strictly more."""
    below, above = garbling_test(first, second).holds, garbling_test(second, first).holds
    if below and above:
        return "equal"
    return "coarser" if below else "finer" if above else "incomparable"


def coordinated_garbling_test(coarse: Numbers, fine: Numbers) -> CoordinatedGarblingTest:
    """Whether the structure `coarse` is a coordinated garbling of `fine`, with the mixture of maps or a separating game.

    Args:
        coarse: [state, human observation, assistant observation]; every state's table sums to one.
        fine: the same states, possibly other observations.

    Raises:
        InputError: the states differ, a table does not sum to one, or there are too many products of maps.
    """
    k: Numbers = _kernel(coarse.reshape(len(coarse), -1), "coarse").reshape(coarse.shape)
    f: Numbers = _kernel(fine.reshape(len(fine), -1), "fine").reshape(fine.shape)
    if len(k) != len(f):
        raise InputError(f"both structures must have the same states; got {len(k)} and {len(f)}")
    n_maps = k.shape[1] ** f.shape[1] * k.shape[2] ** f.shape[2]
    if n_maps > MAX_MAPS:
        raise InputError(
            f"the coordinated test visits every product of maps, at most {MAX_MAPS:,}; here {n_maps:,}. Merge observations"
        )
    maps = [
        (h, a) for h in product(range(k.shape[1]), repeat=f.shape[1]) for a in product(range(k.shape[2]), repeat=f.shape[2])
    ]
    pushed = [_push(f, h, a, k.shape) for h, a in maps]
    y, weights, gap = _separate_from_hull(
        np.asarray(k, dtype=float).ravel(), np.stack([np.asarray(p, dtype=float).ravel() for p in pushed])
    )
    rational = k.dtype == object and f.dtype == object
    if gap > TOLERANCE:
        if rational:
            exact_y = _rational(y)
            exact_gap = (k.ravel() * exact_y).sum() - max((p.ravel() * exact_y).sum() for p in pushed)
            if exact_gap > 0:
                return CoordinatedGarblingTest(False, (), exact_y.reshape(k.shape), exact_gap, True)
        return CoordinatedGarblingTest(False, (), y.reshape(k.shape), gap, False)
    used = [i for i in range(len(maps)) if weights[i] > TOLERANCE]
    if rational:
        columns = np.array([[*pushed[i].ravel(), Fraction(1)] for i in used], dtype=object).T
        solved = _solve_exactly(columns, np.array([*k.ravel(), Fraction(1)], dtype=object))
        if solved is not None and all(w >= 0 for w in solved):
            mixture = tuple((maps[i], w) for i, w in zip(used, solved, strict=True) if w)
            return CoordinatedGarblingTest(True, mixture, None, Fraction(0), True)
    return CoordinatedGarblingTest(True, tuple((maps[i], float(weights[i])) for i in used), None, 0.0, False)


def _separate(k: Floats, f: Floats) -> tuple[Floats, Floats, float]:
    """Payoffs Y of the most separating problem, the dual garbling G, and the separation."""
    from scipy.optimize import linprog
    from scipy.sparse import coo_array

    (n_s, n_o), n_j = k.shape, f.shape[1]
    # Variables: Y [s, o] flattened, then t [j]; constraints (j, o): sum_s f[s, j] Y[s, o] - t[j] <= 0.
    j, o, s = (index.ravel() for index in np.meshgrid(np.arange(n_j), np.arange(n_o), np.arange(n_s), indexing="ij"))
    rows = np.concatenate([j * n_o + o, np.arange(n_j * n_o)])
    columns = np.concatenate([s * n_o + o, n_s * n_o + np.repeat(np.arange(n_j), n_o)])
    data = np.concatenate([f[s, j], np.full(n_j * n_o, -1.0)])
    found = linprog(
        np.concatenate([-k.ravel(), np.ones(n_j)]),
        A_ub=coo_array((data, (rows, columns))).tocsr(),
        b_ub=np.zeros(n_j * n_o),
        bounds=[(-1, 1)] * (n_s * n_o) + [(None, None)] * n_j,
        method="highs",
    )
    _require_solved(found)
    return found.x[: n_s * n_o].reshape(n_s, n_o), -found.ineqlin.marginals.reshape(n_j, n_o), -float(found.fun)


def _separate_from_hull(point: Floats, corners: Floats) -> tuple[Floats, Floats, float]:
    """The direction in [-1, 1] that best separates a point from the hull of `corners`, dual weights, and the separation."""
    from scipy.optimize import linprog

    found = linprog(
        np.concatenate([-point, [1.0]]),
        A_ub=np.hstack([corners, -np.ones((len(corners), 1))]),
        b_ub=np.zeros(len(corners)),
        bounds=[(-1, 1)] * len(point) + [(None, None)],
        method="highs",
    )
    _require_solved(found)
    return found.x[:-1], -found.ineqlin.marginals, -float(found.fun)


def _require_solved(found: Any) -> None:
    if found.status != 0:
        raise WorkError(
            f"the linear program of the garbling test must be solved; HiGHS said: {found.message}. Report this game"
        )


def _kernel(kernel: Kernel, name: str) -> Numbers:
    array = np.array([list(row) for row in kernel], dtype=object)
    exact = all(isinstance(x, (int, Fraction, np.integer)) for x in array.flat)
    array = array if exact else array.astype(float)
    for i, row in enumerate(array):
        total = row.sum()
        if abs(total - 1) > (0 if exact else 1e-9) or min(row) < 0:
            raise InputError(f"the {name} signal's row {i} must be a distribution; it sums to {total}. Normalise it")
    return array


def _rational(values: Floats) -> Exacts:
    out = np.empty(values.shape, dtype=object)
    out.ravel()[:] = [Fraction(float(x)).limit_denominator(1024) for x in values.flat]
    return out


def _advantage(k: Exacts, f: Exacts, y: Exacts) -> Fraction:
    return Fraction((k * y).sum() - sum(max(column.dot(y)) for column in f.T))


def _garbling_on_support(k: Exacts, f: Exacts, support: Bools) -> Exacts | None:
    """The exact garbling with that support, if a unique or consistent one exists and is non-negative."""
    cells = [(j, o) for j in range(support.shape[0]) for o in range(support.shape[1]) if support[j, o]]
    index = {cell: i for i, cell in enumerate(cells)}
    n_s, n_o = k.shape
    rows, right = [], []
    for s in range(n_s):
        for o in range(n_o):
            row = [Fraction(0)] * len(cells)
            for j in range(f.shape[1]):
                if (j, o) in index:
                    row[index[j, o]] = Fraction(f[s, j])
            rows.append(row)
            right.append(Fraction(k[s, o]))
    for j in range(f.shape[1]):
        rows.append([Fraction(int(cell[0] == j)) for cell in cells])
        right.append(Fraction(1))
    solved = _solve_exactly(np.array(rows, dtype=object), np.array(right, dtype=object))
    if solved is None or any(x < 0 for x in solved):
        return None
    g = np.full(support.shape, Fraction(0), dtype=object)
    for (j, o), x in zip(cells, solved, strict=True):
        g[j, o] = x
    return g


def _solve_exactly(matrix: Exacts, right: Exacts) -> list[Fraction] | None:
    """A rational solution of matrix x = right with free variables at zero, or None if there is none (Gauss-Jordan)."""
    rows = [[Fraction(x) for x in row] + [Fraction(r)] for row, r in zip(matrix, right, strict=True)]
    n, pivots, at = matrix.shape[1], [], 0
    for column in range(n):
        found = next((i for i in range(at, len(rows)) if rows[i][column]), None)
        if found is None:
            continue
        rows[at], rows[found] = rows[found], rows[at]
        lead = rows[at][column]
        rows[at] = [x / lead for x in rows[at]]
        for i in range(len(rows)):
            factor = rows[i][column]
            if i != at and factor:
                rows[i] = [x - factor * y for x, y in zip(rows[i], rows[at], strict=True)]
        pivots.append(column)
        at += 1
    if any(row[-1] for row in rows[at:]):
        return None
    solution = [Fraction(0)] * n
    for row, column in enumerate(pivots):
        solution[column] = rows[row][-1]
    return solution


def _push(table: Numbers, human: tuple[int, ...], assistant: tuple[int, ...], shape: tuple[int, ...]) -> Numbers:
    """The structure that two deterministic maps make of `table`, in the given shape."""
    out = np.full(shape, Fraction(0), dtype=object) if table.dtype == object else np.zeros(shape)
    for x, to_x in enumerate(human):
        for y, to_y in enumerate(assistant):
            out[:, to_x, to_y] += table[:, x, y]
    return out
