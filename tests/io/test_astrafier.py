"""The ASTRAFier authors' tensors of light curves and labels, from a folder and from a local hub."""

import json
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import goodricke as gr
from goodricke.data.hub import HubAddress, parse_address
from goodricke.io import recognise
from goodricke.io.options import Unreadable
from goodricke.models.published import load_published, published_classes
from goodricke.preprocess import prepare
from goodricke.preprocess.dense import DenseConfig, published
from tests.hub_server import CLASSES, COMMIT, hub_server, write_tensors

DATA = "datasets/paulg9/astrafier_dataset"


def test_tensors_become_light_curves_with_labels(tmp_path, caplog):
    tensors = write_tensors(tmp_path, "test", 16, 60)
    with caplog.at_level(logging.WARNING, "goodricke"):
        curves = gr.read(tmp_path / "test.safetensors")
    assert recognise(tmp_path / "test.safetensors").NAME == "astrafier"
    assert curves.ids == [f"test-{row}" for row in range(16)]
    assert curves.unit == "standardised"
    assert curves.objects["label"].to_pylist() == [CLASSES[k] for k in tensors["labels"].argmax(1)]
    assert set(curves.objects["part"].to_pylist()) == {"test"}
    for row, (a, b) in enumerate(zip(curves.offsets[:-1], curves.offsets[1:], strict=True)):
        np.testing.assert_array_equal(curves.value[a:b], tensors["flux"][row][tensors["mask"][row]])
        np.testing.assert_array_equal(curves.time[a:b], tensors["time"][row][tensors["mask"][row]])
    assert "no identifiers" in caplog.text


@pytest.mark.parametrize("config", [published(), DenseConfig()], ids=["published", "paper"])
def test_what_the_authors_prepared_is_not_prepared_again(tmp_path, config):
    tensors = write_tensors(tmp_path, "test", 8, 300)
    frames = prepare(gr.read(tmp_path / "test.safetensors"), config)
    assert set(frames.status) == {"OK"}
    np.testing.assert_array_equal(frames.values[:, 0], tensors["flux"][tensors["mask"]])
    np.testing.assert_array_equal(frames.time, tensors["time"][tensors["mask"]])


def test_the_published_network_gets_the_authors_tensors(tmp_path, shared: Path):
    tensors = write_tensors(tmp_path, "test", 4)
    network = load_published(shared / "fixtures" / "astrafier" / "one.ckpt")
    batch = prepare(gr.read(tmp_path / "test.safetensors"), published()).batch(np.arange(4))
    inputs = [torch.from_numpy(tensors[name]) for name in ("flux", "time", "mask")]
    with torch.inference_mode():
        here = network(batch.values, batch.time, batch.mask).logits
        there = network(inputs[0].unsqueeze(2), *inputs[1:]).logits
    torch.testing.assert_close(here, there, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "content",
    [
        {"label_map": {c: k for k, c in enumerate(CLASSES)}, "seq_len": 60},
        {c: k for k, c in enumerate(CLASSES)},
        {"label_map": {str(k): c for k, c in enumerate(CLASSES)}},
        list(CLASSES),
    ],
    ids=["label_map", "names", "numbers", "list"],
)
def test_the_map_of_labels_in_every_spelling(tmp_path, content):
    write_tensors(tmp_path, "test", 8, 60)
    (tmp_path / "test.json").write_text(json.dumps(content))
    assert gr.read(tmp_path / "test.safetensors").objects["label"].to_pylist() == list(published_classes())


def test_without_a_map_classes_are_numbers_and_unmarked_ones_null(tmp_path, caplog):
    tensors = write_tensors(tmp_path, "test", 8, 60)
    (tmp_path / "test.json").unlink()
    tensors["labels"][0] = 0
    save_file(tensors, tmp_path / "test.safetensors")
    with caplog.at_level(logging.WARNING, "goodricke"):
        labels = gr.read(tmp_path / "test.safetensors").objects["label"].to_pylist()
    assert labels == [None, *map(str, range(1, 8))]
    assert "no label_map beside it" in caplog.text
    assert "1 light curves have no class" in caplog.text


