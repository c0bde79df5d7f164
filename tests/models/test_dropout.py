"""Dropout masks: their rate, independence and every way to compute them; Monte-Carlo passes and their summary."""

import numpy as np
import pytest
import torch
from torch import nn

from goodricke.data.splitmix import derive_keys, splitmix64
from goodricke.models.astrafier import Astrafier, AstrafierConfig
from goodricke.models.dropout import (
    BLOCK,
    Dropout,
    dropout_from,
    dropout_mask,
    mask_at_once,
    mask_by_blocks,
    row_keys,
    splitmix64_tensor,
)
from goodricke.uncertainty.entropy import entropy, summarise

KEYS = torch.from_numpy(splitmix64(np.arange(3, dtype=np.uint64)).view(np.int64))


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5, 0.9])
def test_the_rate_is_the_fraction_dropped_and_the_mean_is_kept(rate):
    mask = dropout_mask(KEYS[:1], torch.zeros(1, 4000, 50), rate).numpy()
    assert np.unique(mask) == pytest.approx([0, 1 / (1 - rate)])
    n = mask.size
    assert (mask == 0).mean() == pytest.approx(rate, abs=5 * (rate * (1 - rate) / n) ** 0.5)
    stays = mask[0] > 0
    for shift in (1, 2, 3, 4, 8, 17):  # neighbours are independent, those of one word too
        both = (stays.ravel()[:-shift] & stays.ravel()[shift:]).mean()
        assert both == pytest.approx((1 - rate) ** 2, abs=5 * (1 / n) ** 0.5), shift
    both = (stays[:-1] & stays[1:]).mean()  # neighbours in time
    assert both == pytest.approx((1 - rate) ** 2, abs=5 * (1 / n) ** 0.5)


def test_a_rate_of_zero_drops_nothing():
    assert (dropout_mask(KEYS, torch.zeros(3, 50, 3), 0.0) == 1).all()


def test_the_bits_are_splitmix64_s():
    """First outputs of the reference implementation seeded with 1234567 (Rosetta Code, "Pseudo-random numbers")."""
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    words = np.uint64(1234567) + np.arange(1, 6, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    assert splitmix64(words).tolist() == expected
    assert splitmix64_tensor(torch.from_numpy(words.view(np.int64))).numpy().view(np.uint64).tolist() == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(3, 1), (3, 7), (3, 50, 8), (3, 33, 5), (2, 4 * BLOCK + 3)])
def test_both_computations_give_the_same_masks(shape, dtype):
    x = torch.zeros(shape, dtype=dtype)
    a, b = mask_by_blocks(KEYS[: shape[0]], x, 0.2), mask_at_once(KEYS[: shape[0]], x, 0.2)
    assert a.dtype == b.dtype == dtype
    assert torch.equal(a, b)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: the arithmetic of one is tested on the CPU")
def test_the_masks_of_a_gpu_are_those_of_a_cpu():
    x = torch.zeros(3, 333, 64)
    assert torch.equal(dropout_mask(KEYS.cuda(), x.cuda(), 0.2).cpu(), dropout_mask(KEYS, x, 0.2))


def test_rows_are_independent_and_padding_behind_them_changes_nothing():
    mask = dropout_mask(KEYS, torch.zeros(3, 500, 8), 0.5)
    assert 0.45 < (mask[0] == mask[1]).float().mean() < 0.55
    assert torch.equal(mask, dropout_mask(KEYS, torch.zeros(3, 700, 8), 0.5)[:, :500])
    assert torch.equal(mask[1:2], dropout_mask(KEYS[1:2], torch.zeros(1, 500, 8), 0.5))


# ---- Monte-Carlo passes --------------------------------------------------------------------------------------------

SIZES = {"classes": 3, "embed": 8, "heads": 2, "hidden": 16, "blocks": 1, "kernels": (3, 7), "dropout": 0.2}
ROW_KEYS = row_keys(["a"], [0], 0)


def network(seed=0, **changes) -> Astrafier:
    torch.manual_seed(seed)
    result = Astrafier(AstrafierConfig(**(SIZES | changes))).eval()
    with torch.no_grad():
        for parameter in result.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return result


def mask(rate, ids=("a",), passes=(0,), seed=0, T=50, C=8) -> torch.Tensor:
    """Return the masks of a layer for each object and pass, (R, T, C)."""
    keys = torch.from_numpy(row_keys(ids, passes, seed).view(np.int64))
    return dropout_mask(keys, torch.zeros(len(keys), T, C), rate)


def test_masks_depend_on_object_pass_and_seed_and_on_nothing_else():
    base = mask(0.5)[0]
    assert torch.equal(base, mask(0.5)[0])
    for other in ({"ids": ("b",)}, {"passes": (1,)}, {"seed": 1}, {"seed": -1}):
        assert 0.3 < (base == mask(0.5, **other)[0]).float().mean() < 0.7, other
    assert torch.equal(mask(0.5, ("z", "a"), (3, 0))[3], base)
    assert torch.equal(mask(0.5, ("z", "a"), (3, 0), T=77)[3, :50], base)  # nor on the padding


def test_no_two_rows_have_a_key_in_common():
    keys = row_keys([f"star{k}" for k in range(200)], range(20), 3)
    assert keys.shape == (4000,)
    assert len(np.unique(np.concatenate([keys, *derive_keys(keys, 30)]))) == 31 * 4000


