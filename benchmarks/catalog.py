"""Speed of a survey: packing small files, a catalog against the number of light curves, and what a cluster would do."""

from __future__ import annotations

import heapq
import os
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.astrafier import Figures
from benchmarks.reading import write
from goodricke.data.examples import example_files
from goodricke.data.lightcurves import LightCurves
from goodricke.io import read
from goodricke.survey import Catalog
from goodricke.survey.pack import PackingJob, sort_by_object
from goodricke.survey.shards import Entry, Folder, read_log, write_shard

LIGHTKURVE = "LIGHTKURVE_PYTHON"  # a Python that has lightkurve, which wants another pandas
READ_ALL = (
    "import sys, glob, time, lightkurve as lk\n"
    "paths = sorted(glob.glob(sys.argv[1] + '/*.fits')); lk.read(paths[0]); begun = time.process_time()\n"
    "for path in paths: lk.read(path)\n"
    "print(time.process_time() - begun)"
)
SHARD = 20_000  # light curves in a shard of copies


# ---- packing --------------------------------------------------------------------------------------------------------


def packing(tiny: bool = False) -> Figures:
    """Measure packing 2,000 QLP files (1,171 points) into shards with one process, beside lightkurve reading them."""
    n, points = (4, 80) if tiny else (2000, 1171)
    with TemporaryDirectory() as name:
        source, out = Path(name) / "files", Path(name) / "pack"
        source.mkdir()
        write(source, n, points)
        before = sum(path.stat().st_size for path in source.iterdir())
        cpu, wall, _ = command("pack", str(source), "--out", str(out))
        after = sum(entry.bytes for entry in read_log(out))
        figures = {"pack": _files(n, cpu, wall) | {"bytes before / after": before / after}}
        other = _lightkurve(source)
        if other is not None:
            figures["lightkurve, reading only"] = _files(n, other, float("nan")) | {"bytes before / after": 1.0}
    return figures


def _files(n: int, cpu: float, wall: float) -> dict[str, Any]:
    return {"files per CPU second": n / cpu, "CPU per file [ms]": 1e3 * cpu / n, "wall of all [s]": wall}


def _lightkurve(folder: Path) -> float | None:
    """Return the CPU time that lightkurve takes to read the files, None if it isn't there."""
    if LIGHTKURVE not in os.environ:
        return None
    told = subprocess.run(
        [os.environ[LIGHTKURVE], "-c", READ_ALL, str(folder)], capture_output=True, text=True, check=True
    )
    return float(told.stdout)


# ---- a catalog against the number of light curves -------------------------------------------------------------------


def growth(tiny: bool = False) -> Figures:
    """Measure `goodricke catalog` on 1,000 to 1,000,000 noisy copies of real light curves, with one and two processes.

    ZTF's transients (``../shared/data/ztf_bts``, 26 observations each on average) for the multi-band model; without
    that folder, and for variables, the stars that come with the package. The time of starting (imports, the model) is
    in the wall time and told apart by the smallest run.
    """
    figures = Figures()
    cases = [("ztf-bts", n, workers) for n in (1_000, 10_000, 100_000, 1_000_000) for workers in (1, 2)]
    cases = [case for case in cases if case[1] != 1_000_000 or case[2] == 2]
    cases += [("variables", n, 1) for n in (300, 3000)]
    if tiny:
        cases = [("ztf-bts", 30, 1)]
    with TemporaryDirectory() as name:
        for model, n, workers in cases:
            source, out = Path(name) / f"{model}-{n}", Path(name) / f"{model}-{n}-{workers}"
            if not source.exists():
                copies(source, stars_for(model), n)
            cpu, wall, memory = command(
                *("catalog", str(source), "--model", model, "--mc", "0", "--out", str(out), "--workers", str(workers))
            )
            rows = len(Catalog.open(out))
            figures[f"{model}, {rows:,} light curves, {workers} process{'es' * (workers > 1)}"] = {
                "wall [s]": wall,
                "CPU [s]": cpu,
                "light curves per second": rows / wall,
                "CPU per light curve [ms]": 1e3 * cpu / rows,
                "largest process [GB]": memory,
            }
    return figures


def stars_for(model: str) -> LightCurves:
    """Return the light curves that are copied."""
    if model == "variables":
        return read(example_files())
    path = Path(__file__).parents[2] / "shared" / "data" / "ztf_bts" / "lightcurves.parquet"
    if not path.exists():
        return read(example_files(), band="g", unit="mag")
    return read(path, unit="mag")


