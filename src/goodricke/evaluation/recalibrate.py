"""Calibrate a finished model anew, by its own recipe's validation objects or by labelled objects of another survey.

The weights stay as they are. A model carried over to another survey keeps its ranking of classes better than its
probabilities: a few hundred labels of the new survey make them, the prediction sets and novelty mean something there.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markdown import Markdown

from goodricke.evaluation.card import TITLES, alarms, trust, with_alarms, with_section
from goodricke.evaluation.sample import parts_by_file, trained_on
from goodricke.evaluation.scores import score
from goodricke.inference import ask
from goodricke.models.bundle import Model, load_model
from goodricke.preprocess import MultibandConfig, Prepared, Steps, prepare
from goodricke.training.calibrate import calibrate, measure_novelty
from goodricke.training.experiment import Parts, split_objects
from goodricke.training.labels import Labelled, read_labelled
from goodricke.training.recipe import DataConfig, Recipe
from goodricke.training.splits import TEST, TRAIN, VALIDATION, split_by_star
from goodricke.uncertainty.calibration import KINDS, Kind
from goodricke.uncertainty.novelty import Kind as NoveltyKind

log = logging.getLogger("goodricke")

REPORTED = 0.3  # of the stars of a survey of one's own that the calibration is tried on, not learned from


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
    """Calibrate a model and write it, with a section on it in its card, into a folder.

    Parameters
    ----------
    model : Model, str or Path
    data : Recipe or DataConfig
        Of a recipe the validation objects teach, the held-out ones are reported on, and novelty is measured from the
        training objects. Of other labelled light curves 70 % of the stars teach and 30 % are reported on; novelty is
        measured from what the model was trained on.
    out : path
        Folder for the calibrated model; its own folder is not touched unless it is this one.
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
        If no labelled object is of a class that the model knows.
    """
    console = console or Console()
    model = model if isinstance(model, Model) else load_model(model)
    labelled, prepared, parts = _material(model, data, seed, workers, console)
    _warn(model, labelled, parts[VALIDATION], passes)
    with console.status(f"Calibrating by {len(parts[VALIDATION]):,} light curves"):
        given = prepared, labelled.label, parts[VALIDATION], parts[TRAIN], labelled.star
        result = replace(model, calibration=calibrate(model, *given, passes, kinds, novelty))
        rows = parts[TEST]
        answers = {"deterministic": ask(result, prepared.take(rows), 0)}
        if passes and model.stochastic:
            answers["monte_carlo"] = ask(result, prepared.take(rows), passes, seed)
    if not result.calibration.novelty:
        log.warning("%s has no training objects to measure novelty from: give --recipe once", model.name)
    card = _card(model, result)
    label, star = labelled.label[rows], labelled.star[rows]
    if isinstance(data, Recipe):
        scores = {name: score(label, x.probabilities, model.classes, star) for name, x in answers.items()}
        figures = {name: scored.to_dict()["headline"] for name, scored in scores.items()}
        result.config = model.config.model_copy(update={"metrics": model.config.metrics | figures})
        for name, scored in scores.items():
            card = with_section(card, f"## {TITLES[name]}\n\n{scored.markdown()}")
    else:
        result.config = model.config.model_copy(update={"metrics": {}})
    section = trust(result, label, star, answers, (data.data if isinstance(data, Recipe) else data).name)
    if not isinstance(data, Recipe):
        section += f"\nThe other scores on this card are of the model before, on {model.config.trained_on}.\n"
    console.print(Markdown(section))
    written = result.save(out, with_section(card, section), same_weights=True)
    console.print(f"Model {written.name} {written.hash} written to {out}")
    return written


def remeasure_novelty(
    model: Model | str | Path,
    recipe: Recipe,
    out: str | Path,
    *,
    novelty: NoveltyKind = "combined",
    workers: int = 1,
    console: Console | None = None,
) -> Model:
    """Measure a model's novelty anew, by the objects of its training; probabilities and sets stay as they are.

    It takes one pass instead of all the Monte-Carlo passes of `recalibrate`, whose novelty is the same.
    """
    console = console or Console()
    model = model if isinstance(model, Model) else load_model(model)
    labelled, prepared, parts = _material(model, recipe, 0, workers, console)
    with console.status(f"Measuring novelty by {len(parts[VALIDATION]):,} light curves"):
        usual = measure_novelty(model, prepared, labelled.label, parts[VALIDATION], parts[TRAIN], novelty)
        result = replace(model, calibration=replace(model.calibration, novelty=usual))
        told = ask(result, prepared.take(parts[TEST]), 0)
    card = with_alarms((model.folder / "README.md").read_text() if model.folder else f"# {model.name}\n", result, told)
    for text, kept in alarms(result, told):
        console.print(f"{text}: {kept.found} of held-out light curves")
    written = result.save(out, card, same_weights=True)
    console.print(f"Model {written.name} {written.hash} written to {out}")
    return written


def _material(
    model: Model, data: Recipe | DataConfig, seed: int, workers: int, console: Console
) -> tuple[Labelled, Prepared, Parts]:
    """Return labelled light curves of a model's classes, prepared for it, and which of them teach."""
    config = data.data if isinstance(data, Recipe) else data.model_copy(update={"fewest": 1})
    told = model.preprocessing.columns if isinstance(model.preprocessing, MultibandConfig) else ()
    with console.status("Reading light curves and labels, preprocessing"):
        labelled = _of_known_classes(read_labelled(config, told), model)
        prepared = prepare(labelled.curves, model.preprocessing, workers)
    if isinstance(data, Recipe):
        return labelled, prepared, _split_of_run(data, labelled, prepared)
    if used := trained_on(model, labelled.curves.ids):
        log.warning(
            "%s was trained on %s of these light curves: what it says of them is too good to calibrate it by. Leave "
            "them out, or give its recipe",
            *(model.name, f"{used:,}"),
        )
    return labelled, prepared, _in_two(labelled, prepared.usable, seed)


