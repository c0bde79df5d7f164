"""Exported models say in onnxruntime what they say in PyTorch (Promise 6), for batches and lengths of any size."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from typer.testing import CliRunner

from goodricke.cli import app
from goodricke.data.lightcurves import LightCurves
from goodricke.inference import step_probabilities
from goodricke.models.astrafier import Astrafier, AstrafierConfig
from goodricke.models.attention import LONG
from goodricke.models.bundle import BundleConfig, Model, load_model
from goodricke.models.export import export
from goodricke.models.multiband import Multiband, MultibandNetworkConfig
from goodricke.preprocess import DenseConfig, MultibandConfig, Steps, prepare
from goodricke.uncertainty.calibration import Calibration, Scaling
from tests.making import sky

pytest.importorskip("onnx", reason="export needs goodricke[onnx]")
onnxruntime = pytest.importorskip("onnxruntime", reason="exported models are run by onnxruntime")


def session(path: Path) -> tuple[Any, dict[str, Any]]:
    """Return a file ready to run, and what its metadata tells."""
    opened = onnxruntime.InferenceSession(path)
    return opened, {name: json.loads(text) for name, text in opened.get_modelmeta().custom_metadata_map.items()}


def calibrated(logits: np.ndarray, about: dict[str, Any]) -> np.ndarray:
    """Return probabilities as the module's text says."""
    known = logits - np.log(np.exp(logits.astype(np.float64)).sum(1, keepdims=True))
    return softmax(known @ np.array(about["calibration"]["weight"]).T + about["calibration"]["offset"], axis=1)


# ---- ASTRAFier ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def calibrated_model(folded_model: Model, stars: LightCurves, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Return a narrow network on folded light curves, with a calibration that changes every probability."""
    classes = len(folded_model.classes)
    vector = Scaling("vector", np.array([0.5, 1.5, 2.0]), np.array([0.3, -0.2, 0.1]))
    model = Model(folded_model.config, folded_model.network, Calibration(vector, Scaling.from_temperature(2.0, classes)))
    few = prepare(stars[:3], model.preprocessing)
    return model.save(tmp_path_factory.mktemp("models") / "calibrated", "# tiny", few)


