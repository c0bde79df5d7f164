"""Carry a training recipe out: read, prepare, fit, calibrate, score on held-out stars, write the model and its card."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import Counter
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
from goodricke.calibrate import calibrate
from goodricke.card import card_without_scores, model_card
from goodricke.evaluation.figures import plot_confusion, plot_history, plot_reliability
from goodricke.evaluation.metrics import Scores, score
from goodricke.evaluation.regression import RegressionScores, score_regression
from goodricke.inference import Answers, ask, predictions
from goodricke.lightcurves import LightCurves
from goodricke.models.bundle import BundleConfig, Model, Target, resolve_device
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
from goodricke.training.labelled import Labelled, read_everything, read_labelled, with_few_labels, without_held_out
from goodricke.training.pretraining import load_start, pretrain, save_encoder
from goodricke.training.recipe import Recipe, TrainingConfig, resolved
from goodricke.training.splits import TEST, TRAIN, VALIDATION, complete_split, split_by_star
from goodricke.uncertainty.calibration import KINDS

GOLDEN = 8  # objects whose outputs are recorded in the bundle
SHOWN = ("accuracy", "macro_recall", "explained")  # of the figures of an epoch
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


def pretrain_recipe(recipe: Recipe, device: str = "cpu", console: Console | None = None) -> Path:
    """Train an encoder without labels; return its folder, ``run/pretraining/encoder``, for ``[training] init``.

    It learns from all light curves of ``[data] light_curves`` that aren't of a held-out star (nor within ``guard`` of
    one): what is scored later was never seen. Labels are read to know which stars a training holds out.

    Parameters
    ----------
    recipe, device, console
        As in `run_recipe`; the settings are those in ``[pretraining]``.

    Raises
    ------
    ValueError
        If the folder holds a pre-training with other settings, light curves or split.
    """
    where = join_processes(device)
    console = (console or Console()) if loop.rank_and_world()[0] == 0 else Console(quiet=True)
    config, ensemble = recipe.pretraining, recipe.training.ensemble
    recipe = _for_pretraining(recipe)
    recipe.run.mkdir(parents=True, exist_ok=True)
    told = recipe.preprocessing.columns if isinstance(recipe.preprocessing, MultibandConfig) else ()
    data, everything = read_everything(recipe.data, told)
    recipe = resolved(recipe, everything.curves, None)
    prepared = prepare_once(recipe, everything.curves, console)
    test = split_objects(recipe, data, prepared.take(everything.labelled))[TEST]
    rows = without_held_out(everything, prepared.usable, test, config.validation, config.seed)
    _check_same_pretraining(recipe, everything.curves, np.concatenate(rows))
    console.print(f"{len(rows[0]):,} light curves to learn from without labels, {len(rows[1]):,} to validate")
    network = build_network(recipe, ("", ""), (), None).to(where)
    given = network, everything.curves, recipe.preprocessing, prepared, *rows, config, recipe.run / "checkpoints"
    run = _shown(lambda *told: pretrain(*given, ensemble, *told), len(rows[0]), config.epochs, console)
    if loop.rank_and_world()[0] == 0:
        about = _encoder_config(recipe, network, everything.curves, run.history[run.best_epoch]["explained"])
        console.print(f"Encoder written to {save_encoder(about, network, recipe.run / 'encoder')}")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    return recipe.run / "encoder"


def _for_pretraining(recipe: Recipe) -> Recipe:
    """Return the recipe without what asks for labels or another model, its run a folder inside that of the recipe."""
    update: dict[str, Any] = {"data": recipe.data.model_copy(update={"targets": {}, "per_class": None})}
    update["training"] = TrainingConfig(seed=recipe.pretraining.seed, workers=recipe.training.workers)
    return recipe.model_copy(update=update | {"run": recipe.run / "pretraining"})


def _check_same_pretraining(recipe: Recipe, curves: LightCurves, rows: NDArray[np.int64]) -> None:
    """Refuse to go on with a pre-training that was started with other settings, light curves or split."""
    settings = json.loads(recipe.model_dump_json(include={"preprocessing", "network", "pretraining"}))
    settings["pretraining"] |= {"epochs": None, "patience": None}
    split = hashlib.sha256(rows.tobytes()).hexdigest()
    _refuse_other_settings(recipe, settings | {"light curves and split": f"{_digest(curves)} {split}"})


def _encoder_config(recipe: Recipe, network: Network, curves: LightCurves, explained: float) -> BundleConfig:
    """Return what an encoder's folder says of it: that of a bundle, without classes."""
    return BundleConfig(
        name=recipe.name,
        family=family(network),
        classes=(),
        network=network.config.model_dump(),
        preprocessing=recipe.preprocessing,
        trained_on=recipe.data.name,
        unit=curves.unit,
        bands=curves.bands,
        simulated=recipe.simulated,
        metrics={"explained": explained},
        version=__version__,
    )


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


