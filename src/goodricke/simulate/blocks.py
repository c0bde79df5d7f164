"""Blocks of 64 sources of one kind: how they are planned, made by several processes, and written to a file.

The random numbers of a block follow from the seed, the kind and the block's number alone. The first sources of a
larger set are therefore those of a smaller one, and the number of processes changes nothing.
"""

from __future__ import annotations

import csv
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from goodricke import __version__
from goodricke.data import ragged
from goodricke.data.files import atomic_path, atomic_write
from goodricke.data.lightcurves import LightCurves
from goodricke.simulate.source import Float, Measurement, Truth
from goodricke.survey.jobs import run_in_order

BLOCK = 64
FIELDS = 8  # of a block, with equal parts of all kinds: times and gaps must not tell the class
PER_FIELD = BLOCK // FIELDS

# A label must mean something: this part of the variable sources of a class must vary visibly
VISIBLE, SIGNAL_TO_NOISE = 0.9, 10.0

GROUP_POINTS = 250_000  # observations in a row group
LABELS = ("label", "kind", "magnitude")  # columns of the table of labels, besides the object's id


class SourceBlock(NamedTuple):
    """Sources to be made."""

    kind: str
    number: int  # of the block within its kind
    rows: int  # how many of its sources are wanted: the first


class Simulation(NamedTuple):
    """Light curves that are to be made."""

    blocks: list[SourceBlock]
    maker: Callable[[SourceBlock], LightCurves]

    @property
    def rows(self) -> int:
        """The number of light curves."""
        return sum(block.rows for block in self.blocks)

    def parts(self, workers: int = 1) -> Iterator[LightCurves]:
        """Return the light curves of the blocks in their order, however many processes make them."""
        return run_in_order(self.maker, self.blocks, workers)


def plan(numbers: Mapping[str, int]) -> list[SourceBlock]:
    """Return the blocks of so many sources of each kind, the kinds taking turns.

    Raises
    ------
    ValueError
        If there is not one source.
    """
    columns = [
        [SourceBlock(kind, k, min(BLOCK, number - k * BLOCK)) for k in range(-(-number // BLOCK))]
        for kind, number in numbers.items()
    ]
    if not any(columns):
        raise ValueError("no light curve to make: give a number of at least 1")
    return [block for turn in zip_longest(*columns) for block in turn if block is not None]


@dataclass(frozen=True)
class BlockMaker(ABC):
    """Makes the light curves of blocks, in any process.

    Parameters
    ----------
    kinds : tuple of str
        All light curves get the true parameters of all these kinds as columns.
    seed : int
    """

    kinds: tuple[str, ...]
    seed: int = 0

    def __call__(self, block: SourceBlock) -> LightCurves:
        """Return the light curves of a block; source i is in field i modulo `FIELDS`."""
        sources = np.arange(block.rows)
        curves = LightCurves.concat([self.make_field(block, int(field)) for field in sources[:FIELDS]])
        return curves[(sources % FIELDS) * PER_FIELD + sources // FIELDS]

    @abstractmethod
    def make_field(self, block: SourceBlock, field: int) -> LightCurves:
        """Return the sources of a block that are in one field, and so have the same times."""

    @abstractmethod
    def example(self, kind: str) -> Truth:
        """Return true parameters of a few sources of a kind, for the types of the columns."""

    def generators(self, block: SourceBlock, field: int, n: int) -> list[np.random.Generator]:
        """Return ``n`` independent random generators for a field of a block."""
        key = [self.seed, crc32(block.kind.encode()), block.number, field]
        return [np.random.default_rng(child) for child in np.random.SeedSequence(key).spawn(n)]

    def ids(self, block: SourceBlock, field: int, name: str) -> list[str]:
        """Return the ids of the sources of a block in a field, ``kind-name-seed-number``."""
        first = block.number * BLOCK + field
        return [f"{block.kind}-{name}-{self.seed}-{first + FIELDS * i:06d}" for i in range(PER_FIELD)]

    def object_table(self, block: SourceBlock, label: str, columns: Mapping[str, Any], truth: Truth) -> pa.Table:
        """Return the columns of a field's sources, then the true parameters of all kinds, null where one has none.

        What isn't an array is the value of all sources.
        """
        table = {"label": label, "kind": block.kind, **columns}
        table = {k: v if isinstance(v, pa.Array) else pa.repeat(v, PER_FIELD) for k, v in table.items()}
        true = {f"true_{name}": parameter_column(values) for name, values in truth.items()}
        for kind in self.kinds:
            for name, values in self.example(kind).items():
                column, type_ = f"true_{name}", parameter_column(values).type
                table[column] = true[column].cast(type_) if column in true else pa.nulls(PER_FIELD, type_)
        return pa.table(table)


def parameter_column(value: NDArray) -> pa.Array:
    """Return a parameter as a column; one of several numbers per source as lists without the padding."""
    if value.dtype != np.uint64:  # a seed; all else is a float64, so that kinds agree on a column's type
        value = value.astype(np.float64)
    if value.ndim == 1:
        return pa.array(value, from_pandas=True)
    finite = ~np.isnan(value)
    offsets = pa.array(ragged.offsets_from_counts(finite.sum(1)).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, pa.array(value[finite]))


def light_curves(
    ids: Sequence[str], time: Float, measurement: Measurement, band: NDArray | None = None, **fields: Any
) -> LightCurves:
    """Return the valid points of measurements at the same times (T,) in the same bands (T,) as light curves."""
    valid = measurement.valid
    return LightCurves.from_arrays(
        ids,
        ragged.offsets_from_counts(valid.sum(1)),
        np.broadcast_to(time, valid.shape)[valid],
        measurement.value[valid],
        np.broadcast_to(measurement.error, valid.shape)[valid],
        None if band is None else np.broadcast_to(band, valid.shape)[valid],
        **fields,
    )


def labels_path(out: Path) -> Path:
    """Return the path of the table of labels."""
    return out.with_name(f"{out.stem}-labels.csv")


def write(
    parts: Iterable[LightCurves],
    out: Path,
    settings: Mapping[str, Any],
    advance: Callable[[int], None] = lambda n: None,
) -> int:
    """Write light curves as nested Parquet, and a table of their labels; return how many.

    Parameters
    ----------
    parts : iterable of LightCurves
        With the column ``label``, all with the same columns; written as they come. The files appear at the end.
    out : Path
        Ends in ``.parquet``.
    settings : mapping
        How they were made; goes into the file's metadata.
    advance : callable
        Called with the number of light curves that were written.

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
    with atomic_path(out) as partial:
        for curves in _row_groups(parts):
            table = curves.to_arrow()
            meta = {**table.schema.metadata, b"goodricke": __version__.encode(), b"simulated": json.dumps(settings)}
            table = table.replace_schema_metadata(meta)
            if writer is None:
                writer = pq.ParquetWriter(partial, table.schema, compression="zstd")
                names = ["object_id", *(name for name in LABELS if name in table.column_names)]
                rows.writerow(names)
            writer.write_table(table)
            rows.writerows(zip(*(table[name].to_pylist() for name in names), strict=True))
            number += len(curves)
            advance(len(curves))
        if writer is not None:
            writer.close()
    atomic_write(labels_path(out), text.getvalue())
    return number


def _row_groups(parts: Iterable[LightCurves]) -> Iterator[LightCurves]:
    """Yield light curves in batches that make a row group each."""
    batch = list[LightCurves]()
    for part in parts:
        batch.append(part)
        if sum(len(curves.time) for curves in batch) >= GROUP_POINTS:
            yield LightCurves.concat(batch)
            batch = []
    if batch:
        yield LightCurves.concat(batch)
