"""`assay doctor`: what this installation has, what is missing, and how to get it."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from pathlib import Path

import typer

from assay import __version__
from assay.cli.output import JSON_OPTION, emit

__all__ = ["OPTIONAL", "doctor"]

# What an extra brings: the importable module, the distribution, and what it is for.
OPTIONAL = (
    ("cvxpy", "cvxpy", "opt", "conic programs: general max-margin instances and certificates"),
    ("clarabel", "clarabel", "opt", "the interior-point solver behind them"),
    ("ray", "ray", "cluster", "runs on a cluster: --on ray"),
    ("transformers", "transformers", "lm", "pretrained language models"),
    ("safetensors", "safetensors", "lm", "weights of language models"),
    ("tokenizers", "tokenizers", "lm", "tokenizers of language models"),
    ("peft", "peft", "lm", "low-rank adapters"),
    ("gguf", "gguf", "lm", "models stored as GGUF"),
    ("pyspiel", "open_spiel", "games", "the oracle that game solvers are tested against"),
    ("gymnasium", "gymnasium", "rl", "simulated robots"),
    ("mujoco", "mujoco", "rl", "their physics"),
    ("cma", "cma", "rl", "evolution strategies for simulator fitting"),
    ("pandas", "pandas", "frames", "results as data frames in Python"),
    ("pyarrow", "pyarrow", "parquet", "runs as a Parquet file"),
    ("trackio", "trackio", "track", "runs in a tracker on this machine"),
)
REQUIRED = ("torch", "numpy", "scipy", "pydantic", "typer", "rich", "jinja2", "matplotlib", "filelock", "psutil")


def doctor(as_json: bool = JSON_OPTION) -> None:
    """Check this installation: versions, threads, folders, optional parts, and what to do about what is missing.

    Examples:
      assay doctor
      assay doctor --json
    """
    rows = [*_machine(), *_folders(), *_required(), *_optional()]
    emit(rows, as_json=as_json, columns=("part", "state", "found", "advice"))
    if any(row["state"] == "missing" for row in rows):
        raise typer.Exit(4)


def _row(part: str, state: str, found: str, advice: str = "") -> dict[str, str]:
    return {"part": part, "state": state, "found": found, "advice": advice}


def _machine() -> list[dict[str, str]]:
    import psutil

    cores, memory = os.cpu_count() or 1, psutil.virtual_memory().available / 2**30
    threads = {name: os.environ[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name in os.environ}
    return [
        _row("assay", "ok", __version__),
        _row("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        _row("cores", "ok" if cores > 1 else "note", str(cores), "" if cores > 1 else "--on processes needs two cores to pay"),
        _row(
            "memory",
            "ok" if memory > 2 else "note",
            f"{memory:.1f} GiB free",
            "" if memory > 2 else "the core study needs 2 GiB",
        ),
        _row(
            "threads",
            "ok",
            ", ".join(f"{k}={v}" for k, v in threads.items()) or "as the libraries choose; recorded with each run",
        ),
    ]


def _folders() -> list[dict[str, str]]:
    from assay.core.places import default_folder

    rows = []
    for part, path in (("store", default_folder()),):
        nearest = next(folder for folder in (path, *path.parents) if folder.exists())
        free = shutil.disk_usage(nearest).free / 2**30
        if not os.access(nearest, os.W_OK):
            rows.append(_row(part, "missing", f"{path} cannot be written", "name another folder with --store or $ASSAY_STORE"))
        else:
            state = "ok" if free > 1 else "note"
            rows.append(
                _row(part, state, f"{path}, {_size(path)}, {free:.0f} GiB free", "" if free > 1 else "less than 1 GiB is free")
            )
    return rows


def _size(path: Path) -> str:
    if not path.exists():
        return "not made yet"
    return f"{sum(file.stat().st_size for file in path.rglob('*') if file.is_file()) / 2**20:.1f} MiB"


def _required() -> list[dict[str, str]]:
    rows = []
    for module in REQUIRED:
        if importlib.util.find_spec(module) is None:
            rows.append(_row(module, "missing", "not installed", "pip install assay"))
        else:
            rows.append(_row(module, "ok", importlib.metadata.version(module)))
    return rows


def _optional() -> list[dict[str, str]]:
    rows = []
    for module, distribution, extra, purpose in OPTIONAL:
        if importlib.util.find_spec(module) is None:
            rows.append(_row(module, "optional", f"not installed: {purpose}", f"pip install 'assay[{extra}]'"))
        else:
            rows.append(_row(module, "ok", f"{importlib.metadata.version(distribution)}: {purpose}"))
    return rows
