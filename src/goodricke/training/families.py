"""The families of networks as trainings use them: build, take over weights, fit, pre-train.

To add a family, write a `Family` here and one in `goodricke.models.bundle`; preprocessing names its family.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from torch import Tensor

from goodricke.models.astrafier import Astrafier, AstrafierConfig
from goodricke.models.bundle import Model, Target
from goodricke.models.multiband import Head, Multiband, MultibandNetworkConfig
from goodricke.preprocess import Frames, MultibandConfig, Prepared, Preprocessing
from goodricke.training import fit_astrafier, fit_multiband
from goodricke.training.labels import Labelled
from goodricke.training.loop import Run
from goodricke.training.recipe import Recipe

log = logging.getLogger("goodricke")

Network = Astrafier | Multiband
Int = NDArray[np.int64]
Weights = dict[str, Tensor]


class Family(ABC):
    """A kind of network: what a training does otherwise for it."""

    @abstractmethod
    def new_network(self, recipe: Recipe, classes: Sequence[str]) -> Network:
        """Return the network of a recipe, freshly initialised."""

    @abstractmethod
    def last_layers(self, network: Any) -> str:
        """Return a part of the names of the weights that are for particular classes."""

    def named_weights(
        self, network: Any, config: Any, model: Model, targets: Sequence[Target], theirs: Weights
    ) -> tuple[Weights, Weights]:
        """Return the weights of a network and those of a model, under names that are equal where they mean the same."""
        return dict(network.state_dict()), theirs

    def check(self, network: Any, recipe: Recipe, init: Model | None) -> None:  # noqa: B027  most have nothing to check
        """Raise ValueError if a recipe can't be carried out with this network and initial model."""

    @abstractmethod
    def fit(
        self,
        recipe: Recipe,
        network: Any,
        init: Model | None,
        prepared: Any,
        data: Labelled,
        targets: Sequence[Target],
        training: Int,
        validation: Int,
        folder: Path,
        report: Callable[[dict[str, float]], None],
        tick: Callable[[int], None],
    ) -> Run:
        """Train a network in place; see `goodricke.training.loop.train`."""


class AstrafierFamily(Family):
    """ASTRAFier: dense and folded light curves (Gregory et al., section 5)."""

    def new_network(self, recipe: Recipe, classes: Sequence[str]) -> Astrafier:
        """Return the network of a recipe, freshly initialised."""
        config: Any = recipe.preprocessing
        sizes = {"classes": len(classes), "channels": config.channels, "context": config.context}
        return Astrafier(TypeAdapter(AstrafierConfig).validate_python(recipe.network | sizes))

    def last_layers(self, network: Astrafier) -> str:
        """Return a part of the names of the weights that are for particular classes."""
        return "head.7."

    def fit(
        self,
        recipe: Recipe,
        network: Astrafier,
        init: Model | None,
        prepared: Frames,
        data: Labelled,
        targets: Sequence[Target],
        training: Int,
        validation: Int,
        folder: Path,
        report: Callable[[dict[str, float]], None],
        tick: Callable[[int], None],
    ) -> Run:
        """Train a network in place; see `goodricke.training.fit_astrafier`."""
        settings = recipe.training
        return fit_astrafier.fit(
            network,
            prepared,
            data.label,
            training,
            validation,
            settings,
            folder,
            settings.weight_power,
            settings.score,
            report,
            tick,
        )


class MultibandFamily(Family):
    """The multi-band ensemble (Becker et al. 2025, section 3.6)."""

    def new_network(self, recipe: Recipe, classes: Sequence[str]) -> Multiband:
        """Return the network of a recipe, freshly initialised."""
        return Multiband(multiband_network_config(recipe, classes))

    def last_layers(self, network: Multiband) -> str:
        """Return a part of the names of the weights that are for particular classes."""
        return f"head.layers.{4 * len(network.config.head)}."

    def named_weights(
        self, network: Multiband, config: MultibandConfig, model: Model, targets: Sequence[Target], theirs: Weights
    ) -> tuple[Weights, Weights]:
        """Return both weights with names of bands and parameters in place of their numbers, rescaled and rearranged."""
        ours, old = dict(network.state_dict()), model.preprocessing
        if not isinstance(old, MultibandConfig):
            return ours, theirs
        ours = _by_name(ours, config.bands, targets)
        theirs = _by_name(theirs, old.bands, model.config.targets)
        theirs |= _rearranged(ours, theirs, old, config, network.config.hidden)
        theirs |= _rescaled(network, theirs, model.config.targets, targets)
        return ours, theirs

    def check(self, network: Multiband, recipe: Recipe, init: Model | None) -> None:
        """Raise ValueError if frozen bands are not those of the initial model."""
        config = cast(MultibandConfig, recipe.preprocessing)
        _check_frozen(network, config, init, recipe.training.ensemble.frozen_bands)

    def fit(
        self,
        recipe: Recipe,
        network: Multiband,
        init: Model | None,
        prepared: Prepared,
        data: Labelled,
        targets: Sequence[Target],
        training: Int,
        validation: Int,
        folder: Path,
        report: Callable[[dict[str, float]], None],
        tick: Callable[[int], None],
    ) -> Run:
        """Train a network in place; see `goodricke.training.fit_multiband`."""
        settings, config = recipe.training, cast(MultibandConfig, recipe.preprocessing)
        weights = fit_astrafier.class_weights(data.label[training], network.config.classes, settings.weight_power)
        task = fit_multiband.Ensemble(
            network,
            data.curves,
            config,
            data.label,
            standardised(data, targets).astype(np.float32),
            validation,
            weights,
            settings.ensemble,
            settings.points,
            settings.score,
            settings.seed,
        )
        bands, extras = to_standardise(config, init)
        return fit_multiband.fit(task, training, settings, folder, bands, extras, report, tick)


