"""Cases in processes of their own. This module is light: each of them imports it first, and PyTorch only if needed."""

from __future__ import annotations

import multiprocessing
import os
import platform
import resource
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any


def run_in_process(function: Callable[..., Any], *arguments: Any, variables: Mapping[str, str] | None = None) -> Any:
    """Call a function of a module in a new process, since peak memory never falls again.

    Parameters
    ----------
    function, arguments
    variables : mapping of str
        Environment variables of the process, for example of the memory allocator.
    """
    return run_in_processes(function, *arguments, workers=1, variables=variables)[0]


def run_in_processes(
    function: Callable[..., Any], *arguments: Any, workers: int, variables: Mapping[str, str] | None = None
) -> list[Any]:
    """Call a function in several new processes at once, which wait for each other in `wait_for_processes`."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(workers, timeout=600)
    with _environment(variables or {}), ProcessPoolExecutor(workers, context, _set_barrier, (barrier,)) as pool:
        return [task.result() for task in [pool.submit(function, *arguments) for _ in range(workers)]]


def wait_for_processes() -> None:
    """Wait until all processes of `run_in_processes` have called this; a single process does not wait."""
    if _barrier is not None:
        _barrier.wait()


_barrier: Any = None  # of `run_in_processes`, in its processes


def _set_barrier(barrier: Any) -> None:
    global _barrier
    _barrier = barrier


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def peak_memory() -> float:
    """Return the largest memory of this process so far [GB]."""
    try:  # of this program; getrusage also counts what the process was before it became this program
        with open("/proc/self/status") as lines:
            return next(int(line.split()[1]) * 1024e-9 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        unit = 1e-9 if platform.system() == "Darwin" else 1024e-9
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
