"""Exported models give in onnxruntime what the package gives, for batches and lengths of any size."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from typer.testing import CliRunner

import goodricke as gr
from goodricke.cli import app
from goodricke.data.lightcurves import LightCurves
from goodricke.data.units import nanojansky
from goodricke.inference import compute_output, to_predictions
from goodricke.models.astrafier import LONG, Astrafier, AstrafierConfig
from goodricke.models.bundle import BundleConfig, Model, load_model
from goodricke.models.export import export
from goodricke.models.multiband import Multiband, MultibandNetworkConfig
from goodricke.preprocess import DenseConfig, MultibandConfig, prepare, restore
from goodricke.uncertainty.calibration import Calibration, Scaling
from goodricke.uncertainty.novelty import KINDS, Novelty, fit_detector
from goodricke.uncertainty.prediction_sets import Conformal, Coverage
from tests.making import sky

pytest.importorskip("onnx", reason="export needs goodricke[onnx]")
onnxruntime = pytest.importorskip("onnxruntime", reason="exported models are run by onnxruntime")
Run = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]


def load(path: Path) -> tuple[Run, dict[str, Any], Any]:
    """Return the function that runs a file, the file's metadata and its session."""
    session = onnxruntime.InferenceSession(path)
    names = [x.name for x in session.get_outputs()]
    about = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}
    return lambda inputs: dict(zip(names, session.run(None, inputs), strict=True)), about, session


def compare(out: dict[str, np.ndarray], about: dict[str, Any], expected: gr.Predictions) -> None:
    """Compare the output of a file with the package's predictions: every part of the answer."""
    table, ok = expected.table.to_pandas(), expected.ok
    np.testing.assert_allclose(out["probabilities"], expected.probabilities, atol=1e-5)
    names = np.array([*about["answers"], None], object)[out["answer"]]
    probability = table.get("class_probability", table["p_max"])
    np.testing.assert_allclose(out["answer_probability"], probability, atol=1e-5)
    assert names[ok].tolist() == table["class"][ok].tolist()
    for k, node in enumerate(about["nodes"]):
        if f"node_{node}" in table:
            np.testing.assert_allclose(out["nodes"][:, k], table[f"node_{node}"], atol=1e-5)
    if "prediction_set" in table:
        sets = [set(np.array(about["classes"])[row]) for row in out["prediction_set"]]
        assert sets == [set() if names is None else set(names) for names in table["prediction_set"]]
    if "novelty" in table:  # a score may be next to one of the reference
        np.testing.assert_allclose(out["novelty"], table["novelty"], atol=0.01)
        assert np.nanmean(np.abs(out["novelty"] - table["novelty"])) < 1e-3


# ---- ASTRAFier ----------------------------------------------------------------------------------------------------


def test_the_answer_is_the_same(exported_stars: Path, calibrated_model: Model, stars: LightCurves) -> None:
    run, about, _ = load(exported_stars)
    prepared = prepare(stars, calibrated_model.preprocessing)
    expected = gr.classify(stars, calibrated_model, passes=0)
    for rows in map(np.array, ([0], [3, 1, 4], range(12))):
        out = run({name: x.numpy() for name, x in prepared.batch(rows)._asdict().items()})
        compare(out, about, expected[rows])
        np.testing.assert_allclose(out["embedding"], np.stack(expected[rows]["embedding"]), atol=1e-4)


def test_the_metadata_is_complete(exported_stars: Path, calibrated_model: Model) -> None:
    model, (_, about, session) = calibrated_model, load(exported_stars)
    assert tuple(about["classes"]) == tuple(about["answers"]) == model.classes
    assert np.shape(about["calibration"]["weight"]) == (len(model.classes),) * 2
    assert type(model.preprocessing).model_validate(about["preprocessing"]) == model.preprocessing
    assert (about["model"], about["hash"], about["unit"]) == ("tiny", model.hash, model.config.unit)
    assert (about["photometry"], about["coverage"]) == (None, {"level": 0.9, "per_class": False})
    assert [x.name for x in session.get_inputs()] == ["values", "time", "mask", "context"]
    assert [x.name for x in session.get_outputs()][:3] == ["logits", "embedding", "probabilities"]


def test_the_command_names_the_file(calibrated_model: Model, tmp_path: Path) -> None:
    for out, path in ((tmp_path, tmp_path / "tiny.onnx"), (tmp_path / "my.onnx", tmp_path / "my.onnx")):
        result = CliRunner().invoke(app, ["models", "export", str(calibrated_model.folder), "--out", str(out)])
        assert result.exit_code == 0, result.output
        assert f"written to {path}" in result.output.replace("\n", "")
        assert load(path)[1]["hash"] == calibrated_model.hash


