"""A worker on a Kafka stream: consume, let the engine take it, publish, commit; share the partitions with others.

The order is what makes it exactly once in effect. Dead letters go out first, then the engine writes records and offset
in one transaction, then the answers go out, and last the broker is told the offset. Wherever a worker dies, the next
one begins at the store's offset, not the broker's, and first publishes the last batch's answers again.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from goodricke.alerts.answers import Answers, DeadLetter, Message, Taken, avro_schema
from goodricke.alerts.config import WorkerConfig
from goodricke.alerts.engine import Engine
from goodricke.alerts.events import event, log
from goodricke.alerts.filters import Filter
from goodricke.alerts.monitoring import Metrics
from goodricke.alerts.shadow import Shadow
from goodricke.alerts.store import FIRST, Fenced, without_password

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Producer

EXTRA = "pip install 'goodricke[alerts]'"
BEGINNING = 1000  # bytes that are kept of a dead letter that is too large
NO_KEY = (
    "messages in {} have no key: unless its producer keeps all about an object in one partition otherwise, answers "
    "rest on parts of light curves. Use the object's identifier as the key"
)
PATIENCE = 30.0  # seconds to get answers out before giving up; the outbox still has them


class NotPublished(RuntimeError):  # noqa: N818  what has not happened
    """Answers didn't reach the broker; they are in the outbox and go out when the next worker begins."""


class Publisher:
    """Sends answers, sub-streams and dead letters to their topics.

    Parameters
    ----------
    config : WorkerConfig
    classes : sequence of str
    producer : confluent_kafka.Producer

    Raises
    ------
    ValueError
        If a filter can't be understood.
    """

    def __init__(self, config: WorkerConfig, like: Answers, producer: Producer) -> None:
        self._config, self._producer = config.output, producer
        self._filters = [(each.topic, Filter(each.where, like.columns)) for each in self._config.filters]
        self._encode = {"json": Answers.as_json, "lasair": Answers.as_lasair}.get(self._config.format) or _as_avro(
            like.classes
        )
        self._lost: list[str] = []

    def answers(self, answers: Answers) -> None:
        """Send answers, and see them arrive.

        Raises
        ------
        NotPublished
            If they don't.
        """
        values, columns = self._encode(answers), answers.columns
        for name, value in zip(answers.object_id, values, strict=True):
            self._send(self._config.topic, name, value)
        for topic, chosen in self._filters:
            for i, wanted in enumerate(chosen(columns).tolist()):
                if wanted:
                    self._send(topic, answers.object_id[i], values[i])
        self._flush()

    def dead(self, letters: Sequence[DeadLetter], topic: str) -> None:
        """Send messages that can't be used, with what is wrong with them, and see them arrive."""
        for letter in letters:
            where = f"{topic}/{letter.message.partition}/{letter.message.offset}"
            place = {"topic": topic, "partition": letter.message.partition, "offset": letter.message.offset}
            event("dead_letter", f"{where}: {letter.error}", "warning", **place, error=letter.error)
            headers: list[tuple[str, str | bytes | None]] = [("error", letter.error), ("from", where)]
            self._bury(where, letter.message.value, headers)
        if letters:
            self._flush()

    def _bury(self, where: str, value: bytes, headers: list[tuple[str, str | bytes | None]]) -> None:
        """Send a dead letter; of one that is too large for the producer its beginning."""
        from confluent_kafka import KafkaError, KafkaException

        try:
            self._send(self._config.dead_letters, where, value, headers)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                raise
            self._send(self._config.dead_letters, where, value[:BEGINNING], [*headers, ("length", str(len(value)))])

    def close(self) -> None:
        """Let go of the broker."""
        self._producer.flush(PATIENCE)
        del self._producer  # its threads end with it

    def _send(
        self, topic: str, key: str, value: bytes, headers: list[tuple[str, str | bytes | None]] | None = None
    ) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key.encode(), headers=headers or [], on_delivery=self._delivered)
                return
            except BufferError:  # backpressure: wait for the broker to take some
                self._producer.poll(0.1)

    def _delivered(self, error: Any, _: Any) -> None:
        if error is not None:
            self._lost.append(str(error))

    def _flush(self) -> None:
        waiting = self._producer.flush(PATIENCE)
        lost, self._lost = self._lost, []
        if waiting or lost:
            raise NotPublished(f"{waiting + len(lost)} messages didn't reach the broker: {(lost or ['no answer'])[0]}")


