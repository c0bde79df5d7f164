"""Work done by many: the same function over all tasks, in this process, in several, or on a Dask cluster.

Whoever does it, what comes back is (task, result or exception), as it is done. A task that raises, and one whose
process dies (out of memory, a segmentation fault), is tried again and at last set aside; the others go on.

The same tasks on many machines: Dask maps `Classification` over them, on whatever cluster it is told of.

All machines must see the same source, model folder and output folder under the same paths, as on a cluster's shared
disk. A worker that is lost costs the tasks it was at a second try elsewhere. The scheduler is sent little: a task is a
few paths.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from goodricke.models.runtime.memory import keep_freed_memory

if TYPE_CHECKING:
    from distributed import Client


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


# ---- The same tasks on many machines: Dask maps `Classification` over them, on whatever cluster it is tol ------------


AHEAD = 3  # tasks per worker that the scheduler holds: enough to keep all busy, few enough to take new workers in
EXTRA = "needs Dask: pip install 'goodricke[dask]'"


def on_dask(function: Callable[[T], R], tasks: Sequence[T], where: str, workers: int) -> Done[T, R]:
    """Do the tasks on a Dask cluster.

    Parameters
    ----------
    function : callable
    tasks : sequence
    where : str
        ``local`` for ``workers`` processes here; the address of a scheduler (``tcp://host:8786``); or ``slurm:FILE``, a
        TOML file of parameters of ``dask_jobqueue.SLURMCluster`` (cores, memory, queue, walltime, ...), of which
        ``workers`` jobs are asked for.

    Yields
    ------
    task, result or exception

    Raises
    ------
    ImportError
        If Dask isn't installed.
    ValueError
        If ``where`` is none of these.
    """
    try:
        from distributed import as_completed
    except ImportError as error:
        raise ImportError(f"--dask {EXTRA}") from error
    with client_of(where, workers) as client:
        client.register_plugin(_plugin(), name="goodricke")
        left = iter(tasks)
        futures: dict[Any, T] = {}

        def submit() -> Any:
            task = next(left, None)
            if task is None:
                return None
            future = client.submit(function, task, pure=False, retries=ATTEMPTS - 1)
            futures[future] = task
            return future

        def submit_some() -> list[Any]:
            """Keep as many ahead as there are workers for: those of a cluster come one by one."""
            at_once = AHEAD * max(len(client.nthreads()), workers, 1)
            some = (submit() for _ in range(at_once - len(futures)))
            return [future for future in some if future is not None]

        running = as_completed(submit_some())
        for future in running:
            failure = future.exception()
            yield futures.pop(future), future.result() if failure is None else failure
            running.update(submit_some())


@contextmanager
def client_of(where: str, workers: int) -> Iterator[Client]:
    """Give a client of the cluster, and close what was opened for it.

    Raises
    ------
    ValueError
        If there is no such cluster.
    """
    import dask
    from distributed import Client, LocalCluster

    # a shard that kills its worker (out of memory) is set aside after as many as a local run would lose
    dask.config.set({"distributed.scheduler.allowed-failures": ATTEMPTS})
    if where == "local":
        with (
            LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster) as client,
        ):
            yield client
    elif where.startswith("slurm:"):
        with _slurm(Path(where.removeprefix("slurm:")), workers) as cluster, Client(cluster) as client:
            yield client
    elif "://" in where:
        with Client(where, timeout=30) as client:
            yield client
    else:
        raise ValueError(f"--dask {where}: give local, the address of a scheduler (tcp://host:8786) or slurm:FILE.toml")


def _slurm(file: Path, workers: int) -> Any:
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as error:
        raise ImportError("--dask slurm:... needs dask-jobqueue: pip install 'goodricke[dask]'") from error
    cluster = SLURMCluster(**slurm_settings(file))
    cluster.scale(jobs=workers)
    return cluster


def slurm_settings(file: Path) -> dict[str, Any]:
    """Return the parameters of ``dask_jobqueue.SLURMCluster`` that a TOML file gives.

    Raises
    ------
    ValueError
        If it can't be read.
    """
    try:
        return tomllib.loads(file.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{file}: {error}; write cores, memory, queue, ... of SLURMCluster as TOML") from error


def _plugin() -> Any:
    """Return what every worker does as it begins: one thread, memory kept, heavy imports done before the first task."""
    from distributed import WorkerPlugin

    class Begin(WorkerPlugin):
        def setup(self, worker: Any) -> None:
            import goodricke.inference  # noqa: F401  seconds of imports

            begin_process()

    return Begin()
