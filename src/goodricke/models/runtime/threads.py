"""A network on several threads of a CPU, each with some of the light curves or passes.

PyTorch shares every operation out among its threads, which wait for each other at the end of each; an LSTM hardly runs
faster for it. Light curves have nothing to wait for: every thread takes some of them through the whole network. Its own
copy of the network shares weights and what is computed from them, but not the keys of Monte-Carlo passes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from itertools import chain
from operator import is_
from threading import Lock
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from goodricke.models.dropout import dropout_from
from goodricke.models.layers import Conv
from goodricke.models.output import NetworkOutput
from goodricke.preprocess.tensors import Batch, StepBatch

Keys = NDArray[np.uint64]
Part = tuple[Batch, int, Keys | None]  # light curves, passes of each, and their keys


@torch.inference_mode()
def run(network: nn.Module, batch: Batch | StepBatch, passes: int = 1, keys: Keys | None = None) -> NetworkOutput:
    """Run a network on a batch of B light curves, on the device where both are.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode.
    batch : Batch or StepBatch
        Only a `Batch` is divided among threads.
    passes : int
        How often each light curve is passed.
    keys : uint64 (B passes,), optional
        Of Monte-Carlo passes, see `goodricke.models.dropout.row_keys`; without them dropout is off.
    """
    if not isinstance(batch, Batch):
        return network.output(batch)  # type: ignore[operator]
    B, threads = len(batch.values), torch.get_num_threads()
    by_pass = passes > B and threads > B
    number = min(threads, passes if by_pass else B)
    if number == 1 or batch.values.device.type != "cpu":
        with _LOCK:
            return _run(network, batch, passes, keys)
    parts = _shared_out(batch, passes, keys, number, by_pass)
    half, dtype = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")

    @torch.inference_mode()
    def work(own: nn.Module, part: Part) -> NetworkOutput:
        with torch.autocast("cpu", dtype, half):
            return _run(own, *part)

    with _LOCK, _threads_of_each(threads // number), ThreadPoolExecutor(number) as pool:
        logits, embedding, features, _ = zip(*pool.map(work, _copies(network, number), parts), strict=True)

    def joined(of_parts: tuple[Tensor, ...]) -> Tensor:
        return torch.cat(
            [x.unflatten(0, (-1, n)) for x, (_, n, _) in zip(of_parts, parts, strict=True)], int(by_pass)
        ).flatten(0, 1)

    return NetworkOutput(joined(logits), joined(embedding), joined(features))


def _run(network: nn.Module, batch: Batch, passes: int, keys: Keys | None) -> NetworkOutput:
    with nullcontext() if keys is None else dropout_from(network, keys):
        return network(*batch, passes=passes)


def _shared_out(batch: Batch, passes: int, keys: Keys | None, number: int, by_pass: bool) -> list[Part]:
    B = len(batch.values)
    cuts = np.array_split(np.arange(passes if by_pass else B), number)
    its = [None if keys is None else keys.reshape(B, passes).take(cut, int(by_pass)).ravel() for cut in cuts]
    if by_pass:
        return [(batch, len(cut), own) for cut, own in zip(cuts, its, strict=True)]
    pieces = ([None] * number if x is None else x.tensor_split(number) for x in batch)
    return [(Batch(*some), passes, own) for some, own in zip(zip(*pieces, strict=True), its, strict=True)]


_LOCK = Lock()  # the keys of networks, and PyTorch's number of threads, are one caller's at a time
_KEPT: WeakKeyDictionary[nn.Module, list[nn.Module]] = WeakKeyDictionary()


def _copies(network: nn.Module, number: int) -> list[nn.Module]:
    """Return ``number`` copies of a network that share its weights and its convolutions' kept spectra."""
    held = [*chain(network.parameters(), network.buffers())]
    kept = _KEPT.setdefault(network, [])
    copied = [*chain(kept[0].parameters(), kept[0].buffers())] if kept else held
    if len(copied) != len(held) or not all(map(is_, held, copied)):
        kept.clear()  # other weights took the place of those that were copied
    shared = held + [m.kept for m in network.modules() if isinstance(m, Conv)]
    while len(kept) < number:
        kept.append(copy.deepcopy(network, {id(x): x for x in shared}))
    return kept[:number]


@contextmanager
def _threads_of_each(number: int) -> Iterator[None]:
    """Let PyTorch share out operations among so many threads, and among as many as before in the end."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
