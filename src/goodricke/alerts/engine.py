"""The engine: micro-batches of messages in, states and answers out, at a cost per observation that doesn't grow.

`Engine.process` skips messages that were processed before, decodes, groups by object, loads the records, takes one
batched step of the network per band and place, and writes records and offset in one transaction. The caller publishes
the answers and only then commits the offset to the broker. After a kill at any moment, the next worker finds in the
store the offset to go on from and the batch whose answers may not have been published (`Engine.recover`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, pairwise
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.alerts.answers import (
    NO_CLASS,
    STATUSES,
    AlertAnswers,
    DeadLetter,
    Message,
    answer_class,
    packed_answers,
    unpack_answers,
)
from goodricke.alerts.events import log_event
from goodricke.alerts.object_record import (
    KEEP,
    NO_IDENTIFIER,
    POINT,
    VERSION,
    AlertPoints,
    DamagedRecordError,
    ObjectRecord,
    RecordUpdate,
    RecordVersionError,
    concatenate_points,
    merge_alerts,
    nearby_hashes,
    unrecorded_history,
)
from goodricke.alerts.route import Route, Routed, keep_references
from goodricke.alerts.store import FencedError, LastBatch, Partition, Store, is_store_error, open_store
from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.io.packets import (
    MOVING,
    NOT_POSITIVE,
    REJECTED,
    UNREADABLE,
    WRONG_PHOTOMETRY,
    Alerts,
    PacketOptions,
    RegistryUnreachableError,
    decode,
    photometry,
)
from goodricke.models.bundle import Model, load_model
from goodricke.models.multiband import Multiband
from goodricke.models.recurrent_state import State, Update
from goodricke.preprocess import MultibandConfig
from goodricke.preprocess.cleaning import is_significant

MAX_FAILED = 10  # messages of a batch that can't be processed though they were decoded
NO_MESSAGES_FAULT = (FencedError, RecordVersionError, RegistryUnreachableError, ImportError, OSError, MemoryError)
UNUSABLE = {"moving": MOVING, "wrong_photometry": WRONG_PHOTOMETRY, "negative": NOT_POSITIVE, "rejected": REJECTED}
SHOWN_REASONS = 3
STRAY_CHECKS = 50  # new objects of a batch that are looked up in every other partition
NOT_KEYED = (
    "%s is in partition %d and in partition %d: the topic isn't keyed by object, and answers rest on a part of its "
    "light curve. Let the producer use the object's identifier as the key of each message (and one partitioner for "
    "all), or copy the topic into one that is keyed so; then start a new store"
)


@dataclass
class EngineCounts:
    """Numbers of messages, observations and objects since the engine was created; the names are those of metrics."""

    messages: int = 0
    repeated: int = 0  # messages that were processed before
    unkeyed: int = 0  # messages without a key, in a topic of several partitions
    dead: int = 0  # messages that can't be decoded
    unusable: int = 0  # sound messages that can't be used, for the reasons that follow and others
    moving: int = 0  # of objects of the solar system
    wrong_photometry: int = 0  # without the photometry that the model was trained on
    negative: int = 0  # fluxes that are not positive and have no magnitude
    rejected: int = 0  # by the cuts on reliability and flags
    observations: int = 0  # accepted
    other_bands: int = 0  # observations in bands that the model doesn't know
    faint: int = 0  # fluxes not above their errors, which have no magnitude for a model of magnitudes
    filled: int = 0  # accepted observations that came only as another alert's history
    known: int = 0  # duplicate observations
    corrected: int = 0  # those of them with another brightness or time than at first, which stay
    retimed: int = 0  # those of them with another time, recognised by the survey's identifier of the observation
    refused: int = 0  # observations older than all that is kept
    rebuilt: int = 0  # objects
    born: int = 0  # new objects
    strayed: int = 0  # new objects that another partition has, too: the topic isn't keyed by object
    damaged: int = 0  # damaged records

    def add(self, **numbers: int) -> None:
        """Add to the counts of these names."""
        for name, number in numbers.items():
            setattr(self, name, getattr(self, name) + number)


@dataclass(frozen=True)
class BatchResult:
    """Answers about the objects that a batch changed, its dead letters, and the offset of the next message."""

    answers: AlertAnswers
    dead_letters: list[DeadLetter]
    offset: int


class _Changes:
    """What a batch changes in a partition, before it is committed."""

    def __init__(self, part: Partition) -> None:
        self._part = part
        self.records: dict[bytes, bytes | None] = {}
        self.answers: list[AlertAnswers] = []
        self.dead: list[DeadLetter] = []
        self.n_failed = 0  # messages that were decoded and still can't be processed

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the records of objects as the batch has left them so far."""
        stored = self._part.get(keys)
        return [self.records.get(key, data) for key, data in zip(keys, stored, strict=True)] if self.records else stored

    def add(self, answers: AlertAnswers, records: dict[bytes, bytes | None], dead: list[DeadLetter]) -> None:
        """Add a part of the batch that is done."""
        self.answers.append(answers)
        self.records.update(records)
        self.dead += dead


