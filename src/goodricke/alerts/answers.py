"""What the engine says of objects after each batch: a table that is published, filtered and kept.

What goes into the engine and what comes out: messages, dead letters, and how many of everything there were.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

STATUSES = ("OK", "REBUILT", "TOO_FEW_POINTS", "OUT_OF_ORDER", "EMPTY")
NO_CLASS = 255


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers about n objects.

    Parameters
    ----------
    object_id : list of str
    status : str (n,)
        ``OK``; ``REBUILT``: with the last message an observation came late and the object was built again with it;
        ``OUT_OF_ORDER``: the observation of the last message is older than anything kept, and not in the answer;
        ``TOO_FEW_POINTS``: no probabilities yet.
    probabilities : float32 (n, C)
        NaN where there are none.
    change : float32 (n,)
        Total variation distance from the answer before, 0 to 1: half the sum of the probabilities' absolute
        differences; NaN for the first answer.
    previous : int (n,)
        Index of the most probable class before, `NO_CLASS` if there was none.
    novelty : float32 (n,)
        How unlike the training set, 0 to 1 (`goodricke.uncertainty.novelty`); NaN if the model doesn't say.
    sets : bool (n, C)
        Which classes the object may be of (`goodricke.uncertainty.prediction_sets`); none if the model doesn't say.
    n_obs : int (n,)
        Observations that the answer rests on.
    n_missing : int (n,)
        Observations that were told of, and came too late for the answer.
    time : float64 (n,)
        Of the last observation [d].
    ra, dec : float64 (n,)
        Degrees, NaN if unknown.
    partition : int
    offset : int (n,)
        Of the last message about the object: of two answers the one with the larger offset is newer.
    classes : tuple of str
    model, model_hash : str
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

    @classmethod
    def none(cls, classes: tuple[str, ...]) -> Answers:
        """Return answers about no object: the columns that a filter may use."""
        numbers, words, indices = np.zeros(0), np.zeros(0, str), np.zeros(0, np.uint8)
        counts, p = np.zeros(0, np.int64), np.zeros((0, len(classes)), np.float32)
        short = numbers.astype(np.float32)
        sets, places = p.astype(bool), (numbers, numbers, numbers, 0, counts)
        return cls([], words, p, short, indices, short, sets, counts, counts, *places, classes, "", "")

    def __len__(self) -> int:
        return len(self.object_id)

    @property
    def best(self) -> NDArray[np.uint8]:
        """Index of the most probable class, `NO_CLASS` if there is none, (n,)."""
        known = np.isfinite(self.probabilities).all(1)
        return np.where(known, np.nan_to_num(self.probabilities).argmax(1), NO_CLASS).astype(np.uint8)

    @property
    def columns(self) -> dict[str, NDArray]:
        """The numbers and words that a filter may use, (n,) each: the names of `records`."""
        names = np.array([*self.classes, *[""] * (256 - len(self.classes))], dtype=str)
        columns: dict[str, NDArray] = {"object_id": np.array(self.object_id, dtype=str), "status": self.status}
        columns |= {"class": names[self.best], "previous_class": names[self.previous]}
        columns |= {f"p_{c}": self.probabilities[:, k] for k, c in enumerate(self.classes)}
        columns["p_max"] = self.probabilities.max(1, initial=0)
        columns["set_size"] = self.sets.sum(1)
        own = ("change", "novelty", "n_obs", "n_missing", "time", "ra", "dec", "offset")
        columns |= {name: getattr(self, name) for name in own}
        return columns | {"partition": np.full(len(self), self.partition)}

    def take(self, rows: NDArray[np.integer]) -> Answers:
        """Return the answers about some of the objects."""
        kept: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, np.ndarray):
                kept[f.name] = value[rows]
            else:
                kept[f.name] = [value[i] for i in rows] if isinstance(value, list) else value
        return Answers(**kept)

    def records(self) -> list[dict[str, Any]]:
        """Return a record per object, of plain values, None where there is nothing."""
        columns = {name: _plain(column) for name, column in self.columns.items()}
        columns["prediction_set"] = [
            [c for c, there in zip(self.classes, row, strict=True) if there] or None for row in self.sets.tolist()
        ]
        about = {"model": self.model, "model_hash": self.model_hash}
        return [dict(zip(columns, row, strict=True)) | about for row in zip(*columns.values(), strict=True)]

    def as_json(self) -> list[bytes]:
        """Return each record as JSON."""
        return [json.dumps(record, separators=(",", ":")).encode() for record in self.records()]

    def as_lasair(self) -> list[bytes]:
        """Return each record as an annotation that the broker Lasair takes: object, class, probabilities in a dict."""
        told = []
        for record in self.records():
            p = {c: record[f"p_{c}"] for c in self.classes}
            why = f"{record['status']}, {record['n_obs']} observations"
            note = {"objectId": record["object_id"], "classification": record["class"], "explanation": why}
            told.append(note | {"classdict": p, "version": f"{self.model} {self.model_hash}"})
        return [json.dumps(note, separators=(",", ":")).encode() for note in told]

    def kept(self) -> list[bytes]:
        """Return what a record keeps of each answer: status, previous class, change, novelty, probabilities and set."""
        data = np.empty(len(self), _kept(len(self.classes)))
        data["status"] = [STATUSES.index(status) for status in self.status]
        data["previous"], data["change"], data["novelty"] = self.previous, self.change, self.novelty
        data["p"], data["set"] = self.probabilities, self.sets
        return [row.tobytes() for row in data]


def unkept(parts: Sequence[bytes], classes: int) -> NDArray[np.void]:
    """Return what `Answers.kept` made of answers.

    Fields: ``status`` (index), ``previous``, ``change``, ``novelty``, ``p`` (C) and ``set`` (C).
    """
    return np.frombuffer(b"".join(parts), _kept(classes))


def _kept(classes: int) -> np.dtype:
    numbers = [("status", "u1"), ("previous", "u1"), ("change", "<f4"), ("novelty", "<f4")]
    return np.dtype([*numbers, ("p", "<f4", (classes,)), ("set", "?", (classes,))])


def classes_of(kept: bytes) -> int:
    """Return the number of classes of a kept answer, from its length."""
    return (len(kept) - _kept(0).itemsize) // (_kept(1).itemsize - _kept(0).itemsize)


def _plain(column: NDArray) -> list[Any]:
    """Return a column as Python values; NaN and empty words become None."""
    if column.dtype.kind == "f":
        values = np.round(column.astype(np.float64), 7) if column.dtype == np.float32 else column
        return [None if x != x else x for x in values.tolist()]
    return [None if x == "" else x for x in column.tolist()]


def avro_schema(classes: Sequence[str]) -> dict[str, Any]:
    """Return the Avro schema of the answers' records."""

    def optional(kind: str) -> list[str]:
        return ["null", kind]

    kinds: dict[str, Any] = {"object_id": "string", "status": "string"}
    kinds |= {"class": optional("string"), "previous_class": optional("string")}
    kinds |= {_avro_name(f"p_{c}"): optional("float") for c in classes}
    kinds |= {"p_max": optional("float"), "set_size": "long", "change": optional("float")}
    kinds |= {"novelty": optional("float"), "n_obs": "long", "n_missing": "long", "time": optional("double")}
    kinds |= {"ra": optional("double"), "dec": optional("double"), "offset": "long", "partition": "int"}
    kinds["prediction_set"] = ["null", {"type": "array", "items": "string"}]
    kinds |= {"model": "string", "model_hash": "string"}
    records = [{"name": name, "type": kind} for name, kind in kinds.items()]
    return {"type": "record", "name": "answer", "namespace": "goodricke", "fields": records}


