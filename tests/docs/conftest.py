"""Sample files for all pages of a process, and a copy of them for each page to run in."""

from __future__ import annotations

import shutil
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from goodricke.preprocess import variables
from goodricke.preprocess.candidates import Candidates, CandidateSearch, Joined, find_candidates
from tests.docs.blocks import ROOT
from tests.docs.page_runner import PageRunner, add_catalog
from tests.docs.sample_files import TINY, fill
from tests.quick import leave_out_forests

sys.path.insert(0, str(ROOT / "docs"))  # for `generators`


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the folder with the files that pages name, and the folder of shipped models."""
    folder, shipped = tmp_path_factory.mktemp("samples"), tmp_path_factory.mktemp("shipped")
    fill(folder, shipped)
    with pytest.MonkeyPatch.context() as patch:
        _shrink(patch, shipped)
        add_catalog(folder)
    return folder, shipped


@pytest.fixture
def page_runner(samples: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PageRunner:
    """Return what runs a page, in a fresh copy of the sample files as the working directory."""
    folder, shipped = samples
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy, symlinks=True)
    _shrink(monkeypatch, shipped)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return PageRunner(copy)


def _shrink(patch: pytest.MonkeyPatch, shipped: Path) -> None:
    """Replace the shipped models by tiny ones, and make every training and search for periods short."""
    leave_out_forests(patch)
    patch.setattr(variables, "find_candidates", _find_long_candidates)
    for module in ("hub", "bundle"):
        patch.setattr(f"goodricke.models.{module}.SHIPPED", shipped)
    parser = SimpleNamespace(
        loads=lambda text: _shrink_recipe(tomllib.loads(text)), TOMLDecodeError=tomllib.TOMLDecodeError
    )
    patch.setattr("goodricke.training.recipe.tomllib", parser)


def _find_long_candidates(joined: Joined, search: CandidateSearch) -> Candidates:
    """Return candidate periods from one day on, whose search is 25 times as quick as that of the shipped model."""
    return find_candidates(joined, search.model_copy(update={"shortest": max(search.shortest, 1.0)}))


def _shrink_recipe(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe with a small network and one epoch."""
    small = {"multiband": {"hidden": 8, "head": [8]}, "variables": {"filters": [4, 4, 8, 8], "width": 8, "hidden": 16}}
    astrafier = {k: v for k, v in TINY.items() if k != "kernels"}
    network = small.get(recipe.get("preprocessing", {}).get("kind"), astrafier)
    training = recipe.get("training", {}) | {"epochs": 1, "least_steps": 0, "batch": 32, "passes": 2}
    pretraining = recipe.get("pretraining", {}) | {"epochs": 1}
    data = recipe.get("data", {}) | {"fewest": 5}
    sections = {"network": network, "training": training, "pretraining": pretraining, "data": data}
    return recipe | (sections if "data" in recipe else {})