def copies(out: Path, stars: LightCurves, n: int) -> None:
    """Write ``n`` copies of light curves with new noise, a fifth of their own, as a pack."""
    rng = np.random.default_rng(0)
    folder = Folder(out, "pack", PackingJob(out).settings).begin()
    for first in range(0, n, SHARD):
        some = stars[rng.integers(0, len(stars), min(SHARD, n - first))]
        sigma = np.nan_to_num(np.where(some.error > 0, some.error, 0.01))
        value = some.value + rng.normal(0, 0.2 * sigma).astype(np.float32)
        names = pa.array([f"copy {first + i}" for i in range(len(some))])
        part = replace(some, object_id=names, value=value, objects=None)
        name = f"shard-{first // SHARD:06d}.parquet"
        size, sha256 = write_shard(out / name, sort_by_object(part).to_arrow(), SHARD // 10)
        folder.log(Entry(f"{first // SHARD:06d}", name, len(part), size, sha256))
    folder.finish()


def command(*arguments: str) -> tuple[float, float, float]:
    """Run the command ``goodricke``; return CPU and wall time [s] and the memory of its largest process [GB]."""
    code = "import sys; from goodricke.cli import main; sys.argv[0] = 'goodricke'; main()"
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with open(os.devnull, "w") as nowhere:
        running = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=nowhere, stderr=subprocess.PIPE)
        peak = 0.0
        while running.poll() is None:
            peak = max(peak, _memory(running.pid))
            time.sleep(0.05)
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert running.stderr is not None
    told = running.stderr.read().decode()
    if running.returncode not in (0, 3):
        raise RuntimeError(told)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall, peak


def _memory(pid: int) -> float:
    """Return the most memory [GB] that a process or one that it began has held; 0 where the system can't tell."""
    try:
        with open(f"/proc/{pid}/status") as lines:  # of this program, not of what was forked for it
            own = next((int(line.split()[1]) * 1024e-9 for line in lines if line.startswith("VmHWM")), 0.0)
        with open(f"/proc/{pid}/task/{pid}/children") as children:
            return max([own, *(_memory(int(child)) for child in children.read().split())])
    except (OSError, ValueError):
        return 0.0


# ---- a cluster ------------------------------------------------------------------------------------------------------


def cluster(tiny: bool = False) -> Figures:
    """Simulate 1 to 1,000 workers on a survey of a million ASTRAFier light curves, from costs measured here.

    The scheduler hands out one task at a time and takes as long for each as `distributed` was measured to take here
    for tasks that do nothing; shards are read over a disk that all share, at 1 GB/s; a worker begins with imports.
    """
    scheduling = dispatch(20 if tiny else 2000)
    light_curve, bytes_each, per_task, begin = 0.14, 8_000.0, 427, 10.0  # [s], one float32 pass; 500,000 points a task
    tasks = 1_000_000 // per_task
    figures = Figures()
    for workers in (1, 2, 10, 100, 1000, 10_000):
        wall = simulate(workers, tasks, light_curve * per_task, bytes_each * per_task / 1e9, scheduling, begin)
        work = tasks * light_curve * per_task
        figures[f"{workers:,} workers"] = {
            "wall [min]": wall / 60,
            "workers busy": work / (wall * workers),
            "scheduler busy": tasks * scheduling / wall,
            "shared disk busy": tasks * bytes_each * per_task / 1e9 / wall,
            "measured: scheduling a task [ms]": 1e3 * scheduling,
        }
    return figures


def dispatch(n: int) -> float:
    """Return what a task costs the scheduler and client [s], measured with tasks that do nothing on two workers."""
    from distributed import LocalCluster

    from goodricke.survey.jobs import run_on_dask

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as running:
        list(run_on_dask(abs, range(10), running.scheduler_address, 2))
        begun = time.perf_counter()
        done = list(run_on_dask(abs, range(n), running.scheduler_address, 2))
        assert len(done) == n
        return (time.perf_counter() - begun) / n


def simulate(workers: int, tasks: int, work: float, read: float, scheduling: float, begin: float) -> float:
    """Return the wall time [s] of equal tasks (20 % scatter) on workers that share one scheduler and one disk.

    Parameters
    ----------
    workers, tasks : int
    work, read, scheduling : float
        Of a task [s]: on a worker; on the disk, if it had the disk for itself; in the scheduler.
    begin : float
        Of a worker [s].
    """
    rng = np.random.default_rng(0)
    free = [begin] * workers
    scheduler = disk = 0.0
    for length in work * rng.lognormal(-0.02, 0.2, tasks):
        scheduler = max(scheduler, heapq.heappop(free)) + scheduling
        disk = max(disk, scheduler) + read
        heapq.heappush(free, disk + length)
    return max(free)
