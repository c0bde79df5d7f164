"""Prediction sets: the classes that an object may be of, the true one among them as often as promised.

Split conformal prediction (Vovk et al. 2005; Sadinle, Lei & Wasserman 2019): of n validation objects the model gave
their true classes the probabilities s_1, ..., s_n. A set of all classes with p >= t, t the k-th smallest of them and
k = floor((n + 1)(1 - coverage)), holds the true class of a new object like those with a probability of at least the
coverage, whatever the model. Sets of this kind are the smallest on average. Class by class (*Mondrian*) the promise is
kept for the objects of each class, rare ones too, at the price of larger sets: a class with fewer than
1 / (1 - coverage) - 1 validation objects is in every set. A multi-band model's answers get better with every
observation: its promise is kept in each stratum of the number of steps, and early answers get larger sets.

A set is never empty: the most probable class is always in it, which can only raise the coverage.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Coverage(NamedTuple):
    """What is promised of prediction sets."""

    level: float = 0.9  # fraction of objects whose set holds the true class
    per_class: bool = False  # in each class, instead of over all of them


COVERAGE = Coverage()


@dataclass(frozen=True, eq=False)
class Conformal:
    """What validation objects say of sets.

    Parameters
    ----------
    score : float32 (m,)
        Probability that the model gave to the true class, as fitted without the object.
    label : int16 (m,)
        Index of the true class.
    stratum : int16 (m,)
        Which of the `edges` each belongs to.
    edges : int32 (B,)
        Number of points from which on a light curve belongs to a stratum, ascending; the first is 0.
    classes : int
    """

    score: NDArray[np.float32]
    label: NDArray[np.int16]
    stratum: NDArray[np.int16]
    edges: NDArray[np.int32]
    classes: int

    @classmethod
    def of(
        cls, probabilities: ArrayLike, label: ArrayLike, n_points: ArrayLike | None = None, edges: ArrayLike = (0,)
    ) -> Conformal:
        """Return the scores of validation objects.

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
        """Return the least probability (B, C) with which a class is in the set.

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
        """Return which classes (n, C) are in the sets of n objects; those without probabilities have none.

        Parameters
        ----------
        probabilities : (n, C)
        n_points : int (n,), optional
            Points of each light curve; needed where there are several strata.
        coverage : Coverage
        """
        points = np.zeros(len(probabilities), np.int64) if n_points is None else n_points
        least = self.thresholds(coverage)[stratum_of(points, self.edges)]
        known = np.isfinite(probabilities).all(1)
        result = np.asarray(probabilities, np.float32) >= least
        result[np.arange(len(result)), np.where(np.isnan(probabilities), -1, probabilities).argmax(1)] = True
        return result & known[:, None]


@lru_cache(64)
def _thresholds(known: Conformal, coverage: Coverage) -> NDArray[np.float32]:
    """Return `Conformal.thresholds`, which are the same for every batch."""
    if not 0 < coverage.level < 1:
        raise ValueError(f"coverage {coverage.level}: a fraction of objects between 0 and 1, e.g. 0.9")
    result = np.empty((len(known.edges), known.classes), np.float32)
    for b in range(len(known.edges)):
        here = known.stratum == b
        for c in range(known.classes):
            like = here & (known.label == c) if coverage.per_class else here
            result[b, c] = _quantile(known.score[like], 1 - coverage.level)
    result.flags.writeable = False  # it is handed out again
    return result


def stratum_of(n_points: ArrayLike, edges: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return which stratum light curves of so many points (n,) belong to, (n,)."""
    return np.maximum(np.searchsorted(edges, np.asarray(n_points), side="right") - 1, 0)


def _quantile(score: NDArray[np.float32], miss: float) -> float:
    """Return the k-th smallest score, k = floor((n + 1) miss); 0 where the scores are too few for any promise."""
    k = min(int(np.floor((len(score) + 1) * miss + 1e-9)), len(score))  # 1 - 0.9 is a bit less than 0.1
    return float(np.partition(score, k - 1)[k - 1]) if k else 0.0
