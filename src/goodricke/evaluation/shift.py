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

from goodricke.evaluation.bootstrap import Estimate, interval
from goodricke.evaluation.metrics import stars_of
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


def two_sample(first: NDArray, second: NDArray, resamples: int = 500, seed: int = 0, star: Any = None) -> Estimate:
    """Return how well a forest tells rows of one set (n, F) from the other's (m, F): area under the ROC curve.

    Each row is asked of a forest that has not seen its star; the interval is from drawing stars, so many of each set.

    Parameters
    ----------
    first : (n, F)
    second : (m, F)
    resamples, seed : int
    star : (n + m,), optional
        Which star each row is of, those of the first set before those of the second; by default each of its own.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import StratifiedGroupKFold

    x, y = np.concatenate([first, second]), np.repeat([0, 1], [len(first), len(second)])
    star = stars_of(star, len(x))
    stars = [len(np.unique(star[y == k])) for k in (0, 1)]
    if min(stars) < 2:
        raise ValueError(f"{stars[0]} and {stars[1]} stars: two of each set are needed to tell them apart")
    p, x = np.zeros(len(x)), np.nan_to_num(x.astype(np.float64), nan=-1e9)
    folds = StratifiedGroupKFold(min(FOLDS, *stars), shuffle=True, random_state=seed)
    for known, asked in folds.split(x, y, star):
        forest = RandomForestClassifier(TREES, min_samples_leaf=LEAF, class_weight="balanced", random_state=seed)
        forest.fit(x[known], y[known])
        p[asked] = forest.predict_proba(x[asked]) @ forest.classes_  # of the second set, were it the only one left
    return area_under_curve(p[y == 0], p[y == 1], resamples, seed, star)


def area_under_curve(first: Float, second: Float, resamples: int = 500, seed: int = 0, star: Any = None) -> Estimate:
    """Return the probability that a score of the second set (m,) is above one of the first (n,), ties half.

    The interval is from drawing the stars (n + m,) of each set, by default each score's own.
    """
    rng, star = np.random.default_rng(seed), stars_of(star, len(first) + len(second))
    sets = zip((first, second), np.split(star, [len(first)]), strict=True)
    both = [(x, np.unique(s, return_inverse=True)[1]) for x, s in sets]
    samples = np.array([_area(*(_drawn(x, index, rng) for x, index in both)) for _ in range(resamples)])
    return Estimate(_area(first, second), *map(float, interval(samples)))


def _drawn(x: Float, star: NDArray[np.int64], rng: np.random.Generator) -> Float:
    """Return the numbers (n,) of as many stars as there are, drawn with replacement, with all of each one's."""
    n = int(star.max()) + 1
    return np.repeat(x, np.bincount(rng.integers(n, size=n), minlength=n)[star])


def _area(first: Float, second: Float) -> float:
    below, ordered = (np.searchsorted(np.sort(first), second, side) for side in ("left", "right"))
    return float((below + ordered).sum() / 2 / len(first) / len(second))


def feature_shifts(
    first: Mapping[str, Float], second: Mapping[str, Float], star: Any = None, seed: int = 0
) -> list[FeatureShift]:
    """Return how each number that both sets have differs, the most shifted first.

    The p-value is that of the two-sided Kolmogorov-Smirnov test of the known values, corrected by Holm; NaN where a set
    has fewer than two. The test takes numbers as independent: of each star it is given one light curve, at random.

    Parameters
    ----------
    first, second : dict of (n,) and of (m,)
    star : (n + m,), optional
        As in `two_sample`.
    seed : int
        Of the choice.
    """
    from scipy.stats import ks_2samp

    names = [name for name in first if name in second]
    if not names:
        return []
    n, m = len(first[names[0]]), len(second[names[0]])
    here, there = (_one_each(s, seed) for s in np.split(stars_of(star, n + m), [n]))
    found = []
    for name in names:
        a, b = first[name][here], second[name][there]
        known = a[np.isfinite(a)], b[np.isfinite(b)]
        some = min(map(len, known)) >= 2
        distance, p = ks_2samp(*known, method="asymp") if some else (np.nan, np.nan)
        middle = [float(np.median(x)) if len(x) else np.nan for x in known]
        lacking = [1 - len(x) / max(len(y), 1) for x, y in zip(known, (a, b), strict=True)]
        found.append(FeatureShift(name, float(distance), float(p), *middle, *lacking))
    corrected = holm([each.p_value for each in found])
    found = [each._replace(p_value=float(p)) for each, p in zip(found, corrected, strict=True)]
    return sorted(found, key=lambda each: -np.nan_to_num(each.distance, nan=-1))


def _one_each(star: NDArray, seed: int) -> NDArray[np.int64]:
    """Return one row of each star (n,), at random, in order."""
    shuffled = np.random.default_rng(seed).permutation(len(star))
    return np.sort(shuffled[np.unique(star[shuffled], return_index=True)[1]])


def in_words(area: Estimate) -> str:
    """Return what an area under the ROC curve means for the scores of a model."""
    low = next(k for k, (limit, _) in enumerate(GRADES) if area.value < limit)
    return GRADES[low][1]


def some(n: int, seed: int = 0) -> NDArray[Any]:
    """Return at most 3000 rows of n, at random, in order."""
    return np.sort(np.random.default_rng(seed).permutation(n)[:MOST])
