"""Expensive steps (a pretrained base, a corpus index): built once, under a lock, whole or not at all, shared by all studies.

    base = memoised("pretrained-base", {"settings": settings, "seed": 0}, build)   # a folder that build(folder) has filled

The key is joined with a digest of the code that `build` reaches (see `assay.store.sources`), so that changed code builds
anew. Every file carries its hash: one that is missing or altered is noticed before it is used (once a process, and whenever its
size or time changes), and the step is built again, which this module's log says. A study calls `memoised` from inside
`measure`; in every executor's workers it means the folder of the store that the command writes.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from assay.core.errors import SettingsError, StoreError
from assay.core.places import default_folder
from assay.core.settings import canonical_json, digest
from assay.store.files import sync_folder, write_atomically
from assay.store.sources import source_digest, symbols_of

__all__ = ["Memo", "Memos", "memoised", "memoised_json", "memos_in"]

Build = Callable[[Path], None]
_folder: ContextVar[Path | None] = ContextVar("memo folder", default=None)
_MANIFEST = "memo.json"
_VALUE = "value.json"
_log = logging.getLogger(__name__)
_sound: dict[Path, tuple[int, int]] = {}  # files whose hash this process has checked: size and time in nanoseconds


@dataclass(frozen=True)
class Memo:
    """One memoised step: its name, key, the folder's path, size in bytes and when it was built (UTC)."""

    name: str
    key: Mapping[str, object]
    path: Path
    size: int
    created: str


class Memos:
    """The memoised steps in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, name: str, key: Mapping[str, object], build: Build) -> Path:
        """The folder that `build(folder)` filled for this name, key and code; built now if it is not there.

        Several processes may ask at once: one builds, the others wait. What `build` had written when it failed or was killed is
        thrown away.

        Args:
            name: a slug.
            key: what the result depends on: settings, seed; JSON values or settings records.
            build: writes files into the empty folder it is given.

        Raises:
            SettingsError: the name is not a slug or the key has no JSON form.
            StoreError: the folder cannot be written.
        """
        return self._get(name, key, build, source_digest(symbols_of(build)))

    def _get(self, name: str, key: Mapping[str, object], build: Build, code: str) -> Path:
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) or len(name) > 80:
            raise SettingsError(f"a memoised step is named by a slug of at most 80 characters; got {name!r}")
        whole = {"name": name, "key": dict(key), "code": code}
        path = self.folder / f"{name}-{digest(whole)}"
        if path.is_dir() and not _faults(path):
            return path
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / f"{path.name}.lock"):
                faults = _faults(path) if path.is_dir() else ["it is not there"]
                if faults and path.is_dir():
                    _log.warning("assay: the memoised step '%s' is built again: %s", name, faults[0])
                    shutil.rmtree(path)
                if faults:
                    self._build(path, whole, build)
        except OSError as error:
            says = f"{error.filename or path}: {error.strerror}. Free space, or name another store with ASSAY_STORE"
            raise StoreError(f"a memoised step must be writable; {says}") from error
        return path

    def json(self, name: str, key: Mapping[str, object], make: Callable[[], object]) -> Any:
        """What `make()` returned for this name, key and code, as JSON gives it back (a tuple as a list); see `get`."""

        def build(folder: Path) -> None:
            (folder / _VALUE).write_text(json.dumps(make()))

        path = self._get(name, key, build, source_digest(symbols_of(make)))
        return json.loads((path / _VALUE).read_text())

    def _build(self, path: Path, whole: Mapping[str, object], build: Build) -> None:
        unfinished = path.with_name(path.name + ".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        try:
            build(unfinished)
            files = {}
            for file in sorted(unfinished.rglob("*")):
                if file.is_file():
                    files[file.relative_to(unfinished).as_posix()] = [file.stat().st_size, _hash(file)]
                    _sync(file)
            manifest = json.loads(canonical_json(dict(whole))) | {
                "files": files,
                "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            }
            write_atomically(unfinished / _MANIFEST, json.dumps(manifest, indent=1).encode())
            unfinished.rename(path)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        sync_folder(self.folder)

    def listed(self) -> list[Memo]:
        """All finished steps, by name."""
        found = []
        for manifest in sorted(self.folder.glob(f"*/{_MANIFEST}")):
            path = manifest.parent
            if path.suffix == ".part":
                continue
            try:
                content = json.loads(manifest.read_text())
                size = sum(entry[0] for entry in content["files"].values())
                found.append(Memo(str(content["name"]), content["key"], path, size, content["created"]))
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                found.append(Memo(path.name, {}, path, 0, ""))
        return found

    def faults(self, memo: Memo) -> list[str]:
        """What is wrong with the files of a step, by name; empty when they are as they were built."""
        return [f"{says}. Remove the step; it is built again when needed" for says in _faults(memo.path, anew=True)]

    def remove(self, memo: Memo) -> None:
        """Delete a step; a process that is building it finishes first."""
        with FileLock(self.folder / f"{memo.path.name}.lock"):
            shutil.rmtree(memo.path)


@contextmanager
def memos_in(folder: Path) -> Iterator[None]:
    """Inside the block, `memoised` keeps its folders below `folder`."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


def memoised(name: str, key: Mapping[str, object], build: Build) -> Path:
    """`Memos.get` in the store that the running command uses (outside of a command: the default store)."""
    return _memos().get(name, key, build)


def memoised_json(name: str, key: Mapping[str, object], make: Callable[[], object]) -> Any:
    """`Memos.json` in the store that the running command uses (outside of a command: the default store)."""
    return _memos().json(name, key, make)


def _memos() -> Memos:
    return Memos(_folder.get() or default_folder() / "memos")


def _faults(path: Path, *, anew: bool = False) -> list[str]:
    """What is wrong with the files of a finished step; files that this process has checked are not read again unless `anew`."""
    try:
        files = json.loads((path / _MANIFEST).read_bytes())["files"]
        expected = {str(name): (int(size), str(digest)) for name, (size, digest) in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return [f"{path / _MANIFEST} cannot be read"]
    return [
        f"{path / name} is missing or altered" for name, state in expected.items() if not _as_built(path / name, state, anew)
    ]


def _as_built(file: Path, expected: tuple[int, str], anew: bool) -> bool:
    try:
        found = file.stat()
        state = (found.st_size, found.st_mtime_ns)
        if not anew and _sound.get(file) == state:
            return True
        if found.st_size != expected[0] or _hash(file) != expected[1]:
            return False
    except (OSError, ValueError):
        return False
    _sound[file] = state
    return True


def _hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync(file: Path) -> None:
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())
