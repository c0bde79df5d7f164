"""What differs on a GPU: compiled parts of a network, rounded lengths, larger batches, preparation in a thread.

The environment variable ``GOODRICKE_COMPILE`` selects what ``torch.compile`` compiles on a GPU:

- ``auto``, the default: batches of at least `FEWEST_COMPILED` points; at inference up to `MOST_GRAPHED` points as CUDA
  graphs;
- ``off``: nothing;
- a mode of ``torch.compile`` (``default``, ``reduce-overhead``, ``max-autotune``): everything, in this mode.
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
FEWEST_COMPILED = 2**16  # points of a batch; for fewer, a minute of compilation doesn't pay
MOST_GRAPHED = 2**18  # points up to which a kernel's launch takes as long as the kernel, so that a CUDA graph pays
FRAME_MULTIPLE = 128  # lengths are rounded up to this many frames: few shapes, aligned for attention's mask
# Memory per point [B], an estimate, not measured on a GPU: twice the tensors alive at the widest layer (inference), and
# twice those stored for the gradient (training).
BYTES_PER_POINT = {"inference": 20_000, "training": 200_000}
MOST_POINTS = 2**22  # with 256 channels the elements still fit 32-bit indices, beyond which cuDNN is slower

Method = TypeVar("Method", bound=Callable[..., Any])


def fused(method: Method) -> Method:
    """Compile a module's method, whose first argument is a tensor (B, T, C), in the mode of `compile_mode`.

    Norms, activations, residuals and dropout masks become a few kernels; products, convolutions and attention stay
    those of the libraries. The compiled code belongs to the method, not to a module: the blocks of a network, and its
    copies, share it.
    """

    @wraps(method)
    def call(self: Any, x: Tensor, *arguments: Any) -> Any:
        mode = compile_mode(x)
        return (method if mode is None else compiled(method, mode))(self, x, *arguments)

    return call  # type: ignore[return-value]


@cache
def compiled(method: Callable[..., Any], mode: str) -> Callable[..., Any]:
    """Return a method compiled in a mode of ``torch.compile``, once for all sizes, as it takes a minute."""
    return torch.compile(method, mode=mode, dynamic=True)


def compile_mode(x: Tensor) -> str | None:
    """Return the mode of compilation for an input ``x`` (B, T, C); None for none."""
    setting = os.environ.get(VARIABLE, "auto")
    if x.device.type != "cuda" or setting == "off" or torch.compiler.is_compiling():
        return None
    return suitable_mode(x.shape[0] * x.shape[1], torch.is_grad_enabled()) if setting == "auto" else setting


def suitable_mode(points: int, training: bool) -> str | None:
    """Return the mode for a batch of ``points`` points.

    Training uses no CUDA graphs: gradients summed over several batches would lie in a graph's memory, which its next
    run overwrites; and most launches of a step are the LSTM's, which is not in the graph.
    """
    if points < FEWEST_COMPILED:
        return None
    return "reduce-overhead" if points <= MOST_GRAPHED and not training else "default"


def begin_pass(x: Tensor) -> None:
    """Mark the output of the previous pass as read, for CUDA graphs."""
    if x.device.type == "cuda" and not torch.compiler.is_compiling():
        torch.compiler.cudagraph_mark_step_begin()


def frame_multiple(device: torch.device) -> int:
    """Return the multiple to which the length of a batch is rounded up; padding doesn't change the output."""
    return FRAME_MULTIPLE if device.type == "cuda" else 1


def points_at_once(device: torch.device, work: Literal["inference", "training"], cpu: int) -> int:
    """Return the number of padded points of a batch: ``cpu`` on a CPU, as many as fit on a GPU.

    A GPU needs many: the LSTM runs frame after frame, and takes as long for a hundred light curves as for one.
    """
    if device.type != "cuda":
        return cpu
    return points_that_fit(torch.cuda.get_device_properties(device).total_memory, work)


def points_that_fit(memory: int, work: Literal["inference", "training"]) -> int:
    """Return the number of points that fit a GPU's memory [B]."""
    return min(memory // BYTES_PER_POINT[work], MOST_POINTS)


# ---- batches prepared in a thread while a GPU computes ---------------------------------------------------------------


Item = TypeVar("Item")
Result = TypeVar("Result")

DEPTH = 2  # batches prepared ahead: one ready, one in preparation


def prefetch(
    make: Callable[[Item], Result], items: Iterable[Item], device: torch.device
) -> Iterator[tuple[Item, Result]]:
    """Yield each item and the result of ``make`` for it, in order.

    On a CPU this is a plain loop: a thread would take time from the network. For other devices the next items are
    made in a thread. Results stay in (pinned) host memory, and the caller copies them to the device: a batch of 180
    TESS light curves is 2 MB, or 40 microseconds, too little for a separate stream.

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
        Whatever ``make`` raises, when its item is reached.
    """
    return ((item, make(item)) for item in items) if device.type == "cpu" else prefetch_in_thread(make, items)


def prefetch_in_thread(
    make: Callable[[Item], Result], items: Iterable[Item], depth: int = DEPTH
) -> Iterator[tuple[Item, Result]]:
    """Run `prefetch` in a thread, ``depth`` items ahead; the thread ends with the loop, also after an error."""
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    with ThreadPoolExecutor(1, "prefetch") as thread:
        try:
            for item in items:
                waiting.append((item, thread.submit(make, item)))
                if len(waiting) > depth:
                    yield _next_result(waiting)
            while waiting:
                yield _next_result(waiting)
        finally:  # also if the caller leaves the loop or an item fails
            for _, future in waiting:
                future.cancel()


def _next_result(waiting: deque[tuple[Item, Future[Result]]]) -> tuple[Item, Result]:
    item, future = waiting.popleft()
    return item, future.result()
