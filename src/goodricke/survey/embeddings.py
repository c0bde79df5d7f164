r"""The rows of a catalog that have an embedding, block by block, in memory that doesn't grow with them.

The space in which embeddings are compared: coordinates standardised over the catalog, distances by angle.

A network's coordinates have unlike spreads, which say nothing of what they are worth. With the catalog's mean
:math:`\mu` and standard deviation :math:`\sigma` of each coordinate,

.. math:: z = (e - \mu) / \sigma, \qquad d(a, b) = 1 - \frac{z_a \cdot z_b}{|z_a| |z_b|},

from 0 (alike) over 1 (nothing in common) to 2 (opposite). Whitening with the whole covariance instead raises
coordinates that are noise to the rank of the others; ``goodricke similar --labels`` measures what each is worth.
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
HOW = "give the folder of `goodricke catalog` or the .parquet of `goodricke classify --out`: those two hold embeddings"

Embedding = NDArray[np.float32]
Block = tuple[pa.Table, Embedding]


def open_embedded(path: str | Path) -> Catalog:
    """Open a catalog or a file of predictions whose rows have embeddings.

    Raises
    ------
    ValueError
        If there is none, or it holds no embeddings; says how to get them.
    """
    path = Path(path)
    if path.is_file() and path.read_bytes()[:4] != b"PAR1":
        raise ValueError(f"{path}: is no Parquet file, and text, FITS and VOTable are read without embeddings; {HOW}")
    catalog = Catalog.open(path)
    if EMBEDDING not in catalog.schema.names:
        raise ValueError(f"{path}: has no column {EMBEDDING}, or was written by other software; {HOW}")
    return catalog


def blocks(catalog: Catalog, columns: Sequence[str] = (), size: int = BLOCK) -> Iterator[Block]:
    """Give the rows that have an embedding, in order.

    Parameters
    ----------
    catalog : Catalog
    columns : sequence of str
        Beside ``object_id``; those that the catalog doesn't have are left out.
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
        If the embeddings are of several models: no distance is meant between those.
    """
    schema = catalog.schema
    fields = [schema.field(n) for n in dict.fromkeys(("object_id", *columns)) if n in schema.names]
    waiting: list[Block] = []
    for path in catalog.files:
        for block in _pieces(path, fields, size):
            waiting.append(block)
            while sum(len(t) for t, _ in waiting) >= size:
                table, embedding = _joined(waiting, catalog.path)
                yield table.slice(0, size), embedding[:size]
                waiting = [(table.slice(size), embedding[size:])]
    if sum(len(t) for t, _ in waiting):
        yield _joined(waiting, catalog.path)


def one_model(found: set[tuple[str, str]], path: Path) -> tuple[str, str]:
    """Return name and hash of the one model that made the rows of a catalog.

    Raises
    ------
    ValueError
        If there are several: their embeddings have nothing in common.
    """
    if len(found) > 1:
        models = ", ".join(f"{name} ({digest})" for name, digest in sorted(found))
        raise ValueError(f"{path}: embeddings of several models ({models}) can't be compared; classify all with one")
    return next(iter(found), ("", ""))


def models_of(table: pa.Table) -> set[tuple[str, str]]:
    """Return name and hash of the models that made the rows of a table, as far as it tells."""
    names = [n for n in ("model", "model_hash") if n in table.column_names]
    if len(names) < 2 or not len(table):
        return set()
    distinct = table.select(names).group_by(names).aggregate([])
    return {(str(row["model"]), str(row["model_hash"])) for row in distinct.to_pylist()}


def _pieces(path: Path, fields: Sequence[pa.Field], size: int) -> Iterator[Block]:
    """Give the rows of one file that have an embedding."""
    with pq.ParquetFile(path) as file:
        own = set(file.schema_arrow.names)
        if EMBEDDING not in own:
            return
        wanted = [f.name for f in fields if f.name in own]
        names = list(dict.fromkeys([*wanted, EMBEDDING, *({"status"} & own)]))
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


def _column(rows: pa.Table, wanted: pa.Field) -> pa.Array:
    if wanted.name not in rows.column_names:
        return pa.nulls(len(rows), wanted.type)
    return strings(rows[wanted.name]) if wanted.name == "object_id" else one_chunk(rows[wanted.name]).cast(wanted.type)


def _joined(parts: Sequence[Block], path: Path) -> Block:
    parts = [part for part in parts if len(part[0])]
    if len({embedding.shape[1] for _, embedding in parts}) > 1:
        raise ValueError(f"{path}: embeddings of several lengths, so of several models; classify all with one")
    return pa.concat_tables([t for t, _ in parts]).combine_chunks(), np.concatenate([e for _, e in parts])


# ---- The space in which embeddings are compared: coordinates standardised over the catalog, distances by  ------------


Float = NDArray[np.float64]
LEAST = 1e-6  # spread of a coordinate, as a fraction of the largest; what is below is rounding


@dataclass(frozen=True, eq=False)
class Space:
    """Mean, spread and principal axes of the embeddings of a catalog.

    Parameters
    ----------
    mean, spread : (d,)
    axes : (d, d)
        Orthogonal; columns in order of the variance of the standardised embeddings along them.
    variance : (d,)
    """

    mean: Float
    spread: Float
    axes: Float
    variance: Float

    @classmethod
    def fit(cls, embeddings: Iterable[NDArray]) -> Space:
        """Measure the space, from embeddings that come in pieces (b, d).

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
        """Return unit vectors (n, d) along the principal axes; half the square of their distance is :math:`d`."""
        z = self.standard(embedding) @ self.axes.astype(np.float32)
        norm = np.sqrt(np.einsum("ij,ij->i", z, z))
        return z / np.maximum(norm, np.finfo(np.float32).tiny)[:, None]

    def leading(self, share: float) -> int:
        """Return how many axes have that share of the variance."""
        return int(np.searchsorted(np.cumsum(self.variance) / self.variance.sum(), share)) + 1


class Moments:
    """Sums of embeddings and of their products, about the first one."""

    def __init__(self) -> None:
        self.n = 0

    def add(self, piece: NDArray) -> None:
        """Add embeddings (b, d)."""
        if not len(piece):
            return
        if not self.n:
            self.origin = piece.mean(0, dtype=np.float64)
            self.sum, self.products = np.zeros(piece.shape[1]), np.zeros((piece.shape[1],) * 2)
        x = piece - self.origin
        self.n += len(x)
        self.sum += x.sum(0)
        self.products += x.T @ x

    def space(self) -> Space:
        """Return the space of what was added."""
        if not self.n:
            raise ValueError("no row has an embedding: was no light curve classified?")
        offset = self.sum / self.n
        covariance = self.products / self.n - np.outer(offset, offset)
        spread = np.sqrt(np.maximum(np.diagonal(covariance), 0))
        spread = np.maximum(spread, LEAST * spread.max()) if spread.max() else np.ones_like(spread)
        variance, axes = np.linalg.eigh(covariance / np.outer(spread, spread))
        return Space(self.origin + offset, spread, axes[:, ::-1], np.maximum(variance[::-1], 1e-12))