FAMILIES: dict[str, Family] = {"astrafier": AstrafierFamily(), "multiband": MultibandFamily()}


def family_of(config: Preprocessing) -> Family:
    """Return the family of the networks that take light curves preprocessed like this."""
    return FAMILIES[config.family]


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
        If no weights of the initial model fit, or bands are to stay as they are (``frozen_bands``) that it doesn't
        have like this.
    """
    torch.manual_seed(recipe.training.seed)
    family = family_of(recipe.preprocessing)
    network = family.new_network(recipe, classes)
    if init is not None:
        adopt(network, recipe.preprocessing, init, classes, targets)
    family.check(network, recipe, init)
    return network


def adopt(
    network: Network, config: Preprocessing, model: Model, classes: Sequence[str], targets: Sequence[Target]
) -> None:
    """Take over the weights of a model wherever they fit; the log names what starts afresh all the same.

    Bands and regressed parameters are identified by their names, and the last layers are for the same classes. A
    parameter is the same one in the same unit, as its logarithm or not; its mean and standard deviation may be others.
    """
    family, theirs = family_of(config), dict(model.network.state_dict())
    names = list(network.state_dict())
    if tuple(classes) != model.classes:  # as many classes are not the same ones
        last = family.last_layers(network)
        theirs = {name: weight for name, weight in theirs.items() if last not in name}
    ours, theirs = family.named_weights(network, config, model, targets, theirs)
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


def learned_targets(recipe: Recipe, data: Labelled, training: NDArray[np.int64]) -> tuple[Target, ...]:
    """Return the regressed parameters, standardised by the measured values of the training objects."""
    targets = []
    for k, (name, wanted) in enumerate(recipe.data.targets.items()):
        plain = Target(name=name, unit=wanted.unit, log=wanted.log)
        values = plain.standardised(data.targets[training, k])
        values = values[np.isfinite(values)]
        if len(values) < 2 or not np.std(values) > 0:
            raise ValueError(f"[data.targets.{name}]: {len(values)} training objects have a value; need different ones")
        targets.append(plain.model_copy(update={"mean": float(np.mean(values)), "std": float(np.std(values))}))
    return tuple(targets)


def standardised(data: Labelled, targets: Sequence[Target]) -> NDArray[np.float64]:
    """Return the regressed parameters (n, k) as the network regresses them, NaN where unknown."""
    return np.stack([t.standardised(data.targets[:, k]) for k, t in enumerate(targets)], 1) if targets else data.targets


# ---- multi-band networks: weights by the names of bands, colours and parameters -------------------------------------


def multiband_network_config(recipe: Recipe, classes: Sequence[str]) -> MultibandNetworkConfig:
    """Return the sizes of a multi-band recipe's network: its own, and those that follow from data and preprocessing."""
    config = cast(MultibandConfig, recipe.preprocessing)
    sizes = {"classes": len(classes), "bands": len(config.bands), "width": config.width}
    sizes |= {"context": len(config.columns), "targets": len(recipe.data.targets)}
    return TypeAdapter(MultibandNetworkConfig).validate_python(recipe.network | sizes)


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
    known_bands = () if model is None else getattr(model.preprocessing, "bands", ())
    if model is None or band not in config.bands or band not in known_bands:
        return False
    ours = network.of_band(config.bands.index(band))[0].state_dict()
    theirs = cast(Multiband, model.network).of_band(known_bands.index(band))[0].state_dict()
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
