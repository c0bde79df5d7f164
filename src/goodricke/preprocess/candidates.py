"""Candidate periods of sparse light curves in one or several bands.

The bands of a light curve are brought to one amplitude and joined. One Fourier transform of the joined light curve
gives its power at all frequencies, and sums of that power over a frequency and its multiples find shapes that are no
sines: eclipses, sawtooths. The highest peaks are refined and compared by exact fits of harmonic series.

References
----------
- R. V. Baluev, 2008, MNRAS 385, 1279: the false-alarm probability of a periodogram's highest peak.
- M. H. Montgomery & D. O'Donoghue, 1999, Delta Scuti Star Newsletter 13, 28: the uncertainty of a frequency.
"""

from __future__ import annotations

from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import gammaln

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.preprocess.periods import MOST_FREQUENCIES

Float = NDArray[np.float64]
Int = NDArray[np.int64]

FEWEST = 5  # observations of a light curve that is searched, of a band whose amplitude is measured, and per harmonic
HARMONICS = 4  # most harmonics of a fit
RANGE = (0.05, 0.95)  # quantiles whose difference is the amplitude of a band
OUTLIER = 10.0  # standard deviations from the median beyond which an observation is left out
NOISE_FLOOR = 0.3  # standard deviations added to each error: of bright stars the shape is uncertain, not the photometry
PEAKS = {1: 10, 2: 8, 4: 6}  # highest peaks taken of the power summed over so many harmonics
COARSE, FINE = np.linspace(-1, 1, 3), np.linspace(-1, 1, 5)  # places around a peak where it is refined
DISTINCT = 1.0  # candidates differ by this in frequency at least, in units of 1 / span
OWED = 0.9  # of the best score: multiples of the best period that reach it are as good only because that period is
REFINED = 6  # best of these peaks, whose halves, doubles and thirds are tried too
RIDGE = 1e-6  # added to the diagonal of the normal equations: phases may coincide at the frequencies of the window
TOLERANCE = 1e-3  # of the transform, relative to the sum of the weighted values
BLOCK = 1 << 22  # phases computed at once
MODES_CACHED = 1 << 22  # in the plans of the transforms kept for the next light curve
SIZES = np.array([m << k for k in range(6, 21) for m in (4, 5, 6, 7)])  # of transforms: 256 to 7 million


