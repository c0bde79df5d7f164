"""Families of networks in training: build a network, adopt initial weights, fit.

A new family needs a `Family` here and one in `goodricke.models.bundle`; a preprocessing names its family.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from pydantic import TypeAdapter
from torch import Tensor

from goodricke.data.progress import RunProgress
from goodricke.models.astrafier import Astrafier, AstrafierConfig
from goodricke.models.bundle import Model, Target
from goodricke.models.multiband import Head, Multiband, MultibandNetworkConfig
from goodricke.models.variables import Variables, VariablesNetworkConfig
from goodricke.preprocess import Frames, MultibandConfig, Prepared, Preprocessing, VariablesConfig
from goodricke.training import fit_astrafier, fit_multiband, fit_variables
from goodricke.training.augmentation import degraded
from goodricke.training.kept_files import prepare_cached
from goodricke.training.labels import Labelled
from goodricke.training.loop import Run
from goodricke.training.recipe import Recipe

log = logging.getLogger("goodricke")

Network = Astrafier | Multiband | Variables
Int = NDArray[np.int64]
Weights = dict[str, Tensor]


class Examples(NamedTuple):
    """Labelled light curves that a network is fitted to."""

    prepared: Prepared  # n objects
    data: Labelled
    targets: Sequence[Target]  # regressed parameters
    training: Int  # rows
    validation: Int  # rows


class Family(ABC):
    """The parts of a training that depend on the family of the network."""

    @abstractmethod
    def new_network(self, recipe: Recipe, classes: Sequence[str]) -> Network:
        """Return the network of a recipe, freshly initialised."""

    @abstractmethod
    def last_layers(self, network: Any) -> str:
        """Return a substring of the names of the weights that belong to particular classes."""

    def named_weights(
        self, network: Any, config: Any, model: Model, targets: Sequence[Target], initial: Weights
    ) -> tuple[Weights, Weights]:
        """Return the weights of a network and of an initial model, with equal names for equal meanings."""
        return dict(network.state_dict()), initial

    def check(self, network: Any, recipe: Recipe, init: Model | None) -> None:  # noqa: B027  nothing to check by default
        """Raise ValueError if the recipe doesn't fit the network and the initial model."""

    @abstractmethod
    def fit(
        self,
        recipe: Recipe,
        network: Any,
        init: Model | None,
        examples: Examples,
        progress: RunProgress,
    ) -> Run:
        """Train a network in place; see `goodricke.training.loop.train`."""


class AstrafierFamily(Family):
    """ASTRAFier: dense and folded light curves (Gregory et al., section 5)."""

    def new_network(self, recipe: Recipe, classes: Sequence[str]) -> Astrafier:
        """Return the network of a recipe, freshly initialised."""
        config: Any = recipe.preprocessing
        sizes = {"classes": len(classes), "channels": config.channels, "context": config.context}
        sizes["spectrum"] = getattr(config, "spectrum", 0)
        return Astrafier(TypeAdapter(AstrafierConfig).validate_python(recipe.network | sizes))

    def last_layers(self, network: Astrafier) -> str:
        """Return a substring of the names of the weights that belong to particular classes."""
        return "head.7."

    def named_weights(
        self, network: Any, config: Any, model: Model, targets: Sequence[Target], initial: Weights
    ) -> tuple[Weights, Weights]:
        """Return both weights; numbers of a light curve that only the network has, the last ones, weigh nothing."""
        own, first = dict(network.state_dict()), "head.0.weight"
        known = getattr(model.config.preprocessing, "slow_numbers", None) is False
        if known and getattr(config, "slow_numbers", False) and first in initial:
            more = own[first].shape[1] - initial[first].shape[1]
            if more > 0 and own[first].shape[0] == initial[first].shape[0]:
                initial = initial | {first: F.pad(initial[first], (0, more))}
        return own, initial

    def fit(
        self,
        recipe: Recipe,
        network: Astrafier,
        init: Model | None,
        examples: Examples,
        progress: RunProgress,
    ) -> Run:
        """Train a network in place; see `goodricke.training.fit_astrafier`."""
        settings = recipe.training
        return fit_astrafier.fit(
            network,
            cast(Frames, examples.prepared),
            examples.data.label,
            examples.training,
            examples.validation,
            settings,
            progress,
            settings.weight_power,
            settings.score,
        )


