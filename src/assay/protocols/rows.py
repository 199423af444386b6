"""What several runs yield, gathered as it is found: named numbers, tidy table rows, and the runs that diverged."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from numpy import ndarray

from assay.claims.study import Measurement, Table
from assay.core.errors import Diverged

__all__ = ["Rows"]

Cell = float | int | str | bool


class Rows:
    """Estimands and table rows of `n_runs` runs; `Rows(1)` for one.

    found = Rows(len(seeds))
    found.estimand("factorised/loss", losses)                          # one number a run
    found.rows("losses", {"arm": "factorised", "loss": losses})        # one row a run
    found.curve("course", {"loss": curves}, along={"step": steps})     # a row a run and step
    return found.measurements()
    """

    def __init__(self, n_runs: int) -> None:
        self._estimands: list[dict[str, float]] = [{} for _ in range(n_runs)]
        self._tables: list[dict[str, Table]] = [{} for _ in range(n_runs)]
        self._diverged: list[Diverged | None] = [None] * n_runs

    def __len__(self) -> int:
        return len(self._estimands)

    def estimand(self, name: str, values: Sequence[float] | Float[ndarray, " runs"]) -> None:
        """Enter one number per run."""
        for run, value in zip(self._estimands, values, strict=True):
            run[name] = float(value)

    def rows(self, table: str, cells: Mapping[str, Cell | Float[ndarray, " runs"]]) -> None:
        """Enter one row per run; a cell is the same for all runs, or an array with one value each."""
        for run, tables in enumerate(self._tables):
            row = {name: float(cell[run]) if isinstance(cell, ndarray) else cell for name, cell in cells.items()}
            tables.setdefault(table, []).append(row)

    def curve(
        self,
        table: str,
        cells: Mapping[str, Cell | Float[ndarray, "runs rows"]],
        along: Mapping[str, Sequence[Cell]],
    ) -> None:
        """Enter several rows per run.

        Args:
            table: its name.
            cells: the same for all runs and rows, or an array with one value each.
            along: the columns that are the same in all runs, such as steps; one value a row.
        """
        columns = [[(name, value) for value in values] for name, values in along.items()]
        for place, shared in enumerate(zip(*columns, strict=True)):
            values = {name: cell[:, place] if isinstance(cell, ndarray) else cell for name, cell in cells.items()}
            self.rows(table, dict(shared) | values)

    def failures(self, diverged: Sequence[Diverged | None]) -> None:
        """Note the runs that left the finite numbers in some arm; the first failure stands."""
        self._diverged = [old or new for old, new in zip(self._diverged, diverged, strict=True)]

    def measurements(self) -> list[Measurement | Diverged]:
        """What every run yields."""
        return [
            failure or Measurement(estimands, tables)
            for failure, estimands, tables in zip(self._diverged, self._estimands, self._tables, strict=True)
        ]
