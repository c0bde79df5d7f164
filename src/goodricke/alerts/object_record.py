"""The record of one object: recent observations and the model's state, its bytes, and how new alerts change it.

A record holds the last observations (at most `KEEP` x 2) and the model's state after all of them. Older observations
are only in the *base*, the state before the first kept observation, and in a hash of four bytes each, by which one that
is sent again is recognised.

The bytes of a record, little-endian, are a header (`HEADER`, `REST`), the observations (`POINT`), the hashes of those
in the base and of those that are missing, the state and the base as `State.tobytes` writes them, and the last answer
(`goodricke.alerts.answers`). Only where a stream routes objects to a second model (`goodricke.alerts.route`), the
version is 3, and the bytes of the route and their number come before the observations. Where observations have
identifiers of the survey's, the version is 4, and the numbers and bytes of route and hashes of identifiers come there.
The checksum in the header, a CRC-32, covers all other bytes.

Two observations are the same if they have the same band and their times differ by at most `SAME_EXPOSURE`: surveys
tell the time of one exposure in several ways, and no exposure is as short. They are also the same if they have the same
band and the survey's own identifier (ZTF's ``candid``, Rubin's ``diaSourceId``) and their times are in the same cell of
`IDENTIFIER_CELL` days or in cells next to each other: a time may be corrected, by minutes at most. An identifier that
is given to observations further apart says nothing. What was told first counts. A late one that
is not older than the base is inserted, and the state is built again from the base. An observation older than the base

- is a duplicate if its hash is in the record: nothing changes;
- starts a rebuild of the object if its packet contains all that is in the base;
- is *missing* otherwise: the answer to its message has the status ``OUT_OF_ORDER``, later answers count it.

Hashes are kept of the last `MAX_HASHES` observations in the base. Of an object with more, an observation older than the
base and without a hash may be a duplicate or missing: nothing changes, and the status is ``OUT_OF_ORDER``.

Alerts are merged one after the other, so that nothing depends on how a stream is cut into batches.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke.data.splitmix import STEP, splitmix64
from goodricke.io.packets.skip_program import MISSING

MAGIC, VERSION = b"gkal", 2
ROUTED_VERSION = 3  # of records with something of `goodricke.alerts.route`
IDENTIFIED_VERSION = 4  # of records with identifiers of observations

HEADER = struct.Struct("<4sHI")  # magic, version, checksum
# numbers of points and of both kinds of hashes; bytes of state, base and answer; observations in all; partition,
# offset, updated, ra, dec
REST = struct.Struct("<7Iiqddd")
ROUTE = struct.Struct("<I")  # bytes of the route
ROUTE_AND_IDENTIFIERS = struct.Struct("<II")  # bytes of the route, number of hashes of identifiers
POINT = np.dtype([("time", "<f8"), ("value", "<f4"), ("error", "<f4"), ("band", "u1")])
HASH = np.dtype("<u4")

SAME_EXPOSURE = 1e-5  # days, 0.86 s
ROUNDING = 1e-9  # days: of differences of times as Julian dates
IDENTIFIER_CELL = 0.05  # days, 72 minutes
CELL = 1.1 * SAME_EXPOSURE  # times closer than `SAME_EXPOSURE` are in one cell, or in two next to each other

KEEP = 32  # observations kept at least; twice as many at most
MAX_HASHES = 1024


def no_points() -> NDArray[np.void]:
    """Return an empty array of `POINT`."""
    return np.zeros(0, POINT)


def no_hashes() -> NDArray[np.uint32]:
    """Return an empty array of `HASH`."""
    return np.zeros(0, HASH)


class DamagedRecordError(ValueError):
    """The bytes are no record of an object: cut short, or changed on the disk."""


class RecordVersionError(ValueError):
    """The record is sound and of another version."""


@dataclass
class ObjectRecord:
    """Observations, states and last answer of one object.

    Parameters
    ----------
    points : structured array (k,)
        Of `POINT`, by time; time in days, value and error in the stream's unit, band an index into the model's bands.
    state, base : bytes
        After all observations, and before the first of ``points``; empty before the first observation.
    answer : bytes
        The last one, of `goodricke.alerts.answers.packed_answers`.
    n_obs : int
        Observations in the state, those in the base among them.
    base_hashes : uint32 array
        `observation_hashes` of the observations in the base, the last `MAX_HASHES` of them.
    missing_hashes : uint32 array
        `observation_hashes` of observations that came too late.
    partition, offset : int
        Of the last message about the object.
    updated : float
        Seconds since 1970.
    ra, dec : float
        Degrees, NaN if unknown.
    route : bytes
        Of `goodricke.alerts.route.Routed`; empty where nothing is routed.
    identifiers : uint32 array
        `identifier_hashes` of observations that have an identifier of the survey's, the last `MAX_HASHES` of them.
    """

    points: NDArray[np.void] = field(default_factory=no_points)
    state: bytes = b""
    base: bytes = b""
    answer: bytes = b""
    n_obs: int = 0
    base_hashes: NDArray[np.uint32] = field(default_factory=no_hashes)
    missing_hashes: NDArray[np.uint32] = field(default_factory=no_hashes)
    partition: int = -1
    offset: int = -1
    updated: float = 0.0
    ra: float = float("nan")
    dec: float = float("nan")
    route: bytes = b""
    identifiers: NDArray[np.uint32] = field(default_factory=no_hashes)

    def tobytes(self) -> bytes:
        """Return the bytes; see the module."""
        arrays = self.points, self.base_hashes, self.missing_hashes
        parts = self.state, self.base, self.answer
        numbers = self.n_obs, self.partition, self.offset, self.updated, self.ra, self.dec
        rest = REST.pack(*map(len, arrays), *map(len, parts), *numbers)
        version, more = VERSION, b""
        if len(self.identifiers):
            sizes = ROUTE_AND_IDENTIFIERS.pack(len(self.route), len(self.identifiers))
            version, more = IDENTIFIED_VERSION, sizes + self.route + self.identifiers.tobytes()
        elif self.route:
            version, more = ROUTED_VERSION, ROUTE.pack(len(self.route)) + self.route
        body = b"".join([rest, more, *(array.tobytes() for array in arrays), *parts])
        return HEADER.pack(MAGIC, version, zlib.crc32(body, _CHECKSUM_STARTS[version])) + body

    @classmethod
    def frombytes(cls, data: bytes) -> ObjectRecord:
        """Return the record that `tobytes` wrote.

        Raises
        ------
        DamagedRecordError
            If the bytes are no record.
        RecordVersionError
            If another version of goodricke wrote them.
        """
        version = _check(data)
        n, n_base, n_missing, *sizes, n_obs, partition, offset, updated, ra, dec = REST.unpack_from(data, HEADER.size)
        points_at, route, identifiers = HEADER.size + REST.size, b"", _NO_HASHES
        if version != VERSION:
            points_at, length, count = _sizes_of_more(data, version)
            route = data[points_at : points_at + length]
            points_at += length
            identifiers = np.frombuffer(data, HASH, count, points_at) if count else identifiers
            points_at += count * HASH.itemsize
        base_at = points_at + n * POINT.itemsize
        missing_at = base_at + n_base * HASH.itemsize
        state_at = missing_at + n_missing * HASH.itemsize
        state_end, base_end = state_at + sizes[0], state_at + sizes[0] + sizes[1]
        return cls(
            points=np.frombuffer(data, POINT, n, points_at) if n else _NO_POINTS,
            state=data[state_at:state_end],
            base=data[state_end:base_end],
            answer=data[base_end:],
            route=route,
            identifiers=identifiers,
            n_obs=n_obs,
            base_hashes=np.frombuffer(data, HASH, n_base, base_at) if n_base else _NO_HASHES,
            missing_hashes=np.frombuffer(data, HASH, n_missing, missing_at) if n_missing else _NO_HASHES,
            partition=partition,
            offset=offset,
            updated=updated,
            ra=ra,
            dec=dec,
        )


def _sizes_of_more(data: bytes, version: int) -> tuple[int, int, int]:
    """Return where the route begins, its bytes, and the number of identifiers."""
    at = HEADER.size + REST.size
    if version == ROUTED_VERSION:
        return at + ROUTE.size, *ROUTE.unpack_from(data, at), 0
    return at + ROUTE_AND_IDENTIFIERS.size, *ROUTE_AND_IDENTIFIERS.unpack_from(data, at)


def is_routed(data: bytes) -> bool:
    """Return whether the bytes of a sound record hold something of `goodricke.alerts.route`."""
    version = _check(data)
    return version != VERSION and _sizes_of_more(data, version)[1] > 0


def _check(data: bytes) -> int:
    """Return the version of a record; raise an error if bytes are no sound record of a version that can be read."""
    if len(data) < HEADER.size or data[:4] != MAGIC:
        raise DamagedRecordError("these bytes are no record of an object")
    _, version, checksum = HEADER.unpack_from(data)
    start, is_known = _CHECKSUM_STARTS.get(version) or _checksum_start(version), version in _CHECKSUM_STARTS
    is_sound = zlib.crc32(memoryview(data)[HEADER.size :], start) == checksum
    if not is_known and is_sound:
        raise RecordVersionError(
            f"the record has version {version}, this goodricke reads {VERSION}: go on with the goodricke that "
            "wrote it, or start a new store and fill it with `goodricke alerts replay --to`"
        )
    if not is_sound or not is_known or len(data) < HEADER.size + REST.size:
        raise DamagedRecordError("the record is cut short or was changed: its checksum is wrong")
    return int(version)


def _checksum_start(version: int) -> int:
    """Return the checksum of a record's magic and version, which the checksum of the rest continues."""
    return zlib.crc32(struct.pack("<4sH", MAGIC, version))


