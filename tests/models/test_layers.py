"""Every layer against its plain counterpart in torch, and against its own padding."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from goodricke.models import layers
from goodricke.models.dropout import dropout_mask
from goodricke.models.layers import (
    FFT_KERNEL,
    BiLSTM,
    Conv,
    Dropout,
    MaskedGroupNorm,
    at_least_float32,
    fft_convolution,
    kernel_spectrum,
    masked_mean,
    reversal,
    tile_length,
)


def prefix_mask(lengths: list[int], T: int | None = None) -> Tensor:
    """Return a mask (B, T) of valid prefixes."""
    return torch.arange(T or max(lengths)) < torch.tensor(lengths)[:, None]


def scattered(module: nn.Module, seed: int = 0) -> nn.Module:
    """Move every parameter off its initial value: a gain of one or a bias of zero hides mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return module


class TestConv:
    @pytest.mark.parametrize("T", [1, 30, 200])
    @pytest.mark.parametrize("kernel", [1, 3, 15, FFT_KERNEL + 1, 111])
    def test_is_torchs_conv1d(self, kernel: int, T: int) -> None:
        torch.manual_seed(0)
        conv, x = Conv(6, 4, kernel), torch.randn(3, T, 6)
        expected = F.conv1d(x.transpose(1, 2), conv.weight, conv.bias, padding=kernel // 2).transpose(1, 2)
        assert conv(x).shape == (3, T, 4)
        torch.testing.assert_close(conv(x), expected, atol=1e-5, rtol=0)

    @pytest.mark.parametrize("with_bias", [True, False])
    @pytest.mark.parametrize(("T", "kernel"), [(1, 3), (50, 7), (50, 111), (243, 111)])
    def test_fourier_twin_and_its_gradients(self, T: int, kernel: int, with_bias: bool) -> None:
        torch.manual_seed(1)
        x = torch.randn(2, T, 5, requires_grad=True)
        weight = (torch.randn(4, 5, kernel) / (5 * kernel) ** 0.5).requires_grad_()
        bias = torch.randn(4, requires_grad=True) if with_bias else None
        inputs = [x, weight] + ([bias] if bias is not None else [])
        fast = fft_convolution(x, kernel_spectrum(weight, tile_length(kernel, T)), bias, kernel)
        plain = F.conv1d(x.transpose(1, 2), weight, bias, padding=kernel // 2).transpose(1, 2)
        pull = torch.randn_like(fast)
        torch.testing.assert_close(fast, plain, atol=1e-5, rtol=0)
        gradients = torch.autograd.grad(fast, inputs, pull), torch.autograd.grad(plain, inputs, pull)
        for ours, theirs in zip(*gradients, strict=True):
            torch.testing.assert_close(ours, theirs, atol=5e-5, rtol=1e-5)

    def test_fourier_twin_keeps_the_precision_it_is_given(self) -> None:
        x, weight = torch.randn(1, 40, 2, dtype=torch.float64), torch.randn(2, 2, 65, dtype=torch.float64)
        plain = F.conv1d(x.transpose(1, 2), weight, padding=32).transpose(1, 2)
        torch.testing.assert_close(
            fft_convolution(x, kernel_spectrum(weight, 128), None, 65), plain, atol=1e-12, rtol=0
        )
        half = fft_convolution(x.bfloat16(), kernel_spectrum(weight.float(), 128), None, 65)
        assert half.dtype == torch.bfloat16

    def test_fourier_twin_keeps_its_digits_under_autocast(self) -> None:
        conv, x = Conv(2, 2, 15), torch.randn(1, 30, 2)
        with torch.no_grad():
            expected = F.conv1d(x.transpose(1, 2), conv.weight, conv.bias, padding=7).transpose(1, 2)
            with torch.autocast("cpu", torch.bfloat16):
                torch.testing.assert_close(conv(x), expected, atol=1e-5, rtol=1e-5)

    def test_direct_as_on_a_gpu_in_half_precision(self, monkeypatch: pytest.MonkeyPatch) -> None:
        conv, x = Conv(16, 16, 111), torch.randn(2, 150, 16, requires_grad=True)
        expected = conv(x)
        monkeypatch.setattr(layers, "FFT_KERNEL", 1000)
        with torch.autocast("cpu", torch.bfloat16):
            result = conv(x)
        assert result.dtype == torch.bfloat16
        torch.testing.assert_close(result.float(), expected, atol=2e-2, rtol=0)
        result.float().square().sum().backward()
        assert conv.weight.grad is not None
        assert conv.weight.grad.isfinite().all()

    def test_weights_made_at_inference(self) -> None:
        with torch.inference_mode():
            conv, x = Conv(2, 2, 15), torch.randn(1, 30, 2)
            expected = F.conv1d(x.transpose(1, 2), conv.weight, conv.bias, padding=7).transpose(1, 2)
            torch.testing.assert_close(conv(x), expected, atol=1e-5, rtol=1e-5)

    @pytest.mark.parametrize("change", ["in place", "loaded", "trained", "replaced"])
    def test_changed_weights_are_noticed(self, change: str) -> None:
        conv, other, x = Conv(2, 2, 15), Conv(2, 2, 15), torch.randn(1, 30, 2)
        with torch.inference_mode():
            before = conv(x)
            assert conv.spectrum(30) is conv.spectrum(30)  # computed once
        match change:
            case "in place":
                with torch.no_grad():
                    conv.weight += 1
            case "loaded":
                conv.load_state_dict(other.state_dict())
            case "trained":
                conv(x).sum().backward()
                torch.optim.SGD(conv.parameters(), 1.0).step()
            case "replaced":
                conv.weight = nn.Parameter(other.weight.detach().clone())
        expected = F.conv1d(x.transpose(1, 2), conv.weight, conv.bias, padding=7).transpose(1, 2)
        with torch.inference_mode():
            assert not torch.allclose(conv(x), before)
            torch.testing.assert_close(conv(x), expected, atol=1e-5, rtol=1e-5)


class TestMaskedGroupNorm:
    @pytest.mark.parametrize("affine", [True, False])
    def test_is_torchs_group_norm_without_padding(self, affine: bool) -> None:
        torch.manual_seed(2)
        ours, theirs = MaskedGroupNorm(6, affine), nn.GroupNorm(1, 6, affine=affine)
        scattered(ours), scattered(theirs)
        x = 3 * torch.randn(4, 20, 6) + 2
        y = ours(x, prefix_mask([20] * 4))
        torch.testing.assert_close(y, theirs(x.transpose(1, 2)).transpose(1, 2), atol=1e-5, rtol=0)

    @given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4), more=st.integers(0, 6))
    @settings(max_examples=25, deadline=None)
    def test_padding_does_not_count(self, lengths: list[int], more: int) -> None:
        norm = scattered(MaskedGroupNorm(3))
        mask = prefix_mask(lengths, max(lengths) + more)
        x = torch.randn(*mask.shape, 3, generator=torch.Generator().manual_seed(3)) + 100 * ~mask[..., None]
        y = norm(x, mask)
        for k, n in enumerate(lengths):
            single = norm(x[k : k + 1, :n], prefix_mask([n]))[0]
            torch.testing.assert_close(y[k, :n], single, atol=1e-5, rtol=0)

    def test_a_light_curve_without_points_is_finite(self) -> None:
        assert MaskedGroupNorm(3)(torch.randn(2, 5, 3), prefix_mask([0, 5])).isfinite().all()

    def test_keeps_double_precision(self) -> None:
        x, mask = 3 + torch.randn(2, 30, 4, dtype=torch.float64), prefix_mask([30, 30])
        expected = F.group_norm(x.transpose(1, 2), 1).transpose(1, 2)
        torch.testing.assert_close(MaskedGroupNorm(4, affine=False)(x, mask), expected, atol=1e-12, rtol=0)

    def test_half_precision_goes_in_and_comes_out(self) -> None:
        x, mask = 1000 + torch.randn(1, 400, 4), prefix_mask([400])
        y = MaskedGroupNorm(4)(x.bfloat16(), mask)
        assert y.dtype == torch.bfloat16
        torch.testing.assert_close(y.float(), MaskedGroupNorm(4)(x.bfloat16().float(), mask), atol=2e-2, rtol=0)


