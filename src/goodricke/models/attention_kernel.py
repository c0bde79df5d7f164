"""The inner loops of attention, compiled by numba; imported only where numba is installed.

Many queries are computed together, each in a lane of the processor's vectors, against one key after another, without
storing the scores. Weights are relative to a bound on each query's scores (Cauchy-Schwarz), which saves the pass for
their maximum; where the bound is far too high, the maximum is computed after all.
"""

from __future__ import annotations

from math import factorial, log
from typing import Any

import numba
import numpy as np
from numba.core import types
from numba.extending import intrinsic
from numpy import float32, int32

QUERIES = 128  # computed together: their sums fit in the first-level cache
SMALLEST_TOTAL = float32(1e-20)  # below this, a sum of weights has lost digits
LOWEST = float32(-3e38)
C1, C2, C3, C4, C5, C6 = (float32(log(2) ** k / factorial(k)) for k in range(1, 7))  # 2^r, |r| <= 1/2, to 1e-7


@intrinsic
def _bits_as_float32(typing: Any, bits: Any) -> Any:
    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(types.float32))

    return types.float32(types.int32), make


@numba.njit(fastmath=True, inline="always")
def _power_of_two(x: Any) -> Any:
    """Return 2^x for x <= 0."""
    x = max(x, float32(-126))
    integer = int32(x - float32(0.5))  # rounds, as x is not above 0
    r = x - float32(integer)
    fraction = float32(1) + r * (C1 + r * (C2 + r * (C3 + r * (C4 + r * (C5 + r * C6)))))
    return fraction * _bits_as_float32(int32((integer + int32(127)) << int32(23)))  # type: ignore[call-arg]


@numba.njit(fastmath=True, inline="always")
def _weigh(q: Any, k: Any, v: Any, top: Any, total: Any, sums: Any, places: Any) -> None:
    """Sum the weights of all keys, and their values by weight (width, QUERIES), two keys at a time."""
    width = len(places)
    total[:], sums[:] = float32(0), float32(0)
    even = len(k) - len(k) % 2
    for j in range(0, even, 2):
        for i in range(QUERIES):
            a, b = q[0, i] * k[j, 0], q[0, i] * k[j + 1, 0]
            for d in range(1, width):
                a += q[d, i] * k[j, d]
                b += q[d, i] * k[j + 1, d]
            a, b = _power_of_two(a - top[i]), _power_of_two(b - top[i])
            total[i] += a + b
            for d in range(width):
                sums[d, i] += a * v[j, d] + b * v[j + 1, d]
    for j in range(even, len(k)):
        for i in range(QUERIES):
            a = q[0, i] * k[j, 0]
            for d in range(1, width):
                a += q[d, i] * k[j, d]
            a = _power_of_two(a - top[i])
            total[i] += a
            for d in range(width):
                sums[d, i] += a * v[j, d]


@numba.njit(fastmath=True, nogil=True, cache=True)
def attend(queries: Any, keys: Any, values: Any, n: Any, out: Any, places: Any) -> None:
    """Attend in R rows, each a head of a light curve; needs no interpreter lock.

    Parameters
    ----------
    queries, keys, values : float32 (R, T, width)
        Queries times log2(e) / sqrt(width).
    n : int64 (R,)
        Number of keys of each row.
    out : float32 (R, T, width)
        The result is written to it.
    places : tuple (width,)
        Any integers: the compiler knows its length and unrolls the loops over it.
    """
    T, width = queries.shape[1], len(places)
    q, sums = np.empty((width, QUERIES), float32), np.empty((width, QUERIES), float32)
    total, top = np.empty(QUERIES, float32), np.empty(QUERIES, float32)
    for row in range(len(queries)):
        k, v = keys[row, : n[row]], values[row, : n[row]]
        longest = float32(0)
        for j in range(len(k)):
            longest = max(longest, (k[j] * k[j]).sum())
        for start in range(0, T, QUERIES):
            for i in range(QUERIES):
                query = queries[row, min(start + i, T - 1)]
                top[i] = np.sqrt((query * query).sum() * longest)
                q[:, i] = query
            for attempt in range(2):  # one call, not two: it is compiled in place, which takes seconds
                if attempt == 1:
                    if total.min() >= SMALLEST_TOTAL:
                        break
                    top[:] = LOWEST
                    for j in range(len(k)):
                        for i in range(QUERIES):
                            score = q[0, i] * k[j, 0]
                            for d in range(1, width):
                                score += q[d, i] * k[j, d]
                            top[i] = max(top[i], score)
                _weigh(q, k, v, top, total, sums, places)
            for i in range(min(QUERIES, T - start)):
                for d in range(width):
                    out[row, start + i, d] = sums[d, i] / total[i]
