import sys

import pytest
import torch
import uvicorn
from starlette.testclient import TestClient
from typer.testing import CliRunner

from goodricke.cli import app
from goodricke.service.server import listen
from tests.explorer.conftest import HERE, make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield make_world(tmp_path_factory.mktemp("explore"))


def refused(*arguments):
    result = CliRunner().invoke(app, ["explore", *map(str, arguments)])
    assert result.exit_code == 2, result.output
    return result.output


def test_help_names_the_options():
    result = CliRunner().invoke(app, ["explore", "--help"], env={"COLUMNS": "200"}).output
    for word in ("--light-curves", "--labels", "--token", "ssh -L", "goodricke train"):
        assert word in result


def test_what_cannot_be_opened_is_an_error(world, tmp_path):
    (tmp_path / "labels.csv").write_text("a,b\n1,2\n")
    for arguments, words in (
        ((tmp_path / "nowhere",), "no catalog there"),
        ((world.catalog, "--light-curves", tmp_path / "x.parquet"), "no such file"),
        ((world.catalog, "--labels", tmp_path / "labels.csv"), "object_id and label"),
        ((world.catalog, "--alerts", tmp_path / "nowhere"), "no store"),
        ((world.catalog, "--metrics", "nowhere"), "http://HOST"),
        ((world.catalog, "--token", "short"), "16 characters"),
        ((world.catalog, "--model", "nobody's"), "no model"),
    ):
        assert words in refused(*arguments, "--no-browser")


@pytest.mark.parametrize("missing", ["duckdb", "fastapi", "uvicorn"])
def test_a_missing_library_names_the_extra(world, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    assert "goodricke[explore]" in refused(world.catalog, "--no-browser")


def test_the_command_serves_with_a_token(world, tmp_path, monkeypatch):
    served = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda server, sockets: served.append((server.config.app, sockets)))
    command = ["explore", str(world.catalog), "--no-browser", "--labels", str(tmp_path / "l.csv")]
    result = CliRunner().invoke(app, [*command, "--light-curves", world.pack, "--token", "a token of some length"])
    assert result.exit_code == 0, result.output
    [(application, [socket])] = served
    with socket, TestClient(application, base_url=HERE) as client:
        assert f"600 rows at http://127.0.0.1:{socket.getsockname()[1]}/?token=" in result.output
        token = {"Authorization": "Bearer a token of some length"}
        assert client.get("/api/about", headers=token).json()["rows"] == 600
        assert client.get("/api/about").status_code == 401
    assert torch.get_num_threads() == 1


def test_a_taken_port_is_an_error(world):
    with listen("127.0.0.1", 0) as taken:
        assert "another --port" in refused(world.catalog, "--no-browser", "--port", taken.getsockname()[1])
