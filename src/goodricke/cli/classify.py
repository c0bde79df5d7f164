"""What the command line does between reading and printing: files in, predictions and figures out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from goodricke.data import formats
from goodricke.data.lightcurves import LightCurves
from goodricke.data.predictions import MEANING, Predictions, Status
from goodricke.inference import classify
from goodricke.io import Unreadable, read, read_batches
from goodricke.models.bundle import BundleConfig, Model, Precision, load_model, read_config, shipped_models
from goodricke.preprocess import MultibandConfig
from goodricke.survey.catalog import (
    join_predictions,
    refused,
    warn_of_other_data,
    warn_of_several_bands,
    warn_of_unknown_bands,
    wrong_unit,
)
from goodricke.uncertainty.prediction_sets import COVERAGE, Coverage

log = logging.getLogger("goodricke")

DEMO_MODEL = "asas-v"
DONE, SOME_FAILED = 0, 3
WIDE = 100  # columns of a terminal with room for everything
SHOWN = 25  # rows of the table on the terminal
NOVEL = 0.99  # novelty from which on an object is pointed out: one in a hundred objects of known classes


def classify_files(
    sources: Sequence[str],
    model: str,
    out: Path | None = None,
    plot: Path | None = None,
    passes: int = 20,
    seed: int = 0,
    device: str = "cpu",
    workers: int = 1,
    options: dict[str, Any] | None = None,
    strict: bool = False,
    precision: Precision = "auto",
    coverage: Coverage = COVERAGE,
    console: Console | None = None,
) -> int:
    """Classify all light curves in files, batch by batch; print a table and write what is asked for.

    Parameters
    ----------
    sources : list of str
        Whatever `goodricke.io.find` takes.
    model : str
    out : Path, optional
        File for the predictions; its suffix names the format.
    plot : Path, optional
        Folder for a figure per object.
    passes, seed, device, workers
        See `goodricke.classify`.
    options : dict, optional
        Of the readers, see `goodricke.io.ReadOptions`.
    strict : bool
        Raise ValueError at bands that a multi-band model doesn't know.
    precision : {"auto", "float32", "bfloat16"}
        See `goodricke.models.bundle.Model`.
    coverage : Coverage
        What is promised of the prediction sets.

    Returns
    -------
    int
        0 if every light curve was classified, 3 if some were not.
    """
    console = console or Console()
    if out is not None:
        formats.check(out)
    if plot is not None:
        plot.mkdir(parents=True, exist_ok=True)
    loaded = load_model(model, device, precision=precision)
    parts: list[Predictions] = []
    unread: list[Unreadable] = []
    drawn: set[Path] = set()
    told: set[str] = set()  # units and bands that were judged
    columns = (SpinnerColumn(), TextColumn("{task.completed:,} light curves"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=None)
        for curves, failures in read_batches(list(sources), **(options or {})):
            for failure in failures:
                log.warning("%s", failure)
            unread += failures
            if curves is None:
                continue
            if why := wrong_unit(curves, loaded):
                log.warning("%s", why)
                parts.append(refused(curves, loaded, passes))
                progress.advance(bar, len(curves))
                continue
            if curves.unit not in told:
                warn_of_other_data(curves.unit, loaded.config)
            new = [band for band in curves.bands if band not in told]
            warn_of_unknown_bands(new, loaded.config)
            if new and curves.has_several_bands.any():
                warn_of_several_bands(curves.bands, loaded.config)
            told.update([curves.unit, *new])
            if strict and isinstance(loaded.preprocessing, MultibandConfig):
                loaded.preprocessing.refuse_unknown_bands(curves)
            parts.append(classify(curves, loaded, passes, seed, workers, lambda n: progress.advance(bar, n), coverage))
            if plot is not None:
                _plot(curves, parts[-1], plot, drawn)
    result = join_predictions(parts, unread, loaded)
    _report(result, loaded, console)
    if out is not None:
        result.write(out)
        console.print(f"{len(result):,} rows written to {out}")
    return DONE if result.ok.all() else SOME_FAILED


def _plot(curves: LightCurves, predictions: Predictions, folder: Path, drawn: set[Path]) -> None:
    """Draw a figure per light curve; the same star a second time gets a number, and no failure stops the others."""
    from goodricke.evaluation.figures.classes import figure_name, plot_object

    for i, name in enumerate(curves.ids):
        path = first = folder / figure_name(name)
        count = 1
        while path in drawn:
            count += 1
            path = first.with_stem(f"{first.stem}_{count}")
        drawn.add(path)
        try:
            plot_object(curves[i], Predictions(predictions.table.slice(i, 1), predictions.classes), path)
        except Exception as error:  # a picture is not worth the run
            log.warning("%s: no figure (%s: %s)", name, type(error).__name__, error)


def _report(predictions: Predictions, model: Model, console: Console) -> None:
    """Print a table of the first rows, and counts of classes and failures."""
    table = Table(title=f"{model.name} ({model.hash})", title_justify="left")
    sets, novelty, periods = (_optional(predictions, name) for name in ("prediction_set", "novelty", "fold_period"))
    table.add_column("object")
    table.add_column("class")
    table.add_column("probability", justify="right", no_wrap=True)
    drawn = console.width >= WIDE or not periods
    if drawn:
        table.add_column("")
    table.add_column("next", justify="left", style="dim")
    if sets:
        table.add_column("or", justify="left", style="dim")
    if periods:
        table.add_column("P \\[d]", justify="right", style="dim")
    table.add_column("obs", justify="right", style="dim")
    spread = predictions.spread if "std_" + predictions.classes[0] in predictions.table.column_names else None
    p = predictions.probabilities
    ids, status, n_obs = (predictions.table[c].to_pylist() for c in ("object_id", "status", "n_obs"))
    for i in range(min(len(predictions), SHOWN)):
        if status[i] != Status.OK:
            more = [""] * (bool(sets) + bool(periods))
            why = MEANING.get(status[i], "")
            table.add_row(ids[i], f"[red]{status[i]}[/]", "", *[""] * drawn, why, *more, str(n_obs[i]))
            continue
        first, second = np.argsort(-p[i])[:2]
        error = "" if spread is None else f" ± {spread[i, first]:.2f}"
        bar = ["█" * round(10 * float(p[i, first]))] * drawn
        runner_up = f"{predictions.classes[second]} {p[i, second]:.2f}"
        name = predictions.classes[first] + (" [yellow]new?[/]" if novelty and novelty[i] > NOVEL else "")
        more = [" ".join(c for c in sets[i] if c != predictions.classes[first])] if sets else []
        more += [f"{periods[i]:.5g}"] if periods else []
        table.add_row(ids[i], name, f"{p[i, first]:.2f}{error}", *bar, runner_up, *more, str(n_obs[i]))
    console.print(table)
    if len(predictions) > SHOWN:
        console.print(f"... and {len(predictions) - SHOWN:,} more rows (all of them with --out)")
    counts = {str(k): int(v) for k, v in zip(*np.unique(predictions.column("status"), return_counts=True), strict=True)}
    classes = predictions.column("class")[predictions.ok].astype(str)
    found = ", ".join(f"{k} {v:,}" for k, v in zip(*np.unique(classes, return_counts=True), strict=True))
    console.print(f"{counts.get('OK', 0):,} of {len(predictions):,} classified" + (f": {found}" if found else ""))
    if sets and found:
        about = predictions.table.schema.field("prediction_set").metadata[b"description"].decode()
        console.print(f"[dim]or: {about[0].lower()}{about[1:]}[/]")
    if new := sum(x is not None and x > NOVEL for x in novelty):
        console.print(
            f"[yellow]{new:,} new?[/]: less like the training set than {NOVEL:.0%} of the objects that the model was "
            "checked with; its probabilities say nothing of classes that it doesn't know"
        )
    for name, count in counts.items():
        if name != Status.OK:
            console.print(f"[red]{count:,} {name}[/]: {MEANING[Status(name)]}")


def _optional(predictions: Predictions, name: str) -> list[Any]:
    """Return a column as a list, an empty one if there is none."""
    return predictions.table[name].to_pylist() if name in predictions.table.column_names else []


def run_demo(out: Path | None = None, plot: Path | None = None, console: Console | None = None) -> int:
    """Classify the light curves that come with the package; see `classify_files` for parameters and return."""
    console = console or Console()
    code = classify_files(demo_files(), DEMO_MODEL, out, plot, console=console)
    console.print(
        "Known before: 217801, 232798, 247327 are Miras, 243412 and 257141 contact binaries (EC). 224635 and 235913 are"
        " classical Cepheids, a class that this model does not know: it answers all the same."
    )
    if plot is not None:
        from goodricke.evaluation.figures.classes import plot_overview

        stars = read(demo_files())
        plot_overview(stars, classify(stars, DEMO_MODEL), plot / "overview.png")
        console.print(f"Figures written to {plot}")
    return code


def demo_files() -> list[str]:
    """Return the light curves that come with the package."""
    folder = Path(str(files("goodricke").joinpath("data", "examples", "asas")))
    return sorted(str(path) for path in folder.glob("*.csv"))


def table_of_models() -> Table:
    """Return a table of the shipped models with their scores on held-out stars."""
    table = Table(title="Models that come with goodricke", title_justify="left")
    for name in ("model", "classes", "trained on", "accuracy", "macro F1", "best forest"):
        table.add_column(name)
    for name in shipped_models():
        config = read_config(name)
        best = config.metrics.get("monte_carlo", config.metrics.get("deterministic", {}))
        forests = [v for k, v in config.metrics.items() if "forest" in k and "accuracy" in v]
        forest: dict[str, Any] = max(forests, key=lambda scores: scores["accuracy"]["value"], default={})
        source = f"[bold red]simulations[/] ({config.trained_on})" if config.simulated else config.trained_on
        figures = (_figure(best.get("accuracy")), _figure(best.get("macro_f1")), _figure(forest.get("accuracy")))
        table.add_row(name, " ".join(config.classes), source, *figures)
    return table


def _figure(value: Any) -> str:
    """Return a score, its interval on a second line."""
    if isinstance(value, dict):
        return f"{value['value']:.3f}\n{value['low']:.3f}-{value['high']:.3f}"
    return "" if value is None else f"{value:.3f}"


def import_checkpoint(checkpoint: Path, out: Path, name: str) -> Model:
    """Make a bundle of a published ASTRAFier checkpoint; see `goodricke.models.published`."""
    from goodricke.models.published import load_published, published_classes
    from goodricke.preprocess.dense import published

    network = load_published(checkpoint)
    config = BundleConfig(
        name=name,
        summary="Published ASTRAFier weights, run as the published code runs them",
        classes=tuple(published_classes()),
        network=network.config.model_dump(),
        preprocessing=published(),
        trained_on="Kepler and TESS (published weights)",
    )
    return Model(config, network).save(out, _IMPORTED.format(name=name, checkpoint=checkpoint.name), half=False)


_IMPORTED = """# {name}

Imported from `{checkpoint}`, a checkpoint in the format of the published ASTRAFier code (Gregory et al.). The network
runs with `compat="published"`: it repeats the published code's behaviour, including where that departs from the paper,
and pads every light curve to 1,171 points as the weights were trained. Accuracy: see the paper; nothing was measured
here.
"""