def astrafier(**changes: Any) -> Model:
    torch.manual_seed(0)
    sizes = {"classes": 3, "embed": 8, "heads": 2, "hidden": 16, "blocks": 2, "kernels": (3, 65)}
    network = Astrafier(AstrafierConfig(**sizes | changes)).eval()
    with torch.no_grad():
        for buffer in network.buffers():  # statistics other than 0 and 1
            buffer += torch.rand(buffer.shape) if buffer.is_floating_point() else 0
    config = BundleConfig(name="tiny", classes=("A", "B", "C"), network={}, preprocessing=DenseConfig())
    return Model(config, network)


KINDS_OF_ASTRAFIER = {
    "paper": {},
    "published": {"compat": "published", "projection": "published"},
    "fast, several channels": {"encoding": "fast", "channels": 3},
    "spectra": {"context": 45, "spectrum": 20, "attention": False, "bilstm": False},
    "attention alone": {"bilstm": False, "cnn": False, "context": 2},
}


@pytest.mark.parametrize("changes", KINDS_OF_ASTRAFIER.values(), ids=KINDS_OF_ASTRAFIER)
def test_any_length_and_batch(changes: dict[str, Any], tmp_path: Path) -> None:
    model = astrafier(**changes)
    network: Any = model.network
    run, *_ = load(export(model, tmp_path))
    for lengths in [[1], [7, 3], [40, 11, 40, 1, 0], [LONG + 1, 100]]:  # Fourier transforms and compiled attention
        inputs = random_inputs(lengths, network.config)
        with torch.inference_mode():
            expected = network(*inputs.values())
        out = run({name: x.numpy() for name, x in inputs.items()})
        np.testing.assert_allclose(out["probabilities"], softmax(expected.logits.numpy(), axis=1), atol=1e-5)
        np.testing.assert_allclose(out["embedding"], expected.embedding.numpy(), atol=1e-4)


def random_inputs(lengths: list[int], config: AstrafierConfig) -> dict[str, torch.Tensor]:
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    values, time = torch.randn(*mask.shape, config.channels), torch.rand(mask.shape).cumsum(1)
    context = {"context": torch.randn(len(lengths), config.context)} if config.context else {}
    if context:
        context["context"][0, 0] = np.nan  # unknown
    return {"values": values, "time": time, "mask": mask} | context


# ---- class and period together --------------------------------------------------------------------------------------


def test_pairs_of_period_and_class_are_the_same(variables_model: Model, stars: LightCurves, tmp_path: Path) -> None:
    model = variables_model
    run, about, session = load(export(model, tmp_path))
    assert [x.name for x in session.get_inputs()] == ["values", "context"]
    assert tuple(about["classes"]) == tuple(about["taxonomy"]["leaves"]) == model.classes
    prepared = prepare(stars, model.preprocessing)
    prepared.context[1, -model.preprocessing.candidate :] = np.nan  # a star with fewer candidates
    for rows in map(np.array, ([0], [3, 1, 4], range(12))):
        batch, expected = prepared.batch(rows), model.run(prepared, rows)
        out = run({"values": batch.values.numpy(), "context": batch.context.numpy()})
        probabilities = model.calibration.one_pass.probabilities(expected.logits)
        np.testing.assert_allclose(out["probabilities"], probabilities, atol=1e-5)
        np.testing.assert_allclose(out["embedding"], expected.embedding, atol=1e-4)
        np.testing.assert_allclose(out["pairs"], expected.pairs, atol=1e-4)


@pytest.mark.parametrize("name", ["variables", "tess-sim"])
def test_shipped_models_answer_the_same(name: str, tmp_path: Path) -> None:
    model = load_model(name)
    path = export(model, tmp_path)
    assert path.stat().st_size < 5e6
    run, about, session = load(path)
    assert model.folder is not None
    with np.load(model.folder / "golden.npz") as recorded:
        prepared = restore(recorded, model.preprocessing)
    n = len(prepared)
    expected = to_predictions(model, prepared, compute_output(model, prepared, passes=0), np.array(["OK"] * n))
    batch = {k: x.numpy() for k, x in prepared.batch(np.arange(n))._asdict().items() if x is not None}
    batch.setdefault("mask", np.ones(batch["values"].shape[:2], bool))
    compare(run({x.name: batch[x.name] for x in session.get_inputs()}), about, expected)


