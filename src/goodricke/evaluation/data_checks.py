"""What could make held-out scores too good: copies of training light curves, and inputs that give the label away.

How light curves were observed, in numbers that say nothing of how the object varies: what a label should not follow.

Number of observations, first and last time, spacing, errors, bands and brightness are properties of a survey and of how
its objects were chosen. Where they tell the classes apart, a network may learn the survey instead of the stars: in the
training set of Debosscher et al. (2007) some classes come from Hipparcos and others from OGLE.

Whether two sets of light curves are alike: classifier two-sample test, and a test of each number by itself.

A classifier is trained to tell the two sets apart and asked about objects it has not seen (Lopez-Paz & Oquab 2017). If
its area under the ROC curve is 0.5 it can't; at 1 every object betrays its set, and scores measured on one say little
of the other.
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
from goodricke.evaluation.intervals import Estimate, holm, mean_estimate, star_numbers
from goodricke.evaluation.scores import area_under_curve
from goodricke.preprocess.cleaning import finite_points
from goodricke.training.baselines.features import MISSING, simple_statistics

Float = NDArray[np.float64]
Int = NDArray[np.int64]

RUN = 4  # consecutive values that make a shingle
KEPT = 16  # smallest hashes kept of each light curve
ALIKE = 0.5  # of them that two light curves share if one is a copy of the other
MOST_COPIES = 50  # light curves with one shingle: more are a constant, not copies
MOST_OBJECTS = 20_000  # for the trees
FOLDS, LEAVES, FEWEST = 5, 32, 5
ODD = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9)
EMPTY = np.uint64(2**64 - 1)


class Copies(NamedTuple):
    """Pairs of light curves (p,) each that are copies of each other, wholly or in good part."""

    first: Int  # (p,) index into the first batch
    second: Int  # (p,) index into the second
    shared: Float  # (p,) share of the sketch, 1 if all is the same


class SingleInput(NamedTuple):
    """How well one number alone tells the classes, in cross-validation."""

    name: str
    accuracy: Estimate
    majority: float  # accuracy of always answering the most frequent class

    @property
    def lead(self) -> float:
        """How much of the way from the most frequent class to no mistake it goes."""
        return (self.accuracy.value - self.majority) / max(1 - self.majority, 1e-9)


def copies(first: LightCurves, second: LightCurves | None = None) -> Copies:
    """Find light curves of two batches, or of one, that hold the same brightnesses in the same order.

    Parameters
    ----------
    first : LightCurves
    second : LightCurves, optional
        By default pairs within ``first``.

    Notes
    -----
    A light curve's sketch are the 16 smallest hashes of its runs of four consecutive values (Broder 1997); two that
    share half of it have about half of their runs or more in common, whatever their ids, time scales or gaps.
    """
    sketches = [_sketch(first)] + ([] if second is None else [_sketch(second)])
    hashes = np.concatenate([sketch.ravel() for sketch in sketches])
    row = np.concatenate([np.repeat(np.arange(len(s)), KEPT) for s in sketches])
    side = np.concatenate([np.full(s.size, k) for k, s in enumerate(sketches)])
    real = hashes != EMPTY
    size = [(s != EMPTY).sum(1) for s in sketches]
    pairs, count = np.unique(_pairs(hashes[real], row[real], side[real], second is None), axis=0, return_counts=True)
    smaller = np.minimum(size[0][pairs[:, 0]], size[-1][pairs[:, 1]])
    share = count / np.maximum(smaller, 1)
    kept = (share >= ALIKE) & (smaller >= KEPT // 4)
    return Copies(pairs[kept, 0], pairs[kept, 1], share[kept])


def _sketch(curves: LightCurves) -> NDArray[np.uint64]:
    """Return the smallest hashes of each light curve (n, KEPT), the largest integer where there are fewer."""
    owner, hashes = _shingles(finite_points(curves).sorted())
    order = np.lexsort((hashes, owner))
    owner, hashes = owner[order], hashes[order]
    new = np.ones(len(hashes), bool)
    new[1:] = (owner[1:] != owner[:-1]) | (hashes[1:] != hashes[:-1])
    owner, hashes = owner[new], hashes[new]
    place = np.arange(len(owner)) - ragged.offsets_from_counts(np.bincount(owner, minlength=len(curves)))[owner]
    result = np.full((len(curves), KEPT), EMPTY)
    result[owner[place < KEPT], place[place < KEPT]] = hashes[place < KEPT]
    return result


def _shingles(curves: LightCurves) -> tuple[Int, NDArray[np.uint64]]:
    """Return owner and hash of each run of consecutive values that are not all the same."""
    bits = curves.value.view(np.uint32).astype(np.uint64) >> np.uint64(7)  # the last digits may be another program's
    count = max(len(bits) - RUN + 1, 0)
    hashes, varied = np.zeros(count, np.uint64), np.zeros(count, bool)
    for k in range(RUN):
        hashes = _mixed(hashes ^ bits[k : k + count])
        varied |= bits[k : k + count] != bits[:count]
    owner = ragged.owner(curves.offsets)
    keep = varied & (owner[:count] == owner[len(owner) - count :])
    return owner[:count][keep], hashes[keep]


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return well-mixed bits, never the mark of an empty place."""
    x = (x + np.uint64(ODD[0])) * np.uint64(ODD[1])
    return np.minimum(x ^ (x >> np.uint64(29)), EMPTY - np.uint64(1))


