"""Light curves of Gaia Science Alerts as its pages give them (Hodgkin et al. 2021).

The first line is the alert's name, the second the names ``#Date,JD(TCB),averagemag.``. Magnitudes are of Gaia's G band,
without uncertainties; ``untrusted`` and ``null`` stand for no measurement.
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

NAME = "gaia alert"
COLUMNS = re.compile(rb"#\s*Date\s*,\s*JD\s*\(TCB\)\s*,\s*averagemag", re.I)
NO_MEASUREMENT = ("untrusted", "null")


def recognises(file: SourceFile) -> bool:
    """Tell whether the file begins as a light curve of Gaia Science Alerts."""
    return file.kind == "text" and _object_name(file.head) is not None


def _object_name(head: bytes) -> str | None:
    """Return the name on the first line of a file whose second line has the columns of an alert; None for any other."""
    lines = [line.strip() for line in head.removeprefix(b"\xef\xbb\xbf").splitlines()]
    named = [line for line in lines[:1] if line.strip(b'"# ') and b"," not in line]
    columns = next((line for line in lines[1:] if line), b"")
    return named[0].strip(b'"# ').decode("utf-8", "replace") if named and COLUMNS.match(columns) else None


def read(file: SourceFile, options: ReadOptions) -> LightCurves:
    """Read the one light curve of the file.

    Raises
    ------
    Unreadable
        If it has no row, or text where numbers should be.
    """
    names = ["date", "jd", "mag"]
    try:
        text = io.BytesIO(file.raw)
        frame = pd.read_csv(text, skiprows=2, names=names, index_col=False, encoding_errors="replace", dtype=str)
    except (pd.errors.ParserError, ValueError) as error:
        raise Unreadable(file.path, f"is no regular table ({error})", "download it again") from error
    mag = frame["mag"].str.strip()
    missing = mag.isna() | mag.str.lower().isin(NO_MEASUREMENT)
    if missing.any():
        logger.info("%s: %d rows are untrusted or null, and left out", file.path, missing.sum())
        file.left_out["missing brightnesses"] += int(missing.sum())
    time = roles.numbers(frame["jd"], "JD(TCB)", file.path)
    value = roles.numbers(mag.mask(missing), "averagemag", file.path)
    file.columns_read, file.columns_ignored = ["JD(TCB)", "averagemag"], ["Date"]
    rows = Observations(
        None,
        np.where(missing, np.nan, time),
        value,
        None,
        np.repeat("G", len(time)),
        "band",
        np.ones(len(time), bool),
        object_name=_object_name(file.head),
    )
    return light_curves(
        file,
        options,
        rows,
        unit="mag",
        time_scale="JD",
        keep_order=True,
        mission="Gaia",
        product="Gaia Science Alert",
    )
