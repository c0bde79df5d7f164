"""Inspection and maintenance of a state store: list, show, export, verify, expire and compact."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.table import Table

from goodricke.alerts.answers import (
    ROUTE_COLUMNS,
    STATUSES,
    answer_class,
    answer_names,
    most_probable,
    node_probabilities,
    packed_class_count,
    unpack_answers,
)
from goodricke.alerts.object_record import DamagedRecordError, ObjectRecord, is_routed
from goodricke.alerts.store import LmdbStore, Partition, Store, open_store, without_password
from goodricke.data.files import atomic_path
from goodricke.data.taxonomy import Taxonomy

if TYPE_CHECKING:
    from goodricke.models.bundle import BundleConfig

DAY = 86400.0  # seconds
EXPORT_ROWS = 50_000  # in memory at once
EXPIRE_KEYS = 10_000  # deleted in one transaction
SIZE_SAMPLE = 1000  # records that a mean size is taken over


def open_for_reading(where: str) -> Store:
    """Open a store without creating anything.

    Raises
    ------
    ValueError
        If there is none.
    """
    if "://" in where or where.startswith("redis:"):
        return open_store(where)
    store = LmdbStore(Path(where), readonly=True)
    if not store.partitions() and any(store.folder.iterdir()):
        fix = "give the folder that the worker has as its `state`"
        raise ValueError(f"{where}: no store there, but other files. Fix: {fix}")
    return store


def open_partitions(store: Store) -> Iterator[tuple[int, Partition]]:
    """Yield numbers and partitions of a store; each is closed before the next."""
    for number in store.partitions():
        with closing(store.partition(number)) as part:
            yield number, part


def partition_table(where: str) -> Table:
    """Return a table of the partitions: objects, offset, bytes per object."""
    table = Table("partition", "objects", "offset", "bytes per object", title=without_password(where))
    for number, part in open_partitions(open_for_reading(where)):
        sizes = [len(data) for (_, data), _ in zip(part.items(), range(SIZE_SAMPLE), strict=False)]
        mean = f"{np.mean(sizes):,.0f}" if sizes else ""
        table.add_row(str(number), f"{len(part):,}", f"{part.offset:,}", mean)
    return table


def find_record(where: str, object_id: str) -> tuple[int, ObjectRecord] | None:
    """Return the partition and the record of an object, None if the store does not have it."""
    for number, part in open_partitions(open_for_reading(where)):
        (data,) = part.get([object_id.encode()])
        if data is not None:
            return number, ObjectRecord.frombytes(bytes(data))
    return None


def describe_record(number: int, record: ObjectRecord) -> dict[str, Any]:
    """Return the contents of a record as words and numbers."""
    description: dict[str, Any] = {
        "partition": number,
        "n_obs": record.n_obs,
        "missing": len(record.missing_hashes),
        "offset": record.offset,
        "updated": record.updated,
        "ra": record.ra,
        "dec": record.dec,
        "points kept": len(record.points),
        "hashes": len(record.base_hashes),
        "state bytes": len(record.state),
        "base bytes": len(record.base),
    }
    if record.answer:
        answer = unpack_answers([record.answer])[0]
        description["status"] = STATUSES[answer["status"]]
        description["probabilities"] = [round(float(p), 4) for p in answer["p"]]
        description["novelty"] = round(float(answer["novelty"]), 4)
    if record.route:
        from goodricke.alerts.route import Routed

        description |= Routed.frombytes(record.route, 0).answer
    return description


def verify_records(where: str) -> tuple[int, list[str]]:
    """Return the number of sound records, and a line about each of the others."""
    n_sound, errors = 0, list[str]()
    for number, part in open_partitions(open_for_reading(where)):
        for key, data in part.items():
            try:
                ObjectRecord.frombytes(bytes(data))
                n_sound += 1
            except DamagedRecordError as error:
                errors.append(f"{key.decode(errors='replace')} (partition {number}): {error}")
    return n_sound, errors


# ---- the answers in a store -----------------------------------------------------------------------------------------


def export_answers(where: str, out: Path, model: str | None = None) -> int:
    """Write a row per object, without the states themselves, as Parquet; return the number of rows.

    Parameters
    ----------
    where : str
    out : path
    model : str, optional
        See `class_names`.

    Raises
    ------
    ValueError
        If the file's suffix isn't ``.parquet``, or the answers have another number of classes than the model.
    """
    if out.suffix != ".parquet":
        raise ValueError(f"{out}: the export is Parquet; call the file {out.stem}.parquet")
    rows, writer = 0, None
    with atomic_path(out) as partial:
        for table in answer_tables(where, model):
            writer = writer or pq.ParquetWriter(partial, table.schema, compression="zstd")
            writer.write_table(table)
            rows += len(table)
        if writer is None:
            cause = "no worker has written an answer to it yet"
            raise ValueError(f"{without_password(where)}: the store is empty: {cause}")
        writer.close()
    return rows


def answer_tables(where: str, model: str | None = None) -> Iterator[pa.Table]:
    """Yield the objects of a store with their last answers, a table for each `EXPORT_ROWS` objects.

    Raises
    ------
    ValueError
        If the answers have another number of classes than the model.
    """
    store, batch = open_for_reading(where), list[tuple[str, int, ObjectRecord]]()
    config = _model_config(store, model)
    classes, taxonomy = ((), None) if config is None else (config.classes, config.taxonomy)
    routed = any(is_routed(data) for _, part in open_partitions(store) for _, data in part.items())
    for number, part in open_partitions(store):
        for key, data in part.items():
            batch.append((key.decode(), number, ObjectRecord.frombytes(bytes(data))))
            if len(batch) == EXPORT_ROWS:
                yield _answer_table(batch, classes, taxonomy, routed)
                batch = []
    if batch:
        yield _answer_table(batch, classes, taxonomy, routed)


def class_names(store: Store, model: str | None = None) -> tuple[str, ...]:
    """Return the classes of a model, by default of the shipped model that the store was made with.

    A store has the name and the hash of its model, not its classes. They are unknown, and the tuple is empty, if no
    shipped model has both.
    """
    config = _model_config(store, model)
    return () if config is None else config.classes


def _model_config(store: Store, model: str | None) -> BundleConfig | None:
    """Return the configuration of a model, by default that the store was made with; None if it isn't known."""
    from goodricke.models.bundle import load_model, read_config
    from goodricke.models.hub import shipped_models

    if model is not None:
        return read_config(model)
    settings = store.settings()
    if settings.get("model") in shipped_models():
        bundle = load_model(settings["model"])
        if bundle.hash == settings["model_hash"]:
            return bundle.config
    return None


