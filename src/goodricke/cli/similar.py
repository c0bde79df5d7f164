"""The commands ``goodricke similar`` and ``goodricke suggest``: embeddings as neighbours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from goodricke.cli.options import Reading, console, exit_with, reading_options
from goodricke.models.hub import completions


@reading_options
def similar(
    catalog: Annotated[
        Path,
        typer.Option(help="Folder of `goodricke catalog`, or .parquet of classify or evaluate", show_default=False),
    ],
    object_id: Annotated[
        list[str] | None, typer.Argument(help="Objects to find neighbours of", metavar="ID...")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Number of neighbours of each object")] = 10,
    light_curves: Annotated[
        list[str] | None, typer.Option(help="Files, as for classify: for --plot, and for --model; repeatable")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model of the catalog, to compare objects of --light-curves that are not in the catalog",
            autocompletion=completions,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Table: .csv, .parquet, .ecsv, .fits or .vot")] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture (.png) of light curves; needs --light-curves")] = None,
    *,
    reading: Reading,
) -> None:
    """Find the objects whose light curves a model sees as most like a given one's.

    Like one of the catalog:     goodricke similar ID --catalog CATALOG
    With pictures:               goodricke similar ID --catalog CATALOG --light-curves SRC --plot like.png
    Like a new light curve:      goodricke similar --catalog CATALOG --light-curves NEW.csv --model variables

    Distance: 0 alike, 1 nothing in common, 2 opposite. The first run writes an index beside the catalog
    (or into the cache folder); it is rebuilt when the catalog has changed.
    """
    ids, sources = object_id or [], light_curves or []
    if not ids and model is None:
        raise typer.BadParameter("name an object, or give --light-curves and --model")
    if (plot is not None or model is not None) and not sources:
        raise typer.BadParameter("--plot and --model need --light-curves")

    def run() -> int:
        from goodricke.cli.embedding_tables import run_similar

        return run_similar(ids, catalog, k, sources, model, out, plot, reading, console())

    exit_with(run)


def suggest(
    catalog: Annotated[
        Path,
        typer.Argument(help="Folder of `goodricke catalog`, or .parquet of classify or evaluate", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="Table to fill the column label in: .csv", show_default=False)],
    n: Annotated[int, typer.Option("-n", min=1, help="Number of objects")] = 50,
    labelled: Annotated[
        list[Path] | None, typer.Option(help="Tables of earlier labels, such as filled OUT files; repeatable")
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(help="mixed, cover, margin, entropy, information, novelty or random  [default: see docs]"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random draws")] = 0,
    label: Annotated[str | None, typer.Option(help="Column of the labels with the class, if not recognised")] = None,
    object_id: Annotated[
        str | None, typer.Option(help="Column of the labels with the object's id, if not recognised")
    ] = None,
) -> None:
    """Choose the objects of a catalog whose labels would help most, and give the reason.

    goodricke suggest CATALOG -n 50 --out to_label.csv
    ... fill the column label, leave empty what you can't tell, and go on with:
    goodricke suggest CATALOG -n 50 --labelled to_label.csv --out to_label_2.csv
    goodricke train takes the filled tables as labels.

    With --labelled, the classes may be other than the model's: a logistic regression on the embeddings learns yours.
    """

    def run() -> int:
        from goodricke.cli.embedding_tables import run_suggest

        columns = {"label": label, "object_id": object_id}
        return run_suggest(catalog, n, labelled or [], strategy, out, seed, columns, console())

    exit_with(run)
