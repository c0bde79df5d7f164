"""Checks of the data behind a score: copies across a split, confounded observing conditions, and shift between sets.

**Copies** of training light curves among the scored ones make scores too good.

**Observing conditions** are numbers of observations, times, spacing, errors, bands and brightness: properties of a
survey and of the choice of its objects. Where they predict the class, a network may learn the survey instead of the
stars: in the training set of Debosscher et al. (2007) some classes come from Hipparcos and others from OGLE.

**Shift** between two sets of light curves is measured by a classifier two-sample test (Lopez-Paz & Oquab 2017): a
forest is trained to tell the two sets apart and tested on other stars. If its area under the ROC curve is 0.5 it can't;
at 1 it recognises the set of every object, and scores measured on one set say little of the other.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.data.splitmix import STEP, splitmix64
from goodricke.evaluation.intervals import Estimate, holm, mean_estimate, star_numbers
from goodricke.evaluation.scores import area_under_curve
from goodricke.preprocess.cleaning import finite_points
from goodricke.training.baselines.features import MISSING, simple_statistics

Float = NDArray[np.float64]
Int = NDArray[np.int64]

RUN = 4  # consecutive values that make a shingle
SKETCH = 16  # smallest hashes of each light curve that make its sketch
SHARED = 0.5  # of them that two light curves share if one is a copy of the other
MOST_COPIES = 50  # light curves with one shingle: more are a constant, not copies
EMPTY = np.uint64(2**64 - 1)

MOST_OBJECTS = 20_000  # for the trees
FOLDS = 5
LEAVES, FEWEST = 32, 5  # of a tree, and objects in each
REFERENCE_FEATURES = ("amplitude_90", "std", "skewness", "eta")  # for comparison: a label may well follow from these

MOST_SHIFTED = 3000  # objects of each set in the shift test
TREES, LEAF = 100, 5
SHIFT_GRADES = (
    (0.55, "No shift is visible: the scores above should hold for the other set, as far as these inputs tell."),
    (0.70, "A slight shift: the scores above may be somewhat off for the other set."),
    (0.90, "A clear shift: the scores above need not hold for the other set; label some of it and score that."),
    (1.01, "A forest recognises the set of nearly every object: the scores above say little of the other set."),
)


# ---- copies ---------------------------------------------------------------------------------------------------------


class Copies(NamedTuple):
    """Pairs (p,) of light curves that are copies of each other, in whole or in part."""

    first: Int  # (p,) index into the first batch
    second: Int  # (p,) index into the second
    shared: Float  # (p,) share of the sketch, 1 if all is the same


def find_copies(first: LightCurves, second: LightCurves | None = None) -> Copies:
    """Find light curves of two batches, or of one, that hold the same brightnesses in the same order.

    Parameters
    ----------
    first : LightCurves
    second : LightCurves, optional
        By default pairs within ``first``.

    Notes
    -----
    The sketch of a light curve holds the 16 smallest hashes of its runs of four consecutive values (Broder 1997). Two
    light curves that share half of it have about half of their runs or more in common, whatever their ids, time scales
    or gaps.
    """
    sketches = [_sketch(batch) for batch in (first, second) if batch is not None]
    hashes = np.concatenate([sketch.ravel() for sketch in sketches])
    row = np.concatenate([np.repeat(np.arange(len(s)), SKETCH) for s in sketches])
    side = np.concatenate([np.full(s.size, k) for k, s in enumerate(sketches)])
    used = hashes != EMPTY
    size = [(s != EMPTY).sum(1) for s in sketches]
    pairs, count = np.unique(_pairs(hashes[used], row[used], side[used], second is None), axis=0, return_counts=True)
    smaller = np.minimum(size[0][pairs[:, 0]], size[-1][pairs[:, 1]])
    share = count / np.maximum(smaller, 1)
    is_copy = (share >= SHARED) & (smaller >= SKETCH // 4)
    return Copies(pairs[is_copy, 0], pairs[is_copy, 1], share[is_copy])


def _sketch(curves: LightCurves) -> NDArray[np.uint64]:
    """Return the smallest hashes of each light curve (n, SKETCH), the largest integer where there are fewer."""
    owner, hashes = _shingles(finite_points(curves).sorted())
    order = np.lexsort((hashes, owner))
    owner, hashes = owner[order], hashes[order]
    new = np.ones(len(hashes), bool)
    new[1:] = (owner[1:] != owner[:-1]) | (hashes[1:] != hashes[:-1])
    owner, hashes = owner[new], hashes[new]
    place = np.arange(len(owner)) - ragged.offsets_from_counts(np.bincount(owner, minlength=len(curves)))[owner]
    result = np.full((len(curves), SKETCH), EMPTY)
    result[owner[place < SKETCH], place[place < SKETCH]] = hashes[place < SKETCH]
    return result


def _shingles(curves: LightCurves) -> tuple[Int, NDArray[np.uint64]]:
    """Return owner and hash of each run of consecutive values that are not all the same."""
    bits = curves.value.view(np.uint32).astype(np.uint64) >> np.uint64(7)  # the last digits depend on the writer
    count = max(len(bits) - RUN + 1, 0)
    hashes, varied = np.zeros(count, np.uint64), np.zeros(count, bool)
    for k in range(RUN):
        hashes = _mix(hashes ^ bits[k : k + count])
        varied |= bits[k : k + count] != bits[:count]
    owner = ragged.owner(curves.offsets)
    keep = varied & (owner[:count] == owner[len(owner) - count :])
    return owner[:count][keep], hashes[keep]


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return well-mixed bits, never `EMPTY`."""
    return np.minimum(splitmix64(x + np.uint64(STEP)), EMPTY - np.uint64(1))


