"""Monte-Carlo dropout: the right masks, the object's own, and as torch's dropout in distribution."""

import numpy as np
import pytest
import torch
from torch import nn

from goodricke.models.astrafier import Astrafier, AstrafierConfig
from goodricke.models.dropout import Dropout, counted, dropout_from, dropout_mask, row_keys
from goodricke.uncertainty.entropy import entropy, summarise

SIZES = {"classes": 3, "embed": 8, "heads": 2, "hidden": 16, "blocks": 1, "kernels": (3, 7), "dropout": 0.2}
KEYS = row_keys(["a"], [0], 0)


def network(seed=0, **changes) -> Astrafier:
    torch.manual_seed(seed)
    made = Astrafier(AstrafierConfig(**(SIZES | changes))).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return made


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
    assert len(np.unique(np.concatenate([keys, *counted(keys, 30)]))) == 31 * 4000


def test_successive_layers_get_different_masks():
    net = network()
    with dropout_from(net, row_keys(["a"], [0, 1], 0)):
        keys = [m.keys.tolist() for m in net.modules() if isinstance(m, Dropout)]
    assert len(keys) == 11
    assert len({key for pair in keys for key in pair}) == 22


def test_only_dropout_layers_are_switched_on_and_only_those_that_take_part():
    net = network(compat="published")
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with dropout_from(net, KEYS) as _:
        assert not any(module.training for module in net.modules())
        on = {name for name, m in net.named_modules() if isinstance(m, Dropout) and m.keys is not None}
        every = {name for name, m in net.named_modules() if isinstance(m, Dropout)}
        assert every - on == {"blocks.0.recurrent.lstm.dropout"}
        net(torch.randn(1, 50, 1), torch.arange(50.0)[None], torch.ones(1, 50, dtype=torch.bool))
    for name, value in net.state_dict().items():  # running statistics above all
        assert torch.equal(value, before[name]), name


def test_the_keys_are_gone_after_an_exception():
    net = network()
    with pytest.raises(RuntimeError, match="stop"), dropout_from(net, KEYS):
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
    keys = row_keys(["a", "b"], range(passes), 1)
    with torch.no_grad():
        with dropout_from(network, keys):
            shared = network(*batch, passes=passes)
        with dropout_from(network, keys):
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
        with dropout_from(ours, row_keys(["star"], range(passes), 0)):
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