class VariablesFamily(Family):
    """Pairs of a candidate period and a class: sparse light curves of variable stars."""

    def new_network(self, recipe: Recipe, classes: Sequence[str]) -> Variables:
        """Return the network of a recipe, freshly initialised."""
        config = cast(VariablesConfig, recipe.preprocessing)
        sizes = {"classes": len(classes), "candidates": config.search.number, "bins": config.bins}
        sizes |= {"channels": config.channels, "star": config.star, "candidate": config.candidate}
        return Variables(TypeAdapter(VariablesNetworkConfig).validate_python(recipe.network | sizes))

    def last_layers(self, network: Variables) -> str:
        """Return a substring of the names of the weights that belong to particular classes."""
        return "head.last."

    def fit(
        self,
        recipe: Recipe,
        network: Variables,
        init: Model | None,
        examples: Examples,
        progress: RunProgress,
    ) -> Run:
        """Train a network in place, also on degraded copies; see `goodricke.training.fit_variables`."""
        settings, data, rows = recipe.training, examples.data, examples.training
        prepared = cast(Frames, examples.prepared)
        targets = fit_variables.pair_targets(prepared, data)
        parts, training = [prepared], [rows]
        for copy in range(settings.degraded):
            curves = degraded(data.curves[rows], seed=settings.seed + copy)
            file = recipe.run / f"degraded-{copy}.npz"
            prepared_copy = cast(Frames, prepare_cached(file, curves, recipe.preprocessing, settings.workers))
            training.append(np.flatnonzero(prepared_copy.usable) + sum(map(len, parts)))
            parts.append(prepared_copy)
            targets = targets.joined(fit_variables.pair_targets(prepared_copy, data, rows))
        return fit_variables.fit(
            network,
            Frames.concat(parts),
            targets,
            np.concatenate(training),
            examples.validation,
            settings,
            progress.folder,
            settings.weight_power,
            settings.score,
            progress.report,
            progress.tick,
            is_standardised=init is not None,
        )


class MultibandFamily(Family):
    """The multi-band ensemble (Becker et al. 2025, section 3.6)."""

    def new_network(self, recipe: Recipe, classes: Sequence[str]) -> Multiband:
        """Return the network of a recipe, freshly initialised."""
        return Multiband(multiband_network_config(recipe, classes))

    def last_layers(self, network: Multiband) -> str:
        """Return a substring of the names of the weights that belong to particular classes."""
        return f"head.layers.{4 * len(network.config.head)}."

    def named_weights(
        self, network: Multiband, config: MultibandConfig, model: Model, targets: Sequence[Target], initial: Weights
    ) -> tuple[Weights, Weights]:
        """Return both weights named by band and parameter instead of by index, the initial ones adapted."""
        own, old = dict(network.state_dict()), model.preprocessing
        if not isinstance(old, MultibandConfig):
            return own, initial
        own = _name_members(own, config.bands, targets)
        initial = _name_members(initial, old.bands, model.config.targets)
        initial |= _rearrange_extras(own, initial, old, config, network.config.hidden)
        initial |= _rescale_targets(network, initial, model.config.targets, targets)
        return own, initial

    def check(self, network: Multiband, recipe: Recipe, init: Model | None) -> None:
        """Raise ValueError if frozen bands differ from those of the initial model."""
        config = cast(MultibandConfig, recipe.preprocessing)
        _check_frozen(network, config, init, recipe.training.ensemble.frozen_bands)

    def fit(
        self,
        recipe: Recipe,
        network: Multiband,
        init: Model | None,
        examples: Examples,
        progress: RunProgress,
    ) -> Run:
        """Train a network in place; see `goodricke.training.fit_multiband`."""
        settings, config = recipe.training, cast(MultibandConfig, recipe.preprocessing)
        data, training, classes = examples.data, examples.training, network.config.classes
        weights = fit_astrafier.class_weights(data.label[training], classes, settings.weight_power)
        task = fit_multiband.Ensemble(
            network,
            data.curves,
            config,
            data.label,
            standardised(data, examples.targets).astype(np.float32),
            examples.validation,
            weights,
            settings.ensemble,
            settings.points,
            settings.score,
            settings.seed,
        )
        bands, extras = to_standardise(config, init)
        scale_by = training[np.isin(data.label[training], _class_indices(data.classes, settings.ensemble.scale_by))]
        return fit_multiband.fit(task, training, settings, progress, bands, extras, scale_by)


def _class_indices(classes: Sequence[str], names: Sequence[str]) -> list[int]:
    """Return the indices of ``names`` among the classes, all of them without names."""
    unknown = [name for name in names if name not in classes]
    if unknown:
        raise ValueError(f"[training.ensemble] scale_by: {', '.join(unknown)} of the classes {', '.join(classes)}")
    return [classes.index(name) for name in names] or list(range(len(classes)))


FAMILIES: dict[str, Family] = {
    "astrafier": AstrafierFamily(),
    "multiband": MultibandFamily(),
    "variables": VariablesFamily(),
}


def family_of(config: Preprocessing) -> Family:
    """Return the family of the networks for a preprocessing."""
    return FAMILIES[config.family]


