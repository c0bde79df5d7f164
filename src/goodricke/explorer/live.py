"""A running alert engine, looked at from outside: its state store, read only, and the metrics of its workers.

Nothing is scanned that grows with the stream: the store tells the objects of its last batch (the outbox), whose records
tell their class before and now; classes and states of all are counted over `COUNTED` objects at most.
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
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit, urlunsplit

import numpy as np

from goodricke.alerts.answers import NO_CLASS, STATUSES, Outbox, classes_of, unkept
from goodricke.alerts.inspect_store import look_at
from goodricke.alerts.record import Damaged, OtherVersion, Record
from goodricke.alerts.store import Partition, without_password

log = logging.getLogger("goodricke")

COUNTED = 10_000
COUNT_EVERY = 30.0  # seconds
FRESH = 1.0  # seconds that an answer is good for, however many pages ask
LOOKED_AT = 500  # objects of a batch
CHANGES = 50
LATE = 600.0  # seconds without a new record after which an engine is taken to stand still
TIMEOUT = 2.0  # seconds that a worker has to tell its metrics


class Live:
    """What a page is told of an engine every few seconds.

    Parameters
    ----------
    store : str, optional
        Folder of LMDB, or ``redis://...``; see `goodricke.alerts.store.open_store`.
    metrics : str, optional
        Address of a worker's ``/metrics``.
    classes : sequence of str
        Of its model.

    Raises
    ------
    ValueError
        If there is no such store, or no address.
    """

    def __init__(
        self,
        store: str | None,
        metrics: str | None,
        classes: Sequence[str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._where, self._metrics, self._classes, self._clock = store, _address(metrics), list(classes), clock
        self._parts: dict[int, Partition] = {}
        self._store = None if store is None else look_at(store)
        self._changes: deque[dict[str, Any]] = deque(maxlen=CHANGES)
        self._seen: dict[str, int] = {}  # objects of the last batches, and the message they were told in
        self._lock, self._told, self._before = threading.Lock(), dict[str, Any](), (0.0, 0)
        self._census: tuple[float, Counter[str], Counter[str], int] = (-np.inf, Counter(), Counter(), 0)
        self._newest = 0.0

    def now(self) -> dict[str, Any]:
        """Return what there is to tell; see the module."""
        with self._lock:
            if not self._told or self._clock() - self._told["time"] >= FRESH:
                self._told = self._look()
            return self._told

    def close(self) -> None:
        """Let go of the store."""
        for part in self._parts.values():
            part.close()

    def _look(self) -> dict[str, Any]:
        now = self._clock()
        told: dict[str, Any] = {"time": now, "messages": None, "messages_per_second": None, "answers": None}
        told |= {"lag": None, "objects": None, "statuses": {}, "classes": {}, "changes": [], "well": False}
        notes = list[str]()
        if self._store is not None:
            try:
                told |= self._of_store(now, notes)
            except Exception as error:  # a store is another program's: whatever is wrong with it, the page goes on
                notes.append(f"{without_password(str(self._where))}: can't be read now ({error})")
        if self._metrics is not None:
            self._of_worker(told, notes)
        if told["messages"] is not None:
            then, messages = self._before
            if then and now > then:
                told["messages_per_second"] = max(told["messages"] - messages, 0) / (now - then)
            self._before = (now, told["messages"])
        return told | {"note": "; ".join(notes)}

    # ---- the store --------------------------------------------------------------------------------------------------

    def _of_store(self, now: float, notes: list[str]) -> dict[str, Any]:
        parts = self._partitions()
        for part in parts:
            self._note_changes(part)
        statuses, classes, counted = self._counted(now, parts)
        objects = sum(map(len, parts))
        if counted < objects:
            notes.append(f"classes and states of {counted:,} of {objects:,} objects")
        if self._metrics is None:
            notes.append("lag and answers are the workers' to tell: --metrics http://HOST:PORT/metrics")
        told: dict[str, Any] = {"messages": sum(part.offset for part in parts), "objects": objects}
        told |= {"statuses": dict(statuses.most_common()), "classes": dict(classes.most_common())}
        changes = sorted(self._changes, key=lambda change: change["time"], reverse=True)
        return told | {"changes": changes, "well": now - self._newest < LATE}

    def _partitions(self) -> list[Partition]:
        """Return the partitions; those that have come since are opened."""
        assert self._store is not None
        for number in self._store.partitions():
            if number not in self._parts:
                self._parts[number] = self._store.partition(number)
        return [self._parts[number] for number in sorted(self._parts)]

    def _note_changes(self, part: Partition) -> None:
        """Keep those objects of the last batch whose class has changed."""
        names = _objects(part.outbox)[-LOOKED_AT:]
        for name, record in _records(names, part.get([n.encode() for n in names])):
            self._newest = max(self._newest, record.updated)
            if self._seen.get(name) == record.offset or not record.answer:
                continue
            answer = unkept([record.answer], classes_of(record.answer))[0]
            best, previous = _best(answer["p"]), int(answer["previous"])
            if NO_CLASS not in (best, previous) and best != previous:
                told = {"object_id": name, "time": record.updated, "previous_class": self._name(previous)}
                told |= {"class": self._name(best), "p_max": float(answer["p"].max()), "n_obs": record.n_obs}
                self._changes.append(told)
            self._seen[name] = record.offset
        while len(self._seen) > 20 * LOOKED_AT:
            del self._seen[next(iter(self._seen))]

    def _counted(self, now: float, parts: Sequence[Partition]) -> tuple[Counter[str], Counter[str], int]:
        """Return states and classes of some of the objects, counted anew now and then."""
        if now - self._census[0] >= COUNT_EVERY:
            statuses, classes, counted = Counter[str](), Counter[str](), 0
            for part in parts:
                items = islice(part.items(), COUNTED // max(len(parts), 1))
                for _, record in _records(*_unzipped(items)):
                    counted += 1
                    self._newest = max(self._newest, record.updated)
                    if record.answer:
                        answer = unkept([record.answer], classes_of(record.answer))[0]
                        statuses[STATUSES[answer["status"]]] += 1
                        if (best := _best(answer["p"])) != NO_CLASS:
                            classes[self._name(best)] += 1
            self._census = (now, statuses, classes, counted)
        return self._census[1:]

    def _name(self, k: int) -> str:
        return self._classes[k] if k < len(self._classes) else f"class {k}"

    # ---- a worker ---------------------------------------------------------------------------------------------------

    def _of_worker(self, told: dict[str, Any], notes: list[str]) -> None:
        """Add what a worker counts."""
        try:
            sums, statuses = parsed(_fetched(str(self._metrics)).decode())
        except (OSError, ValueError, URLError, ImportError) as error:
            notes.append(f"{self._metrics}: no answer ({getattr(error, 'reason', error)}): does the worker run?")
            told["well"] = False
            return
        names = {"messages": "goodricke_messages", "answers": "goodricke_answers", "lag": "goodricke_lag"}
        names |= {"objects": "goodricke_objects"}
        if self._store is not None:  # all workers' together
            del names["messages"], names["objects"]
        told |= {name: int(sums[of]) for name, of in names.items() if of in sums}
        told["statuses"] = told["statuses"] or statuses
        told["well"] = self._is_well()

    def _is_well(self) -> bool:
        place = urlsplit(str(self._metrics))
        try:
            return bool(json.loads(_fetched(urlunsplit(place._replace(path="/health"))))["well"])
        except (OSError, ValueError, KeyError, TypeError):
            return False


def parsed(text: str) -> tuple[dict[str, float], dict[str, int]]:
    """Return the sums of the numbers of a Prometheus page by their names, and answers by their status.

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
        values = [s for s in family.samples if not s.name.endswith("_created")]
        sums[family.name] = sum(s.value for s in values)
        if family.name == "goodricke_status":
            statuses = {s.labels["status"]: int(s.value) for s in values}
    return sums, statuses


