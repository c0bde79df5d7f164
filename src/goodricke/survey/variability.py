"""The dominant variability of light curves: frequency f1, amplitude A1, and the probability that it is noise.

Section 7 of the ASTRAFier paper compares a catalog with these numbers, which the network doesn't get. They are measured
for one batch (`dominant_variability`) or streamed for millions of light curves (`measure_variability`), in flat memory,
in any number of processes, and resumed where an earlier run stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.data.predictions import Status
from goodricke.data.units import MAGNITUDES_PER_E
from goodricke.io import Unreadable, read_batches
from goodricke.preprocess.cleaning import (
    align_bands,
    band_statistics,
    cleaning_status,
    clip_outliers,
    distinct_points,
    finite_points,
)
from goodricke.preprocess.periods import PeriodSearch, periodogram
from goodricke.survey.jobs import lock_folder, run_in_order
from goodricke.survey.shards import Entry, Folder, read_manifest, write_shard
from goodricke.survey.tasks import SurveyTask, source_files

EVEN = 0.5  # share of steps within a tenth of the median step that makes a light curve evenly sampled
PLACE = {  # columns that tell the light curves of a star apart
    "source": pa.string(),
    **{name: pa.int32() for name in ("sector", "quarter", "campaign", "camera", "ccd")},
}
PIECE = 100  # light curves that a process measures at a time
ROWS = 20_000  # of a shard; what a killed run loses at most
KIND = "periods"

Float = NDArray[np.float64]


class SearchLimits(BaseModel):
    """The range of frequencies that is searched: from one cycle in the light curve's span upwards.

    An evenly sampled light curve (most steps within a tenth of the median step) has a Nyquist frequency, half its
    sampling rate; it is the upper limit, or ``highest_even`` if lower. Uneven sampling has none: ``highest`` holds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    highest: float = Field(20.0, gt=0, description="of unevenly sampled light curves [1/d]")
    highest_even: float = Field(80.0, gt=0, description="of evenly sampled light curves [1/d]")
    oversampling: float = Field(3.0, ge=1, description="frequencies per natural width 1 / span")
    fewest: int = Field(10, ge=5, description="observations below which an object is TOO_FEW_POINTS")
    bins: int = Field(1500, ge=2, description="of the stored amplitude spectra, spaced evenly in log frequency")
    bins_from: float = Field(0.0005, gt=0, description="lower edge of the first bin [1/d]")
    bins_to: float = Field(80.0, gt=0, description="upper edge of the last bin [1/d]")

    @property
    def edges(self) -> Float:
        """Edges (bins + 1,) of the bins of a stored spectrum [1/d]."""
        return np.geomspace(self.bins_from, self.bins_to, self.bins + 1)


class DominantVariability(NamedTuple):
    """The result of `dominant_variability`: one entry per light curve, NaN where nothing could be measured."""

    status: NDArray[np.str_]  # (n,) see `goodricke.data.predictions.Status`
    f1: Float  # (n,) [1/d]
    A1: Float  # (n,) semi-amplitude of the sine at f1 [mag]; of fluxes 1.0857 times the relative one
    power: Float  # (n,) normalised Lomb-Scargle power at f1, 0 to 1
    log10_fap: Float  # (n,) log10 of the false-alarm probability against white noise
    snr: Float  # (n,) amplitude of the highest peak over the spectrum's mean
    f_max: Float  # (n,) highest frequency searched [1/d]
    span: Float  # (n,) [d]
    n_used: NDArray[np.int64]  # (n,) observations
    spectra: list[
        NDArray[np.float16] | None
    ]  # amplitude spectra (bins,) [mag] of the light curves in ``with_spectrum``


