"""Light curves classified within Spark, as the alert broker Fink keeps them: one row per alert, columns of arrays.

Whole rows in, rows with the answers out::

    from goodricke.spark import classify_rows
    work = classify_rows("ztf-bts", keep=["candid"])
    answers = alerts.mapInPandas(work, work.schema)

Or as a function of columns, whose answer is one column with several fields::

    from pyspark.sql.functions import pandas_udf
    from goodricke.spark import classifier_udf
    work = classifier_udf("ztf-bts")
    answer = pandas_udf(work, work.schema)
    alerts = alerts.withColumn("goodricke", answer("cjd", "cmagpsf", "csigmapsf", "cfid"))

Nothing of Spark is imported here: both are plain functions from iterators of pandas objects to such, and are tested as
such. A worker loads the model once, and needs goodricke and the model under the same name.
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

# Fink's arrays of an alert with its history, and what the fields are called in the alert itself.
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
class Work:
    """How rows are classified; a worker has it, and with it the model."""

    model: str
    model_hash: str
    names: Mapping[str, str]
    passes: int = 0
    seed: int = 0
    embedding: bool = False
    options: ReadOptions = field(default_factory=ReadOptions)

    def answers(self, frame: pd.DataFrame) -> pa.Table:
        """Return a row of answers for each row with a light curve; see `goodricke.Predictions` for the columns.

        Raises
        ------
        ValueError
            If the model on this worker isn't the one that the work began with.
        """
        network = load_once(self.model, "cpu", "auto")
        if network.hash != self.model_hash:
            raise ValueError(
                f"{self.model} is another model here ({network.hash}) than where the work began ({self.model_hash}): "
                "give all workers the same files"
            )
        curves = nested.from_table(self._as_alerts(frame), self.options, "the rows")
        table = classify(curves, network, self.passes, self.seed).table
        made = table.column_names[1 : table.column_names.index("model_hash") + 1]  # without object_id
        table = table.select([name for name in made if self.embedding or name != "embedding"])
        return table.cast(pa.schema([pa.field(f.name, _plain(f.type)) for f in table.schema]))

    def _as_alerts(self, frame: pd.DataFrame) -> pa.Table:
        """Return the light curves with columns called as in alerts, differences in magnitude as fluxes [nJy]."""
        table = table_from_frame(frame[[name for name in self.names if name in frame]])
        table = table.rename_columns([self.names[name] for name in table.column_names])
        for place, given in enumerate(table.schema):  # nothing but nulls, so that pandas doesn't know what of
            if pa.types.is_null(given.type):
                kind = pa.string() if given.name == "object_id" else pa.list_(pa.float64())
                table = table.set_column(place, given.name, pa.nulls(len(table), kind))
        if "object_id" not in table.column_names:
            table = table.append_column("object_id", pa.array(np.arange(len(table)).astype(str)))
        table = _without_uneven(table.combine_chunks())
        return _signed(table) if {"isdiffpos", "magpsf", "sigmapsf"} <= set(table.column_names) else table


def classify_rows(
    model: str | Path,
    columns: Mapping[str, str] | None = None,
    keep: Sequence[str] = (),
    passes: int = 0,
    seed: int = 0,
    embedding: bool = False,
    **options: Any,
) -> Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]]:
    """Return a function for ``DataFrame.mapInPandas``; its attribute ``schema`` is that of the rows it gives.

    Parameters
    ----------
    model : str or Path
        See `goodricke.load_model`; all workers must find it under this name.
    columns : dict, optional
        The columns to use, in the words that `goodricke.io` knows: ``{"times": "mjd", "m": "mag", "id":
        "object_id"}``. By default Fink's: ``objectId``, ``cjd``, ``cmagpsf``, ``csigmapsf``, ``cfid`` and, if it is
        there, ``cisdiffpos``: with it, the magnitudes are those of differences, and become fluxes with their sign.
    keep : list of str
        Columns to carry along, such as ids, each with its type where it isn't text: ``"candid bigint"``.
    passes, seed
        See `goodricke.classify`; one pass is for streams, 20 for catalogs.
    embedding : bool
        Whether to have the embedding.
    **options
        See `goodricke.io.ReadOptions`: ``unit="mag"`` where names don't tell.

    Returns
    -------
    callable
        From an iterator of frames to an iterator of frames, a row for each row; one whose light curve can't be
        classified has a ``status`` that says why, and nulls.
    """
    work = _work(model, columns or FINK | FINK_ID, passes, seed, embedding, options)
    kept = [(*item.split(), "string")[:2] for item in keep]

    def answer(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for frame in frames:
            own = {name: frame[name].to_numpy() for name, _ in kept}
            yield pd.DataFrame(own | _columns(work.answers(frame)))

    fields = [f"{_quoted(name)} {kind}" for name, kind in kept] + _fields(work)
    answer.schema = ", ".join(fields)  # type: ignore[attr-defined]
    return answer


def classifier_udf(
    model: str | Path,
    columns: Sequence[str] = ("cjd", "cmagpsf", "csigmapsf", "cfid"),
    passes: int = 0,
    seed: int = 0,
    embedding: bool = False,
    **options: Any,
) -> Callable[[Iterator[tuple[pd.Series, ...]]], Iterator[pd.DataFrame]]:
    """Return a function for ``pyspark.sql.functions.pandas_udf``; its attribute ``schema`` is the type it gives.

    Parameters
    ----------
    model, passes, seed, embedding, **options
        See `classify_rows`.
    columns : list of str
        What the columns that it will be called with are, in order: Fink's names, or any that `goodricke.io` knows
        (``"mjd", "mag", "magerr", "band"``).

    Returns
    -------
    callable
        From an iterator of tuples of columns to an iterator of frames, whose columns are the fields of the answer.
    """
    names = list(columns)
    work = _work(model, {name: FINK.get(name, name) for name in names}, passes, seed, embedding, options)

    def udf(batches: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            frame = pd.DataFrame(dict(zip(names, batch, strict=True)))
            yield pd.DataFrame(_columns(work.answers(frame)))

    udf.schema = ", ".join(_fields(work))  # type: ignore[attr-defined]
    return udf


def _work(
    model: str | Path,
    names: Mapping[str, str],
    passes: int,
    seed: int,
    embedding: bool,
    options: Mapping[str, Any],
) -> Work:
    told = load_model(model).hash
    return Work(str(model), told, dict(names), passes, seed, embedding, ReadOptions(**options))


def _fields(work: Work) -> list[str]:
    """Return the answers' fields as Spark's DDL has them."""
    empty = pd.DataFrame({name: pd.Series([], dtype=object) for name in work.names})
    return [f"{_quoted(field.name)} {_ddl(field.type)}" for field in work.answers(empty).schema]


def _ddl(kind: pa.DataType) -> str:
    return f"array<{_ddl(kind.value_type)}>" if pa.types.is_list(kind) else TYPES[kind]


def _quoted(name: str) -> str:
    """Return a name as Spark's DDL takes any."""
    return name if name.isidentifier() else "`" + name.replace("`", "``") + "`"


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type as Spark has it: lists of any length."""
    return pa.list_(kind.value_type) if pa.types.is_fixed_size_list(kind) else kind


def _columns(table: pa.Table) -> dict[str, pd.Series]:
    """Return the columns for pandas, with missing values that Spark takes for null."""
    return {name: table[name].to_pandas() for name in table.column_names}


def _without_uneven(table: pa.Table) -> pa.Table:
    """Return the table with nulls for the arrays of a row that differ in length: that row has no light curve."""
    lists = [name for name in table.column_names if is_list(table[name].type)]
    counts = np.stack([pc.fill_null(pc.list_value_length(table[name]), 0).to_numpy() for name in lists] or [[]])
    even = (counts == counts[:1]).all(0)
    if not even.all():
        log.warning("%d rows have arrays of different length: they are taken as empty", (~even).sum())
        for name in lists:
            kept = pc.if_else(pa.array(even), table[name], pa.scalar(None, table[name].type))
            table = table.set_column(table.column_names.index(name), name, kept)
    return table


def _signed(table: pa.Table) -> pa.Table:
    """Return the table with fluxes [nJy] in place of magnitudes, negative where ``isdiffpos`` is."""
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