# ---- the answer ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("coverage", [Coverage(0.8), Coverage(0.6, per_class=True)])
def test_sets_and_novelty_of_every_kind_and_length(kind: Any, coverage: Coverage, tmp_path: Path) -> None:
    model, rng, edges = astrafier(context=2, kernels=(3,), blocks=1), np.random.default_rng(0), np.array([0, 20, 60])
    network: Any = model.network
    inputs = random_inputs(rng.integers(1, 90, 300).tolist(), network.config)
    inputs["context"].nan_to_num_(0)
    inputs["context"] *= 20  # the logits differ
    with torch.inference_mode():
        out = network(*inputs.values()).numpy()
    n, label = inputs["mask"].sum(1).numpy(), out.logits.argmax(1) * (rng.random(300) < 0.7)
    scaling = Scaling("dirichlet", np.eye(3) + rng.normal(0, 0.1, (3, 3)), rng.normal(0, 0.1, 3))
    detector, half = fit_detector(kind, out.features, out.logits, label), slice(0, 150)
    score = detector.score(out.features[half], out.logits[half]).astype(np.float32)
    p = scaling.probabilities(out.logits)
    sets = Conformal.fit(p[half], label[half], n[half], edges)
    novelty = Novelty(detector, score, sets.stratum, sets.edges)
    model.calibration = Calibration(scaling, scaling, {"one_pass": sets}, {"one_pass": novelty})
    run, about, _ = load(export(model, tmp_path, coverage))
    assert about["coverage"] == coverage._asdict()
    result = run({name: x.numpy() for name, x in inputs.items()} | {"n_points": n})
    np.testing.assert_allclose(result["probabilities"], p, atol=1e-5)
    clear = np.abs(np.sort(p, 1)[:, -1:] - np.array([0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98])).min(1) > 1e-4
    expected = sets.sets(p, n, coverage)
    assert len(np.unique(expected.sum(1))) > 1
    new = clear & (np.arange(300) >= 150)  # those of the reference are as probable as their thresholds
    np.testing.assert_array_equal(result["prediction_set"][new], expected[new])
    np.testing.assert_allclose(result["novelty"][150:], novelty.rank(out.features, out.logits, n)[150:], atol=0.03)


# ---- several bands ------------------------------------------------------------------------------------------------


def padded(curves: LightCurves, bands: tuple[str, ...], brightness: str = "flux") -> dict[str, np.ndarray]:
    """Return sorted light curves in magnitudes as the inputs of a file of a multi-band model."""
    curves = curves.sorted()
    value, error = curves.value, curves.error
    if brightness == "flux" and curves.in_magnitudes:
        value, error = nanojansky(value, error)
    band = np.array([bands.index(name) if name in bands else -1 for name in curves.bands])[curves.band]
    rows, T = list(zip(curves.offsets[:-1], curves.offsets[1:], strict=True)), int(curves.n_obs.max())

    def pad(x: np.ndarray, fill: float, dtype: Any) -> np.ndarray:
        return np.stack([np.pad(x[a:b], (0, T - b + a), constant_values=fill) for a, b in rows]).astype(dtype)

    columns = {"time": (curves.time, 0, np.float64), brightness: (value, 0, np.float32)}
    columns |= {"error": (error, 1, np.float32), "band": (band, -1, np.int64)}
    return {name: pad(*column) for name, column in columns.items()}


def empty_state(session: Any, B: int) -> dict[str, np.ndarray]:
    """Return the state of objects before their first observation."""
    names = ("last", "bands", "band_cells", "central_cells")
    kinds = {"tensor(double)": np.float64, "tensor(float)": np.float32}
    inputs = (x for x in session.get_inputs() if x.name in names)
    return {x.name: np.zeros((B, *x.shape[1:]), kinds[x.type]) for x in inputs}


def test_the_shipped_transients_answer_the_same(exported_transients: Path) -> None:
    assert exported_transients.stat().st_size < 5e6
    run, about, session = load(exported_transients)
    model = load_model("ztf-bts")
    assert (about["photometry"]["flux"], about["bands"]) == ("difference", list(model.config.bands))
    curves, _ = sky(40, seed=1, counts=(1, 60))  # some with too few observations
    inputs, state = padded(curves, model.preprocessing.bands), empty_state(session, 40)
    _, expected = model.update(model.init_state(40), curves)
    assert 0 < expected.ok.sum() < 40
    compare(run(inputs | state), about, expected)


