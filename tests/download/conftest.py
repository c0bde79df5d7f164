"""An archive on this machine, and a quick way to download from it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from goodricke.download.archive import DataArchive
from goodricke.download.http import Client, RequestPolicy
from goodricke.download.targets import read_targets
from goodricke.download.transfer import Download
from tests.download.server import KEPLER, Server

QUICK = RequestPolicy(rate=1000, attempts=3, timeout=5, wait=0.01)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running = Server()
    yield running
    running.close()


@pytest.fixture(scope="session")
def real_kepler(shared: Path) -> bytes:
    return (shared / "data" / "formats" / "kepler_tess" / KEPLER).read_bytes()


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Download]:
    """Return a maker of downloads into ``tmp_path/out``."""

    def download(archive: DataArchive, listed: str, policy: RequestPolicy = QUICK, **more: object) -> Download:
        path = tmp_path / "targets.txt"
        path.write_text(listed)
        return Download(archive, read_targets(path, archive), tmp_path / "out", Client(policy), **more)

    return download
