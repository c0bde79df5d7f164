"""What a download shows: a bar with rate and time left, and what came of it."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from goodricke.download.archive import ABSENT, FAILED, NO_TARGET
from goodricke.download.run import MISSING, Download

MEANING = {
    ABSENT: "the archive has none",
    FAILED: "failed; the same command tries them again",
    NO_TARGET: "lines that name no target of this archive",
}


class _Rate(ProgressColumn):
    """Targets per second, and how much has come."""

    def __init__(self, download: Download) -> None:
        super().__init__()
        self._client = download.client

    def render(self, task: Task) -> Text:
        """Return the text."""
        speed = f"{task.speed:.1f}/s" if task.speed else "--/s"
        return Text(f"{speed}, {self._client.bytes / 1e6:,.0f} MB")


def show_progress(download: Download) -> dict[str, Any]:
    """Run a download with a bar on the standard error; return the manifest."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(download))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(download.archive.NAME, total=len(download.targets.ids))
        return download.run(lambda targets: progress.advance(bar, targets))


def summary(download: Download, manifest: dict[str, Any], console: Console | None = None) -> None:
    """Print how many targets were had, and what became of the others."""
    console = console or Console()
    table = Table(show_header=False, box=None)
    table.add_row("light curves", f"{manifest['rows']:,}", f"of {manifest['targets']:,} targets")
    for kind, count in manifest["missing"].items():
        table.add_row(kind, f"{count:,}", MEANING[kind])
    shards = f"in {len(manifest['shards'])} shards, {download.out}"
    table.add_row("on the disk", f"{manifest['bytes'] / 1e6:,.1f} MB", shards)
    table.add_row("this time", f"{download.client.bytes / 1e6:,.1f} MB", f"in {download.client.requests:,} requests")
    console.print(table)
    if manifest["missing"]:
        console.print(f"What could not be had, and why: {download.out / MISSING}", soft_wrap=True)
