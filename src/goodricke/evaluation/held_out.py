"""A finished training scored on held-out stars, beside baselines, and published with its card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from rich.console import Console

from goodricke import __version__
from goodricke.data.files import atomic_write
from goodricke.data.predictions import Output
from goodricke.evaluation.calibration_scores import reliability
from goodricke.evaluation.card import HeldOutScores, describe_training, render_card, score_records, training_card
from goodricke.evaluation.figures.classes import plot_confusion, plot_history, plot_reliabilities
from goodricke.evaluation.gate import gate_scores
from goodricke.evaluation.papers import TABLES, comparison_table
from goodricke.evaluation.period_scores import groups_of, period_scores, search_of
from goodricke.evaluation.regression import RegressionScores, score_regression
from goodricke.evaluation.report.terminal import print_by_survey
from goodricke.evaluation.sample import unseen_surveys
from goodricke.evaluation.scores import likely_labels, score
from goodricke.evaluation.survey_scores import survey_leaks, survey_scores
from goodricke.evaluation.taxonomy_scores import check_periods, score_labels, score_nodes, set_names
from goodricke.inference import compute_output, to_predictions
from goodricke.models.bundle import Model
from goodricke.preprocess import Prepared, Steps
from goodricke.training.baselines.forest import BASELINES, forest_probabilities, forest_regressions
from goodricke.training.experiment import Experiment, fit_recipe
from goodricke.training.families import standardised
from goodricke.training.kept_files import digest, kept_arrays
from goodricke.training.labels import Labelled, LabelSets
from goodricke.training.recipe import Recipe
from goodricke.training.splits import TEST, TRAIN, VALIDATION

GOLDEN = 8  # objects whose outputs are recorded in the bundle


def run_recipe(
    recipe: Recipe, device: str = "cpu", console: Console | None = None, data: Labelled | None = None
) -> Path:
    """Train, calibrate, score and publish a model as a recipe says; return its folder, ``run/model``.

    The folder appears at the end, complete: a training that stops earlier leaves none, or the former one.
    See `goodricke.training.experiment.fit_recipe` for the parameters and errors.
    """
    console = console or Console()
    experiment = fit_recipe(recipe, device, console, data)
    if experiment is not None:
        publish(experiment, console)
    return recipe.run / "model"


def publish(experiment: Experiment, console: Console) -> Model:
    """Score a model on held-out stars; write the bundle with its card, scores, figures and held-out predictions."""
    recipe, model, parts = experiment.recipe, experiment.model, experiment.parts
    folder = recipe.run / "model"
    if not len(parts[TEST]):
        card = {"training": describe_training(recipe, model, parts, experiment.run)}
        model.config = model.config.model_copy(update={"metrics": {"card": card}})
        model = model.save(folder, render_card(model), _golden(experiment, parts[VALIDATION]))
        console.print(f"Model {model.name} {model.hash} written to {folder}; no stars were held out to score it")
        return model
    with console.status("Scoring the held-out stars"):
        result = _score(experiment)
    card = training_card(experiment, result)
    model.config = model.config.model_copy(update={"metrics": score_records(result.scores) | {"card": card}})
    model = model.save(folder, render_card(model), _golden(experiment, parts[TEST]))
    _write(experiment, model, result)
    _print(model, result, folder, console, recipe.paper)
    return model


def _golden(experiment: Experiment, rows: NDArray[np.int64]) -> Prepared:
    """Return a few objects, from all over the rows, whose outputs the bundle records."""
    return experiment.prepared.take(rows[np.linspace(0, len(rows) - 1, min(GOLDEN, len(rows))).astype(int)])


def _score(experiment: Experiment) -> HeldOutScores:
    """Score held-out stars: one deterministic pass, Monte-Carlo passes, the forests and other baselines."""
    model, data, prepared, parts = experiment.model, experiment.data, experiment.prepared, experiment.parts
    rows, passes = parts[TEST], experiment.recipe.training.passes
    held_out = prepared.take(rows)
    outputs = {"deterministic": compute_output(model, held_out, 0)}
    if passes and model.stochastic:
        outputs["monte_carlo"] = compute_output(model, held_out, passes)
    probabilities = {name: output.probabilities for name, output in outputs.items()}
    fitted = np.concatenate([parts[TRAIN], parts[VALIDATION]])
    sets = data.label_sets
    leaves = None if sets is None else sets.leaves
    probabilities |= _forests(experiment, fitted)
    probabilities |= experiment.baselines
    star = data.star[rows]
    truth: NDArray[Any] = data.label[rows] if leaves is None else leaves[rows]
    scores = {name: score(truth, p, data.classes, star) for name, p in probabilities.items()}
    best = list(outputs.values())[-1]
    label = data.label[rows] if leaves is None else likely_labels(best.probabilities, leaves[rows])
    regression = _regressions(experiment, outputs["deterministic"])
    taxonomy = {} if sets is None else _taxonomy_scores(experiment, sets, held_out, best, probabilities)
    return HeldOutScores(label, outputs, probabilities, scores, regression, truth, taxonomy)


def _forests(experiment: Experiment, fitted: NDArray[np.int64]) -> dict[str, NDArray]:
    """Return the forests' probabilities of the held-out stars, kept in the run: they take longer than the network."""
    recipe, data, rows = experiment.recipe, experiment.data, experiment.parts[TEST]
    leaves = None if data.label_sets is None else data.label_sets.leaves
    split = hashlib.sha256(b"".join(x.tobytes() for x in (data.label if leaves is None else leaves, fitted, rows)))
    key = f"{__version__} {digest(data.curves)} {split.hexdigest()} {data.classes} {recipe.preprocessing}"
    inputs = (data.curves, experiment.prepared, data.label, data.classes, fitted, rows, leaves)
    return kept_arrays(recipe.run / "forests.npz", key, lambda: forest_probabilities(*inputs))


