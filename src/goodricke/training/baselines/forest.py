"""Random forests on features of light curves, the baselines of a trained network, fitted to the same objects."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodricke.data.lightcurves import LightCurves
from goodricke.preprocess import Frames, Prepared, Steps
from goodricke.training.baselines.features import light_curve_features, simple_statistics

log = logging.getLogger("goodricke")


@dataclass(frozen=True)
class Forest:
    """A fitted forest with probabilities of all its classes, in their order.

    Parameters
    ----------
    classes : tuple of str (C,)
    model : sklearn.ensemble.RandomForestClassifier
        Or a derived class, fitted to class indices, possibly to fewer than C classes.
    """

    classes: tuple[str, ...]
    model: Any

    def probabilities(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return class probabilities (n, C), zero for classes that were not in the training set.

        Parameters
        ----------
        features : (n, F)
            In the order of the training set's; finite, -999 where missing, as from `simple_statistics`.
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

    features, label = _check_features_and_labels(features, label, classes)
    model = RandomForestClassifier(
        trees, class_weight="balanced_subsample" if balanced else None, random_state=seed, n_jobs=jobs
    )
    return Forest(tuple(classes), model.fit(features, label))


def fit_forest_to_sets(
    features: NDArray[np.floating],
    leaves: NDArray[np.bool_],
    classes: Sequence[str],
    seed: int = 0,
    trees: int = 500,
    jobs: int = 1,
) -> Forest:
    """Fit a random forest to objects whose labels are sets of classes.

    A first forest is fitted to the objects of a single class. An object with several allowed classes then counts as
    one of each, in proportion to the first forest's probabilities, in the fit of the second.

    Parameters
    ----------
    features : (n, F)
        As in `fit_forest`.
    leaves : bool (n, C)
        Classes that each object may be of; at least one.
    classes : (C,)
    seed, trees, jobs
        As in `fit_forest`.

    Raises
    ------
    ValueError
        As in `fit_forest`, or if an object has no class.
    """
    from sklearn.ensemble import RandomForestClassifier

    features, leaves = np.asarray(features), np.asarray(leaves, bool)
    if not leaves.any(1).all():
        raise ValueError("an object has no class")
    single = leaves.sum(1) == 1
    label = leaves[single].argmax(1)
    if single.all():
        return fit_forest(features, label, classes, seed=seed, trees=trees, jobs=jobs)
    first = fit_forest(features[single], label, classes, seed=seed, trees=max(trees // 4, 10), jobs=jobs)
    weight = np.where(leaves, 1e-3, 0.0)
    weight[~single] += np.where(leaves, first.probabilities(features), 0)[~single]
    weight /= weight.sum(1, keepdims=True)
    row, label = np.nonzero(weight)
    model = RandomForestClassifier(trees, random_state=seed, n_jobs=jobs)
    return Forest(tuple(classes), model.fit(features[row], label, sample_weight=weight[row, label]))


def fit_balanced_forest(
    features: NDArray[np.floating],
    label: NDArray[np.integer],
    classes: Sequence[str],
    seed: int = 0,
    trees: int = 500,
    jobs: int = 1,
) -> Forest:
    """Fit a balanced random forest (Chen, Liaw and Breiman 2004), the paper's baseline.

    Each tree is fitted to the same number of objects of each class, that of the rarest, drawn with replacement. The
    paper searches the number of trees on a grid.

    Parameters
    ----------
    features : (n, F)
        Finite, see `goodricke.training.baselines.features.light_curve_features`.
    label : int (n,)
        Index into ``classes``.
    classes : (C,)
    seed : int
        The same seed gives the same forest.
    trees : int
    jobs : int
        Threads, -1 for all.

    Raises
    ------
    ImportError
        If imbalanced-learn is not installed.
    ValueError
        As in `fit_forest`; also if there is only one class.
    """
    try:
        from imblearn.ensemble import BalancedRandomForestClassifier
    except ImportError as error:
        raise ImportError("fit_balanced_forest needs imbalanced-learn: pip install 'goodricke[baselines]'") from error
    features, label = _check_features_and_labels(features, label, classes)
    if len(np.unique(label)) < 2:
        raise ValueError("all objects are of one class; a balanced forest needs at least two")
    # explicit: the defaults of these three differ between versions
    sampling = {"sampling_strategy": "all", "replacement": True, "bootstrap": False}
    model = BalancedRandomForestClassifier(trees, **sampling, random_state=seed, n_jobs=jobs)
    return Forest(tuple(classes), model.fit(features, label))


def fit_regression_forest(
    features: NDArray[np.floating],
    target: NDArray[np.floating],
    seed: int = 0,
    trees: int = 500,
    jobs: int = 1,
) -> RegressionForest:
    """Fit a random forest to a number per object, the paper's baseline for physical parameters.

    Parameters
    ----------
    features : (n, F)
        Finite.
    target : (n,)
        NaN where not measured; such objects are dropped.
    seed, trees, jobs
        As in `fit_forest`.

    Raises
    ------
    ValueError
        If there is nothing to fit, lengths differ, a feature is not finite or a target is infinite.
    """
    from sklearn.ensemble import RandomForestRegressor

    target = np.asarray(target, np.float64)
    features, target = _check_finite(np.asarray(features), target, ~np.isnan(target))
    if np.isinf(target).any():
        raise ValueError("targets must be finite, or NaN where not measured")
    model = RandomForestRegressor(trees, random_state=seed, n_jobs=jobs)
    return RegressionForest(model.fit(features, target))


def _check_features_and_labels(
    features: NDArray[np.floating], label: NDArray[np.integer], classes: Sequence[str]
) -> tuple[NDArray[np.floating], NDArray[np.integer]]:
    """Return features and labels as arrays after checks."""
    features, label = _check_finite(np.asarray(features), np.asarray(label))
    if label.min() < 0 or label.max() >= len(classes):
        raise ValueError(f"labels run from {label.min()} to {label.max()}, but there are {len(classes)} classes")
    return features, label


def _check_finite(features: NDArray, labels: NDArray, keep: NDArray[np.bool_] | None = None) -> tuple[NDArray, NDArray]:
    """Return features and labels, or the rows of ``keep``, after checks of lengths and finite features."""
    if len(features) != len(labels) or not (len(labels) if keep is None else keep.any()):
        raise ValueError(f"{len(features)} rows of features for {len(labels)} labels; need as many, and at least one")
    if not np.isfinite(features).all():
        raise ValueError("features must be finite, or -999 where missing, as from simple_statistics")
    return (features, labels) if keep is None else (features[keep], labels[keep])


# ---- comparison with a network -------------------------------------------------------------------------------------


BASELINES = {
    "forest": "random forest on simple statistics",
    "forest_period": "random forest on simple statistics and the network's own period features",
    "forest_folds": "random forest on all that the network knows: simple statistics, its numbers and the best fold",
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
    training: NDArray[np.int64],
    rows: NDArray[np.int64],
    leaves: NDArray[np.bool_] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Return the probabilities (n', C) of forests for the objects in ``rows`` (n',), fitted to those in ``training``.

    Parameters
    ----------
    curves, prepared, label : of n objects
        ``label`` is an index into ``classes``.
    classes : tuple of str (C,)
    training, rows : int64
    leaves : bool (n, C), optional
        Classes that each label allows, if labels are sets.

    Returns
    -------
    dict
        By the forests' names in `BASELINES`; those of light-curve features only for multi-band models, if the library
        is installed.
    """
    inputs = {"forest": simple_statistics(curves)[0]}
    if isinstance(prepared, Frames) and prepared.candidates is not None:
        known = np.hstack([inputs["forest"], np.nan_to_num(prepared.context, nan=-999), first_folds(prepared)])
        truth = np.arange(len(classes)) == label[:, None] if leaves is None else leaves
        return {
            name: fit_forest_to_sets(x[training], truth[training], classes, trees=TREES).probabilities(x[rows])
            for name, x in (inputs | {"forest_folds": known}).items()
        }
    if isinstance(prepared, Steps):
        features = features_if_installed(curves, prepared)
        inputs |= {} if features is None else {"forest_features": features, "balanced_forest": features}
    elif prepared.context.shape[1]:
        inputs["forest_period"] = np.hstack([inputs["forest"], np.nan_to_num(prepared.context, nan=-999)])
    result = {}
    for name, x in inputs.items():
        fit = fit_balanced_forest if name == "balanced_forest" else fit_forest
        result[name] = fit(x[training], label[training], classes, trees=TREES).probabilities(x[rows])
    return result


