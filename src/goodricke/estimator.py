"""`GoodrickeClassifier`: a scikit-learn classifier of light curves instead of tables of features.

>>> from sklearn.model_selection import cross_val_score, GroupKFold  # doctest: +SKIP
>>> cross_val_score(GoodrickeClassifier(epochs=20), curves, y, groups=star, cv=GroupKFold(5))  # doctest: +SKIP

``fit`` is `goodricke train` without files: its recipe is that of ``goodricke train --example`` with the settings of the
parameters.
"""

from __future__ import annotations

import math
import tomllib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from goodricke.data.lightcurves import LightCurves
from goodricke.data.predictions import Predictions
from goodricke.evaluation.held_out import run_recipe
from goodricke.inference import classify
from goodricke.io import as_light_curves
from goodricke.models.bundle import find_model, load_model, read_config
from goodricke.models.hub import FILES
from goodricke.training.experiment import FEWEST_STEPS
from goodricke.training.labels import labelled_in_memory
from goodricke.training.recipe import DERIVED, Recipe, example, recipe_from_content
from goodricke.uncertainty.prediction_sets import Coverage

Kind = Literal["variables", "folded", "dense", "multiband"]
Section = Mapping[str, Any] | None

# Networks by size; "small" is that of the example recipes, "paper" that of the papers (or of the shipped model
# variables), the default sizes.
SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "astrafier": {
        "tiny": {"embed": 16, "heads": 4, "hidden": 32, "blocks": 1, "kernels": [3, 7, 15]},
        "small": {"embed": 32, "hidden": 128},
        "paper": {},
    },
    "multiband": {
        "tiny": {"hidden": 16, "band_layers": 1, "central_layers": 1, "head": [32]},
        "small": {"hidden": 64, "head": [128, 128]},
        "paper": {},
    },
    "variables": {
        "tiny": {"filters": [8, 8, 16, 16], "width": 16, "hidden": 32},
        "small": {"filters": [16, 24, 32, 48], "width": 64, "hidden": 128},
        "paper": {},
    },
}
FAMILIES = {"variables": "variables", "folded": "astrafier", "dense": "astrafier", "multiband": "multiband"}


