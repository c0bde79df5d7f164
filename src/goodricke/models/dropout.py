"""Monte-Carlo dropout (Gal & Ghahramani 2015; ASTRAFier section 3.6): masks that don't depend on the batch.

Several passes run with dropout on and all else in inference mode. The mask of an object derives from (seed, its id, the
pass, the layer): the object gets the same output alone, in a batch, in another order, with another batch size and, up
to rounding, on another device.

The random bits are those of SplitMix64 (Steele, Lea & Flood 2014), a function of a key and a counter without state. A
GPU computes all of them at once, a CPU in blocks that fit in its cache, with the same result. Elements of a row are
counted without its padding, which comes last.
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

from goodricke.data.splitmix import FIRST, SECOND, SHIFTS, STEP, derive_keys, splitmix64, splitmix64_in_place

BLOCK = 16384  # words that a CPU computes together: they fit in its cache


def splitmix64_tensor(words: Tensor) -> Tensor:
    """Return `splitmix64` of words in an int64 tensor, whose products wrap around like unsigned ones."""
    for shift, factor in zip(SHIFTS, (FIRST, SECOND, 1), strict=True):
        words = words ^ ((words >> shift) & ((1 << (64 - shift)) - 1))  # the shift of int64 repeats the sign
        words = words if factor == 1 else words * _signed(factor)
    return words


def _signed(word: int) -> int:
    return word - 2**64 if word >= 2**63 else word


def dropout_mask(keys: Tensor, x: Tensor, rate: float) -> Tensor:
    """Return zeros and ``1 / (1 - rate)`` shaped like ``x``.

    Parameters
    ----------
    keys : Tensor (R,), int64
        Key of each row's random numbers.
    x : Tensor (R, ...)
    rate : float
        Fraction that is zero, to 16 bits.
    """
    plain = x.device.type == "cpu" and not torch.compiler.is_compiling()
    return mask_by_blocks(keys, x, rate) if plain else mask_at_once(keys, x, rate)


def mask_at_once(keys: Tensor, x: Tensor, rate: float) -> Tensor:
    """Return the mask by operations on whole tensors, which a compiler can fuse."""
    size = x[0].numel()
    steps = torch.arange(-(-size // 4), device=x.device) * _signed(STEP)  # (W,)
    words = splitmix64_tensor(keys.unsqueeze(1) + steps)  # (R, W)
    # shifted rather than seen as int16, for which PyTorch 2.13's compiler wrote beyond its memory
    draws = (words.unsqueeze(2) >> torch.arange(0, 64, 16, device=x.device)) & 0xFFFF  # (R, W, 4)
    is_kept = draws.flatten(1)[:, :size] >= _threshold(rate)
    return (is_kept.to(x.dtype) * (1 / (1 - rate))).view(x.shape)


def mask_by_blocks(keys: Tensor, x: Tensor, rate: float) -> Tensor:
    """Return the mask computed by NumPy in blocks, row after row."""
    mask = np.empty((len(x), x[0].numel()), np.float32)
    steps = np.arange(-(-mask.shape[1] // 4), dtype=np.uint64) * np.uint64(STEP)  # (W,)
    words, spare = np.empty((2, BLOCK), np.uint64)
    for key, row in zip(keys.numpy().view(np.uint64), mask, strict=True):
        for start in range(0, len(steps), BLOCK):
            counters = steps[start : start + BLOCK]
            part, block = row[4 * start : 4 * (start + BLOCK)], words[: len(counters)]
            np.add(counters, key, out=block)
            splitmix64_in_place(block, spare[: len(counters)])
            np.multiply(block.view("<u2")[: len(part)] >= _threshold(rate), 1 / (1 - rate), out=part)
    return torch.from_numpy(mask).view(x.shape).to(x.dtype)


def _threshold(rate: float) -> int:
    """Return the smallest 16-bit draw of an element that stays."""
    return round(rate * 65536)


class Dropout(nn.Module):
    """Dropout in training; at inference the identity, unless rows have keys (Monte-Carlo dropout).

    `dropout_from` sets the keys, int64 (R,), of the R rows of a batch repeated for several passes.

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


def row_keys(object_id: Sequence[str], passes: Sequence[int], seed: int) -> NDArray[np.uint64]:
    """Return a key for each object and pass, objects outermost, (len(object_id) * len(passes),)."""
    digests = [hashlib.blake2b(str(name).encode(), digest_size=8).digest() for name in object_id]
    names = np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)  # (n,)
    seeded = splitmix64(names ^ splitmix64(np.array([seed % 2**64], np.uint64)))  # (n,)
    return splitmix64(seeded[:, None] + splitmix64(np.asarray(passes, np.uint64))).ravel()


@contextmanager
def dropout_from(network: nn.Module, keys: NDArray[np.uint64]) -> Iterator[None]:
    """Let the dropout layers of a network draw their masks from the `row_keys` (R,) of a batch of R rows.

    Each layer, which acts once per pass, derives its own keys from them.
    """
    layers = [m for m in network.modules() if isinstance(m, Dropout) and m.monte_carlo]
    layer_keys = torch.from_numpy(derive_keys(keys, len(layers)).view(np.int64))  # (layers, R)
    for layer, keys_of_layer in zip(layers, layer_keys.to(next(network.parameters()).device), strict=True):
        layer.keys = keys_of_layer
    try:
        yield
    finally:
        for layer in layers:
            layer.keys = None