def _fetched(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:
        return answer.read(1 << 22)


def _address(metrics: str | None) -> str | None:
    """Return the address of metrics, with the usual path where it has none.

    Raises
    ------
    ValueError
        If it is no address on the web.
    """
    if metrics is None:
        return None
    place = urlsplit(metrics)
    if place.scheme not in ("http", "https") or not place.netloc:
        raise ValueError(f"--metrics {metrics}: write it as http://HOST:PORT/metrics")
    return urlunsplit(place._replace(path=place.path if place.path not in ("", "/") else "/metrics"))


def _objects(outbox: bytes) -> list[str]:
    """Return the objects of a store's last batch; none where something else is noted there."""
    try:
        return Outbox.frombytes(outbox).objects
    except (ValueError, TypeError):
        return []


def _records(names: Sequence[str], data: Sequence[bytes | None]) -> Iterator[tuple[str, Record]]:
    """Give the sound records among some."""
    for name, each in zip(names, data, strict=True):
        try:
            if each is not None:
                yield name, Record.frombytes(bytes(each))
        except (Damaged, OtherVersion) as error:
            log.debug("%s: %s", name, error)


def _unzipped(items: Iterator[tuple[bytes, bytes]]) -> tuple[list[str], list[bytes | None]]:
    """Return names and records, copied: a transaction of LMDB ends with its iterator."""
    found = [(bytes(key).decode(errors="replace"), bytes(data)) for key, data in items]
    return [name for name, _ in found], [data for _, data in found]


def _best(p: np.ndarray) -> int:
    """Return the index of the most probable class, `NO_CLASS` if there is none."""
    return int(np.argmax(p)) if len(p) and np.isfinite(p).all() else NO_CLASS
