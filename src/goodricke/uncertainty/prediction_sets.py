"""Prediction sets: sets of classes that contain the true one with a given coverage, small where the answer is clear.

Split conformal prediction (Vovk et al. 2005; Sadinle, Lei & Wasserman 2019): let s_1, ..., s_n be the probabilities of
the true classes of n validation objects. The set of all classes with p >= t, where t is the k-th smallest s and
k = floor((n + 1)(1 - coverage)), contains the true class of an exchangeable new object with a probability of at least
the coverage, for any model.

One threshold for all objects keeps that promise on average only: where nine in ten answers are right, sets of one class
keep it, and an ambiguous object gets one class too. Therefore an object is compared with validation objects of similar
*confidence*, which is the highest probability. Each bin of confidence has its own threshold (Mondrian conformal
prediction, Vovk et al. 2003), and the coverage holds in each bin: where the first class is right in 98 % of cases an
object gets this class alone; where it is right in 40 %, as many as hold the truth in 90 %. Nothing is drawn at random,
as in the sets of Romano, Sesia & Candes (2020), which adapt as well: an object always gets the same set.

With thresholds class by class the coverage holds in each class too, rare ones included, at the price of larger sets: a
class with fewer than coverage / (1 - coverage) validation objects is in every set. The predictions of a multi-band
model improve with every observation: its bins of confidence are within strata of the number of steps.

A set is never empty: it always contains the most probable class, which can only raise the coverage.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goodricke.uncertainty.label_sets import check_labels, weighted_leaves

CONFIDENCE = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)  # possible borders of the bins of confidence
FEWEST_IN_BIN = 50  # validation objects; a bin with fewer is joined to the next one


class Coverage(NamedTuple):
    """The coverage of prediction sets."""

    level: float = 0.9  # fraction of objects whose set holds the true class
    per_class: bool = False  # in each class as well, not only in each bin of confidence


COVERAGE = Coverage()


def as_coverage(coverage: Coverage | float | tuple[float, bool]) -> Coverage:
    """Return a coverage of a number alone, or of a pair with whether it is to hold in each class.

    Raises
    ------
    ValueError
        If it is no fraction between 0 and 1.

    Examples
    --------
    >>> as_coverage(0.95)
    Coverage(level=0.95, per_class=False)
    """
    result = Coverage(*coverage) if isinstance(coverage, tuple | list) else Coverage(float(coverage))
    if not 0 < result.level < 1:
        raise ValueError(f"coverage {result.level:g}: a fraction of objects between 0 and 1, e.g. 0.9")
    return result


class Thresholds(NamedTuple):
    """The smallest probabilities with which a class is in a set, in the bins of confidence of each stratum."""

    borders: tuple[NDArray[np.float32], ...]  # of each stratum: the inner borders of its bins, ascending
    of_bin: tuple[NDArray[np.float32], ...]  # of each stratum: (bins,)
    of_class: NDArray[np.float32]  # (B, C); infinite unless the coverage is to hold in each class


@dataclass(frozen=True, eq=False)
class Conformal:
    """The probabilities of validation objects, from which the thresholds of sets follow.

    Parameters
    ----------
    score : float32 (m,)
        Probability of the true class, calibrated without the object.
    confidence : float32 (m,)
        Highest probability of the object.
    label : int16 (m,)
        Index of the true class.
    weight : float32 (m,)
        Probability that the label is the true class: 1, or less for one of the leaves of a label that is a set.
    stratum : int16 (m,)
        Stratum of each object, an index into ``edges``.
    edges : int32 (B,)
        Smallest number of points of each stratum, ascending; the first is 0.
    classes : int
    """

    score: NDArray[np.float32]
    confidence: NDArray[np.float32]
    label: NDArray[np.int16]
    weight: NDArray[np.float32]
    stratum: NDArray[np.int16]
    edges: NDArray[np.int32]
    classes: int

    @classmethod
    def fit(
        cls, probabilities: ArrayLike, label: ArrayLike, n_points: ArrayLike | None = None, edges: ArrayLike = (0,)
    ) -> Conformal:
        """Return the reference of validation objects.

        Parameters
        ----------
        probabilities : (n, C)
        label : int (n,) or bool (n, C)
            The true class, or a set of classes that it is in.
        n_points : int (n,), optional
            Points of each light curve; needed where there are several strata.
        edges : int (B,)
            See the class.

        Raises
        ------
        ValueError
            If a label is an empty set.

        Notes
        -----
        *What is promised with sets as labels.* No label says which leaf of its set is the true one, so that no method
        can guarantee the coverage of the leaves without an assumption. Here each leaf c of a label A takes the part
        p_c / sum_{a in A} p_a of the object, and the thresholds are weighted quantiles; nothing is drawn at random.
        The coverage of the leaves is as for single labels if the probabilities *within* a set are calibrated; how often
        the truth is in the set at all needs no assumption. For any model, at least the promised fraction of prediction
        sets contains a class of the label: a threshold is never below that of the most likely leaves alone. Objects of
        surveys with single labels have whole weights, and make up for wrong parts by their share.
        """
        p, labels = np.asarray(probabilities), check_labels(label)
        bounds = np.asarray(edges, np.int32)
        points = np.zeros(len(p), np.int64) if n_points is None else np.asarray(n_points)
        row, leaf, weight = weighted_leaves(p, labels)
        return cls(
            p[row, leaf].astype(np.float32),
            p.max(1, initial=0)[row].astype(np.float32),
            leaf.astype(np.int16),
            weight.astype(np.float32),
            stratum_of(points, bounds).astype(np.int16)[row],
            bounds,
            p.shape[1],
        )

    def __len__(self) -> int:
        """Return the number of validation objects, those with several possible leaves counted once."""
        return round(float(self.weight.sum(dtype=np.float64)))

    def thresholds(self, coverage: Coverage = COVERAGE) -> Thresholds:
        """Return the thresholds of a coverage.

        Raises
        ------
        ValueError
            If the coverage is not between 0 and 1.
        """
        return _thresholds(self, Coverage(*coverage))

    def sets(
        self,
        probabilities: NDArray[np.floating],
        n_points: NDArray[np.integer] | None = None,
        coverage: Coverage = COVERAGE,
    ) -> NDArray[np.bool_]:
        """Return which classes (n, C) are in the sets of n objects; the set is empty where probabilities are NaN.

        Parameters
        ----------
        probabilities : (n, C)
        n_points : int (n,), optional
            Points of each light curve; needed where there are several strata.
        coverage : Coverage
        """
        p, limits = np.asarray(probabilities, np.float32), self.thresholds(coverage)
        points = np.zeros(len(p), np.int64) if n_points is None else n_points
        stratum, finite = stratum_of(points, self.edges), np.asarray(np.all(np.isfinite(p), axis=1))
        p = np.where(finite[:, None], p, 0)
        confidence, least = p.max(1, initial=0), limits.of_class[stratum]
        for b in np.unique(stratum):
            rows = stratum == b
            of_bin = limits.of_bin[b][np.searchsorted(limits.borders[b], confidence[rows], side="right")]
            least[rows] = np.minimum(least[rows], of_bin[:, None])
        member = p >= least
        member[np.arange(len(p)), np.where(finite[:, None], probabilities, 0).argmax(1)] = True
        return member & finite[:, None]


@lru_cache(64)
def _thresholds(conformal: Conformal, coverage: Coverage) -> Thresholds:
    """Return `Conformal.thresholds`, computed once for all batches."""
    level, x = coverage.level, conformal
    if not 0 < level < 1:
        raise ValueError(f"coverage {level}: a fraction of objects between 0 and 1, e.g. 0.9")
    fewest = max(FEWEST_IN_BIN, level / (1 - level))
    borders, of_bin = [], []
    of_class = np.full((len(x.edges), x.classes), np.inf, np.float32)
    for b in range(len(x.edges)):
        rows = x.stratum == b
        score, confidence, weight = x.score[rows], x.confidence[rows], x.weight[rows]
        borders.append(confidence_borders(confidence, weight, fewest))
        number = np.searchsorted(borders[b], confidence, side="right")
        bins = [number == k for k in range(len(borders[b]) + 1)]
        of_bin.append(np.array([_quantile(score[inside], weight[inside], level) for inside in bins], np.float32))
        if coverage.per_class:
            groups = [x.label[rows] == c for c in range(x.classes)]
            of_class[b] = [_quantile(score[inside], weight[inside], level) for inside in groups]
    for array in (*borders, *of_bin, of_class):
        array.flags.writeable = False  # the cached arrays are shared
    return Thresholds(tuple(borders), tuple(of_bin), of_class)


def confidence_borders(
    confidence: NDArray[np.floating], weight: NDArray[np.floating], fewest: float
) -> NDArray[np.float32]:
    """Return those borders of `CONFIDENCE` between which there are at least ``fewest`` validation objects each.

    Parameters
    ----------
    confidence, weight : (m,)
        Of validation objects.
    fewest : float
        In each bin; all of them are one bin if they are fewer.
    """
    possible = np.array(CONFIDENCE, np.float32)
    below = np.array([weight[confidence < border].sum(dtype=np.float64) for border in possible])
    total, counted, selected = weight.sum(dtype=np.float64), 0.0, []
    for border, count in zip(possible, below, strict=True):
        if count - counted >= fewest and total - count >= fewest:
            selected.append(border)
            counted = count
    return np.array(selected, np.float32)


def stratum_of(n_points: ArrayLike, edges: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the stratum of light curves with ``n_points`` (n,) points, (n,)."""
    return np.maximum(np.searchsorted(edges, np.asarray(n_points), side="right") - 1, 0)


def _quantile(score: NDArray[np.float32], weight: NDArray[np.float32], level: float) -> float:
    """Return the largest score t such that the scores s >= t weigh (n + 1) level, n the sum of weights; 0 if none.

    With weights of 1 it is the k-th smallest, k = floor((n + 1)(1 - level)).
    """
    order = np.argsort(score, kind="stable")
    total = weight[order].cumsum(dtype=np.float64)
    most_below = (total[-1] + 1) * (1 - level) - 1 + 1e-6 if len(total) else -1.0  # 1 - 0.9 is a bit less than 0.1
    return float(score[order[np.searchsorted(total, most_below, side="right")]]) if most_below >= 0 else 0.0
