"""The client against a server that misbehaves."""

import threading
import time
from email.utils import formatdate

import pytest

from goodricke.download.http import (
    AbsentFileError,
    Client,
    InvalidResponseError,
    RequestError,
    RequestPolicy,
    StoppedError,
    retry_delay,
)
from tests.download.conftest import QUICK
from tests.download.server import BUSY, NONE, PAGE, Answer


def accept_all(body: bytes) -> bytes:
    return body


def test_a_response_and_the_user_agent(server):
    server["/a"] = b"data"
    assert Client(QUICK).get(f"{server.url}/a", accept_all) == b"data"
    assert all(agent.startswith("goodricke/") for agent in server.agents)


@pytest.mark.parametrize(
    "fault",
    [
        BUSY,
        Answer(b"slow down", 429),
        Answer(b"", 500),
        PAGE,
        Answer(b"x" * 200_000, cut=100_000),
        Answer(b"x" * 200, cut=0),
    ],
    ids=["503", "429", "500", "page", "cut", "nothing"],
)
def test_a_request_is_repeated_after_a_fault(server, fault):
    server["/a"] = [fault, b"data"]
    assert Client(QUICK).get(f"{server.url}/a", accept_all) == b"data"
    assert server.asked["/a"] == 2


def test_a_request_is_repeated_after_a_timeout(server):
    server["/a"] = [Answer(b"late", delay=2), b"data"]
    assert Client(RequestPolicy(1000, 3, 0.3, 0.01)).get(f"{server.url}/a", accept_all) == b"data"


def test_a_silent_server_is_a_failure(server):
    server["/a"] = Answer(b"x" * 10, delay=1.5)
    with pytest.raises(RequestError, match="did not answer in time"):
        Client(RequestPolicy(1000, 2, 0.1, 0.01)).get(f"{server.url}/a", accept_all)


def test_invalid_responses_are_requested_again(server):
    server["/a"] = [b"bad", b"good"]

    def accept(body: bytes) -> bytes:
        if body == b"bad":
            raise InvalidResponseError("sent rubbish")
        return body

    assert Client(QUICK).get(f"{server.url}/a", accept) == b"good"


def test_absent_files_are_requested_once(server):
    server["/a"] = NONE
    with pytest.raises(AbsentFileError):
        Client(QUICK).get(f"{server.url}/a", accept_all)
    assert server.asked["/a"] == 1


def test_failures_name_address_reason_and_fix(server):
    server["/a"], server["/b"] = BUSY, Answer(b"", 403)
    with pytest.raises(RequestError, match=r"/a: answered 503 Service Unavailable, 3 times\. Fix: .*same command"):
        Client(QUICK).get(f"{server.url}/a", accept_all)
    assert server.asked["/a"] == 3
    with pytest.raises(RequestError, match=r"/b: answered 403 .*login"):
        Client(QUICK).get(f"{server.url}/b", accept_all)
    assert server.asked["/b"] == 1  # another attempt would not help
    with pytest.raises(RequestError, match="could not be reached"):
        Client(QUICK).get("http://127.0.0.1:9/a", accept_all)
    with pytest.raises(RequestError, match="no address of a web server"):
        Client(QUICK).get("file:///etc/passwd", accept_all)


@pytest.mark.parametrize("date", [False, True])
def test_retry_after_is_honoured_by_all(server, date):
    after = formatdate(time.time() + 2, usegmt=True) if date else "1"
    server["/a"] = [Answer(b"", 429, (("Retry-After", after),)), b"data"]
    server["/b"] = b"other"
    client = Client(QUICK)
    first = threading.Thread(target=client.get, args=(f"{server.url}/a", accept_all))
    first.start()
    time.sleep(0.3)
    client.get(f"{server.url}/b", accept_all)  # another thread of the same run
    first.join()
    assert min(server.times[1:]) - server.times[0] >= (0.7 if date else 0.95)  # a date has whole seconds


def test_a_server_that_asks_for_an_hour_is_a_failure(server):
    server["/a"] = Answer(b"", 503, (("Retry-After", "3600"),))
    with pytest.raises(RequestError, match="asks to wait 3600 s"):
        Client(QUICK).get(f"{server.url}/a", accept_all)


def test_retry_after_in_both_forms():
    assert retry_delay("7") == 7
    assert retry_delay(formatdate(time.time() + 60)) == pytest.approx(60, abs=2)
    assert [retry_delay(text) for text in (None, "", "soon", formatdate(time.time() - 60))] == [0, 0, 0, 0]


def test_the_rate_holds_for_all_threads(server):
    """The server counts: in no stretch of time came more than the rate allows."""
    server["*"] = b"data"
    client = Client(RequestPolicy(rate=50))
    threads = [
        threading.Thread(target=lambda k=k: [client.get(f"{server.url}/{k}{i}", accept_all) for i in range(5)])
        for k in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.times) == 30
    assert server.times[-1] - server.times[0] >= 0.8 * 29 / 50


def test_a_stopped_run_waits_for_nothing(server):
    server["/a"] = BUSY
    client = Client(RequestPolicy(rate=1000, attempts=5, wait=100))
    threading.Timer(0.2, client.stop.set).start()
    begun = time.monotonic()
    with pytest.raises(StoppedError):
        client.get(f"{server.url}/a", accept_all)
    assert time.monotonic() - begun < 5


def test_limits_are_positive():
    with pytest.raises(ValueError, match="above 0"):
        RequestPolicy(rate=0)
