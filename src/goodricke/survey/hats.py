"""LSDB: classify a HATS catalog where it lies, partition by partition, on whatever cluster Dask has.

import lsdb
from goodricke.survey import map_catalog

predictions = map_catalog(lsdb.open_catalog("ztf_lcs"), "ztf-bts")
predictions.write_catalog("ztf_classes")
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from goodricke.data.arrow import is_nested_pandas, table_from_frame
from goodricke.data.predictions import OPTIONAL, RESERVED
from goodricke.inference import classify
from goodricke.io import ReadOptions, nested
from goodricke.models.bundle import Precision, find_model, load_model
from goodricke.survey.catalog import load_once
from goodricke.uncertainty.prediction_sets import COVERAGE, Coverage

if TYPE_CHECKING:
    from lsdb.catalog import Catalog
    from nested_pandas import NestedFrame


def map_catalog(
    catalog: Catalog,
    model: str | Path,
    passes: int = 20,
    seed: int = 0,
    *,
    device: str = "cpu",
    precision: Precision = "auto",
    keep: Sequence[str] | None = None,
    embedding: bool = True,
    coverage: Coverage = COVERAGE,
    **options: Any,
) -> Catalog:
    """Classify the light curves of an LSDB catalog; nothing is computed before the result is needed.

    Parameters
    ----------
    catalog : lsdb.Catalog
        With a nested column that holds times and brightnesses, under any of the names that `goodricke.io` knows.
    model : str or Path
        See `goodricke.load_model`. Each worker loads it once, by this name.
    passes, seed, device, precision
        See `goodricke.classify`.
    keep : list of str, optional
        Columns of the catalog to keep, besides its positions; by default all but the nested ones. Those that could be
        taken for a prediction's (``class``, ``p_...``) are left out.
    embedding : bool
        Whether to return the embedding as a column of lists.
    coverage : Coverage
        Of the prediction sets.
    **options
        See `goodricke.io.ReadOptions`: ``unit="mag"`` where the catalog has no unit.

    Returns
    -------
    lsdb.Catalog
        A row per light curve under the catalog's own index and pixels, with the columns of `goodricke.Predictions`.

    Raises
    ------
    Unreadable
        If no nested column holds a light curve.
    """
    network = load_model(model, device, precision=precision)
    arguments: dict[str, Any] = {
        "model": str(find_model(model)),
        "model_hash": network.hash,
        "passes": passes,
        "seed": seed,
        "device": device,
        "precision": network.precision,
        "keep": keep,
        "embedding": embedding,
        "options": ReadOptions(**options),
        "coverage": coverage,
    }
    empty = classify_partition(catalog.meta, **arguments)
    return catalog.map_partitions(classify_partition, meta=empty, **arguments)


def classify_partition(
    frame: NestedFrame,
    model: str,
    model_hash: str,
    passes: int = 20,
    seed: int = 0,
    device: str = "cpu",
    precision: Precision = "auto",
    keep: Sequence[str] | None = None,
    embedding: bool = True,
    options: ReadOptions | None = None,
    coverage: Coverage = COVERAGE,
) -> NestedFrame:
    """Return the predictions of one partition under its index; an empty one gives the same columns without rows.

    Raises
    ------
    ValueError
        If the model on this worker isn't the one on the machine that started the work.
    """
    from nested_pandas import NestedFrame

    network = load_once(model, device, precision)
    if network.hash != model_hash:
        raise ValueError(f"{model} is another model here ({network.hash}) than where the work started ({model_hash})")
    curves = nested.from_table(table_from_frame(frame), options or ReadOptions(), "the catalog")
    table = classify(curves, network, passes, seed, coverage=coverage).table
    predicted = table.column_names[: table.column_names.index("model_hash") + 1]  # the others are the light curves'
    predicted = [c for c in predicted if embedding or c != "embedding"]
    flat = [c for c in frame.columns if not is_nested_pandas(frame[c])]
    flat = [c for c in flat if c == "object_id" or not _is_prediction(c, predicted)]
    own = [c for c in flat if keep is None or c in keep or c.lower() in ("ra", "dec")]
    columns = {c: frame[c].to_numpy() if frame[c].dtype == object else frame[c].array for c in own}
    for name in [c for c in predicted if c not in own]:
        columns[name] = pd.arrays.ArrowExtensionArray(_with_plain_lists(table[name]))
    return NestedFrame(columns, index=frame.index)


def _is_prediction(name: str, predicted: Sequence[str]) -> bool:
    """Whether a column of the catalog could be taken for one of the predictions."""
    return name in predicted or name in OPTIONAL or name.startswith(RESERVED)


def _with_plain_lists(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column as HATS can hold it: lists of any length instead of one length."""
    if pa.types.is_fixed_size_list(column.type):
        return column.cast(pa.list_(column.type.value_type))
    return column
