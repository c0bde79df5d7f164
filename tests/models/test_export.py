"""Exported models give in onnxruntime what they give in PyTorch, for batches and lengths of any size."""

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
from goodricke.models import export as exporting
from goodricke.models.astrafier import Astrafier, AstrafierConfig
from goodricke.models.attention import LONG
from goodricke.models.bundle import BundleConfig, Model, load_model
from goodricke.models.export import export
from goodricke.models.multiband import Multiband, MultibandNetworkConfig
from goodricke.preprocess import DenseConfig, MultibandConfig, Steps, prepare
from tests.making import sky

pytest.importorskip("onnx", reason="export needs goodricke[onnx]")
onnxruntime = pytest.importorskip("onnxruntime", reason="exported models are run by onnxruntime")


def load(path: Path) -> tuple[Any, dict[str, Any]]:
    """Return a session that runs a file, and the file's metadata."""
    session = onnxruntime.InferenceSession(path)
    return session, {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}


def calibrated(logits: np.ndarray, metadata: dict[str, Any]) -> np.ndarray:
    """Return probabilities as the docstring of `goodricke.models.export` computes them."""
    log_p = logits - np.log(np.exp(logits.astype(np.float64)).sum(1, keepdims=True))
    return softmax(log_p @ np.array(metadata["calibration"]["weight"]).T + metadata["calibration"]["offset"], axis=1)


# ---- ASTRAFier ----------------------------------------------------------------------------------------------------


def test_probabilities_are_the_same(exported_stars: Path, calibrated_model: Model, stars: LightCurves) -> None:
    model, (session, metadata) = calibrated_model, load(exported_stars)
    prepared = prepare(stars, model.preprocessing)
    for rows in map(np.array, ([0], [3, 1, 4], range(12))):
        logits, embedding, *_ = model.run(prepared, rows)
        batch = {name: x.numpy() for name, x in prepared.batch(rows)._asdict().items()}
        exported = session.run(None, batch)
        expected = model.calibration.one_pass.probabilities(logits)
        np.testing.assert_allclose(calibrated(exported[0], metadata), expected, atol=1e-5)
        np.testing.assert_allclose(exported[1], embedding, atol=1e-4)


def test_the_metadata_is_complete(exported_stars: Path, calibrated_model: Model) -> None:
    model, (session, metadata) = calibrated_model, load(exported_stars)
    assert tuple(metadata["classes"]) == model.classes
    assert np.shape(metadata["calibration"]["weight"]) == (len(model.classes),) * 2
    assert type(model.preprocessing).model_validate(metadata["preprocessing"]) == model.preprocessing
    assert (metadata["model"], metadata["hash"], metadata["unit"]) == ("tiny", model.hash, model.config.unit)
    assert [x.name for x in session.get_inputs()] == ["values", "time", "mask", "context"]
    assert [x.name for x in session.get_outputs()] == ["logits", "embedding"]


