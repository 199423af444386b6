"""Files that are wholly there or not there at all: written beside their place, synced, renamed."""

import os
from pathlib import Path

__all__ = ["sync_folder", "write_atomically"]


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` so that after a crash at any moment `path` holds the old bytes or the new ones, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".part-{os.getpid()}-{path.name}"
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
