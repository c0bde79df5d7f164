"""Recipes: the TOML file of a training run."""

from __future__ import annotations

import math
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from goodricke.data.config_errors import faults
from goodricke.data.hub import is_hub_address
from goodricke.data.lightcurves import LightCurves
from goodricke.data.photometry import Photometry
from goodricke.data.taxonomy import Taxonomy, read_taxonomy
from goodricke.models.astrafier import AstrafierConfig
from goodricke.models.bundle import BundleConfig, read_config
from goodricke.models.multiband import MultibandNetworkConfig
from goodricke.models.variables import VariablesNetworkConfig
from goodricke.preprocess import FoldedConfig, MultibandConfig, Preprocessing
from goodricke.training.fit_multiband import EnsembleConfig
from goodricke.training.loop import LoopConfig
from goodricke.training.pretraining import PretrainingConfig
from goodricke.uncertainty.novelty import Kind as NoveltyKind


class TargetConfig(BaseModel):
    """A physical parameter to regress: ``[data.targets.NAME]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str = Field(description="in the table of labels; empty or NaN where unknown")
    unit: str = Field("", description="of the parameter, for tables and figures")
    log: bool = Field(False, description="learn the decimal logarithm")
    lowest: float = Field(-np.inf, description="values below it count as unknown")
    highest: float = Field(np.inf, description="values above it count as unknown")


class SourceConfig(BaseModel):
    """Light curves and labels of one survey, and how to read them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("own data", description="of the data set, for the model's card")
    light_curves: str | list[str] = Field(
        description="a file, folder, glob or list file, or several: whatever `goodricke inspect` recognises"
    )
    labels: str = Field(
        description="table with one row per object: an id and a label; other columns only if named below"
    )
    test_labels: str | None = Field(None, description="labels of the test objects, if in a separate file")
    label: str | None = Field(None, description="column with the label, if it isn't recognised")
    object_id: str | None = Field(None, description="column with the id in the table of labels, if it isn't recognised")
    unit: str | None = Field(None, description='of the brightness, e.g. "mag" or "nJy", if it isn\'t recognised')
    time_scale: str | None = Field(None, description='of the times, e.g. "HJD" or "BTJD", if it isn\'t recognised')
    band: str | None = Field(None, description="band to keep, or its name where the light curves name none")
    rename_bands: dict[str, str] = Field({}, description='new names of bands, e.g. R = "r"')
    id_prefix: str = Field("", description='put before the labels\' ids, e.g. "KIC "')
    columns: dict[str, str] = Field(
        {}, description='columns of the light curves that aren\'t recognised, by role, e.g. time = "when"'
    )
    quality: str = Field(
        "default", description="which flagged observations are left out: as `goodricke classify --quality`"
    )
    flux: str | None = Field(None, description="column of a FITS product with the flux; by default the corrected one")
    recursive: bool = Field(False, description="whether folders are searched with their subfolders")
    drop: list[str] = Field([], description="labels to leave out")
    exclude: list[str] = Field([], description="ids of objects to leave out")
    most: int | None = Field(
        None, ge=1, description="largest number of objects per class, drawn at random; all if unset"
    )
    fewest_per_band: int = Field(0, ge=0, description="light curves with fewer observations in any band are left out")
    photometry: Photometry | None = Field(
        None, description="difference or total, forced or not; the model states it and refuses another"
    )
    split: str | None = Field(
        None, description="column of an official split: train, test (and validation), or true for training objects"
    )
    leaves: dict[str, str | list[str]] = Field(
        {},
        description="with [taxonomy]: leaf, node or list of these for each label; if empty, labels are VSX types",
    )
    period: str | None = Field(
        None, description="column of the labels with the catalogue's period [d]: a target, never an input"
    )
    frequency: str | None = Field(None, description="column with the catalogue's frequency [1/d], instead of period")

    @model_validator(mode="after")
    def _one_period(self) -> Self:
        if self.period and self.frequency:
            raise ValueError("period and frequency name columns of the same quantity: leave one out")
        return self


class SurveyConfig(SourceConfig):
    """One of several surveys: ``[data.surveys.NAME]``."""

    name: str = Field("", description="of the survey, for the card; by default NAME")
    part: Literal["train", "test"] | None = Field(
        None, description="all objects are for training, or for test; by default the split's fractions hold"
    )


