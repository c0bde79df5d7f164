"""The labelled light curves that models are scored on: the held-out objects of a run, or all objects of some files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from goodricke.data.lightcurves import LightCurves
from goodricke.evaluation.taxonomy_scores import set_names
from goodricke.io import read_labels
from goodricke.models.bundle import BundleConfig, Model, read_config
from goodricke.preprocess import prepare
from goodricke.training.class_names import spell_as_classes
from goodricke.training.experiment import Parts, split_objects
from goodricke.training.labels import Labelled, catalogue_period, match_labels, read_labelled
from goodricke.training.recipe import DataConfig, Recipe, SourceConfig, TargetConfig, resolve_recipe
from goodricke.training.splits import TEST, TRAIN, VALIDATION

Int = NDArray[np.int64]


class TrainingObjects(NamedTuple):
    """The light curves that the split assigns to training and validation."""

    curves: LightCurves  # m
    label: NDArray[np.object_]  # (m,) names of their classes
    star: Int  # (m,) numbered as the stars of the sample


class Selection(NamedTuple):
    """The rows of labelled light curves that are scored."""

    rows: Int
    training: Int | None  # rows for training and validation, None without a split
    origin: str
    held_out: bool
    split: str


class Sample(NamedTuple):
    """The labelled light curves that models are scored on."""

    curves: LightCurves  # n
    label: NDArray[np.object_]  # (n,) names of the true classes
    star: Int  # (n,) the star of each
    targets: dict[str, NDArray[np.float64]]  # measured parameters by name, each (n,), NaN where unknown
    origin: str  # description of the objects
    held_out: bool  # whether a split keeps them out of the training
    split: str = ""  # description of the split
    simulated: bool = False  # as the recipe says
    training: TrainingObjects | None = None  # None without a split
    table: pd.DataFrame | None = None  # (n rows) all columns of the table of labels, for the leakage checks
    words: NDArray[np.object_] | None = None  # (n,) label as the survey writes it, after the survey's name
    survey: NDArray[np.object_] | None = None  # (n,) name of the survey, with a taxonomy; "" where there is one only
    period: NDArray[np.float64] | None = None  # (n,) [d] of the catalog, NaN where it has none; None if none was named
    unseen: tuple[str, ...] = ()  # surveys that a recipe keeps for test as a whole

    @property
    def own_words(self) -> NDArray[np.object_]:
        """Label of each object as the survey writes it, (n,), without the survey's name."""
        words = self.label if self.words is None else self.words
        if self.survey is None:
            return words
        return np.array([x.removeprefix(f"{s}: ") for x, s in zip(words, self.survey, strict=True)], object)


def read_sample(data: Recipe | DataConfig, models: Sequence[BundleConfig], split: str | Path | None = None) -> Sample:
    """Read the labelled light curves that models are to be scored on.

    Parameters
    ----------
    data : Recipe or DataConfig
        Of a recipe the test objects of its run; otherwise all objects, or the test objects of its column ``split``.
    models : list of BundleConfig
        Labels are spelt as their classes (see `goodricke.training.class_names`). Their context columns and regressed
        parameters are read too. Without ``[data.targets]`` a parameter is read from the column of its name.
    split : path, optional
        A run's ``split.csv``, for a DataConfig: only its test objects.

    Raises
    ------
    ValueError
        If there is no such object, or a file is not what it should be.
    """
    context = {name for model in models for name in model.preprocessing.columns}
    if isinstance(data, Recipe):
        config = data.data
        labelled = read_labelled(config, sorted(context.union(data.preprocessing.columns)))
        selection = _select_by_recipe(data, labelled)
    else:
        config = data.model_copy(update={"fewest": 1, "targets": data.targets or _targets(data, models)})
        labelled = read_labelled(config, sorted(context))
        selection = _select(config, labelled, split)
    classes = tuple(dict.fromkeys(name for model in models for name in model.classes))
    rows, label = selection.rows, _label_names(labelled, classes)
    table = _label_table(config, labelled.curves[rows].ids)
    return Sample(
        labelled.curves[rows],
        label[rows],
        labelled.star[rows],
        targets={name: labelled.targets[rows, k] for k, name in enumerate(config.targets)},
        origin=selection.origin,
        held_out=selection.held_out,
        split=selection.split,
        simulated=isinstance(data, Recipe) and data.simulated,
        training=_training_objects(labelled, label, selection.training),
        table=table,
        words=_label_words(labelled, rows),
        survey=_surveys(labelled, rows),
        period=_catalog_periods(config, labelled, rows, table),
        unseen=unseen_surveys(config),
    )


def unseen_surveys(config: DataConfig) -> tuple[str, ...]:
    """Return the names of the surveys that a recipe keeps for test as a whole: leave one survey out."""
    return tuple(name for name, survey in config.surveys.items() if survey.part == TEST)


def _surveys(data: Labelled, rows: Int) -> NDArray[np.object_] | None:
    """Return the name of the survey of some rows, None without a taxonomy."""
    sets = data.label_sets
    return None if sets is None else np.array(sets.surveys, object)[sets.survey[rows]]