class CandidateSearch(BaseModel):
    """The range of a search: periods from ``shortest`` to the time span of the light curve."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shortest: float = Field(
        0.04,
        gt=0,
        description="shortest period [d] of the strongest harmonic; half the period of binaries with equal minima",
    )
    oversampling: float = Field(2.0, ge=1, description="frequencies per natural width 1 / span, at least")
    number: int = Field(4, ge=1, description="most candidates per light curve")


# ---- joining bands ------------------------------------------------------------------------------------------------


class Joined(NamedTuple):
    """Light curves whose bands are joined at one amplitude, in order of time.

    Light curve ``i`` owns the observations ``offsets[i]:offsets[i + 1]``. Its values have the weighted mean 0 and the
    weighted variance 1; they are 0, and ``scale`` too, if it doesn't vary.
    """

    time: Float  # (N,) days from the first observation of the light curve
    value: Float  # (N,)
    weight: Float  # (N,) sums to 1 in each light curve
    error: Float  # (N,) of the values, NaN where unknown
    scale: Float  # (n,) what the values were divided by, in the band with the largest amplitude, in the data's unit
    offsets: Int  # (n + 1,)
    row: Int  # (N,) the observation's index among those of the input


def join_bands(curves: LightCurves) -> Joined:
    r"""Join the bands of each light curve at one amplitude.

    Parameters
    ----------
    curves : LightCurves
        Magnitudes. Observations without finite time or value, and those further than `OUTLIER` standard deviations
        from the median, are left out.

    Returns
    -------
    Joined

    Notes
    -----
    From each band its median is subtracted, then it is divided by the difference of its 95th and 5th percentiles
    (bands of fewer than `FEWEST` observations: by the largest of the other bands). The weights are
    :math:`w_i \propto 1 / (\sigma_i^2 + (0.3\,s)^2)` with the standard deviation :math:`s` of the joined values;
    unknown errors :math:`\sigma_i` are the median of the known ones, or 0.
    """
    row, offsets = _usable(curves)
    value, error, amplitude = _at_one_amplitude(curves, row, offsets)
    keep = _inside(value, offsets)
    row, value, error, offsets = row[keep], value[keep], error[keep], ragged.select(keep, offsets)
    weight = _weights(value, error, offsets)
    value = value - ragged.spread(ragged.total(weight * value, offsets), offsets)
    width = np.sqrt(ragged.total(weight * value**2, offsets))
    divisor = ragged.spread(np.where(width > 0, width, 1), offsets)
    value, error = value / divisor, np.where(error > 0, error, np.nan) / divisor
    first = ragged.extreme(curves.time[row], offsets, np.minimum)
    time = curves.time[row] - ragged.spread(first, offsets)
    return Joined(time, value, weight, error, amplitude * width, offsets, row)


def _usable(curves: LightCurves) -> tuple[Int, Int]:
    """Return the finite observations (N,) in order of time and their offsets (n + 1,)."""
    keep = np.isfinite(curves.time) & np.isfinite(curves.value)
    row, offsets = np.flatnonzero(keep), ragged.select(keep, curves.offsets)
    if not curves.is_sorted.all():
        row = row[np.lexsort((curves.time[row], ragged.owner(offsets)))]
    return row, offsets


def _at_one_amplitude(curves: LightCurves, row: Int, offsets: Int) -> tuple[Float, Float, Float]:
    """Return values and errors (N,) over the amplitude of their bands, and the largest of these amplitudes (n,)."""
    shape = (len(curves), len(curves.bands))
    series = ragged.owner(offsets) * shape[1] + curves.band[row]
    counts = np.bincount(series, minlength=shape[0] * shape[1])
    parts = ragged.offsets_from_counts(counts)
    ordered = ragged.sort_within(curves.value[row[np.argsort(series, kind="stable")]], parts)
    low, level, high = (ragged.sorted_quantile(ordered, parts, q) for q in (RANGE[0], 0.5, RANGE[1]))
    amplitude = np.where((counts >= FEWEST) & (high > low), high - low, 0.0)
    largest = amplitude.reshape(shape).max(1, initial=0)
    largest = np.where(largest > 0, largest, 1.0)
    amplitude = np.where(amplitude > 0, amplitude, np.repeat(largest, shape[1]))
    value, error = (x[row].astype(np.float64) for x in (curves.value, curves.error))
    return (value - level[series]) / amplitude[series], error / amplitude[series], largest


def _inside(value: Float, offsets: Int) -> NDArray[np.bool_]:
    """Return which values (N,) are within `OUTLIER` standard deviations of the median of their light curve."""
    centre, width = ragged.median(value.astype(np.float32), offsets), ragged.std(value, offsets)
    return np.abs(value - ragged.spread(centre, offsets)) <= OUTLIER * ragged.spread(width, offsets) + 1e-6


def _weights(value: Float, error: Float, offsets: Int) -> Float:
    """Return weights (N,) from errors and the spread of the values; see `join_bands`."""
    good = np.isfinite(error) & (error > 0)
    typical = np.nan_to_num(ragged.median(error[good].astype(np.float32), ragged.select(good, offsets)))
    noise = np.where(good, error, ragged.spread(typical, offsets))
    variance = noise**2 + (NOISE_FLOOR * ragged.spread(ragged.std(value, offsets), offsets)) ** 2
    weight = 1 / np.where(variance > 0, variance, 1)
    return weight / ragged.spread(ragged.total(weight, offsets), offsets)


def _one(joined: Joined, i: int) -> tuple[Float, Float, Float]:
    """Return time, value and weight of one light curve."""
    part = slice(joined.offsets[i], joined.offsets[i + 1])
    return joined.time[part], joined.value[part], joined.weight[part]


# ---- harmonic fits ------------------------------------------------------------------------------------------------


class HarmonicFits(NamedTuple):
    """Weighted fits of harmonic series at ``M`` frequencies."""

    r2: Float  # (M, H) fraction of the variance explained by the first 1, 2, ..., H harmonics
    coefficients: Float  # (M, 2 H + 1) of H harmonics: constant, cosine, sine, cosine of the double frequency, ...


def harmonic_fits(
    time: Float, value: Float, weight: Float, frequency: Float, harmonics: int = HARMONICS
) -> HarmonicFits:
    r"""Fit harmonic series with a free constant to a light curve at given frequencies, in double precision.

    Parameters
    ----------
    time : float64 (N,)
        In days.
    value, weight : float64 (N,)
    frequency : float64 (M,)
        In cycles per day.
    harmonics : int
        H, at most.

    Returns
    -------
    HarmonicFits

    Notes
    -----
    The model is :math:`c_0 + \sum_{h=1}^{H} a_h \cos 2\pi h f t + b_h \sin 2\pi h f t`, and
    :math:`R^2_h = 1 - \chi^2_h / \chi^2_0` compares it with the constant alone. Its normal equations consist of the
    sums :math:`\sum_i w_i e^{2\pi i k f t_i}` up to :math:`k = 2 H`; `RIDGE` is added to their diagonal.
    """
    matrix = _normal_equations(time, value, weight, frequency, harmonics, np.complex128)
    solution = np.linalg.solve(matrix[:, :-1, :-1], matrix[:, :-1, -1:])[..., 0]
    coefficients = np.empty((len(frequency), 2 * harmonics + 1))
    coefficients[:, 0] = solution[:, 0].real
    coefficients[:, 1::2], coefficients[:, 2::2] = 2 * solution[:, 1::2].real, -2 * solution[:, 1::2].imag
    return HarmonicFits(_explained(matrix), coefficients)


def _r2(time: Float, value: Float, weight: Float, frequency: Float, harmonics: int) -> Float:
    """Return R2 (M, H) as `harmonic_fits` does, with sums in single precision, which is four times as fast."""
    return _explained(_normal_equations(time, value, weight, frequency, harmonics, np.complex64))


def _normal_equations(
    time: Float, value: Float, weight: Float, frequency: Float, harmonics: int, dtype: type
) -> NDArray[np.complex128]:
    """Return the Gram matrices (M, 2 H + 2, 2 H + 2) of 1, e^i, e^-i, e^2i, ..., e^-Hi and, in the last row, value."""
    plain, product = _exponential_sums(time, value, weight, frequency, harmonics, dtype)
    order = np.zeros(2 * harmonics + 1, np.int64)
    order[1::2] = np.arange(1, harmonics + 1)
    order[2::2] = -order[1::2]
    matrix = np.empty((len(frequency), 2 * harmonics + 2, 2 * harmonics + 2), np.complex128)
    both = np.concatenate([plain[:, :0:-1].conj(), plain], 1)  # of -2 H to 2 H
    matrix[:, :-1, :-1] = both[:, 2 * harmonics + order - order[:, None]]
    last = np.where(order < 0, product[:, abs(order)], product[:, abs(order)].conj())
    matrix[:, :-1, -1], matrix[:, -1, :-1] = last, last.conj()
    matrix[:, -1, -1] = (weight * value**2).sum()
    diagonal = np.arange(2 * harmonics + 1)
    matrix[:, diagonal, diagonal] += RIDGE * weight.sum()
    return matrix


def _exponential_sums(
    time: Float, value: Float, weight: Float, frequency: Float, harmonics: int, dtype: type
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Return the sums of w e^(2 pi i k f t), (M, 2 H + 1), and of w y e^(2 pi i k f t), (M, H + 1)."""
    plain = np.empty((len(frequency), 2 * harmonics + 1), np.complex128)
    product = np.empty((len(frequency), harmonics + 1), np.complex128)
    # two vectors: BLAS multiplies a matrix by them ten times as fast as by the matrix of both
    weights: NDArray = weight.astype(dtype)
    products: NDArray = (weight * value).astype(dtype)
    plain[:, 0], product[:, 0] = weight.sum(), (weight * value).sum()
    step = max(BLOCK // max(len(time), 1), 1)
    for start in range(0, len(frequency), step):
        part = slice(start, start + step)
        wave = _waves(np.multiply.outer(frequency[part], time), dtype)
        power = wave
        for k in range(1, 2 * harmonics + 1):
            if k > 1:
                power = power * wave
            plain[part, k] = power @ weights
            if k <= harmonics:
                product[part, k] = power @ products
    return plain, product


def _waves(cycles: Float, dtype: type) -> NDArray:
    """Return e^(2 pi i c) of a number of cycles, reduced to half a cycle in double precision before it is rounded."""
    cycles = cycles - np.rint(cycles)
    wave: NDArray = np.empty(cycles.shape, dtype)
    angle = (2 * np.pi * cycles).astype(wave.real.dtype)
    np.cos(angle, out=wave.real)
    np.sin(angle, out=wave.imag)
    return wave


def _explained(matrix: NDArray[np.complex128]) -> Float:
    """Return R2 (M, H) of nested fits from the last row of the Cholesky factor of their Gram matrices."""
    matrix = matrix.copy()
    matrix[:, -1, -1] *= 2  # positive definite also where the fit is perfect
    last = np.linalg.cholesky(matrix)[:, -1, :-1]
    cumulative = np.cumsum(last.real**2 + last.imag**2, 1)
    total = matrix[:, -1, -1].real / 2
    return np.clip((cumulative[:, 2::2] - cumulative[:, :1]) / (total[:, None] - cumulative[:, :1]), 0, 1 - 1e-6)


def _scores(r2: Float, count: int) -> Float:
    r"""Return the scores (M, H) of fits to ``count`` observations, :math:`-N/2 \ln(1 - R^2_h) - h \ln N`.

    Half the Bayesian information criterion of a constant less that of a series of h harmonics, with two parameters
    each. Series of more than one harmonic per `FEWEST` observations have the score of the longest allowed.
    """
    h = np.minimum(np.arange(1, r2.shape[1] + 1), max(count // FEWEST, 1))
    return -0.5 * count * np.log1p(-r2[:, h - 1]) - h * np.log(count)


# ---- the search ---------------------------------------------------------------------------------------------------


class Candidates(NamedTuple):
    """Candidate periods, the best first; NaN where there are fewer than ``K``."""

    period: Float  # (n, K) [d]
    score: Float  # (n, K) half the Bayesian information criterion of a constant less that of the best fit


def find_candidates(joined: Joined, search: CandidateSearch | None = None) -> Candidates:
    """Find the candidate periods of each light curve.

    Parameters
    ----------
    joined : Joined
        See `join_bands`. Fewer than `FEWEST` observations, no variation, a span not longer than the shortest period,
        or times so far apart that more than `MOST_FREQUENCIES` would have to be tried give NaN.
    search : CandidateSearch, optional

    Returns
    -------
    Candidates
        The best period, twice that period, then others by score.
    """
    search = search or CandidateSearch()
    result = Candidates(*np.full((2, len(joined.scale), search.number), np.nan))
    for i in np.flatnonzero((ragged.lengths(joined.offsets) >= FEWEST) & (joined.scale > 0)):
        time, value, weight = _one(joined, int(i))
        if not _has_frequencies(time[-1], search):
            continue
        frequency, score = _search(time, value, weight, search)
        chosen = _choose(frequency, score, time[-1], search.number)
        result.period[i, : len(chosen)], result.score[i, : len(chosen)] = 1 / frequency[chosen], score[chosen]
    return result


def highest_peaks(
    time: Float, value: Float, weight: Float, search: CandidateSearch, number: int
) -> tuple[Float, Float]:
    """Return the frequencies [1/d] of the highest peaks of one light curve, and R2 of a sine at each, highest first.

    There may be fewer than ``number``.
    """
    step, power = _power(time, weight * value, search)
    lowest = max(int(np.ceil(1 / (time[-1] * step))), 1)
    power[:lowest] = 0
    frequency = (step * _highest(power, lowest, number + 2)).astype(np.float64)
    frequency = _refine(time, value, weight, frequency, 0.6 * step * COARSE, 1)
    r2 = _r2(time, value, weight, frequency, 1)[:, 0]
    order = np.argsort(-r2)[:number]
    return frequency[order], r2[order]


def _search(time: Float, value: Float, weight: Float, search: CandidateSearch) -> tuple[Float, Float]:
    """Return frequencies [1/d] and scores of one light curve's peaks, their halves, doubles and thirds, unordered."""
    span, count = time[-1], len(time)
    step, power = _power(time, weight * value, search)
    frequency = (step * _peaks(power, max(int(np.ceil(1 / (span * step))), 1))).astype(np.float64)
    frequency = _refine(time, value, weight, frequency, 0.6 * step * COARSE, 2)
    score = _scores(_r2(time, value, weight, frequency, HARMONICS), count).max(1)
    best = frequency[np.argsort(-score)[:REFINED]]
    frequency = np.concatenate([best, best / 2, best * 2, best[:2] / 3])
    frequency = frequency[(frequency >= 0.98 / span) & (frequency <= 1 / search.shortest)]
    frequency = _refine(time, value, weight, frequency, 0.15 * step * FINE, HARMONICS)
    return frequency, _scores(_r2(time, value, weight, frequency, HARMONICS), count).max(1)


def _has_frequencies(span: float, search: CandidateSearch) -> bool:
    """Return whether there are frequencies to be searched, and not too many."""
    return search.shortest < span <= MOST_FREQUENCIES * search.shortest / search.oversampling


def _size(span: float, search: CandidateSearch) -> int:
    """Return the number of frequencies from 0 to the highest, rounded up to one of `SIZES`."""
    return int(SIZES[np.searchsorted(SIZES, np.ceil(span * search.oversampling / search.shortest))])


def _power(time: Float, product: Float, search: CandidateSearch) -> tuple[float, NDArray[np.float32]]:
    """Return the distance of the frequencies [1/d], and the power (K,) of w y at 0, 1, ... times that."""
    size = _size(time[-1], search)
    step = 1 / (search.shortest * size)
    return step, _squares(_transform(step * time, product, size))


def _transform(cycles: Float, strength: Float, size: int) -> NDArray[np.complex64]:
    r"""Return :math:`\sum_i c_i e^{2 \pi i k x_i}` for k = 0, ..., size - 1 in single precision.

    The transform of finufft is centred on k = 0. A factor :math:`e^{2 \pi i (K/2) x_i}` moves the first half of the
    frequencies, of which a real light curve needs none, out of it. Phases are reduced in double precision.
    """
    centred = strength * _waves(cycles * (size // 2), np.complex64)
    angle = (2 * np.pi * (cycles - np.rint(cycles))).astype(np.float32)
    return _plans.execute(size, angle, centred.astype(np.complex64))


def _squares(transform: NDArray[np.complex64]) -> NDArray[np.float32]:
    return transform.real**2 + transform.imag**2


class _Plans:
    """The plans of the last transforms: making one takes as long as two transforms.

    A plan in use belongs to one thread alone, and the plans kept have `MODES_CACHED` frequencies at most.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._free: list[tuple[int, Any]] = []  # (frequencies, plan), the last used at the end

    def execute(self, size: int, angle: NDArray[np.float32], strength: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """Return the transform of ``strength`` (N,) at ``angle`` (N,) to ``size`` frequencies."""
        plan = self._take(size)
        plan.setpts(angle)
        result = plan.execute(strength)
        self._keep(size, plan)
        return result

    def _take(self, size: int) -> Any:
        """Return a plan that nobody uses."""
        with self._lock:
            for i, (modes, _) in enumerate(self._free):
                if modes == size:
                    return self._free.pop(i)[1]
        import finufft

        return finufft.Plan(1, (size,), eps=TOLERANCE, isign=1, dtype="complex64", upsampfac=1.25, nthreads=1)

    def _keep(self, size: int, plan: Any) -> None:
        """Keep a plan for later, and as many of those used before as there is room for."""
        with self._lock:
            self._free.append((size, plan))
            while sum(modes for modes, _ in self._free) > MODES_CACHED:
                del self._free[0]


_plans = _Plans()


def _peaks(power: NDArray[np.float32], lowest: int) -> Int:
    """Return the indices of the highest peaks of the power summed over 1, 2 and 4 harmonics."""
    power[:lowest] = 0
    half, quarter = len(power) // 2, len(power) // 4
    two = power[:half] + power[: 2 * half : 2]
    four = two[:quarter] + power[: 3 * quarter : 3] + power[: 4 * quarter : 4]
    return np.unique(np.concatenate([_highest(p, lowest, PEAKS[h]) for h, p in ((1, power), (2, two), (4, four))]))


def _highest(power: NDArray[np.float32], lowest: int, number: int) -> Int:
    """Return the indices of the ``number`` highest local maxima from ``lowest`` on."""
    inner = power[lowest:-1]
    peak = np.flatnonzero((inner >= power[lowest - 1 : -2]) & (inner > power[lowest + 1 :])) + lowest
    return peak if len(peak) <= number else peak[np.argpartition(power[peak], -number)[-number:]]


def _refine(time: Float, value: Float, weight: Float, frequency: Float, offsets: Float, harmonics: int) -> Float:
    """Return the best frequencies (M,) among those given plus evenly spaced ``offsets``, then the vertex of a parabola.

    The best has the highest score: harmonics that explain nothing would add noise to it. The parabola is that of chi2,
    times a penalty for the harmonics, ``exp(-2 score / N)``.
    """
    tried = frequency[:, None] + offsets
    score = _scores(_r2(time, value, weight, tried.ravel(), harmonics), len(time)).max(1)
    chi2 = np.exp(-2 / len(time) * score).reshape(tried.shape)
    row, middle = np.arange(len(frequency)), np.clip(chi2.argmin(1), 1, len(offsets) - 2)
    a, b, c = (chi2[row, middle + k] for k in (-1, 0, 1))
    curvature = a - 2 * b + c
    vertex = np.where(curvature > 0, 0.5 * (a - c) / np.where(curvature > 0, curvature, 1), 0)
    return frequency + offsets[middle] + np.clip(vertex, -1, 1) * (offsets[1] - offsets[0])


def _choose(frequency: Float, score: Float, span: float, number: int) -> Int:
    """Return the candidates' indices: the best, the one at half its frequency, then others by score, all distinct.

    Thirds and quarters of the best that owe their score to it come last: they are hardly ever right, and would take
    the places of aliases.
    """
    order = np.argsort(-score)
    half = order[np.abs(frequency[order] - frequency[order[:1]] / 2) < 0.5 / span]
    late = _thirds_and_quarters(frequency, frequency[order[0]], span) & (score > OWED * score[order[0]])
    chosen: list[int] = []
    for k in [*order[:1], *half[:1], *order[~late[order]], *order[late[order]]]:
        if len(chosen) < number and all(abs(frequency[k] - frequency[j]) >= DISTINCT / span for j in chosen):
            chosen.append(k)
    return np.array(chosen, np.int64)


def _thirds_and_quarters(frequency: Float, best: float, span: float) -> NDArray[np.bool_]:
    """Return which frequencies (M,) are n / 3 or n / 4 of the best, in lowest terms, and clearly so."""
    result = np.zeros(len(frequency), bool)
    for d in (3, 4):
        n = np.rint(frequency * d / best).astype(np.int64)
        close = np.abs(frequency * d - best * n) < 0.35 / span * np.maximum(n, d)
        result |= close & (np.gcd(n, d) == 1) & (frequency > 8 / span)
    return result


# ---- significance and uncertainty -----------------------------------------------------------------------------------


def false_alarm_probability(time: Float, value: Float, weight: Float, period: float, search: CandidateSearch) -> float:
    r"""Return an upper bound of the probability that white noise has a peak as high anywhere in the periodogram.

    Parameters
    ----------
    time, value, weight : float64 (N,)
        One light curve of `join_bands`.
    period : float
        Its best candidate [d].
    search : CandidateSearch
        As for `find_candidates`.

    Returns
    -------
    float
        NaN for fewer than `FEWEST` observations.

    Notes
    -----
    The bound of Baluev (2008) for the fraction z of variance that a sine explains in N observations,

    .. math:: 1 - \left(1 - (1 - z)^{(N - 3) / 2}\right)
              \exp\left(-\gamma W (1 - z)^{(N - 4) / 2} \sqrt{(N - 1) z / 2}\right),

    with :math:`W = f_\mathrm{max} \sqrt{4 \pi \operatorname{var} t}`, about the number of independent frequencies,
    and :math:`\gamma = \sqrt{2 / (N - 1)} \, \Gamma((N - 1) / 2) / \Gamma((N - 2) / 2)`. The sine is the strongest
    harmonic of the period, because the periodogram of an eclipsing binary peaks at half its period.
    """
    count = len(time)
    if count < FEWEST:
        return np.nan
    harmonics = np.arange(1, HARMONICS + 1)
    harmonics = harmonics[harmonics * search.shortest <= max(period, search.shortest)]
    z = _r2(time, value, weight, harmonics / period, 1).max()
    variance = np.average((time - np.average(time, weights=weight)) ** 2, weights=weight)
    gamma = np.sqrt(2 / (count - 1)) * np.exp(gammaln((count - 1) / 2) - gammaln((count - 2) / 2))
    number = np.sqrt(4 * np.pi * variance) / search.shortest
    above = gamma * number * (1 - z) ** ((count - 4) / 2) * np.sqrt((count - 1) * z / 2)
    one = (1 - z) ** ((count - 3) / 2)  # probability at one frequency
    return float(-np.expm1(np.log1p(-min(one, 1 - 1e-16)) - above))


def period_uncertainty(time: Float, value: Float, weight: Float, period: Float) -> Float:
    r"""Return the standard errors [d] of periods of one light curve.

    Parameters
    ----------
    time, value, weight : float64 (N,)
        One light curve of `join_bands`.
    period : float64 (k,)
        In days.

    Returns
    -------
    float64 (k,)
        NaN where there are fewer observations than parameters.

    Notes
    -----
    From the curvature of chi2 in frequency, all coefficients of the series of h harmonics with the best score free:

    .. math:: \sigma_f^2 = \frac{1 - R_h^2}{N - 2 h - 2} \bigg/ \sum_i w_i g_{\perp,i}^2,

    where :math:`g_\perp` is the derivative of the series with respect to frequency, less its projection on the terms
    of the series. For a sine of amplitude A, evenly sampled over the time T with noise :math:`\sigma`, that is
    :math:`\sqrt{6 / N} \, \sigma / (\pi T A)` (Montgomery & O'Donoghue 1999). It holds for independent errors, and if
    the period is not an alias of the right one.
    """
    fits = harmonic_fits(time, value, weight, 1 / period)
    best = _scores(fits.r2, len(time)).argmax(1)
    middle = time - time.mean()
    errors = [
        _frequency_error(middle, value, weight, 1 / p, h + 1, r2[h])
        for p, h, r2 in zip(period, best, fits.r2, strict=True)
    ]
    return np.array(errors, np.float64) * period**2


def _frequency_error(time: Float, value: Float, weight: Float, frequency: float, harmonics: int, r2: float) -> float:
    """Return the standard error of a frequency [1/d]; see `period_uncertainty`."""
    k, root = np.arange(1, harmonics + 1), np.sqrt(weight)[:, None]
    wave = _waves(np.multiply.outer(time * frequency, k), np.complex128)  # (N, h)
    terms = root * np.concatenate([np.ones((len(time), 1)), wave.real, wave.imag], 1)
    a, b = np.split(np.linalg.lstsq(terms, root[:, 0] * value)[0][1:], 2)
    slope = root[:, 0] * 2 * np.pi * time * (wave.real @ (k * b) - wave.imag @ (k * a))
    slope = slope - terms @ np.linalg.lstsq(terms, slope)[0]
    freedom, curvature = len(time) - 2 * harmonics - 2, float(slope @ slope)
    return float(np.sqrt((1 - r2) / (freedom * curvature))) if freedom > 0 and curvature > 0 else np.nan
