"""Whether two sets of light curves are alike: classifier two-sample test, and a test of each number by itself.

A classifier is trained to tell the two sets apart and asked about objects it has not seen (Lopez-Paz & Oquab 2017). If
its area under the ROC curve is 0.5 it can't; at 1 every object betrays its set, and scores measured on one say little
of the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke.evaluation.bootstrap import LEVEL, Estimate
from goodricke.evaluation.multiple import holm

Float = NDArray[np.float64]

MOST = 3000  # objects of each set
FOLDS, TREES, LEAF = 5, 100, 5
GRADES = (
    (0.55, "No shift can be seen: the scores above should carry over, as far as these inputs tell."),
    (0.70, "A slight shift: the scores above may be somewhat off for the other set."),
    (
        0.90,
        "A clear shift: the scores above don't simply carry over to the other set; label some of it and score that.",
    ),
    (1.01, "Nearly every object betrays its set: the scores above say next to nothing of the other set."),
)


class FeatureShift(NamedTuple):
    """One number in two sets."""

    name: str
    distance: float  # of Kolmogorov and Smirnov, 0 to 1
    p_value: float  # corrected by Holm for all numbers tested
    median: float
    other: float  # median in the other set
    missing: float  # fraction of objects without it
    other_missing: float


def two_sample(first: NDArray, second: NDArray, resamples: int = 500, seed: int = 0) -> Estimate:
    """Return how well a forest tells rows of one set (n, F) from the other's (m, F): area under the ROC curve.

    Each row is asked of a forest that has not seen it; the interval is from drawing rows, so many of each set.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import StratifiedKFold

    x, y = np.concatenate([first, second]), np.repeat([0, 1], [len(first), len(second)])
    folds = min(FOLDS, len(first), len(second))
    if folds < 2:
        raise ValueError(f"{len(first)} and {len(second)} objects: two of each set are needed to tell them apart")
    p, x = np.zeros(len(x)), np.nan_to_num(x.astype(np.float64), nan=-1e9)
    for known, asked in StratifiedKFold(folds, shuffle=True, random_state=seed).split(x, y):
        forest = RandomForestClassifier(TREES, min_samples_leaf=LEAF, class_weight="balanced", random_state=seed)
        p[asked] = forest.fit(x[known], y[known]).predict_proba(x[asked])[:, 1]
    return area_under_curve(p[y == 0], p[y == 1], resamples, seed)


def area_under_curve(first: Float, second: Float, resamples: int = 500, seed: int = 0) -> Estimate:
    """Return the probability that a score of the second set (m,) is above one of the first (n,), ties half."""
    rng = np.random.default_rng(seed)
    samples = [_area(rng.choice(first, len(first)), rng.choice(second, len(second))) for _ in range(resamples)]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(samples, [tail, 1 - tail]) if samples else (np.nan, np.nan)
    return Estimate(_area(first, second), float(low), float(high))


def _area(first: Float, second: Float) -> float:
    below, ordered = (np.searchsorted(np.sort(first), second, side) for side in ("left", "right"))
    return float((below + ordered).sum() / 2 / len(first) / len(second))


def feature_shifts(first: Mapping[str, Float], second: Mapping[str, Float]) -> list[FeatureShift]:
    """Return how each number that both sets have differs, the most shifted first.

    The p-value is that of the two-sided Kolmogorov-Smirnov test of the known values, corrected by Holm; NaN where a set
    has fewer than two.
    """
    from scipy.stats import ks_2samp

    names = [name for name in first if name in second]
    found = []
    for name in names:
        a, b = first[name], second[name]
        known = a[np.isfinite(a)], b[np.isfinite(b)]
        some = min(map(len, known)) >= 2
        distance, p = ks_2samp(*known, method="asymp") if some else (np.nan, np.nan)
        middle = [float(np.median(x)) if len(x) else np.nan for x in known]
        lacking = [1 - len(x) / max(len(y), 1) for x, y in zip(known, (a, b), strict=True)]
        found.append(FeatureShift(name, float(distance), float(p), *middle, *lacking))
    corrected = holm([each.p_value for each in found])
    found = [each._replace(p_value=float(p)) for each, p in zip(found, corrected, strict=True)]
    return sorted(found, key=lambda each: -np.nan_to_num(each.distance, nan=-1))


def in_words(area: Estimate) -> str:
    """Return what an area under the ROC curve means for the scores of a model."""
    low = next(k for k, (limit, _) in enumerate(GRADES) if area.value < limit)
    return GRADES[low][1]


def some(n: int, seed: int = 0) -> NDArray[Any]:
    """Return at most 3000 rows of n, at random, in order."""
    return np.sort(np.random.default_rng(seed).permutation(n)[:MOST])
