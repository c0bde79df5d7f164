"""A training run from one TOML file: what the file may say, and the data it names."""

from __future__ import annotations

import logging
import tomllib
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from goodricke.lightcurves import LightCurves
from goodricke.models.astrafier import AstrafierConfig
from goodricke.preprocess import FoldedConfig, Preprocessing
from goodricke.readers import read, read_labels
from goodricke.readers.columns import POSITION, by_normal_name, first
from goodricke.training.loop import LoopConfig
from goodricke.training.splits import stars

log = logging.getLogger("goodricke")


class DataConfig(BaseModel):
    """The ``[data]`` section."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("own data", description="of the data set, for the model's card")
    light_curves: str | list[str]
    labels: str
    label: str | None = None
    object_id: str | None = None
    unit: str | None = None
    time_scale: str | None = None
    band: str | None = None
    id_prefix: str = Field("", description='put before the labels\' ids, e.g. "KIC "')
    columns: dict[str, str] = {}
    quality: str = "default"
    flux: str | None = None
    recursive: bool = False
    merge: dict[str, list[str]] = {}
    drop: list[str] = []
    exclude: list[str] = Field([], description="ids of objects to leave out")
    fewest: int = Field(30, ge=3)
    test: float = Field(0.2, gt=0, lt=1)
    validation: float = Field(0.1, gt=0, lt=1)
    seed: int = 42
    same_star: float = Field(5.0, gt=0, description="positions within this many arcsec are of one star")
    guard: float = Field(
        0.0, ge=0, description="held-out stars within this many arcsec of a training star are not scored"
    )


class TrainingConfig(LoopConfig):
    """The ``[training]`` section: the loop's settings and the loss."""

    weight_power: float = Field(1.0, ge=0)
    score: Literal["accuracy", "macro_recall"] = "accuracy"
    passes: int = Field(20, ge=0, description="Monte-Carlo passes for the scores on held-out objects")
    workers: int = Field(1, ge=1, description="processes for preprocessing")
    init: str | None = Field(None, description="model to start from, name or folder; from scratch without")


class Recipe(BaseModel):
    """A whole training run; see ``goodricke train --example``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    run: Path
    summary: str = ""
    simulated: bool = Field(False, description="whether the light curves are simulations; the card says so")
    data: DataConfig
    preprocessing: Preprocessing = FoldedConfig()
    network: dict[str, Any] = {}
    training: TrainingConfig = TrainingConfig()

    @field_validator("preprocessing", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        """Read the word "none" as TOML's missing null."""
        return {k: None if v == "none" else v for k, v in value.items()} if isinstance(value, dict) else value


def example() -> str:
    """Return a commented recipe."""
    return files("goodricke.training").joinpath("example.toml").read_text()


def read_recipe(path: str | Path) -> Recipe:
    """Read a recipe; paths in it are relative to the recipe's folder.

    Raises
    ------
    ValueError
        Naming every key that is missing, unknown or wrong.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text())
        recipe = Recipe.model_validate(content)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: not valid TOML: {error}. Start from `goodricke train --example`") from error
    except ValidationError as error:
        wrong = "\n".join(f"  {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ValueError(f"{path}:\n{wrong}\nSee `goodricke train --example` for every key") from error
    home = path.resolve().parent
    given = recipe.data.light_curves
    curves = [str(home / x) for x in ([given] if isinstance(given, str) else given)]
    _check_network(path, recipe)
    data = recipe.data.model_copy(update={"light_curves": curves, "labels": str(home / recipe.data.labels)})
    return recipe.model_copy(update={"data": data, "run": home / recipe.run})


def _check_network(path: Path, recipe: Recipe) -> None:
    """Raise now what the network would only find wrong after the preprocessing."""
    fixed = sorted({"classes", "channels", "context"} & set(recipe.network))
    if fixed:
        raise ValueError(f"{path}: [network] {', '.join(fixed)} follow from data and preprocessing; leave them out")
    try:
        AstrafierConfig.model_validate(recipe.network)
    except ValidationError as error:
        wrong = "\n".join(f"  network.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ValueError(f"{path}:\n{wrong}") from error


class Labelled(NamedTuple):
    """Light curves with their classes."""

    curves: LightCurves  # n
    label: NDArray[np.int64]  # (n,) index into classes
    classes: tuple[str, ...]
    star: NDArray[np.int64]  # (n,) which star each is of
    neighbourhood: NDArray[np.int64]  # (n,) the same at the guard's distance


def read_labelled(config: DataConfig) -> Labelled:
    """Read light curves and labels, join them by object id and merge classes.

    Raises
    ------
    ValueError
        If no light curve has a label, or fewer than two classes remain.
    """
    names = ("columns", "quality", "flux", "unit", "time_scale", "band", "recursive")
    curves = read(config.light_curves, errors="skip", **{name: getattr(config, name) for name in names})
    table = read_labels(config.labels, config.label, config.object_id, id_prefix=config.id_prefix)
    _refuse_conflicts(table, config.labels)
    table = table.drop_duplicates("object_id")
    joined = table.set_index("object_id").reindex(curves.ids)
    name = merged(joined["label"], config)
    keep = np.flatnonzero(name.notna().to_numpy() & ~np.isin(curves.ids, config.exclude))
    if not len(keep):
        raise ValueError(
            f"none of the {len(curves)} light curves has a label. Their ids look like {curves.ids[:3]}, those of "
            f"{config.labels} like {table['object_id'].tolist()[:3]}; name the right column with [data] object_id"
        )
    log.info("%d of %d light curves have a label that is used", len(keep), len(curves))
    curves, rows = curves[keep], joined.iloc[keep]
    classes, label = np.unique(name.iloc[keep].to_numpy().astype(str), return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"only one class remains ({classes[0]}); see [data] drop, merge and fewest")
    star, near = (_stars(curves, rows, within) for within in (config.same_star, max(config.same_star, config.guard)))
    return Labelled(curves, label, tuple(classes.tolist()), star, near)


def _refuse_conflicts(table: pd.DataFrame, path: str) -> None:
    """Raise if an object has two different labels: neither can be trusted."""
    several = table.groupby("object_id")["label"].nunique() > 1
    ids = several.index[several].tolist()
    if ids:
        raise ValueError(f"{path}: {len(ids)} objects have several different labels, e.g. {ids[:5]}; keep one of each")


def merged(label: pd.Series, config: DataConfig) -> pd.Series:
    """Return the class of each object: labels merged, dropped ones and too small classes missing."""
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


def _stars(curves: LightCurves, labels: pd.DataFrame, within: float) -> NDArray[np.int64]:
    """Return which star each light curve is of, by id and, where the labels or the files tell it, by position."""
    for table in (labels, curves.table_of_objects.to_pandas()):
        ra, dec = (_degrees(table, aliases) for aliases in POSITION.values())
        if ra is not None and dec is not None and np.isfinite(ra).any():
            star = stars(curves.ids, ra, dec, within)
            joined = len(set(curves.ids)) - len(np.unique(star))
            log.info("%d ids are of a star that has another id too (positions within %g arcsec)", joined, within)
            return star
    log.warning("no positions (ra, dec in degrees) in labels or light curves: stars are told apart by their ids alone")
    return stars(curves.ids)


def _degrees(table: pd.DataFrame, aliases: Sequence[str]) -> NDArray | None:
    """Return a coordinate [deg] of a table with one row per light curve, None if it has none."""
    name = first(by_normal_name([str(column) for column in table.columns]), aliases)
    return None if name is None else pd.to_numeric(table[name], errors="coerce").to_numpy(float)