class TaxonomyConfig(BaseModel):
    """The ``[taxonomy]`` section: labels are sets of leaves, the model's classes are leaves."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str | None = Field(None, description="TOML file of another taxonomy than the package's")
    leaves: list[str] | None = Field(
        None, description="of the model; by default those that alone are the label of [data] fewest objects"
    )

    def tree(self) -> Taxonomy:
        """Return the whole taxonomy.

        Raises
        ------
        ValueError
            If the file is none, or ``leaves`` names something else.
        """
        tree = Taxonomy.shipped() if self.file is None else read_taxonomy(self.file)
        if self.leaves is not None:
            tree.restricted(self.leaves)
        return tree


class DataConfig(SourceConfig):
    """The ``[data]`` section."""

    merge: dict[str, list[str]] = Field({}, description='old labels that become a class, e.g. CEP = ["DCEP", "CEP_II"]')
    fewest: int = Field(30, ge=3, description="classes with fewer objects are left out; the log names them")
    per_class: int | None = Field(
        None, ge=2, description="number of labels per class, validation included, drawn by [training] seed"
    )
    targets: dict[str, TargetConfig] = Field({}, description="physical parameters to regress (multi-band models)")
    test: float = Field(0.2, ge=0, lt=1, description="fraction of the stars for test; 0: no test set, no scores")
    validation: float = Field(
        0.1, gt=0, lt=1, description="fraction of the other stars that choose the best epoch and calibrate the model"
    )
    fraction: float = Field(
        1.0,
        gt=0,
        le=1,
        description="of the training stars that are used, for a learning curve: a smaller one is part of a larger",
    )
    seed: int = Field(42, description="of the random split")
    folds: int | None = Field(
        None, ge=2, description="number of folds of the stars outside the test set, one of which is for validation"
    )
    fold: int = Field(1, ge=1, description="which of the folds is for validation; `goodricke train --folds` trains all")
    same_star: float = Field(5.0, gt=0, description="positions within this many arcsec are of one star")
    guard: float = Field(0.0, ge=0, description="test stars within this many arcsec of a training star are not scored")
    background: float = Field(
        0.0,
        ge=0,
        le=1,
        description="simulated constant stars, quasars and transients, each as many as this fraction of the objects",
    )
    surveys: dict[str, SurveyConfig] = Field({}, description="several surveys, each [data.surveys.NAME]")
    taxonomy: TaxonomyConfig | None = Field(None, description="written as the section [taxonomy]")

    @model_validator(mode="before")
    @classmethod
    def _no_own_files(cls, content: Any) -> Any:
        """Ask for no files of light curves where surveys name theirs."""
        return {"light_curves": [], "labels": ""} | content if _has_surveys(content) else content

    @model_validator(mode="after")
    def _check_taxonomy(self) -> Self:
        if self.surveys:
            empty = {"light_curves": [], "labels": "", "name": self.name}
            defaults = {name: field.default for name, field in SourceConfig.model_fields.items()} | empty
            own = [name for name, value in defaults.items() if getattr(self, name) != value]
            if own:
                raise ValueError(f"{', '.join(own)}: with several surveys, write this in each [data.surveys.NAME]")
        if (self.surveys or self.leaves) and self.taxonomy is None:
            raise ValueError("several surveys, or leaves, need the section [taxonomy], which may be empty")
        if self.merge and self.taxonomy is not None:
            raise ValueError("merge and [taxonomy] exclude each other: map labels in leaves")
        return self

    def sources(self) -> dict[str, SourceConfig]:
        """Return the surveys by name, or these data under an empty name."""
        return dict(self.surveys) or {"": self}


def _has_surveys(content: Any) -> bool:
    return isinstance(content, dict) and bool(content.get("surveys"))


class TrainingConfig(LoopConfig):
    """The ``[training]`` section: the loop's settings and the loss."""

    least_steps: int = Field(
        0, ge=0, description="least number of gradient steps: a small set gets more epochs to reach it"
    )
    weight_power: float = Field(
        1.0, ge=0, description="p of the class weights (N / N_c)^p in the loss; 0: all objects count the same"
    )
    score: Literal["accuracy", "macro_recall", "macro_f1"] = Field(
        "accuracy", description="of the validation objects, which chooses the best epoch; or macro_recall, macro_f1"
    )
    passes: int = Field(20, ge=0, description="Monte-Carlo passes for the scores on held-out objects")
    calibration: Literal["auto", "temperature", "vector", "dirichlet"] = Field(
        "auto",
        description="of the probabilities: temperature, vector or dirichlet scaling; auto: that with most parameters "
        "which is clearly better in cross-validation",
    )
    novelty: NoveltyKind = Field(
        "combined", description="score of the novelty: combined, energy, mahalanobis or neighbours"
    )
    workers: int = Field(1, ge=1, description="processes for preprocessing")
    degraded: int = Field(
        0,
        ge=0,
        description="copies of each training light curve with fewer observations, more noise and other errors "
        "(kind variables)",
    )
    init: str | None = Field(None, description="initial model, name or folder; by default random weights")
    ensemble: EnsembleConfig = Field(EnsembleConfig(), description="settings of multi-band models")
    mixture: bool = Field(
        False, description="also train the paper's baseline, a mixture of experts (multi-band models)"
    )


