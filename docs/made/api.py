"""The reference of the Python interface: what ``import goodricke`` offers, then the rooms that are meant for use."""

from __future__ import annotations

from enum import Enum

from pydantic import BaseModel

import goodricke

# Beside `goodricke.__all__`: classes, with their members, and functions.
ROOMS = {
    "Reading": ["goodricke.io.find", "goodricke.io.read_batches", "goodricke.io.ReadOptions"],
    "Light curves and answers": [
        "goodricke.data.lightcurves.Fault",
        "goodricke.data.predictions.Status",
        "goodricke.preprocess.prepare",
        "goodricke.preprocess.DenseConfig",
        "goodricke.preprocess.FoldedConfig",
        "goodricke.preprocess.MultibandConfig",
    ],
    "Models": [
        "goodricke.models.bundle.Model",
        "goodricke.models.bundle.BundleConfig",
        "goodricke.models.bundle.read_config",
        "goodricke.models.bundle.shipped_models",
        "goodricke.models.bundle.verify_model",
        "goodricke.models.astrafier.AstrafierConfig",
        "goodricke.models.multiband.MultibandNetworkConfig",
        "goodricke.models.recurrent_state.State",
        "goodricke.models.published.load_published",
        "goodricke.models.export.export",
    ],
    "Uncertainty": [
        "goodricke.uncertainty.calibration.Calibration",
        "goodricke.uncertainty.prediction_sets.Coverage",
    ],
    "Training": ["goodricke.training.recipe.read_recipe", "goodricke.evaluation.held_out.run_recipe"],
    "Surveys": [
        "goodricke.survey.shards.Catalog",
        "goodricke.survey.hats.map_catalog",
        "goodricke.survey.pack.pack",
        "goodricke.survey.catalog.catalog",
    ],
    "Simulations": [
        "goodricke.simulate.dense.simulate_dense",
        "goodricke.simulate.sparse.simulate_multiband",
    ],
}


def page() -> str:
    """Return the whole reference."""
    sections = {"import goodricke as gr": _public()} | ROOMS
    return "\n".join(f"## {title}\n\n{_entries(names)}" for title, names in sections.items())


def names() -> list[str]:
    """Return the full names of all that has an entry."""
    return _public() + [name for room in ROOMS.values() for name in room]


def _public() -> list[str]:
    return [f"goodricke.{name}" for name in goodricke.__all__ if not name.startswith("_")]


def _entries(names: list[str]) -> str:
    return "```{eval-rst}\n" + "\n".join(_entry(name) for name in names) + "\n```\n"


def _entry(name: str) -> str:
    thing = found(name)
    members = "\n   :members:" if isinstance(thing, type) and not issubclass(thing, (BaseModel, Enum)) else ""
    return f".. auto{'class' if isinstance(thing, type) else 'function'}:: {name}{members}\n"


def found(name: str) -> object:
    """Return the object of a full name.

    Raises
    ------
    AttributeError, ModuleNotFoundError
        If there is none.
    """
    from importlib import import_module

    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)
