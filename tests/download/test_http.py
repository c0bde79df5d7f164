"""The client against a server that misbehaves."""

import threading
import time
from email.utils import formatdate

import pytest

from goodricke.download.http import Absent, Client, Damaged, Failed, Manners, Stopped, seconds_of
from tests.download.conftest import QUICK
from tests.download.server import BUSY, NONE, PAGE, Answer


def whole(body: bytes) -> bytes:
    return body


def test_an_answer_and_who_asked(server):
    server["/a"] = b"data"
    assert Client(QUICK).get(f"{server.url}/a", whole) == b"data"
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
def test_a_fault_then_fine(server, fault):
    server["/a"] = [fault, b"data"]
    assert Client(QUICK).get(f"{server.url}/a", whole) == b"data"
    assert server.asked["/a"] == 2


def test_a_slow_server_is_asked_again(server):
    server["/a"] = [Answer(b"late", delay=2), b"data"]
    assert Client(Manners(1000, 3, 0.3, 0.01)).get(f"{server.url}/a", whole) == b"data"


def test_a_trickle_is_not_waited_for(server):
    server["/a"] = Answer(b"x" * 10, delay=1.5)
    with pytest.raises(Failed, match="did not answer in time"):
        Client(Manners(1000, 2, 0.1, 0.01)).get(f"{server.url}/a", whole)


def test_what_is_damaged_is_asked_for_again(server):
    server["/a"] = [b"bad", b"good"]

    def accept(body: bytes) -> bytes:
        if body == b"bad":
            raise Damaged("sent rubbish")
        return body

    assert Client(QUICK).get(f"{server.url}/a", accept) == b"good"


def test_no_such_file_is_final(server):
    server["/a"] = NONE
    with pytest.raises(Absent):
        Client(QUICK).get(f"{server.url}/a", whole)
    assert server.asked["/a"] == 1


def test_failures_name_address_reason_and_mend(server):
    server["/a"], server["/b"] = BUSY, Answer(b"", 403)
    with pytest.raises(Failed, match=r"/a: answered 503 Service Unavailable, 3 times\. Fix: .*same command"):
        Client(QUICK).get(f"{server.url}/a", whole)
    assert server.asked["/a"] == 3
    with pytest.raises(Failed, match=r"/b: answered 403 .*login"):
        Client(QUICK).get(f"{server.url}/b", whole)
    assert server.asked["/b"] == 1  # asking again doesn't help
    with pytest.raises(Failed, match="could not be reached"):
        Client(QUICK).get("http://127.0.0.1:9/a", whole)
    with pytest.raises(Failed, match="no address of a web server"):
        Client(QUICK).get("file:///etc/passwd", whole)


@pytest.mark.parametrize("date", [False, True])
def test_retry_after_is_honoured_by_all(server, date):
    after = formatdate(time.time() + 2, usegmt=True) if date else "1"
    server["/a"] = [Answer(b"", 429, (("Retry-After", after),)), b"data"]
    server["/b"] = b"other"
    client = Client(QUICK)
    first = threading.Thread(target=client.get, args=(f"{server.url}/a", whole))
    first.start()
    time.sleep(0.3)
    client.get(f"{server.url}/b", whole)  # another thread of the same run
    first.join()
    assert min(server.times[1:]) - server.times[0] >= (0.7 if date else 0.95)  # a date has whole seconds


def test_a_server_that_asks_for_an_hour_is_left(server):
    server["/a"] = Answer(b"", 503, (("Retry-After", "3600"),))
    with pytest.raises(Failed, match="asks to wait 3600 s"):
        Client(QUICK).get(f"{server.url}/a", whole)


def test_retry_after_in_both_forms():
    assert seconds_of("7") == 7
    assert seconds_of(formatdate(time.time() + 60)) == pytest.approx(60, abs=2)
    assert [seconds_of(text) for text in (None, "", "soon", formatdate(time.time() - 60))] == [0, 0, 0, 0]


def test_the_rate_holds_for_all_threads(server):
    """The server counts: in no stretch of time came more than the rate allows."""
    server["*"] = b"data"
    client = Client(Manners(rate=50))
    threads = [
        threading.Thread(target=lambda k=k: [client.get(f"{server.url}/{k}{i}", whole) for i in range(5)])
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
    client = Client(Manners(rate=1000, attempts=5, wait=100))
    threading.Timer(0.2, client.stop.set).start()
    begun = time.monotonic()
    with pytest.raises(Stopped):
        client.get(f"{server.url}/a", whole)
    assert time.monotonic() - begun < 5


def test_manners_must_make_sense():
    with pytest.raises(ValueError, match="above 0"):
        Manners(rate=0)
