"""Layers shared by the networks. Tensors are channels-last, ``(B, T, C)``; a mask ``(B, T)`` is True where a point is.

The output of every layer for an object doesn't depend on the others in its batch: nothing is computed across the batch
at inference, and nothing is read from padding.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from functools import cache

import torch
import torch.nn.functional as F  # noqa: N812
from einops import rearrange
from torch import Tensor, nn

from goodricke.models.dropout import Dropout

# From this kernel size on, a convolution is cheaper as a product of Fourier transforms on a CPU (measured at C = 128).
FFT_KERNEL = 12


class Conv(nn.Conv1d):
    """A 1-D convolution over time, ``(B, T, C) -> (B, T, C')``, zero-padded to keep T."""

    def __init__(self, c_in: int, c_out: int, kernel: int) -> None:
        super().__init__(c_in, c_out, kernel, padding=kernel // 2)
        self.spectra: dict[tuple[int, int, int], Tensor] = {}  # spectrum by identity of the weights

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``x`` (B, T, C)."""
        # an exported network has only standard operations, for any length
        if self.kernel_size[0] >= FFT_KERNEL and x.device.type == "cpu" and not torch.compiler.is_compiling():
            with torch.autocast("cpu", enabled=False):  # transforms need float32
                return fft_convolution(x, self.spectrum(x.shape[1]), self.bias, self.kernel_size[0])
        # On a GPU always this. An estimate for an H100, a kernel of 111 and 128 channels: 3.6 MFLOP per frame take 6 ns
        # in bfloat16; the transforms, only in float32, move 12 kB per frame, 4 ns: at best 3 % of a pass saved.
        # A 2-D convolution of height one reads channels-last tensors without a copy, on a CPU and in cuDNN.
        plane = x.transpose(1, 2).unsqueeze(2)  # (B, C, 1, T)
        y = F.conv2d(plane, self.weight.unsqueeze(2), self.bias, padding=(0, self.kernel_size[0] // 2))
        return y.squeeze(2).transpose(1, 2)  # (B, T, C')

    def spectrum(self, T: int) -> Tensor:
        """Return the weights' `kernel_spectrum` for T frames, cached at inference."""
        n = tile_length(self.kernel_size[0], T)
        if torch.is_grad_enabled() or self.weight.is_inference():
            return kernel_spectrum(self.weight, n)
        key = self.weight.data_ptr(), self.weight._version, n
        result = self.spectra.get(key)
        if result is None:
            result = kernel_spectrum(self.weight, n)
            self.spectra.clear()
            self.spectra[key] = result
        return result


def tile_length(kernel: int, T: int) -> int:
    """Return the length of the tiles in which T frames are transformed, a power of two.

    Most of a tile four times as long as the kernel is output, and its transforms are cheap (measured at C = 128).
    """
    return 1 << (min(4 * kernel, T + kernel - 1) - 1).bit_length()


def kernel_spectrum(weight: Tensor, n: int) -> Tensor:
    """Return the Fourier transform of a convolution's weights, for `fft_convolution`.

    Parameters
    ----------
    weight : Tensor (C', C, K)
        As in ``torch.nn.Conv1d``.
    n : int
        Length of the tiles, even.

    Returns
    -------
    Tensor (F, 2 C, 2 C')
        The matrix of real and imaginary parts at each of F = n / 2 + 1 frequencies.
    """
    K = weight.shape[2]
    place = torch.arange(K - 1, -1, -1, device=weight.device)  # a correlation is a convolution with the reverse
    turns = torch.outer(torch.arange(n // 2 + 1, device=weight.device), place).double() * (2 * math.pi / n)  # (F, K)
    real, imaginary = turns.cos(), -turns.sin()
    waves = torch.stack([real, imaginary, -imaginary, real], 1).unflatten(1, (2, 2))  # (F, 2 in, 2 out, K)
    wide = at_least_float32(weight)
    return torch.einsum("fabk,oik->faibo", waves.to(wide), wide).flatten(3).flatten(1, 2)


def fft_convolution(x: Tensor, spectrum: Tensor, bias: Tensor | None, kernel: int) -> Tensor:
    """Convolve over time through Fourier transforms of overlapping tiles: equal to `Conv` up to rounding.

    Parameters
    ----------
    x : Tensor (B, T, C)
    spectrum : Tensor (F, 2 C, 2 C')
        Of the weights, see `kernel_spectrum`.
    bias : Tensor (C',) or None
    kernel : int
        Number of weights K in time; the result is zero-padded by ``K // 2`` on each side.
    """
    B, T, _ = x.shape
    n = 2 * (len(spectrum) - 1)
    step = n - kernel + 1  # output frames of a tile
    tiles = -(-T // step)
    padded = F.pad(at_least_float32(x), (0, 0, kernel // 2, tiles * step + kernel - 1 - T - kernel // 2))
    frames = padded.unfold(1, n, step).contiguous()  # (B, tiles, C, n)
    parts = torch.view_as_real(torch.fft.rfft(frames, dim=3))  # (B, tiles, C, F, 2)
    parts = rearrange(parts, "b tile c f two -> f (b tile) (two c)")
    product = torch.bmm(parts, spectrum)  # (F, B tiles, 2 C')
    product = rearrange(product, "f (b tile) (two c) -> b tile c f two", b=B, two=2)
    y = torch.fft.irfft(torch.view_as_complex(product.contiguous()), n, dim=3)[..., kernel - 1 :]
    y = rearrange(y, "b tile c step -> b (tile step) c")[:, :T]
    return (y if bias is None else y + bias).to(x.dtype)


def at_least_float32(x: Tensor) -> Tensor:
    """Convert half precision to float32, in which sums over a light curve keep their digits; float64 stays."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class MaskedGroupNorm(nn.Module):
    """Group normalisation with one group with statistics over the valid frames (Wu & He 2018).

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
        wide = at_least_float32(x)
        valid = mask.unsqueeze(1).to(wide.dtype)  # (B, 1, T)
        count = (valid.sum(2) * x.shape[2]).clamp(min=1)  # (B, 1)
        mean = torch.bmm(valid, wide).sum(2) / count  # (B, 1)
        centred = torch.addcmul(-mean.unsqueeze(2) * valid.mT, wide, valid.mT)  # (B, T, C), zero in padding
        variance = torch.linalg.vector_norm(centred, dim=(1, 2)).square().unsqueeze(1) / count  # (B, 1)
        scale = torch.rsqrt(variance + self.eps).unsqueeze(2)  # (B, 1, 1)
        if self.weight is None or self.bias is None:
            return (centred * scale).to(x.dtype)
        return torch.addcmul(self.bias, centred, scale * self.weight).to(x.dtype)


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
        Whether Monte-Carlo passes drop between layers too (those of the published code don't).
    """

    def __init__(self, channels: int, hidden: int, layers: int, dropout: float, monte_carlo: bool = True) -> None:
        super().__init__()
        sizes = [channels] + [2 * hidden] * (layers - 1)
        self.forwards = nn.ModuleList(nn.LSTM(size, hidden, batch_first=True) for size in sizes)
        self.backwards = nn.ModuleList(nn.LSTM(size, hidden, batch_first=True) for size in sizes)
        self.dropout = Dropout(dropout, monte_carlo)

    def forward(self, x: Tensor, mask: Tensor, passes: int = 1) -> Tensor:
        """Read ``x`` (B, T, C), valid in ``mask`` (B, T), both ways; return (B passes, T, 2 hidden).

        The output outside the mask is undefined. Each row is repeated ``passes`` times, after the layers before the
        first dropout, which all passes share.
        """
        backward_order, exact = reversal(mask), lstm_in_float32(x)  # (B, T)
        for k, (forwards, backwards) in enumerate(zip(self.forwards, self.backwards, strict=True)):
            if k == 1 and self.dropout.monte_carlo:
                x, backward_order, passes = repeat(x, passes), repeat(backward_order, passes), 1
            x = self.dropout(x) if k else x  # (B, T, C)
            with torch.autocast(x.device.type, enabled=False) if exact else nullcontext():
                x = x.float() if exact else x
                ahead, _ = forwards(x)  # (B, T, hidden)
                back, _ = backwards(_reorder(x, backward_order))  # (B, T, hidden)
            x = torch.cat([ahead, _reorder(back, backward_order)], 2)  # (B, T, 2 hidden)
        return repeat(x, passes)


def lstm_in_float32(x: Tensor) -> bool:
    """Return whether an LSTM with input ``x`` computes in float32 even under autocast.

    On a GPU autocast always runs cuDNN's LSTM in float16, in which small gradients would vanish; float32 costs little,
    as the LSTM is limited by the sequence of frames, not by arithmetic. On a CPU without AVX-512, oneDNN has no
    bfloat16 LSTM.
    """
    if not torch.is_autocast_enabled(x.device.type):
        return False
    return torch.is_grad_enabled() if x.device.type == "cuda" else not has_bfloat16_lstm()


@cache
def has_bfloat16_lstm() -> bool:
    """Return whether this machine's CPU can run an LSTM in bfloat16."""
    try:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            nn.LSTM(1, 1)(torch.zeros(1, 1, 1))
    except RuntimeError:
        return False
    return True


def repeat(x: Tensor, passes: int) -> Tensor:
    """Return ``x`` (B, ...) with each row ``passes`` times, (B passes, ...)."""
    return x if passes == 1 else x.repeat_interleave(passes, 0)


def reversal(mask: Tensor) -> Tensor:
    """Return the frame indices (B, T) that reverse each light curve within its valid length."""
    frames = torch.arange(mask.shape[1], device=mask.device)  # (T,)
    length = mask.sum(1, keepdim=True)  # (B, 1)
    return torch.where(frames < length, length - 1 - frames, frames)  # (B, T)


def _reorder(x: Tensor, index: Tensor) -> Tensor:
    """Return the frames ``index`` (B, T) of ``x`` (B, T, C), copied by frames, not by numbers as in `gather`."""
    first = torch.arange(x.shape[0], device=x.device).unsqueeze(1) * x.shape[1]  # (B, 1)
    return x.flatten(0, 1).index_select(0, (index + first).flatten()).view_as(x)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Return the mean (B, C) of ``x`` (B, T, C) over the frames in ``mask`` (B, T); zero without any (Eq. 6)."""
    valid = mask.unsqueeze(2).to(x.dtype)  # (B, T, 1)
    return (x * valid).sum(1) / valid.sum(1).clamp(min=1)  # (B, C)
