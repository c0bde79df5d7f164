"""The commands ``goodricke download ...``: parse, call, print."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from goodricke.cli.options import Flux, Quality, error_message
from goodricke.data.exit_codes import ExitCode

if TYPE_CHECKING:
    from goodricke.download.archive import Archive

app = typer.Typer(
    no_args_is_help=True,
    help="Get light curves from archives, straight into packed shards. Broken off, the same command goes on.\n\n"
    "[bold]goodricke download kepler --quarter 9 --targets LIST --out FOLDER[/], then "
    "[bold]goodricke train[/], [bold]classify[/] or [bold]catalog[/] on the folder.",
)

Listed = Annotated[Path, typer.Option("--targets", help="Text with an id per line, or CSV", show_default=False)]
Out = Annotated[Path, typer.Option(help="Folder: new, or of a download to go on with", show_default=False)]
IdColumn = Annotated[str | None, typer.Option(help="Column with the ids, if not recognised", show_default=False)]
Rate = Annotated[float | None, typer.Option(help="Requests per second  [default: 0.5 to 5]", show_default=False)]
Connections = Annotated[int, typer.Option(min=1, max=16, help="At once")]
Attempts = Annotated[int, typer.Option(min=1, help="To get one thing")]
Timeout = Annotated[float, typer.Option(help="Seconds without an answer before another attempt")]
PerShard = Annotated[int | None, typer.Option(min=1, help="Targets in a shard", show_default=False)]
Keep = Annotated[Path | None, typer.Option("--keep-files", help="Keep the archive's files in this folder")]
BaseUrl = Annotated[str | None, typer.Option(help="Of a mirror with the archive's own paths", show_default=False)]


@app.command()
def tess(
    targets: Listed,
    out: Out,
    sector: Annotated[int, typer.Option(min=1, show_default=False)],
    product: Annotated[str, typer.Option(help="qlp, tglc (full-frame images) or spoc (2 minutes)")] = "qlp",
    id_column: IdColumn = None,
    flux: Flux = None,
    quality: Quality = "default",
    rate: Rate = None,
    connections: Connections = 4,
    attempts: Attempts = 5,
    timeout: Timeout = 60.0,
    per_shard: PerShard = None,
    keep_files: Keep = None,
    base_url: BaseUrl = None,
) -> None:
    """TESS light curves of a sector, by TIC number, from MAST.

    Exit code: 0 all were had, 3 some were not (see _missing.csv), 2 wrong usage.
    """

    def archive() -> Archive:
        from goodricke.download.tess import Tess

        return Tess(product, sector, base_url=base_url)

    reading = {"flux": flux, "quality": quality}
    _run(archive, targets, out, id_column, reading, rate, connections, attempts, timeout, per_shard, keep_files)


@app.command()
def kepler(
    targets: Listed,
    out: Out,
    quarter: Annotated[int, typer.Option(min=0, max=17, show_default=False)],
    cadence: Annotated[str, typer.Option(help="long (30 minutes) or short (1 minute)")] = "long",
    id_column: IdColumn = None,
    flux: Flux = None,
    quality: Quality = "default",
    rate: Rate = None,
    connections: Connections = 4,
    attempts: Attempts = 5,
    timeout: Timeout = 60.0,
    per_shard: PerShard = None,
    keep_files: Keep = None,
    base_url: BaseUrl = None,
) -> None:
    """Kepler light curves of a quarter, by KIC number, from MAST.

    Exit code: 0 all were had, 3 some were not (see _missing.csv), 2 wrong usage.
    """

    def archive() -> Archive:
        from goodricke.download.kepler import Kepler

        return Kepler(quarter, cadence, base_url=base_url)

    reading = {"flux": flux, "quality": quality}
    _run(archive, targets, out, id_column, reading, rate, connections, attempts, timeout, per_shard, keep_files)


@app.command()
def ztf(
    targets: Listed,
    out: Out,
    id_column: IdColumn = None,
    flux: Flux = None,
    quality: Quality = "default",
    rate: Rate = None,
    connections: Connections = 2,
    attempts: Attempts = 5,
    timeout: Timeout = 60.0,
    per_shard: PerShard = None,
    keep_files: Keep = None,
    base_url: BaseUrl = None,
) -> None:
    """ZTF detections by object name (ZTF18abbuksn), from the broker ALeRCE.

    Exit code: 0 all were had, 3 some were not (see _missing.csv), 2 wrong usage.
    """

    def archive() -> Archive:
        from goodricke.download.ztf import Ztf

        return Ztf(base_url=base_url)

    reading = {"flux": flux, "quality": quality}
    _run(archive, targets, out, id_column, reading, rate, connections, attempts, timeout, per_shard, keep_files)


@app.command()
def gaia(
    targets: Listed,
    out: Out,
    id_column: IdColumn = None,
    flux: Flux = None,
    quality: Quality = "default",
    rate: Rate = None,
    connections: Connections = 2,
    attempts: Attempts = 5,
    timeout: Timeout = 300.0,
    per_shard: PerShard = None,
    keep_files: Keep = None,
    base_url: BaseUrl = None,
) -> None:
    """Gaia DR3 epoch photometry by source id, a hundred in a request, from ESA.

    Exit code: 0 all were had, 3 some were not (see _missing.csv), 2 wrong usage.
    """

    def archive() -> Archive:
        from goodricke.download.gaia import Gaia

        return Gaia(base_url=base_url)

    reading = {"flux": flux, "quality": quality}
    _run(archive, targets, out, id_column, reading, rate, connections, attempts, timeout, per_shard, keep_files)


def _run(
    archive: Callable[[], Archive],
    listed: Path,
    out: Path,
    id_column: str | None,
    reading: dict[str, Any],
    rate: float | None,
    connections: int,
    attempts: int,
    timeout: float,
    per_shard: int | None,
    keep: Path | None,
) -> None:
    """Download, with a bar; what the user can fix is told in a line, without a traceback."""
    from goodricke.download.http import Client, Failed, Manners
    from goodricke.download.run import Down, Download, show_progress, summary
    from goodricke.download.targets import read_targets
    from goodricke.io import ReadOptions

    try:
        source = archive()
        wanted = read_targets(listed, source, id_column)
        client = Client(Manners(rate or source.RATE, attempts, timeout))
        size = per_shard or source.PER_SHARD
        download = Download(source, wanted, out, client, ReadOptions(**reading), size, connections, keep)
        manifest = show_progress(download)
        summary(download, manifest)
    except (ValueError, OSError, RuntimeError) as error:
        down = isinstance(error, Down | Failed)
        if logging.getLogger("goodricke").isEnabledFor(logging.INFO) and not down:
            raise
        print(f"goodricke: {error_message(error)}", file=sys.stderr)
        raise typer.Exit(ExitCode.SOME_FAILED if down else ExitCode.USAGE) from None
    raise typer.Exit(ExitCode.SOME_FAILED if manifest["missing"] else ExitCode.DONE)
