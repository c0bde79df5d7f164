"""The rows of a catalog as `goodricke.formats.Rows`, and what its manifest and its shards say of the whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from goodricke import __version__
from goodricke.catalog.folder import Catalog
from goodricke.formats import Rows
from goodricke.formats.rows import BATCH

KEPT = ("goodricke", "model", "model_hash", "settings", "input", "per_star", "thresholds")


def rows_of(catalog: Catalog) -> Rows:
    """Return the rows of a catalog, to go through in memory that doesn't grow with them."""
    schema = catalog.schema.remove_metadata()

    def batches() -> Iterator[pa.Table]:
        for path in catalog.files:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):  # one by one: a reader of several keeps the bytes of them all
                    for batch in file.iter_batches(BATCH, [group], use_threads=False):
                        yield _fitted(batch, schema)

    return Rows(schema, len(catalog), batches, about(catalog))


def _fitted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.Table:
    """Return rows with the columns of all the files together."""
    known = dict(zip(batch.schema.names, batch.columns, strict=True))
    columns = [known[f.name].cast(f.type) if f.name in known else pa.nulls(len(batch), f.type) for f in schema]
    return pa.table(columns, schema=schema)


def about(catalog: Catalog) -> dict[str, str]:
    """Return what is said of a catalog: model and its hash, version, configuration, hash of the input, classes.

    From the manifest and the shards' metadata; of files that have neither, the model is that of the first row.
    """
    own = {k.decode(): v for k, v in (pq.read_schema(catalog.files[0]).metadata or {}).items()}
    told = {k: own[k].decode() for k in KEPT if k in own}
    manifest = catalog.manifest
    if manifest:
        settings: dict[str, Any] = manifest.get("settings", {})
        told |= {"goodricke": manifest["goodricke"], "settings": json.dumps(settings)}
        told |= {k: str(settings[k]) for k in ("model", "model_hash") if k in settings}
        told |= {"input": _together([s["input"] for s in manifest.get("shards", ()) if "input" in s])}
    first = [n for n in ("model", "model_hash") if n in catalog.schema.names]
    for row in catalog.dataset.head(1, columns=first).to_pylist():
        told = {k: v for k, v in row.items() if v} | told
    told = {"goodricke": __version__, **told, "classes": ",".join(catalog.classes)}
    return {k: v for k, v in told.items() if v}


def _together(hashes: list[str]) -> str:
    """Return one hash of several, whatever their order; of one, itself; of none, nothing."""
    if len(hashes) < 2:
        return "".join(hashes)
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()[:16]
