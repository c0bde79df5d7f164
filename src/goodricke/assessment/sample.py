"""The labelled light curves that models are scored on: the held-out part of a run, or all of some files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from goodricke.experiment import split_objects
from goodricke.lightcurves import LightCurves
from goodricke.models.bundle import BundleConfig, read_config
from goodricke.preprocess import MultibandConfig, prepare
from goodricke.readers import read_labels
from goodricke.training.labelled import Labelled, read_labelled
from goodricke.training.recipe import DataConfig, Recipe, TargetConfig, resolved
from goodricke.training.splits import TEST

Int = NDArray[np.int64]


class Sample(NamedTuple):
    """The labelled light curves that models are put to."""

    curves: LightCurves  # n
    label: NDArray[np.object_]  # (n,) names of the true classes
    star: Int  # (n,) which star each is of
    targets: dict[str, NDArray[np.float64]]  # measured parameters by name, each (n,), NaN where unknown
    origin: str  # which objects these are, in words
    held_out: bool  # whether a split says that they are not for training


def read_sample(data: Recipe | DataConfig, models: Sequence[BundleConfig], split: str | Path | None = None) -> Sample:
    """Read the labelled light curves that models are to be scored on.

    Parameters
    ----------
    data : Recipe or DataConfig
        Of a recipe the test objects of its run; otherwise all objects, or the test objects of its column ``split``.
    models : list of BundleConfig
        What they are told of objects, and regress, is read too. Without ``[data.targets]`` a parameter is looked for in
        the column of its name.
    split : path, optional
        A run's ``split.csv``, for a DataConfig: only its test objects.

    Raises
    ------
    ValueError
        If there is no such object, or a file is not what it should be.
    """
    told = {name for model in models for name in _told(model)}
    if isinstance(data, Recipe):
        config = data.data
        labelled = read_labelled(config, sorted(told | _told(data)))
        rows, origin, held_out = *_held_out_by(data, labelled), True
    else:
        config = data.model_copy(update={"fewest": 1, "targets": data.targets or _targets(data, models)})
        labelled = read_labelled(config, sorted(told))
        rows, origin, held_out = _chosen(config, labelled, split)
    label = np.array(labelled.classes, dtype=object)[labelled.label[rows]]
    targets = {name: labelled.targets[rows, k] for k, name in enumerate(config.targets)}
    return Sample(labelled.curves[rows], label, labelled.star[rows], targets, origin, held_out)


def _told(model: BundleConfig | Recipe) -> set[str]:
    """Return the columns that a network is told of each object."""
    return set(model.preprocessing.columns) if isinstance(model.preprocessing, MultibandConfig) else set()


def _targets(data: DataConfig, models: Sequence[BundleConfig]) -> dict[str, TargetConfig]:
    """Return the models' parameters that the labels have a column for, of the same name."""
    names = {target.name for model in models for target in model.targets}
    columns = read_labels(data.labels, data.label, data.object_id).columns if names else ()
    return {name: TargetConfig(column=name) for name in sorted(names) if name in columns}


def _held_out_by(recipe: Recipe, data: Labelled) -> tuple[Int, str]:
    """Return the rows that a recipe holds out, by the split its run has written or else by making it anew."""
    file = recipe.run / "split.csv"
    if file.exists():
        return _test_rows(data, file), f"held out by the run of recipe {recipe.name} ({file})"
    init = None if recipe.training.init is None else read_config(recipe.training.init)
    config = resolved(recipe, data.curves, init).preprocessing
    parts = split_objects(recipe, data, prepare(data.curves, config, recipe.training.workers))
    return parts[TEST], f"held out by the split of recipe {recipe.name}"


def _chosen(config: DataConfig, data: Labelled, split: str | Path | None) -> tuple[Int, str, bool]:
    """Return the rows to score without a recipe, which they are in words, and whether a split holds them out."""
    if split is not None:
        return _test_rows(data, Path(split)), f"held out by {split}", True
    if data.part is not None:
        return np.flatnonzero(data.part == TEST), f"held out by the column {config.split} of {config.labels}", True
    return np.arange(len(data.label)), f"all that {config.labels} has a label for", False


def _test_rows(data: Labelled, file: Path) -> Int:
    """Return the rows of the light curves that are test objects by a run's split.csv."""
    part = read_split(file)
    rows = np.flatnonzero(np.isin(data.curves.ids, part.index[part == TEST]))
    if not len(rows):
        raise ValueError(
            f"{file}: none of the {len(data.label)} labelled light curves is a test object there. Their ids look like "
            f"{data.curves.ids[:3]}, those of the split like {part.index[:3].tolist()}; give the split.csv of the run "
            "that was trained on these data"
        )
    return rows


def read_split(file: Path) -> pd.Series:
    """Return the part (train, validation, test or nothing) of each object in a run's split.csv, by its id."""
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:
        raise ValueError(f"{file}: can't be read as a table ({error}). Give the split.csv of a training run") from error
    if not {"object_id", "part"} <= set(table.columns):
        raise ValueError(
            f"{file}: a split has the columns object_id and part; this has {', '.join(table.columns)}. "
            "Give the split.csv of a training run"
        )
    return table.set_index("object_id")["part"]
