"""Numbers and rows of several runs end up with their runs."""

import numpy as np
import pytest

from assay.claims.study import Measurement
from assay.core.errors import Diverged
from assay.protocols.rows import Rows


def test_each_run_gets_its_own_numbers_and_rows() -> None:
    found = Rows(2)
    found.estimand("arm/loss", np.array([0.5, 0.25]))
    found.rows("losses", {"arm": "a", "loss": np.array([0.5, 0.25])})
    found.curve("course", {"arm": "a", "loss": np.array([[3.0, 2.0], [1.0, 0.0]])}, along={"step": [10, 20]})
    first, second = found.measurements()
    assert isinstance(first, Measurement)
    assert isinstance(second, Measurement)
    assert (first.estimands, second.estimands) == ({"arm/loss": 0.5}, {"arm/loss": 0.25})
    assert first.tables["losses"] == [{"arm": "a", "loss": 0.5}]
    assert second.tables["course"] == [{"step": 10, "arm": "a", "loss": 1.0}, {"step": 20, "arm": "a", "loss": 0.0}]


def test_the_first_failure_stands() -> None:
    found = Rows(2)
    first = Diverged(3, 0.5)
    found.failures([first, None])
    found.failures([Diverged(4, 0.1), None])
    assert found.measurements()[0] is first
    assert isinstance(found.measurements()[1], Measurement)


def test_a_number_for_every_run() -> None:
    with pytest.raises(ValueError, match="zip"):
        Rows(2).estimand("x", [1.0])
    assert len(Rows(2)) == 2
