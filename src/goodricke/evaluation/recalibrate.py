"""Calibrate a finished model again, by its own recipe's validation objects or by labelled objects of another survey.

The weights stay as they are. A model applied to another survey keeps its ranking of classes better than its
probabilities: a few hundred labels of the new survey calibrate them, the prediction sets and novelty for it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markdown import Markdown

from goodricke.evaluation.card import (
    CALIBRATION,
    calibration_record,
    card_sections,
    check_records,
    render_calibration,
    render_card,
    score_records,
    stored_card,
)
from goodricke.evaluation.coverage_checks import false_alarm_checks
from goodricke.evaluation.sample import count_training_objects, read_parts
from goodricke.evaluation.scores import score
from goodricke.inference import compute_output
from goodricke.models.bundle import Model, load_model
from goodricke.preprocess import Prepared, prepare
from goodricke.training.calibrate import calibrate, measure_novelty
from goodricke.training.class_names import match_classes
from goodricke.training.experiment import Parts, split_objects
from goodricke.training.labels import Labelled, read_labelled
from goodricke.training.recipe import DataConfig, Recipe
from goodricke.training.splits import TEST, TRAIN, VALIDATION, split_by_star
from goodricke.uncertainty.calibration import KINDS, Kind
from goodricke.uncertainty.novelty import Kind as NoveltyKind

log = logging.getLogger("goodricke")

REPORTED = 0.3  # fraction of the stars of another survey that the calibration is tested on


def recalibrate(
    model: Model | str | Path,
    data: Recipe | DataConfig,
    out: str | Path,
    *,
    kinds: Sequence[Kind] = KINDS,
    novelty: NoveltyKind = "combined",
    passes: int = 20,
    seed: int = 0,
    workers: int = 1,
    console: Console | None = None,
) -> Model:
    """Calibrate a model and write it, with a section on the calibration in its card, into a folder.

    Parameters
    ----------
    model : Model, str or Path
    data : Recipe or DataConfig
        With a recipe the calibration is fitted to its validation objects and tested on its held-out objects, and
        novelty is measured from its training objects. With other labelled light curves it is fitted to 70 % of the
        stars and tested on 30 %; novelty is measured from the training objects that the model keeps.
    out : path
        Folder for the calibrated model; the folder of the model is changed only if it is the same.
    kinds : list
        Scalings to choose from, the simplest first.
    novelty : {"combined", "mahalanobis", "neighbours", "energy"}
        With a recipe.
    passes, seed, workers
        As in `goodricke.classify`.
    console : rich Console, optional

    Returns
    -------
    Model
        As written.

    Raises
    ------
    ValueError
        If no labelled object is of a class of the model, or a model with Monte-Carlo passes is calibrated without.
    """
    console = console or Console()
    model = model if isinstance(model, Model) else load_model(model)
    if model.stochastic and not passes:
        raise ValueError(
            f"{model.name} classifies by the mean of Monte-Carlo passes: calibrate it with them, e.g. --mc 20"
        )
    labelled, prepared, parts = _read(model, data, seed, workers, console)
    _warn_of_missing_classes(model, labelled, parts[VALIDATION])
    with console.status(f"Calibrating by {len(parts[VALIDATION]):,} light curves"):
        calibration = calibrate(
            model,
            prepared,
            labelled.label,
            parts[VALIDATION],
            parts[TRAIN],
            labelled.star,
            passes,
            kinds,
            novelty,
        )
        result, rows = replace(model, calibration=calibration), parts[TEST]
        outputs = {"deterministic": compute_output(result, prepared.take(rows), 0)}
        if passes and model.stochastic:
            outputs["monte_carlo"] = compute_output(result, prepared.take(rows), passes, seed)
    if not calibration.novelty:
        log.warning("%s has no training objects to measure novelty from: give --recipe once", model.name)
    label, star = labelled.label[rows], labelled.star[rows]
    name = (data.data if isinstance(data, Recipe) else data).name
    card = _earlier_card(model, result, data) | {"calibration": calibration_record(result, label, star, outputs, name)}
    metrics: dict[str, Any] = {}
    if isinstance(data, Recipe):
        scores = {kind: score(label, x.probabilities, model.classes, star) for kind, x in outputs.items()}
        metrics = model.config.metrics | score_records(scores)
    result.config = model.config.model_copy(update={"metrics": metrics | {"card": card}})
    console.print(Markdown(f"## {CALIBRATION}\n\n{render_calibration(card)}"))
    return _write(result, out, console)


def remeasure_novelty(
    model: Model | str | Path,
    recipe: Recipe,
    out: str | Path,
    *,
    novelty: NoveltyKind = "combined",
    workers: int = 1,
    console: Console | None = None,
) -> Model:
    """Measure a model's novelty again from its training objects; probabilities and prediction sets stay as they are.

    It takes one pass instead of all the Monte-Carlo passes of `recalibrate`, whose novelty is the same.
    """
    console = console or Console()
    model = model if isinstance(model, Model) else load_model(model)
    labelled, prepared, parts = _read(model, recipe, 0, workers, console)
    with console.status(f"Measuring novelty by {len(parts[VALIDATION]):,} light curves"):
        measured = measure_novelty(model, prepared, labelled.label, parts[VALIDATION], parts[TRAIN], novelty)
        result = replace(model, calibration=replace(model.calibration, novelty=measured))
        checks = false_alarm_checks(result, compute_output(result, prepared.take(parts[TEST]), 0))
    for text, check in checks:
        console.print(f"{text}: {check.observed} of held-out light curves")
    card, records = stored_card(model), check_records(checks)
    if "calibration" in card:
        former, names = card["calibration"]["checks"], {record["check"] for record in records}
        kept = [record for record in former if record["check"] not in names]
        card["calibration"] = card["calibration"] | {"checks": kept + records}
    else:
        card["false_alarms"] = records
    result.config = model.config.model_copy(update={"metrics": model.config.metrics | {"card": card}})
    return _write(result, out, console)


def _earlier_card(model: Model, result: Model, data: Recipe | DataConfig) -> dict[str, Any]:
    """Return what stays of the card of a model that gets another calibration.

    With data of another survey it stays as text. With a recipe the comparison with baselines stays only if the
    probabilities do.
    """
    if not isinstance(data, Recipe):
        note = f"The other scores on this card are of the model before, on {model.config.trained_on}."
        return {"text": card_sections(model), "note": note}
    card, before, after = stored_card(model), model.calibration, result.calibration
    card.pop("false_alarms", None)
    if not (before.one_pass.is_same_as(after.one_pass) and before.monte_carlo.is_same_as(after.monte_carlo)):
        card.pop("baselines", None)
        if "text" in card:
            card["note"] = "Comparisons with baselines on this card are of the calibration before."
    return card


def _write(model: Model, out: str | Path, console: Console) -> Model:
    """Write a model with the weights of its folder."""
    written = model.save(out, render_card(model), same_weights=True)
    console.print(f"Model {written.name} {written.hash} written to {out}")
    return written


def _read(
    model: Model, data: Recipe | DataConfig, seed: int, workers: int, console: Console
) -> tuple[Labelled, Prepared, Parts]:
    """Return labelled light curves of a model's classes, prepared for it, and their parts."""
    config = data.data if isinstance(data, Recipe) else data.model_copy(update={"fewest": 1})
    with console.status("Reading light curves and labels, preprocessing"):
        labelled = _with_classes_of(model, read_labelled(config, model.preprocessing.columns))
        prepared = prepare(labelled.curves, model.preprocessing, workers)
    if isinstance(data, Recipe):
        return labelled, prepared, _split_of_run(data, labelled, prepared)
    if used := count_training_objects(model, labelled.curves.ids):
        log.warning(
            "%s was trained on %s of these light curves: its probabilities for them are too good to calibrate it by. "
            "Leave them out, or give its recipe",
            model.name,
            f"{used:,}",
        )
    return labelled, prepared, _split_in_two(labelled, prepared.usable, seed)


