"""What is kept of each object: the model's state, and enough of the recent past to build it anew.

An object has its last observations (at most `KEEP` x 2), the model's state after all of them, and, once there were
more, the state before the first of them, its *base*. An observation that comes late, but not before the base, is put
where it belongs and the state is built again from the base: the answer is that of the whole light curve. What is older
than the base can't be had any more.

Bytes of an object, little-endian: a header (`HEADER`), the observations (`POINT`), the state and the base as
`goodricke.models.stateful.State.tobytes` writes them, and the last answer (`goodricke.alerts.answers`). The header's
CRC-32 is of all that follows it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

MAGIC, VERSION = b"gkal", 1
KEEP = 32  # observations kept at least; twice as many at most

# magic, version, points; bytes of state, base and answer, checksum; observations in all, refused; partition, offset,
# updated, ra, dec
HEADER = struct.Struct("<4sHHIIIIIIiqddd")
POINT = np.dtype([("time", "<f8"), ("value", "<f4"), ("error", "<f4"), ("band", "u1")])


class Damaged(ValueError):  # noqa: N818  what it says of the bytes
    """Bytes that are no record of an object: another version, cut short, or changed on the disk."""


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
        Observations taken in all, those before the base among them.
    refused : int
        Observations that were older than the base.
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
    refused: int = 0
    partition: int = -1
    offset: int = -1
    updated: float = 0.0
    ra: float = float("nan")
    dec: float = float("nan")

    def tobytes(self) -> bytes:
        """Return it as bytes."""
        body = b"".join([self.points.tobytes(), self.state, self.base, self.answer])
        sizes = (len(self.points), len(self.state), len(self.base), len(self.answer), zlib.crc32(body))
        rest = (self.n_obs, self.refused, self.partition, self.offset, self.updated, self.ra, self.dec)
        return HEADER.pack(MAGIC, VERSION, *sizes, *rest) + body

    @classmethod
    def frombytes(cls, data: bytes) -> Record:
        """Return a record from its bytes.

        Raises
        ------
        Damaged
            If they are none.
        """
        if len(data) < HEADER.size or data[:4] != MAGIC:
            raise Damaged("these bytes are no record of an object")
        _, version, n, *sizes, checksum, n_obs, refused, partition, offset, updated, ra, dec = HEADER.unpack_from(data)
        if version != VERSION:
            raise Damaged(f"the record has version {version}, this goodricke reads {VERSION}")
        at = HEADER.size + n * POINT.itemsize
        if len(data) != at + sum(sizes) or zlib.crc32(memoryview(data)[HEADER.size :]) != checksum:
            raise Damaged("the record is cut short or was changed: its checksum is wrong")
        parts = []
        for size in sizes:
            parts.append(data[at : at + size])
            at += size
        points = np.frombuffer(data, POINT, n, HEADER.size)
        state, base, answer = parts
        return cls(points, state, base, answer, n_obs, refused, partition, offset, updated, ra, dec)


@dataclass(frozen=True)
class Change:
    """What new observations do to an object's observations.

    Parameters
    ----------
    points : structured array
        Those that are kept from now on.
    aged : structured array
        Those that go into the base.
    added : structured array
        New ones that are later than all before: the state only has to take them.
    rebuild : bool
        Whether a late one came: the state is built again from the base.
    refused : structured array
        New ones that are older than the base.
    taken, known : int
        Numbers of new observations that were taken, and that the object had.
    """

    points: NDArray[np.void]
    aged: NDArray[np.void]
    added: NDArray[np.void]
    rebuild: bool
    refused: NDArray[np.void]
    taken: int
    known: int


def change(points: NDArray[np.void], has_base: bool, new: NDArray[np.void], keep: int = KEEP) -> Change:
    """Take new observations of one object, in the order in which they came.

    One after the other: what is kept and what is refused must not depend on how a stream is cut into batches.

    Parameters
    ----------
    points : structured array
        Of `POINT`, by time.
    has_base : bool
        Whether there were earlier ones.
    new : structured array
        Of `POINT`.
    keep : int
        See `KEEP`.
    """
    if len(new) == 1 and len(points) < 2 * keep and (not len(points) or new["time"][0] > points["time"][-1]):
        return Change(joined([points, new]), points[:0], new, False, points[:0], 1, 0)  # nearly always
    own, aged, added = points.tolist(), list[tuple](), list[tuple]()
    ids = {_key(point) for point in own}
    late, refused, taken, known = False, list[tuple](), 0, 0
    for point in new.tolist():
        if _key(point) in ids:
            known += 1
        elif (has_base or aged) and _key(point) < _key(own[0]):
            refused.append(point)
        else:
            ids.add(_key(point))
            taken += 1
            place = _place(own, point)
            if place == len(own):
                added.append(point)
            else:
                late = True
            own.insert(place, point)
            if len(own) > 2 * keep:
                ids.difference_update(map(_key, own[:keep]))  # one of these again can't be told from a new one
                aged, own = aged + own[:keep], own[keep:]
    return Change(_array(own), _array(aged), _array(added), late, _array(refused), taken, known)


def joined(parts: Sequence[NDArray[np.void]]) -> NDArray[np.void]:
    """Return points of several arrays in one; `numpy.concatenate` spends more on agreeing about the type."""
    return np.frombuffer(b"".join([part.tobytes() for part in parts]), POINT)


def _key(point: tuple) -> tuple[float, int]:
    """Return what tells observations apart and what they are sorted by: time, then band, as in a whole light curve."""
    return point[0], point[3]


def _place(own: Sequence[tuple], point: tuple) -> int:
    """Return where a point belongs: after all that are not later."""
    at = len(own)
    while at and _key(own[at - 1]) > _key(point):
        at -= 1
    return at


def _array(points: list[tuple]) -> NDArray[np.void]:
    return np.array(points, POINT) if points else np.zeros(0, POINT)
