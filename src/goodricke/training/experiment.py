"""Training by a recipe: read, prepare, split, fit, calibrate; or pre-train an encoder without labels.

`goodricke.evaluation.held_out` scores the result on held-out stars and publishes it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from goodricke import __version__
from goodricke.data.files import atomic_write
from goodricke.data.lightcurves import LightCurves
from goodricke.data.progress import Counters, PlainLines, RunProgress
from goodricke.models.astrafier import Astrafier
from goodricke.models.bundle import BundleConfig, Model, Target, resolve_device
from goodricke.models.multiband import Multiband
from goodricke.preprocess import MultibandConfig, Prepared, Steps, prepare
from goodricke.training import loop
from goodricke.training.augmentation import with_background
from goodricke.training.baselines.mixture import MixtureOfExperts, fit_mixture, mixture_probabilities
from goodricke.training.calibrate import calibrate
from goodricke.training.families import (
    Examples,
    Network,
    build_network,
    check_unchanged_bands,
    family_of,
    learned_targets,
)
from goodricke.training.kept_files import digest, prepare_cached
from goodricke.training.labels import Labelled, limit_labels, read_everything, read_labelled, split_unlabelled
from goodricke.training.pretraining import load_initial, pretrain, save_encoder
from goodricke.training.recipe import Recipe, TrainingConfig, resolve_recipe, with_enough_epochs
from goodricke.training.splits import TEST, TRAIN, VALIDATION, complete_split, split_by_star
from goodricke.uncertainty.calibration import KINDS

FEWEST_STEPS = 1500  # gradient steps from random weights: a rule of thumb
SHOWN = ("accuracy", "macro_recall", "explained")  # figures of an epoch that are printed

Parts = dict[str, NDArray[np.int64]]  # training, validation and test rows
Fitted = TypeVar("Fitted")


def join_processes(device: str) -> torch.device:
    """Join the processes started by ``torchrun``, if any; return this process's device."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return resolve_device(device)
    gpu = device.startswith("cuda")
    torch_device = resolve_device(f"cuda:{os.environ['LOCAL_RANK']}" if gpu else device)
    if gpu:
        torch.cuda.set_device(torch_device)
    if not torch.distributed.is_initialized():  # the others wait while the first process preprocesses
        torch.distributed.init_process_group("nccl" if gpu else "gloo", timeout=timedelta(hours=12))
    return torch_device


def prepare_once(recipe: Recipe, curves: LightCurves, console: Console) -> Prepared:
    """Preprocess light curves, or read the result of an interrupted run on the same ones from its folder."""
    if isinstance(recipe.preprocessing, MultibandConfig):
        return prepare(curves, recipe.preprocessing)
    file, first = recipe.run / "prepared.npz", loop.rank_and_world()[0] == 0
    if first:
        if not console.is_terminal:  # where nobody sees a status
            console.print(f"Preprocessing {len(curves):,} light curves")
        with console.status(f"Preprocessing {len(curves):,} light curves"):
            prepared = prepare_cached(file, curves, recipe.preprocessing, recipe.training.workers)
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
    return prepared if first else prepare_cached(file, curves, recipe.preprocessing)


def split_objects(recipe: Recipe, data: Labelled, prepared: Prepared) -> Parts:
    """Return training, validation and test rows, by the survey's own split if ``[data] split`` names one.

    They contain no light curves that can't be classified, and no test objects within ``[data] guard`` of another
    object, which may be the same star.
    """
    part = np.full(len(prepared), "", "<U10")
    ok, config = prepared.usable, recipe.data
    if not ok.any():
        why = ", ".join(f"{n:,} {status}" for status, n in Counter(prepared.status.tolist()).items())
        raise ValueError(f"none of {len(ok):,} labelled light curves can be used ({why}). Fix: see [preprocessing]")
    _, star = np.unique(
        data.star[ok], return_inverse=True
    )  # renumbered, so that unusable objects don't change the split
    sets = data.label_sets
    stratum = np.array(data.classes)[data.label[ok]] if sets is None else sets.strata(np.flatnonzero(ok), star)
    fold = None if config.folds is None else (config.fold, config.folds)
    if data.part is None:
        part[ok] = split_by_star(star, stratum, config.test, config.validation, config.seed, fold)
    else:
        given = data.part[ok]
        part[ok] = complete_split(given, star, stratum, config.validation, config.seed, fold, config.test)
    near_training = np.isin(data.neighbourhood, data.neighbourhood[np.isin(part, (TRAIN, VALIDATION))])
    part[(part == TEST) & near_training] = ""
    parts = {name: np.flatnonzero(part == name) for name in (TRAIN, VALIDATION, TEST)}
    if config.fraction < 1:
        parts[TRAIN] = _fraction_of_stars(parts[TRAIN], data.star, config.fraction, config.seed)
    per_class = config.per_class
    return parts if per_class is None else limit_labels(parts, data.label, per_class, recipe.training.seed)


