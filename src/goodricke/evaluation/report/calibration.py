"""The section on probabilities: their calibration, and the coverage of prediction sets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodricke.evaluation.assessment import Assessment, ModelResult, align_classes
from goodricke.evaluation.calibration_scores import (
    CalibrationError,
    brier_score,
    classwise_calibration_error,
    expected_calibration_error,
    reliability,
)
from goodricke.evaluation.coverage_checks import coverage_checks
from goodricke.evaluation.figures.classes import plot_class_reliabilities, plot_reliabilities
from goodricke.evaluation.intervals import mean_estimate
from goodricke.evaluation.page import Section
from goodricke.inference import to_predictions
from goodricke.uncertainty.calibration import Scaling

BEFORE = " before calibration"
NO_SETS = "No prediction sets: these models were not calibrated for them."


def calibration_section(result: Assessment, folder: Path) -> Section:
    """Return reliability diagrams, calibration errors and Brier scores, and the coverage of prediction sets."""
    star = result.star
    probabilities = with_uncalibrated(result)
    errors = {name: expected_calibration_error(p, result.label, star) for name, p in probabilities.items()}
    tables: dict[str, Any] = {f"{name}, by class": _class_rows(result, name) for name in result.models}
    if sets := [row for name in result.models for row in _set_rows(result, name)]:
        tables["Prediction sets"] = sets
    if checks := [row for name in result.models for row in _check_rows(result, name)]:
        tables["Coverage and false alarms"] = checks
    return Section(
        "Calibration",
        "points on the diagonal: of answers with probability 0.8, eight in ten are right. Bars are 95 % intervals.",
        "points below it: overconfident, so that cuts in probability let in more mistakes than they seem to; an error "
        "above the range that chance alone gives.",
        _plot_reliabilities(result, probabilities, folder),
        table=[_row(result, name, p, errors[name]) for name, p in probabilities.items()],
        tables=tables,
        notes=[
            *(_miscalibration_sentence(name, errors[name]) for name in result.models),
            *([] if sets else [NO_SETS]),
            *(_dependence_note(star) if checks else []),
        ],
        data={name: reliability(p, result.label, star=star).rows() for name, p in probabilities.items()},
    )


def with_uncalibrated(result: Assessment) -> dict[str, NDArray[np.float64]]:
    """Return the probabilities (m, C) of each model, and those before its calibration: the softmax of one pass."""
    probabilities = dict(result.probabilities)
    for name, x in result.models.items():
        logits = x.output.logits
        if x.model.calibration.one_pass.temperature != 1.0 and logits is not None:
            raw = Scaling.from_temperature(1.0, len(x.model.classes)).probabilities(logits[result.rows])
            probabilities[f"{name}{BEFORE}"] = align_classes(raw, x.model.classes, result.classes)
    return probabilities


def prediction_sets(result: ModelResult, rows: NDArray[np.int64]) -> list[list[str]] | None:
    """Return the prediction sets of the objects ``rows`` as lists of classes, None if the model makes none."""
    table = to_predictions(result.model, result.prepared, result.output, result.status).table
    if "prediction_set" not in table.column_names:
        return None
    return [members or [] for members in table["prediction_set"].take(rows).to_pylist()]


def _dependence_note(star: NDArray) -> list[str]:
    """Return a note that coverage is tested on light curves, where there are fewer stars."""
    stars = len(np.unique(star))
    note = (
        f"The tests of coverage and false alarms take the {len(star):,} light curves as independent; they are of "
        f"{stars:,} stars, so that the intervals are too narrow. Intervals under prediction sets draw stars."
    )
    return [note] if stars < len(star) else []


def _plot_reliabilities(
    result: Assessment, probabilities: Mapping[str, NDArray[np.float64]], folder: Path
) -> dict[str, Path]:
    """Draw the reliability of answers and of the probability of each class."""
    files, star = [folder / "reliability.svg", folder / "reliability_classes.svg"], result.star
    curves = {name: reliability(p, result.label, star=star) for name, p in probabilities.items()}
    plot_reliabilities(curves, files[0])
    by_class = {
        c: {name: reliability(p, result.label, of=k, bins=10, star=star) for name, p in probabilities.items()}
        for k, c in enumerate(result.classes)
    }
    plot_class_reliabilities(by_class, files[1])
    return {
        "Fraction of right answers by probability, and number of answers": files[0],
        "The same of the probability of each class, whether or not it is the most probable one": files[1],
    }


def _check_rows(result: Assessment, name: str) -> list[dict[str, Any]]:
    """Return nominal and observed rates of a model's prediction sets and false alarms."""
    x = result.models[name]
    place = {c: k for k, c in enumerate(x.model.classes)}
    label = np.array([place[result.classes[k]] for k in result.label])
    return [
        {"model": name, "check": text, "nominal": c.nominal, "observed": c.observed, "holds": c.verdict}
        | ({} if np.isnan(c.set_size) else {"mean size": c.set_size})
        for text, c in coverage_checks(x.model, x.output.take(result.rows), label)
    ]


def _row(result: Assessment, name: str, p: NDArray[np.float64], error: CalibrationError) -> dict[str, Any]:
    return {
        "model": name,
        "expected calibration error": error.error,
        "by chance alone": error.by_chance,
        "Brier score": brier_score(p, result.label, result.star),
        "mean probability of the answer": float(p.max(1).mean()),
        "accuracy": mean_estimate(p.argmax(1) == result.label, result.star),
    }


def _class_rows(result: Assessment, name: str) -> list[dict[str, Any]]:
    p, n = result.probabilities[name], np.bincount(result.label, minlength=len(result.classes))
    errors = classwise_calibration_error(p, result.label, result.star)
    return [
        {
            "class": c,
            "support": int(n[k]),
            "calibration error": errors[k].error,
            "by chance alone": errors[k].by_chance,
            "Brier score": brier_score(p, result.label, result.star, of=k),
            "mean probability": float(p[:, k].mean()),
            "share of the objects": float(n[k] / n.sum()),
        }
        for k, c in enumerate(result.classes)
    ]


def _miscalibration_sentence(name: str, error: CalibrationError) -> str:
    if not error.significant:
        return f"{name}: no more miscalibrated than exact probabilities appear by chance in so few objects."
    return (
        f"{name}: off by {100 * error.error.value:.1f} percentage points on average, more than the at most "
        f"{100 * error.by_chance.high:.1f} that chance would give exact probabilities (97.5 % of samples)."
    )


def _set_rows(result: Assessment, name: str) -> list[dict[str, Any]]:
    """Return coverage and size of a model's prediction sets over all objects and by class, nothing without sets."""
    sets = prediction_sets(result.models[name], result.rows)
    if sets is None:
        return []
    truth, star = np.array(result.classes, object)[result.label], result.star
    covered = np.array([label in members for label, members in zip(truth, sets, strict=True)])
    size = np.array([len(members) for members in sets])
    groups = {"all": np.ones(len(truth), bool)} | {c: truth == c for c in result.classes}
    return [
        {
            "model": name,
            "class": c,
            "objects": int(rows.sum()),
            "coverage": mean_estimate(covered[rows], star[rows]),
            "mean size": mean_estimate(size[rows], star[rows]),
        }
        for c, rows in groups.items()
        if rows.any()
    ]
