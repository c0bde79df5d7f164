"""`GoodrickeClassifier`: the classifier as scikit-learn has them, over light curves instead of tables of features.

>>> from sklearn.model_selection import cross_val_score, GroupKFold  # doctest: +SKIP
>>> cross_val_score(GoodrickeClassifier(epochs=20), curves, y, groups=star, cv=GroupKFold(5))  # doctest: +SKIP

``fit`` is `goodricke train` without files: the recipe is the one that ``goodricke train --example`` prints, with what
the parameters say otherwise.
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
from goodricke.training.experiment import FEW_STEPS
from goodricke.training.labels import in_memory
from goodricke.training.recipe import Recipe, checked, example
from goodricke.uncertainty.prediction_sets import Coverage

Kind = Literal["folded", "dense", "multiband"]
Section = Mapping[str, Any] | None

# Networks by size; "small" is the example recipes' and "paper" that of the papers, whose sizes are the defaults.
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
}
FOLLOWS = {"classes", "channels", "context", "bands", "width", "targets"}  # from data and preprocessing


class GoodrickeClassifier(ClassNamePrefixFeaturesOutMixin, ClassifierMixin, TransformerMixin, BaseEstimator):
    """Classify light curves with a network trained on yours, or with one that is trained already (`load`).

    Parameters
    ----------
    kind : {"folded", "dense", "multiband"}
        Sparse light curves of periodic stars, folded on the period found in them; dense space photometry; or sparse
        light curves in several bands, step by step.
    size : {"tiny", "small", "paper"}
        Of the network.
    epochs : int, optional
        Passes over the training light curves; by default as many as make 1,500 gradient steps, ten at least.
    batch : int, optional
        Light curves in a gradient step, 64 (``"multiband"``: 32) by default.
    rate : float, optional
        Learning rate, 1e-3 (``"multiband"``: 2e-3) by default.
    init : str, optional
        A model to start from, by name or folder: best for small sets. Preprocessing and sizes are then that model's,
        where ``preprocessing`` and ``network`` don't say otherwise, and ``size`` says nothing.
    validation : float
        Fraction of the stars by which the best epoch is chosen and the probabilities are calibrated.
    test : float
        Fraction of the stars that are held out and scored, beside forests, for the model's card and `metrics_`; none
        by default, since scikit-learn holds out its own.
    passes : int
        Monte-Carlo passes with dropout on, whose mean is the probability; 0: one pass without.
    network, preprocessing, training : dict, optional
        Any other setting of these sections of a recipe (``goodricke train --example``): ``network={"dropout": 0.3}``.
    options : dict, optional
        Of frames and files, where they don't tell: ``{"unit": "mag"}``; see `goodricke.io.ReadOptions`.
    unclassified : optional
        What `predict` says of a light curve that can't be classified: ``""`` where labels are text, -1 where they are
        numbers. It must be none of the labels.
    seed : int
        Of the split, the weights and the dropout masks: same seed, same data, same answers.
    name : str
        Of the resulting model.
    run : path, optional
        Folder that keeps the run, as of `goodricke train`; interrupted, the same ``fit`` goes on from there. Without,
        nothing is kept but the model.
    device : str
        ``"cpu"``, ``"cuda"``, ... or ``"auto"``; see `goodricke.load_model`.
    workers : int
        Processes for preprocessing.
    verbose : int
        1: tell of every epoch.

    Attributes
    ----------
    classes_ : (C,)
        Labels, in the order of the probabilities.
    model_ : Model
    metrics_ : dict
        Scores of the stars held out by ``test``; empty without.

    Notes
    -----
    Light curves, wherever they are asked for, are `LightCurves`, a frame of pandas or nested-pandas with a light curve
    per row, or a list of files of one light curve each; see `goodricke.io.as_light_curves`.

    A light curve that can't be classified (too few points, no known band, an unreadable file; `status` tells) never
    stops the others: its probabilities, embedding and novelty are NaN, its prediction set is empty, `predict` says
    ``unclassified``, and `score` counts it as wrong.
    """

    def __init__(
        self,
        kind: Kind = "folded",
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

    # ---- learning -------------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, groups: Any = None) -> GoodrickeClassifier:
        """Train on labelled light curves.

        Parameters
        ----------
        X : light curves (n), see the class
        y : (n,) or str
            Labels, text or whole numbers, or the name of the column that has them.
        groups : (n,) or str, optional
            Which star each light curve is of, or the column: all those of a star go to training or to validation. By
            default as their ids and, where `X` has positions, those tell.

        Raises
        ------
        ValueError
            If a setting is wrong, labels are missing or don't fit, or a class has too few stars.
        """
        curves = self._read(X)
        label = _labels(_column(X, curves, y))
        classes, code = np.unique(label, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"all {len(label)} light curves are of one class, {classes}: nothing to tell apart")
        _unclassified(self.unclassified, classes)
        data = in_memory(curves, code, [str(c) for c in classes], _column(X, curves, groups))
        with TemporaryDirectory() as scratch:
            recipe = self.recipe(len(curves), Path(self.run or scratch))
            self._warn_if_short(recipe, len(curves))
            console = Console() if self.verbose else Console(quiet=True)
            self._keep(run_recipe(recipe, self.device, console, data), classes, lasting=self.run is not None)
        return self

    def recipe(self, n: int, run: str | Path) -> Recipe:
        """Return the recipe of a training on ``n`` light curves in a folder.

        Raises
        ------
        ValueError
            Naming every setting that is wrong.
        """
        split = {"test": self.test, "validation": self.validation, "seed": self.seed}
        sections = {"training": self._training(n), **(self._sections() if self.init is None else self._like(self.init))}
        for section, told in (("preprocessing", self.preprocessing), ("network", self.network)):
            sections[section] |= dict(told or {})
        data = {"light_curves": "in memory", "labels": "in memory", **split}
        return checked({"name": self.name, "run": run, "data": data, **sections}, type(self).__name__)

    def _sections(self) -> dict[str, dict[str, Any]]:
        """Return preprocessing and network as the example recipe has them, the network in the wanted size."""
        family = "multiband" if self.kind == "multiband" else "astrafier"
        for name, value, known in (("kind", self.kind, get_args(Kind)), ("size", self.size, tuple(SIZES[family]))):
            if value not in known:
                raise ValueError(f"{name} is one of {', '.join(known)}, not {value!r}")
        base = tomllib.loads(example(self.kind))
        preprocessing = {"kind": "dense"} if self.kind == "dense" else base["preprocessing"]
        dropout = {name: value for name, value in base["network"].items() if "dropout" in name}
        return {"preprocessing": preprocessing, "network": dropout | SIZES[family][self.size]}

    def _like(self, model: str) -> dict[str, dict[str, Any]]:
        """Return preprocessing and network as a model has them."""
        config = read_config(model)
        kind = config.preprocessing.kind
        if kind != self.kind:
            raise ValueError(f"{model} is a model of kind {kind}: to start from it, say kind={kind!r}")
        network = {name: value for name, value in config.network.items() if name not in FOLLOWS}
        return {"preprocessing": config.preprocessing.model_dump(), "network": network}

    def _training(self, n: int) -> dict[str, Any]:
        """Return the settings of the training: the example recipe's, the parameters, and ``training`` over them."""
        own = {"epochs": self.epochs, "batch": self.batch, "rate": self.rate, "init": self.init}
        own |= {"passes": self.passes, "seed": self.seed, "workers": self.workers}
        told = {name: value for name, value in own.items() if value is not None} | dict(self.training or {})
        settings = tomllib.loads(example(self.kind))["training"] | told
        if "epochs" not in told:
            settings["epochs"] = max(math.ceil(FEW_STEPS / self._batches(n, settings["batch"])), 10)
        return settings if "patience" in told else settings | {"patience": settings["epochs"]}

    def _batches(self, n: int, batch: int) -> int:
        """Return the gradient steps in an epoch, about."""
        return max(math.ceil(n * (1 - self.test) * (1 - self.validation) / batch), 1)

    def _warn_if_short(self, recipe: Recipe, n: int) -> None:
        """Warn as scikit-learn's own networks do where the training is too short to have learned."""
        training = recipe.training
        steps = training.epochs * self._batches(n, training.batch)
        if steps < FEW_STEPS and training.init is None:
            warnings.warn(
                f"{training.epochs} epochs of {n} light curves are some {steps} gradient steps; from scratch a network "
                f"wants about {FEW_STEPS}. Leave out epochs, or start from a model (init)",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _keep(self, folder: Path, classes: NDArray, lasting: bool) -> None:
        """Keep the files of a bundle, and the model in it."""
        self._bundle = {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}
        self.model_ = load_model(folder, self.device)
        if not lasting:
            self.model_.folder = None
        self.classes_ = classes
        self.metrics_ = self.model_.config.metrics

    # ---- answering ------------------------------------------------------------------------------------------------

    def predictions(self, X: Any, coverage: float = 0.9, per_class: bool = False) -> Predictions:
        """Return all that the model says of light curves, as `goodricke.classify` does."""
        check_is_fitted(self)
        told = {"workers": self.workers, "coverage": Coverage(coverage, per_class)}
        return classify(self._read(X), self.model_, self.passes, self.seed, **told)  # type: ignore[arg-type]

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return probabilities (n, C) in the order of `classes_`; NaN where there are none."""
        return self.predictions(X).probabilities.astype(np.float64)

    def predict(self, X: Any) -> NDArray:
        """Return the most probable label of each light curve, (n,), ``unclassified`` where there is none."""
        p = self.predict_proba(X)
        blank = _unclassified(self.unclassified, self.classes_)
        ok = np.isfinite(p[:, 0])
        best = self.classes_[np.where(ok[:, None], p, 0).argmax(1)]
        return best if ok.all() else np.where(ok, best, blank)

    def predict_sets(self, X: Any, coverage: float = 0.9, per_class: bool = False) -> NDArray[np.bool_]:
        """Return which labels the true one is among in so many of a hundred cases, bool (n, C).

        Parameters
        ----------
        X : light curves (n)
        coverage : float
            Fraction of objects like the training set's whose set holds the true class.
        per_class : bool
            Promise it for each class: larger sets.

        Raises
        ------
        ValueError
            If the model was not calibrated for sets.
        """
        table = self.predictions(X, coverage, per_class).table
        if "prediction_set" not in table.column_names:
            raise ValueError(f"{self.model_.name} has no prediction sets: `goodricke calibrate` teaches it some")
        sets = table["prediction_set"].to_pylist()
        return np.array([[c in (members or ()) for c in self.model_.classes] for members in sets], bool).reshape(
            len(sets), len(self.model_.classes)
        )

    def novelty(self, X: Any) -> NDArray[np.float64]:
        """Return how unlike the training set each light curve is, (n,), from 0 to 1; NaN where nobody can tell.

        Above 0.99 is one of a hundred objects of the known classes; see `goodricke.uncertainty.novelty`.
        """
        found = self.predictions(X)
        known = "novelty" in found.table.column_names
        return found.column("novelty").astype(np.float64) if known else np.full(len(found), np.nan)

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Return embeddings (n, d), NaN where there are none: for a head, neighbours or a map of one's own."""
        found = self.predictions(X)
        result = np.full((len(found), self.model_.embedding_size), np.nan, np.float32)
        column = found.table["embedding"].combine_chunks()
        result[found.ok] = column.drop_null().flatten().to_numpy().reshape(-1, result.shape[1])
        return result

    def status(self, X: Any) -> NDArray[np.str_]:
        """Return why each light curve has or has not been classified, (n,); see `goodricke.data.predictions.Status`."""
        return self.predictions(X).column("status").astype(str)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy; what can't be classified is wrong."""
        if isinstance(y, str):
            y = _column(X, self._read(X), y)
        return float(super().score(X, _labels(y), sample_weight))

    # ---- keeping --------------------------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> Path:
        """Write the model to a folder that `goodricke.load_model`, the command line and `load` take.

        Raises
        ------
        FileExistsError
            If the folder has something else in it.
        """
        check_is_fitted(self)
        folder = Path(folder)
        if folder.exists() and not {path.name for path in folder.iterdir()} <= set(FILES):
            raise FileExistsError(f"{folder} holds other things than a model: give a new folder")
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
            As for the class: ``device``, ``passes``, ``options``, ... Labels are text, those that were numbers too.
            ``fit`` would train anew: say ``init=name`` to go on from the model, and keep it as it is within
            scikit-learn's tools with ``sklearn.frozen.FrozenEstimator``.
        """
        folder = find_model(name)
        config = read_config(folder)
        found = cls(**{"kind": config.preprocessing.kind, "name": config.name} | parameters)
        found._keep(folder, np.array(config.classes), lasting=True)
        return found

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("model_", None)  # its bundle says it all
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_bundle" in state:
            with TemporaryDirectory() as scratch:
                self._keep(self._write(Path(scratch)), self.classes_, lasting=False)

    # ---- what scikit-learn asks -----------------------------------------------------------------------------------

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


def _column(X: Any, curves: LightCurves, given: Any) -> Any:
    """Return labels or groups (n,), or what ``X`` has in the column of that name."""
    if not isinstance(given, str):
        return given
    if hasattr(X, "columns") and given in X.columns:
        return np.asarray(X[given])
    return curves.column(given)


def _labels(given: Sequence | NDArray) -> NDArray:
    """Return labels (n,) as text or numbers.

    Raises
    ------
    ValueError
        If one is missing, or they are no classes.
    """
    label = np.asarray(given)
    missing = int(pd.isna(label).sum())
    if missing:
        raise ValueError(f"{missing} of {len(label)} labels are missing: leave these light curves out")
    label = np.array(label.tolist()) if label.dtype.kind == "O" else label
    check_classification_targets(label)
    return label


def _unclassified(wanted: Any, classes: NDArray) -> Any:
    """Return what stands for no class: as wanted, or of the labels' kind.

    Raises
    ------
    ValueError
        If it is one of the labels.
    """
    blank = wanted if wanted is not None else ("" if classes.dtype.kind == "U" else -1)
    if blank in classes.tolist():
        raise ValueError(f"{blank!r} stands for no class, but is one of the labels: give another unclassified=")
    return blank
