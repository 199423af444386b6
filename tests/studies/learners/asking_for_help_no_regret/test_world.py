import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.errors import InputError, SettingsError
from assay.core.seeds import Seeds
from assay.studies.learners.asking_for_help_no_regret.world import (
    Cells,
    Half,
    blurred,
    boundary_inputs,
    noisy_labels,
    smooth_inputs,
    uniform_inputs,
)
from assay.worlds.mdps import FiniteMDP, random_trap_mdp


@given(st.integers(1, 3), st.floats(0, 20), st.integers(0, 10_000))
def test_a_half_space_generalises_locally(n_dims: int, lipschitz: float, seed: int) -> None:
    # Playing the mentor's action of x' at x costs at most L times the distance: the assumption of every theorem here.
    rng = Seeds(seed)("pairs")
    problem = Half.sample(n_dims, rng=rng, lipschitz=lipschitz)
    x, other = rng.random((50, n_dims)), rng.random((50, n_dims))
    loss = problem.loss(x, problem.mentor(other))
    assert (loss <= lipschitz * np.linalg.norm(x - other, axis=1) + 1e-12).all()
    assert ((loss >= 0) & (loss <= 1)).all()
    assert not problem.loss(x, problem.mentor(x)).any()


@given(st.integers(1, 40), st.booleans(), st.integers(0, 10_000))
def test_cells_generalise_locally(n_cells: int, structured: bool, seed: int) -> None:
    rng = Seeds(seed)("pairs")
    problem = Cells.sample(n_cells, rng=rng, structured=structured)
    x, other = rng.random((50, 1)), rng.random((50, 1))
    assert (problem.loss(x, problem.mentor(other)) <= np.abs(x - other)[:, 0] + 1e-12).all()


def test_structured_cells_change_once_and_free_cells_often() -> None:
    structured = Cells.sample(1000, rng=Seeds(0)("a"), structured=True)
    free = Cells.sample(1000, rng=Seeds(0)("a"))
    assert np.abs(np.diff(structured.safe)).sum() == 1
    assert 400 < np.abs(np.diff(free.safe)).sum() < 600  # 500 expected, standard error 16


def test_the_mean_stake_of_a_cell_is_a_quarter_of_its_width() -> None:
    problem = Cells.sample(10, rng=Seeds(0)("a"))
    grid = ((np.arange(10_000) + 0.5) / 10_000)[:, None]
    assert problem.stake(grid).mean() == pytest.approx(1 / 40, rel=1e-6)


@pytest.mark.parametrize("sigma", [1.0, 0.25, 0.01])
@pytest.mark.parametrize("n_dims", [1, 3])
def test_smooth_inputs_stay_in_boxes_of_volume_sigma(sigma: float, n_dims: int) -> None:
    x = smooth_inputs(1000, n_dims, sigma, rng=Seeds(0)("x"), n_phases=4)
    assert ((x >= 0) & (x <= 1)).all()
    for phase in range(4):
        assert np.prod(np.ptp(x[phase * 250 : (phase + 1) * 250], axis=0)) <= sigma


def test_boundary_inputs_are_moved_along_the_normal_by_log_uniform_distances() -> None:
    problem = Half.sample(2, rng=Seeds(0)("p"))
    free = boundary_inputs(problem, 4000, 0.0, rng=Seeds(0)("x"))
    assert np.array_equal(free, uniform_inputs(4000, 2, rng=Seeds(0)("x")))
    moved = boundary_inputs(problem, 4000, 1.0, rng=Seeds(0)("x"), closest=1e-4)
    distance = np.abs(problem.score(moved) - problem.offset)
    assert distance.min() >= 1e-4 * (1 - 1e-9)
    assert distance.max() <= 0.25 * (1 + 1e-9)
    assert np.mean(distance < 0.005) == pytest.approx(0.5, abs=0.04)  # 0.005 is the middle of the logarithms
    across = free - np.outer(problem.score(free), problem.normal)
    np.testing.assert_allclose(moved - np.outer(problem.score(moved), problem.normal), across, atol=1e-12)


def test_noise_flips_the_share_it_says() -> None:
    labels = np.zeros(10_000, dtype=np.int64)
    assert noisy_labels(labels, 0.2, rng=Seeds(0)("n")).mean() == pytest.approx(0.2, abs=0.02)
    assert not noisy_labels(labels, 0.0, rng=Seeds(0)("n")).any()


@given(st.floats(0, 1), st.integers(0, 1000))
def test_a_blurred_metric_shrinks_only_the_distance_along_the_normal(sight: float, seed: int) -> None:
    rng = Seeds(seed)("x")
    problem = Half.sample(3, rng=rng)
    x = rng.random((2, 3))
    seen = blurred(problem, x, sight)
    assert problem.score(seen) == pytest.approx(sight * problem.score(x), abs=1e-12)
    assert np.linalg.norm(seen[0] - seen[1]) <= np.linalg.norm(x[0] - x[1]) + 1e-12


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda rng: Half((1.0, 1.0), 0.5), "length 1"),
        (lambda rng: Half((1.0,), float("nan")), "finite"),
        (lambda rng: Half.sample(0, rng=rng), "at least 1"),
        (lambda rng: Cells((0, 2)), "safe action 0 or 1"),
        (lambda rng: Cells.sample(0, rng=rng), "at least 1"),
        (lambda rng: smooth_inputs(5, 1, 0.0, rng=rng), "sigma"),
        (lambda rng: boundary_inputs(Half((1.0,), 0.5), 5, 1.5, rng=rng), "share"),
        (lambda rng: noisy_labels(np.zeros(2, dtype=np.int64), -0.1, rng=rng), "flip"),
    ],
)
def test_bad_worlds_are_refused(make, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make(Seeds(0)("x"))


@given(st.integers(3, 6), st.integers(1, 3), st.integers(1, 2), st.integers(0, 1000))
def test_traps_pay_nothing_and_are_never_left(n_states: int, n_actions: int, traps: int, seed: int) -> None:
    mdp = random_trap_mdp(n_states, n_actions, rng=Seeds(seed)("mdp"), traps=traps)
    assert mdp.transition[-traps:, :, :-traps].sum() == 0
    assert not mdp.reward[-traps:].any()
    assert mdp.initial[-traps:].sum() == 0


@pytest.mark.parametrize(
    ("transition", "reward", "initial", "message"),
    [
        (np.full((2, 1, 2), 0.4), np.zeros((2, 1)), np.array([1.0, 0.0]), "probability law"),
        (np.array([[[1.5, -0.5]], [[0.0, 1.0]]]), np.zeros((2, 1)), np.array([1.0, 0.0]), "probability law"),
        (np.full((2, 1, 2), 0.5), np.array([[np.nan], [0.0]]), np.array([1.0, 0.0]), "finite"),
        (np.full((2, 1, 2), 0.5), np.zeros((2, 2)), np.array([1.0, 0.0]), "matching shapes"),
        (np.full((2, 1, 2), 0.5), np.zeros((2, 1)), np.array([1.0]), "one entry a state"),
    ],
)
def test_bad_mdps_are_refused(transition, reward, initial, message: str) -> None:
    with pytest.raises(InputError, match=message):
        FiniteMDP(transition, reward, initial)