def _taxonomy_scores(
    experiment: Experiment, sets: LabelSets, held_out: Prepared, output: Output, probabilities: Mapping[str, NDArray]
) -> dict[str, Any]:
    """Return scores by label, node and survey, of periods, and of class and period together, as data."""
    rows, data, tree = experiment.parts[TEST], experiment.data, sets.taxonomy
    star, leaves, name = data.star[rows], sets.leaves[rows], sets.name[rows]
    survey = np.array(sets.surveys, object)[sets.survey[rows]]
    words = np.array([f"{x}: " if x else "" for x in sets.surveys], object)[sets.survey[rows]] + name.astype(object)
    p = np.asarray(output.probabilities, np.float64)
    baselines = {k: q for k, q in probabilities.items() if k in BASELINES}
    unseen, search = unseen_surveys(experiment.recipe.data), search_of(experiment.model.preprocessing)
    surveys = survey_scores(survey, name, leaves, p, star, output.prediction_set, baselines, unseen)
    period, groups = sets.period[rows], groups_of(survey, name)
    check = check_periods(tree, output, held_out.usable, star)
    parts: dict[str, Iterable[Any]] = {
        "by_label": score_labels(tree, words, leaves, p, star),
        "by_node": score_nodes(tree, leaves, p, star),
        "by_survey": surveys,
        "survey_leak": survey_leaks(output.embedding, survey, leaves, tree, star),
        "gate": gate_scores(experiment.model, tree, data.curves[rows], name, leaves, baselines),
        "periods": period_scores(data.curves[rows], held_out, output, period, groups, star, search),
    }
    records: dict[str, Any] = {key: [x.to_dict() for x in part] for key, part in parts.items()}
    return records | {"physics": None if check is None else check.to_dict()}


def _regressions(experiment: Experiment, output: Output) -> dict[str, dict[str, RegressionScores]]:
    """Score the regressed parameters, those of the network and of forests."""
    model, data, prepared, parts = experiment.model, experiment.data, experiment.prepared, experiment.parts
    if not isinstance(prepared, Steps) or not model.config.targets:
        return {}
    rows, fitted = parts[TEST], np.concatenate([parts[TRAIN], parts[VALIDATION]])
    learned = standardised(data, model.config.targets)
    forest = model.parameters(forest_regressions(data.curves, prepared, learned, fitted, rows))
    return {
        name: {
            kind: score_regression(data.targets[rows, k], values[name], data.star[rows])
            for kind, values in (("network", output.parameters), ("forest", forest))
        }
        for k, name in enumerate(t.name for t in model.config.targets)
    }


def _write(experiment: Experiment, model: Model, result: HeldOutScores) -> None:
    """Write metrics, figures and held-out predictions into the run folder."""
    folder, best = experiment.recipe.run, list(result.outputs)[-1]
    metrics = {name: scores.to_dict() for name, scores in result.scores.items()}
    metrics |= {name: {k: s.to_dict() for k, s in both.items()} for name, both in result.regression.items()}
    metrics |= result.taxonomy
    atomic_write(folder / "metrics.json", json.dumps(metrics, indent=2))
    plot_history(experiment.run.history, folder / "history.png")
    plot_confusion(result.scores[best], folder / "confusion.png")
    plot_reliabilities({best: reliability(result.probabilities[best], result.label)}, folder / "reliability.png")
    held_out = experiment.prepared.take(experiment.parts[TEST])
    classes, sets = np.array(experiment.data.classes), experiment.data.label_sets
    names = classes[result.label] if sets is None else set_names(result.truth, sets.taxonomy)
    label = pa.table({"label": pa.array(names.tolist(), pa.string())})
    predictions = to_predictions(model, held_out, result.outputs[best], held_out.status, label)
    predictions.write(folder / "test_predictions.parquet")


def _print(model: Model, result: HeldOutScores, folder: Path, console: Console, paper: str = "") -> None:
    console.print(result.scores[list(result.outputs)[-1]].table())
    if paper:
        console.print(comparison_table(result.scores[list(result.outputs)[-1]], TABLES[paper], model.name))
    print_by_survey(result.taxonomy, model.name, console)
    for name, title in BASELINES.items():
        if name in result.scores:
            s: Any = result.scores[name]
            console.print(f"{title.capitalize()}: accuracy {s.accuracy}, macro F1 {s.macro_f1}")
    for target in model.config.targets:
        for kind, regressed in result.regression[target.name].items():
            console.print(regressed.table(f"{target.name}, {kind}", target.unit))
    console.print(f"Model {model.name} {model.hash} written to {folder}")
