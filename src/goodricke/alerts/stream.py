"""A worker on a Kafka stream: consume, process, publish, commit; workers of a group share the partitions.

The order makes it exactly once in effect. Dead letters go out first. Then the engine writes records and offset in one
transaction, the answers go out, and last the offset is committed to the broker. Wherever a worker dies, the next one
starts at the store's offset, not the broker's, and first publishes the last batch's answers again.
"""

from __future__ import annotations

import logging
import re
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from goodricke import __version__
from goodricke.alerts.answers import AlertAnswers, DeadLetter, Message, avro_encoder, filter_columns
from goodricke.alerts.engine import BatchResult, Engine, create_engine
from goodricke.alerts.events import log, log_event, rate_limited
from goodricke.alerts.filters import Filter
from goodricke.alerts.monitoring import Metrics, live_display, live_view, serve_metrics
from goodricke.alerts.route import open_route
from goodricke.alerts.store import START, FencedError, without_password
from goodricke.alerts.worker_config import WorkerConfig
from goodricke.data.taxonomy import Taxonomy
from goodricke.io.packets import PacketOptions, error_text

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Producer

CONNECTION_LINE = re.compile(r"(FAIL|ERROR) \[")  # librdkafka's about connections; `BrokerWatch` says it once
EXTRA = "pip install 'goodricke[alerts]'"
CUT_BYTES = 1000  # of a dead letter that is too large for the producer
NO_KEY = (
    "messages in {} have no key: unless its producer keeps all about an object in one partition otherwise, answers "
    "rest on parts of light curves. Use the object's identifier as the key"
)
PATIENCE = 30.0  # seconds to deliver answers before giving up; the outbox still has them
JOINING = 10.0  # seconds that joining a group may take
FIRST_REMINDER, LAST_REMINDER = 30.0, 1800.0  # seconds after which a missing broker is mentioned again
LONGEST_PAUSE = 60.0  # seconds between two looks for a topic
CONSUMER_ONLY = ("session.", "max.poll", "partition.a")  # settings that a producer would warn of


CLIENT_LOG = logging.getLogger("goodricke.kafka")  # of librdkafka
CLIENT_LOG.addFilter(lambda record: not CONNECTION_LINE.match(record.getMessage()))


class DeliveryError(RuntimeError):
    """Answers didn't reach the broker. They are in the outbox, and go out when the next worker starts."""


Header = tuple[str, str | bytes | None]


