"""What is kept of each object: the model's state, and enough of the recent past to build it anew.

An object has its last observations (at most `goodricke.alerts.record.KEEP` x 2), the model's state after all of them,
and, once there were more, the state before the first of them, its *base*. Of the observations that went into the base
a mark of four bytes each is left (`marks`), so that one of them that is sent again is known.

Bytes of an object, little-endian: a header (`HEADER`, `REST`), the observations (`POINT`), the marks of those in the
base and of those that are missing, the state and the base as `State.tobytes` writes them, and
the last answer (`goodricke.alerts.answers`). The checksum in the header, a CRC-32, is of all the other bytes.

What new observations do to what is kept of an object: known, taken, put where they belong, or too late.

An observation is the same as another if it has the same time and band. One that comes late, but not before the base,
is put where it belongs and the state is built again from the base. Of what is older than the base:

- one that went into the base and comes again is known by its mark, and changes nothing;
- one whose packet tells all that went into the base: the object is built again from that packet;
- any other is *missing* from now on: it is said of its own message (``OUT_OF_ORDER``) and counted in later answers.

Only of the last `MARKS` observations in the base marks are kept. Of an object with more, an observation older than the
base and without a mark can't be told from one that was taken: it changes nothing, and its own message is answered with
``OUT_OF_ORDER``.

One message after the other: nothing here depends on how a stream is cut into batches.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

MAGIC, VERSION = b"gkal", 2

HEADER = struct.Struct("<4sHI")  # magic, version, checksum
# numbers of points and of both kinds of marks; bytes of state, base and answer; observations in all; partition, offset,
# updated, ra, dec
REST = struct.Struct("<7Iiqddd")
FIRST = struct.Struct("<4sHHIIIIIIiqddd")  # the header of version 1, whose checksum was of what follows it
POINT = np.dtype([("time", "<f8"), ("value", "<f4"), ("error", "<f4"), ("band", "u1")])
MARK = np.dtype("<u4")
_NO_POINTS, _NO_MARKS = np.zeros(0, POINT), np.zeros(0, MARK)


class Damaged(ValueError):  # noqa: N818  what it says of the bytes
    """Bytes that are no record of an object: cut short, or changed on the disk."""


class OtherVersion(ValueError):  # noqa: N818  what it says of the bytes
    """A sound record of another version."""


@dataclass
class Record:
    """What is kept of one object.

    Parameters
    ----------
    points : structured array (k,)
        Of `POINT`, by time; time in days, value and error in the stream's unit, band an index into the model's bands.
    state, base : bytes
        After all observations, and before the first of ``points``; empty before the first observation.
    answer : bytes
        The last one, as it was published.
    n_obs : int
        Observations taken in all, those in the base among them.
    folded : uint32 array
        `marks` of the observations in the base, the last of them if there were too many.
    missing : uint32 array
        `marks` of observations that were told of and came too late to be taken.
    partition, offset : int
        Of the last message that was taken.
    updated : float
        When, in seconds since 1970.
    ra, dec : float
        Degrees, NaN if unknown.
    """

    points: NDArray[np.void] = field(default_factory=lambda: np.zeros(0, POINT))
    state: bytes = b""
    base: bytes = b""
    answer: bytes = b""
    n_obs: int = 0
    folded: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, MARK))
    missing: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, MARK))
    partition: int = -1
    offset: int = -1
    updated: float = 0.0
    ra: float = float("nan")
    dec: float = float("nan")

    def tobytes(self) -> bytes:
        """Return it as bytes."""
        points, folded, missing = self.points.tobytes(), self.folded.tobytes(), self.missing.tobytes()
        lengths = (len(self.points), len(self.folded), len(self.missing))
        sizes = (len(self.state), len(self.base), len(self.answer))
        about = (self.n_obs, self.partition, self.offset, self.updated, self.ra, self.dec)
        body = b"".join(
            [REST.pack(*lengths, *sizes, *about), points, folded, missing, self.state, self.base, self.answer]
        )
        return HEADER.pack(MAGIC, VERSION, zlib.crc32(body, _BEGINNING)) + body

    @classmethod
    def frombytes(cls, data: bytes) -> Record:
        """Return a record from its bytes.

        Raises
        ------
        Damaged
            If they are none.
        OtherVersion
            If they are one of another version of goodricke's.
        """
        if len(data) < HEADER.size or data[:4] != MAGIC:
            raise Damaged("these bytes are no record of an object")
        _, version, checksum = HEADER.unpack_from(data)
        beginning = _BEGINNING if version == VERSION else _checksum_of(version)
        sound = zlib.crc32(memoryview(data)[HEADER.size :], beginning) == checksum
        if version != VERSION and (sound or _is_first(data)):
            raise OtherVersion(
                f"the record has version {version}, this goodricke reads {VERSION}: go on with the goodricke that "
                "wrote it, or start a new store and fill it with `goodricke alerts replay --to`"
            )
        if not sound or version != VERSION or len(data) < HEADER.size + REST.size:
            raise Damaged("the record is cut short or was changed: its checksum is wrong")
        n, folded, missing, *sizes, n_obs, partition, offset, updated, ra, dec = REST.unpack_from(data, HEADER.size)
        at = HEADER.size + REST.size
        of_base = at + n * POINT.itemsize
        of_missing = of_base + folded * MARK.itemsize
        a = of_missing + missing * MARK.itemsize
        b, c = a + sizes[0], a + sizes[0] + sizes[1]
        return cls(
            np.frombuffer(data, POINT, n, at) if n else _NO_POINTS,
            data[a:b],
            data[b:c],
            data[c:],
            n_obs,
            np.frombuffer(data, MARK, folded, of_base) if folded else _NO_MARKS,
            np.frombuffer(data, MARK, missing, of_missing) if missing else _NO_MARKS,
            *(partition, offset, updated, ra, dec),
        )


def _checksum_of(version: int) -> int:
    """Return the checksum of a record's magic and version, with which that of the rest goes on."""
    return zlib.crc32(struct.pack("<4sH", MAGIC, version))


