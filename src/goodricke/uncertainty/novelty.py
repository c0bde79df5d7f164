"""Novelty: how unlike the training objects an object is, on the scale of the false-alarm rate.

Four scores of a network's features (the input of its head: embedding, then context columns) and logits; larger is more
novel:

*combined*: the energy, which is high between the classes, plus the squared distance of the features to the nearest
class mean in the metric of the covariance within classes (Lee et al. 2018, eq. 2), which is large far from all
classes; each standardised over the training objects;
*mahalanobis*: that distance minus the one to the mean of all objects in the metric of the total covariance (Ren et
al. 2021, eq. 2), which removes directions in which all objects vary;
*neighbours*: the distance to the k-th nearest training object, of features scaled to length 1 (Sun et al. 2022);
*energy*: -log sum exp(z) of the logits (Liu et al. 2020, eq. 4).

`Novelty.rank` turns a score into the fraction of validation objects that score lower: of objects like the training
set, 1 % reach 0.99.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from goodricke.uncertainty.prediction_sets import stratum_of

Kind = Literal["combined", "mahalanobis", "neighbours", "energy"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NEIGHBOUR = 10
REFERENCES = 2000  # training objects among which neighbours are searched
RIDGE = 1e-3  # of the mean variance, added to covariances of features with idle dimensions
MOST_DISTANCES = 4_000_000  # computed at a time

Float = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Detector:
    """A novelty score, fitted to training objects.

    Parameters
    ----------
    kind : {"combined", "mahalanobis", "neighbours", "energy"}
    arrays : dict of float32
        *combined*, *mahalanobis*: ``within`` (f, f), which whitens features within classes, ``means`` (C, f) whitened;
        *combined*: ``usual`` (2, 2), mean and standard deviation of distance and energy; *mahalanobis*: ``whole``
        (f, f) and ``mean`` (1, f), of all objects as one class; *neighbours*: ``known`` (m, f), unit vectors.
    """

    kind: Kind
    arrays: Mapping[str, NDArray[np.float32]]

    def score(self, features: Float, logits: Float) -> NDArray[np.float64]:
        """Return the score (n,) of objects with features (n, f) and logits (n, C).

        A detector fitted to embeddings uses the first columns of the features, which are the embedding.
        """
        if self.kind == "energy":
            return _energy(logits)
        x = np.asarray(features, np.float32)
        if self.kind == "neighbours":
            references = self.arrays["known"]
            return _kth_distance(_unit(x[:, : references.shape[1]]), references)
        x = x[:, : len(self.arrays["within"])]
        near = _squared(x @ self.arrays["within"], self.arrays["means"]).min(1)
        if self.kind == "combined":
            mean, spread = self.arrays["usual"]
            return ((np.stack([near, _energy(logits)], 1) - mean) / spread).sum(1)
        return near - _squared(x @ self.arrays["whole"], self.arrays["mean"])[:, 0]


def fit_detector(kind: Kind, features: Float, logits: Float, label: NDArray[np.integer], seed: int = 0) -> Detector:
    """Return a detector fitted to training objects.

    Parameters
    ----------
    kind : {"combined", "mahalanobis", "neighbours", "energy"}
    features, logits : (m, f) and (m, C)
        Of training objects.
    label : int (m,)
        Their classes.
    seed : int
        Of the random choice of reference objects for *neighbours*.
    """
    x = np.asarray(features, np.float64)
    if kind == "energy":
        return Detector(kind, {})
    if kind == "neighbours":
        selected = np.random.default_rng(seed).permutation(len(x))[:REFERENCES]
        return Detector(kind, {"known": _unit(x[np.sort(selected)]).astype(np.float32)})
    names, index = np.unique(label, return_inverse=True)
    means = np.stack([x[index == k].mean(0) for k in range(len(names))])
    within = _whitening(x - means[index])
    arrays = {"within": within, "means": means @ within}
    if kind == "combined":
        terms = np.stack([_squared(x @ within, means @ within).min(1), _energy(logits)], 1)
        arrays["usual"] = np.stack([terms.mean(0), np.maximum(terms.std(0), np.finfo(np.float32).tiny)])
    else:
        total = _whitening(x - x.mean(0))
        arrays |= {"whole": total, "mean": x.mean(0, keepdims=True) @ total}
    return Detector(kind, {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()})


@dataclass(frozen=True, eq=False)
class Novelty:
    """A detector, and the scores of validation objects as the reference distribution.

    Parameters
    ----------
    detector : Detector
    score : float32 (m,)
        Of validation objects.
    stratum : int16 (m,)
        Stratum of each object, an index into ``edges``.
    edges : int32 (B,)
        As in `goodricke.uncertainty.prediction_sets.Conformal`: objects are compared within their stratum of length.
    """

    detector: Detector
    score: NDArray[np.float32]
    stratum: NDArray[np.int16]
    edges: NDArray[np.int32]

    @cached_property
    def _sorted(self) -> list[NDArray[np.float32]]:
        """Scores of each stratum, ascending."""
        return [np.sort(self.score[self.stratum == b]) for b in range(len(self.edges))]

    def rank(self, features: Float, logits: Float, n_points: NDArray[np.integer] | None = None) -> NDArray[np.float64]:
        """Return the novelty (n,): the fraction of validation objects of the same stratum with a lower score.

        Parameters
        ----------
        features : (n, f)
        logits : (n, C)
        n_points : int (n,), optional
            Points of each light curve; needed where there are several strata.

        Returns
        -------
        float64 (n,)
            From 0 to m / (m + 1); NaN where features or logits are.
        """
        result = np.full(len(features), np.nan)
        finite = np.isfinite(features).all(1) & np.isfinite(logits).all(1)
        score = self.detector.score(features[finite], logits[finite]).astype(np.float32)
        points = np.zeros(len(features), np.int64) if n_points is None else n_points
        stratum, rank = stratum_of(points, self.edges)[finite], np.empty(len(score))
        for b in np.unique(stratum):
            inside, reference = stratum == b, self._sorted[b]
            rank[inside] = np.searchsorted(reference, score[inside], side="left") / (len(reference) + 1)
        result[finite] = rank
        return result


def _energy(logits: Float) -> NDArray[np.float64]:
    """Return the energy (n,) of logits (n, C)."""
    return -logsumexp(np.asarray(logits, np.float64), axis=1)


def _whitening(centred: Float) -> NDArray[np.float64]:
    """Return a matrix (d, d) that transforms rows (m, d) to unit covariance, up to the ridge."""
    covariance = centred.T @ centred / max(len(centred), 1)
    ridge = RIDGE * np.trace(covariance) / len(covariance) + np.finfo(np.float64).tiny
    values, vectors = np.linalg.eigh(covariance)
    return vectors / np.sqrt(np.maximum(values, 0) + ridge)


def _squared(x: Float, means: Float) -> NDArray[np.float64]:
    """Return the squared distances (n, C) of rows (n, d) to means (C, d)."""
    squares = np.square(x, dtype=np.float64).sum(1)[:, None] + np.square(means, dtype=np.float64).sum(1)
    return np.maximum(squares - 2.0 * (x @ means.T), 0)


def _unit(x: Float) -> Float:
    """Return rows scaled to length 1."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), np.finfo(np.float32).tiny)


def _kth_distance(x: Float, references: Float) -> NDArray[np.float64]:
    """Return the squared distance (n,) of unit vectors (n, d) to the `NEIGHBOUR`-th nearest reference (m, d)."""
    k = min(NEIGHBOUR, len(references)) - 1
    result = np.empty(len(x))
    step = max(MOST_DISTANCES // len(references), 1)
    for first in range(0, len(x), step):
        near = x[first : first + step] @ references.T
        result[first : first + step] = (
            2 - 2 * np.partition(near, len(references) - 1 - k, axis=1)[:, len(references) - 1 - k]
        )
    return result
