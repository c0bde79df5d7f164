"""Tables on the terminal: predictions, and the models that come with the package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from goodricke.data.predictions import MEANING, Predictions, Status
from goodricke.models.bundle import read_config
from goodricke.models.hub import shipped_models

WIDE = 100  # columns of a terminal with room for bars beside periods
SHOWN = 25  # rows of the table
NOVEL = 0.99  # novelty above which an object is pointed out: one in a hundred objects of known classes


def print_predictions(predictions: Predictions, title: str, console: Console) -> None:
    """Print a table of the first rows, and counts of classes and failures."""
    sets, novelty, periods = (_optional(predictions, name) for name in ("prediction_set", "novelty", "fold_period"))
    bars = console.width >= WIDE or not periods
    console.print(_prediction_table(predictions, title, sets, novelty, periods, bars))
    if len(predictions) > SHOWN:
        console.print(f"... and {len(predictions) - SHOWN:,} more rows (all of them with --out)")
    statuses = _counts(predictions.column("status"))
    classes = ", ".join(f"{k} {v:,}" for k, v in _counts(predictions.column("class")[predictions.ok]).items())
    summary = f"{statuses.pop(Status.OK, 0):,} of {len(predictions):,} classified"
    console.print(f"{summary}: {classes}" if classes else summary)
    if sets and classes:
        description = predictions.table.schema.field("prediction_set").metadata[b"description"].decode()
        console.print(f"[dim]or: {description[0].lower()}{description[1:]}[/]")
    if new := sum(x is not None and x > NOVEL for x in novelty):
        console.print(
            f"[yellow]{new:,} new?[/]: less like the training set than {NOVEL:.0%} of the objects that the model was "
            "checked with; its probabilities say nothing of classes that it doesn't know"
        )
    for status, count in statuses.items():
        console.print(f"[red]{count:,} {status}[/]: {MEANING[Status(status)]}")


def _prediction_table(
    predictions: Predictions, title: str, sets: list[Any], novelty: list[Any], periods: list[Any], bars: bool
) -> Table:
    """Return the first rows as a table; sets, novelty and periods are empty where the model has none."""
    table = Table(title=title, title_justify="left")
    table.add_column("object")
    table.add_column("class")
    table.add_column("probability", justify="right", no_wrap=True)
    if bars:
        table.add_column("")
    table.add_column("next", style="dim")
    if sets:
        table.add_column("or", style="dim")
    if periods:
        table.add_column("P \\[d]", justify="right", style="dim")
    table.add_column("obs", justify="right", style="dim")
    classes, p = predictions.classes, predictions.probabilities
    spread = predictions.spread if f"std_{classes[0]}" in predictions.table.column_names else None
    ids, status, n_obs = (predictions.table[name].to_pylist() for name in ("object_id", "status", "n_obs"))
    for i in range(min(len(predictions), SHOWN)):
        if status[i] != Status.OK:
            empty = [""] * (bool(sets) + bool(periods))
            meaning = MEANING.get(status[i], "")
            table.add_row(ids[i], f"[red]{status[i]}[/]", "", *[""] * bars, meaning, *empty, str(n_obs[i]))
            continue
        first, second = np.argsort(-p[i])[:2]
        name = classes[first] + (" [yellow]new?[/]" if novelty and novelty[i] > NOVEL else "")
        error = "" if spread is None else f" ± {spread[i, first]:.2f}"
        cells = [ids[i], name, f"{p[i, first]:.2f}{error}"]
        cells += ["█" * round(10 * float(p[i, first]))] * bars
        cells += [f"{classes[second]} {p[i, second]:.2f}"]
        cells += [" ".join(c for c in sets[i] if c != classes[first])] if sets else []
        cells += [f"{periods[i]:.5g}"] if periods else []
        table.add_row(*cells, str(n_obs[i]))
    return table


def _optional(predictions: Predictions, name: str) -> list[Any]:
    """Return a column as a list, an empty one if there is none."""
    return predictions.table[name].to_pylist() if name in predictions.table.column_names else []


def _counts(values: Sequence[Any] | np.ndarray) -> dict[str, int]:
    names, counts = np.unique(np.asarray(values).astype(str), return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def model_table() -> Table:
    """Return a table of the shipped models with their scores on held-out stars."""
    table = Table(title="Models that come with goodricke", title_justify="left")
    for name in ("model", "classes", "trained on", "accuracy", "macro F1", "best forest"):
        table.add_column(name)
    for name in shipped_models():
        config = read_config(name)
        scores = config.metrics.get("monte_carlo", config.metrics.get("deterministic", {}))
        forests = [v for k, v in config.metrics.items() if "forest" in k and "accuracy" in v]
        forest: dict[str, Any] = max(forests, key=lambda scores: scores["accuracy"]["value"], default={})
        source = f"[bold red]simulations[/] ({config.trained_on})" if config.simulated else config.trained_on
        cells = (_score(scores.get("accuracy")), _score(scores.get("macro_f1")), _score(forest.get("accuracy")))
        table.add_row(name, " ".join(config.classes), source, *cells)
    return table


def _score(value: Any) -> str:
    """Return a score, its interval on a second line."""
    if isinstance(value, dict):
        return f"{value['value']:.3f}\n{value['low']:.3f}-{value['high']:.3f}"
    return "" if value is None else f"{value:.3f}"