@pytest.mark.parametrize("by_trial", [True, False], ids=["as this CPU can", "as a CPU without AVX-512 or a GPU does"])
def test_under_autocast_an_lstm_computes_in_bfloat16_where_it_can_and_else_in_float32(
    monkeypatch: pytest.MonkeyPatch, by_trial: bool
) -> None:
    lstm, mask = scattered(BiLSTM(3, 4, 2, 0.0)), prefix_mask([9, 5])
    x = torch.randn(2, 9, 3, generator=torch.Generator().manual_seed(5))
    exact = lstm(x, mask)
    if not by_trial:
        monkeypatch.setattr(layers, "has_bfloat16_lstm", lambda: False)
    half = by_trial and layers.has_bfloat16_lstm()
    with torch.autocast("cpu", torch.bfloat16):
        result = lstm(x, mask)
    assert result.dtype == (torch.bfloat16 if half else torch.float32)
    torch.testing.assert_close(result.float(), exact, atol=2e-2 if half else 1e-6, rtol=0)


def twins(channels: int, hidden: int, layers: int) -> tuple[BiLSTM, nn.LSTM]:
    """Return a `BiLSTM` and torch's with the same weights."""
    actual = scattered(BiLSTM(channels, hidden, layers, 0.5)).eval()
    reference = nn.LSTM(channels, hidden, layers, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for name, parameter in reference.named_parameters():
            kind, _, remaining = name.partition("_l")
            direction = actual.backwards if remaining.endswith("_reverse") else actual.forwards
            parameter.copy_(getattr(direction[int(remaining[0])], f"{kind}_l0"))
    return actual, reference


class TestBiLSTM:
    @given(
        lengths=st.lists(st.integers(1, 14), min_size=1, max_size=4), more=st.integers(0, 5), layers=st.integers(1, 3)
    )
    @settings(max_examples=25, deadline=None)
    def test_is_torchs_packed_lstm(self, lengths: list[int], more: int, layers: int) -> None:
        ours, theirs = twins(3, 4, layers)
        mask = prefix_mask(lengths, max(lengths) + more)
        x = torch.randn(*mask.shape, 3, generator=torch.Generator().manual_seed(4)) + 9 * ~mask[..., None]
        packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
        expected, _ = nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True, total_length=mask.shape[1])
        y = ours(x, mask)
        assert y.shape == (*mask.shape, 8)
        torch.testing.assert_close(y[mask], expected[mask], atol=1e-5, rtol=0)

    def test_drops_out_between_layers_in_training_alone(self) -> None:
        ours, theirs = twins(3, 4, 2)
        x, mask = torch.randn(2, 6, 3), prefix_mask([6, 6])
        torch.testing.assert_close(ours(x, mask), theirs(x)[0], atol=1e-5, rtol=0)
        ours.train()
        assert not torch.equal(ours(x, mask), ours(x, mask))
        single = BiLSTM(3, 4, 1, 0.5).train()
        assert torch.equal(single(x, mask), single(x, mask))


