"""The network: its size (promise 3), its indifference to company (promise 2), its ablations and its precision."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from goodricke.models.astrafier import Astrafier, AstrafierConfig, positional_encoding
from goodricke.models.dropout import Dropout
from goodricke.models.output import NetworkOutput

# Every way the network can be built; the longest kernel goes through Fourier transforms on a CPU.
SMALL = {"classes": 3, "embed": 8, "heads": 2, "blocks": 2, "hidden": 12, "kernels": (3, 7, 65)}
CHOICES: dict[str, dict[str, Any]] = {
    "default": {},
    "fast encoding": {"encoding": "fast"},
    "published projection": {"projection": "published"},
    "both": {"encoding": "fast", "projection": "published"},
    "context": {"context": 3},
    "spectrum": {"context": 23, "spectrum": 10},
    "channels": {"channels": 2},
    "no bilstm": {"bilstm": False},
    "no attention": {"attention": False},
    "no cnn": {"cnn": False},
    "bilstm alone": {"attention": False, "cnn": False},
    "attention alone": {"bilstm": False, "cnn": False, "context": 3},
    "cnn alone": {"bilstm": False, "attention": False},
}
every_choice = pytest.mark.parametrize("choice", CHOICES)
Curve = tuple[Tensor, Tensor]


def network(seed: int = 0, **changes: Any) -> Astrafier:
    """Return a small network in evaluation mode, every parameter off its initial value."""
    torch.manual_seed(seed)
    model = Astrafier(AstrafierConfig(**(SMALL | changes))).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return model


def curves(lengths: list[int], channels: int = 1, seed: int = 1) -> list[Curve]:
    """Return a light curve of each length, values (n, channels) and times (n,)."""
    generator = torch.Generator().manual_seed(seed)
    spans = [27 * torch.rand(n, generator=generator).sort().values for n in lengths]
    return [(torch.randn(n, channels, generator=generator), t - t[:1]) for n, t in zip(lengths, spans, strict=True)]


def batch(sample: list[Curve], more: int = 0, fill: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """Pad light curves to the longest and ``more``; return values (B, T, channels), time and mask (B, T)."""
    T = max(len(time) for _, time in sample) + more
    values = torch.full((len(sample), T, sample[0][0].shape[1]), fill)
    time, mask = torch.full((len(sample), T), fill), torch.zeros(len(sample), T, dtype=torch.bool)
    for k, (v, t) in enumerate(sample):
        values[k, : len(t)], time[k, : len(t)], mask[k, : len(t)] = v, t, True
    return values, time, mask


def run(model: Astrafier, sample: list[Curve], more: int = 0, fill: float = 0.0) -> NetworkOutput:
    """Classify light curves; the context of each is a function of its length."""
    wave = torch.arange(model.config.context).cos()
    context = torch.stack([len(t) / 10 + wave for _, t in sample]) if model.config.context else None
    with torch.no_grad():
        return model(*batch(sample, more, fill), context)


def assert_same(result: NetworkOutput, expected: NetworkOutput, atol: float = 1e-5) -> None:
    """Compare logits and embeddings."""
    torch.testing.assert_close(result.logits, expected.logits, atol=atol, rtol=0)
    torch.testing.assert_close(result.embedding, expected.embedding, atol=atol, rtol=0)


def rows(output: NetworkOutput, index: Any) -> NetworkOutput:
    """Pick objects."""
    return NetworkOutput(output.logits[index], output.embedding[index], output.features[index])


class TestSize:
    @pytest.mark.parametrize("projection", ["paper", "published"])
    @pytest.mark.parametrize("compat", ["paper", "published"])
    def test_of_the_paper(self, projection: str, compat: str) -> None:
        config = AstrafierConfig(projection=projection, compat=compat)
        assert Astrafier(config).n_parameters == 8_755_240

    @pytest.mark.parametrize(
        ("switch", "names", "per_block"),
        [
            ("bilstm", ("recurrent", "norm1"), 165_888 + 246_528 + 128),
            ("attention", ("transformer",), 16_640 + 230_144 + 256),
            ("cnn", ("convolution", "norm2"), 2_254_336 + 128),
        ],
    )
    def test_of_the_ablations_of_table_6(self, switch: str, names: tuple[str, ...], per_block: int) -> None:
        complete, less = Astrafier(AstrafierConfig()), Astrafier(AstrafierConfig(**{switch: False}))
        gone = {key for key in complete.state_dict() if key.startswith(f"blocks.{key.split('.')[1]}.")}
        gone = {key for key in gone if key.split(".")[2] in names}
        assert set(complete.state_dict()) - set(less.state_dict()) == gone
        assert set(less.state_dict()) <= set(complete.state_dict())
        assert less.n_parameters == 8_755_240 - 3 * per_block

    def test_dropout_at_the_papers_26_places_and_between_lstm_layers(self) -> None:
        result = {
            name: m for name, m in Astrafier(AstrafierConfig(dropout=0.2)).named_modules() if isinstance(m, Dropout)
        }
        between = [name for name in result if name.endswith("recurrent.lstm.dropout")]
        assert len(between) == 3
        assert len(result) == 26 + len(between)
        assert {m.rate for m in result.values()} == {0.2}

    def test_every_dropout_acts(self) -> None:
        model, some = network(dropout=0.5), curves([30])
        plain = run(model, some).logits
        for module in [m for m in model.modules() if isinstance(m, Dropout)]:
            module.train()
            torch.manual_seed(0)
            assert not torch.equal(run(model, some).logits, plain)
            module.eval()


class TestCompany:
    @every_choice
    @given(
        lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
        more=st.integers(0, 50),
        order=st.randoms(use_true_random=False),
    )
    @settings(max_examples=8, deadline=None)
    def test_alone_and_in_any_batch(self, choice: str, lengths: list[int], more: int, order: Any) -> None:
        model = network(**CHOICES[choice])
        some = curves(lengths, model.config.channels)
        together = run(model, some, more)
        turned = order.sample(range(len(some)), len(some))
        assert_same(run(model, [some[k] for k in turned]), rows(together, turned))
        for k, curve in enumerate(some):
            assert_same(run(model, [curve]), rows(together, slice(k, k + 1)))

    @every_choice
    def test_beside_a_much_longer_light_curve(self, choice: str) -> None:
        model = network(**CHOICES[choice])
        some = curves([1, 5, 60, 1500], model.config.channels)
        assert_same(rows(run(model, some), slice(0, 3)), run(model, some[:3]))

    @every_choice
    @pytest.mark.parametrize("garbage", [math.nan, math.inf, 1e6])
    def test_nothing_is_read_from_padding(self, choice: str, garbage: float) -> None:
        model = network(**CHOICES[choice])
        some = curves([3, 20, 41], model.config.channels)
        assert_same(run(model, some, more=10, fill=garbage), run(model, some, more=10))

    @pytest.mark.parametrize("garbage", [math.nan, 1e6])
    def test_as_published_at_one_padded_length(self, garbage: float) -> None:
        model = network(compat="published", projection="published")
        some = curves([3, 20, 41])
        together = run(model, some)
        assert_same(run(model, some[:2], more=21, fill=garbage), rows(together, slice(0, 2)))

    def test_the_answer_depends_on_the_light_curve(self) -> None:
        """Company would be kept by a network that reads nothing."""
        model = network()
        (values, time), (others, _) = curves([50, 50])
        spread = [run(model, [c]).logits for c in ((values, time), (others, time), (values, 2 * time))]
        assert min((a - b).abs().max() for a, b in ((spread[0], spread[1]), (spread[0], spread[2]))) > 1e-3


class TestNoPoints:
    @every_choice
    def test_gives_finite_numbers_and_disturbs_no_one(self, choice: str) -> None:
        model = network(**CHOICES[choice])
        some = curves([0, 12], model.config.channels)
        output = run(model, some)
        assert output.logits.isfinite().all()
        assert output.embedding[0].abs().max() == 0
        assert_same(rows(output, slice(1, 2)), run(model, some[1:]))
        assert_same(run(model, some[:1], more=4), rows(output, slice(0, 1)))

    def test_attention_is_never_left_without_keys(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Older versions of torch answer NaN, newer ones zero."""
        attend, masks = F.scaled_dot_product_attention, []

        def watched(*args: Tensor, attn_mask: Tensor) -> Tensor:
            masks.append(attn_mask)
            return attend(*args, attn_mask=attn_mask)

        monkeypatch.setattr(F, "scaled_dot_product_attention", watched)
        run(network(), curves([0, 12]))
        assert len(masks) == 2
        assert all(mask.any(-1).all() for mask in masks)

    @pytest.mark.parametrize("compat", ["paper", "published"])
    def test_gradients_stay_finite(self, compat: str) -> None:
        model = network(compat=compat)
        model(*batch(curves([0, 12]))).logits.square().sum().backward()
        assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


