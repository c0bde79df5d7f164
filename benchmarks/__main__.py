"""Run the benchmarks: ``python -m benchmarks``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from benchmarks import (
    alerts,
    astrafier,
    catalog,
    explorer,
    gpu,
    growth,
    multiband,
    onnx,
    reading,
    similar,
    simulate,
    soak,
    variables,
)
from benchmarks.timing import machine

BENCHMARKS: dict[str, Callable[[bool], dict[str, dict[str, Any]]]] = {
    "multiband": multiband.run,
    "forward": astrafier.forward,
    "passes": astrafier.passes,
    "training": astrafier.training,
    "workers": astrafier.workers,
    "preprocessing": reading.preprocessing,
    "reading": reading.files,
    "onnx": onnx.run,
    "growth": growth.run,
    "packing": catalog.packing,
    "catalog": catalog.growth,
    "cluster": catalog.cluster,
    "decoding": alerts.decoding,
    "engine": alerts.engine,
    "stream": alerts.stream,
    "similar": similar.run,
    "explorer": explorer.run,
    "simulating": simulate.dense,
    "variables": variables.run,
    "gpu": gpu.run,
    "soak": soak.run,
}
ON_REQUEST = ("soak",)  # run only if named with --only
RESULTS = Path(__file__).parent / "results"


def markdown(name: str, benchmark: Callable[[bool], Any], figures: dict[str, dict[str, Any]]) -> str:
    """Return a benchmark's figures as Markdown: a row per case, a table per kind of row."""
    text = f"## {name}\n\n{benchmark.__doc__}\n"
    for columns, cases in groupby(figures, lambda case: tuple(figures[case])):
        text += "\n| |" + "".join(f" {c} |" for c in columns) + "\n|---|" + "---:|" * len(columns) + "\n"
        for case in cases:
            text += f"| {case} |" + "".join(f" {as_text(x)} |" for x in figures[case].values()) + "\n"
    return text


def as_text(value: Any) -> str:
    """Return a figure with three digits, a range as two of them."""
    if isinstance(value, list):
        return " - ".join(as_text(x) for x in value)
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main(
    tiny: Annotated[bool, typer.Option("--tiny", help="Toy sizes, to see that it runs")] = False,
    only: Annotated[list[str], typer.Option(help=f"One of {', '.join(BENCHMARKS)}; may be repeated")] = [],  # noqa: B006
    threads: Annotated[int, typer.Option(help="Threads of PyTorch")] = 1,
    minutes: Annotated[float, typer.Option(help="Of the soak, which is only run if named")] = 60.0,
    stars: Annotated[int, typer.Option(help="Whose periods are compared with brute force")] = variables.STARS,
    out: Annotated[Path | None, typer.Option(help="Folder for the results  [default: benchmarks/results]")] = None,
) -> None:
    """Measure goodricke's speed as ratios; close other programs first."""
    unknown = set(only) - set(BENCHMARKS)
    if unknown:
        raise typer.BadParameter(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    torch.set_num_threads(threads)
    results: dict[str, Any] = {"machine": machine()}
    text = "# Benchmarks\n\n| | |\n|---|---|\n" + "".join(f"| {k} | {v} |\n" for k, v in results["machine"].items())
    print(text)
    folder = out or (None if tiny else RESULTS)
    path = folder and folder / time.strftime("%Y-%m-%dT%H%M%S")
    for name in only or [name for name in BENCHMARKS if name not in ON_REQUEST]:
        if name == "soak":
            results[name] = soak.run(tiny, minutes, folder=out)
        else:
            results[name] = variables.run(tiny, stars) if name == "variables" else BENCHMARKS[name](tiny)
        part = markdown(name, BENCHMARKS[name], results[name])
        print(part)
        text += "\n" + part
        if path is not None:  # after each benchmark: all of them take an hour
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".json").write_text(json.dumps(results, indent=2) + "\n")
            path.with_suffix(".md").write_text(text)
    if path is not None:
        print(f"Written to {path}.json and {path}.md")


if __name__ == "__main__":
    typer.run(main)
