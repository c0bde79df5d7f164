"""Work done by many: the same function over all tasks, in this process, in several, or on a Dask cluster.

Whoever does it, what comes back is (task, result or exception), as it is done. A task that raises, and one whose
process dies (out of memory, a segmentation fault), is tried again and at last set aside; the others go on.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import wait as wait_for
from typing import Any, TypeVar

from goodricke.memory import keep_freed_memory

T = TypeVar("T")
R = TypeVar("R")

ATTEMPTS = 2
ALONE = "its process died twice, the second time alone in its pool: it is out of memory, or a library crashed"

NOT_BEGUN = (
    "no process could be begun: a script that asks for several needs `if __name__ == '__main__':` around the call, and "
    "one that is read from a pipe can have one worker only"
)

Done = Iterator[tuple[T, R | Exception]]


def here(function: Callable[[T], R], tasks: Sequence[T]) -> Done[T, R]:
    """Do the tasks in this process, one after the other."""
    for task in tasks:
        yield task, _attempt(function, task)


def _attempt(function: Callable[[T], R], task: T) -> R | Exception:
    error: Exception = RuntimeError("not tried")
    for _ in range(ATTEMPTS):
        try:
            return function(task)
        except Exception as caught:
            error = caught
    return error


def processes(function: Callable[[T], R], tasks: Sequence[T], workers: int, counter: Any = None) -> Done[T, R]:
    """Do the tasks in ``workers`` processes of one thread each.

    Parameters
    ----------
    function : callable
        That pickle can send.
    tasks : sequence
    workers : int
    counter : multiprocessing.Value, optional
        Which the function finds as `progress.counter`, to count what it has done.

    Raises
    ------
    RuntimeError
        If no process can be begun.
    """
    suspects = list[T]()  # were being done when a process died
    left = list(tasks)
    while left:
        running: dict[Future[R | Exception], T] = {}
        with _pool(workers, counter) as pool:
            begun = pool.submit(_ready)
            try:
                while left or running:
                    while left and len(running) < workers + 1:
                        running[pool.submit(_attempt, function, left[0])] = left[0]
                        left.pop(0)
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        result = future.result()
                        yield running.pop(future), result
            except BrokenProcessPool:
                if begun.exception() is not None:
                    raise RuntimeError(NOT_BEGUN) from None
                suspects += running.values()
    for task in suspects:  # one of them did it: each alone, so that it takes no other with it
        yield task, _alone(function, task, counter)


def _ready() -> None:
    """Do nothing: what a process that could be begun can do."""


def _alone(function: Callable[[T], R], task: T, counter: Any) -> R | Exception:
    with _pool(1, counter) as pool:
        try:
            return pool.submit(_attempt, function, task).result()
        except BrokenProcessPool:
            return RuntimeError(ALONE)


@contextmanager
def _pool(workers: int, counter: Any) -> Iterator[ProcessPoolExecutor]:
    """Begin processes, and end them at once when the work is broken off."""
    others = set(active_children())
    # spawned, not forked: the threads of PyTorch and Arrow don't survive a fork
    with ProcessPoolExecutor(workers, get_context("spawn"), begin_process, (counter,)) as pool:
        try:
            yield pool
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            for process in set(active_children()) - others:
                process.kill()
            raise


class progress:  # noqa: N801  a name space
    """What a process counts in; None where nobody reads it."""

    counter: Any = None


def begin_process(counter: Any = None) -> None:
    """Make a process one of many: one thread, no answer to Ctrl-C, and gone when the one that began it is gone."""
    progress.counter = counter
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"  # read by what is imported from here on
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    keep_freed_memory()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_leave_with, args=(parent.sentinel,), daemon=True).start()


def _leave_with(sentinel: int) -> None:
    """Stop this process when the other is gone, even by ``kill -9``: it must not go on writing beside its successor."""
    wait_for([sentinel])
    os._exit(1)


def count(objects: int) -> None:
    """Count objects that are done, for the progress bar of the process that began this one."""
    if progress.counter is not None:
        with progress.counter.get_lock():
            progress.counter.value += objects
