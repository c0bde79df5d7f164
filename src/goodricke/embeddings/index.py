r"""An index of a catalog's embeddings: one file, mapped into memory, that is made anew when the catalog has changed.

It is an Arrow file of blocks of rows: ``object_id``, ``class``, ``p_max``, and the unit vector :math:`x` of the
embedding (see `goodricke.embeddings.space`) along the principal axes, cut in two. The first part, ``head``, are the few
coordinates that hold most of the variance, and the length of the rest; ``tail`` is the rest. For any query :math:`q`,
by Cauchy and Schwarz,

.. math:: x \cdot q \le x_\mathrm{head} \cdot q_\mathrm{head} + |x_\mathrm{tail}| |q_\mathrm{tail}|,

so that a search goes through the heads, in one product of a matrix and a vector per block, and looks at the tails of
those rows only that can still be among the nearest. The result is that of looking at all.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke.catalog.folder import Catalog, shards_in, whole_file
from goodricke.embeddings.source import blocks, models_of, one_model
from goodricke.embeddings.space import Moments, Space

log = logging.getLogger("goodricke")

FORMAT = 1
SHARE = 0.85  # of the variance in the head
SLACK = 1e-5  # of products in single precision
LOOKED_AT = 4096  # rows of a block whose tails are looked at without a better bound first
QUERIES = 16  # searched together
CACHE = "XDG_CACHE_HOME"

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Index:
    """The embeddings of a catalog, on the disk.

    Parameters
    ----------
    path : Path
    table : pyarrow.Table (n rows)
        Mapped, not read.
    space : Space
    model, model_hash : str
        What made the embeddings.
    """

    path: Path
    table: pa.Table
    space: Space
    model: str
    model_hash: str

    def __len__(self) -> int:
        return self.table.num_rows

    @cached_property
    def _parts(self) -> list[tuple[int, NDArray[np.float32], NDArray[np.float32]]]:
        """First row, heads (b, r + 1) and tails (b, d - r) of each block."""
        heads, tails = (self.table[n].chunks for n in ("head", "tail"))
        starts = np.cumsum([0, *(len(h) for h in heads)])[:-1].tolist()
        return [(a, _matrix(h), _matrix(t)) for a, h, t in zip(starts, heads, tails, strict=True)]

    def rows_of(self, object_id: str) -> Int:
        """Return the rows of an object, none if it isn't there."""
        return np.flatnonzero(pc.equal(self.table["object_id"], object_id).to_numpy())

    def vectors(self, rows: Int) -> NDArray[np.float32]:
        """Return the unit vectors (len(rows), d) of some rows."""
        block = np.searchsorted([first for first, *_ in self._parts], rows, side="right") - 1
        found = np.empty((len(rows), len(self.space.mean)), np.float32)
        for b in np.unique(block):  # not by Arrow, which would join all the blocks first
            first, head, tail = self._parts[b]
            here = np.flatnonzero(block == b)
            found[here] = np.hstack([head[rows[here] - first, :-1], tail[rows[here] - first]])
        return found

    def nearest(self, queries: NDArray[np.float32], k: int) -> tuple[Int, Float]:
        """Return the nearest rows of each query and their distances, (q, k) each, the nearest first.

        Parameters
        ----------
        queries : (q, d)
            Unit vectors of `space`.
        k : int
            At most as many as there are rows.
        """
        k = min(k, len(self))
        parts = [self._search(queries[a : a + QUERIES], k) for a in range(0, len(queries), QUERIES)]
        return np.concatenate([r for r, _ in parts]), np.concatenate([d for _, d in parts])

    def _search(self, queries: NDArray[np.float32], k: int) -> tuple[Int, Float]:
        r = self._parts[0][1].shape[1] - 1
        rest = np.sqrt(np.maximum(1 - np.square(queries[:, :r], dtype=np.float64).sum(1), 0)).astype(np.float32)
        asked = np.hstack([queries[:, :r], rest[:, None]])
        best = [_Best(k) for _ in queries]
        for first, head, tail in self._parts:
            bound = asked @ head.T  # (q, b)
            for b, q, most in zip(best, queries, bound, strict=True):
                _look(b, q, most, first, head[:, :r], tail)
        found = [self._ordered(q, b.row) for q, b in zip(queries, best, strict=True)]
        return np.stack([row for row, _ in found]), np.stack([distance for _, distance in found])

    def _ordered(self, query: NDArray[np.float32], rows: Int) -> tuple[Int, Float]:
        """Return rows by their distance, which is computed from the difference: exact where it is small."""
        distance = np.square(self.vectors(rows).astype(np.float64) - query).sum(1) / 2
        order = np.lexsort((rows, distance))
        return rows[order], distance[order]


class _Best:
    """The k rows with the largest products so far."""

    def __init__(self, k: int) -> None:
        self.k, self.least = k, -np.inf
        self.row, self.product = np.zeros(0, np.int64), np.zeros(0, np.float32)

    def add(self, row: Int, product: NDArray[np.float32]) -> None:
        self.row, self.product = np.r_[self.row, row], np.r_[self.product, product]
        if len(self.row) > self.k:
            kept = np.argpartition(-self.product, self.k - 1)[: self.k]
            self.row, self.product = self.row[kept], self.product[kept]
        if len(self.row) == self.k:
            self.least = float(self.product.min()) - SLACK


