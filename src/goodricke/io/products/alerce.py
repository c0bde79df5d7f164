"""Detections of ZTF's alerts as ALeRCE's database, API and website give them (Forster et al. 2021, section 3).

A magnitude is that of the source for objects that ALeRCE could correct, i.e. where the flux of the reference image's
source was added to the difference's (``magpsf_corr``, with ``sigmapsf_corr_ext``, the error that stays finite), else
that of the difference (``magpsf``). An object counts as corrected if its first detection is, as in ALeRCE's own
classifier; `LightCurves.objects` says so in ``corrected``. Name either as the flux to have it for all objects.
Detections listed twice, and several of one band and instant, count once: the one of highest real-bogus score.

Quality: ``"default"`` leaves out detections that ALeRCE calls dubious, and negative differences of objects without a
correction, whose magnitudes are no brightness; ``"hard"`` also those with a real-bogus score below 0.55.

With ``flux="total"`` it is the source's magnitude for all objects, with ``flux="difference"`` the flux of the
difference [nJy], negative where ``isdiffpos`` says so, as for packets.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.data.units import nanojansky
from goodricke.io import measurements, roles, table, table_files
from goodricke.io.files import SourceFile
from goodricke.io.observations import Observations, identify, light_curves
from goodricke.io.options import ReadOptions, Unreadable

logger = logging.getLogger("goodricke")

NAME = "alerce"
SOURCE_MAG, DIFFERENCE_MAG = "magpsf_corr", "magpsf"
ERRORS = {SOURCE_MAG: "sigmapsf_corr_ext", DIFFERENCE_MAG: "sigmapsf"}
LIKELY_REAL = 0.55  # real-bogus score that ALeRCE's classifier asks for
UNKNOWN = 50.0  # ALeRCE writes an error of 100 where it could compute none
TIMES, IDS = ("mjd", "jd"), ("oid", "objectId")
PLAIN_ERROR = "sigmapsf_corr"  # of the source, where the other isn't given
OTHERS = (*IDS, PLAIN_ERROR, "fid", "corrected", "dubious", "isdiffpos", "rb", "ra", "dec")
Numbers = NDArray[np.float64]


def recognises(file: SourceFile) -> bool:
    """Tell whether the file is a table of ZTF's alerts, by its columns: the sign or the source's magnitude too."""
    names, needed = table_files.column_names(file), ("fid", DIFFERENCE_MAG, ERRORS[DIFFERENCE_MAG])
    is_alert = names.issuperset(needed) and not names.isdisjoint(("mjd", "jd"))
    return is_alert and not names.isdisjoint(("isdiffpos", roles.normal_name(SOURCE_MAG)))


def read(file: SourceFile, options: ReadOptions) -> LightCurves:
    """Read all light curves of the table; see the module for magnitudes and quality.

    Raises
    ------
    Unreadable
        If the options name another flux than the two, or a row has no object.
    """
    if options.columns:  # named by the user: any table
        return table.read(file, options)
    data = table_files.load_columns(file, *TIMES, *ERRORS, *ERRORS.values(), *OTHERS)
    time_name = next(name for name in TIMES if name in data)
    time = roles.column_numbers(data, time_name, file.path)
    id_name = next((name for name in IDS if name in data), None)
    name = table_files.open_table(file).object_id
    ids, codes = identify(file, data.get(id_name or ""), id_name or "oid", len(time), name)
    corrected = _corrected(data, codes, time, len(ids))
    wanted = (options.flux or options.photometry or "").lower()
    is_difference = wanted == "difference"
    if is_difference:
        value, error = _difference_flux(data, file.path)
    else:
        value, error = _magnitudes(data, corrected[codes], wanted, file)
    good = _good(data, corrected[codes] | is_difference, options.quality, file.path)
    time = np.where(_representatives(data, codes, time, good, file.path), time, np.nan)
    ra, dec = (roles.column_numbers(data, name, file.path) if name in data else None for name in ("ra", "dec"))
    rows = Observations(ids.take(codes), time, value, error, data["fid"], "fid", good, ra, dec)
    unit, product = "nJy" if is_difference else "mag", "ALeRCE detections"
    curves = light_curves(file, options, rows, unit=unit, time_scale=time_name.upper(), mission="ZTF", product=product)
    is_total = np.full(len(ids), wanted in ("total", SOURCE_MAG)) if wanted else corrected
    is_total &= np.bincount(codes[np.isfinite(value)], minlength=len(ids)) > 0  # of others the source isn't known
    return curves.with_columns(corrected=corrected, photometry=np.where(is_total, "total", "difference"))


def _corrected(data: Mapping[str, Any], codes: NDArray[np.int64], time: Numbers, n: int) -> NDArray[np.bool_]:
    """Return which objects (n,) are corrected: those whose first detection is."""
    flagged = roles.flags(data["corrected"]) if "corrected" in data else np.zeros(len(time), bool)
    result = np.zeros(n, bool)
    late_to_early = np.argsort(-time, kind="stable")
    result[codes[late_to_early]] = flagged[late_to_early]  # the earliest is written last
    return result


def _magnitudes(
    data: Mapping[str, Any], corrected: NDArray[np.bool_], wanted: str, file: SourceFile
) -> tuple[Numbers, Numbers]:
    """Return magnitudes and errors (N,): of the source where the object is corrected, else of the difference."""
    wanted = {"total": SOURCE_MAG}.get(wanted, wanted)
    if wanted and wanted not in ERRORS:
        choices = ", ".join((*ERRORS, "total", "difference"))
        raise Unreadable(file.path, f"has no magnitude {wanted}", f"choose one of {choices} with --flux")
    is_source = corrected if not wanted else np.full(len(corrected), wanted == SOURCE_MAG)
    source, difference = ([_numbers(data, name, file.path) for name in pair] for pair in ERRORS.items())
    value, error = (np.where(is_source, a, b) for a, b in zip(source, difference, strict=True))
    value = measurements.mask_dummies(value.astype(np.float32), "mag", file.path)
    return value.astype(np.float64), np.where(error < UNKNOWN, error, np.nan)


def _numbers(data: Mapping[str, Any], name: str, path: str) -> Numbers:
    """Return a column (N,), NaN where the table lacks it: brokers give fewer columns than ALeRCE's database."""
    if name == ERRORS[SOURCE_MAG] and name not in data and PLAIN_ERROR in data:
        name = PLAIN_ERROR
    if name not in data and name in (SOURCE_MAG, ERRORS[SOURCE_MAG]):
        return np.full(len(data[DIFFERENCE_MAG]), np.nan)
    return roles.column_numbers(data, name, path)


