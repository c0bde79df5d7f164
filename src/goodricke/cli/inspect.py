"""The command ``goodricke inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from goodricke.cli.options import Reading, Sources, exit_with, reading_options


@reading_options
def inspect(
    sources: Sources,
    plot: Annotated[Path | None, typer.Option(help="Write a PNG per light curve into this folder")] = None,
    *,
    reading: Reading,
) -> None:
    """Show what is recognised in files: mission, columns, cadence, gaps, faults, and a small plot."""
    from goodricke.cli.file_report import report_files

    exit_with(report_files, sources, plot=plot, **reading)
