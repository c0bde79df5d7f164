"""Carry a training recipe out: read, prepare, fit, calibrate, score on held-out stars, write the model and its card."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import NDArray
from rich.console import Console

from goodricke import __version__
from goodricke.evaluation.card import card_without_scores, model_card
from goodricke.evaluation.figures.classes import plot_confusion, plot_history, plot_reliability
from goodricke.evaluation.regression import RegressionScores, score_regression
from goodricke.evaluation.scores import Scores, score
from goodricke.inference import Answers, ask, predictions
from goodricke.models.bundle import BundleConfig, Model, Target
from goodricke.models.multiband import Multiband
from goodricke.preprocess import MultibandConfig, Prepared, Steps
from goodricke.training import loop
from goodricke.training.baselines.forest import BASELINES, forest_probabilities, forest_regressions
from goodricke.training.baselines.mixture import MixtureOfExperts, fit_mixture, mixture_probabilities
from goodricke.training.calibrate import calibrate
from goodricke.training.experiment import Parts, check_same_run, join_processes, prepare_once, shown, split_objects
from goodricke.training.families import (
    Network,
    build_network,
    family,
    fit_network,
    learned_targets,
    standardised,
    unchanged_bands,
)
from goodricke.training.labels import Labelled, read_labelled
from goodricke.training.pretraining import load_start
from goodricke.training.recipe import Recipe, resolved
from goodricke.training.splits import TEST, TRAIN, VALIDATION
from goodricke.uncertainty.calibration import KINDS

GOLDEN = 8  # objects whose outputs are recorded in the bundle
FEW_STEPS = 1500  # gradient steps that a network wants from scratch: a rule of thumb


class Result(NamedTuple):
    """What the held-out stars say of a model."""

    label: NDArray[np.int64]
    answers: dict[str, Answers]  # one deterministic pass, and Monte-Carlo passes
    probabilities: dict[str, NDArray]  # of these and of the baselines, each (n, C)
    scores: dict[str, Scores]
    regression: dict[str, dict[str, RegressionScores]]  # by parameter, of the network and of a forest


def run_recipe(
    recipe: Recipe, device: str = "cpu", console: Console | None = None, data: Labelled | None = None
) -> Path:
    """Train a model as a recipe says; return the folder of the finished bundle, ``run/model``.

    Parameters
    ----------
    recipe : Recipe
    device : str
        As in `goodricke.load_model`. Under ``torchrun`` every process takes its own GPU and its share of each batch.
    console : rich Console, optional
    data : Labelled, optional
        Light curves in memory, in place of those that the recipe's ``[data]`` section names.

    Raises
    ------
    ValueError
        If the folder holds a run with other settings, data or split, or the model to start from doesn't go with it.
    """
    where = join_processes(device)
    first = loop.rank_and_world()[0] == 0
    console = (console or Console()) if first else Console(quiet=True)
    recipe.run.mkdir(parents=True, exist_ok=True)
    init = None if recipe.training.init is None else load_start(recipe.training.init)
    told = recipe.preprocessing.columns if isinstance(recipe.preprocessing, MultibandConfig) else ()
    data = read_labelled(recipe.data, told) if data is None else data
    recipe = resolved(recipe, data.curves, None if init is None else init.config)
    prepared = prepare_once(recipe, data.curves, console)
    parts = split_objects(recipe, data, prepared)
    check_same_run(recipe, data, parts)
    console.print(f"{len(data.classes)} classes, " + ", ".join(f"{len(rows):,} to {k}" for k, rows in parts.items()))
    targets = learned_targets(recipe, data, parts[TRAIN])
    network = build_network(recipe, data.classes, targets, init).to(where)
    run = fit(recipe, network, init, prepared, data, targets, parts, console)
    beside = _mixture(recipe, prepared, data, parts, where, console)
    if first:
        _tell_of_frozen_bands(recipe, network, init, console)
        _finish(recipe, network.cpu().eval(), prepared, data, targets, parts, run, beside, console)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    return recipe.run / "model"


# ---- fitting ------------------------------------------------------------------------------------------------------


def fit(
    recipe: Recipe,
    network: Network,
    init: Model | None,
    prepared: Prepared,
    data: Labelled,
    targets: tuple[Target, ...],
    parts: Parts,
    console: Console,
) -> loop.Run:
    """Train the network in ``run/checkpoints``."""
    where, training = recipe.run / "checkpoints", recipe.training
    steps = training.epochs * math.ceil(len(parts[TRAIN]) / training.batch)
    if steps < FEW_STEPS and init is None:
        console.print(
            f"[yellow]Only {steps:,} gradient steps: from scratch a network wants some {FEW_STEPS:,}. Raise "
            f"\\[training] epochs to {math.ceil(FEW_STEPS * training.epochs / steps)}, or start from a model (init)[/]"
        )

    def work(report: Callable, tick: Callable) -> loop.Run:
        rows = parts[TRAIN], parts[VALIDATION]
        return fit_network(recipe, network, init, prepared, data, targets, *rows, where, report, tick)

    return shown(work, len(parts[TRAIN]), training.epochs, console)


def _mixture(
    recipe: Recipe, prepared: Prepared, data: Labelled, parts: Parts, device: torch.device, console: Console
) -> dict[str, NDArray]:
    """Train the mixture of experts in ``run/mixture``, if wanted; return what it says of the held-out light curves."""
    if not recipe.training.mixture or not isinstance(prepared, Steps) or not len(parts[TEST]):
        return {}
    console.print("Mixture of experts, to compare with")
    where = recipe.run / "mixture"

    def fit(report: Callable, tick: Callable) -> MixtureOfExperts:
        return fit_mixture(recipe, data, parts[TRAIN], parts[VALIDATION], where, device, report, tick)

    network = shown(fit, len(parts[TRAIN]), recipe.training.epochs, console)
    return {"mixture": mixture_probabilities(network, prepared, data.label, parts[VALIDATION], parts[TEST])}


def _tell_of_frozen_bands(recipe: Recipe, network: Network, init: Model | None, console: Console) -> None:
    """Check that the networks of frozen bands are as they were, and say so."""
    frozen, config = recipe.training.ensemble.frozen_bands, recipe.preprocessing
    if frozen and init is not None and isinstance(network, Multiband) and isinstance(config, MultibandConfig):
        unchanged_bands(network.cpu(), config, init, frozen)
        console.print(f"Bands {', '.join(frozen)}: bit for bit those of {init.name} {init.hash}")


# ---- what comes after the fit -------------------------------------------------------------------------------------


def _finish(
    recipe: Recipe,
    network: Network,
    prepared: Prepared,
    data: Labelled,
    targets: tuple[Target, ...],
    parts: Parts,
    run: loop.Run,
    beside: dict[str, NDArray],
    console: Console,
) -> None:
    """Calibrate and score the model as it is saved, weights rounded and all; write everything a reader may ask for.

    ``beside`` has what baselines that are trained already say of the held-out light curves, each (n, C).
    """
    config = BundleConfig(
        name=recipe.name,
        family=family(network),
        summary=recipe.summary,
        classes=data.classes,
        network=network.config.model_dump(),
        preprocessing=recipe.preprocessing,
        targets=targets,
        trained_on=recipe.data.name,
        unit=data.curves.unit,
        bands=data.curves.bands,
        simulated=recipe.simulated,
        version=__version__,
    )
    folder = recipe.run / "model"
    model = Model(config, network).save(folder, "")
    _write_split(recipe, data, parts)
    with console.status("Calibrating on the validation objects"):
        rows, training = (parts[VALIDATION], parts[TRAIN]), recipe.training
        kinds = KINDS if training.calibration == "auto" else (training.calibration,)
        told = (prepared, data.label, *rows, data.star, training.passes, kinds, training.novelty)
        model.calibration = calibrate(model, *told)
    if not len(parts[TEST]):
        model = model.save(folder, card_without_scores(recipe, model, parts, run), _few(prepared, parts[VALIDATION]))
        console.print(f"Model {model.name} {model.hash} written to {folder}; no stars were held out to score it")
        return
    with console.status("Scoring the held-out stars"):
        result = _score(model, prepared, data, parts, recipe.training.passes, beside)
    figures = {name: scores.to_dict()["headline"] for name, scores in result.scores.items()}
    model.config = config.model_copy(update={"metrics": figures})
    card = model_card(
        *(recipe, model, result.label, result.probabilities, result.scores, result.regression, data, parts, run),
        result.answers,
    )
    model = model.save(folder, card, _few(prepared, parts[TEST]))
    _write(recipe, model, prepared.take(parts[TEST]), data, result, run)
    _tell(model, result, folder, console)


def _few(prepared: Prepared, rows: NDArray[np.int64]) -> Prepared:
    """Return a few objects, from all over the rows, to record the model's outputs for."""
    return prepared.take(rows[np.linspace(0, len(rows) - 1, min(GOLDEN, len(rows))).astype(int)])


