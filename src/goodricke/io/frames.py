"""Light curves that are in memory already, or named by their files: frames of pandas and nested-pandas, Arrow tables.

A frame has one row per object: its light curve is a nested column (nested-pandas), or lists side by side (``time``,
``mag``, ``magerr``, ``band``, under any of the names that `columns` knows). Whatever comes in, one row gives one light
curve, in order.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from goodricke.data.arrow import strings
from goodricke.data.lightcurves import LightCurves
from goodricke.io import nested, roles
from goodricke.io.files import stem_of
from goodricke.io.options import ReadOptions, Unreadable
from goodricke.io.reading import read

log = logging.getLogger("goodricke")


def light_curves_of(given: Any, **options: Any) -> LightCurves:
    """Return light curves, one for each row or file of what is given.

    Parameters
    ----------
    given : LightCurves, list of LightCurves, NestedFrame, DataFrame, pyarrow.Table, path or list of paths
        A single path may be a folder or a pattern: all light curves in its files, as `goodricke.read` has them. In a
        list of paths each is of one light curve; a file that can't be read is told in the log and gives an empty one.
    **options
        Of what has no units or unusual names; see `goodricke.io.ReadOptions`.

    Raises
    ------
    TypeError
        If it is nothing of these.
    Unreadable
        If a frame has no column with light curves, or a single path can't be read.
    ValueError
        If a file of a list has several light curves, or units and time scales differ.
    """
    if isinstance(given, LightCurves):
        return given
    if isinstance(given, str | Path):
        return read(given, errors="skip", **options)
    if isinstance(given, pa.Table) or hasattr(given, "columns"):
        return _of_table(given, ReadOptions(**options))
    members = list(given) if isinstance(given, Sequence | np.ndarray) or hasattr(given, "to_numpy") else []
    if members and all(isinstance(member, LightCurves) for member in members):
        return LightCurves.concat(members)
    if members and all(isinstance(member, str | Path) for member in members):
        return _of_files(members, options)
    raise TypeError(
        f"no light curves in a {type(given).__name__}: give LightCurves (goodricke.read), a frame with a light curve "
        "per row, or paths. Plain arrays don't tell time, brightness and band apart: LightCurves.from_arrays makes "
        "light curves of them"
    )


def arrow_of(frame: Any) -> pa.Table:
    """Return a frame as an Arrow table: nested columns as lists of structs, unit and time scale in the metadata."""
    arrays = [pa.array(frame[c].array) if is_nested(frame[c]) else pa.Array.from_pandas(frame[c]) for c in frame]
    meta = {name: str(frame.attrs[name]) for name in ("unit", "time_scale") if name in frame.attrs}
    return pa.table(arrays, names=[str(c) for c in frame]).replace_schema_metadata(meta or None)


def is_nested(series: Any) -> bool:
    """Tell whether a column of a frame is one of nested-pandas."""
    return hasattr(series, "nest")


def _of_table(given: Any, options: ReadOptions) -> LightCurves:
    """Return the light curves of a table; without a column of ids, objects are called as the frame's index has them."""
    table = given if isinstance(given, pa.Table) else arrow_of(given)
    known = roles.names_by_alias(table.column_names)
    if "object_id" not in options.columns and roles.find_column(known, roles.OBJECT_ID) is None:
        index = getattr(given, "index", np.arange(len(table)))
        table = table.append_column("object_id", strings(np.asarray(index).astype(str)))
    return nested.from_table(table.combine_chunks(), options, "the frame")


def _of_files(paths: Sequence[str | Path], options: dict[str, Any]) -> LightCurves:
    """Return one light curve for each file."""
    found: dict[int, LightCurves] = {}
    for row, path in enumerate(paths):
        try:
            found[row] = read(path, **options)
        except Unreadable as error:
            log.warning("%s", error)
        if row in found and len(found[row]) != 1:
            raise ValueError(
                f"{path} has {len(found[row])} light curves: in a list of paths each must be of one. Read the files "
                "first (goodricke.read) and give the light curves"
            )
    first = next(iter(found.values()), None)
    empty = {} if first is None else {"unit": first.unit, "time_scale": first.time_scale, "bands": first.bands}
    parts = [
        found[row] if row in found else LightCurves.from_arrays([stem_of(str(path))], [0, 0], [], [], **empty)
        for row, path in enumerate(paths)
    ]
    return LightCurves.concat(parts)