@pytest.fixture(scope="module")
def exported(calibrated_model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "stars.onnx"
    done = CliRunner().invoke(app, ["models", "export", str(calibrated_model.folder), "--out", str(path)])
    assert done.exit_code == 0, done.output
    assert [p.name for p in path.parent.iterdir()] == ["stars.onnx"]
    return path


@pytest.mark.parametrize("rows", [[0], [3, 1, 4], list(range(12))], ids=len)
def test_probabilities_are_the_same(
    rows: list[int], exported: Path, calibrated_model: Model, stars: LightCurves
) -> None:
    model, (opened, about) = calibrated_model, session(exported)
    prepared = prepare(stars, model.preprocessing)
    logits, embedding, *_ = model.run(prepared, np.array(rows))
    batch = prepared.batch(np.array(rows))
    found = opened.run(None, {name: x.numpy() for name, x in batch._asdict().items()})
    expected = model.calibration.one_pass.probabilities(logits)
    np.testing.assert_allclose(calibrated(found[0], about), expected, atol=1e-5)
    np.testing.assert_allclose(found[1], embedding, atol=1e-4)


def test_the_file_tells_all_that_is_needed(exported: Path, calibrated_model: Model) -> None:
    model, (opened, about) = calibrated_model, session(exported)
    assert tuple(about["classes"]) == model.classes
    assert np.shape(about["calibration"]["weight"]) == (len(model.classes),) * 2
    assert type(model.preprocessing).model_validate(about["preprocessing"]) == model.preprocessing
    assert (about["model"], about["hash"], about["unit"]) == ("tiny", model.hash, model.config.unit)
    assert [x.name for x in opened.get_inputs()] == ["values", "time", "mask", "context"]
    assert [x.name for x in opened.get_outputs()] == ["logits", "embedding"]


def astrafier(**changes: Any) -> Model:
    torch.manual_seed(0)
    sizes = {"classes": 3, "embed": 8, "heads": 2, "hidden": 16, "blocks": 1, "kernels": (3, 65)}
    network = Astrafier(AstrafierConfig(**sizes | changes)).eval()
    config = BundleConfig(name="tiny", classes=("A", "B", "C"), network={}, preprocessing=DenseConfig())
    return Model(config, network)


@pytest.mark.parametrize(
    "changes", [{}, {"compat": "published", "projection": "published"}], ids=["paper", "published"]
)
def test_any_length_and_batch(changes: dict[str, Any], tmp_path: Path) -> None:
    model = astrafier(**changes)
    (path,) = export(model, tmp_path)
    assert path == tmp_path / "tiny.onnx"
    opened, _ = session(path)
    for lengths in [[1], [7, 3], [40, 11, 40, 1], [LONG + 1, 100]]:  # with Fourier transforms and compiled attention
        mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        values, time = torch.randn(*mask.shape, 1), torch.rand(mask.shape).cumsum(1)
        with torch.inference_mode():
            expected = model.network(values, time, mask)
        found = opened.run(None, {"values": values.numpy(), "time": time.numpy(), "mask": mask.numpy()})
        np.testing.assert_allclose(softmax(found[0], axis=1), softmax(expected.logits.numpy(), axis=1), atol=1e-5)
        np.testing.assert_allclose(found[1], expected.embedding.numpy(), atol=1e-4)


# ---- several bands ------------------------------------------------------------------------------------------------


def one_by_one(paths: list[Path], steps: Steps) -> np.ndarray:
    """Return the probabilities (M, C) after every step, all objects' first steps first, band by band."""
    files = {about["band"]: (opened, about) for opened, about in map(session, paths)}
    shape = {x.name: x.shape[1:] for x in files[0][0].get_inputs()}
    bands = np.zeros((len(steps), len(files), *shape["band_cells"]), np.float32)
    central = np.zeros((len(steps), *shape["central_cells"]), np.float32)
    result = np.full((len(steps.window), len(files[0][1]["classes"])), np.nan)
    for k in range(steps.n_points.max()):
        for b, (opened, about) in files.items():
            alive = np.flatnonzero(steps.n_points > k)
            rows = alive[steps.band[steps.offsets[alive] + k] == b]
            if not len(rows):
                continue
            now = steps.offsets[rows] + k
            extras = np.concatenate([steps.colour[now], steps.wait[now, None], steps.context[rows]], 1)
            cells = {"band_cells": bands[rows, b], "central_cells": central[rows]}
            answer = opened.run(None, {"window": steps.window[now], "extras": extras, **cells})
            bands[rows, b], central[rows] = answer[:2]
            result[now] = calibrated(answer[2], about)
    return result


def test_every_step_of_the_shipped_transients_gives_the_same_probabilities(tmp_path: Path) -> None:
    model = load_model("ztf-bts")
    paths = export(model, tmp_path)
    assert [p.name for p in paths] == ["band-0-r.onnx", "band-1-g.onnx"]
    curves, _ = sky(40, seed=1, counts=(8, 60))
    steps = prepare(curves, model.preprocessing)
    assert isinstance(steps, Steps)
    assert steps.usable.all()
    np.testing.assert_allclose(one_by_one(paths, steps), step_probabilities(model, steps), atol=1e-5)


def multiband() -> Model:
    """Return an untrained model with all that a network may have, and bands of odd names."""
    torch.manual_seed(0)
    sizes = {"hidden": 8, "band_layers": 2, "head": (8,), "raw_input": True, "context": 1, "targets": 2}
    network = Multiband(MultibandNetworkConfig(bands=2, classes=3, **sizes)).eval()
    preprocessing = MultibandConfig(bands=("r/2", "R/2"), brightness="magnitude", columns=("size",))
    targets = [{"name": "period", "unit": "d"}, {"name": "radius"}]
    config = {"name": "tiny", "family": "multiband", "classes": ("A", "B", "C"), "network": {}, "targets": targets}
    return Model(BundleConfig(**config, preprocessing=preprocessing), network)


def test_targets_and_context_and_files_for_bands_of_any_name(tmp_path: Path) -> None:
    model, rng = multiband(), np.random.default_rng(0)
    network: Any = model.network
    paths = export(model, tmp_path)
    assert [p.name for p in paths] == ["band-0-r%2F2.onnx", "band-1-R%2F2.onnx"]
    opened, about = session(paths[1])
    assert (about["band"], [t["name"] for t in about["targets"]]) == (1, ["period", "radius"])
    for B in (1, 5):
        given = {x.name: rng.normal(size=(B, *x.shape[1:])).astype(np.float32) for x in opened.get_inputs()}
        given["extras"][0] = np.nan  # unknown
        window, extras, band, central = (torch.from_numpy(x) for x in given.values())
        with torch.inference_mode():
            band, central = network.step(1, window, band.unbind(1), central.unbind(1))
            answer = network.read_out(central[0].unbind(1), extras)
        expected = [torch.stack(band, 1), torch.stack(central, 1), *answer]
        for a, b in zip(opened.run(None, given), expected, strict=True):
            np.testing.assert_allclose(a, b.numpy(), atol=1e-5)


def test_several_bands_go_into_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Give a folder"):
        export(multiband(), tmp_path / "all.onnx")


def test_without_onnx_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(ImportError, match=r"goodricke\[onnx\]"):
        export(astrafier(), tmp_path)