def _pairs(hashes: NDArray[np.uint64], row: Int, side: Int, within: bool) -> Int:
    """Return pairs (m, 2) of rows that share a hash, as often as they share one."""
    order = np.lexsort((row, side, hashes))
    hashes, row, side = hashes[order], row[order], side[order]
    start = np.flatnonzero(np.diff(hashes, prepend=hashes[:1] ^ np.uint64(1)) if len(hashes) else np.zeros(0))
    length = np.diff(np.append(start, len(hashes)))
    found = [np.zeros((0, 2), np.int64)]
    for begin, n in zip(start[length > 1], length[length > 1], strict=True):
        if n > MOST_COPIES:
            continue
        rows, sides = row[begin : begin + n], side[begin : begin + n]
        a, b = np.triu_indices(n, 1) if within else np.nonzero((sides[:, None] == 0) & (sides == 1))
        found.append(np.stack([rows[a], rows[b]], 1))
    return np.concatenate(found)


def single_inputs(
    columns: Mapping[str, NDArray], label: Int, star: Any = None, resamples: int = 200, seed: int = 0
) -> list[SingleInput]:
    """Return how well each column (n,) alone tells the label (n,): a small decision tree, cross-validated by star.

    Best first. Columns of whole numbers are categories, those of floats are numbers (NaN allowed). Of more than 20,000
    light curves so many are drawn.
    """
    star = np.arange(len(label)) if star is None else np.asarray(star)
    rows = _some(len(label), seed)
    folds = list(_folds(label[rows], star[rows], seed))
    majority = float(np.bincount(label[rows]).max() / len(rows))
    found = []
    for name, column in columns.items():
        x = np.asarray(column)[rows]
        x = np.eye(int(x.max()) + 1)[x] if np.issubdtype(x.dtype, np.integer) else x[:, None]
        right = _cross_validated(_tree(seed), x, label[rows], folds) == label[rows]
        found.append(SingleInput(name, mean_estimate(right, star[rows], resamples, seed), majority))
    return sorted(found, key=lambda each: -each.accuracy.value)


def all_inputs(
    columns: Mapping[str, Float], label: Int, star: Any = None, resamples: int = 200, seed: int = 0
) -> SingleInput:
    """Return how well all columns together tell the label: a small forest, cross-validated by star."""
    from sklearn.ensemble import RandomForestClassifier

    star = np.arange(len(label)) if star is None else np.asarray(star)
    rows = _some(len(label), seed)
    x = np.nan_to_num(np.stack([np.asarray(c, np.float64)[rows] for c in columns.values()], 1), nan=-1e9)
    forest = RandomForestClassifier(100, min_samples_leaf=2, max_features="sqrt", random_state=seed)
    right = _cross_validated(forest, x, label[rows], list(_folds(label[rows], star[rows], seed))) == label[rows]
    majority = float(np.bincount(label[rows]).max() / len(rows))
    return SingleInput("all circumstances together", mean_estimate(right, star[rows], resamples, seed), majority)


def folds_for(label: Int, star: NDArray) -> int:
    """Return in how many folds to cross-validate: no more than there are stars, or members of the largest class."""
    return min(FOLDS, len(np.unique(star)), int(np.bincount(label).max()))


def says_the_label(column: Int, label: Int, star: Any = None) -> bool:
    """Return whether a column (n,) is the label in other words: each of its values has one label.

    There are as many values as labels, or each is that of two stars (n,) or more: names of stars have one label each,
    too.
    """
    values, pairs = len(np.unique(column)), np.unique(np.stack([column, label]), axis=1).shape[1]
    repeated = values == len(np.unique(label)) or _stars_of_values(column, star).min() > 1
    return bool(pairs == values >= len(np.unique(label)) and repeated)


def names_the_star(column: Int, star: Any = None) -> bool:
    """Return whether each value of a column (n,) is that of one star (n,) alone, so that it tells nothing of others."""
    return bool(_stars_of_values(column, star).max() == 1)


def _stars_of_values(column: Int, star: Any) -> Int:
    """Return of how many stars each value of a column (n,) is."""
    stars = np.unique(star_numbers(star, len(column)), return_inverse=True)[1]
    pairs = np.unique(np.stack([column, stars]), axis=1)
    return np.unique(pairs[0], return_counts=True)[1]


