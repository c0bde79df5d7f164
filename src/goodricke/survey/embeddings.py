r"""Embeddings of a catalog: its rows block by block, in memory that doesn't grow with them, and distances between them.

The coordinates of a network have different spreads, which don't say what they are worth. With the catalog's mean
:math:`\mu` and standard deviation :math:`\sigma` of each coordinate,

.. math:: z = (e - \mu) / \sigma, \qquad d(a, b) = 1 - \frac{z_a \cdot z_b}{|z_a| |z_b|},

from 0 (alike) over 1 (nothing in common) to 2 (opposite). Whitening with the full covariance instead would give
coordinates that are noise the same weight as the others; ``python -m benchmarks.neighbours`` compares distances.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from goodricke.data.arrow import one_chunk, strings
from goodricke.data.predictions import Status
from goodricke.survey.shards import Catalog

EMBEDDING = "embedding"
BLOCK = 65_536  # rows
LEAST_SPREAD = 1e-6  # of a coordinate, as a fraction of the largest spread; below it is rounding
FIX = "give the folder of `goodricke catalog` or the .parquet of `goodricke classify --out`: those two hold embeddings"

Embedding = NDArray[np.float32]
Block = tuple[pa.Table, Embedding]
Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Space:
    """Mean and standard deviation of the coordinates of a catalog's embeddings, (d,) each."""

    mean: Float
    spread: Float

    @classmethod
    def fit(cls, embeddings: Iterable[NDArray]) -> Space:
        """Measure the space of embeddings that come in pieces (b, d).

        Raises
        ------
        ValueError
            If there are none.
        """
        moments = Moments()
        for piece in embeddings:
            moments.add(piece)
        return moments.space()

    def standard(self, embedding: NDArray) -> NDArray[np.float32]:
        """Return standardised embeddings (n, d)."""
        return ((embedding - self.mean.astype(np.float32)) / self.spread.astype(np.float32)).astype(np.float32)

    def unit(self, embedding: NDArray) -> NDArray[np.float32]:
        """Return unit vectors (n, d); half the squared length of their difference is the distance :math:`d`."""
        z = self.standard(embedding)
        norm = np.sqrt(np.einsum("ij,ij->i", z, z))
        return z / np.maximum(norm, np.finfo(np.float32).tiny)[:, None]


class Moments:
    """Sums of embeddings and of their squares, about the mean of the first piece."""

    def __init__(self) -> None:
        self.n = 0

    def add(self, piece: NDArray) -> None:
        """Add embeddings (b, d)."""
        if not len(piece):
            return
        if not self.n:
            self.origin = piece.mean(0, dtype=np.float64)
            self.sum, self.squares = np.zeros((2, piece.shape[1]))
        x = piece - self.origin
        self.n += len(x)
        self.sum += x.sum(0)
        self.squares += np.square(x).sum(0)

    def space(self) -> Space:
        """Return the space of the embeddings so far."""
        if not self.n:
            raise ValueError("no row has an embedding: was no light curve classified?")
        offset = self.sum / self.n
        spread = np.sqrt(np.maximum(self.squares / self.n - np.square(offset), 0))
        spread = np.maximum(spread, LEAST_SPREAD * spread.max()) if spread.max() else np.ones_like(spread)
        return Space(self.origin + offset, spread)


def open_embedded(path: str | Path) -> Catalog:
    """Open a catalog or a file of predictions whose rows have embeddings.

    Raises
    ------
    ValueError
        If there is none, or it holds no embeddings; says how to get them.
    """
    path = Path(path)
    if path.is_file() and path.read_bytes()[:4] != b"PAR1":
        raise ValueError(f"{path}: is no Parquet file, and text, FITS and VOTable are read without embeddings; {FIX}")
    catalog = Catalog.open(path)
    if EMBEDDING not in catalog.schema.names:
        raise ValueError(f"{path}: has no column {EMBEDDING}, or was written by other software; {FIX}")
    return catalog


