"""Archived light curves as a stream: in order of time, at any speed, to a topic or straight into the engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from goodricke.alerts import generate
from goodricke.alerts.answers import Answers, Message
from goodricke.alerts.engine import Engine
from goodricke.alerts.monitoring import Metrics
from goodricke.alerts.shadow import Shadow
from goodricke.data.lightcurves import LightCurves


class Pace:
    """Holds a stream to a speed.

    Parameters
    ----------
    speed : float, optional
        Days of the stream in a second; as fast as it goes by default.
    """

    def __init__(self, speed: float | None = None) -> None:
        if speed is not None and not speed > 0:
            raise ValueError(f"the speed must be above 0 days per second, not {speed}")
        self._speed, self._begun, self._first = speed, 0.0, float("nan")

    def wait_for(self, day: float) -> None:
        """Wait until the stream's time is ``day``."""
        if self._speed is None:
            return
        if np.isnan(self._first):
            self._first, self._begun = day, time.monotonic()
        time.sleep(max(self._begun + (day - self._first) / self._speed - time.monotonic(), 0.0))


def observations(curves: LightCurves) -> tuple[Iterator[tuple[bytes, bytes]], np.ndarray]:
    """Return a light-curve set's observations as slim records with their keys, in order of time, and the times [d]."""
    good = np.isfinite(curves.time) & np.isfinite(curves.value)
    return generate.packets(curves, "slim", previous=0), np.sort(curves.time[good], kind="stable")


def into_engine(
    messages: Iterator[bytes],
    days: np.ndarray | None,
    engine: Engine,
    metrics: Metrics,
    batch: int = 1000,
    speed: float | None = None,
    shadow: Shadow | None = None,
    tell: Callable[[], None] = lambda: None,
    got: Callable[[Answers], None] = lambda answers: None,
) -> int:
    """Feed messages straight into an engine, as one partition; return how many.

    An engine whose store has taken some of them before goes on behind them.

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
    shadow : Shadow, optional
    tell : callable
        Called after every batch, for a live view.
    got : callable
        Gets the answers of every batch.
    """
    pace, offset = Pace(speed), 0
    engine.assign(0)
    if shadow is not None:
        shadow.assign(0, engine)
    while some := list(islice(messages, batch)):
        if days is not None:
            pace.wait_for(float(days[min(offset + len(some), len(days)) - 1]))
        numbered = [Message(offset + i, value) for i, value in enumerate(some)]
        begun = time.perf_counter()
        answers = engine.take(numbered).answers
        seconds = time.perf_counter() - begun
        if shadow is not None:
            shadow.take(numbered, answers)
        offset += len(some)
        metrics.batch(answers, seconds, seconds)
        metrics.states[0] = engine.objects(0)
        got(answers)
        tell()
    return offset


def into_topic(
    records: Iterator[tuple[bytes, bytes]],
    days: np.ndarray | None,
    topic: str,
    kafka: dict[str, Any],
    speed: float | None = None,
    tell: Callable[[int], None] = lambda sent: None,
) -> int:
    """Send records with their keys to a topic; return how many.

    Raises
    ------
    RuntimeError
        If the broker doesn't take them.
    """
    from confluent_kafka import Producer

    producer, pace, sent = Producer({"linger.ms": 20, "compression.type": "lz4", **kafka}), Pace(speed), 0
    lost = list[str]()

    def delivered(error: Any, _: Any) -> None:
        if error is not None:
            lost.append(str(error))

    for key, value in records:
        if speed is not None and days is not None:
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
            tell(sent)
        if lost:
            break
    waiting = producer.flush(60)
    if waiting or lost:
        why = f"{waiting + len(lost):,} of {sent:,} ({(lost or ['no answer'])[0]})"
        raise RuntimeError(f"the broker at {kafka.get('bootstrap.servers')} doesn't take the records: {why}")
    return sent
