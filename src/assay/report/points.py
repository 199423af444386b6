"""What a chart draws: means over runs of a column, grouped by other columns; whole columns at a time, so runs may be many."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from assay.claims.study import Scalar, Table
from assay.core.arrays import Floats, Ints
from assay.core.errors import InputError
from assay.stats import intervals

__all__ = ["LEVEL", "Grouped", "Mean", "group", "label"]

LEVEL = 0.95  # pointwise, of every interval a chart draws


@dataclass(frozen=True)
class Mean:
    """The mean of one group over its runs.

    Attributes:
        estimate: the mean of `values`.
        low, high: its t interval at `LEVEL`; None for one run, which has none.
        values: one value a run (a run with several rows in the group counts once, by its mean), in the order of the seeds.
    """

    estimate: float
    low: float | None
    high: float | None
    values: Floats

    @property
    def n(self) -> int:
        """How many runs."""
        return len(self.values)


@dataclass(frozen=True)
class Grouped:
    """A table cut into groups by key columns.

    Attributes:
        keys: each key column's distinct values in drawing order: numbers rising, then texts as the measurement lists them.
        n_runs: distinct runs in the table.
    """

    keys: tuple[tuple[Scalar, ...], ...]
    n_runs: int
    _codes: Ints  # group of each row, -1 where a key is missing
    _runs: Ints  # run of each row, rising
    _order: Ints  # rows of the table in the order of the runs
    _table: Table
    _where: str

    def numbers(self, column: str) -> Floats:
        """A column as numbers in the order of the runs; nan where it is absent.

        Raises:
            InputError: the column is nowhere in the table, or holds a text.
        """
        found = [row.get(column) for row in self._table]
        _present(column, found, self._table, self._where)
        try:
            return np.array([math.nan if value is None else value for value in found], dtype=np.float64)[self._order]
        except (TypeError, ValueError):
            text = next(value for value in found if isinstance(value, str))
            raise InputError(
                f"{self._where}: the column '{column}' must hold numbers; got {text!r}. Draw it as a category"
            ) from None

    def means(self, column: str, *, with_intervals: bool = True) -> tuple[dict[tuple[Scalar, ...], Mean], int]:
        """The mean over runs of `column` in each group, and how many of its values are missing (absent, nan or infinite).

        A missing value takes no part; it is never read as zero. A group with no value at all is left out.
        """
        values = self.numbers(column)
        kept = np.isfinite(values) & (self._codes >= 0)
        cells, inverse = np.unique(self._codes[kept] * self.n_runs + self._runs[kept], return_inverse=True)
        sums = np.bincount(inverse, weights=values[kept], minlength=len(cells))
        per_run = sums / np.maximum(np.bincount(inverse, minlength=len(cells)), 1)
        groups, starts = np.unique(cells // self.n_runs, return_index=True)
        found = {}
        for code, own in zip(groups.tolist(), np.split(per_run, starts[1:]), strict=False):
            low: float | None = None
            high: float | None = None
            if with_intervals and len(own) > 1:
                interval = intervals.mean(own, level=LEVEL)
                low, high = interval.low, interval.high
            found[self._key(code)] = Mean(float(own.mean()), low, high, own)
        return found, int(len(values) - kept.sum())

    def _key(self, code: int) -> tuple[Scalar, ...]:
        key = []
        for values in reversed(self.keys):
            code, position = divmod(code, max(len(values), 1))
            key.append(values[position])
        return tuple(reversed(key))


def group(table: Table, keys: Sequence[str | None], *, where: str) -> Grouped:
    """The table cut by its key columns; a key that is None has the single value "".

    Args:
        table: rows of all runs, each with the column `run`.
        keys: names of columns.
        where: what the table belongs to, for messages.

    Raises:
        InputError: a key column is nowhere in the table.
    """
    run_values = [row.get("run", 0) for row in table]
    seeds = {run: code for code, run in enumerate(sorted(set(run_values), key=lambda run: (str(type(run)), run)))}
    runs = np.array([seeds[run] for run in run_values], dtype=np.int64)
    order = np.argsort(runs, kind="stable")
    codes = np.zeros(len(table), dtype=np.int64)
    distinct: list[tuple[Scalar, ...]] = []
    for key in keys:
        if key is None:  # one value, which cuts nothing
            distinct.append(("",) if table else ())
            continue
        values, own = _factorised([row.get(key) for row in table], order, key, table, where)
        distinct.append(values)
        codes = np.where((codes < 0) | (own < 0), -1, codes * max(len(values), 1) + own)
    return Grouped(tuple(distinct), max(len(seeds), 1), codes[order], runs[order], order, table, where)


def label(value: Scalar, names: Mapping[str, str]) -> str:
    """How a column's value is spelled for readers."""
    if str(value) in names:
        return names[str(value)]
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _factorised(
    column: Sequence[Scalar | None], order: Ints, key: str, table: Table, where: str
) -> tuple[tuple[Scalar, ...], Ints]:
    """The distinct values of a column in drawing order, and each row's position among them (-1 where it is missing)."""
    _present(key, column, table, where)
    seen: dict[tuple[bool, Scalar], None] = {}  # True and 1 are equal as keys of a mapping, but are two values to a reader
    for row in order.tolist():
        value = column[row]
        if value is not None and value == value:  # nan is unequal to itself
            seen[isinstance(value, bool), value] = None
    drawn = list(_drawing_order(seen))
    position = {value: code for code, value in enumerate(drawn)}
    codes = [-1 if value is None or value != value else position[isinstance(value, bool), value] for value in column]
    return tuple(value for _, value in drawn), np.array(codes, dtype=np.int64)


def _drawing_order(seen: Mapping[tuple[bool, Scalar], None]) -> Iterator[tuple[bool, Scalar]]:
    yield from sorted((key for key in seen if not isinstance(key[1], str)), key=lambda key: float(key[1]))
    yield from (key for key in seen if isinstance(key[1], str))


def _present(column: str, values: Sequence[Scalar | None], table: Table, where: str) -> None:
    if table and all(value is None for value in values):
        columns = ", ".join(sorted({name for row in table[:100] for name in row}))
        raise InputError(f"{where}: a chart draws columns its table has; '{column}' is absent. The table has: {columns}")
