"""What is in a state store: list, show, export, verify, expire and compact."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.table import Table

from goodricke.alerts.answers import NO_CLASS, STATUSES, classes_of, unkept
from goodricke.alerts.record import Damaged, Record
from goodricke.alerts.shadow import Report
from goodricke.alerts.store import LmdbStore, Store, open_store, without_password

DAY = 86400.0
ROWS = 50_000  # of an export at once


def look_at(where: str) -> Store:
    """Open a store to look at it: nothing is made that isn't there.

    Raises
    ------
    ValueError
        If there is none.
    """
    if "://" in where or where.startswith("redis:"):
        return open_store(where)
    store = LmdbStore(Path(where), readonly=True)
    if not store.partitions() and any(store.folder.iterdir()):
        raise ValueError(f"{where}: no store there, but other files")
    return store


def listing(where: str) -> Table:
    """Return a table of the partitions."""
    store, title = look_at(where), without_password(where)
    table = Table("partition", "objects", "offset", "bytes per object", title=title)
    for number in store.partitions():
        part = store.partition(number)
        sizes = [len(data) for (_, data), _ in zip(part.items(), range(1000), strict=False)]
        mean = f"{np.mean(sizes):,.0f}" if sizes else ""
        table.add_row(str(number), f"{len(part):,}", f"{part.offset:,}", mean)
        part.close()
    return table


def disagreement(where: str) -> Report | None:
    """Return what the store of a shadow says of it and the first model, None if it is no shadow's."""
    store, parts = look_at(where), list[Report]()
    for number in store.partitions():
        part = store.partition(number)
        told = part.outbox
        part.close()
        if b'"pairs"' not in told[:20]:
            return None
        parts.append(Report.frombytes(told))
    return Report.of(parts) if parts else None


def find(where: str, name: str) -> tuple[int, Record] | None:
    """Return the partition and the record of an object, None if there is none."""
    store = look_at(where)
    for number in store.partitions():
        part = store.partition(number)
        (data,) = part.get([name.encode()])
        part.close()
        if data is not None:
            return number, Record.frombytes(bytes(data))
    return None


def described(number: int, record: Record) -> dict[str, Any]:
    """Return what a record says, as words and numbers."""
    answer = unkept([record.answer], classes_of(record.answer))[0] if record.answer else None
    told: dict[str, Any] = {"partition": number, "n_obs": record.n_obs, "missing": len(record.missing)}
    told |= {"offset": record.offset, "updated": record.updated, "ra": record.ra, "dec": record.dec}
    told |= {
        "points kept": len(record.points),
        "marks": len(record.folded),
        "state bytes": len(record.state),
        "base bytes": len(record.base),
    }
    if answer is not None:
        told |= {"status": STATUSES[answer["status"]], "probabilities": [round(float(p), 4) for p in answer["p"]]}
        told |= {"novelty": round(float(answer["novelty"]), 4)}
    return told


def verify(where: str) -> tuple[int, list[str]]:
    """Return the number of sound records, and what is wrong with the others."""
    store, sound, wrong = look_at(where), 0, list[str]()
    for number in store.partitions():
        part = store.partition(number)
        for key, data in part.items():
            try:
                Record.frombytes(bytes(data))
                sound += 1
            except Damaged as error:
                wrong.append(f"{key.decode(errors='replace')} (partition {number}): {error}")
        part.close()
    return sound, wrong


def export(where: str, out: Path, classes: tuple[str, ...] = ()) -> int:
    """Write a row per object, without the states themselves, as Parquet; return how many.

    Parameters
    ----------
    where : str
    out : Path
    classes : tuple of str
        Names for the probabilities; by default they are numbered.

    Raises
    ------
    ValueError
        If the file is called otherwise than ``.parquet``, or the answers are of another number of classes.
    """
    if out.suffix != ".parquet":
        raise ValueError(f"{out}: it is written as Parquet; call the file {out.stem}.parquet")
    rows, writer = 0, None
    for batch in _batches(where):
        table = _table(batch, classes)
        writer = writer or pq.ParquetWriter(out, table.schema, compression="zstd")
        writer.write_table(table)
        rows += len(table)
    if writer is not None:
        writer.close()
    return rows


