"""Carry a recipe's pre-training out: read, prepare, learn from light curves without labels, write the encoder."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from goodricke import __version__
from goodricke.lightcurves import LightCurves
from goodricke.models.bundle import BundleConfig
from goodricke.preprocess import MultibandConfig
from goodricke.training import loop
from goodricke.training.begin import digest, join_processes, prepare_once, refuse_other_settings, shown, split_objects
from goodricke.training.families import Network, build_network, family
from goodricke.training.labelled import read_everything, without_held_out
from goodricke.training.pretraining import pretrain, save_encoder
from goodricke.training.recipe import Recipe, TrainingConfig, resolved
from goodricke.training.splits import TEST


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