def _fraction_of_stars(
    rows: NDArray[np.int64], star: NDArray[np.int64], fraction: float, seed: int
) -> NDArray[np.int64]:
    """Return the light curves of a fraction of the stars, drawn at random; a smaller fraction is part of a larger."""
    stars, index = np.unique(star[rows], return_inverse=True)
    place = np.random.default_rng([seed, 1]).permutation(len(stars))
    return rows[place[index] < max(round(fraction * len(stars)), 1)]


def check_same_run(recipe: Recipe, data: Labelled, parts: Parts) -> None:
    """Refuse to resume a run with other settings, labels or split: its test stars might leak."""
    split = hashlib.sha256(np.concatenate([data.label, *parts.values()]).tobytes()).hexdigest()
    free = {
        "training": {"epochs", "patience", "least_steps", "passes", "workers", "mixture", "calibration", "novelty"},
        "pretraining": True,
        "run": True,
        "summary": True,
        "paper": True,
        "name": True,
    }
    settings = json.loads(recipe.model_dump_json(exclude=free)) | {"labels and split": split}  # type: ignore[arg-type]
    settings["data"] = {
        k: v for k, v in settings["data"].items() if k not in ("light_curves", "labels", "test_labels", "name")
    }
    refuse_other_settings(recipe, settings)


def refuse_other_settings(recipe: Recipe, settings: dict[str, Any]) -> None:
    """Refuse to resume a run with other settings; record those of a new one."""
    file = recipe.run / "settings.json"
    if (recipe.run / "checkpoints" / "checkpoint.pt").exists() and file.exists():
        old = json.loads(file.read_text())
        changed = sorted(k for k in settings if settings[k] != old.get(k))
        if changed:
            raise ValueError(
                f"{recipe.run} holds a run with other {', '.join(changed)}. Fix: use another run folder, or delete it"
            )
    elif loop.rank_and_world()[0] == 0:
        file.write_text(json.dumps(settings, indent=2))


MINUTE = 60.0  # seconds between lines of progress where there is no terminal


def run_with_progress(
    fit: Callable[[Callable, Callable], Fitted], objects: int, epochs: int, console: Console
) -> Fitted:
    """Run ``fit(report, tick)`` with a progress bar and a line per epoch; without a terminal, a line per minute."""
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

        if console.is_terminal:
            return fit(report, lambda objects: progress.advance(bar, objects))
        lines = Counters(PlainLines(console.print, MINUTE).show)
        return fit(report, lines.counter(f"of {objects * epochs:,} light curves"))


# ---- fit and calibrate ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Experiment:
    """A fitted and calibrated, unpublished model with the data to score it."""

    recipe: Recipe  # with the fields that follow from the data
    data: Labelled  # n objects
    prepared: Prepared
    parts: Parts
    run: loop.Run
    model: Model  # with weights rounded to the bundle's float16
    baselines: dict[str, NDArray]  # probabilities (n', C) of the test objects from baselines trained with the network


