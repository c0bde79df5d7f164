"""What every simulated kind of star has: true parameters that are drawn, and the flux that follows from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Truth = dict[str, NDArray]  # true parameters of stars by name, (n,) or (n, k)
Star = dict[str, Any]  # those of one star


class Source(Protocol):
    """A kind of star that light curves can be made of.

    All randomness of a star lies in what `draw` returns, so that `flux` is a pure function, and a row of flux follows
    from the same row of ``truth`` alone.

    Attributes
    ----------
    kind : str
        The name of its table of parameters, ``"delta_scuti"``.
    """

    @property
    def kind(self) -> str:
        """The name of the table of parameters."""

    def draw(self, n: int, rng: np.random.Generator) -> Truth:
        """Return the true parameters of ``n`` stars by name, (n,) or (n, k) with NaN where a star has fewer than k."""

    def flux(self, truth: Truth, time: Float, exposure: float) -> NDArray[np.float32]:
        """Return relative flux, quiet level 1, (n, T).

        Parameters
        ----------
        truth : dict of ndarray
            What `draw` returned, or some rows of it.
        time : ndarray (T,) [d]
            Middles of the exposures, ascending, the same for all stars.
        exposure : float [d]
            Length of an exposure, over which the flux is averaged; 0 for none.
        """


class Constant:
    """A star of constant flux 1."""

    kind = "constant"

    def draw(self, n: int, rng: np.random.Generator) -> Truth:
        """See `Source`."""
        return {"level": np.ones(n)}

    def flux(self, truth: Truth, time: Float, exposure: float) -> NDArray[np.float32]:
        """See `Source`."""
        return np.repeat(truth["level"].astype(np.float32)[:, None], len(time), axis=1)


class Measurement(NamedTuple):
    """What an instrument or survey measures of n sources, (n, T) each."""

    value: NDArray
    error: NDArray
    valid: NDArray[np.bool_]  # neither missing, flagged nor below the limit: the others mean nothing


def seeds(n: int, rng: np.random.Generator) -> NDArray[np.uint64]:
    """Return a seed for the random processes of each star, (n,)."""
    return rng.integers(0, 2**64, n, dtype=np.uint64)


def iterate_stars(truth: Truth) -> Iterator[Star]:
    """Yield the parameters of one star after the other."""
    return (dict(zip(truth, row, strict=True)) for row in zip(*truth.values(), strict=True))


def take_stars(truth: Truth, rows: NDArray | slice) -> Truth:
    """Return the parameters of some stars."""
    return {name: values[rows] for name, values in truth.items()}


def exposure_mean(flux: Callable[[Float], NDArray], time: Float, exposure: float, nodes: int = 3) -> NDArray:
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


def exposure_means(
    flux: Callable[[Star, Float], NDArray], truth: Truth, time: Float, exposure: float, nodes: int = 3
) -> NDArray:
    """Return a function of one star and time for all stars (n, T), averaged over exposures as by `exposure_mean`."""
    return np.stack([exposure_mean(partial(flux, star), time, exposure, nodes) for star in iterate_stars(truth)])


@cache
def _quadrature(nodes: int) -> tuple[Float, Float]:
    return np.polynomial.legendre.leggauss(nodes)
