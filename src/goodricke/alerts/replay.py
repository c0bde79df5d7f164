"""Archived observations as a stream: in order of time, at any speed, to a topic or straight into an engine.

Light curves become slim records, one for each observation (`slim_packets`); surveys' own packets go as they are.
"""

from __future__ import annotations

import struct
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from goodricke.alerts.answers import AlertAnswers, Message, write_answers, write_table
from goodricke.alerts.engine import Engine, create_engine
from goodricke.alerts.history import observation_history
from goodricke.alerts.monitoring import Metrics, live_display, live_view
from goodricke.alerts.route import Route
from goodricke.alerts.worker_config import WorkerConfig
from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.data.photometry import Flux, stated_otherwise
from goodricke.inference import InputChecks
from goodricke.io import read
from goodricke.io.packets import PacketOptions
from goodricke.io.packets.archive import open_archive

DELIVERY_TIMEOUT = 60.0  # seconds


class ReplayStream(NamedTuple):
    """Archived messages.

    Parameters
    ----------
    packets : iterator of tuple of bytes
        Keys and messages, in order of time.
    days : float64 (n,)
        Time of each [d].
    format : str
        Of the messages.
    options : PacketOptions
        To decode them with.
    description : str
        For people: what the messages are.
    bands : tuple of str
        Of the messages, if known.
    curves : LightCurves, optional
        That the messages are made of.
    """

    packets: Iterator[tuple[bytes, bytes]]
    days: NDArray[np.float64]
    format: str
    options: PacketOptions
    description: str
    bands: tuple[str, ...] = ()
    curves: LightCurves | None = None


def stream_light_curves(sources: Sequence[str], options: dict[str, Any], flux: Flux | None = None) -> ReplayStream:
    """Return the observations of light curves as slim records.

    Parameters
    ----------
    sources : sequence of str
    options : dict
        Of `goodricke.io.read`.
    flux : {"difference", "total"}, optional
        What the model was trained on: light curves that state another photometry are left out.

    Raises
    ------
    ValueError
        If all of them do.
    """
    curves = read(list(sources), **{"photometry": flux, **options})
    other = stated_otherwise(curves, flux)
    if other.any() and other.all():
        fix = "give light curves of such photometry, or another --model"
        raise ValueError(f"no light curve is of {flux} photometry, which the model was trained on. Fix: {fix}")
    curves = curves[~other] if other.any() else curves
    packets, days = slim_packets(curves), observation_times(curves)
    description = f"observations of {len(curves):,} objects"
    description += f" ({other.sum():,} of other photometry left out)" if other.any() else ""
    return ReplayStream(packets, days, "slim", PacketOptions(unit=curves.unit), description, curves.bands, curves)


def stream_packets(sources: Sequence[str], photometry: Flux | None = None) -> ReplayStream:
    """Return the packets in ``.avro`` files as they are; see `PacketOptions` for the photometry."""
    archive = open_archive(sources)
    description = f"packets of {archive.objects:,} objects"
    description += f" ({archive.skipped:,} of no fixed object left out)" if archive.skipped else ""
    options = PacketOptions(photometry=photometry)
    return ReplayStream(archive.packets(), archive.days, archive.format, options, description)


# ---- into an engine -------------------------------------------------------------------------------------------------


class Pace:
    """Holds a stream to a speed.

    Parameters
    ----------
    speed : float, optional
        Days of the stream per second; unlimited by default.

    Raises
    ------
    ValueError
        If the speed isn't above 0.
    """

    def __init__(self, speed: float | None = None) -> None:
        if speed is not None and not speed > 0:
            raise ValueError(f"the speed must be above 0 days per second, not {speed}")
        self._speed, self._started, self._first_day = speed, 0.0, float("nan")

    def wait_for(self, day: float) -> None:
        """Wait until the stream's time is ``day``."""
        if self._speed is None:
            return
        if np.isnan(self._first_day):
            self._first_day, self._started = day, time.monotonic()
        time.sleep(max(self._started + (day - self._first_day) / self._speed - time.monotonic(), 0.0))