def _split_of_run(recipe: Recipe, data: Labelled, prepared: Prepared) -> Parts:
    """Return the usable rows of each part of the split that the recipe's run has written, or else of one made anew."""
    file = recipe.run / "split.csv"
    if not file.exists():
        log.warning("%s isn't there: the split is made anew, as the training made it if the data are the same", file)
        return split_objects(recipe, data, prepared)
    return {name: rows[prepared.usable[rows]] for name, rows in parts_by_file(data, file).items()}


def _warn(model: Model, data: Labelled, rows: np.ndarray, passes: int) -> None:
    """Say what the labels can't teach.

    Raises
    ------
    ValueError
        If a model that answers by Monte-Carlo passes is to be calibrated without.
    """
    if model.stochastic and not passes:
        raise ValueError(
            f"{model.name} answers by the mean of Monte-Carlo passes: calibrate it with them, e.g. --mc 20"
        )
    without = [c for k, c in enumerate(model.classes) if not (data.label[rows] == k).any()]
    if without:
        log.warning(
            "no labelled object of %s: the labels must be a fair sample of what will be classified, or the promises "
            "don't hold for these",
            ", ".join(without),
        )


def _card(model: Model, result: Model) -> str:
    """Return the card of a model, of a result with other probabilities without what was true of the former ones alone.

    The temperatures that older cards name go, and the comparison with the baselines, whose own scores stay.
    """
    path = (model.folder or Path()) / "README.md"
    card = path.read_text() if model.folder is not None and path.exists() else f"# {model.name}\n"
    card = re.sub(r"^- Temperatures, fitted on validation objects: .*\n(?:  .*\n)*", "", card, flags=re.MULTILINE)
    before, after = model.calibration, result.calibration
    if before.one_pass.like(after.one_pass) and before.monte_carlo.like(after.monte_carlo):
        return card
    return re.sub(r"^\| network minus .*\n(?:\|.*\n)*\n?", "", card, flags=re.MULTILINE)


def _of_known_classes(data: Labelled, model: Model) -> Labelled:
    """Return the light curves of classes that a model knows, their labels as its indices."""
    place = np.array([model.classes.index(c) if c in model.classes else -1 for c in data.classes])
    rows = np.flatnonzero(place[data.label] >= 0)
    if not len(rows):
        raise ValueError(
            f"the labels are {', '.join(data.classes)}, and {model.name} knows {', '.join(model.classes)}: "
            'give its names to yours, e.g. --merge "EC=W UMa,EW"'
        )
    if left := [c for c, k in zip(data.classes, place, strict=True) if k < 0]:
        log.warning("%s has no class for %s: left out", model.name, ", ".join(left))
    chosen = {name: getattr(data, name)[rows] for name in ("curves", "star", "neighbourhood", "targets")}
    part = None if data.part is None else data.part[rows]
    return data._replace(**chosen, part=part, label=place[data.label[rows]], classes=model.classes)


def _in_two(data: Labelled, usable: np.ndarray, seed: int) -> Parts:
    """Return the rows to calibrate by and to report on, no star in both."""
    rows = np.flatnonzero(usable)
    if not len(rows):
        raise ValueError("the model can answer for none of the labelled light curves: nothing to calibrate it by")
    label, star = data.label[rows], data.star[rows]
    stars = {c: len(np.unique(star[label == c])) for c in np.unique(label)}
    few = np.isin(label, [c for c, n in stars.items() if n < 3])  # too rare to be reported on: they only teach
    part = np.full(len(rows), TRAIN, "<U10")
    if not few.all():
        part[~few] = split_by_star(star[~few], label[~few], REPORTED, 0, seed)
    part[np.isin(star, star[few])] = TRAIN
    return {TRAIN: rows[:0], VALIDATION: rows[part != TEST], TEST: rows[part == TEST]}
