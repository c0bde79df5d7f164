"""The reference of the Python interface: the names of ``import goodricke``, then those of the rooms."""

from __future__ import annotations

from enum import Enum
from importlib import import_module

from pydantic import BaseModel

import goodricke

# Classes, shown with their members, and functions, besides those of `goodricke.__all__`.
ROOMS = {
    "Reading": ["goodricke.io.find", "goodricke.io.read_batches", "goodricke.io.ReadOptions"],
    "Light curves and predictions": [
        "goodricke.data.lightcurves.Fault",
        "goodricke.data.predictions.Status",
        "goodricke.preprocess.prepare",
        "goodricke.preprocess.DenseConfig",
        "goodricke.preprocess.FoldedConfig",
        "goodricke.preprocess.MultibandConfig",
    ],
    "Models": [
        "goodricke.models.overview.models",
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
    """Return the full names of all entries."""
    return _public() + [name for room in ROOMS.values() for name in room]


def _public() -> list[str]:
    return [f"goodricke.{name}" for name in goodricke.__all__ if not name.startswith("_")]


def _entries(names: list[str]) -> str:
    return "```{eval-rst}\n" + "\n".join(_entry(name) for name in names) + "\n```\n"


def _entry(name: str) -> str:
    target = import_object(name)
    if not isinstance(target, type):
        return f".. autofunction:: {name}\n"
    return f".. autoclass:: {name}\n" + ("" if issubclass(target, (BaseModel, Enum)) else "   :members:\n")


def import_object(name: str) -> object:
    """Return the object of a full name.

    Raises
    ------
    AttributeError, ModuleNotFoundError
        If there is none.
    """
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)
