"""Events at random times, as a function of a seed and absolute time: the same whenever and however one looks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goodricke.models.masks import STEP, counted, mixed
from goodricke.simulate.source import Float

CANDIDATES = 8  # per mean interval, each with the chance 1 / 8: nearly a Poisson process


def uniforms(seed: np.uint64 | int, index: NDArray[np.integer], count: int) -> Float:
    """Return random numbers in (0, 1) that follow from a seed and each index, (count, *index.shape)."""
    words = mixed(index.astype(np.int64).view(np.uint64) * np.uint64(STEP) + np.uint64(seed))
    bits = counted(mixed(words + np.uint64(1)), count) >> np.uint64(11)
    return (bits.astype(np.float64) + 0.5) * 2.0**-53


def events(seed: np.uint64 | int, rate: float, start: float, stop: float, marks: int) -> tuple[Float, Float]:
    """Return the events between two times.

    Parameters
    ----------
    seed : int
    rate : float [1/d]
    start, stop : float [d]
    marks : int
        Random numbers that come with an event.

    Returns
    -------
    time : ndarray (e,) [d]
        Ascending.
    marks : ndarray (marks, e)
        Uniform in (0, 1).
    """
    index = np.arange(np.floor(start * rate) * CANDIDATES, (np.floor(stop * rate) + 1) * CANDIDATES).astype(np.int64)
    drawn = uniforms(seed, index, marks + 2)
    time = (index // CANDIDATES + drawn[0]) / rate
    happens = (drawn[1] < 1 / CANDIDATES) & (time >= start) & (time <= stop)
    order = np.argsort(time[happens])
    return time[happens][order], drawn[2:, happens][:, order]
