"""Scatter plots of all rows of a catalog, with lassos: sky, Hertzsprung-Russell diagram, f1-A1, map of the embeddings.

The map puts a sample of the embeddings into two dimensions. UMAP holds Python's global lock for most of the minutes
that it takes, so another process computes the map, once, and keeps it in the user's cache.
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
from typing import Annotated, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from goodricke.data.files import atomic_path
from goodricke.data.json import json_values
from goodricke.explorer.cache import Cache
from goodricke.explorer.conditions import Lasso, Where
from goodricke.explorer.expressions import LONGEST
from goodricke.explorer.store import cache_path
from goodricke.explorer.table import CatalogTable
from goodricke.survey.embeddings import EMBEDDING
from goodricke.survey.examine.figures import NO_UMAP, flatten_embeddings, place_in_diagram
from goodricke.survey.examine.sample import CatalogSample
from goodricke.survey.shards import Catalog
from goodricke.survey.similar import identity

log = logging.getLogger("goodricke")

Float = NDArray[np.float64]
RowNumbers = NDArray[np.int64]

PLOT = "plot:"  # begins the name of a diagram of the user's own
CACHED_PLOTS = 8  # coordinates of such, 16 bytes a row
MAP_SIZE = 20_000  # embeddings in a map
QUANTITIES = {  # of each diagram, see `goodricke.survey.examine.sample.NAMES`
    "hr": ("g", "parallax", "parallax_error", "bp_rp", "bp", "rp", "teff", "extinction", "reddening"),
    "f1_a1": ("f1", "A1"),
    "sky": ("ra", "dec"),
}
FIX = "give the table of `goodricke examine` by --with OUT/joined.parquet, or one of your own with these columns"


@dataclass(frozen=True)
class Axis:
    """An axis of a diagram."""

    label: str
    log: bool = False
    reversed: bool = False


@dataclass(frozen=True)
class Diagram:
    """A diagram of two quantities."""

    name: str
    title: str
    x: Axis
    y: Axis
    note: str = ""
    ready: bool = True


class PlotSpec(BaseModel):
    """A diagram of the user's own: formulas of columns (`goodricke.explorer.expressions`) and how the axes run.

    Its name in requests is `PLOT` and this as JSON: the state of the page, and of a lasso in the diagram.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    x: Annotated[str, Field(max_length=LONGEST)]
    y: Annotated[str, Field(max_length=LONGEST)]
    colour: Annotated[str, Field(max_length=LONGEST)] = ""
    log_x: bool = False
    log_y: bool = False
    reversed_x: bool = False
    reversed_y: bool = False

    @classmethod
    def from_name(cls, name: str) -> PlotSpec:
        """Return the diagram that a name stands for.

        Raises
        ------
        ValueError
            If it stands for none.
        """
        try:
            return cls.model_validate_json(name.removeprefix(PLOT))
        except ValidationError as error:
            raise ValueError(f"no diagram: {error.errors()[0]['msg']}") from None

    def diagram(self, name: str) -> Diagram:
        """Return the axes."""
        x, y = Axis(self.x, self.log_x, self.reversed_x), Axis(self.y, self.log_y, self.reversed_y)
        return Diagram(name, f"{self.y} against {self.x}", x, y)


class MissingDiagram(NamedTuple):
    """A diagram for which the catalog lacks the columns."""

    name: str
    why: str
    fix: str


class Coordinates(NamedTuple):
    """Coordinates (n,) of all rows of the catalog in a diagram, NaN where unknown."""

    x: Float
    y: Float
    note: str = ""
    ready: bool = True