def test_other_tensors_and_damaged_ones_name_the_fix(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"head.weight": np.zeros((2, 2), np.float32)}, path)
    with pytest.raises(Unreadable, match=r"no light curves: there is no flux.*goodricke models import"):
        gr.read(path)
    tensors = write_tensors(tmp_path, "test", 8, 60)
    save_file(tensors | {"time": tensors["time"][:4]}, path)
    with pytest.raises(Unreadable, match="different shapes"):
        gr.read(path)
    whole = (tmp_path / "test.safetensors").read_bytes()
    (tmp_path / "test.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Unreadable, match="damaged"):
        gr.read(tmp_path / "test.safetensors")
    write_tensors(tmp_path, "test", 8, 60)
    (tmp_path / "test.json").write_text('{"label_map": {"ECLIPSE": 0}}')
    with pytest.raises(Unreadable, match="no name for"):
        gr.read(tmp_path / "test.safetensors")
    (tmp_path / "test.json").write_text("{")
    with pytest.raises(Unreadable, match="no map of labels"):
        gr.read(tmp_path / "test.safetensors")


class Malice:
    """A pickle that leaves a trace where it is opened."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


def test_no_pickle_of_tensors_is_opened(tmp_path):
    torch.save({"flux": Malice(tmp_path / "trace")}, tmp_path / "train.pt")
    with pytest.raises(Unreadable, match=r"pickle, which can run any code.*\.safetensors"):
        gr.read(tmp_path / "train.pt")
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(Malice(tmp_path / "trace")))
    with pytest.raises(Unreadable, match="pickle"):
        gr.read(tmp_path / "plain.pkl")
    assert not (tmp_path / "trace").exists()


def test_a_header_as_long_as_the_mark_of_a_pickle(tmp_path):
    """640 bytes, 0x80 0x02 in the file, are how a pickle of protocol 2 begins."""
    tensors = write_tensors(tmp_path, "test", 8, 60)
    path = tmp_path / "test.safetensors"
    for length in range(600):
        save_file(tensors, path, {"note": "x" * length})
        if path.read_bytes()[:2] == b"\x80\x02":
            break
    assert path.read_bytes()[:2] == b"\x80\x02"
    assert len(gr.read(path)) == 8


# ---- from a hub ----------------------------------------------------------------------------------------------------


def test_addresses():
    assert parse_address("hf://datasets/o/n/a/b.csv") == HubAddress("o/n", "a/b.csv", None, "dataset")
    assert parse_address("hf://o/n@v1/model.ckpt") == HubAddress("o/n", "model.ckpt", "v1")
    for text in ("hf://datasets/o/n/a/b.csv", "hf://o/n@v1/model.ckpt"):
        assert str(parse_address(text)) == text
    with pytest.raises(ValueError, match="OWNER/NAME/FILE"):
        parse_address("hf://datasets/o/n")


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub", reason="hubs need goodricke[hub]")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return tmp_path / "cache"


@pytest.mark.usefixtures("hub_cache")
def test_light_curves_from_a_hub_are_those_of_the_file_and_stay_without_network(tmp_path, monkeypatch):
    write_tensors(tmp_path, "test", 8, 600)
    files = {name: (tmp_path / name).read_bytes() for name in ("test.safetensors", "test.json")}
    address = f"hf://{DATA}/test.safetensors"
    with hub_server({DATA: files}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        first = gr.read(address)
        assert len(gr.read(f"hf://{DATA}@v1/test.safetensors")) == 8
        for wrong, message in {
            f"hf://{DATA}/other.safetensors": "no such file",
            f"hf://{DATA}@v9/test.safetensors": "not this revision",
            "hf://datasets/nobody/nothing/test.safetensors": "has no nobody/nothing",
        }.items():
            with pytest.raises(Unreadable, match=message):
                gr.read(wrong)
    assert f"/{DATA}/resolve/main/test.safetensors" in {path for _, path in server.requests}
    local = gr.read(tmp_path / "test.safetensors")
    np.testing.assert_array_equal(first.value, local.value)
    assert first.objects["label"].to_pylist() == local.objects["label"].to_pylist()
    assert COMMIT in first.objects["source"][0].as_py()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # the server is gone
    np.testing.assert_array_equal(gr.read(address).value, local.value)
    with pytest.raises(Unreadable, match=r"not in the hub's cache.*HF_HUB_OFFLINE=0 hf download"):
        gr.read(f"hf://{DATA}/train.safetensors")


@pytest.mark.usefixtures("hub_cache")
def test_a_file_without_one_beside_it(tmp_path, monkeypatch):
    write_tensors(tmp_path, "test", 8, 60)
    with hub_server({DATA: {"test.safetensors": (tmp_path / "test.safetensors").read_bytes()}}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        assert gr.read(f"hf://{DATA}/test.safetensors").objects["label"].to_pylist() == [str(k) for k in range(8)]