@dataclass
class Engine:
    """Updates the records of a stream's objects and classifies them.

    Parameters
    ----------
    model : Model
        A multi-band one.
    store : Store
    decode : callable
        Decodes messages' bytes to `goodricke.io.packets.Alerts`.
    half : bool
        Store the recurrent cells in float16: records of about half the size.
    keep : int
        Observations kept of each object at least (twice as many at most): how late one may come.
    clock : callable
        Seconds since 1970.
    route : Route, optional
        To a second model, which is asked about variable stars.

    Raises
    ------
    TypeError
        If the model has no state, or needs context columns, which alerts don't have.
    """

    model: Model
    store: Store
    decode: Callable[[Sequence[bytes]], Alerts]
    half: bool = False
    keep: int = KEEP
    clock: Callable[[], float] = time.time
    route: Route | None = None
    counts: EngineCounts = field(default_factory=EngineCounts)
    reasons: Counter[str] = field(default_factory=Counter, repr=False)  # why messages gave no observation

    def __post_init__(self) -> None:
        self.model.init_state(0)  # raises an error if it has no state
        if self.preprocessing.columns:
            names = ", ".join(self.preprocessing.columns)
            raise TypeError(f"{self.model.name} needs {names} of each object, which alerts don't have")
        self._partitions: dict[int, Partition] = {}
        self._bands, self._width = self.preprocessing.bands, len(self.model.classes)
        if self.route is not None:
            self.route.check(self.model)
        self._network = cast(Multiband, self.model.network).config

    @property
    def preprocessing(self) -> MultibandConfig:
        """The model's preprocessing."""
        assert isinstance(self.model.preprocessing, MultibandConfig)
        return self.model.preprocessing

    # ---- partitions -------------------------------------------------------------------------------------------------

    def assign(self, number: int) -> int:
        """Open a partition and return the offset of the next message."""
        if number not in self._partitions:
            self._partitions[number] = self.store.partition(number)
        return self._partitions[number].offset

    def revoke(self, number: int) -> None:
        """Close a partition, for another worker."""
        partition = self._partitions.pop(number, None)
        if partition is not None:
            partition.close()

    def close(self) -> None:
        """Close all partitions."""
        for number in list(self._partitions):
            self.revoke(number)

    def object_count(self, number: int) -> int:
        """Return the number of objects of a partition."""
        return len(self._partitions[number])

    def recover(self, number: int) -> AlertAnswers | None:
        """Return the answers of the last batch of a partition, which may not have been published; None if none was."""
        part = self._partitions[number]
        names = LastBatch.frombytes(part.outbox).object_ids
        records = dict[str, ObjectRecord]()
        for name, data in zip(names, part.get([name.encode() for name in names]), strict=True):
            try:
                if data is not None:
                    records[name] = ObjectRecord.frombytes(data)
            except DamagedRecordError as error:  # the object's next message builds it again
                text = f"{name}: {error}; its last answer can't be published again"
                log_event("damaged", text, "error", object_id=name)
        if not records:
            return None
        packed = unpack_answers([record.answer for record in records.values()], len(self.model.classes))
        return self._answers(number, list(records), list(records.values()), packed)

    def stored_answers(self, number: int, most: int = 50_000) -> Iterator[AlertAnswers]:
        """Yield the last answers about all objects of a partition, whichever run brought them, ``most`` at once."""
        items = self._partitions[number].items()
        while batch := list(islice(items, most)):
            records = dict[str, ObjectRecord]()
            for key, data in batch:
                try:
                    record = ObjectRecord.frombytes(bytes(data))
                except DamagedRecordError as error:
                    log_event("damaged", f"{key.decode()}: {error}; it has no answer", "error", object_id=key.decode())
                    continue
                if record.answer:
                    records[key.decode()] = record
            packed = unpack_answers([record.answer for record in records.values()], self._width)
            yield self._answers(number, list(records), list(records.values()), packed)

    def unused(self) -> str | None:
        """Return why nothing of what came could be used, None if something was or only moving objects came."""
        counts = self.counts
        if counts.observations + counts.known + counts.refused:
            return None
        missed = Counter(self.reasons)
        missed["in a band that the model doesn't know"] = counts.other_bands
        missed["a flux that is not above its error, which has no magnitude"] = counts.faint
        missed -= Counter()  # without zeros
        if not counts.unusable - counts.moving + counts.other_bands + counts.faint:
            return None
        worst = "; ".join(f"{n:,} {reason}" for reason, n in missed.most_common(SHOWN_REASONS))
        return f"none of {counts.messages - counts.repeated:,} messages could be used: {worst}"

    def _answers(
        self, number: int, names: list[str], records: Sequence[ObjectRecord], packed: NDArray[np.void]
    ) -> AlertAnswers:
        """Return answers from `packed_answers` and the records of their objects."""
        last = [record.points["time"][-1] if len(record.points) else np.nan for record in records]
        return AlertAnswers(
            object_id=names,
            status=np.array(STATUSES)[packed["status"]],
            probabilities=packed["p"],
            change=packed["change"],
            previous=packed["previous"],
            novelty=packed["novelty"],
            sets=packed["set"],
            n_obs=np.array([record.n_obs for record in records], np.int64),
            n_missing=np.array([len(record.missing_hashes) for record in records], np.int64),
            time=np.array(last, np.float64),
            ra=np.array([record.ra for record in records], np.float64),
            dec=np.array([record.dec for record in records], np.float64),
            partition=number,
            offset=np.array([record.offset for record in records], np.int64),
            classes=self.model.classes,
            model=self.model.name,
            model_hash=self.model.hash,
            taxonomy=self.model.config.taxonomy,
            routed=self._routed(records),
        )

    def _routed(self, records: Sequence[ObjectRecord]) -> NDArray[np.object_] | None:
        """Return what the second model said of objects (n,), None if there is no second model."""
        if self.route is None:
            return None
        answers = np.empty(len(records), object)
        for k, record in enumerate(records):
            answers[k] = Routed.frombytes(record.route, len(self._bands)).answer if record.route else {}
        return answers

    # ---- a batch ----------------------------------------------------------------------------------------------------

    def process(
        self,
        messages: Sequence[Message],
        send_dead_letters: Callable[[list[DeadLetter]], None] = lambda letters: None,
    ) -> BatchResult:
        """Process messages of one partition, in the order of their offsets.

        Parameters
        ----------
        messages : sequence of Message
        send_dead_letters : callable
            Gets the messages that can't be decoded, before anything is written: a crash may repeat them, never lose
            them.

        Returns
        -------
        BatchResult
            Records and offset are in the store when it returns.

        Raises
        ------
        FencedError
            If another worker has the partition: nothing was written, nothing must be published.
        """
        number = messages[0].partition
        self.assign(number)
        part = self._partitions[number]
        start, end = part.offset, messages[-1].offset + 1
        new = [message for message in messages if message.offset >= start]
        self.counts.add(messages=len(messages), repeated=len(messages) - len(new))
        if not new:  # the outbox stays as it is
            return BatchResult(self._answers(number, [], [], packed_answers(0, self._width)), [], start)
        work = _Changes(part)
        self._answer_each(number, new, work)
        self.counts.add(dead=len(work.dead))
        send_dead_letters(work.dead)
        answers = AlertAnswers.concat(work.answers or [self._answers(number, [], [], packed_answers(0, self._width))])
        names = list(dict.fromkeys(answers.object_id))
        part.commit(work.records, start, end, LastBatch(new[0].offset, names).tobytes())
        return BatchResult(answers, work.dead, end)

    def _answer_each(self, number: int, messages: Sequence[Message], work: _Changes) -> None:
        """Answer messages together; if that fails, in halves, down to the message at fault: it is a dead letter.

        Decoding has found what is wrong with almost all that are. This is for the rest: whatever a message may hold,
        it ends as an answer or a dead letter. What is no message's fault is raised.
        """
        before = dict(vars(self.counts))
        try:
            self._answer_messages(number, messages, work)
        except Exception as error:
            if isinstance(error, NO_MESSAGES_FAULT) or is_store_error(error):
                raise
            vars(self.counts).update(before)
            if len(messages) > 1:
                half = len(messages) // 2
                self._answer_each(number, messages[:half], work)
                self._answer_each(number, messages[half:], work)
                return
            work.dead.append(DeadLetter(messages[0], f"can't be processed ({type(error).__name__}: {error})"))
            work.n_failed += 1
            if work.n_failed > MAX_FAILED:  # then it is the model or this program, and messages are not to blame
                raise

    def _answer_messages(self, number: int, messages: Sequence[Message], work: _Changes) -> None:
        """Decode messages and add answers, records and dead letters to the work."""
        alerts = self.decode([message.value for message in messages])
        offsets = np.array([message.offset for message in messages], np.int64)
        answers, records = self._update(number, work, alerts, offsets[alerts.index])
        dead = [DeadLetter(messages[f.index], f.error) for f in alerts.failures if f.status == UNREADABLE]
        reasons = Counter(f.status for f in alerts.failures)
        by_reason = {name: reasons[status] for name, status in UNUSABLE.items()}
        self.reasons.update(f.error for f in alerts.failures if f.status != UNREADABLE or len(self.reasons) < 100)
        self.counts.add(unusable=len(alerts.failures) - len(dead), **by_reason)
        work.add(answers, records, dead)

    def _update(
        self, number: int, part: _Changes, alerts: Alerts, offsets: NDArray[np.int64]
    ) -> tuple[AlertAnswers, dict[bytes, bytes | None]]:
        """Return the answers about the objects of alerts, and their records' bytes by key."""
        ids = alerts.object_id.to_pylist()
        row = {name: k for k, name in enumerate(dict.fromkeys(ids))}
        rows, alert_rows = np.array([row[name] for name in ids], np.int64), [list[int]() for _ in row]
        for i, k in enumerate(rows.tolist()):
            alert_rows[k].append(i)
        names, keys = list(row), [name.encode() for name in row]
        stored = part.get(keys)
        self._check_strays(number, [key for key, data in zip(keys, stored, strict=True) if data is None])
        records = [self._load(name, data) for name, data in zip(names, stored, strict=True)]
        points = self._alert_points(alerts, records, rows)
        updates = [
            merge_alerts(record, [points[i] for i in indices], self.keep)
            for record, indices in zip(records, alert_rows, strict=True)
        ]
        position = {axis: alerts.new.column(axis) for axis in ("ra", "dec")}
        now = self.clock()
        for record, indices in zip(records, alert_rows, strict=True):
            last = indices[-1]
            record.partition, record.offset, record.updated = number, int(offsets[last]), now
            for axis, values in position.items():
                if np.isfinite(values[last]):
                    setattr(record, axis, float(values[last]))
        if self.route is not None and "reference" in alerts.new.table_of_objects.column_names:
            codes = np.array([self._bands.index(b) if b in self._bands else NO_CLASS for b in alerts.new.bands], int)
            flux = alerts.new.column("reference")
            keep_references([records[k] for k in rows], codes[alerts.new.band], flux, len(self._bands))
        self.counts.add(
            observations=sum(u.n_accepted for u in updates),
            filled=sum(u.n_filled for u in updates),
            known=sum(u.n_duplicates for u in updates),
            corrected=sum(u.n_corrected for u in updates),
            retimed=sum(u.n_retimed for u in updates),
            refused=sum(u.n_rejected for u in updates),
            rebuilt=sum(u.rebuild_state for u in updates),
        )
        answers = self._step(number, names, records, updates, alerts.new)
        return answers, {key: record.tobytes() for key, record in zip(keys, records, strict=True)}

    def _alert_points(
        self, alerts: Alerts, records: Sequence[ObjectRecord], rows: NDArray[np.int64]
    ) -> list[AlertPoints]:
        """Return the observations in each alert, with the survey's identifiers where it gives any."""
        (new, is_new), (earlier, is_earlier) = self._points(alerts.new, count=True), self._points(alerts.history)
        new_points, history = _pieces(new, alerts.new, is_new), _pieces(earlier, alerts.history, is_earlier)
        missing = unrecorded_history(records, rows, history)
        unrecorded = [points[piece] for points, piece in zip(history, missing, strict=True)]
        if not alerts.own_identifiers or not unrecorded:
            return list(map(AlertPoints, new_points, history, unrecorded))
        has_one = is_new & (alerts.alert_id != NO_IDENTIFIER)
        hashes = _pieces(nearby_hashes(new, alerts.alert_id), alerts.new, has_one)
        given, before = (
            _pieces(alerts.alert_id, alerts.new, is_new),
            _pieces(alerts.history_id, alerts.history, is_earlier),
        )
        chosen = [numbers[piece] for numbers, piece in zip(before, missing, strict=True)]
        ends = np.cumsum(list(map(len, unrecorded)))
        others = np.split(nearby_hashes(concatenate_points(unrecorded), np.concatenate(chosen)), ends[:-1])
        return list(map(AlertPoints, new_points, history, unrecorded, given, before, chosen, hashes, others))

    def _check_strays(self, number: int, keys: list[bytes]) -> None:
        """Count new objects that another partition of this worker has, too, and log the first."""
        keys = keys[:STRAY_CHECKS]
        for other, part in self._partitions.items():
            if other == number or not keys:
                continue
            strays = [key for key, data in zip(keys, part.get(keys), strict=True) if data is not None]
            if strays and not self.counts.strayed:
                text = NOT_KEYED % (strays[0].decode(), other, number)
                log_event("not_keyed", text, "error", object_id=strays[0].decode(), partitions=[other, number])
            self.counts.add(strayed=len(strays))

    def _load(self, name: str, data: bytes | None) -> ObjectRecord:
        """Return an object's record, a new one in place of a damaged one: packets' histories have to fill it."""
        if data is None:
            self.counts.add(born=1)
            return ObjectRecord()
        try:
            return ObjectRecord.frombytes(data)
        except DamagedRecordError as error:
            text = f"{name}: {error}; it is built again from the packet's history"
            log_event("damaged", text, "error", object_id=name)
            self.counts.add(damaged=1)
            return ObjectRecord()

    def _points(self, curves: LightCurves, count: bool = False) -> tuple[NDArray[np.void], NDArray[np.bool_]]:
        """Return observations as `POINT`, and which of them (N,) are usable and in the model's bands."""
        codes = np.array(
            [self._bands.index(b) if b in self._bands else NO_CLASS for b in curves.bands] or [0], np.uint8
        )
        points = np.empty(len(curves.time), POINT)
        points["time"], points["value"], points["error"] = curves.time, curves.value, curves.error
        points["band"] = codes[curves.band]
        known = points["band"] != NO_CLASS
        good = known & np.isfinite(points["time"]) & np.isfinite(points["value"])
        if self.preprocessing.brightness == "magnitude" and not curves.in_magnitudes and curves.unit != "unknown":
            bright = is_significant(curves)  # the model can't use the others: they must not count as accepted
            self.counts.add(faint=int((good & ~bright).sum()) if count else 0)
            good &= bright
        self.counts.add(other_bands=int((~known).sum()) if count else 0)
        return points, good

    def _step(
        self,
        number: int,
        names: list[str],
        records: list[ObjectRecord],
        updates: list[RecordUpdate],
        template: LightCurves,
    ) -> AlertAnswers:
        """Update bases, states and answers of the records in place, and return the answers."""
        for record, u in zip(records, updates, strict=True):
            record.points, record.n_obs = u.points, u.n_obs
            record.base_hashes, record.missing_hashes = u.base_hashes, u.missing_hashes
            record.identifiers = u.identifiers
            record.base = b"" if u.rebuild_base else record.base
        changed = np.flatnonzero([len(u.base_points) > 0 for u in updates])
        if len(changed):
            bases = self._states([records[k].base for k in changed])
            bases = self._advance(bases, [updates[k].base_points for k in changed], template).state
            for k, data in zip(changed, bases.tobytes(), strict=True):
                records[k].base = data
        pairs = list(zip(records, updates, strict=True))
        states = self._states([record.base if u.rebuild_state else record.state for record, u in pairs])
        step = self._advance(states, [u.points if u.rebuild_state else u.appended for u in updates], template)
        for record, data in zip(records, step.state.tobytes(), strict=True):
            record.state = data
        packed = self._pack(records, step, np.array([u.status for u in updates], "<U14"))
        for record, answer in zip(records, packed, strict=True):
            record.answer = answer.tobytes()
        if self.route is not None:
            probability = packed["p"][:, self.model.classes.index(self.route.leaf)]
            self.route.update(names, records, probability, self._bands, template.time_scale)
        return self._answers(number, names, records, packed)

    def _pack(self, records: Sequence[ObjectRecord], step: Update, status: NDArray[np.str_]) -> NDArray[np.void]:
        """Return `packed_answers` from the model's step, the records' last answers, and the updates' status."""
        ok, output = step.status == "OK", step.output
        status = np.where((ok & (status == "REBUILT")) | (status == "OUT_OF_ORDER"), status, step.status)
        p, before = np.where(ok[:, None], output.probabilities, np.nan), self._former_probabilities(records)
        packed = packed_answers(len(records), len(self.model.classes))
        packed["status"] = [STATUSES.index(name) for name in status]
        packed["p"], packed["previous"] = p, answer_class(before, self.model.config.taxonomy)[0]
        packed["change"] = 0.5 * np.abs(p - before).sum(1)
        packed["novelty"] = np.where(ok, np.nan if output.novelty is None else output.novelty, np.nan)
        packed["set"] = np.isfinite(p) & (False if output.prediction_set is None else output.prediction_set)
        return packed

    def _former_probabilities(self, records: Sequence[ObjectRecord]) -> NDArray[np.float64]:
        """Return the probabilities of the last answers (n, C), NaN where there was none."""
        p = np.full((len(records), len(self.model.classes)), np.nan)
        rows = [k for k, record in enumerate(records) if record.answer]
        if rows:
            p[rows] = unpack_answers([records[k].answer for k in rows], p.shape[1])["p"]
        return p

    def _states(self, parts: Sequence[bytes]) -> State:
        """Return states from their bytes, empty ones from none."""
        state = self.model.init_state(len(parts), self.half)
        rows = [k for k, part in enumerate(parts) if part]
        if rows:
            state.records[rows] = State.frombytes([parts[k] for k in rows], self._network).records
        return state

    def _advance(self, state: State, points: Sequence[NDArray[np.void]], template: LightCurves) -> Update:
        """Return the model's update of n states by the points of each; unit and time scale are the template's."""
        flat = concatenate_points(points)
        curves = LightCurves(
            pa.array([str(k) for k in range(len(points))], pa.string()),
            ragged.offsets_from_counts(np.array([len(p) for p in points], np.int64)),
            np.ascontiguousarray(flat["time"]),
            np.ascontiguousarray(flat["value"]),
            np.ascontiguousarray(flat["error"]),
            np.ascontiguousarray(flat["band"]),
            self._bands,
            template.unit,
            template.time_scale,
        )
        return self.model.update_arrays(state, curves)


