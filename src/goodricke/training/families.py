"""From a recipe to a fitted network: what differs between ASTRAFier and the multi-band ensemble."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from torch import Tensor

from goodricke.models.astrafier import Astrafier, AstrafierConfig
from goodricke.models.bundle import Model, Target
from goodricke.models.multiband import Head, Multiband, MultibandNetworkConfig
from goodricke.preprocess import MultibandConfig, Prepared, Preprocessing, Steps
from goodricke.training import fit_astrafier, fit_multiband
from goodricke.training.labels import Labelled
from goodricke.training.loop import Run
from goodricke.training.recipe import Recipe

log = logging.getLogger("goodricke")

Network = Astrafier | Multiband


def family(network: Network) -> str:
    """Return the name of a network's family, as bundles have it."""
    return "multiband" if isinstance(network, Multiband) else "astrafier"


def build_network(recipe: Recipe, classes: Sequence[str], targets: Sequence[Target], init: Model | None) -> Network:
    """Return the network of a recipe, freshly initialised or with the weights of a model to start from.

    From another model everything is taken that fits: with other classes, all but the last layers; with other bands, the
    networks of the bands that both have, and the central network; with other parameters, the heads of those that both
    have.

    Parameters
    ----------
    recipe : Recipe
    classes : list of str
    targets : list of Target
        Regressed parameters as they will be standardised.
    init : Model, optional
        The model that ``[training] init`` names.

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
    if init is not None:
        adopt(network, config, init, classes, targets)
    if isinstance(network, Multiband) and isinstance(config, MultibandConfig):
        _check_frozen(network, config, init, recipe.training.ensemble.frozen_bands)
    return network


def multiband_network_config(recipe: Recipe, classes: Sequence[str]) -> MultibandNetworkConfig:
    """Return the sizes of a multi-band recipe's network: its own, and those that follow from data and preprocessing."""
    config = cast(MultibandConfig, recipe.preprocessing)
    sizes = {"classes": len(classes), "bands": len(config.bands), "width": config.width}
    sizes |= {"context": len(config.columns), "targets": len(recipe.data.targets)}
    return TypeAdapter(MultibandNetworkConfig).validate_python(recipe.network | sizes)


def adopt(
    network: Network, config: Preprocessing, model: Model, classes: Sequence[str], targets: Sequence[Target]
) -> None:
    """Take over the weights of a model wherever they fit; the log names what starts afresh all the same.

    Bands and regressed parameters are known by their names, and the last layers are for the same classes. A parameter
    is the same one in the same unit, as its logarithm or not; its mean and standard deviation may be others.
    """
    theirs, ours = dict(model.network.state_dict()), dict(network.state_dict())
    names = list(ours)
    if tuple(classes) != model.classes:  # as many classes are not the same ones
        last = f"head.layers.{4 * len(network.config.head)}." if isinstance(network, Multiband) else "head.7."
        theirs = {name: weight for name, weight in theirs.items() if last not in name}
    old = model.preprocessing
    if isinstance(network, Multiband) and isinstance(config, MultibandConfig) and isinstance(old, MultibandConfig):
        ours = _by_name(ours, config.bands, targets)
        theirs = _by_name(theirs, old.bands, model.config.targets)
        theirs |= _rearranged(ours, theirs, old, config, network.config.hidden)
        theirs |= _rescaled(network, theirs, model.config.targets, targets)
    fitting = {name: w for name, w in theirs.items() if name in ours and w.shape == ours[name].shape}
    if not fitting:
        raise ValueError(
            f"[training] init: no weights of {model.name} fit, its network is of another kind or size. Take a model "
            "like this recipe's, its [network] too, or leave init out"
        )
    network.load_state_dict(dict(zip(names, (ours | fitting).values(), strict=True)))
    unfit = [name.split(".") for name in ours if name not in fitting]
    fresh = dict.fromkeys(".".join(parts[:-1][:3] or parts) for parts in unfit)
    if fresh:
        log.warning("%s has no fitting weights for these; they start afresh: %s", model.name, ", ".join(fresh))


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


