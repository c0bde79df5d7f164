"""The engine: micro-batches of messages in, states and answers out, each object's update at a cost that doesn't grow.

A batch goes through `Engine.take`: leave out messages that were taken before, decode, group by object, load the
records, take the observations in one batched step per band and place, write records and offset in one transaction. What
it returns is published, and only then is the offset told to the broker. Killed anywhere, the next worker finds in the
store where to go on, and in the outbox whose answers may not have been published (`Engine.recover`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.alerts.answers import NO_CLASS, STATUSES, Answers, Counts, DeadLetter, Message, Outbox, Taken, unkept
from goodricke.alerts.events import event
from goodricke.alerts.record import KEEP, POINT, Change, Damaged, Record, Told, change, joined, unseen
from goodricke.alerts.store import Partition, Store
from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.io.packets import UNREADABLE, Alerts
from goodricke.models.bundle import Model
from goodricke.models.multiband import Multiband
from goodricke.models.recurrent_state import State
from goodricke.preprocess import MultibandConfig
from goodricke.preprocess.cleaning import is_significant

LOOKED_FOR = 50  # new objects of a batch, in each other partition
NOT_KEYED = (
    "%s is in partition %d and in partition %d: the topic isn't keyed by object, and answers rest on a part of its "
    "light curve. Let the producer use the object's identifier as the key of each message (and one partitioner for "
    "all), or copy the topic into one that is keyed so; then start a new store"
)


@dataclass
class Engine:
    """Keeps the states of a stream's objects and says what they are.

    Parameters
    ----------
    model : Model
        A multi-band one.
    store : Store
    decode : callable
        Makes `goodricke.io.packets.Alerts` of messages' bytes.
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

    def outbox(self, number: int) -> bytes:
        """Return what the last transaction of a partition said beside records and offset."""
        return self._partitions[number].outbox

    def last_batch(self, number: int) -> Outbox:
        """Return the last batch of a partition."""
        return Outbox.frombytes(self.outbox(number))

    def skip_to(self, number: int, offset: int, outbox: bytes) -> None:
        """Go on at an offset, without the messages before."""
        part = self._partitions[number]
        part.commit({}, part.offset, offset, outbox)

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
        keys = [name.encode() for name in self.last_batch(number).objects]
        found = zip(keys, part.get(keys), strict=True)
        records = dict[str, Record]()
        for key, data in found:
            try:
                records |= {} if data is None else {key.decode(): Record.frombytes(data)}
            except Damaged as error:  # nothing to publish again; the object's next message builds it anew
                text = f"{key.decode()}: {error}; its last answer can't be published again"
                event("damaged", text, "error", object_id=key.decode())
        return self._repeat(number, records) if records else None

    def _repeat(self, number: int, records: dict[str, Record]) -> Answers:
        """Return the answers that records keep."""
        some = list(records.values())
        kept = unkept([record.answer for record in some], len(self.model.classes))
        status = np.array(STATUSES)[kept["status"]]
        parts = [kept[name] for name in ("p", "change", "previous", "novelty", "set")]
        return self._answers(number, list(records), some, status, *parts)

    def _answers(
        self,
        number: int,
        names: list[str],
        records: Sequence[Record],
        status: NDArray[np.str_],
        probabilities: NDArray[np.floating],
        moved: NDArray[np.floating],
        previous: NDArray[np.integer],
        novelty: NDArray[np.floating],
        sets: NDArray[np.bool_],
    ) -> Answers:
        last = [record.points["time"][-1] if len(record.points) else np.nan for record in records]
        return Answers(
            names,
            status,
            probabilities.astype(np.float32),
            moved.astype(np.float32),
            previous.astype(np.uint8),
            novelty.astype(np.float32),
            sets,
            np.array([record.n_obs for record in records], np.int64),
            np.array([len(record.missing) for record in records], np.int64),
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

    def take(
        self,
        messages: Sequence[Message],
        bury: Callable[[list[DeadLetter]], None] = lambda dead: None,
        note: Callable[[Answers], bytes] | None = None,
    ) -> Taken:
        """Take messages of one partition, in the order of their offsets.

        Parameters
        ----------
        messages : sequence of Message
        bury : callable
            Gets the messages that can't be used before anything is written: a crash may repeat them, never lose them.
        note : callable, optional
            Makes of the answers what is written in the same transaction in place of the outbox.

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
        if not fresh:  # the outbox stays as it is
            return Taken(self._repeat(number, {}), [], expected)
        alerts = self.decode([message.value for message in fresh])
        broken = [failure for failure in alerts.failures if failure.status == UNREADABLE]
        dead = [DeadLetter(fresh[failure.index], failure.error) for failure in broken]
        self.counts.add(dead=len(dead), unusable=len(alerts.failures) - len(dead))
        bury(dead)
        offsets = np.array([message.offset for message in fresh], np.int64)
        answers, changed = self._update(number, part, alerts, offsets[alerts.index])
        outbox = Outbox(fresh[0].offset, answers.object_id).tobytes() if note is None else note(answers)
        part.commit(changed, expected, following, outbox)
        return Taken(answers, dead, following)

    def _update(
        self, number: int, part: Partition, alerts: Alerts, offsets: NDArray[np.int64]
    ) -> tuple[Answers, dict[bytes, bytes | None]]:
        """Return the answers about the objects of alerts, and their records by key."""
        ids = alerts.object_id.to_pylist()
        row = {name: k for k, name in enumerate(dict.fromkeys(ids))}
        rows, own = np.array([row[name] for name in ids], np.int64), [list[int]() for _ in row]
        for i, k in enumerate(rows.tolist()):
            own[k].append(i)
        names, keys = list(row), [name.encode() for name in row]
        found = part.get(keys)
        self._look_elsewhere(number, [key for key, data in zip(keys, found, strict=True) if data is None])
        records = [self._record(name, data) for name, data in zip(names, found, strict=True)]
        new, past = self._points(alerts.new, count=True), self._points(alerts.history)
        told = list(map(Told, new, past, unseen(records, rows, past)))
        groups = ([told[i] for i in some] for some in own)
        changes = [change(record, group, self.keep) for record, group in zip(records, groups, strict=True)]
        place = {axis: alerts.new.column(axis) for axis in ("ra", "dec")}
        now = self.clock()
        for record, some in zip(records, own, strict=True):
            record.partition, record.offset, record.updated = number, int(offsets[some[-1]]), now
            record.ra, record.dec = (_known(place[axis][some[-1]], getattr(record, axis)) for axis in ("ra", "dec"))
        self._count(changes)
        answers = self._step(number, names, records, changes, alerts.new)
        return answers, {key: record.tobytes() for key, record in zip(keys, records, strict=True)}

    def _look_elsewhere(self, number: int, keys: list[bytes]) -> None:
        """Count those of some new objects that another partition of this worker has, too, and tell of the first."""
        for other, part in self._partitions.items():
            if other == number or not keys:
                continue
            some = keys[:LOOKED_FOR]
            strays = [key for key, data in zip(some, part.get(some), strict=True) if data is not None]
            if strays and not self.counts.strayed:
                text = NOT_KEYED % (strays[0].decode(), other, number)
                event("not_keyed", text, "error", object_id=strays[0].decode(), partitions=[other, number])
            self.counts.add(strayed=len(strays))

    def _record(self, name: str, data: bytes | None) -> Record:
        """Return an object's record; a damaged one is given up: what its packets tell of the past has to do."""
        if data is None:
            self.counts.add(born=1)
            return Record()
        try:
            return Record.frombytes(data)
        except Damaged as error:
            text = f"{name}: {error}; it is built anew from the packet's history"
            event("damaged", text, "error", object_id=name)
            self.counts.add(damaged=1)
            return Record()

    def _points(self, curves: LightCurves, count: bool = False) -> list[NDArray[np.void]]:
        """Return each light curve's observations in the model's bands as `POINT`."""
        codes = np.array(
            [self._bands.index(b) if b in self._bands else NO_CLASS for b in curves.bands] or [0], np.uint8
        )
        points = np.empty(len(curves.time), POINT)
        points["time"], points["value"], points["error"] = curves.time, curves.value, curves.error
        points["band"] = codes[curves.band]
        known = points["band"] != NO_CLASS
        good = known & np.isfinite(points["time"]) & np.isfinite(points["value"])
        if self.preprocessing.brightness == "magnitude" and not curves.in_magnitudes and curves.unit != "unknown":
            bright = is_significant(curves)  # the model leaves others out: they must not count as taken
            self.counts.add(faint=int((good & ~bright).sum()) if count else 0)
            good &= bright
        self.counts.add(other_bands=int((~known).sum()) if count else 0)
        slices = [slice(a, b) for a, b in pairwise(curves.offsets.tolist())]
        return [points[s] for s in slices] if good.all() else [points[s][good[s]] for s in slices]

    def _count(self, changes: Sequence[Change]) -> None:
        self.counts.add(
            observations=sum(c.taken for c in changes),
            filled=sum(c.filled for c in changes),
            known=sum(c.known for c in changes),
            refused=sum(c.refused for c in changes),
            rebuilt=sum(c.rebuild for c in changes),
        )

    def _step(
        self, number: int, names: list[str], records: list[Record], changes: list[Change], like: LightCurves
    ) -> Answers:
        """Take the observations into bases and states, put both into the records, and answer."""
        for record, c in zip(records, changes, strict=True):
            record.points, record.folded, record.missing, record.n_obs = c.points, c.folded, c.missing, c.n_obs
            record.base = b"" if c.anew else record.base
        old = np.flatnonzero([len(c.aged) > 0 for c in changes])
        bases = self._states([records[k].base for k in old])
        if len(old):
            bases = self._advance(bases, [changes[k].aged for k in old], like).state
            for k, data in zip(old, bases.tobytes(), strict=True):
                records[k].base = data
        states = self._states([r.base if c.rebuild else r.state for r, c in zip(records, changes, strict=True)])
        came = [c.points if c.rebuild else c.added for c in changes]
        done = self._advance(states, came, like)
        for record, data in zip(records, done.state.tobytes(), strict=True):
            record.state = data
        last = np.array([c.status for c in changes], "<U14")
        status = np.where(((done.status == "OK") & (last == "REBUILT")) | (last == "OUT_OF_ORDER"), last, done.status)
        ok = done.status == "OK"
        probabilities = np.where(ok[:, None], done.probabilities, np.nan)
        novelty = np.where(ok, np.nan if done.novelty is None else done.novelty, np.nan)
        sets = np.isfinite(probabilities) & (False if done.prediction_set is None else done.prediction_set)
        before = self._before(records)
        moved = 0.5 * np.abs(probabilities - before).sum(1)
        had = np.isfinite(before).all(1)
        previous = np.where(had, np.nan_to_num(before).argmax(1), NO_CLASS)
        answers = self._answers(number, names, records, status, probabilities, moved, previous, novelty, sets)
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
            ragged.offsets_from_counts(np.array([len(p) for p in points], np.int64)),
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
