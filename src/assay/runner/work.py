"""One task: some seeds of one experiment at one settings value, carried out in whatever process an executor chose."""

import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from assay.claims.study import Experiment, Measurement, Table
from assay.core.device import asked_device, on_device
from assay.core.errors import AssayError, Diverged, WorkError
from assay.core.progress import listening
from assay.core.seeds import Seeds
from assay.runner.discovery import Address
from assay.runner.environment import environment, limited_threads
from assay.runner.fingerprint import fingerprint
from assay.store.memo import memos_in
from assay.store.store import Status
from assay.store.tables import plain_rows

__all__ = ["Finished", "Result", "Task", "carry_out", "carry_out_elsewhere", "failed_task"]

Listener = Callable[[float, str], None]
_interrupted: ContextVar[Callable[[], bool]] = ContextVar("whether somebody pressed Ctrl-C", default=lambda: True)


@dataclass(frozen=True)
class Task:
    """What a worker is told.

    Attributes:
        study: slug, and `experiment`, its arm.
        settings: the settings record.
        seeds: one seed, or several for an experiment that measures many runs in one program.
        fingerprint: of the sources the driver has; a worker with others refuses.
        memos: folder of the memoised steps.
        address: where another process finds the study; None where none can.
        device: what models are loaded and trained on, see `assay.core.device`.
    """

    study: str
    experiment: str
    settings: object
    seeds: tuple[int, ...]
    fingerprint: str
    memos: Path
    address: Address | None = None
    device: str = field(default_factory=asked_device)


@dataclass(frozen=True)
class Result:
    """What one run came to, in plain numbers and texts."""

    seed: int
    status: Status
    error: str = ""
    estimands: Mapping[str, float] = field(default_factory=dict)
    items: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)


@dataclass(frozen=True)
class Finished:
    """A task's results in the order of its seeds, seconds it took, and the environment it ran in."""

    results: tuple[Result, ...]
    wall_s: float
    environment: Mapping[str, object]


def carry_out(experiment: Experiment, task: Task, threads: int, listener: Listener) -> Finished:
    """Measure every seed of the task with `threads` threads.

    A run that diverges or raises, whatever it raises, is a result of its own and takes no other run with it.

    Raises:
        KeyboardInterrupt: somebody pressed Ctrl-C; one that `measure` raises by itself is a failed run.
        AssayError: any but `Diverged`: it speaks to the user (a missing extra, a file to bring), not about a run.
    """
    start = time.perf_counter()
    with (
        limited_threads(threads),
        memos_in(task.memos),
        listening(listener),
        on_device(task.device),
        _tensors_there(task.device),
        _interrupts_noticed(),
    ):
        results = _measure(experiment, task.settings, task.seeds)
        return Finished(tuple(results), time.perf_counter() - start, environment(threads))


@contextmanager
def _interrupts_noticed() -> Iterator[None]:
    """Inside the block it is known whether a KeyboardInterrupt came from the keyboard, or from the code that is run."""
    before = signal.getsignal(signal.SIGINT)
    seen: list[int] = []

    def handler(number: int, frame: object) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    if before is signal.SIG_IGN:
        token = _interrupted.set(lambda: False)
    elif before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        token = _interrupted.set(lambda: True)  # a handler of somebody else's (a notebook's) stays, and is believed
    else:
        token = _interrupted.set(lambda: bool(seen))
        signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        _interrupted.reset(token)
        if signal.getsignal(signal.SIGINT) is handler:
            signal.signal(signal.SIGINT, before)


def _is_for_the_user(error: BaseException) -> bool:
    """Whether an error speaks to the user and not about a run."""
    if isinstance(error, KeyboardInterrupt):
        return _interrupted.get()()
    return isinstance(error, AssayError) and not isinstance(error, Diverged)


def _tensors_there(device: str) -> AbstractContextManager[None]:
    """The block in which tensors are made on the task's device; torch is not loaded for a study that stays on the CPU."""
    if device == "cpu":
        return nullcontext()
    from assay.models.device import tensors_on

    return tensors_on(device)


def carry_out_elsewhere(task: Task, threads: int, listener: Listener) -> Finished:
    """`carry_out` in another process: finds the study by its address and makes sure that its sources are the driver's.

    Raises:
        WorkError: this process sees other sources than the driver.
    """
    if task.address is None:
        raise ValueError("a task for another process has an address")
    study = task.address.load()
    here = fingerprint(study, task.experiment)
    if here != task.fingerprint:
        raise WorkError(
            f"every worker must have the sources of the driver; for '{task.study}' the driver has {task.fingerprint}, "
            f"a worker {here}. Install the same version everywhere, or run again if a file was edited meanwhile"
        )
    return carry_out(study.experiment(task.experiment), task, threads, listener)


def failed_task(task: Task, says: str, threads: int) -> Finished:
    """The result of a task whose worker is gone: every run failed, and why."""
    return Finished(tuple(Result(seed, "failed", says) for seed in task.seeds), 0.0, environment(threads))


def _measure(experiment: Experiment, settings: object, seeds: Sequence[int]) -> list[Result]:
    if not experiment.has_many:
        return [_guarded(seed, lambda seed=seed: experiment.measure_run(settings, Seeds(seed))) for seed in seeds]  # type: ignore[misc]
    try:
        found = experiment.measure_runs(settings, [Seeds(seed) for seed in seeds])
        if len(found) != len(seeds):
            raise ValueError(f"measure_many must return one measurement per seed; got {len(found)} for {len(seeds)}")
    except BaseException as error:
        if _is_for_the_user(error):
            raise
        if len(seeds) > 1:
            # One run's fault must not be its batch mates': each gets the same program alone.
            return [result for seed in seeds for result in _measure(experiment, settings, [seed])]
        return [_guarded(seed, lambda error=error: _raise(error)) for seed in seeds]  # type: ignore[misc]
    return [_guarded(seed, lambda value=value: value) for seed, value in zip(seeds, found, strict=True)]  # type: ignore[misc]


def _raise(error: BaseException) -> Measurement:
    raise error


def _guarded(seed: int, measure: Callable[[], Measurement | Diverged]) -> Result:
    """The result of one run, whatever it does."""
    try:
        value = measure()
        if isinstance(value, Diverged):
            raise value
        return _plain(seed, value)
    except Diverged as error:
        return Result(seed, "diverged", str(error))
    except BaseException as error:
        if _is_for_the_user(error):
            raise
        return Result(seed, "failed", _one_line(error))


def _plain(seed: int, value: object) -> Result:
    if not isinstance(value, Measurement):
        raise TypeError(f"measure must return a Measurement; got {type(value).__name__}")
    return Result(
        seed,
        "ok",
        estimands={str(name): float(number) for name, number in value.estimands.items()},
        items={str(name): tuple(float(number) for number in numbers) for name, numbers in value.items.items()},
        tables={str(name): plain_rows(table) for name, table in value.tables.items()},
    )


def _one_line(error: BaseException) -> str:
    """Kind, message and place of an error; the place without the folders above the package."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).parent != Path(__file__).parent] or list(frames)
    place = f" (at {'/'.join(Path(own[-1].filename).parts[-2:])}:{own[-1].lineno} in {own[-1].name})" if own else ""
    return f"{type(error).__name__}: {error}{place}"[:2000]
