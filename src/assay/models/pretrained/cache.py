"""The models on this machine: one folder a model, whole or not there, with the hashes of its files and where it is from.

It lies in the user's cache folder, or where the variable ASSAY_CACHE says. A model that is only linked keeps its files where
they were; the cache then holds a record of the place.
"""

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from assay.core.errors import InputError, StoreError
from assay.core.places import user_cache
from assay.store.files import sync_folder, write_atomically

__all__ = ["CachedModel", "cache_folder", "faults", "find", "fingerprint", "link", "listed", "put", "remove"]

RECORD = "assay-model.json"
_LINKED = "link.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


@dataclass(frozen=True)
class CachedModel:
    """A model that can be loaded by name.

    Attributes:
        name: for `load` and the command line.
        folder: where its files are.
        linked: the files belong to the user and stay when the model is removed from the cache.
        source: what it was made from.
        licence: as far as it is known; may be empty.
        architecture: of its configuration.
        n_parameters: elements of its weights.
        added: when, in UTC.
        files: size in bytes and SHA-256 of each file that Assay wrote; empty for a link.
        notes: what was seen while it was added.
    """

    name: str
    folder: Path
    linked: bool
    source: str
    licence: str
    architecture: str
    n_parameters: int
    added: str
    files: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes on disk."""
        if self.files:
            return sum(size for size, _ in self.files.values())
        return sum(path.stat().st_size for path in self.folder.glob("*") if path.is_file()) if self.folder.is_dir() else 0


def cache_folder() -> Path:
    """Where models are kept; ASSAY_CACHE names another place."""
    return user_cache() / "models"


def find(name: str) -> CachedModel | None:
    """The model of that name, or None; a hub id `owner/name` stands under `owner--name`."""
    name = name.replace("/", "--")
    return _read(cache_folder() / name) if _NAME.fullmatch(name) else None


def listed() -> list[CachedModel]:
    """All models of the cache, by name."""
    found = (_read(path) for path in sorted(cache_folder().glob("*")) if _NAME.fullmatch(path.name))
    return [model for model in found if model is not None]


def put(name: str, build: Callable[[Path], Mapping[str, object]]) -> CachedModel:
    """Let `build` fill an empty folder, then show it under `name`, whole or not at all; one process at a time.

    Args:
        name: letters, digits, dots, hyphens and underscores.
        build: writes the model's files; returns source, licence, architecture, n_parameters and notes for its record.

    Raises:
        InputError: the name cannot be one.
        StoreError: the cache cannot be written.
    """
    folder = cache_folder()
    path = folder / _checked(name)
    unfinished = folder / f".part-{path.name}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{path.name}.lock"):
            if (found := _read(path)) is not None:
                return found
            for rest in (unfinished, path):  # a folder without a record is what a killed process left
                shutil.rmtree(rest, ignore_errors=True)
            unfinished.mkdir()
            try:
                record = dict(build(unfinished))
                record |= {"files": _hashes(unfinished), "added": _now()}
                write_atomically(unfinished / RECORD, json.dumps(record, indent=1).encode())
                unfinished.rename(path)
            except BaseException:
                shutil.rmtree(unfinished, ignore_errors=True)
                raise
            sync_folder(folder)
    except OSError as error:
        raise StoreError(
            f"the model cache must be writable; {error.filename or folder}: {error.strerror}. Free space or name another "
            f"place with ASSAY_CACHE"
        ) from error
    made = _read(path)
    assert made is not None
    return made


def link(name: str, folder: Path, record: Mapping[str, object]) -> CachedModel:
    """Show a folder of the user under `name`; its files stay where they are.

    Raises:
        InputError: the name cannot be one or is taken.
        StoreError: the cache cannot be written.
    """
    if find(name) is not None:
        raise InputError(f"the name '{name}' must be free; a model of that name is in the cache. Choose another with --name")

    def build(into: Path) -> Mapping[str, object]:
        write_atomically(into / _LINKED, json.dumps({"folder": str(folder.resolve())}).encode())
        return record

    return put(name, build)


def remove(name: str) -> CachedModel:
    """Delete a model from the cache and return what it was; the files of a linked one stay.

    Raises:
        InputError: there is no such model.
    """
    found = find(name)
    if found is None:
        known = ", ".join(model.name for model in listed()) or "none"
        raise InputError(f"a model to remove must be in the cache; got '{name}'. In the cache: {known}")
    path = cache_folder() / found.name.replace("/", "--")
    with FileLock(cache_folder() / f".{path.name}.lock"):
        (path / RECORD).unlink(missing_ok=True)  # first, so that a kill leaves a folder that counts as unfinished
        shutil.rmtree(path)
    return found


def faults(model: CachedModel) -> list[str]:
    """What is wrong with a model's files, by name; empty when they are as they were written."""
    found = []
    for name, (size, sha256) in model.files.items():
        path = model.folder / name
        if not path.is_file() or path.stat().st_size != size or _sha256(path) != sha256:
            found.append(f"{path} is missing or altered. Run: assay models rm {model.name}, then add it again")
    return found


def fingerprint(folder: Path) -> str:
    """The SHA-256 over the names and contents of a model folder's files: what a stored result depends on."""
    try:
        record = json.loads((folder / RECORD).read_text())
        hashes = {name: sha256 for name, (_, sha256) in record["files"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        hashes = {}
    if not hashes:
        hashes = {name: sha256 for name, (_, sha256) in _hashes(folder).items()}
    lines = "".join(f"{sha256} {name}\n" for name, sha256 in sorted(hashes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def _checked(name: str) -> str:
    name = name.replace("/", "--")
    if not _NAME.fullmatch(name):
        raise InputError(
            f"a model's name must be letters, digits, dots, hyphens and underscores, at most 80; got {name!r}. Choose one "
            f"with --name"
        )
    return name


def _read(path: Path) -> CachedModel | None:
    """The record of a finished model; None for anything else."""
    try:
        record = json.loads((path / RECORD).read_text())
        folder, linked = path, (path / _LINKED).is_file()
        if linked:
            folder = Path(json.loads((path / _LINKED).read_text())["folder"])
        return CachedModel(
            name=str(record.get("name", path.name)),
            folder=folder,
            linked=linked,
            source=str(record["source"]),
            licence=str(record["licence"]),
            architecture=str(record["architecture"]),
            n_parameters=int(record["n_parameters"]),
            added=str(record["added"]),
            files={} if linked else {name: (int(size), str(sha256)) for name, (size, sha256) in record["files"].items()},
            notes=tuple(map(str, record.get("notes", ()))),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _hashes(folder: Path) -> dict[str, tuple[int, str]]:
    paths = sorted(path for path in folder.iterdir() if path.is_file() and path.name != RECORD)
    with suppress(OSError):
        for path in paths:
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
    return {path.name: (path.stat().st_size, _sha256(path)) for path in paths}


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
