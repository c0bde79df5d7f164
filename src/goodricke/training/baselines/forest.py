"""Random forests on features of light curves: the score that a network has to beat.

All baselines that a trained network is held against, fitted to the same objects.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodricke.data.lightcurves import LightCurves
from goodricke.preprocess import Prepared, Steps
from goodricke.training.baselines.features import light_curve_features, simple_statistics

PAPER_GRID = (*range(100, 501, 100), *range(750, 4001, 250))  # numbers of trees that the paper tries
SHORT_GRID = (100, 200, 300, 500)  # ends on a laptop
FOLDS = 5

Make = Callable[[int], Any]  # from a number of trees to an unfitted forest
Score = Callable[[Any, NDArray, NDArray], float]  # of a fitted forest's averaged prediction; more is better


@dataclass(frozen=True)
class Forest:
    """A fitted forest that always speaks of all its classes, in their order.

    Parameters
    ----------
    classes : tuple of str (C,)
    model : sklearn.ensemble.RandomForestClassifier
        Or one derived from it. Fitted to class indices; it may have seen fewer than C classes.
    """

    classes: tuple[str, ...]
    model: Any

    def probabilities(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return class probabilities (n, C), zero for classes that were not in the training set.

        Parameters
        ----------
        features : (n, F)
            In the order of the training set's, finite (`simple_statistics` writes -999 for missing).
        """
        result = np.zeros((len(features), len(self.classes)))
        if len(features):
            result[:, self.model.classes_] = self.model.predict_proba(features)
        return result