def _pairs(hashes: NDArray[np.uint64], row: Int, side: Int, within: bool) -> Int:
    """Return pairs (m, 2) of rows that share a hash, once for each shared hash."""
    order = np.lexsort((row, side, hashes))
    hashes, row, side = hashes[order], row[order], side[order]
    start = np.flatnonzero(np.diff(hashes, prepend=hashes[:1] ^ np.uint64(1)) if len(hashes) else np.zeros(0))
    length = np.diff(np.append(start, len(hashes)))
    pairs = [np.zeros((0, 2), np.int64)]
    for begin, n in zip(start[length > 1], length[length > 1], strict=True):
        if n > MOST_COPIES:
            continue
        rows, sides = row[begin : begin + n], side[begin : begin + n]
        a, b = np.triu_indices(n, 1) if within else np.nonzero((sides[:, None] == 0) & (sides == 1))
        pairs.append(np.stack([rows[a], rows[b]], 1))
    return np.concatenate(pairs)


# ---- confounding ----------------------------------------------------------------------------------------------------


class FeatureAccuracy(NamedTuple):
    """The accuracy of predicting the class from one column, or a few, in cross-validation."""

    name: str
    accuracy: Estimate
    majority: float  # accuracy of always answering the most frequent class


def single_feature_accuracies(
    columns: Mapping[str, NDArray], label: Int, star: Any = None, resamples: int = 200, seed: int = 0
) -> list[FeatureAccuracy]:
    """Return the accuracy of a small decision tree on each column (n,) alone, cross-validated by star, the best first.

    Columns of integers are categories, those of floats are numbers (NaN allowed). Of more than 20,000 light curves a
    random 20,000 are used.
    """
    star = star_numbers(star, len(label))
    rows = subsample(len(label), MOST_OBJECTS, seed)
    folds = list(_folds(label[rows], star[rows], seed))
    majority = float(np.bincount(label[rows]).max() / len(rows))
    accuracies = []
    for name, column in columns.items():
        x = np.asarray(column)[rows]
        x = np.eye(int(x.max()) + 1)[x] if np.issubdtype(x.dtype, np.integer) else x[:, None]
        right = _cross_validated(_tree(seed), x, label[rows], folds) == label[rows]
        accuracies.append(FeatureAccuracy(name, mean_estimate(right, star[rows], resamples, seed), majority))
    return sorted(accuracies, key=lambda x: -x.accuracy.value)


def forest_accuracy(
    columns: Mapping[str, Float], label: Int, star: Any = None, resamples: int = 200, seed: int = 0
) -> FeatureAccuracy:
    """Return the accuracy of a small forest on all columns together, cross-validated by star."""
    from sklearn.ensemble import RandomForestClassifier

    star = star_numbers(star, len(label))
    rows = subsample(len(label), MOST_OBJECTS, seed)
    x = np.nan_to_num(np.stack([np.asarray(c, np.float64)[rows] for c in columns.values()], 1), nan=-1e9)
    forest = RandomForestClassifier(100, min_samples_leaf=2, max_features="sqrt", random_state=seed)
    right = _cross_validated(forest, x, label[rows], list(_folds(label[rows], star[rows], seed))) == label[rows]
    majority = float(np.bincount(label[rows]).max() / len(rows))
    return FeatureAccuracy(
        "all observing conditions together", mean_estimate(right, star[rows], resamples, seed), majority
    )


