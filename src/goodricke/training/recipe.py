"""A training run from one TOML file: what the file may say, and the data it names."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from goodricke.data.config_errors import faults
from goodricke.data.lightcurves import LightCurves
from goodricke.models.astrafier import AstrafierConfig
from goodricke.models.bundle import BundleConfig, read_config
from goodricke.models.multiband import MultibandNetworkConfig
from goodricke.preprocess import FoldedConfig, MultibandConfig, Preprocessing
from goodricke.training.fit_multiband import EnsembleConfig
from goodricke.training.loop import LoopConfig
from goodricke.training.pretraining import PretrainingConfig
from goodricke.uncertainty.novelty import Kind as NoveltyKind


class TargetConfig(BaseModel):
    """A physical parameter to regress: ``[data.targets.NAME]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str = Field(description="in the table of labels; empty or NaN where unknown")
    unit: str = ""
    log: bool = Field(False, description="learn the decimal logarithm")
    lowest: float = Field(-np.inf, description="values below it count as unknown")
    highest: float = Field(np.inf, description="values above it count as unknown")


class DataConfig(BaseModel):
    """The ``[data]`` section."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("own data", description="of the data set, for the model's card")
    light_curves: str | list[str]
    labels: str
    test_labels: str | None = Field(None, description="labels of the held-out objects, if in a file of their own")
    label: str | None = None
    object_id: str | None = None
    unit: str | None = None
    time_scale: str | None = None
    band: str | None = None
    rename_bands: dict[str, str] = Field({}, description='bands under the names that others use, e.g. R = "r"')
    id_prefix: str = Field("", description='put before the labels\' ids, e.g. "KIC "')
    columns: dict[str, str] = {}
    quality: str = "default"
    flux: str | None = None
    recursive: bool = False
    merge: dict[str, list[str]] = {}
    drop: list[str] = []
    exclude: list[str] = Field([], description="ids of objects to leave out")
    fewest: int = Field(30, ge=3)
    most: int | None = Field(None, ge=1, description="objects kept of each class, drawn at random; all if unset")
    per_class: int | None = Field(
        None, ge=2, description="labels used of each class, validation included, drawn anew by [training] seed"
    )
    fewest_per_band: int = Field(0, ge=0, description="light curves with fewer observations in any band are left out")
    targets: dict[str, TargetConfig] = Field({}, description="physical parameters to regress (multi-band models)")
    split: str | None = Field(
        None, description="column of an official split: train, test (and validation), or true for training objects"
    )
    test: float = Field(0.2, ge=0, lt=1, description="of the stars; 0: none is held out, and nothing scored")
    validation: float = Field(0.1, gt=0, lt=1)
    seed: int = 42
    folds: int | None = Field(None, ge=2, description="the objects that aren't held out fall into so many folds, and")
    fold: int = Field(1, ge=1, description="this one is for validation; see `goodricke train --folds`")
    same_star: float = Field(5.0, gt=0, description="positions within this many arcsec are of one star")
    guard: float = Field(
        0.0, ge=0, description="held-out stars within this many arcsec of a training star are not scored"
    )


class TrainingConfig(LoopConfig):
    """The ``[training]`` section: the loop's settings and the loss."""

    weight_power: float = Field(1.0, ge=0)
    score: Literal["accuracy", "macro_recall", "macro_f1"] = "accuracy"
    passes: int = Field(20, ge=0, description="Monte-Carlo passes for the scores on held-out objects")
    calibration: Literal["auto", "temperature", "vector", "dirichlet"] = Field(
        "auto", description="of probabilities; auto: the freest that is surely better on left-out validation objects"
    )
    novelty: NoveltyKind = "combined"
    workers: int = Field(1, ge=1, description="processes for preprocessing")
    init: str | None = Field(None, description="model to start from, name or folder; from scratch without")
    ensemble: EnsembleConfig = Field(EnsembleConfig(), description="what is particular to multi-band models")
    mixture: bool = Field(
        False, description="also train the paper's baseline, a mixture of experts, to compare with (multi-band models)"
    )