def _avro_name(name: str) -> str:
    """Return a name as Avro allows it."""
    return "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name)


# ---- What goes into the engine and what comes out: messages, dead letters, and how many of everything the ------------


@dataclass(frozen=True)
class Message:
    """A message of one partition of the stream."""

    offset: int
    value: bytes
    partition: int = 0


@dataclass(frozen=True)
class DeadLetter:
    """A message that can't be used, and why."""

    message: Message
    error: str


@dataclass
class Counts:
    """What became of messages and observations since the engine began."""

    messages: int = 0
    repeated: int = 0  # messages that were taken before
    unkeyed: int = 0  # messages without a key, in a topic of several partitions
    dead: int = 0  # messages that can't be decoded
    unusable: int = 0  # sound messages that tell nothing of a known band, of a fixed object, or passing the cuts
    observations: int = 0  # taken
    other_bands: int = 0  # observations in bands that the model doesn't know
    faint: int = 0  # fluxes not above their errors, which have no magnitude for a model of magnitudes
    filled: int = 0  # of them those that no message but a packet's past told of
    known: int = 0  # observations that the object had
    refused: int = 0  # older than anything kept
    rebuilt: int = 0  # objects
    born: int = 0  # objects seen for the first time
    strayed: int = 0  # objects seen for the first time that another partition has too: the topic isn't keyed by object
    damaged: int = 0  # records that had to be thrown away

    def add(self, **more: int) -> None:
        """Add to some of them."""
        for name, number in more.items():
            setattr(self, name, getattr(self, name) + number)


@dataclass(frozen=True)
class Taken:
    """What came of a batch."""

    answers: Answers
    dead: list[DeadLetter]
    offset: int  # of the next message


class Outbox(NamedTuple):
    """What a store's last transaction says of its batch, whose answers may not have been published."""

    first: int  # offset of its first message
    objects: list[str]

    def tobytes(self) -> bytes:
        """Return it as bytes."""
        return json.dumps(self._asdict()).encode()

    @classmethod
    def frombytes(cls, data: bytes) -> Outbox:
        """Return it from its bytes, an empty one from none."""
        return cls(**json.loads(data)) if data else cls(0, [])
