"""Freed memory stays with the process inside the block, and only there."""

import subprocess
import sys

from assay.core.memory import freed_memory_kept

COUNT = """
import resource, torch
from contextlib import nullcontext
from assay.core.memory import freed_memory_kept

def faults(block):
    with block:
        for _ in range(32):
            torch.ones(2**22)  # 16 MiB: the first are new to the process, until the heap has settled
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(8):
            torch.ones(2**22)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults(freed_memory_kept()), faults(freed_memory_kept()), faults(nullcontext()))
"""


def test_pages_are_not_asked_for_again_inside_the_block() -> None:
    found = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    kept, again, plain = map(int, found.stdout.split())
    assert plain > 0
    assert max(kept, again) < plain / 8


def test_blocks_may_be_nested() -> None:
    with freed_memory_kept(), freed_memory_kept():
        pass
