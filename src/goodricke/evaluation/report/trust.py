"""The section on probabilities: whether they are what they say, and whether prediction sets keep their promise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodricke.evaluation.assess import Answered, Assessment, among
from goodricke.evaluation.calibration_scores import (
    CalibrationError,
    brier_score,
    classwise_calibration_error,
    expected_calibration_error,
    reliability,
)
from goodricke.evaluation.card import promises
from goodricke.evaluation.figures.classes import plot_class_reliabilities, plot_reliabilities
from goodricke.evaluation.intervals import mean_estimate
from goodricke.evaluation.page import Section
from goodricke.inference import predictions
from goodricke.uncertainty.calibration import Scaling


def trust(result: Assessment, folder: Path) -> Section:
    """Return reliability diagrams, calibration errors and Brier scores, and the coverage of prediction sets."""
    star = result.sample.star[result.rows]
    shown = with_uncalibrated(result)
    overall = {name: expected_calibration_error(p, result.label, star) for name, p in shown.items()}
    figures = _draw(result, shown, folder, star)
    tables: dict[str, Any] = {f"{name}, by class": _by_class(result, name, star) for name in result.answered}
    if sets := [row for name in result.answered for row in _sets(result, name, star)]:
        tables["Prediction sets"] = sets
    if kept := [row for name in result.answered for row in _promises(result, name)]:
        tables["Promises"] = kept
    return Section(
        "Calibration",
        "points on the diagonal: of answers given 0.8, eight in ten are right. Bars are 95 % intervals.",
        "points below it: overconfident, so that cuts in probability let in more mistakes than they promise; an error "
        "above the range that chance alone gives.",
        figures,
        table=[_row(result, name, p, overall[name], star) for name, p in shown.items()],
        tables=tables,
        notes=[
            *(_in_words(name, overall[name]) for name in result.answered),
            *([] if sets else [NO_SETS]),
            *(_dependent(star) if kept else []),
        ],
        data={name: reliability(p, result.label, star=star).rows() for name, p in shown.items()},
    )


def with_uncalibrated(result: Assessment) -> dict[str, NDArray[np.float64]]:
    """Return each model's probabilities (m, C) and those before its calibration, the softmax of one pass."""
    shown = dict(result.probabilities)
    for name, told in result.answered.items():
        if told.model.calibration.one_pass.temperature != 1.0:
            raw = Scaling.of_temperature(1.0, len(told.model.classes)).probabilities(told.answers.logits[result.rows])
            shown[f"{name}{BEFORE}"] = among(raw, told.model.classes, result.classes)
    return shown


BEFORE = " before calibration"


NO_SETS = "No prediction sets: these models were not calibrated for them."


def _dependent(star: NDArray) -> list[str]:
    """Say that promises are judged by light curves, where there are fewer stars."""
    stars = len(np.unique(star))
    told = (
        f"Promises, and their intervals, are judged as if the {len(star):,} light curves were independent; they are of "
        f"{stars:,} stars, so that this is too sure. Intervals under prediction sets draw stars."
    )
    return [told] if stars < len(star) else []


def _draw(result: Assessment, shown: Mapping[str, NDArray[np.float64]], folder: Path, star: NDArray) -> dict[str, Path]:
    """Draw the reliability of answers and of each class's probability."""
    files = [folder / "reliability.svg", folder / "reliability_classes.svg"]
    plot_reliabilities({name: reliability(p, result.label, star=star) for name, p in shown.items()}, files[0])
    by_class = {
        c: {name: reliability(p, result.label, of=k, bins=10, star=star) for name, p in shown.items()}
        for k, c in enumerate(result.classes)
    }
    plot_class_reliabilities(by_class, files[1])
    return {
        "How often answers of each probability are right, and how many there are": files[0],
        "The same of each class's probability, whether or not it is the most probable one": files[1],
    }


def _promises(result: Assessment, name: str) -> list[dict[str, Any]]:
    """Return what a model's sets and novelty promise, and what held-out objects of its classes say."""
    told, rows = result.answered[name], result.rows
    own = np.array([told.model.classes.index(c) for c in result.sample.label[rows]])
    return [
        {"model": name, "promise": text, "promised": kept.promised, "found": kept.found, "kept": kept.verdict}
        | ({} if np.isnan(kept.size) else {"mean size": kept.size})
        for text, kept in promises(told.model, told.answers.of(rows), own)
    ]


def _row(
    result: Assessment, name: str, p: NDArray[np.float64], error: CalibrationError, star: NDArray
) -> dict[str, Any]:
    right = p.argmax(1) == result.label
    return {
        "model": name,
        "expected calibration error": error.error,
        "by chance alone": error.by_chance,
        "Brier score": brier_score(p, result.label, star),
        "mean probability of the answer": float(p.max(1).mean()),
        "accuracy": mean_estimate(right, star),
    }


def _by_class(result: Assessment, name: str, star: NDArray) -> list[dict[str, Any]]:
    p, n = result.probabilities[name], np.bincount(result.label, minlength=len(result.classes))
    errors = classwise_calibration_error(p, result.label, star)
    return [
        {
            "class": c,
            "support": int(n[k]),
            "calibration error": errors[k].error,
            "by chance alone": errors[k].by_chance,
            "Brier score": brier_score(p, result.label, star, of=k),
            "mean probability": float(p[:, k].mean()),
            "share of the objects": float(n[k] / n.sum()),
        }
        for k, c in enumerate(result.classes)
    ]


def _in_words(name: str, error: CalibrationError) -> str:
    if not error.significant:
        return f"{name}: no more miscalibrated than chance makes exact probabilities appear in so few objects."
    return (
        f"{name}: off by {100 * error.error.value:.1f} percentage points on average, more than the at most "
        f"{100 * error.by_chance.high:.1f} that chance would give exact probabilities (97.5 % of samples)."
    )


def _sets(result: Assessment, name: str, star: NDArray) -> list[dict[str, Any]]:
    """Return coverage and size of a model's prediction sets over all objects and by class, nothing if it has none."""
    told = result.answered[name]
    found = prediction_sets(told, result.rows)
    if found is None:
        return []
    truth = result.sample.label[result.rows]
    covered = np.array([label in each for label, each in zip(truth, found, strict=True)])
    size = np.array([len(each) for each in found])
    groups = {"all": np.ones(len(truth), bool)} | {c: truth == c for c in result.classes}
    return [
        {"model": name, "class": c, "objects": int(of.sum())}
        | {"coverage": mean_estimate(covered[of], star[of]), "mean size": mean_estimate(size[of], star[of])}
        for c, of in groups.items()
        if of.any()
    ]


def prediction_sets(told: Answered, rows: NDArray[np.int64]) -> list[list[str]] | None:
    """Return the prediction sets of the objects ``rows`` as lists of classes, None if the model makes none."""
    table = predictions(told.model, told.prepared, told.answers, told.status).table
    if "prediction_set" not in table.column_names:
        return None
    return [each or [] for each in table["prediction_set"].take(rows).to_pylist()]