def _as_avro(classes: Sequence[str]) -> Callable[[Answers], list[bytes]]:
    """Return what encodes answers in Avro, without a header: the schema is `avro_schema`."""
    import io

    import fastavro

    schema = fastavro.parse_schema(avro_schema(classes))
    names = [field["name"] for field in schema["fields"]]  # type: ignore[index,call-overload]

    def encode(answers: Answers) -> list[bytes]:
        values = []
        for record in answers.records():
            buffer = io.BytesIO()
            plain = dict(zip(names, (record[k] for k in record), strict=True))
            fastavro.schemaless_writer(buffer, schema, plain)
            values.append(buffer.getvalue())
        return values

    return encode


class Worker:
    """One member of a group of workers.

    Parameters
    ----------
    config : WorkerConfig
    engine : Engine
    metrics : Metrics
    tell : callable
        Called after every batch and every idle wait, for a live view.
    shadow : Shadow, optional
        A second model on the same messages.
    """

    def __init__(
        self,
        config: WorkerConfig,
        engine: Engine,
        metrics: Metrics,
        tell: Callable[[], None] = lambda: None,
        shadow: Shadow | None = None,
    ) -> None:
        try:
            from confluent_kafka import Consumer, Producer
        except ImportError as error:
            raise ImportError(f"a stream needs confluent-kafka: {EXTRA}") from error
        self.config, self.engine, self.metrics, self._tell, self._shadow = config, engine, metrics, tell, shadow
        own = {"group.id": config.input.group, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        own |= {"queued.max.messages.kbytes": 65536}  # fetched ahead, at most: memory stays flat
        own |= {"error_cb": self._warn}
        self._consumer: Consumer = Consumer({**own, **config.kafka}, logger=log)
        strategy = f"{config.kafka.get('partition.assignment.strategy')} {config.kafka.get('group.protocol')}"
        self._cooperative = "cooperative" in strategy or "consumer" in strategy  # partitions come some at a time
        # a producer is no consumer: what only that knows is left out
        theirs = {k: v for k, v in config.kafka.items() if not k.startswith(("session.", "max.poll", "partition.a"))}
        sending = {"linger.ms": 5, "compression.type": "lz4", "enable.idempotence": True}
        self._publisher = Publisher(
            config, Answers.none(engine.model.classes), Producer({**sending, **theirs}, logger=log)
        )
        self.stopped, self._last = False, float("inf")  # joining a group takes seconds: they are not idle
        self._warned = False
        self._width: int | None = None  # partitions of the topic, once known
        self._places: dict[int, tuple[int, bool]] = {}  # the offset due in each partition, and whether to begin there

    def _warn(self, error: Any) -> None:
        """Say once that no broker answers, and what to look at; the worker waits for one."""
        if error.name() == "_ALL_BROKERS_DOWN" and not self._warned:
            self._warned = True
            where = self.config.kafka.get("bootstrap.servers")
            log.warning("no broker answers at %s: waiting. Is it running, is [kafka] bootstrap.servers right?", where)

    def stop(self, *_: object) -> None:
        """Stop after the batch that is being taken; a signal may call it."""
        self.stopped = True

    def run(self, idle: float | None = None) -> None:
        """Work until told to stop, or until nothing has come for ``idle`` seconds.

        Raises
        ------
        NotPublished
            If the broker takes no answers.
        """
        for sign in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sign, self.stop)
        reading = self.config.input
        self._consumer.subscribe(
            [reading.topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
        )
        try:
            while not self.stopped and (idle is None or time.monotonic() - self._last < idle):
                found = self._consumer.consume(reading.batch, reading.wait)
                self.metrics.alive()
                if found:
                    self._last = time.monotonic()
                    self._take(found)
                self._tell()
        finally:
            self.engine.close()
            if self._shadow is not None:
                self._shadow.close()
            self._consumer.close()
            self._publisher.close()

    def _assigned(self, consumer: Consumer, partitions: list[Any]) -> None:
        """Take up partitions where the store says, and publish again what may not have been."""
        self._last = time.monotonic()
        for each in partitions:
            each.offset = self._begin(each.partition)
            again = self.engine.recover(each.partition)
            if again is not None:
                self._publisher.answers(again)
            self.metrics.states[each.partition] = self.engine.objects(each.partition)
        (consumer.incremental_assign if self._cooperative else consumer.assign)(partitions)
        self._rebalanced("took up", {each.partition: each.offset for each in partitions})

    def _begin(self, number: int) -> int:
        """Open a partition and return where to go on: where the store says, or where the shadow's does."""
        offset = self.engine.assign(number)
        if self._shadow is not None:
            offset = self._shadow.assign(number, self.engine)
        self._places[number] = offset, True
        return offset

    def _rebalanced(self, what: str, offsets: dict[int, int]) -> None:
        text = f"{what} partitions {list(offsets)}"
        event("rebalance", text, change=what, partitions=list(offsets), offsets=list(offsets.values()))

    def _in_order(self, number: int, some: list[Any]) -> None:
        """Note how far a partition was consumed, which may only go up.

        Raises
        ------
        RuntimeError
            If it begins anew: the topic was made anew, or cut, and all messages before the store's offset would be
            taken for known ones.
        """
        (due, begins), first = self._places.get(number, (FIRST, False)), some[0].offset()
        if first < due:
            raise RuntimeError(
                f"partition {number} of {self.config.input.topic} goes on at offset {first}, and the store "
                f"{without_password(self.config.state)} has taken it up to {due}: the topic isn't the one that the "
                "store was made with, or has lost messages; start a new store"
            )
        if begins and first > due > FIRST:  # later gaps are compaction, or a transaction's marks
            text = f"partition {number}: the messages {due} to {first - 1} are not there any more"
            event("lost", text, "warning", partition=number, first=due, last=first - 1)
        self._places[number] = some[-1].offset() + 1, False

    def _revoked(self, consumer: Consumer, partitions: list[Any]) -> None:
        offsets = {each.partition: self._places.get(each.partition, (FIRST,))[0] for each in partitions}
        for each in partitions:
            self.engine.revoke(each.partition)
            self._places.pop(each.partition, None)
            if self._shadow is not None:
                self._shadow.revoke(each.partition)
            self.metrics.lag.pop(each.partition, None)
            self.metrics.states.pop(each.partition, None)
        self._rebalanced("gave up", offsets)

    def _take(self, found: list[Any]) -> None:
        """Take what was consumed, partition by partition."""
        by_partition: dict[int, list[Any]] = {}
        for each in found:
            if each.error() is None:
                by_partition.setdefault(each.partition(), []).append(each)
            else:
                event("broker", f"the broker says: {each.error()}", "warning")
        for number, some in by_partition.items():
            begun = time.perf_counter()
            self._in_order(number, some)
            self._look_at_keys(some)
            try:
                taken = self._one(number, some)
            except Fenced as error:
                event("fenced", f"partition {number}: {error}; nothing was written", "warning", partition=number)
                self._go_back(some[0].topic(), number)
                continue
            arrived = min((each.timestamp()[1] for each in some), default=0) / 1000
            self.metrics.batch(taken.answers, time.perf_counter() - begun, max(time.time() - arrived, 0.0))
            self.metrics.states[number] = self.engine.objects(number)
            self._lag(some[-1])

    def _look_at_keys(self, some: list[Any]) -> None:
        """Count messages without a key, which no partitioner can keep together by object, and tell of the first."""
        without = sum(each.key() is None for each in some)
        if without and self._partitions_of(some[0].topic()) > 1:
            if not self.engine.counts.unkeyed:
                event("not_keyed", NO_KEY.format(some[0].topic()), "warning", topic=some[0].topic())
            self.engine.counts.add(unkeyed=without)

    def _partitions_of(self, topic: str) -> int:
        """Return the number of a topic's partitions, asked for once."""
        if self._width is None:
            self._width = len(self._consumer.list_topics(topic, PATIENCE).topics[topic].partitions)
        return self._width

    def _go_back(self, topic: str, number: int) -> None:
        """Leave what was fetched of a partition, and go on where its store is, if the partition is still this worker's.

        To go on with the next batch would leave out what is between the store's offset and that batch.
        """
        from confluent_kafka import TopicPartition

        self.engine.revoke(number)
        if self._shadow is not None:
            self._shadow.revoke(number)
        if number in {each.partition for each in self._consumer.assignment()}:
            self._consumer.seek(TopicPartition(topic, number, self._begin(number)))

    def _one(self, number: int, some: list[Any]) -> Taken:
        messages = [Message(each.offset(), each.value() or b"", number) for each in some]
        taken = self.engine.take(messages, lambda letters: self._publisher.dead(letters, self.config.input.topic))
        self._publisher.answers(taken.answers)
        self._consumer.commit(message=some[-1], asynchronous=True)
        if self._shadow is not None:
            self._shadow.take(messages, taken.answers)
        return taken

    def _lag(self, last: Any) -> None:
        """Note how many messages of a partition are left, as far as the consumer knows without asking."""
        from confluent_kafka import TopicPartition

        place = TopicPartition(last.topic(), last.partition())
        _, high = self._consumer.get_watermark_offsets(place, cached=True)
        self.metrics.lag[last.partition()] = max(high - last.offset() - 1, 0)
