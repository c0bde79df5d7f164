"""``goodricke similar``: the objects of a catalog whose light curves a network sees as most like those of others.

The embeddings are searched in an index, one Arrow file that is mapped into memory and rebuilt when the catalog has
changed. It has blocks of rows: ``object_id``, ``class``, the probability of the class and the unit vector of the
embedding (see `survey.embeddings`). A search is one matrix product per block. Only the neighbours within rounding of
the nearest are compared by their exact distance.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke.data.answer_text import answer_columns
from goodricke.data.files import atomic_path
from goodricke.data.lightcurves import LightCurves
from goodricke.inference import classify
from goodricke.io import as_light_curves
from goodricke.models.bundle import Model, load_model
from goodricke.survey.embeddings import Moments, Space, blocks, models_of, open_embedded, require_one_model
from goodricke.survey.shards import Catalog, completed_shards

log = logging.getLogger("goodricke")

FORMAT = 3
NEIGHBOURS = 10
ROUNDING = 1e-5  # of products in single precision
QUERIES = 16  # searched together
EXAMPLES = 2000  # ids that a misspelt one is compared with
CACHE = "XDG_CACHE_HOME"

Float = NDArray[np.float64]
Int = NDArray[np.int64]


def similar(object_id: str | Sequence[str], catalog: str | Path | Neighbours, k: int = NEIGHBOURS) -> pa.Table:
    """Find the nearest neighbours of objects of a catalog.

    Parameters
    ----------
    object_id : str or sequence of str
    catalog : path, str or Neighbours
        Folder of ``goodricke catalog``, or a .parquet with the column ``embedding``. For several searches open it once
        with `Neighbours.open`.
    k : int
        Number of neighbours of each object.

    Returns
    -------
    pyarrow.Table
        See `Neighbours.of`.

    Examples
    --------
    >>> import goodricke as gr
    >>> from goodricke.data.examples import example_files
    >>> gr.classify(example_files()[:3], "variables", passes=0).write("stars.parquet")
    >>> neighbours = similar("215153", "stars.parquet", k=2)
    >>> neighbours.column_names
    ['query', 'rank', 'object_id', 'distance', 'class', 'class_probability']
    >>> neighbours["rank"].to_pylist()
    [1, 2]
    """
    opened = catalog if isinstance(catalog, Neighbours) else Neighbours.open(catalog)
    return opened.of([object_id] if isinstance(object_id, str) else object_id, k)


@dataclass(frozen=True, eq=False)
class Neighbours:
    """A catalog to search for similar objects; see `goodricke.survey.embeddings` for the distance.

    Parameters
    ----------
    index : Index

    Examples
    --------
    >>> catalog = Neighbours.open("my-catalog")  # doctest: +SKIP
    >>> catalog.of(["TIC 25155310"], k=5)  # doctest: +SKIP
    >>> catalog.like("mine/star.csv", model="variables")  # doctest: +SKIP
    """

    index: Index

    @classmethod
    def open(cls, catalog: str | Path) -> Neighbours:
        """Open a catalog; its index is made the first time, and again when the catalog has changed.

        Raises
        ------
        ValueError
            If it has no embeddings.
        """
        return cls(open_index(open_embedded(catalog)))

    def __contains__(self, object_id: str) -> bool:
        return bool(len(self.index.rows_of(object_id)))

    def of(self, object_ids: Sequence[str], k: int = NEIGHBOURS) -> pa.Table:
        """Find the neighbours of objects of the catalog.

        Parameters
        ----------
        object_ids : sequence of str
            An object with several light curves has the neighbours of any of them.
        k : int

        Returns
        -------
        pyarrow.Table
            ``query``, ``rank`` from 1, ``object_id``, ``distance`` (0 alike, 1 nothing in common, 2 opposite),
            ``class``, and its probability: ``class_probability`` of a model with a taxonomy, else ``p_max``. No object
            is its own neighbour, or comes twice.

        Raises
        ------
        ValueError
            If an object isn't in the catalog; the message has the ids of nearly the same spelling.
        """
        rows = [self.index.rows_of(name) for name in object_ids]
        missing = [name for name, own in zip(object_ids, rows, strict=True) if not len(own)]
        if missing:
            raise ValueError(f"{missing[0]}: not in the catalog, or without embedding{self.near_miss(missing[0])}")
        owner = np.repeat(np.arange(len(rows)), [len(own) for own in rows])
        vectors = self.index.vectors(np.concatenate(rows)) if rows else np.zeros((0, 1), np.float32)
        return self._table(list(object_ids), owner, vectors, k)

    def near(self, names: Sequence[str], embedding: NDArray, k: int = NEIGHBOURS) -> pa.Table:
        """Find the neighbours of embeddings (q, d) of the model that made the catalog; see `of`."""
        return self._table(list(names), np.arange(len(names)), self.index.space.unit(np.asarray(embedding)), k)

    def like(self, curves: LightCurves | Any, model: Model | str | Path, k: int = NEIGHBOURS) -> pa.Table:
        """Find the neighbours of light curves that may not be in the catalog; see `of`.

        Parameters
        ----------
        curves : LightCurves, or whatever `goodricke.as_light_curves` takes
            Those that the model can't classify are left out.
        model : Model, str or Path
            That made the catalog.
        k : int

        Raises
        ------
        ValueError
            If it was another model, or none of the light curves can be classified.
        """
        model = model if isinstance(model, Model) else load_model(model)
        if model.hash != self.index.model_hash:
            made = f"{self.index.model} ({self.index.model_hash})"
            raise ValueError(
                f"the catalog was made by {made}, not {model.name} ({model.hash}): distances need the same"
            )
        curves = as_light_curves(curves)
        answers = classify(curves, model, passes=0)
        ok = np.flatnonzero(answers.ok)
        if not len(ok):
            raise ValueError(f"{', '.join(curves.ids[:3])}: can't be classified ({answers.column('status')[0]})")
        embedding = np.stack(answers.table["embedding"].take(pa.array(ok)).to_numpy())
        return self.near([curves.ids[i] for i in ok], embedding, k)

    def near_miss(self, object_id: str) -> str:
        """Return the end of a message that an id isn't there: ids of nearly the same spelling, or else examples."""
        close = get_close_matches(object_id, self._similar_ids(object_id), 3, 0.6)
        examples = ", ".join(self.index.table["object_id"].slice(0, 3).to_pylist())
        return f": did you mean {' or '.join(close)}?" if close else f"; its ids look like {examples}"

    def _similar_ids(self, name: str) -> list[str]:
        """Return ids that share a half with a name, or its longest number, as one typing error leaves them."""
        ids, half = self.index.table["object_id"], max(len(name) // 2, 1)
        number = max(re.findall(r"\d+", name), key=len, default="")
        alike = pc.or_(pc.starts_with(ids, name[:half]), pc.ends_with(ids, name[-half:]))
        alike = pc.or_(alike, pc.match_substring(ids, name, ignore_case=True))
        if len(number) > 3:
            alike = pc.or_(alike, pc.match_substring(ids, number))
        ids = ids.filter(alike)
        near = pc.less_equal(pc.abs(pc.subtract(pc.utf8_length(ids), len(name))), 2)
        ids = pa.chunked_array([*ids.filter(near).chunks, *ids.filter(pc.invert(near)).chunks], pa.string())
        return ids.slice(0, EXAMPLES).to_pylist()

    def _table(self, names: list[str], owner: NDArray[np.int64], vectors: NDArray[np.float32], k: int) -> pa.Table:
        """Return the neighbours of the objects ``names``; vector i is one of object ``owner[i]``."""
        if k < 1:
            raise ValueError(f"{k} neighbours: ask for at least one")
        searching, rows_wanted = list(range(len(names))), k + 1
        neighbours: dict[int, list[dict]] = {}
        while searching:
            own = np.isin(owner, searching)
            rows, distance = self.index.nearest(vectors[own], rows_wanted)
            for q in searching:
                part = owner[own] == q
                neighbours[q] = self._distinct(names[q], rows[part].ravel(), distance[part].ravel(), k)
            if rows_wanted >= len(self.index):
                break
            searching = [q for q in searching if len(neighbours[q]) < k]  # the rows are of too few objects
            rows_wanted *= 4
        fields = [("query", pa.string()), ("rank", pa.int32()), ("object_id", pa.string()), ("distance", pa.float32())]
        schema = pa.schema([*fields, ("class", pa.string()), (self.index.probability, pa.float32())])
        return pa.Table.from_pylist([row for q in range(len(names)) for row in neighbours[q]], schema)

    def _distinct(self, name: str, rows: NDArray[np.int64], distance: NDArray[np.float64], k: int) -> list[dict]:
        """Return the k nearest objects among the rows, each once, without the query itself."""
        order = np.lexsort((rows, distance))
        columns = ["object_id", "class", self.index.probability]
        table = self.index.table.select(columns).take(pa.array(rows[order])).to_pylist()
        seen, result = {name}, list[dict]()
        for row, d in zip(table, distance[order], strict=True):
            if row["object_id"] not in seen and len(result) < k:
                seen.add(row["object_id"])
                result.append({"query": name, "rank": len(result) + 1, "distance": float(d), **row})
        return result


# ---- the index -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Index:
    """The unit vectors of a catalog's embeddings, on the disk.

    Parameters
    ----------
    path : Path
    table : pyarrow.Table (n rows)
        Mapped, not read.
    space : Space
    model, model_hash : str
        Of the network that computed the embeddings.
    """

    path: Path
    table: pa.Table
    space: Space
    model: str
    model_hash: str

    def __len__(self) -> int:
        return self.table.num_rows

    @property
    def probability(self) -> str:
        """Name of the column with the probability of the class."""
        return answer_columns(self.table.column_names)[1]

    @cached_property
    def _blocks(self) -> list[tuple[int, NDArray[np.float32]]]:
        """First row and unit vectors (b, d) of each block."""
        chunks = self.table["unit"].chunks
        starts = np.cumsum([0, *(len(chunk) for chunk in chunks)])[:-1].tolist()
        return [(start, _matrix(chunk)) for start, chunk in zip(starts, chunks, strict=True)]

    def rows_of(self, object_id: str) -> Int:
        """Return the rows of an object, none if the catalog doesn't have it."""
        return np.flatnonzero(pc.equal(self.table["object_id"], object_id).to_numpy())

    def vectors(self, rows: Int) -> NDArray[np.float32]:
        """Return the unit vectors (len(rows), d) of some rows."""
        block = np.searchsorted([first for first, _ in self._blocks], rows, side="right") - 1
        vectors = np.empty((len(rows), len(self.space.mean)), np.float32)
        for b in np.unique(block):  # not by Arrow, which would join all the blocks first
            first, unit = self._blocks[b]
            vectors[block == b] = unit[rows[block == b] - first]
        return vectors

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
        results = [self._search(queries[a : a + QUERIES], k) for a in range(0, len(queries), QUERIES)]
        return np.concatenate([rows for rows, _ in results]), np.concatenate([d for _, d in results])

    def _search(self, queries: NDArray[np.float32], k: int) -> tuple[Int, Float]:
        candidates = [_Candidates(k) for _ in queries]
        for first, unit in self._blocks:
            for own, products in zip(candidates, queries @ unit.T, strict=True):  # (q, b)
                own.add(first, products)
        sorted_rows = [self._sort(query, own.rows, k) for query, own in zip(queries, candidates, strict=True)]
        return np.stack([rows for rows, _ in sorted_rows]), np.stack([distance for _, distance in sorted_rows])

    def _sort(self, query: NDArray[np.float32], rows: Int, k: int) -> tuple[Int, Float]:
        """Return the k nearest rows and their distances, computed from the difference: exact where it is small."""
        distance = np.square(self.vectors(rows).astype(np.float64) - query).sum(1) / 2
        order = np.lexsort((rows, distance))[:k]
        return rows[order], distance[order]


class _Candidates:
    """The rows whose product with a query is, within rounding, among the k largest so far."""

    def __init__(self, k: int) -> None:
        self.k, self.least = k, -np.inf
        self.rows, self.products = np.zeros(0, np.int64), np.zeros(0, np.float32)

    def add(self, first: int, products: NDArray[np.float32]) -> None:
        """Add the products (b,) of a block that begins at row ``first``."""
        new = np.flatnonzero(products >= self.least)
        self.rows, self.products = np.r_[self.rows, first + new], np.r_[self.products, products[new]]
        if len(self.rows) > self.k:
            self.least = float(np.partition(self.products, -self.k)[-self.k]) - ROUNDING
            near = self.products >= self.least
            self.rows, self.products = self.rows[near], self.products[near]


def _matrix(lists: pa.FixedSizeListArray) -> NDArray[np.float32]:
    """Return lists of one length as (n, length), without a copy."""
    width = lists.type.list_size
    flat = lists.values.slice(lists.offset * width, len(lists) * width)
    return flat.to_numpy(zero_copy_only=True).reshape(len(lists), width)


def open_index(catalog: Catalog) -> Index:
    """Open the index of a catalog; make it first if there is none, or one of an earlier state of the catalog.

    It lies beside the catalog (``_similar.arrow`` in a folder, ``_NAME.similar.arrow`` beside a file) or, where nothing
    can be written there, in the user's cache folder.

    Raises
    ------
    ValueError
        If no row has an embedding, or they are of several models.
    """
    state = identity(catalog)
    places = (index_path(catalog.path), cached_index_path(catalog.path))
    for path in places:
        index = _read(path, state)
        if index is not None:
            return index
    log.info("%s: making an index of the embeddings", catalog.path)
    space, model = _measure(catalog)
    for path in places:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, catalog, space, model, state)
        except OSError as error:
            log.info("%s: no index there (%s)", path, error)
            continue
        index = _read(path, state)
        if index is not None:
            return index
    raise ValueError(
        f"no index of {catalog.path} can be written, neither to {places[0]} nor to {places[1]}: "
        f"set {CACHE} to a folder with room"
    )


