"""The dominant variability of a light curve: frequency f1, amplitude A1, and whether it is more than noise.

What section 7 of the ASTRAFier paper holds a catalog against: the network was told neither of them.

The dominant variability of millions of light curves, streamed: flat memory, any number of processes, resumable.
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
from goodricke.io import Unreadable, read_batches
from goodricke.preprocess.cleaning import (
    align_bands,
    band_statistics,
    cleaning_status,
    clip_outliers,
    distinct_points,
    finite_points,
)
from goodricke.preprocess.periods import Periodogram, PeriodSearch, periodogram
from goodricke.survey.jobs import lock_folder, run_in_order
from goodricke.survey.shards import Entry, Folder, read_manifest, write_shard
from goodricke.survey.tasks import Task, source_files

MAGNITUDES = 2.5 / np.log(10)  # in a relative change of flux
EVEN = 0.5  # share of steps within a tenth of the median step that makes a light curve evenly sampled

Float = NDArray[np.float64]


class Limits(BaseModel):
    """Where to look for frequencies: from one cycle in the light curve's span upwards.

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


class Dominant(NamedTuple):
    """What `dominant_variability` found, one entry per light curve, NaN where there is nothing."""

    status: NDArray[np.str_]  # (n,) see `goodricke.data.predictions.Status`
    f1: Float  # (n,) [1/d]
    A1: Float  # (n,) semi-amplitude of the sine at f1 [mag]; of fluxes 1.0857 times the relative one
    power: Float  # (n,) normalised Lomb-Scargle power at f1, 0 to 1
    log10_fap: Float  # (n,) log10 of the false-alarm probability against white noise
    snr: Float  # (n,) amplitude of the highest peak over the spectrum's mean
    f_max: Float  # (n,) highest frequency searched [1/d]
    span: Float  # (n,) [d]
    n_used: NDArray[np.int64]  # (n,) observations
    spectra: list[NDArray[np.float16] | None]  # amplitude spectra (bins,) [mag] of those that were to be drawn


def dominant_variability(
    curves: LightCurves, limits: Limits | None = None, drawn: NDArray[np.bool_] | None = None
) -> Dominant:
    """Find frequency and amplitude of the strongest sine in each light curve.

    Parameters
    ----------
    curves : LightCurves
        n light curves in magnitudes or flux, in any order of time. Several bands are searched together, each less
        its median (and divided by it, if fluxes), weighted by their errors where all are known.
    limits : Limits, optional
    drawn : bool (n,), optional
        Of which light curves to keep the amplitude spectrum.

    Returns
    -------
    Dominant
        One entry per light curve, in order, whatever its state.

    Notes
    -----
    The highest peak of the Lomb-Scargle periodogram (3 frequencies per natural width), refined by a parabola through
    its three highest points; A1 by least squares at that frequency, with a mean of each band. Eclipsing binaries are
    found at twice their orbital frequency. Fluxes whose median is not positive (differences) have an f1 but no A1.
    """
    limits = limits or Limits()
    drawn = np.zeros(len(curves), bool) if drawn is None else drawn
    distinct = distinct_points(finite_points(curves)).sorted()
    level, relative = _in_relative_magnitudes(distinct)
    cleaned = clip_outliers(align_bands(relative), sigma=10, rounds=5)
    status = cleaning_status(curves, cleaned, limits.fewest)
    numbers = np.full((7, len(curves)), np.nan)
    spectra: list[NDArray[np.float16] | None] = [None] * len(curves)
    for i in np.flatnonzero(status == "OK"):
        found = _strongest(cleaned, int(i), limits, bool(drawn[i]))
        if found is None:
            status[i] = "NO_PERIOD"
            continue
        numbers[:, i], spectra[i] = found
    numbers[1, ~level] = np.nan
    f1, amplitude, power, fap, snr, f_max, span = numbers
    return Dominant(status, f1, amplitude, power, fap, snr, f_max, span, cleaned.n_obs, spectra)


def _in_relative_magnitudes(curves: LightCurves) -> tuple[NDArray[np.bool_], LightCurves]:
    """Return which light curves (n,) can be in magnitudes, and all of them, those so (fluxes about their median)."""
    if curves.in_magnitudes:
        return np.ones(len(curves), bool), curves
    level, _ = band_statistics(curves)  # (n, bands)
    positive = np.asarray(((level > 0) | np.isnan(level)).all(1))
    own = level[ragged.owner(curves.offsets), curves.band]
    able = ragged.spread(positive, curves.offsets)
    scale = np.where(able, MAGNITUDES / np.where(able, own, 1), 1.0)
    value = np.where(able, curves.value - own, curves.value) * scale
    return positive, replace(curves, value=value.astype(np.float32), error=(curves.error * scale).astype(np.float32))


