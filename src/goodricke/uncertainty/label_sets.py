"""Labels that name one class, or a set of classes of which one is the true one.

A survey's label "contact or semi-detached" names no class of a finer taxonomy but a set of its leaves, {EW, EB}. The
probability of such a label is the sum over the set (Cour, Sapp & Taskar 2011), so that its negative log-likelihood is

    loss = -log sum_{c in set} p_c,

and for a set of one class the usual -log p. An array of labels is int (n,), one class each, or bool (n, C), the sets.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

LEAST_WEIGHT = 1e-3  # leaves of a set with a smaller share of its probability are left out


class WeightedLeaves(NamedTuple):
    """The leaves that labels may stand for, each with the probability that it is the true one."""

    row: NDArray[np.int64]  # (k,) object, ascending
    leaf: NDArray[np.int64]  # (k,) class
    weight: NDArray[np.float64]  # (k,) of each object they sum to 1


def check_labels(label: ArrayLike) -> NDArray[Any]:
    """Return labels as an array, int (n,) or bool (n, C).

    Raises
    ------
    ValueError
        If it is neither, or a set has no class in it.
    """
    labels = np.asarray(label)
    if labels.ndim == 1 and (labels.dtype.kind in "iu" or not len(labels)):
        return labels
    if labels.ndim != 2 or labels.dtype != np.bool_:
        raise ValueError(f"labels of shape {labels.shape} and {labels.dtype}: give int (n,) or sets as bool (n, C)")
    if len(empty := np.flatnonzero(~labels.any(1))):
        raise ValueError(f"{len(empty)} labels are empty sets, the first of row {empty[0]}. Fix: leave these rows out")
    return labels


def log_likelihood(log_probabilities: NDArray[np.floating], label: NDArray[Any]) -> NDArray[np.floating]:
    """Return the log of the probability of each label, (..., n).

    Parameters
    ----------
    log_probabilities : (..., n, C)
    label : int (n,) or bool (n, C)
    """
    if label.ndim == 1:
        return log_probabilities[..., np.arange(len(label)), label]
    return np.asarray(logsumexp(np.where(label, log_probabilities, -np.inf), axis=-1))


def class_counts(label: NDArray[Any], classes: int) -> NDArray[np.float64]:
    """Return the number of labels of each class, (C,); a set counts in equal parts for its classes."""
    if label.ndim == 1:
        return np.bincount(label, minlength=classes).astype(np.float64)
    return (label / label.sum(1, keepdims=True)).sum(0)


def weighted_leaves(probabilities: NDArray[np.floating], label: NDArray[Any]) -> WeightedLeaves:
    """Return the leaves that labels may stand for, weighted by the probabilities restricted to the set.

    The weight of leaf c of a set A is p_c / sum_{a in A} p_a, the probability of c given that the true class is in A.
    A label of one class has the weight 1, whatever its probability.

    Parameters
    ----------
    probabilities : (n, C)
    label : int (n,) or bool (n, C)
    """
    if label.ndim == 1:
        return WeightedLeaves(np.arange(len(label)), label.astype(np.int64), np.ones(len(label)))
    share = np.where(label, np.maximum(probabilities, np.finfo(np.float64).tiny), 0.0)
    share /= share.sum(1, keepdims=True)
    share[share < LEAST_WEIGHT] = 0
    row, leaf = np.nonzero(share)
    return WeightedLeaves(row, leaf, (share / share.sum(1, keepdims=True))[row, leaf])


def likeliest(values: NDArray[np.floating], label: NDArray[Any]) -> NDArray[np.int64]:
    """Return the most probable class in each label, (n,), by probabilities or logits (n, C)."""
    return label.astype(np.int64) if label.ndim == 1 else np.where(label, values, -np.inf).argmax(1)
