"""The GPU's computations run on a CPU: compiled parts, rounded lengths, no mask, batches prepared in a thread."""

import threading
import time
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from goodricke.models.astrafier import Astrafier, AstrafierConfig
from goodricke.models.dropout import dropout_from, row_keys
from goodricke.models.runtime import gpu
from goodricke.models.runtime.gpu import (
    DEPTH,
    FEWEST_COMPILED,
    MOST_GRAPHED,
    MOST_POINTS,
    VARIABLE,
    compile_mode,
    points_that_fit,
    prefetch,
    prefetch_in_thread,
    suitable_mode,
)

CPU, GPU = torch.device("cpu"), torch.device("cuda")


class GpuTensor(torch.Tensor):
    """A tensor that claims to be on a GPU."""

    device = GPU  # type: ignore[assignment]


def network(**changes) -> Astrafier:
    torch.manual_seed(0)
    sizes = {"classes": 3, "embed": 8, "heads": 2, "hidden": 16, "blocks": 1, "kernels": (15,)}
    return Astrafier(AstrafierConfig(**sizes | changes)).eval()


def batch(B: int, T: int, shorter: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(T)
    mask = torch.arange(T) < torch.tensor([T - shorter] + [T] * (B - 1))[:, None]
    return torch.randn(B, T, 1, generator=generator), torch.rand(B, T, generator=generator).cumsum(1) / 24, mask


@pytest.fixture(params=[("eager", True)])
def compiling(monkeypatch, request):
    """Compile as on a GPU but without machine code: PyTorch runs the traced operations."""
    torch._dynamo.reset()
    used = []

    @cache
    def compiled(method, mode):
        used.append(method.__qualname__)
        backend, dynamic = request.param
        return torch.compile(method, backend=backend, dynamic=dynamic, fullgraph=True)

    monkeypatch.setattr(gpu, "compiled", compiled)
    monkeypatch.setattr(gpu, "compile_mode", lambda x: None if torch.compiler.is_compiling() else "default")
    yield used
    assert sorted(used) == ["Block.after_recurrence", "RecurrentModule.project"]  # once for all blocks
    torch._dynamo.reset()


def test_one_compilation_for_every_size_and_block_gives_the_same_output(compiling, monkeypatch):
    net, batches = network(blocks=2), [batch(4, 40, 7), batch(3, 52, 20), batch(2, 64, 1)]
    torch._dynamo.utils.counters.clear()
    with torch.inference_mode():
        result = [net(*one).logits for one in batches]
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2
        monkeypatch.setattr(gpu, "compile_mode", lambda x: None)
        for one, compiled in zip(batches, result, strict=True):
            torch.testing.assert_close(compiled, net(*one).logits, atol=1e-6, rtol=0)


def test_compiled_passes_have_the_same_masks(compiling, monkeypatch):
    net, (values, time, _) = network(), batch(2, 40)
    keys = row_keys(["a", "b"], range(3), 0)

    def passes():
        with torch.inference_mode(), dropout_from(net, keys):
            return net(values, time, None, passes=3).logits

    result = passes()
    monkeypatch.setattr(gpu, "compile_mode", lambda x: None)
    torch.testing.assert_close(result, passes(), atol=1e-5, rtol=0)
    assert result.std(0).min() > 1e-5


# aot_eager traces gradients, too; with symbolic sizes, which the other tests have, it takes three times as long
@pytest.mark.parametrize("compiling", [("aot_eager", False)], indirect=True)
def test_compiled_gradients_are_the_same(compiling, monkeypatch):
    net, one = network(dropout=0).train(), batch(3, 30, 5)

    def gradient():
        net.zero_grad()
        net(*one).logits.square().sum().backward()
        return torch.cat([p.grad.ravel() for p in net.parameters()])

    result = gradient()
    monkeypatch.setattr(gpu, "compile_mode", lambda x: None)
    torch.testing.assert_close(result, gradient(), atol=1e-6, rtol=1e-4)


def test_compiled_under_autocast_it_stays_close(compiling, monkeypatch):
    net, one = network(), batch(3, 30, 5)

    def half():
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            return net(*one).logits.float()

    result = half()
    monkeypatch.setattr(gpu, "compile_mode", lambda x: None)
    torch.testing.assert_close(result, half(), atol=2e-2, rtol=0)


def test_no_mask_equals_a_mask_without_padding():
    for net in (network(), network(compat="published"), network(attention=False)):
        values, time, mask = batch(3, 40)
        with torch.inference_mode():
            result, expected = net(values, time, None), net(values, time, mask)
        torch.testing.assert_close(result.logits, expected.logits, atol=1e-6, rtol=0)


def test_the_compilation_mode_follows_device_size_and_setting(monkeypatch):
    cpu, gpu_tensor = torch.zeros(FEWEST_COMPILED, 1, 1), torch.zeros(FEWEST_COMPILED, 1, 1).as_subclass(GpuTensor)
    monkeypatch.delenv(VARIABLE, raising=False)
    assert compile_mode(cpu) is None
    with torch.inference_mode():
        assert compile_mode(gpu_tensor) == "reduce-overhead"
        assert compile_mode(gpu_tensor[1:]) is None
    assert compile_mode(gpu_tensor) == "default"
    for setting, mode in (("auto", "default"), ("off", None), ("max-autotune", "max-autotune")):
        monkeypatch.setenv(VARIABLE, setting)
        assert compile_mode(gpu_tensor) == mode
        assert compile_mode(cpu) is None


def test_cuda_graphs_are_for_batches_of_middling_size_at_inference():
    sizes = (1, FEWEST_COMPILED - 1, FEWEST_COMPILED, MOST_GRAPHED, MOST_GRAPHED + 1)
    assert [suitable_mode(n, False) for n in sizes] == [None, None, *["reduce-overhead"] * 2, "default"]
    assert [suitable_mode(n, True) for n in sizes] == [None, None, *["default"] * 3]


def test_points_at_once_follow_from_the_memory():
    h100 = 80 * 10**9
    assert gpu.points_at_once(CPU, "inference", 123) == 123
    assert points_that_fit(h100, "inference") == 4_000_000
    assert points_that_fit(h100, "training") >= 128 * 1171  # a whole batch of the paper's
    assert points_that_fit(10 * h100, "inference") == MOST_POINTS


def test_lengths_are_rounded_on_a_gpu_only():
    assert gpu.frame_multiple(CPU) == 1
    assert gpu.frame_multiple(GPU) == gpu.FRAME_MULTIPLE


def test_a_batch_of_any_number_of_light_curves_fits_the_keys():
    net, (values, time, _) = network(), batch(1, 20)
    with torch.inference_mode(), dropout_from(net, row_keys(["a"], np.arange(5), 0)):
        assert net(values, time, None, passes=5).logits.shape == (5, 3)


# ---- batches prepared in a thread ------------------------------------------------------------------------------------

OTHER = torch.device("meta")


def prefetch_threads() -> int:
    return sum(thread.name.startswith("prefetch") for thread in threading.enumerate())


@pytest.mark.parametrize("device", [CPU, OTHER])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 50])
def test_items_come_in_order_with_their_results(n, device):
    assert list(prefetch(lambda k: k * k, range(n), device)) == [(k, k * k) for k in range(n)]
    assert prefetch_threads() == 0


