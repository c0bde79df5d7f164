"""The engine: micro-batches of messages in, states and answers out, each object's update at a cost that doesn't grow.

A batch goes through `Engine.take`: leave out messages that were taken before, decode, group by object, load the
records, take the observations in one batched step per band and place, write records and offset in one transaction. What
it returns is published, and only then is the offset told to the broker. Killed anywhere, the next worker finds in the
store where to go on, and in the outbox whose answers may not have been published (`Engine.recover`).
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goodricke import ragged
from goodricke.alerts.answers import NO_CLASS, STATUSES, Answers, unkept
from goodricke.alerts.packets import UNREADABLE, Alerts
from goodricke.alerts.record import KEEP, POINT, Change, Damaged, Record, change, joined
from goodricke.alerts.state import Partition, Store
from goodricke.lightcurves import LightCurves
from goodricke.models.bundle import Model
from goodricke.models.multiband import Multiband
from goodricke.models.stateful import State
from goodricke.preprocess import MultibandConfig
from goodricke.preprocess.cleaning import is_significant

log = logging.getLogger("goodricke")


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
    dead: int = 0  # messages that can't be decoded
    unusable: int = 0  # sound messages that tell nothing of a known band, of a fixed object, or passing the cuts
    observations: int = 0  # taken
    other_bands: int = 0  # observations in bands that the model doesn't know
    faint: int = 0  # fluxes not above their errors, which have no magnitude for a model of magnitudes
    known: int = 0  # observations that the object had
    refused: int = 0  # older than anything kept
    rebuilt: int = 0  # objects
    born: int = 0  # objects seen for the first time
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


@dataclass
class Engine:
    """Keeps the states of a stream's objects and says what they are.

    Parameters
    ----------
    model : Model
        A multi-band one.
    store : Store
    decode : callable
        Makes `goodricke.alerts.packets.Alerts` of messages' bytes.
    half : bool
        Keep the recurrent cells in float16: records of about half the size.
    keep : int
        Observations kept of each object at least (twice as many at most): how late one may come.
    clock : callable
        Gives the time, in seconds since 1970.

    Raises
    ------
    TypeError
        If the model keeps no state, or is told of each object what alerts don't tell.
    """

    model: Model
    store: Store
    decode: Callable[[Sequence[bytes]], Alerts]
    half: bool = False
    keep: int = KEEP
    clock: Callable[[], float] = time.time
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        self.model.init_state(0)  # raises if it keeps none
        if self.preprocessing.columns:
            told = ", ".join(self.preprocessing.columns)
            raise TypeError(f"{self.model.name} is told {told} of each object, and alerts don't tell it")
        self._partitions: dict[int, Partition] = {}
        self._bands = self.preprocessing.bands
        self._network = cast(Multiband, self.model.network).config

    @property
    def preprocessing(self) -> MultibandConfig:
        """The model's preprocessing."""
        assert isinstance(self.model.preprocessing, MultibandConfig)
        return self.model.preprocessing

    # ---- partitions -------------------------------------------------------------------------------------------------

    def assign(self, number: int) -> int:
        """Open a partition and return the offset of the next message to take."""
        if number not in self._partitions:
            self._partitions[number] = self.store.partition(number)
        return self._partitions[number].offset

    def revoke(self, number: int) -> None:
        """Let go of a partition, for another worker."""
        partition = self._partitions.pop(number, None)
        if partition is not None:
            partition.close()

    def objects(self, number: int) -> int:
        """Return the number of objects of a partition."""
        return len(self._partitions[number])

    def close(self) -> None:
        """Let go of all partitions."""
        for number in list(self._partitions):
            self.revoke(number)

    def recover(self, number: int) -> Answers | None:
        """Return the answers of the last batch of a partition, which may not have been published; None if none was."""
        part = self._partitions[number]
        keys = [name.encode() for name in json.loads(part.outbox or b"[]")]
        found = zip(keys, part.get(keys), strict=True)
        records = dict[str, Record]()
        for key, data in found:
            try:
                records |= {} if data is None else {key.decode(): Record.frombytes(data)}
            except Damaged as error:  # nothing to publish again; the object's next message builds it anew
                log.error("%s: %s; its last answer can't be published again", key.decode(), error)
        return self._repeat(number, records) if records else None

    def _repeat(self, number: int, records: dict[str, Record]) -> Answers:
        """Return the answers that records keep."""
        some = list(records.values())
        kept = unkept([record.answer for record in some], len(self.model.classes))
        status = np.array(STATUSES)[kept["status"]]
        return self._answers(number, list(records), some, status, kept["p"], kept["change"], kept["previous"])

    def _answers(
        self,
        number: int,
        names: list[str],
        records: Sequence[Record],
        status: NDArray[np.str_],
        probabilities: NDArray[np.floating],
        moved: NDArray[np.floating],
        previous: NDArray[np.integer],
    ) -> Answers:
        last = [record.points["time"][-1] if len(record.points) else np.nan for record in records]
        return Answers(
            names,
            status,
            probabilities.astype(np.float32),
            moved.astype(np.float32),
            previous.astype(np.uint8),
            np.array([record.n_obs for record in records], np.int64),
            np.array(last, np.float64),
            np.array([record.ra for record in records], np.float64),
            np.array([record.dec for record in records], np.float64),
            number,
            np.array([record.offset for record in records], np.int64),
            self.model.classes,
            self.model.name,
            self.model.hash,
        )

    # ---- a batch ----------------------------------------------------------------------------------------------------

    def take(self, messages: Sequence[Message], bury: Callable[[list[DeadLetter]], None] = lambda dead: None) -> Taken:
        """Take messages of one partition, in the order of their offsets.

        Parameters
        ----------
        messages : sequence of Message
        bury : callable
            Gets the messages that can't be used before anything is written: a crash may repeat them, never lose them.

        Returns
        -------
        Taken
            Answers about the objects that have something new, and messages that can't be used. Records and offset are
            written when it returns.

        Raises
        ------
        Fenced
            If another worker has the partition: nothing was written, nothing must be published.
        """
        number = messages[0].partition
        self.assign(number)
        part = self._partitions[number]
        expected, following = part.offset, messages[-1].offset + 1
        fresh = [message for message in messages if message.offset >= expected]
        self.counts.add(messages=len(messages), repeated=len(messages) - len(fresh))
        alerts = self.decode([message.value for message in fresh])
        broken = [failure for failure in alerts.failures if failure.status == UNREADABLE]
        dead = [DeadLetter(fresh[failure.index], failure.error) for failure in broken]
        self.counts.add(dead=len(dead), unusable=len(alerts.failures) - len(dead))
        bury(dead)
        offsets = np.array([message.offset for message in fresh], np.int64)
        answers, changed = self._update(number, part, alerts, offsets[alerts.index])
        outbox = json.dumps(answers.object_id).encode()
        part.commit(changed, expected, max(expected, following), outbox)
        return Taken(answers, dead, max(expected, following))

    def _update(
        self, number: int, part: Partition, alerts: Alerts, offsets: NDArray[np.int64]
    ) -> tuple[Answers, dict[bytes, bytes | None]]:
        """Return the answers about the objects of alerts, and their records by key."""
        owner: dict[str, list[int]] = {}
        for i, name in enumerate(alerts.object_id.to_pylist()):
            owner.setdefault(name, []).append(i)
        names = list(owner)
        keys = [name.encode() for name in names]
        records = [self._record(name, data) for name, data in zip(names, part.get(keys), strict=True)]
        new, past = self._points(alerts.new), self._points(alerts.history)
        changes = [
            self._change(records[k], [new[i] for i in owner[name]], [past[i] for i in owner[name]])
            for k, name in enumerate(names)
        ]
        place = {axis: alerts.new.column(axis) for axis in ("ra", "dec")}
        now = self.clock()
        for k, name in enumerate(names):
            last = owner[name][-1]
            record, done = records[k], changes[k]
            record.n_obs += done.taken
            record.refused += len(done.refused)
            record.partition, record.offset, record.updated = number, int(offsets[last]), now
            record.ra, record.dec = _known(place["ra"][last], record.ra), _known(place["dec"][last], record.dec)
        self._count(changes)
        answers = self._step(number, names, records, changes, alerts.new)
        return answers, {key: record.tobytes() for key, record in zip(keys, records, strict=True)}

    def _record(self, name: str, data: bytes | None) -> Record:
        """Return an object's record; a damaged one is given up: what its packets tell of the past has to do."""
        if data is None:
            self.counts.add(born=1)
            return Record()
        try:
            return Record.frombytes(data)
        except Damaged as error:
            log.error("%s: %s; it is built anew from the packet's history", name, error)
            self.counts.add(damaged=1)
            return Record()

    def _points(self, curves: LightCurves) -> list[NDArray[np.void]]:
        """Return each light curve's observations in the model's bands as `POINT`."""
        codes = np.array(
            [self._bands.index(b) if b in self._bands else NO_CLASS for b in curves.bands] or [0], np.uint8
        )
        points = np.empty(len(curves.time), POINT)
        points["time"], points["value"], points["error"] = curves.time, curves.value, curves.error
        points["band"] = codes[curves.band]
        known = points["band"] != NO_CLASS
        self.counts.add(other_bands=int((~known).sum()))
        good = known & np.isfinite(points["time"]) & np.isfinite(points["value"])
        if self.preprocessing.brightness == "magnitude" and not curves.in_magnitudes and curves.unit != "unknown":
            bright = is_significant(curves)  # the model leaves others out: they must not count as taken
            self.counts.add(faint=int((good & ~bright).sum()))
            good &= bright
        slices = [slice(a, b) for a, b in pairwise(curves.offsets.tolist())]
        return [points[s] for s in slices] if good.all() else [points[s][good[s]] for s in slices]

    def _change(self, record: Record, new: list[NDArray[np.void]], past: list[NDArray[np.void]]) -> Change:
        """Return what an object's new observations do; one seen for the first time takes its packet's past too."""
        came = new[0] if len(new) == 1 else joined(new)
        if not record.n_obs and len(past[0]):
            came = joined([past[0], came])
        done = change(record.points, bool(record.base), came, self.keep)
        missing = record.refused + len(done.refused)
        if missing:  # older than anything kept: what the packets tell of the past may reach back far enough
            whole = joined([*past, done.points, done.refused])
            _, first = np.unique(whole[["time", "band"]], return_index=True)
            if len(first) >= record.n_obs + done.taken + missing:
                record.n_obs = record.refused = 0
                record.state = record.base = b""
                done = replace(change(record.points[:0], False, whole[first], self.keep), rebuild=True)
        return done

    def _count(self, changes: Sequence[Change]) -> None:
        self.counts.add(
            observations=sum(c.taken for c in changes),
            known=sum(c.known for c in changes),
            refused=sum(len(c.refused) for c in changes),
            rebuilt=sum(c.rebuild for c in changes),
        )

    def _step(
        self, number: int, names: list[str], records: list[Record], changes: list[Change], like: LightCurves
    ) -> Answers:
        """Take the observations into bases and states, put both into the records, and answer."""
        n = len(records)
        old = np.flatnonzero([len(c.aged) > 0 for c in changes])
        bases = self._states([records[k].base for k in old])
        if len(old):
            bases = self._advance(bases, [changes[k].aged for k in old], like).state
            for k, data in zip(old, bases.tobytes(), strict=True):
                records[k].base = data
        again = np.array([c.rebuild for c in changes], bool)
        states = self._states([r.base if a else r.state for r, a in zip(records, again, strict=True)])
        came = [c.points if a else c.added for c, a in zip(changes, again, strict=True)]
        done = self._advance(states, came, like)
        for record, c, data in zip(records, changes, done.state.tobytes(), strict=True):
            record.points, record.state = c.points, data
        status = np.where((done.status == "OK") & again, "REBUILT", done.status)
        status = np.where([record.refused > 0 for record in records], "OUT_OF_ORDER", status) if n else status
        probabilities = np.where(np.isin(done.status, ("OK",))[:, None], done.probabilities, np.nan)
        before = self._before(records)
        moved = 0.5 * np.abs(probabilities - before).sum(1)
        had = np.isfinite(before).all(1)
        previous = np.where(had, np.nan_to_num(before).argmax(1), NO_CLASS) if n else np.zeros(0, int)
        answers = self._answers(number, names, records, status, probabilities, moved, previous)
        for record, data in zip(records, answers.kept(), strict=True):
            record.answer = data
        return answers

    def _before(self, records: Sequence[Record]) -> NDArray[np.float64]:
        """Return the probabilities of the last answers (n, C), NaN where there was none."""
        p = np.full((len(records), len(self.model.classes)), np.nan)
        rows = [k for k, record in enumerate(records) if record.answer]
        if rows:
            p[rows] = unkept([records[k].answer for k in rows], p.shape[1])["p"]
        return p

    def _states(self, parts: Sequence[bytes]) -> State:
        """Return the states of bytes, empty ones for objects without."""
        state = self.model.init_state(len(parts), self.half)
        rows = [k for k, part in enumerate(parts) if part]
        if rows:
            state.records[rows] = State.frombytes([parts[k] for k in rows], self._network).records
        return state

    def _advance(self, state: State, points: Sequence[NDArray[np.void]], like: LightCurves) -> Any:
        flat = joined(points)
        curves = LightCurves(
            pa.array([str(k) for k in range(len(points))], pa.string()),
            ragged.offsets_of(np.array([len(p) for p in points], np.int64)),
            np.ascontiguousarray(flat["time"]),
            np.ascontiguousarray(flat["value"]),
            np.ascontiguousarray(flat["error"]),
            np.ascontiguousarray(flat["band"]),
            self._bands,
            like.unit,
            like.time_scale,
        )
        return self.model.update_arrays(state, curves)


def _known(value: float, otherwise: float) -> float:
    return float(value) if value == value else otherwise
