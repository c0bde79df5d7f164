"""Sums of sinusoids: fast, averaged over the exposure exactly, with combination frequencies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goodricke.simulate.source import Drawn, Float

Modes = tuple[Float, Float, Float]  # frequency [1/d], amplitude [relative flux], phase [cycles], (n, k) each
CHUNK = 1 << 18  # modes times observations held at once


def sinusoids(time: Float, frequency: Float, amplitude: Float, phase: Float, exposure: float) -> NDArray[np.float32]:
    """Return sums of a cos 2 pi (f t + phase), averaged over exposures, that is times sinc(f exposure).

    Parameters
    ----------
    time : ndarray (T,) [d]
    frequency, amplitude, phase : ndarray (n, k) [1/d, any, cycles]
        Rows with fewer than k have NaN as frequency.
    exposure : float [d]

    Returns
    -------
    ndarray (n, T)
        In the amplitude's unit. Phases are reduced in float64, cosines taken in float32.
    """
    result = np.zeros((len(frequency), len(time)), np.float32)
    for row, f, a, p in zip(result, frequency, amplitude, phase, strict=True):
        real = np.isfinite(f)
        f, p, a = f[real], p[real], (a[real] * np.sinc(f[real] * exposure)).astype(np.float32)
        step = max(CHUNK // max(len(f), 1), 1)
        for start in range(0, len(time), step):
            cycles = np.multiply.outer(f, time[start : start + step])
            cycles += p[:, None]
            cycles -= np.rint(cycles)
            angle = (2 * np.pi * cycles).astype(np.float32)
            row[start : start + step] = np.einsum("k,kt->t", a, np.cos(angle, out=angle))
    return result


def strongest(count: NDArray, most: int, modes: Modes) -> Modes:
    """Return the ``count`` (n,) strongest sinusoids of each row, strongest first, padded with NaN to (n, most)."""
    frequency, amplitude, phase = modes
    order = np.argsort(-np.where(np.isfinite(frequency), amplitude, -np.inf), axis=1, kind="stable")
    order = order[:, :most]
    f, a, p = (np.take_along_axis(values, order, axis=1) for values in (frequency, amplitude, phase))
    spare = ~np.isfinite(f) | (np.arange(f.shape[1]) >= np.asarray(count)[:, None])
    return np.where(spare, np.nan, f), np.where(spare, np.nan, a), np.where(spare, np.nan, p)


def with_combinations(modes: Modes, nonlinearity: Float, parents: int = 4) -> Modes:
    """Add what a nonlinear response ``x + nonlinearity x**2`` makes of the strongest modes x.

    Harmonics, sums and differences of the first ``parents`` columns have the amplitudes and phases that
    make the maxima sharp (nonlinearity > 0) or the minima [1]_.

    References
    ----------
    .. [1] Kurtz et al. 2015, MNRAS 450, 3015
    """
    f, a, p = (values[:, :parents] for values in modes)
    i, j = np.triu_indices(f.shape[1])
    product = nonlinearity[:, None] * a[:, i] * a[:, j] * np.where(i == j, 0.5, 1.0)
    apart = i != j
    sums = f[:, i] + f[:, j], product, p[:, i] + p[:, j]
    differences = (f[:, i] - f[:, j])[:, apart], product[:, apart], (p[:, i] - p[:, j])[:, apart]
    turned = np.where(differences[0] < 0, -1.0, 1.0)
    differences = differences[0] * turned, differences[1], differences[2] * turned
    joined = [np.concatenate(three, axis=1) for three in zip(modes, sums, differences, strict=True)]
    f, a, p = joined
    negative = a < 0
    return f, np.abs(a), np.where(negative, p + 0.5, p)


def scaled(modes: Modes, largest: Float) -> Modes:
    """Scale amplitudes (n, k) so that the largest of each row is ``largest`` (n,)."""
    f, a, p = modes
    top = np.fmax.reduce(a, axis=1, initial=0.0)
    return f, a * np.divide(largest, top, out=np.zeros_like(top), where=top > 0)[:, None], p


def named(modes: Modes) -> Drawn:
    """Return modes under the names that they have among true parameters."""
    return dict(zip(("frequency", "mode_amplitude", "mode_phase"), modes, strict=True))


def beside(*several: Modes) -> Modes:
    """Return several sets of modes of the same stars as one."""
    f, a, p = (np.concatenate(values, axis=1) for values in zip(*several, strict=True))
    return f, a, p
