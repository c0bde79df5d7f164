"""What a GPU would run, run on a CPU: compiled parts, rounded lengths, no mask; each says what the plain way says."""

from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from goodricke.models.astrafier import Astrafier, AstrafierConfig
from goodricke.models.dropout import dropout_from, row_keys
from goodricke.models.runtime import gpu
from goodricke.models.runtime.gpu import GRAPHED, LEAST, MOST, VARIABLE, compile_mode, points_in, suitable_mode

CPU, GPU = torch.device("cpu"), torch.device("cuda")


class There(torch.Tensor):
    """A tensor that says that it is on a GPU."""

    device = GPU  # type: ignore[assignment]


def network(**changes) -> Astrafier:
    torch.manual_seed(0)
    sizes = {"classes": 3, "embed": 8, "heads": 2, "hidden": 16, "blocks": 1, "kernels": (15,)}
    return Astrafier(AstrafierConfig(**sizes | changes)).eval()


def batch(B: int, T: int, shorter: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(T)
    mask = torch.arange(T) < torch.tensor([T - shorter] + [T] * (B - 1))[:, None]
    return torch.randn(B, T, 1, generator=generator), torch.rand(B, T, generator=generator).cumsum(1) / 24, mask


@pytest.fixture(params=["eager"])
def compiling(monkeypatch, request):
    """Compile as on a GPU, but without making machine code: what is traced is run by PyTorch."""
    torch._dynamo.reset()
    used = []

    @cache
    def compiled(method, mode):
        used.append(method.__qualname__)
        return torch.compile(method, backend=request.param, dynamic=True, fullgraph=True)

    monkeypatch.setattr(gpu, "compiled", compiled)
    monkeypatch.setattr(gpu, "compile_mode", lambda x: None if torch.compiler.is_compiling() else "default")
    yield used
    assert sorted(used) == ["Block.rest", "RecurrentModule.project"]  # once for all blocks
    torch._dynamo.reset()


def test_compiled_it_says_the_same_for_every_size_and_block_with_one_compilation(compiling, monkeypatch):
    net, some = network(blocks=2), [batch(4, 40, 7), batch(3, 52, 20), batch(2, 64, 1)]
    torch._dynamo.utils.counters.clear()
    with torch.inference_mode():
        found = [net(*one).logits for one in some]
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2
        monkeypatch.setattr(gpu, "compile_mode", lambda x: None)
        for one, ours in zip(some, found, strict=True):
            torch.testing.assert_close(ours, net(*one).logits, atol=1e-6, rtol=0)


def test_compiled_passes_have_the_same_masks(compiling, monkeypatch):
    net, (values, time, _) = network(), batch(2, 40)
    keys = row_keys(["a", "b"], range(3), 0)

    def passes():
        with torch.inference_mode(), dropout_from(net, keys):
            return net(values, time, None, passes=3).logits

    found = passes()
    monkeypatch.setattr(gpu, "compile_mode", lambda x: None)
    torch.testing.assert_close(found, passes(), atol=1e-5, rtol=0)
    assert found.std(0).min() > 1e-5


@pytest.mark.parametrize("compiling", ["aot_eager"], indirect=True)  # which traces the way back too
def test_compiled_gradients_are_the_same(compiling, monkeypatch):
    net, one = network(dropout=0).train(), batch(3, 30, 5)

    def gradient():
        net.zero_grad()
        net(*one).logits.square().sum().backward()
        return torch.cat([p.grad.ravel() for p in net.parameters()])

    found = gradient()
    monkeypatch.setattr(gpu, "compile_mode", lambda x: None)
    torch.testing.assert_close(found, gradient(), atol=1e-6, rtol=1e-4)


def test_compiled_under_autocast_it_stays_close(compiling, monkeypatch):
    net, one = network(), batch(3, 30, 5)

    def half():
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            return net(*one).logits.float()

    found = half()
    monkeypatch.setattr(gpu, "compile_mode", lambda x: None)
    torch.testing.assert_close(found, half(), atol=2e-2, rtol=0)


def test_no_mask_is_a_mask_that_leaves_nothing_out():
    for net in (network(), network(compat="published"), network(attention=False)):
        values, time, mask = batch(3, 40)
        with torch.inference_mode():
            found, expected = net(values, time, None), net(values, time, mask)
        torch.testing.assert_close(found.logits, expected.logits, atol=1e-6, rtol=0)


def test_on_a_cpu_nothing_is_compiled_and_on_a_gpu_what_is_asked(monkeypatch):
    here, there = torch.zeros(LEAST, 1, 1), torch.zeros(LEAST, 1, 1).as_subclass(There)
    monkeypatch.delenv(VARIABLE, raising=False)
    assert compile_mode(here) is None
    with torch.inference_mode():
        assert compile_mode(there) == "reduce-overhead"
        assert compile_mode(there[1:]) is None
    assert compile_mode(there) == "default"
    for asked, mode in (("auto", "default"), ("off", None), ("max-autotune", "max-autotune")):
        monkeypatch.setenv(VARIABLE, asked)
        assert compile_mode(there) == mode
        assert compile_mode(here) is None


def test_cuda_graphs_are_for_batches_of_middling_size_at_inference():
    sizes = (1, LEAST - 1, LEAST, GRAPHED, GRAPHED + 1)
    assert [suitable_mode(n, False) for n in sizes] == [None, None, *["reduce-overhead"] * 2, "default"]
    assert [suitable_mode(n, True) for n in sizes] == [None, None, *["default"] * 3]


def test_points_at_once_follow_from_the_memory():
    h100 = 80 * 10**9
    assert gpu.points_at_once(CPU, "inference", 123) == 123
    assert points_in(h100, "inference") == 4_000_000
    assert points_in(h100, "training") >= 128 * 1171  # a whole batch of the paper's
    assert points_in(10 * h100, "inference") == MOST


def test_lengths_are_rounded_on_a_gpu_alone():
    assert gpu.frame_multiple(CPU) == 1
    assert gpu.frame_multiple(GPU) == gpu.MULTIPLE


def test_a_batch_of_any_number_of_light_curves_fits_the_keys():
    net, (values, time, _) = network(), batch(1, 20)
    with torch.inference_mode(), dropout_from(net, row_keys(["a"], np.arange(5), 0)):
        assert net(values, time, None, passes=5).logits.shape == (5, 3)
