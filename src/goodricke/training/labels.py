"""Labelled light curves: the data of a recipe's ``[data]`` section, read, joined and merged."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.data.identifiers import IdIndex
from goodricke.data.lightcurves import LightCurves
from goodricke.data.photometry import stated_otherwise
from goodricke.data.taxonomy import Taxonomy
from goodricke.io import read, read_labels
from goodricke.io.roles import POSITION, find_column, names_by_alias
from goodricke.preprocess.cleaning import enough_per_band
from goodricke.training.recipe import DataConfig, SourceConfig, SurveyConfig, TargetConfig
from goodricke.training.splits import (
    FREE,
    SAME_STAR,
    TEST,
    TRAIN,
    VALIDATION,
    join_stars,
    pairs_of_equal_period,
    split_by_star,
    stars,
    strata,
)

log = logging.getLogger("goodricke")

# names of columns that no file has
PART = "part of the official split"
SURVEY = "survey of the recipe"
PERIOD = "period of the catalogue [d]"
USED = "used by the recipe"


class Labelled(NamedTuple):
    """Light curves with their classes."""

    curves: LightCurves  # n
    label: NDArray[np.int64]  # (n,) index into classes
    classes: tuple[str, ...]
    star: NDArray[np.int64]  # (n,) star of each
    neighbourhood: NDArray[np.int64]  # (n,) the same within the guard's distance
    targets: NDArray[np.float64]  # (n, k) physical parameters, NaN where unknown
    part: NDArray[np.str_] | None  # (n,) of the official split: train, validation, test, free or nothing
    label_sets: LabelSets | None = None  # with a taxonomy; label is then -1 where several leaves are allowed


class LabelSets(NamedTuple):
    """What the labels of one or several surveys mean in a taxonomy."""

    taxonomy: Taxonomy  # whose L leaves are the classes
    leaves: NDArray[np.bool_]  # (n, L) leaves that each label allows
    name: NDArray[np.str_]  # (n,) the survey's label
    survey: NDArray[np.int64]  # (n,) index into surveys
    surveys: tuple[str, ...]
    period: NDArray[np.float64]  # (n,) [d] of the catalogue, NaN where it has none

    def levels(self) -> list[NDArray[np.str_]]:
        """Return groups (n,) from fine to coarse: survey and label, survey and leaves, leaves."""
        survey = np.array(self.surveys, object)[self.survey]
        leaves = np.array(["|".join(np.array(self.taxonomy.names[-len(row) :])[row]) for row in self.leaves], object)
        return [
            np.asarray(x).astype(str) for x in (survey + "/" + self.name.astype(object), survey + "/" + leaves, leaves)
        ]

    def strata(self, rows: NDArray[np.int64], star: NDArray[np.int64]) -> NDArray[np.str_]:
        """Return the strata of a split of some rows by ``star``, of their length."""
        return strata([level[rows] for level in self.levels()], star)


class Everything(NamedTuple):
    """All light curves of a recipe, with or without a label."""

    curves: LightCurves  # m
    neighbourhood: NDArray[np.int64]  # (m,) star of each, within the guard's distance
    labelled: NDArray[np.int64]  # (n,) rows of those with a used label


def read_labelled(config: DataConfig, context: Sequence[str] = ()) -> Labelled:
    """Read light curves and labels, join them by object id and merge classes.

    Parameters
    ----------
    config : DataConfig
    context : list of str
        Context columns of the network, from the light curves' table of objects or the labels.

    Raises
    ------
    ValueError
        If no light curve has a label, or fewer than two classes remain.
    """
    return _labelled(*_read_joined(config), config, context)[0]


def labelled_in_memory(
    curves: LightCurves,
    label: NDArray[np.int64],
    classes: Sequence[str],
    groups: Sequence | NDArray | None = None,
    within: float = SAME_STAR,
) -> Labelled:
    """Return light curves in memory with their classes.

    Parameters
    ----------
    curves : LightCurves (n)
    label : int64 (n,)
        Index into ``classes``.
    classes : list of str
    groups : (n,), optional
        Star of each; by default from ids, and positions within ``within`` arcsec.

    Raises
    ------
    ValueError
        If the numbers of labels, groups and light curves differ.
    """
    for name, values in (("labels", label), ("groups", groups)):
        if values is not None and len(values) != len(curves):
            raise ValueError(f"{len(values)} {name} for {len(curves)} light curves")
    if groups is None:
        star = _stars(curves, pd.DataFrame(index=range(len(curves))), within, logging.INFO)
    else:
        star = np.unique(np.asarray(groups).astype(str), return_inverse=True)[1]
    return Labelled(curves, label, tuple(classes), star, star, np.zeros((len(curves), 0)), None)


def read_everything(config: DataConfig, context: Sequence[str] = ()) -> tuple[Labelled, Everything]:
    """Read the labelled light curves as `read_labelled`, and all light curves of the files."""
    curves, joined = _read_joined(config)
    data, keep = _labelled(curves, joined, config, context)
    near = _stars(curves, joined, max(config.guard, config.same_star))
    return data, Everything(_add_context_columns(curves, joined, context, config.labels), near, keep)


def _read_joined(config: DataConfig) -> tuple[LightCurves, pd.DataFrame]:
    """Return all light curves, and for each the row of the labels, empty if there is none."""
    if not config.surveys:
        return _read_source(config)
    parts = [_read_survey(name, survey, config) for name, survey in config.surveys.items()]
    curves = [part for part, _ in parts]
    if len({part.time_scale for part in curves}) > 1:  # seconds of a time that counts from the first observation
        curves = [replace(part, time_scale="unknown") for part in curves]
    return LightCurves.concat(curves), pd.concat([joined for _, joined in parts])


def _read_source(source: SourceConfig) -> tuple[LightCurves, pd.DataFrame]:
    names = ("columns", "quality", "flux", "unit", "time_scale", "band", "recursive")
    flux = None if source.photometry is None else source.photometry.flux
    options = {name: getattr(source, name) for name in names}
    curves = read(source.light_curves, errors="skip", photometry=flux, **options)
    n_other = int(stated_otherwise(curves, flux).sum())
    if n_other:
        raise ValueError(f"[data] photometry: {n_other:,} light curves are not of {flux} photometry")
    curves = curves.rename_bands(source.rename_bands)
    return curves, match_labels(_read_labels(source), curves.ids)


def _read_survey(name: str, survey: SurveyConfig, config: DataConfig) -> tuple[LightCurves, pd.DataFrame]:
    """Return the light curves of one of several surveys with ids ``name:id``, and the columns that all have."""
    curves, joined = _read_source(survey)
    ra, dec = _positions(curves, joined)
    targets = [target.column for target in config.targets.values()]
    own = {name: _column(joined, name, survey.labels).to_numpy() for name in targets}
    columns: dict[str, Any] = {
        **own,
        "label": joined["label"].to_numpy(object),
        "ra": np.full(len(joined), np.nan) if ra is None else ra,
        "dec": np.full(len(joined), np.nan) if dec is None else dec,
        SURVEY: name,
        PERIOD: catalogue_period(joined, survey),
        PART: _part(joined, survey),
        USED: ~np.isin(curves.ids, survey.exclude),
    }
    if survey.fewest_per_band:
        columns[USED] &= enough_per_band(curves, survey.fewest_per_band)
    ids = pa.array([f"{name}:{object_id}" for object_id in curves.ids], pa.string())
    objects = None if curves.objects is None else curves.objects.select([])
    table = pd.DataFrame(columns, index=pd.Index(ids.to_pylist(), name="object_id"))
    return replace(curves, object_id=ids, objects=objects), table


def catalogue_period(joined: pd.DataFrame, source: SourceConfig) -> NDArray[np.float64]:
    """Return the period (n,) [d] of the catalogue, NaN where it has none."""
    name = source.period or source.frequency
    if name is None:
        return np.full(len(joined), np.nan)
    value = pd.to_numeric(_column(joined, name, source.labels), errors="coerce").to_numpy(float)
    value = np.where(np.isfinite(value) & (value > 0), value, np.nan)
    return value if source.period else 1 / value


def _part(joined: pd.DataFrame, survey: SurveyConfig) -> NDArray[np.str_]:
    """Return the part of each object of one of several surveys, `FREE` where the split by star decides."""
    official = _official_parts(joined, survey)
    return np.full(len(joined), survey.part or FREE, "<U10") if official is None else official


def _labelled(
    curves: LightCurves, joined: pd.DataFrame, config: DataConfig, context: Sequence[str]
) -> tuple[Labelled, NDArray[np.int64]]:
    """Return the labelled light curves, and their rows among all."""
    if config.taxonomy is not None:
        return _labelled_by_sets(curves, joined, config, context)
    name = merge_labels(joined["label"], config)
    usable = name.notna().to_numpy() & ~np.isin(curves.ids, config.exclude)
    if config.fewest_per_band:
        usable &= enough_per_band(curves, config.fewest_per_band)
    keep = _limit_classes(_rows_in_use(usable, curves, joined["label"], name, config), name, config)
    classes, label = np.unique(name.iloc[keep].to_numpy().astype(str), return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"only one class remains ({classes[0]}). Fix: see [data] drop, merge and fewest")
    return _join(curves, joined, keep, config, context, tuple(classes.tolist()), label), keep


def _rows_in_use(
    usable: NDArray[np.bool_], curves: LightCurves, label: pd.Series, name: pd.Series, config: DataConfig
) -> NDArray[np.int64]:
    """Return the rows of usable light curves; raise if there is none."""
    keep = np.flatnonzero(usable)
    if not len(keep):
        _refuse_unused(label, name, config)
        source = next(iter(config.sources().values()))
        label_ids = _read_labels(source)["object_id"].tolist()[:3]
        raise ValueError(
            f"none of the {len(curves)} light curves has a label. Their ids look like {curves.ids[:3]}, those of "
            f"{source.labels} like {label_ids}. Fix: [data] object_id names the right column"
        )
    log.info("%d of %d light curves have a used label", len(keep), len(curves))
    return keep


def _join(
    curves: LightCurves,
    joined: pd.DataFrame,
    keep: NDArray[np.int64],
    config: DataConfig,
    context: Sequence[str],
    classes: tuple[str, ...],
    label: NDArray[np.int64],
) -> Labelled:
    """Return the light curves of rows ``keep`` with their labels, stars, parameters and parts of an official split."""
    rows = joined.iloc[keep]
    curves = _add_context_columns(curves[keep], rows, context, config.labels)
    star = _stars(curves, rows, config.same_star)
    near = _stars(curves, rows, config.guard) if config.guard > config.same_star else star
    targets = [_target(rows, target, config.labels) for target in config.targets.values()]
    target = np.stack(targets, 1) if targets else np.zeros((len(curves), 0))
    return Labelled(curves, label, classes, star, near, target, _official_parts(rows, config))


# ---- labels as sets of leaves ---------------------------------------------------------------------------------------


def _labelled_by_sets(
    curves: LightCurves, joined: pd.DataFrame, config: DataConfig, context: Sequence[str]
) -> tuple[Labelled, NDArray[np.int64]]:
    """Return the labelled light curves of a recipe with a taxonomy, and their rows among all."""
    assert config.taxonomy is not None
    tree, label = config.taxonomy.tree(), joined["label"]
    if SURVEY not in joined:
        used = ~np.isin(curves.ids, config.exclude)
        if config.fewest_per_band:
            used &= enough_per_band(curves, config.fewest_per_band)
        joined = joined.copy()
        joined[SURVEY], joined[USED], joined[PERIOD] = "", used, catalogue_period(joined, config)
    survey = joined[SURVEY].to_numpy()
    sets = np.zeros((len(joined), len(tree.leaves)), bool)
    for name, source in config.sources().items():
        sets[survey == name] = label_sets(
            label[survey == name], source, tree, f"[data.surveys.{name}]" if name else "[data]"
        )
    usable = sets.any(1) & joined[USED].to_numpy(bool)
    leaves = config.taxonomy.leaves or _leaves_with_labels(sets[usable], tree, config.fewest)
    if len(leaves) < 2:
        raise ValueError(
            f"fewer than two leaves are the label of {config.fewest} objects. Fix: [data] fewest, [taxonomy] leaves"
        )
    tree_of_model = tree.restricted(leaves)
    sets = sets[:, [list(tree.leaves).index(leaf) for leaf in leaves]]
    _tell_unused_labels(label[usable & ~sets.any(1)], survey[usable & ~sets.any(1)])
    usable &= sets.any(1)
    keep = _rows_in_use(usable, curves, label, label.where(usable), config)
    keep = np.sort(
        np.concatenate(
            [_limit_classes(keep[survey[keep] == name], label, source) for name, source in config.sources().items()]
        )
    )
    code = np.where(sets[keep].sum(1) == 1, sets[keep].argmax(1), -1)
    data = _join(curves, joined, keep, config, context, tuple(leaves), code)
    names = tuple(config.sources())
    number = pd.Categorical(survey[keep], names).codes.astype(np.int64)
    period = joined[PERIOD].to_numpy(float)[keep]
    meaning = LabelSets(tree_of_model, sets[keep], label.iloc[keep].to_numpy().astype(str), number, names, period)
    return _join_surveys(data._replace(label_sets=meaning), joined.iloc[keep]), keep


def label_sets(label: pd.Series, source: SourceConfig, tree: Taxonomy, section: str) -> NDArray[np.bool_]:
    """Return the leaves (n, L) that labels (n,) allow; none where a label is missing or dropped.

    Raises
    ------
    ValueError
        If a label is neither in ``leaves`` of the source nor dropped, or, without ``leaves``, no VSX type.
    """
    words = label.dropna().astype(str)
    counts = Counter(words[~words.isin(source.drop)])
    absent = sorted({*source.leaves, *source.drop} - set(words))
    if absent:
        log.warning("%s: labels that no light curve has: %s", section, ", ".join(absent))
    unmapped = [name for name in counts if name not in source.leaves] if source.leaves else []
    if unmapped:
        raise ValueError(
            f"{section} leaves: {', '.join(f'{name} ({counts[name]})' for name in unmapped)} of {source.labels} not "
            "mapped. Fix: write the leaf or leaves that each means, or drop it"
        )
    masks = {name: tree.mask(_parse(tree, source.leaves.get(name, name), section)) for name in counts}
    for name, mask in masks.items():
        log.info("%s: %s (%d) = %s", section, name, counts[name], ", ".join(np.array(list(tree.leaves))[mask]))
    nothing = np.zeros(len(tree.leaves), bool)
    rows = [nothing if pd.isna(name) else masks.get(str(name), nothing) for name in label]
    return np.array(rows, bool).reshape(len(label), len(tree.leaves))


def _parse(tree: Taxonomy, name: str | list[str], section: str) -> frozenset[str]:
    try:
        return tree.parse(name)
    except ValueError as error:
        raise ValueError(f"{section} leaves: {error}") from error


def _leaves_with_labels(sets: NDArray[np.bool_], tree: Taxonomy, fewest: int) -> list[str]:
    """Return the leaves that alone are the label of so many objects, in the taxonomy's order."""
    count = sets[sets.sum(1) == 1].sum(0)
    return [leaf for leaf, n in zip(tree.leaves, count, strict=True) if n >= fewest]


