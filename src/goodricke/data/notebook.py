"""How light curves and predictions look at a prompt and in a notebook: the first rows, and what their words mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from goodricke.data.answer_text import (
    NEW_MEANING,
    alternatives_text,
    class_probability_text,
    is_novel,
    leaves_text,
    period_text,
    set_text,
    set_title,
)
from goodricke.data.arrow import NO_BAND
from goodricke.data.period_answer import PERIOD_PROBABILITY, period_column
from goodricke.data.predictions import MEANING, NEW, Predictions, Status

if TYPE_CHECKING:
    from goodricke.data.lightcurves import LightCurves

SHOWN = 10  # rows
MOST_COLUMNS = 4  # per-object columns beside those of the light curves
MOST_DOTS = 300  # of a small light curve
WIDTH, HEIGHT = 180, 28  # of it, in pixels
OF_READING = ("source", "mission", "product", "n_read", "n_flagged", "n_used", "ra", "dec", "camera", "ccd")

OPTION = r"--[a-z-]+"  # of the command line

Rows = list[list[str]]


def light_curves_html(curves: LightCurves) -> str:
    """Return a table of the first light curves: observations, time span, bands, brightness, and what they look like."""
    shown = curves[: min(len(curves), SHOWN)]
    unit = "" if curves.unit == "unknown" else f" [{curves.unit}]"
    objects = shown.table_of_objects
    others = [n for n in objects.column_names if n not in OF_READING and objects[n].null_count < len(shown)][
        :MOST_COLUMNS
    ]
    titles = ["", "object", "observations", "span [d]", "bands", f"median{unit}", *others, ""]
    rows: Rows = []
    for i, one in enumerate(shown):
        finite = one.value[np.isfinite(one.value)]
        span, middle = (f"{np.ptp(one.time):.4g}", f"{np.median(finite):.5g}") if len(finite) else ("", "")
        more = [str(objects[name][i].as_py()) for name in others]
        cells = [str(i), one.ids[0], f"{len(one.time):,}", span, _band_names(one), middle, *more]
        rows.append([*map(escape, cells), _sketch(one)])
    return _html(escape(repr(curves)), titles, rows, _more(len(curves)))


def _band_names(one: LightCurves) -> str:
    names = [one.bands[b] for b in np.unique(one.band)]
    return ", ".join("" if name == NO_BAND else name for name in names)


def _sketch(one: LightCurves) -> str:
    """Return a small light curve as SVG; magnitudes run downwards."""
    good = np.flatnonzero(np.isfinite(one.value) & np.isfinite(one.time))
    good = good[:: max(1, -(-len(good) // MOST_DOTS))]
    if len(good) < 2 or np.ptp(one.time[good]) == 0:
        return ""
    time, value = one.time[good], one.value[good].astype(np.float64)
    low, high = np.quantile(value, (0.01, 0.99))
    x = 2 + (WIDTH - 4) * (time - time.min()) / np.ptp(time)
    height = np.clip((value - low) / (high - low or 1), -0.05, 1.05)
    y = 2 + (HEIGHT - 4) * (height if one.in_magnitudes else 1 - height)
    dots = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x, y, strict=True))
    line = f'<path d="{dots}" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round"/>'
    return f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="light curve">{line}</svg>'


# ---- predictions ----------------------------------------------------------------------------------------------------


def prediction_cells(predictions: Predictions) -> tuple[list[str], Rows]:
    """Return titles and cells of the first rows: class, probability, set, period; a status where there is no class."""
    names, classes = predictions.table.column_names, predictions.classes
    period, has_nodes = period_column(names), "class_probability" in names
    sectors = [n for n in ("sector", "quarter", "campaign") if n in names]
    sectors = [n for n in sectors if predictions.table[n].null_count < len(predictions)]
    titles = ["object", *sectors, "class", "p", *(["leaves"] if has_nodes else [])]
    titles += [set_title(predictions.table.schema)] if "prediction_set" in names else []
    titles += ["P [d]"] if period else []
    titles += ["p of P", "or P"] if PERIOD_PROBABILITY in names else []
    rows: Rows = []
    for row in predictions.table.slice(0, SHOWN).to_pylist():
        cells = [row["object_id"], *("" if row[n] is None else str(row[n]) for n in sectors)]
        if row["status"] != Status.OK:
            rows.append([*cells, row["status"], *[""] * (len(titles) - len(cells) - 1), str(row["n_obs"])])
            continue
        cells += [row["class"] + (f" {NEW}" if is_novel(row) else ""), class_probability_text(row)]
        cells += [leaves_text(row, classes)] if has_nodes else []
        cells += [set_text(row)] if "prediction_set" in names else []
        value = row[period] if period else None
        cells += ["" if value is None else period_text(value, row.get("period_error"))] if period else []
        if PERIOD_PROBABILITY in names:
            p = row[PERIOD_PROBABILITY]
            cells += ["" if p is None else f"{p:.2f}", alternatives_text(row)]
        rows.append([*cells, str(row["n_obs"])])
    return _without_empty("p of P", [*titles, "obs"], rows)


def _without_empty(title: str, titles: list[str], rows: Rows) -> tuple[list[str], Rows]:
    """Return a table without the column of this title if all its cells are empty."""
    if title not in titles or any(row[titles.index(title)] for row in rows):
        return titles, rows
    k = titles.index(title)
    return titles[:k] + titles[k + 1 :], [row[:k] + row[k + 1 :] for row in rows]


def prediction_notes(predictions: Predictions) -> list[str]:
    """Return what the statuses of all rows mean, with their counts, and how many objects are unusual."""
    names, counts = np.unique(predictions.column("status").astype(str), return_counts=True)
    notes = [
        f"{count:,} {name}: {re.sub(OPTION, _keyword, MEANING.get(Status(name), ''))}"
        if name in Status.__members__
        else f"{count:,} {name}"
        for name, count in zip(names.tolist(), counts.tolist(), strict=True)
        if name != Status.OK
    ]
    if "novelty" in predictions.table.column_names:
        new = sum(map(is_novel, predictions.table.select(["novelty"]).to_pylist()))
        notes += [f"{new:,} {NEW}: {NEW_MEANING}"] if new else []
    return notes


def _keyword(option: re.Match[str]) -> str:
    """Return an option of the command line as a keyword argument."""
    return f"{option[0].removeprefix('--').replace('-', '_')}="


def predictions_text(predictions: Predictions, summary: str) -> str:
    """Return the first rows as text."""
    if not len(predictions):
        return summary
    titles, rows = prediction_cells(predictions)
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (titles, *rows)]
    more = _more(len(predictions))
    return "\n".join(filter(None, [summary, *(line.rstrip() for line in lines), more, *prediction_notes(predictions)]))


def predictions_html(predictions: Predictions, summary: str) -> str:
    """Return the first rows as a table."""
    titles, rows = prediction_cells(predictions)
    numbered = [[str(i), *map(escape, row)] for i, row in enumerate(rows)]
    notes = "<br>".join(map(escape, filter(None, [_more(len(predictions)), *prediction_notes(predictions)])))
    return _html(escape(summary), ["", *titles], numbered, notes)


def _more(count: int) -> str:
    return f"... and {count - SHOWN:,} more" if count > SHOWN else ""


def _html(caption: str, titles: Sequence[str], rows: Rows, below: str = "") -> str:
    """Return a table in HTML; ``caption``, cells and what is ``below`` are HTML already."""
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<div><p>{caption}</p><table><tr>{head}</tr>{body}</table><p>{below}</p></div>"