def test_successive_layers_get_different_masks():
    net = network()
    with dropout_from(net, row_keys(["a"], [0, 1], 0)):
        keys = [m.keys.tolist() for m in net.modules() if isinstance(m, Dropout)]
    assert len(keys) == 11
    assert len({key for pair in keys for key in pair}) == 22


def test_only_dropout_layers_are_switched_on_and_only_those_that_take_part():
    net = network(compat="published")
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with dropout_from(net, ROW_KEYS) as _:
        assert not any(module.training for module in net.modules())
        on = {name for name, m in net.named_modules() if isinstance(m, Dropout) and m.keys is not None}
        every = {name for name, m in net.named_modules() if isinstance(m, Dropout)}
        assert every - on == {"blocks.0.recurrent.lstm.dropout"}
        net(torch.randn(1, 50, 1), torch.arange(50.0)[None], torch.ones(1, 50, dtype=torch.bool))
    for name, value in net.state_dict().items():  # running statistics above all
        assert torch.equal(value, before[name]), name


def test_the_keys_are_gone_after_an_exception():
    net = network()
    with pytest.raises(RuntimeError, match="stop"), dropout_from(net, ROW_KEYS):
        raise RuntimeError("stop")
    assert all(m.keys is None for m in net.modules() if isinstance(m, Dropout))
    x = torch.randn(1, 30, 1), torch.arange(30.0)[None], torch.ones(1, 30, dtype=torch.bool)
    assert torch.equal(net(*x).logits, net(*x).logits)


class Plain(nn.Module):
    """Dropout as torch makes it."""

    monte_carlo = True

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x):
        return nn.functional.dropout(x, self.rate, training=True)


def replace_dropout(module: nn.Module) -> nn.Module:
    for name, child in module.named_children():
        if isinstance(child, Dropout):
            setattr(module, name, Plain(child.rate))
        else:
            replace_dropout(child)
    return module


@pytest.mark.parametrize("choice", [{}, {"compat": "published"}, {"bilstm": False}, {"attention": False}])
def test_passes_with_shared_layers_equal_separate_passes(choice):
    torch.manual_seed(0)
    config = AstrafierConfig(classes=3, embed=8, heads=2, hidden=16, kernels=(3, 15), context=2, **choice)
    network, passes = Astrafier(config).eval(), 4
    lengths = torch.tensor([40, 25])
    mask = torch.arange(40) < lengths[:, None]
    batch = torch.randn(2, 40, 1), torch.arange(40.0).repeat(2, 1), mask, torch.randn(2, 2)
    keys = row_keys(["a", "b"], range(passes), 1)
    with torch.no_grad():
        with dropout_from(network, keys):
            shared = network(*batch, passes=passes)
        with dropout_from(network, keys):
            separate = network(*(x.repeat_interleave(passes, 0) for x in batch))
    assert shared.logits.shape == (8, 3)
    assert shared.logits[:4].std(0).min() > 1e-4  # the passes differ
    torch.testing.assert_close(shared.logits, separate.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(shared.embedding, separate.embedding, atol=1e-5, rtol=0)


def test_outputs_are_distributed_as_with_torch_s_dropout():
    passes, T = 800, 24
    x = torch.randn(1, T, 1, generator=torch.Generator().manual_seed(1))
    batch = x.repeat(passes, 1, 1), (torch.arange(T) / 48).repeat(passes, 1), torch.ones(passes, T, dtype=torch.bool)
    with torch.inference_mode():
        net = network()
        with dropout_from(net, row_keys(["star"], range(passes), 0)):
            a = net(*batch).logits.double().numpy()
        torch.manual_seed(5)
        b = replace_dropout(network())(*batch).logits.double().numpy()
    error = np.sqrt((a.var(0) + b.var(0)) / passes)
    assert (np.abs(a.mean(0) - b.mean(0)) < 4.5 * error).all()
    kurtosis = ((a - a.mean(0)) ** 4).mean(0) / a.var(0) ** 2
    assert (np.abs(np.log(a.std(0) / b.std(0))) < 4.5 * np.sqrt((kurtosis - 1) / (2 * passes))).all()
    assert (a.std(0) > 0.01).all()


def test_the_summary_is_its_formulas():
    p = np.random.default_rng(0).dirichlet([1, 2, 3], size=(20, 7))
    mean, spread, information = summarise(p)
    np.testing.assert_allclose(mean, p.sum(0) / 20)
    np.testing.assert_allclose(spread, np.sqrt(((p - mean) ** 2).sum(0) / 19))
    expected = -(mean * np.log(mean)).sum(1) + (p * np.log(p)).sum(2).mean(0)
    np.testing.assert_allclose(information, expected)
    assert (information > 0).all()


def test_information_of_agreeing_and_opposed_passes():
    sure = np.array([[[1.0, 0]], [[1.0, 0]]])
    opposed = np.array([[[1.0, 0]], [[0.0, 1]]])
    assert summarise(sure)[2] == pytest.approx([0])
    assert summarise(opposed)[2] == pytest.approx([np.log(2)])
    assert summarise(opposed)[1][0] == pytest.approx([0.5**0.5] * 2)


def test_one_pass_has_no_spread_and_rounding_makes_no_negative_information():
    p = np.full((1, 2, 3), 1 / 3)
    mean, spread, information = summarise(p)
    assert (mean == p[0]).all()
    assert not spread.any()
    assert (information >= 0).all()
    assert entropy(mean) == pytest.approx([np.log(3)] * 2)
