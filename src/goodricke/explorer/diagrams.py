"""Scatter plots of all rows of a catalog, with lassos: sky, Hertzsprung-Russell diagram, f1-A1, embeddings, any axes.

Many points are drawn as counts in cells.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from goodricke.explorer.cache import Cache
from goodricke.explorer.conditions import Lasso, Where
from goodricke.explorer.embedding_map import EmbeddingMap
from goodricke.explorer.expressions import LONGEST
from goodricke.explorer.positions import (
    EQUATORIAL_SKY,
    GALACTIC_SKY,
    Outline,
    hammer,
    plane_on_axes,
    sky_outlines,
    to_galactic,
)
from goodricke.explorer.table import CatalogTable
from goodricke.survey.embeddings import EMBEDDING
from goodricke.survey.examine.figures import place_in_diagram
from goodricke.survey.examine.sample import CatalogSample
from goodricke.survey.shards import Catalog

log = logging.getLogger("goodricke")

Float = NDArray[np.float64]
RowNumbers = NDArray[np.int64]

PLOT = "plot:"  # begins the name of a diagram of the user's own
CACHED_PLOTS = 12  # coordinates of such, 16 bytes a row; cells of any diagram, 4 bytes a row
MAP_SIZE = 20_000  # embeddings in a map
SAMPLE = 2000  # points that hover and click find where the others are drawn as counts
GRID = (180, 120)  # cells of these counts
OUTLIERS = 0.0005  # share of the points that may lie outside the first view at either end of an axis
MARGIN = 0.03  # of that view
WIDE = 60.0  # degrees of declination
UNBOUND = (-np.inf, np.inf, -np.inf, np.inf)
SKY_BOX = (-166.0, 166.0, -84.0, 84.0)  # of the whole sky in a projection
QUANTITIES = {  # of each diagram, see `goodricke.survey.examine.sample.NAMES`
    "hr": ("g", "parallax", "parallax_error", "bp_rp", "bp", "rp", "teff", "extinction", "reddening"),
    "sky": ("ra", "dec"),
}
# instead of f1 and A1 of `goodricke examine`: what the models of dense light curves measure, and what tables often have
FREQUENCIES = ("dominant_frequency", "frequency", "freq", "period")
AMPLITUDES = ("dominant_amplitude", "amplitude", "ampl", "amp")
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
    kind: Literal["plane", "sky"] = "plane"  # of the sky in a projection, whose axes have no ticks
    outlines: tuple[Outline, ...] = ()
    is_default: bool = True  # whether the page shows it until the user chooses


class PlotSpec(BaseModel):
    """A diagram of the user's own: formulas of columns (`goodricke.explorer.expressions`) and how the axes run.

    Its name in requests is `PLOT` and this as JSON: the state of the page, and of a lasso in the diagram.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    x: Annotated[str, Field(max_length=LONGEST)]
    y: Annotated[str, Field(max_length=LONGEST)]
    colour: Annotated[str, Field(max_length=LONGEST)] = ""
    size: Annotated[str, Field(max_length=LONGEST)] = ""
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
        diagrams = (
            *(self._describe_embedding(), self._describe_hr(), self._describe_f1_a1(), self._describe_sky()),
            *self._describe_skies(),
        )
        self._diagrams = {d.name: d for d in diagrams}
        self._coordinates: dict[str, Coordinates] = {}
        self._plots, self._boxes, self._grids = Cache(CACHED_PLOTS), Cache(10 * CACHED_PLOTS), Cache(CACHED_PLOTS)
        self._lock = threading.RLock()

    def about(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the diagrams of the catalog, and the missing ones with the reason."""
        diagrams = [asdict(d) for d in self._diagrams.values() if isinstance(d, Diagram)]
        return diagrams, [d._asdict() for d in self._diagrams.values() if isinstance(d, MissingDiagram)]

    def points(
        self, name: str, where: Where, most: int, view: Sequence[float | None] | None = None, cells: bool = False
    ) -> dict[str, Any]:
        """Return points of a diagram in a random order, the same each time, with the class of each.

        Parameters
        ----------
        name : str
        where : Where
        most : int
            Number of points.
        view : sequence of float or None (4,), optional
            The part of the diagram to draw: x from, to, y from, to; by default all of it.
        cells : bool
            Whether to count points in cells if there are more than ``most``; then `SAMPLE` points are returned.

        Raises
        ------
        ValueError
            If there is no such diagram.
        """
        places, matching = self._place(name), self.table.matching(where)
        rows = np.arange(len(self.table)) if matching is None else matching
        rows = rows[np.isfinite(places.x[rows]) & np.isfinite(places.y[rows])]
        total, box = len(rows), self._box(name, places)
        if view is not None:
            box = tuple(end if given is None else given for end, given in zip(box, view, strict=True))
            x0, x1, y0, y1 = (bound if v is None else v for bound, v in zip(UNBOUND, view, strict=True))
            rows = rows[_between(places.x[rows], x0, x1) & _between(places.y[rows], y0, y1)]
        shown, is_dense = rows, cells and len(rows) > most
        most = min(SAMPLE, most) if is_dense else most
        if len(rows) > most:
            shown = rows[np.argpartition(self._rank[rows], most)[:most]]
        shown = shown[np.argsort(self._rank[shown])]
        x, y = (_round(v[shown]).tolist() for v in (places.x, places.y))
        points = {"x": x, "y": y, "row": shown.tolist(), "class": self._class[shown].tolist()}
        spec = PlotSpec.from_name(name) if name.startswith(PLOT) else None
        for quantity, formula in (("colour", spec.colour), ("size", spec.size)) if spec else ():
            if formula:
                points[quantity] = _nullable(_round(self.table.formula(formula)[shown]))
        if is_dense:
            points["cells"] = self._cells(name, places, rows, box)
        counts = {"total": total, "inside": len(rows), "shown": len(shown)}
        return points | counts | {"box": self._box(name, places), "ready": places.ready, "note": places.note}

    def prepare(self) -> None:
        """Compute what the diagrams need that are shown at first, before they are asked for; not the map."""
        for diagram in self._diagrams.values():
            if isinstance(diagram, Diagram) and diagram.is_default and diagram.name != "embedding":
                self.points(diagram.name, Where(), 1, cells=True)

    def _box(self, name: str, places: Coordinates) -> tuple[float, ...]:
        """Return the part of a diagram that is drawn at first: all but a few outliers, and a margin."""
        diagram = self.diagram(name)
        if diagram.kind == "sky":
            return SKY_BOX
        ends: list[float] = []
        for axis, values in ((diagram.x, places.x), (diagram.y, places.y)):
            ends += self._boxes.get((name, axis.label, places.ready), partial(_limits, values, axis.log))
        return tuple(ends)

    def _cells(self, name: str, places: Coordinates, rows: RowNumbers, box: tuple[float, ...]) -> dict[str, Any]:
        """Return the number of points in each cell of a grid over a box that has some, and what colours the cell.

        That is the most frequent class, or the mean of the colour.
        """
        (nx, ny), whole = GRID, self._box(name, places)
        if box == whole:  # the cells of all rows, once
            key = (name, places.ready)
            cell = self._grids.get(key, lambda: self._cell_numbers(name, places.x, places.y, whole))[rows]
        else:
            cell = self._cell_numbers(name, places.x[rows], places.y[rows], box)
        rows, cell = rows[cell >= 0], cell[cell >= 0]
        count = np.bincount(cell, minlength=nx * ny)
        filled = np.flatnonzero(count)
        answer: dict[str, Any] = {"shape": GRID, "box": box, "cell": filled.tolist(), "count": count[filled].tolist()}
        colour = PlotSpec.from_name(name).colour if name.startswith(PLOT) else ""
        if colour:
            values = self.table.formula(colour)[rows]
            good = np.isfinite(values)
            sums = np.bincount(cell[good], values[good], nx * ny)
            with np.errstate(invalid="ignore", divide="ignore"):
                means = sums / np.bincount(cell[good], minlength=nx * ny)
            return answer | {"colour": _nullable(_round(means[filled]))}
        k = len(self.classes) + 1
        votes = np.bincount(cell * k + self._class[rows] + 1, minlength=nx * ny * k).reshape(-1, k)[filled]
        return answer | {"class": (votes.argmax(1) - 1).tolist()}

    def _cell_numbers(self, name: str, x: Float, y: Float, box: tuple[float, ...]) -> NDArray[np.int32]:
        """Return the number of each point's cell in a grid over a box, -1 outside it."""
        diagram, (nx, ny) = self.diagram(name), GRID
        ix, iy = _bin(x, box[0], box[1], diagram.x.log, nx), _bin(y, box[2], box[3], diagram.y.log, ny)
        return np.where((ix >= 0) & (iy >= 0), iy * nx + ix, -1)

    def rows_inside(self, lasso: Lasso) -> RowNumbers:
        """Return all rows inside a polygon, whose edges are straight as drawn, on logarithmic axes too.

        Raises
        ------
        ValueError
            If there is no such diagram, or the polygon has corners outside it.
        """
        from matplotlib.path import Path as Polygon

        places, diagram = self._place(lasso.diagram), self.diagram(lasso.diagram)
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

    def diagram(self, name: str) -> Diagram:
        """Return a diagram by its name.

        Raises
        ------
        ValueError
            If there is none.
        """
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
        columns = self._variability
        if None in columns:
            why = "needs a frequency or period and an amplitude of each light curve"
            examine = "`goodricke examine CATALOG --light-curves SRC --out OUT`"
            return MissingDiagram("f1_a1", why, f"{examine} measures f1 and A1; then --with OUT/joined.parquet")
        x, y = (self._variability_label(str(name)) for name in columns)
        return Diagram("f1_a1", "Dominant variability", Axis(x, log=True), Axis(y, log=True))

    @cached_property
    def _variability(self) -> tuple[str | None, str | None]:
        """The columns of a frequency, or of a period, and of an amplitude: those of `goodricke examine` first."""
        numbers = {c.name.lower(): c.name for c in self.table.columns.values() if c.kind == "number" and not c.empty}
        f1, amplitude = (
            self._columns.column_of(quantity) or next((numbers[n] for n in others if n in numbers), None)
            for quantity, others in (("f1", FREQUENCIES), ("A1", AMPLITUDES))
        )
        return f1, amplitude

    def _variability_label(self, column: str) -> str:
        examined = {self._columns.column_of("f1"): "f1 [1/d]", self._columns.column_of("A1"): "A1 [mag]"}
        if column in examined:
            return examined[column]
        unit = self.table.columns[column].unit
        if column.lower() == "period":
            return f"1 / {column} [1/{unit or 'd'}]"
        return f"{column} [{unit}]" if unit else column

    def _describe_sky(self) -> Diagram | MissingDiagram:
        if not self._has("ra", "dec"):
            return MissingDiagram("sky", "needs positions ra, dec [deg]", FIX)
        x, y = Axis("right ascension [deg]", reversed=True), Axis("declination [deg]")
        return Diagram("sky", "Sky", x, y, outlines=(plane_on_axes(),), is_default=not self._is_wide)

    def _describe_skies(self) -> list[Diagram]:
        """Return the whole sky in equatorial and in galactic coordinates, if the catalog has positions."""
        if not self._has("ra", "dec"):
            return []
        x, y = Axis("x"), Axis("y")
        return [
            Diagram(name, title, x, y, kind="sky", outlines=sky_outlines(sky), is_default=shown)
            for name, title, sky, shown in (
                ("equatorial", "Sky, equatorial", EQUATORIAL_SKY, self._is_wide),
                ("galactic", "Sky, galactic", GALACTIC_SKY, False),
            )
        ]

    @cached_property
    def _is_wide(self) -> bool:
        """Whether the catalog covers more than a field of `WIDE` degrees: it is drawn on the sphere then."""
        key = self.table.columns[self._columns.column_of("dec") or ""].key
        sql = f"SELECT max({key}) - min({key}) FROM {self.table.store.rows}"
        [extent] = self.table.store.execute(sql).fetchone()
        return extent is not None and float(extent) > WIDE

    def _place(self, name: str) -> Coordinates:
        """Return the coordinates of the rows in a diagram, computed once."""
        if name.startswith(PLOT):
            return self._plots.get(name, lambda: self._plot(name))
        self.diagram(name)
        places = {
            **{"embedding": self._embedding, "hr": self._hr, "f1_a1": self._f1_a1, "sky": self._sky},
            **{"equatorial": self._equatorial, "galactic": self._galactic},
        }
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
        names = [str(name) for name in self._variability]
        values = self.table.all_numbers(names)
        frequency, amplitude = (np.where(values[n] > 0, values[n], np.nan) for n in names)
        return Coordinates(1 / frequency if names[0].lower() == "period" else frequency, amplitude)

    def _sky(self) -> Coordinates:
        sample = self._sample("sky")
        return Coordinates(sample.numbers("ra"), sample.numbers("dec"))

    def _equatorial(self) -> Coordinates:
        ra, dec, *_ = self._place("sky")
        return Coordinates(*hammer(ra, dec, EQUATORIAL_SKY.centre))

    def _galactic(self) -> Coordinates:
        ra, dec, *_ = self._place("sky")
        return Coordinates(*hammer(*to_galactic(ra, dec), GALACTIC_SKY.centre))

    def _embedding(self) -> Coordinates:
        points = self._map.get()
        if self._map.failure:
            raise ValueError(self._map.failure)
        if points is None:
            return self._no_coordinates(self._map.progress(), ready=False)
        note = f"{points.method} of {len(points.rows):,} light curves"
        if len(points.rows) < len(self.table):
            note += ", drawn at random; a lasso here selects among these only"
        self._diagrams["embedding"] = replace(self.diagram("embedding"), ready=True, note=note)
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


def _limits(values: Float, is_log: bool) -> list[float]:
    """Return the ends of an axis for values (n,): all but a few outliers, with a margin."""
    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.log10(values) if is_log else values
    values = values[np.isfinite(values)]
    if not len(values):
        return [1.0, 10.0] if is_log else [0.0, 1.0]
    ends = [round(q * (len(values) - 1)) for q in (OUTLIERS, 1 - OUTLIERS)]
    low, high = (float(value) for value in np.partition(values, ends)[ends])
    pad = (high - low) * MARGIN or abs(high) * 0.01 or 0.5
    limits = [low - pad, high + pad]
    return [float(10.0**end) for end in limits] if is_log else limits


def _bin(values: Float, low: float, high: float, is_log: bool, n: int) -> NDArray[np.int32]:
    """Return the number of the cell of each value among n from low to high, -1 outside."""
    if is_log:
        with np.errstate(invalid="ignore", divide="ignore"):
            values, low, high = np.log10(values), float(np.log10(low)), float(np.log10(high))
    if not high > low:
        return np.full(len(values), -1, np.int32)
    index = (values - low) * (n / (high - low))
    with np.errstate(invalid="ignore"):  # no number is no cell
        return np.where((index >= 0) & (index < n), index, -1.0).astype(np.int32)


def _nullable(values: Float) -> list[float | None]:
    """Return numbers as a list, None for those that aren't finite."""
    if (good := np.isfinite(values)).all():
        return list(values.tolist())
    return [value if is_good else None for value, is_good in zip(values.tolist(), good.tolist(), strict=True)]


def _round(values: Float) -> Float:
    """Return numbers rounded to seven digits: no screen shows more, and the answer has half the bytes."""
    with np.errstate(divide="ignore", invalid="ignore"):
        digits = 6 - np.floor(np.log10(np.abs(values)))
    scale = 10.0 ** np.clip(np.nan_to_num(digits, posinf=0), -300, 300)
    return np.round(values * scale) / scale