def _some(n: int, seed: int) -> Int:
    """Return all rows, or as many as the trees are given."""
    return np.arange(n) if n <= MOST_OBJECTS else np.sort(np.random.default_rng(seed).permutation(n)[:MOST_OBJECTS])


def _folds(label: Int, star: NDArray, seed: int) -> Any:
    """Yield the rows to train on and to ask, no star on both sides."""
    from sklearn.model_selection import StratifiedGroupKFold

    folds = folds_for(label, star)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes with fewer members than folds
        yield from StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(label, label, star)


def _tree(seed: int) -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(max_leaf_nodes=LEAVES, min_samples_leaf=FEWEST, random_state=seed)


def _cross_validated(learner: Any, x: Float, label: Int, folds: list[tuple[Int, Int]]) -> Int:
    """Return what a learner says of each object (n,) when it was in none of the folds learnt from."""
    answer = np.full(len(label), -1, np.int64)
    for known, asked in folds:
        answer[asked] = learner.fit(x[known], label[known]).predict(x[asked])
    return answer


# ---- How light curves were observed, in numbers that say nothing of how the object varies: what a label s ------------


SHOWN_BEHAVIOUR = ("amplitude_90", "std", "skewness", "eta")  # for scale: these a label may well follow


def circumstances(curves: LightCurves) -> dict[str, Float]:
    """Return how each light curve was observed, by name, (n,) each, NaN where unknown.

    Times are in days as they are in the file, brightness and errors in its unit; whole columns that are unknown are
    left out.
    """
    seen = finite_points(curves).sorted()
    offsets = seen.offsets
    first, last = (ragged.extreme(seen.time, offsets, f) for f in (np.minimum, np.maximum))
    known = seen.where(np.isfinite(seen.error))
    columns = {
        "number of observations": seen.n_obs.astype(np.float64),
        "time of the first observation": first,
        "time of the last observation": last,
        "time span": last - first,
        "median spacing": ragged.median(*_spacings(seen)),
        "median brightness": ragged.median(seen.value, offsets),
        "median error": ragged.median(known.error, known.offsets),
    }
    bands = np.unique(seen.band) if len(seen.bands) > 1 else ()
    with np.errstate(invalid="ignore"):
        share = {f"share of band {seen.bands[b]}": ragged.mean(seen.band == b, offsets) for b in bands}
    if len(bands) > 1:
        columns |= share | {"bands observed": np.sum([x > 0 for x in share.values()], axis=0).astype(np.float64)}
    return {name: values for name, values in columns.items() if np.isfinite(values).any()}


def behaviour(curves: LightCurves) -> dict[str, Float]:
    """Return how each light curve varies, by name, (n,) each, NaN where a statistic does not exist."""
    values, names = simple_statistics(curves)
    found = dict(zip(names, np.where(values == MISSING, np.nan, values).T, strict=True))
    return {name: x for name, x in found.items() if name != "median_error"}  # a circumstance


def text_columns(table: pa.Table, most: int = 50) -> dict[str, NDArray[np.int64]]:
    """Return the columns of text (n rows) with 2 to ``most`` different values, numbered: survey, camera, file, ..."""
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
    """Return each value's number, nulls a number of their own."""
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _spacings(curves: LightCurves) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the times between neighbouring observations and their offsets."""
    step = np.diff(curves.time, prepend=np.nan)
    inside = np.ones(len(step), bool)
    inside[curves.offsets[:-1][curves.n_obs > 0]] = False
    return step[inside].astype(np.float32), ragged.select(inside, curves.offsets)


# ---- Whether two sets of light curves are alike: classifier two-sample test, and a test of each number by ------------


MOST = 3000  # objects of each set
SHIFT_FOLDS, TREES, LEAF = 5, 100, 5
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
    star = star_numbers(star, len(x))
    stars = [len(np.unique(star[y == k])) for k in (0, 1)]
    if min(stars) < 2:
        raise ValueError(f"{stars[0]} and {stars[1]} stars: two of each set are needed to tell them apart")
    p, x = np.zeros(len(x)), np.nan_to_num(x.astype(np.float64), nan=-1e9)
    folds = StratifiedGroupKFold(min(SHIFT_FOLDS, *stars), shuffle=True, random_state=seed)
    for known, asked in folds.split(x, y, star):
        forest = RandomForestClassifier(TREES, min_samples_leaf=LEAF, class_weight="balanced", random_state=seed)
        forest.fit(x[known], y[known])
        p[asked] = forest.predict_proba(x[asked]) @ forest.classes_  # of the second set, were it the only one left
    return area_under_curve(p[y == 0], p[y == 1], resamples, seed, star)


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
    here, there = (_one_each(s, seed) for s in np.split(star_numbers(star, n + m), [n]))
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
