"""Max-margin solutions of the recall task under the nuclear and the Frobenius norm, each with a certificate.

With attention fixed to weigh subject and relation alike, a matrix W (answers x input tokens) answers the query (s, r) with
margin

    h = (e_right - e_other)ᵀ W (e_s + e_r)

against every other answer. Training by gradient flow is biased towards the W of least norm with all training margins at
least 1: the nuclear norm where W is trained as a product, the Frobenius norm where it is trained as one matrix.

Whatever solves the problem, the proof is weak duality. For multipliers λ >= 0 of the margin constraints and every feasible W

    Σ λ_k  <=  Σ λ_k h_k(W) = <W, Y>  <=  ‖W‖ ‖Y‖*,     Y = Σ λ_k (e_right - e_other)(e_s + e_r)ᵀ,

so Σ λ / ‖Y‖* bounds the optimum from below (‖·‖* is the dual norm: the largest singular value for the nuclear norm, Frobenius
for itself). `certify` computes both sides itself and trusts nobody's word.

Source: Huang et al. 2025, arXiv:2506.10887, section 4; the closed form of the symmetric family is derived in `symmetric`.
"""

import math
import warnings
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.optimize import minimize, nnls
from scipy.sparse import csr_array

from assay.core.errors import InputError, SettingsError, WorkError
from assay.core.extras import load_extra
from assay.studies.knowledge.out_of_context_reasoning.world import RecallWorld

__all__ = [
    "Certificate",
    "MarginProblem",
    "Norm",
    "SchattenSolution",
    "Solution",
    "SymmetricSolution",
    "certify",
    "least_schatten",
    "multipliers_for",
    "norm_of",
    "solve",
    "symmetric",
]

Norm = Literal["nuclear", "frobenius"]
PURPOSE = "the conic max-margin program"
LARGEST_SYSTEM = 30_000_000  # entries of the dense system that `multipliers_for` solves; 240 MB


@dataclass(frozen=True, eq=False)
class MarginProblem:
    """Which answers must beat all others, and where.

    Attributes:
        n_answers: rows of W.
        n_inputs: columns of W.
        columns: the two columns (relation, subject) that each query adds up.
        labels: the row that must win each query.
    """

    n_answers: int
    n_inputs: int
    columns: Int[ndarray, "queries 2"]
    labels: Int[ndarray, " queries"]

    @classmethod
    def of(cls, world: RecallWorld) -> "MarginProblem":
        """The problem whose constraints are a world's training pairs; columns are the relations, then the subjects."""
        subject, relation = world.pairs(world.taught)
        columns = np.stack([relation, 2 + subject], axis=1)
        return cls(world.n_answers, 2 + world.n_subjects, columns, world.answers[subject, relation])

    @cached_property
    def others(self) -> Bool[ndarray, "queries n_answers"]:
        """Which answers a query's label has to beat: all but itself."""
        others: Bool[ndarray, "queries n_answers"] = np.arange(self.n_answers) != self.labels[:, None]
        return others

    def margins(self, W: Float[ndarray, "n_answers n_inputs"]) -> Float[ndarray, "queries n_answers"]:
        """The margin of each query's label over each answer (0 over itself), in logits."""
        logits = (W[:, self.columns[:, 0]] + W[:, self.columns[:, 1]]).T
        margins: Float[ndarray, "queries n_answers"] = np.take_along_axis(logits, self.labels[:, None], axis=1) - logits
        return margins

    def least_margin(self, W: Float[ndarray, "n_answers n_inputs"]) -> float:
        """The smallest margin over all queries and other answers, in logits."""
        return float(self.margins(W)[self.others].min())

    def combine(self, multipliers: Float[ndarray, "queries n_answers"]) -> Float[ndarray, "n_answers n_inputs"]:
        """Y: the sum of the constraints' matrices, each times its multiplier."""
        pull = -np.where(self.others, multipliers, 0.0)
        np.put_along_axis(pull, self.labels[:, None], -pull.sum(axis=1, keepdims=True), axis=1)
        Y = np.zeros((self.n_inputs, self.n_answers))
        np.add.at(Y, self.columns[:, 0], pull)
        np.add.at(Y, self.columns[:, 1], pull)
        combined: Float[ndarray, "n_answers n_inputs"] = Y.T
        return combined


