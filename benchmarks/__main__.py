"""Run the benchmarks: ``python -m benchmarks``."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks import multiband
from benchmarks.timing import machine


def show(title: str, figures: dict[str, Any], console: Console) -> None:
    """Print figures as a table."""
    table = Table(title=title, title_justify="left", show_header=False)
    for name, value in figures.items():
        table.add_row(escape(name), f"{value:,.3g}" if isinstance(value, float) else str(value))
    console.print(table)


def main(
    tiny: Annotated[bool, typer.Option("--tiny", help="Toy sizes, to see that it runs")] = False,
    threads: Annotated[int, typer.Option(help="Threads of PyTorch")] = 1,
    out: Annotated[Path, typer.Option(help="Folder for the results")] = Path("results"),
) -> None:
    """Measure goodricke's speed as ratios; close other programs first."""
    torch.set_num_threads(threads)
    console = Console()
    results = {"machine": machine()} | multiband.run(tiny)
    for title, figures in results.items():
        show(title, figures, console)
    out.mkdir(parents=True, exist_ok=True)
    path = out / time.strftime("%Y-%m-%dT%H%M%S.json")
    path.write_text(json.dumps(results, indent=2))
    console.print(f"Written to {path}")


if __name__ == "__main__":
    typer.run(main)
