"""Runs on the move: a folder that holds everything a set of rows needs, and the way back into a store.

The folder has `runs.jsonl` (one row a line, with settings, claims, environment and row hash), the tables as `artefacts/<hash>`,
and `manifest.json` with the number of rows and the hash of `runs.jsonl`. It is written beside its place and renamed when whole.
"""

import dataclasses
import hashlib
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assay.core.errors import InputError, StoreError
from assay.store.files import write_atomically
from assay.store.rows import StoredRun, row_hash
from assay.store.store import Store
from assay.store.tables import Row, decode_table

__all__ = ["export_runs", "import_runs"]

_FORMAT = 1
_BATCH = 200


def export_runs(store: Store, folder: Path, *, study: str | None = None) -> int:
    """Write the newest row of every run (of one study, or of all) to a new folder and return how many there are.

    Raises:
        InputError: the folder exists or cannot be written.
        StoreError: rows or artefacts do not verify.
    """
    if folder.exists():
        raise InputError(f"an export needs a folder that does not exist yet; {folder} does. Name another")
    runs = store.runs(study)
    unfinished = folder.with_name(folder.name + ".part")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        (unfinished / "artefacts").mkdir(parents=True)
        for digest in sorted({digest for run in runs for digest in run.tables.values()}):
            (unfinished / "artefacts" / digest).write_bytes(store.artefact(digest))
        text = "".join(_to_json(run) + "\n" for run in runs).encode()
        write_atomically(unfinished / "runs.jsonl", text)
        manifest = {"format": _FORMAT, "n_runs": len(runs), "sha256": hashlib.sha256(text).hexdigest()}
        write_atomically(unfinished / "manifest.json", json.dumps(manifest, indent=1).encode())
        unfinished.rename(folder)
    except BaseException as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        if isinstance(error, OSError):
            raise InputError(f"an export's folder must be writable; {error.filename or folder}: {error.strerror}") from error
        raise
    return len(runs)


def import_runs(store: Store, folder: Path) -> int:
    """Add the runs of an exported folder that are not stored yet, each checked, and return how many were added.

    Raises:
        InputError: the folder is not a complete export, or a row or artefact in it is not as it was written.
        StoreError: the store cannot be written.
    """
    runs = list(_read(folder))
    new = [run for run in runs if not store.has(run.run_id)]
    for start in range(0, len(new), _BATCH):
        batch: list[tuple[StoredRun, dict[str, list[Row]]]] = []
        for run in new[start : start + _BATCH]:
            batch.append((run, {name: _table(folder, digest) for name, digest in run.tables.items()}))
        store.add_all(batch)
    return len(new)


def _read(folder: Path) -> Iterator[StoredRun]:
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        data = (folder / "runs.jsonl").read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"an export has manifest.json and runs.jsonl; {folder}: {error}. Export again") from error
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
        raise InputError(
            f"an export must be of format {_FORMAT}; {folder / 'manifest.json'} says otherwise. Install a newer assay"
        )
    if hashlib.sha256(data).hexdigest() != manifest.get("sha256"):
        raise InputError(f"an export must be as it was written; {folder / 'runs.jsonl'} was altered. Export again")
    for position, line in enumerate(data.splitlines(), 1):
        try:
            yield _from_json(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError, StoreError) as error:
            raise InputError(
                f"each line of an export must be a run; {folder / 'runs.jsonl'}, line {position}: {error}"
            ) from error


def _table(folder: Path, digest: str) -> list[Row]:
    path = folder / "artefacts" / digest
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"an export must be whole; {path}: {error}. Export again") from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise InputError(f"an export must be as it was written; {path} was altered. Export again")
    return decode_table(data)


def _to_json(run: StoredRun) -> str:
    row = {field.name: getattr(run, field.name) for field in dataclasses.fields(run)}
    row["estimands"] = {name: _number(value) for name, value in run.estimands.items()}
    row["items"] = {name: [_number(value) for value in values] for name, values in run.items.items()}
    return json.dumps({**row, "row_hash": row_hash(run)}, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _number(value: float) -> float | str:
    """A number as JSON; one that is not finite by its name, which `float` reads back."""
    return value if math.isfinite(value) else repr(value)


def _from_json(row: dict[str, Any]) -> StoredRun:
    expected = row.pop("row_hash")
    row["estimands"] = {name: float(value) for name, value in row["estimands"].items()}
    row["items"] = {name: tuple(map(float, values)) for name, values in row["items"].items()}
    run = StoredRun(**row)
    if run.status not in ("ok", "diverged", "failed") or row_hash(run) != expected:
        raise ValueError("the row does not match its hash")
    return run
