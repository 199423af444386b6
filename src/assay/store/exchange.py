"""Runs on the move: a folder that holds everything a set of rows needs, and the way back into a store.

The folder has `runs.jsonl` (one row a line, with settings, claims, environment and row hash), the tables as `artefacts/<hash>`,
and `manifest.json` with the number of rows and the hash of `runs.jsonl`. It is written beside its place and renamed when whole.
A name that ends in `.tar.xz` makes it one compressed file of the same content, equal for equal rows.

The reference store that ships with the source is one such file a study, see `reference_files`.
"""

import dataclasses
import hashlib
import json
import lzma
import math
import shutil
import tarfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import assay
from assay.core.errors import InputError, StoreError
from assay.store.files import write_atomically
from assay.store.rows import StoredRun, row_hash
from assay.store.store import Store
from assay.store.tables import Row, decode_table

__all__ = ["REFERENCE", "Compared", "compare_runs", "export_runs", "import_runs", "reference_files"]

_FORMAT = 1
_BATCH = 200
_PACKED = ".tar.xz"
_LARGEST = 2**30  # bytes of an unpacked file: what a hostile one could fill the disk with
REFERENCE = "reference"


@dataclasses.dataclass(frozen=True)
class Compared:
    """How far a run made here is from the same computation (settings, sources, seed) made elsewhere.

    Attributes:
        study: slug, with the `experiment`'s name and the `seed`.
        difference: the largest of |here - there| / max(1, |there|) over all numbers of the run; 0 where each has the same bits,
            infinite where one is missing, or not finite on one side alone.
        number: the name of the number that differs most; empty where none does.
        same_environment: whether both were made by the same versions on the same class of machine.
    """

    study: str
    experiment: str
    seed: int
    difference: float
    number: str
    same_environment: bool


def reference_files() -> list[Path]:
    """The files of the reference store: counted runs of each study, as they came with the source; empty where none did."""
    package = Path(assay.__file__).parent
    folders = [package / REFERENCE, package.parents[1] / REFERENCE]  # a wheel carries them inside, a checkout beside the source
    return next((found for folder in folders if (found := sorted(folder.glob(f"*{_PACKED}")))), [])


def export_runs(store: Store, target: Path, *, study: str | None = None, only: Collection[str] | None = None) -> int:
    """Write the newest row of every run (of one study, or of all) to a new folder or file and return how many there are.

    Args:
        store: where the runs are.
        target: a folder that does not exist yet; with a name that ends in `.tar.xz` one compressed file.
        study: only this study's.
        only: only the runs with these ids.

    Raises:
        InputError: the target exists or cannot be written, or there is no such run.
        StoreError: rows or artefacts do not verify.
    """
    if target.exists():
        raise InputError(f"an export needs a name that does not exist yet; {target} does. Name another")
    runs = [run for run in store.runs(study) if only is None or run.run_id in only]
    if not runs:
        held = ", ".join(sorted({run.study for run in store.runs()})) or "no study"
        wanted = f"run{f' of {study}' if study else ''} that is stored{' and counts' if only is not None else ''}"
        raise InputError(f"an export needs at least one {wanted}; {store.folder} has runs of {held}")
    if not target.name.endswith(_PACKED):
        return _write_folder(store, runs, target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=target.parent) as scratch:
            count = _write_folder(store, runs, Path(scratch) / "runs")
            _pack(Path(scratch) / "runs", Path(scratch) / "packed")
            (Path(scratch) / "packed").rename(target)
    except OSError as error:
        raise InputError(f"an export's place must be writable; {error.filename or target}: {error.strerror}") from error
    return count


def _pack(folder: Path, target: Path) -> None:
    """One file of a folder's content; equal content gives equal bytes."""
    with lzma.open(target, "wb", preset=9) as stream, tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = tarfile.TarInfo(file.relative_to(folder).as_posix())
            entry.size = file.stat().st_size
            with file.open("rb") as content:
                tar.addfile(entry, content)


@contextmanager
def _unpacked(source: Path) -> Iterator[Path]:
    """The folder of an export: itself, or what a packed file holds."""
    if source.is_dir() or not source.name.endswith(_PACKED):
        yield source
        return
    with TemporaryDirectory() as scratch:
        try:
            with lzma.open(source) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
                room = _LARGEST
                for entry in tar:
                    room -= entry.size
                    if not entry.isfile() or room < 0:
                        raise InputError(
                            f"an export must hold plain files of 1 GiB in all at most; {source}: {entry.name!r}. Export again"
                        )
                    tar.extract(entry, scratch, filter="data")
        except (OSError, EOFError, lzma.LZMAError, tarfile.TarError) as error:
            raise InputError(f"an export must be as it was written; {source}: {error}. Export again") from error
        yield Path(scratch)


def _write_folder(store: Store, runs: list[StoredRun], folder: Path) -> int:
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


def import_runs(store: Store, source: Path, *, origin: str = "") -> int:
    """Add the runs of an export that are not stored yet, each checked and marked as imported; return how many were added.

    Args:
        store: open for writing.
        source: a folder or file that `export_runs` wrote.
        origin: what the runs are marked with; the name of the folder or file if empty.

    Raises:
        InputError: the source is not a complete export, or a row or artefact in it is not as it was written.
        StoreError: the store cannot be written.
    """
    with _unpacked(source) as folder:
        new = [run for run in _read(folder) if not store.has(run.run_id)]
        for start in range(0, len(new), _BATCH):
            batch: list[tuple[StoredRun, dict[str, list[Row]]]] = []
            for run in new[start : start + _BATCH]:
                batch.append((run, {name: _table(folder, digest) for name, digest in run.tables.items()}))
            store.add_all(batch)
        store.mark_imported([run.run_id for run in new], origin or source.name)
    return len(new)


def compare_runs(store: Store, source: Path) -> list[Compared]:
    """The runs that both the store and an export hold, each made on its own; runs imported into the store take no part.

    Raises:
        InputError: the source is not a complete export.
        StoreError: rows do not verify.
    """
    imported = store.origins()
    own = {run.run_id: run for run in store.runs() if run.run_id not in imported}
    with _unpacked(source) as folder:
        return [_compared(own[there.run_id], there) for there in _read(folder) if there.run_id in own]


def _compared(here: StoredRun, there: StoredRun) -> Compared:
    mine, theirs = _numbers(here), _numbers(there)
    differences = {name: _difference(mine[name], theirs[name]) for name in mine.keys() & theirs.keys()}
    differences |= dict.fromkeys(mine.keys() ^ theirs.keys(), math.inf)
    number = max(sorted(differences), key=differences.__getitem__, default="")
    largest = differences.get(number, 0.0)
    same = dict(here.environment) == dict(there.environment)
    return Compared(here.study, here.experiment, here.seed, largest, number if largest else "", same)


def _numbers(run: StoredRun) -> dict[str, float]:
    items = {f"{name}[{place}]": value for name, values in run.items.items() for place, value in enumerate(values)}
    return {**run.estimands, **items}


def _difference(here: float, there: float) -> float:
    if here == there or (math.isnan(here) and math.isnan(there)):
        return 0.0
    difference = abs(here - there) / max(1.0, abs(there))
    return difference if math.isfinite(difference) else math.inf


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
