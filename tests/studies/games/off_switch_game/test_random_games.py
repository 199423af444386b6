"""Random games are as many, as different and as fine as they are asked to be."""

import numpy as np
import pytest

from assay.core.seeds import Seeds
from assay.studies.games.off_switch_game.random_games import OffSwitchBatch, cell_games, kernel_games, redundant_games


def different(batch: OffSwitchBatch, largest: int) -> None:
    """Payoffs are integers up to `largest` either way, both of which come up, and no two states have the same in all games."""
    assert (batch.act.min(), batch.act.max()) == (-largest, largest)
    assert len({tuple(row) for row in batch.act.tolist()}) > 100
    for one in range(batch.act.shape[1]):
        for other in range(one):
            assert (batch.act[:, one] != batch.act[:, other]).any()


def test_cells_of_a_table_are_equally_likely_and_seen_by_row_and_column() -> None:
    batch = cell_games(200, 2, 3, rng=Seeds(0)("cells"), largest=5)
    different(batch, 5)
    assert (batch.weight == 1).all()
    for state, table in enumerate(batch.observe[0]):
        assert np.argwhere(table).tolist() == [[state // 3, state % 3]]


@pytest.mark.parametrize("grain", [5, 6])
def test_probabilities_are_multiples_of_the_grain(grain: int) -> None:
    kernels = kernel_games(200, 4, 2, 3, rng=Seeds(0)("kernels"), grain=grain, largest=7)
    different(kernels, 7)
    assert (kernels.weight.sum(axis=1) == grain).all()
    assert (kernels.observe.sum(axis=(2, 3)) == grain).all()
    for redundant in ("assistant", "human"):
        games = redundant_games(200, 4, 2, 3, rng=Seeds(0)(redundant), grain=grain, largest=7, redundant=redundant)
        different(games, 7)
        assert (games.weight.sum(axis=1) == grain).all()
        assert (games.observe.sum(axis=(2, 3)) == grain**2).all()
        # Given the other side's, the redundant observation says nothing of the state: all its rows are multiples of one.
        for table in (
            games.observe[:20].transpose(0, 2, 1, 3) if redundant == "assistant" else games.observe[:20].transpose(0, 3, 1, 2)
        ):
            for rows in table:  # [state, redundant side's observation]
                assert np.linalg.matrix_rank(rows) <= 1


def test_default_probabilities_are_sixths() -> None:
    for games in (kernel_games(9, 4, 2, 3, rng=Seeds(0)("k")), redundant_games(9, 4, 2, 3, rng=Seeds(0)("r"))):
        assert (games.weight.sum(axis=1) == 6).all()
