"""Periodograms of one light curve: of the brightness as it is, or of the detrended flux that a dense network reads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodricke.data.lightcurves import LightCurves
from goodricke.data.period_answer import period_relation
from goodricke.data.taxonomy import Taxonomy
from goodricke.preprocess.cleaning import align_bands, clip_outliers, distinct_points, finite_points
from goodricke.preprocess.dense import DenseConfig, prepare
from goodricke.preprocess.dense_periods import amplitude_spectrum, period_kind
from goodricke.preprocess.periods import PeriodSearch, periodogram
from goodricke.survey.variability import SearchLimits, highest_frequency, refine_peak, sine_amplitude

Float = NDArray[np.float64]

MAX_FREQUENCIES = 4000  # of a periodogram on the page
PEAKS = 5
MIN_SEPARATION = 1.5  # of two peaks, in natural widths 1 / span
FEW_PPM = 0.01  # relative amplitude below which it is given in ppm
NIGHT = 0.75  # share of a day, in which observations from the ground lie at most
DAILY = 0.003  # [1/d] within which a frequency is one of the nights


def describe_periodogram(
    curve: LightCurves, band: str | None = None, class_name: str | None = None, dense: DenseConfig | None = None
) -> dict[str, Any]:
    """Return a periodogram with what its peaks are: aliases and multiples, and the period to fold on first.

    Parameters
    ----------
    curve, band
        See `periodogram_peaks`.
    class_name : str, optional
        Of the object: for eclipsing and ellipsoidal stars the period is the orbital one, twice that of the peak.
    dense : DenseConfig, optional
        Preprocessing of a network of dense light curves, whose detrended flux is used; then ``power`` is an amplitude.

    Returns
    -------
    dict
        As of `periodogram_peaks`, with ``relation`` of each peak to the highest, ``best``: the period [d] in the
        convention of the class, ``convention`` in words, and ``quantity`` on the vertical axis.
    """
    result = periodogram_peaks(curve, band) if dense is None else detrended_peaks(curve, dense)
    result = {"quantity": "power", "noise": None} | result
    mark_relations(result["peaks"], curve.time[np.isfinite(curve.value)])
    real = [peak for peak in result["peaks"] if not peak["relation"].startswith("1/d")] or result["peaks"]
    is_double = bool(real) and is_orbital(class_name)
    best = real[0]["period"] * (2 if is_double else 1) if real else None
    return result | {"best": best, "convention": "orbital: 2 / f" if is_double else ""}


def is_orbital(class_name: str | None) -> bool:
    """Return whether the period of a class is that of an orbit, with two minima.

    Examples
    --------
    >>> [is_orbital(name) for name in ("EW", "ECLIPSING", "RRAB", None)]
    [True, True, False, False]
    """
    if class_name is None:
        return False
    taxonomy = Taxonomy.shipped()
    leaves = taxonomy.leaves
    if class_name in leaves:
        return leaves[class_name].period == "orbital"
    return period_kind(class_name) == "eclipses"


def mark_relations(peaks: list[dict[str, Any]], time: Float) -> None:
    """Say of each peak how it is related to the highest, and whether it is that of the nights."""
    day = time % 1 if len(time) else time
    filled = np.count_nonzero(np.histogram(day, 24, (0, 1))[0]) / 24
    span = float(np.ptp(time)) if len(time) else 0.0
    for peak in peaks:
        f = peak["frequency"]
        nightly = filled <= NIGHT and span > 5 and round(f) >= 1 and abs(f - round(f)) < max(DAILY, 1 / max(span, 1))
        relation = "" if peak is peaks[0] else period_relation(peaks[0]["period"], peak["period"])
        peak["relation"] = "1/d: the nights" if nightly else relation


def detrended_peaks(curve: LightCurves, config: DenseConfig) -> dict[str, Any]:
    """Return the amplitude spectrum of the detrended flux that a network reads, its noise and significant peaks."""
    frames = prepare(curve, config)
    spectrum = None
    if len(frames.time):
        flux = frames.values[:, 0].astype(np.float64)
        spectrum = amplitude_spectrum(frames.time.astype(np.float64), flux)
    result: dict[str, Any] = {"frequency": [], "power": [], "peaks": [], "band": None, "quantity": "amplitude"}
    if spectrum is None:
        why = frames.status[0] if not len(frames.time) else "no spread in brightness, or too little or too much time"
        return result | {"note": f"no period can be searched: {why}"}
    scale = np.nan if frames.scale is None else float(frames.scale[0])
    factor, unit = (1.0, "std")
    if np.isfinite(scale):
        factor, unit = (1e6 * scale, "ppm") if 3 * scale < FEW_PPM else (100 * scale, "%")
    peaks = [
        {"frequency": f, "period": 1 / f, "power": a * factor, "amplitude": a * factor, "signal_to_noise": ratio}
        for f, a, ratio in spectrum.peaks(PEAKS)
    ]
    frequency, amplitude = _outline(spectrum.frequency, spectrum.amplitude * factor)
    noise = np.interp(frequency, spectrum.frequency, spectrum.noise * factor)
    note = "detrended as the network reads it; peaks above the noise"
    arrays = {"frequency": frequency.tolist(), "power": amplitude.tolist(), "noise": noise.tolist()}
    return result | arrays | {"peaks": peaks, "quantity": f"amplitude [{unit}]", "note": note}


def periodogram_peaks(curve: LightCurves, band: str | None = None) -> dict[str, Any]:
    """Return the Lomb-Scargle periodogram of a light curve and its highest peaks.

    Parameters
    ----------
    curve : LightCurves
        One light curve.
    band : str, optional
        The only band to use; by default all together, each less its median.

    Returns
    -------
    dict
        ``frequency`` [1/d] and ``power`` (0 to 1), the highest in each of `MAX_FREQUENCIES` steps; ``peaks``, at least
        `MIN_SEPARATION` / span apart, with ``amplitude``, the semi-amplitude of the best-fitting sine in the unit of
        the light curve.

    Raises
    ------
    ValueError
        If the light curve has no such band.
    """
    note = "all bands together, each less its median" if len(curve.bands) > 1 else ""
    if band:
        if band not in curve.bands:
            raise ValueError(f"no band {band!r} here: it has {', '.join(curve.bands)}")
        curve, note = curve.where(curve.band == curve.bands.index(band)), f"only band {band}"
    clean = clip_outliers(align_bands(distinct_points(finite_points(curve)).sorted()), sigma=10, rounds=5)
    result: dict[str, Any] = {"frequency": [], "power": [], "peaks": [], "band": band, "note": note}
    if len(clean.time) < 5:
        return result | {"note": f"{len(clean.time)} usable observations: a periodogram needs 5"}
    search = PeriodSearch(shortest=1 / highest_frequency(clean.time, SearchLimits()))
    spectrum = periodogram(clean.time, clean.value, clean.error, search)
    if spectrum is None:
        return result | {"note": "no period can be searched: no spread in brightness, or too little or too much time"}
    frequency, power = spectrum.frequency, spectrum.power
    peaks = [_peak(clean, frequency, power, k) for k in highest_peaks(frequency, power, float(np.ptp(clean.time)))]
    frequency, power = _outline(frequency, np.clip(power, 0, 1))
    return result | {"frequency": frequency.tolist(), "power": power.tolist(), "peaks": peaks}


def highest_peaks(frequency: Float, power: Float, span: float, most: int = PEAKS) -> list[int]:
    """Return the indices of a periodogram's highest peaks, highest first, at least `MIN_SEPARATION` / span apart."""
    inner = np.flatnonzero((power[1:-1] >= power[:-2]) & (power[1:-1] > power[2:])) + 1
    peaks = list[int]()
    for k in inner[np.argsort(-power[inner], kind="stable")][:1000].tolist():
        if all(abs(frequency[k] - frequency[other]) > MIN_SEPARATION / span for other in peaks):
            peaks.append(k)
        if len(peaks) == most:
            break
    return peaks


def _peak(curve: LightCurves, frequency: Float, power: Float, k: int) -> dict[str, float]:
    """Return the peak at index ``k`` of a periodogram."""
    peak = refine_peak(frequency, power, k)
    amplitude = sine_amplitude(curve.time, curve.value, curve.error, curve.band, peak)
    return {"frequency": peak, "period": 1 / peak, "power": float(np.clip(power[k], 0, 1)), "amplitude": amplitude}


def _outline(frequency: Float, power: Float) -> tuple[Float, Float]:
    """Return the highest power in each of `MAX_FREQUENCIES` even steps and its frequency: no peak is lost."""
    if len(power) <= MAX_FREQUENCIES:
        return frequency, power
    starts = np.linspace(0, len(power), MAX_FREQUENCIES + 1).astype(int)[:-1]
    step = np.searchsorted(starts, np.arange(len(power)), side="right") - 1
    order = np.lexsort((power, step))
    highest = order[np.r_[starts[1:], len(power)] - 1]
    return frequency[highest], power[highest]
