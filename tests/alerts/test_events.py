import io
import json
import logging

import pytest

from goodricke.alerts.events import json_logging, log_event, log_failure, rate_limited, secret_values


@pytest.fixture
def lines():
    """Return a stream, and a function that reads its lines of JSON."""
    stream = io.StringIO()
    return stream, lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_a_line_of_json(lines):
    stream, read = lines
    with json_logging(stream=stream):
        log_event("rebalance", "took up partitions [0, 1]", partitions=[0, 1], offsets=[5, 7])
        logging.getLogger("goodricke").warning("two\nlines of %s", "text")
        logging.getLogger("another").warning("beware")
    logging.getLogger("goodricke").warning("not any more")
    one, two, three = read()
    assert one.pop("time").endswith("+00:00")
    assert one == {
        "level": "info",
        "event": "rebalance",
        "message": "took up partitions [0, 1]",
        "partitions": [0, 1],
    } | {"offsets": [5, 7]}
    assert (two["event"], two["level"], two["message"]) == ("log", "warning", "two\nlines of text")
    assert three["message"] == "beware"


def test_levels_and_handlers_are_restored():
    root, own = logging.getLogger(), logging.getLogger("goodricke")
    before = list(root.handlers), own.level
    with pytest.raises(KeyError), json_logging(stream=io.StringIO()):
        raise KeyError
    assert (list(root.handlers), own.level) == before


KAFKA = {"sasl.password": 'hunt"er2', "ssl.key.password": "k3y", "bootstrap.servers": "h:1", "sasl.username": "me"}
KAFKA |= {"sasl.jaas.config": "jaas-secret", "ssl.key.pem": "-----BEGIN", "sasl.oauthbearer.client.secret": "oauth"}


def test_secrets_are_not_in_any_line(lines):
    stream, read = lines
    assert set(secret_values(KAFKA)) == {'hunt"er2', "k3y", "jaas-secret", "-----BEGIN", "oauth"}
    with json_logging(secret_values(KAFKA), stream):
        log_event("start", f"with {KAFKA}", kafka=KAFKA, state="redis://me:pass1@h/0?password=pass2&prefix=a")
        try:
            raise RuntimeError(f"no answer to {KAFKA['sasl.password']}")
        except RuntimeError as error:
            log_failure(error)
    text = stream.getvalue()
    for secret in ("hunt", "k3y", "jaas-secret", "BEGIN", "oauth-", "pass1", "pass2"):
        assert secret not in text, secret
    start, end = read()
    assert start["kafka"]["sasl.username"] == "me"
    assert start["state"] == "redis://...@h/0?password=...&prefix=a"
    assert (end["event"], end["error"]) == ("failed", "RuntimeError: no answer to ...")
    assert "test_events.py" in end["traceback"]


def test_an_action_is_limited_to_a_rate(monkeypatch):
    now, calls = [0.0], []
    monkeypatch.setattr("goodricke.alerts.events.time.monotonic", lambda: now[0])
    limited = rate_limited(10, lambda: calls.append(now[0]))
    for now[0] in (1, 9.9, 10, 11, 19, 25, 34, 36):
        limited()
    assert calls == [10, 25, 36]
