"""A selection as a file: the table's rows with the labels given here, in the formats that catalogs are written in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from goodricke.explorer.opened import Explorer
from goodricke.explorer.where import Where
from goodricke.formats import Rows, write
from goodricke.formats.rows import BATCH

FORMATS = {kind: f".{kind}" for kind in ("csv", "parquet", "vot", "ecsv", "fits")}


def write_rows(explorer: Explorer, where: Where, path: Path) -> None:
    """Write the rows that a condition is true of, in the catalog's order; the suffix names the format.

    All columns of the table but the embeddings, then ``label`` and ``comment``; a column of the catalog that had one of
    these names is called ``catalog_label``.
    """
    found = explorer.table.matching(where)
    rows = np.arange(len(explorer.table)) if found is None else np.sort(found)
    schema = explorer.table.arrow(np.zeros(0, np.int64)).schema

    def batches() -> Iterator[pa.Table]:
        for first in range(0, len(rows), BATCH):
            yield explorer.table.arrow(rows[first : first + BATCH])

    write(Rows(schema, len(rows), batches, explorer.about), path)


def ids_of(explorer: Explorer, where: Where) -> list[str]:
    """Return the objects of the rows that a condition is true of, each once, in the catalog's order."""
    found = explorer.table.matching(where)
    rows = np.arange(len(explorer.table)) if found is None else np.sort(found)
    batches = (explorer.table.ids(rows[first : first + BATCH]) for first in range(0, len(rows), BATCH))
    return list(dict.fromkeys(i for batch in batches for i in batch))