@dataclass(frozen=True)
class Certificate:
    """How far a matrix is from optimal, at the most.

    Attributes:
        norm: whose problem.
        value: norm of the matrix scaled to least margin 1; infinite if some margin is not positive.
        bound: a number that no feasible matrix's norm can be below.
    """

    norm: Norm
    value: float
    bound: float

    @property
    def gap(self) -> float:
        """The matrix's norm exceeds the optimum by at most this share of the bound."""
        return (self.value - self.bound) / self.bound if self.bound > 0 else math.inf


@dataclass(frozen=True, eq=False)
class Solution:
    """A solver's answer: the matrix at least margin 1, its multipliers, and what both prove."""

    W: Float[ndarray, "n_answers n_inputs"]
    multipliers: Float[ndarray, "queries n_answers"]
    certificate: Certificate


def norm_of(W: Float[ndarray, "rows columns"], norm: Norm) -> float:
    """Sum of the singular values, or root of their summed squares; nan for a matrix that is not finite."""
    if not np.isfinite(W).all():
        return math.nan
    return float(np.linalg.norm(W, "nuc" if norm == "nuclear" else "fro"))


def certify(
    problem: MarginProblem,
    W: Float[ndarray, "n_answers n_inputs"],
    multipliers: Float[ndarray, "queries n_answers"],
    norm: Norm,
) -> Certificate:
    """What weak duality proves about W; valid for any multipliers, tight for optimal ones.

    Negative multipliers are outside the dual cone and count as 0, so a sloppy solver weakens the bound and cannot falsify it.
    """
    multipliers = np.where(problem.others, np.maximum(multipliers, 0.0), 0.0)
    Y = problem.combine(multipliers)
    dual_norm = float(np.linalg.norm(Y, 2 if norm == "nuclear" else "fro"))
    margin = problem.least_margin(W)
    value = norm_of(W, norm) / margin if margin > 0 else math.inf
    return Certificate(norm, value, float(multipliers.sum()) / dual_norm if dual_norm > 0 else 0.0)


def multipliers_for(
    problem: MarginProblem, W: Float[ndarray, "n_answers n_inputs"], norm: Norm, *, slack: float = 0.05
) -> Float[ndarray, "queries n_answers"]:
    """Multipliers that certify a candidate as well as least squares can: Y as near as possible to a subgradient of ‖W‖.

    Only constraints within `slack` of the least margin take part (complementary slackness). For the nuclear norm the fit is
    made on the tangent space of W's rank, where the subgradient is determined.

    Raises:
        InputError: some training margin is not positive, or the problem is too large for a dense system.
    """
    margins = problem.margins(W)
    least = margins[problem.others].min()
    if least <= 0:
        raise InputError(f"a candidate must get every training pair right to be certified; its least margin is {least:.3g}")
    active = np.argwhere(problem.others & (margins <= least * (1 + slack)))
    entries = len(active) * W.size
    if entries > LARGEST_SYSTEM:
        raise InputError(
            f"certifying a candidate solves a dense system of at most {LARGEST_SYSTEM:,} entries; this one has {entries:,} "
            f"({len(active):,} active constraints). Use a smaller world, or `symmetric` for the symmetric family"
        )
    if norm == "nuclear":
        U, sigma, Vt = np.linalg.svd(W, full_matrices=False)
        rank = int((sigma > 1e-3 * sigma[0]).sum())
        left, right = U[:, :rank] @ U[:, :rank].T, Vt[:rank].T @ Vt[:rank]
        target = U[:, :rank] @ Vt[:rank]
    else:
        left, right = np.eye(problem.n_answers), np.eye(problem.n_inputs)
        target = W / np.linalg.norm(W)
    # Each constraint's matrix (e_right - e_other)(e_r + e_s)ᵀ has rank one, so its projection is two outer products.
    rise = np.eye(problem.n_answers)[problem.labels[active[:, 0]]] - np.eye(problem.n_answers)[active[:, 1]]
    where = np.eye(problem.n_inputs)[problem.columns[active[:, 0]]].sum(axis=1)
    kept = rise @ left
    system = np.einsum("ki,kj->kij", kept, where) + np.einsum("ki,kj->kij", rise - kept, where @ right)
    found, _ = nnls(system.reshape(len(active), -1).T, target.reshape(-1), maxiter=30 * len(active))
    multipliers = np.zeros_like(margins)
    multipliers[tuple(active.T)] = found
    return multipliers


