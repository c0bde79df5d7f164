"""The compiled attention against PyTorch's, in double precision."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from goodricke.models import astrafier
from goodricke.models.astrafier import LONG, attend, attend_compiled

numba = pytest.importorskip("numba", reason="the compiled attention needs numba: pip install goodricke[fast]")


def heads(B: int, h: int, T: int, c: int, size: float = 1.0, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(B, h, T, c, generator=generator) for _ in range(3))
    return [size * q, size * k, v]


def exact(q: Tensor, k: Tensor, v: Tensor, keys: Tensor) -> Tensor:
    mask = torch.arange(q.shape[2]) < keys[:, None]
    return F.scaled_dot_product_attention(q.double(), k.double(), v.double(), attn_mask=mask[:, None, None]).float()


@pytest.mark.parametrize("T", [1, 2, 127, 128, 129, 300])
@pytest.mark.parametrize("c", [1, 8])  # a compilation for each
def test_is_the_exact_attention(T: int, c: int) -> None:
    inputs, keys = heads(2, 3, T, c), torch.tensor([T, max(T - 100, 1)])
    torch.testing.assert_close(attend_compiled(*inputs, keys), exact(*inputs, keys), atol=5e-6, rtol=0)


@pytest.mark.parametrize("size", [0.0, 1e-3, 5.0])
def test_small_and_large_scores(size: float) -> None:
    inputs, keys = heads(1, 2, 200, 8, size), torch.tensor([200])
    torch.testing.assert_close(attend_compiled(*inputs, keys), exact(*inputs, keys), atol=1e-4, rtol=0)


def test_where_the_bound_is_far_above_every_score() -> None:
    """Keys that all point away from the queries: relative to the bound, every weight would vanish."""
    q, k, v = heads(1, 2, 200, 8)
    q, k = q.abs() + 3, -k.abs() - 3
    k[:, :, -1] *= 40  # the longest key has the lowest score of all
    result = attend_compiled(q, k, v, torch.tensor([200]))
    torch.testing.assert_close(result, exact(q, k, v, torch.tensor([200])), atol=1e-4, rtol=0)


def test_threads_change_nothing() -> None:
    inputs, keys, threads = heads(3, 5, 150, 8), torch.tensor([150, 80, 1]), torch.get_num_threads()
    single = attend_compiled(*inputs, keys)
    try:
        torch.set_num_threads(4)
        torch.testing.assert_close(attend_compiled(*inputs, keys), single, atol=0, rtol=0)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("T", [30, LONG])
def test_no_mask_is_a_mask_that_leaves_nothing_out(T: int) -> None:
    inputs, mask = heads(2, 3, T, 8), torch.ones(2, T, dtype=torch.bool)
    expected = exact(*inputs, torch.tensor([T, T]))
    torch.testing.assert_close(attend(*inputs, None), expected, atol=5e-6, rtol=0)
    with torch.inference_mode():
        torch.testing.assert_close(attend(*inputs, None), attend(*inputs, mask), atol=0 if T == LONG else 1e-6, rtol=0)


def test_long_light_curves_take_it_at_inference_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    selected = []
    monkeypatch.setattr(astrafier, "attend_compiled", lambda q, k, v, keys: selected.append(keys.tolist()) or v)
    inputs, mask = heads(2, 1, LONG, 8), torch.arange(LONG) < torch.tensor([[LONG - 7], [0]])
    attend(*inputs, mask)
    assert not selected  # gradients may be asked for
    with torch.inference_mode():
        attend(*inputs, mask)
        assert selected == [[LONG - 7, LONG]]  # without a point everything is looked at
        attend(*(x.double() for x in inputs), mask)
        attend(*(x[:, :, :-1] for x in inputs), mask[:, :-1])
        attend(*heads(2, 1, LONG, 32), mask)
        assert len(selected) == 1
        assert attend(*(x.bfloat16() for x in inputs), mask).dtype == torch.bfloat16
        assert len(selected) == 2
        monkeypatch.setattr(astrafier, "has_kernel", lambda: False)
        attend(*inputs, mask)
    assert len(selected) == 2
