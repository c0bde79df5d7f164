"""Messages in, answers out: the tables that enter and leave the engine, and the formats of the answers.

An answer is published as JSON, Avro or a Lasair annotation, kept in the object's record as a few bytes
(`packed_answers`), and written to files as a table with the same columns.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.data import formats
from goodricke.data.files import atomic_write
from goodricke.data.predictions import NODE, THRESHOLD
from goodricke.data.taxonomy import UNCERTAIN, Taxonomy

STATUSES = ("OK", "REBUILT", "TOO_FEW_POINTS", "OUT_OF_ORDER", "EMPTY")
NO_CLASS = 255
JSON_SUFFIXES = (".json", ".jsonl")
ROUTE_COLUMNS: dict[str, pa.DataType] = {  # of a second model; see `goodricke.alerts.route`
    "route_model": pa.string(),
    "route_class": pa.string(),
    "route_probability": pa.float32(),
    "route_period": pa.float64(),
    "route_n_obs": pa.int32(),
}


@dataclass(frozen=True)
class Message:
    """A message of one partition of the stream."""

    offset: int
    value: bytes
    partition: int = 0


@dataclass(frozen=True)
class DeadLetter:
    """A message that can't be decoded or processed, and the reason."""

    message: Message
    error: str


@dataclass(frozen=True, eq=False)
class AlertAnswers:
    """Answers about n objects.

    Parameters
    ----------
    object_id : list of str
    status : str (n,)
        ``OK``; ``REBUILT``: the last message brought a late observation and the object was built again with it;
        ``OUT_OF_ORDER``: the observation of the last message is older than all that is kept, and not in the answer;
        ``TOO_FEW_POINTS`` and ``EMPTY``: no probabilities yet.
    probabilities : float32 (n, C)
        NaN where there are none.
    change : float32 (n,)
        Total variation distance from the answer before, 0 to 1: half the sum of the probabilities' absolute
        differences; NaN for the first answer.
    previous : int (n,)
        The class before, an index into `answer_names`; `NO_CLASS` if there was none.
    novelty : float32 (n,)
        How unlike the training set, 0 to 1 (`goodricke.uncertainty.novelty`); NaN without a calibration for it.
    sets : bool (n, C)
        Which classes the object may be of (`goodricke.uncertainty.prediction_sets`); none without a calibration.
    n_obs : int (n,)
        Observations in the answer.
    n_missing : int (n,)
        Observations that came too late for the answer.
    time : float64 (n,)
        Of the last observation [d].
    ra, dec : float64 (n,)
        Degrees, NaN if unknown.
    partition : int
    offset : int (n,)
        Of the last message about the object: of two answers the one with the larger offset is newer.
    classes : tuple of str
    model, model_hash : str
    taxonomy : Taxonomy, optional
        Of which the classes are the leaves. The class of an answer is then the deepest leaf or node that is probable
        enough, as in `goodricke.data.predictions.Predictions`.
    routed : object (n,), optional
        What a second model said of each object, a dict by the names of `ROUTE_COLUMNS`; see `goodricke.alerts.route`.
    """

    object_id: list[str]
    status: NDArray[np.str_]
    probabilities: NDArray[np.float32]
    change: NDArray[np.float32]
    previous: NDArray[np.uint8]
    novelty: NDArray[np.float32]
    sets: NDArray[np.bool_]
    n_obs: NDArray[np.int64]
    n_missing: NDArray[np.int64]
    time: NDArray[np.float64]
    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    partition: int
    offset: NDArray[np.int64]
    classes: tuple[str, ...]
    model: str
    model_hash: str
    taxonomy: Taxonomy | None = None
    routed: NDArray[np.object_] | None = None

    def __len__(self) -> int:
        return len(self.object_id)

    @staticmethod
    def concat(parts: Sequence[AlertAnswers]) -> AlertAnswers:
        """Join answers of one model and partition, in their order."""
        if len(parts) == 1:
            return parts[0]
        arrays = {f.name for f in fields(AlertAnswers) if isinstance(getattr(parts[0], f.name), np.ndarray)}
        joined: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in arrays}
        return replace(parts[0], object_id=[name for part in parts for name in part.object_id], **joined)

    @property
    def columns(self) -> dict[str, NDArray]:
        """Numbers and words by name, (n,) each: the columns that a filter may use."""
        names, p = answer_names(self.classes, self.taxonomy), self.probabilities
        columns: dict[str, NDArray] = {"object_id": np.array(self.object_id, dtype=str), "status": self.status}
        answer, probability = answer_class(p, self.taxonomy)
        columns |= {"class": names[answer], "previous_class": names[self.previous]}
        if self.taxonomy is not None:
            columns |= {"class_probability": probability, "leaf": names[most_probable(p)]}
        columns |= {f"p_{c}": p[:, k] for k, c in enumerate(self.classes)}
        columns["p_max"] = p.max(1, initial=0)
        columns |= node_probabilities(p, self.taxonomy)
        columns["set_size"] = self.sets.sum(1)
        arrays = ("change", "novelty", "n_obs", "n_missing", "time", "ra", "dec", "offset")
        columns |= {name: getattr(self, name) for name in arrays}
        columns["partition"] = np.full(len(self), self.partition)
        return columns | {name: _route_column(self.routed, name) for name in self.route_names}

    @property
    def route_names(self) -> tuple[str, ...]:
        """The columns of the second model, if there is one."""
        return () if self.routed is None else tuple(ROUTE_COLUMNS)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row per object with the names of `answer_schema`, of plain values, None for what is unknown."""
        columns = {name: _plain(column) for name, column in self.columns.items()}
        columns |= {name: [answer.get(name) for answer in self.routed] for name in self.route_names}  # type: ignore[union-attr]
        columns["prediction_set"] = [
            [c for c, member in zip(self.classes, row, strict=True) if member] or None for row in self.sets.tolist()
        ]
        model = {"model": self.model, "model_hash": self.model_hash}
        return [dict(zip(columns, row, strict=True)) | model for row in zip(*columns.values(), strict=True)]

    def to_json(self) -> list[bytes]:
        """Return each row as JSON."""
        return [json.dumps(row, separators=(",", ":")).encode() for row in self.rows()]

    def to_lasair(self) -> list[bytes]:
        """Return each row as an annotation of the broker Lasair: object, class, and a dict of the probabilities."""
        notes = [
            {
                "objectId": row["object_id"],
                "classification": row["class"],
                "explanation": f"{row['status']}, {row['n_obs']} observations",
                "classdict": {c: row[f"p_{c}"] for c in self.classes},
                "version": f"{self.model} {self.model_hash}",
            }
            for row in self.rows()
        ]
        return [json.dumps(note, separators=(",", ":")).encode() for note in notes]


def _route_column(routed: NDArray[np.object_] | None, name: str) -> NDArray:
    """Return a column (n,) of what a second model said: empty words and NaN before its first answer."""
    values = [answer.get(name) for answer in ([] if routed is None else routed.tolist())]
    if pa.types.is_string(ROUTE_COLUMNS[name]):
        return np.array([value or "" for value in values], dtype=str)
    return np.array([np.nan if value is None else value for value in values], np.float64)


def most_probable(p: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return the index of the most probable class (n,) of probabilities (n, C), `NO_CLASS` where one is NaN."""
    known = np.isfinite(p).all(1) & (p.shape[1] > 0)
    best = np.nan_to_num(p).argmax(1) if p.shape[1] else NO_CLASS
    return np.where(known, best, NO_CLASS).astype(np.uint8)


