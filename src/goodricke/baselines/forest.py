"""A random forest on statistics of light curves: the score that a network has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Forest:
    """A fitted forest that always speaks of all its classes, in their order.

    Parameters
    ----------
    classes : tuple of str (C,)
    model : sklearn.ensemble.RandomForestClassifier
        Fitted to class indices; it may have seen fewer than C classes.
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
        Finite, see `goodricke.baselines.features.simple_statistics`.
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

    features, label = np.asarray(features), np.asarray(label)
    if not len(label) or len(features) != len(label):
        raise ValueError(f"{len(features)} rows of features for {len(label)} labels; need as many, and at least one")
    if not np.isfinite(features).all():
        raise ValueError("features must be finite; write missing ones as -999, as simple_statistics does")
    if label.min() < 0 or label.max() >= len(classes):
        raise ValueError(f"labels run from {label.min()} to {label.max()}, but there are {len(classes)} classes")
    model = RandomForestClassifier(
        trees, class_weight="balanced_subsample" if balanced else None, random_state=seed, n_jobs=jobs
    )
    return Forest(tuple(classes), model.fit(features, label))
