"""The commands ``goodricke similar`` and ``goodricke suggest``: embeddings as neighbours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from goodricke.cli.options import Reading, console, exit_with, reading_options
from goodricke.models.hub import completions

Embedded = Annotated[
    Path, typer.Argument(help="Folder of `goodricke catalog`, or .parquet of classify or evaluate", show_default=False)
]
Label = Annotated[str | None, typer.Option(help="Column of the labels with the class, if not recognised")]
ObjectId = Annotated[str | None, typer.Option(help="Column of the labels with the object's id, if not recognised")]


@reading_options
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
    *,
    reading: Reading,
) -> None:
    """Find the objects whose light curves a model sees as most like a given one's.

    Like one of the catalog:     goodricke similar ID --catalog CATALOG
    With pictures:               goodricke similar ID --catalog CATALOG --light-curves SRC --plot like.png
    Like a new light curve:      goodricke similar --catalog CATALOG --light-curves NEW.csv --model asas-v
    How good neighbours are:     goodricke similar --catalog CATALOG --labels KNOWN.csv

    Distance: 0 alike, 1 nothing in common, 2 opposite. The first time an index is written beside the catalog
    (or into the cache folder); it is made anew when the catalog has changed.
    """
    ids, sources = object_id or [], light_curves or []
    if not ids and labels is None and model is None:
        raise typer.BadParameter("name an object, or give --light-curves and --model, or --labels")
    if (plot is not None or model is not None) and not sources:
        raise typer.BadParameter("--plot and --model need --light-curves")

    def run() -> int:
        from goodricke.cli.embedding_tables import purity, run_similar

        if labels is not None and not ids:
            return purity(catalog, labels, k, label, label_id, console())
        return run_similar(ids, catalog, k, sources, model, out, plot, reading, console())

    exit_with(run)


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
        from goodricke.cli.embedding_tables import rehearsal, run_suggest

        ways = [strategy] if strategy else None
        if rehearse:
            return rehearsal(catalog, labelled or [], n, rounds, seeds, ways, out, told, console())
        return run_suggest(catalog, n, labelled or [], strategy, out, seed, told, console())

    exit_with(run)
