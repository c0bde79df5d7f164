"""The map of the embeddings: two dimensions by UMAP, of a sample, made once by a process of its own.

UMAP holds Python's lock for most of its minutes: in a thread it would stop the page.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from goodricke.catalog.examination.diagrams import NO_UMAP, flattened
from goodricke.catalog.folder import Catalog, whole_file
from goodricke.embeddings.index import identity
from goodricke.embeddings.source import EMBEDDING
from goodricke.explorer.store import cached

log = logging.getLogger("goodricke")

MAPPED = 20_000  # embeddings in a map

Rows = NDArray[np.int64]


class Map(NamedTuple):
    """Embeddings in two dimensions."""

    rows: Rows  # (m,) of the catalog
    points: NDArray[np.float64]  # (m, 2)
    how: str


class EmbeddingMap:
    """A map that is made when it is first asked for, and kept in the user's cache.

    Parameters
    ----------
    catalog : Catalog
    rows : callable
        Returns the rows to map, increasing.
    """

    def __init__(self, catalog: Catalog, rows: Callable[[], Rows]) -> None:
        self._catalog, self._rows = catalog, rows
        self._process: subprocess.Popen[bytes] | None = None
        self.failure = ""

    def ask(self) -> Map | None:
        """Return the map, None while it is being made; `failure` tells if that went wrong."""
        path = cached(self._catalog.path, f"map-{identity(self._catalog)[:16]}-{_method()}.parquet")
        if path.exists():
            return read_map(path)
        if self._process is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(suffix=".npy", delete=False) as wanted:  # a pipe would wait for its reader
                np.save(wanted, self._rows())
            told = [sys.executable, "-m", "goodricke.explorer.mapping", str(self._catalog.path), wanted.name, str(path)]
            self._process = subprocess.Popen(told, stdin=subprocess.DEVNULL)
        elif self._process.poll() is not None and not path.exists():
            self.failure = f"the map could not be made (exit code {self._process.returncode}); the terminal tells why"
        return None

    def close(self) -> None:
        """Stop the process, if it is at work."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()


def make_map(catalog: Path, rows: Rows, out: Path) -> None:
    """Put the embeddings of some rows of a catalog into two dimensions, and write them to a file."""
    embedding = embeddings_of(Catalog.open(catalog), rows)
    known = np.isfinite(embedding).all(1)
    points, how = flattened(embedding[known])
    table = pa.table({"row": rows[known], "x": points[:, 0], "y": points[:, 1]})
    with whole_file(out) as file:
        pq.write_table(table.replace_schema_metadata({"how": how}), file)


def read_map(path: Path) -> Map:
    """Return a map from its file."""
    table = pq.read_table(path)
    points = np.stack([table["x"].to_numpy(), table["y"].to_numpy()], 1)
    return Map(table["row"].to_numpy(), points, (table.schema.metadata or {})[b"how"].decode())


def embeddings_of(catalog: Catalog, rows: Rows) -> NDArray[np.float32]:
    """Return the embeddings (m, d) of some rows, in order; NaN for those without."""
    found, first = list[NDArray[np.float32]](), 0
    for batch in catalog.dataset.to_batches(columns=[EMBEDDING]):
        here = rows[(rows >= first) & (rows < first + len(batch))] - first
        first += len(batch)
        if len(here):
            lists = batch[EMBEDDING].take(pa.array(here))
            found.append(_matrix(lists))
    if not found:
        return np.empty((0, 0), np.float32)
    width = max(m.shape[1] for m in found)
    return np.concatenate([m if m.shape[1] else np.full((len(m), width), np.nan, np.float32) for m in found])


def _matrix(lists: pa.Array) -> NDArray[np.float32]:
    """Return lists of one length as (n, length), NaN for null ones."""
    valid = lists.is_valid().to_numpy(zero_copy_only=False)
    flat = lists.drop_null().flatten().to_numpy(zero_copy_only=False)
    width = len(flat) // max(int(valid.sum()), 1)
    result = np.full((len(lists), width), np.nan, np.float32)
    result[valid] = flat.reshape(-1, width) if width else result[valid]
    return result


def _method() -> str:
    """Return how a map is made here: one by principal components is made anew once UMAP is installed."""
    from importlib.util import find_spec

    if find_spec("umap") is None:
        log.info("principal components instead of UMAP: %s", NO_UMAP)
        return "pca"
    return "umap"


if __name__ == "__main__":
    with suppress(AttributeError, OSError):
        os.nice(10)
    wanted = Path(sys.argv[2])
    make_map(Path(sys.argv[1]), np.load(wanted), Path(sys.argv[3]))
    wanted.unlink()
