"""Studies of other packages, loaded in a limited child the first time: whatever a plug-in does there, the command goes on.

The child has little memory and time, and what it prints is thrown away. Only a study that it could load is loaded here. That it
could is kept in the user's cache until a file of the package changes; that it took too long or too much memory is kept for a
day, for the machine may have been busy. An error that was raised is met again the next time, for what it lacked may have been
installed meanwhile.
"""

import contextlib
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from importlib.metadata import EntryPoint
from pathlib import Path

import assay
from assay.core.errors import InputError
from assay.core.places import user_cache
from assay.core.printing import prints_aside
from assay.core.text import visible
from assay.store.files import write_atomically

__all__ = ["load_plugin", "package_of"]

SECONDS = 60
MEMORY_MIB = 4096
_SAYS = "ASSAY_SAYS "
# Standard output goes nowhere; what is said to us leaves by a descriptor that the plug-in does not know.
_CHILD = f"""
import os, sys
out = os.dup(1)
nowhere = os.open(os.devnull, os.O_RDWR)
for stream in (0, 1, 2):
    os.dup2(nowhere, stream)
seconds, memory, value, sys.path[:] = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]
try:
    import resource
except ImportError:
    pass
else:
    for what, most in ((resource.RLIMIT_DATA, memory * 2**20), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))
try:
    from importlib.metadata import EntryPoint
    EntryPoint("study", value, "assay.studies").load()
    says = ""
except BaseException as error:
    says = f"{{type(error).__name__}}: {{error}}"
os.write(out, ({_SAYS!r} + says[:2000]).encode("utf-8", "backslashreplace"))
os._exit(0)
"""


def load_plugin(point: EntryPoint) -> object:
    """What an entry point names, once a limited child could load it.

    Raises:
        InputError: it cannot be loaded, and why.
    """
    if says := _tried(point):
        raise InputError(says)
    with prints_aside():
        loaded = point.load()
        return loaded if point.attr else getattr(loaded, "STUDY", loaded)


def package_of(point: EntryPoint) -> str:
    """The name of the package that declares it."""
    return point.dist.name if point.dist else "a package"


def _tried(point: EntryPoint) -> str:
    """Why a child could not load it; empty where it could."""
    keep, key, today = user_cache() / "plugins.json", _state_of(point), time.strftime("%Y-%m-%d")
    known = _kept(keep)
    for one in (key, f"{key} {today}"):
        if one in known:
            return known[one]
    says, lasting = _in_a_child(point.value)
    key = f"{key} {today}" if says else key
    if not says or lasting:
        with contextlib.suppress(OSError):  # a cache that cannot be written costs time, nothing else
            write_atomically(keep, json.dumps(dict([*known.items(), (key, says)][-200:])).encode())
    return says


def _in_a_child(value: str) -> tuple[str, bool]:
    """Why it cannot be loaded, and whether it is not worth another try the same day."""
    command = [sys.executable, "-c", _CHILD, str(SECONDS), str(MEMORY_MIB), value, *sys.path]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # whose buffers count as memory
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=one_thread,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it takes more than {SECONDS} s to load", True
    said = done.stdout.decode("utf-8", "replace")
    if not said.startswith(_SAYS):
        how = f"by signal {-done.returncode}" if done.returncode < 0 else f"with exit code {done.returncode}"
        return f"it ends Python {how} while it is loaded, or takes more than {MEMORY_MIB} MiB", True
    return visible(said.removeprefix(_SAYS)), False


def _state_of(point: EntryPoint) -> str:
    """A digest of what is loaded: the entry point, Python, Assay, and names, sizes and times of the package's files."""
    state = [assay.__version__, sys.version, point.value, point.dist.version if point.dist else ""]
    with contextlib.suppress(ImportError, ValueError, OSError):
        found = importlib.util.find_spec(point.module.partition(".")[0])
        places = [] if found is None else [*map(Path, found.submodule_search_locations or ()), Path(found.origin or "")]
        for place in places:
            for file in sorted(place.rglob("*.py")) if place.is_dir() else [place] if place.is_file() else []:
                entry = file.stat()
                state.append(f"{file}\0{entry.st_size}\0{entry.st_mtime_ns}")
    return hashlib.sha256("\n".join(state).encode("utf-8", "backslashreplace")).hexdigest()


def _kept(place: Path) -> dict[str, str]:
    try:
        found = json.loads(place.read_bytes())
        return {str(key): str(says) for key, says in found.items()}
    except (OSError, ValueError, AttributeError):
        return {}