def _by_name(weights: Mapping[str, Tensor], bands: Sequence[str], targets: Sequence[Target]) -> dict[str, Tensor]:
    """Return weights, in order, with names of bands and parameters in place of their numbers."""
    members = {"bands.": bands, "central.translations.": bands, "central.regressions.": [_label(t) for t in targets]}
    named = {}
    for name, weight in weights.items():
        for prefix, known in members.items():
            if name.startswith(prefix):
                number, _, rest = name.removeprefix(prefix).partition(".")
                name = f"{prefix}{known[int(number)]}.{rest}"
                break
        named[name] = weight
    return named


def _label(target: Target) -> str:
    """Return what two targets have in common whose weights differ by their standardisation alone."""
    return f"{'log ' * target.log}{target.name} [{target.unit}]"


def _rescaled(
    network: Multiband, weights: dict[str, Tensor], old: Sequence[Target], new: Sequence[Target]
) -> dict[str, Tensor]:
    """Return the last layers of parameters that both have, so that in their units they say what they said."""
    moved, known = {}, {_label(target): target for target in old}
    for target, head in zip(new, network.central.regressions, strict=True):
        was = known.get(_label(target))
        if was is not None:
            last = f"central.regressions.{_label(target)}.layers.{len(cast(Head, head).layers) - 1}"
            scale, shift = was.std / target.std, (was.mean - target.mean) / target.std
            moved[f"{last}.weight"] = weights[f"{last}.weight"] * scale
            moved[f"{last}.bias"] = weights[f"{last}.bias"] * scale + shift
    return moved


def _rearranged(
    ours: dict[str, Tensor], weights: dict[str, Tensor], old: MultibandConfig, new: MultibandConfig, h: int
) -> dict[str, Tensor]:
    """Return the weights that touch the extras, moved to where the new network, ``h`` wide, has each extra."""
    moved = {}
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
    init: Model | None,
    prepared: Prepared | Steps,
    data: Labelled,
    targets: Sequence[Target],
    training: NDArray[np.int64],
    validation: NDArray[np.int64],
    folder: Path,
    report: Callable[[dict[str, float]], None],
    tick: Callable[[int], None],
) -> Run:
    """Train a network as the recipe says; see the families' own ``fit``."""
    settings = recipe.training
    if isinstance(network, Astrafier) and isinstance(prepared, Prepared):
        return fit_astrafier.fit(
            *(network, prepared, data.label, training, validation, settings, folder),
            *(settings.weight_power, settings.score, report, tick),
        )
    if not isinstance(network, Multiband) or not isinstance(recipe.preprocessing, MultibandConfig):
        raise TypeError(f"a {family(network)} network doesn't go with {recipe.preprocessing.kind} preprocessing")
    weights = fit_astrafier.class_weights(data.label[training], network.config.classes, settings.weight_power)
    learned = standardised(data, targets).astype(np.float32)
    task = fit_multiband.Ensemble(
        *(network, data.curves, recipe.preprocessing, data.label, learned, validation, weights),
        *(settings.ensemble, settings.points, settings.score, settings.seed),
    )
    learn = to_standardise(recipe.preprocessing, init)
    return fit_multiband.fit(task, training, settings, folder, *learn, report, tick)


def to_standardise(config: MultibandConfig, init: Model | None) -> tuple[list[int] | None, list[int] | None]:
    """Return the bands, and the central network's extras, whose standardisation is learned; None: all.

    What the initial model has learned stays, or its weights would mean something else; but of a band, a colour or a
    column that it doesn't know, it has learned nothing.
    """
    known = None if init is None else init.preprocessing
    if not isinstance(known, MultibandConfig):
        return None, None
    new = [b for b, name in enumerate(config.bands) if name not in known.bands]
    shared = {place for _, place, _ in same_extras(known, config)}
    return new, [k for k in range(config.extras) if k not in shared]


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


def standardised(data: Labelled, targets: Sequence[Target]) -> NDArray[np.float64]:
    """Return the regressed parameters (n, k) as the network should say them, NaN where unknown."""
    return np.stack([t.standardised(data.targets[:, k]) for k, t in enumerate(targets)], 1) if targets else data.targets


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
