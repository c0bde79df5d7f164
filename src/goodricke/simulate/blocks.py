"""Sources are made in blocks of one kind, which processes share: what that takes, whatever the light curves are of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goodricke import ragged
from goodricke.catalog import work
from goodricke.lightcurves import LightCurves

BLOCK = 64


class Block(NamedTuple):
    """Sources to be made."""

    kind: str
    number: int  # of the block within its kind
    rows: int  # of its sources that are wanted: the first


def plan(numbers: Mapping[str, int]) -> list[Block]:
    """Return the blocks of so many sources of each kind, the kinds taking turns.

    Raises
    ------
    ValueError
        If no source is asked for.
    """
    columns = [
        [Block(kind, k, min(BLOCK, number - k * BLOCK)) for k in range(-(-number // BLOCK))]
        for kind, number in numbers.items()
    ]
    if not any(columns):
        raise ValueError("no light curve is asked for: give a number of at least 1")
    return [block for turn in zip_longest(*columns) for block in turn if block is not None]


def divided(n: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Return how many of ``n`` sources each kind has by its share; the numbers sum to ``n``."""
    ends = np.rint(n * np.cumsum(list(shares.values())) / sum(shares.values())).astype(int)
    return dict(zip(shares, np.diff(ends, prepend=0).tolist(), strict=True))


def make(job: Callable[[Block], LightCurves], blocks: Sequence[Block], workers: int = 1) -> Iterator[LightCurves]:
    """Give the light curves of blocks in their order, however many processes make them."""
    done = work.here(job, blocks) if workers == 1 else work.processes(job, blocks, workers)
    waiting: dict[Block, LightCurves] = {}
    following = iter(blocks)
    wanted = next(following, None)
    for block, result in done:
        if isinstance(result, Exception):
            raise result
        waiting[block] = result
        while wanted in waiting:
            yield waiting.pop(wanted)
            wanted = next(following, None)


def column(value: NDArray) -> pa.Array:
    """Return a parameter as a column; one of several numbers per source as lists without the padding."""
    if value.dtype != np.uint64:  # a seed; all else is a float64, so that kinds agree on a column's type
        value = value.astype(np.float64)
    if value.ndim == 1:
        return pa.array(value, from_pandas=True)
    known = ~np.isnan(value)
    return pa.ListArray.from_arrays(pa.array(ragged.offsets_of(known.sum(1)).astype(np.int32)), pa.array(value[known]))
