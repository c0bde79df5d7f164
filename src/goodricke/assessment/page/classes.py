"""Sections on the classes: who is taken for whom, and how pure and complete each one comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from goodricke.assessment.assess import Assessment
from goodricke.evaluation.curve_figures import plot_precision_recall, plot_purity_completeness
from goodricke.evaluation.curves import ThresholdCurve, threshold_curve
from goodricke.evaluation.figures import plot_confusion
from goodricke.evaluation.style import figure_name
from goodricke.pages import Section

PURE = (0.9, 0.95, 0.99)
FEW = 20  # members of a class below which its figures are hardly worth printing


def confusion(result: Assessment, folder: Path) -> Section:
    """Return each model's confusion matrix."""
    pictures, data = {}, {}
    for name, scores in result.scores.items():
        path = folder / f"confusion_{figure_name(name).removesuffix('.png')}.svg"
        plot_confusion(scores, path)
        pictures[
            f"Confusion matrix of {name}: percent of each true class (row) by most probable class, and objects"
        ] = path
        data[name] = {"classes": scores.classes, "confusion": scores.confusion}
    return Section(
        "Confusion matrix",
        "pairs that are taken for each other both ways: classes that nature or the sampling makes alike.",
        "one class that swallows all others: it is common in training, or the probabilities are not balanced.",
        pictures,
        notes=[note for name in result.scores for note in _confused(result, name)],
        data=data,
    )


def per_class(result: Assessment, folder: Path) -> Section:
    """Return precision, recall and F1 of each class, and how they change with the threshold."""
    curves = _curves(result)
    shown = {c: each for c, each in curves.items() if each}
    pictures = {}
    if shown:
        path = folder / "precision_recall.svg"
        plot_precision_recall(shown, path)
        pictures["Precision-recall curves; bands are 95 % intervals of the purity"] = path
    for name in result.answered if shown else ():
        path = folder / f"purity_{figure_name(name).removesuffix('.png')}.svg"
        plot_purity_completeness({c: each[name] for c, each in shown.items()}, path)
        pictures[f"{name}: purity and completeness of all objects above a threshold of the class's probability"] = path
    tables = {f"{name}, by class": _rows(result, name, curves) for name in result.answered}
    tables |= {f"{name}, completeness of samples of a given purity": _pure(name, shown) for name in result.answered}
    few = [
        c
        for c, n in zip(result.classes, np.bincount(result.label, minlength=len(result.classes)), strict=True)
        if n < FEW
    ]
    return Section(
        "Classes",
        "the threshold at which a class is pure enough for its use, and how many of its members are left there. "
        "Purity holds for the class shares among these objects: rarer in the sky, a class comes out less pure.",
        "a curve that falls at high thresholds: objects of other classes that the model is sure of.",
        pictures,
        tables=tables,
        notes=[f"Fewer than {FEW} objects, so that the figures say little: {', '.join(few)}."] if few else [],
        data={c: {name: curve.to_dict() for name, curve in each.items()} for c, each in curves.items()},
    )


def _curves(result: Assessment) -> dict[str, dict[str, ThresholdCurve]]:
    """Return the threshold curves by class and model, none for a class without an object."""
    star = result.sample.star[result.rows]
    return {
        c: {
            name: threshold_curve(p[:, k], result.label == k, star)
            for name, p in result.probabilities.items()
            if (result.label == k).any()
        }
        for k, c in enumerate(result.classes)
    }


def _rows(result: Assessment, name: str, curves: dict[str, dict[str, ThresholdCurve]]) -> list[dict[str, Any]]:
    """Return a row for each class of one model."""
    scores, rows = result.scores[name], []
    for k, c in enumerate(result.classes):
        row = {"class": c, "support": int(scores.n[k]), "right": scores.counts[k]}
        row |= {"precision": scores.precision[k], "recall": scores.recall[k], "F1": scores.f1[k]}
        curve = curves[c].get(name)
        row["average precision"] = curve.average_precision if curve else None
        rows.append(row)
    return rows


def _pure(name: str, curves: dict[str, dict[str, ThresholdCurve]]) -> list[dict[str, Any]]:
    """Return how complete samples of one model are that are pure enough, and the thresholds that make them."""
    rows = []
    for c, each in curves.items():
        row: dict[str, Any] = {"class": c}
        for pure in PURE:
            threshold, complete = each[name].best_completeness(pure)
            row |= {f"{100 * pure:g} % pure: threshold": threshold, f"{100 * pure:g} % pure: complete": complete}
        rows.append(row)
    return rows


def _confused(result: Assessment, name: str, most: int = 3) -> list[str]:
    """Return the most frequent confusions of one model in words."""
    matrix = result.scores[name].confusion.copy()
    np.fill_diagonal(matrix, 0)
    order = np.argsort(-matrix, axis=None, kind="stable")[:most]
    pairs = [(*np.unravel_index(at, matrix.shape), matrix.flat[at]) for at in order if matrix.flat[at]]
    n = result.scores[name].n
    told = [f"{result.classes[i]} taken for {result.classes[j]} ({count:,} of {n[i]:,})" for i, j, count in pairs]
    return [f"{name}, most often: {'; '.join(told)}."] if told else [f"{name} makes no mistake here."]
