"""Promise 4: the published checkpoint format loads and reproduces the published code's recorded numbers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from safetensors.torch import save_file
from torch import Tensor, nn

from goodricke.models import published
from goodricke.models.astrafier import Astrafier, AstrafierConfig, positional_encoding
from goodricke.models.dropout import Dropout
from goodricke.models.published import (
    CheckpointError,
    load_published,
    published_classes,
    published_probabilities,
    rename,
)

ATOL = 5e-5
CURVES = [
    "one_T300_masked",
    "one_T257_nomask",
    "one_T300_empty",
    "one_T1171_masked",
    "tiny8_T150_nomask",
    "tiny8_T300_masked",
    "tiny16_T150_nomask",
    "tiny16_T300_masked",
]
STAGED = [name for name in CURVES if name == "one_T300_masked" or name.startswith("tiny")]
# Which of a block's modules each recorded stage comes out of; the positional encoding is a function.
STAGES = {
    "lstm_raw": "recurrent.lstm",
    "cnn_projection": "recurrent",
    "after_lstm_addnorm": "norm1",
    "attention": "transformer.attention",
    "after_attention_addnorm": "transformer.norm1",
    "conv_ffn": "transformer.pointwise2",
    "transformer_out": "transformer",
    "cnn_module": "convolution",
    "out": "",
}
TRANSFORMER = {"attention", "after_attention_addnorm", "conv_ffn", "transformer_out"}
Arrays = dict[str, Tensor]


@pytest.fixture(scope="module")
def load(recordings: Path) -> Callable[[str], tuple[Astrafier, Arrays]]:
    """Return a reader of a recording's network and arrays."""

    def read(name: str) -> tuple[Astrafier, Arrays]:
        with np.load(recordings / f"{name}.npz") as file:
            arrays = {key: torch.from_numpy(file[key]) for key in file}
        arrays.setdefault("mask", torch.ones(arrays["flux"].shape, dtype=torch.bool))
        return load_published(recordings / f"{name.split('_')[0]}.ckpt", require_head=name.startswith("one")), arrays

    return read


