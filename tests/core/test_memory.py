"""Freed memory stays with the process inside the block, and only there."""

import subprocess
import sys

from assay.core.memory import freed_memory_kept

COUNT = """
import resource, torch
from contextlib import nullcontext
from assay.core.memory import freed_memory_kept

def faults(block):
    rounds = []
    with block:
        for _ in range(12):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            torch.ones(2**24)  # 64 MiB, more than the library keeps by itself
            rounds.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return sorted(rounds)

# Before any block every round asks for its pages. Inside, the fewest count: the heap has to settle, and a system may reclaim
# pages of its own accord. Behind it the pages were given back: they are asked for once at least; then some may stay.
print(faults(nullcontext())[0], faults(freed_memory_kept())[0], faults(freed_memory_kept())[0], faults(nullcontext())[-1])
"""


def test_pages_are_not_asked_for_again_inside_the_block() -> None:
    found = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    plain, kept, again, behind = map(int, found.stdout.split())
    assert plain > 0
    assert max(kept, again) < plain / 8
    assert behind > plain / 2


def test_blocks_may_be_nested() -> None:
    with freed_memory_kept(), freed_memory_kept():
        pass
