"""Pools of processes that end with the process that started them, even after ``kill -9``."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, forkserver, get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext

ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}


@contextmanager
def process_pool(
    workers: int, initializer: Callable[..., None] | None = None, arguments: tuple = (), threads: bool = True
) -> Iterator[ProcessPoolExecutor]:
    """Start processes of one thread each, and kill them if the work is broken off.

    Parameters
    ----------
    workers : int
    initializer : callable, optional
        Run with ``arguments`` in each process before its first task.
    arguments : tuple
    threads : bool
        Whether the work may use PyTorch and Arrow, whose threads don't survive a fork of this process; without, the
        processes start as Python's default is.
    """
    others = set(active_children())
    context = worker_context() if threads else get_context()
    with ProcessPoolExecutor(workers, context, _start_worker, (threads, initializer, arguments)) as pool:
        try:
            yield pool
        except BaseException:
            for process in set(active_children()) - others:
                process.kill()
            raise


def worker_context() -> BaseContext:
    """Return how processes with threads of their own start.

    On Linux they are forks of a server process that has imported PyTorch and done nothing else: the seconds and the
    memory of the imports are spent once for all of them. Elsewhere, each is a fresh process.
    """
    if sys.platform != "linux":
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(["goodricke.inference"])
    former = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)  # the server starts with them, and libraries read them when they are imported
    try:
        forkserver.ensure_running()
    finally:
        for name, value in former.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return context


def _start_worker(threads: bool, initializer: Callable[..., None] | None, arguments: tuple) -> None:
    if threads:
        limit_worker()
    else:
        watch_parent()  # in a forked process PyTorch's threads must not be touched
    if initializer is not None:
        initializer(*arguments)


def limit_worker() -> None:
    """Give this process one thread, and end it when its parent is gone."""
    os.environ.update(ONE_THREAD)  # read by libraries that are imported from here on
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