def test_one_observation_at_a_time_is_the_whole_light_curve(exported_transients: Path) -> None:
    run, _, session = load(exported_transients)
    curves, _ = sky(20, seed=2, counts=(3, 30))
    inputs, state = padded(curves, ("r", "g")), empty_state(session, 20)
    whole = run(inputs | state)
    for k in range(inputs["time"].shape[1]):
        one = {name: x[:, k : k + 1] for name, x in inputs.items()}
        out = run(one | state)
        state = {name: out[f"{name}_after"] for name in state}
        again = run(one | state)  # the same observation again changes nothing
        np.testing.assert_array_equal(again["n_obs"], out["n_obs"])
        late = run({**one, "time": one["time"] - 100} | state)
        np.testing.assert_array_equal(late["probabilities"], out["probabilities"])
    for name, x in whole.items():
        np.testing.assert_allclose(out[name], x, atol=1e-5)


def test_the_company_changes_nothing(exported_transients: Path) -> None:
    run, _, session = load(exported_transients)
    curves, _ = sky(12, seed=3, counts=(6, 30))
    together = run(padded(curves, ("r", "g")) | empty_state(session, 12))
    for k in range(12):
        alone = run(padded(curves[k], ("r", "g")) | empty_state(session, 1))
        np.testing.assert_allclose(alone["probabilities"][0], together["probabilities"][k], atol=1e-5)


def multiband(brightness: str) -> Model:
    """Return an untrained model with raw input, context and targets, and bands of odd names."""
    torch.manual_seed(0)
    sizes = {"hidden": 8, "band_layers": 2, "head": (8,), "raw_input": True, "context": 1, "targets": 2}
    network = Multiband(MultibandNetworkConfig(bands=3, classes=3, **sizes)).eval()
    scale = {"softening": 0.5, "unit": "nJy"} if brightness == "asinh" else {}
    preprocessing = MultibandConfig(bands=("r/2", "R/2", "i"), brightness=brightness, columns=("size",), **scale)
    targets = [{"name": "period", "unit": "d", "log": True}, {"name": "radius"}]
    config = {"name": "tiny", "family": "multiband", "classes": ("A", "B", "C"), "network": {}, "targets": targets}
    return Model(BundleConfig(**config, preprocessing=preprocessing), network)


@pytest.mark.parametrize("brightness", ["magnitude", "asinh"])
def test_targets_and_context_and_observations_that_are_left_out(brightness: str, tmp_path: Path) -> None:
    import pyarrow as pa

    model, rng = multiband(brightness), np.random.default_rng(0)
    run, about, session = load(export(model, tmp_path))
    assert ([t["name"] for t in about["targets"]], about["photometry"]) == (["period", "radius"], None)
    curves, _ = sky(9, seed=4, bands=("r/2", "R/2", "i", "u"), counts=(9, 40))
    size = np.where(rng.random(9) < 0.5, np.nan, 1.0)
    value = np.where(rng.random(len(curves.time)) < 0.1, np.nan, curves.value)
    if brightness == "asinh":
        value = value - 15  # fluxes of either sign
    unit = "mag" if brightness == "magnitude" else "nJy"
    curves = LightCurves.from_arrays(
        curves.ids, curves.offsets, curves.time, value, curves.error, curves.band, bands=curves.bands, unit=unit,
        objects=pa.table({"size": size}),
    )  # fmt: skip
    name = "magnitude" if brightness == "magnitude" else "flux"
    inputs = padded(curves, model.preprocessing.bands, name) | {"context": size[:, None].astype(np.float32)}
    out = run(inputs | empty_state(session, 9))
    _, expected = model.update(model.init_state(9), curves)
    compare(out, about, expected)
    np.testing.assert_allclose(10 ** out["targets"][:, 0], expected["pred_period"], rtol=1e-4)
    np.testing.assert_allclose(out["targets"][:, 1], expected["pred_radius"], atol=1e-5)
    np.testing.assert_array_equal(out["n_obs"], expected["n_obs"])


def test_an_encoder_is_refused(tmp_path: Path) -> None:
    model = astrafier()
    with pytest.raises(ValueError, match="encoder without classes"):
        export(Model(model.config.model_copy(update={"classes": ()}), model.network), tmp_path)


def test_without_onnx_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ImportError, match=r"goodricke\[onnx\]"):
        export(astrafier(), tmp_path)