# Where multi-band models differ from ASTRAFier's defaults: sections 3.5-3.6 of Becker et al., but a cosine schedule.
MULTIBAND = {
    **{"epochs": 40, "batch": 128, "points": 65536, "rate": 2e-3, "betas": (0.9, 0.999), "weight_decay": 1e-2},
    **{"warmup": 0.2, "schedule": "cosine", "patience": 20, "weight_power": 0.5, "passes": 0},
}


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
    pretraining: PretrainingConfig = PretrainingConfig()

    @field_validator("preprocessing", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        """Read the word "none" as TOML's missing null."""
        return {k: None if v == "none" else v for k, v in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="before")
    @classmethod
    def _family_defaults(cls, content: Any) -> Any:
        """Give a multi-band recipe its family's defaults for what it doesn't say."""
        sections = (
            [content.get(name, {}) for name in ("preprocessing", "training")] if isinstance(content, dict) else []
        )
        if not sections or not all(isinstance(section, dict) for section in sections):
            return content
        multiband = sections[0].get("kind") == "multiband"
        return content | {"training": MULTIBAND | sections[1]} if multiband else content


def example(kind: str = "folded") -> str:
    """Return a commented recipe, for ASTRAFier or (``kind="multiband"``) for the multi-band ensemble."""
    name = "multiband.toml" if kind == "multiband" else "example.toml"
    return files("goodricke.training").joinpath(name).read_text()


def read_recipe(path: str | Path) -> Recipe:
    """Read a recipe; paths in it are relative to the recipe's folder.

    Raises
    ------
    ValueError
        Naming every key that is missing, unknown or wrong.
    """
    path = Path(path)
    try:
        recipe = checked(tomllib.loads(path.read_text()), path)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not valid TOML: {error}. Start from `goodricke train --example`") from error
    home = path.resolve().parent
    given = recipe.data.light_curves
    curves = [str(home / x) for x in ([given] if isinstance(given, str) else given)]
    labels = {"labels": str(home / recipe.data.labels)}
    if recipe.data.test_labels is not None:
        labels["test_labels"] = str(home / recipe.data.test_labels)
    data = recipe.data.model_copy(update={"light_curves": curves} | labels)
    training, init = recipe.training, recipe.training.init
    if init is not None and (home / init).exists():
        training = training.model_copy(update={"init": str(home / init)})
    return recipe.model_copy(update={"data": data, "run": home / recipe.run, "training": training})


def checked(content: dict[str, Any], origin: str | Path) -> Recipe:
    """Return the recipe of a TOML file's content.

    Raises
    ------
    ValueError
        Naming every key that is missing, unknown or wrong; ``origin`` is where they were found.
    """
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        wrong = "\n".join(f"  {fault}" for fault in faults(error, Recipe))
        raise ValueError(f"{origin}:\n{wrong}\nSee `goodricke train --example` for every key") from error
    _check_network(origin, recipe)
    return recipe


# What the numbers that a multi-band network sees are made with: its weights mean nothing for others.
INPUTS = ("brightness", "softening", "unit", "level")


def resolved(recipe: Recipe, curves: LightCurves, init: BundleConfig | None) -> Recipe:
    """Return the recipe with what its preprocessing leaves open: as the initial model has it, or as the data are."""
    config = recipe.preprocessing if init is None else following(recipe.preprocessing, init)
    return recipe.model_copy(update={"preprocessing": config.resolved(curves)})


def following(config: Preprocessing, init: BundleConfig) -> Preprocessing:
    """Return preprocessing whose numbers mean to a multi-band model's weights what they have meant in its training.

    Parameters
    ----------
    config : Preprocessing
        Where it is silent on one of `INPUTS`, the model is followed.
    init : BundleConfig
        Of the model to start from.

    Raises
    ------
    ValueError
        Where it says otherwise than the model.
    """
    known = init.preprocessing
    if not isinstance(config, MultibandConfig) or not isinstance(known, MultibandConfig):
        return config
    changes = {}
    for name in INPUTS:
        told, theirs = getattr(config, name), getattr(known, name)
        if told is None or name not in config.model_fields_set:
            changes[name] = theirs
        elif told != theirs:
            raise ValueError(
                f"[preprocessing] {name} is {told}, but the training starts from {init.name}, whose weights were "
                f"trained with {theirs}. Leave {name} out to follow the model, or start from no model"
            )
    return config.model_copy(update=changes)


def with_fold(recipe: Recipe, fold: int, folds: int) -> Recipe:
    """Return the recipe of one fold: the same held-out objects, other ones for validation, a run folder of its own."""
    data = recipe.data.model_copy(update={"folds": folds, "fold": fold})
    return recipe.model_copy(update={"data": data, "run": recipe.run / f"fold-{fold}"})


def with_new_band(recipe: Recipe, band: str, model: str) -> Recipe:
    """Return the recipe that adds a band to a model: its other bands stay as they are (Promise 5).

    Parameters
    ----------
    recipe : Recipe
        Of the data, and of the training.
    band : str
    model : str
        Name or folder of a multi-band model.

    Raises
    ------
    ValueError
        If it is no multi-band model, knows the band already, or was trained on other numbers (`following`).
    """
    config = read_config(model)
    if not isinstance(config.preprocessing, MultibandConfig):
        raise ValueError(f"{model} is no multi-band model: it has no bands to add to")
    old = config.preprocessing.bands
    if band in old:
        raise ValueError(f"{model} knows the band {band} already; it has {', '.join(old)}")
    following(recipe.preprocessing, config)
    preprocessing = config.preprocessing.model_copy(update={"bands": (*old, band)})
    follow = {"classes", "bands", "width", "context", "targets"}
    network = {name: value for name, value in config.network.items() if name not in follow}
    ensemble = recipe.training.ensemble.model_copy(update={"frozen_bands": old})
    training = recipe.training.model_copy(update={"init": model, "ensemble": ensemble})
    return recipe.model_copy(update={"preprocessing": preprocessing, "network": network, "training": training})


def _check_network(path: str | Path, recipe: Recipe) -> None:
    """Raise now what the network would only find wrong after the preprocessing."""
    multiband = isinstance(recipe.preprocessing, MultibandConfig)
    follow = {"classes", "channels", "context", "bands", "width", "targets"}
    fixed = sorted(follow & set(recipe.network))
    if fixed:
        raise ValueError(f"{path}: [network] {', '.join(fixed)} follow from data and preprocessing; leave them out")
    if recipe.training.mixture and not multiband:
        raise ValueError(
            f"{path}: [training] mixture is a baseline for multi-band models (preprocessing.kind); not here"
        )
    kind, sizes = (MultibandNetworkConfig, {"bands": 1, "classes": 2}) if multiband else (AstrafierConfig, {})
    try:
        kind.model_validate(recipe.network | sizes)
    except ValidationError as error:
        wrong = "\n".join(f"  {fault}" for fault in faults(error, kind, section="network"))
        raise ValueError(f"{path}:\n{wrong}") from error
