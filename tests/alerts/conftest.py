"""Fixtures of the tests of alerts: a Redis server, and a replay."""

import shutil
import subprocess
import time

import pytest
from typer.testing import CliRunner

from goodricke.alerts.local_broker import free_port
from goodricke.cli import app
from tests.alerts.streams import light_curves, save_tiny_model


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory):
    """Return the address of a Redis server that runs for the tests."""
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server on this machine (apt-get install redis-server)")
    pytest.importorskip("redis", reason="needs goodricke[alerts]")
    port = free_port()
    folder = tmp_path_factory.mktemp("redis")
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    import redis

    client = redis.Redis(port=port)
    for _ in range(100):
        try:
            client.ping()
            break
        except redis.ConnectionError:
            time.sleep(0.1)
    yield f"redis://127.0.0.1:{port}/0"
    server.kill()
    server.wait()


@pytest.fixture(scope="session")
def replayed(tmp_path_factory):
    """Return a folder with a model (m), curves.parquet, and the state and answers.parquet of a replay."""
    pytest.importorskip("lmdb", reason="needs goodricke[alerts]")
    folder = tmp_path_factory.mktemp("replay")
    save_tiny_model(folder / "m")
    replay_curves().write_parquet(folder / "curves.parquet")
    command = ["alerts", "replay", str(folder / "curves.parquet"), "--model", str(folder / "m"), "--no-live"]
    command += ["--state", str(folder / "state"), "--out", str(folder / "answers.parquet"), "--batch", "70"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="session")
def curves():
    """Return the light curves of `replayed`."""
    return replay_curves()


def replay_curves():
    return light_curves(30, 40, seed=50)