class GoodrickeClassifier(ClassNamePrefixFeaturesOutMixin, ClassifierMixin, TransformerMixin, BaseEstimator):
    """Classify light curves with a network trained by ``fit``, or with a trained model (`load`).

    Parameters
    ----------
    kind : {"variables", "folded", "dense", "multiband"}
        Sparse light curves of variable stars in one band or several, whose period is chosen together with the class;
        those in one band, folded on the highest peak of their periodogram; dense space photometry; or sparse light
        curves in several bands, step by step, as of transients.
    size : {"tiny", "small", "paper"}
        Size of the network.
    epochs : int, optional
        Passes over the training light curves; by default enough for 1,500 gradient steps, at least ten.
    batch : int, optional
        Light curves in a gradient step, 64 (``"multiband"``: 32) by default.
    rate : float, optional
        Learning rate, 2e-3 (``"folded"``, ``"dense"``: 1e-3) by default.
    init : str, optional
        Initial model, by name or folder: best for small sets. Preprocessing and sizes are then that model's, except for
        settings in ``preprocessing`` and ``network``; ``size`` is ignored.
    validation : float
        Fraction of the stars that select the best epoch and calibrate the probabilities.
    test : float
        Fraction of the stars that are held out and scored, with forests as baselines, for the model's card and
        `metrics_`; none by default, since scikit-learn's tools hold out data themselves.
    passes : int
        Monte-Carlo passes with dropout on, whose mean is the probability; 0: one pass without.
    network, preprocessing, training : dict, optional
        Any other setting of these sections of a recipe (``goodricke train --example``): ``network={"dropout": 0.3}``.
    options : dict, optional
        Options of frames and files, such as ``{"unit": "mag"}``; see `goodricke.io.ReadOptions`.
    unclassified : optional
        Result of `predict` for a light curve that can't be classified: by default ``""`` if labels are text, -1 if they
        are numbers. It must not be a label.
    seed : int
        Seed of the split, the weights and the dropout masks: the same seed and data give the same result.
    name : str
        Name of the resulting model.
    run : path, optional
        Folder of the run, as of `goodricke train`, from which the same ``fit`` resumes after an interruption. By
        default only the model remains.
    device : str
        ``"cpu"``, ``"cuda"``, ... or ``"auto"``; see `goodricke.load_model`.
    workers : int
        Processes for preprocessing.
    verbose : int
        1: print a line per epoch.

    Attributes
    ----------
    classes_ : (C,)
        Labels, in the order of the probabilities.
    model_ : Model
    metrics_ : dict
        Scores of the stars held out by ``test``; empty by default.

    Notes
    -----
    Light curves are `LightCurves`, a frame with a light curve per row, a list of files of one light curve each, or
    whatever else `goodricke.as_light_curves` takes.

    A light curve that can't be classified (too few points, no known band, an unreadable file; see `status`) never
    stops the others: its probabilities, embedding and novelty are NaN, its prediction set is empty, `predict` returns
    ``unclassified``, and `score` counts it as wrong.

    Examples
    --------
    >>> classifier = GoodrickeClassifier("variables", epochs=30).fit(curves, labels)  # doctest: +SKIP
    >>> classifier.predict(curves[:3])  # doctest: +SKIP
    >>> trained = GoodrickeClassifier.load("variables", passes=0)
    >>> trained.classes_[:3].tolist()
    ['EA', 'EB', 'EW']
    """

    def __init__(
        self,
        kind: Kind = "variables",
        *,
        size: Literal["tiny", "small", "paper"] = "small",
        epochs: int | None = None,
        batch: int | None = None,
        rate: float | None = None,
        init: str | None = None,
        validation: float = 0.1,
        test: float = 0.0,
        passes: int = 20,
        network: Section = None,
        preprocessing: Section = None,
        training: Section = None,
        options: Section = None,
        unclassified: Any = None,
        seed: int = 42,
        name: str = "my-model",
        run: str | Path | None = None,
        device: str = "cpu",
        workers: int = 1,
        verbose: int = 0,
    ) -> None:
        self.kind = kind
        self.size = size
        self.epochs = epochs
        self.batch = batch
        self.rate = rate
        self.init = init
        self.validation = validation
        self.test = test
        self.passes = passes
        self.network = network
        self.preprocessing = preprocessing
        self.training = training
        self.options = options
        self.unclassified = unclassified
        self.seed = seed
        self.name = name
        self.run = run
        self.device = device
        self.workers = workers
        self.verbose = verbose

    # ---- training -------------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, groups: Any = None) -> GoodrickeClassifier:
        """Train on labelled light curves.

        Parameters
        ----------
        X : light curves (n), see the class
        y : (n,) or str
            Labels, text or integers, or the name of their column.
        groups : (n,) or str, optional
            Star of each light curve, or the name of the column: the light curves of a star are all in training or
            all in validation. By default from ids and, if `X` has positions, from those.

        Raises
        ------
        ValueError
            If a setting is wrong, labels are missing or don't fit, or a class has too few stars.
        """
        curves = self._read(X)
        label = _check_labels(_column(X, curves, y))
        classes, code = np.unique(label, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"all {len(label)} light curves are of one class, {classes}; training needs at least two")
        _check_unclassified(self.unclassified, classes)
        data = labelled_in_memory(curves, code, [str(c) for c in classes], _column(X, curves, groups))
        with TemporaryDirectory() as scratch:
            recipe = self.recipe(len(curves), Path(self.run or scratch))
            self._warn_if_short(recipe, len(curves))
            console = Console() if self.verbose else Console(quiet=True)
            self._set_model(run_recipe(recipe, self.device, console, data), classes, lasting=self.run is not None)
        return self

    def recipe(self, n: int, run: str | Path) -> Recipe:
        """Return the recipe of a training on ``n`` light curves in a folder.

        Raises
        ------
        ValueError
            Naming every wrong setting.
        """
        split = {"test": self.test, "validation": self.validation, "seed": self.seed}
        sections = {
            "training": self._training(n),
            **(self._sections() if self.init is None else self._model_sections(self.init)),
        }
        for section, parameters in (("preprocessing", self.preprocessing), ("network", self.network)):
            sections[section] |= dict(parameters or {})
        data = {"light_curves": "in memory", "labels": "in memory", **split}
        return recipe_from_content({"name": self.name, "run": run, "data": data, **sections}, type(self).__name__)

    def _sections(self) -> dict[str, dict[str, Any]]:
        """Return preprocessing and network of the example recipe, the network with the sizes of ``size``."""
        family = FAMILIES.get(self.kind, "variables")
        for name, value, choices in (("kind", self.kind, get_args(Kind)), ("size", self.size, tuple(SIZES[family]))):
            if value not in choices:
                raise ValueError(f"{name} is one of {', '.join(choices)}, not {value!r}")
        base = tomllib.loads(example(self.kind))
        dropout = {name: value for name, value in base["network"].items() if "dropout" in name}
        return {"preprocessing": base["preprocessing"], "network": dropout | SIZES[family][self.size]}

    def _model_sections(self, model: str) -> dict[str, dict[str, Any]]:
        """Return preprocessing and network of a model."""
        config = read_config(model)
        kind = config.preprocessing.kind
        if kind != self.kind:
            raise ValueError(f"{model} is a model of kind {kind}. Fix: kind={kind!r}")
        network = {name: value for name, value in config.network.items() if name not in DERIVED[config.family]}
        return {"preprocessing": config.preprocessing.model_dump(), "network": network}

    def _training(self, n: int) -> dict[str, Any]:
        """Return the settings of the training: the example recipe's, the parameters, then ``training``."""
        parameters = {"epochs": self.epochs, "batch": self.batch, "rate": self.rate, "init": self.init}
        parameters |= {"passes": self.passes, "seed": self.seed, "workers": self.workers}
        changes = {name: value for name, value in parameters.items() if value is not None} | dict(self.training or {})
        settings = tomllib.loads(example(self.kind))["training"] | {"least_steps": 0} | changes
        if "epochs" not in changes:
            settings["epochs"] = max(math.ceil(FEWEST_STEPS / self._batches(n, settings["batch"])), 10)
        return settings if "patience" in changes else settings | {"patience": settings["epochs"]}

    def _batches(self, n: int, batch: int) -> int:
        """Return the approximate number of gradient steps in an epoch."""
        return max(math.ceil(n * (1 - self.test) * (1 - self.validation) / batch), 1)

    def _warn_if_short(self, recipe: Recipe, n: int) -> None:
        """Warn, as scikit-learn's networks do, if the training is too short to converge."""
        training = recipe.training
        steps = training.epochs * self._batches(n, training.batch)
        if steps < FEWEST_STEPS and training.init is None:
            warnings.warn(
                f"{training.epochs} epochs of {n} light curves are about {steps} gradient steps; from random "
                f"weights a network needs about {FEWEST_STEPS}. Fix: leave out epochs, or use an initial model (init)",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _set_model(self, folder: Path, classes: NDArray, lasting: bool) -> None:
        """Store the files of a bundle in memory, and load its model."""
        self._bundle = {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}
        self.model_ = load_model(folder, self.device)
        if not lasting:
            self.model_.folder = None
        self.classes_ = classes
        self.metrics_ = {name: x for name, x in self.model_.config.metrics.items() if name != "card"}

    # ---- predictions ----------------------------------------------------------------------------------------------

    def predictions(self, X: Any, coverage: float = 0.9, per_class: bool = False) -> Predictions:
        """Return the complete predictions, as of `goodricke.classify`."""
        check_is_fitted(self)
        options = {"workers": self.workers, "coverage": Coverage(coverage, per_class)}
        return classify(self._read(X), self.model_, self.passes, self.seed, **options)  # type: ignore[arg-type]

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return probabilities (n, C) in the order of `classes_`; NaN where there are none."""
        return self.predictions(X).probabilities.astype(np.float64)

    def predict(self, X: Any) -> NDArray:
        """Return the most probable label of each light curve, (n,), ``unclassified`` where there is none."""
        p = self.predict_proba(X)
        blank = _check_unclassified(self.unclassified, self.classes_)
        ok = np.isfinite(p[:, 0])
        best = self.classes_[np.where(ok[:, None], p, 0).argmax(1)]
        return best if ok.all() else np.where(ok, best, blank)

    def predict_sets(self, X: Any, coverage: float = 0.9, per_class: bool = False) -> NDArray[np.bool_]:
        """Return prediction sets, which contain the true label with the given coverage, bool (n, C).

        Parameters
        ----------
        X : light curves (n)
        coverage : float
            Fraction of objects like the training set's whose set holds the true class.
        per_class : bool
            Whether the coverage holds in each class, with larger sets.

        Raises
        ------
        ValueError
            If the model was not calibrated for sets.
        """
        table = self.predictions(X, coverage, per_class).table
        if "prediction_set" not in table.column_names:
            raise ValueError(f"{self.model_.name} has no prediction sets. Fix: `goodricke calibrate`")
        sets = table["prediction_set"].to_pylist()
        return np.array([[c in (members or ()) for c in self.model_.classes] for members in sets], bool).reshape(
            len(sets), len(self.model_.classes)
        )

    def novelty(self, X: Any) -> NDArray[np.float64]:
        """Return how unlike the training set each light curve is, (n,), from 0 to 1; NaN where unknown.

        One of a hundred objects of the known classes is above 0.99; see `goodricke.uncertainty.novelty`.
        """
        predictions = self.predictions(X)
        has_novelty = "novelty" in predictions.table.column_names
        return predictions.column("novelty").astype(np.float64) if has_novelty else np.full(len(predictions), np.nan)

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Return embeddings (n, d), NaN where there are none."""
        predictions = self.predictions(X)
        result = np.full((len(predictions), self.model_.embedding_size), np.nan, np.float32)
        column = predictions.table["embedding"].combine_chunks()
        result[predictions.ok] = column.drop_null().flatten().to_numpy().reshape(-1, result.shape[1])
        return result

    def status(self, X: Any) -> NDArray[np.str_]:
        """Return why each light curve has or has not been classified, (n,); see `goodricke.data.predictions.Status`."""
        return self.predictions(X).column("status").astype(str)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy; a light curve that can't be classified counts as wrong."""
        if isinstance(y, str):
            y = _column(X, self._read(X), y)
        return float(super().score(X, _check_labels(y), sample_weight))

    # ---- files ----------------------------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> Path:
        """Write the model to a folder for `goodricke.load_model`, the command line and `load`.

        Raises
        ------
        FileExistsError
            If the folder contains other files.
        """
        check_is_fitted(self)
        folder = Path(folder)
        if folder.exists() and not {path.name for path in folder.iterdir()} <= set(FILES):
            raise FileExistsError(f"{folder} contains other files than a model's. Fix: give a new folder")
        return self._write(folder)

    def _write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self._bundle.items():
            (folder / name).write_bytes(content)
        return folder

    @classmethod
    def load(cls, name: str | Path, **parameters: Any) -> GoodrickeClassifier:
        """Return a fitted classifier from a shipped model, a folder or a hub id; see `goodricke.load_model`.

        Parameters
        ----------
        name : str or Path
        **parameters
            Of the class: ``device``, ``passes``, ``options``, ... Labels are text, also if they were numbers. ``fit``
            starts a new training: use ``init=name`` to continue from the model, and
            ``sklearn.frozen.FrozenEstimator`` to keep it unchanged within scikit-learn's tools.
        """
        folder = find_model(name)
        config = read_config(folder)
        classifier = cls(**{"kind": config.preprocessing.kind, "name": config.name} | parameters)
        classifier._set_model(folder, np.array(config.classes), lasting=True)
        return classifier

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("model_", None)  # restored from the bundle
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_bundle" in state:
            with TemporaryDirectory() as scratch:
                self._set_model(self._write(Path(scratch)), self.classes_, lasting=False)

    # ---- scikit-learn's interface ---------------------------------------------------------------------------------

    @property
    def _n_features_out(self) -> int:
        return self.model_.embedding_size

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.no_validation = True
        tags.input_tags.two_d_array = False
        tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        return tags

    def _read(self, X: Any) -> LightCurves:
        return as_light_curves(X, **dict(self.options or {}))


def _column(X: Any, curves: LightCurves, column: Any) -> Any:
    """Return labels or groups (n,), from the column of ``X`` if given by its name."""
    if not isinstance(column, str):
        return column
    if hasattr(X, "columns") and column in X.columns:
        return np.asarray(X[column])
    return curves.column(column)


def _check_labels(labels: Sequence | NDArray) -> NDArray:
    """Return labels (n,) as text or numbers.

    Raises
    ------
    ValueError
        If one is missing, or they are not discrete.
    """
    label = np.asarray(labels)
    missing = int(pd.isna(label).sum())
    if missing:
        raise ValueError(f"{missing} of {len(label)} labels are missing. Fix: leave these light curves out")
    label = np.array(label.tolist()) if label.dtype.kind == "O" else label
    check_classification_targets(label)
    return label


def _check_unclassified(value: Any, classes: NDArray) -> Any:
    """Return the value for no class, by default of the labels' type.

    Raises
    ------
    ValueError
        If it is one of the labels.
    """
    blank = value if value is not None else ("" if classes.dtype.kind == "U" else -1)
    if blank in classes.tolist():
        raise ValueError(f"{blank!r} stands for no class, but is a label. Fix: give another unclassified=")
    return blank