def dominant_variability(
    curves: LightCurves, limits: SearchLimits | None = None, with_spectrum: NDArray[np.bool_] | None = None
) -> DominantVariability:
    """Find frequency and amplitude of the strongest sine in each light curve.

    Parameters
    ----------
    curves : LightCurves
        n light curves in magnitudes or flux, in any order of time. Several bands are searched together, each less
        its median (and divided by it, if fluxes), weighted by their errors where all are known.
    limits : SearchLimits, optional
    with_spectrum : bool (n,), optional
        Light curves whose amplitude spectrum is kept.

    Returns
    -------
    DominantVariability
        One entry per light curve, in order, whatever its status.

    Notes
    -----
    The highest peak of the Lomb-Scargle periodogram (3 frequencies per natural width), refined by a parabola through
    its three highest points; A1 by least squares at that frequency, with a mean of each band. Eclipsing binaries are
    found at twice their orbital frequency. Fluxes whose median is not positive (differences) have an f1 but no A1.
    """
    limits = limits or SearchLimits()
    with_spectrum = np.zeros(len(curves), bool) if with_spectrum is None else with_spectrum
    distinct = distinct_points(finite_points(curves)).sorted()
    has_amplitude, relative = _in_relative_magnitudes(distinct)
    cleaned = clip_outliers(align_bands(relative), sigma=10, rounds=5)
    status = cleaning_status(curves, cleaned, limits.fewest)
    numbers = np.full((7, len(curves)), np.nan)
    spectra: list[NDArray[np.float16] | None] = [None] * len(curves)
    for i in np.flatnonzero(status == "OK"):
        strongest = _strongest(cleaned, int(i), limits, bool(with_spectrum[i]))
        if strongest is None:
            status[i] = "NO_PERIOD"
            continue
        numbers[:, i], spectra[i] = strongest
    numbers[1, ~has_amplitude] = np.nan
    f1, amplitude, power, fap, snr, f_max, span = numbers
    return DominantVariability(status, f1, amplitude, power, fap, snr, f_max, span, cleaned.n_obs, spectra)


def _in_relative_magnitudes(curves: LightCurves) -> tuple[NDArray[np.bool_], LightCurves]:
    """Return which light curves (n,) have an amplitude in magnitudes, and all light curves, these in magnitudes."""
    if curves.in_magnitudes:
        return np.ones(len(curves), bool), curves
    level, _ = band_statistics(curves)  # (n, bands)
    positive = np.asarray(((level > 0) | np.isnan(level)).all(1))
    median = level[ragged.owner(curves.offsets), curves.band]
    is_positive = ragged.spread(positive, curves.offsets)
    scale = np.where(is_positive, MAGNITUDES_PER_E / np.where(is_positive, median, 1), 1.0)
    value = np.where(is_positive, curves.value - median, curves.value) * scale
    return positive, replace(curves, value=value.astype(np.float32), error=(curves.error * scale).astype(np.float32))


def _strongest(
    curves: LightCurves, i: int, limits: SearchLimits, with_spectrum: bool
) -> tuple[tuple[float, ...], NDArray[np.float16] | None] | None:
    """Return f1, A1, power, log10 false-alarm probability, SNR, limit and span of one light curve, and its spectrum."""
    part = slice(curves.offsets[i], curves.offsets[i + 1])
    time, value, error, band = curves.time[part], curves.value[part], curves.error[part], curves.band[part]
    f_max = highest_frequency(time, limits)
    spectrum = periodogram(time, value, error, _search(1 / f_max, limits.oversampling))
    if spectrum is None:
        return None
    k = int(spectrum.power.argmax())
    f1, power = refine_peak(*spectrum, k), float(np.clip(spectrum.power[k], 0, 1))
    span = float(np.ptp(time))
    fap = log10_false_alarm(power, len(time), float(np.std(time)), float(spectrum.frequency[-1]))
    root = np.sqrt(np.maximum(spectrum.power, 0))
    amplitude = sine_amplitude(time, value, error, band, f1)
    numbers = (f1, amplitude, power, fap, float(root.max() / root.mean()), f_max, span)
    scale = amplitude / root.max()  # so that the stored peak is A1
    return numbers, _bin_spectrum(spectrum.frequency, root * scale, limits) if with_spectrum else None


