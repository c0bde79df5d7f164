"""What a process of its own says of itself; this module is light, since each process imports it."""

import os

from benchmarks.processes import peak_memory, wait_for_processes


def process() -> tuple[int, str | None, float]:
    """Return the process's number, a variable of its environment, and its largest memory [GB]."""
    wait_for_processes()
    return os.getpid(), os.environ.get("MALLOC_TOP_PAD_"), peak_memory()
