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
from goodricke.data.exit_codes import ExitCode
from goodricke.data.lightcurves import LightCurves
from goodricke.io import read
from goodricke.models.bundle import load_model
from goodricke.survey.embeddings import open_embedded
from goodricke.survey.gallery import plot_neighbours, read_some
from goodricke.survey.purity import neighbour_purity
from goodricke.survey.rehearse import rehearse
from goodricke.survey.similar import Neighbours
from goodricke.survey.suggest import STRATEGIES, STRATEGY, known_labels
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
    new = {} if model is None else _not_there(ids, neighbours, sources, options)
    known = [name for name in ids if name not in new]
    tables = [neighbours.of(known, k)] if known else []
    if new and model is not None:
        loaded = load_model(model)
        tables += [neighbours.like(curve, loaded, k) for curve in new.values()]
    found = pa.concat_tables(tables)
    _show(found, console)
    if out is not None:
        about = {"goodricke": __version__, "catalog": str(catalog)}
        about |= {"model": neighbours.index.model, "model_hash": neighbours.index.model_hash}
        formats.write(formats.Rows.of(found, about), out)
        console.print(f"{len(found):,} rows written to {out}", markup=False)
    if plot is not None:
        wanted = {*pc.unique(found["query"]).to_pylist(), *found["object_id"].to_pylist()} - new.keys()
        plot_neighbours(found, new | read_some(sources, wanted, **options), plot)
        console.print(f"{plot} written", markup=False)
    return ExitCode.DONE


def _not_there(
    ids: Sequence[str], neighbours: Neighbours, sources: Sequence[str], options: dict[str, Any]
) -> dict[str, LightCurves]:
    """Return the light curves of the objects that the catalog doesn't have; without ids, of all in the sources."""
    if ids:
        wanted = [name for name in ids if name not in neighbours]
        found = read_some(sources, wanted, **options) if wanted else {}
        for name in wanted:
            if name not in found:
                raise ValueError(f"{name}: neither in the catalog{neighbours.near_miss(name)} nor in {sources[0]}")
        return found
    curves = read(list(sources), **options)
    if len(curves) > MOST_NEW:
        raise ValueError(f"{sources[0]}: {len(curves):,} light curves; name those that are meant, by their ids")
    return {name: curves[i] for i, name in enumerate(curves.ids)}


def _show(found: pa.Table, console: Console) -> None:
    table = Table()
    for name, justify in (("like", "left"), ("", "right"), ("object", "left"), ("distance", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    table.add_column("class")
    table.add_column("probability", justify="right")
    for row in found.slice(0, SHOWN).to_pylist():
        p = "" if row["p_max"] is None else f"{row['p_max']:.2f}"
        first = row["query"] if row["rank"] == 1 else ""
        table.add_row(first, str(row["rank"]), row["object_id"], f"{row['distance']:.4f}", row["class"] or "", p)
    console.print(table)
    if len(found) > SHOWN:
        console.print(f"... and {len(found) - SHOWN:,} more rows (all of them with --out)")


def purity(catalog: Path, labels: Path, k: int, label: str | None, object_id: str | None, console: Console) -> int:
    """Measure how pure neighbourhoods are, and print it."""
    console.print(neighbour_purity(catalog, known_labels([labels], label, object_id), k).to_table())
    return ExitCode.DONE


def run_suggest(
    catalog: Path,
    n: int,
    labelled: Sequence[Path],
    strategy: str | None,
    out: Path | None,
    seed: int,
    told: dict[str, Any],
    console: Console,
) -> int:
    """Choose objects to label, print the first and write them all."""
    assert out is not None  # the command has seen to it
    formats.check(out)
    _refuse_to_lose_labels(out, told)
    known = known_labels(labelled, told["label"], told["object_id"])
    with _progress("rows", len(open_embedded(catalog)), console) as tick:
        found = choose_objects(catalog, n, known, strategy or STRATEGY, seed, tick)
    table = Table()
    for name in ("", "object", "class", "probability", "why"):
        table.add_column(name, justify="right" if name in ("", "probability") else "left")
    for row in found.slice(0, SHOWN // 2).to_pylist():
        table.add_row(str(row["rank"]), row["object_id"], row["class"], f"{row['p_max']:.2f}", row["why"])
    console.print(table)
    formats.write(formats.Rows.of(found, {"goodricke": __version__, "strategy": strategy or STRATEGY}), out)
    console.print(f"{len(found):,} objects written to {out}: fill in the column label", markup=False)
    return ExitCode.DONE


def _refuse_to_lose_labels(out: Path, told: dict[str, Any]) -> None:
    """Raise if a file that is to be written has labels filled in."""
    try:
        filled = len(known_labels([out], **told)) if out.exists() else 0
    except ValueError:
        filled = 0
    if filled:
        raise ValueError(f"{out}: has {filled} labels filled in; write to another file, and give this to --labelled")


def rehearsal(
    catalog: Path,
    labelled: Sequence[Path],
    n: int,
    rounds: int,
    seeds: int,
    strategies: Sequence[str] | None,
    out: Path | None,
    told: dict[str, Any],
    console: Console,
) -> int:
    """Play labelling, print how strategies compare, and write figure and numbers."""
    known = known_labels(labelled, told["label"], told["object_id"])
    most = seeds * (len(STRATEGIES) if strategies is None else len(strategies) + 1)
    with _progress("runs", most, console) as tick:
        played = rehearse(catalog, known, n, rounds, seeds, strategies, tick)
    console.print(played.to_table())
    if out is not None:
        played.write(out)
        console.print(f"rehearsal.json and rehearsal.png written to {out}", markup=False)
    return ExitCode.DONE


@contextmanager
def _progress(of: str, total: int, console: Console) -> Iterator[Callable[[int], None]]:
    columns = (SpinnerColumn(), MofNCompleteColumn(), TextColumn(of), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=total)
        yield lambda done: progress.advance(bar, done)
