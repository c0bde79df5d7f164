"""The map of the embeddings: two dimensions by UMAP, of a sample, made once by a process of its own.

UMAP holds Python's lock for most of its minutes: in a thread it would stop the page.

Scatter plots of all rows: sky, Hertzsprung-Russell diagram, f1 and A1, map of the embeddings; lassos in them.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from goodricke.explorer.query import Lasso, Where
from goodricke.explorer.store import cached
from goodricke.explorer.table import Table
from goodricke.survey.embeddings import EMBEDDING
from goodricke.survey.examine.figures import NO_UMAP, flattened, place_in_diagram
from goodricke.survey.examine.sample import Sample
from goodricke.survey.shards import Catalog, whole_file
from goodricke.survey.similar import identity

log = logging.getLogger("goodricke")

MAPPED = 20_000  # embeddings in a map

RowNumbers = NDArray[np.int64]


class Map(NamedTuple):
    """Embeddings in two dimensions."""

    rows: RowNumbers  # (m,) of the catalog
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

    def __init__(self, catalog: Catalog, rows: Callable[[], RowNumbers]) -> None:
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
            told = [
                sys.executable,
                "-m",
                "goodricke.explorer.diagrams",
                str(self._catalog.path),
                wanted.name,
                str(path),
            ]
            self._process = subprocess.Popen(told, stdin=subprocess.DEVNULL)
        elif self._process.poll() is not None and not path.exists():
            self.failure = f"the map could not be made (exit code {self._process.returncode}); the terminal tells why"
        return None

    def close(self) -> None:
        """Stop the process, if it is at work."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()


def make_map(catalog: Path, rows: RowNumbers, out: Path) -> None:
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


def embeddings_of(catalog: Catalog, rows: RowNumbers) -> NDArray[np.float32]:
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


# ---- Scatter plots of all rows: sky, Hertzsprung-Russell diagram, f1 and A1, map of the embeddings; lasso ------------


Float = NDArray[np.float64]

NEEDED = {  # quantities (see `goodricke.survey.examine.sample.NAMES`) of the Hertzsprung-Russell diagram
    "hr": ("g", "parallax", "parallax_error", "bp_rp", "bp", "rp", "teff", "extinction", "reddening"),
    "f1_a1": ("f1", "A1"),
    "sky": ("ra", "dec"),
}
WITH = "give the table of `goodricke examine` by --with OUT/joined.parquet, or one of your own with these columns"


@dataclass(frozen=True)
class Axis:
    """An axis of a diagram."""

    label: str
    log: bool = False
    reversed: bool = False


@dataclass(frozen=True)
class Diagram:
    """What is plotted against what."""

    name: str
    title: str
    x: Axis
    y: Axis
    note: str = ""
    ready: bool = True


class Missing(NamedTuple):
    """A diagram that the catalog has not the columns for."""

    diagram: str
    why: str
    fix: str


class Placed(NamedTuple):
    """Where all rows of the catalog are in a diagram, (n,) each, NaN where unknown."""

    x: Float
    y: Float
    note: str = ""
    ready: bool = True


