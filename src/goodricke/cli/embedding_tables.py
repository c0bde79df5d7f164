"""What `goodricke similar` and `goodricke suggest` print and write: tables on the terminal, files, pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from goodricke import __version__
from goodricke.data import formats
from goodricke.data.answer_text import class_probability_text
from goodricke.data.exit_codes import ExitCode
from goodricke.data.lightcurves import LightCurves
from goodricke.io import read
from goodricke.models.bundle import load_model
from goodricke.survey.embeddings import open_embedded
from goodricke.survey.gallery import plot_neighbours, read_objects
from goodricke.survey.similar import Neighbours
from goodricke.survey.suggest import STRATEGY, read_known_labels
from goodricke.survey.suggest import suggest as choose_objects

SHOWN = 40  # rows on the terminal
MOST_NEW = 200  # light curves classified for a question


def run_similar(
    ids: Sequence[str],
    catalog: Path,
    k: int,
    sources: Sequence[str],
    model: str | None,
    out: Path | None,
    plot: Path | None,
    options: dict[str, Any],
    console: Console,
) -> int:
    """Find neighbours, print and write them; see `goodricke.cli.similar.similar`."""
    if out is not None:
        formats.check(out)
    neighbours = Neighbours.open(catalog)
    new = {} if model is None else _new_light_curves(ids, neighbours, sources, options)
    inside = [name for name in ids if name not in new]
    tables = [neighbours.of(inside, k)] if inside else []
    if new and model is not None:
        network = load_model(model)
        tables += [neighbours.like(curve, network, k) for curve in new.values()]
    table = pa.concat_tables(tables)
    _print_neighbours(table, console)
    if out is not None:
        about = {"goodricke": __version__, "catalog": str(catalog)}
        about |= {"model": neighbours.index.model, "model_hash": neighbours.index.model_hash}
        formats.write(formats.Rows.from_table(table, about), out)
        console.print(f"{len(table):,} rows written to {out}", markup=False)
    if plot is not None:
        names = {*pc.unique(table["query"]).to_pylist(), *table["object_id"].to_pylist()} - new.keys()
        plot_neighbours(table, new | read_objects(sources, names, **options), plot)
        console.print(f"{plot} written", markup=False)
    return ExitCode.DONE


def _new_light_curves(
    ids: Sequence[str], neighbours: Neighbours, sources: Sequence[str], options: dict[str, Any]
) -> dict[str, LightCurves]:
    """Return the light curves of the objects that the catalog doesn't have; without ids, of all in the sources."""
    if ids:
        missing = [name for name in ids if name not in neighbours]
        curves_by_id = read_objects(sources, missing, **options) if missing else {}
        for name in missing:
            if name not in curves_by_id:
                raise ValueError(f"{name}: neither in the catalog{neighbours.near_miss(name)} nor in {sources[0]}")
        return curves_by_id
    curves = read(list(sources), **options)
    if len(curves) > MOST_NEW:
        raise ValueError(f"{sources[0]}: {len(curves):,} light curves; name some of them by their ids")
    return {name: curves[i] for i, name in enumerate(curves.ids)}


def _print_neighbours(neighbours: pa.Table, console: Console) -> None:
    table = Table()
    for name, justify in (("object", "left"), ("", "right"), ("neighbour", "left"), ("distance", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    table.add_column("class")
    table.add_column("probability", justify="right")
    for row in neighbours.slice(0, SHOWN).to_pylist():
        p = "" if row["class"] is None else class_probability_text(row)
        first = row["query"] if row["rank"] == 1 else ""
        table.add_row(first, str(row["rank"]), row["object_id"], f"{row['distance']:.4f}", row["class"] or "", p)
    console.print(table)
    if len(neighbours) > SHOWN:
        console.print(f"... and {len(neighbours) - SHOWN:,} more rows (all of them with --out)")


def run_suggest(
    catalog: Path,
    n: int,
    labelled: Sequence[Path],
    strategy: str | None,
    out: Path,
    seed: int,
    columns: dict[str, Any],
    console: Console,
) -> int:
    """Choose objects to label, print the first and write them all."""
    formats.check(out)
    _refuse_to_lose_labels(out, columns)
    labels = read_known_labels(labelled, columns["label"], columns["object_id"])
    with _progress("rows", len(open_embedded(catalog)), console) as tick:
        suggestions = choose_objects(catalog, n, labels, strategy or STRATEGY, seed, tick)
    table = Table()
    for name in ("", "object", "class", "probability", "why"):
        table.add_column(name, justify="right" if name in ("", "probability") else "left")
    for row in suggestions.slice(0, SHOWN // 2).to_pylist():
        table.add_row(str(row["rank"]), row["object_id"], row["class"], f"{row['p_max']:.2f}", row["why"])
    console.print(table)
    formats.write(
        formats.Rows.from_table(suggestions, {"goodricke": __version__, "strategy": strategy or STRATEGY}), out
    )
    console.print(f"{len(suggestions):,} objects written to {out}: fill in the column label", markup=False)
    return ExitCode.DONE


def _refuse_to_lose_labels(out: Path, columns: dict[str, Any]) -> None:
    """Raise if the file to write has labels filled in."""
    try:
        filled = len(read_known_labels([out], **columns)) if out.exists() else 0
    except ValueError:
        filled = 0
    if filled:
        raise ValueError(f"{out}: has {filled} labels filled in; choose another file, and give it to --labelled")


@contextmanager
def _progress(unit: str, total: int, console: Console) -> Iterator[Callable[[int], None]]:
    columns = (SpinnerColumn(), MofNCompleteColumn(), TextColumn(unit), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=total)
        yield lambda done: progress.advance(bar, done)
