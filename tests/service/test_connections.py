"""A real server with clients that send slowly, or nothing, or don't read."""

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from types import SimpleNamespace

import numpy as np
import pytest
import uvicorn
from fastapi import Request
from fastapi.responses import PlainTextResponse

from goodricke.service import connections, model_queue
from goodricke.service.rest import create_rest_app
from goodricke.service.schemas import MAX_COST, MAX_CURVES
from goodricke.service.server import Server


@contextmanager
def running(limit=20, access=None, models=()):
    """Run a server, without models if none are given; give its port."""
    server, app = Server("127.0.0.1", 0), create_rest_app([*models], access)

    @app.get("/large")
    def large() -> PlainTextResponse:
        return PlainTextResponse("x" * (16 << 20))

    @app.post("/echo")
    async def echo(request: Request) -> int:
        return len(await request.body())

    config = uvicorn.Config(
        app, http=connections.LimitedProtocol, log_level="critical", limit_concurrency=limit, timeout_keep_alive=5
    )
    run = uvicorn.Server(config)
    thread = threading.Thread(target=run.run, kwargs={"sockets": [server.socket]}, daemon=True)
    thread.start()
    while not run.started:
        time.sleep(0.01)
    try:
        yield server.socket.getsockname()[1], run
    finally:
        run.should_exit = run.force_exit = True
        thread.join(20)


def open_connection(port, data=b""):
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(data)
    return connection


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def health(port):
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/health")
    return json.loads(connection.getresponse().read())["status"]


def is_closed(connection):
    """Wait until the server closes a connection."""
    try:
        while data := connection.recv(1 << 16):
            assert not data.startswith(b"HTTP/1.1 200")
    except ConnectionResetError:
        pass
    return True


def has_ended(connection):
    """Return whether the server has closed a connection."""
    connection.setblocking(False)
    try:
        while data := connection.recv(1 << 16):
            assert not data.startswith(b"HTTP/1.1 200")
    except BlockingIOError:
        return False
    except ConnectionResetError:
        pass
    return True


SLOW = {
    "idle": b"",
    "slow headers": b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ",
    "slow body": b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nx",
}


@pytest.mark.parametrize("data", SLOW.values(), ids=SLOW.keys())
def test_a_hundred_that_send_nothing_keep_nobody_out(data):
    with running() as (port, server):
        slow = [open_connection(port, data) for _ in range(100)]
        assert [health(port) for _ in range(5)] == ["ok"] * 5
        assert len(server.server_state.connections) <= 20
        wait_until(lambda: sum(map(has_ended, slow)) >= 80)  # which ones depends on what the server has read of each


def test_idle_ones_go_before_those_whose_request_arrives():
    with running(limit=5) as (port, server):
        body = open_connection(port, SLOW["slow body"])
        wait_until(lambda: server.server_state.tasks)
        idle = [open_connection(port) for _ in range(12)]
        assert health(port) == "ok"
        body.sendall(b"x" * 999)
        assert body.recv(1000).startswith(b"HTTP/1.1 200")
        assert is_closed(idle[0])


@pytest.mark.parametrize("data", [b"", SLOW["slow headers"]])
def test_headers_have_a_time_to_arrive(monkeypatch, data):
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.2)
    with running() as (port, _):
        connection = open_connection(port, data)
        assert is_closed(connection)


def test_the_headers_of_a_second_request_too(monkeypatch):
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    with running() as (port, _):
        connection = open_connection(port, b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 404")
        connection.sendall(SLOW["slow headers"])
        assert is_closed(connection)


def test_a_slow_body_may_take_longer_than_headers(monkeypatch):
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.1)
    with running() as (port, _):
        connection = open_connection(port, SLOW["slow body"])
        time.sleep(0.4)
        connection.sendall(b"x" * 999)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def test_an_answer_that_nobody_reads_is_given_up(monkeypatch):
    monkeypatch.setattr(connections, "WRITE_SECONDS", 0.2)
    with running() as (port, server):
        silent = open_connection(port, b"GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        wait_until(lambda: server.server_state.tasks)
        wait_until(lambda: not server.server_state.connections)
        silent.close()


def test_a_slow_reader_is_waited_for():
    sizes, calls = [90, 80, 80], []
    transport = SimpleNamespace(get_write_buffer_size=lambda: sizes.pop(0), abort=lambda: calls.append("abort"))
    protocol = SimpleNamespace(transport=transport, _expect_reading=lambda size: calls.append(size))
    for size in (100, 90, 80):
        connections.LimitedProtocol._abort_unless_read(protocol, size)
    assert calls == [90, 80, "abort"]


def test_one_that_reads_gets_all_of_a_large_answer():
    with running() as (port, _):
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/large")
        assert len(connection.getresponse().read()) == 16 << 20


# ---- with a model ----------------------------------------------------------------------------------------------------


def curves_json(number, points):
    """Return light curves as the body of a request."""
    time = np.linspace(58000, 58400, points).round(4).tolist()
    one = {"time": time, "value": (15 + np.arange(points) % 7 / 10).tolist(), "error": [0.05] * points, "unit": "mag"}
    return json.dumps([{"object_id": str(k), "band": "V", **one} for k in range(number)]).encode()


def ask_ten(port, body):
    """Return the CPU time [s] of the server until ten clients at once have their answers."""

    def ask(_):
        connection = HTTPConnection("127.0.0.1", port, timeout=300)
        connection.request("POST", "/classify", body, {"Content-Type": "application/json"})
        return connection.getresponse().status

    start = time.process_time()  # other programs take wall time, but none of this
    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(ask, range(10))) == [200] * 10
    return time.process_time() - start


def test_one_asks_for_the_most_and_leaves_and_ten_wait_at_most_twice_as_long(folded_model, monkeypatch):
    calls, recorded = list[int](), model_queue.classify

    def classify(curves, *args, **more):
        calls.append(len(curves))
        return recorded(curves, *args, **more)

    monkeypatch.setattr(model_queue, "classify", classify)
    most = curves_json(MAX_CURVES, MAX_COST // MAX_CURVES // 20)
    head = "POST /classify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(most)}\r\n\r\n"
    with running(200, models=[folded_model]) as (port, _):
        number = 1
        while (usual := min(ask_ten(port, curves_json(number, 200)) for _ in range(2))) < 0.6:
            number *= 2  # several slices' worth, whatever the machine
        calls.clear()
        leaving = open_connection(port, head.encode() + most)
        wait_until(lambda: calls)
        leaving.close()
        assert ask_ten(port, curves_json(number, 200)) < 2 * usual
        assert sum(calls) < MAX_CURVES  # the rest of what nobody waits for isn't computed
        calls.clear()
        time.sleep(0.5)
        assert not calls