def solve(problem: MarginProblem, norm: Norm) -> Solution:
    """The least-norm matrix of a general problem by a conic program (interior point), with its certificate.

    Cost grows steeply with size; seconds for tens of rows and columns under the nuclear norm. The certificate's `gap` says how
    good the answer is.

    Raises:
        MissingExtra: cvxpy or clarabel is not installed (extra `opt`).
        WorkError: no matrix separates the problem, or the solver gave up.
    """
    cvxpy = load_extra("cvxpy", "opt", PURPOSE)
    load_extra("clarabel", "opt", PURPOSE)
    query, other = np.nonzero(problem.others)
    label, constraint = problem.labels[query], np.arange(len(query))
    rows, entries, signs = [], [], []
    for row, sign in ((label, 1.0), (other, -1.0)):
        for side in (0, 1):
            rows.append(constraint)
            entries.append(row + problem.n_answers * problem.columns[query, side])  # column-major, as cvxpy.vec
            signs.append(np.full(len(query), sign))
    shape = (len(query), problem.n_answers * problem.n_inputs)
    margin_of = csr_array((np.concatenate(signs), (np.concatenate(rows), np.concatenate(entries))), shape=shape)
    W = cvxpy.Variable((problem.n_answers, problem.n_inputs))
    separated = margin_of @ cvxpy.vec(W, order="F") >= 1
    program = cvxpy.Problem(cvxpy.Minimize(cvxpy.normNuc(W) if norm == "nuclear" else cvxpy.norm(W, "fro")), [separated])
    with warnings.catch_warnings():
        # "Solution may be inaccurate" and the like: how accurate it is, the certificate says in numbers.
        warnings.simplefilter("ignore", UserWarning)
        try:
            program.solve(solver=cvxpy.CLARABEL)
        except cvxpy.error.SolverError as error:
            raise WorkError(f"the conic solver must find a max-margin matrix; it failed with: {error}") from error
    if W.value is None or separated.dual_value is None:
        raise WorkError(f"a max-margin matrix must exist; the solver reports '{program.status}'. Does a query have two labels?")
    multipliers = np.zeros(problem.others.shape)
    multipliers[query, other] = separated.dual_value
    found = np.asarray(W.value)
    found = found / problem.least_margin(found)
    return Solution(found, multipliers, certify(problem, found, multipliers, norm))