def first_folds(prepared: Frames) -> NDArray[np.float32]:
    """Return the brightness in the phase bins of each light curve's first fold (n, bins), -999 without one."""
    bins = prepared.n_points.max(initial=0) // (
        1 if prepared.candidates is None else prepared.candidates.period.shape[1]
    )
    result = np.full((len(prepared), bins), -999, np.float32)
    usable = prepared.usable
    points = prepared.offsets[:-1][usable][:, None] + np.arange(bins)
    result[usable] = prepared.values[points, 0]
    return result


def features_if_installed(curves: LightCurves, steps: Steps) -> NDArray[np.float64] | None:
    """Return light-curve features and context columns (n, F); None and a warning without the package."""
    try:
        return light_curve_features(curves, objects=steps.context if steps.context.shape[1] else None)[0]
    except ImportError as error:
        log.warning("no baseline on light-curve features: %s", error)
        return None


def forest_regressions(
    curves: LightCurves,
    steps: Steps,
    targets: NDArray[np.float64],
    training: NDArray[np.int64],
    rows: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the physical parameters (n', k) by random forests for objects in ``rows``, fitted to ``training``.

    The forests are fitted to the network's ``targets`` (n, k), NaN where unknown.
    """
    features = features_if_installed(curves, steps)
    x = simple_statistics(curves)[0] if features is None else features
    forests = [fit_regression_forest(x[training], target[training], trees=TREES) for target in targets.T]
    return np.stack([forest.predict(x[rows]) for forest in forests], 1) if forests else np.zeros((len(rows), 0))
