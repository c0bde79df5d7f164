"""Speed of what comes before ASTRAFier: light curves from FITS files, and their preprocessing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from benchmarks.astrafier import Figures, light_curves
from benchmarks.plain import dense as plain
from benchmarks.timing import copy_rate, measure
from goodricke.io import read
from goodricke.preprocess.dense import DenseConfig, prepare


def preprocessing(tiny: bool = False) -> Figures:
    """Measure clipping, detrending and standardising 1,000 light curves, per light curve."""
    n, points = (5, 80) if tiny else (1000, 1171)
    curves = light_curves(n, points)

    def one_by_one() -> NDArray[np.float32]:
        rows = zip(curves.offsets[:-1], curves.offsets[1:], strict=True)
        return np.concatenate([plain.prepare(curves.time[a:b], curves.value[a:b])[1] for a, b in rows])

    def at_once() -> NDArray[np.float32]:
        return prepare(curves, DenseConfig()).values[:, 0]

    copy = 2e-9 * (curves.time.nbytes + curves.value.nbytes) / copy_rate()
    difference = float(np.abs(at_once() - one_by_one()).max())
    return _compare(one_by_one, at_once, n, "this / copying the numbers", copy, difference)


def files(tiny: bool = False) -> Figures:
    """Measure reading 200 QLP files of one light curve each from the system's cache, per file."""
    n, points = (3, 80) if tiny else (200, 1171)
    with TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, n, points)
        paths = sorted(folder.glob("*.fits"))

        def one_by_one() -> NDArray[np.float32]:
            return np.concatenate([plain.read(path)[2] for path in paths])

        def at_once() -> NDArray[np.float32]:
            return read(folder).value

        limit = measure(lambda: [path.read_bytes() for path in paths]).median()
        difference = float(np.abs(at_once() - one_by_one()).max())
        return _compare(one_by_one, at_once, n, "this / reading the bytes", limit, difference)


def _compare(
    one_by_one: Callable[[], Any], at_once: Callable[[], Any], n: int, limit_name: str, limit: float, difference: float
) -> Figures:
    """Return the figures of the plain and the package's functions for ``n`` light curves, by CPU time."""
    timings, figures = {"plain": measure(one_by_one), "goodricke": measure(at_once)}, Figures()
    for name, timing in timings.items():
        single = timing.scaled(1e3 / n)
        figures[name] = {
            "wall [ms]": single.median("wall"),
            "CPU [ms]": single.median(),
            "CPU, quartiles": single.quartiles(),
            "per CPU second": 1e3 / single.median(),
            "plain / this": timings["plain"].median() / timing.median(),
            limit_name: timing.median() / limit,
            "largest difference": 0.0 if name == "plain" else difference,
        }
    return figures


def write(folder: Path, n: int, points: int) -> None:
    """Write light curves with the columns of QLP's files."""
    curves = light_curves(n, points)
    other = np.zeros(points, np.float32)
    names = ("KSPSAP_FLUX", "KSPSAP_FLUX_ERR", "SAP_X", "SAP_Y", "SAP_BKG", "SAP_BKG_ERR", "KSPSAP_FLUX_SML")
    for i in range(n):
        row = slice(i * points, (i + 1) * points)
        columns = [
            fits.Column("TIME", "D", array=curves.time[row]),
            fits.Column("CADENCENO", "J", array=np.arange(points)),
            fits.Column("SAP_FLUX", "E", array=curves.value[row]),
            fits.Column("QUALITY", "J", array=np.where(np.arange(points) % 50 == 0, 4096, 0)),
            *(fits.Column(name, "E", array=other) for name in names),
        ]
        first = fits.PrimaryHDU()
        first.header.update({"ORIGIN": "MIT/QLP", "MISSION": "TESS", "TICID": i, "SECTOR": 14})
        table = fits.BinTableHDU.from_columns(columns)
        table.header.update({"BJDREFI": 2457000, "BJDREFF": 0.0})
        fits.HDUList([first, table]).writeto(folder / f"qlp-{i:04d}.fits")
