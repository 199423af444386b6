"""How far a long computation is: `measure` says it, the runner shows it, and no callback is passed through five functions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["listening", "progress"]

Listener = Callable[[float, str], None]
_listener: ContextVar[Listener | None] = ContextVar("progress listener", default=None)


def progress(share: float, label: str = "") -> None:
    """Say that `share` (0 to 1) of the current measurement is done; costs nothing when nobody listens."""
    listener = _listener.get()
    if listener is not None:
        listener(min(max(share, 0.0), 1.0), label)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send every `progress` call inside the block to `listener(share, label)`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
