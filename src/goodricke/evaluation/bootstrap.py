"""Bootstrap over stars: resample whole stars, because the light curves of one star are not independent.

Corrections for asking many questions of one set of data.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]
AT_ONCE = 5_000_000  # weights in memory together
LEVEL = 0.95
Z = 1.96  # of the 95 % Wilson interval


class Estimate(NamedTuple):
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return self.text()

    def text(self, form: str = ".3f") -> str:
        """Return value and interval as text, each number in a format such as ``.3f`` or ``.4g``."""
        return "-" if np.isnan(self.value) else f"{self.value:{form}} [{self.low:{form}}, {self.high:{form}}]"

    def to_dict(self) -> dict[str, float | None]:
        """Return the numbers by name for JSON; NaN becomes None."""
        return {name: None if np.isnan(x) else x for name, x in self._asdict().items()}


def star_sums(star: NDArray, columns: list[tuple[NDArray[np.int64], NDArray]], width: int) -> Any:
    """Return what each star adds to sums over light curves, a sparse array (stars, width).

    Parameters
    ----------
    star : (n,)
    columns : list of pairs (column (n,), amount (n,))
        Each light curve adds ``amount`` to ``column`` of its star's row.
    width : int
    """
    from scipy.sparse import coo_array

    _, index = np.unique(star, return_inverse=True)
    rows = np.tile(index, len(columns))
    column = np.concatenate([c for c, _ in columns])
    amount = np.concatenate([a for _, a in columns]).astype(np.float64)
    return coo_array((amount, (rows, column)), shape=(int(index.max()) + 1, width)).tocsr()


def resampled(sums: Any, resamples: int, seed: int) -> Float:
    """Return the column sums of ``resamples`` bootstrap samples of the rows (stars), (resamples, width).

    A sample of S stars with replacement is how often each was drawn, a row of weights; the sums are weights @ sums.
    """
    stars, width = sums.shape
    parts = [weights @ sums for weights in _weights(stars, resamples, np.random.default_rng(seed))]
    return np.concatenate(parts) if parts else np.zeros((0, width))


def _weights(stars: int, resamples: int, rng: np.random.Generator) -> Iterator[Float]:
    """Yield how often each star is drawn, (r, stars), for some resamples at a time."""
    step = max(AT_ONCE // stars, 1)
    for done in range(0, resamples, step):
        rows = min(step, resamples - done)
        drawn = rng.integers(stars, size=(rows, stars)) + stars * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * stars).reshape(rows, stars).astype(np.float64)


def interval(samples: Float) -> Float:
    """Return the central 95 % of bootstrap samples (R, ...), as (2, ...): low and high, NaN where all are NaN."""
    tail = (1 - LEVEL) / 2
    result = np.full((2, *samples.shape[1:]), np.nan)
    some = ~np.isnan(samples).all(axis=0)  # nanquantile would warn of the others
    if len(samples):
        result[:, some] = np.nanquantile(samples[:, some], [tail, 1 - tail], axis=0)
    return result


def without_bias(samples: Float, value: float) -> Float:
    """Return the central 95 % of bootstrap samples (R,) of a figure that is larger in resamples than in the sample.

    As is a sum of absolute gaps. The interval (2,) is moved down by the bootstrap's own bias (Efron & Tibshirani 1993,
    section 10.2).
    """
    return interval(samples - max(samples.mean() - value, 0)) if len(samples) else interval(samples)


def wilson(rate: Float | float, n: NDArray[np.number] | float) -> tuple[Float, Float]:
    """Return the 95 % Wilson intervals of fractions (...) of n (...) trials, which stay within 0 and 1."""
    n = np.maximum(n, 1e-9)  # of no trial: 0 to 1
    centre = (rate + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(rate * (1 - rate) / n + Z**2 / (4 * n**2.0))
    return np.minimum(np.maximum(centre - half, 0), rate), np.maximum(np.minimum(centre + half, 1), rate)


def unless_flat(bounds: Float, other: Any) -> Float:
    """Return intervals (2, ...), others (2, ...) where they have no width: all resamples of 3 of 3 are 3 of 3."""
    return np.where(bounds[0] == bounds[1], other, bounds)


def stars_with(sums: Any, group: NDArray[np.int64], groups: int) -> NDArray[np.int64]:
    """Return how many stars add to any column of each group, (groups,).

    Parameters
    ----------
    sums : sparse array (stars, width)
        See `star_sums`.
    group : (width,)
        Which group each column is of.
    groups : int
    """
    star, column = sums.nonzero()
    pairs = np.unique(star.astype(np.int64) * groups + group[column])
    return np.bincount(pairs % groups, minlength=groups)


# ---- Corrections for asking many questions of one set of data --------------------------------------------------------


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return p-values (m,) corrected by Holm's (1979) step-down method, NaN left out.

    Rejecting those below a level keeps the probability of any false rejection below it, whatever the tests'
    dependence.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, np.float64)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    result = np.full(len(p), np.nan)
    result[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1)
    return result
