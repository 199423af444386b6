"""What a chart draws equals a plain loop over the rows, whatever their order; nothing missing is read as a number."""

import math
import random
import statistics
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.claims.study import Scalar, Table
from assay.core.errors import InputError
from assay.report.points import group, label
from assay.stats import intervals

values = st.one_of(st.floats(-1e3, 1e3), st.sampled_from([math.nan, math.inf]))
row = st.fixed_dictionaries(
    {"run": st.integers(0, 4), "x": st.sampled_from([1, 2, 10]), "by": st.sampled_from(["a", "b", True, False]), "y": values}
)


@given(st.lists(row, min_size=1, max_size=40))
def test_means_are_those_of_a_plain_loop(table: Table) -> None:
    gathered: dict[tuple[Scalar, ...], dict[Scalar, list[float]]] = defaultdict(lambda: defaultdict(list))
    missing = 0
    for cells in table:
        if math.isfinite(float(cells["y"])):
            key = (cells["by"], isinstance(cells["by"], bool), cells["x"])
            gathered[key][cells["run"]].append(float(cells["y"]))
        else:
            missing += 1
    means, lost = group(table, ("by", "x"), where="figure 'f'").means("y")
    assert lost == missing
    assert len(means) == len(gathered)
    for (by, x), mean in means.items():
        runs = gathered[by, isinstance(by, bool), x]
        expected = [statistics.fmean(runs[run]) for run in sorted(runs, key=float)]
        assert mean.n == len(runs)
        assert mean.values.tolist() == pytest.approx(expected)
        assert mean.estimate == pytest.approx(statistics.fmean(expected), abs=1e-9)
        if mean.n == 1:
            assert mean.low is None
            assert mean.high is None
        else:
            interval = intervals.mean(mean.values, level=0.95)
            assert (mean.low, mean.high) == (interval.low, interval.high)


@given(st.lists(row, min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_the_order_in_which_runs_were_stored_does_not_matter(table: Table, shuffler: random.Random) -> None:
    runs = sorted({int(cells["run"]) for cells in table})
    shuffler.shuffle(runs)
    regrouped = [cells for run in runs for cells in table if cells["run"] == run]
    first, second = (group(rows, ("by", "x"), where="") for rows in (table, regrouped))
    assert first.keys == second.keys
    a, b = first.means("y")[0], second.means("y")[0]
    assert {key: mean.values.tolist() for key, mean in a.items()} == {key: mean.values.tolist() for key, mean in b.items()}


def test_numbers_rise_and_texts_keep_the_order_of_the_measurement() -> None:
    table: Table = [{"run": 1, "k": k, "y": 0.0} for k in ("late", 10, "early", 2, 2.5)]
    assert group(table, ("k",), where="").keys == ((2, 2.5, 10, "late", "early"),)


def test_a_run_with_many_rows_in_a_group_counts_once() -> None:
    table: Table = [{"run": 0, "y": 0.0}, {"run": 0, "y": 2.0}, {"run": 1, "y": 5.0}]
    (mean,) = group(table, (None,), where="").means("y")[0].values()
    assert mean.values.tolist() == [1.0, 5.0]


@pytest.mark.parametrize(
    ("column", "says"), [("z", "'z' is absent. The table has: run, y"), ("t", "must hold numbers; got 'no'")]
)
def test_a_column_that_cannot_be_drawn_is_named(column: str, says: str) -> None:
    table: Table = [{"run": 0, "y": 1.0}] if column == "z" else [{"run": 0, "t": "no"}]
    with pytest.raises(InputError, match=says):
        group(table, (None,), where="figure 'f'").means(column)


def test_labels_are_spelled_for_readers() -> None:
    assert [label(value, {"4": "four"}) for value in (4, 4.0, 0.5, True, "x")] == ["four", "4", "0.5", "yes", "x"]