def _batches(where: str) -> Iterator[list[tuple[str, int, Record]]]:
    store, batch = look_at(where), list[tuple[str, int, Record]]()
    for number in store.partitions():
        part = store.partition(number)
        for key, data in part.items():
            batch.append((key.decode(), number, Record.frombytes(bytes(data))))
            if len(batch) == ROWS:
                yield batch
                batch = []
        part.close()
    if batch:
        yield batch


def _table(batch: list[tuple[str, int, Record]], classes: tuple[str, ...]) -> pa.Table:
    records = [record for _, _, record in batch]
    n = max((classes_of(record.answer) for record in records if record.answer), default=len(classes))
    if classes and len(classes) != n:
        raise ValueError(
            f"--model: it has {len(classes)} classes, the answers in the store {n}; name the store's model"
        )
    names = classes if len(classes) == n else tuple(map(str, range(n)))
    p, status, best = np.full((len(batch), n), np.nan, np.float32), [""] * len(batch), [""] * len(batch)
    rows = [i for i, record in enumerate(records) if record.answer]
    if rows:
        kept = unkept([records[i].answer for i in rows], n)
        p[rows] = kept["p"]
        for i, code in zip(rows, kept["status"].tolist(), strict=True):
            status[i] = STATUSES[code]
            known = np.isfinite(p[i]).all()
            best[i] = names[int(np.argmax(p[i]))] if known and n and int(np.argmax(p[i])) != NO_CLASS else ""
    columns: dict[str, Any] = {"object_id": [name for name, _, _ in batch], "status": status}
    columns["class"] = pa.array([x or None for x in best], pa.string())
    columns |= {f"p_{name}": pa.array(p[:, k], from_pandas=True) for k, name in enumerate(names)}
    columns["n_obs"] = [record.n_obs for record in records]
    columns["n_missing"] = [len(record.missing) for record in records]
    columns["time"] = [float(r.points["time"][-1]) if len(r.points) else None for r in records]
    columns |= {axis: pa.array([getattr(r, axis) for r in records], from_pandas=True) for axis in ("ra", "dec")}
    columns["updated"] = [record.updated for record in records]
    columns["partition"] = [number for _, number, _ in batch]
    columns["offset"] = [record.offset for record in records]
    return pa.table(columns)


def expire(where: str, days: float, now: float | None = None) -> int:
    """Delete the objects that nothing was heard of for so many days; return how many.

    For when no worker has the store. Damaged records stay, for `verify` to tell of.

    Raises
    ------
    Fenced
        If a worker has taken messages meanwhile: what looked stale may not be any more.
    """
    store, gone, before = open_store(where), 0, (time.time() if now is None else now) - days * DAY
    for number in store.partitions():
        part = store.partition(number)
        offset, outbox = part.offset, part.outbox  # as of before the look: a worker that has gone on since is noticed
        stale = [bytes(key) for key, data in part.items() if _stale(bytes(data), before)]
        for first in range(0, len(stale), 10_000):
            part.commit(dict.fromkeys(stale[first : first + 10_000]), offset, offset, outbox)
        gone += len(stale)
        part.close()
    return gone


def _stale(data: bytes, before: float) -> bool:
    try:
        return Record.frombytes(data).updated < before
    except Damaged:
        return False


def compact(where: str, out: Path) -> tuple[int, int]:
    """Write a copy of an LMDB store without holes; return the bytes before and after.

    Raises
    ------
    ValueError
        If it is no LMDB store, or the copy's folder isn't empty.
    """
    store = look_at(where)
    if not isinstance(store, LmdbStore):
        raise ValueError(f"{without_password(where)}: only stores in a folder have holes to close")
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty: give a new folder")
    before = after = 0
    for number in store.partitions():
        part, name = store.partition(number), f"partition-{number:05d}"
        part.compact(out / name)
        part.close()
        before += _held(store.folder / name)
        after += _held(out / name)
    return before, after


def _held(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.iterdir())