def blocks(catalog: Catalog, columns: Sequence[str] = (), size: int = BLOCK) -> Iterator[Block]:
    """Yield the rows that have an embedding, in order.

    Parameters
    ----------
    catalog : Catalog
    columns : sequence of str
        Besides ``object_id``; those that the catalog doesn't have are left out.
    size : int
        Rows in a block, but for the last.

    Yields
    ------
    table : pyarrow.Table (b rows)
        ``object_id`` (string) and the columns.
    embedding : float32 (b, d)

    Raises
    ------
    ValueError
        If the embeddings differ in length, so that they are of several models.
    """
    schema = catalog.schema
    fields = [schema.field(n) for n in dict.fromkeys(("object_id", *columns)) if n in schema.names]
    waiting: list[Block] = []
    for path in catalog.files:
        for block in _file_blocks(path, fields, size):
            waiting.append(block)
            while sum(len(t) for t, _ in waiting) >= size:
                table, embedding = _join(waiting, catalog.path)
                yield table.slice(0, size), embedding[:size]
                waiting = [(table.slice(size), embedding[size:])]
    if sum(len(t) for t, _ in waiting):
        yield _join(waiting, catalog.path)


def require_one_model(models: set[tuple[str, str]], path: Path) -> tuple[str, str]:
    """Return name and hash of the one model that made the rows of a catalog.

    Raises
    ------
    ValueError
        If there are several: their embeddings have nothing in common.
    """
    if len(models) > 1:
        names = ", ".join(f"{name} ({digest})" for name, digest in sorted(models))
        raise ValueError(f"{path}: embeddings of several models ({names}) can't be compared; classify all with one")
    return next(iter(models), ("", ""))


def models_of(table: pa.Table) -> set[tuple[str, str]]:
    """Return name and hash of the models that made the rows of a table, if it has these columns."""
    names = [n for n in ("model", "model_hash") if n in table.column_names]
    if len(names) < 2 or not len(table):
        return set()
    distinct = table.select(names).group_by(names).aggregate([])
    return {(str(row["model"]), str(row["model_hash"])) for row in distinct.to_pylist()}


def _file_blocks(path: Path, fields: Sequence[pa.Field], size: int) -> Iterator[Block]:
    """Yield the rows of one file that have an embedding."""
    with pq.ParquetFile(path) as file:
        columns = set(file.schema_arrow.names)
        if EMBEDDING not in columns:
            return
        names = list(
            dict.fromkeys([*(f.name for f in fields if f.name in columns), EMBEDDING, *({"status"} & columns)])
        )
        for group in range(file.num_row_groups):
            for batch in file.iter_batches(size, [group], names, use_threads=False):
                rows, embedding = _with_embedding(pa.Table.from_batches([batch]))
                yield pa.table([_column(rows, f) for f in fields], names=[f.name for f in fields]), embedding


def _with_embedding(table: pa.Table) -> tuple[pa.Table, Embedding]:
    """Return the rows that have a finite embedding, and the embeddings (b, d)."""
    has = pc.is_valid(table[EMBEDDING])
    if "status" in table.column_names:
        has = pc.and_(has, pc.fill_null(pc.equal(table["status"], str(Status.OK)), False))
    table = table if pc.all(has).as_py() else table.filter(has)
    if not len(table):
        return table, np.zeros((0, 0), np.float32)
    flat = one_chunk(table[EMBEDDING]).flatten().to_numpy(zero_copy_only=False)
    embedding = np.asarray(flat, np.float32).reshape(len(table), -1)
    finite = np.isfinite(embedding).all(1)
    return (table, embedding) if finite.all() else (table.filter(pa.array(finite)), embedding[finite])


def _column(rows: pa.Table, field: pa.Field) -> pa.Array:
    if field.name not in rows.column_names:
        return pa.nulls(len(rows), field.type)
    return strings(rows[field.name]) if field.name == "object_id" else one_chunk(rows[field.name]).cast(field.type)


def _join(parts: Sequence[Block], path: Path) -> Block:
    parts = [part for part in parts if len(part[0])]
    if len({embedding.shape[1] for _, embedding in parts}) > 1:
        raise ValueError(f"{path}: embeddings of several lengths, so of several models; classify all with one")
    return pa.concat_tables([t for t, _ in parts]).combine_chunks(), np.concatenate([e for _, e in parts])
