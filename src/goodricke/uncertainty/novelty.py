"""Novelty: how unlike the training objects an object is, as a rate of false alarms.

Four scores of what a network sees, the larger the stranger:

*combined*: the energy, which is high between the classes, and the squared distance of what the head sees to the nearest
class mean in the metric of the covariance within classes (Lee et al. 2018, eq. 2), which is large outside of all of
them; each in units of its spread among training objects;
*mahalanobis*: that distance less the one to the mean of all in the metric of the whole covariance (Ren et al. 2021,
eq. 2), which takes out what all objects vary in;
*neighbours*: the distance of it to that of the k-th nearest training object, scaled to length 1 (Sun et al. 2022);
*energy*: -log sum exp(z) of the logits (Liu et al. 2020, eq. 4).

The head sees the embedding, and what it is told of an object beside its light curve's shape. Detectors of older models
were fitted to the embedding alone, which the features begin with.

A score means nothing by itself. `Novelty.of` says which fraction of validation objects is less strange: objects like
the training set reach 0.99 in 1 % of all cases.
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
KEPT = 2000  # training objects that neighbours are looked for among
RIDGE = 1e-3  # of the mean variance, added to covariances of features with idle dimensions
AT_ONCE = 4_000_000  # distances computed at a time

Float = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Detector:
    """A score of strangeness.

    Parameters
    ----------
    kind : {"combined", "mahalanobis", "neighbours", "energy"}
    arrays : dict of float32
        *combined*, *mahalanobis*: ``within`` (f, f), which whitens features within classes, ``means`` (C, f) whitened;
        the former ``usual`` (2, 2), mean and standard deviation of distance and energy; the latter ``whole`` (f, f)
        and ``mean`` (1, f), of all objects as one class; *neighbours*: ``known`` (m, f).
    """

    kind: Kind
    arrays: Mapping[str, NDArray[np.float32]]

    def score(self, features: Float, logits: Float) -> NDArray[np.float64]:
        """Return the strangeness (n,) of objects by what the head sees of them (n, f) and their logits (n, C).

        A detector that was fitted to embeddings alone takes these: features begin with them.
        """
        if self.kind == "energy":
            return _energy(logits)
        x = np.asarray(features, np.float32)
        if self.kind == "neighbours":
            known = self.arrays["known"]
            return _kth_distance(_unit(x[:, : known.shape[1]]), known)
        x = x[:, : len(self.arrays["within"])]
        near = _squared(x @ self.arrays["within"], self.arrays["means"]).min(1)
        if self.kind == "combined":
            mean, spread = self.arrays["usual"]
            return ((np.stack([near, _energy(logits)], 1) - mean) / spread).sum(1)
        return near - _squared(x @ self.arrays["whole"], self.arrays["mean"])[:, 0]


def fit_detector(kind: Kind, features: Float, logits: Float, label: NDArray[np.integer], seed: int = 0) -> Detector:
    """Learn what training objects look like.

    Parameters
    ----------
    kind : {"combined", "mahalanobis", "neighbours", "energy"}
    features, logits : (m, f) and (m, C)
        Of training objects.
    label : int (m,)
        Their classes.
    seed : int
        Of the choice of the neighbours that are kept.
    """
    x = np.asarray(features, np.float64)
    if kind == "energy":
        return Detector(kind, {})
    if kind == "neighbours":
        chosen = np.random.default_rng(seed).permutation(len(x))[:KEPT]
        return Detector(kind, {"known": _unit(x[np.sort(chosen)]).astype(np.float32)})
    names, index = np.unique(label, return_inverse=True)
    means = np.stack([x[index == k].mean(0) for k in range(len(names))])
    within = _whitening(x - means[index])
    kept = {"within": within, "means": means @ within}
    if kind == "combined":
        both = np.stack([_squared(x @ within, means @ within).min(1), _energy(logits)], 1)
        kept["usual"] = np.stack([both.mean(0), np.maximum(both.std(0), np.finfo(np.float32).tiny)])
    else:
        whole = _whitening(x - x.mean(0))
        kept |= {"whole": whole, "mean": x.mean(0, keepdims=True) @ whole}
    return Detector(kind, {name: np.ascontiguousarray(array, np.float32) for name, array in kept.items()})


@dataclass(frozen=True, eq=False)
class Novelty:
    """A detector, and how strange validation objects look to it.

    Parameters
    ----------
    detector : Detector
    score : float32 (m,)
        Of validation objects.
    stratum : int16 (m,)
        Which of the `edges` each belongs to.
    edges : int32 (B,)
        As in `goodricke.uncertainty.prediction_sets.Conformal`: short light curves are compared with short ones.
    """

    detector: Detector
    score: NDArray[np.float32]
    stratum: NDArray[np.int16]
    edges: NDArray[np.int32]

    @cached_property
    def _sorted(self) -> list[NDArray[np.float32]]:
        """Scores of each stratum, ascending."""
        return [np.sort(self.score[self.stratum == b]) for b in range(len(self.edges))]

    def of(self, features: Float, logits: Float, n_points: NDArray[np.integer] | None = None) -> NDArray[np.float64]:
        """Return the novelty (n,): the fraction of validation objects, of light curves as long, that are less strange.

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
        known = np.isfinite(features).all(1) & np.isfinite(logits).all(1)
        strange = self.detector.score(features[known], logits[known]).astype(np.float32)
        points = np.zeros(len(features), np.int64) if n_points is None else n_points
        where, values = stratum_of(points, self.edges)[known], np.empty(len(strange))
        for b in np.unique(where):
            mine, like = where == b, self._sorted[b]
            values[mine] = np.searchsorted(like, strange[mine], side="left") / (len(like) + 1)
        result[known] = values
        return result


def _energy(logits: Float) -> NDArray[np.float64]:
    """Return the energy (n,) of logits (n, C)."""
    return -logsumexp(np.asarray(logits, np.float64), axis=1)


def _whitening(centred: Float) -> NDArray[np.float64]:
    """Return a matrix (d, d) after which rows (m, d) have the unit matrix as covariance, the ridge aside."""
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


def _kth_distance(x: Float, known: Float) -> NDArray[np.float64]:
    """Return the squared distance (n,) of unit vectors (n, d) to the `NEIGHBOUR`-th nearest of others (m, d)."""
    k = min(NEIGHBOUR, len(known)) - 1
    result = np.empty(len(x))
    step = max(AT_ONCE // len(known), 1)
    for first in range(0, len(x), step):
        near = x[first : first + step] @ known.T
        result[first : first + step] = 2 - 2 * np.partition(near, len(known) - 1 - k, axis=1)[:, len(known) - 1 - k]
    return result