def _split_of_run(recipe: Recipe, data: Labelled, prepared: Prepared) -> Parts:
    """Return the usable rows of each part of the split.csv of a recipe's run, or else of a new split."""
    file = recipe.run / "split.csv"
    if not file.exists():
        log.warning(
            "%s isn't there: the split is computed again; it is that of the training if the data are the same", file
        )
        return split_objects(recipe, data, prepared)
    return {name: rows[prepared.usable[rows]] for name, rows in read_parts(data, file).items()}


def _warn_of_missing_classes(model: Model, data: Labelled, rows: np.ndarray) -> None:
    """Warn of the classes without a label."""
    missing = [c for k, c in enumerate(model.classes) if not (data.label[rows] == k).any()]
    if missing:
        log.warning(
            "no labelled object of %s: the labels must be a fair sample of what will be classified, or the coverage "
            "doesn't hold for these",
            ", ".join(missing),
        )


def _with_classes_of(model: Model, data: Labelled) -> Labelled:
    """Return the light curves whose class is one of the model's, with the model's class indices as labels."""
    place = match_classes(data.classes, model.classes).class_index
    rows = np.flatnonzero((data.label >= 0) & (place[data.label] >= 0))  # -1: the label allows several classes
    if not len(rows):
        raise ValueError(
            f"the labels are {', '.join(data.classes)}; the classes of {model.name} are {', '.join(model.classes)}. "
            'Fix: translate your labels, e.g. --merge "EW=W UMa,EC"'
        )
    if unknown := [c for c, k in zip(data.classes, place, strict=True) if k < 0]:
        log.warning("%s has no class for %s: left out", model.name, ", ".join(unknown))
    arrays = {name: getattr(data, name)[rows] for name in ("curves", "star", "neighbourhood", "targets")}
    part = None if data.part is None else data.part[rows]
    return data._replace(**arrays, part=part, label=place[data.label[rows]], classes=model.classes, label_sets=None)


def _split_in_two(data: Labelled, usable: np.ndarray, seed: int) -> Parts:
    """Return the rows to calibrate by and to test on, no star in both."""
    rows = np.flatnonzero(usable)
    if not len(rows):
        raise ValueError("the model can classify none of the labelled light curves: nothing to calibrate it by")
    label, star = data.label[rows], data.star[rows]
    stars = {c: len(np.unique(star[label == c])) for c in np.unique(label)}
    rare = np.isin(label, [c for c, n in stars.items() if n < 3])  # too rare to be tested on
    part = np.full(len(rows), TRAIN, "<U10")
    if not rare.all():
        part[~rare] = split_by_star(star[~rare], label[~rare], REPORTED, 0, seed)
    part[np.isin(star, star[rare])] = TRAIN
    return {TRAIN: rows[:0], VALIDATION: rows[part != TEST], TEST: rows[part == TEST]}