_CHECKSUM_STARTS = {version: _checksum_start(version) for version in (VERSION, ROUTED_VERSION, IDENTIFIED_VERSION)}
_NO_POINTS, _NO_HASHES, _NO_IDENTIFIERS = no_points(), no_hashes(), np.zeros(0, np.int64)
NO_IDENTIFIER = MISSING


def concatenate_points(parts: Sequence[NDArray[np.void]]) -> NDArray[np.void]:
    """Return several arrays of `POINT` as one; `numpy.concatenate` spends more time on comparing their types."""
    return np.frombuffer(b"".join([part.tobytes() for part in parts]), POINT)


def _concatenate_hashes(parts: Sequence[NDArray[np.uint32]]) -> NDArray[np.uint32]:
    return np.frombuffer(b"".join([part.tobytes() for part in parts]), HASH)


def observation_hashes(points: NDArray[np.void], shift: int = 0) -> NDArray[np.uint32]:
    """Return a hash of 32 bits for each observation (k,), of its band and the cell of `CELL` days that its time is in.

    Two observations have the same hash by chance once in 4e9. With ``shift`` it is the hash of a cell so many later.
    """
    cells = np.floor(points["time"] / CELL).astype(np.int64) + shift
    return _hash(cells.view(np.uint64), points["band"])


