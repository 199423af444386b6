"""Progress for a person: a bar with an estimate at a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from assay.cli.output import note
from assay.core.progress import listening
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.runner.run import Event

__all__ = ["duration", "interruption", "progress_said", "shown"]

PLAIN_EVERY_S = 15.0


@contextmanager
def shown(title: str, *, quiet: bool) -> Iterator[Callable[["Event"], None]]:
    """A listener for the runner's events that shows them on standard error."""
    if quiet:
        yield lambda event: None
    elif sys.stderr.isatty():
        with _bar(title) as listener:
            yield listener
    else:
        yield _PlainLines()


@contextmanager
def progress_said(*, quiet: bool) -> Iterator[None]:
    """Inside the block, what is being done and how long it may still take is said on standard error every few seconds."""
    begun = last = time.monotonic()

    def listener(share: float, label: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PLAIN_EVERY_S:
            last = now
            left = f", about {duration((now - begun) * (1 - share) / share)} left" if share > 0.02 else ""
            note(f"{100 * share:.0f} %, {label}{left}")

    if quiet:
        yield
    else:
        with listening(listener):
            yield


@contextmanager
def interruption(what: str) -> Iterator[None]:
    """Inside the block, Ctrl-C says what is kept and how to go on, and leaves with 130, as a shell expects."""
    try:
        yield
    except KeyboardInterrupt:
        note(f"assay: {what} was interrupted. What was finished is kept; the same command goes on from there")
        raise typer.Exit(130) from None


def duration(seconds: float) -> str:
    """Seconds as a person says them: "40 s", "3 min", "1 h 20 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _left(event: "Event") -> str:
    if event.done >= event.total or event.remaining_s is None:
        return ""
    return f", about {duration(event.remaining_s)} left"


class _PlainLines:
    """What is planned and stored as it comes; how far it is every few seconds."""

    def __init__(self) -> None:
        self.last = -float("inf")

    def __call__(self, event: "Event") -> None:
        now = time.monotonic()
        if event.kind in ("plan", "round"):
            note(visible(event.says))
        elif event.total and (now - self.last >= PLAIN_EVERY_S or (event.kind == "stored" and event.done >= event.total)):
            self.last = now
            note(f"{event.done:.1f} of {event.total} runs{_left(event)} – {visible(event.says)}")


@contextmanager
def _bar(title: str) -> Iterator[Callable[["Event"], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[state]}", markup=False))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(visible(title), total=None, state="")

        def listener(event: "Event") -> None:
            if event.kind in ("plan", "round"):
                progress.console.print(visible(event.says), markup=False, highlight=False)
            label = visible(event.says)[:60] if event.kind == "progress" else title
            state = f"{event.done:.1f}/{event.total} runs{_left(event)}"
            progress.update(task, total=event.total or None, completed=event.done, state=state, description=label)

        yield listener
