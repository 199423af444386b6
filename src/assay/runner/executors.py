"""Where runs are computed: in this process, in a pool of processes, or on Ray. Executors compute; they never store.

All three give the same rows: a task is measured with the same number of threads (one, unless the executor is told otherwise,
since the order of floating-point sums may follow the number of threads) and from streams that its seed alone decides. One
thread per run is also the faster use of small machines: several runs side by side beat one run with several threads.
"""

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from multiprocessing.queues import SimpleQueue
from typing import Any, ClassVar, Protocol, Self

from assay.claims.study import Experiment
from assay.core.errors import AssayError, MissingExtra, UsageError, WorkError, unknown_name
from assay.runner.work import Finished, Task, carry_out, carry_out_elsewhere, failed_task

__all__ = ["EXECUTORS", "Executor", "Local", "Processes", "Ray", "executor"]

Progress = Callable[[int, float, str], None]
_TICK_S = 0.2


class Executor(Protocol):
    """Computes tasks, in any order, inside a `with` block.

    Attributes:
        name: as on the command line.
        elsewhere: whether tasks run in other processes, which must find the study by its address.
    """

    name: ClassVar[str]
    elsewhere: ClassVar[bool]

    @property
    def workers(self) -> int:
        """How many tasks are computed at once; known inside the `with` block."""
        ...

    @property
    def threads(self) -> int:
        """How many threads each task may use."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def run(self, tasks: Sequence[tuple[Experiment, Task]], progress: Progress) -> Generator[tuple[int, Finished], None, None]:
        """Yield (index of the task, what it came to) as tasks finish; closing the generator ends all work at once.

        `progress(index, share, label)` is called from the caller's thread while tasks are under way.
        """
        ...


@dataclass(frozen=True)
class Local:
    """In this process, one task after the other."""

    threads: int = 1
    name: ClassVar[str] = "local"
    elsewhere: ClassVar[bool] = False
    workers: ClassVar[int] = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, tasks: Sequence[tuple[Experiment, Task]], progress: Progress) -> Generator[tuple[int, Finished], None, None]:
        """See `Executor`."""
        for index, (experiment, task) in enumerate(tasks):

            def listener(share: float, label: str, index: int = index) -> None:
                progress(index, share, label)

            progress(index, 0.0, "")
            yield index, carry_out(experiment, task, self.threads, listener)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Processes:
    """In a pool of fresh processes on this machine, by default one for each core.

    A worker that dies (out of memory, a crash in native code) is noticed: the tasks that were under way are repeated one by
    one, and the one that kills its worker again is recorded as failed.
    """

    workers: int = field(default_factory=_cores)
    threads: int = 1
    name: ClassVar[str] = "processes"
    elsewhere: ClassVar[bool] = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, tasks: Sequence[tuple[Experiment, Task]], progress: Progress) -> Generator[tuple[int, Finished], None, None]:
        """See `Executor`."""
        waiting = {index: task for index, (_, task) in enumerate(tasks)}
        suspects: dict[int, Task] = {}
        while waiting:
            before = len(waiting)
            with contextlib.closing(self._pool(waiting, progress)) as pool:
                for index, outcome in pool:
                    task = waiting.pop(index)
                    if outcome is None:
                        suspects[index] = task
                    else:
                        yield index, outcome
            if len(waiting) == before:
                raise WorkError(
                    "worker processes must stay alive; they end before they begin to work. Try --on local to see why"
                )
        for index, task in suspects.items():
            with contextlib.closing(self._pool({index: task}, progress)) as pool:
                outcome = dict(pool).get(index)
            says = "the worker process was killed or crashed, twice, while it computed this (out of memory?)"
            yield index, outcome or failed_task(task, says, self.threads)

    def _pool(self, tasks: Mapping[int, Task], progress: Progress) -> Generator[tuple[int, Finished | None], None, None]:
        """Run the tasks in one pool. When a worker dies the pool is gone: yield None for the tasks under way, and end."""
        context = multiprocessing.get_context("spawn")
        messages = context.SimpleQueue()
        not_ours = set(multiprocessing.active_children())
        pool = ProcessPoolExecutor(min(self.workers, len(tasks)), context, _begin_worker, (messages,))
        under_way: set[int] = set()
        clean = False

        def hear() -> None:
            while not messages.empty():
                index, share, label = messages.get()
                under_way.add(index)
                progress(index, share, label)

        try:
            with _interrupts_held():  # workers inherit that: Ctrl-C is the driver's to handle
                futures = {
                    pool.submit(_in_worker, index, pickle.dumps(task), self.threads): index for index, task in tasks.items()
                }
            pending = set(futures)
            broken = False
            while pending and not broken:
                finished, pending = wait(pending, timeout=_TICK_S, return_when=FIRST_COMPLETED)
                hear()
                for future in finished:
                    error = future.exception()
                    if isinstance(error, BrokenProcessPool):
                        broken = True
                    elif error is not None:
                        raise _named(error)
                    else:
                        under_way.discard(futures[future])
                        yield futures.pop(future), future.result()
            if broken:
                hear()
                yield from ((index, None) for index in sorted(under_way & set(futures.values())))
            clean = not broken
        finally:
            # Whatever ended this (all done, Ctrl-C, an error), no worker goes on computing what nobody will store.
            if not clean:
                for process in set(multiprocessing.active_children()) - not_ours:
                    process.terminate()
            pool.shutdown(wait=True, cancel_futures=True)
            messages.close()


def _named(error: BaseException) -> AssayError:
    """What a study says to its user as it is; anything else stopped the worker before it could measure."""
    if isinstance(error, AssayError):
        return error
    return WorkError(f"a worker must be able to load the study; {type(error).__name__}: {error}. Try --on local")


@contextmanager
def _interrupts_held() -> Iterator[None]:
    if not hasattr(signal, "pthread_sigmask") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_messages: "SimpleQueue[tuple[int, float, str]] | None" = None


def _begin_worker(messages: "SimpleQueue[tuple[int, float, str]]") -> None:
    """Prepare a pool's process: remember where progress goes, and end when the driver does, however it ends."""
    global _messages
    _messages = messages
    driver = multiprocessing.parent_process()
    if driver is not None:
        threading.Thread(target=_end_with, args=(driver,), daemon=True).start()