class TestEncoding:
    @pytest.mark.parametrize(("encoding", "sign"), [("paper", -1), ("fast", 1)])
    def test_equations_2_and_3(self, encoding: str, sign: int) -> None:
        config = AstrafierConfig(**(SMALL | {"encoding": encoding}))
        _, time, mask = batch(curves([9, 4]), more=3)
        time = time / 10  # within the reach of float32 for the fast phases
        result = positional_encoding(time, mask, config)
        for k, n in enumerate((9, 4)):
            for i in range(4):
                phase = time[k, :n].double() * 10000.0 ** (sign * 2 * i / 8) * 8 / n
                torch.testing.assert_close(result[k, :n, 2 * i].double(), phase.sin(), atol=1e-3, rtol=0)
                torch.testing.assert_close(result[k, :n, 2 * i + 1].double(), phase.cos(), atol=1e-3, rtol=0)

    def test_is_float32_under_autocast(self) -> None:
        """The fast phases reach thousands of radians, which bfloat16 can't hold."""
        config = AstrafierConfig(**(SMALL | {"encoding": "fast"}))
        _, time, mask = batch(curves([40]))
        with torch.autocast("cpu", torch.bfloat16):
            result = positional_encoding(time, mask, config)
        assert torch.equal(result, positional_encoding(time, mask, config))


