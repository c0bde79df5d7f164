"""A figure of an object and its neighbours: small light curves side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from goodricke.data.answer_text import class_probability_text
from goodricke.data.lightcurves import LightCurves
from goodricke.evaluation.figures.objects import compute_periodogram, draw_folded, draw_light_curve, format_period
from goodricke.evaluation.figures.style import ACCENT, canvas, shorten, write_note
from goodricke.io import read_batches

LONGEST_FOLDED = 20.0  # days; longer periods are recognised unfolded
ACROSS = 4


def read_objects(sources: Sequence[str], object_ids: Iterable[str], **options: Any) -> dict[str, LightCurves]:
    """Return the first light curve of each object that the sources have; stop when all are read.

    Parameters
    ----------
    sources : list of str
        Whatever `goodricke.io.find` takes.
    object_ids : iterable of str
    **options
        See `goodricke.io.ReadOptions`.
    """
    left, light_curves = set(object_ids), dict[str, LightCurves]()
    for curves, _ in read_batches(list(sources), **options):
        if curves is None:
            continue
        for row in pc.indices_nonzero(pc.is_in(curves.object_id, pa.array(list(left), pa.string()))).to_pylist():
            light_curves.setdefault(curves.ids[row], curves[row])
        left -= light_curves.keys()
        if not left:
            break
    return light_curves


def plot_neighbours(table: pa.Table, curves: dict[str, LightCurves], path: str | Path) -> None:
    """Draw each query, framed, and its neighbours after it, the nearest first.

    Light curves are folded on the highest peak of their own periodogram, two cycles; those with a longer period than
    20 d, or without a period, are drawn against time.

    Parameters
    ----------
    table : pyarrow.Table
        As `Neighbours.of` returns it.
    curves : dict
        Light curves by object id; the panel of an object without one says so.
    path : path
    """
    shown: list[tuple[str, str, bool]] = []
    for query in pc.unique(table["query"]).to_pylist():
        shown.append((query, shorten(query, 26), True))
        for row in table.filter(pc.equal(table["query"], query)).to_pylist():
            prediction = "" if row["class"] is None else f"\n{shorten(row['class'], 16)} {class_probability_text(row)},"
            text = f"{row['rank']}: {shorten(row['object_id'], 24)}{prediction} distance {row['distance']:.3f}"
            shown.append((row["object_id"], text, False))
    down = -(-len(shown) // ACROSS)
    with canvas(path, 10, 2.1 * down + 0.2) as figure:
        for place, (name, title, is_query) in enumerate(shown):
            axes = figure.add_subplot(down, ACROSS, place + 1)
            how = _draw(axes, curves.get(name))
            axes.set_title(f"{title}\n{how}" if is_query else f"{title}, {how}", parse_math=False, fontsize=7.5)
            axes.set(xlabel="", ylabel="")
            axes.tick_params(labelsize=6.5)
            if is_query:
                axes.spines[:].set(visible=True, color=ACCENT, linewidth=1.5)


def _draw(axes: Any, curve: LightCurves | None) -> str:
    """Draw one light curve; return how."""
    if curve is None:
        write_note(axes, "not in --light-curves")
        return "not drawn"
    spectrum = compute_periodogram(curve)
    if spectrum is None or spectrum.best > LONGEST_FOLDED:
        draw_light_curve(axes, curve)
        how = "against time [d]"
    else:
        draw_folded(axes, curve, spectrum.best)
        how = f"P = {format_period(spectrum.best)}"
    if legend := axes.get_legend():
        legend.remove()
    axes.locator_params(axis="x", nbins=4)
    return how
