"""Carry a training recipe out: read, prepare, fit, calibrate, score on held-out stars, write the model and its card."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from goodricke import __version__
from goodricke.baselines.mixture import MixtureOfExperts, fit_mixture, mixture_probabilities
from goodricke.baselines.suite import BASELINES, forest_probabilities, forest_regressions
from goodricke.card import model_card
from goodricke.evaluation.figures import plot_confusion, plot_history, plot_reliability
from goodricke.evaluation.metrics import Scores, score
from goodricke.evaluation.regression import RegressionScores, score_regression
from goodricke.inference import Answers, ask, monte_carlo, predictions
from goodricke.models.bundle import BundleConfig, Model, Target, load_model, resolve_device
from goodricke.models.multiband import Multiband
from goodricke.preprocess import MultibandConfig, Prepared, Steps, prepare, restore
from goodricke.training import loop
from goodricke.training.families import (
    Network,
    build_network,
    family,
    fit_network,
    learned_targets,
    standardised,
    unchanged_bands,
)
from goodricke.training.labelled import Labelled, read_labelled
from goodricke.training.recipe import Recipe, resolved
from goodricke.training.splits import TEST, TRAIN, VALIDATION, complete_split, split_by_star
from goodricke.uncertainty.calibration import fit_temperature

ENOUGH = 1000  # validation objects that go through Monte-Carlo passes to fit one temperature
GOLDEN = 8  # objects whose outputs are recorded in the bundle
FEW_STEPS = 1500  # gradient steps that a network wants from scratch: a rule of thumb

Parts = dict[str, NDArray[np.int64]]  # rows to train, to validate and to test
Fitted = TypeVar("Fitted")


class Result(NamedTuple):
    """What the held-out stars say of a model."""

    label: NDArray[np.int64]
    answers: dict[str, Answers]  # one deterministic pass, and Monte-Carlo passes
    probabilities: dict[str, NDArray]  # of these and of the baselines, each (n, C)
    scores: dict[str, Scores]
    regression: dict[str, dict[str, RegressionScores]]  # by parameter, of the network and of a forest


def run_recipe(recipe: Recipe, device: str = "cpu", console: Console | None = None) -> Path:
    """Train a model as a recipe says; return the folder of the finished bundle, ``run/model``.

    Parameters
    ----------
    recipe : Recipe
    device : str
        As in `goodricke.load_model`. Under ``torchrun`` every process takes its own GPU and its share of each batch.
    console : rich Console, optional

    Raises
    ------
    ValueError
        If the folder holds a run with other settings, data or split, or the model to start from doesn't go with it.
    """
    where = join_processes(device)
    first = loop.rank_and_world()[0] == 0
    console = (console or Console()) if first else Console(quiet=True)
    recipe.run.mkdir(parents=True, exist_ok=True)
    init = None if recipe.training.init is None else load_model(recipe.training.init)
    told = recipe.preprocessing.columns if isinstance(recipe.preprocessing, MultibandConfig) else ()
    data = read_labelled(recipe.data, told)
    recipe = resolved(recipe, data.curves, None if init is None else init.config)
    prepared = _prepared(recipe, data, console)
    parts = split_objects(recipe, data, prepared)
    _check_same_run(recipe, data, parts)
    console.print(f"{len(data.classes)} classes, " + ", ".join(f"{len(rows):,} to {k}" for k, rows in parts.items()))
    targets = learned_targets(recipe, data, parts[TRAIN])
    network = build_network(recipe, data.classes, targets, init).to(where)
    run = _fit(recipe, network, init, prepared, data, targets, parts, console)
    beside = _mixture(recipe, prepared, data, parts, where, console)
    if first:
        _tell_of_frozen_bands(recipe, network, init, console)
        _finish(recipe, network.cpu().eval(), prepared, data, targets, parts, run, beside, console)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    return recipe.run / "model"


def join_processes(device: str) -> torch.device:
    """Join the processes started by ``torchrun``, if any; return this process's device."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return resolve_device(device)
    gpu = device.startswith("cuda")
    where = resolve_device(f"cuda:{os.environ['LOCAL_RANK']}" if gpu else device)
    if gpu:
        torch.cuda.set_device(where)
    if not torch.distributed.is_initialized():  # the first process preprocesses while the others wait
        torch.distributed.init_process_group("nccl" if gpu else "gloo", timeout=timedelta(hours=12))
    return where


# ---- data ---------------------------------------------------------------------------------------------------------


