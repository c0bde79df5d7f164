"""A classifier of the user's own classes on top of embeddings: logistic regression, fitted in a moment."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

# Inverse strength of the penalty, times d: the square of a standardised embedding's length is d on average. The usual
# strength, 1, overfits long embeddings: with it more labels made the head of PLAsTiCC's 144 numbers worse.
STRENGTH = 16.0


class Head:
    """Logistic regression on standardised embeddings.

    Parameters
    ----------
    z : (n, d)
        Standardised embeddings, see `goodricke.embeddings.space`.
    label : (n,)
        Names of classes.
    """

    def __init__(self, z: NDArray, label: NDArray) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        self.classes = tuple(str(c) for c in np.unique(label))
        self._fitted = None
        if len(self.classes) > 1:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                self._fitted = LogisticRegression(C=STRENGTH / z.shape[1], max_iter=300, tol=1e-3).fit(
                    z, label.astype(str)
                )

    def probabilities(self, z: NDArray) -> NDArray[np.float64]:
        """Return class probabilities (n, C); all 1 if one class is known only."""
        return np.ones((len(z), 1)) if self._fitted is None else self._fitted.predict_proba(z)
