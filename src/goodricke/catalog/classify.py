"""``goodricke catalog``: classify a survey task by task; whoever does a task, the shard that comes out is the same.

`Classification` is the pure function of it: a task in, a shard of predictions on the disk, its entry out. It is mapped
over the tasks by one of `goodricke.catalog.work` or `goodricke.catalog.distribute`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from goodricke.catalog.folder import Entry, Folder, write_shard
from goodricke.catalog.pack import left, settings_of
from goodricke.catalog.tasks import Task, plan
from goodricke.catalog.work import count
from goodricke.columns import NO_BAND
from goodricke.inference import classify
from goodricke.lightcurves import LightCurves
from goodricke.models.bundle import BundleConfig, Model, Precision, load_model
from goodricke.predictions import Predictions, Status
from goodricke.preprocess import MultibandConfig
from goodricke.preprocess.multiband import to_magnitudes
from goodricke.readers import ReadOptions, Unreadable
from goodricke.uncertainty.conformal import COVERAGE, Coverage

log = logging.getLogger("goodricke")

ROW_GROUP = 100_000
# Observations in a task: about ten minutes of one core, which is what a crash costs at most.
DENSE_POINTS, MULTIBAND_POINTS = 5_000_000, 30_000_000
FEWEST_POINTS = 250_000

# Threads of a process share its model, and Monte-Carlo passes swap a network's dropout: one asks it at a time. Dask has
# threads where it was not told otherwise.
ALONE = threading.Lock()


@dataclass(frozen=True)
class Classification:
    """One way to classify: called with a task it writes the task's shard; other processes can have it.

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
        """What decides the contents of the shards."""
        kept: dict[str, Any] = {"passes": self.passes, "seed": self.seed, "precision": self.precision}
        kept["coverage"] = list(self.coverage)
        return {"model_hash": self.model_hash, **kept, "reading": settings_of(self.options)}

    def __call__(self, task: Task) -> list[Entry]:
        """Classify the light curves of a task and write its shard.

        Raises
        ------
        ValueError
            If the model is no longer the one that the run began with.
        """
        begun, model = time.perf_counter(), loaded(self.model, self.device, self.precision)
        state = task.fingerprint  # before the reading: a file that changes meanwhile is then read again
        if model.hash != self.model_hash:
            raise ValueError(f"{self.model} has changed since the run began ({model.hash}, was {self.model_hash})")
        result, seen, unread = self._classified(task, model)
        name = f"shard-{task.name}.parquet"
        told = {"model": model.name, "model_hash": model.hash, "classes": ",".join(model.classes)}
        size, sha256 = write_shard(self.out / name, result.table, ROW_GROUP, **told, input=state)
        seconds = round(time.perf_counter() - begun, 3)
        unreadable = [[f.path, f.reason, f.mend] for f in unread]
        more: dict[str, Any] = {"input": state, **seen}
        more |= {"status": counts(result.column("status"))} | ({"unreadable": unreadable} if unreadable else {})
        return [Entry(task.name, name, len(result), size, sha256, seconds, more=more)]

    def _classified(self, task: Task, model: Model) -> tuple[Predictions, dict[str, Any], list[Unreadable]]:
        """Return the predictions, what the light curves are in (units, bands, several at once), what can't be read."""
        parts, unread, units, bands = list[Predictions](), list[Unreadable](), set[str](), set[str]()
        several = False
        for curves, failures in task.batches(self.options):
            unread += failures
            if curves is not None:
                if wrong_unit(curves, model):
                    parts.append(refused(curves, model, self.passes))
                    count(len(curves))
                    continue
                with ALONE:
                    parts.append(classify(curves, model, self.passes, self.seed, tick=count, coverage=self.coverage))
                units.add(curves.unit)
                bands.update(curves.bands)
                several |= bool(curves.has_several_bands.any())
        seen = {"units": sorted(units), "bands": sorted(bands), "several_bands": several}
        return join_predictions(parts, unread, model), seen, unread


@lru_cache(1)
def loaded(model: str, device: str, precision: Precision) -> Model:
    """Return a model, loaded once in each process."""
    return load_model(model, device, precision=precision)


