"""What is done otherwise on a GPU: parts of a network compiled, lengths rounded up, more points at once.

The environment variable ``GOODRICKE_COMPILE`` says what is compiled by ``torch.compile``, on a GPU alone:

- ``auto``, the default: batches of `LEAST` points and more, at inference those of up to `GRAPHED` as CUDA graphs;
- ``off``: nothing;
- a mode of ``torch.compile`` (``default``, ``reduce-overhead``, ``max-autotune``): everything, in this mode.

The next batches made ready in a thread, while a GPU works on this one.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, wraps
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

VARIABLE = "GOODRICKE_COMPILE"
LEAST = 2**16  # points of a batch; for fewer nobody wants to wait a minute for the compiler
GRAPHED = 2**18  # points up to which launching a kernel takes about as long as the kernel: there a CUDA graph pays
MULTIPLE = 128  # frames to which lengths are rounded up: few shapes, each aligned as attention wants its mask
# Memory that a point is reckoned to take [B]: estimated from the tensors alive at the widest place (inference), and
# from those kept for the gradient (training), twice over; not measured on a GPU.
BYTES = {"inference": 20_000, "training": 200_000}
MOST = 2**22  # points: times 256 channels, elements are still counted in 32 bits, beyond which cuDNN falls back

Method = TypeVar("Method", bound=Callable[..., Any])


def fused(method: Method) -> Method:
    """Let a module's method, whose first argument is a tensor (B, T, C), be compiled where `compile_mode` says so.

    Norms, activations, residuals, dropout masks and the rims of attention become a few kernels; products, convolutions
    and attention stay those of the libraries. What is compiled belongs to the method, not to a module: the blocks of a
    network, and its copies, share it.
    """

    @wraps(method)
    def call(self: Any, x: Tensor, *arguments: Any) -> Any:
        mode = compile_mode(x)
        return (method if mode is None else compiled(method, mode))(self, x, *arguments)

    return call  # type: ignore[return-value]


@cache
def compiled(method: Callable[..., Any], mode: str) -> Callable[..., Any]:
    """Return a method compiled in a mode of ``torch.compile``, once for all sizes: it takes a minute each time."""
    return torch.compile(method, mode=mode, dynamic=True)


def compile_mode(x: Tensor) -> str | None:
    """Return in which mode what is done with ``x`` (B, T, C) is compiled; None: not at all."""
    asked = os.environ.get(VARIABLE, "auto")
    if x.device.type != "cuda" or asked == "off" or torch.compiler.is_compiling():
        return None
    return suitable_mode(x.shape[0] * x.shape[1], torch.is_grad_enabled()) if asked == "auto" else asked


def suitable_mode(points: int, training: bool) -> str | None:
    """Return the mode for a batch of so many points.

    Training goes without CUDA graphs: gradients that add up over pieces would lie in a graph's memory, which its next
    run overwrites; and most of a step's launches are the LSTM's, which is not in the graph.
    """
    if points < LEAST:
        return None
    return "reduce-overhead" if points <= GRAPHED and not training else "default"


def begin_pass(x: Tensor) -> None:
    """Tell CUDA graphs that the answers of the pass before have been read."""
    if x.device.type == "cuda" and not torch.compiler.is_compiling():
        torch.compiler.cudagraph_mark_step_begin()


def frame_multiple(device: torch.device) -> int:
    """Return to a multiple of what a batch is padded; padding changes no answer."""
    return MULTIPLE if device.type == "cuda" else 1


def points_at_once(device: torch.device, work: Literal["inference", "training"], cpu: int) -> int:
    """Return how many padded points are computed at once: ``cpu`` there, as many as fit on a GPU.

    A GPU needs many: the LSTM takes one frame after the other, and as long for a hundred light curves as for one.
    """
    if device.type != "cuda":
        return cpu
    return points_in(torch.cuda.get_device_properties(device).total_memory, work)


def points_in(memory: int, work: Literal["inference", "training"]) -> int:
    """Return the points for which a GPU's memory [B] is enough."""
    return min(memory // BYTES[work], MOST)


# ---- The next batches made ready in a thread, while a GPU works on this one ------------------------------------------


Item = TypeVar("Item")
Made = TypeVar("Made")

DEPTH = 2  # batches made ahead: one to be taken at once, one in the making


def prefetch(make: Callable[[Item], Made], items: Iterable[Item], device: torch.device) -> Iterator[tuple[Item, Made]]:
    """Yield each item and what ``make`` makes of it, in order.

    On a CPU it is the plain loop: a thread would take the time from the network. For any other device the next items
    are made in a thread. What is made is to stay in (pinned) host memory; whoever takes it copies it: a batch of 180
    TESS light curves is 2 MB, 40 microseconds on the way, which no stream of its own would repay.

    Parameters
    ----------
    make : callable
        Called with one item at a time, in order.
    items : iterable
        Read in the caller's thread.
    device : torch.device
        On which the network works.

    Raises
    ------
    Exception
        Whatever ``make`` raises, when its item's turn has come.
    """
    return ((item, make(item)) for item in items) if device.type == "cpu" else in_thread(make, items)


def in_thread(make: Callable[[Item], Made], items: Iterable[Item], depth: int = DEPTH) -> Iterator[tuple[Item, Made]]:
    """Do what `prefetch` does in a thread, ``depth`` items ahead; the thread ends with the loop, however that ends."""
    waiting: deque[tuple[Item, Future[Made]]] = deque()
    with ThreadPoolExecutor(1, "prefetch") as thread:
        try:
            for item in items:
                waiting.append((item, thread.submit(make, item)))
                if len(waiting) > depth:
                    yield _taken(waiting)
            while waiting:
                yield _taken(waiting)
        finally:  # also where the caller leaves the loop or an item fails: nothing more is made
            for _, future in waiting:
                future.cancel()


def _taken(waiting: deque[tuple[Item, Future[Made]]]) -> tuple[Item, Made]:
    item, future = waiting.popleft()
    return item, future.result()