def build_network(recipe: Recipe, classes: Sequence[str], targets: Sequence[Target], init: Model | None) -> Network:
    """Return the network of a recipe, freshly initialised or with the weights of an initial model.

    All weights that fit are adopted: with other classes, all but the last layers; with other bands, the networks of the
    common bands and the central network; with other parameters, the heads of the common ones.

    Parameters
    ----------
    recipe : Recipe
    classes : list of str
    targets : list of Target
        Regressed parameters with their standardisation.
    init : Model, optional
        The model of ``[training] init``.

    Raises
    ------
    ValueError
        If no weights of the initial model fit, or bands of ``frozen_bands`` differ from it.
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
    """Adopt the weights of a model wherever they fit; the log names the layers that start from random weights.

    Bands and regressed parameters are identified by name; last layers are adopted for the same classes only. A
    parameter is the same if name, unit and logarithm are; its mean and standard deviation may differ.
    """
    family, initial = family_of(config), dict(model.network.state_dict())
    names = list(network.state_dict())
    if tuple(classes) != model.classes:  # the same number of classes isn't enough
        last = family.last_layers(network)
        initial = {name: weight for name, weight in initial.items() if last not in name}
    own, initial = family.named_weights(network, config, model, targets, initial)
    fitting = {name: w for name, w in initial.items() if name in own and w.shape == own[name].shape}
    if not fitting:
        raise ValueError(
            f"[training] init: no weights of {model.name} fit, its network has another kind or size. Fix: use a model "
            "with the recipe's preprocessing and [network], or leave init out"
        )
    network.load_state_dict(dict(zip(names, (own | fitting).values(), strict=True)))
    unfit = [name.split(".") for name in own if name not in fitting]
    fresh = dict.fromkeys(".".join(parts[:-1][:3] or parts) for parts in unfit)
    if fresh:
        log.warning(
            "%s has no fitting weights for these layers, which start from random weights: %s",
            model.name,
            ", ".join(fresh),
        )


def learned_targets(recipe: Recipe, data: Labelled, training: NDArray[np.int64]) -> tuple[Target, ...]:
    """Return the regressed parameters, standardised by the measured values of the training objects."""
    targets = []
    for k, (name, config) in enumerate(recipe.data.targets.items()):
        plain = Target(name=name, unit=config.unit, log=config.log)
        values = plain.standardised(data.targets[training, k])
        values = values[np.isfinite(values)]
        if len(values) < 2 or not np.std(values) > 0:
            raise ValueError(f"[data.targets.{name}]: {len(values)} training objects have a value; need different ones")
        targets.append(plain.model_copy(update={"mean": float(np.mean(values)), "std": float(np.std(values))}))
    return tuple(targets)


def standardised(data: Labelled, targets: Sequence[Target]) -> NDArray[np.float64]:
    """Return the standardised parameters (n, k), NaN where unknown."""
    return np.stack([t.standardised(data.targets[:, k]) for k, t in enumerate(targets)], 1) if targets else data.targets


# ---- multi-band networks: weights by the names of bands, colours and parameters -------------------------------------


def multiband_network_config(recipe: Recipe, classes: Sequence[str]) -> MultibandNetworkConfig:
    """Return the sizes of a multi-band recipe's network: from recipe, data and preprocessing."""
    config = cast(MultibandConfig, recipe.preprocessing)
    sizes = {"classes": len(classes), "bands": len(config.bands), "width": config.width}
    sizes |= {"context": len(config.columns), "targets": len(recipe.data.targets)}
    return TypeAdapter(MultibandNetworkConfig).validate_python(recipe.network | sizes)


def same_extras(old: MultibandConfig, new: MultibandConfig) -> list[tuple[int, int, int]]:
    """Return the extras of the central network that two models share: index in the old, in the new, and sign.

    A colour with the bands in reverse order, as g-r and r-g, has the opposite sign.
    """
    places = {name: k for k, name in enumerate(_extras(old))}
    shared = []
    for place, name in enumerate(_extras(new)):
        reversed_name = ("colour", *name[:0:-1]) if name[0] == "colour" else name
        if name in places:
            shared.append((places[name], place, 1))
        elif reversed_name in places:
            shared.append((places[reversed_name], place, -1))
    return shared


def _extras(config: MultibandConfig) -> list[tuple[str, ...]]:
    """Return the names of the central network's extras, in order, each with its kind."""
    pairs = [("colour", config.bands[i], config.bands[j]) for i, j in config.pairs]
    return [*pairs, ("wait",), *(("column", name) for name in config.columns)]