def highest_frequency(time: Float, limits: SearchLimits) -> float:
    """Return the highest frequency to search in a light curve in order of time [1/d]; see `SearchLimits`."""
    steps = np.diff(time)
    steps = steps[steps > 0]
    if not len(steps):
        return limits.highest
    median = float(np.median(steps))
    is_even = np.mean(np.abs(steps - median) < 0.1 * median) > EVEN
    return min(0.5 / median, limits.highest_even) if is_even else limits.highest


def refine_peak(frequency: Float, power: Float, k: int) -> float:
    """Return the frequency of a peak at index ``k`` of an even grid, by a parabola through its three highest points."""
    if k in (0, len(power) - 1):
        return float(frequency[k])
    left, middle, right = power[k - 1 : k + 2]
    curvature = left - 2 * middle + right
    shift = 0.5 * (left - right) / curvature if curvature < 0 else 0.0
    return float(frequency[k] + shift * (frequency[1] - frequency[0]))


def sine_amplitude(
    time: Float,
    value: NDArray[np.floating],
    error: NDArray[np.floating],
    band: NDArray[np.integer],
    frequency: float,
) -> float:
    """Return the semi-amplitude of the sine of a frequency [1/d] that fits best, with a mean of each band."""
    _, band = np.unique(band, return_inverse=True)
    angle = 2 * np.pi * frequency * (time - time[0])
    design = np.column_stack([np.cos(angle), np.sin(angle), np.eye(int(band.max()) + 1)[band]])
    known = np.isfinite(error).all() and (error > 0).all()
    weight = 1 / error.astype(np.float64) if known else np.ones(len(time))
    solution, *_ = np.linalg.lstsq(design * weight[:, None], value * weight, rcond=None)
    return float(np.hypot(*solution[:2]))


def log10_false_alarm(power: float, n: int, deviation: float, highest: float) -> float:
    """Return log10 of the probability that white noise has a peak so high anywhere up to ``highest`` [1/d].

    Parameters
    ----------
    power : float
        Normalised Lomb-Scargle power, 0 to 1.
    n : int
        Observations, at least 5.
    deviation : float
        Standard deviation of the times [d].
    highest : float

    Notes
    -----
    Baluev (2008, MNRAS 385, 1279), for a periodogram with a free mean. Variability at low frequencies that is no sine
    (red noise, flares, trends) is "significant" by it too.
    """
    from scipy.special import gammaln

    power = min(power, 1 - 1e-15)
    rest, degrees = np.log1p(-power), n - 1
    gamma = 0.5 * np.log(2 / degrees) + gammaln(degrees / 2) - gammaln((degrees - 1) / 2)
    width = highest * np.sqrt(4 * np.pi) * deviation
    log_tau = np.log(width) + gamma + 0.5 * (n - 4) * rest + 0.5 * np.log(0.5 * degrees * max(power, 1e-300))
    log_single = 0.5 * (n - 3) * rest
    if max(log_tau, log_single) < -20:  # where 1 - (1 - a) exp(-b) is a + b and rounds to 0
        return float(np.logaddexp(log_single, log_tau) / np.log(10))
    chance = -np.expm1(np.log1p(-min(np.exp(log_single), 1 - 1e-16)) - np.exp(min(log_tau, 700)))
    return float(np.log10(max(chance, 1e-300)))


@lru_cache(256)
def _search(shortest: float, oversampling: float) -> PeriodSearch:
    return PeriodSearch(shortest=shortest, oversampling=oversampling)


def _bin_spectrum(frequency: Float, amplitude: Float, limits: SearchLimits) -> NDArray[np.float16]:
    """Return the highest amplitude in each bin; between two frequencies of the grid, that of a line through them."""
    edges = limits.edges
    centres = np.sqrt(edges[1:] * edges[:-1])
    result = np.interp(centres, frequency, amplitude, left=np.nan, right=np.nan)
    which = np.searchsorted(edges, frequency, side="right") - 1
    inside = (which >= 0) & (which < limits.bins)
    if inside.any():
        first = np.flatnonzero(np.diff(which[inside], prepend=-1))
        result[which[inside][first]] = np.maximum.reduceat(amplitude[inside], first)
    return result.astype(np.float16)