class Publisher:
    """Sends answers, sub-streams and dead letters to their topics.

    Parameters
    ----------
    config : WorkerConfig
    classes : sequence of str
    producer : confluent_kafka.Producer
    taxonomy : Taxonomy, optional
        Of the classes.
    routed : bool
        Whether answers have those of a second model.

    Raises
    ------
    ValueError
        If a filter can't be understood.
    """

    def __init__(
        self,
        config: WorkerConfig,
        classes: Sequence[str],
        producer: Producer,
        taxonomy: Taxonomy | None = None,
        routed: bool = False,
    ) -> None:
        self._config, self._producer = config.output, producer
        names = filter_columns(classes, taxonomy, routed)
        self._filters = [(filter.topic, Filter(filter.where, names)) for filter in self._config.filters]
        encoders = {"json": AlertAnswers.to_json, "lasair": AlertAnswers.to_lasair}
        self._encode = encoders.get(self._config.format) or avro_encoder(classes, taxonomy, routed)
        self._errors: list[str] = []
        self._too_large: list[tuple[str, bytes, list[Header]]] = []  # dead letters that the broker didn't take

    def publish(self, answers: AlertAnswers) -> None:
        """Send answers and wait for their delivery.

        Raises
        ------
        DeliveryError
            If the broker doesn't take them.
        """
        values, columns = self._encode(answers), answers.columns
        for name, value in zip(answers.object_id, values, strict=True):
            self._send(self._config.topic, name, value)
        for topic, matches in self._filters:
            for i, match in enumerate(matches(columns).tolist()):
                if match:
                    self._send(topic, answers.object_id[i], values[i])
        self._flush()

    def publish_dead_letters(self, letters: Sequence[DeadLetter], topic: str) -> None:
        """Send messages that can't be decoded, with the error, and wait for their delivery."""
        for letter in letters:
            message = letter.message
            where, error = f"{topic}/{message.partition}/{message.offset}", error_text(letter.error)
            place = {"topic": topic, "partition": message.partition, "offset": message.offset}
            log_event("dead_letter", f"{where}: {error}", "warning", **place, error=error)
            self._send_dead_letter(where, message.value, [("error", error.encode()), ("from", where.encode())])
        if letters:
            self._flush()
        too_large, self._too_large = self._too_large, []
        for where, value, headers in too_large:
            self._send_beginning(where, value, headers)
        if too_large:
            self._flush()

    def _send_dead_letter(self, where: str, value: bytes, headers: list[Header]) -> None:
        """Send a dead letter; the beginning of one that is too large for the producer, or later for the broker."""
        from confluent_kafka import KafkaError, KafkaException

        def delivered(error: Any, message: Any) -> None:
            if error is not None and error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                self._too_large.append((where, value, headers))
            else:
                self._delivered(error, message)

        try:
            self._send(self._config.dead_letters, where, value, headers, delivered)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                raise
            self._send_beginning(where, value, headers)

    def _send_beginning(self, where: str, value: bytes, headers: list[Header]) -> None:
        length = ("length", str(len(value)).encode())
        self._send(self._config.dead_letters, where, value[:CUT_BYTES], [*headers, length])

    def close(self) -> None:
        """Disconnect from the broker."""
        self._producer.flush(PATIENCE)
        del self._producer  # its threads end with it

    def _send(
        self,
        topic: str,
        key: str,
        value: bytes,
        headers: list[Header] | None = None,
        on_delivery: Callable[[Any, Any], None] | None = None,
    ) -> None:
        delivered = on_delivery or self._delivered
        while True:
            try:
                self._producer.produce(topic, value, key.encode(), headers=headers or [], on_delivery=delivered)
                return
            except BufferError:  # backpressure: wait until the broker has taken some
                self._producer.poll(0.1)

    def _delivered(self, error: Any, _: Any) -> None:
        if error is not None:
            self._errors.append(str(error))

    def _flush(self) -> None:
        waiting = self._producer.flush(PATIENCE)
        errors, self._errors = self._errors, []
        if waiting or errors:
            reason = (errors or ["no answer"])[0]
            raise DeliveryError(f"{waiting + len(errors)} messages didn't reach the broker: {reason}")


