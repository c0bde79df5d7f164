"""From a recipe to a fitted network: what differs between ASTRAFier and the multi-band ensemble."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from torch import Tensor

from goodricke.models.astrafier import Astrafier, AstrafierConfig
from goodricke.models.bundle import Model, Target, load_model
from goodricke.models.multiband import Multiband, MultibandNetworkConfig
from goodricke.preprocess import MultibandConfig, Prepared, Steps
from goodricke.training import astrafier, multiband
from goodricke.training.labelled import Labelled
from goodricke.training.loop import Run
from goodricke.training.recipe import Recipe

Network = Astrafier | Multiband


def family(network: Network) -> str:
    """Return the name of a network's family, as bundles have it."""
    return "multiband" if isinstance(network, Multiband) else "astrafier"


def build_network(recipe: Recipe, classes: Sequence[str]) -> Network:
    """Return the network of a recipe, freshly initialised or with the weights of ``[training] init``.

    From another model everything is taken that fits: with other classes, all but the last layers; with other bands,
    the networks of the bands that both have, and the central network.
    """
    torch.manual_seed(recipe.training.seed)
    config, given = recipe.preprocessing, recipe.network | {"classes": len(classes)}
    network: Network
    if isinstance(config, MultibandConfig):
        sizes = {"bands": len(config.bands), "width": config.width, "context": len(config.columns)}
        sizes |= {"targets": len(recipe.data.targets)}
        network = Multiband(TypeAdapter(MultibandNetworkConfig).validate_python(given | sizes))
    else:
        sizes = {"channels": config.channels, "context": config.context}
        network = Astrafier(TypeAdapter(AstrafierConfig).validate_python(given | sizes))
    if recipe.training.init is not None:
        adopt(network, config, load_model(recipe.training.init))
    return network


def adopt(network: Network, config: Any, model: Model) -> None:
    """Take over the weights of a model wherever they fit, bands by their names."""
    theirs = dict(model.network.state_dict())
    if isinstance(network, Multiband) and isinstance(model.preprocessing, MultibandConfig):
        theirs = _renamed(theirs, model.preprocessing.bands, config.bands)
        theirs |= _rearranged(network, theirs, extras_names(model.preprocessing), extras_names(config))
    ours = network.state_dict()
    network.load_state_dict(ours | {k: v for k, v in theirs.items() if k in ours and v.shape == ours[k].shape})


def extras_names(config: MultibandConfig) -> list[str]:
    """Return the names of the numbers that only the central network sees, in order."""
    pairs = [f"{config.bands[i]}-{config.bands[j]}" for i, j in config.pairs]
    return [*pairs, "wait", *config.columns]


def _renamed(weights: dict[str, Tensor], old: tuple[str, ...], new: tuple[str, ...]) -> dict[str, Tensor]:
    """Return weights with the bands' numbers as the new network counts them, those of other bands left out."""
    renamed = {}
    for name, weight in weights.items():
        for prefix in ("bands.", "central.translations."):
            if name.startswith(prefix):
                number, _, rest = name[len(prefix) :].partition(".")
                band = old[int(number)]
                name = f"{prefix}{new.index(band)}.{rest}" if band in new else ""
                break
        renamed[name] = weight
    renamed.pop("", None)
    return renamed


def _rearranged(network: Multiband, weights: dict[str, Tensor], old: list[str], new: list[str]) -> dict[str, Tensor]:
    """Return the weights that touch the extras, moved to where the new network has each extra."""
    moved, ours, h = {}, network.state_dict(), network.config.hidden
    common = [name for name in old if name in new]
    source, place = [old.index(name) for name in common], [new.index(name) for name in common]
    for name in ("central.standard.mean", "central.standard.std"):
        moved[name] = ours[name].clone()
        moved[name][place] = weights[name][source]
    heads = [
        n for n in ours if n.endswith(".layers.0.weight") and n.startswith(("central.head", "central.regressions"))
    ]
    for name in heads:
        if name in weights and len(weights[name]) == len(ours[name]) and weights[name].shape[1] == h + len(old):
            moved[name] = ours[name].clone()
            moved[name][:, :h] = weights[name][:, :h]
            moved[name][:, [h + k for k in place]] = weights[name][:, [h + k for k in source]]
    return moved


def fit_network(
    recipe: Recipe,
    network: Network,
    prepared: Prepared | Steps,
    data: Labelled,
    training: NDArray[np.int64],
    validation: NDArray[np.int64],
    folder: Path,
    report: Callable[[dict[str, float]], None],
    tick: Callable[[int], None],
) -> Run:
    """Train a network as the recipe says; see the families' own ``fit``."""
    settings = recipe.training
    if isinstance(network, Astrafier) and isinstance(prepared, Prepared):
        return astrafier.fit(
            *(network, prepared, data.label, training, validation, settings, folder),
            *(settings.weight_power, settings.score, report, tick),
        )
    if not isinstance(network, Multiband) or not isinstance(recipe.preprocessing, MultibandConfig):
        raise TypeError(f"a {family(network)} network doesn't go with {recipe.preprocessing.kind} preprocessing")
    weights = astrafier.class_weights(data.label[training], network.config.classes, settings.weight_power)
    targets = np.stack(
        [t.standardised(data.targets[:, k]) for k, t in enumerate(learned_targets(recipe, data, training))], 1
    ) if data.targets.shape[1] else data.targets  # fmt: skip
    task = multiband.Ensemble(
        *(network, data.curves, recipe.preprocessing, data.label, targets.astype(np.float32), validation, weights),
        *(settings.ensemble, settings.points, settings.score, settings.seed),
    )
    return multiband.fit(task, training, settings, folder, new_bands(recipe), report, tick)


def new_bands(recipe: Recipe) -> list[int] | None:
    """Return the bands whose standardisation is learned: all, or those that the initial model doesn't know."""
    config, init = recipe.preprocessing, recipe.training.init
    if init is None or not isinstance(config, MultibandConfig):
        return None
    known = getattr(load_model(init).preprocessing, "bands", ())
    return [b for b, name in enumerate(config.bands) if name not in known]


def learned_targets(recipe: Recipe, data: Labelled, training: NDArray[np.int64]) -> tuple[Target, ...]:
    """Return the regressed parameters, standardised by the measured values of the training objects."""
    targets = []
    for k, (name, wanted) in enumerate(recipe.data.targets.items()):
        plain = Target(name=name, unit=wanted.unit, log=wanted.log)
        known = plain.standardised(data.targets[training, k])
        known = known[np.isfinite(known)]
        if len(known) < 2 or not np.std(known) > 0:
            raise ValueError(f"[data.targets.{name}]: {len(known)} training objects have a value; need different ones")
        targets.append(plain.model_copy(update={"mean": float(np.mean(known)), "std": float(np.std(known))}))
    return tuple(targets)


def unchanged_bands(network: Multiband, config: MultibandConfig, model: Model, bands: tuple[str, ...]) -> None:
    """Check that bands' networks are bit for bit those of a model (Promise 5).

    Raises
    ------
    RuntimeError
        If one is not.
    """
    old = getattr(model.preprocessing, "bands", ())
    for band in bands:
        ours = network.of_band(config.bands.index(band))[0].state_dict()
        theirs = cast(Multiband, model.network).of_band(old.index(band))[0].state_dict()
        if not all(torch.equal(ours[name], theirs[name]) for name in theirs):
            raise RuntimeError(f"the network of band {band} has changed: this must not happen, please report it")
