"""Freed memory is kept: the second large block costs no page faults."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from goodricke.models.runtime.memory import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()
faults = []
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = np.empty(200_000_000, np.uint8)
    block[:] = 1
    del block
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(*faults)
"""


def faults(how: str) -> list[int]:
    result = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return [int(n) for n in result.stdout.split()]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc is on Linux")
def test_a_block_that_was_freed_is_used_again():
    reused = faults("keep")
    assert reused[1] + reused[2] < 0.05 * reused[0]
    fresh = faults("leave")
    assert fresh[1] > 0.5 * fresh[0]
