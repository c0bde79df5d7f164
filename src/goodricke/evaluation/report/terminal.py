"""The report on an assessment: tables on the terminal, figures and metrics in a folder."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.markup import escape

from goodricke.data.predictions import MEANING, Status
from goodricke.evaluation.figures.classes import plot_confusion, plot_fold_confusion, plot_reliability
from goodricke.evaluation.figures.early import plot_by_number, plot_early, plot_probability_history
from goodricke.evaluation.figures.regression import plot_regression
from goodricke.evaluation.figures.style import COLOURS, figure_name
from goodricke.evaluation.regression import FIGURES
from goodricke.inference import predictions

if TYPE_CHECKING:
    from goodricke.evaluation.assess import Answered, Assessment
    from goodricke.evaluation.sample import Sample

log = logging.getLogger("goodricke")


def write(result: Assessment, folder: Path, history: Sequence[str] = ()) -> None:
    """Write metrics.json and figures into a folder, and each model's figures and predictions into one of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in result.answered:
        _write_model(result, name, folder / file_name(name), history)
    plot_by_number(_drawn(result.by_number), folder / "by_number.png")
    if result.early:
        plot_early(_drawn(result.early), folder / "early.png")
    if result.folds is not None:
        plot_fold_confusion(result.folds, folder / "fold_confusion.png")
    (folder / "metrics.json").write_text(json.dumps(result.to_dict(), indent=2))


def file_name(name: str) -> str:
    """Return a name that can be one of a file or folder.

    Examples
    --------
    >>> file_name("asas-v")
    'asas-v'
    """
    return figure_name(name).removesuffix(".png")


def _drawn(curves: Mapping[str, Any]) -> dict[str, Any]:
    """Return the curves of as many models as a figure can tell apart."""
    if len(curves) > len(COLOURS):
        log.warning("figures show the first %d of %d models; metrics.json has all", len(COLOURS), len(curves))
    return dict(list(curves.items())[: len(COLOURS)])


def _write_model(result: Assessment, name: str, folder: Path, history: Sequence[str]) -> None:
    """Write predictions and figures of one model."""
    told, sample, rows = result.answered[name], result.sample, result.rows
    folder.mkdir(parents=True, exist_ok=True)
    scored = np.isin(np.arange(len(sample.label)), rows)
    objects = sample.curves.with_columns(label=sample.label.astype(str).tolist(), scored=scored).objects
    table = predictions(told.model, told.prepared, told.answers, told.status, objects)
    table.write(folder / "predictions.parquet")
    plot_confusion(result.scores[name], folder / "confusion.png")
    plot_reliability(result.label, result.probabilities[name], folder / "reliability.png")
    for target in told.model.config.targets:
        if target.name in result.regression[name]:
            truth, value = sample.targets[target.name][rows], told.answers.parameters[target.name][rows]
            plot_regression(truth, value, folder / f"regression_{figure_name(target.name)}", target.name, target.unit)
    for object_id in history if told.each_step is not None else ():
        _draw_history(told, sample, object_id, folder)


def _draw_history(told: Answered, sample: Sample, object_id: str, folder: Path) -> None:
    """Draw an object's probabilities observation by observation."""
    row = sample.curves.ids.index(object_id)
    if told.each_step is None or not told.ok[row]:
        log.warning("%s: no history, it has no answer (%s)", object_id, told.status[row])
        return
    time, p, _ = told.each_step.of(np.array([row]))
    truth = str(sample.label[row])
    path = folder / f"history_{figure_name(object_id)}"
    known = truth in told.model.classes
    plot_probability_history(time, p, told.model.classes, path, sample.curves[row], truth if known else None)


def tell(result: Assessment, console: Console) -> None:
    """Print which objects were scored, the scores of each model, and how models compare."""
    n, m = len(result.sample.label), len(result.rows)
    console.print(f"{m:,} of {n:,} objects scored: {result.sample.origin}", markup=False)
    if not result.sample.held_out:
        console.print(
            "Training objects may be among them: what a model says of objects that it was trained on tells nothing "
            "of new ones. Give --recipe, or --split with the run's split.csv.",
            style="bold red",
        )
    for name in result.answered:
        _tell_model(result, name, console)
    _tell_comparison(result, console)


def _tell_model(result: Assessment, name: str, console: Console) -> None:
    """Print what was left out for a model, and its scores."""
    told = result.answered[name]
    _tell_training(name, told, result.sample, console)
    if unknown := result.unknown_labels(name):
        listed = ", ".join(f"{label} ({count:,})" for label, count in unknown.items())
        console.print(f"{name} has no class for these, left out: {listed}", style="yellow", markup=False)
    for status, count in result.without_answer(name).items():
        console.print(f"{name}: {count:,} {status}: {MEANING[Status(status)]}; not scored", style="red", markup=False)
    table = result.scores[name].table()
    table.title = escape(f"{name} ({told.model.hash}): ") + str(table.title)
    console.print(table)
    for target in told.model.config.targets:
        if target.name in result.regression[name]:
            console.print(result.regression[name][target.name].table(f"{name}, {target.name}", target.unit))


def _tell_training(name: str, told: Answered, sample: Sample, console: Console) -> None:
    """Print whether a model was trained on some of the objects, as far as the split beside it tells."""
    if told.trained_on:
        console.print(
            f"{name} was trained on {told.trained_on:,} of these {len(told.status):,} objects, or validated (split.csv "
            "beside the model): its scores are too good.",
            style="bold red",
            markup=False,
        )
    elif told.trained_on is None and sample.held_out:
        console.print(f"{name} has no split.csv beside it: whether it was trained on others is for you to know")


def _tell_comparison(result: Assessment, console: Console) -> None:
    """Print how two models differ, or several vary."""
    if (c := result.comparison) is not None:
        first, second = result.answered
        console.print(
            f"{second} less {first}: accuracy {c.accuracy}, macro F1 {c.macro_f1} (95 % intervals). Only {second} is "
            f"right {c.only_b:,} times, only {first} {c.only_a:,} times; McNemar's p = {c.p_value:.2g}",
            markup=False,
        )
    if result.folds is not None:
        console.print(result.folds.table())
    for target, figures in result.regression_folds.items():
        told = ", ".join(f"{FIGURES[name]} {quartiles}" for name, quartiles in figures.items())
        console.print(f"{target}: {told}, median (25th-75th percentile)", markup=False)