def _score(
    model: Model,
    prepared: Prepared,
    data: Labelled,
    parts: Parts,
    passes: int,
    beside: dict[str, NDArray],
) -> Result:
    """Score held-out stars: one deterministic pass, Monte-Carlo passes, the forests, and what is ``beside``."""
    rows = parts[TEST]
    held_out = prepared.take(rows)
    answers = {"deterministic": ask(model, held_out, 0)}
    if passes and model.stochastic:
        answers["monte_carlo"] = ask(model, held_out, passes)
    probabilities = {name: a.probabilities for name, a in answers.items()}
    known = np.concatenate([parts[TRAIN], parts[VALIDATION]])
    probabilities |= forest_probabilities(data.curves, prepared, data.label, data.classes, known, rows) | beside
    label, star = data.label[rows], data.star[rows]
    scores = {name: score(label, p, data.classes, star) for name, p in probabilities.items()}
    return Result(
        label, answers, probabilities, scores, _regressions(model, answers["deterministic"], prepared, data, parts)
    )


def _regressions(
    model: Model, answers: Answers, prepared: Prepared, data: Labelled, parts: Parts
) -> dict[str, dict[str, RegressionScores]]:
    """Score the regressed parameters, those of the network and of forests."""
    if not isinstance(prepared, Steps) or not model.config.targets:
        return {}
    rows, known = parts[TEST], np.concatenate([parts[TRAIN], parts[VALIDATION]])
    learned = standardised(data, model.config.targets)
    forest = model.parameters(forest_regressions(data.curves, prepared, learned, known, rows))
    return {
        name: {
            kind: score_regression(data.targets[rows, k], values[name], data.star[rows])
            for kind, values in (("network", answers.parameters), ("forest", forest))
        }
        for k, name in enumerate(t.name for t in model.config.targets)
    }