def _answer_table(
    batch: Sequence[tuple[str, int, ObjectRecord]],
    classes: tuple[str, ...],
    taxonomy: Taxonomy | None,
    routed: bool = False,
) -> pa.Table:
    """Return the last answers in records as a table, with those of a second model where the store has any."""
    records = [record for _, _, record in batch]
    answered = [i for i, record in enumerate(records) if record.answer]
    n = packed_class_count(records[answered[0]].answer) if answered else len(classes)
    if classes and len(classes) != n:
        raise ValueError(
            f"--model: it has {len(classes)} classes, the answers in the store {n}; name the store's model"
        )
    classes = classes or tuple(map(str, range(n)))
    names = answer_names(classes, taxonomy).astype(object)
    names[names == ""] = None
    p, status = np.full((len(batch), n), np.nan, np.float32), np.full(len(batch), "", object)
    if answered:
        packed = unpack_answers([records[i].answer for i in answered], n)
        p[answered], status[answered] = packed["p"], np.array(STATUSES, object)[packed["status"]]
    answer, probability = answer_class(p, taxonomy)
    columns: dict[str, Any] = {"object_id": [name for name, _, _ in batch], "status": pa.array(status, pa.string())}
    columns["class"] = pa.array(names[answer], pa.string())
    if taxonomy is not None:
        columns["class_probability"] = pa.array(probability, from_pandas=True)
        columns["leaf"] = pa.array(names[most_probable(p)], pa.string())
    columns |= {f"p_{name}": pa.array(p[:, k], from_pandas=True) for k, name in enumerate(classes)}
    nodes = node_probabilities(p, taxonomy)
    columns |= {name: pa.array(column, from_pandas=True) for name, column in nodes.items()}
    columns["n_obs"] = [record.n_obs for record in records]
    columns["n_missing"] = [len(record.missing_hashes) for record in records]
    times = [record.points["time"][-1] if len(record.points) else np.nan for record in records]
    columns["time"] = pa.array(times, pa.float64(), from_pandas=True)
    for axis in ("ra", "dec"):
        columns[axis] = pa.array([getattr(r, axis) for r in records], pa.float64(), from_pandas=True)
    columns["updated"] = [record.updated for record in records]
    columns["partition"] = [number for _, number, _ in batch]
    columns["offset"] = [record.offset for record in records]
    if routed:
        from goodricke.alerts.route import Routed  # with the networks

        answers = [Routed.frombytes(record.route, 0).answer for record in records]
        columns |= {name: pa.array([x.get(name) for x in answers], kind) for name, kind in ROUTE_COLUMNS.items()}
    return pa.table(columns)


# ---- maintenance ----------------------------------------------------------------------------------------------------


def expire_objects(where: str, days: float, now: float | None = None) -> int:
    """Delete the objects without an update for so many days; return their number.

    No worker must use the store meanwhile. Damaged records stay, for `verify_records` to find.

    Raises
    ------
    FencedError
        If a worker has processed messages meanwhile: what was stale may not be any more.
    """
    n_deleted, before = 0, (time.time() if now is None else now) - days * DAY
    for _, part in open_partitions(open_store(where)):
        offset, outbox = part.offset, part.outbox  # read before the records: a later commit of a worker is noticed
        stale = [bytes(key) for key, data in part.items() if _is_stale(bytes(data), before)]
        for first in range(0, len(stale), EXPIRE_KEYS):
            part.commit(dict.fromkeys(stale[first : first + EXPIRE_KEYS]), offset, offset, outbox)
        n_deleted += len(stale)
    return n_deleted


def _is_stale(data: bytes, before: float) -> bool:
    try:
        return ObjectRecord.frombytes(data).updated < before
    except DamagedRecordError:
        return False


def compact_store(where: str, out: Path) -> tuple[int, int]:
    """Write a copy of an LMDB store without unused pages; return the bytes before and after.

    Raises
    ------
    ValueError
        If it is no LMDB store, or the copy's folder isn't empty.
    """
    store = open_for_reading(where)
    if not isinstance(store, LmdbStore):
        raise ValueError(f"{without_password(where)}: only a store in a folder can be compacted")
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty: give a new folder")
    before = after = 0
    for number in store.partitions():
        folder = store.partition_folder(number)
        with closing(store.partition(number)) as part:
            part.compact(out / folder.name)
        before += _disk_usage(folder)
        after += _disk_usage(out / folder.name)
    return before, after


def _disk_usage(folder: Path) -> int:
    """Return the bytes of a folder's files on the disk."""
    return sum(path.stat().st_blocks * 512 for path in folder.iterdir())