def join_predictions(parts: Sequence[Predictions], unread: Sequence[Unreadable], model: Model) -> Predictions:
    """Join batches of predictions of a model, and add a row for each file that couldn't be read."""
    if not parts:
        parts = [_nothing(model, passes=0)]
    if not unread:
        return Predictions.concat(parts)
    failed = Predictions.failed([Path(failure.path).name for failure in unread], Status.UNREADABLE, parts[0])
    paths, table = pa.array([failure.path for failure in unread]), failed.table
    if "source" in table.column_names:
        table = table.drop_columns(["source"])
    return Predictions.concat([*parts, Predictions(table.append_column("source", paths), failed.classes)])


def wrong_unit(curves: LightCurves, model: Model) -> str:
    """Return why a model can't take light curves in their unit, nothing if it can."""
    try:
        if isinstance(model.preprocessing, MultibandConfig):
            to_magnitudes(curves[:0], model.preprocessing)
    except ValueError as error:
        return str(error)
    return ""


def refused(curves: LightCurves, model: Model, passes: int) -> Predictions:
    """Return a row with a status, and nothing else but what is known of the object, for each light curve."""
    result = Predictions.failed(curves.ids, Status.WRONG_UNIT, _nothing(model, passes))
    table, objects = result.table, curves.table_of_objects
    for name in [name for name in objects.column_names if name not in table.column_names]:
        table = table.append_column(name, objects[name])
    return Predictions(table, result.classes)


def _nothing(model: Model, passes: int) -> Predictions:
    """Return predictions without a row."""
    return classify(LightCurves.from_arrays(pa.array([], pa.string()), [0], [], []), model, passes)


def warn_of_unknown_bands(bands: Sequence[str], config: BundleConfig) -> None:
    """Say so where observations are left out because a multi-band model doesn't know their band."""
    if not isinstance(config.preprocessing, MultibandConfig):
        return
    known = config.preprocessing.bands
    unknown = [band for band in bands if band not in known]
    told = config.name, ", ".join(known), known[0]
    if unknown == [NO_BAND]:
        log.warning("observations without a band are left out: %s knows %s. Say which it is, e.g. --band %s", *told)
    elif unknown:
        log.warning(
            "observations in %s are left out: %s knows %s. If one of these is meant, say so: --band %s=%s",
            *(", ".join(unknown), *told[:2], unknown[0], told[2]),
        )


def warn_of_several_bands(bands: Sequence[str], config: BundleConfig) -> None:
    """Say so where a model of one band gets light curves in several."""
    if not isinstance(config.preprocessing, MultibandConfig) and not getattr(config.preprocessing, "bands", None):
        told = ", ".join(bands), config.name, bands[0]
        log.warning(
            "light curves in %s: %s takes their bands together, each less its median. One alone: --band %s", *told
        )


def warn_of_other_data(unit: str, config: BundleConfig) -> None:
    """Say so where light curves in a unit are plainly not of the kind that a model was trained on."""
    magnitudes = config.unit.startswith("mag")
    if "unknown" not in (config.unit, unit) and magnitudes != unit.lower().startswith("mag"):
        log.warning(
            "%s was trained on %s (%s, band %s), and these light curves are in %s: its probabilities may not hold",
            *(config.name, config.trained_on, config.unit, "/".join(config.bands), unit),
        )


def counts(values: np.ndarray) -> dict[str, int]:
    """Return how often each value comes."""
    names, numbers = np.unique(values.astype(str), return_counts=True)
    return {str(k): int(v) for k, v in zip(names, numbers, strict=True)}


def begin(classification: Classification, sources: Sequence[str], points: int | None) -> tuple[Folder, list[Task]]:
    """Make or take up the folder of a catalog; return it and the tasks left to do."""
    model = loaded(classification.model, classification.device, classification.precision)
    points = points or task_points(model, classification.passes)
    folder = Folder(classification.out, "catalog", {**classification.settings, "model": model.name}).begin()
    return folder, left(folder, plan(classification.out, sources, points, classification.options))


def task_points(model: Model, passes: int) -> int:
    """Return how many observations make about ten minutes of one core."""
    if isinstance(model.preprocessing, MultibandConfig):
        return MULTIBAND_POINTS
    return max(DENSE_POINTS // max(passes if model.stochastic else 1, 1), FEWEST_POINTS)