def _catalog_periods(config: DataConfig, data: Labelled, rows: Int, table: pd.DataFrame) -> NDArray[np.float64] | None:
    """Return the periods [d] of the catalog of some rows, None if no column is named."""
    if not any(source.period or source.frequency for source in config.sources().values()):
        return None
    return catalogue_period(table, config) if data.label_sets is None else data.label_sets.period[rows]


def _label_names(data: Labelled, classes: Sequence[str]) -> NDArray[np.object_]:
    """Return the labels (n,) in the spelling of the classes, or as leaves and nodes of the recipe's taxonomy."""
    sets = data.label_sets
    if sets is None:
        return spell_as_classes(data.classes, classes)[data.label]
    return set_names(sets.leaves, sets.taxonomy)


def _label_words(data: Labelled, rows: Int) -> NDArray[np.object_]:
    """Return the survey's label of some rows, after the survey's name where there are several."""
    sets = data.label_sets
    if sets is None:
        return np.array(data.classes, object)[data.label[rows]]
    prefix = np.array([f"{name}: " if name else "" for name in sets.surveys], object)
    return prefix[sets.survey[rows]] + sets.name[rows].astype(object)


def _training_objects(data: Labelled, label: NDArray[np.object_], rows: Int | None) -> TrainingObjects | None:
    """Return the light curves for training and validation."""
    return None if rows is None else TrainingObjects(data.curves[rows], label[rows], data.star[rows])


def _label_table(config: DataConfig, ids: Sequence[str]) -> pd.DataFrame:
    """Return all columns of the tables of labels, a row for each object."""
    table = pd.concat([_table_of(source, f"{name}:" * bool(name)) for name, source in config.sources().items()])
    return match_labels(table, ids)


def _table_of(source: SourceConfig, prefix: str) -> pd.DataFrame:
    """Return the table of labels of one survey, with a prefix of its ids."""
    paths = [source.labels, *([source.test_labels] if source.test_labels else [])]
    tables = [read_labels(path, source.label, source.object_id, id_prefix=source.id_prefix) for path in paths]
    table = pd.concat(tables).drop_duplicates("object_id", keep="last")
    return table.assign(object_id=prefix + table["object_id"])


def _targets(data: DataConfig, models: Sequence[BundleConfig]) -> dict[str, TargetConfig]:
    """Return the parameters of the models that the table of labels has a column of the same name for."""
    names = {target.name for model in models for target in model.targets}
    columns = read_labels(data.labels, data.label, data.object_id).columns if names and not data.surveys else ()
    return {name: TargetConfig(column=name) for name in sorted(names) if name in columns}


def _select_by_recipe(recipe: Recipe, data: Labelled) -> Selection:
    """Return the rows that a recipe holds out, from the split.csv of its run or else from a new split."""
    file, split = recipe.run / "split.csv", describe_split(recipe.data)
    if file.exists():
        origin = f"held out by the run of recipe {recipe.name} ({file})"
        return Selection(*_select_by_file(data, file), origin, True, split)
    init = None if recipe.training.init is None else read_config(recipe.training.init)
    config = resolve_recipe(recipe, data.curves, init).preprocessing
    parts = split_objects(recipe, data, prepare(data.curves, config, recipe.training.workers))
    training = np.concatenate([parts[TRAIN], parts[VALIDATION]])
    return Selection(parts[TEST], training, f"held out by the split of recipe {recipe.name}", True, split)


def describe_split(config: DataConfig) -> str:
    """Return a description of the split that a recipe makes."""
    if config.split or config.test_labels:
        return f"the survey's own split ({config.split or config.test_labels})"
    guard = f"; held-out stars within {config.guard:g} arcsec of another part's left out" if config.guard else ""
    groups = "survey and label" if config.surveys else "class"
    whole = "".join(f"; all of {name} held out" for name in unseen_surveys(config))
    return (
        f"split by star (id, and positions within {config.same_star:g} arcsec where there are any), stratified by "
        f"{groups}, {100 * config.test:g} % held out, seed {config.seed}{whole}{guard}"
    )


def _select(config: DataConfig, data: Labelled, split: str | Path | None) -> Selection:
    """Return the rows to score without a recipe."""
    if split is not None:
        return Selection(*_select_by_file(data, Path(split)), f"held out by {split}", True, f"as written in {split}")
    if data.part is not None:
        parts = np.flatnonzero(data.part == TEST), np.flatnonzero(np.isin(data.part, (TRAIN, VALIDATION)))
        origin = f"held out by {f'the column {config.split} of {config.labels}' if config.labels else 'the surveys'}"
        return Selection(*parts, origin, True, describe_split(config))
    names = config.labels or ", ".join(config.surveys)
    return Selection(np.arange(len(data.label)), None, f"all that {names} has a label for", False, "")


def _select_by_file(data: Labelled, file: Path) -> tuple[Int, Int]:
    """Return the rows of the test objects in a run's split.csv, and those of the training and validation objects."""
    parts = read_parts(data, file)
    return parts[TEST], np.sort(np.concatenate([parts[TRAIN], parts[VALIDATION]]))


def read_parts(data: Labelled, file: Path) -> Parts:
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


def count_training_objects(model: Model, ids: Sequence[str]) -> int | None:
    """Return how many of the objects the model's run used for training or validation; None if it left no split.csv."""
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