def record(model: Astrafier, arrays: Arrays) -> Arrays:
    """Run the network and return what the recordings hold, by their names."""
    result: Arrays = {}

    def keep(key: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda module, inputs, output: result.__setitem__(key, output)

    hooks = [model.embed.register_forward_hook(keep("embed"))]
    for b, block in enumerate(model.blocks):
        for stage, module in STAGES.items():
            hooks.append(block.get_submodule(module).register_forward_hook(keep(f"block{b}.{stage}")))
        result[f"block{b}.pos_enc"] = positional_encoding(arrays["time"], arrays["mask"], model.config)
    with torch.no_grad():
        output = model(arrays["flux"].unsqueeze(2), arrays["time"], arrays["mask"])
    for hook in hooks:
        hook.remove()
    result |= {"pooled": output.embedding, "logits": output.logits, "probabilities": output.logits.softmax(1)}
    return result


class TestRecordings:
    @pytest.mark.parametrize("name", CURVES)
    def test_every_output_from_end_to_end(self, load: Callable[[str], tuple[Astrafier, Arrays]], name: str) -> None:
        model, arrays = load(name)
        result, inputs = record(model, arrays), {"flux", "time", "mask"}
        assert set(arrays) - inputs <= set(result)
        for key in set(arrays) - inputs:
            # A stage inside a block, up to 25 in size, carries the rounding of those before it; the norms take it away.
            inside = key.startswith("block") and not key.endswith(".out")
            scale = arrays[key].abs().max().item() if inside else 0
            torch.testing.assert_close(result[key], arrays[key], atol=ATOL + 1e-5 * scale, rtol=0, msg=message(key))

    @pytest.mark.parametrize("name", STAGED)
    def test_every_stage_from_the_recorded_one_before(
        self, load: Callable[[str], tuple[Astrafier, Arrays]], name: str
    ) -> None:
        model, arrays = load(name)
        for b in range(len(model.blocks)):
            result = record(starting_from_recorded(model, arrays, b), arrays)
            for stage in STAGES:
                key = f"block{b}.{stage}"
                torch.testing.assert_close(result[key], arrays[key], atol=ATOL, rtol=0, msg=message(key))

    def test_the_published_answer_depends_on_the_padding(self, load: Callable[[str], tuple[Astrafier, Arrays]]) -> None:
        (model, short), (_, long) = load("one_T300_masked"), load("one_T1171_masked")
        assert torch.equal(short["flux"][:2], long["flux"][:, :300])
        difference = (record(model, short)["logits"][:2] - record(model, long)["logits"]).abs()
        assert difference.max() > 0.1

    @pytest.mark.parametrize("name", ["tiny8", "tiny16"])
    def test_a_training_step(self, load: Callable[[str], tuple[Astrafier, Arrays]], name: str) -> None:
        model, arrays = load(f"{name}_trainstep")
        model.train()
        for module in model.modules():
            if isinstance(module, Dropout):
                module.rate = 0
        pooled = model(arrays["flux"].unsqueeze(2), arrays["time"], arrays["mask"]).embedding
        loss = F.cross_entropy(pooled @ arrays["W"], arrays["labels"], arrays["class_weights"])
        loss.backward()
        torch.testing.assert_close(pooled, arrays["pooled"], atol=ATOL, rtol=0)
        torch.testing.assert_close(loss, arrays["loss"], atol=ATOL, rtol=0)
        assert_step(model, arrays)

    def test_positional_encoding(self, recordings: Path) -> None:
        with np.load(recordings / "positional_encoding.npz") as file:
            for T in (37, 300, 1171):
                time = torch.from_numpy(file[f"t_{T}"])
                config = AstrafierConfig(compat="published")
                result = positional_encoding(time, torch.ones_like(time, dtype=torch.bool), config)
                np.testing.assert_allclose(result, file[f"pe_{T}"], atol=ATOL, rtol=0)

    def test_probabilities(self, recordings: Path) -> None:
        with np.load(recordings / "mc_dirichlet.npz") as file:
            result = published_probabilities(torch.from_numpy(file["samples"]))
            np.testing.assert_allclose(result, file["p_dirichlet"], atol=1e-6, rtol=0)

    def test_the_full_checkpoint(self, recordings: Path, tmp_path: Path) -> None:
        manifest = json.loads((recordings / "state_dict_manifest.json").read_text())
        generator = torch.Generator().manual_seed(0)
        state = {row["key"]: torch.rand(row["shape"], generator=generator) for row in manifest["state_dict"]}
        assert len(state) == 194
        torch.save({"state_dict": state, "hyper_parameters": manifest["hyper_parameters_saved"]}, tmp_path / "x.ckpt")
        model = load_published(tmp_path / "x.ckpt")
        assert model.n_parameters == manifest["n_trainable_parameters"] == 8_755_240
        assert model.config == AstrafierConfig(compat="published", projection="published", encoding="fast")
        assert_same_numbers(model.state_dict(), state)


def message(key: str) -> Callable[[str], str]:
    """Name the stage in an assertion's message."""
    return lambda text: f"{key}: {text}"


def starting_from_recorded(model: Astrafier, arrays: Arrays, b: int) -> Astrafier:
    """Make each part of block ``b`` start from the recorded input instead of the network's own."""
    block = model.blocks[b]
    before = arrays[f"block{b - 1}.out" if b else "embed"]
    starts = {
        block: before,
        block.transformer: arrays[f"block{b}.after_lstm_addnorm"],
        block.convolution: arrays[f"block{b}.transformer_out"],
    }
    for module, start in starts.items():
        module.register_forward_pre_hook(lambda module, inputs, start=start: (start, *inputs[1:]))
    return model


def assert_step(model: Astrafier, arrays: Arrays) -> None:
    """Hold gradients and buffers after a step against the recorded ones."""
    kinds = ("grad.", "buffer_after.")
    recorded = {key.split(".", 1)[1]: value for key, value in arrays.items() if key.startswith(kinds)}
    expected = rename({f"model.classifier.{key}": value for key, value in recorded.items()}, require_head=False)
    result = {key: parameter.grad for key, parameter in model.named_parameters()} | dict(model.named_buffers())
    assert set(expected) == {key for key in result if not key.startswith("head.")}
    for key, value in expected.items():
        torch.testing.assert_close(result[key], value, atol=ATOL, rtol=1e-4, msg=message(key))


def assert_same_numbers(actual: Arrays, reference: Arrays) -> None:
    """Check that two state dicts hold the same numbers, tensor for tensor, under whatever names."""
    reference = {key: value for key, value in reference.items() if key != "loss_fn.weight"}
    counts = "num_batches_tracked"
    fingerprints = [
        sorted(float(value.double().sum()) for key, value in state.items() if not key.endswith(counts))
        for state in (actual, reference)
    ]
    assert fingerprints[0] == pytest.approx(fingerprints[1], rel=1e-12)


SMALL = AstrafierConfig(
    embed=8, heads=8, blocks=2, hidden=12, kernels=(3, 5, 7, 9), classes=5, projection="published", compat="published"
)


def published_state(config: AstrafierConfig = SMALL, head: bool = True) -> Arrays:
    """Return a random state dict under the published names."""
    torch.manual_seed(0)
    actual = Astrafier(config).state_dict()
    names = published._names(config.blocks, head)
    return {old: actual[new].unsqueeze(2) if "pointwise" in new else actual[new] for old, new in names.items()}


def save(folder: Path, state: Arrays, **hyper: int) -> Path:
    """Write a checkpoint as Lightning does."""
    torch.save({"epoch": 1, "state_dict": state, "hyper_parameters": {"layers": 5, **hyper}}, folder / "some.ckpt")
    return folder / "some.ckpt"


class TestLoading:
    def test_reads_every_size_off_the_shapes(self, tmp_path: Path) -> None:
        model = load_published(save(tmp_path, published_state()))
        assert not model.training
        assert model.config == SMALL.model_copy(update={"encoding": "fast"})
        assert_same_numbers(model.state_dict(), published_state())

    def test_heads_come_from_the_hyper_parameters_or_the_caller(self, tmp_path: Path) -> None:
        path = save(tmp_path, published_state(), heads=2)
        assert load_published(path).config.heads == 2
        assert load_published(path, heads=4).config.heads == 4

    def test_heads_that_do_not_divide_the_width(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match=r"(?s)some\.ckpt: .*embed=8 must be a multiple of heads=3"):
            load_published(save(tmp_path, published_state(), heads=3))

    def test_a_bare_state_dict_and_safetensors(self, tmp_path: Path) -> None:
        state = published_state()
        torch.save(state, tmp_path / "bare.pt")
        save_file({key: value.contiguous() for key, value in state.items()}, tmp_path / "bare.safetensors")
        for name in ("bare.pt", "bare.safetensors"):
            assert_same_numbers(load_published(tmp_path / name).state_dict(), state)

    def test_class_weights_of_the_loss_are_tolerated(self, tmp_path: Path) -> None:
        state = published_state()
        loaded = load_published(save(tmp_path, state | {"loss_fn.weight": torch.ones(5)}))
        assert_same_numbers(loaded.state_dict(), state)

    def test_a_missing_head_is_an_error_unless_allowed(self, tmp_path: Path) -> None:
        path = save(tmp_path, published_state(head=False))
        with pytest.raises(CheckpointError, match=r"8 missing: head\.head\.0\.bias.*require_head=False"):
            load_published(path)
        model = load_published(path, require_head=False)
        assert model.config.classes == len(published_classes())

    def test_half_a_head_is_an_error_in_any_case(self, tmp_path: Path) -> None:
        state = published_state()
        del state["head.head.4.bias"]
        with pytest.raises(CheckpointError, match=r"1 missing: head\.head\.4\.bias"):
            load_published(save(tmp_path, state), require_head=False)

    @pytest.mark.parametrize("key", sorted(published_state()))
    def test_no_key_may_be_missing(self, key: str) -> None:
        state = published_state()
        del state[key]
        with pytest.raises(CheckpointError) as caught:
            rename(state)
        assert f"1 missing: {key}" in str(caught.value)
        assert "unexpected" not in str(caught.value)

    def test_no_key_may_be_unknown(self) -> None:
        with pytest.raises(CheckpointError, match=r"1 unexpected: model\.classifier\.extra"):
            rename(published_state() | {"model.classifier.extra": torch.ones(1)})

    def test_a_foreign_state_dict(self) -> None:
        with pytest.raises(CheckpointError, match=r"71 missing: .*, \.\.\.; 1 unexpected: layer1\.weight"):
            rename({"layer1.weight": torch.ones(1)})

    @pytest.mark.parametrize("module", ["conv.BatchNorm1", "conv2.BatchNorm"])
    def test_the_older_architecture_is_named(self, module: str) -> None:
        key = f"model.classifier.lsatt_conv_layers.1.{module}.running_mean"
        with pytest.raises(CheckpointError, match=rf"older checkpoint.*{module}\.running_mean.*can't run"):
            rename(published_state() | {key: torch.zeros(16)})

    def test_shapes_that_do_not_fit(self, tmp_path: Path) -> None:
        state = published_state()
        state["model.classifier.lsatt_conv_layers.1.norm1.weight"] = torch.ones(9)
        with pytest.raises(CheckpointError, match=r"(?s)some\.ckpt: .*blocks\.1\.norm2\.weight"):
            load_published(save(tmp_path, state))

    def test_renaming_leaves_the_argument_alone(self) -> None:
        state = published_state()
        keys = list(state)
        rename(state)
        assert list(state) == keys
        assert state["model.classifier.lsatt_conv_layers.0.conv.pointwise1.weight"].ndim == 3


class Trap:
    """An object whose unpickling writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


class TestUnreadable:
    def test_pickled_code_is_not_run(self, tmp_path: Path) -> None:
        path, sprung = tmp_path / "trap.ckpt", tmp_path / "sprung"
        torch.save({"state_dict": published_state(), "callbacks": Trap(sprung)}, path)
        with pytest.raises(CheckpointError, match=r"trap\.ckpt: .*pickled code, which goodricke never does"):
            load_published(path)
        assert not sprung.exists()

    @pytest.mark.parametrize("content", [b"", b"SIMPLE  =                    T", b"PK\x03\x04", b"\x80\x02."])
    @pytest.mark.parametrize("name", ["some.ckpt", "some.safetensors"])
    def test_what_is_no_checkpoint(self, tmp_path: Path, name: str, content: bytes) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=name):
            load_published(tmp_path / name)

    def test_a_truncated_checkpoint(self, tmp_path: Path) -> None:
        path = save(tmp_path, published_state())
        path.write_bytes(path.read_bytes()[:-2000])
        with pytest.raises(CheckpointError, match="truncated"):
            load_published(path)

    @pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {"state_dict": None}])
    def test_plain_values_without_tensors(self, tmp_path: Path, content: object) -> None:
        torch.save(content, tmp_path / "some.ckpt")
        with pytest.raises(CheckpointError, match=r"some\.ckpt: neither"):
            load_published(tmp_path / "some.ckpt")

    @pytest.mark.parametrize("name", ["none.ckpt", "none.safetensors"])
    def test_a_missing_file(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(FileNotFoundError):
            load_published(tmp_path / name)


class TestProbabilities:
    def test_agreeing_passes_keep_their_mean(self) -> None:
        mean = torch.tensor([[0.7, 0.2, 0.1]])
        torch.testing.assert_close(published_probabilities(mean.expand(5, 1, 3)), mean)

    def test_contradicting_passes_give_the_uniform_prior(self) -> None:
        samples = torch.eye(2)[[0, 0, 1]].unsqueeze(1)  # (3, 1, 2): certain passes, of different classes
        torch.testing.assert_close(published_probabilities(samples), torch.full((1, 2), 0.5))

    def test_shrinks_by_the_formula_and_sums_to_one(self) -> None:
        samples = torch.tensor([[[0.9, 0.1]], [[0.5, 0.5]]])
        strength = 0.7 * 0.3 / 0.08 - 1
        expected = torch.tensor([[1 + 0.7 * strength, 1 + 0.3 * strength]]) / (2 + strength)
        torch.testing.assert_close(published_probabilities(samples), expected)

    def test_one_pass_has_no_variance(self) -> None:
        with pytest.raises(ValueError, match="at least two"):
            published_probabilities(torch.full((1, 2, 4), 0.25))


def test_classes_are_in_the_order_of_the_logits() -> None:
    classes = published_classes()
    assert list(classes) == sorted(classes)
    assert len(classes) == 8
    assert classes[0] == "APERIODIC"
    assert classes[5] == "INSTRUMENT/JUNK"