def _difference_flux(data: Mapping[str, Any], path: str) -> tuple[Numbers, Numbers]:
    """Return fluxes of the difference and errors (N,) [nJy], with the sign of ``isdiffpos``."""
    if "isdiffpos" not in data:
        raise Unreadable(path, "has no column isdiffpos, the sign of the difference", f"--flux {DIFFERENCE_MAG}")
    magnitude, error = (roles.column_numbers(data, name, path) for name in (DIFFERENCE_MAG, ERRORS[DIFFERENCE_MAG]))
    flux, error = nanojansky(np.where(np.abs(magnitude) < UNKNOWN, magnitude, np.nan), error)
    return roles.signs(data["isdiffpos"]) * flux, error


def _good(data: Mapping[str, Any], corrected: NDArray[np.bool_], quality: str, path: str) -> NDArray[np.bool_]:
    """Return which rows (N,) the quality cut keeps."""
    good = np.ones(len(corrected), bool)
    if quality == "none":
        return good
    if "dubious" in data:
        good &= ~roles.flags(data["dubious"])
    if "isdiffpos" in data:
        good &= corrected | roles.flags(data["isdiffpos"])
    if quality == "hard" and "rb" in data:
        good &= roles.column_numbers(data, "rb", path) >= LIKELY_REAL
    return good


def _representatives(
    data: Mapping[str, Any], codes: NDArray[np.int64], time: Numbers, good: NDArray[np.bool_], path: str
) -> NDArray[np.bool_]:
    """Return which rows (N,) count among those of one object, band and instant: a good one, the most real of these."""
    score = np.nan_to_num(roles.column_numbers(data, "rb", path)) if "rb" in data else np.zeros(len(codes))
    band = np.unique(np.asarray(data["fid"]).astype(str), return_inverse=True)[1]
    first = ragged.first_of_each(time, band, codes, best=score + 2.0 * good)  # scores are between 0 and 1
    if repeated := int((np.isfinite(time) & ~first).sum()):
        logger.info("%s: %d rows repeat an observation of the same star, band and instant: left out", path, repeated)
    return first
