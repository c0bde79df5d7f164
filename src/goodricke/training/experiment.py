"""What trainings begin with: their processes, light curves prepared once, the split, and a folder to go on in.

Carry a recipe's pre-training out: read, prepare, learn from light curves without labels, write the encoder.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from goodricke import __version__
from goodricke.data.lightcurves import LightCurves
from goodricke.models.bundle import BundleConfig, resolve_device
from goodricke.preprocess import MultibandConfig, Prepared, Steps, prepare, restore
from goodricke.training import loop
from goodricke.training.families import Network, build_network, family
from goodricke.training.labels import Labelled, read_everything, with_few_labels, without_held_out
from goodricke.training.pretraining import pretrain, save_encoder
from goodricke.training.recipe import Recipe, TrainingConfig, resolved
from goodricke.training.splits import TEST, TRAIN, VALIDATION, complete_split, split_by_star

SHOWN = ("accuracy", "macro_recall", "explained")  # of the figures of an epoch

Parts = dict[str, NDArray[np.int64]]  # rows to train, to validate and to test
Fitted = TypeVar("Fitted")


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


def prepare_once(recipe: Recipe, curves: LightCurves, console: Console) -> Prepared | Steps:
    """Preprocess, or take what an interrupted run has left in its folder if it is of the same light curves."""
    if isinstance(recipe.preprocessing, MultibandConfig):
        return prepare(curves, recipe.preprocessing)
    file = recipe.run / "prepared.npz"
    key = f"{__version__} {digest(curves)} {recipe.preprocessing.model_dump_json()}"
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


def digest(curves: LightCurves) -> str:
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
    refuse_other_settings(recipe, settings)


def refuse_other_settings(recipe: Recipe, settings: dict[str, Any]) -> None:
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


def shown(fit: Callable[[Callable, Callable], Fitted], objects: int, epochs: int, console: Console) -> Fitted:
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


# ---- Carry a recipe's pre-training out: read, prepare, learn from light curves without labels, write the  ------------


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
    run = shown(lambda *told: pretrain(*given, ensemble, *told), len(rows[0]), config.epochs, console)
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
    refuse_other_settings(recipe, settings | {"light curves and split": f"{digest(curves)} {split}"})


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
