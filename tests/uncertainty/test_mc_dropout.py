"""Monte-Carlo dropout: the right masks, the object's own, and as torch's dropout in distribution."""

import numpy as np
import pytest
import torch
from torch import nn

from goodricke.models.astrafier import Astrafier, AstrafierConfig
from goodricke.models.layers import Dropout
from goodricke.predictions import entropy
from goodricke.uncertainty.mc_dropout import ObjectMasks, dropout_from, streams, summarise

SIZES = {"classes": 3, "embed": 8, "heads": 2, "hidden": 16, "blocks": 1, "kernels": (3, 7), "dropout": 0.2}


def network(seed=0, **changes) -> Astrafier:
    torch.manual_seed(seed)
    made = Astrafier(AstrafierConfig(**(SIZES | changes))).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return made


def masks(ids=("a",), passes=(0,), seed=0, lengths=None, T=50) -> ObjectMasks:
    made = streams(ids, passes, seed)
    return ObjectMasks(made, np.full(len(made), T) if lengths is None else np.asarray(lengths))


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5, 0.9])
def test_the_rate_is_the_fraction_dropped_and_the_mean_is_kept(rate):
    mask = masks(T=4000).mask(torch.zeros(1, 4000, 50), rate).numpy()
    assert np.unique(mask) == pytest.approx([0, 1 / (1 - rate)])
    n = mask.size
    assert (mask == 0).mean() == pytest.approx(rate, abs=5 * (rate * (1 - rate) / n) ** 0.5)
    kept = mask[0] > 0
    both = (kept[:-1] & kept[1:]).mean()  # neighbours in time are independent
    assert both == pytest.approx((1 - rate) ** 2, abs=0.01)
    both = (kept[:, :-1] & kept[:, 1:]).mean()
    assert both == pytest.approx((1 - rate) ** 2, abs=0.01)


def test_a_rate_of_zero_drops_nothing():
    assert (masks().mask(torch.zeros(1, 50, 3), 0.0) == 1).all()


def test_masks_depend_on_object_pass_and_seed_and_on_nothing_else():
    x = torch.zeros(1, 50, 8)

    def of(**k):
        return masks(**k).mask(x, 0.5)[0]

    base = of()
    assert torch.equal(base, of())
    for other in ({"ids": ("b",)}, {"passes": (1,)}, {"seed": 1}):
        assert 0.3 < (base == of(**other)).float().mean() < 0.7, other
    company = masks(("z", "a"), (3, 0)).mask(torch.zeros(4, 50, 8), 0.5)
    assert torch.equal(company[3], base)


def test_padding_gets_no_random_numbers():
    short, padded = masks(T=20), masks(T=20)
    a, b = short.mask(torch.zeros(1, 20, 4), 0.5), padded.mask(torch.zeros(1, 33, 4), 0.5)
    assert torch.equal(a, b[:, :20])
    assert not b[:, 20:].any()
    assert torch.equal(short.mask(torch.zeros(1, 20, 4), 0.5), padded.mask(torch.zeros(1, 25, 4), 0.5)[:, :20])


def test_rows_of_the_head_have_no_time_and_are_drawn_whole():
    mask = masks(T=1).mask(torch.zeros(1, 4000), 0.5)
    assert 0.4 < (mask == 0).float().mean() < 0.6


def test_successive_layers_get_different_masks():
    source = masks()
    x = torch.zeros(1, 50, 8)
    assert not torch.equal(source.mask(x, 0.5), source.mask(x, 0.5))


def test_only_dropout_layers_are_switched_on_and_only_those_that_take_part():
    net = network(compat="published")
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with dropout_from(net, masks()) as _:
        assert not any(module.training for module in net.modules())
        on = {name for name, m in net.named_modules() if isinstance(m, Dropout) and m.source is not None}
        every = {name for name, m in net.named_modules() if isinstance(m, Dropout)}
        assert every - on == {"blocks.0.recurrent.lstm.dropout"}
        net(torch.randn(1, 50, 1), torch.arange(50.0)[None], torch.ones(1, 50, dtype=torch.bool))
    for name, value in net.state_dict().items():  # running statistics above all
        assert torch.equal(value, before[name]), name


def test_the_source_is_gone_after_an_exception():
    net = network()
    with pytest.raises(RuntimeError, match="stop"), dropout_from(net, masks()):
        raise RuntimeError("stop")
    assert all(m.source is None for m in net.modules() if isinstance(m, Dropout))
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


def with_plain_dropout(module: nn.Module) -> nn.Module:
    for name, child in module.named_children():
        if isinstance(child, Dropout):
            setattr(module, name, Plain(child.rate))
        else:
            with_plain_dropout(child)
    return module


@pytest.mark.parametrize("choice", [{}, {"compat": "published"}, {"bilstm": False}, {"attention": False}])
def test_passes_that_share_their_beginning_answer_as_passes_on_their_own(choice):
    torch.manual_seed(0)
    config = AstrafierConfig(classes=3, embed=8, heads=2, hidden=16, kernels=(3, 15), context=2, **choice)
    network, passes = Astrafier(config).eval(), 4
    lengths = torch.tensor([40, 25])
    mask = torch.arange(40) < lengths[:, None]
    batch = torch.randn(2, 40, 1), torch.arange(40.0).repeat(2, 1), mask, torch.randn(2, 2)
    frames = np.repeat([40, 25] if not choice.get("compat") else [40, 40], passes)
    with torch.no_grad():
        with dropout_from(network, ObjectMasks(streams(["a", "b"], range(passes), 1), frames)):
            shared = network(*batch, passes=passes)
        with dropout_from(network, ObjectMasks(streams(["a", "b"], range(passes), 1), frames)):
            own = network(*(x.repeat_interleave(passes, 0) for x in batch))
    assert shared.logits.shape == (8, 3)
    assert shared.logits[:4].std(0).min() > 1e-4  # the passes differ
    torch.testing.assert_close(shared.logits, own.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(shared.embedding, own.embedding, atol=1e-5, rtol=0)


def test_the_answers_are_distributed_as_with_torch_s_own_dropout():
    passes, T = 800, 24
    x = torch.randn(1, T, 1, generator=torch.Generator().manual_seed(1))
    batch = x.repeat(passes, 1, 1), (torch.arange(T) / 48).repeat(passes, 1), torch.ones(passes, T, dtype=torch.bool)
    with torch.inference_mode():
        ours = network()
        with dropout_from(ours, masks(("star",), range(passes), T=T)):
            a = ours(*batch).logits.double().numpy()
        torch.manual_seed(5)
        b = with_plain_dropout(network())(*batch).logits.double().numpy()
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


def test_agreeing_passes_tell_nothing_and_opposed_ones_a_bit():
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
