r"""Periods and amplitudes of dense light curves, measured in the detrended flux that the network reads.

The highest peak of the amplitude spectrum is compared with the noise around it, after the series of harmonics of that
peak has been subtracted. Where the flux dips, box least squares (Kovács et al. 2002) look for eclipses: their period is
answered if boxes explain the light curve better than four harmonics do. Odd and even cycles tell P from 2P.

References
----------
- M. Breger et al., 1993, A&A 271, 482: significance of a peak from the mean amplitude around it.
- G. Kovács, S. Zucker & T. Mazeh, 2002, A&A 391, 369: box least squares.
- M. H. Montgomery & D. O'Donoghue, 1999, Delta Scuti Star Newsletter 13, 28: the uncertainty of a frequency.
- J. A. Carter et al., 2008, ApJ 689, 499: the uncertainty of the time of a transit.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from goodricke.data.period_answer import ALTERNATIVES, PeriodAnswer
from goodricke.data.taxonomy import Taxonomy, plain_name
from goodricke.preprocess.candidates import HARMONICS, harmonic_fits
from goodricke.preprocess.dense import DenseConfig, detrending_response
from goodricke.preprocess.periods import PeriodSearch, periodogram
from goodricke.preprocess.tensors import Frames

Float = NDArray[np.float64]
PeriodKind = Literal["none", "plain", "either", "eclipses"]

FEWEST = 20  # points of a light curve that is searched
BOX_SIGNAL = 8.0  # signal to noise of boxes that are eclipses, and share of the variance that they may leave ...
BOX_REST = 0.7  # ... unless the class is one of eclipses
CYCLES = 2  # a period was observed at least so often: longer ones are not called periods
OVERSAMPLING = 5.0  # frequencies per natural width 1 / span
WINDOW = 1.0  # half width [1/d] of the window in which the noise of the spectrum is measured
NARROW = 8.0  # at low frequencies it is half the frequency, but so many natural widths at least
SIGNIFICANT = 0.01  # false-alarm probability below which a peak is a period
ALTERNATING = 4.0  # standard errors by which odd and even cycles differ if the period is twice as long
DIPS = -0.5  # skewness of the flux below which eclipses are looked for whatever the class
PROBABLE = 0.05  # probability of an eclipsing class from which they are looked for
SHORTEST_BOX = 0.3  # days; shorter ones are periods of contact binaries, which are no boxes
WIDEST = 0.2  # of the period: the longest eclipse
BOX_BINS = 120_000_000  # points times periods of one search for boxes: above, the light curve is averaged
LONGEST_CONTACT = 0.25  # days; a contact binary's light curve repeats twice per orbit, and hardly any star spins faster
APERIODIC = frozenset(map(plain_name, ("APERIODIC", "CONSTANT", "INSTRUMENT", "INSTRUMENT/JUNK", "JUNK")))
EITHER = frozenset(map(plain_name, ("CONTACT_ROT", "CONTACT/ROT")))
ECLIPSES = frozenset(map(plain_name, ("ECLIPSE", "ECLIPSING", "EB", "E")))


def period_kind(name: str) -> PeriodKind:
    """Return what the period of a class is: "none", "plain", "eclipses" or, where stars spin or orbit, "either".

    Examples
    --------
    >>> [period_kind(name) for name in ("DSCT_BCEP", "CONTACT_ROT", "ECLIPSE", "INSTRUMENT/JUNK", "EW")]
    ['plain', 'either', 'eclipses', 'none', 'either']
    """
    plain, leaves = plain_name(name), Taxonomy.shipped().leaves
    if plain in APERIODIC:
        return "none"
    if plain in ECLIPSES or name == "EA":
        return "eclipses"
    if plain in EITHER or (name in leaves and leaves[name].period == "orbital"):
        return "either"
    return "none" if name in leaves and leaves[name].period == "none" else "plain"


# ---- the amplitude spectrum -----------------------------------------------------------------------------------------


class AmplitudeSpectrum(NamedTuple):
    """Amplitudes of sines (F,) in the unit of the flux, and of noise alone, at evenly spaced frequencies [1/d]."""

    frequency: Float
    amplitude: Float
    noise: Float  # mean amplitude around each frequency once the strongest signal is subtracted

    def peaks(self, number: int = 5) -> list[tuple[float, float, float]]:
        """Return frequency, amplitude and signal to noise of the highest significant peaks, the highest first.

        They are two natural widths apart at least.
        """
        found: list[tuple[float, float, float]] = []
        for k in _maxima(self.amplitude):
            f, a, ratio = float(self.frequency[k]), float(self.amplitude[k]), float(self.amplitude[k] / self.noise[k])
            apart = 2 * OVERSAMPLING * (self.frequency[1] - self.frequency[0])
            if len(found) == number or _false_alarm(ratio, self) >= SIGNIFICANT:
                break
            if all(abs(f - other[0]) > apart for other in found):
                found.append((f, a, ratio))
        return found


class Measurement(NamedTuple):
    """What was measured in one light curve; flux in the unit of the values, NaN where there is nothing."""

    frequency: float  # of the highest peak [1/d]
    amplitude: float  # of the sine at it
    signal_to_noise: float
    false_alarm_probability: float
    period: float  # [d] where it is significant
    error: float  # [d]
    others: tuple[float, ...]  # other periods [d]
    depth: float  # of the eclipses
    duration: float  # [d]


NOTHING = Measurement(np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, (), np.nan, np.nan)


def amplitude_spectrum(time: Float, flux: Float) -> AmplitudeSpectrum | None:
    """Return the amplitude spectrum of a light curve from two cycles in its span up to its Nyquist frequency.

    Parameters
    ----------
    time : float64 (N,)
        In order [d].
    flux : float64 (N,)
        Detrended.

    Returns
    -------
    AmplitudeSpectrum or None
        None below `FEWEST` points, without spread, or if the times reach too far.
    """
    raw = _amplitudes(time, flux)
    if raw is None:
        return None
    frequency, amplitude = raw
    at = _highest(amplitude)
    rest = amplitude if at is None else _without(time, flux, _refined(frequency, amplitude, at), frequency)
    return AmplitudeSpectrum(frequency, amplitude, _local_mean(frequency, rest, float(np.ptp(time))))


def _amplitudes(time: Float, flux: Float) -> tuple[Float, Float] | None:
    """Return frequencies [1/d] and the amplitudes of sines at them."""
    steps = np.diff(time)
    steps = steps[steps > 0]
    if len(time) < FEWEST or not len(steps):
        return None
    search = PeriodSearch(shortest=2 * float(np.median(steps)), oversampling=OVERSAMPLING)
    spectrum = periodogram(time, flux.astype(np.float32), np.full(len(time), np.nan, np.float32), search)
    if spectrum is None:
        return None
    shown = spectrum.frequency >= CYCLES / np.ptp(time) - spectrum.frequency[0] / OVERSAMPLING * 1.5
    if shown.sum() < 10:
        return None
    amplitude = np.sqrt(2 * np.clip(spectrum.power, 0, 1)) * flux.std()
    return spectrum.frequency[shown], amplitude[shown]


def _without(time: Float, flux: Float, frequency: float, grid: Float) -> Float:
    """Return the amplitudes at ``grid`` [1/d] once the harmonics of a frequency [1/d] are subtracted."""
    rest = _amplitudes(time, flux - _series(time, flux, frequency)[0])
    return np.interp(grid, *rest) if rest is not None else np.zeros(len(grid))


def _series(time: Float, flux: Float, frequency: float) -> tuple[Float, Float]:
    """Return the best series of `HARMONICS` harmonics of a frequency at all times, and its R2 (H,)."""
    fit = harmonic_fits(time, flux, np.full(len(time), 1 / len(time)), np.array([frequency]))
    cycles = frequency * time
    angle = 2 * np.pi * np.multiply.outer(cycles - np.floor(cycles), np.arange(1, HARMONICS + 1))
    c = fit.coefficients[0]
    return c[0] + np.cos(angle) @ c[1::2] + np.sin(angle) @ c[2::2], fit.r2[0]


def _local_mean(frequency: Float, amplitude: Float, span: float) -> Float:
    """Return the mean amplitude in a window around each frequency."""
    half = np.minimum(WINDOW, np.maximum(frequency / 2, NARROW / span))
    total = np.concatenate([[0.0], np.cumsum(amplitude)])
    low, high = (np.searchsorted(frequency, frequency + side) for side in (-half, half))
    return np.maximum((total[high] - total[low]) / np.maximum(high - low, 1), 1e-12)


def _maxima(amplitude: Float) -> NDArray[np.int64]:
    """Return the indices of the local maxima, the highest first."""
    inner = np.flatnonzero((amplitude[1:-1] >= amplitude[:-2]) & (amplitude[1:-1] > amplitude[2:])) + 1
    return inner[np.argsort(-amplitude[inner], kind="stable")]


def _highest(amplitude: Float) -> int | None:
    """Return the index of the highest local maximum."""
    maxima = _maxima(amplitude)
    return int(maxima[0]) if len(maxima) else None


def _refined(frequency: Float, amplitude: Float, k: int) -> float:
    """Return the frequency of a peak by a parabola through its three highest points."""
    left, middle, right = amplitude[k - 1 : k + 2]
    curvature = left - 2 * middle + right
    shift = 0.5 * (left - right) / curvature if curvature < 0 else 0.0
    return float(frequency[k] + shift * (frequency[1] - frequency[0]))


def _false_alarm(ratio: float, spectrum: AmplitudeSpectrum) -> float:
    r"""Return the probability that noise alone has a peak of this ratio to its mean amplitude anywhere.

    Amplitudes of noise have a Rayleigh distribution, :math:`p(> r) = \exp(-\pi r^2 / 4)` for the ratio r to their mean,
    and the spectrum has one independent amplitude per natural width.
    """
    number = max(len(spectrum.frequency) / OVERSAMPLING, 1)
    return float(-np.expm1(number * np.log1p(-min(np.exp(-np.pi / 4 * ratio**2), 1 - 1e-12))))


# ---- one light curve ------------------------------------------------------------------------------------------------


def measure(time: Float, flux: Float, kind: PeriodKind = "plain", with_boxes: bool | None = None) -> Measurement:
    """Measure frequency, amplitude and period of one light curve.

    Parameters
    ----------
    time : float64 (N,)
        In order [d].
    flux : float64 (N,)
        Detrended.
    kind : {"none", "plain", "either", "eclipses"}
        See `period_kind`: whether a period is answered, and twice the period is considered.
    with_boxes : bool, optional
        Whether to look for eclipses; by default if the flux dips or the class is one of eclipses.

    Returns
    -------
    Measurement
    """
    spectrum = amplitude_spectrum(time, flux)
    at = None if spectrum is None else _highest(spectrum.amplitude)
    if spectrum is None or at is None:
        return NOTHING
    f1 = _refined(spectrum.frequency, spectrum.amplitude, at)
    amplitude, ratio = float(spectrum.amplitude[at]), float(spectrum.amplitude[at] / spectrum.noise[at])
    false_alarm = _false_alarm(ratio, spectrum)
    result = NOTHING._replace(
        frequency=f1, amplitude=amplitude, signal_to_noise=ratio, false_alarm_probability=false_alarm
    )
    if kind == "none":
        return result
    if with_boxes is None:
        with_boxes = kind == "eclipses" or _skewness(flux) < DIPS
    boxes = find_boxes(time, flux) if with_boxes else None
    if boxes is not None and _boxes_win(time, flux, f1, boxes, kind):
        return _eclipsing(result, time, flux, boxes)
    if false_alarm >= SIGNIFICANT:
        return result
    result = _sinusoidal(result, time, flux, kind, ratio)
    if kind == "eclipses" and boxes is not None:
        depth, duration = _box_at(time, flux, result.period)
        result = result._replace(depth=depth, duration=duration)
    return result


def _skewness(flux: Float) -> float:
    deviation = flux - np.median(flux)
    width = np.sqrt(np.mean(deviation**2))
    return float(np.mean(deviation**3) / width**3) if width > 0 else 0.0


def _sinusoidal(result: Measurement, time: Float, flux: Float, kind: PeriodKind, ratio: float) -> Measurement:
    """Add the period of the highest peak; for stars that orbit, twice that if odd and even cycles differ."""
    span, f1 = float(np.ptp(time)), result.frequency
    single, double = 1 / f1, 2 / f1
    sigma = 0.44 / (span * ratio)  # of the frequency [1/d]: sqrt(6 / pi) / (pi T S/N)
    orbits = kind in ("either", "eclipses")
    can_double = double <= span / CYCLES and (orbits or _skewness(flux) < DIPS)
    alternates = can_double and _alternates(time, flux, f1)
    is_double = orbits and (alternates or (can_double and kind == "either" and single < LONGEST_CONTACT))
    factor = 2 if is_double else 1
    others = (single,) if is_double else ((double,) if can_double and (orbits or alternates) else ())
    return result._replace(period=factor * single, error=factor * sigma * single**2, others=others)


def _alternates(time: Float, flux: Float, f1: float) -> bool:
    """Return whether odd and even cycles differ: whether the rest has a peak at f1 / 2 or 3 f1 / 2."""
    rest = flux - _series(time, flux, f1)[0]
    raw = _amplitudes(time, rest)
    if raw is None:
        return False
    frequency, amplitude = raw
    noise = _local_mean(frequency, amplitude, float(np.ptp(time)))
    for f in (f1 / 2, 3 * f1 / 2):
        near = np.abs(frequency - f) < 0.3 / np.ptp(time)
        if near.any() and (amplitude[near] / noise[near]).max() > ALTERNATING:
            return True
    return False


# ---- eclipses -------------------------------------------------------------------------------------------------------


class Boxes(NamedTuple):
    """Periodic boxes in one light curve."""

    period: float  # [d]
    duration: float  # [d]
    depth: float  # in the unit of the flux
    middle: float  # time of the middle of an eclipse [d]
    signal_to_noise: float
    rest: float  # variance left, over that of the flux


def find_boxes(time: Float, flux: Float) -> Boxes | None:
    """Find periodic dips by box least squares, None if there are none.

    Parameters
    ----------
    time, flux : float64 (N,)

    Notes
    -----
    Periods from `SHORTEST_BOX` to half the span, evenly spaced in frequency so that boxes shift by a third of the
    shortest duration over the span; then a finer search around the best.
    """
    span, step = float(np.ptp(time)), float(np.median(np.diff(time)))
    longest = span / CYCLES
    if longest <= 2 * SHORTEST_BOX or len(time) < FEWEST:
        return None
    durations = np.geomspace(max(3 * step, 0.06), 0.5, 5)
    durations = durations[durations < WIDEST * longest]
    if not len(durations):
        return None
    model, best = _box_model(time, flux), None
    for group in (durations[:3], durations[3:]):
        if not len(group):
            continue
        shortest = max(SHORTEST_BOX, 1.01 * float(group[-1]) / WIDEST)
        if shortest >= longest:
            continue
        number = int(np.ceil((1 / shortest - 1 / longest) * span / (0.33 * group[0] / longest * shortest / 1.0)))
        number = int(np.clip(number, 200, max(BOX_BINS // len(time) // 50, 400)))
        power = model.power(1 / np.linspace(1 / shortest, 1 / longest, number), group, oversample=5)
        k = int(np.argmax(power.power))
        if np.isfinite(power.power[k]) and (best is None or power.power[k] > best[0]):
            best = (float(power.power[k]), float(power.period[k]))
    return None if best is None else _refined_box(model, time, flux, best[1], durations)


def _box_model(time: Float, flux: Float) -> Any:
    from astropy.timeseries import BoxLeastSquares

    return BoxLeastSquares(time, flux)


def _refined_box(model: Any, time: Float, flux: Float, period: float, durations: Float) -> Boxes | None:
    """Search finely around a period, in all durations that fit it."""
    span = float(np.ptp(time))
    finer = np.unique(np.concatenate([durations, np.geomspace(durations[0], durations[-1], 9)]))
    finer = finer[finer <= WIDEST * period]
    if not len(finer):
        return None
    width = 1.5 * finer[0] / span / period  # of the frequency: where the boxes shift by more than one duration
    near = 1 / (1 / period + np.linspace(-width, width, 61))
    near = near[(near > finer[-1]) & (near <= span / CYCLES * 1.001)]
    if not len(near):
        return None
    power = model.power(near, finer, oversample=10)
    k = int(np.argmax(power.power))
    depth, duration, best = float(power.depth[k]), float(power.duration[k]), float(power.period[k])
    middle = float(power.transit_time[k])
    inside = _inside(time, best, middle, duration)
    if depth <= 0 or inside.sum() < 3 or (~inside).sum() < 3:
        return None
    level = flux[~inside].mean()
    rest = flux - np.where(inside, flux[inside].mean(), level)
    scatter = 1.4826 * np.median(np.abs(rest - np.median(rest))) or rest.std()
    ratio = (level - flux[inside].mean()) / max(scatter / np.sqrt(inside.sum()), 1e-12)
    return Boxes(best, duration, depth, middle, float(ratio), float(rest.var() / max(flux.var(), 1e-300)))


def _inside(time: Float, period: float, middle: float, duration: float) -> NDArray[np.bool_]:
    """Return which times (N,) are in eclipse."""
    return np.abs((time - middle + period / 2) % period - period / 2) <= duration / 2


def _box_at(time: Float, flux: Float, period: float) -> tuple[float, float]:
    """Return depth and duration [d] of the deepest eclipse of a known period."""
    durations = np.geomspace(0.02, WIDEST, 8) * period
    step = float(np.median(np.diff(time)))
    durations = durations[durations > 1.5 * step]
    if not len(durations):
        return np.nan, np.nan
    power = _box_model(time, flux).power(np.array([period]), durations, oversample=10)
    return (float(power.depth[0]), float(power.duration[0])) if power.depth[0] > 0 else (np.nan, np.nan)


def _boxes_win(time: Float, flux: Float, f1: float, boxes: Boxes, kind: PeriodKind) -> bool:
    """Return whether boxes leave less of the variance than four harmonics of the highest peak or of half of it do."""
    if boxes.signal_to_noise < BOX_SIGNAL or (kind != "eclipses" and boxes.rest > BOX_REST):
        return False
    harmonic = min(1 - _series(time, flux, f1 / m)[1][-1] for m in (1, 2))
    return boxes.rest < harmonic


def _eclipsing(result: Measurement, time: Float, flux: Float, boxes: Boxes) -> Measurement:
    """Add period, depth and duration of the boxes; twice the period if odd and even eclipses differ in depth."""
    span = float(np.ptp(time))
    boxes, error = _timed(time, flux, boxes)
    is_double = 2 * boxes.period <= span / CYCLES and _depths_differ(time, flux, boxes)
    factor = 2 if is_double else 1
    single, double = boxes.period, 2 * boxes.period
    others = (single,) if is_double else ((double,) if double <= span / CYCLES else ())
    trials = 1e5 * len(time)
    false_alarm = float(np.exp(min(log_ndtr(-boxes.signal_to_noise) + np.log(trials), 0.0)))
    return result._replace(
        period=factor * single,
        error=factor * error,
        others=others,
        depth=boxes.depth,
        duration=boxes.duration,
        signal_to_noise=boxes.signal_to_noise,
        false_alarm_probability=false_alarm,
    )


def _timed(time: Float, flux: Float, boxes: Boxes) -> tuple[Boxes, float]:
    """Return the boxes with the period of a line through the times of the eclipses, and its standard error [d].

    The time of an eclipse is the centroid of the missing light within a duration of its middle. Of fewer than three
    eclipses the error is that of Carter et al. (2008) for their times.
    """
    number = max(np.ptp(time) / boxes.period, 2.0)
    error = float(boxes.duration / (np.sqrt(2) * boxes.signal_to_noise) * np.sqrt(12 / (number**2 - 1)))
    level = np.median(flux)
    for _ in range(2):
        near = _inside(time, boxes.period, boxes.middle, 2 * boxes.duration) & (flux < level)
        cycle = np.floor((time[near] - boxes.middle) / boxes.period + 0.5).astype(int)
        numbers, which = np.unique(cycle, return_inverse=True)
        lost = np.bincount(which, level - flux[near])
        middle = np.bincount(which, (level - flux[near]) * time[near]) / lost
        full = lost > 0.6 * np.median(lost)
        if full.sum() < 3:
            return boxes, error
        (period, first), covariance = _line(numbers[full].astype(np.float64), middle[full])
        if abs(period / boxes.period - 1) > boxes.duration / boxes.period:
            return boxes, error
        boxes, error = boxes._replace(period=period, middle=first), max(covariance, 1e-7)
    return boxes, error


def _line(x: Float, y: Float) -> tuple[tuple[float, float], float]:
    """Return slope and intercept of a line through points, and the standard error of the slope."""
    slope, intercept = np.polyfit(x, y, 1)
    variance = np.sum((y - slope * x - intercept) ** 2) / (len(x) - 2)
    return (float(slope), float(intercept)), float(np.sqrt(variance / np.sum((x - x.mean()) ** 2)))


def _depths_differ(time: Float, flux: Float, boxes: Boxes) -> bool:
    """Return whether odd and even eclipses differ in depth, by the scatter of single eclipses too."""
    inside = _inside(time, boxes.period, boxes.middle, boxes.duration)
    cycle = np.floor((time[inside] - boxes.middle) / boxes.period + 0.5).astype(int)
    numbers, which = np.unique(cycle, return_inverse=True)
    counts = np.bincount(which)
    mean = np.bincount(which, flux[inside]) / counts
    full = counts >= 0.6 * np.median(counts)
    parity, mean = numbers[full] % 2, mean[full]
    groups = [mean[parity == k] for k in (0, 1)]
    if min(map(len, groups)) < 2:
        return False
    error = np.sqrt(sum(np.var(g, ddof=1) / len(g) for g in groups))
    difference = abs(groups[0].mean() - groups[1].mean())
    return bool(difference > ALTERNATING * error and difference > 0.02 * boxes.depth)


# ---- many light curves ----------------------------------------------------------------------------------------------


def answer_periods(
    frames: Frames, probabilities: NDArray[np.floating], classes: Sequence[str], config: DenseConfig
) -> PeriodAnswer:
    """Return the periods of n dense light curves, each in the convention of its most probable class.

    Parameters
    ----------
    frames : Frames
        See `goodricke.preprocess.dense.prepare`.
    probabilities : (n, C)
        NaN for unusable light curves, which get no answer.
    classes : sequence of str
    config : DenseConfig
        With which the frames were prepared: the amplitude of the sine is corrected for its detrending.
    """
    answer, kinds = PeriodAnswer.measured(len(frames)), [period_kind(name) for name in classes]
    eclipsing = np.array([kind == "eclipses" for kind in kinds])
    scale = np.full(len(frames), np.nan) if frames.scale is None else frames.scale
    for i in np.flatnonzero(np.isfinite(probabilities).all(1)):
        part = slice(frames.offsets[i], frames.offsets[i + 1])
        time, flux = frames.time[part].astype(np.float64), frames.values[part, 0].astype(np.float64)
        with_boxes = True if probabilities[i, eclipsing].sum() >= PROBABLE else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            result = measure(time, flux, kinds[int(probabilities[i].argmax())], with_boxes)
        _fill(answer, int(i), result, float(scale[i]), _left_by_detrending(result.frequency, time, config))
    return answer


def _left_by_detrending(frequency: float, time: Float, config: DenseConfig) -> float:
    """Return the fraction of a sine's amplitude that is left by detrending."""
    if not np.isfinite(frequency):
        return np.nan
    return float(detrending_response(np.array([frequency]), config, float(np.median(np.diff(time))))[0])


def _fill(answer: PeriodAnswer, i: int, x: Measurement, scale: float, response: float) -> None:
    """Write a measurement into the answer; ``scale`` makes relative flux of the values."""
    numbers = {
        "period": x.period,
        "error": x.error,
        "false_alarm_probability": x.false_alarm_probability,
        "frequency": x.frequency,
        "amplitude": x.amplitude * scale / response,
        "signal_to_noise": x.signal_to_noise,
        "depth": x.depth * scale,
        "duration": x.duration,
    }
    for name, value in numbers.items():
        getattr(answer, name)[i] = value
    answer.alternatives[i, : len(x.others[:ALTERNATIVES])] = x.others[:ALTERNATIVES]
