"""How long the command line takes to answer, beside an interpreter that does nothing.

Budgets: `assay --help` 0.3 s, `assay list` 0.5 s (medians of whole processes).
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

ASSAY = str(Path(sys.executable).with_name("assay"))
COMMANDS = {
    "python -c pass": ([sys.executable, "-c", "pass"], None),
    "assay --help": ([ASSAY, "--help"], 0.3),
    "assay list": ([ASSAY, "list"], 0.5),
}
RUNS = 9


def seconds(command: list[str]) -> float:
    """Median wall time of the command over `RUNS` processes, after one that warms the disk cache."""
    times = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def main() -> None:
    """Print a line a command: median seconds, ratio to the empty interpreter, budget."""
    empty = 0.0
    for name, (command, budget) in COMMANDS.items():
        took = seconds(command)
        empty = empty or took
        verdict = "" if budget is None else f"   budget {budget} s: {'kept' if took < budget else 'MISSED'}"
        print(f"{name:16} {took:6.3f} s   {took / empty:5.1f} x{verdict}")


if __name__ == "__main__":
    main()
