"""However many threads share the work, the answers are the same, and nothing is left behind."""

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


def same(found: NetworkOutput, expected: NetworkOutput) -> None:
    torch.testing.assert_close(found.logits, expected.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.embedding, expected.embedding, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.features, expected.features, atol=1e-5, rtol=0)


@pytest.mark.parametrize("number", [2, 3, 8])
@pytest.mark.parametrize(("B", "passes"), [(1, 1), (2, 1), (7, 1), (8, 3), (1, 5), (2, 7), (5, 2)])
def test_as_on_one_thread(B: int, passes: int, number: int) -> None:
    net, given = network(context=2), batch(B, context=2)
    keys = row_keys([f"TIC {i}" for i in range(B)], range(passes), 3) if passes > 1 else None
    torch.set_num_threads(1)
    expected = threads.run(net, given, passes, keys)
    assert len(expected.logits) == B * passes
    torch.set_num_threads(number)
    same(threads.run(net, given, passes, keys), expected)
    assert torch.get_num_threads() == number
    assert all(m.keys is None for m in net.modules() if isinstance(m, Dropout))


def test_without_a_mask() -> None:
    net, given = network(), batch(4)._replace(mask=None)
    torch.set_num_threads(2)
    same(threads.run(net, given), net(*given))


def test_copies_share_weights_and_spectra() -> None:
    net = network()
    torch.set_num_threads(2)
    threads.run(net, batch(4))
    copies = threads._copies(net, 2)
    assert copies is not threads._copies(net, 2)
    assert all(a is b for a, b in zip(threads._copies(net, 2), copies, strict=True))  # made once
    for one in copies:
        assert all(p is q for p, q in zip(one.parameters(), net.parameters(), strict=True))
    kept = [m.kept for one in (net, *copies) for m in one.modules() if isinstance(m, Conv) and m.kernel_size[0] > 12]
    assert len(kept) == 6
    assert all(len(x) == 1 for x in kept)
    assert kept[0] is kept[2]
    assert kept[0] is kept[4]


@pytest.mark.parametrize("change", ["loaded", "replaced", "in place"])
def test_other_weights_are_noticed(change: str) -> None:
    net, other, given = network(), network(1), batch(4)
    torch.set_num_threads(2)
    before = threads.run(net, given)
    match change:
        case "loaded":
            net.load_state_dict(other.state_dict())
        case "replaced":
            net.embed.weight = nn.Parameter(2 * net.embed.weight.detach())
        case "in place":
            with torch.no_grad():
                net.blocks[1].convolution.convs[1].weight += 1
    found = threads.run(net, given)
    assert not torch.allclose(found.logits, before.logits)
    torch.set_num_threads(1)
    same(found, threads.run(net, given))


def test_half_precision_is_every_threads() -> None:
    net, given = network(), batch(4)
    torch.set_num_threads(2)
    with torch.autocast("cpu", torch.bfloat16):
        found = threads.run(net, given).logits
    assert found.dtype == torch.bfloat16
    exact = threads.run(net, given).logits
    assert exact.dtype == torch.float32
    assert 0 < np.abs((found.float() - exact).numpy()).max() < 0.1


def test_two_callers_at_once_get_what_each_asked_for() -> None:
    net, given = network(), batch(4)
    keys = row_keys("abcd", range(3), 0)
    torch.set_num_threads(2)
    asked = [(1, None), (3, keys)] * 6
    expected = [threads.run(net, given, *each) for each in asked[:2]]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda each: threads.run(net, given, *each), asked))
    for k, each in enumerate(found):
        same(each, expected[k % 2])


def test_copies_go_with_the_network() -> None:
    net = network()
    torch.set_num_threads(2)
    threads.run(net, batch(4))
    assert len(threads._KEPT[net]) == 2
    alive = weakref.ref(net)
    del net
    gc.collect()
    assert alive() is None


def test_an_error_leaves_the_number_of_threads() -> None:
    net = network(context=2)
    torch.set_num_threads(2)
    with pytest.raises(RuntimeError):
        threads.run(net, batch(4))  # without the context that it takes
    assert torch.get_num_threads() == 2