def with_enough_epochs(training: TrainingConfig, objects: int) -> TrainingConfig:
    """Return the settings with as many epochs of training objects as make ``least_steps``, and no earlier stop.

    From an initial model fewer steps are enough: the epochs stay as they are.

    Examples
    --------
    >>> config = TrainingConfig(epochs=30, batch=64, least_steps=1500)
    >>> with_enough_epochs(config, 300).epochs, with_enough_epochs(config, 100_000).epochs
    (300, 30)
    """
    epochs = math.ceil(training.least_steps / max(math.ceil(objects / training.batch), 1))
    if training.init is not None or epochs <= training.epochs:
        return training
    return training.model_copy(update={"epochs": epochs, "patience": max(training.patience, epochs)})


# Defaults of multi-band models: sections 3.5-3.6 of Becker et al., except for the cosine schedule.
MULTIBAND = {
    "epochs": 40,
    "batch": 128,
    "points": 65536,
    "rate": 2e-3,
    "betas": (0.9, 0.999),
    "weight_decay": 1e-2,
    "warmup": 0.2,
    "schedule": "cosine",
    "patience": 20,
    "weight_power": 0.5,
    "passes": 0,
}

# Defaults for light curves of variable stars.
VARIABLES = {
    "epochs": 30,
    "batch": 64,
    "rate": 2e-3,
    "head_rate": 2e-3,
    "betas": (0.9, 0.999),
    "weight_decay": 2e-2,
    "warmup": 1.0,
    "schedule": "cosine",
    "patience": 30,
    "weight_power": 0.5,
}
FAMILY_DEFAULTS: dict[str, dict[str, Any]] = {"multiband": MULTIBAND, "variables": VARIABLES}


class Recipe(BaseModel):
    """A training run; see ``goodricke train --example``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="of the resulting model")
    run: Path = Field(description="folder for the log, checkpoints, metrics and, in `run/model`, the model itself")
    summary: str = Field("", description="what the model classifies, in one line, for the card")
    simulated: bool = Field(False, description="whether the light curves are simulations, for the card")
    paper: Literal[
        "",
        "astrafier-kepler",
        "astrafier-tess",
        "astrafier-both",
        "astrafier-without-bilstm",
        "astrafier-without-attention",
        "astrafier-without-cnn",
        "becker-gaia",
        "becker-ps1",
        "becker-ztf",
    ] = Field("", description="printed scores that stand beside those of the held-out objects")
    data: DataConfig = Field(description="section: light curves, labels, split")
    preprocessing: Preprocessing = FoldedConfig()
    network: dict[str, Any] = Field({}, description="section: sizes of the network; its keys depend on the kind")
    training: TrainingConfig = TrainingConfig()
    pretraining: PretrainingConfig = PretrainingConfig()

    @field_validator("preprocessing", mode="before")
    @classmethod
    def _read_none(cls, value: Any) -> Any:
        """Read the word "none" as TOML's missing null."""
        return {k: None if v == "none" else v for k, v in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="before")
    @classmethod
    def _move_taxonomy(cls, content: Any) -> Any:
        """Read the section ``[taxonomy]`` as a part of the data: it says what their labels mean."""
        if not isinstance(content, dict) or "taxonomy" not in content or not isinstance(content.get("data"), dict):
            return content
        rest = {name: value for name, value in content.items() if name != "taxonomy"}
        return rest | {"data": content["data"] | {"taxonomy": content["taxonomy"]}}

    @model_validator(mode="before")
    @classmethod
    def _family_defaults(cls, content: Any) -> Any:
        """Fill in the defaults of a kind of preprocessing."""
        sections = (
            [content.get(name, {}) for name in ("preprocessing", "training")] if isinstance(content, dict) else []
        )
        if not sections or not all(isinstance(section, dict) for section in sections):
            return content
        defaults = FAMILY_DEFAULTS.get(str(sections[0].get("kind")))
        return content | {"training": defaults | sections[1]} if defaults else content


