"""Light curves from whatever holds them in memory: one conversion for all functions that take light curves.

Tables, frames and time series are judged by the rules for files (`roles`, `measurements`), so that the same numbers
give the same light curves in any container. No library is imported for it: what is not pandas, Arrow, astropy or NumPy
is known by what it offers (``colnames``, ``__arrow_c_stream__``, members).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
from astropy.table import Table
from astropy.time import Time

from goodricke.data import arrow
from goodricke.data.arrow import strings, table_from_frame
from goodricke.data.lightcurves import LightCurves
from goodricke.data.units import days_since
from goodricke.io import nested, roles, table_files
from goodricke.io import table as flat
from goodricke.io.files import TableInMemory, name_stem
from goodricke.io.observations import choose_bands
from goodricke.io.options import ReadOptions, Scale, Unreadable
from goodricke.io.products import lightkurve
from goodricke.io.reading import read

logger = logging.getLogger("goodricke")

UNNAMED = "unnamed"  # the object of a table that names none
TAKEN = (
    "LightCurves, a path, a lightkurve LightCurve, an astropy TimeSeries or Table, a DataFrame (pandas, nested-pandas, "
    "polars), an Arrow table, a list of these, or arrays: time=, mag= or flux=, error=, band="
)
PENDING = {"collect": "collect()", "compute": "compute()"}  # how lazy frames are loaded


def as_light_curves(
    source: Any = None,
    *,
    time: Any = None,
    mag: Any = None,
    flux: Any = None,
    error: Any = None,
    band: Any = None,
    object_id: Any = None,
    **options: Any,
) -> LightCurves:
    """Return light curves of whatever holds them.

    Parameters
    ----------
    source : optional
        One of these, or left out for arrays:

        - `LightCurves`, which are returned as they are;
        - a path, or a list of paths. A single path may be a folder or a pattern: all light curves in its files, as
          `goodricke.read` has them. In a list of paths each is of one light curve; a file that can't be read is logged
          and gives an empty one;
        - a lightkurve ``LightCurve``, an astropy ``TimeSeries`` or ``Table``, a structured NumPy array;
        - a frame of pandas, nested-pandas or polars, an Arrow table, a mapping of columns: with a row per observation,
          or a row per object whose light curve is a nested column or lists side by side, under any of the names in
          ``docs/reference/formats.md``. Without a column of ids the frame's index names the objects;
        - a list, tuple, Series, collection or iterator of any of these, joined in order.
    time, mag, flux, error : array-like (N,), optional
        Arrays of one light curve: times in days, magnitudes or fluxes, and their uncertainties. Quantities and ``Time``
        bring their units. A list of arrays is of several light curves. With a ``source``, ``flux`` is the name of a
        column.
    band : str or array-like (N,), optional
        Band of all observations or of each. With a ``source``: the band to keep, or its name where the source has none.
    object_id : str or sequence of str (n,), optional
        Names of the objects. With arrays also one for each observation (N,), as in a long table.
    **options
        See `goodricke.io.ReadOptions`: ``unit="nJy"``, ``columns={"time": "HJD"}``, ...

    Returns
    -------
    LightCurves

    Raises
    ------
    TypeError
        If there are no light curves in ``source``, arrays are missing, or an option is unknown.
    Unreadable
        If a table lacks times or brightnesses, or a path can't be read.
    ValueError
        If arrays differ in length, a file of a list has several light curves, or units or time scales differ.

    Examples
    --------
    >>> as_light_curves(time=[58000.1, 58001.3, 58002.2], mag=[12.1, 12.4, 12.2], band="g", object_id="RR Lyr")
    LightCurves(1 objects, 3 observations, bands g, value in mag, time in MJD)
    >>> as_light_curves({"star": ["a", "a", "b"], "hjd": [2458000.1, 2458001.2, 2458001.3], "Vmag": [12.1, 12.4, 9.5]})
    LightCurves(2 objects, 3 observations, bands V, value in mag, time in HJD)
    """
    check_options(options)
    named = {"time": time, "mag": mag, "flux": flux, "error": error, "band": band}
    arrays = {name: values for name, values in named.items() if values is not None}
    if source is None:
        return _from_arrays(arrays, object_id, options)
    texts = {name: arrays.pop(name) for name in ("flux", "band") if isinstance(arrays.get(name), str)}
    if arrays:
        raise TypeError(
            f"both {_with_article(source)} and {_list(arrays)} were given. Fix: give a table or arrays; "
            'columns of a table are named by columns={"time": NAME, ...}'
        )
    with _errors_in_python():
        curves = _convert(source, options | texts, None)
    return curves if object_id is None else _renamed(curves, object_id)


def check_options(options: Mapping[str, Any]) -> None:
    """Raise TypeError at the name of an option that there isn't."""
    names = [field.name for field in fields(ReadOptions)]
    for name in options:
        if name not in names:
            near = get_close_matches(name, [*names, "time", "mag", "error", "object_id"], 1)
            hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(names)}"
            raise TypeError(f"unknown option {name!r}{hint}")