def fit_recipe(
    recipe: Recipe, device: str = "cpu", console: Console | None = None, data: Labelled | None = None
) -> Experiment | None:
    """Train and calibrate the model of a recipe, without publishing it in ``run/model``.

    Parameters
    ----------
    recipe : Recipe
    device : str
        As in `goodricke.load_model`. Under ``torchrun`` every process has its own GPU and a share of each batch.
    console : rich Console, optional
    data : Labelled, optional
        Light curves in memory instead of those of the recipe's ``[data]`` section.

    Returns
    -------
    Experiment
        None in processes of ``torchrun`` other than the first.

    Raises
    ------
    ValueError
        If the folder holds a run with other settings, data or split, or the initial model doesn't fit.
    """
    torch_device = join_processes(device)
    first = loop.rank_and_world()[0] == 0
    console = (console or Console()) if first else Console(quiet=True)
    recipe.run.mkdir(parents=True, exist_ok=True)
    init = None if recipe.training.init is None else load_initial(recipe.training.init)
    data = read_labelled(recipe.data, recipe.preprocessing.columns) if data is None else data
    data = with_background(data, recipe.data.background, recipe.data.seed)
    recipe = resolve_recipe(recipe, data.curves, None if init is None else init.config)
    prepared = prepare_once(recipe, data.curves, console)
    parts = split_objects(recipe, data, prepared)
    check_same_run(recipe, data, parts)
    training = with_enough_epochs(recipe.training, len(parts[TRAIN]))
    if training is not recipe.training:
        console.print(f"{training.epochs} epochs instead of {recipe.training.epochs}: the set is small (least_steps)")
        recipe = recipe.model_copy(update={"training": training})
    console.print(f"{len(data.classes)} classes, " + ", ".join(f"{len(rows):,} to {k}" for k, rows in parts.items()))
    targets = learned_targets(recipe, data, parts[TRAIN])
    network = build_network(recipe, data.classes, targets, init).to(torch_device)
    run = fit_network(recipe, network, init, prepared, data, targets, parts, console)
    baselines = _mixture(recipe, prepared, data, parts, torch_device, console)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    if not first:
        return None
    _check_frozen_bands(recipe, network, init, console)
    model = Model(_bundle_config(recipe, data, network, targets), network.cpu().eval()).rounded()
    _write_split(recipe, data, parts)
    training = recipe.training
    with console.status("Calibrating on the validation objects"):
        model.calibration = calibrate(
            model,
            prepared,
            data.label if data.label_sets is None else data.label_sets.leaves,
            parts[VALIDATION],
            parts[TRAIN],
            data.star,
            training.passes,
            KINDS if training.calibration == "auto" else (training.calibration,),
            training.novelty,
        )
    return Experiment(recipe, data, prepared, parts, run, model, baselines)


