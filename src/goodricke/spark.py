"""Classification within Spark, for the rows of the alert broker Fink: one row per alert, with columns of arrays.

As a function of rows::

    from goodricke.spark import classify_rows
    classifier = classify_rows("ztf-bts", keep=["candid"])
    predictions = alerts.mapInPandas(classifier, classifier.schema)

Or as a function of columns, whose result is one column with several fields::

    from pyspark.sql.functions import pandas_udf
    from goodricke.spark import classifier_udf
    classifier = classifier_udf("ztf-bts")
    predict = pandas_udf(classifier, classifier.schema)
    alerts = alerts.withColumn("goodricke", predict("cjd", "cmagpsf", "csigmapsf", "cfid"))

The module imports nothing of Spark: both are functions from iterators of pandas objects to iterators of frames. A
worker loads the model once, and needs goodricke and the model under the same name.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from goodricke.data import ragged, units
from goodricke.data.arrow import floats, is_list, one_chunk, table_from_frame
from goodricke.inference import classify
from goodricke.io import ReadOptions, nested, roles
from goodricke.models.bundle import load_model
from goodricke.survey.catalog import load_once

# Fink's arrays of an alert with its history, and the names of these fields in the alert.
FINK = {"cjd": "jd", "cmagpsf": "magpsf", "csigmapsf": "sigmapsf", "cfid": "fid", "cisdiffpos": "isdiffpos"}
FINK_ID = {"objectId": "object_id"}
log = logging.getLogger("goodricke")

TYPES = {
    pa.string(): "string",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.bool_(): "boolean",
}


@dataclass(frozen=True)
class RowClassifier:
    """Classifies rows on a worker of Spark, which loads the model at the first one."""

    model: str
    model_hash: str
    names: Mapping[str, str]
    passes: int = 0
    seed: int = 0
    embedding: bool = False
    options: ReadOptions = field(default_factory=ReadOptions)

    def classify(self, frame: pd.DataFrame) -> pa.Table:
        """Return a row of predictions for each row; see `goodricke.Predictions` for the columns.

        Raises
        ------
        ValueError
            If the model on this worker differs from the driver's.
        """
        network = load_once(self.model, "cpu", "auto")
        if network.hash != self.model_hash:
            raise ValueError(
                f"{self.model} is another model on this worker ({network.hash}) than on the driver "
                f"({self.model_hash}). "
                "Fix: give all workers the same files"
            )
        curves = nested.from_table(self._to_alert_columns(frame), self.options, "the rows")
        table = classify(curves, network, self.passes, self.seed).table
        prediction_columns = table.column_names[1 : table.column_names.index("model_hash") + 1]  # without object_id
        table = table.select([name for name in prediction_columns if self.embedding or name != "embedding"])
        return table.cast(pa.schema([pa.field(f.name, _spark_type(f.type)) for f in table.schema]))

    def _to_alert_columns(self, frame: pd.DataFrame) -> pa.Table:
        """Return the light curves with the column names of alerts, difference magnitudes as fluxes [nJy]."""
        table = table_from_frame(frame[[name for name in self.names if name in frame]])
        table = table.rename_columns([self.names[name] for name in table.column_names])
        for place, column in enumerate(table.schema):  # only nulls, for which pandas has no type
            if pa.types.is_null(column.type):
                kind = pa.string() if column.name == "object_id" else pa.list_(pa.float64())
                table = table.set_column(place, column.name, pa.nulls(len(table), kind))
        if "object_id" not in table.column_names:
            table = table.append_column("object_id", pa.array(np.arange(len(table)).astype(str)))
        table = _drop_uneven_arrays(table.combine_chunks())
        if "magpsf" in table.column_names and "photometry" not in table.column_names:
            table = table.append_column("photometry", pa.array(["difference"] * len(table), pa.string()))
        return _signed_fluxes(table) if {"isdiffpos", "magpsf", "sigmapsf"} <= set(table.column_names) else table


def classify_rows(
    model: str | Path,
    columns: Mapping[str, str] | None = None,
    keep: Sequence[str] = (),
    passes: int = 0,
    seed: int = 0,
    embedding: bool = False,
    **options: Any,
) -> Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]]:
    """Return a function for ``DataFrame.mapInPandas``; its attribute ``schema`` is that of the returned rows.

    Parameters
    ----------
    model : str or Path
        See `goodricke.load_model`; all workers must find it under this name.
    columns : dict, optional
        Names of columns and their meaning as in `goodricke.io`: ``{"times": "mjd", "m": "mag", "id": "object_id"}``.
        By default Fink's: ``objectId``, ``cjd``, ``cmagpsf``, ``csigmapsf``, ``cfid`` and, optionally, ``cisdiffpos``,
        with which the magnitudes are those of differences and become signed fluxes.
    keep : list of str
        Columns to carry along, such as ids, with their type if not text: ``"candid bigint"``.
    passes, seed
        See `goodricke.classify`; one pass is for streams, 20 for catalogs.
    embedding : bool
        Whether to return the embedding.
    **options
        See `goodricke.io.ReadOptions`, such as ``unit="mag"``.

    Returns
    -------
    callable
        From an iterator of frames to an iterator of frames, with a row for each row; one whose light curve can't be
        classified has a ``status`` and nulls.
    """
    work = _row_classifier(model, columns or FINK | FINK_ID, passes, seed, embedding, options)
    carried = [(*item.split(), "string")[:2] for item in keep]

    def classify_frames(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for frame in frames:
            columns_carried = {name: frame[name].to_numpy() for name, _ in carried}
            yield pd.DataFrame(columns_carried | _columns(work.classify(frame)))

    fields = [f"{_quote(name)} {kind}" for name, kind in carried] + _fields(work)
    classify_frames.schema = ", ".join(fields)  # type: ignore[attr-defined]
    return classify_frames


def classifier_udf(
    model: str | Path,
    columns: Sequence[str] = ("cjd", "cmagpsf", "csigmapsf", "cfid"),
    passes: int = 0,
    seed: int = 0,
    embedding: bool = False,
    **options: Any,
) -> Callable[[Iterator[tuple[pd.Series, ...]]], Iterator[pd.DataFrame]]:
    """Return a function for ``pyspark.sql.functions.pandas_udf``; its attribute ``schema`` is the type of its result.

    Parameters
    ----------
    model, passes, seed, embedding, **options
        See `classify_rows`.
    columns : list of str
        Meaning of its arguments, in order: Fink's names, or any of `goodricke.io`
        (``"mjd", "mag", "magerr", "band"``).

    Returns
    -------
    callable
        From an iterator of tuples of columns to an iterator of frames, whose columns are the fields of the result.
    """
    names = list(columns)
    work = _row_classifier(model, {name: FINK.get(name, name) for name in names}, passes, seed, embedding, options)

    def udf(batches: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            frame = pd.DataFrame(dict(zip(names, batch, strict=True)))
            yield pd.DataFrame(_columns(work.classify(frame)))

    udf.schema = ", ".join(_fields(work))  # type: ignore[attr-defined]
    return udf


def _row_classifier(
    model: str | Path,
    names: Mapping[str, str],
    passes: int,
    seed: int,
    embedding: bool,
    options: Mapping[str, Any],
) -> RowClassifier:
    model_hash = load_model(model).hash
    return RowClassifier(str(model), model_hash, dict(names), passes, seed, embedding, ReadOptions(**options))


def _fields(work: RowClassifier) -> list[str]:
    """Return the fields of predictions in Spark's DDL."""
    empty = pd.DataFrame({name: pd.Series([], dtype=object) for name in work.names})
    return [f"{_quote(field.name)} {_ddl(field.type)}" for field in work.classify(empty).schema]


