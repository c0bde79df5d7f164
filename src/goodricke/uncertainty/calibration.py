"""Temperature scaling (Guo et al. 2017) and the expected calibration error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp


def fit_temperature(logits: NDArray[np.floating], label: NDArray[np.integer]) -> float:
    """Return the temperature that minimises the negative log-likelihood of validation objects.

    Parameters
    ----------
    logits : (S, n, C)
        Of S passes, whose mean probability is the answer; one pass without dropout, or Monte-Carlo passes.
    label : (n,)
        Index of the true class.
    """
    rows = np.arange(len(label))

    def loss(log_temperature: float) -> float:
        each = log_softmax(logits / np.exp(log_temperature), axis=2)[:, rows, label]  # (S, n)
        return -float((logsumexp(each, axis=0) - np.log(len(each))).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def calibration_error(probabilities: NDArray[np.floating], label: NDArray[np.integer], bins: int = 15) -> float:
    """Return the expected calibration error: mean gap of confidence and accuracy over equal-width confidence bins."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == label
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(index, confidence - right, bins)
    return float(np.abs(gap).sum() / len(label))
