"""Statistics over ragged arrays: many light curves of different length in one flat array.

Light curve ``i`` owns ``values[offsets[i]:offsets[i + 1]]``. Every function is a few whole-array operations, whatever
the number of light curves; an empty light curve gives NaN (0 for sums).
"""

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]


def lengths(offsets: Int) -> Int:
    """Return the number of points of each light curve, (n,)."""
    return np.diff(offsets)


def owner(offsets: Int) -> Int:
    """Return the index of the light curve each point belongs to, (N,)."""
    return np.repeat(np.arange(len(offsets) - 1), lengths(offsets))


def offsets_from_counts(counts: NDArray[np.integer]) -> Int:
    """Return offsets (n + 1,) of light curves with the given numbers of points (n,)."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def spread(per_curve: NDArray, offsets: Int) -> NDArray:
    """Repeat one number per light curve, (n,), over its points, (N,)."""
    return np.repeat(per_curve, lengths(offsets), axis=0)


def total(values: NDArray, offsets: Int) -> Float:
    """Return the sum of each light curve in float64, (n,)."""
    counts = lengths(offsets)
    result = np.zeros(len(counts))
    filled = counts > 0
    if filled.any():  # reduceat gives the wrong answer for empty segments, so it sees only the others
        result[filled] = np.add.reduceat(values.astype(np.float64, copy=False), offsets[:-1][filled])
    return result


def mean(values: NDArray, offsets: Int) -> Float:
    """Return the mean of each light curve, (n,)."""
    with np.errstate(invalid="ignore"):
        return total(values, offsets) / lengths(offsets)


def std(values: NDArray, offsets: Int) -> Float:
    """Return the standard deviation (ddof 0) of each light curve, (n,), computed in two passes."""
    return np.sqrt(mean((values - spread(mean(values, offsets), offsets)) ** 2, offsets))


def extreme(values: NDArray, offsets: Int, ufunc: np.ufunc) -> Float:
    """Return ``np.minimum`` or ``np.maximum`` over each light curve, (n,)."""
    filled = lengths(offsets) > 0
    result = np.full(len(filled), np.nan)
    if filled.any():
        result[filled] = ufunc.reduceat(values, offsets[:-1][filled])
    return result


def sort_within(values: NDArray[np.float32], offsets: Int) -> NDArray[np.float32]:
    """Sort the float32 values of each light curve, (N,).

    One sort of 64-bit keys: the light curve's index in the high half, the value's bits (made monotonic) in the low.
    NaN sorts last, whatever its sign.
    """
    values = np.ascontiguousarray(values, np.float32)
    bits = np.where(np.isnan(values), np.uint32(0x7FC00000), values.view(np.uint32))
    flip = np.where(bits >> 31, np.uint32(0xFFFFFFFF), np.uint32(0x80000000))
    keys = owner(offsets).astype(np.uint64) << np.uint64(32) | (bits ^ flip)
    keys.sort()
    low = keys.astype(np.uint32)
    return (low ^ np.where(low >> 31, np.uint32(0x80000000), np.uint32(0xFFFFFFFF))).view(np.float32)


def quantile(values: NDArray[np.float32], offsets: Int, q: float) -> Float:
    """Return the ``q`` quantile (linear interpolation) of each light curve, (n,)."""
    return sorted_quantile(sort_within(values, offsets), offsets, q)


def sorted_quantile(ordered: NDArray[np.float32], offsets: Int, q: float) -> Float:
    """Return the ``q`` quantile of light curves already sorted by `sort_within`, (n,)."""
    counts = lengths(offsets)
    result = np.full(len(counts), np.nan)
    filled = counts > 0
    position = q * (counts[filled] - 1)
    low = np.floor(position).astype(np.int64)
    high = np.minimum(low + 1, counts[filled] - 1)
    start = offsets[:-1][filled]
    below = ordered[start + low].astype(np.float64)
    between = position - low
    with np.errstate(invalid="ignore"):  # exactly on a point nothing is added, not 0 times an infinite neighbour
        result[filled] = below + np.where(between > 0, between * (ordered[start + high] - below), 0.0)
    return result


def median(values: NDArray[np.float32], offsets: Int) -> Float:
    """Return the median of each light curve, (n,)."""
    return quantile(values, offsets, 0.5)


def differences(values: NDArray, offsets: Int) -> NDArray:
    """Return each value minus the one before it, (N,); NaN for the first of each light curve."""
    with np.errstate(invalid="ignore"):  # of two infinities
        result = np.diff(np.asarray(values, np.float64), prepend=np.nan)
    result[offsets[:-1][lengths(offsets) > 0]] = np.nan
    return result


def first_of_each(*keys: NDArray, best: NDArray | None = None) -> NDArray[np.bool_]:
    """Mark the first row (N,) of each combination of keys, or the one with the largest ``best``.

    Parameters
    ----------
    *keys : array (N,)
        Rows with equal keys form a group. NaN equals nothing, itself included.
    best : array (N,), optional
        The row with the largest number represents its group; of equal ones the first.
    """
    order = np.lexsort(keys if best is None else (-best, *keys))  # stable: equal rows keep their order
    new = np.ones(len(order), bool)
    new[1:] = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
    result = np.zeros(len(order), bool)
    result[order] = new
    return result


def select(keep: NDArray[np.bool_], offsets: Int) -> Int:
    """Return the offsets (n + 1,) that remain when only the points in ``keep`` (N,) are kept."""
    return offsets_from_counts(total(keep, offsets).astype(np.int64))


def gather(rows: NDArray[np.integer], offsets: Int) -> tuple[Int, Int]:
    """Return the points (N',) of the light curves ``rows`` (n',) one after the other, and their offsets (n' + 1,)."""
    chosen = offsets_from_counts(lengths(offsets)[rows])
    return np.arange(chosen[-1]) + spread(offsets[rows] - chosen[:-1], chosen), chosen