@dataclass(frozen=True)
class SymmetricSolution:
    """The max-margin solution of an intact world, exactly; every property is a formula.

    With u_i = e_i - 1/n and g(s) the group of s: W[b, s] = u_g(s) for every subject, W[c, s] = u_g(s) for bridges and
    `completion` u_g(s) for held-out subjects; column r1 is +1/2 on facts and -1/2 on implications, r2 its negative.

    Attributes:
        n: groups.
        m_train: bridge subjects in each group.
        m_test: held-out subjects in each group.
        norm: which norm is least.
        completion: y, how much of the bridges' implication block the held-out block has.
        value: the norm itself (for Frobenius not squared).
        rank: of W.
    """

    n: int
    m_train: int
    m_test: int
    norm: Norm
    completion: float
    value: float
    rank: int

    @property
    def margin_to_other_implications(self) -> float:
        """Margin of a held-out implication over c_j of another group, in units of the training margin."""
        return self.completion

    @property
    def margin_to_own_fact(self) -> float:
        """Margin of a held-out implication over the subject's own fact b_i."""
        return 1 - (1 - self.completion) * (self.n - 1) / self.n

    @property
    def margin_to_other_facts(self) -> float:
        """Margin of a held-out implication over the fact b_j of another group."""
        return 2 - (1 - self.completion) * (self.n - 1) / self.n

    def matrix(self) -> Float[ndarray, "answers inputs"]:
        """W: rows b_1 … b_n, c_1 … c_n; columns r1, r2, subjects in the order of `RecallWorld`."""
        n, m = self.n, self.m_train + self.m_test
        W = np.empty((2 * n, 2 + n * m))
        W[:n, 0] = W[n:, 1] = 0.5
        W[n:, 0] = W[:n, 1] = -0.5
        for k in range(m):
            strength = 1.0 if k < self.m_train else self.completion
            block = slice(2 + n * k, 2 + n * (k + 1))
            for rows, scale in ((slice(0, n), 1.0), (slice(n, 2 * n), strength)):
                W[rows, block] = -scale / n
                np.einsum("ii->i", W[rows, block])[...] += scale
        return W

    def multipliers(self) -> Float[ndarray, "queries answers"]:
        """Multipliers that prove optimality, for `MarginProblem.of` the intact world of these sizes.

        A bridge's fact and implication hold each other off with 1/(2 m_train √n) each (this makes the relation columns); the
        other multipliers stand between answers of one family and make the polar factor of `symmetric`'s K, divided by n.
        """
        n, mt, me = self.n, self.m_train, self.m_test
        if self.norm == "frobenius":
            fact, implication, held_out, between = 1 / n, 1 / n, 1 / n, 1 / (2 * mt)
        else:
            m, polar = mt + me, (0.0, 1.0, 1.0)
            if mt > me:
                polar = ((mt - me) / math.sqrt(2 * m * mt), math.sqrt(m / (2 * mt)), math.sqrt(2 * me / m))
            fact, implication = polar[0] / math.sqrt(mt) / n, polar[1] / math.sqrt(mt) / n
            held_out, between = polar[2] / math.sqrt(me) / n, 1 / (2 * mt * math.sqrt(n))
        group = np.arange(n)

        def block(own_family: float, other_family: float, members: int, label_row: int) -> Float[ndarray, "queries answers"]:
            rows = np.zeros((n, 2 * n))
            rows[:, label_row : label_row + n] = own_family
            rows[group, label_row + group] = 0.0
            rows[group, (label_row + n) % (2 * n) + group] = other_family
            return np.tile(rows, (members, 1))

        return np.concatenate([block(fact, between, mt, 0), block(implication, between, mt, n), block(held_out, 0.0, me, 0)])


def symmetric(n: int, m_train: int, m_test: int, norm: Norm) -> SymmetricSolution:
    """The max-margin solution of the intact world with these sizes, for any n, in microseconds.

    Permuting groups, and subjects inside a group, maps solutions to solutions, so some optimum is invariant. An invariant block
    is a multiple of the centred identity U (besides constants, which only cost), so W lives on two parts: the relations' part,
    whose norm is √n, and n - 1 equal copies of

        K(y) = [[√m_train, √m_test], [√m_train, y √m_test]]        (rows: facts, implications)

    with ‖K‖_F² = 2 m_train + m_test (1 + y²), least at y = 0, and ‖K‖_nuc² = ‖K‖_F² + 2 |det K| with
    |det K| = √(m_train m_test) |1 - y|, least at y = √(m_train/m_test), or at y = 1 if that exceeds 1.

    Raises:
        SettingsError: n < 2 or a group without bridge or without held-out subject.
    """
    if n < 2 or m_train < 1 or m_test < 1:
        raise SettingsError(
            f"the symmetric family needs n >= 2, m_train >= 1 and m_test >= 1; got n={n}, m_train={m_train}, m_test={m_test}"
        )
    if norm == "frobenius":
        return SymmetricSolution(n, m_train, m_test, norm, 0.0, math.sqrt(n + (n - 1) * (2 * m_train + m_test)), 2 * n - 1)
    y = min(math.sqrt(m_train / m_test), 1.0)
    squared = 2 * m_train + m_test * (1 + y * y) + 2 * math.sqrt(m_train * m_test) * (1 - y)
    value = math.sqrt(n) + (n - 1) * math.sqrt(squared)
    return SymmetricSolution(n, m_train, m_test, norm, y, value, n if m_train >= m_test else 2 * n - 1)


@dataclass(frozen=True)
class SchattenSolution:
    """The least invariant matrix under a Schatten-p (quasi-)norm, found numerically.

    Attributes:
        p: order of the norm.
        completion: held-out margin over the bridges' margin, against other implications.
        value: (Σ σ^p)^(1/p) at least margin 1.
        low_rank: whether each group's 2 x 2 part has rank one, so that W has rank n.
    """

    p: float
    completion: float
    value: float
    low_rank: bool


