"""Fixtures of all tests: one thread, example light curves, tiny untrained models, exported models."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from goodricke.data.examples import example_files
from goodricke.data.lightcurves import LightCurves
from goodricke.data.taxonomy import Taxonomy
from goodricke.io import read
from goodricke.models.astrafier import Astrafier, AstrafierConfig
from goodricke.models.bundle import BundleConfig, Model, load_model
from goodricke.models.variables import Variables, VariablesNetworkConfig
from goodricke.preprocess import DenseConfig, FoldedConfig, VariablesConfig, prepare
from goodricke.uncertainty.calibration import Calibration, Scaling

torch.set_num_threads(1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Run one process more than there are cores: tests with a broker mostly wait."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(autouse=True, scope="session")
def _quick_forests_and_figures() -> Iterator[None]:
    """Give forests few trees and figures no layout: they took most of the time of the tests that train and report."""
    with pytest.MonkeyPatch.context() as patch:  # before the fixtures of modules, which are made before those of tests
        patch.setattr("goodricke.evaluation.figures.style.LAYOUT", None)
        patch.setattr("goodricke.training.baselines.forest.TREES", 20)
        patch.setattr("goodricke.evaluation.data_checks.TREES", 20)
        yield


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


def tiny_model(
    folder: Path,
    preprocessing: DenseConfig | FoldedConfig,
    stars: LightCurves,
    kernels: tuple[int, ...] = (3, 7),
    calibration: Calibration | None = None,
) -> Model:
    """Save an untrained, narrow network as a bundle and load it."""
    torch.manual_seed(1)
    sizes = {"channels": preprocessing.channels, "context": preprocessing.context}
    network = Astrafier(AstrafierConfig(classes=3, embed=8, heads=2, hidden=16, blocks=1, kernels=kernels, **sizes))
    config = BundleConfig(
        name="tiny",
        classes=("ECL", "PULS", "ROT"),
        network=network.config.model_dump(),
        preprocessing=preprocessing,
    )
    model = Model(config, network.eval(), calibration)
    return model.save(folder, "# tiny\n\nUntrained, for tests.\n", prepare(stars[:3], preprocessing))


@pytest.fixture(scope="session")
def folded_model(tmp_path_factory: pytest.TempPathFactory, stars: LightCurves) -> Model:
    """Return an untrained model for sparse light curves."""
    return tiny_model(tmp_path_factory.mktemp("models") / "folded", FoldedConfig(bins=32), stars)


@pytest.fixture(scope="session")
def dense_model(tmp_path_factory: pytest.TempPathFactory, stars: LightCurves) -> Model:
    """Return an untrained model for dense light curves."""
    return tiny_model(tmp_path_factory.mktemp("models") / "dense", DenseConfig(), stars)


@pytest.fixture(scope="session")
def variables_model(tmp_path_factory: pytest.TempPathFactory, stars: LightCurves) -> Model:
    """Return an untrained model of class and period together, whose classes are leaves of a taxonomy."""
    from goodricke.training.fit_variables import standardise

    taxonomy = Taxonomy.shipped().restricted(("EA", "EW", "RRAB", "CEP_F", "MIRA", "CONSTANT"))
    preprocessing = VariablesConfig(bins=16)
    sizes = {"classes": len(taxonomy.leaves), "bins": 16, "star": preprocessing.star}
    torch.manual_seed(1)
    network = Variables(
        VariablesNetworkConfig(**sizes, candidate=preprocessing.candidate, filters=(4, 4, 8, 8), width=8, hidden=16)
    )
    prepared = prepare(stars[:4], preprocessing)
    standardise(network, prepared.context)
    config = BundleConfig(
        name="tiny-variables",
        family="variables",
        classes=tuple(taxonomy.leaves),
        taxonomy=taxonomy,
        network=network.config.model_dump(),
        preprocessing=preprocessing,
        unit="mag",
    )
    folder = tmp_path_factory.mktemp("models") / "variables"
    return Model(config, network.eval()).save(folder, "# tiny\n\nUntrained, for tests.\n", prepared)


@pytest.fixture(scope="session")
def calibrated_model(tmp_path_factory: pytest.TempPathFactory, stars: LightCurves) -> Model:
    """Return an untrained model of sparse light curves whose calibration changes every probability."""
    scaling = Scaling("vector", np.array([0.5, 1.5, 2.0]), np.array([0.3, -0.2, 0.1]))
    calibration = Calibration(scaling, Scaling.from_temperature(2.0, 3))
    folder = tmp_path_factory.mktemp("models") / "calibrated"
    return tiny_model(folder, FoldedConfig(bins=32), stars, kernels=(3, 65), calibration=calibration)


@pytest.fixture(scope="session")
def exported_stars(tmp_path_factory: pytest.TempPathFactory, calibrated_model: Model) -> Path:
    """Return the ONNX file of the calibrated model."""
    return exported(calibrated_model, tmp_path_factory)


@pytest.fixture(scope="session")
def exported_transients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the ONNX file of the shipped model of transients."""
    return exported(load_model("ztf-bts"), tmp_path_factory)


def exported(model: Model, factory: pytest.TempPathFactory) -> Path:
    """Return a model's ONNX file."""
    from goodricke.models.export import export

    pytest.importorskip("onnx", reason="export needs goodricke[onnx]")
    pytest.importorskip("onnxruntime", reason="exported models are run by onnxruntime")
    return export(model, factory.mktemp("onnx"))
