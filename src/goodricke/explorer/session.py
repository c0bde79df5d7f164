"""What an explorer has open: a catalog, its light curves, its model, labels, a running alert engine."""

from __future__ import annotations

import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from goodricke.explorer.annotations import Labels
from goodricke.explorer.diagrams import Diagrams
from goodricke.explorer.light_curves import Sources
from goodricke.explorer.live import Live
from goodricke.explorer.store import Store, open_store
from goodricke.explorer.table import Table
from goodricke.survey.crossmatch import read_table
from goodricke.survey.embeddings import EMBEDDING
from goodricke.survey.examine.sample import joined, rows_of
from goodricke.survey.shards import Catalog
from goodricke.survey.shards import about as about_catalog
from goodricke.survey.variability import PLACE

if TYPE_CHECKING:
    from goodricke.models.bundle import Model
    from goodricke.service.model_queue import Desk
    from goodricke.survey.similar import Neighbours

log = logging.getLogger("goodricke")

REMEMBERED = 256  # periodograms, histories and pictures


@dataclass(eq=False)
class Explorer:
    """Everything that the pages are made of; see `open_explorer`."""

    catalog: Catalog
    store: Store
    labels: Labels
    table: Table
    diagrams: Diagrams
    about: dict[str, str]  # model, model_hash, ...
    model: Model | None = None
    no_model: str = ""  # why there is none
    light_curves: Sources | None = None
    live: Live | None = None
    _remembered: OrderedDict[Hashable, Any] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Of the catalog, in the order of its model."""
        return self.catalog.classes

    @cached_property
    def has_neighbours(self) -> bool:
        """Whether the catalog has embeddings."""
        return EMBEDDING in self.catalog.schema.names

    @cached_property
    def coverage(self) -> str:
        """What is promised of the prediction sets; see `coverage_of`."""
        return coverage_of(self.catalog)

    @cached_property
    def neighbours(self) -> Neighbours:
        """The embeddings, to be asked for objects like others; the first time makes their index."""
        from goodricke.survey.similar import Neighbours

        return Neighbours.open(self.catalog.path)

    @cached_property
    def desk(self) -> Desk | None:
        """Where the model is asked, None if there is none."""
        from goodricke.service.model_queue import Desk

        return None if self.model is None else Desk(self.model)

    def remember(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return what was made for a key before, or make it; the last `REMEMBERED` are kept."""
        with self._lock:
            if key in self._remembered:
                self._remembered.move_to_end(key)
                return self._remembered[key]
        made = make()
        with self._lock:
            self._remembered[key] = made
            while len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        return made

    def close(self) -> None:
        """Let go of files and processes."""
        self.diagrams.close()
        self.store.close()
        if self.live is not None:
            self.live.close()


def open_explorer(
    catalog: str | Path,
    *,
    light_curves: Sequence[str] = (),
    beside: Path | None = None,
    labels: Path | None = None,
    model: str | None = None,
    alerts: str | None = None,
    metrics: str | None = None,
    tick: Callable[[int], None] = lambda rows: None,
    **options: Any,
) -> Explorer:
    """Open a catalog and what belongs to it.

    Parameters
    ----------
    catalog : path
        See `goodricke.survey.Catalog.open`.
    light_curves : sequence of str
        What the catalog was made from; the further ``options`` are the readers'.
    beside : Path, optional
        Table with further columns, such as the ``joined.parquet`` of `goodricke examine`.
    labels : Path, optional
        File for labels given here; by default ``NAME-labels.csv`` beside the catalog.
    model : str, optional
        The one that made the catalog; by default looked for by the name in the catalog.
    alerts, metrics : str, optional
        State store and address of the metrics of a running alert engine.
    tick : callable
        See `goodricke.explorer.store.open_store`.

    Raises
    ------
    ValueError
        If there is no such catalog, or something that doesn't belong to it.
    """
    opened = Catalog.open(catalog)
    told = about_catalog(opened)
    store = open_store(opened, None if beside is None else columns_beside(opened, beside), tick)
    kept = Labels(labels if labels is not None else default_labels(opened.path))
    table = Table(store, kept, lambda lasso: diagrams.inside(lasso))
    diagrams = Diagrams(opened, table, opened.classes)
    explorer = Explorer(opened, store, kept, table, diagrams, told)
    explorer.model, explorer.no_model = find_its_model(told, model)
    if light_curves:
        explorer.light_curves = Sources(light_curves, table, **options)
    if alerts or metrics:
        classes = () if explorer.model is None else explorer.model.classes
        explorer.live = Live(alerts, metrics, classes or opened.classes)
    return explorer


