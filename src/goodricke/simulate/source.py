"""What every simulated kind of star gives: true parameters that are drawn, and the flux that follows from them.

Stars that do not vary: all one sees in them is the instrument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Drawn = dict[str, NDArray]
Star = dict[str, Any]  # one row of it


class Source(Protocol):
    """A kind of star that light curves can be made of.

    All that is random about a star lies in what `draw` returns, so that `flux` is a pure function, and a row of flux
    follows from the same row of ``drawn`` alone.

    Attributes
    ----------
    kind : str
        The name of its table of parameters, ``"delta_scuti"``.
    label : str
        Its class, ``"DSCT_BCEP"``.
    """

    @property
    def kind(self) -> str:
        """The name of the table of parameters."""

    @property
    def label(self) -> str:
        """The class."""

    def draw(self, n: int, rng: np.random.Generator) -> Drawn:
        """Return the true parameters of ``n`` stars by name, (n,) or (n, k) with NaN where a star has fewer than k."""

    def flux(self, drawn: Drawn, time: Float, exposure: float) -> NDArray[np.float32]:
        """Return relative flux, quiet level 1, (n, T).

        Parameters
        ----------
        drawn : dict of ndarray
            What `draw` returned, or some rows of it.
        time : ndarray (T,) [d]
            Middles of the exposures, ascending, the same for all stars.
        exposure : float [d]
            Length of an exposure, over which the flux is averaged; 0 for none.
        """


def seeds(n: int, rng: np.random.Generator) -> NDArray[np.uint64]:
    """Return a seed for each star's own random processes, (n,)."""
    return rng.integers(0, 2**64, n, dtype=np.uint64)


def rows(drawn: Drawn) -> Iterator[Star]:
    """Yield the parameters of one star after the other."""
    return (dict(zip(drawn, row, strict=True)) for row in zip(*drawn.values(), strict=True))


def averaged(flux: Callable[[Float], NDArray], time: Float, exposure: float, nodes: int = 3) -> NDArray:
    """Return a function of time averaged over exposures by Gauss-Legendre quadrature.

    Parameters
    ----------
    flux : callable
        From times (M,) [d] to values (..., M); smooth on the scale of an exposure.
    time : ndarray (T,) [d]
        Middles of the exposures.
    exposure : float [d]
        Length of an exposure; with 0 the function is evaluated once.
    nodes : int
        Evaluations per exposure: polynomials of degree 2 nodes - 1 are averaged exactly.

    Returns
    -------
    ndarray (..., T)
    """
    if exposure == 0:
        return flux(time)
    places, weights = _quadrature(nodes)
    values = flux((time[:, None] + exposure / 2 * places).ravel())
    return values.reshape(*values.shape[:-1], len(time), nodes) @ (weights / 2).astype(values.dtype)


@cache
def _quadrature(nodes: int) -> tuple[Float, Float]:
    return np.polynomial.legendre.leggauss(nodes)


# ---- Stars that do not vary: all one sees in them is the instrument --------------------------------------------------


class Constant:
    """A star of constant flux 1."""

    kind = "constant"
    label = "CONSTANT"

    def draw(self, n: int, rng: np.random.Generator) -> Drawn:
        """See `Source`."""
        return {"level": np.ones(n)}

    def flux(self, drawn: Drawn, time: Float, exposure: float) -> NDArray[np.float32]:
        """See `Source`."""
        return np.repeat(drawn["level"].astype(np.float32)[:, None], len(time), axis=1)
