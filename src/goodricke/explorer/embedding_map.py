"""A map of the embeddings of a catalog: a sample of them in two dimensions.

UMAP holds Python's global lock for most of the minutes that it takes, so another process computes the map, once, and
keeps it in the user's cache. Its progress is in a file beside it.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from goodricke.data.files import atomic_path
from goodricke.explorer.store import cache_path
from goodricke.survey.embeddings import EMBEDDING
from goodricke.survey.examine.figures import NO_UMAP, flatten_embeddings
from goodricke.survey.shards import Catalog
from goodricke.survey.similar import identity

log = logging.getLogger("goodricke")

Float = NDArray[np.float64]
RowNumbers = NDArray[np.int64]


FEW = 300  # embeddings below which principal components, at once, serve as a map


class MapPoints(NamedTuple):
    """Embeddings in two dimensions."""

    rows: RowNumbers  # (m,) of the catalog
    xy: Float  # (m, 2)
    method: str


class EmbeddingMap:
    """A map that another process makes at the first use, kept in the user's cache.

    Parameters
    ----------
    catalog : Catalog
    rows : callable
        Returns the rows to map, increasing.
    """

    def __init__(self, catalog: Catalog, rows: Callable[[], RowNumbers]) -> None:
        self._catalog, self._rows = catalog, rows
        self._process: subprocess.Popen[bytes] | None = None
        self._progress_path, self._started, self._count = Path(), 0.0, 0
        self.failure = ""  # why there is no map

    def get(self) -> MapPoints | None:
        """Return the map, None while it is being made or if that failed; see `failure`."""
        path = cache_path(self._catalog.path, f"embedding-map-{identity(self._catalog)[:16]}-{_method()}.parquet")
        if path.exists():
            return read_map(path)
        if self._process is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            chosen = self._rows()
            if len(chosen) < FEW:
                make_map(self._catalog.path, chosen, path)
                return read_map(path)
            with tempfile.NamedTemporaryFile(suffix=".npy", delete=False) as rows:  # a pipe could block
                np.save(rows, chosen)
            self._progress_path = _progress_path(path)
            self._progress_path.unlink(missing_ok=True)
            self._started, self._count = time.monotonic(), len(chosen)
            arguments = [str(self._catalog.path), rows.name, str(path)]
            command = [sys.executable, "-m", "goodricke.explorer.embedding_map", *arguments]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        elif self._process.poll() is not None and not path.exists():
            code = self._process.returncode
            self.failure = f"the map could not be made (exit code {code}); the terminal shows why"
        return None

    def progress(self) -> str:
        """Return in words how far the map is."""
        seconds = time.monotonic() - self._started
        try:
            epoch, of, before = json.loads(self._progress_path.read_text())
        except (OSError, ValueError):
            return f"{self._count:,} light curves, looking for the neighbours of each; {seconds:.0f} s so far"
        left = (seconds - before) / max(epoch, 1) * (of - epoch)
        return f"{self._count:,} light curves, epoch {epoch} of {of}; about {max(left, 1):.0f} s left"

    def close(self) -> None:
        """End the process, if it still runs."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()


def make_map(catalog: Path, rows: RowNumbers, out: Path) -> None:
    """Write the embeddings of some rows of a catalog, in two dimensions, to a file."""
    embedding = read_embeddings(Catalog.open(catalog), rows)
    valid = np.isfinite(embedding).all(1)
    start, progress = time.monotonic(), _progress_path(out)

    def report(epoch: int, of: int) -> None:
        nonlocal start
        if epoch == 0:
            start = time.monotonic() - start  # seconds before the first epoch
        with atomic_path(progress) as partial:
            partial.write_text(json.dumps([epoch, of, start]))

    points, method = flatten_embeddings(embedding[valid], fewest=FEW, progress=report)
    progress.unlink(missing_ok=True)
    table = pa.table({"row": rows[valid], "x": points[:, 0], "y": points[:, 1]})
    with atomic_path(out) as partial:
        pq.write_table(table.replace_schema_metadata({"method": method}), partial)


def _progress_path(path: Path) -> Path:
    return path.with_suffix(".progress")


def read_map(path: Path) -> MapPoints:
    """Read a map from its file."""
    table = pq.read_table(path)
    xy = np.stack([table["x"].to_numpy(), table["y"].to_numpy()], 1)
    return MapPoints(table["row"].to_numpy(), xy, (table.schema.metadata or {})[b"method"].decode())


def read_embeddings(catalog: Catalog, rows: RowNumbers) -> NDArray[np.float32]:
    """Return the embeddings (m, d) of some rows, in order; NaN for null."""
    parts, first = list[NDArray[np.float32]](), 0
    for batch in catalog.dataset.to_batches(columns=[EMBEDDING]):
        here = rows[(rows >= first) & (rows < first + len(batch))] - first
        first += len(batch)
        if len(here):
            parts.append(_matrix(batch[EMBEDDING].take(pa.array(here))))
    if not parts:
        return np.empty((0, 0), np.float32)
    width = max(m.shape[1] for m in parts)
    return np.concatenate([m if m.shape[1] else np.full((len(m), width), np.nan, np.float32) for m in parts])


def _matrix(lists: pa.Array) -> NDArray[np.float32]:
    """Return lists of one length as (n, length), NaN for null ones."""
    valid = lists.is_valid().to_numpy(zero_copy_only=False)
    flat = lists.drop_null().flatten().to_numpy(zero_copy_only=False)
    width = len(flat) // max(int(valid.sum()), 1)
    result = np.full((len(lists), width), np.nan, np.float32)
    result[valid] = flat.reshape(-1, width) if width else result[valid]
    return result


def _method() -> str:
    """Return the method of new maps: UMAP if it is installed, else principal components."""
    from importlib.util import find_spec

    if find_spec("umap") is None:
        log.info("principal components instead of UMAP: %s", NO_UMAP)
        return "pca"
    return "umap"


if __name__ == "__main__":
    with suppress(AttributeError, OSError):
        os.nice(10)
    catalog_path, rows_path, map_path = map(Path, sys.argv[1:])
    make_map(catalog_path, np.load(rows_path), map_path)
    rows_path.unlink()
