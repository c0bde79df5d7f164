"""What all tests share: one thread, example light curves, a tiny untrained model."""

import os
from pathlib import Path

import pytest
import torch

from goodricke.data.examples import example_files
from goodricke.data.lightcurves import LightCurves
from goodricke.io import read
from goodricke.models.astrafier import Astrafier, AstrafierConfig
from goodricke.models.bundle import BundleConfig, Model
from goodricke.preprocess import DenseConfig, FoldedConfig, prepare

torch.set_num_threads(1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Run one process more than there are cores: tests with a broker mostly wait."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(autouse=True)
def _small_forests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the forests beside a trained network have few trees: they took most of the time of its tests."""
    monkeypatch.setattr("goodricke.training.baselines.forest.TREES", 20)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of survey data and fixtures beside the checkout; skip where there is none."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.exists():
        pytest.skip("no ../shared with survey data and fixtures on this machine")
    return folder


@pytest.fixture(scope="session")
def stars() -> LightCurves:
    """Return the twelve ASAS light curves that come with the package."""
    return read(example_files())


def tiny_model(folder: Path, preprocessing: DenseConfig | FoldedConfig, stars: LightCurves) -> Model:
    """Save an untrained, narrow network as a bundle and load it."""
    torch.manual_seed(1)
    sizes = {"channels": preprocessing.channels, "context": preprocessing.context}
    network = Astrafier(AstrafierConfig(classes=3, embed=8, heads=2, hidden=16, blocks=1, kernels=(3, 7), **sizes))
    config = BundleConfig(
        name="tiny",
        classes=("ECL", "PULS", "ROT"),
        network=network.config.model_dump(),
        preprocessing=preprocessing,
    )
    few = prepare(stars[:3], preprocessing)
    return Model(config, network.eval()).save(folder, "# tiny\n\nUntrained, for tests.\n", few)


@pytest.fixture(scope="session")
def folded_model(tmp_path_factory: pytest.TempPathFactory, stars: LightCurves) -> Model:
    """Return an untrained model for sparse light curves."""
    return tiny_model(tmp_path_factory.mktemp("models") / "folded", FoldedConfig(bins=32), stars)


@pytest.fixture(scope="session")
def dense_model(tmp_path_factory: pytest.TempPathFactory, stars: LightCurves) -> Model:
    """Return an untrained model for dense light curves."""
    return tiny_model(tmp_path_factory.mktemp("models") / "dense", DenseConfig(), stars)