def _pieces(values: NDArray, curves: LightCurves, kept: NDArray[np.bool_]) -> list[NDArray]:
    """Return the values (N,) of each light curve, those that are ``kept`` (N,)."""
    slices = [slice(a, b) for a, b in pairwise(curves.offsets.tolist())]
    return [values[s] for s in slices] if kept.all() else [values[s][kept[s]] for s in slices]


def create_engine(
    model: str,
    state: str,
    half: bool,
    format: str,
    options: PacketOptions,
    keep: int = KEEP,
    device: str = "cpu",
    route: Route | None = None,
    **settings: Any,
) -> Engine:
    """Return an engine with its model and store.

    Parameters
    ----------
    model, state : str
        As of `load_model` and `open_store`.
    half, keep
        As of `Engine`.
    format, options
        Of the messages; see `goodricke.io.packets.decode`. What they don't set is as the model was trained.
    device : str
    route : Route, optional
        To a second model. It is no part of what tells one store from another: a worker may begin or cease to route.
    **settings
        More that tells one store from another.

    Raises
    ------
    ValueError
        If the model has no state, was trained on another photometry than the options ask for, or the store was made
        for another model, other photometry or other records.
    """
    bundle = load_model(model, device)
    if format != "slim":  # its records don't say of what photometry they are
        takes_fluxes = getattr(bundle.preprocessing, "brightness", None) == "asinh"
        options = options.for_model(bundle.name, bundle.config.photometry, takes_fluxes)
    stored = {"model": bundle.name, "model_hash": bundle.hash, "half": half, "keep": keep, "records": VERSION}
    store = open_store(state, stored | photometry(format, options) | settings)
    try:
        return Engine(bundle, store, partial(decode, format=format, options=options), half, keep, route=route)
    except TypeError as error:
        raise ValueError(f"{error}: see `goodricke models list`") from error
