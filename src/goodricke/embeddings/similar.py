"""``goodricke similar``: the objects of a catalog whose light curves a network sees as most like a given one's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke.embeddings.index import Index, open_index
from goodricke.embeddings.source import open_embedded
from goodricke.inference import classify
from goodricke.lightcurves import LightCurves
from goodricke.models.bundle import Model, load_model

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
    """A catalog that can be asked for objects like others; see `goodricke.embeddings.space` for the distance.

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