def _tell_unused_labels(label: pd.Series, survey: NDArray) -> None:
    if len(label):
        counts = Counter(f"{one}: {name}" if one else str(name) for one, name in zip(survey, label, strict=True))
        named = ", ".join(f"{name} ({n})" for name, n in counts.most_common())
        log.warning("labels without a leaf that has enough objects are left out: %s (see [data] fewest)", named)


def _join_surveys(data: Labelled, rows: pd.DataFrame) -> Labelled:
    """Return the data with stars joined that several surveys observed and none gives the position of."""
    sets = data.label_sets
    if sets is None or len(sets.surveys) < 2:
        return data
    placed = rows[["ra", "dec"]].notna().all(axis=1).to_numpy()
    pairs = pairs_of_equal_period(sets.survey, np.where(placed, np.nan, sets.period))
    if len(pairs):
        log.info("%d light curves without positions have the catalogue period of a star of another survey", len(pairs))
    star, near = (join_stars(x, pairs) for x in (data.star, data.neighbourhood))
    return data._replace(star=star, neighbourhood=near)


def split_unlabelled(
    everything: Everything, usable: NDArray[np.bool_], held_out: NDArray[np.int64], validation: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return training and validation rows for pre-training, without test stars and their neighbours.

    Parameters
    ----------
    everything : Everything (m)
    usable : bool (m,)
    held_out : int64
        Indices of the test objects among the labelled ones.
    validation : float
        Fraction of the stars.
    seed : int
    """
    near = everything.neighbourhood
    rows = np.flatnonzero(usable & ~np.isin(near, near[everything.labelled[held_out]]))
    part = split_by_star(near[rows], np.zeros(len(rows), int), 0, validation, seed)
    return rows[part == TRAIN], rows[part == VALIDATION]


def limit_labels(
    parts: Mapping[str, NDArray[np.int64]], label: NDArray[np.int64], per_class: int, seed: int
) -> dict[str, NDArray[np.int64]]:
    """Limit the number of labels per class, to simulate a survey with few labels.

    Parameters
    ----------
    parts : dict of int64
        Training, validation and test rows; the last stay unchanged.
    label : int64 (n,)
    per_class : int
        Number of training plus validation objects, in the class's proportion, at least one of each.
    seed : int
        Of the random selection.
    """
    rng, result = np.random.default_rng(seed), dict(parts)
    selected: dict[str, list[NDArray[np.int64]]] = {TRAIN: [], VALIDATION: []}
    for c in np.unique(label):
        training, validation = (rng.permutation(rows[label[rows] == c]) for rows in (parts[TRAIN], parts[VALIDATION]))
        share = len(validation) / max(len(training) + len(validation), 1)
        n_validation = max(round(per_class * share), 1) if len(validation) else 0
        selected[TRAIN].append(training[: per_class - n_validation])
        selected[VALIDATION].append(validation[:n_validation])
    return result | {name: np.sort(np.concatenate(rows)) for name, rows in selected.items()}


def match_labels(table: pd.DataFrame, ids: Sequence[str]) -> pd.DataFrame:
    """Return the rows of a table of labels for objects with ``ids`` (n,), NaN for those that it lacks.

    The ids of the table and of the objects may be spelled differently; see `goodricke.data.identifiers.IdIndex`.
    """
    rows = IdIndex(table["object_id"]).rows_of(pa.array(ids, pa.string()))
    matched = table.drop(columns="object_id").reset_index(drop=True).reindex(rows)
    return matched.set_axis(pd.Index(ids, name="object_id"))


def _read_labels(config: SourceConfig) -> pd.DataFrame:
    """Return the labels, one row per object, with the column `PART` that tells the test labels of a separate file."""
    parts = [(config.labels, TRAIN)] + ([(config.test_labels, TEST)] if config.test_labels else [])
    read = [read_labels(path, config.label, config.object_id, id_prefix=config.id_prefix) for path, _ in parts]
    table = pd.concat([frame.assign(**{PART: part}) for frame, (_, part) in zip(read, parts, strict=True)])
    _refuse_conflicts(table, config.labels)
    return table.drop_duplicates("object_id", keep="last")  # in both files: test


def _official_parts(rows: pd.DataFrame, config: SourceConfig) -> NDArray[np.str_] | None:
    """Return the part of each object by the survey's own split, None if there is no such split."""
    if isinstance(config, DataConfig) and config.surveys:
        part = rows[PART].to_numpy().astype("<U10")
        return None if (part == FREE).all() else part
    if config.test_labels is not None:
        return rows[PART].to_numpy().astype("<U10")
    return None if config.split is None else official_split(_column(rows, config.split, config.labels))


def _refuse_unused(label: pd.Series, name: pd.Series, config: DataConfig) -> None:
    """Raise if light curves have labels but none is used."""
    if label.notna().any():
        reason = f"; [data] fewest is {config.fewest}" if not name.notna().any() else ""
        raise ValueError(
            f"{label.notna().sum()} light curves have a label in {config.labels}, and none is used{reason}. Fix: see "
            "[data] fewest, merge, drop, exclude and fewest_per_band, or give more labels"
        )


def _limit_classes(keep: NDArray[np.int64], name: pd.Series, config: SourceConfig) -> NDArray[np.int64]:
    """Return at most ``config.most`` of the light curves ``keep`` of each class, drawn at random, in order."""
    if config.most is None:
        return keep
    seed = config.seed if isinstance(config, DataConfig) else 0
    shuffled = np.random.default_rng(seed).permutation(keep)
    place = pd.Series(shuffled).groupby(name.iloc[shuffled].to_numpy()).cumcount().to_numpy()
    return np.sort(shuffled[place < config.most])


def _column(rows: pd.DataFrame, name: str, path: str) -> pd.Series:
    """Return a column of the labels.

    Raises
    ------
    ValueError
        If it is missing.
    """
    if name not in rows:
        raise ValueError(f"{path} has no column {name}; it has {', '.join(str(c) for c in rows.columns if c != PART)}")
    return rows[name]


def _target(rows: pd.DataFrame, target: TargetConfig, path: str) -> NDArray[np.float64]:
    """Return a physical parameter (n,), NaN where unknown or outside its limits."""
    value = pd.to_numeric(_column(rows, target.column, path), errors="coerce").to_numpy(float)
    return np.where((value >= target.lowest) & (value <= target.highest), value, np.nan)


def _add_context_columns(curves: LightCurves, rows: pd.DataFrame, context: Sequence[str], path: str) -> LightCurves:
    """Return the light curves with the context columns, from the labels where the light curves lack them."""
    table = curves.table_of_objects
    for name in context:
        if name not in table.column_names:
            value = pd.to_numeric(_column(rows, name, path), errors="coerce").to_numpy(np.float32)
            table = table.append_column(name, pa.array(value))
    return replace(curves, objects=table) if table.num_columns else curves


def official_split(column: pd.Series) -> NDArray[np.str_]:
    """Return the part of each object, (n,), from a survey's column; empty where it has none.

    Raises
    ------
    ValueError
        If a value is not understood.
    """
    words = column.map(lambda word: "" if pd.isna(word) else str(word).strip().lower())
    parts = {
        **dict.fromkeys(("train", "training", "true", "1", "1.0"), TRAIN),
        **dict.fromkeys(("test", "testing", "false", "0", "0.0"), TEST),
        **dict.fromkeys(("validation", "val", "valid", "dev"), VALIDATION),
        "": "",
    }
    unknown = sorted(set(words) - set(parts))
    if unknown:
        raise ValueError(f"[data] split: column {column.name} has {unknown[:5]}. Fix: write train, test or validation")
    return words.map(parts).to_numpy().astype("<U10")


def _refuse_conflicts(table: pd.DataFrame, path: str) -> None:
    """Raise if an object has several different labels."""
    several = table.groupby("object_id")["label"].nunique() > 1
    ids = several.index[several].tolist()
    if ids:
        raise ValueError(
            f"{path}: {len(ids)} objects have several different labels, e.g. {ids[:5]}. Fix: keep one of each"
        )


def merge_labels(label: pd.Series, config: DataConfig) -> pd.Series:
    """Return the class of each object: labels merged, None for dropped labels and too small classes."""
    into = {old: new for new, olds in config.merge.items() for old in olds}
    absent = sorted((set(into) | set(config.drop)) - set(label.dropna().astype(str)))
    if absent:
        log.warning("labels named in [data] that no light curve has: %s", ", ".join(absent))
    unused = {*config.drop, None}
    names = [None if pd.isna(x) or str(x) in unused else into.get(str(x), str(x)) for x in label]
    counts = Counter(name for name in names if name is not None)
    rare = {name for name, count in counts.items() if count < config.fewest}
    if rare:
        named = ", ".join(f"{name} ({counts[name]})" for name in sorted(rare))
        log.warning("classes with fewer than %d objects are left out: %s (see [data] merge)", config.fewest, named)
    return pd.Series([None if name in rare else name for name in names], label.index, dtype=object)


def _stars(curves: LightCurves, labels: pd.DataFrame, within: float, level: int = logging.WARNING) -> NDArray[np.int64]:
    """Return the star of each light curve, by id and, if labels or files have coordinates, by position.

    Missing coordinates are logged at ``level``.
    """
    ra, dec = _positions(curves, labels)
    if ra is not None:
        star = stars(curves.ids, ra, dec, within)
        joined = len(set(curves.ids)) - len(np.unique(star))
        log.info("%d ids belong to a star with several ids (positions within %g arcsec)", joined, within)
        return star
    log.log(level, "no positions (ra, dec in degrees) in labels or light curves: stars are identified by id only")
    return stars(curves.ids)


def _positions(curves: LightCurves, labels: pd.DataFrame) -> tuple[NDArray, NDArray] | tuple[None, None]:
    """Return right ascension and declination [deg] (n,) from the labels or else the files, None if none has them."""
    for table in (labels, curves.table_of_objects.to_pandas()):
        ra, dec = (_degrees(table, aliases) for aliases in POSITION.values())
        if ra is not None and dec is not None and np.isfinite(ra).any():
            return ra, dec
    return None, None


def _degrees(table: pd.DataFrame, aliases: Sequence[str]) -> NDArray | None:
    """Return a coordinate [deg] of a table with one row per light curve, None if it has none."""
    name = find_column(names_by_alias([str(column) for column in table.columns]), aliases)
    return None if name is None else pd.to_numeric(table[name], errors="coerce").to_numpy(float)