def _strongest(
    curves: LightCurves, i: int, limits: Limits, drawn: bool
) -> tuple[tuple[float, ...], NDArray[np.float16] | None] | None:
    """Return f1, A1, power, log10 false-alarm probability, SNR, limit and span of one light curve, and its spectrum."""
    part = slice(curves.offsets[i], curves.offsets[i + 1])
    time, value, error, band = curves.time[part], curves.value[part], curves.error[part], curves.band[part]
    f_max = highest_frequency(time, limits)
    spectrum = periodogram(time, value, error, _search(1 / f_max, limits.oversampling))
    if spectrum is None:
        return None
    f1, power = _peak(spectrum)
    span = float(np.ptp(time))
    fap = log10_false_alarm(power, len(time), float(np.std(time)), float(spectrum.frequency[-1]))
    root = np.sqrt(np.maximum(spectrum.power, 0))
    amplitude = sine_amplitude(time, value, error, band, f1)
    numbers = (f1, amplitude, power, fap, float(root.max() / root.mean()), f_max, span)
    scale = amplitude / root.max()  # so that the stored peak is A1
    return numbers, _binned(spectrum.frequency, root * scale, limits) if drawn else None


def highest_frequency(time: Float, limits: Limits) -> float:
    """Return up to where to search the frequencies of a light curve in order of time [1/d]; see `Limits`."""
    steps = np.diff(time)
    steps = steps[steps > 0]
    if not len(steps):
        return limits.highest
    usual = float(np.median(steps))
    even = np.mean(np.abs(steps - usual) < 0.1 * usual) > EVEN
    return min(0.5 / usual, limits.highest_even) if even else limits.highest


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


def _peak(spectrum: Periodogram) -> tuple[float, float]:
    """Return frequency [1/d] and power of the highest peak, by a parabola through its three highest points."""
    frequency, power = spectrum
    k = int(power.argmax())
    highest = float(np.clip(power[k], 0, 1))
    if k in (0, len(power) - 1):
        return float(frequency[k]), highest
    left, middle, right = power[k - 1 : k + 2]
    bend = left - 2 * middle + right
    if bend >= 0:
        return float(frequency[k]), highest
    shift = 0.5 * (left - right) / bend
    return float(frequency[k] + shift * (frequency[1] - frequency[0])), highest


def _binned(frequency: Float, amplitude: Float, limits: Limits) -> NDArray[np.float16]:
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


# ---- The dominant variability of millions of light curves, streamed: flat memory, any number of processes ------------


PLACE = {  # which light curve of a star it is
    "source": pa.string(),
    **{name: pa.int32() for name in ("sector", "quarter", "campaign", "camera", "ccd")},
}
CHUNK = 100  # light curves that a process takes at a time
ROWS = 20_000  # of a shard; what a run loses at most when it is killed
KIND = "periods"


class Piece(NamedTuple):
    """Light curves that a process takes at a time."""

    names: pa.Table  # (n rows) of the result: object_id and `PLACE`
    curves: LightCurves  # n, without their names: Arrow would send a whole batch's with each piece
    drawn: NDArray[np.bool_]  # (n,)
    unreadable: bool = False  # files that could not be read: empty light curves stand for them

    def after(self, n: int) -> Piece:
        """Leave out the first n."""
        return Piece(self.names.slice(n), self.curves[n:], self.drawn[n:], self.unreadable)


