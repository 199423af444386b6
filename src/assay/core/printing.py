"""What other people's code prints, kept away from what a command prints: standard output is data."""

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["prints_aside"]


@contextmanager
def prints_aside() -> Iterator[None]:
    """Inside the block what is printed goes to standard error, also from below Python and from the processes it starts."""
    try:
        sys.stdout.flush()
        before = os.dup(1)
        os.dup2(2, 1)
    except (OSError, ValueError):  # a stream that is closed cannot be written to either
        with contextlib.redirect_stdout(None):
            yield
        return
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(before, 1)
        os.close(before)
