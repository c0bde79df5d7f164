"""Sources are made in blocks of one kind, which processes share: what that takes, whatever the light curves are of.

Simulated light curves as files: nested Parquet, as a pack has it, and a table of labels beside it.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from goodricke import __version__
from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.survey import jobs
from goodricke.survey.shards import whole_file

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
    done = jobs.here(job, blocks) if workers == 1 else jobs.processes(job, blocks, workers)
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


# ---- Simulated light curves as files: nested Parquet, as a pack has it, and a table of labels beside it --------------


GROUP_POINTS = 250_000  # observations in a row group
LABELS = ("label", "kind", "magnitude")  # columns of the table of labels, besides the object's id


def labels_beside(out: Path) -> Path:
    """Return where the table of labels goes."""
    return out.with_name(f"{out.stem}-labels.csv")


def write(
    parts: Iterable[LightCurves],
    out: Path,
    settings: Mapping[str, Any],
    advance: Callable[[int], None] = lambda n: None,
) -> int:
    """Write light curves as they come, and their labels; the files appear at the end, whole. Return how many.

    Parameters
    ----------
    parts : iterable of LightCurves
        With the column ``label``, all with the same columns.
    out : Path
        Ends in ``.parquet``.
    settings : mapping
        How they were made; goes into the file's metadata.
    advance : callable
        Told how many light curves are done.

    Raises
    ------
    ValueError
        If ``out`` has another ending.
    """
    if out.suffix != ".parquet":
        raise ValueError(f"{out}: simulated light curves are written as Parquet; call the file {out.stem}.parquet")
    out.parent.mkdir(parents=True, exist_ok=True)
    text, number = io.StringIO(), 0
    rows = csv.writer(text, lineterminator="\n")
    writer: pq.ParquetWriter | None = None
    with whole_file(out) as file:
        for curves in _gathered(parts):
            table = curves.to_arrow()
            meta = {**table.schema.metadata, b"goodricke": __version__.encode(), b"simulated": json.dumps(settings)}
            table = table.replace_schema_metadata(meta)
            if writer is None:
                writer = pq.ParquetWriter(file, table.schema, compression="zstd")
                names = [name for name in LABELS if name in table.column_names]
                rows.writerow(["object_id", *names])
            writer.write_table(table)
            rows.writerows(zip(*(table[name].to_pylist() for name in ["object_id", *names]), strict=True))
            number += len(curves)
            advance(len(curves))
        if writer is not None:
            writer.close()
    with whole_file(labels_beside(out)) as file:
        file.write(text.getvalue().encode())
    return number


def _gathered(parts: Iterable[LightCurves]) -> Iterable[LightCurves]:
    """Give light curves in batches that make a row group each."""
    waiting = list[LightCurves]()
    for part in parts:
        waiting.append(part)
        if sum(len(curves.time) for curves in waiting) >= GROUP_POINTS:
            yield LightCurves.concat(waiting)
            waiting = []
    if waiting:
        yield LightCurves.concat(waiting)
