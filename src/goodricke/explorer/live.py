"""The state of a running alert engine: from its state store, opened read-only, and the metrics of its workers.

No query grows with the stream. The store's outbox names the objects of the last batch, and their records hold the class
before and after; classes and statuses of all objects are counted over at most `MAX_COUNTED` of them.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import urllib.request
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple
from urllib.error import URLError
from urllib.parse import urlsplit, urlunsplit

import numpy as np

from goodricke.alerts.answers import NO_CLASS, STATUSES, unpack_answers
from goodricke.alerts.inspect_store import open_for_reading
from goodricke.alerts.object_record import DamagedRecordError, ObjectRecord, RecordVersionError
from goodricke.alerts.store import LastBatch, Partition, without_password

log = logging.getLogger("goodricke")

MAX_COUNTED = 10_000  # objects
COUNT_INTERVAL = 30.0  # seconds between counts
MAX_AGE = 1.0  # seconds that an answer serves all pages
MAX_BATCH = 500  # objects of a batch whose classes are compared
MAX_CHANGES = 50  # of class that are listed
STALLED = 600.0  # seconds without a new record after which the engine is reported as not well
TIMEOUT = 2.0  # seconds for a worker to answer


class Census(NamedTuple):
    """Statuses and classes of some objects."""

    time: float
    statuses: Counter[str]
    classes: Counter[str]
    objects: int


class EngineMonitor:
    """The numbers that the page shows of an engine every few seconds.

    Parameters
    ----------
    store : str, optional
        Folder of LMDB, or ``redis://...``; see `goodricke.alerts.store.open_store`.
    metrics : str, optional
        Address of a worker's ``/metrics``.
    classes : sequence of str
        Of its model.
    clock : callable
        Returns the time [s].

    Raises
    ------
    ValueError
        If there is no such store, or ``metrics`` is no address.
    """

    def __init__(
        self,
        store: str | None,
        metrics: str | None,
        classes: Sequence[str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._location, self._metrics, self._classes, self._clock = store, _address(metrics), list(classes), clock
        self._parts: dict[int, Partition] = {}
        self._store = None if store is None else open_for_reading(store)
        self._changes: deque[dict[str, Any]] = deque(maxlen=MAX_CHANGES)
        self._offsets: dict[str, int] = {}  # of the last message of each object whose change was examined
        self._lock, self._answer = threading.Lock(), dict[str, Any]()
        self._last_rate = (0.0, 0)  # time and messages of the last answer
        self._census = Census(-np.inf, Counter(), Counter(), 0)
        self._newest_record = 0.0

    def now(self) -> dict[str, Any]:
        """Return the engine's numbers, its latest changes of class, and whether it is well."""
        with self._lock:
            if not self._answer or self._clock() - self._answer["time"] >= MAX_AGE:
                self._answer = self._observe()
            return self._answer

    def close(self) -> None:
        """Close the store."""
        for part in self._parts.values():
            part.close()

    def _observe(self) -> dict[str, Any]:
        now, notes = self._clock(), list[str]()
        answer: dict[str, Any] = {"time": now, "messages": None, "messages_per_second": None, "answers": None}
        answer |= {"lag": None, "objects": None, "statuses": {}, "classes": {}, "changes": [], "well": False}
        if self._store is not None:
            try:
                answer |= self._observe_store(now, notes)
            except Exception as error:  # another program writes the store: the page goes on whatever its state
                notes.append(f"{without_password(str(self._location))}: can't be read now ({error})")
        if self._metrics is not None:
            self._observe_worker(answer, notes)
        if answer["messages"] is not None:
            time_before, messages_before = self._last_rate
            if time_before and now > time_before:
                new = max(answer["messages"] - messages_before, 0)
                answer["messages_per_second"] = new / (now - time_before)
            self._last_rate = (now, answer["messages"])
        return answer | {"note": "; ".join(notes)}

    # ---- the store --------------------------------------------------------------------------------------------------

    def _observe_store(self, now: float, notes: list[str]) -> dict[str, Any]:
        parts = self._partitions()
        for part in parts:
            self._collect_changes(part)
        if now - self._census.time >= COUNT_INTERVAL:
            self._census = self._count(now, parts)
        objects = sum(map(len, parts))
        if self._census.objects < objects:
            notes.append(f"classes and statuses of {self._census.objects:,} of {objects:,} objects")
        if self._metrics is None:
            notes.append("Start with --metrics http://HOST:PORT/metrics to see lag and answers")
        return {
            "messages": sum(part.offset for part in parts),
            "objects": objects,
            "statuses": dict(self._census.statuses.most_common()),
            "classes": dict(self._census.classes.most_common()),
            "changes": sorted(self._changes, key=lambda change: change["time"], reverse=True),
            "well": now - self._newest_record < STALLED,
        }

    def _partitions(self) -> list[Partition]:
        """Return the partitions; new ones are opened."""
        assert self._store is not None
        for number in self._store.partitions():
            if number not in self._parts:
                self._parts[number] = self._store.partition(number)
        return [self._parts[number] for number in sorted(self._parts)]

    def _collect_changes(self, part: Partition) -> None:
        """List the objects of the last batch whose class has changed."""
        names = _outbox_objects(part.outbox)[-MAX_BATCH:]
        for name, record in _valid_records(names, part.get([n.encode() for n in names])):
            self._newest_record = max(self._newest_record, record.updated)
            if self._offsets.get(name) == record.offset or not record.answer:
                continue
            answer = unpack_answers([record.answer])[0]
            best, previous = _best_class(answer["p"]), int(answer["previous"])
            if NO_CLASS not in (best, previous) and best != previous:
                change = {"object_id": name, "time": record.updated, "previous_class": self._class_name(previous)}
                change |= {"class": self._class_name(best), "p_max": float(answer["p"].max()), "n_obs": record.n_obs}
                self._changes.append(change)
            self._offsets[name] = record.offset
        while len(self._offsets) > 20 * MAX_BATCH:
            del self._offsets[next(iter(self._offsets))]

    def _count(self, now: float, parts: Sequence[Partition]) -> Census:
        """Count statuses and classes of some objects of each partition."""
        statuses, classes, count = Counter[str](), Counter[str](), 0
        for part in parts:
            items = islice(part.items(), MAX_COUNTED // max(len(parts), 1))
            # copied: a transaction of LMDB ends with its iterator
            copies = [(bytes(key).decode(errors="replace"), bytes(data)) for key, data in items]
            for _, record in _valid_records([name for name, _ in copies], [data for _, data in copies]):
                count += 1
                self._newest_record = max(self._newest_record, record.updated)
                if record.answer:
                    answer = unpack_answers([record.answer])[0]
                    statuses[STATUSES[answer["status"]]] += 1
                    if (best := _best_class(answer["p"])) != NO_CLASS:
                        classes[self._class_name(best)] += 1
        return Census(now, statuses, classes, count)

    def _class_name(self, k: int) -> str:
        return self._classes[k] if k < len(self._classes) else f"class {k}"

    # ---- a worker ---------------------------------------------------------------------------------------------------

    def _observe_worker(self, answer: dict[str, Any], notes: list[str]) -> None:
        """Add a worker's counts to an answer."""
        try:
            sums, statuses = parse_metrics(_fetch(str(self._metrics)).decode())
        except (OSError, ValueError, URLError, ImportError) as error:
            notes.append(f"{self._metrics}: no answer ({getattr(error, 'reason', error)}): does the worker run?")
            answer["well"] = False
            return
        names = {"answers": "goodricke_answers", "lag": "goodricke_lag"}
        if self._store is None:  # whose numbers are of all workers together
            names |= {"messages": "goodricke_messages", "objects": "goodricke_objects"}
        answer |= {name: int(sums[metric]) for name, metric in names.items() if metric in sums}
        answer["statuses"] = answer["statuses"] or statuses
        answer["well"] = self._is_worker_well()

    def _is_worker_well(self) -> bool:
        address = urlsplit(str(self._metrics))
        try:
            return bool(json.loads(_fetch(urlunsplit(address._replace(path="/health"))))["well"])
        except (OSError, ValueError, KeyError, TypeError):
            return False


def parse_metrics(text: str) -> tuple[dict[str, float], dict[str, int]]:
    """Return the sums of the numbers of a Prometheus page by their names, and the number of answers by status.

    Raises
    ------
    ImportError
        If prometheus-client isn't installed.
    """
    try:
        from prometheus_client.parser import text_string_to_metric_families
    except ImportError as error:
        raise ImportError("needs prometheus-client: pip install 'goodricke[alerts]'") from error
    sums, statuses = dict[str, float](), dict[str, int]()
    for family in text_string_to_metric_families(text):
        sums[family.name] = sum(s.value for s in family.samples if not s.name.endswith("_created"))
        if family.name == "goodricke_status":
            statuses = {s.labels["status"]: int(s.value) for s in family.samples if not s.name.endswith("_created")}
    return sums, statuses


def _fetch(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:
        return answer.read(1 << 22)


def _address(metrics: str | None) -> str | None:
    """Return the address of metrics, with the path ``/metrics`` if it has none.

    Raises
    ------
    ValueError
        If it is no address on the web.
    """
    if metrics is None:
        return None
    parts = urlsplit(metrics)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"--metrics {metrics}: write it as http://HOST:PORT/metrics")
    return urlunsplit(parts._replace(path=parts.path if parts.path not in ("", "/") else "/metrics"))


def _outbox_objects(outbox: bytes) -> list[str]:
    """Return the objects of a store's last batch; none if the outbox holds something else."""
    try:
        return LastBatch.frombytes(outbox).object_ids
    except (ValueError, TypeError, KeyError):
        return []


def _valid_records(names: Sequence[str], data: Sequence[bytes | None]) -> Iterator[tuple[str, ObjectRecord]]:
    """Give the records that can be read, with their names."""
    for name, content in zip(names, data, strict=True):
        try:
            if content is not None:
                yield name, ObjectRecord.frombytes(bytes(content))
        except (DamagedRecordError, RecordVersionError) as error:
            log.debug("%s: %s", name, error)


def _best_class(p: np.ndarray) -> int:
    """Return the index of the most probable class, `NO_CLASS` if there is none."""
    return int(np.argmax(p)) if len(p) and np.isfinite(p).all() else NO_CLASS