def _ddl(kind: pa.DataType) -> str:
    return f"array<{_ddl(kind.value_type)}>" if pa.types.is_list(kind) else TYPES[kind]


def _quote(name: str) -> str:
    """Return a name, quoted for Spark's DDL if necessary."""
    return name if name.isidentifier() else "`" + name.replace("`", "``") + "`"


def _spark_type(kind: pa.DataType) -> pa.DataType:
    """Return the type in Spark: lists of fixed length become lists of any length."""
    return pa.list_(kind.value_type) if pa.types.is_fixed_size_list(kind) else kind


def _columns(table: pa.Table) -> dict[str, pd.Series]:
    """Return the columns as pandas series, with missing values that Spark reads as null."""
    return {name: table[name].to_pandas() for name in table.column_names}


def _drop_uneven_arrays(table: pa.Table) -> pa.Table:
    """Return the table with nulls in place of the arrays of rows whose arrays differ in length."""
    lists = [name for name in table.column_names if is_list(table[name].type)]
    counts = np.stack([pc.fill_null(pc.list_value_length(table[name]), 0).to_numpy() for name in lists] or [[]])
    even = (counts == counts[:1]).all(0)
    if not even.all():
        log.warning("%d rows have arrays of different length and count as empty", (~even).sum())
        for name in lists:
            arrays = pc.if_else(pa.array(even), table[name], pa.scalar(None, table[name].type))
            table = table.set_column(table.column_names.index(name), name, arrays)
    return table


def _signed_fluxes(table: pa.Table) -> pa.Table:
    """Return the table with fluxes [nJy] in place of magnitudes, with the sign of ``isdiffpos``."""
    lists = {name: one_chunk(table[name]) for name in ("magpsf", "sigmapsf", "isdiffpos")}
    counts = pc.fill_null(pc.list_value_length(lists["magpsf"]), 0).to_numpy(zero_copy_only=False)
    magnitude, sigma = (floats(lists[name].flatten(), np.float64) for name in ("magpsf", "sigmapsf"))
    flux, error = units.nanojansky(magnitude, sigma)
    flux *= roles.signs(lists["isdiffpos"].flatten())
    offsets = pa.array(ragged.offsets_from_counts(counts.astype(np.int64)))
    table = table.drop_columns(list(lists)).replace_schema_metadata({"unit": "nJy"})
    for name, flat in (("flux", flux), ("flux_err", error)):
        table = table.append_column(name, pa.LargeListArray.from_arrays(offsets, pa.array(flat)))
    return table
