"""What trainings begin with: their processes, light curves prepared once, the split, and a folder to go on in."""

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
from goodricke.lightcurves import LightCurves
from goodricke.models.bundle import resolve_device
from goodricke.preprocess import MultibandConfig, Prepared, Steps, prepare, restore
from goodricke.training import loop
from goodricke.training.labelled import Labelled, with_few_labels
from goodricke.training.recipe import Recipe
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
