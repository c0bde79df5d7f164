"""All baselines that a trained network is held against, fitted to the same objects."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from goodricke.baselines.features import simple_statistics
from goodricke.baselines.forest import fit_balanced_forest, fit_forest, fit_regression_forest
from goodricke.baselines.light_curve_features import light_curve_features
from goodricke.lightcurves import LightCurves
from goodricke.preprocess import Prepared, Steps

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
    prepared: Prepared | Steps,
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
