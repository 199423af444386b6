"""`python -m benchmarks [name ...]`: every benchmark in turn, each beside its plain baseline, in a process of its own.

A benchmark is a file `bench_<name>.py` here that prints its ratios when it is run.
"""

import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).parent


def main(wanted: list[str]) -> int:
    """Runs the wanted benchmarks (all without names); the number that failed."""
    names = [path.stem.removeprefix("bench_") for path in sorted(FOLDER.glob("bench_*.py"))]
    unknown = [name for name in wanted if name not in names]
    if unknown:
        print(f"unknown benchmark {', '.join(unknown)}; there are: {', '.join(names)}", file=sys.stderr)
        return 2
    failed = 0
    for name in wanted or names:
        print(f"\n== {name}", flush=True)
        start = time.perf_counter()
        code = subprocess.run([sys.executable, FOLDER / f"bench_{name}.py"], cwd=FOLDER.parent).returncode
        print(f"-- {name}: {time.perf_counter() - start:.0f} s" + (f", exit code {code}" if code else ""), flush=True)
        failed += code != 0
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
