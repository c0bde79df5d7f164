"""`LightCurves`: a ragged, columnar batch of light curves, what all parts of goodricke exchange."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from goodricke.data import ragged
from goodricke.data.arrow import (
    NO_BAND,
    band_codes,
    band_index,
    check_bands,
    columns_by_name,
    floats,
    inner_fields,
    join_tables,
    strings,
    table_from_frame,
    unnest,
)
from goodricke.data.identifiers import identifier_text
from goodricke.data.units import brightness_of_series, series_column, time_of_series

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

POINT_FIELDS = {"time": np.float64, "value": np.float32, "error": np.float32}
LIGHT_CURVE = "lightcurve"  # name of the nested column in Arrow tables and Parquet files


@dataclass(frozen=True)
class Fault:
    """One thing wrong with one light curve: what `LightCurves.faults` lists."""

    object_id: str
    kind: str
    count: int

    def __str__(self) -> str:
        return (
            f"{self.object_id}: {self.kind} ({self.count} points)" if self.count else f"{self.object_id}: {self.kind}"
        )


@dataclass(frozen=True, eq=False, repr=False)
class LightCurves:
    """An immutable batch of ``n`` light curves with ``N`` observations in all.

    Light curve ``i`` owns the observations ``offsets[i]:offsets[i + 1]``. Slices and Arrow tables share its memory.

    Parameters
    ----------
    object_id : pyarrow string array (n,)
        Identifiers, kept as text: survey ids overflow and lose leading zeros as numbers.
    offsets : int64 (n + 1,)
    time : float64 (N,)
        Days, in ``time_scale``. Kept in 64 bits until differences are taken.
    value, error : float32 (N,)
        Brightness and its one-sigma uncertainty in ``unit``. An unknown uncertainty is NaN.
    band : uint8 (N,)
        Index into ``bands``.
    bands : tuple of str
    unit : str
        ``"mag"``, ``"electron / s"``, ``"relative"`` (flux over its median), ``"nJy"``, ...
    time_scale : str
        ``"MJD"``, ``"BTJD"`` (BJD - 2457000), ``"BKJD"`` (BJD - 2454833), ``"HJD"``, ``"JD"``, ``"unknown"``.
    objects : pyarrow.Table (n rows)
        Columns with one value per object: labels, positions, parameters, source file.

    Raises
    ------
    ValueError
        If the shapes disagree, a band index has no band, or a per-object column has a reserved name.

    Examples
    --------
    >>> time, value = [1.0, 2.0, 3.5, 1.0, 2.5], [12.1, 12.4, 12.2, 15.0, 15.1]
    >>> curves = LightCurves.from_arrays(["A", "B"], [0, 3, 5], time, value, bands=("V",), unit="mag")
    >>> curves
    LightCurves(2 objects, 5 observations, bands V, value in mag, time in unknown)
    >>> curves.n_obs, curves[1].ids, curves[curves.n_obs > 2].ids
    (array([3, 2]), ['B'], ['A'])
    >>> curves[0].fold(period=2.0).time
    array([0.  , 0.25, 0.5 ])
    >>> curves.with_columns(label=["EA", "RRAB"])["label"].tolist()
    ['EA', 'RRAB']
    """

    object_id: pa.Array
    offsets: NDArray[np.int64]
    time: NDArray[np.float64]
    value: NDArray[np.float32]
    error: NDArray[np.float32]
    band: NDArray[np.uint8]
    bands: tuple[str, ...] = (NO_BAND,)
    unit: str = "unknown"
    time_scale: str = "unknown"
    objects: pa.Table | None = None

    def __post_init__(self) -> None:
        n, total = len(self.object_id), len(self.time)
        if len(self.offsets) != n + 1 or self.offsets[0] != 0 or self.offsets[-1] != total:
            raise ValueError(f"offsets must hold {n + 1} numbers from 0 to {total}, one more than object ids")
        if (np.diff(self.offsets) < 0).any():
            raise ValueError("offsets must not decrease")
        for name in ("value", "error", "band"):
            if len(getattr(self, name)) != total:
                raise ValueError(f"{name} has {len(getattr(self, name))} entries, time has {total}")
        if total and self.band.max() >= len(self.bands):
            raise ValueError(f"band index {self.band.max()} has no name in bands {self.bands}")
        if self.objects is not None and self.objects.num_rows != n:
            raise ValueError(f"objects has {self.objects.num_rows} rows for {n} light curves")
        for name in {"object_id", LIGHT_CURVE}.intersection(self.table_of_objects.column_names):
            raise ValueError(f"a per-object column can't be called {name!r}: the batch has its own; rename it")
        for name in ("offsets", *POINT_FIELDS, "band"):  # a view: the caller's own array stays as it is
            view = getattr(self, name).view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)

    # ---- import -----------------------------------------------------------------------------------------------

    @classmethod
    def from_arrays(
        cls,
        object_id: Sequence[str] | pa.Array,
        offsets: ArrayLike,
        time: ArrayLike,
        value: ArrayLike,
        error: ArrayLike | None = None,
        band: ArrayLike | None = None,
        **fields: Any,
    ) -> LightCurves:
        """Make a batch from anything array-like, converting types; see the class for shapes and units.

        Without ``error`` the uncertainties are NaN (unknown); without ``band`` all observations are in the first band.
        The numbers are taken as they are; `goodricke.as_light_curves` converts units, and judges limits and dummies.

        Raises
        ------
        ValueError
            If an array has a unit, which would be lost, or identifiers are floats that were rounded.
        """
        _refuse_units(time=time, value=value, error=error)
        time = np.ascontiguousarray(time, np.float64)
        return cls(
            identifier_text(object_id),
            np.ascontiguousarray(offsets, np.int64),
            time,
            np.ascontiguousarray(value, np.float32),
            np.full(len(time), np.nan, np.float32) if error is None else np.ascontiguousarray(error, np.float32),
            np.zeros(len(time), np.uint8) if band is None else band_index(band),
            **fields,
        )

    @classmethod
    def from_long(cls, table: pd.DataFrame | pa.Table | Mapping[str, Any], **fields: Any) -> LightCurves:
        """Make a batch from a table with one row per observation.

        Columns ``object_id``, ``time``, ``value`` and, if known, ``error`` and ``band`` (names); objects keep the
        order of their first row, observations the order of the table. Nothing is guessed or converted:
        `goodricke.as_light_curves` understands other names and units, and judges limits, dummies and flags.

        Raises
        ------
        ValueError
            If a column is missing or has a unit, an observation has no object id or there are more than 256 bands.
        """
        columns = columns_by_name(table)
        missing = [name for name in ("object_id", "time", "value") if name not in columns]
        if missing:
            raise ValueError(f"the table has no column {', '.join(missing)}; it has {', '.join(columns)}")
        _refuse_units(**{name: columns[name] for name in ("time", "value", "error") if name in columns})
        ids = identifier_text(columns["object_id"])
        if ids.null_count:
            raise ValueError(f"{ids.null_count} observations have no object_id; drop them or name their object")
        ids = ids.dictionary_encode()
        codes = ids.indices.to_numpy(zero_copy_only=False)
        order = np.argsort(codes, kind="stable")
        bands, band = band_codes(strings(columns["band"]) if "band" in columns else None)
        error = floats(columns["error"], np.float32)[order] if "error" in columns else None
        counts = np.bincount(codes, minlength=len(ids.dictionary))
        time = floats(columns["time"], np.float64)[order]
        value = floats(columns["value"], np.float32)[order]
        band = None if band is None else band[order]
        return cls.from_arrays(
            ids.dictionary, ragged.offsets_from_counts(counts), time, value, error, band, **{"bands": bands} | fields
        )

    @classmethod
    def from_arrow(cls, table: pa.Table, column: str = LIGHT_CURVE) -> LightCurves:
        """Make a batch from a table whose ``column`` holds a light curve per row, sharing its memory where it can.

        The column may be ``struct<list>`` (nested-pandas, LSDB, `to_arrow`) or ``list<struct>`` with the fields
        ``time``, ``value`` and, if known, ``error`` and ``band``. A null row is an empty light curve. The other columns
        become `objects`; unit and time scale come from the schema's metadata. Nothing is guessed or converted:
        `goodricke.as_light_curves` understands other names and units, and judges limits, dummies and flags.

        Raises
        ------
        ValueError
            If the column or a field is missing, a field is in another unit than days or that of the
            table, or the lists of one row differ in length.
        """
        if column not in table.column_names:
            raise ValueError(f"no column {column!r}; the table has {', '.join(table.column_names)}")
        offsets, fields = unnest(table[column])
        missing = [name for name in ("time", "value") if name not in fields]
        if missing:
            raise ValueError(
                f"the nested column {column!r} has no field {', '.join(missing)}; it has {', '.join(fields)}"
            )
        meta = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
        _check_stated_units(table.schema.field(column).type, meta.get("unit"))
        bands, band = band_codes(fields.get("band"))
        ids = table["object_id"] if "object_id" in table.column_names else np.arange(table.num_rows).astype(str)
        others = table.drop_columns([c for c in ("object_id", column) if c in table.column_names])
        return cls.from_arrays(
            identifier_text(ids),
            offsets,
            floats(fields["time"], np.float64),
            floats(fields["value"], np.float32),
            floats(fields["error"], np.float32) if "error" in fields else None,
            band,
            bands=bands,
            unit=meta.get("unit", "unknown"),
            time_scale=meta.get("time_scale", "unknown"),
            objects=others.replace_schema_metadata(None) if others.num_columns else None,
        )

    @classmethod
    def from_nested_pandas(cls, frame: Any, column: str = LIGHT_CURVE) -> LightCurves:
        """Make a batch from a nested-pandas ``NestedFrame`` (also an LSDB partition) with a nested ``column``."""
        table = table_from_frame(frame)
        if "object_id" not in table.column_names:
            table = table.add_column(0, "object_id", strings(pa.Array.from_pandas(frame.index)))
        return cls.from_arrow(table, column)

    @classmethod
    def from_timeseries(
        cls,
        series: Any,
        *,
        value: str,
        error: str | None = None,
        object_id: str = "unnamed",
        band: str = NO_BAND,
    ) -> LightCurves:
        """Make a batch of one from columns of a lightkurve ``LightCurve``, an astropy ``TimeSeries`` or the like.

        Nothing is guessed, left out or imported: `goodricke.as_light_curves` finds the columns itself, and judges
        limits, dummies and flags as in a file. ``time`` needs a ``jd``, or is a quantity or plain numbers in days.
        Times in other units come out in days, mmag in mag; units of flux are kept.

        Parameters
        ----------
        series : LightCurve, TimeSeries or Table
        value, error : str
            Columns or attributes of brightness and uncertainty.
        object_id, band : str
            What to call the object and the band.

        Raises
        ------
        ValueError
            If it has no such column, or the times are in no unit of time.
        """
        names = [name for name in ("time", value, error) if name is not None]
        columns = {name: series_column(series, name) for name in names}
        if missing := [name for name, column in columns.items() if column is None]:
            raise ValueError(
                f"{type(series).__name__} has no {', '.join(missing)}. Fix: name other columns, value=..., error=..., "
                "or goodricke.as_light_curves(...), which finds them"
            )
        numbers, errors, unit = brightness_of_series(columns[value], columns[error] if error else None)
        time, time_scale = time_of_series(columns["time"])
        fields: dict[str, Any] = {"bands": (band,), "unit": unit or "unknown", "time_scale": time_scale}
        return cls.from_arrays([object_id], [0, len(time)], time, numbers, errors, **fields)

    @classmethod
    def read_parquet(cls, path: str | Path, column: str = LIGHT_CURVE) -> LightCurves:
        """Read a nested Parquet file as `write_parquet`, nested-pandas and HATS write it."""
        return cls.from_arrow(pq.read_table(path, partitioning=None), column)

    @staticmethod
    def concat(parts: Sequence[LightCurves]) -> LightCurves:
        """Join batches end to end, merging their bands; per-object columns missing from one are null there.

        Raises
        ------
        ValueError
            If nothing is given, or units or time scales differ (convert first: a silent mix is never right).
        """
        if not parts:
            raise ValueError("nothing to concatenate")
        for name in ("unit", "time_scale"):
            values = {getattr(part, name) for part in parts}
            if len(values) > 1:
                raise ValueError(f"light curves with different {name} can't be joined: {', '.join(sorted(values))}")
        bands = tuple(dict.fromkeys(name for part in parts for name in part.bands))
        check_bands(bands)
        tables = [part.table_of_objects for part in parts]
        return LightCurves(
            pa.concat_arrays([part.object_id for part in parts]),
            ragged.offsets_from_counts(np.concatenate([part.n_obs for part in parts])),
            np.concatenate([part.time for part in parts]),
            np.concatenate([part.value for part in parts]),
            np.concatenate([part.error for part in parts]),
            np.concatenate([np.array([bands.index(b) for b in part.bands], np.uint8)[part.band] for part in parts]),
            bands,
            parts[0].unit,
            parts[0].time_scale,
            join_tables(tables) if any(t.num_columns for t in tables) else None,
        )

    # ---- export -----------------------------------------------------------------------------------------------

    def to_arrow(self) -> pa.Table:
        """Return a table: ``object_id``, the per-object columns and the nested column ``lightcurve``, memory shared.

        The nested column is a ``struct<list>``; band is a dictionary, so that any reader sees its name.
        """
        offsets = pa.array(self.offsets.astype(np.int32) if len(self.time) < 2**31 else self.offsets)
        make = pa.ListArray.from_arrays if len(self.time) < 2**31 else pa.LargeListArray.from_arrays
        band = pa.DictionaryArray.from_arrays(pa.array(self.band), pa.array(self.bands, pa.string()))
        points = {
            "time": pa.array(self.time),
            "value": pa.array(self.value),
            "error": pa.array(self.error),
            "band": band,
        }
        nested = pa.StructArray.from_arrays([make(offsets, flat) for flat in points.values()], names=list(points))
        table = self.table_of_objects
        table = table.add_column(0, "object_id", self.object_id).append_column(LIGHT_CURVE, nested)
        return table.replace_schema_metadata({"unit": self.unit, "time_scale": self.time_scale})

    def to_nested_pandas(self) -> Any:
        """Return a nested-pandas ``NestedFrame`` with ``object_id`` as a column.

        Raises
        ------
        ImportError
            If nested-pandas is not installed.
        """
        try:
            from nested_pandas import NestedDtype, NestedFrame
        except ImportError as error:
            raise ImportError("to_nested_pandas needs nested-pandas: pip install 'goodricke[survey]'") from error
        table = self.to_arrow()
        # bands as plain text: nested-pandas has no dictionary inside a list
        fields = [f.field(i) for f in [table.schema.field(LIGHT_CURVE).type] for i in range(f.num_fields)]
        plain = pa.struct([(f.name, pa.list_(pa.string()) if f.name == "band" else f.type) for f in fields])
        frame = NestedFrame(table.drop_columns([LIGHT_CURVE]).to_pandas())
        nested = table[LIGHT_CURVE].cast(plain)
        import pandas as pd

        frame[LIGHT_CURVE] = pd.Series(nested.to_pandas(types_mapper=pd.ArrowDtype), dtype=NestedDtype(plain))
        frame.attrs = {"unit": self.unit, "time_scale": self.time_scale}
        return frame

    def to_long(self) -> pd.DataFrame:
        """Return a pandas table with one row per observation."""
        import pandas as pd

        names = np.array(self.object_id.to_pylist(), dtype=object)
        columns = {"object_id": ragged.spread(names, self.offsets), "time": self.time, "value": self.value}
        return pd.DataFrame(columns | {"error": self.error, "band": np.array(self.bands, dtype=object)[self.band]})

    def to_pandas(self) -> pd.DataFrame:
        """Return a pandas table with one row per observation; `attrs` has unit and time scale.

        A row per object: `to_nested_pandas`, or ``to_arrow().to_pandas()``.
        """
        frame = self.to_long()
        frame.attrs = {"unit": self.unit, "time_scale": self.time_scale}
        return frame

    def to_astropy(self) -> Any:
        """Return an astropy ``Table`` with one row per observation.

        Columns ``object_id``; ``time``, a ``Time`` where the time scale is known, else days; ``mag`` or ``flux``, its
        ``mag_err`` or ``flux_err``, with the unit where astropy knows it; ``band``. ``meta`` has unit and time scale.
        """
        from astropy.table import Table

        from goodricke.data.units import astropy_times, astropy_unit

        name, unit = "mag" if self.in_magnitudes else "flux", astropy_unit(self.unit)
        table = Table(meta={"unit": self.unit, "time_scale": self.time_scale})
        table["object_id"] = ragged.spread(np.array(self.ids, dtype=str), self.offsets)
        table["time"] = astropy_times(self.time, self.time_scale)
        table[name], table[f"{name}_err"] = self.value, self.error
        table[name].unit = table[f"{name}_err"].unit = unit
        table["band"] = np.array(self.bands)[self.band]
        return table

    def write_parquet(self, path: str | Path) -> None:
        """Write a nested Parquet file that goodricke, nested-pandas, LSDB and DuckDB open."""
        pq.write_table(self.to_arrow(), path, compression="zstd")

    # ---- properties -------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.object_id)

    def __repr__(self) -> str:
        return (
            f"LightCurves({len(self)} objects, {len(self.time)} observations, bands {'/'.join(self.bands)}, "
            f"value in {self.unit}, time in {self.time_scale})"
        )

    def _repr_html_(self) -> str:
        """Return a table of the first objects, for a notebook."""
        from goodricke.data.notebook import light_curves_html

        return light_curves_html(self)

    @property
    def shape(self) -> tuple[int]:
        """Shape (n,) of the batch as an array of light curves, by which scikit-learn splits it."""
        return (len(self),)

    @property
    def n_obs(self) -> NDArray[np.int64]:
        """Number of observations per light curve, (n,)."""
        return ragged.lengths(self.offsets)

    @property
    def ids(self) -> list[str]:
        """Object ids as a list of str."""
        return self.object_id.to_pylist()

    @property
    def table_of_objects(self) -> pa.Table:
        """The per-object columns; a table of n rows and no column if there are none."""
        if self.objects is not None:
            return self.objects
        return pa.table({"_": self.object_id}).drop_columns(["_"])

    @cached_property
    def in_magnitudes(self) -> bool:
        """Whether ``value`` is a magnitude (smaller is brighter)."""
        return self.unit.lower().startswith("mag")

    def column(self, name: str) -> NDArray:
        """Return a per-object column as a NumPy array.

        Raises
        ------
        KeyError
            If there is no such column.
        """
        if name not in self.table_of_objects.column_names:
            raise KeyError(f"no per-object column {name!r}; there are: {', '.join(self.table_of_objects.column_names)}")
        return self.table_of_objects[name].to_numpy()

    def with_columns(self, **columns: Any) -> LightCurves:
        """Return the batch with per-object columns added or replaced."""
        table = self.table_of_objects
        for name, values in columns.items():
            if name in table.column_names:
                table = table.drop_columns([name])
            table = table.append_column(
                name, values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
            )
        return replace(self, objects=table)

    # ---- selection and order ----------------------------------------------------------------------------------

    def rename_bands(self, names: Mapping[str, str]) -> LightCurves:
        """Return the light curves with some bands under other names; two that get one name become one band."""
        renamed = [names.get(band, band) for band in self.bands]
        if renamed == list(self.bands):
            return self
        bands = tuple(dict.fromkeys(renamed))
        return replace(self, bands=bands, band=np.array([bands.index(name) for name in renamed], np.uint8)[self.band])

    @overload
    def __getitem__(self, which: str) -> NDArray: ...

    @overload
    def __getitem__(self, which: Any) -> LightCurves: ...

    def __getitem__(self, which: Any) -> LightCurves | NDArray:
        """Return some of the light curves: one index (a batch of one), a slice, indices (n',) or a mask (n,).

        A name gives a per-object column instead, as `column` does.
        """
        if isinstance(which, str):
            return self.column(which)
        if isinstance(which, tuple) and len(which) == 2 and which[1] is Ellipsis:  # how scikit-learn takes rows
            which = which[0]
        if isinstance(which, int | np.integer):
            index = int(which) + (len(self) if which < 0 else 0)
            if not 0 <= index < len(self):
                raise IndexError(f"light curve {which} of {len(self)}")
            which = slice(index, index + 1)
        if isinstance(which, slice):
            start, stop, step = which.indices(len(self))
            if step == 1:
                return self._contiguous(start, max(start, stop))
            which = np.arange(start, stop, step)
        rows = np.asarray(which)
        if rows.dtype == bool:
            if rows.shape != (len(self),):
                raise IndexError(f"a mask of shape {rows.shape} for {len(self)} light curves")
            rows = np.flatnonzero(rows)
        if rows.size and not np.issubdtype(rows.dtype, np.integer):
            raise IndexError(f"light curves are chosen by whole numbers, a mask or a slice, not by {rows.dtype}")
        return self._take(rows.astype(np.int64))

    def __iter__(self) -> Iterator[LightCurves]:
        return (self._contiguous(i, i + 1) for i in range(len(self)))

    def _contiguous(self, start: int, stop: int) -> LightCurves:
        first, last = self.offsets[start], self.offsets[stop]
        return replace(
            self,
            object_id=self.object_id.slice(start, stop - start),
            offsets=self.offsets[start : stop + 1] - first,
            objects=None if self.objects is None else self.objects.slice(start, stop - start),
            **{name: getattr(self, name)[first:last] for name in ("time", "value", "error", "band")},
        )

    def _take(self, rows: NDArray[np.int64]) -> LightCurves:
        rows = np.where(rows < 0, rows + len(self), rows)
        points, offsets = ragged.gather(rows, self.offsets)
        return replace(
            self,
            object_id=self.object_id.take(pa.array(rows)),
            offsets=offsets,
            objects=None if self.objects is None else self.objects.take(pa.array(rows)),
            **{name: getattr(self, name)[points] for name in ("time", "value", "error", "band")},
        )

    def where(self, keep: NDArray[np.bool_]) -> LightCurves:
        """Return all the light curves with only the observations in the mask ``keep`` (N,)."""
        points = {name: getattr(self, name)[keep] for name in ("time", "value", "error", "band")}
        return replace(self, offsets=ragged.select(keep, self.offsets), **points)

    @property
    def has_several_bands(self) -> NDArray[np.bool_]:
        """Whether the observations of each light curve are in more than one band, (n,)."""
        least = ragged.extreme(self.band, self.offsets, np.minimum)
        return least < ragged.extreme(self.band, self.offsets, np.maximum)

    def in_band(self, name: str) -> LightCurves:
        """Return all the light curves with only their observations in one band; those without any stay, empty."""
        curves = self.where(self.band == (self.bands.index(name) if name in self.bands else len(self.bands)))
        return replace(curves, bands=(name,), band=np.zeros_like(curves.band))

    def sorted(self) -> LightCurves:
        """Return the batch with each light curve in order of time; observations at equal times keep their order."""
        if self.is_sorted.all():
            return self
        order = np.lexsort((self.time, ragged.owner(self.offsets)))
        return replace(self, **{name: getattr(self, name)[order] for name in ("time", "value", "error", "band")})

    @property
    def is_sorted(self) -> NDArray[np.bool_]:
        """Whether the times of each light curve never decrease, NaN passed over, (n,)."""
        time, offsets, known = self.time, self.offsets, ~np.isnan(self.time)
        if not known.all():
            time, offsets = time[known], ragged.select(known, offsets)
        return ragged.total(ragged.differences(time, offsets) < 0, offsets) == 0

    def fold(self, period: ArrayLike, epoch: ArrayLike | None = None) -> LightCurves:
        """Return the light curves folded: ``time`` becomes the phase in [0, 1), sorted.

        Parameters
        ----------
        period : float or (n,)
            In days, one for all or one per light curve.
        epoch : float or (n,), optional
            Time of phase zero; each light curve's first time by default.

        Raises
        ------
        ValueError
            If a period is not a positive finite number.
        """
        period = np.broadcast_to(np.asarray(period, np.float64), len(self))
        if not (np.isfinite(period) & (period > 0)).all():
            raise ValueError("periods must be positive and finite")
        start = ragged.extreme(self.time, self.offsets, np.fmin) if epoch is None else epoch  # NaN is no first time
        zero = np.broadcast_to(np.asarray(start, np.float64), len(self))
        cycles = (self.time - ragged.spread(zero, self.offsets)) / ragged.spread(period, self.offsets)
        phase = cycles - np.floor(cycles)
        return replace(self, time=np.where(phase == 1.0, 0.0, phase), time_scale="phase").sorted()

    # ---- figures ----------------------------------------------------------------------------------------------

    def plot(self, i: int = 0, ax: Any = None) -> Any:
        """Draw light curve ``i`` against time; of folded light curves, two cycles against phase.

        Parameters
        ----------
        i : int
        ax : matplotlib Axes, optional
            Where to draw; a figure of its own by default.

        Returns
        -------
        matplotlib.figure.Figure
            Shown by a notebook; ``savefig(path)`` writes it.
        """
        return drawing().draw_one(self[i], ax)

    def periodogram(self, i: int = 0, shortest: float = 0.05) -> Any:
        """Return the Lomb-Scargle periodogram of light curve ``i``, its bands on one level.

        Parameters
        ----------
        i : int
        shortest : float
            Period [d]; the longest one is the time span.

        Returns
        -------
        goodricke.preprocess.periods.Periodogram
            ``period`` [d], ``power``, ``best`` (the highest peak), ``plot()``.

        Raises
        ------
        ValueError
            If there are too few observations, or too little time.
        """
        return drawing().periodogram_of(self[i], shortest)

    # ---- faults -----------------------------------------------------------------------------------------------

    def faults(self) -> list[Fault]:
        """List everything wrong with the light curves, object by object; empty if all is well.

        The faults are: no observation; unsorted or duplicate times (within a band); times, values and errors that are
        not finite; errors that are not positive; object ids that occur twice.
        """
        known = np.isfinite(self.error)
        per_point = {
            "time is not finite": ~np.isfinite(self.time),
            "value is not finite": ~np.isfinite(self.value),
            "error is infinite": np.isinf(self.error),
            "error is not positive": known & (np.where(known, self.error, 1) <= 0),
            "duplicate time": self._duplicates(),
        }
        rows = [(i, kind, int(c)) for kind, bad in per_point.items() for i, c in self._count(bad)]
        rows += [(int(i), "no observation", 0) for i in np.flatnonzero(self.n_obs == 0)]
        rows += [(int(i), "times are not sorted", 0) for i in np.flatnonzero(~self.is_sorted)]
        counts = pc.value_counts(self.object_id)
        twice = {str(c["values"]) for c in counts.to_pylist() if c["counts"] > 1}
        ids = self.ids
        rows += [(i, "object id comes more than once", 0) for i, name in enumerate(ids) if name in twice]
        return [Fault(ids[i], kind, count) for i, kind, count in sorted(rows)]

    def validate(self) -> LightCurves:
        """Return the batch itself if it has no fault.

        Raises
        ------
        ValueError
            Naming every fault with its object id.
        """
        faults = self.faults()
        if faults:
            shown = "\n  ".join(map(str, faults[:50])) + (
                f"\n  ... and {len(faults) - 50} more" if len(faults) > 50 else ""
            )
            raise ValueError(f"{len(faults)} faults in {len(self)} light curves:\n  {shown}")
        return self

    def _duplicates(self) -> NDArray[np.bool_]:
        """Mark observations that share object, band and time with an earlier one, (N,)."""
        return ~ragged.first_of_each(self.time, self.band, ragged.owner(self.offsets))

    def _count(self, bad: NDArray[np.bool_]) -> list[tuple[int, int]]:
        counts = ragged.total(bad, self.offsets).astype(int)
        return [(int(i), int(counts[i])) for i in np.flatnonzero(counts)]


def drawing() -> Any:
    """Return the module that draws: the package finds it, because this room knows none of those that build on it."""
    import goodricke

    return goodricke.drawing


def _refuse_units(**columns: Any) -> None:
    """Raise ValueError if a column has a unit, which plain numbers would lose."""
    for name, values in columns.items():
        if str(getattr(values, "unit", None) or ""):
            raise ValueError(
                f"{name} is in {values.unit}, a unit that would be lost. Fix: goodricke.as_light_curves(...), which "
                "converts units, or plain numbers, times in days"
            )


def _check_stated_units(kind: pa.DataType, unit: str | None) -> None:
    """Raise ValueError if fields of light curves state other units than days and the table's unit of brightness."""
    for field in inner_fields(kind):
        stated = (field.metadata or {}).get(b"unit", b"").decode()
        expected = {"time": ("d", "day", "days"), "value": (unit,), "error": (unit,)}.get(field.name)
        if stated and expected and stated not in expected:
            wanted = "days" if field.name == "time" else f"the table's unit, {unit}"
            raise ValueError(
                f"field {field.name!r} is in {stated}, not in {wanted}. Fix: goodricke.as_light_curves(...), which "
                "converts units"
            )
