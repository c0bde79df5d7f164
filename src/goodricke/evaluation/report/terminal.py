"""An assessment on the terminal, as tables, and in a folder, as metrics, figures and predictions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from goodricke.data.files import atomic_write
from goodricke.data.json import dumps
from goodricke.evaluation.assessment import Assessment, ModelResult
from goodricke.evaluation.calibration_scores import reliability
from goodricke.evaluation.figures.classes import (
    plot_confusion,
    plot_fold_confusion,
    plot_regression,
    plot_reliabilities,
)
from goodricke.evaluation.figures.early import plot_by_number, plot_early, plot_probability_history
from goodricke.evaluation.figures.style import COLOURS, figure_name
from goodricke.evaluation.page import Rows
from goodricke.evaluation.period_scores import period_rows
from goodricke.evaluation.regression import FIGURES
from goodricke.evaluation.sample import Sample
from goodricke.evaluation.survey_scores import leak_rows, survey_notes, survey_rows
from goodricke.inference import to_predictions

log = logging.getLogger("goodricke")

VALUE = 18  # characters of a column with a figure and its interval, in two lines
BY_SURVEY: tuple[tuple[str, int, str, Callable[[Any], Rows]], ...] = (  # key, columns that name a row, title, rows
    ("by_survey", 3, "each survey in its own labels", survey_rows),
    ("periods", 2, "fraction of periods that agree with the catalog's", period_rows),
    ("survey_leak", 1, "the survey guessed from the embedding", leak_rows),
)


def write_files(result: Assessment, folder: Path, history: Sequence[str] = ()) -> None:
    """Write metrics.json and figures into a folder, and each model's figures and predictions into one of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in result.models:
        _write_model(result, name, folder / figure_name(name).removesuffix(".png"), history)
    plot_by_number(_distinguishable(result.by_number), folder / "by_number.png")
    if result.early:
        plot_early(_distinguishable(result.early), folder / "early.png")
    if result.folds is not None:
        plot_fold_confusion(result.folds, folder / "fold_confusion.png")
    atomic_write(folder / "metrics.json", dumps(result, indent=2))


def _distinguishable(curves: Mapping[str, Any]) -> dict[str, Any]:
    """Return the curves of as many models as a figure can tell apart."""
    if len(curves) > len(COLOURS):
        log.warning("figures show the first %d of %d models; metrics.json has all", len(COLOURS), len(curves))
    return dict(list(curves.items())[: len(COLOURS)])


def _write_model(result: Assessment, name: str, folder: Path, history: Sequence[str]) -> None:
    """Write predictions and figures of one model."""
    x, sample, rows = result.models[name], result.sample, result.rows
    folder.mkdir(parents=True, exist_ok=True)
    scored = np.isin(np.arange(len(sample.label)), rows)
    objects = sample.curves.with_columns(label=sample.label.astype(str).tolist(), scored=scored).objects
    table = to_predictions(x.model, x.prepared, x.output, x.status, objects)
    table.write(folder / "predictions.parquet")
    plot_confusion(result.scores[name], folder / "confusion.png")
    plot_reliabilities({name: reliability(result.probabilities[name], result.label)}, folder / "reliability.png")
    for target in x.model.config.targets:
        if target.name in result.regression[name]:
            truth, value = sample.targets[target.name][rows], x.output.parameters[target.name][rows]
            plot_regression(truth, value, folder / f"regression_{figure_name(target.name)}", target.name, target.unit)
    for object_id in history if x.steps is not None else ():
        _draw_history(x, sample, object_id, folder)


def _draw_history(result: ModelResult, sample: Sample, object_id: str, folder: Path) -> None:
    """Draw an object's probabilities observation by observation."""
    row = sample.curves.ids.index(object_id)
    if result.steps is None or not result.ok[row]:
        log.warning("%s: no history, it is not classified (%s)", object_id, result.status[row])
        return
    time, p, _ = result.steps.select(np.array([row]))
    truth = str(sample.label[row])
    path = folder / f"history_{figure_name(object_id)}"
    classes = result.model.classes
    plot_probability_history(time, p, classes, path, sample.curves[row], truth if truth in classes else None)


def print_assessment(result: Assessment, console: Console) -> None:
    """Print the number of scored objects, the scores of each model, and the comparison of the models."""
    n, m = len(result.sample.label), len(result.rows)
    console.print(f"{m:,} of {n:,} objects scored: {result.sample.origin}", markup=False)
    for warning in result.warnings:
        console.print(warning, style="bold red", markup=False)
    for name in result.models:
        _print_model(result, name, console)
    _print_comparison(result, console)