def _end_with(driver: BaseProcess) -> None:
    driver.join()
    os._exit(1)


def _in_worker(index: int, task: bytes, threads: int) -> Finished:
    if _messages is None:
        raise RuntimeError("the worker was not begun")
    messages, last = _messages, time.monotonic()
    messages.put((index, 0.0, ""))

    def listener(share: float, label: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _TICK_S:
            last = time.monotonic()
            messages.put((index, share, label[:200]))  # short, so that a message is written whole or not at all

    return carry_out_elsewhere(_unpacked(task), threads, listener)


def _unpacked(task: bytes) -> Task:
    """The driver's own task. Read here and not by the pool, so that a package that is missing is an error and not a death."""
    unpacked = pickle.loads(task)  # noqa: S301
    assert isinstance(unpacked, Task)
    return unpacked


class Ray:
    """On Ray: the cluster that RAY_ADDRESS names, otherwise one started on this machine for the length of the command.

    Every node must have the same version of Assay and of the study's package installed; a worker checks its sources against
    the driver's. Progress is told task by task.
    """

    name: ClassVar[str] = "ray"
    elsewhere: ClassVar[bool] = True

    def __init__(self, workers: int | None = None, threads: int = 1) -> None:
        self.workers = workers or _cores()
        self.threads = threads
        self._wanted = workers
        self._started = False

    def __enter__(self) -> Self:
        ray = _ray()
        if not ray.is_initialized():
            _start_ray(ray, self._wanted)
            self._started = True
        self.workers = self._wanted or max(1, int(ray.cluster_resources().get("CPU", 1)) // self.threads)
        return self

    def __exit__(self, *_: object) -> None:
        if self._started:
            _ray().shutdown()
            self._started = False

    def run(self, tasks: Sequence[tuple[Experiment, Task]], progress: Progress) -> Generator[tuple[int, Finished], None, None]:
        """See `Executor`."""
        ray = _ray()
        remote = ray.remote(num_cpus=self.threads, max_retries=1)(_on_ray)
        waiting = list(enumerate(task for _, task in tasks))
        pending: dict[Any, int] = {}
        try:
            while waiting or pending:
                while waiting and len(pending) < self.workers:
                    index, task = waiting.pop(0)
                    pending[remote.remote(pickle.dumps(task), self.threads)] = index
                    progress(index, 0.0, "")
                finished, _ = ray.wait(list(pending))
                for ref in finished:
                    index = pending.pop(ref)
                    try:
                        outcome = ray.get(ref)
                    except ray.exceptions.RayTaskError as error:
                        raise _named(error.cause) from error
                    except ray.exceptions.RayError as error:  # the worker or its node is gone; Ray's own retry did not help
                        says = f"the Ray worker was lost while it computed this: {type(error).__name__}"
                        outcome = failed_task(tasks[index][1], says, self.threads)
                    yield index, outcome
        finally:
            for ref in pending:
                ray.cancel(ref, force=True)


def _on_ray(task: bytes, threads: int) -> Finished:
    return carry_out_elsewhere(_unpacked(task), threads, lambda share, label: None)


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingExtra("ray", "cluster", "running on Ray (--on ray)") from error
    return ray


def _start_ray(ray: Any, workers: int | None) -> None:
    address = os.environ.get("RAY_ADDRESS")
    # Workers on this machine look for packages where this process does; nodes of a cluster have their own.
    path = {"env_vars": {"PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}}
    local = {} if address else {"num_cpus": workers or _cores(), "include_dashboard": False, "runtime_env": path}
    try:
        ray.init(address=address or "local", logging_level="ERROR", log_to_driver=False, configure_logging=True, **local)
    except Exception as error:
        where = f"the cluster at {address}" if address else "on this machine"
        raise WorkError(
            f"Ray must start or be reached {where}; {type(error).__name__}: {error}. Use --on processes meanwhile"
        ) from error


EXECUTORS: Mapping[str, type[Local] | type[Processes] | type[Ray]] = {kind.name: kind for kind in (Local, Processes, Ray)}


def executor(name: str, *, workers: int | None = None, threads: int = 1) -> Executor:
    """The executor called `name` ("local", "processes" or "ray").

    Args:
        name: as on the command line.
        workers: tasks at once; by default one for each core. `local` has one.
        threads: threads for each.

    Raises:
        UsageError: there is none of that name, or the numbers make no sense for it.
        MissingExtra: Ray is not installed.
    """
    if name not in EXECUTORS:
        raise UsageError(unknown_name("executor", name, EXECUTORS, see=f"Executors are {', '.join(EXECUTORS)}"))
    if threads < 1 or (workers is not None and workers < 1):
        raise UsageError(f"workers and threads must be at least 1; got workers={workers}, threads={threads}")
    if name == "local":
        if workers not in (None, 1):
            raise UsageError(f"'local' computes one run at a time; got workers={workers}. Use --on processes")
        return Local(threads)
    if name == "ray":
        _ray()
        return Ray(workers, threads)
    return Processes(workers or max(1, _cores() // threads), threads)
