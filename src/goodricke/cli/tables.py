"""Tables on the terminal: predictions, and the models that come with the package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from goodricke.data.answer_text import (
    NEW_MEANING,
    NOVEL,
    PLACES,
    Row,
    alternatives_text,
    class_probability,
    class_probability_text,
    false_alarm_text,
    is_doubtful,
    is_novel,
    leaves_of,
    period_text,
    relative_text,
    set_text,
    set_title,
)
from goodricke.data.arrow import NO_BAND
from goodricke.data.lightcurves import LightCurves
from goodricke.data.period_answer import PERIOD_PROBABILITY, period_column
from goodricke.data.predictions import MEANING, NEW, Predictions, Status
from goodricke.models.bundle import is_simulated, read_config
from goodricke.models.hub import shipped_models

WIDE = 100  # columns of a terminal with room for bars beside periods
SHOWN = 25  # rows of the table
PERIOD_LEGEND = "P: period, the orbital one of binaries"
WIDE_PERIOD_LEGEND = f"{PERIOD_LEGEND}, with its uncertainty in the last digits; or P: other periods"
FEW_CYCLES = "< 2 cycles"
NEXT, LEAVES = "next", "leaves"  # most probable classes


class Layout(NamedTuple):
    """A column of the table on the terminal."""

    title: str
    cell: Callable[[Row], str]
    style: str = "dim"
    right: bool = False
    no_wrap: bool = False


def _agreement(row: Row) -> str:
    """Return how many light curves of a star have its class, and its period where it has one."""
    n, fraction = row["n_classified"], row["agreement"]
    if not n or fraction is None:
        return f"0 of {row['n_light_curves']}"
    same = row.get("n_same_period")
    period = f", P {same}" if same and row.get("period") is not None else ""
    return f"{round(n * fraction)} of {row['n_light_curves']}{period}"


PER_STAR = Layout("agree", _agreement)
OBSERVATIONS = Layout("obs", lambda row: str(row["n_obs"]), right=True)


def print_predictions(
    predictions: Predictions,
    title: str,
    console: Console,
    after_class: Sequence[Layout] = (),
    bands: Sequence[str] = (),
) -> None:
    """Print a table of the first rows, with more columns after the class, and counts of classes and failures.

    ``bands`` are those of the first rows, from `bands_of`; they are shown if they tell rows apart.
    """
    console.print(_prediction_table(predictions, title, console.width, after_class, bands))
    if len(predictions) > SHOWN:
        console.print(f"... and {len(predictions) - SHOWN:,} more rows (all of them with --out)")
    statuses, names = _counts(predictions.column("status")), predictions.table.column_names
    classes = ", ".join(f"{k} {v:,}" for k, v in _counts(predictions.column("class")[predictions.ok]).items())
    summary = f"{statuses.pop(Status.OK, 0):,} of {len(predictions):,} classified"
    console.print(f"{summary}: {classes}" if classes else summary)
    if "prediction_set" in names and classes:
        schema = predictions.table.schema
        description = (schema.field("prediction_set").metadata or {}).get(b"description", b"").decode()
        console.print(f"[dim]{set_title(schema)}: {description[:1].lower()}{description[1:]}[/]")
    if PERIOD_PROBABILITY in names:
        console.print(f"[dim]{WIDE_PERIOD_LEGEND if console.width >= WIDE else PERIOD_LEGEND}[/]")
        if long := len(predictions) - predictions.table["period_note"].null_count:
            console.print(f"[yellow]{long:,} {FEW_CYCLES}[/]: their periods are longer than half the time span")
    if new := _count_novel(predictions):
        console.print(f"[yellow]{new:,} {NEW}[/]: {NEW_MEANING}")
    for model in filter(is_simulated, _counts(predictions.column("model"))):
        console.print(f"[red]{model} was trained on simulations[/]: its probabilities hold for these")
    for status, count in statuses.items():
        console.print(f"[red]{count:,} {status}[/]: {MEANING[Status(status)]}")


def bands_of(curves: LightCurves) -> list[str]:
    """Return the names of the bands of each light curve, joined."""
    names = ([curves.bands[b] for b in np.unique(one.band)] for one in curves)
    return ["/".join(name for name in present if name != NO_BAND) for present in names]


def _prediction_table(
    predictions: Predictions,
    title: str,
    width: int,
    after_class: Sequence[Layout] = (),
    bands: Sequence[str] = (),
) -> Table:
    """Return the first rows as a table. Names of objects and classes are whole: the widest other column gives way.

    Where even that is too wide, the numbers of observations are left out, then the next class or the leaves, which the
    set shows too, then the bands.
    """
    layout = [*after_class, *_layout(predictions, width), OBSERVATIONS]
    console = Console(width=10 * width)
    for dispensable in (OBSERVATIONS.title, NEXT, LEAVES):
        table = _table_of(predictions, title, width, layout, bands)
        if Measurement.get(console, console.options, table).minimum <= width:
            return table
        layout = [column for column in layout if column.title != dispensable]
    table = _table_of(predictions, title, width, layout, bands)
    is_narrow = Measurement.get(console, console.options, table).minimum <= width
    return table if is_narrow else _table_of(predictions, title, width, layout, ())


def _table_of(
    predictions: Predictions, title: str, width: int, layout: Sequence[Layout], bands: Sequence[str]
) -> Table:
    """Return the first rows as a table with these columns after object, place and class."""
    first = predictions.table.slice(0, SHOWN).to_pylist()
    places = _places(first, bands)
    # without lines between the columns a narrow terminal has room for most cells in one line
    lines: dict[str, Any] = (
        {}
        if width >= WIDE
        else {"box": box.SIMPLE_HEAD, "padding": (0, 1, 0, 0), "pad_edge": False, "show_edge": False}
    )
    table = Table(title=title, title_justify="left", **lines)
    longest = max((len(row["object_id"]) for row in first), default=0)
    fits = longest <= width // 2
    table.add_column(
        "object", min_width=min(longest, width // 2), no_wrap=fits, overflow="ellipsis" if fits else "fold"
    )
    for name in places:
        table.add_column(name, no_wrap=True)
    table.add_column("class", no_wrap=True)
    for column in layout:
        is_whole = column.right or column.no_wrap
        texts = [Text.from_markup(column.cell(row)) for row in first if row["status"] == Status.OK]
        whole = max((line.cell_len for text in texts for line in text.split()), default=0)
        table.add_column(
            column.title,
            style=column.style or None,
            justify="right" if column.right else "left",
            no_wrap=is_whole,
            min_width=whole if is_whole else None,
        )
    for i, row in enumerate(first):
        place = [escape(cells[i]) for cells in places.values()]
        if row["status"] == Status.OK:
            name = escape(row["class"]) + (f"\n[yellow]{NEW}[/]" if is_novel(row) else "")
            cells = [column.cell(row) for column in layout]
        else:  # what the status means is written once, below
            name = f"[red]{row['status']}[/]"
            cells = [column.cell(row) if column is OBSERVATIONS else "" for column in layout]
        table.add_row(escape(row["object_id"]), *place, name, *cells)
    return table


def _places(rows: Sequence[Row], bands: Sequence[str]) -> dict[str, list[str]]:
    """Return what tells light curves of a star apart: sectors, where there are any, and bands, where they differ.

    Of several missions, sectors, quarters and campaigns share a column, which names them.
    """
    result = {}
    present = [name for name in PLACES if any(row.get(name) is not None for row in rows)]
    if len(present) == 1:
        result[present[0]] = ["" if row[present[0]] is None else str(row[present[0]]) for row in rows]
    elif present:
        parts = [[f"{name} {row[name]}" for name in present if row[name] is not None] for row in rows]
        result["part"] = [", ".join(part) for part in parts]
    padded = [*bands, *[""] * len(rows)][: len(rows)]
    if len({*padded} - {""}) > 1:
        result["band"] = padded
    return result


def _layout(predictions: Predictions, width: int) -> list[Layout]:
    """Return the columns beside object and class: those that the model has, in a terminal of this width."""
    classes, names = predictions.classes, predictions.table.column_names
    period, answers_period = period_column(names), PERIOD_PROBABILITY in names
    has_nodes, is_wide = "class_probability" in names, width >= WIDE
    # a narrow terminal has no room for them beside nodes or sets
    with_errors = is_wide or not (has_nodes or "prediction_set" in names)
    with_spread = partial(_probability, classes if with_errors else ())
    columns = [Layout("probability" if is_wide and not has_nodes else "p", with_spread, "", True)]
    if not period or (is_wide and not answers_period):
        columns.append(Layout("", lambda row: "█" * round(10 * class_probability(row)), ""))
    if has_nodes:
        columns.append(Layout(LEAVES, partial(_leaves, classes, " / " if is_wide else "\n"), no_wrap=True))
    else:
        columns.append(Layout(NEXT, partial(_second, classes)))
    if "prediction_set" in names:
        columns.append(Layout(set_title(predictions.table.schema), lambda row: escape(set_text(row))))
    if period:
        columns.append(Layout("P \\[d]", partial(_period, period, with_errors), right=True))
    if answers_period and is_wide:
        measured = "period_snr" in names
        title, cell = ("A, S/N", _measured) if measured else ("p", _period_probability)
        columns.append(Layout(title, cell, right=True))
        columns.append(Layout("or P", alternatives_text))
    if answers_period and any(_doubts("", row) for row in predictions.table.slice(0, SHOWN).to_pylist()):
        columns.append(Layout("doubt", partial(_doubts, ", " if is_wide else "\n"), "yellow", no_wrap=True))
    return columns


def _probability(classes: Sequence[str], row: Row) -> str:
    """Return the probability of the class, with its spread over Monte-Carlo passes if it is one of the classes."""
    spread = row.get(f"std_{row['class']}") if row["class"] in classes else None
    return class_probability_text(row) + ("" if spread is None else f" ± {spread:.2f}")


def _leaves(classes: Sequence[str], separator: str, row: Row) -> str:
    """Return the most probable leaves of a row; none where the class is the only one, and stands there already."""
    leaves = leaves_of(row, classes)
    if [name for name, _ in leaves] == [row["class"]]:
        return ""
    return separator.join(f"{escape(name)} {p:.2f}" for name, p in leaves)


def _second(classes: Sequence[str], row: Row) -> str:
    """Return the second most probable class."""
    ranked = sorted(classes, key=lambda name: -row[f"p_{name}"])[1:2]
    return "".join(escape(f"{name} {row[f'p_{name}']:.2f}") for name in ranked)


def _period(column: str, with_error: bool, row: Row) -> str:
    """Return the period, with its uncertainty in the last digits or without."""
    period = row[column]
    return "" if period is None else period_text(period, row.get("period_error") if with_error else None)


def _period_probability(row: Row) -> str:
    return "" if row[PERIOD_PROBABILITY] is None else f"{row[PERIOD_PROBABILITY]:.2f}"


def _measured(row: Row) -> str:
    """Return amplitude and signal to noise of the dominant frequency of a dense light curve."""
    amplitude, ratio = row["dominant_amplitude"], row["period_snr"]
    return ", ".join(filter(None, [amplitude and relative_text(amplitude), ratio and f"{ratio:.0f}"]))


def _doubts(separator: str, row: Row) -> str:
    """Return the reasons to doubt the period in a few letters."""
    return separator.join([FEW_CYCLES] * bool(row["period_note"]) + [false_alarm_text(row)] * is_doubtful(row))


def _count_novel(predictions: Predictions) -> int:
    if "novelty" not in predictions.table.column_names:
        return 0
    return int((predictions.column("novelty") > NOVEL).sum())


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
