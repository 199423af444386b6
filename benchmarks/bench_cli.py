"""How long the command line takes to answer, beside an interpreter that does nothing.

Budgets: `assay --help` 0.25 s, `assay list` 0.35 s. They are of processor time, the least of several whole processes, so that
whatever else the machine is doing takes no part; on an idle one that is also how long one waits, which is shown beside it.
"""

import resource
import subprocess
import sys
import time
from pathlib import Path

ASSAY = str(Path(sys.executable).with_name("assay"))
COMMANDS = {
    "python -c pass": ([sys.executable, "-c", "pass"], None),
    "assay --help": ([ASSAY, "--help"], 0.25),
    "assay list": ([ASSAY, "list"], 0.35),
}
RUNS = 9


def seconds(command: list[str]) -> tuple[float, float]:
    """The least processor time and the least waiting time of the command, after one process that warms the disk cache."""
    spent, waited = [], []
    for _ in range(RUNS + 1):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        waited.append(time.perf_counter() - start)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(spent[1:]), min(waited[1:])


def main() -> int:
    """Print a line a command: seconds, ratio to the empty interpreter, budget; the number of budgets missed."""
    empty, missed = 0.0, 0
    for name, (command, budget) in COMMANDS.items():
        spent, waited = seconds(command)
        empty = empty or spent
        over = budget is not None and spent > budget
        missed += over
        verdict = "" if budget is None else f"   budget {budget} s: {'MISSED' if over else 'kept'}"
        print(f"{name:16} {spent:6.3f} s (waited {waited:.3f} s)   {spent / empty:5.1f} x{verdict}")
    return missed


if __name__ == "__main__":
    sys.exit(main())
