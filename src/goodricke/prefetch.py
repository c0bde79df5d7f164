"""The next batches made ready in a thread, while a GPU works on this one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

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