def fit_network(
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
    training = recipe.training
    objects = len(parts[TRAIN]) * (1 + training.degraded)
    steps = training.epochs * math.ceil(objects / training.batch)
    if steps < FEWEST_STEPS and init is None:
        console.print(
            f"[yellow]Only {steps:,} gradient steps: from random weights about {FEWEST_STEPS:,} are needed. Raise "
            f"\\[training] epochs to {math.ceil(FEWEST_STEPS * training.epochs / steps)}, or use init[/]"
        )

    examples = Examples(prepared, data, targets, parts[TRAIN], parts[VALIDATION])

    def fit(report: Callable, tick: Callable) -> loop.Run:
        family = family_of(recipe.preprocessing)
        return family.fit(recipe, network, init, examples, RunProgress(recipe.run / "checkpoints", report, tick))

    return run_with_progress(fit, objects, training.epochs, console)


def _mixture(
    recipe: Recipe, prepared: Prepared, data: Labelled, parts: Parts, device: torch.device, console: Console
) -> dict[str, NDArray]:
    """Train the mixture of experts in ``run/mixture``, if required; return its probabilities of test objects."""
    if not recipe.training.mixture or not isinstance(prepared, Steps) or not len(parts[TEST]):
        return {}
    console.print("Mixture of experts, the baseline")
    folder = recipe.run / "mixture"

    def fit(report: Callable, tick: Callable) -> MixtureOfExperts:
        return fit_mixture(recipe, data, parts[TRAIN], parts[VALIDATION], RunProgress(folder, report, tick), device)

    network = run_with_progress(fit, len(parts[TRAIN]), recipe.training.epochs, console)
    return {"mixture": mixture_probabilities(network, prepared, data.label, parts[VALIDATION], parts[TEST])}


def _check_frozen_bands(recipe: Recipe, network: Network, init: Model | None, console: Console) -> None:
    """Check that the networks of frozen bands are unchanged, and print it."""
    frozen, config = recipe.training.ensemble.frozen_bands, recipe.preprocessing
    if frozen and init is not None and isinstance(network, Multiband) and isinstance(config, MultibandConfig):
        check_unchanged_bands(network.cpu(), config, init, frozen)
        console.print(f"Bands {', '.join(frozen)}: bit for bit those of {init.name} {init.hash}")


def _bundle_config(recipe: Recipe, data: Labelled, network: Network, targets: tuple[Target, ...]) -> BundleConfig:
    return BundleConfig(
        name=recipe.name,
        family=recipe.preprocessing.family,
        summary=recipe.summary,
        classes=data.classes,
        taxonomy=None if data.label_sets is None else data.label_sets.taxonomy,
        photometry=recipe.data.photometry,
        network=network.config.model_dump(),
        preprocessing=recipe.preprocessing,
        targets=targets,
        trained_on=recipe.data.name,
        unit=data.curves.unit,
        bands=data.curves.bands,
        simulated=recipe.simulated,
        version=__version__,
    )


def _write_split(recipe: Recipe, data: Labelled, parts: Parts) -> None:
    """Write the part of the split of each light curve."""
    part = np.full(len(data.label), "", dtype=object)
    for name, members in parts.items():
        part[members] = name
    label = np.array(data.classes)[data.label] if data.label_sets is None else data.label_sets.name
    split = {"object_id": data.curves.ids, "label": label, "part": part}
    atomic_write(recipe.run / "split.csv", pd.DataFrame(split).to_csv(index=False))


# ---- pre-training ---------------------------------------------------------------------------------------------------


def pretrain_recipe(recipe: Recipe, device: str = "cpu", console: Console | None = None) -> Path:
    """Train an encoder without labels; return its folder, ``run/pretraining/encoder``, for ``[training] init``.

    It learns from all light curves of ``[data] light_curves`` except those of test stars, or within ``guard`` of one.
    Labels are read only to identify the test stars of a training.

    Parameters
    ----------
    recipe, device, console
        As in `fit_recipe`; with the settings in ``[pretraining]``.

    Raises
    ------
    ValueError
        If the folder holds a pre-training with other settings, light curves or split, or the kind of preprocessing has
        no pre-training.
    """
    if recipe.preprocessing.kind == "variables":
        raise ValueError(
            '[preprocessing] kind = "variables" has no pre-training. Fix: start from a model, [training] init = '
            '"variables", or use the kind folded, dense or multiband'
        )
    torch_device = join_processes(device)
    console = (console or Console()) if loop.rank_and_world()[0] == 0 else Console(quiet=True)
    config, ensemble = recipe.pretraining, recipe.training.ensemble
    recipe = _pretraining_recipe(recipe)
    recipe.run.mkdir(parents=True, exist_ok=True)
    data, everything = read_everything(recipe.data, recipe.preprocessing.columns)
    recipe = resolve_recipe(recipe, everything.curves, None)
    prepared = prepare_once(recipe, everything.curves, console)
    test = split_objects(recipe, data, prepared.take(everything.labelled))[TEST]
    rows = split_unlabelled(everything, prepared.usable, test, config.validation, config.seed)
    _check_pretraining_settings(recipe, everything.curves, np.concatenate(rows))
    console.print(f"{len(rows[0]):,} light curves to learn from without labels, {len(rows[1]):,} to validate")
    network = cast(Astrafier | Multiband, build_network(recipe, ("", ""), (), None).to(torch_device))
    run = run_with_progress(
        lambda report, tick: pretrain(
            network,
            everything.curves,
            recipe.preprocessing,
            prepared,
            *rows,
            config,
            RunProgress(recipe.run / "checkpoints", report, tick),
            ensemble,
        ),
        len(rows[0]),
        config.epochs,
        console,
    )
    if loop.rank_and_world()[0] == 0:
        config_of_encoder = _encoder_config(
            recipe, network, everything.curves, run.history[run.best_epoch]["explained"]
        )
        console.print(f"Encoder written to {save_encoder(config_of_encoder, network, recipe.run / 'encoder')}")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    return recipe.run / "encoder"


def _pretraining_recipe(recipe: Recipe) -> Recipe:
    """Return the recipe without labels, targets and initial model, with its run in a subfolder."""
    update: dict[str, Any] = {"data": recipe.data.model_copy(update={"targets": {}, "per_class": None})}
    update["training"] = TrainingConfig(seed=recipe.pretraining.seed, workers=recipe.training.workers)
    return recipe.model_copy(update=update | {"run": recipe.run / "pretraining"})


def _check_pretraining_settings(recipe: Recipe, curves: LightCurves, rows: NDArray[np.int64]) -> None:
    """Refuse to resume a pre-training with other settings, light curves or split."""
    settings = json.loads(recipe.model_dump_json(include={"preprocessing", "network", "pretraining"}))
    settings["pretraining"] |= {"epochs": None, "patience": None}
    split = hashlib.sha256(rows.tobytes()).hexdigest()
    refuse_other_settings(recipe, settings | {"light curves and split": f"{digest(curves)} {split}"})


def _encoder_config(recipe: Recipe, network: Network, curves: LightCurves, explained: float) -> BundleConfig:
    """Return the configuration of an encoder: that of a bundle, without classes."""
    return BundleConfig(
        name=recipe.name,
        family=recipe.preprocessing.family,
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