def example(kind: str = "variables") -> str:
    """Return a commented recipe for a kind of preprocessing: variables, folded, dense or multiband."""
    name = kind if kind in ("variables", "multiband") else "example"
    text = files("goodricke.training").joinpath(f"{name}.toml").read_text()
    return text.replace(*_folded_to_dense(text)) if kind == "dense" else text


def _folded_to_dense(text: str) -> tuple[str, str]:
    """Return the lines of the section ``[preprocessing]`` for folded light curves, and those for dense ones."""
    section = text.split("[preprocessing]\n")[1].split("\n\n")[0]
    is_dense = [line.startswith("# ") for line in section.splitlines()]
    lines = [line.removeprefix("# ") for line, dense in zip(section.splitlines(), is_dense, strict=True) if dense]
    return section, "\n".join(lines)


def read_recipe(path: str | Path) -> Recipe:
    """Read a recipe; paths in it are relative to the recipe's folder.

    Raises
    ------
    ValueError
        Naming every key that is missing, unknown or wrong.
    """
    path = Path(path)
    try:
        recipe = recipe_from_content(tomllib.loads(path.read_text()), path)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not valid TOML: {error}. Fix: start from `goodricke train --example`") from error
    folder = path.resolve().parent
    data = _with_absolute_paths(recipe.data, folder)
    training, init = recipe.training, recipe.training.init
    if init is not None and (folder / init).exists():
        training = training.model_copy(update={"init": str(folder / init)})
    return recipe.model_copy(update={"data": data, "run": folder / recipe.run, "training": training})


def _with_absolute_paths(config: DataConfig, folder: Path) -> DataConfig:
    """Return data whose paths, so far relative to a folder, are absolute."""
    surveys = {name: survey.model_copy(update=_absolute(survey, folder)) for name, survey in config.surveys.items()}
    update: dict[str, Any] = {"surveys": surveys} if surveys else _absolute(config, folder)
    if config.taxonomy is not None and config.taxonomy.file is not None:
        update["taxonomy"] = config.taxonomy.model_copy(update={"file": str(folder / config.taxonomy.file)})
    return config.model_copy(update=update)


def _absolute(source: SourceConfig, folder: Path) -> dict[str, Any]:
    paths = source.light_curves
    paths = [paths] if isinstance(paths, str) else paths
    update: dict[str, Any] = {"light_curves": [_in_folder(folder, path) for path in paths]}
    tables = {"labels": source.labels, "test_labels": source.test_labels}
    return update | {name: _in_folder(folder, path) for name, path in tables.items() if path is not None}


def _in_folder(folder: Path, path: str) -> str:
    """Return a path relative to a folder as an absolute one; that of a file on the hub stays."""
    return path if is_hub_address(path) else str(folder / path)


def recipe_from_content(content: dict[str, Any], origin: str | Path) -> Recipe:
    """Return the recipe of a TOML file's content.

    Raises
    ------
    ValueError
        Naming ``origin`` and every key that is missing, unknown or wrong.
    """
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        problems = "\n".join(f"  {fault}" for fault in faults(error, Recipe))
        raise ValueError(f"{origin}:\n{problems}\nSee `goodricke train --example` for every key") from error
    _check_network(origin, recipe)
    return recipe


# Sizes of a network that follow from data and preprocessing, by family.
DERIVED = {
    "astrafier": {"classes", "channels", "context", "spectrum"},
    "multiband": {"classes", "channels", "context", "bands", "width", "targets"},
    "variables": {"classes", "channels", "candidates", "bins", "star", "candidate"},
}
# The settings of a network by family, with those that have no default.
_NETWORKS: dict[str, tuple[type[BaseModel], dict[str, Any]]] = {
    "astrafier": (AstrafierConfig, {}),
    "multiband": (MultibandNetworkConfig, {"bands": 1, "classes": 2}),
    "variables": (VariablesNetworkConfig, {"classes": 2, "star": 1, "candidate": 1}),
}

# Settings that define the input of a multi-band network, and must be those of its initial model.
INPUTS = ("brightness", "softening", "unit", "level")


def resolve_recipe(recipe: Recipe, curves: LightCurves, init: BundleConfig | None) -> Recipe:
    """Return the recipe with the unset fields of its preprocessing from the initial model or the data."""
    config = recipe.preprocessing if init is None else follow_model(recipe.preprocessing, init)
    return recipe.model_copy(update={"preprocessing": config.resolved(curves)})