def prepare_once(recipe: Recipe, curves: LightCurves, console: Console) -> Prepared | Steps:
    """Preprocess, or take what an interrupted run has left in its folder if it is of the same light curves."""
    if isinstance(recipe.preprocessing, MultibandConfig):
        return prepare(curves, recipe.preprocessing)
    file = recipe.run / "prepared.npz"
    key = f"{__version__} {_digest(curves)} {recipe.preprocessing.model_dump_json()}"
    if loop.rank_and_world()[0] == 0 and not _has_key(file, key):
        with console.status(f"Preprocessing {len(curves):,} light curves"):
            made = prepare(curves, recipe.preprocessing, recipe.training.workers)
        partial = file.with_suffix(".partial.npz")
        np.savez(partial, allow_pickle=False, key=np.array(key), **made.to_arrays())
        partial.replace(file)
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
    with np.load(file) as kept:
        return restore(kept, recipe.preprocessing)


def _digest(curves: LightCurves) -> str:
    """Return a hash of the light curves, observation by observation."""
    digest = hashlib.sha256("\n".join(curves.ids).encode())
    for x in (curves.offsets, curves.time, curves.value, curves.error, curves.band):
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
    if not ok.any():
        why = ", ".join(f"{n:,} {status}" for status, n in Counter(prepared.status.tolist()).items())
        raise ValueError(f"none of {len(ok):,} labelled light curves can be used ({why}): look at [preprocessing]")
    name = np.array(data.classes)[data.label]
    _, star = np.unique(data.star[ok], return_inverse=True)  # numbered anew: the others must not move the split
    fold = None if config.folds is None else (config.fold, config.folds)
    if data.part is None:
        part[ok] = split_by_star(star, name[ok], config.test, config.validation, config.seed, fold)
    else:
        part[ok] = complete_split(data.part[ok], star, name[ok], config.validation, config.seed, fold)
    seen = np.isin(data.neighbourhood, data.neighbourhood[np.isin(part, (TRAIN, VALIDATION))])
    part[(part == TEST) & seen] = ""
    parts = {name: np.flatnonzero(part == name) for name in (TRAIN, VALIDATION, TEST)}
    few = config.per_class
    return parts if few is None else with_few_labels(parts, data.label, few, recipe.training.seed)


def check_same_run(recipe: Recipe, data: Labelled, parts: Parts) -> None:
    """Refuse to go on with a run that was started with other settings, labels or split: its test stars may leak."""
    split = hashlib.sha256(np.concatenate([data.label, *parts.values()]).tobytes()).hexdigest()
    free = {
        "training": {"epochs", "patience", "passes", "workers", "mixture", "calibration", "novelty"},
        "pretraining": True,
        "run": True,
        "summary": True,
        "name": True,
    }
    settings = json.loads(recipe.model_dump_json(exclude=free)) | {"labels and split": split}  # type: ignore[arg-type]
    settings["data"] = {
        k: v for k, v in settings["data"].items() if k not in ("light_curves", "labels", "test_labels", "name")
    }
    _refuse_other_settings(recipe, settings)


def _refuse_other_settings(recipe: Recipe, settings: dict[str, Any]) -> None:
    """Refuse to go on with a run of other settings; write down those of a new one."""
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


def fit(
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

    def work(report: Callable, tick: Callable) -> loop.Run:
        rows = parts[TRAIN], parts[VALIDATION]
        return fit_network(recipe, network, init, prepared, data, targets, *rows, where, report, tick)

    return _shown(work, len(parts[TRAIN]), training.epochs, console)


def _mixture(
    recipe: Recipe, prepared: Prepared | Steps, data: Labelled, parts: Parts, device: torch.device, console: Console
) -> dict[str, NDArray]:
    """Train the mixture of experts in ``run/mixture``, if wanted; return what it says of the held-out light curves."""
    if not recipe.training.mixture or not isinstance(prepared, Steps) or not len(parts[TEST]):
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
                f"  validation {figures['validation_loss']:.3f}"
                + "".join(f"  {name.replace('_', ' ')} {figures[name]:.3f}" for name in SHOWN if name in figures)
                + f"  {figures['seconds']:.0f} s"
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


def _few(prepared: Prepared | Steps, rows: NDArray[np.int64]) -> Prepared | Steps:
    """Return a few objects, from all over the rows, to record the model's outputs for."""
    return prepared.take(rows[np.linspace(0, len(rows) - 1, min(GOLDEN, len(rows))).astype(int)])


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


def _write_split(recipe: Recipe, data: Labelled, parts: Parts) -> None:
    """Write which part each light curve is in."""
    part = np.full(len(data.label), "", dtype=object)
    for name, members in parts.items():
        part[members] = name
    split = {"object_id": data.curves.ids, "label": np.array(data.classes)[data.label], "part": part}
    pd.DataFrame(split).to_csv(recipe.run / "split.csv", index=False)


def _write(
    recipe: Recipe, model: Model, held_out: Prepared | Steps, data: Labelled, result: Result, run: loop.Run
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
