"""A page of light curves, some of each class: what was simulated, at a glance, or real ones beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from goodricke.evaluation.style import ACCENT, canvas, thin
from goodricke.lightcurves import LightCurves

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