def _write_split(recipe: Recipe, data: Labelled, parts: Parts) -> None:
    """Write which part each light curve is in."""
    part = np.full(len(data.label), "", dtype=object)
    for name, members in parts.items():
        part[members] = name
    split = {"object_id": data.curves.ids, "label": np.array(data.classes)[data.label], "part": part}
    pd.DataFrame(split).to_csv(recipe.run / "split.csv", index=False)


def _write(
    recipe: Recipe, model: Model, held_out: Prepared, data: Labelled, result: Result, run: loop.Run
) -> None:
    """Write metrics, figures and held-out predictions into the run folder."""
    best = list(result.answers)[-1]
    metrics = {name: scores.to_dict() for name, scores in result.scores.items()}
    metrics |= {name: {k: s.to_dict() for k, s in both.items()} for name, both in result.regression.items()}
    (recipe.run / "metrics.json").write_text(json.dumps(metrics, indent=2))
    plot_history(run.history, recipe.run / "history.png")
    plot_confusion(result.scores[best], recipe.run / "confusion.png")
    plot_reliability(result.label, result.probabilities[best], recipe.run / "reliability.png")
    true = pa.table({"label": pa.array(np.array(data.classes)[result.label].tolist())})
    predictions(model, held_out, result.answers[best], held_out.status, true).write(
        recipe.run / "test_predictions.parquet"
    )


def _tell(model: Model, result: Result, folder: Path, console: Console) -> None:
    console.print(result.scores[list(result.answers)[-1]].table())
    for name, title in BASELINES.items():
        if name in result.scores:
            s: Any = result.scores[name]
            console.print(f"{title.capitalize()}: accuracy {s.accuracy}, macro F1 {s.macro_f1}")
    for target in model.config.targets:
        for kind, regressed in result.regression[target.name].items():
            console.print(regressed.table(f"{target.name}, {kind}", target.unit))
    console.print(f"Model {model.name} {model.hash} written to {folder}")
