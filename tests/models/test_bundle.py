"""A model's folder: what is saved is what is loaded, and what is damaged is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from goodricke import classify, load_model, read
from goodricke.data.examples import example_files
from goodricke.models import bundle
from goodricke.models.astrafier import Astrafier, AstrafierConfig
from goodricke.models.bundle import BundleConfig, Model, read_config, resolve_device, resolve_precision, verify_model
from goodricke.preprocess import DenseConfig, FoldedConfig
from goodricke.preprocess.tensors import Frames
from goodricke.uncertainty.calibration import Calibration, Scaling

SIZES = {"classes": 3, "embed": 8, "heads": 2, "hidden": 16, "blocks": 1, "kernels": (3, 7)}


def make(preprocessing=None, temperature=1.7, name="tiny", **sizes) -> Model:
    preprocessing = preprocessing or DenseConfig()
    config = AstrafierConfig(**SIZES, channels=preprocessing.channels, context=preprocessing.context, **sizes)
    torch.manual_seed(0)
    network = Astrafier(config).eval()
    if config.context:
        network.context_mean.copy_(torch.linspace(-1234.567, 0.1234567, config.context))
        network.context_std.fill_(0.00123456)
    about = BundleConfig(
        name=name, classes=("A", "B", "C"), network=config.model_dump(mode="json"), preprocessing=preprocessing
    )
    return Model(about, network, replace(Calibration.identity(3), one_pass=Scaling.from_temperature(temperature, 3)))


def inputs(model: Model, counts=(20, 1, 7), frames=None) -> Frames:
    rng = np.random.default_rng(0)
    N, n = sum(counts), len(counts)
    return Frames(
        object_id=pa.array([f"o{k}" for k in range(n)]),
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        time=rng.uniform(0, 9, N).astype(np.float32),
        values=rng.normal(size=(N, model.preprocessing.channels)).astype(np.float32),
        context=rng.normal(size=(n, model.preprocessing.context)).astype(np.float32),
        status=np.full(n, "OK"),
        frames=frames,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = make()
    model.save(tmp_path / "m", "# Tiny", inputs(model))
    return tmp_path / "m"


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("preprocessing", [DenseConfig(), FoldedConfig()], ids=["dense", "folded"])
def test_what_is_loaded_answers_as_what_was_saved(tmp_path, half, preprocessing):
    model = make(preprocessing)
    if preprocessing.context:  # a context that, standardised, is of order one
        prepared = inputs(model)
        mean, std = (model.network.state_dict()[k].numpy() for k in ("context_mean", "context_std"))
        prepared.context[:] = mean + std * prepared.context
    prepared = inputs(model) if not preprocessing.context else prepared
    saved = model.save(tmp_path, "card", half=half)
    loaded = load_model(tmp_path)
    rows = np.arange(len(prepared))
    expected, result, again = (m.run(prepared, rows)[:2] for m in (model, loaded, saved))
    for a, b, c in zip(expected, result, again, strict=True):
        np.testing.assert_allclose(b, a, atol=2e-3) if half else np.testing.assert_array_equal(b, a)
        np.testing.assert_array_equal(b, c)
    assert np.abs(expected[0]).max() > 0.01
    assert loaded.calibration.one_pass.temperature == pytest.approx(1.7)
    assert (loaded.name, loaded.classes, loaded.preprocessing) == (model.name, model.classes, preprocessing)
    assert loaded.hash == saved.hash
    assert not loaded.network.training
    assert (tmp_path / "README.md").read_text() == "card"
    size = (tmp_path / "model.safetensors").stat().st_size
    assert size < (3 if half else 6) * model.network.n_parameters


def test_weights_are_computed_in_32_bits_however_stored(folder):
    assert {p.dtype for p in load_model(folder).network.parameters()} == {torch.float32}


def test_a_sound_bundle_is_verified(folder):
    model = load_model(folder, verify=True)
    assert verify_model(model) < 1e-5


@pytest.mark.parametrize("frames", [None, 40])
def test_a_bundle_with_frames_is_verified_with_its_padding(tmp_path, frames):
    model = make(DenseConfig(frames=frames), compat="published")
    model.save(tmp_path, "card", inputs(model, frames=frames))
    assert verify_model(load_model(tmp_path)) < 1e-5


def test_verification_fails_when_a_weight_is_changed(folder):
    model = load_model(folder)
    with torch.no_grad():
        model.network.head[7].bias[1] += 0.001
    with pytest.raises(ValueError, match=r"recorded logits differ by 0\.001"):
        verify_model(model)
    with torch.no_grad():
        model.network.head[7].bias[1] = torch.nan
    with pytest.raises(ValueError, match="recorded logits differ by nan"):
        verify_model(model)


def test_verification_without_recordings_is_an_error(tmp_path):
    make().save(tmp_path, "card")
    with pytest.raises(ValueError, match=r"no golden\.npz"):
        load_model(tmp_path, verify=True)


def test_saving_over_an_older_bundle_leaves_none_of_its_recordings(folder):
    make(temperature=2).save(folder, "card")
    assert not (folder / "golden.npz").exists()


def test_others_may_read_a_model_as_any_file_of_mine(tmp_path, folded_model):
    folded_model.save(tmp_path / "m", "card")
    (tmp_path / "any").touch()
    typical = (tmp_path / "any").stat().st_mode
    written = {path.name: path.stat().st_mode for path in (tmp_path / "m").iterdir()}
    assert {"model.safetensors", "calibration.json"} <= written.keys()
    assert set(written.values()) == {typical}


def test_the_hash_is_that_of_the_content(folder, tmp_path):
    first = load_model(folder).hash
    assert len(first) == 12
    model = make()
    assert model.save(tmp_path / "same", "another card").hash == first
    calls = {first}
    for k, change in enumerate(({"temperature": 1.8}, {"name": "other"}, {"encoding": "fast"})):
        calls.add(make(**change).save(tmp_path / str(k), "card").hash)
    with torch.no_grad():
        model.network.head[0].weight[0, 0] += 0.1
    calls.add(model.save(tmp_path / "weights", "card").hash)
    assert len(calls) == 5


def change_config(folder: Path, **changes) -> None:
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | changes))


def test_a_newer_format_is_refused_with_the_fix(folder):
    change_config(folder, format=bundle.FORMAT + 1)
    with pytest.raises(ValueError, match=r"format 2 is newer than this goodricke \(1\). Fix: upgrade"):
        load_model(folder)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


DAMAGE = {
    "cut weights": lambda f: cut(f / "model.safetensors"),
    "no weights": lambda f: (f / "model.safetensors").unlink(),
    "noise": lambda f: (f / "model.safetensors").write_bytes(b"\xff" * 500),
    "other sizes": lambda f: change_config(f, network=SIZES | {"embed": 16}),
    "other classes": lambda f: change_config(f, network=SIZES | {"classes": 5}),
    "bad sizes": lambda f: change_config(f, network=SIZES | {"heads": 3}),
    "unknown key": lambda f: change_config(f, surprise=1),
    "unknown family": lambda f: change_config(f, family="oracle"),
    "half a config": lambda f: (f / "config.json").write_text('{"name": '),
    "empty calibration": lambda f: (f / "calibration.json").write_text("{}"),
    "no calibration": lambda f: (f / "calibration.json").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_bundle_is_refused_with_its_folder_named(folder, damage):
    DAMAGE[damage](folder)
    with pytest.raises(ValueError, match=str(folder)):
        load_model(folder)


def test_a_slip_in_a_configuration_is_told_in_a_line(folder):
    change_config(folder, clases=["A"])
    with pytest.raises(ValueError, match="clases: no such key here; did you mean classes") as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


def test_an_unknown_model_lists_the_shipped_ones(tmp_path, monkeypatch):
    for place in ("bundle", "hub"):
        monkeypatch.setattr(f"goodricke.models.{place}.SHIPPED", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no model 'nix': neither a folder .* \(none\)"):
        load_model("nix")
    make().save(tmp_path / "tiny", "card")
    with pytest.raises(FileNotFoundError, match=r"shipped model \(tiny\)"):
        load_model("nix")
    with pytest.raises(FileNotFoundError, match="shipped model"):
        load_model(tmp_path / "nothing here")
    for slip in ("tinny", "TINY"):
        with pytest.raises(FileNotFoundError, match=r"did you mean tiny\?"):
            load_model(slip)
    assert load_model("tiny").name == "tiny"
    assert bundle.shipped_models() == ["tiny"]
    assert read_config("tiny").classes == ("A", "B", "C")


def test_a_gpu_that_is_not_there_is_an_error_and_not_a_slow_run(folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for device in ("cuda", "cuda:1"):
        with pytest.raises(RuntimeError, match=f"--device {device}: .*no usable GPU"):
            load_model(folder, device)
    for device in ("gpu", "mps", "cpu:x"):
        with pytest.raises(RuntimeError, match=f"--device {device}: there is none here. Fix: use cpu"):
            resolve_device(device)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert resolve_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(RuntimeError, match="--device cuda:1: there is none here"):
        resolve_device("cuda:1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto").type == "cpu"
    assert load_model(folder, "auto").device.type == "cpu"


def test_nothing_in_the_folder_is_a_pickle(folder):
    assert sorted(p.name for p in folder.iterdir()) == [
        "README.md",
        "calibration.json",
        "config.json",
        "golden.npz",
        "model.safetensors",
    ]
    for path in folder.iterdir():
        content = path.read_bytes()
        assert b"pickle" not in content, path.name
        assert not content.startswith(b"\x80"), path.name
        assert content[:2] != b"PK" or path.suffix == ".npz", path.name  # torch.save makes zip files
    with np.load(folder / "golden.npz", allow_pickle=False) as selected:
        assert {"object_id", "offsets", "time", "values", "context", "logits", "embedding"} <= set(selected)
        assert all(selected[name].dtype != object for name in selected)


@pytest.mark.parametrize("amx", [True, False])
def test_auto_is_float32_on_every_cpu(folder, monkeypatch, amx):
    """In bfloat16 an object's answer depends on its company: nobody gets that on a CPU without asking by name."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": amx})
    assert resolve_precision("auto", torch.device("cpu")) == "float32"
    assert load_model(folder, precision="auto").precision == "float32"
    assert not load_model(folder).autocast()._enabled
    assert not make().autocast()._enabled