def possible_hashes(points: NDArray[np.void]) -> NDArray[np.uint32]:
    """Return the hashes (4, k) that the same observations may have in a record.

    Those of their cells and of the cells next to these, and the one that earlier releases wrote, of the very time.
    """
    exact = _hash((points["time"] + 0.0).view(np.uint64), points["band"])  # -0 becomes 0
    return np.stack([*(observation_hashes(points, shift) for shift in (0, -1, 1)), exact])


def identifier_hashes(points: NDArray[np.void], identifier: NDArray[np.int64], shift: int = 0) -> NDArray[np.uint32]:
    """Return a hash of each observation (k,): of its identifier, its band, and the cell that its time is in.

    With ``shift`` it is the hash of a cell so many later, see `observation_hashes`.
    """
    cells = np.floor(points["time"] / IDENTIFIER_CELL).astype(np.int64) + shift
    return _hash(splitmix64(identifier.view(np.uint64)) ^ splitmix64(cells.view(np.uint64)), points["band"])


def nearby_hashes(points: NDArray[np.void], identifier: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Return the `identifier_hashes` of observations (k,): for their cell of time, and for those beside it, (k, 3)."""
    return np.stack([identifier_hashes(points, identifier, shift) for shift in (0, -1, 1)], 1)


def _hash(place: NDArray[np.uint64], band: NDArray[np.uint8]) -> NDArray[np.uint32]:
    x = splitmix64(place + (band.astype(np.uint64) + np.uint64(1)) * np.uint64(STEP))
    return (x >> np.uint64(32)).astype(HASH)


class AlertPoints(NamedTuple):
    """The observations in one alert.

    Parameters
    ----------
    new : structured array (0 or 1,)
        The observation that the alert is about, of `POINT`.
    history : structured array (h,)
        Earlier observations in the packet.
    unrecorded : structured array
        Those of ``history`` that the object's record does not have.
    new_identifier, history_identifier, unrecorded_identifier : int64 array
        The survey's identifiers of the observations, `NO_IDENTIFIER` where there is none; empty if no one has any.
    new_hash : uint32 array (0 or 1, 3)
        `nearby_hashes` of ``new``, computed for all alerts at once; none if it has no identifier.
    unrecorded_hash : uint32 array (u, 3)
        The same of ``unrecorded``; none if no observation has an identifier.
    """

    new: NDArray[np.void]
    history: NDArray[np.void]
    unrecorded: NDArray[np.void]
    new_identifier: NDArray[np.int64] = _NO_IDENTIFIERS
    history_identifier: NDArray[np.int64] = _NO_IDENTIFIERS
    unrecorded_identifier: NDArray[np.int64] = _NO_IDENTIFIERS
    new_hash: NDArray[np.uint32] = _NO_HASHES
    unrecorded_hash: NDArray[np.uint32] = _NO_HASHES


@dataclass(frozen=True)
class RecordUpdate:
    """How alerts change a record.

    Parameters
    ----------
    points, base_hashes, missing_hashes : array
        Those of the new record.
    n_obs : int
        Observations in the new record and its base.
    appended : structured array
        New observations, later than all before: the state takes them without a rebuild.
    base_points : structured array
        Observations that move into the base.
    rebuild_state : bool
        Build the state again from the base and ``points``.
    rebuild_base : bool
        Build the base again, too, from nothing but ``base_points``.
    status : str
        ``REBUILT`` or ``OUT_OF_ORDER`` if the last alert led to it, else empty.
    n_accepted, n_filled, n_duplicates, n_corrected, n_retimed, n_rejected : int
        Numbers of observations: accepted; those of them that came only as another alert's history; new ones that the
        record had; those of them with another brightness or time than the record's, which stay; those with another
        time, which the survey's identifier gave away; new ones that came too late.
    identifiers : uint32 array
        Of the new record.
    """

    points: NDArray[np.void]
    base_hashes: NDArray[np.uint32]
    missing_hashes: NDArray[np.uint32]
    n_obs: int
    appended: NDArray[np.void]
    base_points: NDArray[np.void] = field(default_factory=lambda: _NO_POINTS)
    rebuild_state: bool = False
    rebuild_base: bool = False
    status: str = ""
    n_accepted: int = 0
    n_filled: int = 0
    n_duplicates: int = 0
    n_corrected: int = 0
    n_retimed: int = 0
    n_rejected: int = 0
    identifiers: NDArray[np.uint32] = field(default_factory=lambda: _NO_HASHES)


def unrecorded_history(
    records: Sequence[ObjectRecord], rows: NDArray[np.int64], histories: Sequence[NDArray[np.void]]
) -> list[NDArray[np.bool_]]:
    """Return which observations in alerts' histories the records of their objects do not have.

    Parameters
    ----------
    records : sequence of ObjectRecord
    rows : int (n,)
        Index into ``records`` of each alert's object.
    histories : sequence of structured array (n,)
        Of `POINT`.
    """
    lengths = np.array([len(points) for points in histories], np.int64)
    if not lengths.any():
        return [np.zeros(0, bool)] * len(histories)
    objects = np.unique(rows[lengths > 0]).tolist()
    points = [records[k].points for k in objects]
    hashes = [records[k].base_hashes for k in objects]
    recorded = [
        _object_hashes(np.array(objects), list(map(len, points)), observation_hashes(concatenate_points(points))),
        _object_hashes(np.array(objects), list(map(len, hashes)), np.concatenate(hashes)),
    ]
    history = _object_hashes(rows, lengths, observation_hashes(concatenate_points(histories)))
    is_new, ends = ~np.isin(history, np.concatenate(recorded)), np.cumsum(lengths)
    return [is_new[end - length : end] for end, length in zip(ends.tolist(), lengths.tolist(), strict=True)]


def _object_hashes(rows: NDArray[np.int64], lengths: Any, hashes: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Return observations' hashes below the row of their object, of which each has ``lengths``."""
    return (np.repeat(rows, lengths).astype(np.uint64) << np.uint64(32)) | hashes


def merge_alerts(record: ObjectRecord, alerts: Sequence[AlertPoints], keep: int = KEEP) -> RecordUpdate:
    """Return how the alerts about one object change its record, in the order in which they came.

    Parameters
    ----------
    record : ObjectRecord
        Not changed.
    alerts : sequence of AlertPoints
    keep : int
        See `KEEP`.
    """
    if _is_append(record, alerts, keep):
        n = len(alerts)
        new = alerts[0].new if n == 1 else concatenate_points([alert.new for alert in alerts])
        points, hashes = concatenate_points([record.points, new]), (record.base_hashes, record.missing_hashes)
        parts = [record.identifiers, *(alert.new_hash[:, 0] for alert in alerts if len(alert.new_hash))]
        identifiers = parts[0] if len(parts) == 1 else _concatenate_hashes(parts)[-MAX_HASHES:]
        return RecordUpdate(points, *hashes, record.n_obs + n, new, n_accepted=n, identifiers=identifiers)
    merger = _Merger(record, keep)
    for alert in alerts:
        merger.merge(alert)
    return merger.update()


def _is_append(record: ObjectRecord, alerts: Sequence[AlertPoints], keep: int) -> bool:
    """Return whether all alerts only append an observation: the usual case, much faster than the general one."""
    if len(record.points) + len(alerts) > 2 * keep:
        return False
    last = record.points["time"][-1] if len(record.points) else -np.inf
    known: set[int] | None = None
    appended = set[tuple[tuple, int | None]]()  # observations, and the hashes of their identifiers
    for number, alert in enumerate(alerts):
        if len(alert.new) != 1 or not alert.new["time"][0] > last + CELL:
            return False
        if len(alert.unrecorded) and not appended.issuperset(_hashed(alert.unrecorded, alert.unrecorded_hash)):
            return False
        if len(alerts) > 1:
            appended.update(_hashed(alert.new, alert.new_hash))
        if len(alert.new_hash) and not alert.new["time"][0] > last + 2 * IDENTIFIER_CELL:
            if known is None:  # it may be a known one with another time
                known = set(record.identifiers.tolist())
                known.update(int(a.new_hash[0, 0]) for a in alerts[:number] if len(a.new_hash))
            if not known.isdisjoint(alert.new_hash[0].tolist()):
                return False
        if known is not None and len(alert.new_hash):
            known.add(int(alert.new_hash[0, 0]))
        last = alert.new["time"][0]
    return True


def _hashed(points: NDArray[np.void], hashes: NDArray[np.uint32]) -> Iterable[tuple[tuple, int | None]]:
    """Return observations, each with the hash of its identifier, None where there is none."""
    of_identifiers = hashes[:, 0].tolist() if len(hashes) else [None] * len(points)
    return zip(points.tolist(), of_identifiers, strict=True)


Verdict = Literal["accept", "duplicate", "late", "unclear"]


class _Merger:
    """A record in the middle of a batch: alerts are merged one by one."""

    def __init__(self, record: ObjectRecord, keep: int) -> None:
        self.keep, self.has_base, self.n_obs = keep, bool(record.base), record.n_obs
        self.points: list[tuple] = record.points.tolist()
        self.exposures = {_cell(point): point for point in self.points}
        self.base_hashes: list[int] = record.base_hashes.tolist()
        self.in_base = set(self.base_hashes)
        self.missing: dict[int, None] = dict.fromkeys(record.missing_hashes.tolist())  # an ordered set
        self.base_points, self.appended = list[tuple](), list[tuple]()
        self.rebuild_state = self.rebuild_base = False
        self.identifiers: dict[int, None] = dict.fromkeys(record.identifiers.tolist())  # an ordered set
        self.status, self.n_accepted, self.n_filled = "", 0, 0
        self.n_duplicates, self.n_corrected, self.n_retimed, self.n_rejected = 0, 0, 0, 0

    def merge(self, alert: AlertPoints) -> None:
        """Merge an alert: the unrecorded part of its history, and its observation."""
        self.status = ""
        unrecorded = self._without_retimed(alert.unrecorded, alert.unrecorded_identifier, alert.unrecorded_hash)
        new_points = self._without_retimed(alert.new, alert.new_identifier, alert.new_hash)
        n_retimed = len(alert.new) - len(new_points)
        observations = [(point, False) for point in unrecorded.tolist()]
        observations += [(point, True) for point in new_points.tolist()]
        observations.sort(key=lambda item: _key(item[0]))
        verdicts = [(point, self._verdict(point), new) for point, new in observations]
        late = [point for point, verdict, _ in verdicts if verdict == "late"]
        if late and self._is_complete(alert):
            self._start_again(alert, sum(new and verdict != "duplicate" for _, verdict, new in verdicts))
            self._remember(alert.history, alert.history_identifier, _history_hashes(alert))
            self._remember(alert.new, alert.new_identifier, alert.new_hash)
            return
        for point, verdict, new in verdicts:
            if verdict == "accept" and self._recorded(point) is None:
                self._insert(point)
                self.n_filled += not new
        self._move_into_base()
        self._remember(alert.unrecorded, alert.unrecorded_identifier, alert.unrecorded_hash)
        self._remember(alert.new, alert.new_identifier, alert.new_hash)
        new_verdicts = [verdict for _, verdict, new in verdicts if new]
        self.n_retimed += n_retimed
        self.n_duplicates += new_verdicts.count("duplicate") + n_retimed
        self.n_corrected += sum(new and self._is_corrected(point) for point, _, new in verdicts) + n_retimed
        if late:
            self.missing |= dict.fromkeys(_hashes(late))
        if "late" in new_verdicts or "unclear" in new_verdicts:
            self.status = "OUT_OF_ORDER"
            self.n_rejected += 1

    def _without_retimed(
        self, points: NDArray[np.void], given: NDArray[np.int64], hashes: NDArray[np.uint32]
    ) -> NDArray[np.void]:
        """Return observations without those that the record has, by their identifiers, at another time."""
        if not len(hashes) or not self.identifiers:
            return points
        is_known = [not self.identifiers.keys().isdisjoint(row) for row in hashes.tolist()]
        if not any(is_known):
            return points
        items = zip(points.tolist(), given.tolist(), is_known, strict=True)
        return points[[not known or number == NO_IDENTIFIER or self._has(point) for point, number, known in items]]

    def _remember(self, points: NDArray[np.void], given: NDArray[np.int64], hashes: NDArray[np.uint32]) -> None:
        """Keep the identifiers of those of an alert's observations that the record has now."""
        if len(hashes):
            items = zip(points.tolist(), given.tolist(), hashes[:, 0].tolist(), strict=True)
            self.identifiers |= {value: None for p, n, value in items if n != NO_IDENTIFIER and self._has(p)}

    def _has(self, point: tuple) -> bool:
        """Return whether the record has an observation of the same exposure."""
        return self._recorded(point) is not None or self._in_base(point)

    def _in_base(self, point: tuple) -> bool:
        """Return whether the base has an observation of the same exposure."""
        return not self.in_base.isdisjoint(possible_hashes(_array([point])).ravel().tolist())

    def _verdict(self, point: tuple) -> Verdict:
        """Return what to do with an observation."""
        if self._recorded(point) is not None:
            return "duplicate"
        first = self.points[0] if self.has_base else None
        if first is None or point[0] > first[0] + CELL:
            return "accept"
        if self._in_base(point):
            return "duplicate"
        if _key(point) > _key(first):
            return "accept"
        return "late" if self._has_all_hashes else "unclear"

    def _recorded(self, point: tuple) -> tuple | None:
        """Return the kept observation of the same exposure, None if there is none."""
        cell, band = _cell(point)
        for place in (cell, cell - 1, cell + 1):
            other = self.exposures.get((place, band))
            if other is not None and abs(other[0] - point[0]) <= SAME_EXPOSURE + ROUNDING:
                return other
        return None

    def _is_corrected(self, point: tuple) -> bool:
        """Return whether the record has an observation with another brightness."""
        other = self._recorded(point)
        return other is not None and other[1] != point[1]

    def _insert(self, point: tuple) -> None:
        """Insert an observation by time."""
        place = len(self.points)
        while place and _key(self.points[place - 1]) > _key(point):
            place -= 1
        if place == len(self.points):
            self.appended.append(point)
        else:
            self.rebuild_state, self.status = True, "REBUILT"
        self.points.insert(place, point)
        self.exposures[_cell(point)] = point
        self.n_obs += 1
        self.n_accepted += 1

    def _move_into_base(self) -> None:
        """Move the oldest observations into the base while there are more than twice ``keep``."""
        while len(self.points) > 2 * self.keep:
            old, self.points = self.points[: self.keep], self.points[self.keep :]
            for point in old:
                self.exposures.pop(_cell(point), None)
            self.base_points += old
            self.base_hashes = (self.base_hashes + _hashes(old))[-MAX_HASHES:]
            self.in_base = set(self.base_hashes)
            self.has_base = True

    @property
    def _has_all_hashes(self) -> bool:
        return len(self.base_hashes) + len(self.points) == self.n_obs

    def _is_complete(self, alert: AlertPoints) -> bool:
        """Return whether an alert's history has all observations in the base."""
        return self._has_all_hashes and self.in_base <= set(possible_hashes(alert.history).ravel().tolist())

    def _start_again(self, alert: AlertPoints, n_new: int) -> None:
        """Build the object from an alert with its whole history and the kept observations; ``n_new`` are unheard of."""
        points = list[tuple]()
        new = self._without_retimed(alert.new, alert.new_identifier, alert.new_hash)
        history = self._without_retimed(alert.history, alert.history_identifier, _history_hashes(alert))
        kept, self.exposures = self.points, {}
        for point in [*kept, *new.tolist(), *history.tolist()]:  # what was told first counts
            if self._recorded(point) is None:
                self.exposures[_cell(point)] = point
                points.append(point)
        n_more = len(points) - self.n_obs
        self.points = sorted(points, key=_key)
        self.base_hashes, self.in_base, self.base_points, self.has_base = [], set(), [], False
        self.n_obs = len(points)
        self.n_accepted += n_more
        self.n_filled += n_more - n_new
        for value in possible_hashes(_array(self.points)).ravel().tolist():
            self.missing.pop(value, None)
        self._move_into_base()
        self.rebuild_state = self.rebuild_base = True
        self.status = "REBUILT"

    def update(self) -> RecordUpdate:
        """Return how all merged alerts together change the record."""
        return RecordUpdate(
            _array(self.points),
            np.array(self.base_hashes, HASH),
            np.array(list(self.missing)[-MAX_HASHES:], HASH),
            self.n_obs,
            _array(self.appended),
            _array(self.base_points),
            self.rebuild_state,
            self.rebuild_base,
            self.status,
            self.n_accepted,
            self.n_filled,
            self.n_duplicates,
            self.n_corrected,
            self.n_retimed,
            self.n_rejected,
            np.array(list(self.identifiers)[-MAX_HASHES:], HASH),
        )


def _history_hashes(alert: AlertPoints) -> NDArray[np.uint32]:
    given = alert.history_identifier
    return nearby_hashes(alert.history, given) if len(given) else _NO_HASHES


def _key(point: tuple) -> tuple[float, int]:
    """Return the key that sorts observations: time, then band, as in a whole light curve."""
    return point[0], point[3]


def _cell(point: tuple) -> tuple[int, int]:
    """Return the cell of an observation's time, and its band: one exposure is in one cell or two neighbors."""
    return math.floor(point[0] / CELL), point[3]


def _hashes(points: list[tuple]) -> list[int]:
    return observation_hashes(_array(points)).tolist()


def _array(points: list[tuple]) -> NDArray[np.void]:
    return np.array(points, POINT) if points else no_points()
