"""Prediction sets: sets of classes that contain the true one with a given coverage.

Split conformal prediction (Vovk et al. 2005; Sadinle, Lei & Wasserman 2019): let s_1, ..., s_n be the probabilities of
the true classes of n validation objects. The set of all classes with p >= t, where t is the k-th smallest s and
k = floor((n + 1)(1 - coverage)), contains the true class of an exchangeable new object with a probability of at least
the coverage, for any model. Such sets are the smallest on average. With thresholds class by class (*Mondrian*) the
coverage holds in each class, rare ones included, at the price of larger sets: a class with fewer than
1 / (1 - coverage) - 1 validation objects is in every set. The predictions of a multi-band model improve with every
observation: there the coverage holds in each stratum of the number of steps, and early sets are larger.

A set is never empty: it always contains the most probable class, which can only raise the coverage.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Coverage(NamedTuple):
    """The coverage of prediction sets."""

    level: float = 0.9  # fraction of objects whose set holds the true class
    per_class: bool = False  # in each class instead of over all objects


COVERAGE = Coverage()


@dataclass(frozen=True, eq=False)
class Conformal:
    """The probabilities of validation objects, from which the thresholds of sets follow.

    Parameters
    ----------
    score : float32 (m,)
        Probability of the true class, calibrated without the object.
    label : int16 (m,)
        Index of the true class.
    stratum : int16 (m,)
        Stratum of each object, an index into ``edges``.
    edges : int32 (B,)
        Smallest number of points of each stratum, ascending; the first is 0.
    classes : int
    """

    score: NDArray[np.float32]
    label: NDArray[np.int16]
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
        probabilities : (m, C)
        label : int (m,)
        n_points : int (m,), optional
            Points of each light curve; needed where there are several strata.
        edges : int (B,)
            See the class.
        """
        p, label = np.asarray(probabilities), np.asarray(label, np.int16)
        bounds = np.asarray(edges, np.int32)
        points = np.zeros(len(label), np.int64) if n_points is None else np.asarray(n_points)
        return cls(
            p[np.arange(len(label)), label].astype(np.float32),
            label,
            stratum_of(points, bounds).astype(np.int16),
            bounds,
            p.shape[1],
        )

    def thresholds(self, coverage: Coverage = COVERAGE) -> NDArray[np.float32]:
        """Return the thresholds (B, C): the smallest probability with which a class is in the set.

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
        points = np.zeros(len(probabilities), np.int64) if n_points is None else n_points
        least = self.thresholds(coverage)[stratum_of(points, self.edges)]
        finite = np.isfinite(probabilities).all(1)
        result = np.asarray(probabilities, np.float32) >= least
        result[np.arange(len(result)), np.where(np.isnan(probabilities), -1, probabilities).argmax(1)] = True
        return result & finite[:, None]


@lru_cache(64)
def _thresholds(conformal: Conformal, coverage: Coverage) -> NDArray[np.float32]:
    """Return `Conformal.thresholds`, computed once for all batches."""
    if not 0 < coverage.level < 1:
        raise ValueError(f"coverage {coverage.level}: a fraction of objects between 0 and 1, e.g. 0.9")
    result = np.empty((len(conformal.edges), conformal.classes), np.float32)
    for b in range(len(conformal.edges)):
        in_stratum = conformal.stratum == b
        for c in range(conformal.classes):
            group = in_stratum & (conformal.label == c) if coverage.per_class else in_stratum
            result[b, c] = _quantile(conformal.score[group], 1 - coverage.level)
    result.flags.writeable = False  # the cached array is shared
    return result


def stratum_of(n_points: ArrayLike, edges: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the stratum of light curves with ``n_points`` (n,) points, (n,)."""
    return np.maximum(np.searchsorted(edges, np.asarray(n_points), side="right") - 1, 0)


def _quantile(score: NDArray[np.float32], miss: float) -> float:
    """Return the k-th smallest score, k = floor((n + 1) miss); 0 where the scores are too few for the coverage."""
    k = min(int(np.floor((len(score) + 1) * miss + 1e-9)), len(score))  # 1 - 0.9 is a bit less than 0.1
    return float(np.partition(score, k - 1)[k - 1]) if k else 0.0
