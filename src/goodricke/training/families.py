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
from goodricke.models.bundle import Model, Target, load_model, read_config
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

    From another model everything is taken that fits: with other classes, all but the last layers; with other bands, the
    networks of the bands that both have, and the central network.

    Raises
    ------
    ValueError
        If bands are to stay as they are (``frozen_bands``) that the initial model doesn't have like this.
    """
    torch.manual_seed(recipe.training.seed)
    config = recipe.preprocessing
    network: Network
    if isinstance(config, MultibandConfig):
        network = Multiband(multiband_network_config(recipe, classes))
    else:
        sizes = {"classes": len(classes), "channels": config.channels, "context": config.context}
        network = Astrafier(TypeAdapter(AstrafierConfig).validate_python(recipe.network | sizes))
    model = None if recipe.training.init is None else load_model(recipe.training.init)
    if model is not None:
        adopt(network, config, model, classes)
    if isinstance(network, Multiband) and isinstance(config, MultibandConfig):
        _check_frozen(network, config, model, recipe.training.ensemble.frozen_bands)
    return network


def multiband_network_config(recipe: Recipe, classes: Sequence[str]) -> MultibandNetworkConfig:
    """Return the sizes of a multi-band recipe's network: its own, and those that follow from data and preprocessing."""
    config = cast(MultibandConfig, recipe.preprocessing)
    sizes = {"classes": len(classes), "bands": len(config.bands), "width": config.width}
    sizes |= {"context": len(config.columns), "targets": len(recipe.data.targets)}
    return TypeAdapter(MultibandNetworkConfig).validate_python(recipe.network | sizes)


def adopt(network: Network, config: Any, model: Model, classes: Sequence[str]) -> None:
    """Take over the weights of a model wherever they fit, bands by their names; last layers for the same classes."""
    theirs = dict(model.network.state_dict())
    if tuple(classes) != model.classes:  # as many classes are not the same ones
        last = f"head.layers.{4 * len(network.config.head)}." if isinstance(network, Multiband) else "head.7."
        theirs = {name: weight for name, weight in theirs.items() if last not in name}
    if isinstance(network, Multiband) and isinstance(model.preprocessing, MultibandConfig):
        theirs = _renamed(theirs, model.preprocessing.bands, config.bands)
        theirs |= _rearranged(network, theirs, model.preprocessing, config)
    ours = network.state_dict()
    network.load_state_dict(ours | {k: v for k, v in theirs.items() if k in ours and v.shape == ours[k].shape})


def same_extras(old: MultibandConfig, new: MultibandConfig) -> list[tuple[int, int, int]]:
    """Return which numbers that only the central network sees two models share: place in the old, the new, and sign.

    A colour whose bands are in the other order, as g-r and r-g, is the same number with the other sign.
    """
    known = {name: k for k, name in enumerate(_extras(old))}
    found = []
    for place, name in enumerate(_extras(new)):
        turned = ("colour", *name[:0:-1]) if name[0] == "colour" else name
        if name in known:
            found.append((known[name], place, 1))
        elif turned in known:
            found.append((known[turned], place, -1))
    return found


def _extras(config: MultibandConfig) -> list[tuple[str, ...]]:
    """Return the names of the numbers that only the central network sees, in order, each with its kind."""
    pairs = [("colour", config.bands[i], config.bands[j]) for i, j in config.pairs]
    return [*pairs, ("wait",), *(("column", name) for name in config.columns)]


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


def _rearranged(
    network: Multiband, weights: dict[str, Tensor], old: MultibandConfig, new: MultibandConfig
) -> dict[str, Tensor]:
    """Return the weights that touch the extras, moved to where the new network has each extra."""
    moved, ours, h = {}, network.state_dict(), network.config.hidden
    source, place, sign = (list(column) for column in zip(*same_extras(old, new), strict=True))  # "wait" at least
    turn = torch.tensor(sign, dtype=torch.float32)
    for name, factor in (("central.standard.mean", turn), ("central.standard.std", 1)):
        moved[name] = ours[name].clone()
        moved[name][place] = weights[name][source] * factor
    heads = [
        n for n in ours if n.endswith(".layers.0.weight") and n.startswith(("central.head", "central.regressions"))
    ]
    for name in heads:
        if name in weights and len(weights[name]) == len(ours[name]) and weights[name].shape[1] == h + old.extras:
            moved[name] = ours[name].clone()
            moved[name][:, :h] = weights[name][:, :h]
            moved[name][:, [h + k for k in place]] = weights[name][:, [h + k for k in source]] * turn
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
    return multiband.fit(task, training, settings, folder, *to_standardise(recipe), report, tick)


def to_standardise(recipe: Recipe) -> tuple[list[int] | None, list[int] | None]:
    """Return the bands, and the central network's extras, whose standardisation is learned; None: all.

    What the initial model has learned stays, or its weights would mean something else; but of a band, a colour or a
    column that it doesn't know, it has learned nothing.
    """
    config, init = recipe.preprocessing, recipe.training.init
    known = None if init is None else read_config(init).preprocessing
    if not isinstance(config, MultibandConfig) or not isinstance(known, MultibandConfig):
        return None, None
    new = [b for b, name in enumerate(config.bands) if name not in known.bands]
    shared = {place for _, place, _ in same_extras(known, config)}
    return new if known.width == config.width else None, [k for k in range(config.extras) if k not in shared]


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
    for band in bands:
        if not _same_band(network, config, model, band):
            raise RuntimeError(f"the network of band {band} has changed: this must not happen, please report it")


def _same_band(network: Multiband, config: MultibandConfig, model: Model | None, band: str) -> bool:
    """Return whether the network of a band is there and bit for bit that of a model."""
    known = () if model is None else getattr(model.preprocessing, "bands", ())
    if model is None or band not in config.bands or band not in known:
        return False
    ours = network.of_band(config.bands.index(band))[0].state_dict()
    theirs = cast(Multiband, model.network).of_band(known.index(band))[0].state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in theirs)


def _check_frozen(network: Multiband, config: MultibandConfig, model: Model | None, frozen: tuple[str, ...]) -> None:
    """Raise now what would only be found after the training: bands to stay as they are that are not as they were."""
    strange = [band for band in frozen if not _same_band(network, config, model, band)]
    if strange:
        raise ValueError(
            f"[training.ensemble] frozen_bands: the network of {', '.join(strange)} can't stay as it is. The recipe "
            f"must have the band (it has {', '.join(config.bands)}), and [training] init must name a model that has "
            "it in the same sizes and with the same classes"
        )