class BrokerWatch:
    """Says that no broker answers: one line at first, then again after twice as long each time.

    Parameters
    ----------
    where : str
        Address of the broker.
    clock : callable
        Seconds.
    """

    def __init__(self, where: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.where, self._clock = where, clock
        self._since: float | None = None  # when it was first missed
        self._next, self._wait = 0.0, FIRST_REMINDER

    def note_down(self) -> None:
        """Note that no broker answers."""
        now = self._clock()
        if self._since is None:
            self._since, self._wait = now, FIRST_REMINDER
            text = "no broker answers at %s: waiting. Is it running, is [kafka] bootstrap.servers right?"
            log.warning(text, self.where)
        elif now >= self._next:
            self._wait = min(2 * self._wait, LAST_REMINDER)
            log.warning("no broker answers at %s for %.0f s: still waiting", self.where, now - self._since)
        else:
            return
        self._next = now + self._wait

    def note_up(self) -> None:
        """Note that a broker answers."""
        if self._since is not None:
            log.warning("the broker at %s answers again, after %.0f s", self.where, self._clock() - self._since)
            self._since = None


class Worker:
    """One member of a group of workers.

    Parameters
    ----------
    config : WorkerConfig
    engine : Engine
    metrics : Metrics
    on_batch : callable
        Called after every batch and every idle wait.
    """

    def __init__(
        self, config: WorkerConfig, engine: Engine, metrics: Metrics, on_batch: Callable[[], None] = lambda: None
    ) -> None:
        try:
            from confluent_kafka import Consumer, Producer
        except ImportError as error:
            raise ImportError(f"a stream needs confluent-kafka: {EXTRA}") from error
        self.config, self.engine, self.metrics, self._on_batch = config, engine, metrics, on_batch
        consuming: dict[str, Any] = {
            "group.id": config.input.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "queued.max.messages.kbytes": 65536,  # fetched ahead at most: memory stays flat
            "error_cb": self._note_error,
        }
        self._consumer: Consumer = Consumer({**consuming, **config.kafka}, logger=CLIENT_LOG)
        strategy = f"{config.kafka.get('partition.assignment.strategy')} {config.kafka.get('group.protocol')}"
        self._cooperative = "cooperative" in strategy or "consumer" in strategy  # partitions come a few at a time
        producing = {"linger.ms": 5, "compression.type": "lz4", "enable.idempotence": True}
        producing |= {k: v for k, v in config.kafka.items() if not k.startswith(CONSUMER_ONLY)}
        producer, taxonomy = Producer(producing, logger=CLIENT_LOG), engine.model.config.taxonomy
        self._publisher = Publisher(config, engine.model.classes, producer, taxonomy, engine.route is not None)
        self.stopped, self._last, self._joined = False, time.monotonic(), False
        self._broker = BrokerWatch(str(config.kafka.get("bootstrap.servers")))
        self._unused: str | None = None  # why nothing could be used so far
        self._partition_count: int | None = None  # of the topic
        self._offsets: dict[int, tuple[int, bool]] = {}  # next offset by partition; whether no message has come yet

    def _note_error(self, error: Any) -> None:
        """Warn that no broker answers; the worker waits for one."""
        if error.name() == "_ALL_BROKERS_DOWN":
            self._broker.note_down()

    def _warn_of_unused(self) -> None:
        """Warn when the first messages give no observation at all."""
        reason = self.engine.unused()
        if reason and not self._unused:
            log_event("unused", f"{reason}. The worker goes on", "warning")
        self._unused = reason

    def _is_idle(self, idle: float | None) -> bool:
        """Return whether no message has come for too long, counted from the start; joining a group takes seconds."""
        limit = idle if idle is None or self._joined else max(idle, JOINING)
        return limit is not None and time.monotonic() - self._last >= limit

    def _find_topic(self, idle: float | None, wait_for_topic: bool) -> None:
        """Wait until a broker answers, and until it has the topic.

        Raises
        ------
        ValueError
            If it does not have the topic, and ``wait_for_topic`` is False.
        """
        from confluent_kafka import KafkaException

        topic, pause, said = self.config.input.topic, 1.0, False
        while not topic.startswith("^") and not self.stopped and not self._is_idle(idle):  # ^ begins a pattern
            try:
                names = self._consumer.list_topics(timeout=5.0).topics
            except KafkaException:
                self._broker.note_down()
            else:
                self._broker.note_up()
                if topic in names:
                    return
                where = self.config.kafka.get("bootstrap.servers")
                text = f"there is no topic {topic} at {where}"
                if not wait_for_topic:
                    raise ValueError(f"{text}. Fix: create it, correct [input] topic, or wait for it with --wait")
                if not said:
                    log.warning("%s: waiting for it", text)
                    said = True
            self._pause(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _pause(self, seconds: float) -> None:
        """Wait, but not longer than until the worker is stopped."""
        end = time.monotonic() + seconds
        while not self.stopped and time.monotonic() < end:
            self.metrics.heartbeat()
            self._on_batch()
            time.sleep(min(0.2, seconds))

    def stop(self, *_: object) -> None:
        """Stop after the current batch; a signal may call it."""
        self.stopped = True

    def run(self, idle: float | None = None, wait_for_topic: bool = False) -> None:
        """Work until `stop`, or until no message has come for ``idle`` seconds, counted from the start.

        Raises
        ------
        DeliveryError
            If the broker takes no answers.
        ValueError
            If there is no such topic, and ``wait_for_topic`` is False.
        """
        self._last = time.monotonic()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)
        config = self.config.input
        try:
            self._find_topic(idle, wait_for_topic)
            self._consumer.subscribe(
                [config.topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
            )
            while not self.stopped and not self._is_idle(idle):
                messages = self._consumer.consume(config.batch, config.wait)
                self.metrics.heartbeat()
                if messages:
                    self._last = time.monotonic()
                    self._broker.note_up()
                    self._process(messages)
                self._on_batch()
        finally:
            self.engine.close()
            self._consumer.close()
            self._publisher.close()

    # ---- partitions -------------------------------------------------------------------------------------------------

    def _assigned(self, consumer: Consumer, partitions: list[Any]) -> None:
        """Start partitions at the store's offsets, and publish again what may not have been published."""
        self._last, self._joined = time.monotonic(), True
        for partition in partitions:
            number = partition.partition
            partition.offset = self._start(number)
            answers = self.engine.recover(number)
            if answers is not None:
                self._publisher.publish(answers)
            self.metrics.objects[number] = self.engine.object_count(number)
        (consumer.incremental_assign if self._cooperative else consumer.assign)(partitions)
        self._log_rebalance("took up", {partition.partition: partition.offset for partition in partitions})

    def _start(self, number: int) -> int:
        """Open a partition and return the store's offset."""
        offset = self.engine.assign(number)
        self._offsets[number] = offset, True
        return offset

    def _revoked(self, consumer: Consumer, partitions: list[Any]) -> None:
        numbers = [partition.partition for partition in partitions]
        offsets = {number: self._offsets.pop(number, (START,))[0] for number in numbers}
        for number in numbers:
            self.engine.revoke(number)
            self.metrics.lag.pop(number, None)
            self.metrics.objects.pop(number, None)
        self._log_rebalance("gave up", offsets)

    def _log_rebalance(self, change: str, offsets: dict[int, int]) -> None:
        text = f"{change} partitions {list(offsets)}"
        log_event("rebalance", text, change=change, partitions=list(offsets), offsets=list(offsets.values()))

    def _restart(self, topic: str, number: int) -> None:
        """Drop what was fetched of a partition, and go on at the store's offset if this worker still has it.

        To go on with the next batch would skip what is between the store's offset and that batch.
        """
        from confluent_kafka import TopicPartition

        self.engine.revoke(number)
        if number in {assigned.partition for assigned in self._consumer.assignment()}:
            self._consumer.seek(TopicPartition(topic, number, self._start(number)))

    # ---- a batch ----------------------------------------------------------------------------------------------------

    def _process(self, messages: list[Any]) -> None:
        """Process what was consumed, partition by partition."""
        by_partition: dict[int, list[Any]] = {}
        for message in messages:
            if message.error() is None:
                by_partition.setdefault(message.partition(), []).append(message)
            else:
                log_event("broker", f"the broker reports an error: {message.error()}; the worker goes on", "warning")
        for number, batch in by_partition.items():
            started = time.perf_counter()
            self._check_offsets(number, batch)
            self._check_keys(batch)
            try:
                result = self._process_partition(number, batch)
            except FencedError as error:
                log_event("fenced", f"partition {number}: {error}; nothing was written", "warning", partition=number)
                self._restart(batch[0].topic(), number)
                continue
            now, arrivals = time.time(), [message.timestamp()[1] / 1000 for message in batch]
            latencies = [now - arrival if arrival > 0 else float("nan") for arrival in arrivals]
            self.metrics.add_latencies(latencies)
            longest = max((seconds for seconds in latencies if seconds == seconds), default=0.0)
            self.metrics.add_batch(result.answers, time.perf_counter() - started, max(longest, 0.0))
            self._warn_of_unused()
            self.metrics.objects[number] = self.engine.object_count(number)
            self._update_lag(batch[-1])

    def _process_partition(self, number: int, batch: list[Any]) -> BatchResult:
        messages = [Message(message.offset(), message.value() or b"", number) for message in batch]
        topic = self.config.input.topic
        result = self.engine.process(messages, lambda letters: self._publisher.publish_dead_letters(letters, topic))
        self._publisher.publish(result.answers)
        self._consumer.commit(message=batch[-1], asynchronous=True)
        return result

    def _check_offsets(self, number: int, batch: list[Any]) -> None:
        """Note the offsets of a partition, which may only increase.

        Raises
        ------
        RuntimeError
            If they start again: the topic was created anew or truncated, and all messages before the store's offset
            would be skipped as processed.
        """
        (expected, is_first), offset = self._offsets.get(number, (START, False)), batch[0].offset()
        if offset < expected:
            raise RuntimeError(
                f"partition {number} of {self.config.input.topic} goes on at offset {offset}, and the store "
                f"{without_password(self.config.state)} has processed it up to {expected}: the topic isn't the one "
                "that the store was made with, or has lost messages; start a new store"
            )
        if is_first and offset > expected > START:  # later gaps are compaction, or a transaction's marks
            text = (
                f"partition {number}: the broker no longer has the messages {expected} to {offset - 1}, which it "
                "deletes after the topic's retention time. Fix: packets with a history fill the gap; replay the others"
            )
            log_event("lost", text, "warning", partition=number, first=expected, last=offset - 1)
        self._offsets[number] = batch[-1].offset() + 1, False

    def _check_keys(self, batch: list[Any]) -> None:
        """Count messages without a key, which no partitioner can keep together by object, and log the first."""
        without = sum(message.key() is None for message in batch)
        topic = batch[0].topic()
        if without and self._topic_width(topic) > 1:
            if not self.engine.counts.unkeyed:
                log_event("not_keyed", NO_KEY.format(topic), "warning", topic=topic)
            self.engine.counts.add(unkeyed=without)

    def _topic_width(self, topic: str) -> int:
        """Return the topic's number of partitions; the broker is asked once."""
        if self._partition_count is None:
            self._partition_count = len(self._consumer.list_topics(topic, PATIENCE).topics[topic].partitions)
        return self._partition_count

    def _update_lag(self, last: Any) -> None:
        """Note how many messages of a partition wait, as far as the consumer knows without asking the broker."""
        from confluent_kafka import TopicPartition

        place = TopicPartition(last.topic(), last.partition())
        _, high = self._consumer.get_watermark_offsets(place, cached=True)
        self.metrics.lag[last.partition()] = max(high - last.offset() - 1, 0)


def run_worker(
    config: WorkerConfig,
    live: bool = True,
    idle: float | None = None,
    summary_every: float = 60.0,
    wait_for_topic: bool = False,
) -> Metrics:
    """Run a worker with engine, store, metrics server and live view; return its metrics.

    Parameters
    ----------
    config : WorkerConfig
    live : bool
        Show the live view in the terminal.
    idle : float, optional
        Stop when no message has come for so many seconds.
    summary_every : float
        Seconds between summaries in the log.
    wait_for_topic : bool
        Wait if there is no such topic.

    Raises
    ------
    ValueError
        If an option of the decoder, the model or the store is wrong, or there is no such topic.
    RuntimeError
        If the stream has ended and nothing of it could be used.
    """
    options = _packet_options(config.input.options)
    settings = config.route
    route = None if settings is None else open_route(**settings.model_dump(), device=config.device)
    engine = create_engine(
        config.model, config.state, config.half, config.input.format, options, config.keep, config.device, route
    )
    metrics = Metrics(engine.counts)
    server = serve_metrics(metrics, config.metrics.host, config.metrics.port) if config.metrics.port else None
    title = f"{config.input.topic}: {engine.model.name} ({engine.model.hash})"
    try:
        _log_start(config, engine)
        log_summary = rate_limited(summary_every, lambda: _log_metrics(metrics, "summary"))
        with live_display(lambda: live_view(metrics, title), live) as redraw:

            def on_batch() -> None:
                redraw()
                log_summary()

            worker = Worker(config, engine, metrics, on_batch)
            worker.run(idle, wait_for_topic)
        _log_metrics(metrics, "stop", reason="asked" if worker.stopped else "idle")
    finally:
        if server is not None:
            server.shutdown()
            server.server_close()
    reason = engine.unused()
    if reason and not worker.stopped:
        raise RuntimeError(reason)
    return metrics


def _packet_options(options: dict[str, Any]) -> PacketOptions:
    names = [field.name for field in fields(PacketOptions)]
    if unknown := [name for name in options if name not in names]:
        raise ValueError(f"[input.options] {unknown[0]}: no such option; there are {', '.join(names)}")
    try:
        return PacketOptions(**options)
    except ValueError as error:
        raise ValueError(f"[input.options]: {error}") from error


def _log_start(config: WorkerConfig, engine: Engine) -> None:
    topic, output = config.input.topic, config.output
    log_event(
        "start",
        f"{engine.model.name} on {topic}, answers to {output.topic}",
        model=engine.model.name,
        model_hash=engine.model.hash,
        version=__version__,
        state=without_password(config.state),
        topic=topic,
        format=config.input.format,
        group=config.input.group,
        answers=output.topic,
        dead_letters=output.dead_letters,
        servers=str(config.kafka.get("bootstrap.servers")),
    )


def _log_metrics(metrics: Metrics, name: str, **fields: Any) -> None:
    summary = metrics.summary()
    rate, lag = summary["messages_per_second"], summary["lag"]
    text = f"{name}: {summary['messages']:,} messages, {rate:,.0f} per second, lag {lag:,}"
    log_event(name, text, **fields, **summary)
