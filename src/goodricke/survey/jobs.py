"""The executor: one function over many tasks, in this process, in several, or on a Dask cluster; and locks of folders.

Results come as (task, result or exception), in the order in which the tasks end. A task that raises, or whose process
dies (out of memory, a segmentation fault), is tried a second time and then given up; the other tasks go on. A process
ends when the process that started it is gone, even after ``kill -9``.

All machines of a cluster must see source, model and output under the same paths, as on a shared disk. A lost worker
costs its tasks one of their two attempts. The scheduler receives little: a task is a few paths.
"""

from __future__ import annotations

import tomllib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from goodricke.data.processes import limit_worker, process_pool, worker_context
from goodricke.models.runtime.memory import keep_freed_memory

if TYPE_CHECKING:
    from distributed import Client


T = TypeVar("T")
R = TypeVar("R")
Results = Iterator[tuple[T, R | Exception]]

ATTEMPTS = 2
AHEAD = 3  # tasks per worker that wait to be run: enough to keep all workers busy, few enough to stay in memory
DIED = "out of memory, or a crash in a library"
DIED_TWICE = f"its process died twice, the second time as the only one: {DIED}"
NO_PROCESS = (
    "no process could be started: a script that uses several needs `if __name__ == '__main__':` around the call, and "
    "one that is read from a pipe can have one worker only"
)


# ---- in this process -------------------------------------------------------------------------------------------------


def run_here(function: Callable[[T], R], tasks: Iterable[T], counter: Any = None) -> Results[T, R]:
    """Run the tasks in this process, one after the other; see `run_in_processes`."""
    global _counter
    _counter = counter
    try:
        for task in tasks:
            yield task, _attempt(function, task)
    finally:
        _counter = None


def count(objects: int) -> None:
    """Add to the counter of the run, for the progress bar of the process that started it; without one, do nothing."""
    if _counter is not None:
        with _counter.get_lock():
            _counter.value += objects


_counter: Any = None


def _attempt(function: Callable[[T], R], task: T) -> R | Exception:
    error: Exception = RuntimeError("not tried")
    for _ in range(ATTEMPTS):
        try:
            return function(task)
        except Exception as caught:
            error = caught
    return error


# ---- in several processes --------------------------------------------------------------------------------------------


def run_in_processes(
    function: Callable[[T], R], tasks: Sequence[T], workers: int, counter: Any = None
) -> Results[T, R]:
    """Run the tasks in ``workers`` processes of one thread each.

    Parameters
    ----------
    function : callable
        Can be pickled.
    tasks : sequence
    workers : int
    counter : multiprocessing.Value, optional
        What `count` adds to.

    Raises
    ------
    RuntimeError
        If no process can be started.
    """
    suspects = list[T]()  # were running when a process died
    left = deque(tasks)
    while left:
        running: dict[Future[R | Exception], T] = {}
        with _pool(workers, counter) as pool:
            started = pool.submit(_do_nothing)
            try:
                while left or running:
                    while left and len(running) < workers + 1:
                        running[pool.submit(_attempt, function, left[0])] = left[0]
                        left.popleft()
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        result = future.result()
                        yield running.pop(future), result
            except BrokenProcessPool:
                if started.exception() is not None:
                    raise RuntimeError(NO_PROCESS) from None
                suspects += running.values()
    for task in suspects:  # one of them killed its process: a pool for each, so that none takes others with it
        yield task, _run_in_own_pool(function, task, counter)


def run_in_order(function: Callable[[T], R], tasks: Iterable[T], workers: int) -> Generator[R, None, None]:
    """Give the result of each task in the order of the tasks, which may come from an iterator of any length.

    Parameters
    ----------
    function : callable
        Can be pickled. Its exceptions are raised.
    tasks : iterable
        At most `AHEAD` per worker are taken before their turn, so that memory stays flat.
    workers : int
        Processes of one thread each; with 1 the tasks run in this process.

    Raises
    ------
    RuntimeError
        If no process can be started, or one dies.
    """
    if workers <= 1:
        yield from map(function, tasks)
        return
    running = deque[Future[R]]()
    with _pool(workers, None) as pool:
        started = pool.submit(_do_nothing)
        try:
            for task in tasks:
                running.append(pool.submit(function, task))
                if len(running) >= AHEAD * workers:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        except BrokenProcessPool:
            message = NO_PROCESS if started.exception() is not None else f"a process died: {DIED}"
            raise RuntimeError(message) from None