@cache
def least_schatten(n: int, m_train: int, m_test: int, p: float) -> SchattenSolution:
    """The least Schatten-p solution among the matrices that permutations of groups and subjects leave alone.

    A product of L matrices of least summed squares has least Schatten-2/L norm (p = 2, 1: Frobenius, nuclear). For p < 1 rank
    is cheap to give up: with a = bridges' facts at strength above 1 the 2 x 2 part can be of rank one while every margin is at
    least 1, which gives a held-out margin near (m_train/m_test)^(1/4), larger than the nuclear solution's square root.

    Unlike `symmetric` this fixes no coefficient beforehand: the four strengths of K, the two relations' offsets and the two
    constants of bridge and held-out columns are free. For p < 1 the problem is not convex; the best of several starts, of
    full rank and of rank one, is returned.

    Raises:
        SettingsError: sizes outside the family, or p not positive.
    """
    symmetric(n, m_train, m_test, "nuclear")  # the same sizes are refused
    if p <= 0:
        raise SettingsError(f"a Schatten norm needs p > 0; got p={p}")
    shrink = 1 - 1 / n

    # The free coefficients: offsets of r1 and r2, constants of bridge and held-out columns, then K = [[a, b], [c, d]]. Plain
    # floats: the minimiser differentiates numerically and calls these ten thousand times.
    def unpacked(z: Float[ndarray, " free"]) -> tuple[float, ...]:
        r1, r2, bridge, held_out, a, b, c, *last = z.tolist()
        return r1, r2, bridge, held_out, a, b, c, last[0] if last else b * c / a  # without the last, of rank one

    def power_sum(z: Float[ndarray, " free"]) -> float:
        r1, r2, bridge, held_out, a, b, c, d = unpacked(z)
        relations = 2 * n * (r1 * r1 + r2 * r2 + n * m_train * bridge * bridge + n * m_test * held_out * held_out)
        square = m_train * (a * a + c * c) + m_test * (b * b + d * d)
        determinant = m_train * m_test * (a * d - b * c) ** 2
        larger = (square + math.sqrt(max(square * square - 4 * determinant, 0.0))) / 2
        of_smaller = (determinant / larger + 1e-14) ** (p / 2) if len(z) == 8 else 0.0
        return float(relations ** (p / 2) + (n - 1) * (larger ** (p / 2) + of_smaller))

    def slacks(z: Float[ndarray, " free"]) -> Float[ndarray, " constraints"]:
        r1, r2, bridge, held_out, a, b, c, d = unpacked(z)
        fact, implication, other = 2 * (r1 + bridge), 2 * (r2 - bridge), 2 * (r1 + held_out)
        return np.array(
            [
                *(a - 1, (a - c) * shrink + fact - 1, a * shrink + c / n + fact - 1),  # a bridge's fact over all others
                *(c - 1, (c - a) * shrink + implication - 1, c * shrink + a / n + implication - 1),  # and its implication
                *(b - 1, (b - d) * shrink + other - 1, b * shrink + d / n + other - 1),  # a held-out subject's fact
            ]
        )

    best: SchattenSolution | None = None
    fourth_root = max((m_test / m_train) ** 0.25, 1.0)
    for strength in (1.0, fourth_root):
        for last in ([], [0.3], [0.9]):
            start = np.array([0.5, 0.5, 0.0, 0.0, strength, 1.0, 1.0, *last])
            found = minimize(
                power_sum,
                start,
                constraints={"type": "ineq", "fun": slacks},
                method="SLSQP",
                options={"maxiter": 80, "ftol": 1e-13},
            )
            if slacks(found.x).min() < -1e-6:
                continue
            value = float(found.fun) ** (1 / p)
            if best is None or value < best.value * (1 - 1e-9):
                *_, a, b, c, d = unpacked(found.x)
                low_rank = abs(a * d - b * c) < 1e-3 * (a * a + b * b + c * c + d * d)
                best = SchattenSolution(p, d / c, value, low_rank)
    if best is None:
        raise WorkError(
            f"a least Schatten solution must exist; no start converged for n={n}, m_train={m_train}, m_test={m_test}, p={p}"
        )
    return best
