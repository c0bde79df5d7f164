"""What is kept of each object: the model's state, and enough of the recent past to build it anew.

An object has its last observations (at most `goodricke.alerts.change.KEEP` x 2), the model's state after all of them,
and, once there were more, the state before the first of them, its *base*. Of the observations that went into the base
a mark of four bytes each is left (`marks`), so that one of them that is sent again is known.

Bytes of an object, little-endian: a header (`HEADER`, `REST`), the observations (`POINT`), the marks of those in the
base and of those that are missing, the state and the base as `goodricke.models.stateful.State.tobytes` writes them, and
the last answer (`goodricke.alerts.answers`). The checksum in the header, a CRC-32, is of all the other bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

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