def answer_names(classes: Sequence[str], taxonomy: Taxonomy | None = None) -> NDArray[np.str_]:
    """Return what answers are called, (256,): leaves, nodes, and nothing for `NO_CLASS`; the root is `UNCERTAIN`."""
    nodes = [] if taxonomy is None else [UNCERTAIN if name == taxonomy.root else name for name in taxonomy.nodes]
    return np.array([*classes, *nodes, *[""] * (256 - len(classes) - len(nodes))], dtype=str)


def answer_class(
    p: NDArray[np.floating], taxonomy: Taxonomy | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return the class of answers (n,), an index into `answer_names`, and its probability.

    Without a taxonomy it is the most probable class, with one the deepest leaf or node that is probable enough.
    """
    best = most_probable(p)
    if taxonomy is None or not taxonomy.nodes:
        return best, p.max(1, initial=0).astype(np.float32)
    known = best != NO_CLASS
    name, probability = taxonomy.deepest(np.nan_to_num(p), THRESHOLD)
    place = {name: k for k, name in enumerate((*taxonomy.leaves, *taxonomy.nodes))}
    index = np.array([place[one] for one in name.tolist()], np.uint8)
    return np.where(known, index, NO_CLASS).astype(np.uint8), np.where(known, probability, np.nan).astype(np.float32)


def node_probabilities(p: NDArray[np.floating], taxonomy: Taxonomy | None) -> dict[str, NDArray[np.float32]]:
    """Return the probabilities (n,) of a taxonomy's nodes by the names of their columns, without the root's."""
    if taxonomy is None:
        return {}
    columns = zip(taxonomy.nodes, (p @ taxonomy.matrix.T.astype(np.float32)).T, strict=True)
    return {f"{NODE}{name}": column.astype(np.float32) for name, column in columns if name != taxonomy.root}


def packed_answers(n: int, n_classes: int) -> NDArray[np.void]:
    """Return an empty array of answers (n,) as records keep them.

    Fields: ``status`` (index into `STATUSES`), ``previous``, ``change``, ``novelty``, ``p`` (C) and ``set`` (C); see
    `AlertAnswers`.
    """
    return np.empty(n, _packed_dtype(n_classes))


def unpack_answers(parts: Sequence[bytes], n_classes: int | None = None) -> NDArray[np.void]:
    """Return `packed_answers` (n,) from their bytes, all of as many classes; by default as the first one."""
    n_classes = packed_class_count(parts[0]) if n_classes is None else n_classes
    return np.frombuffer(b"".join(parts), _packed_dtype(n_classes))


def packed_class_count(data: bytes) -> int:
    """Return the number of classes of a packed answer, from its length."""
    fixed = _packed_dtype(0).itemsize
    return (len(data) - fixed) // (_packed_dtype(1).itemsize - fixed)


def _packed_dtype(n_classes: int) -> np.dtype:
    numbers = [("status", "u1"), ("previous", "u1"), ("change", "<f4"), ("novelty", "<f4")]
    return np.dtype([*numbers, ("p", "<f4", (n_classes,)), ("set", "?", (n_classes,))])


def _plain(column: NDArray) -> list[Any]:
    """Return a column as Python values, float32 with seven digits; NaN and empty words become None."""
    values = np.round(column.astype(np.float64), 7) if column.dtype == np.float32 else column
    return [None if x == "" or x != x else x for x in values.tolist()]


# ---- formats --------------------------------------------------------------------------------------------------------


_STRINGS = pa.list_(pa.string())
_AVRO: dict[pa.DataType, Any] = {
    pa.string(): "string",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.int32(): "int",
    pa.int64(): "long",
    _STRINGS: {"type": "array", "items": "string"},
}


def answer_schema(classes: Sequence[str], taxonomy: Taxonomy | None = None, routed: bool = False) -> pa.Schema:
    """Return the columns of the answers, in order; with those of a second model if there is one."""
    types = dict.fromkeys(("object_id", "status", "class", "previous_class"), pa.string())
    types |= {} if taxonomy is None else {"class_probability": pa.float32(), "leaf": pa.string()}
    types |= {f"p_{c}": pa.float32() for c in classes} | {"p_max": pa.float32()}
    types |= dict.fromkeys(node_probabilities(np.zeros((0, len(classes)), np.float32), taxonomy), pa.float32())
    types |= {"set_size": pa.int64(), "change": pa.float32(), "novelty": pa.float32()}
    types |= {"n_obs": pa.int64(), "n_missing": pa.int64()}
    types |= {"time": pa.float64(), "ra": pa.float64(), "dec": pa.float64()}
    types |= {"offset": pa.int64(), "partition": pa.int32()} | (ROUTE_COLUMNS if routed else {})
    types |= {"prediction_set": _STRINGS, "model": pa.string(), "model_hash": pa.string()}
    required = ("object_id", "status", "model", "model_hash")
    counted = {name for name, kind in types.items() if pa.types.is_integer(kind)} - set(ROUTE_COLUMNS)
    is_required = {name: name in required or name in counted for name in types}
    return pa.schema([pa.field(name, kind, nullable=not is_required[name]) for name, kind in types.items()])


def filter_columns(classes: Sequence[str], taxonomy: Taxonomy | None = None, routed: bool = False) -> list[str]:
    """Return the names of `AlertAnswers.columns`, which a filter may use."""
    names = answer_schema(classes, taxonomy, routed).names
    return [name for name in names if name not in ("prediction_set", "model", "model_hash")]


def avro_schema(classes: Sequence[str], taxonomy: Taxonomy | None = None, routed: bool = False) -> dict[str, Any]:
    """Return the Avro schema of the answers; a name may only have letters, digits and underscores there."""
    schema = answer_schema(classes, taxonomy, routed)
    types = {f.name: ["null", _AVRO[f.type]] if f.nullable else _AVRO[f.type] for f in schema}
    fields = [{"name": _avro_name(name), "type": kind} for name, kind in types.items()]
    return {"type": "record", "name": "answer", "namespace": "goodricke", "fields": fields}


def _avro_name(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name)


def avro_encoder(
    classes: Sequence[str], taxonomy: Taxonomy | None = None, routed: bool = False
) -> Callable[[AlertAnswers], list[bytes]]:
    """Return a function that encodes answers in Avro, without a header, by `avro_schema`."""
    import fastavro

    schema = fastavro.parse_schema(avro_schema(classes, taxonomy, routed))
    names = list(map(_avro_name, answer_schema(classes, taxonomy, routed).names))

    def encode(answers: AlertAnswers) -> list[bytes]:
        values = []
        for row in answers.rows():
            buffer = io.BytesIO()
            fastavro.schemaless_writer(buffer, schema, dict(zip(names, row.values(), strict=True)))
            values.append(buffer.getvalue())
        return values

    return encode


def check_writable(out: Path) -> None:
    """Refuse before the work what `write_table` would refuse after it.

    Raises
    ------
    ValueError
        If the suffix names no format.
    OSError
        If the folder can't be written to.
    """
    if out.suffix not in (*JSON_SUFFIXES, *formats.WRITERS):
        kinds = ", ".join((".json", *formats.WRITERS))
        raise ValueError(f"{out}: can't write {out.suffix or 'a file without suffix'}; use {kinds}")
    formats.check(out.with_suffix(".csv") if out.suffix in JSON_SUFFIXES else out)


def write_answers(
    rows: Sequence[Mapping[str, Any]],
    classes: Sequence[str],
    out: Path,
    taxonomy: Taxonomy | None = None,
    routed: bool = False,
) -> None:
    """Write rows of answers as `write_table` does."""
    if out.suffix in JSON_SUFFIXES:
        _write_json_lines(rows, out)
    else:
        write_table(pa.Table.from_pylist(list(rows), answer_schema(classes, taxonomy, routed)), out)


def write_table(table: pa.Table, out: Path) -> None:
    """Write a table as JSON lines (``.json``, ``.jsonl``) or in a format of `goodricke.data.formats`."""
    if out.suffix in JSON_SUFFIXES:
        _write_json_lines(table.to_pylist(), out)
    else:
        formats.write(formats.Rows.from_table(table, {}), out)


def _write_json_lines(rows: Sequence[Mapping[str, Any]], out: Path) -> None:
    atomic_write(out, "".join(json.dumps(row) + "\n" for row in rows))
