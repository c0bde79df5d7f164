"""The best period of a light curve by brute force: harmonic fits at all frequencies in double precision by nifty-ls."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from nifty_ls import lombscargle
from numpy.typing import NDArray

from goodricke.preprocess.candidates import FEWEST, HARMONICS, CandidateSearch

Float = NDArray[np.float64]

OVERSAMPLING = 5  # frequencies per natural width 1 / span
PEAKS = 12  # highest local maxima that are refined


class Best(NamedTuple):
    """The best period [d], and its score as in `goodricke.preprocess.candidates.find_candidates`."""

    period: float
    score: float


def best_period(time: Float, value: Float, weight: Float, search: CandidateSearch) -> Best:
    """Return the period from ``search.shortest`` to the time span with the highest score.

    Parameters
    ----------
    time, value, weight : float64 (N,)
        One light curve of `goodricke.preprocess.candidates.join_bands`.
    search : CandidateSearch
    """
    span = np.ptp(time)
    step = 1 / (OVERSAMPLING * span)
    frequency = np.arange(1 / span, 1 / search.shortest, step)
    r2 = [_power(time, value, weight, frequency, h) for h in range(1, _most(len(time)) + 1)]
    score = _score(np.stack(r2, 1), len(time))
    padded = np.concatenate([[-np.inf], score, [-np.inf]])
    peaks = np.flatnonzero((padded[1:-1] >= padded[:-2]) & (padded[1:-1] >= padded[2:]))
    tried = frequency[peaks[np.argsort(-score[peaks])[:PEAKS]]]
    for width in (step, step / 8, step / 64):
        grid = (tried[:, None] + np.linspace(-width, width, 17)).ravel()
        score = exact_score(time, value, weight, grid).reshape(-1, 17)
        tried = grid.reshape(-1, 17)[np.arange(len(tried)), score.argmax(1)]
    return Best(1 / tried[score.max(1).argmax()], float(score.max()))


def exact_score(time: Float, value: Float, weight: Float, frequency: Float) -> Float:
    """Return the scores (M,) of harmonic fits at given frequencies [1/d], one QR decomposition each."""
    most, root = _most(len(time)), np.sqrt(weight)
    total = (weight * (value - np.average(value, weights=weight)) ** 2).sum()
    r2 = np.empty((len(frequency), most))
    for i, f in enumerate(frequency):
        terms = [np.ones_like(time)]
        for h in range(1, most + 1):
            terms += [np.cos(2 * np.pi * h * f * time), np.sin(2 * np.pi * h * f * time)]
        last = np.linalg.qr(np.stack([*terms, value], 1) * root[:, None], mode="r")[:, -1]
        r2[i] = np.cumsum(last[1:-1] ** 2)[1::2] / total
    return _score(r2, len(time))


def _power(time: Float, value: Float, weight: Float, frequency: Float, harmonics: int) -> Float:
    """Return the fraction of variance (M,) that a harmonic series explains at evenly spaced frequencies."""
    sigma, limits = 1 / np.sqrt(weight), {"fmin": frequency[0], "fmax": frequency[-1], "Nf": len(frequency)}
    return np.nan_to_num(lombscargle(time, value, sigma, **limits, nterms=harmonics, nthreads=1).power)


def _most(count: int) -> int:
    """Return the most harmonics fitted to so many observations."""
    return int(np.clip(count // FEWEST, 1, HARMONICS))


def _score(r2: Float, count: int) -> Float:
    """Return the highest score over the number of harmonics (M,)."""
    h = np.arange(1, r2.shape[1] + 1)
    return (-0.5 * count * np.log1p(-np.clip(r2, 0, 1 - 1e-6)) - h * np.log(count)).max(1)
