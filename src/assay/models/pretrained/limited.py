"""Work on files from outside in a child process that may take little memory, processor time and output."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from assay.core.errors import InputError
from assay.core.text import visible
from assay.models.pretrained import headers
from assay.models.pretrained.headers import Header

__all__ = ["ChildRefused", "check_headers", "run_limited"]

# Runs in the child before anything else. Windows has no resource limits; there the wall clock alone bounds the child.
_BOOT = """
import runpy, sys
memory, seconds, script = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
try:
    import resource
except ImportError:
    pass
else:
    limits = {resource.RLIMIT_AS: memory, resource.RLIMIT_CPU: seconds, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0}
    for what, most in limits.items():
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))
sys.argv = sys.argv[3:]
runpy.run_path(script, run_name="__main__")
"""


class ChildRefused(Exception):
    """The child broke a limit or failed; the message says how."""


def run_limited(
    script: Path, arguments: Sequence[str] = (), *, given: str = "", memory_mib: int = 512, seconds: int = 20
) -> str:
    """What a script of this package prints when run alone, with little address space and processor time.

    Args:
        script: a file that imports nothing of Assay.
        arguments: its command line.
        given: its standard input.
        memory_mib: address space, in MiB.
        seconds: of processor time; on the wall clock much more, for busy machines.

    Raises:
        ChildRefused: it broke a limit or ended with an error.
    """
    command = [sys.executable, "-E", "-P", "-c", _BOOT, str(memory_mib * 2**20), str(seconds), str(script), *arguments]
    try:
        done = subprocess.run(command, input=given.encode(), capture_output=True, timeout=_patience(seconds), check=False)
    except subprocess.TimeoutExpired as error:
        raise ChildRefused(f"it took more than {_patience(seconds)} s") from error
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        limits = f"{memory_mib} MiB of memory and {seconds} s of processor time"
        raise ChildRefused(f"it did not end well within {limits} ({visible(last[0][:200])})")
    return done.stdout.decode()


def _patience(seconds: int) -> int:
    """Seconds on the wall clock for a child that may use so many of the processor's."""
    return 60 + 10 * seconds


def check_headers(paths: Sequence[Path]) -> list[Header]:
    """The headers of weight files, read by a limited child before anything else opens them.

    Raises:
        InputError: a file is missing, is neither GGUF nor safetensors, or its header breaks the format or a bound.
    """
    if not paths:
        return []
    try:
        answers = json.loads(run_limited(Path(headers.__file__), [str(path) for path in paths]))
    except ChildRefused as error:
        raise InputError(
            f"the headers of {', '.join(path.name for path in paths)} must be readable; {error}. The files are not used"
        ) from error
    for path, answer in zip(paths, answers, strict=True):
        if "refused" in answer:
            raise InputError(f"{visible(path.name)} must be a sound weight file; {visible(answer['refused'])}. It is not used")
    return [Header(**answer) for answer in answers]