class Diagrams:
    """The diagrams of a catalog.

    Parameters
    ----------
    catalog : Catalog
    table : Table
    classes : sequence of str
    """

    def __init__(self, catalog: Catalog, table: Table, classes: Sequence[str]) -> None:
        self.catalog, self.table, self.classes = catalog, table, list(classes)
        self._map = EmbeddingMap(catalog, self._rows_to_map)
        numbers = [c.name for c in table.columns.values() if c.kind == "number" and not c.empty]
        self._empty = Sample(pa.table({n: pa.array([], pa.float64()) for n in numbers}), (), np.zeros(0, np.int64))
        told = (self._about_embedding(), self._about_hr(), self._about_f1_a1(), self._about_sky())
        self._about = {d.name if isinstance(d, Diagram) else d.diagram: d for d in told}
        self._placed: dict[str, Placed] = {}
        self._lock = threading.RLock()

    def about(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the diagrams there are, and those there are not, with the reason."""
        there = [asdict(d) for d in self._about.values() if isinstance(d, Diagram)]
        return there, [m._asdict() for m in self._about.values() if isinstance(m, Missing)]

    def points(self, name: str, where: Where, most: int) -> dict[str, Any]:
        """Return points of a diagram in a random order, the same each time, with the class of each.

        Raises
        ------
        ValueError
            If there is no such diagram.
        """
        placed, wanted = self._place(name), self.table.matching(where)
        rows = np.arange(len(self.table)) if wanted is None else wanted
        rows = rows[np.isfinite(placed.x[rows]) & np.isfinite(placed.y[rows])]
        shown = rows
        if len(rows) > most:
            shown = rows[np.argpartition(self._rank[rows], most)[:most]]
        shown = shown[np.argsort(self._rank[shown])]
        x, y = (_rounded(v[shown]).tolist() for v in (placed.x, placed.y))
        told = {"x": x, "y": y, "row": shown.tolist(), "class": self._class[shown].tolist()}
        return told | {"total": len(rows), "shown": len(shown), "ready": placed.ready, "note": placed.note}

    def inside(self, lasso: Lasso) -> RowNumbers:
        """Return all rows inside a polygon: on logarithmic axes its edges are straight as they are drawn.

        Raises
        ------
        ValueError
            If there is no such diagram, or the polygon has corners outside it.
        """
        from matplotlib.path import Path as Polygon

        placed, about = self._place(lasso.diagram), self._known(lasso.diagram)
        corners = np.array(lasso.polygon, np.float64).T.copy()
        low, high = corners.min(1), corners.max(1)
        near = np.flatnonzero(_between(placed.x, low[0], high[0]) & _between(placed.y, low[1], high[1]))
        points = np.stack([placed.x[near], placed.y[near]])
        for i, axis in enumerate((about.x, about.y)):
            if axis.log:
                with np.errstate(divide="ignore", invalid="ignore"):
                    corners[i], points[i] = np.log10(corners[i]), np.log10(points[i])
        if not np.isfinite(corners).all():
            raise ValueError("a corner of the polygon is no point of the diagram: draw it again")
        closed = Polygon(np.vstack([corners.T, corners[:, :1].T]), closed=True)
        return near[closed.contains_points(points.T)]

    def close(self) -> None:
        """Stop what is still at work."""
        self._map.close()

    # ---- what there is ----------------------------------------------------------------------------------------------

    def _known(self, name: str) -> Diagram:
        about = self._about.get(name)
        if about is None:
            raise ValueError(f"no diagram {name!r}: there are {', '.join(self._about)}")
        if isinstance(about, Missing):
            raise ValueError(f"no diagram {name}: {about.why}; {about.fix}")
        return about

    def _has(self, *quantities: str) -> bool:
        return all(self._empty.column_of(q) is not None for q in quantities)

    def _about_embedding(self) -> Diagram | Missing:
        if EMBEDDING not in self.catalog.schema.names:
            why, fix = "needs embeddings", "open the folder of `goodricke catalog`, or a .parquet of classify --out"
            return Missing("embedding", why, fix)
        if (name := self.table.columns.get("class")) is not None and name.empty:
            return Missing("embedding", "no light curve was classified", "the column status tells why")
        axes = Axis("first dimension"), Axis("second dimension")
        return Diagram("embedding", "Embeddings", *axes, "the first time it takes some minutes", ready=False)

    def _about_hr(self) -> Diagram | Missing:
        colour = self._has("bp_rp") or self._has("bp", "rp")
        if not (self._has("g", "parallax") and (colour or self._has("teff"))):
            return Missing("hr", "needs G, a parallax, and a colour or temperature of the stars (Gaia)", WITH)
        x = Axis("BP - RP [mag]") if colour else Axis("effective temperature [K]", reversed=True)
        return Diagram("hr", "Hertzsprung-Russell diagram", x, Axis("M_G [mag]", reversed=True))

    def _about_f1_a1(self) -> Diagram | Missing:
        if not self._has("f1", "A1"):
            why = "needs the dominant frequency f1 and its amplitude A1 of each light curve"
            fix = (
                "`goodricke examine CATALOG --light-curves SRC --out OUT` measures them; then --with OUT/joined.parquet"
            )
            return Missing("f1_a1", why, fix)
        return Diagram("f1_a1", "Dominant variability", Axis("f1 [1/d]", log=True), Axis("A1 [mag]", log=True))

    def _about_sky(self) -> Diagram | Missing:
        if not self._has("ra", "dec"):
            return Missing("sky", "needs positions ra, dec [deg]", WITH)
        return Diagram("sky", "Sky", Axis("right ascension [deg]", reversed=True), Axis("declination [deg]"))

    # ---- where the rows are -----------------------------------------------------------------------------------------

    def _place(self, name: str) -> Placed:
        """Return where the rows are in a diagram."""
        self._known(name)
        makers = {"embedding": self._embedding, "hr": self._hertzsprung, "f1_a1": self._amplitudes, "sky": self._sky}
        with self._lock:
            if name not in self._placed or not self._placed[name].ready:
                self._placed[name] = makers[name]()
            return self._placed[name]

    def _quantities(self, name: str) -> Sample:
        """Return the rows with the columns that hold a diagram's quantities, under their own names."""
        found = sorted({c for q in NEEDED[name] if (c := self._empty.column_of(q)) is not None})
        return Sample(pa.table(self.table.all_numbers(found)), (), np.full(len(self.table), -1))

    def _hertzsprung(self) -> Placed:
        found = place_in_diagram(self._quantities("hr"))
        if found is None:
            return self._nowhere("no star has all that is needed")
        return Placed(found.x, found.magnitude, found.notes)

    def _amplitudes(self) -> Placed:
        sample = self._quantities("f1_a1")
        f1, amplitude = (np.where(v > 0, v, np.nan) for v in (sample.numbers("f1"), sample.numbers("A1")))
        return Placed(f1, amplitude)

    def _sky(self) -> Placed:
        sample = self._quantities("sky")
        return Placed(sample.numbers("ra"), sample.numbers("dec"))

    def _embedding(self) -> Placed:
        made = self._map.ask()
        if self._map.failure:
            raise ValueError(self._map.failure)
        if made is None:
            return self._nowhere("being made; this takes some minutes", ready=False)
        placed = self._nowhere(f"{made.how} of {len(made.rows):,} light curves")
        placed.x[made.rows], placed.y[made.rows] = made.points.T
        few = len(made.rows) < len(self.table)
        note = f"{placed.note}, drawn at random; a selection here chooses among these" if few else placed.note
        self._about["embedding"] = replace(self._known("embedding"), ready=True, note=note)
        return placed._replace(note=note)

    def _nowhere(self, note: str, ready: bool = True) -> Placed:
        x, y = np.full((2, len(self.table)), np.nan)
        return Placed(x, y, note, ready)

    @cached_property
    def _rank(self) -> NDArray[np.int32]:
        """Of each row its place in a random order (n,)."""
        return np.random.default_rng(0).permutation(len(self.table)).astype(np.int32)

    @cached_property
    def _class(self) -> NDArray[np.int16]:
        """Of each row the index of its class (n,), -1 for none."""
        if "class" not in self.table.columns:
            return np.full(len(self.table), -1, np.int16)
        return self.table.codes("class", self.classes)

    def _rows_to_map(self) -> RowNumbers:
        """Return the rows whose embeddings are mapped: `MAPPED` of those that were classified, at random."""
        ok = np.flatnonzero(self._class >= 0)
        return np.sort(ok[np.argsort(self._rank[ok])[:MAPPED]])


def _between(values: Float, low: float, high: float) -> NDArray[np.bool_]:
    return (values >= low) & (values <= high)


def _rounded(values: Float) -> Float:
    """Return numbers with seven digits: no screen shows more, and the page gets half the bytes."""
    with np.errstate(divide="ignore", invalid="ignore"):
        digits = 6 - np.floor(np.log10(np.abs(values)))
    scale = 10.0 ** np.clip(np.nan_to_num(digits, posinf=0), -300, 300)
    return np.round(values * scale) / scale