def measure(
    source: str | Sequence[str],
    out: Path,
    *,
    limits: Limits | None = None,
    drawn: Collection[str] = (),
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
        The folder. Each file has ``rows`` rows, one per light curve whatever its state: ``object_id``, what tells the
        light curves of a star apart (`PLACE`), and the numbers of `Dominant`, null where there are none, with the
        reason in ``f1_status``.
    limits : Limits, optional
    drawn : collection of str
        Ids of the objects whose amplitude spectra are kept too, in the column ``spectrum``.
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
    limits, ids = limits or Limits(), frozenset(drawn)
    deep = bool(options.get("recursive"))
    names = list(source_files([source] if isinstance(source, str) else source, deep))
    settings: dict[str, Any] = {"source": names, "limits": limits.model_dump(), "rows": rows}
    settings["light curves"] = Task("", tuple(names)).fingerprint  # files of the same name may hold others
    settings |= {"options": {k: str(v) for k, v in options.items()}}
    settings |= {"drawn": len(ids), "drawn_hash": sha256("\n".join(sorted(ids)).encode()).hexdigest()[:12]}
    with lock_folder(out):
        folder = Folder(out, KIND, settings).begin()
        if "finished" in read_manifest(out):
            tick(int(read_manifest(out)["rows"]))
            return out
        done = _done(folder)
        pieces = _after(_pieces(read_batches(names, **options), ids), done, folder, tick)
        with closing(run_in_order(partial(measured, limits=limits), pieces, workers)) as tables:
            for k, table in enumerate(_shards(tables, rows, tick), start=len(done)):
                name = f"part-{k:06d}.parquet"
                size, digest = write_shard(out / name, table, table.num_rows)
                folder.log(Entry(f"{k:06d}", name, table.num_rows, size, digest))
        folder.finish()
    return out


def read_measured(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows that `measure` wrote, in the order of the light curves; all columns or some."""
    files = [folder / str(entry.shard) for entry in _done(Folder(folder, KIND, {}))]
    wanted = None if columns is None else list(columns)
    return pa.concat_tables([pq.read_table(f, columns=wanted).replace_schema_metadata(None) for f in files])


def _done(folder: Folder) -> list[Entry]:
    return sorted(folder.entries().values(), key=lambda entry: entry.task)


# ---- what is read ---------------------------------------------------------------------------------------------------


def _pieces(batches: Iterable[tuple[LightCurves | None, list[Unreadable]]], drawn: frozenset[str]) -> Iterator[Piece]:
    """Cut batches into what a process takes at a time."""
    for curves, failures in batches:
        if failures:
            yield _unreadable(failures)
        for start in range(0, 0 if curves is None else len(curves), CHUNK):
            assert curves is not None
            part = curves[start : start + CHUNK]
            nameless = replace(part, object_id=pa.array([""] * len(part)), objects=None)
            yield Piece(_names(part), nameless, np.array([name in drawn for name in part.ids], bool))


def _names(curves: LightCurves) -> pa.Table:
    """Return id and `PLACE` of light curves, null where the files don't tell."""
    about, n = curves.table_of_objects, len(curves)
    known = {k: about[k].cast(t) if k in about.column_names else pa.nulls(n, t) for k, t in PLACE.items()}
    return pa.table({"object_id": curves.object_id} | known)


def _unreadable(failures: Sequence[Unreadable]) -> Piece:
    """Return files that can't be read as rows, named as in a table of predictions."""
    n, paths = len(failures), [failure.path for failure in failures]
    nothing = LightCurves.from_arrays([Path(path).name for path in paths], np.zeros(n + 1), [], [])
    return Piece(_names(nothing.with_columns(source=pa.array(paths))), nothing, np.zeros(n, bool), True)


def _after(pieces: Iterable[Piece], done: list[Entry], folder: Folder, tick: Callable[[int], None]) -> Iterator[Piece]:
    """Leave out the light curves that an earlier run has measured: they are read again, which is the cheap part.

    Raises
    ------
    ValueError
        If those that come first now are others.
    """
    left = sum(entry.rows for entry in done)
    tick(left)
    last = pq.read_table(folder.path / str(done[-1].shard), columns=["object_id"])["object_id"][-1] if left else None
    for piece in pieces:
        n = len(piece.drawn)
        if 0 < left <= n and piece.names["object_id"][left - 1] != last:
            raise ValueError(f"{folder.path}: begun with other light curves; delete this folder and start anew")
        if left < n:
            yield piece.after(left) if left else piece
        left = max(left - n, 0)


# ---- what is computed -----------------------------------------------------------------------------------------------


def measured(piece: Piece, limits: Limits) -> pa.Table:
    """Return names and measurements of light curves as a table, one row each."""
    found = dominant_variability(piece.curves, limits, piece.drawn)
    status = np.full(len(found.status), Status.UNREADABLE) if piece.unreadable else found.status
    spectra = pa.array([None if s is None else s.astype(np.float32) for s in found.spectra], pa.list_(pa.float32()))
    columns: dict[str, Any] = {"f1_status": pa.array(status.astype(str), pa.string())}
    columns |= {"f1": _numbers(found.f1, pa.float64()), "span": _numbers(found.span, pa.float64())}
    for name in ("A1", "power", "log10_fap", "snr", "f_max"):
        columns[name if name in ("A1", "f_max") else f"f1_{name}"] = _numbers(getattr(found, name), pa.float32())
    columns["f1_n"] = pa.array(found.n_used, pa.int32())
    names = {name: piece.names[name] for name in piece.names.column_names}
    return pa.table(names | columns | {"spectrum": spectra})


def _numbers(values: NDArray[np.float64], kind: pa.DataType) -> pa.Array:
    return pa.array(values, kind, from_pandas=True)  # NaN is null


def _shards(tables: Iterable[pa.Table], rows: int, tick: Callable[[int], None]) -> Iterator[pa.Table]:
    """Join tables, and cut them, into those of ``rows`` rows; the last may have fewer."""
    waiting = list[pa.Table]()
    for table in tables:
        tick(table.num_rows)
        waiting.append(table)
        while sum(t.num_rows for t in waiting) >= rows:
            whole = pa.concat_tables(waiting)
            yield whole.slice(0, rows)
            waiting = [whole.slice(rows)]
    if any(t.num_rows for t in waiting):
        yield pa.concat_tables(waiting)
