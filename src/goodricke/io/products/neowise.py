"""Single exposures of NEOWISE and WISE as IRSA gives them (Mainzer et al. 2011, 2014): W1 and W2 side by side.

Magnitudes are ``w1mpro`` and ``w2mpro`` (Vega) with ``w1sigmpro`` and ``w2sigmpro``; without an uncertainty a magnitude
is a limit and no measurement. One table is one star, unless it has ``allwise_cntr`` or another column of identifiers.

Quality: ``"default"`` leaves out frames that the Explanatory Supplement advises against: ``qual_frame`` 0, ``qi_fact``
0, ``saa_sep`` below 0, a band's ``moon_masked`` other than 0, and a band's ``cc_flags`` in capitals (a spurious
detection). ``"hard"`` asks for ``cc_flags`` 0 and ``qi_fact`` 1. ``"bitmask"`` judges by ``qual_frame`` alone.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from goodricke.data.lightcurves import LightCurves
from goodricke.io import roles, table, table_files
from goodricke.io.files import SourceFile
from goodricke.io.observations import Observations, light_curves
from goodricke.io.options import ReadOptions

logger = logging.getLogger("goodricke")

NAME = "neowise"
NUMBERS = ("qual_frame", "qi_fact", "saa_sep", "ra", "dec")
TEXTS = ("moon_masked", "cc_flags")
BANDS = ("w1", "w2")
IDS = ("allwise_cntr", "object_id", "name")


def recognises(file: SourceFile) -> bool:
    """Tell whether the file is a table of single exposures, by its columns."""
    return table_files.column_names(file).issuperset(("mjd", "w1mpro", "w1sigmpro", "w2mpro", "w2sigmpro"))


def read(file: SourceFile, options: ReadOptions) -> LightCurves:
    """Read all light curves of the table, in W1 and W2; see the module for the quality.

    Raises
    ------
    Unreadable
        If a column holds text.
    """
    if options.columns or options.flux:  # named by the user: any table
        return table.read(file, options)
    measured = [f"{band}{name}" for band in BANDS for name in ("mpro", "sigmpro")]
    source = table_files.open_table(file, TEXTS)
    known = roles.names_by_alias(source.names)
    wanted = {
        name: known[roles.normal_name(name)]
        for name in ("mjd", *measured, *NUMBERS, *TEXTS, *IDS)
        if roles.normal_name(name) in known
    }
    loaded = source.load(list(wanted.values()))
    file.columns_read = list(wanted.values())
    file.columns_ignored = [name for name in source.names if name not in file.columns_read]
    data = {name: loaded[written] for name, written in wanted.items()}
    number = {n: roles.column_numbers(data, n, file.path) for n in ("mjd", *measured, *NUMBERS) if n in data}
    n = len(number["mjd"])
    value = np.concatenate([number[f"{band}mpro"] for band in BANDS])
    error = np.concatenate([number[f"{band}sigmpro"] for band in BANDS])
    good = np.concatenate([_good(number, data, i, options.quality, n) for i in range(len(BANDS))])
    missing = ~(np.isfinite(value) & (error > 0))
    counts = int(missing.sum()), int((good & ~missing).sum()), int((~good & ~missing).sum())
    logger.info("%s: W1 and W2 (Vega): %d limits or missing, %d used, %d left out by quality", file.path, *counts)
    file.left_out.update({"limits": counts[0], "flags": counts[2]})
    ids = next((name for name in IDS if name in data and roles.as_series(data[name]).notna().all()), None)
    rows = Observations(
        None if ids is None else pd.concat([roles.as_series(data[ids])] * 2, ignore_index=True),
        np.where(missing, np.nan, np.tile(number["mjd"], 2)),
        value,
        error,
        np.repeat([band.upper() for band in BANDS], n),
        "band",
        good,
        ra=np.tile(number["ra"], 2) if "ra" in number else None,
        dec=np.tile(number["dec"], 2) if "dec" in number else None,
        id_name=ids or "object_id",
    )
    return light_curves(
        file, options, rows, unit="mag", time_scale="MJD", mission="WISE", product="NEOWISE single exposures"
    )


def _good(
    number: Mapping[str, NDArray[np.float64]], data: Mapping[str, Any], band: int, quality: str, n: int
) -> NDArray[np.bool_]:
    """Return which rows (n,) the quality cut keeps in a band."""
    good = np.ones(n, bool)
    if quality == "none":
        return good
    if "qual_frame" in number:
        good &= number["qual_frame"] > 0
    if quality == "bitmask":
        return good
    if "qi_fact" in number:
        good &= (number["qi_fact"] >= 1) if quality == "hard" else (number["qi_fact"] > 0)
    if "saa_sep" in number:
        good &= ~(number["saa_sep"] < 0)
    if "moon_masked" in data:
        good &= _of_band(data["moon_masked"], band).isin(["0", ""]).to_numpy()
    if "cc_flags" in data:
        flag = _of_band(data["cc_flags"], band)
        good &= (flag.isin(["0", ""]) if quality == "hard" else ~flag.str.isupper()).to_numpy()
    return good


def _of_band(values: Any, band: int) -> pd.Series:
    """Return the character of a band in flags with one for each; whole numbers have lost their leading zeros."""
    text = roles.as_series(values).astype("string").fillna("")
    return text.where(text.str.len() != 1, text + "0").str.slice(band, band + 1).fillna("").astype(str)
