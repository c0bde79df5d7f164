"""The commands ``goodricke download ...``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn

import typer

from goodricke.cli.options import Flux, Quality, Reading, console, exit_with, option_group, read_options
from goodricke.data.exit_codes import ExitCode

if TYPE_CHECKING:
    from goodricke.download.archive import DataArchive
    from goodricke.download.transfer import Download

app = typer.Typer(
    no_args_is_help=True,
    help="Get light curves from archives, straight into packed shards. If interrupted, run the same command again.\n\n"
    "[bold]goodricke download kepler --quarter 9 --targets LIST --out FOLDER[/], then "
    "[bold]goodricke train[/], [bold]classify[/] or [bold]catalog[/] on the folder.",
)


class DownloadOptions(NamedTuple):
    """The options that all archives share."""

    targets: Path
    out: Path
    id_column: str | None
    reading: Reading
    rate: float | None
    connections: int | None
    attempts: int
    timeout: float | None
    per_shard: int | None
    keep_files: Path | None
    base_url: str | None


def parse_options(
    targets: Annotated[Path, typer.Option(help="Text with an id per line, or CSV", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder: new, or of a download to continue", show_default=False)],
    id_column: Annotated[
        str | None, typer.Option(help="Column with the ids, if not recognised", show_default=False)
    ] = None,
    flux: Flux = None,
    quality: Quality = "default",
    rate: Annotated[
        float | None, typer.Option(help="Requests per second  [default: 0.5 to 5]", show_default=False)
    ] = None,
    connections: Annotated[
        int | None, typer.Option(min=1, max=16, help="Connections at a time  [default: 2 to 4]", show_default=False)
    ] = None,
    attempts: Annotated[int, typer.Option(min=1, help="Attempts per file")] = 5,
    timeout: Annotated[
        float | None,
        typer.Option(help="Seconds without an answer before another attempt  [default: 60 to 300]", show_default=False),
    ] = None,
    per_shard: Annotated[int | None, typer.Option(min=1, help="Targets in a shard", show_default=False)] = None,
    keep_files: Annotated[Path | None, typer.Option(help="Keep the archive's files in this folder")] = None,
    base_url: Annotated[
        str | None, typer.Option(help="Address of a mirror that has the archive's own paths", show_default=False)
    ] = None,
) -> DownloadOptions:
    """Return the options that all archives share."""
    reading = read_options(quality, flux)
    return DownloadOptions(
        targets, out, id_column, reading, rate, connections, attempts, timeout, per_shard, keep_files, base_url
    )


download_options = option_group("options", parse_options)


@app.command()
@download_options
def tess(
    *,
    sector: Annotated[
        int | None,
        typer.Option(min=1, help="One sector  [default: those that the table of targets names]", show_default=False),
    ] = None,
    product: Annotated[str, typer.Option(help="qlp, tglc (full-frame images) or spoc (2 minutes)")] = "qlp",
    options: DownloadOptions,
) -> None:
    """TESS light curves of a sector, by TIC number, from MAST.

    Without --sector the targets are a CSV table with columns tic and sector, or with the names of QLP's files: each
    sector goes into a folder of its own (OUT/s0014), and the labels of all stars into OUT/_targets.csv.

    Exit code: 0 all were downloaded, 3 some were not (see _missing.csv), 2 wrong usage.
    """
    from goodricke.download.tess import Tess

    if sector is None:
        exit_with(_reporting_requests, _download_sectors, options, product)
    _run(Tess, options, product=product, sector=sector)


def _download_sectors(options: DownloadOptions, product: str) -> int:
    """Download every sector of a table of targets; return the exit code."""
    from goodricke.download.tess import Tess, read_sector_targets

    targets = read_sector_targets(options.targets, options.id_column)
    if targets.unrecognised:
        console().print(f"{targets.unrecognised:,} lines name no sector and TIC number: left out")
    code = ExitCode.DONE
    for sector, path in targets.write(options.out).items():
        console().print(f"Sector {sector}: {len(targets.rows[sector]):,} targets")
        archive = Tess(product=product, sector=sector, base_url=options.base_url)
        folder = options.out / f"s{sector:04d}"
        own = options._replace(targets=path, out=folder, id_column=None)
        code = max(code, ExitCode(_download(archive, own)))
    return code


@app.command()
@download_options
def kepler(
    *,
    quarter: Annotated[int, typer.Option(min=0, max=17, show_default=False)],
    cadence: Annotated[str, typer.Option(help="long (30 minutes) or short (1 minute)")] = "long",
    options: DownloadOptions,
) -> None:
    """Kepler light curves of a quarter, by KIC number, from MAST.

    Exit code: 0 all were downloaded, 3 some were not (see _missing.csv), 2 wrong usage.
    """
    from goodricke.download.kepler import Kepler

    _run(Kepler, options, quarter=quarter, cadence=cadence)


@app.command()
@download_options
def ztf(*, options: DownloadOptions) -> None:
    """ZTF detections by object name (ZTF18abbuksn), from the broker ALeRCE.

    Exit code: 0 all were downloaded, 3 some were not (see _missing.csv), 2 wrong usage.
    """
    from goodricke.download.ztf import Ztf

    _run(Ztf, options)


@app.command()
@download_options
def gaia(*, options: DownloadOptions) -> None:
    """Gaia DR3 epoch photometry by source id, a hundred in a request, from ESA.

    Exit code: 0 all were downloaded, 3 some were not (see _missing.csv), 2 wrong usage.
    """
    from goodricke.download.gaia import Gaia

    _run(Gaia, options)


def _run(archive: type[DataArchive], options: DownloadOptions, **settings: Any) -> NoReturn:
    """Download with a bar; errors that the user can fix are one line, without a traceback."""
    exit_with(_reporting_requests, lambda: _download(archive(**settings, base_url=options.base_url), options))


def _reporting_requests(download: Callable[..., int], *arguments: Any) -> int:
    """Run a download and return its exit code; a request that failed for good is one line on standard error."""
    from goodricke.download.http import RequestError
    from goodricke.download.transfer import ServerDownError

    try:
        return download(*arguments)
    except (RequestError, ServerDownError) as error:
        typer.echo(f"goodricke: {error}", err=True)
        return ExitCode.SOME_FAILED


def _download(archive: DataArchive, options: DownloadOptions) -> int:
    from goodricke.download.http import Client, RequestPolicy
    from goodricke.download.targets import read_targets
    from goodricke.download.transfer import Download
    from goodricke.io import ReadOptions

    rate = archive.RATE if options.rate is None else options.rate
    download = Download(
        archive,
        read_targets(options.targets, archive, options.id_column),
        options.out,
        Client(RequestPolicy(rate, options.attempts, options.timeout or archive.TIMEOUT)),
        ReadOptions(**options.reading),
        options.per_shard or archive.PER_SHARD,
        options.connections or archive.CONNECTIONS,
        options.keep_files,
    )
    manifest = _run_with_bar(download)
    _print_summary(download, manifest)
    return ExitCode.SOME_FAILED if manifest["missing"] else ExitCode.DONE


def _run_with_bar(download: Download) -> dict[str, Any]:
    """Run a download with a bar on the standard error; return the manifest."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(download.archive.NAME, total=len(download.targets.ids), rate="")

        def advance(targets: int) -> None:
            speed = progress.tasks[0].speed
            rate = f"{f'{speed:.1f}' if speed else '--'}/s, {download.client.bytes / 1e6:,.0f} MB"
            progress.update(bar, advance=targets, rate=rate)

        return download.run(advance)


def _print_summary(download: Download, manifest: dict[str, Any]) -> None:
    """Print how many targets were downloaded, and the reasons for the others."""
    from rich.table import Table

    from goodricke.download.archive import ABSENT, FAILED, NO_TARGET
    from goodricke.download.transfer import MISSING

    reasons = {
        ABSENT: "the archive has none",
        FAILED: "failed; the same command tries them again",
        NO_TARGET: "lines that name no target of this archive",
    }
    table = Table(show_header=False, box=None)
    table.add_row("light curves", f"{manifest['rows']:,}", f"of {manifest['targets']:,} targets")
    for kind, count in manifest["missing"].items():
        table.add_row(kind, f"{count:,}", reasons[kind])
    shards = f"in {len(manifest['shards'])} shards, {download.out}"
    table.add_row("on the disk", f"{manifest['bytes'] / 1e6:,.1f} MB", shards)
    table.add_row("this time", f"{download.client.bytes / 1e6:,.1f} MB", f"in {download.client.requests:,} requests")
    console().print(table)
    if manifest["missing"]:
        console().print(f"Targets without light curves, and why: {download.out / MISSING}", soft_wrap=True)
