"""Light curves of ASAS-3 (Pojmanski 1997, 2002) as its catalogue gives them: text with several data sets of a star.

Times are HJD - 2450000. Each data set has magnitudes in five apertures, ``MAG_0`` (2 pixels) to ``MAG_4`` (6 pixels).
The aperture fits the star's brightness, as ASAS advises: the median of ``MAG_2`` decides between ``MAG_4`` (brighter
than 9 mag), ``MAG_3``, ``MAG_2``, ``MAG_1`` and ``MAG_0`` (12 mag and fainter), one magnitude each. Name another with
``flux="MAG_0"``. The data sets of a star are joined as they are: they may differ by a few hundredths of a magnitude.

A magnitude of 29.999 was not measured. Quality by ``GRADE``, from A (best) to D (worst, probably useless):
``"default"`` and ``"bitmask"`` leave out D; C says that another aperture was not measured, and stays. ``"hard"`` keeps
A alone.
"""

from __future__ import annotations

import io
import logging
import re

import numpy as np
import pandas as pd

from goodricke.data.lightcurves import LightCurves
from goodricke.io import roles
from goodricke.io.files import SourceFile
from goodricke.io.observations import Observations, light_curves
from goodricke.io.options import ReadOptions, Unreadable

logger = logging.getLogger("goodricke")

NAME = "asas3"
COLUMNS = re.compile(rb"^#\s*HJD\s+MAG_\d.*GRADE.*$", re.M)
NOT_MEASURED = 29.0  # mag, and fainter
TIME_ZERO = 2450000.0
FAINTER = (9.0, 10.0, 11.0, 12.0)  # mag, from which on the aperture is one pixel smaller
KEPT = {"default": "ABC", "bitmask": "ABC", "hard": "A"}


def recognises(file: SourceFile) -> bool:
    """Tell whether the file is a light curve of ASAS-3, by its line of names."""
    return file.kind == "text" and COLUMNS.search(file.raw[: 1 << 16]) is not None


def read(file: SourceFile, options: ReadOptions) -> LightCurves:
    """Read all stars of the file; see the module for aperture and quality.

    Raises
    ------
    Unreadable
        If the aperture is none of the five, or a row is no regular one.
    """
    frame = _rows(file)
    stars, codes = np.unique(frame["star"].to_numpy(str), return_inverse=True)
    apertures = sorted(name for name in frame.columns if re.fullmatch(r"MAG_\d", name))
    wanted = (options.flux or options.columns.get("value") or "").upper()
    if wanted and wanted not in apertures:
        raise Unreadable(file.path, f"has no magnitude {wanted}", f"choose one of {', '.join(apertures)} with --flux")
    value, error = np.full(len(frame), np.nan), np.full(len(frame), np.nan)
    used = set[str]()
    for code in range(len(stars)):
        of_star = codes == code
        name = wanted or _aperture(frame.loc[of_star], apertures, file.path)
        used |= {name, name.replace("MAG", "MER")}
        value[of_star] = roles.numbers(frame.loc[of_star, name], name, file.path)
        own = name.replace("MAG", "MER")
        error[of_star] = roles.numbers(frame.loc[of_star, own], own, file.path)
    missing = ~(value < NOT_MEASURED)
    good = np.ones(len(frame), bool)
    if options.quality in KEPT:
        good = frame["GRADE"].isin(list(KEPT[options.quality])).to_numpy()
    shown = ", ".join(sorted(used))
    counts = int((missing & good).sum()), int((~good).sum())
    logger.info("%s: %s are read; %d rows not measured and %d by their grade left out", file.path, shown, *counts)
    file.left_out.update({"missing brightnesses": counts[0], "flagged by their grade": counts[1]})
    file.columns_read = ["HJD", *sorted(used), "GRADE"]
    file.columns_ignored = [name for name in frame.columns if name not in (*file.columns_read, "star")]
    time = roles.numbers(frame["HJD"], "HJD", file.path)
    time = np.where(missing, np.nan, np.where(time < TIME_ZERO, time + TIME_ZERO, time))
    names = frame["star"].to_numpy()
    rows = Observations(names, time, value, error, np.repeat("V", len(time)), "band", good, id_name="desig")
    return light_curves(
        file,
        options,
        rows,
        unit="mag",
        time_scale="HJD",
        keep_order=True,
        mission="ASAS",
        product="ASAS-3",
    )


def _rows(file: SourceFile) -> pd.DataFrame:
    """Return the rows of all data sets, with the star's name: its designation, else that of the file."""
    text = file.raw.decode("utf-8", "replace")
    parts, star = list[pd.DataFrame](), file.stem
    for block in re.split(r"(?m)^(?=#\s*ndata=)", text):
        header = re.search(r"(?m)^#\s*(HJD\s+MAG_.*)$", block)
        name = re.search(r"(?m)^#\s*desig=\s*(\S+)", block)
        star = f"ASAS {name[1]}" if name else star
        body = "\n".join(line for line in block.splitlines() if line.strip() and not line.startswith("#"))
        if not header or not body:
            continue
        try:
            rows = pd.read_csv(io.StringIO(body), sep=r"\s+", names=header[1].split(), index_col=False)
        except (pd.errors.ParserError, ValueError) as error:
            raise Unreadable(file.path, f"is no regular table of ASAS-3 ({error})", "look at the file") from error
        parts.append(rows.assign(star=star))
    if not parts:
        raise Unreadable(file.path, "is a file of ASAS-3 without any row", "leave the file out")
    return pd.concat(parts, ignore_index=True)


def _aperture(rows: pd.DataFrame, apertures: list[str], path: str) -> str:
    """Return the magnitude in the aperture that fits the star's brightness."""
    middle = apertures[len(apertures) // 2]
    bright = roles.numbers(rows[middle], middle, path)
    measured = bright[bright < NOT_MEASURED]
    fainter = int(np.searchsorted(FAINTER, np.median(measured), side="right")) if len(measured) else 2
    name = f"MAG_{4 - fainter}"
    return name if name in apertures else middle
