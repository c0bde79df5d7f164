"""Dropout masks from counters: every element's fate follows from a row's key and its own place, and from nothing else.

The bits are SplitMix64's (Steele, Lea & Flood 2014), which has no state to carry along: a GPU makes all of them at
once, a CPU a block at a time in its cache, and both make the same. Element ``i`` of a row is counted without regard to
padding, which lies behind.

Monte-Carlo dropout (Gal & Ghahramani 2015; ASTRAFier section 3.6): several passes with dropout left on.

The masks of an object derive from (seed, its id, the pass, the layer), never from the batch: the same object gets the
same answer alone, in company, in another order, with another batch size and, but for rounding, on another device (see
`goodricke.models.dropout`). Only dropout is on; norms stay in inference mode.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn

STEP, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # SplitMix64's
SHIFTS = (30, 27, 31)
BLOCK = 16384  # words that a CPU makes at once: they stay in its cache


def mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return 64-bit words whose every bit depends on every bit of ``words``, any shape."""
    result = words.copy()
    _mix(result, np.empty_like(result))
    return result


def _mix(words: NDArray[np.uint64], spare: NDArray[np.uint64]) -> None:
    for shift, factor in zip(SHIFTS, (FIRST, SECOND, 1), strict=True):
        np.right_shift(words, np.uint64(shift), out=spare)
        np.bitwise_xor(words, spare, out=words)
        if factor != 1:
            np.multiply(words, np.uint64(factor), out=words)


def mixed_tensor(words: Tensor) -> Tensor:
    """Return what `mixed` does for words in an int64 tensor, whose products wrap around like unsigned ones."""
    for shift, factor in zip(SHIFTS, (FIRST, SECOND, 1), strict=True):
        words = words ^ ((words >> shift) & ((1 << (64 - shift)) - 1))  # the shift of int64 repeats the sign
        words = words if factor == 1 else words * _signed(factor)
    return words


def _signed(word: int) -> int:
    return word - 2**64 if word >= 2**63 else word


def counted(keys: NDArray[np.uint64], count: int) -> NDArray[np.uint64]:
    """Return ``count`` keys made of each key, (count, *keys.shape)."""
    steps = np.arange(count, dtype=np.uint64).reshape(-1, *[1] * keys.ndim) * np.uint64(STEP)
    return mixed(keys + steps)


def dropout_mask(keys: Tensor, x: Tensor, rate: float) -> Tensor:
    """Return zeros and ``1 / (1 - rate)`` shaped like ``x``.

    Parameters
    ----------
    keys : Tensor (R,), int64
        Of each row's random numbers.
    x : Tensor (R, ...)
    rate : float
        Fraction that is zero, to 16 bits.
    """
    plain = x.device.type == "cpu" and not torch.compiler.is_compiling()
    return mask_by_blocks(keys, x, rate) if plain else mask_at_once(keys, x, rate)


def mask_at_once(keys: Tensor, x: Tensor, rate: float) -> Tensor:
    """Return the mask by operations on whole tensors, which a compiler makes one of."""
    size = x[0].numel()
    steps = torch.arange(-(-size // 4), device=x.device) * _signed(STEP)  # (W,)
    words = mixed_tensor(keys.unsqueeze(1) + steps)  # (R, W)
    # shifted rather than seen as int16, for which PyTorch 2.13's compiler wrote beyond its memory
    draws = (words.unsqueeze(2) >> torch.arange(0, 64, 16, device=x.device)) & 0xFFFF  # (R, W, 4)
    kept = draws.flatten(1)[:, :size] >= _least(rate)
    return (kept.to(x.dtype) * (1 / (1 - rate))).view(x.shape)


def mask_by_blocks(keys: Tensor, x: Tensor, rate: float) -> Tensor:
    """Return the mask made by numpy, one block of one row after the other."""
    mask = np.empty((len(x), x[0].numel()), np.float32)
    steps = np.arange(-(-mask.shape[1] // 4), dtype=np.uint64) * np.uint64(STEP)  # (W,)
    words, spare = np.empty((2, BLOCK), np.uint64)
    for key, row in zip(keys.numpy().view(np.uint64), mask, strict=True):
        for start in range(0, len(steps), BLOCK):
            some = steps[start : start + BLOCK]
            part, block = row[4 * start : 4 * (start + BLOCK)], words[: len(some)]
            np.add(some, key, out=block)
            _mix(block, spare[: len(some)])
            np.multiply(block.view("<u2")[: len(part)] >= _least(rate), 1 / (1 - rate), out=part)
    return torch.from_numpy(mask).view(x.shape).to(x.dtype)


def _least(rate: float) -> int:
    """Return the least 16-bit draw that is kept."""
    return round(rate * 65536)


class Dropout(nn.Module):
    """Dropout in training; at inference the identity, unless rows have keys (Monte-Carlo dropout).

    The keys of an enlarged batch's R rows, int64 (R,), are set by `goodricke.models.dropout.dropout_from`.

    Parameters
    ----------
    rate : float
    monte_carlo : bool
        Whether Monte-Carlo passes may switch it on.
    """

    def __init__(self, rate: float, monte_carlo: bool = True) -> None:
        super().__init__()
        self.rate, self.monte_carlo = rate, monte_carlo
        self.keys: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements of ``x``, any shape."""
        if self.keys is not None:
            return x * dropout_mask(self.keys, x, self.rate)
        return F.dropout(x, self.rate, self.training)

    def extra_repr(self) -> str:
        """Show the rate."""
        return f"{self.rate}"


# ---- Monte-Carlo dropout (Gal & Ghahramani 2015; ASTRAFier section 3.6): several passes with dropout left ------------


def row_keys(object_id: Sequence[str], passes: Sequence[int], seed: int) -> NDArray[np.uint64]:
    """Return a key for each object and pass, objects outermost, (len(object_id) * len(passes),)."""
    digests = [hashlib.blake2b(str(name).encode(), digest_size=8).digest() for name in object_id]
    names = np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)  # (n,)
    seeded = mixed(names ^ mixed(np.array([seed % 2**64], np.uint64)))  # (n,)
    return mixed(seeded[:, None] + mixed(np.asarray(passes, np.uint64))).ravel()


@contextmanager
def dropout_from(network: nn.Module, keys: NDArray[np.uint64]) -> Iterator[None]:
    """Let the dropout layers of a network draw their masks by the `row_keys` (R,) of an enlarged batch.

    Each layer, which acts once in a pass, has keys of its own made of them.
    """
    layers = [m for m in network.modules() if isinstance(m, Dropout) and m.monte_carlo]
    own = torch.from_numpy(counted(keys, len(layers)).view(np.int64))  # (layers, R)
    for layer, its in zip(layers, own.to(next(network.parameters()).device), strict=True):
        layer.keys = its
    try:
        yield
    finally:
        for layer in layers:
            layer.keys = None