class TestReversal:
    def test_turns_each_light_curve_within_its_length(self) -> None:
        expected = [[3, 2, 1, 0], [1, 0, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3]]
        assert reversal(prefix_mask([4, 2, 1, 0])).tolist() == expected

    def test_twice_is_nothing(self) -> None:
        index = reversal(prefix_mask([5, 3, 1, 0]))
        assert torch.equal(index.gather(1, index), torch.arange(5).expand(4, 5))


class TestMaskedMean:
    def test_averages_the_valid_frames(self) -> None:
        x, mask = torch.randn(3, 7, 2), prefix_mask([7, 4, 1])
        expected = torch.stack([x[0].mean(0), x[1, :4].mean(0), x[2, 0]])
        torch.testing.assert_close(masked_mean(x, mask), expected)

    def test_is_zero_without_any(self) -> None:
        assert masked_mean(torch.ones(1, 4, 2), prefix_mask([0], 4)).tolist() == [[0.0, 0.0]]


class TestDropout:
    def test_is_the_identity_at_inference(self) -> None:
        x = torch.randn(3, 4)
        assert torch.equal(Dropout(0.5).eval()(x), x)

    def test_drops_its_share_and_keeps_the_mean_in_training(self) -> None:
        torch.manual_seed(5)
        y = Dropout(0.2).train()(torch.ones(100_000))
        assert set(y.unique().tolist()) == {0.0, 1.25}
        assert (y == 0).float().mean().item() == pytest.approx(0.2, abs=0.01)

    @pytest.mark.parametrize("training", [True, False])
    def test_takes_its_masks_from_the_rows_keys(self, training: bool) -> None:
        dropout, x = Dropout(0.5).train(training), torch.randn(2, 9, 4)
        dropout.keys = torch.tensor([1, 2])
        assert torch.equal(dropout(x), x * dropout_mask(dropout.keys, x, 0.5))


@pytest.mark.parametrize(
    ("given_type", "expected"),
    [(torch.bfloat16, torch.float32), (torch.float16, torch.float32), (torch.float64, torch.float64)],
)
def test_half_precision_is_widened(given_type: torch.dtype, expected: torch.dtype) -> None:
    assert at_least_float32(torch.zeros(1, dtype=given_type)).dtype == expected
