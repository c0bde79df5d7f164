"""Confidence intervals: bootstrap over stars, Wilson, Clopper-Pearson and Student's t; Holm's correction.

The bootstrap resamples stars with all their light curves, because the light curves of one star are not independent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]
MOST_WEIGHTS = 5_000_000  # in memory together
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

    @classmethod
    def from_dict(cls, record: Mapping[str, float | None] | None) -> Estimate:
        """Return the estimate that `to_dict` made ``record`` of; NaN for None."""
        values = ((record or {}).get(name) for name in cls._fields)
        return cls(*(np.nan if x is None else float(x) for x in values))


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


def bootstrap_sums(sums: Any, resamples: int, seed: int) -> Float:
    """Return the column sums of ``resamples`` bootstrap samples of the rows (stars), (resamples, width).

    A sample of S stars with replacement is a row of weights, the number of times that each star is drawn; its sums are
    ``weights @ sums``.
    """
    stars, width = sums.shape
    parts = [weights @ sums for weights in _weights(stars, resamples, np.random.default_rng(seed))]
    return np.concatenate(parts) if parts else np.zeros((0, width))


def _weights(stars: int, resamples: int, rng: np.random.Generator) -> Iterator[Float]:
    """Yield the number of times that each star is drawn, (r, stars), in batches of resamples."""
    step = max(MOST_WEIGHTS // stars, 1)
    for done in range(0, resamples, step):
        rows = min(step, resamples - done)
        drawn = rng.integers(stars, size=(rows, stars)) + stars * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * stars).reshape(rows, stars).astype(np.float64)


def percentile_interval(samples: Float) -> Float:
    """Return the central 95 % of bootstrap samples (R, ...), as (2, ...): low and high, NaN where all are NaN."""
    tail = (1 - LEVEL) / 2
    result = np.full((2, *samples.shape[1:]), np.nan)
    defined = ~np.isnan(samples).all(axis=0)  # nanquantile would warn of the others
    if len(samples):
        result[:, defined] = np.nanquantile(samples[:, defined], [tail, 1 - tail], axis=0)
    return result


def absolute_sum_interval(samples: Float, gaps: Float, n: Float, value: float) -> Float:
    r"""Return the 95 % interval (2,) of a sum of absolute differences over a count, such as a calibration error.

    Parameters
    ----------
    samples : (R, B)
        Bootstrap sums of the differences.
    gaps : (B,)
        Their sums over the sample.
    n : (R,)
        Bootstrap counts.
    value : float
        :math:`\sum_b |g_b| / n` of the sample.

    Notes
    -----
    Absolute values make such a figure too large, and once more in resamples: percentiles of :math:`v^*` miss the true
    value nearly always. The basic interval :math:`[2 v - v^*_{0.975}, 2 v - v^*_{0.025}]` takes the bias out (Davison &
    Hinkley 1997, section 5.2); it is extended to the estimate v itself. If the true differences were 0, the figure
    would be distributed as :math:`\sum_b |g^*_b - g_b| / n^*`: an estimate within its lower 97.5 % is compatible with
    0, and the interval then begins there.
    """
    if not len(samples):
        return np.full(2, np.nan)
    low, high = 2 * value - percentile_interval(np.abs(samples).sum(1) / n)[::-1]
    by_chance = percentile_interval(np.abs(samples - gaps).sum(1) / n)[1]
    return np.clip([0.0 if value <= by_chance else min(low, value), max(high, value)], 0, 1)


def wilson(rate: Float | float, n: NDArray[np.number] | float) -> tuple[Float, Float]:
    """Return the 95 % Wilson intervals of fractions (...) of n (...) trials, which stay within 0 and 1."""
    n = np.maximum(n, 1e-9)  # of no trial: 0 to 1
    centre = (rate + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(rate * (1 - rate) / n + Z**2 / (4 * n**2.0))
    return np.minimum(np.maximum(centre - half, 0), rate), np.maximum(np.minimum(centre + half, 1), rate)


def replace_flat(bounds: Float, other: Any) -> Float:
    """Return ``bounds`` (2, ...), ``other`` (2, ...) where they have no width: all resamples of 3 of 3 are 3 of 3."""
    return np.where(bounds[0] == bounds[1], other, bounds)


def clopper_pearson(k: int, n: int) -> Estimate:
    """Return the fraction k / n with its exact two-sided 95 % interval (Clopper & Pearson 1934); NaN where n is 0.

    It takes the n trials as independent.
    """
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan)
    tail = (1 + LEVEL) / 2
    return Estimate(k / n, float(exact_lower_bound(k, n, tail)), 1 - float(exact_lower_bound(n - k, n, tail)))


def proportion(success: NDArray[np.bool_]) -> Estimate:
    """Return the fraction of true values among n independent ones (n,) with its `clopper_pearson` interval."""
    return clopper_pearson(int(success.sum()), len(success))


def exact_lower_bound(k: ArrayLike, n: ArrayLike, confidence: float) -> Float:
    """Return the one-sided Clopper-Pearson lower bound of fractions k / n (...); 0 where k is 0."""
    from scipy.stats import beta

    k, n = np.asarray(k, np.float64), np.asarray(n, np.float64)
    return np.where(k > 0, beta.ppf(1 - confidence, np.maximum(k, 1), n - k + 1), 0.0)


def mean_estimate(amount: NDArray, star: Any = None, resamples: int = 1000, seed: int = 0) -> Estimate:
    """Return the mean of numbers (n,) with its interval from drawing stars; of truth values it is a proportion."""
    zero = np.zeros(len(amount), np.int64)
    sums = star_sums(star_numbers(star, len(amount)), [(zero, amount), (zero + 1, np.ones(len(amount)))], 2)
    samples, value = bootstrap_sums(sums, resamples, seed), float(np.mean(amount))
    bounds = percentile_interval(samples[:, 0] / samples[:, 1])
    if amount.dtype == bool:
        bounds = replace_flat(bounds, wilson(value, sums.shape[0]))
    return Estimate(value, *map(float, bounds))


def star_numbers(star: Any, n: int) -> NDArray:
    """Return the star (n,) of each of n light curves: ``star``, or a number of its own for each light curve."""
    star = np.arange(n) if star is None else np.asarray(star)
    if len(star) != n:
        raise ValueError(f"{len(star)} stars for {n} light curves")
    return star


def count_stars(sums: Any, group: NDArray[np.int64], groups: int) -> NDArray[np.int64]:
    """Return the number of stars (groups,) that add to any column of each group.

    Parameters
    ----------
    sums : sparse array (stars, width)
        See `star_sums`.
    group : (width,)
        The group of each column.
    groups : int
    """
    star, column = sums.nonzero()
    pairs = np.unique(star.astype(np.int64) * groups + group[column])
    return np.bincount(pairs % groups, minlength=groups)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return p-values (m,) corrected for m tests by Holm's (1979) step-down method; NaN stays and does not count.

    Rejecting those below a level keeps the probability of any false rejection below that level, whatever the
    dependence of the tests.

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
