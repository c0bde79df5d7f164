"""SplitMix64 (Steele, Lea & Flood 2014): well-mixed 64-bit words as a function of words, without state."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STEP, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # constants of SplitMix64
SHIFTS = (30, 27, 31)


def splitmix64(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return 64-bit words whose every bit depends on every bit of ``words``, any shape."""
    result = words.copy()
    splitmix64_in_place(result, np.empty_like(result))
    return result


def splitmix64_in_place(words: NDArray[np.uint64], spare: NDArray[np.uint64]) -> None:
    """Mix ``words`` in place, with ``spare`` memory of the same shape."""
    for shift, factor in zip(SHIFTS, (FIRST, SECOND, 1), strict=True):
        np.right_shift(words, np.uint64(shift), out=spare)
        np.bitwise_xor(words, spare, out=words)
        if factor != 1:
            np.multiply(words, np.uint64(factor), out=words)


def derive_keys(keys: NDArray[np.uint64], count: int) -> NDArray[np.uint64]:
    """Derive ``count`` keys from each key, (count, *keys.shape)."""
    steps = np.arange(count, dtype=np.uint64).reshape(-1, *[1] * keys.ndim) * np.uint64(STEP)
    return splitmix64(keys + steps)
