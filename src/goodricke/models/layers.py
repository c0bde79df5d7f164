"""Layers shared by the networks. Tensors are channels-last, ``(B, T, C)``; a mask ``(B, T)`` is True where a point is.

Every layer gives an object the same answer alone and in company: nothing is computed across the batch at inference,
and nothing is read from padding.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

# From this kernel size on, a convolution is cheaper as a product of Fourier transforms (measured at C = 128).
FFT_KERNEL = 64


class DropoutMasks(Protocol):
    """A source of dropout masks for Monte-Carlo passes; see `goodricke.uncertainty.mc_dropout`."""

    def mask(self, x: Tensor, rate: float) -> Tensor:
        """Return zeros and ``1 / (1 - rate)``, shaped like ``x``."""


class Dropout(nn.Module):
    """Dropout in training; at inference the identity, unless a source of masks is set (Monte-Carlo dropout).

    Parameters
    ----------
    rate : float
    monte_carlo : bool
        Whether Monte-Carlo passes may switch it on.
    """

    def __init__(self, rate: float, monte_carlo: bool = True) -> None:
        super().__init__()
        self.rate, self.monte_carlo = rate, monte_carlo
        self.source: DropoutMasks | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements of ``x``, any shape."""
        if self.source is not None:
            return x * self.source.mask(x, self.rate)
        return F.dropout(x, self.rate, self.training)

    def extra_repr(self) -> str:
        """Show the rate."""
        return f"{self.rate}"


class Conv(nn.Conv1d):
    """A 1-D convolution over time, ``(B, T, C) -> (B, T, C')``, zero-padded to keep T."""

    def __init__(self, c_in: int, c_out: int, kernel: int) -> None:
        super().__init__(c_in, c_out, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``x`` (B, T, C)."""
        if self.kernel_size[0] >= FFT_KERNEL and x.device.type == "cpu":
            return fft_convolution(x, self.weight, self.bias)
        # as a 2-D convolution of height one: on a CPU that takes channels-last tensors as they are
        plane = x.transpose(1, 2).unsqueeze(2)  # (B, C, 1, T)
        y = F.conv2d(plane, self.weight.unsqueeze(2), self.bias, padding=(0, self.kernel_size[0] // 2))
        return y.squeeze(2).transpose(1, 2)  # (B, T, C')


def fft_convolution(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve over time through Fourier transforms: the same numbers as `Conv` up to rounding.

    Parameters
    ----------
    x : Tensor (B, T, C)
    weight : Tensor (C', C, K)
        As in ``torch.nn.Conv1d``: the result correlates ``x`` with it, zero-padded by ``K // 2`` on each side.
    bias : Tensor (C',) or None
    """
    T, K = x.shape[1], weight.shape[2]
    n = _fast_length(T + K - 1)
    spectrum = torch.fft.rfft(at_least_float32(x), n, dim=1)  # (B, F, C)
    kernel = torch.fft.rfft(at_least_float32(weight).flip(2), n, dim=2)  # (C', C, F)
    product = torch.einsum("bfc,ocf->bfo", spectrum, kernel)  # (B, F, C')
    y = torch.fft.irfft(product, n, dim=1)[:, K // 2 : K // 2 + T]  # (B, T, C')
    return (y if bias is None else y + bias).to(x.dtype)


def at_least_float32(x: Tensor) -> Tensor:
    """Widen half precision to float32, in which sums over a light curve keep their digits; leave float64 as it is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _fast_length(n: int) -> int:
    """Return the smallest 2^a 3^b 5^c from ``n`` on: what Fourier transforms like."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1


class MaskedGroupNorm(nn.Module):
    """Group normalisation with one group whose statistics see the valid frames alone (Wu & He 2018).

    Parameters
    ----------
    channels : int
    affine : bool
        Whether each channel has a gain and a bias.
    """

    def __init__(self, channels: int, affine: bool = True, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Normalise ``x`` (B, T, C) over its frames in ``mask`` (B, T) and all channels."""
        kept = mask.unsqueeze(2).float()  # (B, T, 1)
        count = (kept.sum(1, keepdim=True) * x.shape[2]).clamp(min=1)  # (B, 1, 1)
        wide = at_least_float32(x)
        mean = (wide * kept).sum((1, 2), keepdim=True) / count  # (B, 1, 1)
        centred = wide - mean  # (B, T, C)
        variance = (centred.square() * kept).sum((1, 2), keepdim=True) / count  # (B, 1, 1)
        y = centred * torch.rsqrt(variance + self.eps)  # (B, T, C)
        if self.weight is not None and self.bias is not None:
            y = torch.addcmul(self.bias, y, self.weight)
        return y.to(x.dtype)


class BiLSTM(nn.Module):
    """A bidirectional LSTM whose backward direction starts at each light curve's last valid frame.

    Parameters
    ----------
    channels : int
        Of the input.
    hidden : int
        Per direction; the output has twice as many channels.
    layers : int
    dropout : float
        Between layers.
    monte_carlo : bool
        Whether Monte-Carlo passes drop between layers too (the published code's don't).
    """

    def __init__(self, channels: int, hidden: int, layers: int, dropout: float, monte_carlo: bool = True) -> None:
        super().__init__()
        sizes = [channels] + [2 * hidden] * (layers - 1)
        self.forwards = nn.ModuleList(nn.LSTM(size, hidden, batch_first=True) for size in sizes)
        self.backwards = nn.ModuleList(nn.LSTM(size, hidden, batch_first=True) for size in sizes)
        self.dropout = Dropout(dropout, monte_carlo)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Read ``x`` (B, T, C), valid in ``mask`` (B, T), both ways; return (B, T, 2 hidden).

        Frames outside the mask hold numbers without meaning.
        """
        turned = reversal(mask)  # (B, T)
        for k, (forwards, backwards) in enumerate(zip(self.forwards, self.backwards, strict=True)):
            x = self.dropout(x) if k else x  # (B, T, C)
            ahead, _ = forwards(x)  # (B, T, hidden)
            back, _ = backwards(_reorder(x, turned))  # (B, T, hidden)
            x = torch.cat([ahead, _reorder(back, turned)], 2)  # (B, T, 2 hidden)
        return x


def reversal(mask: Tensor) -> Tensor:
    """Return the frame indices (B, T) that turn each light curve back to front within its valid length."""
    frames = torch.arange(mask.shape[1], device=mask.device)  # (T,)
    length = mask.sum(1, keepdim=True)  # (B, 1)
    return torch.where(frames < length, length - 1 - frames, frames)  # (B, T)


def _reorder(x: Tensor, index: Tensor) -> Tensor:
    return x.gather(1, index.unsqueeze(2).expand_as(x))


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Return the mean (B, C) of ``x`` (B, T, C) over the frames in ``mask`` (B, T); zero without any (Eq. 6)."""
    kept = mask.unsqueeze(2).to(x.dtype)  # (B, T, 1)
    return (x * kept).sum(1) / kept.sum(1).clamp(min=1)  # (B, C)