def _do_nothing() -> None:
    """Show that a process could be started."""


def _run_in_own_pool(function: Callable[[T], R], task: T, counter: Any) -> R | Exception:
    with _pool(1, counter) as pool:
        try:
            return pool.submit(_attempt, function, task).result()
        except BrokenProcessPool:
            return RuntimeError(DIED_TWICE)


def _pool(workers: int, counter: Any) -> AbstractContextManager[ProcessPoolExecutor]:
    return process_pool(workers, _initialize, (counter,))


def _initialize(counter: Any) -> None:
    global _counter
    _counter = counter
    keep_freed_memory()


# ---- on a Dask cluster -----------------------------------------------------------------------------------------------


def run_on_dask(function: Callable[[T], R], tasks: Iterable[T], cluster: str, workers: int) -> Results[T, R]:
    """Run the tasks on a Dask cluster.

    Parameters
    ----------
    function : callable
    tasks : iterable
    cluster : str
        ``local`` for ``workers`` processes here; the address of a scheduler (``tcp://host:8786``); or ``slurm:FILE``, a
        TOML file of parameters of ``dask_jobqueue.SLURMCluster`` (cores, memory, queue, walltime, ...), of which
        ``workers`` jobs are submitted.

    Raises
    ------
    ImportError
        If Dask isn't installed.
    ValueError
        If ``cluster`` is none of these.
    """
    try:
        from distributed import as_completed
    except ImportError as error:
        raise ImportError("--dask needs Dask: pip install 'goodricke[dask]'") from error
    with open_client(cluster, workers) as client:
        client.register_plugin(_worker_plugin(), name="goodricke")
        left = iter(tasks)
        futures: dict[Any, T] = {}

        def submit() -> list[Any]:
            """Keep `AHEAD` tasks at the scheduler for each worker; the workers of a cluster come one by one."""
            submitted = []
            while len(futures) < AHEAD * max(len(client.nthreads()), workers, 1):
                task = next(left, None)
                if task is None:
                    break
                submitted.append(client.submit(function, task, pure=False, retries=ATTEMPTS - 1))
                futures[submitted[-1]] = task
            return submitted

        running = as_completed(submit())
        for future in running:
            failure = future.exception()
            yield futures.pop(future), future.result() if failure is None else failure
            running.update(submit())


@contextmanager
def open_client(cluster: str, workers: int) -> Iterator[Client]:
    """Give a client of a cluster (see `run_on_dask`), and close what was opened for it.

    Raises
    ------
    ValueError
        If there is no such cluster.
    """
    import dask
    from distributed import Client, LocalCluster

    # a task that kills its worker (out of memory) is given up after as many attempts as in local processes
    dask.config.set({"distributed.scheduler.allowed-failures": ATTEMPTS})
    if cluster == "local":
        dask.config.set({"distributed.worker.multiprocessing-method": worker_context().get_start_method()})
        with (
            LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as local,
            Client(local) as client,
        ):
            yield client
    elif cluster.startswith("slurm:"):
        with _slurm_cluster(Path(cluster.removeprefix("slurm:")), workers) as slurm, Client(slurm) as client:
            yield client
    elif "://" in cluster:
        with Client(cluster, timeout=30) as client:
            yield client
    else:
        raise ValueError(
            f"--dask {cluster}: give local, the address of a scheduler (tcp://host:8786) or slurm:FILE.toml"
        )


def read_slurm_settings(file: Path) -> dict[str, Any]:
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


def _slurm_cluster(file: Path, workers: int) -> Any:
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as error:
        raise ImportError("--dask slurm:... needs dask-jobqueue: pip install 'goodricke[dask]'") from error
    cluster = SLURMCluster(**read_slurm_settings(file))
    cluster.scale(jobs=workers)
    return cluster


def _worker_plugin() -> Any:
    """Return what every worker does at its start: one thread, memory kept, slow imports before the first task."""
    from distributed import WorkerPlugin

    class Setup(WorkerPlugin):
        def setup(self, worker: Any) -> None:
            import goodricke.inference  # noqa: F401  seconds of imports

            limit_worker()
            keep_freed_memory()

    return Setup()


# ---- locks -----------------------------------------------------------------------------------------------------------


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keep a second run out of a folder; the operating system releases the lock however this process ends.

    Raises
    ------
    ValueError
        If another run has the lock.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / ".lock"
    with open(lock, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{folder}: another run is at work there; wait for it, or choose a new folder") from None
        except OSError:  # a file system without locks
            pass
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