def _prepared(recipe: Recipe, data: Labelled, console: Console) -> Prepared | Steps:
    """Preprocess, or take what an interrupted run has left in its folder if it is of the same light curves."""
    if isinstance(recipe.preprocessing, MultibandConfig):
        return prepare(data.curves, recipe.preprocessing)
    file = recipe.run / "prepared.npz"
    key = f"{__version__} {_digest(data)} {recipe.preprocessing.model_dump_json()}"
    if loop.rank_and_world()[0] == 0 and not _has_key(file, key):
        with console.status(f"Preprocessing {len(data.curves):,} light curves"):
            made = prepare(data.curves, recipe.preprocessing, recipe.training.workers)
        partial = file.with_suffix(".partial.npz")
        np.savez(partial, allow_pickle=False, key=np.array(key), **made.to_arrays())
        partial.replace(file)
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
    with np.load(file) as kept:
        return restore(kept, recipe.preprocessing)


def _digest(data: Labelled) -> str:
    """Return a hash of the light curves, observation by observation."""
    digest = hashlib.sha256("\n".join(data.curves.ids).encode())
    for x in (data.curves.offsets, data.curves.time, data.curves.value, data.curves.error, data.curves.band):
        digest.update(x.tobytes())
    return digest.hexdigest()


def _has_key(file: Path, key: str) -> bool:
    if not file.exists():
        return False
    with np.load(file) as kept:
        return str(kept["key"]) == key


def split_objects(recipe: Recipe, data: Labelled, prepared: Prepared | Steps) -> Parts:
    """Return the rows to train, to validate and to test, by the survey's own split if ``[data] split`` names one.

    In none of them are light curves that can't be classified, and held-out ones so near to another's position that
    they may be of the same star (``[data] guard``).
    """
    part = np.full(len(prepared), "", "<U10")
    ok, config = prepared.usable, recipe.data
    name = np.array(data.classes)[data.label]
    _, star = np.unique(data.star[ok], return_inverse=True)  # numbered anew: the others must not move the split
    fold = None if config.folds is None else (config.fold, config.folds)
    if data.part is None:
        part[ok] = split_by_star(star, name[ok], config.test, config.validation, config.seed, fold)
    else:
        part[ok] = complete_split(data.part[ok], star, name[ok], config.validation, config.seed, fold)
    seen = np.isin(data.neighbourhood, data.neighbourhood[np.isin(part, (TRAIN, VALIDATION))])
    part[(part == TEST) & seen] = ""
    return {name: np.flatnonzero(part == name) for name in (TRAIN, VALIDATION, TEST)}


def _check_same_run(recipe: Recipe, data: Labelled, parts: Parts) -> None:
    """Refuse to go on with a run that was started with other settings, labels or split: its test stars may leak."""
    split = hashlib.sha256(np.concatenate([data.label, *parts.values()]).tobytes()).hexdigest()
    free = {
        "training": {"epochs", "patience", "passes", "workers", "mixture"},
        "run": True,
        "summary": True,
        "name": True,
    }
    settings = json.loads(recipe.model_dump_json(exclude=free)) | {"labels and split": split}  # type: ignore[arg-type]
    settings["data"] = {
        k: v for k, v in settings["data"].items() if k not in ("light_curves", "labels", "test_labels", "name")
    }
    file = recipe.run / "settings.json"
    if (recipe.run / "checkpoints" / "checkpoint.pt").exists() and file.exists():
        old = json.loads(file.read_text())
        changed = sorted(k for k in settings if settings[k] != old.get(k))
        if changed:
            raise ValueError(
                f"{recipe.run} holds a run with other {', '.join(changed)}. Choose another run folder, or delete it"
            )
    elif loop.rank_and_world()[0] == 0:
        file.write_text(json.dumps(settings, indent=2))


# ---- fitting ------------------------------------------------------------------------------------------------------


