r"""The space in which embeddings are compared: coordinates standardised over the catalog, distances by angle.

A network's coordinates have unlike spreads, which say nothing of what they are worth. With the catalog's mean
:math:`\mu` and standard deviation :math:`\sigma` of each coordinate,

.. math:: z = (e - \mu) / \sigma, \qquad d(a, b) = 1 - \frac{z_a \cdot z_b}{|z_a| |z_b|},

from 0 (alike) over 1 (nothing in common) to 2 (opposite). Whitening with the whole covariance instead raises
coordinates that are noise to the rank of the others; ``goodricke similar --labels`` measures what each is worth.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
LEAST = 1e-6  # spread of a coordinate, as a fraction of the largest; what is below is rounding


@dataclass(frozen=True, eq=False)
class Space:
    """Mean, spread and principal axes of the embeddings of a catalog.

    Parameters
    ----------
    mean, spread : (d,)
    axes : (d, d)
        Orthogonal; columns in order of the variance of the standardised embeddings along them.
    variance : (d,)
    """

    mean: Float
    spread: Float
    axes: Float
    variance: Float

    @classmethod
    def fit(cls, embeddings: Iterable[NDArray]) -> Space:
        """Measure the space, from embeddings that come in pieces (b, d).

        Raises
        ------
        ValueError
            If there are none.
        """
        moments = Moments()
        for piece in embeddings:
            moments.add(piece)
        return moments.space()

    def standard(self, embedding: NDArray) -> NDArray[np.float32]:
        """Return standardised embeddings (n, d)."""
        return ((embedding - self.mean.astype(np.float32)) / self.spread.astype(np.float32)).astype(np.float32)

    def unit(self, embedding: NDArray) -> NDArray[np.float32]:
        """Return unit vectors (n, d) along the principal axes; half the square of their distance is :math:`d`."""
        z = self.standard(embedding) @ self.axes.astype(np.float32)
        norm = np.sqrt(np.einsum("ij,ij->i", z, z))
        return z / np.maximum(norm, np.finfo(np.float32).tiny)[:, None]

    def leading(self, share: float) -> int:
        """Return how many axes have that share of the variance."""
        return int(np.searchsorted(np.cumsum(self.variance) / self.variance.sum(), share)) + 1


class Moments:
    """Sums of embeddings and of their products, about the first one."""

    def __init__(self) -> None:
        self.n = 0

    def add(self, piece: NDArray) -> None:
        """Add embeddings (b, d)."""
        if not len(piece):
            return
        if not self.n:
            self.origin = piece.mean(0, dtype=np.float64)
            self.sum, self.products = np.zeros(piece.shape[1]), np.zeros((piece.shape[1],) * 2)
        x = piece - self.origin
        self.n += len(x)
        self.sum += x.sum(0)
        self.products += x.T @ x

    def space(self) -> Space:
        """Return the space of what was added."""
        if not self.n:
            raise ValueError("no row has an embedding: was no light curve classified?")
        offset = self.sum / self.n
        covariance = self.products / self.n - np.outer(offset, offset)
        spread = np.sqrt(np.maximum(np.diagonal(covariance), 0))
        spread = np.maximum(spread, LEAST * spread.max()) if spread.max() else np.ones_like(spread)
        variance, axes = np.linalg.eigh(covariance / np.outer(spread, spread))
        return Space(self.origin + offset, spread, axes[:, ::-1], np.maximum(variance[::-1], 1e-12))
