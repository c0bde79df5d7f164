"""What happens to a worker, in words for people or as one line of JSON per event for machines."""

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

SECRET = re.compile(r"password|secret|token|jaas|\.key$|key\.pem|oauthbearer\.config", re.IGNORECASE)
OF_ADDRESS = re.compile(r"(?<=//)[^/@\s\"]*(?=@)|(?<=password=)[^&\s\"]*")


def event(name: str, text: str, level: str = "info", **fields: Any) -> None:
    """Tell of an event.

    Parameters
    ----------
    name : str
        Of the event, one word.
    text : str
        For people.
    level : {"info", "warning", "error"}
    **fields
        For machines: what JSON can hold.
    """
    log.log(logging.getLevelNamesMapping()[level.upper()], "%s", text, extra={"event": name, "fields": fields})


def failed(error: Exception) -> None:
    """Tell of the error that ends a worker."""
    told = f"{type(error).__name__}: {error}"
    event("failed", told, "error", error=told, traceback="".join(traceback.format_exception(error)))


def secrets_of(settings: Mapping[str, Any]) -> list[str]:
    """Return the values of a client's settings that nobody must see."""
    return [str(value) for name, value in settings.items() if SECRET.search(name) and str(value)]


class AsJson(logging.Formatter):
    """Makes a line of JSON of each log record: time, level, event, message, and the event's fields.

    Parameters
    ----------
    secrets : sequence of str
        What must not appear; passwords in addresses don't either.
    """

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        super().__init__()
        self._secrets = [json.dumps(secret)[1:-1] for secret in secrets]

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        time_ = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        told = {"time": time_, "level": record.levelname.lower(), "event": getattr(record, "event", "log")}
        line = json.dumps(told | {"message": record.getMessage()} | getattr(record, "fields", {}), default=str)
        for secret in self._secrets:
            line = line.replace(secret, "...")
        return OF_ADDRESS.sub("...", line)


@contextmanager
def as_json(secrets: Sequence[str] = (), stream: TextIO | None = None) -> Iterator[None]:
    """Log lines of JSON, from the level info on, to a stream (by default standard error) and nowhere else."""
    handler, root = logging.StreamHandler(stream or sys.stderr), logging.getLogger()
    handler.setFormatter(AsJson(secrets))
    handlers, level = root.handlers, log.level
    root.handlers = [handler]
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.handlers = handlers
        log.setLevel(level)


def every(seconds: float, action: Callable[[], None]) -> Callable[[], None]:
    """Return what calls an action when so many seconds have passed since the last time, and otherwise does nothing."""
    last = time.monotonic()

    def look() -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            action()

    return look
