"""A pantry for all pages of a process, and a kitchen for each page."""

from __future__ import annotations

import shutil
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.docs.blocks import ROOT
from tests.docs.kitchen import Kitchen, cooked
from tests.docs.pantry import TINY, fill

sys.path.insert(0, str(ROOT / "docs"))  # `made`, which fills in the pages


@pytest.fixture(scope="session")
def pantry(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the folder with all that pages name, and the folder of shipped models."""
    folder, shipped = tmp_path_factory.mktemp("pantry"), tmp_path_factory.mktemp("shipped")
    fill(folder, shipped)
    with pytest.MonkeyPatch.context() as patch:
        _small(patch, shipped)
        cooked(folder)
    return folder, shipped


@pytest.fixture
def kitchen(pantry: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kitchen:
    """Return a fresh copy of the pantry, as the working directory, with everything small."""
    folder, shipped = pantry
    here = tmp_path / "here"
    shutil.copytree(folder, here, symlinks=True)
    _small(monkeypatch, shipped)
    monkeypatch.chdir(here)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Kitchen(here)


def _small(patch: pytest.MonkeyPatch, shipped: Path) -> None:
    """Let the shipped names stand for small models, and every recipe be trained for a moment."""
    for module in ("names", "bundle"):
        patch.setattr(f"goodricke.models.{module}.SHIPPED", shipped)
    patch.setattr("goodricke.training.baselines.forest.TREES", 20)
    reading = SimpleNamespace(loads=lambda text: _shrunk(tomllib.loads(text)), TOMLDecodeError=tomllib.TOMLDecodeError)
    patch.setattr("goodricke.training.recipe.tomllib", reading)


def _shrunk(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe with its own keys, but of a small network and one epoch."""
    multiband = recipe.get("preprocessing", {}).get("kind") == "multiband"
    network = {"hidden": 8, "head": [8]} if multiband else {k: v for k, v in TINY.items() if k != "kernels"}
    training = recipe.get("training", {}) | {"epochs": 1, "batch": 32, "passes": 2}
    pretraining = recipe.get("pretraining", {}) | {"epochs": 1}
    data = recipe.get("data", {}) | {"fewest": 5}
    sections = {"network": network, "training": training, "pretraining": pretraining, "data": data}
    return recipe | (sections if "data" in recipe else {})
