"""Sections on the classes: comparison of models, confusion matrix, purity and completeness, the worst mistakes.

And the one on surveys: scores in their own labels, periods beside catalogs, what embeddings know of the survey.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodricke.evaluation.assessment import Assessment
from goodricke.evaluation.figures.classes import plot_confusion, plot_precision_recall, plot_purity_completeness
from goodricke.evaluation.figures.objects import compute_periodogram, plot_mistakes
from goodricke.evaluation.figures.style import figure_name
from goodricke.evaluation.intervals import holm
from goodricke.evaluation.page import Rows, Section
from goodricke.evaluation.period_scores import period_rows
from goodricke.evaluation.scores import Comparison, ThresholdCurve, compare, threshold_curve
from goodricke.evaluation.survey_scores import leak_rows, survey_notes, survey_rows

PURITIES = (0.9, 0.95, 0.99)
FEW = 20  # members of a class below which its scores say little
MISTAKES = 8  # shown
LEVEL = 0.05  # of significance
FEWEST_STARS = 6  # of fewer not even all on one side are significant: 2 / 2^5 is above the level


# ---- the classes ----------------------------------------------------------------------------------------------------


def confusion_section(result: Assessment, folder: Path) -> Section:
    """Return the confusion matrix of each model."""
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
        "pairs that are taken for each other both ways: classes that are similar by nature or by sampling.",
        "one class that swallows all others: it is common in training, or the class weights are wrong.",
        pictures,
        notes=[note for name in result.scores for note in _confused(result, name)],
        data=data,
    )


def class_section(result: Assessment, folder: Path) -> Section:
    """Return precision, recall and F1 of each class, and how they change with the threshold."""
    curves = _curves(result)
    shown = {c: models for c, models in curves.items() if models}
    pictures = {}
    if shown:
        path = folder / "precision_recall.svg"
        plot_precision_recall(shown, path)
        pictures["Precision-recall curves; bands are 95 % intervals of the purity"] = path
    for name in result.models if shown else ():
        path = folder / f"purity_{figure_name(name).removesuffix('.png')}.svg"
        plot_purity_completeness({c: models[name] for c, models in shown.items()}, path)
        pictures[f"{name}: purity and completeness of all objects above a threshold of the class's probability"] = path
    tables = {f"{name}, by class": _rows(result, name, curves) for name in result.models}
    tables |= {f"{name}, completeness of samples of a given purity": _pure(name, shown) for name in result.models}
    few = [
        c
        for c, n in zip(result.classes, np.bincount(result.label, minlength=len(result.classes)), strict=True)
        if n < FEW
    ]
    return Section(
        "Classes",
        "the threshold at which a class is pure enough for its use, and how many of its members are above it. "
        "Purity holds for the class shares among these objects: rarer in the sky, a class comes out less pure.",
        "a curve that falls at high thresholds: objects of other classes that the model is sure of.",
        pictures,
        tables=tables,
        notes=[f"Fewer than {FEW} objects, so that the figures say little: {', '.join(few)}."] if few else [],
        data={c: {name: curve.to_dict() for name, curve in models.items()} for c, models in curves.items()},
    )


def _curves(result: Assessment) -> dict[str, dict[str, ThresholdCurve]]:
    """Return the threshold curves by class and model, none for a class without an object."""
    star = result.star
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
    for c, models in curves.items():
        row: dict[str, Any] = {"class": c}
        for pure in PURITIES:
            threshold, complete = models[name].best_completeness(pure)
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
    text = [f"{result.classes[i]} taken for {result.classes[j]} ({count:,} of {n[i]:,})" for i, j, count in pairs]
    return [f"{name}, most often: {'; '.join(text)}."] if text else [f"{name} makes no mistake here."]


# ---- the worst mistakes ---------------------------------------------------------------------------------------------


def mistakes_section(result: Assessment, folder: Path) -> Section:
    """Return the most confident wrong answers of each model."""
    pictures, tables, notes = {}, {}, []
    for name in result.models:
        worst = worst_mistakes(result, name)
        wrong = int((result.probabilities[name].argmax(1) != result.label).sum())
        notes.append(
            f"{name}: {wrong:,} of {len(result.rows):,} wrong, {_count_confident(result, name):,} of them above 0.9."
        )
        if not len(worst):
            continue
        path = folder / f"mistakes_{figure_name(name)}"
        rows = [_row(result, name, i) for i in worst]
        captions = [f"is {r['true class']}, not {r['answer']}, p = {r['probability']:.2f}" for r in rows]
        plot_mistakes(result.curves[worst], captions, path)
        pictures[f"{name}: the most confident mistakes, against time and folded on the highest peak"] = path
        tables[f"The most confident mistakes of {name}"] = rows
    return Section(
        "Worst mistakes",
        "whose mistake it is: labels of catalogues are wrong too, and a confident model finds them first.",
        "light curves on which anyone would agree with the label.",
        pictures,
        tables=tables,
        notes=notes,
        missing="" if pictures else "No mistake.",
    )


def worst_mistakes(result: Assessment, name: str) -> NDArray[np.int64]:
    """Return the rows of the scored objects that are wrong with the highest probability, the worst first."""
    p = result.probabilities[name]
    wrong = np.flatnonzero(p.argmax(1) != result.label)
    return wrong[np.argsort(-p[wrong].max(1), kind="stable")][:MISTAKES]


def _count_confident(result: Assessment, name: str) -> int:
    p = result.probabilities[name]
    return int(((p.argmax(1) != result.label) & (p.max(1) > 0.9)).sum())


def _row(result: Assessment, name: str, i: int) -> dict[str, Any]:
    p, curve = result.probabilities[name][i], result.sample.curves[result.rows[i]]
    spectrum = compute_periodogram(curve)
    return {
        "object": curve.ids[0],
        "true class": result.classes[result.label[i]],
        "answer": result.classes[int(p.argmax())],
        "probability": float(p.max()),
        "probability of the true class": float(p[result.label[i]]),
        "points": int(curve.n_obs[0]),
        "highest peak [d]": spectrum.best if spectrum else None,
    }


# ---- comparison of models -------------------------------------------------------------------------------------------


def comparison_section(result: Assessment) -> Section:
    """Return the differences of all pairs of models with intervals, and corrected p-values."""
    star = result.star
    stars = len(np.unique(star))
    pairs = {
        (a, b): compare(result.label, result.probabilities[a], result.probabilities[b], star)
        for a, b in combinations(result.models, 2)
    }
    corrected = holm([c.p_value for c in pairs.values()])
    rows = [_comparison_row(*pair, c, float(p)) for (pair, c), p in zip(pairs.items(), corrected, strict=True)]
    several = stars < len(star)
    notes = [
        _comparison_sentence(*pair, c, _is_different(c, stars) if several else bool(p < LEVEL))
        for (pair, c), p in zip(pairs.items(), corrected, strict=True)
    ]
    if several:
        notes.append(
            f"Judged by the intervals, which draw the {stars:,} stars ({FEWEST_STARS} are needed): McNemar's test "
            f"takes the {len(star):,} light curves as independent, and its p-values may be far too small here."
        )
    else:
        notes.append(f"Judged by McNemar's test at {LEVEL:g}, as each light curve is of another star.")
    if len(pairs) > 1:
        notes.append(f"{len(pairs)} pairs: p-values are corrected by Holm, intervals are those of each pair alone.")
    return Section(
        "Comparison",
        "differences on the same objects, second minus first: an interval without 0 is a difference at 95 %. "
        "McNemar's exact test asks whether both are right equally often, if light curves are independent.",
        "a difference in accuracy with none in macro F1: bought in common classes with rare ones.",
        table=rows,
        notes=notes,
    )


def _comparison_row(first: str, second: str, c: Comparison, p: float) -> dict[str, Any]:
    return {
        "first": first,
        "second": second,
        "accuracy, difference": c.accuracy,
        "macro F1, difference": c.macro_f1,
        "only the first right": c.only_a,
        "only the second right": c.only_b,
        "McNemar p": c.p_value,
        "p (Holm)": p,
    }


def _is_different(c: Comparison, stars: int) -> bool:
    """Return whether the interval of the difference in accuracy, from drawing stars, leaves out 0."""
    return stars >= FEWEST_STARS and not c.accuracy.low <= 0 <= c.accuracy.high


def _comparison_sentence(first: str, second: str, c: Comparison, differ: bool) -> str:
    if not differ:
        return f"{first} and {second}: no difference in accuracy that these objects could show."
    better, other = (second, first) if c.accuracy.value > 0 else (first, second)
    return f"{better} is right more often than {other}, by {abs(100 * c.accuracy.value):.1f} percentage points."


OWN, PERIODS, LEAK = "each survey in its own labels", "periods that agree with the catalog's", "the survey guessed"


def has_surveys(result: Assessment) -> bool:
    """Return whether there is anything to say of surveys or periods."""
    return any(result.survey_records(name) for name in result.models)


def surveys_section(result: Assessment) -> Section:
    """Return the scores of each survey and of periods, for each model."""
    tables: dict[str, Rows] = {}
    notes: list[str] = []
    for name in result.models:
        records = result.survey_records(name)
        if "by_survey" in records:
            tables[f"{name}: {OWN}"] = survey_rows(records["by_survey"])
            notes += [note for note in survey_notes(records["by_survey"]) if note not in notes]
        if "periods" in records:
            tables[f"{name}: {PERIODS}"] = period_rows(records["periods"])
        if "survey_leak" in records:
            tables[f"{name}: {LEAK}, from the embedding of stars of one leaf"] = leak_rows(records["survey_leak"])
    return Section(
        "Surveys and periods",
        "surveys that score worse than the others, and labels whose periods are no better than the highest peak.",
        "a survey that is guessed from the embedding much more often than by chance: the network may use it.",
        tables=tables,
        notes=notes,
    )