class TestPrecision:
    @pytest.mark.parametrize("projection", ["paper", "published"])
    @pytest.mark.parametrize("compat", ["paper", "published"])
    def test_float32_agrees_with_float64(self, projection: str, compat: str) -> None:
        model = network(projection=projection, compat=compat)
        values, time, mask = batch(curves([80, 31]))
        with torch.no_grad():
            single = model(values, time, mask)
            double = model.double()(values.double(), time.double(), mask)
        assert double.logits.dtype == torch.float64
        assert_same(
            single._replace(logits=single.logits.double(), embedding=single.embedding.double()), double, atol=2e-4
        )

    def test_bfloat16_stays_close(self) -> None:
        model, some = network(), curves([80, 31])
        plain = run(model, some)
        with torch.autocast("cpu", torch.bfloat16):
            result = run(model, some)
        assert result.embedding.dtype == torch.float32
        assert_same(result._replace(logits=result.logits.float()), plain, atol=0.2)


class TestGradient:
    @every_choice
    @pytest.mark.parametrize("compat", ["paper", "published"])
    def test_reaches_every_parameter(self, choice: str, compat: str) -> None:
        model = network(**CHOICES[choice], compat=compat)
        some = curves([40, 25], model.config.channels)
        context = torch.randn(2, model.config.context) if model.config.context else None
        model(*batch(some), context).logits.square().sum().backward()
        still = [k for k, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
        assert still == []

    def test_is_none_in_padding(self) -> None:
        model = network()
        values, time, mask = batch(curves([20, 9]), more=5)
        model(values.requires_grad_(), time, mask).logits.sum().backward()
        assert (values.grad[~mask] == 0).all()
        assert (values.grad[mask] != 0).all()


class TestContext:
    def test_reaches_the_logits_and_not_the_embedding(self) -> None:
        model, some = network(context=2), batch(curves([20, 20]))
        with torch.no_grad():
            one, other = model(*some, torch.zeros(2, 2)), model(*some, torch.ones(2, 2))
        assert (one.logits - other.logits).abs().min() > 0
        assert torch.equal(one.embedding, other.embedding)


class TestConfig:
    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            ({"embed": 10, "heads": 4}, "embed=10 must be a multiple of heads=4"),
            ({"kernels": (3, 4)}, r"kernels must be odd, not \(3, 4\)"),
            ({"bilstm": False, "attention": False, "cnn": False}, "at least one of"),
            ({"classes": 1}, "classes"),
            ({"dropout": 1.0}, "dropout"),
            ({"encoding": "slow"}, "encoding"),
            ({"compat": "becker"}, "compat"),
            ({"layers": 5}, "layers"),
        ],
    )
    def test_names_what_is_wrong(self, change: dict[str, Any], complaint: str) -> None:
        with pytest.raises(ValueError, match=complaint):
            AstrafierConfig(**change)

    def test_survives_json(self) -> None:
        config = AstrafierConfig(encoding="fast", kernels=(3, 5), context=2)
        assert AstrafierConfig.model_validate_json(config.model_dump_json()) == config

    @pytest.mark.parametrize("blocks", [1, 4])
    def test_blocks_are_counted(self, blocks: int) -> None:
        assert len(network(blocks=blocks).blocks) == blocks
