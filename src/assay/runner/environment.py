"""What a run's numbers may depend on beside its settings and sources: versions, machine class, threads."""

import functools
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

import assay
from assay.core.device import asked_device

__all__ = ["environment", "limited_threads"]

_PACKAGES = ("numpy", "scipy", "torch", "transformers", "peft", "cvxpy", "clarabel")
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
# x86 instruction sets in the order in which numerical libraries prefer them.
_CPU_CLASSES = ("avx512f", "avx2", "avx", "sse4_2")


def environment(threads: int, device: str | None = None) -> dict[str, object]:
    """A flat record: versions of Python and numerical packages, linear algebra library, CPU class, threads, device, hash seed.

    Two records are equal exactly when the same settings and seed are promised to give the same bits.
    """
    return {**_fixed(), "threads": threads, "device": device or _device()}


@functools.cache
def _fixed() -> Mapping[str, object]:
    record: dict[str, object] = {
        "assay": assay.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "cpu_class": _cpu_class(),
        "blas": _blas(),
        "hash_seed": os.environ.get("PYTHONHASHSEED", "random") if sys.flags.hash_randomization else "0",
    }
    for name in _PACKAGES:
        try:
            record[name] = version(name)
        except PackageNotFoundError:
            record[name] = None
    return record


def _device() -> str:
    """The kind of device that models are put on; `auto` is made out where torch is loaded, and is a CPU elsewhere."""
    asked = asked_device()
    if asked != "auto":
        return asked.partition(":")[0]
    if "torch" not in sys.modules:
        return "cpu"
    from assay.models.device import chosen_device

    return chosen_device().type


def _cpu_class() -> str:
    """The widest instruction set, which is what numerical kernels choose by; the processor's name where flags are not shown."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return next((name for name in _CPU_CLASSES if name in flags), platform.processor() or "unknown")


def _blas() -> str:
    built = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{built.get('name', 'unknown')} {built.get('version', '')}".strip()


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Inside the block, numerical libraries use `threads` threads, those loaded already and those loaded inside."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    torch = sys.modules.get("torch")
    torch_before = torch.get_num_threads() if torch else None
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    if torch:
        torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if torch:
            torch.set_num_threads(torch_before)