def test_the_command_names_the_files(calibrated_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(module: Any, model: Model, path: Path) -> Path:
        assert model.hash == calibrated_model.hash
        return path

    monkeypatch.setattr("goodricke.models.export._write", write)
    for out, path in ((tmp_path, tmp_path / "tiny.onnx"), (tmp_path / "my.onnx", tmp_path / "my.onnx")):
        result = CliRunner().invoke(app, ["models", "export", str(calibrated_model.folder), "--out", str(out)])
        assert result.exit_code == 0, result.output
        assert f"written to {path}" in result.output.replace("\n", "")


def astrafier(**changes: Any) -> Model:
    torch.manual_seed(0)
    sizes = {"classes": 3, "embed": 8, "heads": 2, "hidden": 16, "blocks": 1, "kernels": (3, 65)}
    network = Astrafier(AstrafierConfig(**sizes | changes)).eval()
    config = BundleConfig(name="tiny", classes=("A", "B", "C"), network={}, preprocessing=DenseConfig())
    return Model(config, network)


def test_any_length_and_batch(exported_stars: Path, calibrated_model: Model, tmp_path: Path) -> None:
    published = astrafier(compat="published", projection="published", kernels=(3,))  # each operation takes long
    (path,) = export(published, tmp_path)
    assert path == tmp_path / "tiny.onnx"
    spectral = astrafier(context=45, spectrum=20, attention=False, bilstm=False, kernels=(3,))
    (spectral_path,) = export(spectral, tmp_path / "spectral.onnx")
    files = exported_stars, path, spectral_path
    for network, file in zip((calibrated_model.network, published.network, spectral.network), files, strict=True):
        session, _ = load(file)
        for lengths in [[1], [7, 3], [40, 11, 40, 1], [LONG + 1, 100]]:  # Fourier transforms and compiled attention
            inputs = random_inputs(lengths, network.config)
            with torch.inference_mode():
                expected = network(*inputs.values())
            exported = session.run(None, {name: x.numpy() for name, x in inputs.items()})
            np.testing.assert_allclose(
                softmax(exported[0], axis=1), softmax(expected.logits.numpy(), axis=1), atol=1e-5
            )
            np.testing.assert_allclose(exported[1], expected.embedding.numpy(), atol=1e-4)


def random_inputs(lengths: list[int], config: AstrafierConfig) -> dict[str, torch.Tensor]:
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    values, time = torch.randn(*mask.shape, config.channels), torch.rand(mask.shape).cumsum(1)
    context = {"context": torch.randn(len(lengths), config.context)} if config.context else {}
    return {"values": values, "time": time, "mask": mask} | context


# ---- class and period together --------------------------------------------------------------------------------------


def test_pairs_of_period_and_class_are_the_same(variables_model: Model, stars: LightCurves, tmp_path: Path) -> None:
    model = variables_model
    (path,) = export(model, tmp_path)
    session, metadata = load(path)
    assert [x.name for x in session.get_inputs()] == ["values", "context"]
    assert tuple(metadata["classes"]) == tuple(metadata["taxonomy"]["leaves"]) == model.classes
    prepared = prepare(stars, model.preprocessing)
    prepared.context[1, -model.preprocessing.candidate :] = np.nan  # a star with fewer candidates
    for rows in map(np.array, ([0], [3, 1, 4], range(12))):
        batch, expected = prepared.batch(rows), model.run(prepared, rows)
        logits, embedding, pairs = session.run(None, {"values": batch.values.numpy(), "context": batch.context.numpy()})
        probabilities = model.calibration.one_pass.probabilities(expected.logits)
        np.testing.assert_allclose(calibrated(logits, metadata), probabilities, atol=1e-5)
        np.testing.assert_allclose(embedding, expected.embedding, atol=1e-4)
        np.testing.assert_allclose(pairs, expected.pairs, atol=1e-4)


# ---- several bands ------------------------------------------------------------------------------------------------


def one_by_one(paths: list[Path], steps: Steps) -> np.ndarray:
    """Return the probabilities (M, C) after every step, all objects' first steps first, band by band."""
    files = {metadata["band"]: (session, metadata) for session, metadata in map(load, paths)}
    shape = {x.name: x.shape[1:] for x in files[0][0].get_inputs()}
    bands = np.zeros((len(steps), len(files), *shape["band_cells"]), np.float32)
    central = np.zeros((len(steps), *shape["central_cells"]), np.float32)
    result = np.full((len(steps.window), len(files[0][1]["classes"])), np.nan)
    for k in range(steps.n_points.max()):
        for b, (session, metadata) in files.items():
            alive = np.flatnonzero(steps.n_points > k)
            rows = alive[steps.band[steps.offsets[alive] + k] == b]
            if not len(rows):
                continue
            now = steps.offsets[rows] + k
            extras = np.concatenate([steps.colour[now], steps.wait[now, None], steps.context[rows]], 1)
            cells = {"band_cells": bands[rows, b], "central_cells": central[rows]}
            bands[rows, b], central[rows], logits, *_ = session.run(
                None, {"window": steps.window[now], "extras": extras, **cells}
            )
            result[now] = calibrated(logits, metadata)
    return result


def test_every_step_of_the_shipped_transients_gives_the_same_probabilities(exported_transients: list[Path]) -> None:
    model = load_model("ztf-bts")
    assert [p.name for p in exported_transients] == ["band-0-r.onnx", "band-1-g.onnx"]
    curves, _ = sky(40, seed=1, counts=(8, 60))
    steps = prepare(curves, model.preprocessing)
    assert isinstance(steps, Steps)
    assert steps.usable.all()
    np.testing.assert_allclose(one_by_one(exported_transients, steps), step_probabilities(model, steps), atol=1e-5)


def multiband() -> Model:
    """Return an untrained model with raw input, context and targets, and bands of odd names."""
    torch.manual_seed(0)
    sizes = {"hidden": 8, "band_layers": 2, "head": (8,), "raw_input": True, "context": 1, "targets": 2}
    network = Multiband(MultibandNetworkConfig(bands=2, classes=3, **sizes)).eval()
    preprocessing = MultibandConfig(bands=("r/2", "R/2"), brightness="magnitude", columns=("size",))
    targets = [{"name": "period", "unit": "d"}, {"name": "radius"}]
    config = {"name": "tiny", "family": "multiband", "classes": ("A", "B", "C"), "network": {}, "targets": targets}
    return Model(BundleConfig(**config, preprocessing=preprocessing), network)


def test_targets_and_context_and_files_for_bands_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, rng = multiband(), np.random.default_rng(0)
    network: Any = model.network
    write = exporting._write  # the first band's file takes ten seconds and isn't read here
    monkeypatch.setattr(exporting, "_write", lambda *given: given[2] if given[3] == 0 else write(*given))
    paths = export(model, tmp_path)
    assert [p.name for p in paths] == ["band-0-r%2F2.onnx", "band-1-R%2F2.onnx"]
    session, metadata = load(paths[1])
    assert (metadata["band"], [t["name"] for t in metadata["targets"]]) == (1, ["period", "radius"])
    for B in (1, 5):
        inputs = {x.name: rng.normal(size=(B, *x.shape[1:])).astype(np.float32) for x in session.get_inputs()}
        inputs["extras"][0] = np.nan  # unknown
        window, extras, band, central = (torch.from_numpy(x) for x in inputs.values())
        with torch.inference_mode():
            band, central = network.step(1, window, band.unbind(1), central.unbind(1))
            output = network.read_out(central[0].unbind(1), extras)
        cells = torch.stack(band, 1), torch.stack(central, 1)
        expected = (*cells, output.logits, output.embedding, output.targets)
        for a, b in zip(session.run(None, inputs), expected, strict=True):
            np.testing.assert_allclose(a, b.numpy(), atol=1e-5)


def test_several_bands_go_into_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give a folder"):
        export(multiband(), tmp_path / "all.onnx")


def test_without_onnx_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(ImportError, match=r"goodricke\[onnx\]"):
        export(astrafier(), tmp_path)