def _list(names: Any) -> str:
    return " and ".join(f"{name}=" for name in names)


def _renamed(curves: LightCurves, object_id: Any) -> LightCurves:
    """Return light curves under other names."""
    names = [object_id] if isinstance(object_id, str) else list(object_id)
    if len(names) != len(curves):
        raise ValueError(f"{len(names)} object_id for {len(curves)} light curves")
    return replace(curves, object_id=strings(names))


@contextmanager
def _errors_in_python() -> Iterator[None]:
    """Turn the options of the command line in messages into keyword arguments."""
    try:
        yield
    except Unreadable as error:
        if "--" not in f"{error.reason} {error.fix}":
            raise
        raise Unreadable(error.path, as_keywords(error.reason), as_keywords(error.fix)) from error


def as_keywords(text: str) -> str:
    """Return a text of the command line with its options as keyword arguments of Python.

    Examples
    --------
    >>> as_keywords("say which column holds the times, --column time=NAME, and --unit mag if so")
    'say which column holds the times, columns={"time": "NAME"}, and unit="mag" if so'
    """
    text = re.sub(r"--column (\w+)=(\w+)", r'columns={"\1": "\2"}', text)
    text = re.sub(r"--band (\w+)=(\w+)", r'rename_bands={"\1": "\2"}', text)
    text = re.sub(r"--(unit|band|flux|quality|light-curve|time-scale) (\w+)", r'--\1="\2"', text)
    return re.sub(r"--(unit|band|flux|quality|light-curve|time-scale)\b", lambda m: m[1].replace("-", "_"), text)


# ---- kinds of sources -----------------------------------------------------------------------------------------------


def _convert(source: Any, options: dict[str, Any], stem: str | None) -> LightCurves:
    """Return the light curves of a source; ``stem`` names an object whose table doesn't."""
    if isinstance(source, LightCurves):
        return source
    if isinstance(source, str | Path):
        return read(source, errors="skip", **options)
    settings, name = ReadOptions(**options), f"the {type(source).__name__}"
    if isinstance(source, pd.DataFrame):
        return _from_pandas(source, settings, name, stem)
    if hasattr(source, "colnames"):
        return _from_astropy(source, settings, name, stem)
    if isinstance(source, np.ndarray) and source.dtype.names:
        return _from_astropy(Table(source), settings, "the structured array", stem)
    if arrow.is_nested_pandas(source):  # a nested column without its frame
        return _from_pandas(source.to_frame(str(source.name or "lightcurve")), settings, name, stem)
    if isinstance(source, Mapping):
        return _from_mapping(source, settings, stem)
    if isinstance(source, np.ndarray) and source.dtype.kind in "biufc" and source.ndim:
        raise _numbers_without_names(source)
    if (table := _arrow_table(source)) is not None:
        return _from_arrow(table, settings, name, stem)
    return _from_members(source, options)


def _no_light_curves(what: str, fix: str = "") -> TypeError:
    return TypeError(f"no light curves in {what}. Fix: {fix or 'give ' + TAKEN}")