def fold_count(label: Int, star: NDArray) -> int:
    """Return the number of folds of cross-validation: at most that of stars, and of members of the largest class."""
    return min(FOLDS, len(np.unique(star)), int(np.bincount(label).max()))


def is_label_copy(column: Int, label: Int, star: Any = None) -> bool:
    """Return whether a column (n,) is the label in other words: each of its values has one label.

    There must be as many values as labels, or each value must be of two stars (n,) or more, since names of stars have
    one label each, too.
    """
    values, pairs = len(np.unique(column)), np.unique(np.stack([column, label]), axis=1).shape[1]
    repeated = values == len(np.unique(label)) or _stars_per_value(column, star).min() > 1
    return bool(pairs == values >= len(np.unique(label)) and repeated)


def is_star_identifier(column: Int, star: Any = None) -> bool:
    """Return whether each value of a column (n,) is of a single star (n,), so that it says nothing of other stars."""
    return bool(_stars_per_value(column, star).max() == 1)


def _stars_per_value(column: Int, star: Any) -> Int:
    """Return the number of stars of each value of a column (n,)."""
    stars = np.unique(star_numbers(star, len(column)), return_inverse=True)[1]
    pairs = np.unique(np.stack([column, stars]), axis=1)
    return np.unique(pairs[0], return_counts=True)[1]


def _folds(label: Int, star: NDArray, seed: int) -> Any:
    """Yield the rows to train on and to predict, no star on both sides."""
    from sklearn.model_selection import StratifiedGroupKFold

    count = fold_count(label, star)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes with fewer members than folds
        yield from StratifiedGroupKFold(count, shuffle=True, random_state=seed).split(label, label, star)


def _tree(seed: int) -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(max_leaf_nodes=LEAVES, min_samples_leaf=FEWEST, random_state=seed)


def _cross_validated(learner: Any, x: Float, label: Int, folds: list[tuple[Int, Int]]) -> Int:
    """Return the prediction for each object (n,) by a learner that was fitted to the other folds."""
    prediction = np.full(len(label), -1, np.int64)
    for train, test in folds:
        prediction[test] = learner.fit(x[train], label[train]).predict(x[test])
    return prediction


def observing_conditions(curves: LightCurves) -> dict[str, Float]:
    """Return the observing conditions of light curves by name, each (n,), NaN where unknown.

    Times are in days on the time scale of the light curves, brightness and errors in their unit. Columns without any
    value are left out.
    """
    finite = finite_points(curves).sorted()
    offsets = finite.offsets
    first, last = (ragged.extreme(finite.time, offsets, f) for f in (np.minimum, np.maximum))
    with_error = finite.where(np.isfinite(finite.error))
    columns = {
        "number of observations": finite.n_obs.astype(np.float64),
        "time of the first observation": first,
        "time of the last observation": last,
        "time span": last - first,
        "median spacing": ragged.median(*_spacings(finite)),
        "median brightness": ragged.median(finite.value, offsets),
        "median error": ragged.median(with_error.error, with_error.offsets),
    }
    bands = np.unique(finite.band) if len(finite.bands) > 1 else ()
    with np.errstate(invalid="ignore"):
        share = {f"share of band {finite.bands[b]}": ragged.mean(finite.band == b, offsets) for b in bands}
    if len(bands) > 1:
        columns |= share | {"bands observed": np.sum([x > 0 for x in share.values()], axis=0).astype(np.float64)}
    return {name: values for name, values in columns.items() if np.isfinite(values).any()}


def variability_features(curves: LightCurves) -> dict[str, Float]:
    """Return variability features of light curves by name, each (n,), NaN where a statistic is undefined."""
    values, names = simple_statistics(curves)
    features = dict(zip(names, np.where(values == MISSING, np.nan, values).T, strict=True))
    features.pop("median_error", None)  # an observing condition
    return features


