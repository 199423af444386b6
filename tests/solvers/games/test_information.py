"""Which signal tells more: planted garblings are found, separations are proved, and both proofs are checked here."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core.errors import InputError
from assay.solvers.games.information import compare, coordinated_garbling_test, garbling_test, may_be_garbling
from assay.worlds.games.assistance import hiding_as_signal
from assay.worlds.games.off_switch import uncoordinated_garbling_pair


def random_kernel(rng: np.random.Generator, rows: int, columns: int, grain: int = 6) -> np.ndarray:
    weights = rng.multinomial(grain, rng.dirichlet(np.ones(columns), size=rows))
    return np.array([[Fraction(int(w), grain) for w in row] for row in weights], dtype=object)


@settings(max_examples=40)
@given(seed=st.integers(0, 10**9))
def test_a_planted_garbling_is_found_and_proved(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fine, g = random_kernel(rng, 4, 3), random_kernel(rng, 3, 3)
    found = garbling_test(fine.dot(g), fine)
    assert found.holds
    assert found.exact
    assert (fine.dot(found.garbling) == fine.dot(g)).all()
    assert all(sum(row) == 1 and min(row) >= 0 for row in found.garbling)


@settings(max_examples=40)
@given(seed=st.integers(0, 10**9))
def test_a_separation_is_a_decision_problem(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k, f = random_kernel(rng, 4, 3), random_kernel(rng, 4, 3)
    found = garbling_test(k, f)
    if not found.holds:
        assert found.exact
        obey = (k * found.witness).sum()
        best = sum(max(column.dot(found.witness)) for column in f.T)
        assert obey - best == found.advantage > 0


def test_the_order_of_plain_signals() -> None:
    full, nothing = np.eye(3, dtype=int).tolist(), [[1]] * 3
    first_only, last_only = [[1, 0], [0, 1], [0, 1]], [[0, 1], [0, 1], [1, 0]]
    assert compare(full, nothing) == "finer"
    assert compare(nothing, full) == "coarser"
    assert compare(first_only, last_only) == "incomparable"
    assert compare(first_only, [row[::-1] for row in first_only]) == "equal"
    assert compare(full, first_only) == "finer"


def test_more_noise_is_less_information() -> None:
    def channel(error: Fraction) -> list[list[Fraction]]:
        return [[1 - error, error], [error, 1 - error]]

    assert compare(channel(Fraction(1, 10)), channel(Fraction(1, 4))) == "finer"
    assert compare(channel(Fraction(1, 10)), channel(Fraction(9, 10))) == "equal"


def test_hiding_by_a_rule_is_no_garbling_of_showing() -> None:
    game = hiding_as_signal()
    shown, signalling, blindly = (game.signal(policy) for policy in ((0, 0, 0, 0), (0, 1, 2, 0), (1, 1, 1, 1)))
    assert compare(signalling, shown) == "incomparable"
    assert compare(blindly, shown) == "coarser"


def test_floats_are_compared_to_a_tolerance() -> None:
    fine = np.array([[0.9, 0.1], [0.2, 0.8]])
    coarse = fine @ np.array([[0.7, 0.3], [0.4, 0.6]])
    found = garbling_test(coarse, fine)
    assert found.holds
    assert not found.exact
    assert np.allclose(fine @ found.garbling, coarse)
    other = garbling_test(fine, coarse)
    assert not other.holds
    assert other.advantage > 1e-3


def test_the_fast_test_never_contradicts_the_slow_one() -> None:
    rng = np.random.default_rng(0)
    problems = rng.standard_normal((64, 4, 3))
    ruled_out = 0
    for _ in range(60):
        k, f = random_kernel(rng, 4, 3), random_kernel(rng, 4, 3)
        open_ = may_be_garbling(k.astype(float), f.astype(float), problems=problems)
        assert open_ or not garbling_test(k, f).holds
        ruled_out += not open_
        assert may_be_garbling(f.dot(random_kernel(rng, 3, 3)).astype(float), f.astype(float), problems=problems)
    assert ruled_out > 30  # the fast test does most of the work


def structure(game: object) -> np.ndarray:
    return np.array(game.observe, dtype=object)  # type: ignore[attr-defined]


def test_the_paper_s_example_is_a_garbling_and_not_a_coordinated_one() -> None:
    first, second = (structure(game) for game in uncoordinated_garbling_pair())
    flat = [kernel.reshape(4, -1) for kernel in (first, second)]
    assert compare(flat[1], flat[0]) == "coarser"
    found = coordinated_garbling_test(second, first)
    assert not found.holds
    assert found.exact
    # The separating game: nobody can earn as much from a bit each as from obeying the second structure.
    obey = (second * found.witness).sum()
    best = max(
        sum(first[s, x, y] * found.witness[s, h[x], 0] for s in range(4) for x in range(2) for y in range(2))
        for h in ((0, 0), (0, 1), (1, 0), (1, 1))
    )
    assert obey - best == found.advantage > 0
    assert not coordinated_garbling_test(first, second).holds


def test_a_shared_coin_is_found() -> None:
    # Both sides see the state; a fair coin decides whether they see it truly or swapped, together.
    fine = np.zeros((2, 2, 2), dtype=object) + Fraction(0)
    fine[0, 0, 0] = fine[1, 1, 1] = Fraction(1)
    coarse = np.full((2, 2, 2), Fraction(0), dtype=object)
    for s in range(2):
        coarse[s, 0, 0] = coarse[s, 1, 1] = Fraction(1, 2)
    found = coordinated_garbling_test(coarse, fine)
    assert found.holds
    assert found.exact
    assert sum(weight for _, weight in found.mixture) == 1
    rebuilt = np.full((2, 2, 2), Fraction(0), dtype=object)
    for (human, assistant), weight in found.mixture:
        for s in range(2):
            rebuilt[s, human[s], assistant[s]] += weight
    assert (rebuilt == coarse).all()


def test_structures_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(InputError, match="same states; got 2 and 3"):
        garbling_test([[1], [1]], [[1], [1], [1]])
    with pytest.raises(InputError, match="must be a distribution"):
        garbling_test([[Fraction(1, 2)]], [[1]])
    many = np.full((1, 10, 10), Fraction(1, 100), dtype=object)
    with pytest.raises(InputError, match="at most 100,000"):
        coordinated_garbling_test(many, many)
    with pytest.raises(InputError, match="same states"):
        coordinated_garbling_test(many, np.concatenate([many, many]))
