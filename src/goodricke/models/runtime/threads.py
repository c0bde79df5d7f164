"""A network on several threads of a CPU, each with a part of the light curves or passes.

PyTorch distributes every operation among its threads, which wait for each other after each; an LSTM hardly gets faster.
Light curves are independent: here every thread runs the complete network on some of them. The threads' copies of the
network share weights and spectra, but not the keys of Monte-Carlo passes.
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
        Passes of each light curve.
    keys : uint64 (B passes,), optional
        Of Monte-Carlo passes, see `goodricke.models.dropout.row_keys`; dropout is off without them.
    """
    if not isinstance(batch, Batch):
        return network.output(batch)  # type: ignore[operator]
    B, threads = len(batch.values), torch.get_num_threads()
    by_pass = passes > B and threads > B
    number = min(threads, passes if by_pass else B)
    if number == 1 or batch.values.device.type != "cpu":
        with _LOCK:
            return _run(network, batch, passes, keys)
    parts = _split(batch, passes, keys, number, by_pass)
    half, dtype = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")

    @torch.inference_mode()
    def work(copy_of_network: nn.Module, part: Part) -> NetworkOutput:
        with torch.autocast("cpu", dtype, half):
            return _run(copy_of_network, *part)

    with _LOCK, _torch_threads(threads // number), ThreadPoolExecutor(number) as pool:
        outputs = list(pool.map(work, _copies(network, number), parts))

    def join(tensors: tuple[Tensor | None, ...]) -> Tensor | None:
        pieces = [x.unflatten(0, (-1, n)) for x, (_, n, _) in zip(tensors, parts, strict=True) if x is not None]
        return torch.cat(pieces, int(by_pass)).flatten(0, 1) if pieces else None

    return NetworkOutput(*(join(tensors) for tensors in zip(*outputs, strict=True)))


def _run(network: nn.Module, batch: Batch, passes: int, keys: Keys | None) -> NetworkOutput:
    with nullcontext() if keys is None else dropout_from(network, keys):
        return network(*batch, passes=passes)


def _split(batch: Batch, passes: int, keys: Keys | None, number: int, by_pass: bool) -> list[Part]:
    B = len(batch.values)
    cuts = np.array_split(np.arange(passes if by_pass else B), number)
    keys_of_part = [None if keys is None else keys.reshape(B, passes).take(cut, int(by_pass)).ravel() for cut in cuts]
    if by_pass:
        return [(batch, len(cut), part_keys) for cut, part_keys in zip(cuts, keys_of_part, strict=True)]
    parts = ([None] * number if x is None else x.tensor_split(number) for x in batch)
    return [
        (Batch(*tensors), passes, part_keys)
        for tensors, part_keys in zip(zip(*parts, strict=True), keys_of_part, strict=True)
    ]


_LOCK = Lock()  # one caller at a time sets the keys of networks and PyTorch's number of threads
_COPIES: WeakKeyDictionary[nn.Module, list[nn.Module]] = WeakKeyDictionary()


def _copies(network: nn.Module, number: int) -> list[nn.Module]:
    """Return ``number`` copies of a network that share its weights and its convolutions' cached spectra."""
    tensors = [*chain(network.parameters(), network.buffers())]
    copies = _COPIES.setdefault(network, [])
    tensors_of_copy = [*chain(copies[0].parameters(), copies[0].buffers())] if copies else tensors
    if len(tensors_of_copy) != len(tensors) or not all(map(is_, tensors, tensors_of_copy)):
        copies.clear()  # the network's weights have been replaced since
    shared = tensors + [m.spectra for m in network.modules() if isinstance(m, Conv)]
    while len(copies) < number:
        copies.append(copy.deepcopy(network, {id(x): x for x in shared}))
    return copies[:number]


@contextmanager
def _torch_threads(number: int) -> Iterator[None]:
    """Let PyTorch use ``number`` threads per operation within the context."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
