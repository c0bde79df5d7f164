"""A page of light curves, some of each class: what was simulated, at a glance, or real ones beside it.

A page of light curves in several bands: some of each class, periodic ones folded, events about their time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from goodricke.data.lightcurves import LightCurves
from goodricke.evaluation.figures.style import ACCENT, COLOURS, canvas, thin

COLUMNS = 10
PANEL = 1.9, 0.95  # inches


def draw(curves: LightCurves, path: str | Path, per_class: int = 20, columns: int = COLUMNS) -> None:
    """Draw the first light curves of each class against time, each between its own extremes.

    Parameters
    ----------
    curves : LightCurves
        With the column ``label``, and if known ``kind`` and ``magnitude``.
    path : path or str
    per_class, columns : int
    """
    table = curves.table_of_objects
    labels = np.array(table["label"].to_pylist())
    rows = {label: np.flatnonzero(labels == label)[:per_class] for label in dict.fromkeys(labels)}
    lines = {label: -(-len(which) // columns) for label, which in rows.items()}
    with canvas(path, PANEL[0] * columns, PANEL[1] * sum(lines.values()) + 0.3) as figure:
        axes, top = figure.subplots(sum(lines.values()), columns, squeeze=False), 0
        for label, which in rows.items():
            for k in range(lines[label] * columns):
                panel = axes[top + k // columns, k % columns]
                if k < len(which):
                    _panel(panel, curves[int(which[k])])
                else:
                    panel.set_axis_off()
            axes[top, 0].set_ylabel(label, fontsize=6)
            top += lines[label]


def _panel(axes: Any, curve: LightCurves) -> None:
    """Draw one light curve, and write what it is."""
    thin(axes)
    value = curve.value / np.nanmedian(curve.value) - 1
    swing = float(np.nanpercentile(value, 99.5) - np.nanpercentile(value, 0.5))
    fine = max(0.15, 1.2 - len(value) / 2500)
    axes.plot(curve.time - curve.time[0], value, ".", ms=fine, color=ACCENT, rasterized=True)
    about = {name: curve.table_of_objects[name][0].as_py() for name in curve.table_of_objects.column_names}
    said = [str(about.get("kind", curve.ids[0]))[:22]]
    said += [f"{about['magnitude']:.1f}"] if about.get("magnitude") else []
    axes.set_title(f"{'  '.join(said)}  {swing:.1e}", fontsize=5, pad=1)
    axes.set(xticks=[], yticks=[])


# ---- A page of light curves in several bands: some of each class, periodic ones folded, events about thei ------------


SPARSE_PANEL = 2.3, 1.25  # inches
HUES = {"u": 3, "g": 2, "r": 1, "i": 4, "z": 0, "y": 6, "G": 6, "BP": 0, "RP": 1}  # of COLOURS
DETECTED = 5.0  # flux over error


def draw_sparse(curves: LightCurves, path: str | Path, per_class: int = 5) -> None:
    """Draw the first light curves of each class, a colour per band, a class per line.

    Parameters
    ----------
    curves : LightCurves
        With the columns ``label`` and ``kind``; those with a ``true_period`` are folded with it.
    path : path or str
    per_class : int
    """
    labels = np.array(curves.table_of_objects["label"].to_pylist())
    rows = {label: np.flatnonzero(labels == label)[:per_class] for label in dict.fromkeys(labels)}
    with canvas(path, SPARSE_PANEL[0] * per_class, SPARSE_PANEL[1] * len(rows) + 0.3) as figure:
        axes = figure.subplots(len(rows), per_class, squeeze=False)
        for line, (label, which) in zip(axes, rows.items(), strict=True):
            for k, panel in enumerate(line):
                if k < len(which):
                    _sparse_panel(panel, curves[int(which[k])])
                else:
                    panel.set_axis_off()
            line[0].set_ylabel(label, fontsize=7)
        handles = [axes[0, 0].plot([], [], ".", color=COLOURS[HUES[b]])[0] for b in curves.bands]
        figure.legend(handles, curves.bands, loc="outside upper right", ncols=len(curves.bands), fontsize=7)


def _sparse_panel(axes: Any, curve: LightCurves) -> None:
    """Draw one light curve, and write what it is."""
    thin(axes)
    about = {name: curve.table_of_objects[name][0].as_py() for name in curve.table_of_objects.column_names}
    period = about.get("true_period")
    curve = _about_event(curve) if period is None else curve.fold(period)
    for band in range(len(curve.bands)):
        mine = curve.band == band
        about_band = {"fmt": ".", "ms": 2.5, "lw": 0.4, "color": COLOURS[HUES[curve.bands[band]]]}
        axes.errorbar(curve.time[mine], curve.value[mine], curve.error[mine], **about_band)
    if curve.in_magnitudes:
        axes.invert_yaxis()
    said = [about["kind"], f"P {period:.3g} d" if period is not None else "", _redshift(about)]
    axes.set_title("  ".join(part for part in said if part), fontsize=5.5, pad=1)
    axes.locator_params(axis="x", nbins=4)
    axes.tick_params(labelsize=4.5, length=1.5, pad=1)


def _redshift(about: dict[str, Any]) -> str:
    return "" if about.get("true_redshift") is None else f"z {about['true_redshift']:.3f}"


def _about_event(curve: LightCurves) -> LightCurves:
    """Return the part of a light curve between its detections, and a little more, where it has any."""
    found = curve.time[(curve.value > DETECTED * curve.error) | curve.in_magnitudes]
    if len(found) < 2:
        return curve
    margin = max(0.3 * (found[-1] - found[0]), 3.0)
    return curve.where((curve.time > found[0] - margin) & (curve.time < found[-1] + margin))