def index_path(path: Path) -> Path:
    """Return where the index of a catalog is kept; programs that read folders skip names that begin so."""
    return path / "_similar.arrow" if path.is_dir() else path.with_name(f"_{path.name}.similar.arrow")


def cached_index_path(path: Path) -> Path:
    """Return where the index is kept of a catalog whose folder can't be written to."""
    root = Path(os.environ.get(CACHE) or Path.home() / ".cache")
    return root / "goodricke" / f"similar-{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}.arrow"


def identity(catalog: Catalog) -> str:
    """Return a hash of a catalog's contents: its shards' SHA-256, of other files size and time of change."""
    if catalog.manifest:
        contents = [[e.shard, e.rows, e.sha256] for e in completed_shards(catalog.path)]
    else:
        contents = [[str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns] for f in catalog.files]
    return hashlib.sha256(json.dumps([FORMAT, contents]).encode()).hexdigest()


def _measure(catalog: Catalog) -> tuple[Space, tuple[str, str]]:
    """Return the space of a catalog's embeddings, and the one model that made them."""
    moments, models = Moments(), set[tuple[str, str]]()
    for table, embedding in blocks(catalog, ("model", "model_hash")):
        moments.add(embedding)
        models |= models_of(table)
    return moments.space(), require_one_model(models, catalog.path)


