"""Entropy of probabilities, and the part of it that comes from the network's weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def entropy(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the entropy [nat] of each row of ``probabilities`` (..., C)."""
    p = np.clip(np.asarray(probabilities, np.float64), 1e-300, 1)
    return -(p * np.log(p)).sum(-1)


def summarise(samples: NDArray[np.floating]) -> tuple[NDArray, NDArray, NDArray]:
    """Return mean (B, C), standard deviation (B, C) and mutual information [nat] (B,) of samples (S, B, C).

    The mutual information is the entropy of the mean minus the mean entropy: the part of the uncertainty that comes
    from the model, not from the data. With one sample, deviation and information are zero.
    """
    mean = samples.mean(0)
    spread = samples.std(0, ddof=1) if len(samples) > 1 else np.zeros_like(mean)
    information = np.maximum(entropy(mean) - entropy(samples).mean(0), 0)
    return mean, spread, information
