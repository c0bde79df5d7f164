"""Pages of light curves, some of each class: dense ones against time, multi-band ones folded or around events."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from goodricke.data.lightcurves import LightCurves
from goodricke.evaluation.figures.style import ACCENT, COLOURS, canvas, despine

DENSE_PANEL, MULTIBAND_PANEL = (1.9, 1.05), (2.3, 1.3)  # inches
NAMES = {  # of kinds, as astronomers write them
    "rr lyrae": "RR Lyrae",
    "delta scuti": "delta Scuti",
    "gamma doradus": "gamma Doradus",
    "beta cephei": "beta Cephei",
    "cepheid": "Cepheid",
    "type2": "type II",
    "supernova ia": "supernova Ia",
    "supernova ibc": "supernova Ib/c",
    "supernova ii": "supernova II",
    "m dwarf": "M dwarf",
    "slowly pulsating b": "slowly pulsating B",
    "be star": "Be star",
    "semidetached": "semi-detached",
}
HUES = {"u": 3, "g": 2, "r": 1, "i": 4, "z": 0, "y": 6, "G": 6, "BP": 0, "RP": 1}  # of COLOURS
DETECTED = 5.0  # flux over error


def draw_dense(curves: LightCurves, path: str | Path, per_class: int = 20, columns: int = 10) -> None:
    """Draw the first light curves of each class against time, each between its own extremes.

    Parameters
    ----------
    curves : LightCurves
        With the column ``label``, and if they have them ``kind`` and ``magnitude``.
    path : path or str
    per_class, columns : int
    """
    below = "time, each panel over all of its observations; flux from the lowest to the highest, range in the title"
    _draw_page(curves, path, per_class, columns, DENSE_PANEL, _dense_panel, below)


def draw_multiband(curves: LightCurves, path: str | Path, per_class: int = 5) -> None:
    """Draw the first light curves of each class, a colour per band, a class per line.

    Parameters
    ----------
    curves : LightCurves
        With the columns ``label`` and ``kind``; those with a ``true_period`` are folded with it.
    path : path or str
    per_class : int
    """
    kind = "magnitude" if curves.in_magnitudes else f"flux [{curves.unit}]"
    below = f"{kind} against time [d] ({curves.time_scale}), or against phase where the title has a period"
    _draw_page(curves, path, per_class, per_class, MULTIBAND_PANEL, _multiband_panel, below, legend=True)


def _draw_page(
    curves: LightCurves,
    path: str | Path,
    per_class: int,
    columns: int,
    size: tuple[float, float],
    draw_panel: Callable[[Any, LightCurves, dict[str, Any]], None],
    below: str,
    legend: bool = False,
) -> None:
    table = curves.table_of_objects
    labels = np.array(table["label"].to_pylist())
    rows = {label: np.flatnonzero(labels == label)[:per_class] for label in dict.fromkeys(labels)}
    lines = [(label, some[i : i + columns]) for label, some in rows.items() for i in range(0, len(some), columns)]
    with canvas(path, size[0] * columns, size[1] * len(lines) + 0.3) as figure:
        axes = figure.subplots(len(lines), columns, squeeze=False)
        for line, (label, some) in zip(axes, lines, strict=True):
            for panel in line[len(some) :]:
                panel.set_axis_off()
            for panel, row in zip(line, some, strict=False):
                despine(panel)
                draw_panel(panel, curves[int(row)], table.slice(int(row), 1).to_pylist()[0])
            if some[0] == rows[label][0]:
                line[0].set_ylabel(label, fontsize=6)
        figure.supxlabel(below, fontsize=7)
        if legend:
            handles = [axes[0, 0].plot([], [], ".", color=COLOURS[HUES[b]])[0] for b in curves.bands]
            place: dict[str, Any] = {
                "loc": "outside upper left",
                "ncols": len(curves.bands),
                "columnspacing": 0.8,
                "handletextpad": 0.1,
            }
            figure.legend(handles, curves.bands, fontsize=7, **place)


def _dense_panel(axes: Any, curve: LightCurves, columns: dict[str, Any]) -> None:
    """Draw one light curve; the title has kind, magnitude and range of the relative flux."""
    value = curve.value / np.nanmedian(curve.value) - 1
    spread = float(np.nanpercentile(value, 99.5) - np.nanpercentile(value, 0.5))
    marker = max(0.15, 1.2 - len(value) / 2500)
    axes.plot(curve.time - curve.time[0], value, ".", ms=marker, color=ACCENT, rasterized=True)
    magnitude = f"{columns['magnitude']:.1f} mag, " if columns.get("magnitude") else ""
    size = f"{100 * spread:.{0 if spread >= 0.1 else 1}f} %" if spread >= 0.01 else f"{1e6 * spread:,.0f} ppm"
    axes.set_title(f"{_in_words(columns.get('kind', curve.ids[0]))}\n{magnitude}{size}", fontsize=5, pad=1)
    axes.set(xticks=[], yticks=[])


def _multiband_panel(axes: Any, curve: LightCurves, columns: dict[str, Any]) -> None:
    """Draw one light curve; the title has kind, period and redshift."""
    period, redshift = columns.get("true_period"), columns.get("true_redshift")
    curve = select_event(curve) if period is None else curve.fold(period)
    for band in range(len(curve.bands)):
        points = curve.band == band
        style = {"fmt": ".", "ms": 2.5, "lw": 0.4, "color": COLOURS[HUES[curve.bands[band]]]}
        axes.errorbar(curve.time[points], curve.value[points], curve.error[points], **style)
    if curve.in_magnitudes:
        axes.invert_yaxis()
    title = [_in_words(columns["kind"])]
    title += [f"P = {period:.3g} d"] if period is not None else []
    title += [f"z = {redshift:.2f}"] if redshift is not None else []
    axes.set_title(", ".join(title), fontsize=6, pad=1)
    axes.locator_params(axis="x", nbins=4)
    axes.tick_params(labelsize=4.5, length=1.5, pad=1)


def _in_words(kind: str) -> str:
    """Return the name of a kind of source as astronomers write it.

    Examples
    --------
    >>> [_in_words(kind) for kind in ("rr_lyrae_ab", "high_amplitude_delta_scuti", "supernova_ia", "type2_cepheid")]
    ['RR Lyrae ab', 'high amplitude delta Scuti', 'supernova Ia', 'type II Cepheid']
    """
    return re.sub(r"\b(?:" + "|".join(NAMES) + r")\b", lambda name: NAMES[name[0]], kind.replace("_", " "))


def select_event(curve: LightCurves) -> LightCurves:
    """Return the part of a light curve between its detections, and a little more, if it has any."""
    detected = curve.time[(curve.value > DETECTED * curve.error) | curve.in_magnitudes]
    if len(detected) < 2:
        return curve
    margin = max(0.3 * (detected[-1] - detected[0]), 3.0)
    return curve.where((curve.time > detected[0] - margin) & (curve.time < detected[-1] + margin))
