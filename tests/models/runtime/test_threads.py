"""Any number of threads gives the same output, and leaves the state of the process unchanged."""

import gc
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from goodricke.models.astrafier import Astrafier, AstrafierConfig
from goodricke.models.dropout import Dropout, row_keys
from goodricke.models.layers import Conv
from goodricke.models.output import NetworkOutput
from goodricke.models.runtime import threads
from goodricke.preprocess.tensors import Batch


@pytest.fixture(autouse=True)
def number_of_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def network(seed: int = 0, context: int = 0) -> Astrafier:
    torch.manual_seed(seed)
    config = AstrafierConfig(embed=16, heads=2, hidden=24, blocks=2, kernels=(3, 15), context=context)
    return Astrafier(config).eval()


def batch(B: int, T: int = 40, context: int = 0) -> Batch:
    torch.manual_seed(1)
    mask = torch.arange(T) < torch.randint(T // 2, T, (B, 1))
    return Batch(
        torch.randn(B, T, 1), torch.arange(T).expand(B, T) / 48.0, mask, torch.randn(B, context) if context else None
    )


def same(result: NetworkOutput, expected: NetworkOutput) -> None:
    torch.testing.assert_close(result.logits, expected.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(result.embedding, expected.embedding, atol=1e-5, rtol=0)
    torch.testing.assert_close(result.features, expected.features, atol=1e-5, rtol=0)


@pytest.mark.parametrize("number", [2, 3, 8])
@pytest.mark.parametrize(("B", "passes"), [(1, 1), (2, 1), (7, 1), (8, 3), (1, 5), (2, 7), (5, 2)])
def test_as_on_one_thread(B: int, passes: int, number: int) -> None:
    net, inputs = network(context=2), batch(B, context=2)
    keys = row_keys([f"TIC {i}" for i in range(B)], range(passes), 3) if passes > 1 else None
    torch.set_num_threads(1)
    expected = threads.run(net, inputs, passes, keys)
    assert len(expected.logits) == B * passes
    torch.set_num_threads(number)
    same(threads.run(net, inputs, passes, keys), expected)
    assert torch.get_num_threads() == number
    assert all(m.keys is None for m in net.modules() if isinstance(m, Dropout))


def test_without_a_mask() -> None:
    net, inputs = network(), batch(4)._replace(mask=None)
    torch.set_num_threads(2)
    same(threads.run(net, inputs), net(*inputs))


def test_copies_share_weights_and_spectra() -> None:
    net = network()
    torch.set_num_threads(2)
    threads.run(net, batch(4))
    copies = threads._copies(net, 2)
    assert copies is not threads._copies(net, 2)
    assert all(a is b for a, b in zip(threads._copies(net, 2), copies, strict=True))  # made once
    for one in copies:
        assert all(p is q for p, q in zip(one.parameters(), net.parameters(), strict=True))
    spectra = [
        m.spectra for one in (net, *copies) for m in one.modules() if isinstance(m, Conv) and m.kernel_size[0] > 12
    ]
    assert len(spectra) == 6
    assert all(len(x) == 1 for x in spectra)
    assert spectra[0] is spectra[2]
    assert spectra[0] is spectra[4]


@pytest.mark.parametrize("change", ["loaded", "replaced", "in place"])
def test_other_weights_are_noticed(change: str) -> None:
    net, other, inputs = network(), network(1), batch(4)
    torch.set_num_threads(2)
    before = threads.run(net, inputs)
    match change:
        case "loaded":
            net.load_state_dict(other.state_dict())
        case "replaced":
            net.embed.weight = nn.Parameter(2 * net.embed.weight.detach())
        case "in place":
            with torch.no_grad():
                net.blocks[1].convolution.convs[1].weight += 1
    result = threads.run(net, inputs)
    assert not torch.allclose(result.logits, before.logits)
    torch.set_num_threads(1)
    same(result, threads.run(net, inputs))


def test_half_precision_holds_in_every_thread() -> None:
    net, inputs = network(), batch(4)
    torch.set_num_threads(2)
    with torch.autocast("cpu", torch.bfloat16):
        result = threads.run(net, inputs).logits
    assert result.dtype == torch.bfloat16
    exact = threads.run(net, inputs).logits
    assert exact.dtype == torch.float32
    assert 0 < np.abs((result.float() - exact).numpy()).max() < 0.1


def test_two_callers_at_once_don_t_interfere() -> None:
    net, inputs = network(), batch(4)
    keys = row_keys("abcd", range(3), 0)
    torch.set_num_threads(2)
    calls = [(1, None), (3, keys)] * 6
    expected = [threads.run(net, inputs, *call) for call in calls[:2]]
    with ThreadPoolExecutor(4) as pool:
        result = list(pool.map(lambda call: threads.run(net, inputs, *call), calls))
    for k, call in enumerate(result):
        same(call, expected[k % 2])


def test_copies_go_with_the_network() -> None:
    net = network()
    torch.set_num_threads(2)
    threads.run(net, batch(4))
    assert len(threads._COPIES[net]) == 2
    alive = weakref.ref(net)
    del net
    gc.collect()
    assert alive() is None


def test_an_error_restores_the_number_of_threads() -> None:
    net = network(context=2)
    torch.set_num_threads(2)
    with pytest.raises(RuntimeError):
        threads.run(net, batch(4))  # without the context that it takes
    assert torch.get_num_threads() == 2
