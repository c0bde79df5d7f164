"""The section on the worst mistakes: the answers that were wrong with the highest probability, as light curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodricke.assessment.assess import Assessment
from goodricke.evaluation.mistake_figures import plot_mistakes
from goodricke.evaluation.panels import spectrum_of
from goodricke.evaluation.style import figure_name
from goodricke.pages import Section

SHOWN = 8


def mistakes(result: Assessment, folder: Path) -> Section:
    """Return the most confident wrong answers of each model."""
    pictures, tables, notes = {}, {}, []
    for name in result.answered:
        worst = worst_rows(result, name)
        wrong = int((result.probabilities[name].argmax(1) != result.label).sum())
        notes.append(f"{name}: {wrong:,} of {len(result.rows):,} wrong, {_sure(result, name):,} of them above 0.9.")
        if not len(worst):
            continue
        path = folder / f"mistakes_{figure_name(name)}"
        rows = [_row(result, name, i) for i in worst]
        verdicts = [f"is {r['true class']}, said {r['answer']}, p = {r['probability']:.2f}" for r in rows]
        plot_mistakes(result.sample.curves[result.rows[worst]], verdicts, path)
        pictures[f"{name}: the most confident mistakes, against time and folded on the highest peak"] = path
        tables[f"The most confident mistakes of {name}"] = rows
    return Section(
        "Worst mistakes",
        "whose mistake it is: labels of catalogues are wrong too, and a confident model finds them first.",
        "light curves on which anyone would say what the label says.",
        pictures,
        tables=tables,
        notes=notes,
        missing="" if pictures else "No mistake.",
    )


def worst_rows(result: Assessment, name: str) -> NDArray[np.int64]:
    """Return which of the scored objects a model got wrong with the highest probability, the worst first."""
    p = result.probabilities[name]
    wrong = np.flatnonzero(p.argmax(1) != result.label)
    return wrong[np.argsort(-p[wrong].max(1), kind="stable")][:SHOWN]


def _sure(result: Assessment, name: str) -> int:
    p = result.probabilities[name]
    return int(((p.argmax(1) != result.label) & (p.max(1) > 0.9)).sum())


def _row(result: Assessment, name: str, i: int) -> dict[str, Any]:
    p, curve = result.probabilities[name][i], result.sample.curves[result.rows[i]]
    spectrum = spectrum_of(curve)
    return {
        "object": curve.ids[0],
        "true class": result.classes[result.label[i]],
        "answer": result.classes[int(p.argmax())],
        "probability": float(p.max()),
        "probability of the true class": float(p[result.label[i]]),
        "points": int(curve.n_obs[0]),
        "highest peak [d]": spectrum.best if spectrum else None,
    }
