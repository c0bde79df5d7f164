"""What could make held-out scores too good: copies of training light curves, and inputs that give the label away."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke import ragged
from goodricke.evaluation.bootstrap import Estimate
from goodricke.evaluation.calibration_scores import mean_estimate
from goodricke.evaluation.metrics import stars_of
from goodricke.lightcurves import LightCurves
from goodricke.preprocess.cleaning import finite_points

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
    place = np.arange(len(owner)) - ragged.offsets_of(np.bincount(owner, minlength=len(curves)))[owner]
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
    stars = np.unique(stars_of(star, len(column)), return_inverse=True)[1]
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