_BEGINNING = _checksum_of(VERSION)


def _is_first(data: bytes) -> bool:
    """Return whether bytes are a sound record of version 1."""
    if len(data) < FIRST.size or FIRST.unpack_from(data)[1] != 1:
        return False
    return bool(zlib.crc32(memoryview(data)[FIRST.size :]) == FIRST.unpack_from(data)[6])


def joined(parts: Sequence[NDArray[np.void]]) -> NDArray[np.void]:
    """Return points of several arrays in one; `numpy.concatenate` spends more on agreeing about the type."""
    return np.frombuffer(b"".join([part.tobytes() for part in parts]), POINT)


def marks(points: NDArray[np.void]) -> NDArray[np.uint32]:
    """Return a number of 32 bits for each observation (k,), from its time and band (splitmix64, Steele et al. 2014).

    Two observations have the same one by chance once in 4e9.
    """
    x = (points["time"] + 0.0).view(np.uint64)  # so that -0 is 0
    x = x + (points["band"].astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((x ^ (x >> np.uint64(31))) >> np.uint64(32)).astype(MARK)


# ---- What new observations do to what is kept of an object: known, taken, put where they belong, or too l ------------


KEEP = 32  # observations kept at least; twice as many at most
MARKS = 1024  # kept at most

Fate = Literal["known", "taken", "late", "unclear"]


class Told(NamedTuple):
    """What a message tells of its object.

    Parameters
    ----------
    new : structured array (0 or 1,)
        Of `POINT`.
    past : structured array
        What its packet says came before.
    unseen : structured array
        Those of ``past`` that the object's record doesn't have.
    """

    new: NDArray[np.void]
    past: NDArray[np.void]
    unseen: NDArray[np.void]


@dataclass(frozen=True)
class Change:
    """What messages do to an object.

    Parameters
    ----------
    points, folded, missing : array
        As a record has them from now on.
    aged : structured array
        Observations that go into the base.
    added : structured array
        New ones that are later than all before: the state only has to take them.
    rebuild : bool
        Whether the state is built again from the base.
    anew : bool
        Whether the base is, too: from nothing, with ``aged``.
    n_obs : int
        Observations taken in all.
    status : str
        ``REBUILT`` or ``OUT_OF_ORDER`` if the last message made it so, else empty.
    taken, filled, known, refused : int
        Numbers of observations: taken; those among them that only a packet's past told; new ones that were known; new
        ones that were too late.
    """

    points: NDArray[np.void]
    folded: NDArray[np.uint32]
    missing: NDArray[np.uint32]
    aged: NDArray[np.void]
    added: NDArray[np.void]
    rebuild: bool
    anew: bool
    n_obs: int
    status: str
    taken: int = 0
    filled: int = 0
    known: int = 0
    refused: int = 0


def unseen(
    records: Sequence[Record], rows: NDArray[np.int64], past: Sequence[NDArray[np.void]]
) -> list[NDArray[np.void]]:
    """Return what alerts' packets tell of the past that the records of their objects don't have.

    Parameters
    ----------
    records : sequence of Record
    rows : int (n,)
        Which record each alert belongs to.
    past : sequence of structured array (n,)
        Of `POINT`.
    """
    lengths = np.array([len(points) for points in past], np.int64)
    if not lengths.any():
        return list(past)
    asked = np.unique(rows[lengths > 0]).tolist()
    own = [records[k].points for k in asked]
    held = [_tagged(np.array(asked), [len(points) for points in own], marks(joined(own)))]
    folded = [records[k].folded for k in asked]
    held.append(_tagged(np.array(asked), [len(some) for some in folded], np.concatenate(folded)))
    there = np.isin(_tagged(rows, lengths, marks(joined(past))), np.concatenate(held))
    ends = np.cumsum(lengths)
    pieces = [there[end - length : end] for end, length in zip(ends, lengths, strict=True)]
    return [points[~seen] for points, seen in zip(past, pieces, strict=True)]


def _tagged(rows: NDArray[np.int64], lengths: Any, mark: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Return marks together with the row that each belongs to, so many of each."""
    return (np.repeat(rows, lengths).astype(np.uint64) << np.uint64(32)) | mark


def change(record: Record, told: Sequence[Told], keep: int = KEEP) -> Change:
    """Return what messages about one object do, in the order in which they came.

    Parameters
    ----------
    record : Record
        Left as it is.
    told : sequence of Told
    keep : int
        See `KEEP`.
    """
    if _is_usual(record.points, told, keep):
        none, n = record.points[:0], len(told)
        new = told[0].new if n == 1 else joined([message.new for message in told])
        both = joined([record.points, new])
        return Change(both, record.folded, record.missing, none, new, False, False, record.n_obs + n, "", taken=n)
    taking = _Taking(record, keep)
    for message in told:
        taking.take(message)
    return taking.done()


def _is_usual(points: NDArray[np.void], told: Sequence[Told], keep: int) -> bool:
    """Return whether all there is to do is to put observations behind the others."""
    if len(points) + len(told) > 2 * keep:
        return False
    last = points["time"][-1] if len(points) else -np.inf
    for message in told:
        if len(message.new) != 1 or len(message.unseen) or not message.new["time"][0] > last:
            return False
        last = message.new["time"][0]
    return True


class _Taking:
    """An object on the way from one record to the next."""

    def __init__(self, record: Record, keep: int) -> None:
        self.keep, self.has_base, self.n_obs = keep, bool(record.base), record.n_obs
        self.own: list[tuple] = record.points.tolist()
        self.ids = {_key(point) for point in self.own}
        self.folded: list[int] = record.folded.tolist()
        self.missing: dict[int, None] = dict.fromkeys(record.missing.tolist())  # in the order in which they came
        self.aged, self.added = list[tuple](), list[tuple]()
        self.rebuild = self.anew = False
        self.status, self.taken, self.filled, self.known, self.refused = "", 0, 0, 0, 0

    def take(self, told: Told) -> None:
        """Take a message: what its packet's past tells that isn't there, and its observation."""
        self.status = ""
        came = [(point, False) for point in told.unseen.tolist()] + [(point, True) for point in told.new.tolist()]
        came.sort(key=lambda each: _key(each[0]))
        fates = [(point, self._fate(point), new) for point, new in came]
        late = [point for point, fate, _ in fates if fate == "late"]
        if late and self._tells_all(told):
            self._begin_anew(told, sum(new and fate != "known" for _, fate, new in fates))
            return
        for point, fate, new in fates:
            if fate == "taken" and _key(point) not in self.ids:
                self._insert(point)
                self.filled += not new
        self._fold()
        own = [fate for _, fate, new in fates if new]
        self.known += own.count("known")
        if late:
            self.missing |= dict.fromkeys(_marks(late))
        if "late" in own or "unclear" in own:
            self.status = "OUT_OF_ORDER"
            self.refused += 1

    def _fate(self, point: tuple) -> Fate:
        """Return what is to become of an observation."""
        key = _key(point)
        if key in self.ids:
            return "known"
        if not self.has_base or key > _key(self.own[0]):
            return "taken"
        if _marks([point])[0] in self.folded:
            return "known"
        return "late" if self._has_all_marks else "unclear"

    def _insert(self, point: tuple) -> None:
        """Put an observation where it belongs."""
        place = len(self.own)
        while place and _key(self.own[place - 1]) > _key(point):
            place -= 1
        if place == len(self.own):
            self.added.append(point)
        else:
            self.rebuild, self.status = True, "REBUILT"
        self.own.insert(place, point)
        self.ids.add(_key(point))
        self.n_obs += 1
        self.taken += 1

    def _fold(self) -> None:
        """Let the oldest observations go into the base where there are too many."""
        while len(self.own) > 2 * self.keep:
            old, self.own = self.own[: self.keep], self.own[self.keep :]
            self.ids.difference_update(map(_key, old))
            self.aged += old
            self.folded = (self.folded + _marks(old))[-MARKS:]
            self.has_base = True

    @property
    def _has_all_marks(self) -> bool:
        return len(self.folded) + len(self.own) == self.n_obs

    def _tells_all(self, told: Told) -> bool:
        """Return whether a packet tells all that went into the base."""
        return self._has_all_marks and set(self.folded) <= set(marks(told.past).tolist())

    def _begin_anew(self, told: Told, fresh: int) -> None:
        """Build the object from a packet that tells its whole past, and what came since; ``fresh`` ones are its own."""
        whole = {_key(point): point for point in [*told.past.tolist(), *told.new.tolist(), *self.own]}
        more = len(whole) - self.n_obs
        self.own = [whole[key] for key in sorted(whole)]
        self.ids, self.folded, self.aged, self.has_base = set(whole), [], [], False
        self.n_obs = len(whole)
        self.taken += more
        self.filled += more - fresh
        for mark in _marks(self.own):
            self.missing.pop(mark, None)
        self._fold()
        self.rebuild = self.anew = True
        self.status = "REBUILT"

    def done(self) -> Change:
        """Return what came of it."""
        missing = np.array(list(self.missing)[-MARKS:], MARK)
        now = _array(self.own), np.array(self.folded, MARK), missing
        counts = self.taken, self.filled, self.known, self.refused
        old, added = _array(self.aged), _array(self.added)
        return Change(*now, old, added, self.rebuild, self.anew, self.n_obs, self.status, *counts)


def _key(point: tuple) -> tuple[float, int]:
    """Return what tells observations apart and what they are sorted by: time, then band, as in a whole light curve."""
    return point[0], point[3]


def _marks(points: list[tuple]) -> list[int]:
    return marks(_array(points)).tolist()


def _array(points: list[tuple]) -> NDArray[np.void]:
    return np.array(points, POINT) if points else np.zeros(0, POINT)