def feed_engine(
    messages: Iterator[bytes],
    days: NDArray[np.float64] | None,
    engine: Engine,
    metrics: Metrics,
    batch: int = 1000,
    speed: float | None = None,
    on_batch: Callable[[AlertAnswers], None] = lambda answers: None,
) -> int:
    """Feed messages straight into an engine, as one partition; return their number.

    Messages that the engine's store has are skipped.

    Parameters
    ----------
    messages : iterator of bytes
    days : float64 (n,), optional
        The time of each message, for the speed.
    engine, metrics
    batch : int
        Messages at once.
    speed : float, optional
        See `Pace`.
    on_batch : callable
        Gets the answers of every batch.
    """
    pace, offset = Pace(speed), 0
    engine.assign(0)
    while values := list(islice(messages, batch)):
        if days is not None:
            pace.wait_for(float(days[min(offset + len(values), len(days)) - 1]))
        started = time.perf_counter()
        answers = engine.process([Message(offset + i, value) for i, value in enumerate(values)]).answers
        seconds = time.perf_counter() - started
        offset += len(values)
        metrics.add_batch(answers, seconds, seconds)
        metrics.objects[0] = engine.object_count(0)
        on_batch(answers)
    return offset


def replay(
    stream: ReplayStream,
    model: str,
    state: str = "memory:",
    half: bool = False,
    out: Path | None = None,
    speed: float | None = None,
    batch: int = 1000,
    live: bool = False,
    history: Path | None = None,
    route: Route | None = None,
) -> None:
    """Feed a stream straight into an engine, print what was done, and write the last answers.

    Parameters
    ----------
    stream : ReplayStream
    model, state, half
        As of `create_engine`. No worker can use the store later: its offsets count the replay's messages.
    out : path, optional
        For the last answers about all objects of the store, also those of earlier runs; see
        `goodricke.alerts.answers.write_table`.
    speed, batch
        As of `feed_engine`.
    live : bool
        Show the live view in the terminal.
    history : path, optional
        For the answer after every observation of the light curves; see
        `goodricke.alerts.history.observation_history`.
    route : Route, optional
        To a second model, which is asked about variable stars.

    Raises
    ------
    ValueError
        If nothing could be used.
    """
    engine = create_engine(model, state, half, stream.format, stream.options, route=route, replayed=True)
    InputChecks(engine.model.config).check_bands(stream.bands)
    metrics = Metrics(engine.counts)
    with live_display(lambda: live_view(metrics, f"replay: {engine.model.name}"), live) as redraw:
        values = (value for _, value in stream.packets)
        n = feed_engine(values, stream.days, engine, metrics, batch, speed, lambda answers: redraw())
    rows = [] if out is None else [row for answers in engine.stored_answers(0) for row in answers.rows()]
    engine.close()
    console, counts = Console(), metrics.counts
    console.print(f"{n:,} {stream.description}, {metrics.rate:,.0f} per second")
    if counts.unusable:
        reasons = "; ".join(f"{number:,} {reason}" for reason, number in engine.reasons.most_common())
        console.print(f"{counts.unusable:,} of them can't be used: {reasons}")
    if counts.repeated:
        skipped = f"{counts.repeated:,} of them were skipped: the store has as many already"
        console.print(f"{skipped}; for other light curves, give another --state")
    if out is not None:
        write_answers(rows, engine.model.classes, out, engine.model.config.taxonomy, engine.route is not None)
        console.print(f"{len(rows):,} rows written to {out}, all objects of the store")
    if history is not None and stream.curves is not None:
        table = observation_history(stream.curves, engine.model)
        write_table(table, history)
        console.print(f"{len(table):,} rows written to {history}, one per observation")
    if reason := engine.unused():
        raise ValueError(reason)


# ---- to a topic -----------------------------------------------------------------------------------------------------


def feed_topic(
    packets: Iterator[tuple[bytes, bytes]],
    days: NDArray[np.float64] | None,
    topic: str,
    kafka: dict[str, Any],
    speed: float | None = None,
) -> int:
    """Send messages with their keys to a topic; return their number.

    Raises
    ------
    RuntimeError
        If the broker doesn't take them.
    """
    from confluent_kafka import Producer

    producer, pace, sent = Producer({"linger.ms": 20, "compression.type": "lz4", **kafka}), Pace(speed), 0
    errors = list[str]()

    def delivered(error: Any, _: Any) -> None:
        if error is not None:
            errors.append(str(error))

    for key, value in packets:
        if days is not None:
            pace.wait_for(float(days[sent]))
        while True:
            try:
                producer.produce(topic, value, key, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)
        sent += 1
        if sent % 1000 == 0:
            producer.poll(0)
        if errors:
            break
    waiting = producer.flush(DELIVERY_TIMEOUT)
    if waiting or errors:
        reason = f"{waiting + len(errors):,} of {sent:,} ({(errors or ['no answer'])[0]})"
        fix = "check [kafka], and that the topic exists and takes messages of this size"
        where = kafka.get("bootstrap.servers")
        raise RuntimeError(f"the broker at {where} doesn't take the messages: {reason}. Fix: {fix}")
    return sent