def categorical_columns(table: pa.Table, most: int = 50) -> dict[str, NDArray[np.int64]]:
    """Return the text columns (n rows) with 2 to ``most`` different values, such as survey or camera, as numbers."""
    result = {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            continue
        if 2 <= pc.count_distinct(column, mode="all").as_py() <= most:
            result[name] = _codes(column)
    return result


def _codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return the number of each value; null has a number of its own."""
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _spacings(curves: LightCurves) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the time differences of neighbouring observations and their offsets."""
    step = np.diff(curves.time, prepend=np.nan)
    inside = np.ones(len(step), bool)
    inside[curves.offsets[:-1][curves.n_obs > 0]] = False
    return step[inside].astype(np.float32), ragged.select(inside, curves.offsets)


# ---- shift ----------------------------------------------------------------------------------------------------------


class FeatureShift(NamedTuple):
    """The shift of one feature between two sets."""

    name: str
    distance: float  # of Kolmogorov and Smirnov, 0 to 1
    p_value: float  # corrected by Holm for all features tested
    median: float
    other_median: float
    missing: float  # fraction of objects without it
    other_missing: float


def two_sample_area(first: NDArray, second: NDArray, resamples: int = 500, seed: int = 0, star: Any = None) -> Estimate:
    """Return the area under the ROC curve of a forest that tells rows of two sets apart.

    Each row is classified by a forest that was not trained on its star; the interval is from drawing the stars of each
    set.

    Parameters
    ----------
    first : (n, F)
    second : (m, F)
    resamples, seed : int
    star : (n + m,), optional
        The star of each row, those of the first set before those of the second; by default each has a star of its own.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import StratifiedGroupKFold

    x, y = np.concatenate([first, second]), np.repeat([0, 1], [len(first), len(second)])
    star = star_numbers(star, len(x))
    stars = [len(np.unique(star[y == k])) for k in (0, 1)]
    if min(stars) < 2:
        raise ValueError(f"{stars[0]} and {stars[1]} stars: two of each set are needed to tell them apart")
    p, x = np.zeros(len(x)), np.nan_to_num(x.astype(np.float64), nan=-1e9)
    folds = StratifiedGroupKFold(min(FOLDS, *stars), shuffle=True, random_state=seed)
    for train, test in folds.split(x, y, star):
        forest = RandomForestClassifier(TREES, min_samples_leaf=LEAF, class_weight="balanced", random_state=seed)
        forest.fit(x[train], y[train])
        p[test] = forest.predict_proba(x[test]) @ forest.classes_  # right for a fold with one set only, too
    return area_under_curve(p[y == 0], p[y == 1], resamples, seed, star)


def feature_shifts(
    first: Mapping[str, Float], second: Mapping[str, Float], star: Any = None, seed: int = 0
) -> list[FeatureShift]:
    """Return the shift of each feature that both sets have, the most shifted first.

    The p-value is that of the two-sided Kolmogorov-Smirnov test of the finite values, corrected by Holm; NaN where a
    set has fewer than two. The test takes values as independent, so that one random light curve of each star is used.

    Parameters
    ----------
    first, second : dict of (n,) and of (m,)
    star : (n + m,), optional
        As in `two_sample_area`.
    seed : int
        Of the choice of light curves.
    """
    from scipy.stats import ks_2samp

    names = [name for name in first if name in second]
    if not names:
        return []
    n, m = len(first[names[0]]), len(second[names[0]])
    here, there = (_one_per_star(s, seed) for s in np.split(star_numbers(star, n + m), [n]))
    shifts = []
    for name in names:
        a, b = first[name][here], second[name][there]
        finite = a[np.isfinite(a)], b[np.isfinite(b)]
        testable = min(map(len, finite)) >= 2
        distance, p = ks_2samp(*finite, method="asymp") if testable else (np.nan, np.nan)
        medians = [float(np.median(x)) if len(x) else np.nan for x in finite]
        missing = [1 - len(x) / max(len(y), 1) for x, y in zip(finite, (a, b), strict=True)]
        shifts.append(FeatureShift(name, float(distance), float(p), *medians, *missing))
    corrected = holm([shift.p_value for shift in shifts])
    shifts = [shift._replace(p_value=float(p)) for shift, p in zip(shifts, corrected, strict=True)]
    return sorted(shifts, key=lambda shift: -np.nan_to_num(shift.distance, nan=-1))


def _one_per_star(star: NDArray, seed: int) -> NDArray[np.int64]:
    """Return one random row of each star (n,), in order."""
    shuffled = np.random.default_rng(seed).permutation(len(star))
    return np.sort(shuffled[np.unique(star[shuffled], return_index=True)[1]])


def describe_shift(area: Estimate) -> str:
    """Return the meaning of the area under the ROC curve of a shift test for the scores of a model."""
    return next(text for limit, text in SHIFT_GRADES if area.value < limit)


def subsample(n: int, most: int = MOST_SHIFTED, seed: int = 0) -> Int:
    """Return at most ``most`` random rows of n, in order."""
    return np.sort(np.random.default_rng(seed).permutation(n)[:most])
