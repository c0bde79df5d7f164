"""Simulated light curves as files: nested Parquet, as a pack has it, and a table of labels beside it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from goodricke import __version__
from goodricke.catalog.folder import whole_file
from goodricke.lightcurves import LightCurves

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
