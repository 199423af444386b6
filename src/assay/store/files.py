"""Files that are either wholly there or not there: written beside their place, synced, renamed; and tables by their hash."""

import hashlib
import json
import math
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.core.errors import StoreError

__all__ = ["Artefacts", "Row", "decode_table", "encode_table", "plain_rows", "sync_folder", "write_atomically"]

Scalar = float | int | str | bool
Row = dict[str, Scalar]
_TEMPORARY = ".part-"
_LARGEST_TABLE = 1 << 28
_REPAIR = "Restore it, or remove its runs ('assay store rm --damaged') and repeat them"


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` so that after a crash at any moment `path` holds the old bytes or the new ones, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{_TEMPORARY}{os.getpid()}-{path.name}"
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names inside `folder` survive a power cut (where the system can open a folder at all)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Artefacts:
    """Tables under the SHA-256 of their file: `artefacts/ab/cdef…`; equal tables are kept once.

    The hash is taken over the file's bytes, so `sha256sum` alone can check a copy.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: str) -> Path:
        """Where the artefact lies or would lie."""
        return self.folder / digest[:2] / digest[2:]

    def put(self, data: bytes) -> str:
        """The hash under which the bytes now lie on disk, synced; a damaged file of that name is replaced."""
        digest = hashlib.sha256(data).hexdigest()
        path = self.path(digest)
        if not path.is_file() or path.read_bytes() != data:
            new = not path.parent.is_dir()
            write_atomically(path, data)
            if new:
                sync_folder(self.folder)
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes of an artefact.

        Raises:
            StoreError: the file is missing or its bytes do not match its name.
        """
        path = self.path(digest)
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise StoreError(f"artefact {digest[:12]}… must exist; {path} is missing. {_REPAIR}") from error
        except OSError as error:
            raise StoreError(f"artefact {digest[:12]}… must be readable; {path}: {error.strerror}") from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise StoreError(f"artefact {digest[:12]}… was altered: the bytes of {path} do not match its name. {_REPAIR}")
        return data

    def listed(self) -> Iterator[str]:
        """The hashes of all files, in order."""
        for path in sorted(self.folder.glob("[0-9a-f][0-9a-f]/*")):
            if not path.name.startswith(_TEMPORARY):
                yield path.parent.name + path.name

    def sweep(self, keep: set[str]) -> int:
        """Delete every artefact not in `keep` and every half-written file; return how many went."""
        gone = [self.path(digest) for digest in self.listed() if digest not in keep]
        gone += list(self.folder.glob(f"*/{_TEMPORARY}*"))
        for path in gone:
            path.unlink(missing_ok=True)
        return len(gone)


def encode_table(table: Sequence[Mapping[str, Scalar]]) -> bytes:
    """A table of tidy rows as compressed canonical JSON, column by column; the same rows always give the same bytes.

    Numbers that are not finite and cells that a row does not have are written as such beside the values, so that JSON stays
    JSON and every row comes back as it was.

    Raises:
        TypeError: a value is neither a number nor a text.
    """
    names = list(dict.fromkeys(name for row in table for name in row))
    columns: dict[str, list[Scalar | None]] = {}
    special: dict[str, dict[str, str]] = {}
    for name in names:
        values: list[Scalar | None] = []
        for index, row in enumerate(table):
            value = _plain(row[name], name) if name in row else None
            if value is None or (isinstance(value, float) and not math.isfinite(value)):
                special.setdefault(name, {})[str(index)] = "absent" if value is None else repr(value)
                value = None
            values.append(value)
        columns[name] = values
    text = json.dumps(
        {"n_rows": len(table), "order": names, "columns": columns, "special": special}, sort_keys=True, separators=(",", ":")
    )
    return zlib.compress(text.encode(), 6)


def decode_table(data: bytes) -> list[Row]:
    """The rows that `encode_table` was given, keys in order of first appearance.

    Raises:
        StoreError: the data are not a table, or one so large that it can only be meant to fill the memory.
    """
    reader = zlib.decompressobj()
    try:
        text = reader.decompress(data, _LARGEST_TABLE)
        if not reader.eof:
            raise StoreError(f"a table must be whole and of at most {_LARGEST_TABLE} bytes; this one is not. {_REPAIR}")
        return _rows(json.loads(text))
    except (zlib.error, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise StoreError(f"a table must be readable; {type(error).__name__}: {error}. {_REPAIR}") from error


def _rows(stored: dict[str, Any]) -> list[Row]:
    special = {name: {int(index): what for index, what in cells.items()} for name, cells in stored["special"].items()}
    rows: list[Row] = [{} for _ in range(stored["n_rows"])]
    for name in stored["order"]:
        cells = special.get(name, {})
        for index, value in enumerate(stored["columns"][name]):
            if index in cells:
                if cells[index] == "absent":
                    continue
                value = float(cells[index])
            rows[index][name] = value
    return rows


def plain_rows(table: Sequence[Mapping[str, object]]) -> list[Row]:
    """The rows with Python's own numbers and texts, NumPy's and torch's scalars converted.

    Raises:
        TypeError: a value is neither a number nor a text.
    """
    return [{str(name): _plain(value, name) for name, value in row.items()} for row in table]


def _plain(value: object, column: str) -> Scalar:
    if isinstance(value, (bool, str, int, float)) and type(value).__module__ == "builtins":
        return value
    item = getattr(value, "item", None)  # a NumPy or torch scalar
    if callable(item) and getattr(value, "ndim", 0) == 0:
        value = item()
    if isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(
        f"a table holds numbers and texts; got {type(value).__name__} in column '{column}'. Reduce it, or leave the cell out"
    )