def default_labels(catalog: Path) -> Path:
    """Return where labels are kept unless another file is named: beside the catalog."""
    path = catalog.resolve()
    return path.with_name(f"{path.name if path.is_dir() else path.stem}-labels.csv")


def columns_beside(catalog: Catalog, path: Path) -> pa.Table:
    """Return the columns of another table that a catalog lacks, a row for each of the catalog's.

    A table with a row per light curve (`goodricke examine`) is joined by what tells the light curves of an object
    apart, another one by the object's id; positions fill in those that the catalog hasn't.

    Raises
    ------
    ValueError
        If it has none of the catalog's objects.
    """
    own = catalog.schema.names
    place = [n for n in ("object_id", *PLACE) if n in own]
    ids = catalog.read(place)
    if _per_light_curve(path):
        other = pq.read_table(path)
        rows = rows_of(ids, other.select([n for n in ("object_id", *PLACE) if n in other.column_names]))
    else:
        theirs, other = read_table(path)
        rows = pc.index_in(ids["object_id"].cast(pa.string()), pa.array(theirs, pa.string()))
        rows = rows.combine_chunks().fill_null(-1).to_numpy(zero_copy_only=False)
    if not (rows >= 0).any():
        example = ids["object_id"].slice(0, 3).to_pylist()
        raise ValueError(f"--with {path}: has none of the catalog's objects, whose ids look like {example}")
    log.info("%s: %d of %d rows found", path, int((rows >= 0).sum()), len(rows))
    wanted = [n for n in other.column_names if n in ("ra", "dec") or n not in own]
    new = other.select([n for n in wanted if not n.startswith(("p_", "std_"))])
    told = path.stat()
    found = joined(pa.table({"_": rows}), new, rows).drop_columns(["_"])
    return found.replace_schema_metadata({"file": f"{path.resolve()} {told.st_size} {told.st_mtime_ns}"})


def find_its_model(about: dict[str, str], given: str | None) -> tuple[Model | None, str]:
    """Return the model that made a catalog, or None and the reason.

    Raises
    ------
    ValueError
        If the model that was given is another one.
    """
    from goodricke.models.bundle import load_model

    name, made = given or about.get("model", ""), about.get("model_hash", "")
    fix = "name its folder by --model"
    if not name:
        return None, f"the catalog doesn't tell which model made it; {fix}"
    try:
        model = load_model(name)
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        if given:
            raise
        return None, f"the model {name} isn't found ({error}); {fix}"
    if made and model.hash != made:
        told = f"the catalog was made by {about.get('model')} ({made}); the {model.name} here is another ({model.hash})"
        if given:
            raise ValueError(f"--model {name}: {told}")
        return None, f"{told}; {fix}"
    return model, ""


def _per_light_curve(path: Path) -> bool:
    """Tell whether a file is Parquet with a row per light curve, as `goodricke examine` writes it."""
    try:
        names = pq.read_schema(path).names
    except (pa.ArrowException, OSError):
        return False
    return "object_id" in names and bool(set(PLACE) & set(names))


def coverage_of(catalog: Catalog) -> str:
    """Return what is promised of the prediction sets: ``90 % of all objects``; nothing if there are none."""
    if "prediction_set" not in catalog.schema.names:
        return ""
    told = (catalog.schema.field("prediction_set").metadata or {}).get(b"description", b"").decode()
    found = re.search(r"for (\S+ % of (?:all objects|each class))", told)
    return found[1] if found else ""