def test_a_cpu_has_no_thread_and_prepares_on_demand():
    calls = []
    batches = prefetch(lambda k: calls.append(k) or threading.current_thread(), range(5), CPU)
    assert next(batches)[1] is threading.current_thread()
    assert calls == [0]


def test_the_next_items_are_prepared_in_a_thread():
    calls, third = [], threading.Event()

    def make(k):
        calls.append((k, threading.current_thread()))
        if k == DEPTH:
            third.set()

    batches = prefetch(make, range(50), OTHER)
    next(batches)
    assert third.wait(10)
    time.sleep(0.05)
    assert [k for k, _ in calls] == list(range(DEPTH + 1))  # and no more: memory is bounded
    assert threading.current_thread() not in [thread for _, thread in calls]
    batches.close()


@pytest.mark.parametrize("device", [CPU, OTHER])
def test_an_exception_reaches_the_caller_at_its_item(device):
    def make(k):
        if k == 3:
            raise ValueError("the fourth")
        return k

    batches = prefetch(make, range(50), device)
    assert [next(batches)[0] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the fourth"):
        next(batches)
    assert prefetch_threads() == 0


def test_an_exception_of_the_items_reaches_the_caller():
    def items():
        yield 1
        raise ValueError("no second")

    with pytest.raises(ValueError, match="no second"):
        list(prefetch(lambda k: k, items(), OTHER))
    assert prefetch_threads() == 0


@pytest.mark.parametrize("how", ["break", "raise"])
def test_the_thread_ends_with_the_loop(how):
    calls = []

    def work():
        for k, _ in prefetch_in_thread(calls.append, range(1000)):
            if k == 2:
                if how == "break":
                    return
                raise RuntimeError("stop")

    if how == "break":
        work()
    else:
        with pytest.raises(RuntimeError, match="stop"):
            work()
    assert prefetch_threads() == 0
    assert len(calls) <= 3 + DEPTH + 1