def _write(path: Path, catalog: Catalog, space: Space, model: tuple[str, str], state: str) -> None:
    metadata = {"identity": state, "model": model[0], "model_hash": model[1]}
    arrays = {name: np.ascontiguousarray(x, "<f8").tobytes() for name, x in vars(space).items()}
    _, probability = answer_columns(catalog.schema.names)
    fields = [("object_id", pa.string()), ("class", pa.string()), (probability, pa.float32())]
    schema = pa.schema([*fields, ("unit", pa.list_(pa.float32(), len(space.mean)))], metadata={**metadata, **arrays})
    with atomic_path(path) as partial, pa.ipc.new_file(str(partial), schema) as out:
        for batch in _batches(catalog, space, schema):
            out.write_batch(batch)


def _batches(catalog: Catalog, space: Space, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for table, embedding in blocks(catalog, answer_columns(catalog.schema.names)):
        columns = {n: pc.cast(table[n], schema.field(n).type).combine_chunks() for n in table.column_names}
        flat = pa.array(np.ascontiguousarray(space.unit(embedding)).ravel())
        kind = schema.field("unit").type
        columns["unit"] = pa.FixedSizeListArray.from_buffers(kind, len(table), [None], children=[flat])
        arrays = [columns.get(f.name, pa.nulls(len(table), f.type)) for f in schema]
        yield pa.record_batch(arrays, schema=schema)


def _read(path: Path, state: str) -> Index | None:
    """Return the index in a file, None if it doesn't exist, is damaged or of another state of the catalog."""
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (OSError, pa.ArrowException):
        return None
    meta = {k.decode(): v for k, v in (table.schema.metadata or {}).items()}
    if meta.get("identity", b"").decode() != state:
        return None
    space = Space(*(np.frombuffer(meta[name], "<f8") for name in ("mean", "spread")))
    return Index(path, table, space, meta["model"].decode(), meta["model_hash"].decode())