# ---- many light curves -----------------------------------------------------------------------------------------------


class LightCurvePart(NamedTuple):
    """Light curves that a process measures at a time."""

    names: pa.Table  # (n rows) of the result: object_id and `PLACE`
    curves: LightCurves  # n, without ids: Arrow would send the ids of the batch with each piece
    with_spectrum: NDArray[np.bool_]  # (n,)
    unreadable: bool = False  # whether they are empty light curves in place of files that can't be read

    def without_first(self, n: int) -> LightCurvePart:
        """Return the piece without its first n light curves."""
        return LightCurvePart(self.names.slice(n), self.curves[n:], self.with_spectrum[n:], self.unreadable)


def measure_variability(
    source: str | Sequence[str],
    out: Path,
    *,
    limits: SearchLimits | None = None,
    with_spectrum: Collection[str] = (),
    workers: int = 1,
    tick: Callable[[int], None] = lambda light_curves: None,
    rows: int = ROWS,
    **options: Any,
) -> Path:
    """Measure f1 and A1 of all light curves into a folder of Parquet files; go on where an earlier run stopped.

    Parameters
    ----------
    source : str or list of str
        Packs (`goodricke pack`), HATS catalogs, or what `goodricke.io.read_batches` takes; the further ``options``
        are for it.
    out : Path
        The folder. Each file has ``rows`` rows, one per light curve whatever its status: ``object_id``, the columns
        `PLACE`, and the numbers of `DominantVariability`, null where there are none, with the reason in ``f1_status``.
    limits : SearchLimits, optional
    with_spectrum : collection of str
        Ids of the objects whose amplitude spectra are kept, in the column ``spectrum``.
    workers : int
        Processes, of one thread each; this one reads. A script that asks for several needs
        ``if __name__ == "__main__":``.
    tick : callable
        Gets the number of light curves after each step, for a progress bar.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    ValueError
        If the folder was made from other light curves or with other settings.
    """
    limits, ids = limits or SearchLimits(), frozenset(with_spectrum)
    sources = [source] if isinstance(source, str) else source
    names = list(source_files(sources, bool(options.get("recursive"))))
    settings: dict[str, Any] = {"source": names, "limits": limits.model_dump(), "rows": rows}
    settings["light curves"] = SurveyTask("", tuple(names)).fingerprint  # files of the same name may hold others
    settings |= {"options": {k: str(v) for k, v in options.items()}}
    settings |= {"drawn": len(ids), "drawn_hash": sha256("\n".join(sorted(ids)).encode()).hexdigest()[:12]}
    with lock_folder(out):
        folder = Folder(out, KIND, settings).begin()
        if "finished" in read_manifest(out):
            tick(int(read_manifest(out)["rows"]))
            return out
        done = _entries(folder)
        pieces = _unmeasured(_pieces(read_batches(names, **options), ids), done, folder, tick)
        with closing(run_in_order(partial(measure_piece, limits=limits), pieces, workers)) as tables:
            for k, table in enumerate(_shards(tables, rows, tick), start=len(done)):
                name = f"part-{k:06d}.parquet"
                size, digest = write_shard(out / name, table, table.num_rows)
                folder.log(Entry(f"{k:06d}", name, table.num_rows, size, digest))
        folder.finish()
    return out


