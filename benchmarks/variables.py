"""Candidate periods of sparse light curves: time per star against other periodograms, agreement with brute force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from astropy.timeseries import LombScargle
from nifty_ls import lombscargle

from benchmarks.plain.periods import best_period, exact_score
from benchmarks.timing import measure
from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.preprocess.candidates import CandidateSearch, Joined, find_candidates, join_bands
from goodricke.preprocess.periods import PeriodSearch, find_periods

ASAS = Path(__file__).resolve().parents[2] / "shared" / "data" / "asas_acvs" / "lightcurves.parquet"
STARS = 200  # compared with brute force, which takes seconds per star
AT_ONCE = 5  # light curves per measurement
TIE = 0.2  # scores closer than this are equal: rounding decides between aliases


def run(tiny: bool = False, stars: int = STARS) -> dict[str, dict[str, Any]]:
    """Measure stars of 480 observations over 9 years, by CPU time, and compare the best periods with brute force."""
    points, span = (60, 40.0) if tiny else (480, 3285.0)
    figures = _speed(simulated(2 if tiny else AT_ONCE, points, span))
    stars = min(stars, 3) if tiny else stars
    if ASAS.exists() and not tiny:
        return figures | {
            f"{stars} stars of ASAS against brute force": _agreement(asas(stars), CandidateSearch(shortest=0.05))
        }
    name = f"{stars} simulated stars against brute force"
    return figures | {name: _agreement(simulated(stars, points, span, seed=1), CandidateSearch(shortest=0.05))}


def simulated(n: int, points: int, span: float, seed: int = 0) -> LightCurves:
    """Return pulsating stars with sawtooths of random periods, observed at random for ``span`` days."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(0, span, (n, points)), 1)
    time[:, 0], time[:, -1] = 0, span
    phase = time / np.exp(rng.uniform(np.log(0.1), np.log(span / 10), (n, 1))) % 1
    value = (12 + 0.6 * phase + rng.normal(0, 0.05, time.shape)).ravel()
    offsets = ragged.offsets_from_counts(np.full(n, points))
    ids = [str(i) for i in range(n)]
    return LightCurves.from_arrays(ids, offsets, time.ravel(), value, np.full(value.shape, 0.05), unit="mag")


def asas(n: int, seed: int = 0) -> LightCurves:
    """Return ``n`` stars of ASAS, drawn at random."""
    table = pq.read_table(ASAS, columns=["id", "time", "mag", "magerr"])
    ids = pc.unique(table["id"])
    drawn = ids.take(pa.array(np.random.default_rng(seed).permutation(len(ids))[:n]))
    table = table.filter(pc.is_in(table["id"], drawn)).rename_columns(["object_id", "time", "value", "error"])
    frame: pd.DataFrame = table.to_pandas().drop_duplicates()
    return LightCurves.from_long(frame.assign(object_id=frame["object_id"].astype(str)), unit="mag").sorted()


def _speed(curves: LightCurves) -> dict[str, dict[str, Any]]:
    """Return the CPU time per star of candidates and of periodograms with the same shortest period."""
    n, search = len(curves), CandidateSearch(shortest=0.05)
    rows = list(zip(curves.offsets[:-1], curves.offsets[1:], strict=True))
    series = [
        (curves.time[a:b], curves.value[a:b].astype(np.float64), curves.error[a:b].astype(float)) for a, b in rows
    ]
    span = float(np.ptp(series[0][0]))
    grid = {"fmin": 1 / span, "fmax": 1 / search.shortest, "Nf": int(3 * span / search.shortest)}
    step = (grid["fmax"] - grid["fmin"]) / (grid["Nf"] - 1)

    def nifty(harmonics: int) -> None:
        for time, value, error in series:
            lombscargle(time, value, error, **grid, nterms=harmonics, nthreads=1)

    def astropy() -> None:  # its periodogram of two harmonics takes ten seconds per star
        for time, value, error in series:
            frequency = grid["fmin"] + step * np.arange(grid["Nf"])
            LombScargle(time, value, error).power(frequency, method="fast", assume_regular_frequency=True)

    actions = {
        "candidates": lambda: find_candidates(join_bands(curves), search),
        "of which joining the bands": lambda: join_bands(curves),
        "find_periods, one harmonic": lambda: find_periods(curves, PeriodSearch(shortest=search.shortest)),
        "nifty-ls, one harmonic": lambda: nifty(1),
        "nifty-ls, two harmonics": lambda: nifty(2),
        "astropy, one harmonic": astropy,
    }
    timings = {name: measure(action, 3).scaled(1e3 / n) for name, action in actions.items()}
    first = timings["candidates"].median()
    return {
        name: {
            "CPU [ms]": timing.median(),
            "CPU, quartiles [ms]": timing.quartiles(),
            "this / candidates": timing.median() / first,
        }
        for name, timing in timings.items()
    }


def _agreement(curves: LightCurves, search: CandidateSearch) -> dict[str, Any]:
    """Return how often the best candidate is the best of all frequencies in double precision."""
    joined = join_bands(curves)
    candidates = find_candidates(joined, search)
    usable = np.flatnonzero(np.isfinite(candidates.period[:, 0]))
    same, tie, listed, error = np.array([_compare(joined, i, candidates.period[i], search) for i in usable]).T
    return {
        "stars": len(usable),
        "same best period": same.mean(),
        "same, or a score as high": np.maximum(same, tie).mean(),
        "best period among candidates": listed.mean(),
        "median difference over period": float(np.median(error[same > 0])) if same.any() else 0.0,
    }


def _compare(joined: Joined, i: int, period: np.ndarray, search: CandidateSearch) -> tuple[float, float, float, float]:
    """Return whether the best is the same, as high or listed, and the relative difference, for one star."""
    part = slice(joined.offsets[i], joined.offsets[i + 1])
    time, value, weight = joined.time[part], joined.value[part], joined.weight[part]
    best = best_period(time, value, weight, search)
    cycles = np.abs(1 / period - 1 / best.period) * time[-1]
    score = exact_score(time, value, weight, 1 / period[:1])[0]
    near = cycles < 0.33
    return float(near[0]), float(score > best.score - TIE), float(near.any()), float(abs(period[0] / best.period - 1))