class Diagrams:
    """The diagrams of a catalog.

    Parameters
    ----------
    catalog : Catalog
    table : CatalogTable
    classes : sequence of str
    """

    def __init__(self, catalog: Catalog, table: CatalogTable, classes: Sequence[str]) -> None:
        self.catalog, self.table, self.classes = catalog, table, list(classes)
        self._map = EmbeddingMap(catalog, self._rows_to_map)
        numbers = [c.name for c in table.columns.values() if c.kind == "number" and not c.empty]
        no_rows = pa.table({n: pa.array([], pa.float64()) for n in numbers})
        self._columns = CatalogSample(no_rows, (), np.zeros(0, np.int64))  # finds the columns of quantities
        diagrams = (self._describe_embedding(), self._describe_hr(), self._describe_f1_a1(), self._describe_sky())
        self._diagrams = {d.name: d for d in diagrams}
        self._coordinates: dict[str, Coordinates] = {}
        self._plots = Cache(CACHED_PLOTS)
        self._lock = threading.RLock()

    def about(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the diagrams of the catalog, and the missing ones with the reason."""
        diagrams = [asdict(d) for d in self._diagrams.values() if isinstance(d, Diagram)]
        return diagrams, [d._asdict() for d in self._diagrams.values() if isinstance(d, MissingDiagram)]

    def points(self, name: str, where: Where, most: int) -> dict[str, Any]:
        """Return points of a diagram in a random order, the same each time, with the class of each.

        Raises
        ------
        ValueError
            If there is no such diagram.
        """
        places, matching = self._place(name), self.table.matching(where)
        colour = PlotSpec.from_name(name).colour if name.startswith(PLOT) else ""
        rows = np.arange(len(self.table)) if matching is None else matching
        rows = rows[np.isfinite(places.x[rows]) & np.isfinite(places.y[rows])]
        shown = rows
        if len(rows) > most:
            shown = rows[np.argpartition(self._rank[rows], most)[:most]]
        shown = shown[np.argsort(self._rank[shown])]
        x, y = (_round(v[shown]).tolist() for v in (places.x, places.y))
        points = {"x": x, "y": y, "row": shown.tolist(), "class": self._class[shown].tolist()}
        if colour:
            points["colour"] = json_values(_round(self.table.formula(colour)[shown]))
        return points | {"total": len(rows), "shown": len(shown), "ready": places.ready, "note": places.note}

    def rows_inside(self, lasso: Lasso) -> RowNumbers:
        """Return all rows inside a polygon, whose edges are straight as drawn, on logarithmic axes too.

        Raises
        ------
        ValueError
            If there is no such diagram, or the polygon has corners outside it.
        """
        from matplotlib.path import Path as Polygon

        places, diagram = self._place(lasso.diagram), self._diagram(lasso.diagram)
        corners = np.array(lasso.polygon, np.float64).T.copy()
        low, high = corners.min(1), corners.max(1)
        near = np.flatnonzero(_between(places.x, low[0], high[0]) & _between(places.y, low[1], high[1]))
        points = np.stack([places.x[near], places.y[near]])
        for i, axis in enumerate((diagram.x, diagram.y)):
            if axis.log:
                with np.errstate(divide="ignore", invalid="ignore"):
                    corners[i], points[i] = np.log10(corners[i]), np.log10(points[i])
        if not np.isfinite(corners).all():
            raise ValueError("a corner of the polygon is outside the diagram: draw it again")
        closed = Polygon(np.vstack([corners.T, corners[:, :1].T]), closed=True)
        return near[closed.contains_points(points.T)]

    def close(self) -> None:
        """End the process that makes the map."""
        self._map.close()

    def _plot(self, name: str) -> Coordinates:
        """Return the coordinates in a diagram of the user's own; NaN where a logarithmic axis has no place."""
        spec = PlotSpec.from_name(name)
        x, y = (
            np.where(values > 0, values, np.nan) if is_log else values
            for values, is_log in ((self.table.formula(spec.x), spec.log_x), (self.table.formula(spec.y), spec.log_y))
        )
        return Coordinates(x, y)

    def _diagram(self, name: str) -> Diagram:
        if name.startswith(PLOT):
            return PlotSpec.from_name(name).diagram(name)
        diagram = self._diagrams.get(name)
        if diagram is None:
            raise ValueError(f"no diagram {name!r}: there are {', '.join(self._diagrams)}")
        if isinstance(diagram, MissingDiagram):
            raise ValueError(f"no diagram {name}: {diagram.why}; {diagram.fix}")
        return diagram

    def _has(self, *quantities: str) -> bool:
        return all(self._columns.column_of(q) is not None for q in quantities)

    def _describe_embedding(self) -> Diagram | MissingDiagram:
        if EMBEDDING not in self.catalog.schema.names:
            why, fix = "needs embeddings", "open the folder of `goodricke catalog`, or a .parquet of classify --out"
            return MissingDiagram("embedding", why, fix)
        if (column := self.table.columns.get("class")) is not None and column.empty:
            return MissingDiagram("embedding", "no light curve was classified", "the column status shows why")
        axes = Axis("first dimension"), Axis("second dimension")
        return Diagram("embedding", "Embeddings", *axes, "takes some minutes the first time", ready=False)

    def _describe_hr(self) -> Diagram | MissingDiagram:
        colour = self._has("bp_rp") or self._has("bp", "rp")
        if not (self._has("g", "parallax") and (colour or self._has("teff"))):
            why = "needs G, a parallax, and a colour or temperature of the stars (Gaia)"
            return MissingDiagram("hr", why, FIX)
        x = Axis("BP - RP [mag]") if colour else Axis("effective temperature [K]", reversed=True)
        return Diagram("hr", "Hertzsprung-Russell diagram", x, Axis("M_G [mag]", reversed=True))

    def _describe_f1_a1(self) -> Diagram | MissingDiagram:
        if not self._has("f1", "A1"):
            why = "needs the dominant frequency f1 and its amplitude A1 of each light curve"
            examine = "`goodricke examine CATALOG --light-curves SRC --out OUT`"
            return MissingDiagram("f1_a1", why, f"{examine} measures them; then --with OUT/joined.parquet")
        return Diagram("f1_a1", "Dominant variability", Axis("f1 [1/d]", log=True), Axis("A1 [mag]", log=True))

    def _describe_sky(self) -> Diagram | MissingDiagram:
        if not self._has("ra", "dec"):
            return MissingDiagram("sky", "needs positions ra, dec [deg]", FIX)
        return Diagram("sky", "Sky", Axis("right ascension [deg]", reversed=True), Axis("declination [deg]"))

    def _place(self, name: str) -> Coordinates:
        """Return the coordinates of the rows in a diagram, computed once."""
        if name.startswith(PLOT):
            return self._plots.get(name, lambda: self._plot(name))
        self._diagram(name)
        places = {"embedding": self._embedding, "hr": self._hr, "f1_a1": self._f1_a1, "sky": self._sky}
        with self._lock:
            if name not in self._coordinates or not self._coordinates[name].ready:
                self._coordinates[name] = places[name]()
            return self._coordinates[name]

    def _sample(self, name: str) -> CatalogSample:
        """Return all rows with the columns that hold a diagram's quantities."""
        columns = sorted({c for q in QUANTITIES[name] if (c := self._columns.column_of(q)) is not None})
        return CatalogSample(pa.table(self.table.all_numbers(columns)), (), np.full(len(self.table), -1))

    def _hr(self) -> Coordinates:
        places = place_in_diagram(self._sample("hr"))
        if places is None:
            return self._no_coordinates("no star has all values that it needs")
        return Coordinates(places.x, places.magnitude, places.notes)

    def _f1_a1(self) -> Coordinates:
        sample = self._sample("f1_a1")
        f1, amplitude = (np.where(v > 0, v, np.nan) for v in (sample.numbers("f1"), sample.numbers("A1")))
        return Coordinates(f1, amplitude)

    def _sky(self) -> Coordinates:
        sample = self._sample("sky")
        return Coordinates(sample.numbers("ra"), sample.numbers("dec"))

    def _embedding(self) -> Coordinates:
        points = self._map.get()
        if self._map.failure:
            raise ValueError(self._map.failure)
        if points is None:
            return self._no_coordinates("takes some minutes the first time", ready=False)
        note = f"{points.method} of {len(points.rows):,} light curves"
        if len(points.rows) < len(self.table):
            note += ", drawn at random; a lasso here selects among these only"
        self._diagrams["embedding"] = replace(self._diagram("embedding"), ready=True, note=note)
        places = self._no_coordinates(note)
        places.x[points.rows], places.y[points.rows] = points.xy.T
        return places

    def _no_coordinates(self, note: str, ready: bool = True) -> Coordinates:
        x, y = np.full((2, len(self.table)), np.nan)
        return Coordinates(x, y, note, ready)

    @cached_property
    def _rank(self) -> NDArray[np.int32]:
        """The rank (n,) of each row in a random order."""
        return np.random.default_rng(0).permutation(len(self.table)).astype(np.int32)

    @cached_property
    def _class(self) -> NDArray[np.int16]:
        """The index (n,) of each row's class, -1 for none."""
        if "class" not in self.table.columns:
            return np.full(len(self.table), -1, np.int16)
        # a class may be a node of a taxonomy; the colours are those of the leaves
        return self.table.codes("leaf" if "class_probability" in self.table.columns else "class", self.classes)

    def _rows_to_map(self) -> RowNumbers:
        """Return the rows whose embeddings are mapped: `MAP_SIZE` of the classified ones, at random."""
        classified = np.flatnonzero(self._class >= 0)
        return np.sort(classified[np.argsort(self._rank[classified])[:MAP_SIZE]])


def _between(values: Float, low: float, high: float) -> NDArray[np.bool_]:
    return (values >= low) & (values <= high)


def _round(values: Float) -> Float:
    """Return numbers rounded to seven digits: no screen shows more, and the answer has half the bytes."""
    with np.errstate(divide="ignore", invalid="ignore"):
        digits = 6 - np.floor(np.log10(np.abs(values)))
    scale = 10.0 ** np.clip(np.nan_to_num(digits, posinf=0), -300, 300)
    return np.round(values * scale) / scale


# ---- the map of the embeddings --------------------------------------------------------------------------------------


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
        self.failure = ""  # why there is no map

    def get(self) -> MapPoints | None:
        """Return the map, None while it is being made or if that failed; see `failure`."""
        path = cache_path(self._catalog.path, f"embedding-map-{identity(self._catalog)[:16]}-{_method()}.parquet")
        if path.exists():
            return read_map(path)
        if self._process is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(suffix=".npy", delete=False) as rows:  # a pipe could block
                np.save(rows, self._rows())
            arguments = [str(self._catalog.path), rows.name, str(path)]
            command = [sys.executable, "-m", "goodricke.explorer.diagrams", *arguments]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        elif self._process.poll() is not None and not path.exists():
            code = self._process.returncode
            self.failure = f"the map could not be made (exit code {code}); the terminal shows why"
        return None

    def close(self) -> None:
        """End the process, if it still runs."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()


def make_map(catalog: Path, rows: RowNumbers, out: Path) -> None:
    """Write the embeddings of some rows of a catalog, in two dimensions, to a file."""
    embedding = read_embeddings(Catalog.open(catalog), rows)
    valid = np.isfinite(embedding).all(1)
    points, method = flatten_embeddings(embedding[valid])
    table = pa.table({"row": rows[valid], "x": points[:, 0], "y": points[:, 1]})
    with atomic_path(out) as partial:
        pq.write_table(table.replace_schema_metadata({"method": method}), partial)


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
