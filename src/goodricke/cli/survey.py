"""The commands of surveys and catalogs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from goodricke.cli.options import (
    Device,
    Level,
    ModelOption,
    Passes,
    PerClass,
    Precision,
    Reading,
    Seed,
    Sources,
    console,
    exit_with,
    reading_options,
)
from goodricke.data.exit_codes import ExitCode

Rename = Annotated[list[str] | None, typer.Option(help="Class of a label: Rotational=ROT; repeatable")]
Merge = Annotated[list[str] | None, typer.Option(help='Labels of a class: "EW=W UMa,EC"; repeatable')]


@reading_options
def pack(
    sources: Sources,
    out: Annotated[Path, typer.Option(help="Folder for the shards: new, or of a run to continue", show_default=False)],
    *,
    reading: Reading,
    workers: Annotated[int, typer.Option(min=1, help="Processes")] = 1,
) -> None:
    """Read many small files once and keep their light curves in a few nested Parquet files.

    If interrupted, run the same command again to continue. unreadable.csv lists what can't be read; the rest is packed.
    Next: goodricke catalog OUT --model MODEL --out CATALOG
    Exit code: 0 all read, 3 some were not, 2 wrong usage.
    """
    from goodricke.survey.pack import pack as run

    exit_with(run, sources, out, workers, options=reading)


@reading_options
def catalog(
    sources: Annotated[
        list[str],
        typer.Argument(help="Packs, nested Parquet, HATS catalogs, or files as for classify", show_default=False),
    ],
    model: ModelOption,
    out: Annotated[Path, typer.Option(help="Folder for the catalog: new, or of a run to continue")],
    mc: Passes = 20,
    coverage: Level = 0.9,
    per_class: PerClass = False,
    seed: Seed = 0,
    *,
    reading: Reading,
    workers: Annotated[int, typer.Option(min=1, help="Processes of one thread each; they share a GPU")] = 1,
    device: Device = "cpu",
    precision: Precision = "auto",
    dask: Annotated[
        str | None,
        typer.Option(help="local, tcp://SCHEDULER:8786 or slurm:FILE.toml (with --workers jobs)", show_default=False),
    ] = None,
    points: Annotated[
        int | None,
        typer.Option(min=1, help="Observations per shard  [default: ten minutes of a core]", show_default=False),
    ] = None,
) -> None:
    """Classify a survey: one row per light curve, in Parquet shards, each written when complete.

    If interrupted, run the same command again: it continues where it stopped and gives the same rows.
    Next: goodricke convert, goodricke examine, goodricke thresholds.
    Exit code: 0 all shards made, 3 some tasks failed (the same command tries them again) or nothing could be read,
    2 wrong usage.
    """
    from goodricke.survey.catalog import catalog as run
    from goodricke.uncertainty.prediction_sets import Coverage

    sets = Coverage(coverage, per_class)
    exit_with(run, sources, model, out, workers, mc, seed, device, precision, dask, points, reading, sets)


@reading_options
def examine(
    catalog: Annotated[
        Path, typer.Argument(help="Catalog folder, HATS catalog, or a .parquet of classify --out", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder for the report, its figures and numbers", show_default=False)],
    light_curves: Annotated[
        list[str] | None,
        typer.Option(help="Light curves of the catalog, to measure frequencies and amplitudes", show_default=False),
    ] = None,
    gaia: Annotated[
        Path | None, typer.Option(help="Local table of Gaia DR3 or TIC stars for these objects", show_default=False)
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Table of known classes, a row per object", show_default=False)
    ] = None,
    cuts: Annotated[
        str, typer.Option(help="Lowest probabilities at which a star counts as a member of its class")
    ] = "0.5,0.8",
    radius: Annotated[float, typer.Option(min=0, help="Radius of the match by position [arcsec]")] = 2.0,
    by: Annotated[str, typer.Option("--match", help="With --gaia: by key, by position, or auto")] = "auto",
    pair: Annotated[
        str | None,
        typer.Option(
            help="Two classes, to list candidates for hybrids of both: DSCT_BCEP,GDOR_SPB", show_default=False
        ),
    ] = None,
    label: Annotated[str | None, typer.Option(help="Column of --labels with the class, if not recognised")] = None,
    object_id: Annotated[str | None, typer.Option(help="Column of --labels with the id, if not recognised")] = None,
    rename: Rename = None,
    merge: Merge = None,
    *,
    reading: Reading,
    workers: Annotated[int, typer.Option(min=1, help="Processes for the periodograms, of one thread each")] = 1,
) -> None:
    """Compare a catalog with frequencies, amplitudes, temperatures and labels: a report with figures to judge it by.

    If interrupted while it measures frequencies, run the same command again to continue.

    goodricke examine CATALOG --light-curves SRC --gaia gaia.fits --out DIR
    """
    options: dict[str, Any] = {"light_curves": light_curves or None, "gaia": gaia, "labels": labels, "radius": radius}
    options |= {"by": by, "label": label, "object_id": object_id, "workers": workers}

    def run() -> int:
        from goodricke.survey.examine.run import examine as write_report
        from goodricke.survey.examine.run import parse_cuts, parse_pair
        from goodricke.training.class_names import parse_renaming

        options.update(cuts=parse_cuts(cuts), pair=parse_pair(pair), rename=parse_renaming(rename or (), merge or ()))
        screen = console()
        result = write_report(catalog, out, console=screen, **options, **reading)
        screen.print(f"{result.folder / 'report.html'} written", markup=False)
        return ExitCode.DONE

    exit_with(run)


def convert(
    catalog: Annotated[
        Path, typer.Argument(help="Folder of `goodricke catalog`, HATS catalog, or .parquet", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option(help=".parquet, .csv, .ecsv, .fits, .vot, or a new folder .hats", show_default=False)
    ],
    per_star: Annotated[
        str | None,
        typer.Option(help="One row per star: the best of its light curves, or their mean", metavar="best|mean"),
    ] = None,
    star_column: Annotated[str, typer.Option(help="With --per-star: the column that names the star")] = "object_id",
    join: Annotated[
        Path | None, typer.Option(help="Table with more columns by object id (ra, dec, teff_gspphot, ...)")
    ] = None,
    thresholds: Annotated[
        Path | None, typer.Option(help="Statement of `goodricke thresholds`, if not thresholds.json in CATALOG")
    ] = None,
    hats: Annotated[str | None, typer.Option(help="Write a HATS catalog of this name")] = None,
) -> None:
    """Write a catalog as other tools open it, with units, UCDs and descriptions where the format has them.

    HATS (needs the extra survey and positions ra, dec) is what LSDB opens and cross-matches.
    With thresholds, the column confident_class has the class where its probability reaches the cut.
    CSV and ECSV have no embeddings. All but CSV carry model, hash, version, settings and thresholds as metadata.
    """

    def run() -> int:
        from goodricke.survey.convert import convert as write

        how: Any = per_star
        write(catalog, out, how, star_column, thresholds, hats, join, console())
        return ExitCode.DONE

    exit_with(run)


def thresholds(
    catalog: Annotated[
        Path, typer.Argument(help="Catalog or .parquet with the predictions of labelled objects", show_default=False)
    ],
    labels: Annotated[Path, typer.Option(help="Table with a row per object", show_default=False)],
    purity: Annotated[float, typer.Option(help="Purity to reach in each class, as a fraction")] = 0.95,
    confidence: Annotated[float, typer.Option(help="Confidence that the purity is reached, as a fraction")] = 0.95,
    label: Annotated[str | None, typer.Option(help="Column with the class, if not recognised")] = None,
    object_id: Annotated[str | None, typer.Option(help="Column with the object's id, if not recognised")] = None,
    rename: Rename = None,
    merge: Merge = None,
    split: Annotated[Path | None, typer.Option(help="split.csv of a training run: use its test objects only")] = None,
    per_star: Annotated[
        str | None, typer.Option(help="Merge the light curves of each star first, as in convert", metavar="best|mean")
    ] = None,
    star_column: Annotated[str, typer.Option(help="With --per-star: the column that names the star")] = "object_id",
    out: Annotated[
        Path | None, typer.Option(help="File for the statement, or the folder of the catalog to which it applies")
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Keep the statement in CATALOG, where convert finds it")
    ] = False,
) -> None:
    """Choose, per class, the lowest probability that gives a wanted purity, and say how complete it is.

    A cut counts only if the purity is reached with the confidence asked for; few labelled objects make no cut.
    Then: goodricke convert CATALOG --thresholds FILE --out ... adds the column confident_class.
    """

    def run() -> int:
        from goodricke.survey.thresholds import choose_thresholds
        from goodricke.training.class_names import parse_renaming

        if apply and not catalog.is_dir():
            raise ValueError(f"{catalog} is no folder to keep a statement in: use --out FILE and convert --thresholds")
        renaming, how = parse_renaming(rename or (), merge or ()), cast(Any, per_star)
        statement = choose_thresholds(
            catalog, labels, purity, confidence, label, object_id, renaming, split, how, star_column
        )
        console().print(statement.to_table())
        for path in {*([catalog] if apply else []), *([out] if out else [])}:
            console().print(f"statement written to {statement.write(path)}")
        return ExitCode.DONE

    exit_with(run)
