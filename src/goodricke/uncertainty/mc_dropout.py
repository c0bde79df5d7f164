"""Monte-Carlo dropout (Gal & Ghahramani 2015; ASTRAFier section 3.6): several passes with dropout left on.

The masks of an object derive from (seed, its id, the pass, the layer), never from the batch: the same object gets the
same answer alone, in company, in another order, with another batch size and, but for rounding, on another device (see
`goodricke.models.masks`). Only dropout is on; norms stay in inference mode.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from goodricke.models.masks import Dropout, counted, mixed


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
