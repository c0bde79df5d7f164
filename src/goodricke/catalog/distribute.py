"""The same tasks on many machines: Dask maps `Classification` over them, on whatever cluster it is told of.

All machines must see the same source, model folder and output folder under the same paths, as on a cluster's shared
disk. A worker that is lost costs the tasks it was at a second try elsewhere. The scheduler is sent little: a task is a
few paths.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from goodricke.catalog.work import ATTEMPTS, Done, begin_process

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")
R = TypeVar("R")

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