def _numbers_without_names(array: np.ndarray) -> TypeError:
    """Return the error for numbers that may be times, brightnesses or anything else."""
    names = "time=t, mag=m (or flux=f), error=e" if array.ndim == 1 else "time=a[:, 0], mag=a[:, 1] (or flux=)"
    shape = "x".join(map(str, array.shape))
    return _no_light_curves(f"an array of {shape} numbers", f"say what they are: {names}")


def _with_article(source: Any) -> str:
    """Return the name of a source's type after "a" or "an"."""
    name = type(source).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _from_pandas(frame: pd.DataFrame, options: ReadOptions, name: str, stem: str | None) -> LightCurves:
    """Return the light curves of a frame of pandas or nested-pandas."""
    table = table_from_frame(frame)
    if nested.holds_lists(table.schema):
        return _from_arrow(table, options, name, stem, frame.index)
    levels = [level for level in _levels_with_role(frame) if level not in frame.columns]
    if levels:
        frame = frame.reset_index(level=levels)
    elif isinstance(frame.index, pd.DatetimeIndex):
        frame = frame.rename_axis("time").reset_index()
    return _from_arrow(table_from_frame(_dates_as_days(frame)), options, name, stem)


def _levels_with_role(frame: pd.DataFrame) -> list[Any]:
    """Return the levels of a frame's index that are times, identifiers or bands."""
    known = {*roles.TIME, *roles.OBJECT_ID, *roles.BAND}
    return [level for level in frame.index.names if level is not None and roles.normal_name(str(level)) in known]


