"""States of a training run on disk: whole or not there, checked by hash, the newest whole one wins.

    folder/step-00000100/state.safetensors   weights that are trained, optimiser moments, generator state
    folder/step-00000100/state.json          what run it belongs to, the step, the trace so far, and the hash of the other file

The JSON file is written last and the folder gets its name after that, so a kill at any moment leaves the states that were
whole.
A copied folder stays valid: nothing in it depends on where it lies.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from assay.core.errors import InputError, SettingsError, StoreError
from assay.store.files import sync_folder, write_atomically

__all__ = ["Checkpoints", "State"]


@dataclass(frozen=True)
class State:
    """A moment of a training run.

    Attributes:
        step: how many steps were taken.
        tensors: by name.
        record: what else is needed, as JSON values.
        skipped: newer checkpoints that were not whole, and why.
    """

    step: int
    tensors: Mapping[str, Tensor]
    record: Mapping[str, Any]
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checkpoints:
    """Where a run's states are kept.

    Attributes:
        folder: of this run alone.
        every: steps between two states; the last state of a run is always kept.
        keep: how many states stay; older ones are deleted.
    """

    folder: Path
    every: int = 100
    keep: int = 2

    def __post_init__(self) -> None:
        if self.every < 1 or self.keep < 1:
            raise SettingsError(f"checkpoints: every and keep must be at least 1; got {self.every}, {self.keep}")

    def save(self, identity: str, state: State) -> None:
        """Put a state on disk, synced; then delete what is older than the newest `keep`.

        Raises:
            StoreError: the folder cannot be written.
        """
        path = self.folder / f"step-{state.step:08d}"
        unfinished = self.folder / f".part-{path.name}"
        with _written(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            for rest in (unfinished, path):
                if rest.is_dir():
                    shutil.rmtree(rest)
            unfinished.mkdir()
            tensors = unfinished / "state.safetensors"
            save_file({name: value.detach().contiguous() for name, value in state.tensors.items()}, tensors)
            with tensors.open("rb+") as stream:
                os.fsync(stream.fileno())
            content = {
                "identity": identity,
                "step": state.step,
                "record": dict(state.record),
                "bytes": tensors.stat().st_size,
                "sha256": _sha256(tensors),
            }
            write_atomically(unfinished / "state.json", json.dumps(content, allow_nan=False).encode())
            unfinished.rename(path)
            sync_folder(self.folder)
            for old in self._paths()[self.keep :]:
                shutil.rmtree(old)

    def newest(self, identity: str) -> State | None:
        """The newest whole state of the run, or None when there is none.

        Raises:
            InputError: the folder holds states of another run.
        """
        skipped: list[str] = []
        for path in self._paths():
            try:
                content = json.loads((path / "state.json").read_text())
                theirs, step, record = content["identity"], int(content["step"]), content["record"]
                expected = (content["bytes"], content["sha256"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                skipped.append(f"{path.name}: state.json cannot be read ({type(error).__name__})")
                continue
            if theirs != identity:
                raise InputError(
                    f"checkpoints in {self.folder} must be of this run; they are of another one "
                    "(its recipe, examples, seeds or weights differ). Name an empty folder"
                )
            tensors = path / "state.safetensors"
            try:
                if (tensors.stat().st_size, _sha256(tensors)) != expected:
                    skipped.append(f"{path.name}: state.safetensors is not what was written")
                    continue
                return State(step, load_file(tensors), record, tuple(skipped))
            except (OSError, SafetensorError) as error:
                skipped.append(f"{path.name}: state.safetensors cannot be read ({type(error).__name__})")
        return None

    def _paths(self) -> list[Path]:
        """The states' folders, newest first."""
        return sorted((path for path in self.folder.glob("step-*") if path.is_dir()), reverse=True)


@contextmanager
def _written(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise StoreError(f"a checkpoint must be writable; {folder}: {said}. Free space, or name another folder") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