def read_variability(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows that `measure_variability` wrote, in the order of the light curves; all columns or some."""
    files = [folder / str(entry.shard) for entry in _entries(Folder(folder, KIND, {}))]
    wanted = None if columns is None else list(columns)
    return pa.concat_tables([pq.read_table(f, columns=wanted).replace_schema_metadata(None) for f in files])


def _entries(folder: Folder) -> list[Entry]:
    return sorted(folder.entries().values(), key=lambda entry: entry.task)


def _pieces(
    batches: Iterable[tuple[LightCurves | None, list[Unreadable]]], with_spectrum: frozenset[str]
) -> Iterator[LightCurvePart]:
    """Yield batches in pieces; files that can't be read are pieces too."""
    for curves, failures in batches:
        if failures:
            yield _unreadable_part(failures)
        for start in range(0, 0 if curves is None else len(curves), PIECE):
            assert curves is not None
            part = curves[start : start + PIECE]
            without_ids = replace(part, object_id=pa.array([""] * len(part)), objects=None)
            yield LightCurvePart(
                _names(part), without_ids, np.array([name in with_spectrum for name in part.ids], bool)
            )


def _names(curves: LightCurves) -> pa.Table:
    """Return id and `PLACE` of light curves, null where the files have none."""
    objects, n = curves.table_of_objects, len(curves)
    place = {k: objects[k].cast(t) if k in objects.column_names else pa.nulls(n, t) for k, t in PLACE.items()}
    return pa.table({"object_id": curves.object_id} | place)


def _unreadable_part(failures: Sequence[Unreadable]) -> LightCurvePart:
    """Return files that can't be read as rows, named as in a table of predictions."""
    n, paths = len(failures), [failure.path for failure in failures]
    empty = LightCurves.from_arrays([Path(path).name for path in paths], np.zeros(n + 1), [], [])
    return LightCurvePart(_names(empty.with_columns(source=pa.array(paths))), empty, np.zeros(n, bool), True)


def _unmeasured(
    pieces: Iterable[LightCurvePart], done: list[Entry], folder: Folder, tick: Callable[[int], None]
) -> Iterator[LightCurvePart]:
    """Yield the light curves that no earlier run has measured; the others are read again, which costs little.

    Raises
    ------
    ValueError
        If the first light curves are now others.
    """
    left = sum(entry.rows for entry in done)
    tick(left)
    last = pq.read_table(folder.path / str(done[-1].shard), columns=["object_id"])["object_id"][-1] if left else None
    for piece in pieces:
        n = len(piece.with_spectrum)
        if 0 < left <= n and piece.names["object_id"][left - 1] != last:
            raise ValueError(f"{folder.path}: begun with other light curves; delete this folder and start anew")
        if left < n:
            yield piece.without_first(left) if left else piece
        left = max(left - n, 0)


def measure_piece(piece: LightCurvePart, limits: SearchLimits) -> pa.Table:
    """Return names and measurements of light curves as a table, one row each."""
    result = dominant_variability(piece.curves, limits, piece.with_spectrum)
    status = np.full(len(result.status), Status.UNREADABLE) if piece.unreadable else result.status
    spectra = pa.array([None if s is None else s.astype(np.float32) for s in result.spectra], pa.list_(pa.float32()))
    columns: dict[str, Any] = {"f1_status": pa.array(status.astype(str), pa.string())}
    columns |= {"f1": _numbers(result.f1, pa.float64()), "span": _numbers(result.span, pa.float64())}
    for name in ("A1", "power", "log10_fap", "snr", "f_max"):
        columns[name if name in ("A1", "f_max") else f"f1_{name}"] = _numbers(getattr(result, name), pa.float32())
    columns["f1_n"] = pa.array(result.n_used, pa.int32())
    names = {name: piece.names[name] for name in piece.names.column_names}
    return pa.table(names | columns | {"spectrum": spectra})


def _numbers(values: NDArray[np.float64], kind: pa.DataType) -> pa.Array:
    return pa.array(values, kind, from_pandas=True)  # NaN is null


def _shards(tables: Iterable[pa.Table], rows: int, tick: Callable[[int], None]) -> Iterator[pa.Table]:
    """Join and cut tables into tables of ``rows`` rows; the last may have fewer."""
    waiting = list[pa.Table]()
    for table in tables:
        tick(table.num_rows)
        waiting.append(table)
        while sum(t.num_rows for t in waiting) >= rows:
            joined = pa.concat_tables(waiting)
            yield joined.slice(0, rows)
            waiting = [joined.slice(rows)]
    if any(t.num_rows for t in waiting):
        yield pa.concat_tables(waiting)
