"""Calibrate a finished model anew, by its own recipe's validation objects or by labelled objects of another survey.

The weights stay as they are. A model carried over to another survey keeps its ranking of classes better than its
probabilities: a few hundred labels of the new survey make them, the prediction sets and novelty mean something there.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markdown import Markdown

from goodricke.calibrate import calibrate
from goodricke.card import trust, with_section
from goodricke.experiment import Parts, split_objects
from goodricke.inference import ask
from goodricke.models.bundle import Model, load_model
from goodricke.preprocess import MultibandConfig, prepare
from goodricke.training.labelled import Labelled, read_labelled
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
    novelty: NoveltyKind = "mahalanobis",
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
    novelty : {"mahalanobis", "neighbours", "energy"}
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
    config = data.data if isinstance(data, Recipe) else data.model_copy(update={"fewest": 1})
    told = model.preprocessing.columns if isinstance(model.preprocessing, MultibandConfig) else ()
    with console.status("Reading light curves and labels, preprocessing"):
        labelled = _of_known_classes(read_labelled(config, told), model)
        prepared = prepare(labelled.curves, model.preprocessing, workers)
    if isinstance(data, Recipe):
        parts = split_objects(data, labelled, prepared)
    else:
        parts = _in_two(labelled, prepared.usable, seed)
    with console.status(f"Calibrating by {len(parts[VALIDATION]):,} light curves"):
        given = prepared, labelled.label, parts[VALIDATION], parts[TRAIN], labelled.star
        result = replace(model, calibration=calibrate(model, *given, passes, kinds, novelty))
        rows = parts[TEST]
        answers = {"deterministic": ask(result, prepared.take(rows), 0)}
        if passes and model.stochastic:
            answers["monte_carlo"] = ask(result, prepared.take(rows), passes, seed)
        section = trust(result, labelled.label[rows], labelled.star[rows], answers, config.name)
    console.print(Markdown(section))
    card = "" if model.folder is None else (model.folder / "README.md").read_text()
    written = result.save(out, with_section(card, section), keep_golden=True)
    console.print(f"Model {written.name} {written.hash} written to {out}")
    return written


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
    names = np.array(data.classes)[data.label[rows]]
    part = split_by_star(data.star[rows], names, REPORTED, 0, seed)
    return {TRAIN: rows[:0], VALIDATION: rows[part == TRAIN], TEST: rows[part == TEST]}