def _name_members(weights: Mapping[str, Tensor], bands: Sequence[str], targets: Sequence[Target]) -> dict[str, Tensor]:
    """Return weights, in order, named by band and parameter instead of by index."""
    members = {"bands.": bands, "central.translations.": bands, "central.regressions.": [_label(t) for t in targets]}
    named = {}
    for name, weight in weights.items():
        for prefix, names in members.items():
            if name.startswith(prefix):
                number, _, suffix = name.removeprefix(prefix).partition(".")
                name = f"{prefix}{names[int(number)]}.{suffix}"
                break
        named[name] = weight
    return named


def _label(target: Target) -> str:
    """Return a label that is equal for targets that differ only in their standardisation."""
    return f"{'log ' * target.log}{target.name} [{target.unit}]"


def _rescale_targets(
    network: Multiband, old_weights: dict[str, Tensor], old: Sequence[Target], new: Sequence[Target]
) -> dict[str, Tensor]:
    """Return the last layers of common parameters, rescaled to the new standardisation."""
    result, old_targets = {}, {_label(target): target for target in old}
    for target, head in zip(new, network.central.regressions, strict=True):
        previous = old_targets.get(_label(target))
        if previous is not None:
            last = f"central.regressions.{_label(target)}.layers.{len(cast(Head, head).layers) - 1}"
            scale, shift = previous.std / target.std, (previous.mean - target.mean) / target.std
            result[f"{last}.weight"] = old_weights[f"{last}.weight"] * scale
            result[f"{last}.bias"] = old_weights[f"{last}.bias"] * scale + shift
    return result


def _rearrange_extras(
    new_weights: dict[str, Tensor], old_weights: dict[str, Tensor], old: MultibandConfig, new: MultibandConfig, h: int
) -> dict[str, Tensor]:
    """Return the weights that touch the extras, moved to where the new network, ``h`` wide, has each extra."""
    result = {}
    source, places, sign = (
        list(column) for column in zip(*same_extras(old, new), strict=True)
    )  # never empty: "wait" is common
    signs = torch.tensor(sign, dtype=torch.float32)
    for name, factor in (("central.standard.mean", signs), ("central.standard.std", 1)):
        result[name] = new_weights[name].clone()
        result[name][places] = old_weights[name][source] * factor
    heads = [
        n
        for n in new_weights
        if n.endswith(".layers.0.weight") and n.startswith(("central.head", "central.regressions"))
    ]
    for name in heads:
        if (
            name in old_weights
            and len(old_weights[name]) == len(new_weights[name])
            and old_weights[name].shape[1] == h + old.extras
        ):
            result[name] = new_weights[name].clone()
            result[name][:, :h] = old_weights[name][:, :h]
            result[name][:, [h + k for k in places]] = old_weights[name][:, [h + k for k in source]] * signs
    return result


def to_standardise(config: MultibandConfig, init: Model | None) -> tuple[list[int] | None, list[int] | None]:
    """Return the bands, and the central network's extras, whose standardisation is set from the data; None for all.

    Standardisations of the initial model stay, as its weights depend on them; only bands, colours and columns that it
    lacks get new ones.
    """
    initial = None if init is None else init.preprocessing
    if not isinstance(initial, MultibandConfig):
        return None, None
    new = [b for b, name in enumerate(config.bands) if name not in initial.bands]
    shared = {place for _, place, _ in same_extras(initial, config)}
    return new, [k for k in range(config.extras) if k not in shared]


def check_unchanged_bands(network: Multiband, config: MultibandConfig, model: Model, bands: tuple[str, ...]) -> None:
    """Check that bands' networks are bit for bit those of a model.

    Raises
    ------
    RuntimeError
        If one differs.
    """
    for band in bands:
        if not _same_band(network, config, model, band):
            raise RuntimeError(f"the network of band {band} has changed: a bug, please report it")


def _same_band(network: Multiband, config: MultibandConfig, model: Model | None, band: str) -> bool:
    """Return whether the network of a band exists and is bit for bit that of a model."""
    known_bands = () if model is None else getattr(model.preprocessing, "bands", ())
    if model is None or band not in config.bands or band not in known_bands:
        return False
    state = network.band_modules(config.bands.index(band))[0].state_dict()
    initial_state = cast(Multiband, model.network).band_modules(known_bands.index(band))[0].state_dict()
    return state.keys() == initial_state.keys() and all(
        torch.equal(state[name], initial_state[name]) for name in initial_state
    )


def _check_frozen(network: Multiband, config: MultibandConfig, model: Model | None, frozen: tuple[str, ...]) -> None:
    """Raise before the training if frozen bands differ from the initial model."""
    changed = [band for band in frozen if not _same_band(network, config, model, band)]
    if changed:
        raise ValueError(
            f"[training.ensemble] frozen_bands: the network of {', '.join(changed)} can't be frozen. Fix: the recipe "
            f"must have the band (it has {', '.join(config.bands)}), and [training] init must name a model that has "
            "it with the same sizes and classes"
        )
