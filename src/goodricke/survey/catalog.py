"""``goodricke catalog``: classify a survey task by task, into a folder of shards with a row per light curve.

`ClassificationJob` takes a task, writes a shard of predictions and returns its entry. The shard is the same on all
machines; see `goodricke.survey.jobs`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from goodricke.data.exit_codes import ExitCode
from goodricke.data.lightcurves import LightCurves
from goodricke.data.predictions import MEANING, Predictions, Status
from goodricke.inference import InputChecks, classify_batches
from goodricke.io import ReadOptions, Unreadable
from goodricke.models.bundle import Model, Precision, find_model, load_model
from goodricke.preprocess import MultibandConfig, VariablesConfig
from goodricke.survey.jobs import count, lock_folder
from goodricke.survey.shards import Entry, Folder, write_shard
from goodricke.survey.tasks import SurveyTask, plan_tasks, print_failures, reading_settings, run_tasks, unfinished
from goodricke.uncertainty.prediction_sets import COVERAGE, Coverage

ROW_GROUP = 100_000
# Observations in a task: about ten minutes of one core, which is what a crash costs at most.
DENSE_POINTS, MULTIBAND_POINTS = 5_000_000, 30_000_000
VARIABLES_POINTS = 3_000_000  # however many passes: nearly all of the time goes into candidate periods
FEWEST_POINTS = 250_000


def catalog(
    sources: Sequence[str],
    model: str,
    out: Path,
    workers: int = 1,
    passes: int = 20,
    seed: int = 0,
    device: str = "cpu",
    precision: Any = "auto",
    dask: str | None = None,
    points: int | None = None,
    options: dict[str, Any] | None = None,
    coverage: Coverage = COVERAGE,
    console: Console | None = None,
) -> int:
    """Classify a survey into a catalog.

    Parameters
    ----------
    sources : list of str
        Packs, nested Parquet files, HATS catalogs, or whatever `goodricke.io.find` takes.
    model : str
        See `goodricke.load_model`.
    out : Path
        A new folder, or that of a run that was broken off: it goes on where that stopped.
    workers : int
        Processes of one thread each. On a GPU they share it: one reads while another computes.
    passes, seed, device, precision
        See `goodricke.classify`.
    dask : str, optional
        ``local``, the address of a scheduler, or ``slurm:FILE``; see `goodricke.survey.jobs`.
    points : int, optional
        Observations per shard, about; by default some ten minutes' work of one core.
    options : dict, optional
        Of the readers, see `goodricke.io.ReadOptions`.
    coverage : Coverage
        Of the prediction sets.

    Returns
    -------
    int
        0 if all shards were made, 3 if a task failed or nothing at all could be read; the manifest says why. Light
        curves that could not be classified have a row with their status and don't count here.
    """
    console = console or Console()
    read = ReadOptions(**(options or {}))
    network = load_model(model, device, precision=precision)
    read = replace(read, photometry=read.photometry or network.config.flux_kind)
    path = str(find_model(model).absolute())
    job = ClassificationJob(out.absolute(), path, network.hash, passes, seed, network.precision, device, read, coverage)
    with lock_folder(job.out):
        folder = Folder(job.out, "catalog", {**job.settings, "model": network.name}).begin()
        plan = plan_tasks(job.out, sources, points or task_points(network, passes), job.options)
        run_tasks(folder, job, unfinished(folder, plan), workers, dask, "light curves", console)
        checks, contents = InputChecks(network.config), [entry.details for entry in folder.entries().values()]
        for unit in sorted({unit for content in contents for unit in content.get("units", [])}):
            checks.check_unit(unit)
        bands = sorted({band for content in contents for band in content.get("bands", [])})
        checks.check_bands(bands, any(content.get("several_bands") for content in contents))
        status = sum((Counter(content.get("status", {})) for content in contents), Counter[str]())
        unreadable, manifest = folder.list_unreadable(), folder.finish(status=dict(status))
    console.print(_status_table(manifest, out))
    nothing_read = bool(unreadable) and not set(status) - {Status.UNREADABLE}
    failed = print_failures(manifest, unreadable, out, console)
    return ExitCode.SOME_FAILED if failed or nothing_read else ExitCode.DONE


@dataclass(frozen=True)
class ClassificationJob:
    """The work of `catalog`: called with a task it writes the task's shard; can be sent to other processes.

    Parameters
    ----------
    out : Path
        Folder for the shards.
    model : str
        Folder of the model, where every process finds it.
    model_hash : str
        Of the model that the run began with.
    passes, seed, precision, device, coverage
        See `goodricke.classify`.
    options : ReadOptions
    """

    out: Path
    model: str
    model_hash: str
    passes: int = 20
    seed: int = 0
    precision: Precision = "auto"
    device: str = "cpu"
    options: ReadOptions = field(default_factory=ReadOptions)
    coverage: Coverage = COVERAGE

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that decides the contents of the shards."""
        return {
            "model_hash": self.model_hash,
            "passes": self.passes,
            "seed": self.seed,
            "precision": self.precision,
            "coverage": list(self.coverage),
            "reading": reading_settings(self.options),
        }

    def __call__(self, task: SurveyTask) -> list[Entry]:
        """Classify the light curves of a task and write its shard.

        Raises
        ------
        ValueError
            If the model is no longer the one that the run began with.
        """
        start, model = time.perf_counter(), load_once(self.model, self.device, self.precision)
        fingerprint = task.fingerprint  # before reading: a file that changes meanwhile is then read again
        if model.hash != self.model_hash:
            raise ValueError(f"{self.model} has changed since the run began ({model.hash}, was {self.model_hash})")
        result, contents, failures = self._classify(task, model)
        name = f"shard-{task.name}.parquet"
        metadata = {"model": model.name, "model_hash": model.hash, "classes": ",".join(model.classes)}
        size, sha256 = write_shard(self.out / name, result.table, ROW_GROUP, **metadata, input=fingerprint)
        seconds = round(time.perf_counter() - start, 3)
        details = {
            "input": fingerprint,
            **contents,
            "status": dict(Counter(result.column("status").astype(str).tolist())),
        }
        if failures:
            details["unreadable"] = [[f.path, f.reason, f.fix] for f in failures]
        return [Entry(task.name, name, len(result), size, sha256, seconds, details=details)]

    def _classify(self, task: SurveyTask, model: Model) -> tuple[Predictions, dict[str, Any], list[Unreadable]]:
        """Return the predictions, the units and bands of the light curves, and the files that can't be read."""
        units, bands, several = set[str](), set[str](), False

        def finished(curves: LightCurves, predictions: Predictions) -> None:
            nonlocal several
            if not (predictions.column("status") == Status.WRONG_UNIT).any():
                units.add(curves.unit)
                bands.update(curves.bands)
                several |= bool(curves.has_several_bands.any())

        result, failures = classify_batches(
            task.batches(self.options),
            model,
            finished=finished,
            checks=InputChecks.silent(model.config),
            passes=self.passes,
            seed=self.seed,
            tick=count,
            coverage=self.coverage,
        )
        return result, {"units": sorted(units), "bands": sorted(bands), "several_bands": several}, failures


@lru_cache(1)
def load_once(model: str, device: str, precision: Precision) -> Model:
    """Return a model, loaded once in each process."""
    return load_model(model, device, precision=precision)


def task_points(model: Model, passes: int) -> int:
    """Return how many observations make about ten minutes of one core."""
    if isinstance(model.preprocessing, MultibandConfig):
        return MULTIBAND_POINTS
    if isinstance(model.preprocessing, VariablesConfig):
        return VARIABLES_POINTS
    return max(DENSE_POINTS // max(passes if model.stochastic else 1, 1), FEWEST_POINTS)


def _status_table(manifest: Mapping[str, Any], out: Path) -> Table:
    table = Table(
        title=f"{manifest['rows']:,} light curves, {manifest['bytes'] / 1e6:,.1f} MB, in {out}", title_justify="left"
    )
    for name in ("status", "light curves", ""):
        table.add_column(name, justify="right" if name == "light curves" else "left")
    for status, number in sorted(manifest["status"].items(), key=lambda item: -item[1]):
        table.add_row(status, f"{number:,}", MEANING[Status(status)])
    return table