@dataclass(frozen=True)
class RegressionForest:
    """A fitted forest for one number per object, such as an effective temperature.

    Parameters
    ----------
    model : sklearn.ensemble.RandomForestRegressor
    """

    model: Any

    def predict(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the number (n,), in the unit of the targets, from features (n, F) as in `Forest.probabilities`."""
        return self.model.predict(features) if len(features) else np.zeros(0)


def fit_forest(
    features: NDArray[np.floating],
    label: NDArray[np.integer],
    classes: Sequence[str],
    balanced: bool = False,
    seed: int = 0,
    trees: int = 500,
    jobs: int = 1,
) -> Forest:
    """Fit a random forest.

    Parameters
    ----------
    features : (n, F)
        Finite, see `goodricke.training.baselines.features.simple_statistics`.
    label : int (n,)
        Index into ``classes``.
    classes : (C,)
    balanced : bool
        Weigh classes inversely to their frequency in each tree's bootstrap sample.
    seed : int
        The same seed gives the same forest.
    trees : int
    jobs : int
        Threads, -1 for all.

    Raises
    ------
    ValueError
        If there is nothing to fit, lengths differ, a feature is not finite or a label has no class.
    """
    from sklearn.ensemble import RandomForestClassifier

    features, label = _checked(features, label, classes)
    model = RandomForestClassifier(
        trees, class_weight="balanced_subsample" if balanced else None, random_state=seed, n_jobs=jobs
    )
    return Forest(tuple(classes), model.fit(features, label))


def fit_balanced_forest(
    features: NDArray[np.floating],
    label: NDArray[np.integer],
    classes: Sequence[str],
    trees: int | None = None,
    grid: Sequence[int] | None = None,
    seed: int = 0,
    jobs: int = 1,
) -> Forest:
    """Fit a balanced random forest (Chen, Liaw and Breiman 2004), the paper's baseline.

    Each tree grows on as many objects of each class, drawn with replacement, as the rarest class has.

    Parameters
    ----------
    features : (n, F)
        Finite, see `goodricke.training.baselines.features.light_curve_features`.
    label : int (n,)
        Index into ``classes``.
    classes : (C,)
    trees : int, optional
        Without it the number in ``grid`` with the highest macro F over five stratified folds is taken, the smallest of
        equals; ``forest.model.n_estimators`` tells which.
    grid : sequence of int, optional
        `SHORT_GRID` by default; the paper's is `PAPER_GRID`.
    seed : int
        The same seed gives the same folds and the same forest.
    jobs : int
        Threads, -1 for all.

    Raises
    ------
    ImportError
        If imbalanced-learn is not installed.
    ValueError
        As in `fit_forest`; also if there is only one class, or classes are too small for the search.
    """
    from sklearn.model_selection import StratifiedKFold

    features, label = _checked(features, label, classes)
    sizes = np.unique_counts(label).counts
    if len(sizes) < 2:
        raise ValueError("all objects are of one class; a balanced forest needs at least two")
    make = _balanced(seed, jobs)
    if trees is None:
        if sizes.max() < FOLDS or np.sort(sizes)[-2] < 2:
            raise ValueError(f"classes of {sizes.tolist()} objects are too few for {FOLDS} folds; give trees=")
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
        trees = _best_number(make, features, label, folds, _macro_f, grid)
    return Forest(tuple(classes), make(trees).fit(features, label))


def fit_regression_forest(
    features: NDArray[np.floating],
    target: NDArray[np.floating],
    trees: int | None = None,
    grid: Sequence[int] | None = None,
    seed: int = 0,
    jobs: int = 1,
) -> RegressionForest:
    """Fit a random forest to a number per object, the paper's baseline for physical parameters.

    Parameters
    ----------
    features : (n, F)
        Finite.
    target : (n,)
        Objects with NaN, not measured, are left out.
    trees, grid, seed, jobs
        As in `fit_balanced_forest`; the search is for the lowest mean squared error over five folds.

    Raises
    ------
    ValueError
        If there is nothing to fit, lengths differ, a feature is not finite, a target is infinite, or fewer than five
        targets are left for the search.
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.model_selection import KFold

    target = np.asarray(target, np.float64)
    features, target = _finite(np.asarray(features), target, ~np.isnan(target))
    if np.isinf(target).any():
        raise ValueError("targets must not be infinite; write those not measured as NaN")
    make: Make = lambda number: RandomForestRegressor(number, random_state=seed, n_jobs=jobs)  # noqa: E731
    if trees is None:
        if len(target) < FOLDS:
            raise ValueError(f"{len(target)} measured targets are too few for {FOLDS} folds; give trees=")
        trees = _best_number(make, features, target, KFold(FOLDS, shuffle=True, random_state=seed), _mse, grid)
    return RegressionForest(make(trees).fit(features, target))


def _checked(
    features: NDArray[np.floating], label: NDArray[np.integer], classes: Sequence[str]
) -> tuple[NDArray[np.floating], NDArray[np.integer]]:
    """Return features and labels as arrays if a forest can be fitted to them."""
    features, label = _finite(np.asarray(features), np.asarray(label))
    if label.min() < 0 or label.max() >= len(classes):
        raise ValueError(f"labels run from {label.min()} to {label.max()}, but there are {len(classes)} classes")
    return features, label


def _finite(features: NDArray, wanted: NDArray, keep: NDArray[np.bool_] | None = None) -> tuple[NDArray, NDArray]:
    """Return the rows to keep, if there are any, of features that are finite and as many as what is wanted of them."""
    if len(features) != len(wanted) or not (len(wanted) if keep is None else keep.any()):
        raise ValueError(f"{len(features)} rows of features for {len(wanted)} labels; need as many, and at least one")
    if not np.isfinite(features).all():
        raise ValueError("features must be finite; write missing ones as -999, as simple_statistics does")
    return (features, wanted) if keep is None else (features[keep], wanted[keep])


def _balanced(seed: int, jobs: int) -> Make:
    """Return what makes balanced forests."""
    try:
        from imblearn.ensemble import BalancedRandomForestClassifier
    except ImportError as error:
        raise ImportError("fit_balanced_forest needs imbalanced-learn: pip install 'goodricke[baselines]'") from error
    # said explicitly: the defaults of these three changed between versions
    drawn = {"sampling_strategy": "all", "replacement": True, "bootstrap": False}
    return lambda number: BalancedRandomForestClassifier(number, **drawn, random_state=seed, n_jobs=jobs)


def _best_number(
    make: Make, features: NDArray, wanted: NDArray, folds: Any, score: Score, grid: Sequence[int] | None
) -> int:
    """Return the number of trees with the highest mean score over folds.

    Trees are drawn one after the other from one seed, so a smaller forest is the beginning of a larger one: each
    fold's largest forest answers for the whole grid, at a ninth of the cost of the paper's search.
    """
    numbers = sorted(set(grid or SHORT_GRID))
    if numbers[0] < 1:
        raise ValueError(f"a forest needs at least one tree, not {numbers[0]}")
    with warnings.catch_warnings():  # the rarest class may have fewer objects than there are folds
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        parts = list(folds.split(features, wanted))
    scores = np.zeros((len(parts), len(numbers)))
    for row, (train, test) in zip(scores, parts, strict=True):
        model = make(numbers[-1]).fit(features[train], wanted[train])
        row[:] = [score(model, answer, wanted[test]) for answer in _growing(model, features[test], numbers)]
    return numbers[int(scores.mean(0).argmax())]


def _growing(model: Any, features: NDArray, numbers: Sequence[int]) -> Iterator[NDArray[np.float64]]:
    """Yield the averaged prediction of the first so many trees, (n, C) or (n,)."""
    features = np.asarray(features, np.float32)  # a tree's own type
    total: Any = 0.0
    for number, tree in enumerate(model.estimators_, 1):
        total = total + (tree.predict_proba(features) if hasattr(model, "classes_") else tree.predict(features))
        if number in numbers:
            yield total / number


def _macro_f(model: Any, probabilities: NDArray, label: NDArray) -> float:
    """Return the mean of the classes' F scores."""
    from sklearn.metrics import f1_score

    return float(f1_score(label, model.classes_[probabilities.argmax(1)], average="macro", zero_division=0))


def _mse(model: Any, predicted: NDArray, target: NDArray) -> float:
    """Return the mean squared error, negative so that more is better."""
    return -float(np.square(predicted - target).mean())


# ---- All baselines that a trained network is held against, fitted to the same objects --------------------------------


log = logging.getLogger("goodricke")

BASELINES = {
    "forest": "random forest on simple statistics",
    "forest_period": "random forest on simple statistics and the network's own period features",
    "forest_features": "random forest on light-curve features with single-band periods",
    "balanced_forest": "balanced random forest on light-curve features with single-band periods",
    "mixture": "mixture of experts: band networks joined by one head, trained end to end",
}
TREES = 500


def forest_probabilities(
    curves: LightCurves,
    prepared: Prepared,
    label: NDArray[np.int64],
    classes: tuple[str, ...],
    known: NDArray[np.int64],
    asked: NDArray[np.int64],
) -> dict[str, NDArray[np.float64]]:
    """Return the probabilities (n', C) that forests give to the objects ``asked`` (n',), trained on ``known``.

    Parameters
    ----------
    curves, prepared, label : of n objects
        ``label`` is an index into ``classes``.
    classes : tuple of str (C,)
    known, asked : int64
        Rows.

    Returns
    -------
    dict
        By the forests' names in `BASELINES`; those of light-curve features only for multi-band models, if the library
        is installed.
    """
    inputs = {"forest": simple_statistics(curves)[0]}
    if isinstance(prepared, Steps):
        features = features_if_installed(curves, prepared)
        inputs |= {} if features is None else {"forest_features": features, "balanced_forest": features}
    elif prepared.context.shape[1]:
        inputs["forest_period"] = np.hstack([inputs["forest"], np.nan_to_num(prepared.context, nan=-999)])
    answers = {}
    for name, x in inputs.items():
        fit = fit_balanced_forest if name == "balanced_forest" else fit_forest
        answers[name] = fit(x[known], label[known], classes, trees=TREES).probabilities(x[asked])
    return answers


def features_if_installed(curves: LightCurves, steps: Steps) -> NDArray[np.float64] | None:
    """Return light-curve features (n, F) and what the network is told beside; None with a word in the log if not."""
    try:
        return light_curve_features(curves, objects=steps.context if steps.context.shape[1] else None)[0]
    except ImportError as error:
        log.warning("no forest on light-curve features to compare with: %s", error)
        return None


def forest_regressions(
    curves: LightCurves,
    steps: Steps,
    targets: NDArray[np.float64],
    known: NDArray[np.int64],
    asked: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return what random forests say of physical parameters (n', k) of the objects ``asked``, trained on ``known``.

    The forests learn what the network learns: ``targets`` (n, k), NaN where unknown.
    """
    features = features_if_installed(curves, steps)
    x = simple_statistics(curves)[0] if features is None else features
    forests = [fit_regression_forest(x[known], target[known], trees=TREES) for target in targets.T]
    return np.stack([forest.predict(x[asked]) for forest in forests], 1) if forests else np.zeros((len(asked), 0))
