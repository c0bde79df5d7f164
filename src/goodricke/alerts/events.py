"""The log of a worker's events, as text for people or as one line of JSON per event for machines."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

log = logging.getLogger("goodricke")

SECRET_NAME = re.compile(r"password|secret|token|jaas|\.key$|key\.pem|oauthbearer\.config", re.IGNORECASE)
SECRET_IN_ADDRESS = re.compile(r"(?<=//)[^/@\s\"]*(?=@)|(?<=password=)[^&\s\"]*")


def log_event(name: str, text: str, level: str = "info", **fields: Any) -> None:
    """Log an event.

    Parameters
    ----------
    name : str
        One word.
    text : str
        For people.
    level : {"info", "warning", "error"}
    **fields
        For machines: values that JSON can hold.
    """
    log.log(logging.getLevelNamesMapping()[level.upper()], "%s", text, extra={"event": name, "fields": fields})


def log_failure(error: Exception) -> None:
    """Log the error that ends a worker."""
    text = f"{type(error).__name__}: {error}"
    log_event("failed", text, "error", error=text, traceback="".join(traceback.format_exception(error)))


def secret_values(settings: Mapping[str, Any]) -> list[str]:
    """Return the values of a client's settings that nobody must see."""
    return [str(value) for name, value in settings.items() if SECRET_NAME.search(name) and str(value)]


class JsonFormatter(logging.Formatter):
    """Formats a log record as a line of JSON: time, level, event, message, and the event's fields.

    Parameters
    ----------
    secrets : sequence of str
        Replaced by dots, as passwords in addresses are.
    """

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        super().__init__()
        self._secrets = [json.dumps(secret)[1:-1] for secret in secrets]

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", "log"),
            "message": record.getMessage(),
        }
        line = json.dumps(fields | getattr(record, "fields", {}), default=str)
        for secret in self._secrets:
            line = line.replace(secret, "...")
        return SECRET_IN_ADDRESS.sub("...", line)


@contextmanager
def json_logging(secrets: Sequence[str] = (), stream: TextIO | None = None) -> Iterator[None]:
    """Log lines of JSON, from the level info on, to a stream (by default standard error) and nowhere else."""
    handler, root = logging.StreamHandler(stream or sys.stderr), logging.getLogger()
    handler.setFormatter(JsonFormatter(secrets))
    handlers, level = root.handlers, log.level
    root.handlers = [handler]
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.handlers = handlers
        log.setLevel(level)


def rate_limited(seconds: float, action: Callable[[], None]) -> Callable[[], None]:
    """Return a function that calls ``action`` unless it was called less than ``seconds`` ago."""
    last = time.monotonic()

    def limited() -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            action()

    return limited
