r"""An index of a catalog's embeddings: one file, mapped into memory, that is made anew when the catalog has changed.

It is an Arrow file of blocks of rows: ``object_id``, ``class``, ``p_max``, and the unit vector :math:`x` of the
embedding (see `survey.embeddings`) along the principal axes, cut in two. The first part, ``head``, are the few
coordinates that hold most of the variance, and the length of the rest; ``tail`` is the rest. For any query :math:`q`,
by Cauchy and Schwarz,

.. math:: x \cdot q \le x_\mathrm{head} \cdot q_\mathrm{head} + |x_\mathrm{tail}| |q_\mathrm{tail}|,

so that a search goes through the heads, in one product of a matrix and a vector per block, and looks at the tails of
those rows only that can still be among the nearest. The result is that of looking at all.

``goodricke similar``: the objects of a catalog whose light curves a network sees as most like a given one's.
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

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke.data.files import atomic_path
from goodricke.data.lightcurves import LightCurves
from goodricke.inference import classify
from goodricke.models.bundle import Model, load_model
from goodricke.survey.embeddings import Moments, Space, blocks, models_of, one_model, open_embedded
from goodricke.survey.shards import Catalog, completed_shards

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
        told = [[e.shard, e.rows, e.sha256] for e in completed_shards(catalog.path)]
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
    with atomic_path(path) as partial, pa.ipc.new_file(str(partial), schema) as out:
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


# ---- ``goodricke similar``: the objects of a catalog whose light curves a network sees as most like a giv ------------


NEIGHBOURS = 10
COMPARED = 2000  # ids that a misspelt one is held against


def similar(object_id: str | Sequence[str], catalog: str | Path | Neighbours, k: int = NEIGHBOURS) -> pa.Table:
    """Find the nearest neighbours of objects of a catalog.

    Parameters
    ----------
    object_id : str or sequence of str
    catalog : path, str or Neighbours
        Folder of ``goodricke catalog``, or a .parquet with the column ``embedding``. Open it once with
        `Neighbours.open` to ask more than once.
    k : int
        Neighbours of each.

    Returns
    -------
    pyarrow.Table
        See `Neighbours.of`.
    """
    opened = catalog if isinstance(catalog, Neighbours) else Neighbours.open(catalog)
    return opened.of([object_id] if isinstance(object_id, str) else object_id, k)


@dataclass(frozen=True, eq=False)
class Neighbours:
    """A catalog that can be asked for objects like others; see `goodricke.survey.embeddings` for the distance.

    Parameters
    ----------
    index : Index
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
            Of one with several light curves the nearest neighbours of any of them are found.
        k : int

        Returns
        -------
        pyarrow.Table
            ``query``, ``rank`` from 1, ``object_id``, ``distance`` (0 alike, 1 nothing in common, 2 opposite),
            ``class``, ``p_max``. No object is its own neighbour, or comes twice.

        Raises
        ------
        ValueError
            If an object isn't in the catalog; says which id is spelt nearly so.
        """
        rows = [self.index.rows_of(name) for name in object_ids]
        missing = [name for name, found in zip(object_ids, rows, strict=True) if not len(found)]
        if missing:
            raise ValueError(f"{missing[0]}: not in the catalog, or without embedding{self.near_miss(missing[0])}")
        owner = np.repeat(np.arange(len(rows)), [len(found) for found in rows])
        vectors = self.index.vectors(np.concatenate(rows)) if rows else np.zeros((0, 1), np.float32)
        return self._found(list(object_ids), owner, vectors, k)

    def near(self, names: Sequence[str], embedding: NDArray, k: int = NEIGHBOURS) -> pa.Table:
        """Find the neighbours of embeddings (q, d) of the model that made the catalog; see `of`."""
        return self._found(list(names), np.arange(len(names)), self.index.space.unit(np.asarray(embedding)), k)

    def like(self, curves: LightCurves, model: Model | str | Path, k: int = NEIGHBOURS) -> pa.Table:
        """Find the neighbours of light curves that needn't be in the catalog; see `of`.

        Parameters
        ----------
        curves : LightCurves
            Those that the model can't classify have no neighbours and are left out.
        model : Model, str or Path
            The one that made the catalog.
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
        answers = classify(curves, model, passes=0)
        ok = np.flatnonzero(answers.ok)
        if not len(ok):
            raise ValueError(f"{', '.join(curves.ids[:3])}: can't be classified ({answers.column('status')[0]})")
        embedding = np.stack(answers.table["embedding"].take(pa.array(ok)).to_numpy())
        return self.near([curves.ids[i] for i in ok], embedding, k)

    def near_miss(self, object_id: str) -> str:
        """Return a hint at ids that are spelt nearly as one that isn't there, nothing if none is."""
        close = get_close_matches(object_id, self._spelt_alike(object_id), 3, 0.6)
        return f": did you mean {' or '.join(close)}?" if close else self._examples()

    def _examples(self) -> str:
        return f"; its ids look like {', '.join(self.index.table['object_id'].slice(0, 3).to_pylist())}"

    def _spelt_alike(self, name: str) -> list[str]:
        """Return ids that share a half with a name, or its longest number: one slip of the pen leaves that."""
        ids, half = self.index.table["object_id"], max(len(name) // 2, 1)
        number = max(re.findall(r"\d+", name), key=len, default="")
        alike = pc.or_(pc.starts_with(ids, name[:half]), pc.ends_with(ids, name[-half:]))
        alike = pc.or_(alike, pc.match_substring(ids, name, ignore_case=True))
        if len(number) > 3:
            alike = pc.or_(alike, pc.match_substring(ids, number))
        found = ids.filter(alike)
        near = pc.less_equal(pc.abs(pc.subtract(pc.utf8_length(found), len(name))), 2)
        found = pa.chunked_array([*found.filter(near).chunks, *found.filter(pc.invert(near)).chunks], pa.string())
        return found.slice(0, COMPARED).to_pylist()

    def _found(self, names: list[str], owner: NDArray[np.int64], vectors: NDArray[np.float32], k: int) -> pa.Table:
        """Return the neighbours of the objects ``names``; vector i is one of object ``owner[i]``."""
        if k < 1:
            raise ValueError(f"{k} neighbours: ask for one at least")
        asking, wanted = list(range(len(names))), k + 1
        found: dict[int, list[dict]] = {}
        while asking:
            mine = np.isin(owner, asking)
            rows, distance = self.index.nearest(vectors[mine], wanted)
            for q in asking:
                its = owner[mine] == q
                found[q] = self._distinct(names[q], rows[its].ravel(), distance[its].ravel(), k)
            if wanted >= len(self.index):
                break
            asking = [q for q in asking if len(found[q]) < k]  # light curves of the same few objects
            wanted *= 4
        return _table([row for q in range(len(names)) for row in found[q]])

    def _distinct(self, name: str, rows: NDArray[np.int64], distance: NDArray[np.float64], k: int) -> list[dict]:
        """Return the k nearest objects among the rows, each once, without the one that was asked for."""
        order = np.lexsort((rows, distance))
        table = self.index.table.select(["object_id", "class", "p_max"]).take(pa.array(rows[order])).to_pylist()
        seen, result = {name}, list[dict]()
        for row, d in zip(table, distance[order], strict=True):
            if row["object_id"] not in seen and len(result) < k:
                seen.add(row["object_id"])
                result.append({"query": name, "rank": len(result) + 1, "distance": float(d), **row})
        return result


def _table(rows: list[dict]) -> pa.Table:
    fields = [("query", pa.string()), ("rank", pa.int32()), ("object_id", pa.string()), ("distance", pa.float32())]
    return pa.Table.from_pylist(rows, pa.schema([*fields, ("class", pa.string()), ("p_max", pa.float32())]))
