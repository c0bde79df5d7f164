"""The labelled light curves that models are scored on: the held-out part of a run, or all of some files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from goodricke.data.lightcurves import LightCurves
from goodricke.io import read_labels
from goodricke.models.bundle import BundleConfig, Model, read_config
from goodricke.preprocess import MultibandConfig, prepare
from goodricke.training.experiment import Parts, split_objects
from goodricke.training.labels import Labelled, read_labelled
from goodricke.training.recipe import DataConfig, Recipe, TargetConfig, resolved
from goodricke.training.splits import TEST, TRAIN, VALIDATION

Int = NDArray[np.int64]


class Seen(NamedTuple):
    """The light curves that the split gives to training and validation."""

    curves: LightCurves  # m
    label: NDArray[np.object_]  # (m,) names of their classes
    star: Int  # (m,) in the numbers of the sample's stars


class Chosen(NamedTuple):
    """Which rows of labelled light curves are scored."""

    rows: Int
    seen: Int | None  # rows for training and validation, None where no split tells
    origin: str
    held_out: bool
    split: str


class Sample(NamedTuple):
    """The labelled light curves that models are put to."""

    curves: LightCurves  # n
    label: NDArray[np.object_]  # (n,) names of the true classes
    star: Int  # (n,) which star each is of
    targets: dict[str, NDArray[np.float64]]  # measured parameters by name, each (n,), NaN where unknown
    origin: str  # which objects these are, in words
    held_out: bool  # whether a split says that they are not for training
    split: str = ""  # how the split was made, in words
    simulated: bool = False  # as the recipe says
    seen: Seen | None = None  # None where no split tells
    about: pd.DataFrame | None = (
        None  # (n rows) all columns of the table of labels, for checks: nothing is told of them
    )


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
        chosen = _held_out_by(data, labelled)
    else:
        config = data.model_copy(update={"fewest": 1, "targets": data.targets or _targets(data, models)})
        labelled = read_labelled(config, sorted(told))
        chosen = _chosen(config, labelled, split)
    rows, label = chosen.rows, np.array(labelled.classes, dtype=object)[labelled.label]
    return Sample(
        *(labelled.curves[rows], label[rows], labelled.star[rows]),
        targets={name: labelled.targets[rows, k] for k, name in enumerate(config.targets)},
        origin=chosen.origin,
        held_out=chosen.held_out,
        split=chosen.split,
        simulated=isinstance(data, Recipe) and data.simulated,
        seen=_seen(labelled, label, chosen.seen),
        about=_about(config, labelled.curves[rows].ids),
    )


def _seen(data: Labelled, label: NDArray[np.object_], rows: Int | None) -> Seen | None:
    """Return the light curves for training and validation."""
    return None if rows is None else Seen(data.curves[rows], label[rows], data.star[rows])


def _about(config: DataConfig, ids: Sequence[str]) -> pd.DataFrame:
    """Return all that the tables of labels say of objects, a row each."""
    paths = [config.labels, *([config.test_labels] if config.test_labels else [])]
    tables = [read_labels(path, config.label, config.object_id, id_prefix=config.id_prefix) for path in paths]
    whole = pd.concat(tables).drop_duplicates("object_id", keep="last")
    return whole.set_index("object_id").reindex(list(ids))


def _told(model: BundleConfig | Recipe) -> set[str]:
    """Return the columns that a network is told of each object."""
    return set(model.preprocessing.columns) if isinstance(model.preprocessing, MultibandConfig) else set()


def _targets(data: DataConfig, models: Sequence[BundleConfig]) -> dict[str, TargetConfig]:
    """Return the models' parameters that the labels have a column for, of the same name."""
    names = {target.name for model in models for target in model.targets}
    columns = read_labels(data.labels, data.label, data.object_id).columns if names else ()
    return {name: TargetConfig(column=name) for name in sorted(names) if name in columns}


def _held_out_by(recipe: Recipe, data: Labelled) -> Chosen:
    """Return the rows that a recipe holds out, by the split its run has written or else by making it anew."""
    file, how = recipe.run / "split.csv", _in_words(recipe.data)
    if file.exists():
        return Chosen(*_by_file(data, file), f"held out by the run of recipe {recipe.name} ({file})", True, how)
    init = None if recipe.training.init is None else read_config(recipe.training.init)
    config = resolved(recipe, data.curves, init).preprocessing
    parts = split_objects(recipe, data, prepare(data.curves, config, recipe.training.workers))
    seen = np.concatenate([parts[TRAIN], parts[VALIDATION]])
    return Chosen(parts[TEST], seen, f"held out by the split of recipe {recipe.name}", True, how)


def _in_words(config: DataConfig) -> str:
    """Return how a recipe's split is made."""
    if config.split or config.test_labels:
        return f"the survey's own split ({config.split or config.test_labels})"
    near = f"; held-out stars within {config.guard:g} arcsec of another part's left out" if config.guard else ""
    return (
        f"split by star (id, and positions within {config.same_star:g} arcsec where there are any), stratified by "
        f"class, {100 * config.test:g} % held out, seed {config.seed}{near}"
    )


def _chosen(config: DataConfig, data: Labelled, split: str | Path | None) -> Chosen:
    """Return the rows to score without a recipe, and whether a split holds them out."""
    if split is not None:
        return Chosen(*_by_file(data, Path(split)), f"held out by {split}", True, f"as written in {split}")
    if data.part is not None:
        parts = np.flatnonzero(data.part == TEST), np.flatnonzero(np.isin(data.part, (TRAIN, VALIDATION)))
        return Chosen(*parts, f"held out by the column {config.split} of {config.labels}", True, _in_words(config))
    return Chosen(np.arange(len(data.label)), None, f"all that {config.labels} has a label for", False, "")


def _by_file(data: Labelled, file: Path) -> tuple[Int, Int]:
    """Return the rows of the light curves that are test objects by a run's split.csv, and of those that were used."""
    parts = parts_by_file(data, file)
    return parts[TEST], np.sort(np.concatenate([parts[TRAIN], parts[VALIDATION]]))


def parts_by_file(data: Labelled, file: Path) -> Parts:
    """Return the rows of the light curves in each part of a run's split.csv.

    Raises
    ------
    ValueError
        If none of them is a test object there.
    """
    part, ids = read_split(file), data.curves.ids
    parts = {name: np.flatnonzero(np.isin(ids, part.index[part == name])) for name in (TRAIN, VALIDATION, TEST)}
    if not len(parts[TEST]):
        raise ValueError(
            f"{file}: none of the {len(data.label)} labelled light curves is a test object there. Their ids look like "
            f"{data.curves.ids[:3]}, those of the split like {part.index[:3].tolist()}; give the split.csv of the run "
            "that was trained on these data"
        )
    return parts


def trained_on(model: Model, ids: Sequence[str]) -> int | None:
    """Return how many objects the model's own run used for training or validation, None if it has left no split."""
    if model.folder is None or not (model.folder.parent / "split.csv").exists():
        return None
    part = read_split(model.folder.parent / "split.csv")
    return int(np.isin(ids, part.index[part.isin((TRAIN, VALIDATION))]).sum())


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
