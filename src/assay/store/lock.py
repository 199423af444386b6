"""One writer a study: file locks that name their holder.

    writer.lock            held by whoever writes the whole store, and for the moment in which a study's writer opens it
    writers/<slug>.lock    held by the writer of one study

Whoever wants the whole store takes the first and then all the others, so that it waits for every study's writer and nobody new
begins meanwhile. The database itself lets one transaction in at a time.
"""

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

_POLL_S = 0.05


class WriterLock:
    """The right to write one study of a store, or all of it; the operating system gives it back when the process dies."""

    def __init__(self, folder: Path, study: str | None = None) -> None:
        self._folder, self._study = folder, study
        self._gate = FileLock(folder / "writer.lock")
        self._place = folder / "writer" if study is None else folder / "writers" / study
        self._own = self._gate if study is None else FileLock(self._place.with_name(f"{study}.lock"))
        self._others: list[FileLock] = []

    def acquire(self, wait_s: float) -> None:
        """Take the lock, waiting at most `wait_s` seconds (infinite: as long as it takes).

        The right to open the database comes with it; `opened` gives that back.

        Raises:
            StoreError: another process holds it; the message names its id, machine and command.
        """
        end = time.monotonic() + wait_s
        try:
            if self._study is None:
                self._take(self._gate, end, self._folder / "writer")
                for path in sorted((self._folder / "writers").glob("*.lock")):
                    self._others.append(FileLock(path))
                    self._take(self._others[-1], end, path.with_suffix(""))
            else:
                self._place.parent.mkdir(exist_ok=True)
                self._take_own(end)
        except BaseException:
            self._give_back()
            raise
        holder = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "command": " ".join(sys.argv)[:200],
            "since": time.strftime("%H:%M:%S"),
        }
        write_atomically(_holder(self._place), json.dumps(holder).encode())

    def opened(self) -> None:
        """The database is open: writers of other studies may open it, too."""
        if self._study is not None:
            self._gate.release()

    def release(self) -> None:
        """Give the lock back."""
        if self._own.is_locked:
            _holder(self._place).unlink(missing_ok=True)
        self._give_back()

    def _take_own(self, end: float) -> None:
        """The gate and the study's own lock together; the gate is not kept while waiting for the other."""
        while True:
            self._take(self._gate, end, self._folder / "writer")
            try:
                self._own.acquire(timeout=0)
            except Timeout:
                self._gate.release()
                if time.monotonic() >= end:
                    raise self._busy(self._place) from None
                time.sleep(_POLL_S)
            else:
                return

    def _take(self, lock: FileLock, end: float, place: Path) -> None:
        patience = -1 if math.isinf(end) else max(0.0, end - time.monotonic())
        try:
            lock.acquire(timeout=patience, poll_interval=_POLL_S)
        except Timeout as error:
            raise self._busy(place) from error

    def _give_back(self) -> None:
        for lock in (*self._others, self._own, self._gate):
            if lock.is_locked:
                lock.release()
        self._others = []

    def _busy(self, place: Path) -> StoreError:
        what = f"'{place.name}' in {self._folder}" if place.parent.name == "writers" else str(self._folder)
        return StoreError(
            f"a study has one writer at a time, and so has a store as a whole; {what} is being written by {_who(place)}. "
            "Wait for it to end (assay run --wait), or name another store with --store"
        )


def _holder(place: Path) -> Path:
    return place.with_name(f"{place.name}.json")


def _who(place: Path) -> str:
    try:
        holder = json.loads(_holder(place).read_text())
        return f"process {holder['pid']} on {holder['host']} ({holder['command']}) since {holder['since']}"
    except (OSError, ValueError, KeyError):
        return "another process"
