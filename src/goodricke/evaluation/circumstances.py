"""How light curves were observed, in numbers that say nothing of how the object varies: what a label should not follow.

Number of observations, first and last time, spacing, errors, bands and brightness are properties of a survey and of how
its objects were chosen. Where they tell the classes apart, a network may learn the survey instead of the stars: in the
training set of Debosscher et al. (2007) some classes come from Hipparcos and others from OGLE.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke import ragged
from goodricke.baselines.features import MISSING, simple_statistics
from goodricke.lightcurves import LightCurves
from goodricke.preprocess.cleaning import finite_points

Float = NDArray[np.float64]
SHOWN_BEHAVIOUR = ("amplitude_90", "std", "skewness", "eta")  # for scale: these a label may well follow


def circumstances(curves: LightCurves) -> dict[str, Float]:
    """Return how each light curve was observed, by name, (n,) each, NaN where unknown.

    Times are in days as they are in the file, brightness and errors in its unit; whole columns that are unknown are
    left out.
    """
    seen = finite_points(curves).sorted()
    offsets = seen.offsets
    first, last = (ragged.extreme(seen.time, offsets, f) for f in (np.minimum, np.maximum))
    known = seen.where(np.isfinite(seen.error))
    columns = {
        "number of observations": seen.n_obs.astype(np.float64),
        "time of the first observation": first,
        "time of the last observation": last,
        "time span": last - first,
        "median spacing": ragged.median(*_spacings(seen)),
        "median brightness": ragged.median(seen.value, offsets),
        "median error": ragged.median(known.error, known.offsets),
    }
    bands = np.unique(seen.band) if len(seen.bands) > 1 else ()
    with np.errstate(invalid="ignore"):
        share = {f"share of band {seen.bands[b]}": ragged.mean(seen.band == b, offsets) for b in bands}
    if len(bands) > 1:
        columns |= share | {"bands observed": np.sum([x > 0 for x in share.values()], axis=0).astype(np.float64)}
    return {name: values for name, values in columns.items() if np.isfinite(values).any()}


def behaviour(curves: LightCurves) -> dict[str, Float]:
    """Return how each light curve varies, by name, (n,) each, NaN where a statistic does not exist."""
    values, names = simple_statistics(curves)
    found = dict(zip(names, np.where(values == MISSING, np.nan, values).T, strict=True))
    return {name: x for name, x in found.items() if name != "median_error"}  # a circumstance


def text_columns(table: pa.Table, most: int = 50) -> dict[str, NDArray[np.int64]]:
    """Return the columns of text (n rows) with 2 to ``most`` different values, numbered: survey, camera, file, ..."""
    result = {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            continue
        if 2 <= pc.count_distinct(column, mode="all").as_py() <= most:
            result[name] = _codes(column)
    return result


def _codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return each value's number, nulls a number of their own."""
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _spacings(curves: LightCurves) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the times between neighbouring observations and their offsets."""
    step = np.diff(curves.time, prepend=np.nan)
    inside = np.ones(len(step), bool)
    inside[curves.offsets[:-1][curves.n_obs > 0]] = False
    return step[inside].astype(np.float32), ragged.select(inside, curves.offsets)