def follow_model(config: Preprocessing, init: BundleConfig) -> Preprocessing:
    """Return preprocessing that defines the input of a network as in the training of a multi-band model.

    Parameters
    ----------
    config : Preprocessing
        Fields of `INPUTS` that are unset are those of the model.
    init : BundleConfig
        Of the initial model.

    Raises
    ------
    ValueError
        If a field of `INPUTS` is set to another value than the model's.
    """
    initial = init.preprocessing
    if not isinstance(config, MultibandConfig) or not isinstance(initial, MultibandConfig):
        return config
    changes = {}
    for name in INPUTS:
        value, initial_value = getattr(config, name), getattr(initial, name)
        if value is None or name not in config.model_fields_set:
            changes[name] = initial_value
        elif value != initial_value:
            raise ValueError(
                f"[preprocessing] {name} is {value}, but the training starts from {init.name}, whose weights were "
                f"trained with {initial_value}. Fix: leave {name} out, or use no initial model"
            )
    return config.model_copy(update=changes)


def fold_recipe(recipe: Recipe, fold: int, folds: int) -> Recipe:
    """Return the recipe of one fold: the same test objects, other validation objects, a separate run folder."""
    data = recipe.data.model_copy(update={"folds": folds, "fold": fold})
    return recipe.model_copy(update={"data": data, "run": recipe.run / f"fold-{fold}"})


def new_band_recipe(recipe: Recipe, band: str, model: str) -> Recipe:
    """Return the recipe that adds a band to a model, whose other bands stay unchanged.

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
        If it is no multi-band model, has the band already, or was trained with another input (`follow_model`).
    """
    config = read_config(model)
    if not isinstance(config.preprocessing, MultibandConfig):
        raise ValueError(f"{model} is no multi-band model, so no band can be added")
    old = config.preprocessing.bands
    if band in old:
        raise ValueError(f"{model} has the band {band} already; it has {', '.join(old)}")
    follow_model(recipe.preprocessing, config)
    preprocessing = config.preprocessing.model_copy(update={"bands": (*old, band)})
    derived = {"classes", "bands", "width", "context", "targets"}
    network = {name: value for name, value in config.network.items() if name not in derived}
    ensemble = recipe.training.ensemble.model_copy(update={"frozen_bands": old})
    training = recipe.training.model_copy(update={"init": model, "ensemble": ensemble})
    return recipe.model_copy(update={"preprocessing": preprocessing, "network": network, "training": training})


def _check_network(path: str | Path, recipe: Recipe) -> None:
    """Raise errors of the network's settings before the preprocessing."""
    family = recipe.preprocessing.family
    fixed = sorted(DERIVED[family] & set(recipe.network))
    if fixed:
        raise ValueError(
            f"{path}: [network] {', '.join(fixed)} follow from data and preprocessing. Fix: leave them out"
        )
    if recipe.training.mixture and family != "multiband":
        raise ValueError(f"{path}: [training] mixture is a baseline for multi-band models only (preprocessing.kind)")
    kind, sizes = _NETWORKS[family]
    try:
        kind.model_validate(recipe.network | sizes)
    except ValidationError as error:
        problems = "\n".join(f"  {fault}" for fault in faults(error, kind, section="network"))
        raise ValueError(f"{path}:\n{problems}") from error


Module = Literal["bilstm", "attention", "cnn"]
MODULES: tuple[Module, ...] = get_args(Module)


def ablated_recipe(recipe: Recipe, module: str) -> Recipe:
    """Return the recipe of a network without a module, everything else the same, in a run folder of its own.

    Parameters
    ----------
    recipe : Recipe
        Of the kind dense or folded, whose network is ASTRAFier.
    module : {"bilstm", "attention", "cnn"}
        Without the BiLSTM its CNN projection goes too, as in the paper.

    Raises
    ------
    ValueError
        If there is no such module, or the network is another one.
    """
    if module not in MODULES:
        raise ValueError(f"--ablation {module}: it is one of {', '.join(MODULES)}")
    if recipe.preprocessing.family != "astrafier":
        raise ValueError(
            f'--ablation leaves out a module of ASTRAFier, and the recipe\'s kind "{recipe.preprocessing.kind}" has '
            'another network. Fix: use a recipe of the kind "dense" or "folded"'
        )
    if recipe.training.init is not None:
        raise ValueError("--ablation starts from random weights. Fix: leave out [training] init")
    changes = {
        "name": f"{recipe.name}-without-{module}",
        "run": recipe.run.with_name(f"{recipe.run.name}-without-{module}"),
        "network": recipe.network | {module: False},
        "paper": f"astrafier-without-{module}" if recipe.paper == "astrafier-both" else "",
    }
    return recipe.model_copy(update=changes)
