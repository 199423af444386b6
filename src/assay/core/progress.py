"""How far a long computation is: `measure` says it, the runner shows it, and no callback is passed through five functions.

    with part(0.2, 0.7, "fine-tuning"):      # what happens inside is this stretch of the whole
        for arm in parts(arms, label=str):   # each arm is an equal stretch of that one
            progress(step / n_steps)         # share of the innermost stretch

Whoever works inside a stretch sees a computation that goes from 0 to 1 and need not know what it is a part of.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["listening", "part", "parts", "progress"]

Listener = Callable[[float, str], None]
T = TypeVar("T")


@dataclass(frozen=True)
class _Stretch:
    """A part of the whole, who is told of it, and what it is called."""

    listener: Listener
    start: float = 0.0
    end: float = 1.0
    label: str = ""

    def say(self, share: float, label: str) -> None:
        at = self.start + (self.end - self.start) * min(max(share, 0.0), 1.0)
        self.listener(at, ", ".join(text for text in (self.label, label) if text))

    def inner(self, start: float, end: float, label: str) -> "_Stretch":
        length = self.end - self.start
        label = ", ".join(text for text in (self.label, label) if text)
        return _Stretch(self.listener, self.start + length * start, self.start + length * end, label)


_stretch: ContextVar[_Stretch | None] = ContextVar("progress stretch", default=None)


def progress(share: float, label: str = "") -> None:
    """Say that `share` (0 to 1) of the innermost part is done; costs nothing when nobody listens."""
    stretch = _stretch.get()
    if stretch is not None:
        stretch.say(share, label)


@contextmanager
def part(start: float, end: float, label: str = "") -> Iterator[None]:
    """Inside the block, `progress` speaks of the stretch from `start` to `end` (0 to 1) of the part around it.

    The beginning and the end of the block are said by themselves; labels of nested parts are joined.
    """
    outer = _stretch.get()
    if outer is None:
        yield
        return
    inner = outer.inner(start, end, label)
    inner.say(0.0, "")
    token = _stretch.set(inner)
    try:
        yield
    finally:
        _stretch.reset(token)
    inner.say(1.0, "")


def parts(
    items: Collection[T], *, label: Callable[[T], str] | None = None, weights: Sequence[float] | None = None
) -> Iterator[T]:
    """The items, one after the other; what happens while one is at hand is its part of the whole.

    Args:
        items: what a loop goes over.
        label: what an item is called; nothing if not given.
        weights: how long each takes, in any unit; all alike if not given. One for each item.
    """
    shares = [1.0] * len(items) if weights is None else list(weights)
    total, done = sum(shares) or 1.0, 0.0
    for item, share in zip(items, shares, strict=True):
        with part(done / total, (done + share) / total, label(item) if label else ""):
            yield item
        done += share


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send every `progress` call inside the block to `listener(share, label)`."""
    token = _stretch.set(_Stretch(listener))
    try:
        yield
    finally:
        _stretch.reset(token)
