"""Stored runs for other tools: a Parquet file, or a local project of a tracker with W&B's calls. The libraries do the work.

A run is a row, as of `Results.to_dicts("runs")`: what it is, its settings as `settings_NAME`, its numbers by their own names.
"""

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assay.api.results import run_row
from assay.core.errors import InputError, StoreError
from assay.core.extras import load_extra
from assay.core.settings import spelled
from assay.store.rows import StoredRun

__all__ = ["to_parquet", "to_tracker"]


def to_parquet(runs: Sequence[StoredRun], target: Path) -> int:
    """Write the runs to a Parquet file that does not exist yet, and return how many there are.

    Raises:
        MissingExtra: pyarrow is not installed.
        InputError: the file exists, or there is no run.
        StoreError: it cannot be written.
    """
    arrow = load_extra("pyarrow", "parquet", "a Parquet file")
    parquet = load_extra("pyarrow.parquet", "parquet", "a Parquet file")
    if target.exists():
        raise InputError(f"an export needs a name that does not exist yet; {target} does. Name another")
    rows = _rows(runs)
    names = dict.fromkeys(name for row in rows for name in row)
    try:
        parquet.write_table(arrow.table({name: _column(name, rows) for name in names}), str(target))
    except OSError as error:
        raise StoreError(f"an export's place must be writable; {target}: {error.strerror or error}") from error
    return len(rows)


def to_tracker(runs: Sequence[StoredRun], project: str) -> int:
    """Log each run into a project of trackio on this machine, settings as its configuration, and return how many there are.

    Raises:
        MissingExtra: trackio is not installed.
        InputError: there is no run.
    """
    tracker = load_extra("trackio", "track", "a local tracker")
    rows = _rows(runs)
    with contextlib.redirect_stdout(io.StringIO()):  # it greets every run
        for run, row in zip(runs, rows, strict=True):
            config = {name: row[name] for name in ("study", "experiment", "seed", "preset")} | dict(run.settings)
            tracker.init(project=project, name=f"{run.study}/{run.experiment}/{run.run_id}", config=config)
            tracker.log({**run.estimands, "wall_s": run.wall_s})
            tracker.finish()
    return len(rows)


def _column(name: str, rows: Sequence[dict[str, Any]]) -> list[Any]:
    """The values of a column, all of one type: as texts where experiments give a setting of this name different ones."""
    values = [row.get(name) for row in rows]
    kinds = {float if isinstance(value, int) and not isinstance(value, bool) else type(value) for value in values}
    if len(kinds - {type(None)}) > 1:
        return [None if value is None else spelled(value) for value in values]
    return values


def _rows(runs: Sequence[StoredRun]) -> list[dict[str, Any]]:
    """A row a run, whose values a column can hold."""
    if not runs:
        raise InputError("an export needs at least one run that is stored; there is none. Run a study first")
    rows = [run_row(run) for run in runs]
    return [
        {name: spelled(value) if isinstance(value, (list, tuple)) else value for name, value in row.items()} for row in rows
    ]