def _fit(
    recipe: Recipe,
    network: Network,
    init: Model | None,
    prepared: Prepared | Steps,
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

    def fit(report: Callable, tick: Callable) -> loop.Run:
        rows = parts[TRAIN], parts[VALIDATION]
        return fit_network(recipe, network, init, prepared, data, targets, *rows, where, report, tick)

    return _shown(fit, len(parts[TRAIN]), training.epochs, console)


def _mixture(
    recipe: Recipe, prepared: Prepared | Steps, data: Labelled, parts: Parts, device: torch.device, console: Console
) -> dict[str, NDArray]:
    """Train the mixture of experts in ``run/mixture``, if wanted; return what it says of the held-out light curves."""
    if not recipe.training.mixture or not isinstance(prepared, Steps):
        return {}
    console.print("Mixture of experts, to compare with")
    where = recipe.run / "mixture"

    def fit(report: Callable, tick: Callable) -> MixtureOfExperts:
        return fit_mixture(recipe, data, parts[TRAIN], parts[VALIDATION], where, device, report, tick)

    network = _shown(fit, len(parts[TRAIN]), recipe.training.epochs, console)
    return {"mixture": mixture_probabilities(network, prepared, data.label, parts[VALIDATION], parts[TEST])}


def _shown(fit: Callable[[Callable, Callable], Fitted], objects: int, epochs: int, console: Console) -> Fitted:
    """Train with a progress bar and a line per epoch."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("light curves", total=objects * epochs)

        def report(figures: dict[str, float]) -> None:
            progress.update(bar, completed=objects * (figures["epoch"] + 1))
            progress.console.print(
                f"epoch {figures['epoch'] + 1:3d}  loss {figures['loss']:.3f}"
                f"  validation {figures['validation_loss']:.3f}  accuracy {figures['accuracy']:.3f}"
                f"  macro recall {figures['macro_recall']:.3f}  {figures['seconds']:.0f} s"
            )

        return fit(report, lambda objects: progress.advance(bar, objects))


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
    prepared: Prepared | Steps,
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
    with console.status("Calibrating on the validation objects, scoring the held-out stars"):
        _calibrate(model, prepared, data, parts[VALIDATION], recipe.training.passes)
        result = _score(model, prepared, data, parts, recipe.training.passes, beside)
    figures = {name: scores.to_dict()["headline"] for name, scores in result.scores.items()}
    model.config = config.model_copy(update={"metrics": figures})
    few = parts[TEST][np.linspace(0, len(parts[TEST]) - 1, min(GOLDEN, len(parts[TEST]))).astype(int)]
    card = model_card(
        recipe, model, result.label, result.probabilities, result.scores, result.regression, data, parts, run
    )
    model = model.save(folder, card, prepared.take(few))
    _write(recipe, model, prepared.take(parts[TEST]), data, parts, result, run)
    _tell(model, result, folder, console)


def _calibrate(model: Model, prepared: Prepared | Steps, data: Labelled, rows: NDArray[np.int64], passes: int) -> None:
    """Fit a temperature for the one pass, and one for the mean of Monte-Carlo passes."""
    logits = ask_logits(model, prepared, rows)
    model.temperature = fit_temperature(logits[None], data.label[rows])
    if passes and isinstance(prepared, Prepared):
        few = np.random.default_rng(0).permutation(rows)[:ENOUGH]
        samples = [monte_carlo(model, prepared, part, passes, seed=0) for part in _pieces(few)]
        model.mc_temperature = fit_temperature(np.concatenate(samples, 1), data.label[few])


def ask_logits(model: Model, prepared: Prepared | Steps, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the logits (n, C) of one deterministic pass."""
    return np.concatenate([model.answer(prepared, part)[0] for part in _pieces(rows)])


def _pieces(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return np.array_split(rows, max(len(rows) // 32, 1))


def _score(
    model: Model,
    prepared: Prepared | Steps,
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
    model: Model, answers: Answers, prepared: Prepared | Steps, data: Labelled, parts: Parts
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


def _write(
    recipe: Recipe,
    model: Model,
    held_out: Prepared | Steps,
    data: Labelled,
    parts: Parts,
    result: Result,
    run: loop.Run,
) -> None:
    """Write metrics, figures, split and held-out predictions into the run folder."""
    best = list(result.answers)[-1]
    metrics = {name: scores.to_dict() for name, scores in result.scores.items()}
    metrics |= {name: {k: s.to_dict() for k, s in both.items()} for name, both in result.regression.items()}
    (recipe.run / "metrics.json").write_text(json.dumps(metrics, indent=2))
    plot_history(run.history, recipe.run / "history.png")
    plot_confusion(result.scores[best], recipe.run / "confusion.png")
    plot_reliability(result.label, result.probabilities[best], recipe.run / "reliability.png")
    names = np.array(data.classes)
    part = np.full(len(data.label), "", dtype=object)
    for name, members in parts.items():
        part[members] = name
    split = {"object_id": data.curves.ids, "label": names[data.label], "part": part}
    pd.DataFrame(split).to_csv(recipe.run / "split.csv", index=False)
    true = pa.table({"label": pa.array(names[result.label].tolist())})
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
