"""Everything that an explorer has open: a catalog, light curves, a model, labels, a running alert engine."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from goodricke.data.answer_text import coverage_text
from goodricke.data.identifiers import IdIndex
from goodricke.data.lightcurves import LightCurves
from goodricke.explorer.annotations import LabelFile
from goodricke.explorer.cache import Cache
from goodricke.explorer.diagrams import Diagrams
from goodricke.explorer.light_curves import Sources
from goodricke.explorer.live import EngineMonitor
from goodricke.explorer.samp import SampLink
from goodricke.explorer.store import Progress, RowStore, open_row_store
from goodricke.explorer.subsets import SubsetFile
from goodricke.explorer.table import CatalogTable
from goodricke.preprocess.dense import DenseConfig
from goodricke.survey.crossmatch import read_object_table
from goodricke.survey.embeddings import EMBEDDING
from goodricke.survey.examine.sample import join_columns, match_light_curves
from goodricke.survey.shards import Catalog, provenance
from goodricke.survey.variability import PLACE

if TYPE_CHECKING:
    from goodricke.models.bundle import Model
    from goodricke.service.model_queue import ModelQueue
    from goodricke.survey.similar import Neighbours

log = logging.getLogger("goodricke")

CACHED_RESULTS = 256  # periodograms, histories and thumbnails


@dataclass(eq=False)
class Explorer:
    """What the pages are made from; see `open_explorer`."""

    catalog: Catalog
    store: RowStore
    labels: LabelFile
    table: CatalogTable
    diagrams: Diagrams
    about: dict[str, str]  # model, model_hash, ...
    model: Model | None = None
    no_model: str = ""  # why there is no model
    light_curves: Sources | None = None
    engine: EngineMonitor | None = None
    samp: SampLink | None = None
    cache: Cache = field(default_factory=lambda: Cache(CACHED_RESULTS))

    @property
    def classes(self) -> tuple[str, ...]:
        """The catalog's classes, in the order of its model."""
        return self.catalog.classes

    @property
    def subsets(self) -> SubsetFile:
        """The named selections."""
        assert self.table.subsets is not None
        return self.table.subsets

    @property
    def find_light_curves(self) -> Callable[[str], LightCurves | None] | None:
        """A function that returns the light curves of an object by its id; None without ``light_curves``."""
        return None if self.light_curves is None else self.light_curves.find

    @property
    def has_embeddings(self) -> bool:
        """Whether the catalog has embeddings."""
        return EMBEDDING in self.catalog.schema.names

    @cached_property
    def coverage(self) -> str:
        """The coverage of the prediction sets in words; see `goodricke.data.answer_text`."""
        return coverage_text(self.catalog.schema)

    @cached_property
    def neighbours(self) -> Neighbours:
        """The search for objects with near embeddings; its index is made at the first use."""
        from goodricke.survey.similar import Neighbours

        return Neighbours.open(self.catalog.path)

    @cached_property
    def model_queue(self) -> ModelQueue | None:
        """The queue of requests to the model, None without a model."""
        from goodricke.service.model_queue import ModelQueue

        return None if self.model is None else ModelQueue(self.model)

    @property
    def dense_preprocessing(self) -> DenseConfig | None:
        """The preprocessing of a model of dense light curves, None of another model, or without one."""
        config = None if self.model is None else self.model.preprocessing
        return config if isinstance(config, DenseConfig) else None

    def close(self) -> None:
        """Close files and end processes."""
        if self.samp is not None:
            self.samp.close()
        self.diagrams.close()
        self.store.close()
        if self.engine is not None:
            self.engine.close()


def open_explorer(
    catalog: str | Path,
    *,
    light_curves: Sequence[str] = (),
    extra: Path | Sequence[Path] | None = None,
    labels: Path | None = None,
    model: str | None = None,
    alerts: str | None = None,
    metrics: str | None = None,
    samp: bool = False,
    progress: Progress = lambda rows: None,
    **options: Any,
) -> Explorer:
    """Open a catalog and what belongs to it.

    Parameters
    ----------
    catalog : path
        See `goodricke.survey.Catalog.open`.
    light_curves : sequence of str
        The sources that the catalog was made from; the further ``options`` are the readers'.
    extra : Path or sequence of Path, optional
        Tables with further columns, such as the ``joined.parquet`` of `goodricke examine`; see `read_extra_tables`.
    labels : Path, optional
        File of the user's labels; by default ``NAME-labels.csv`` in the catalog's folder.
    model : str, optional
        The model that made the catalog; by default found by the name in the catalog.
    alerts, metrics : str, optional
        State store and address of the metrics of a running alert engine.
    samp : bool
        Whether to join the SAMP hub of this machine; see `goodricke.explorer.samp`.
    progress : callable
        See `goodricke.explorer.store.open_row_store`.

    Raises
    ------
    ImportError
        If DuckDB isn't installed.
    ValueError
        If there is no such catalog, or something doesn't belong to it.
    """
    opened = Catalog.open(catalog)
    about = provenance(opened)
    paths = [Path(extra)] if isinstance(extra, str | Path) else list(extra or ())
    store = open_row_store(opened, read_extra_tables(opened, paths), progress)
    label_file = LabelFile(labels if labels is not None else default_label_path(opened.path))
    subsets = SubsetFile(label_file.path.with_name(f"{label_file.path.stem.removesuffix('-labels')}-subsets.json"))
    table = CatalogTable(store, label_file, lambda lasso: diagrams.rows_inside(lasso), subsets)
    diagrams = Diagrams(opened, table, opened.classes)
    explorer = Explorer(opened, store, label_file, table, diagrams, about)
    explorer.model, explorer.no_model = find_model(about, model)
    if light_curves:
        explorer.light_curves = Sources(light_curves, table, **options)
    if alerts or metrics:
        classes = () if explorer.model is None else explorer.model.classes
        explorer.engine = EngineMonitor(alerts, metrics, classes or opened.classes)
    if samp:
        try:
            explorer.samp = SampLink(explorer)
        except BaseException:
            explorer.close()
            raise
    return explorer