def _look(best: _Best, query: NDArray, bound: NDArray, first: int, head: NDArray, tail: NDArray) -> None:
    """Look at those rows of a block that can be among the best."""
    r = head.shape[1]

    def look(rows: Int) -> None:
        best.add(first + rows, head[rows] @ query[:r] + tail[rows] @ query[r:])

    rows = np.flatnonzero(bound >= best.least)
    if len(rows) > max(LOOKED_AT, 2 * best.k):  # the most promising first: they raise the bar for the others
        promising = np.argpartition(-bound, best.k - 1)[: best.k]
        look(promising)
        rows = np.setdiff1d(np.flatnonzero(bound >= best.least), promising)
    if len(rows):
        look(rows)


def _matrix(lists: pa.FixedSizeListArray) -> NDArray[np.float32]:
    """Return lists of one length as (n, length), without a copy."""
    width = lists.type.list_size
    flat = lists.values.slice(lists.offset * width, len(lists) * width)
    return flat.to_numpy(zero_copy_only=True).reshape(len(lists), width)


# ---- on the disk ----------------------------------------------------------------------------------------------------


def open_index(catalog: Catalog) -> Index:
    """Open the index of a catalog; make it first if there is none, or it is of an earlier state of the catalog.

    It lies beside the catalog (``_similar.arrow`` in a folder, ``_NAME.similar.arrow`` beside a file) or, where nothing
    can be written there, in the user's cache folder.

    Raises
    ------
    ValueError
        If no row has an embedding, or they are of several models.
    """
    state = identity(catalog)
    places = (beside(catalog.path), cached(catalog.path))
    for path in places:
        found = _opened(path, state)
        if found is not None:
            return found
    log.info("%s: making an index of the embeddings", catalog.path)
    space, model = _measured(catalog)
    for path in places:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, catalog, space, model, state)
        except OSError as error:
            log.info("%s: no index there (%s)", path, error)
            continue
        made = _opened(path, state)
        if made is not None:
            return made
    raise ValueError(
        f"no index of {catalog.path} can be written, neither to {places[0]} nor to {places[1]}: "
        f"set {CACHE} to a folder with room"
    )


def beside(path: Path) -> Path:
    """Return where the index of a catalog is kept: by its name, nothing that reads folders takes it for data."""
    return path / "_similar.arrow" if path.is_dir() else path.with_name(f"_{path.name}.similar.arrow")


def cached(path: Path) -> Path:
    """Return where the index of a catalog is kept that can't be written to."""
    root = Path(os.environ.get(CACHE) or Path.home() / ".cache")
    return root / "goodricke" / f"similar-{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}.arrow"


def identity(catalog: Catalog) -> str:
    """Return a hash of what a catalog is made of: its shards' SHA-256, of other files size and time of change."""
    if catalog.manifest:
        told = [[e.shard, e.rows, e.sha256] for e in shards_in(catalog.path)]
    else:
        told = [[str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns] for f in catalog.files]
    return hashlib.sha256(json.dumps([FORMAT, told]).encode()).hexdigest()


def _measured(catalog: Catalog) -> tuple[Space, tuple[str, str]]:
    """Return the space of a catalog's embeddings, and the one model that made them."""
    moments, models = Moments(), set[tuple[str, str]]()
    for table, embedding in blocks(catalog, ("model", "model_hash")):
        moments.add(embedding)
        models |= models_of(table)
    return moments.space(), one_model(models, catalog.path)


def _write(path: Path, catalog: Catalog, space: Space, model: tuple[str, str], state: str) -> None:
    """Write an index; it appears whole or not at all."""
    about = {"identity": state, "model": model[0], "model_hash": model[1]}
    arrays = {name: np.ascontiguousarray(x, "<f8").tobytes() for name, x in vars(space).items()}
    d, r = len(space.mean), space.leading(SHARE)
    fields = [("object_id", pa.string()), ("class", pa.string()), ("p_max", pa.float32())]
    fields += [("head", pa.list_(pa.float32(), r + 1)), ("tail", pa.list_(pa.float32(), d - r))]
    schema = pa.schema(fields, metadata={**about, **arrays})
    with whole_file(path) as file, pa.ipc.new_file(file, schema) as out:
        for batch in _batches(catalog, space, r, schema):
            out.write_batch(batch)


def _batches(catalog: Catalog, space: Space, r: int, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for table, embedding in blocks(catalog, ("class", "p_max")):
        x = space.unit(embedding)
        rest = np.sqrt(np.square(x[:, r:], dtype=np.float64).sum(1)).astype(np.float32)
        known = {n: pc.cast(table[n], schema.field(n).type).combine_chunks() for n in table.column_names}
        parts = {"head": np.hstack([x[:, :r], rest[:, None]]), "tail": x[:, r:]}
        known |= {n: _lists(m, schema.field(n).type) for n, m in parts.items()}
        columns = [known.get(f.name, pa.nulls(len(x), f.type)) for f in schema]
        yield pa.record_batch(columns, schema=schema)


def _lists(matrix: NDArray[np.float32], kind: pa.DataType) -> pa.FixedSizeListArray:
    flat = pa.array(np.ascontiguousarray(matrix).ravel())
    return pa.FixedSizeListArray.from_buffers(kind, len(matrix), [None], children=[flat])


def _opened(path: Path, state: str) -> Index | None:
    """Return the index in a file, None if it isn't there, is damaged or of another state of the catalog."""
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (OSError, pa.ArrowException):
        return None
    meta = {k.decode(): v for k, v in (table.schema.metadata or {}).items()}
    if meta.get("identity", b"").decode() != state:
        return None
    mean, spread, axes, variance = (np.frombuffer(meta[n], "<f8") for n in ("mean", "spread", "axes", "variance"))
    space = Space(mean, spread, axes.reshape(len(mean), -1), variance)
    return Index(path, table, space, meta["model"].decode(), meta["model_hash"].decode())
