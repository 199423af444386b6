"""One writer at a time: a file lock that names its holder."""

import json
import math
import os
import socket
import sys
import time
from pathlib import Path

from filelock import FileLock, Timeout

from assay.core.errors import StoreError
from assay.store.files import write_atomically

__all__ = ["WriterLock"]


class WriterLock:
    """The right to write one store; the operating system gives it back when the process dies, however it dies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = FileLock(folder / "writer.lock")
        self._holder = folder / "writer.json"

    def acquire(self, wait_s: float) -> None:
        """Take the lock, waiting at most `wait_s` seconds (infinite: as long as it takes).

        Raises:
            StoreError: another process holds it; the message names its id, machine and command.
        """
        try:
            self._lock.acquire(timeout=-1 if math.isinf(wait_s) else wait_s, poll_interval=0.05)
        except Timeout as error:
            raise StoreError(
                f"a store has one writer at a time; {self._folder} is being written by {self._who()}. "
                "Wait for it to end (assay run --wait), or name another store with --store"
            ) from error
        holder = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "command": " ".join(sys.argv)[:200],
            "since": time.strftime("%H:%M:%S"),
        }
        write_atomically(self._holder, json.dumps(holder).encode())

    def release(self) -> None:
        """Give the lock back."""
        if self._lock.is_locked:
            self._holder.unlink(missing_ok=True)
            self._lock.release()

    def _who(self) -> str:
        try:
            holder = json.loads(self._holder.read_text())
            return f"process {holder['pid']} on {holder['host']} ({holder['command']}) since {holder['since']}"
        except (OSError, ValueError, KeyError):
            return "another process"