def default_label_path(catalog: Path) -> Path:
    """Return the path of a catalog's labels if the user names none: in the same folder."""
    path = catalog.resolve()
    return path.with_name(f"{path.name if path.is_dir() else path.stem}-labels.csv")


def read_extra_tables(catalog: Catalog, paths: Sequence[Path]) -> pa.Table | None:
    """Return the columns of several tables that a catalog lacks, None without tables; see `read_extra_columns`.

    A column of several tables, such as positions, has the value of the first that has one.

    Raises
    ------
    ValueError
        If a table has none of the catalog's objects, or a column is text in one and numbers in another.
    """
    merged, files = dict[str, pa.ChunkedArray](), list[str]()
    for path in paths:
        table = read_extra_columns(catalog, path)
        files.append((table.schema.metadata or {})[b"file"].decode())
        for name in table.column_names:
            merged[name] = _filled(merged[name], table[name], path, name) if name in merged else table[name]
    return pa.table(merged).replace_schema_metadata({"file": "; ".join(files)}) if paths else None


def _filled(column: pa.ChunkedArray, other: pa.ChunkedArray, path: Path, name: str) -> pa.ChunkedArray:
    """Return a column with its missing values, null or NaN, from another one."""
    try:
        other = other.cast(column.type) if other.type != column.type else other
    except pa.ArrowException:
        try:
            column, other = column.cast(pa.float64()), other.cast(pa.float64())
        except pa.ArrowException as error:
            fix = "rename it in one of the tables"
            raise ValueError(
                f"--with {path}: {name} is of another kind than in a table before ({error}). Fix: {fix}"
            ) from None
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    return pc.coalesce(column, other)


def read_extra_columns(catalog: Catalog, path: Path) -> pa.Table:
    """Return the columns of a table that a catalog lacks, with a row for each of the catalog's rows.

    A table with a row per light curve (`goodricke examine`) is joined by the columns that identify light curves, any
    other by the object's id. Its positions fill in those that the catalog lacks.

    Raises
    ------
    ValueError
        If it has none of the catalog's objects.
    """
    own = catalog.schema.names
    ids = catalog.read([n for n in ("object_id", *PLACE) if n in own])
    if _has_light_curve_rows(path):
        other = pq.read_table(path)
        rows = match_light_curves(ids, other.select([n for n in ("object_id", *PLACE) if n in other.column_names]))
    else:
        names, other = read_object_table(path)
        rows = IdIndex(names).rows_of(ids["object_id"])
    if not (rows >= 0).any():
        example = ids["object_id"].slice(0, 3).to_pylist()
        raise ValueError(f"--with {path}: has none of the catalog's objects, whose ids look like {example}")
    log.info("%s: %d of %d rows found", path, int((rows >= 0).sum()), len(rows))
    names = [n for n in other.column_names if n in ("ra", "dec") or n not in own]
    columns = other.select([n for n in names if not n.startswith(("p_", "std_"))])
    table = join_columns(pa.table({"_": rows}), columns, rows).drop_columns(["_"])
    status = path.stat()
    return table.replace_schema_metadata({"file": f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"})


def _has_light_curve_rows(path: Path) -> bool:
    """Return whether a file is Parquet with a row per light curve, as `goodricke examine` writes it."""
    try:
        names = pq.read_schema(path).names
    except (pa.ArrowException, OSError):
        return False
    return "object_id" in names and bool(set(PLACE) & set(names))


def find_model(about: dict[str, str], name: str | None) -> tuple[Model | None, str]:
    """Return the model that made a catalog, or None and the reason.

    Parameters
    ----------
    about : dict
        The catalog's metadata.
    name : str, optional
        From the user; by default that in the metadata.

    Raises
    ------
    ValueError
        If the model that the user names is another one.
    """
    from goodricke.models.bundle import load_model

    wanted, made_by = name or about.get("model", ""), about.get("model_hash", "")
    fix = "name its folder by --model"
    if not wanted:
        return None, f"the catalog doesn't say which model made it; {fix}"
    try:
        model = load_model(wanted)
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        if name:
            raise
        return None, f"the model {wanted} isn't found ({error}); {fix}"
    if made_by and model.hash != made_by:
        why = f"the catalog was made by {about.get('model')} ({made_by}), not by this {model.name} ({model.hash})"
        if name:
            raise ValueError(f"--model {name}: {why}")
        return None, f"{why}; {fix}"
    return model, ""
