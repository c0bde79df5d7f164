"""ZTF forced photometry, the text files of IPAC's service (Masci et al. 2023, arXiv:2305.16279).

One file is one position in g, r and i. Flux is that of the difference image at the position, ``forcediffimflux``
[DN], brought by each row's own zero point ``zpdiff`` to nJy; it is negative where the source is fainter than in the
reference image, and no measurement is an upper limit. ``forcediffimfluxap`` (aperture) is the other choice of flux. No
baseline is subtracted: it depends on what kind of source it is.

Quality: ``"default"`` leaves out rows with a processing status that warns of the measurement itself, rows that IPAC
flags as unusable (``infobitssci`` bit 25: clouds, bad calibration), and such as have a noisy (``scisigpix`` > 25) or
blurred (``sciinpseeing`` > 4) science image. ``"bitmask"`` judges by the flags alone, ``"hard"`` asks for no flag and
status 0.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from goodricke.data import units
from goodricke.data.lightcurves import LightCurves
from goodricke.data.photometry import with_photometry
from goodricke.io import measurements, roles, table, table_files
from goodricke.io.files import SourceFile
from goodricke.io.observations import Observations, light_curves
from goodricke.io.options import ReadOptions, Unreadable

NAME = "ztf_forced"
FLUX = "forcediffimflux"
ERRORS = {"forcediffimflux": "forcediffimfluxunc", "forcediffimfluxap": "forcediffimfluxuncap"}
NEEDED = ("jd", "filter", "zpdiff")
UNUSABLE = 1 << 25
NOISIEST, WORST_SEEING = 25.0, 4.0  # of the science image [DN], [pixels]
# Status codes that don't concern the flux: no problem; no reference source nearby; remarks on the requested dates.
HARMLESS = ("0", "57", "62", "65")
NO_MEASUREMENT = -99999.0
POSITION = re.compile(rb"Requested input (R\.A\.|Dec\.) = ([-+.\d]+)")
START = 1 << 16  # bytes that hold the comments and the line of names


def recognises(file: SourceFile) -> bool:
    """Tell whether the file is of the forced photometry service, by its line of names."""
    return file.kind == "text" and FLUX.encode() in file.raw[:START] and _names(file) is not None


def read(file: SourceFile, options: ReadOptions) -> LightCurves:
    """Read one file as a batch of one, called after the file; see the module for flux and quality.

    Raises
    ------
    Unreadable
        If there is no such flux, or the table is broken.
    """
    if options.columns:  # named by the user: any table
        return table.read(file, options)
    flux = (options.flux or FLUX).lower()
    if flux not in ERRORS:
        raise Unreadable(file.path, f"has no flux column {flux}", f"choose one of {', '.join(ERRORS)} with --flux")
    data = _load(file)
    measured = {name: roles.column_numbers(data, name, file.path) for name in ("jd", "zpdiff", flux, ERRORS[flux])}
    value, error = measured[flux], measured[ERRORS[flux]]
    is_measured = (value > NO_MEASUREMENT) & (error > 0) & np.isfinite(measured["zpdiff"])
    file.columns_read = [*measured, "filter", "procstatus"]
    scale = np.ones(len(value)) if options.unit else units.nanojansky(measured["zpdiff"], np.zeros(1))[0]
    position = {mark[:1]: float(number) for mark, number in POSITION.findall(file.raw[:START])}
    rows = Observations(
        None,
        measured["jd"] - units.MJD_ZERO,
        np.where(is_measured, value * scale, np.nan),
        np.where(is_measured, error * scale, np.nan),
        data["filter"],
        "filter",
        _good(data, options.quality, file.path) & (is_measured | (options.quality == "none")),
        position.get(b"R"),
        position.get(b"D"),
    )
    curves = light_curves(
        file, options, rows, unit="nJy", time_scale="MJD", mission="ZTF", product="ZTF forced photometry"
    )
    return with_photometry(curves, "difference")


def _names(file: SourceFile) -> tuple[int, list[str]] | None:
    """Return the number of the line of names and the names, which commas divide while blanks divide the rows."""
    for number, line in enumerate(file.raw[:START].decode("utf-8", "replace").splitlines()):
        if line.strip() and not line.lstrip().startswith("#"):
            names = re.split(r"[,\s]+", line.strip(" ,\t"))
            return (number, names) if FLUX in names and all(name in names for name in NEEDED) else None
    return None


def _load(file: SourceFile) -> dict[str, Any]:
    skip, names = _names(file) or (0, [])
    try:
        frame = pd.read_csv(
            io.BytesIO(file.raw),
            sep=r"\s+",
            names=names,
            skiprows=skip + 1,
            comment="#",
            dtype={"procstatus": str, "filter": str},  # several statuses are divided by commas
            na_values=["null"],
            index_col=False,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        raise Unreadable(file.path, f"is no regular table ({error})", table_files.NO_TABLE) from error
    return {name: frame[name] for name in names}


def _good(data: Mapping[str, Any], quality: str, path: str) -> NDArray[np.bool_]:
    """Return which rows (N,) the quality cut keeps; a column that an older file lacks doesn't judge."""
    good = np.ones(len(data["jd"]), bool)
    if quality == "none":
        return good
    if "infobitssci" in data:
        good &= measurements.unflagged(roles.column_numbers(data, "infobitssci", path), UNUSABLE, quality)
    if "procstatus" in data:
        codes = data["procstatus"].fillna("0").str.strip(",").str.split(",").explode()
        harmless = codes.isin(("0",) if quality == "hard" else HARMLESS)
        good &= harmless.groupby(level=0).all().to_numpy()
    if quality != "bitmask":
        for name, most in (("scisigpix", NOISIEST), ("sciinpseeing", WORST_SEEING)):
            good &= ~(roles.column_numbers(data, name, path) > most) if name in data else True
    return good