def test_bfloat16_is_on_where_it_is_asked_for(folder):
    model = load_model(folder, precision="bfloat16")
    assert model.precision == "bfloat16"
    assert model.autocast()._enabled


@pytest.mark.parametrize("supported", [True, False])
def test_auto_is_bfloat16_on_a_gpu_that_multiplies_in_it(monkeypatch, supported):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    assert resolve_precision("auto", torch.device("cuda")) == ("bfloat16" if supported else "float32")


def test_half_precision_moves_trained_probabilities_little():
    """The shipped model of variable stars on four stars; the classes stay."""
    curves = read(example_files()[:4], errors="raise")
    exact, half = (classify(curves, load_model("variables", precision=p), passes=8) for p in ("float32", "bfloat16"))
    a, b = exact.probabilities, half.probabilities
    assert np.abs(a - b).max() < 0.02
    assert np.abs(a - b).mean() < 2e-3
    assert np.abs(a - b).max() > 0  # it was on
    assert (a.argmax(1) == b.argmax(1)).all()


def test_a_strange_precision_is_named(folder):
    with pytest.raises(ValueError, match="no precision int8; there are auto, float32, bfloat16"):
        load_model(folder, precision="int8")


def test_verification_is_in_32_bits(folder):
    assert load_model(folder, verify=True, precision="bfloat16").precision == "bfloat16"