def _print_model(result: Assessment, name: str, console: Console) -> None:
    """Print the objects that a model could not be scored on, and its scores."""
    x = result.models[name]
    if x.training_objects is None and result.sample.held_out:
        console.print(f"{name} has no split.csv beside it: make sure that it was not trained on these objects")
    for note in result.unscored_notes(name):
        console.print(note, style="yellow", markup=False)
    table = result.scores[name].table()
    table.title = escape(f"{name} ({x.model.hash}): ") + str(table.title)
    console.print(table)
    _print_taxonomy(result, name, console)
    print_by_survey(result.survey_records(name), name, console)
    for target in x.model.config.targets:
        if target.name in result.regression[name]:
            console.print(result.regression[name][target.name].table(f"{name}, {target.name}", target.unit))


def _print_taxonomy(result: Assessment, name: str, console: Console) -> None:
    """Print the scores of a model with a taxonomy by label and by node, and whether class and period agree."""
    if name not in result.nodes:
        return
    labels = Table(title=escape(f"{name}: right are answers in the label's set of leaves"))
    for column in ("label", "means", "n", "right", "p", "else"):
        labels.add_column(column, justify="right" if column in ("n", "right", "p") else "left")
    for x in result.by_label[name]:
        cells = (x.label, x.meaning, f"{x.n:,}", str(x.right), f"{x.probability:.3f}", x.confused_with)
        labels.add_row(*map(Text, cells))
    nodes = Table(title=escape(f"{name}: nodes and leaves with a probability of at least 1/2"))
    for column in ("node", "n", "completeness", "purity"):
        nodes.add_column(column, justify="left" if column == "node" else "right")
    for y in result.nodes[name]:
        nodes.add_row(*map(Text, (y.name, f"{y.n:,}", str(y.completeness), str(y.purity))))
    console.print(labels)
    console.print(nodes)
    if name in result.physics:
        check = result.physics[name]
        console.print(f"{name}: {check}", style=None if check.is_met else "bold red", markup=False)


def text_tables(title: str, rows: Rows, names: int, width: int) -> Iterator[Table]:
    """Yield rows of text with the same keys, at least one, as tables that fit a terminal.

    Parameters
    ----------
    title : str
    rows : list of dict
    names : int
        First columns, which name the row; each table has them.
    width : int
        Of the terminal, in characters.
    """
    keys, values = list(rows[0])[:names], list(rows[0])[names:]
    longest = sum(max(len(str(row[key])) for row in [*rows, {key: key for key in keys}]) + 3 for key in keys)
    together = max((width - longest - 1) // VALUE, 1)
    for first in range(0, len(values), together):
        table = Table(title=escape(title) if not first else None)
        for k, name in enumerate([*keys, *(part := values[first : first + together])]):
            table.add_column(escape(name), justify="right" if k else "left", no_wrap=not k)
        for row in rows:
            table.add_row(*(Text(str(row[name])) for name in (*keys, *part)))
        yield table


def print_by_survey(records: Mapping[str, Any], name: str, console: Console) -> None:
    """Print the scores of surveys and of periods that `Assessment.survey_records` returned, or `metrics.json` has."""
    for key, names, title, make in BY_SURVEY:
        if records.get(key):
            for table in text_tables(f"{name}: {title}", make(records[key]), names, console.width):
                console.print(table)
    for note in survey_notes(records.get("by_survey", ())):
        console.print(note, markup=False)


def _print_comparison(result: Assessment, console: Console) -> None:
    """Print the difference of two models, or the spread of several."""
    if (c := result.comparison) is not None:
        first, second = result.models
        console.print(
            f"{second} minus {first}: accuracy {c.accuracy}, macro F1 {c.macro_f1} (95 % intervals). Only {second} is "
            f"right {c.only_b:,} times, only {first} {c.only_a:,} times; McNemar's p = {c.p_value:.2g}",
            markup=False,
        )
    if result.folds is not None:
        console.print(result.folds.table())
    for target, figures in result.regression_folds.items():
        text = ", ".join(f"{FIGURES[name]} {quartiles}" for name, quartiles in figures.items())
        console.print(f"{target}: {text}, median (25th-75th percentile)", markup=False)
