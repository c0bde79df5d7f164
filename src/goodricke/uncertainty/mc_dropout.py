"""Monte-Carlo dropout (Gal & Ghahramani 2015; ASTRAFier section 3.6): several passes with dropout left on.

The masks of an object derive from (seed, its id, the pass), never from the batch: the same object gets the same answer
alone, in company, in another order and with another batch size. Only dropout is on; norms stay in inference mode.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from goodricke.models.layers import Dropout


class ObjectMasks:
    """Dropout masks for the rows of an enlarged batch, one random stream per (object, pass).

    Parameters
    ----------
    streams : list of numpy Generator (R,)
        One per row.
    lengths : int64 (R,)
        Frames of each row that get random numbers: not the padding, so that its amount changes nothing, unless it is
        always the same (the published ASTRAFier, which reads it).
    """

    def __init__(self, streams: list[np.random.Generator], lengths: NDArray[np.int64]) -> None:
        self.streams, self.lengths = streams, lengths

    def mask(self, x: Tensor, rate: float) -> Tensor:
        """Return zeros and ``1 / (1 - rate)`` shaped like ``x``, (R, T, C) or (R, C)."""
        keep = np.zeros(tuple(x.shape), np.float32)
        least, scale = round(rate * 65536), 1 / (1 - rate)
        for row, (stream, length) in enumerate(zip(self.streams, self.lengths, strict=True)):
            part = keep[row, :length] if x.ndim == 3 else keep[row]
            draws = np.frombuffer(stream.bytes(2 * part.size), np.uint16).reshape(part.shape)
            np.multiply(draws >= least, scale, out=part)
        return torch.from_numpy(keep).to(x.device, x.dtype)


def streams(object_id: Sequence[str], passes: Sequence[int], seed: int) -> list[np.random.Generator]:
    """Return a random stream for each object and pass, objects outermost, (len(object_id) * len(passes),)."""
    keys = [int.from_bytes(hashlib.blake2b(str(name).encode(), digest_size=8).digest(), "little") for name in object_id]
    return [np.random.Generator(np.random.SFC64([seed, key, k])) for key in keys for k in passes]


@contextmanager
def dropout_from(network: nn.Module, source: ObjectMasks) -> Iterator[None]:
    """Let the dropout layers of a network draw their masks from ``source``."""
    layers = [m for m in network.modules() if isinstance(m, Dropout) and m.monte_carlo]
    for layer in layers:
        layer.source = source
    try:
        yield
    finally:
        for layer in layers:
            layer.source = None


def summarise(samples: NDArray[np.floating]) -> tuple[NDArray, NDArray, NDArray]:
    """Return mean (B, C), standard deviation (B, C) and mutual information [nat] (B,) of samples (S, B, C).

    The mutual information is the entropy of the mean less the mean entropy: what of the uncertainty comes from the
    model rather than from the data. With one sample, deviation and information are zero.
    """
    from goodricke.predictions import entropy

    mean = samples.mean(0)
    spread = samples.std(0, ddof=1) if len(samples) > 1 else np.zeros_like(mean)
    information = np.maximum(entropy(mean) - entropy(samples).mean(0), 0)
    return mean, spread, information
