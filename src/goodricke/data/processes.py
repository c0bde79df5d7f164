"""Pools of processes that end with the process that started them, even after ``kill -9``."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import wait


@contextmanager
def process_pool(
    workers: int, initializer: Callable[..., None] | None = None, arguments: tuple = (), method: str | None = None
) -> Iterator[ProcessPoolExecutor]:
    """Start processes of one thread each, and kill them if the work is broken off.

    Parameters
    ----------
    workers : int
    initializer : callable, optional
        Run with ``arguments`` in each process before its first task.
    arguments : tuple
    method : {"spawn", "fork", "forkserver"}, optional
        How processes start; Python's default without. Only spawned ones may use threaded libraries such as PyTorch.
    """
    others = set(active_children())
    with ProcessPoolExecutor(workers, get_context(method), _start_worker, (method, initializer, arguments)) as pool:
        try:
            yield pool
        except BaseException:
            for process in set(active_children()) - others:
                process.kill()
            raise


def _start_worker(method: str | None, initializer: Callable[..., None] | None, arguments: tuple) -> None:
    if method == "spawn":
        limit_worker()
    else:
        watch_parent()  # in a forked process PyTorch's threads must not be touched
    if initializer is not None:
        initializer(*arguments)


def limit_worker() -> None:
    """Give this process one thread, and end it when its parent is gone."""
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"  # read by libraries that are imported from here on
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    watch_parent()


def watch_parent() -> None:
    """Make this process ignore Ctrl-C, and end it when its parent is gone."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent.sentinel,), daemon=True).start()


def _exit_after(sentinel: int) -> None:
    """End this process when another is gone: it must not write to a folder that the next run writes to."""
    wait([sentinel])
    os._exit(1)
