"""Memory of the process: what a loop frees and asks for again at every step stays with it."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

__all__ = ["freed_memory_kept"]

# Of glibc's malloc.h, with the values that its manual gives as the defaults.
TRIM_THRESHOLD, MMAP_MAX = -1, -4
DEFAULTS = {TRIM_THRESHOLD: 128 * 1024, MMAP_MAX: 65536}
KEPT = {TRIM_THRESHOLD: 2**31 - 1, MMAP_MAX: 0}

_depth = 0


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Inside the block, freed memory stays with the process; behind it, the system gets it back.

    The C library returns large freed blocks to the system at once, and the system has to clear each page when it is asked for
    again. A training step frees and asks for every gradient, so that a tenth to a third of a step goes into clearing pages.
    Blocks may be nested. Where the C library is not glibc nothing happens.
    """
    global _depth
    library = _glibc()
    _depth += 1
    if library is not None and _depth == 1:
        _set(library, KEPT)
    try:
        yield
    finally:
        _depth -= 1
        if library is not None and _depth == 0:
            _set(library, DEFAULTS)
            library.malloc_trim(0)


def _set(library: Any, values: dict[int, int]) -> None:
    for name, value in values.items():
        library.mallopt(name, value)


@cache
def _glibc() -> Any:
    try:
        library = ctypes.CDLL(None)
        return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
    except (OSError, TypeError):  # no such library to open on this system
        return None
