"""The commands of embeddings: parse, call, print.

What the commands do between parsing and the exit code: tables on the terminal, files, pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from goodricke import __version__
from goodricke.cli.options import (
    DONE,
    Band,
    Columns,
    Flux,
    Quality,
    Recursive,
    TimeScale,
    Unit,
    console,
    guarded,
    reading,
)
from goodricke.data import formats
from goodricke.data.lightcurves import LightCurves
from goodricke.io import read
from goodricke.models.bundle import load_model
from goodricke.models.hub import completions
from goodricke.survey.embeddings import open_embedded
from goodricke.survey.gallery import plot_neighbours, read_some
from goodricke.survey.purity import neighbour_purity
from goodricke.survey.rehearse import rehearse
from goodricke.survey.similar import Neighbours
from goodricke.survey.suggest import STRATEGIES, STRATEGY, known_labels
from goodricke.survey.suggest import suggest as choose_objects

Embedded = Annotated[
    Path, typer.Argument(help="Folder of `goodricke catalog`, or .parquet of classify or evaluate", show_default=False)
]
Label = Annotated[str | None, typer.Option(help="Column of the labels with the class, if not recognised")]
ObjectId = Annotated[str | None, typer.Option(help="Column of the labels with the object's id, if not recognised")]


def similar(
    catalog: Annotated[
        Path,
        typer.Option(help="Folder of `goodricke catalog`, or .parquet of classify or evaluate", show_default=False),
    ],
    object_id: Annotated[list[str] | None, typer.Argument(help="Objects to find the like of", metavar="ID...")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Neighbours of each")] = 10,
    light_curves: Annotated[
        list[str] | None, typer.Option(help="Files, as for classify: for --plot, and for --model; repeatable")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="The catalog's: with it, objects of --light-curves that the catalog doesn't have are found",
            autocompletion=completions,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Table: .csv, .parquet, .ecsv, .fits or .vot")] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture (.png) of light curves; needs --light-curves")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Without ID: measure how far neighbours are of one class, by these labels")
    ] = None,
    label: Label = None,
    label_id: Annotated[str | None, typer.Option(help="Column of --labels with the id, if not recognised")] = None,
    quality: Quality = "default",
    flux: Flux = None,
    column: Columns = None,
    band: Band = None,
    unit: Unit = None,
    time_scale: TimeScale = None,
    recursive: Recursive = False,
) -> None:
    """Find the objects whose light curves a model sees as most like a given one's.

    Like one of the catalog:     goodricke similar ID --catalog CATALOG
    With pictures:               goodricke similar ID --catalog CATALOG --light-curves SRC --plot like.png
    Like a new light curve:      goodricke similar --catalog CATALOG --light-curves NEW.csv --model asas-v
    How good neighbours are:     goodricke similar --catalog CATALOG --labels KNOWN.csv

    Distance: 0 alike, 1 nothing in common, 2 opposite. The first time an index is written beside the catalog
    (or into the cache folder); it is made anew when the catalog has changed.
    """
    options = reading(quality, flux, column, band, unit, time_scale, recursive)
    ids, sources = object_id or [], light_curves or []
    if not ids and labels is None and model is None:
        raise typer.BadParameter("name an object, or give --light-curves and --model, or --labels")
    if (plot is not None or model is not None) and not sources:
        raise typer.BadParameter("--plot and --model need --light-curves")

    def run() -> int:
        pass

        if labels is not None and not ids:
            return purity(catalog, labels, k, label, label_id, console())
        return run_similar(ids, catalog, k, sources, model, out, plot, options, console())

    raise typer.Exit(guarded(run))


def suggest(
    catalog: Embedded,
    out: Annotated[
        Path | None, typer.Option(help="File to fill the column label in: .csv; with --rehearse, a folder")
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="Objects (with --rehearse: in each round)")] = 50,
    labelled: Annotated[
        list[Path] | None, typer.Option(help="Tables of labels there are already, such as filled OUT files; repeatable")
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(help="mixed, cover, margin, entropy, information, novelty or random  [default: see docs]"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draws")] = 0,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="With labels for all: play it, and compare strategies with random choice")
    ] = False,
    rounds: Annotated[int, typer.Option(min=1, help="With --rehearse: batches after the first")] = 9,
    seeds: Annotated[int, typer.Option(min=2, help="With --rehearse: repetitions")] = 10,
    label: Label = None,
    object_id: ObjectId = None,
) -> None:
    """Choose the objects of a catalog that are most worth a label, and say why.

    goodricke suggest CATALOG -n 50 --out to_label.csv
    ... fill the column label, leave empty what you can't tell, and go on with:
    goodricke suggest CATALOG -n 50 --labelled to_label.csv --out to_label_2.csv
    goodricke train takes the filled tables as labels.

    With --labelled, the classes may be other than the model's: a logistic regression on the embeddings learns yours.
    Is it worth it on your data? goodricke suggest PREDICTIONS --labelled ALL.csv --rehearse --out DIR
    """
    told: dict[str, Any] = {"label": label, "object_id": object_id}
    if rehearse and not labelled:
        raise typer.BadParameter("--rehearse needs --labelled: classes of all objects")
    if not rehearse and out is None:
        raise typer.BadParameter("--out: name the file to fill in")

    def run() -> int:
        pass

        ways = [strategy] if strategy else None
        if rehearse:
            return rehearsal(catalog, labelled or [], n, rounds, seeds, ways, out, told, console())
        return run_suggest(catalog, n, labelled or [], strategy, out, seed, told, console())

    raise typer.Exit(guarded(run))


COMMANDS = (similar, suggest)


# ---- What the commands do between parsing and the exit code: tables on the terminal, files, pictures -----------------


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
    return DONE


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
    return DONE


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
    return DONE


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
    return DONE


@contextmanager
def _progress(of: str, total: int, console: Console) -> Iterator[Callable[[int], None]]:
    columns = (SpinnerColumn(), MofNCompleteColumn(), TextColumn(of), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=total)
        yield lambda done: progress.advance(bar, done)
