import http.server
import json
import threading
import time

import pytest

from goodricke.alerts.answers import Message
from goodricke.alerts.engine import Engine, EngineCounts
from goodricke.alerts.monitoring import Metrics, serve_metrics
from goodricke.alerts.store import LmdbStore
from goodricke.explorer import live
from goodricke.explorer.live import EngineMonitor
from goodricke.io.packets import decode
from tests.alerts.streams import CLASSES, light_curves, slim_stream, tiny_model

pytest.importorskip("lmdb", reason="needs goodricke[alerts]")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Return the folder of a store that an engine has filled, and what it answered with its last batch."""
    folder = tmp_path_factory.mktemp("live") / "state"
    kept = LmdbStore(folder, sync=False)
    engine = Engine(tiny_model(), kept, lambda values: decode(values, "slim"))
    engine.assign(0)
    messages = [Message(offset, value) for offset, (_, value) in enumerate(slim_stream(light_curves(30, 12)))]
    for first in range(0, len(messages), 40):
        taken = engine.process(messages[first : first + 40])
    engine.close()
    return folder, len(messages), taken.answers


def test_the_numbers_of_a_store(store):
    folder, messages, answers = store
    monitor = EngineMonitor(str(folder), None, CLASSES)
    answer = monitor.now()
    assert (answer["messages"], answer["objects"]) == (messages, 30)
    assert sum(answer["statuses"].values()) == 30
    assert set(answer["classes"]) <= set(CLASSES)
    changed = {r["object_id"]: r for r in answers.rows() if r["previous_class"] and r["class"] != r["previous_class"]}
    assert changed
    assert {c["object_id"] for c in answer["changes"]} == set(changed)
    for change in answer["changes"]:
        expected = changed[change["object_id"]]
        assert {n: change[n] for n in ("class", "previous_class", "n_obs")} == {
            n: expected[n] for n in ("class", "previous_class", "n_obs")
        }
        assert change["p_max"] == pytest.approx(expected["p_max"], abs=1e-6)
    assert answer["well"]
    assert "--metrics" in answer["note"]
    json.dumps(answer, allow_nan=False)
    monitor.close()


def test_it_counts_again_and_lists_a_change_once(store):
    folder, _, _ = store
    now = [time.time()]
    monitor = EngineMonitor(str(folder), None, CLASSES, clock=lambda: now[0])
    first = monitor.now()
    assert monitor.now() is first  # asked again at once, by another page
    now[0] += 2
    second = monitor.now()
    assert second["changes"] == first["changes"]
    assert second["messages_per_second"] == 0
    now[0] += 2 * live.STALLED
    assert not monitor.now()["well"]
    monitor.close()


def test_some_of_many_objects_are_counted(store, monkeypatch):
    monkeypatch.setattr(live, "MAX_COUNTED", 10)
    monitor = EngineMonitor(str(store[0]), None, CLASSES)
    answer = monitor.now()
    assert sum(answer["statuses"].values()) == 10
    assert "10 of 30 objects" in answer["note"]
    monitor.close()


def test_the_store_stays_as_it_is(store):
    files = {path: path.read_bytes() for path in store[0].rglob("data.mdb")}
    monitor = EngineMonitor(str(store[0]), None, CLASSES)
    monitor.now()
    monitor.close()
    assert {path: path.read_bytes() for path in store[0].rglob("data.mdb")} == files
    with pytest.raises(ValueError, match="no store"):
        EngineMonitor(str(store[0] / "nowhere"), None, CLASSES)


def test_the_numbers_of_a_worker(store):
    pytest.importorskip("prometheus_client", reason="needs goodricke[alerts]")
    metrics = Metrics(EngineCounts())
    metrics.counts.messages, metrics.answers = 120, 90
    metrics.lag, metrics.objects = {0: 5, 1: 7}, {0: 20, 1: 10}
    metrics.statuses.update(OK=80, REBUILT=10)
    server = serve_metrics(metrics, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.server_port}"
    monitor = EngineMonitor(None, address, CLASSES)
    answer = monitor.now()
    assert {n: answer[n] for n in ("messages", "answers", "lag", "objects", "well")} == {
        "messages": 120,
        "answers": 90,
        "lag": 12,
        "objects": 30,
        "well": True,
    }
    assert answer["statuses"] == {"OK": 80, "REBUILT": 10}
    both = EngineMonitor(str(store[0]), f"{address}/metrics", CLASSES)
    together = both.now()
    assert (together["messages"], together["lag"], together["objects"]) == (store[1], 12, 30)
    both.close()
    metrics.last_heartbeat = 0.0
    assert not EngineMonitor(None, address, CLASSES).now()["well"]
    server.shutdown()
    server.server_close()
    gone = EngineMonitor(None, address, CLASSES).now()
    assert not gone["well"]
    assert "no answer" in gone["note"]


def test_another_server_is_no_worker():
    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{not metrics} <html>")

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    answer = EngineMonitor(None, f"http://127.0.0.1:{server.server_port}/metrics", ()).now()
    server.shutdown()
    server.server_close()
    assert not answer["well"]
    assert answer["note"]
    for wrong in ("file:///etc/passwd", "127.0.0.1:80", "ftp://host/x"):
        with pytest.raises(ValueError, match="http://HOST"):
            EngineMonitor(None, wrong, ())