def replay_to_topic(stream: ReplayStream, config: WorkerConfig, speed: float | None = None) -> None:
    """Feed a stream to the input topic of a worker, and print how many messages were sent.

    Raises
    ------
    ValueError
        If the worker expects another format.
    """
    if config.input.format != stream.format:
        raise ValueError(
            f'the messages are {stream.format}; set [input] format = "{stream.format}", not "{config.input.format}". '
            "Light curves are sent as slim records, packets of surveys with --packets"
        )
    sent = feed_topic(stream.packets, stream.days, config.input.topic, config.kafka, speed)
    Console().print(f"{sent:,} {stream.description} sent to {config.input.topic}")


# ---- light curves as alerts -----------------------------------------------------------------------------------------


class Observation(NamedTuple):
    """The observation that an alert is about."""

    object_id: str
    alert_id: int
    time: float
    band: str
    value: float
    error: float
    ra: float
    dec: float


def slim_packets(curves: LightCurves, previous: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """Yield an alert for each observation, in order of time, as goodricke's slim record without a header.

    This is the inverse of `goodricke.io.packets.decode`.

    Parameters
    ----------
    curves : LightCurves
        In any unit. ``objects`` may have ``ra`` and ``dec`` [deg]. Observations without a finite time and value make no
        alert.
    previous : int
        How many earlier observations of the object an alert has at most.

    Yields
    ------
    key, message : bytes
        The key is the object's identifier. An observation's identifier is its place in ``curves``, counted from 1.
    """
    return encode_alerts(curves, slim_packet, _slim_point, previous)


def encode_alerts(
    curves: LightCurves,
    encode_packet: Callable[[Observation, Sequence[bytes]], bytes],
    encode_point: Callable[[Observation], bytes],
    previous: int,
) -> Iterator[tuple[bytes, bytes]]:
    """Yield key and packet of each observation; a point is encoded once and copied into the object's later packets."""
    earlier: dict[str, deque[bytes]] = defaultdict(lambda: deque(maxlen=previous))
    for observation in _observations(curves):
        history = earlier[observation.object_id]
        yield observation.object_id.encode(), encode_packet(observation, list(history))
        history.append(encode_point(observation))


def observation_times(curves: LightCurves) -> NDArray[np.float64]:
    """Return the times of the observations that make an alert, sorted [d]."""
    return np.sort(curves.time[np.isfinite(curves.time) & np.isfinite(curves.value)], kind="stable")


def _observations(curves: LightCurves) -> Iterator[Observation]:
    usable = np.flatnonzero(np.isfinite(curves.time) & np.isfinite(curves.value))
    owner, ids, ra, dec = ragged.owner(curves.offsets), curves.ids, _positions(curves, "ra"), _positions(curves, "dec")
    for i in usable[np.argsort(curves.time[usable], kind="stable")].tolist():
        k = int(owner[i])
        yield Observation(
            ids[k],
            i + 1,
            float(curves.time[i]),
            curves.bands[curves.band[i]],
            float(curves.value[i]),
            float(curves.error[i]),
            float(ra[k]),
            float(dec[k]),
        )


def _positions(curves: LightCurves, name: str) -> NDArray[np.float64]:
    if name in curves.table_of_objects.column_names:
        return curves.column(name).astype(np.float64)
    return np.full(len(curves), np.nan)


def slim_packet(observation: Observation, history: Sequence[bytes] = ()) -> bytes:
    """Return an observation as a slim record, with encoded earlier points."""
    angles = observation.ra, observation.dec
    position = [b"\0" if np.isnan(angle) else b"\2" + struct.pack("<d", angle) for angle in angles]
    head = [_avro_text(observation.object_id), avro_long(observation.alert_id), _slim_point(observation)]
    return b"".join([*head, *position, avro_list(history, branch=1)])


def _slim_point(observation: Observation) -> bytes:
    brightness = struct.pack("<ff", observation.value, observation.error)
    return struct.pack("<d", observation.time) + _avro_text(observation.band) + brightness


def avro_long(number: int) -> bytes:
    """Return a number in Avro's variable-length encoding."""
    bits, parts = (number << 1) ^ (number >> 63), bytearray()
    while bits > 127:
        parts.append(bits & 127 | 128)
        bits >>= 7
    parts.append(bits)
    return bytes(parts)


def avro_list(items: Sequence[bytes], branch: int) -> bytes:
    """Return encoded items as the list branch, 0 or 1, of a union with null; null if there are none."""
    if not items:
        return avro_long(1 - branch)
    return b"".join([avro_long(branch), avro_long(len(items)), *items, b"\0"])


def _avro_text(text: str) -> bytes:
    data = text.encode()
    return avro_long(len(data)) + data