def _dates_as_days(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with dates as modified Julian dates, and differences of times in days."""
    for name in frame.columns:
        kind = getattr(frame[name].dtype, "kind", "O")
        if kind == "M":
            dates = pd.to_datetime(frame[name], utc=True)
            days = (dates - pd.Timestamp("1858-11-17", tz="UTC")) / pd.Timedelta(1, "D")
            frame = frame.assign(**{str(name): days})
        elif kind == "m":
            frame = frame.assign(**{str(name): frame[name].dt.total_seconds() / 86400})
    return frame


def _arrow_table(source: Any) -> pa.Table | None:
    """Return a table of Arrow, polars or any other library that exports its columns as Arrow does; None for others.

    Raises
    ------
    TypeError
        If the rows have to be loaded first.
    """
    if isinstance(source, pa.Table):
        return source
    if isinstance(source, pd.Series | pd.Index | np.ndarray | list | tuple):
        return None
    if hasattr(source, "__arrow_c_stream__") or hasattr(source, "__arrow_c_array__"):
        try:
            return pa.table(source)
        except (TypeError, ValueError, pa.ArrowException) as error:
            raise _no_light_curves(f"a {type(source).__name__} that is no table ({error})") from error
    for method, call in PENDING.items():
        if callable(getattr(source, method, None)) and hasattr(source, "columns"):
            raise _no_light_curves(f"a {type(source).__name__} that isn't loaded", f"load it first, .{call}")
    return None


def _from_arrow(table: pa.Table, options: ReadOptions, name: str, stem: str | None, index: Any = None) -> LightCurves:
    """Return the light curves of a table; with lists and without a column of ids, ``index`` (n,) names the objects."""
    if not nested.holds_lists(table.schema):
        return flat.from_arrow(table.combine_chunks(), options, name, stem or UNNAMED)
    known = roles.names_by_alias(table.column_names)
    if "object_id" not in options.columns and roles.find_column(known, roles.OBJECT_ID) is None:
        index = np.arange(len(table)) if index is None else index
        table = table.append_column("object_id", strings(np.asarray(index).astype(str)))
    return nested.from_table(table.combine_chunks(), options, name)


def _from_astropy(table: Any, options: ReadOptions, name: str, stem: str | None) -> LightCurves:
    """Return the light curves of a table or time series of astropy, as those of the same table in an ECSV file."""
    if any("Folded" in cls.__name__ for cls in type(table).__mro__):
        raise Unreadable(name, "is folded: its times are phases", "give the light curve as it is before fold()")
    header = {str(key).upper(): value for key, value in (table.meta or {}).items()}
    table, options = _as_written(table, header, options)
    label = next((str(header[key]) for key in ("OBJECT", "LABEL", "TARGETID") if header.get(key)), None)
    header["OBJECT"] = label or stem or UNNAMED
    file = TableInMemory(name, table_files.tabular_from_astropy(table, "table"), header)
    reader = lightkurve if lightkurve.recognises(file) else flat
    if file.cache["table",].lists:
        return _from_arrow(_arrow_of_lists(file), options, name, stem)
    return choose_bands(reader.read(file, options), options, name)


def _as_written(table: Any, header: Mapping[str, Any], options: ReadOptions) -> tuple[Any, ReadOptions]:
    """Return a table that `LightCurves.to_astropy` made with the times, the scale and the unit that they had."""
    scale, unit = str(header.get("TIME_SCALE")), header.get("UNIT")
    if scale not in get_args(Scale) or "time" not in table.colnames:
        return table, options
    times = table["time"]
    if isinstance(times, Time):
        table = table.copy(copy_data=False)
        table["time"] = days_since(times, scale)
    unit = options.unit or (unit if unit not in (None, "unknown") else None)
    return table, replace(options, time_scale=options.time_scale or scale, unit=unit)


def _arrow_of_lists(file: TableInMemory) -> pa.Table:
    """Return a table of astropy whose rows have arrays as an Arrow table."""
    tabular = file.cache["table",]
    data = tabular.load([*tabular.names, *tabular.lists])
    columns = {name: arrow.as_arrow(values) for name, values in data.items()}
    schema = [
        pa.field(k, c.type, metadata={"unit": u} if (u := tabular.units.get(k)) else None) for k, c in columns.items()
    ]
    return pa.table(list(columns.values()), schema=pa.schema(schema))


def _from_mapping(
    columns: Mapping[Any, Any], options: ReadOptions, stem: str | None, name: str = "the mapping"
) -> LightCurves:
    """Return the light curves of a mapping of columns."""
    scalars = [name for name, values in columns.items() if isinstance(values, str) or not hasattr(values, "__len__")]
    if scalars or not columns:
        what = f"a mapping in which {scalars[0]!r} is no array" if scalars else "an empty mapping"
        raise _no_light_curves(what)
    lengths = {str(name): len(values) for name, values in columns.items()}
    _check_lengths(lengths)
    if any(hasattr(values, "unit") or hasattr(values, "jd") for values in columns.values()):
        return _from_astropy(Table(dict(columns)), options, name, stem)
    return _from_arrow(pa.table({str(k): _column(v) for k, v in columns.items()}), options, name, stem)


def _column(values: Any) -> pa.Array:
    """Return an array, or a list of arrays, as a column of Arrow."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return arrow.one_chunk(values)
    if isinstance(values, np.ndarray) and values.ndim > 1:
        values = list(values)
    if isinstance(values, np.ma.MaskedArray):
        values = values.filled(np.nan) if values.dtype.kind == "f" else values.tolist()
    return arrow.as_arrow(values)


def _check_lengths(lengths: Mapping[str, int]) -> None:
    """Raise ValueError where columns differ in length."""
    if len(set(lengths.values())) > 1:
        raise ValueError(f"columns of different length: {', '.join(f'{k} has {n}' for k, n in lengths.items())}")


# ---- arrays ---------------------------------------------------------------------------------------------------------


def _from_arrays(arrays: dict[str, Any], object_id: Any, options: dict[str, Any]) -> LightCurves:
    """Return the light curves of arrays, one or several."""
    brightness = [name for name in ("mag", "flux") if name in arrays]
    if "time" not in arrays or len(brightness) != 1:
        missing = ["time=" if "time" not in arrays else "", "" if brightness else "mag= or flux="]
        given = f"only {_list(arrays)}" if arrays else "nothing"
        if len(brightness) == 2:
            raise TypeError("both mag= and flux= were given. Fix: give the one that was measured")
        fix = "give time= and mag= or flux=" if arrays else f"give {TAKEN}"
        raise TypeError(f"{given} was given; {' and '.join(filter(None, missing))} missing. Fix: {fix}")
    value, band = brightness[0], arrays.pop("band", None)
    columns = {"time": arrays["time"], value: arrays[value]}
    if "error" in arrays:  # one for all, or one each
        error = arrays["error"]
        columns[f"{value}_err"] = np.full(np.shape(arrays[value]), error) if np.ndim(error) == 0 else error
    if isinstance(band, str):
        options = {"band": band} | options
    elif band is not None:
        columns["band"] = band
    if object_id is not None and not isinstance(object_id, str):
        columns["object_id"] = object_id
    with _errors_in_python():
        mapping = {name: _plain(values) for name, values in columns.items()}
        curves = _from_mapping(mapping, ReadOptions(**options), None, "the arrays")
    return _renamed(curves, object_id) if isinstance(object_id, str) else curves


def _plain(values: Any) -> Any:
    """Return what is array-like with a length; quantities, times and Arrow arrays as they are."""
    if hasattr(values, "unit") or hasattr(values, "jd") or isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    if isinstance(values, pd.Series | pd.Index):
        values = values.to_numpy()
    if isinstance(values, np.ndarray) or hasattr(values, "__len__"):
        return values
    return np.atleast_1d(np.asarray(values))


# ---- members --------------------------------------------------------------------------------------------------------


def _from_members(source: Any, options: dict[str, Any]) -> LightCurves:
    """Return the light curves of the members of a list, a collection or an iterator, joined.

    Raises
    ------
    TypeError
        If it has none, or one holds no light curves.
    """
    members = _members(source)
    if not members:
        what = f"an empty {type(source).__name__}" if members is not None else _with_article(source)
        raise _no_light_curves("nothing (None)" if source is None else what)
    if all(isinstance(member, LightCurves) for member in members):
        return LightCurves.concat(members)
    if all(isinstance(member, str | Path) for member in members):
        return _from_files(members, options)
    if all(isinstance(member, Mapping) for member in members):
        return _from_arrow(pa.Table.from_pylist([dict(m) for m in members]), ReadOptions(**options), "the list", None)
    parts = []
    for i, member in enumerate(members):
        if member is None or np.isscalar(member):
            raise _no_light_curves(f"a {type(source).__name__} whose member {i} is {member!r}")
        parts.append(_convert(member, options, str(i)))
    try:
        return LightCurves.concat(parts)
    except ValueError as error:
        raise ValueError(f"{error}. Fix: convert them first, or take those of a kind together") from error


def _members(source: Any) -> list[Any] | None:
    """Return the members of a sequence, a collection or an iterator; None if it is none."""
    if isinstance(source, bytes) or (isinstance(source, np.ndarray) and not source.ndim):
        return None
    is_collection = hasattr(source, "__len__") and hasattr(source, "__getitem__")
    return list(source) if is_collection or isinstance(source, Iterator) or hasattr(source, "__iter__") else None


def _from_files(paths: Sequence[str | Path], options: dict[str, Any]) -> LightCurves:
    """Return one light curve for each file."""
    curves: dict[int, LightCurves] = {}
    for row, path in enumerate(paths):
        try:
            curves[row] = read(path, **options)
        except Unreadable as error:
            logger.warning("%s", error)
        if row in curves and len(curves[row]) != 1:
            raise ValueError(
                f"{path} has {len(curves[row])} light curves: in a list of paths each must be of one. Read the files "
                "first (goodricke.read) and give the light curves"
            )
    first = next(iter(curves.values()), None)
    empty = {} if first is None else {"unit": first.unit, "time_scale": first.time_scale, "bands": first.bands}
    parts = [
        curves[row] if row in curves else LightCurves.from_arrays([name_stem(str(path))], [0, 0], [], [], **empty)
        for row, path in enumerate(paths)
    ]
    return LightCurves.concat(parts)
