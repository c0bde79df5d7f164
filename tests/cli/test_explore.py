import io
import sys

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
import uvicorn
from starlette.testclient import TestClient
from typer.testing import CliRunner

from goodricke.cli import app
from goodricke.data.formats import WRITERS
from goodricke.explorer import app as application
from goodricke.explorer.session import default_label_path
from goodricke.io import read_labels
from goodricke.service.server import listen
from tests.explorer.conftest import HERE, rows

T = rows()


def refused(*arguments):
    result = CliRunner().invoke(app, ["explore", *map(str, arguments)])
    assert result.exit_code == 2, result.output
    return result.output


def test_help_teaches():
    told = CliRunner().invoke(app, ["explore", "--help"], env={"COLUMNS": "200"}).output
    for word in ("--light-curves", "--labels", "--token", "ssh -L", "goodricke train"):
        assert word in told


def test_what_cannot_be_opened_is_told(world, tmp_path):
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
def test_a_missing_library_is_told_with_its_extra(world, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    assert "goodricke[explore]" in refused(world.catalog, "--no-browser")


def test_the_command_serves_with_a_token(world, tmp_path, monkeypatch):
    served = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda server, sockets: served.append((server.config.app, sockets)))
    command = ["explore", str(world.catalog), "--no-browser", "--labels", str(tmp_path / "l.csv")]
    told = CliRunner().invoke(app, [*command, "--light-curves", world.pack, "--token", "a token of some length"])
    assert told.exit_code == 0, told.output
    [(application, [socket])] = served
    with socket, TestClient(application, base_url=HERE) as client:
        assert f"600 rows at http://127.0.0.1:{socket.getsockname()[1]}/?token=" in told.output
        token = {"Authorization": "Bearer a token of some length"}
        assert client.get("/api/about", headers=token).json()["rows"] == 600
        assert client.get("/api/about").status_code == 401
    assert torch.get_num_threads() == 1


def test_a_port_that_is_taken_is_told(world):
    with listen("127.0.0.1", 0) as taken:
        assert "another --port" in refused(world.catalog, "--no-browser", "--port", taken.getsockname()[1])


def test_labels_lie_beside_the_catalog(tmp_path):
    (tmp_path / "cat").mkdir()
    assert default_label_path(tmp_path / "cat") == tmp_path / "cat-labels.csv"
    assert default_label_path(tmp_path / "night.parquet") == tmp_path / "night-labels.csv"


def test_the_page_is_served(client):
    assert client.get("/").headers["content-type"].startswith("text/html")
    assert (application.STATIC / "index.html").is_file()


# ---- export ---------------------------------------------------------------------------------------------------------

WHERE = {"all": [{"column": "class", "op": "=", "value": "ROT"}]}


def test_an_export_is_the_rows(client, explorer):
    explorer.labels.change("0000001", label="EA", comment="x")
    expected = T[T["class"] == "ROT"]
    csv = client.post("/api/export", json={"where": WHERE, "format": "csv"})
    assert csv.headers["content-disposition"] == 'attachment; filename="cat-selection.csv"'
    got = pd.read_csv(io.StringIO(csv.text), dtype={"object_id": str})
    assert got["object_id"].tolist() == expected["object_id"].tolist()
    pd.testing.assert_series_equal(got["ra"], expected["ra"].reset_index(drop=True))
    assert got["source_id"].tolist() == expected["source_id"].tolist()
    parquet = pq.read_table(io.BytesIO(client.post("/api/export", json={"where": WHERE, "format": "parquet"}).content))
    assert parquet["p_ROT"].to_pylist() == expected["p_ROT"].tolist()
    assert parquet["prediction_set"].to_pylist() == expected["prediction_set"].tolist()
    labels = dict(zip(parquet["object_id"].to_pylist(), parquet["label"].to_pylist(), strict=True))
    assert labels.get("0000001", "EA") == "EA"
    assert parquet.schema.metadata[b"model_hash"] == b"0123456789ab"
    assert client.post("/api/export", json={"format": "ids", "where": WHERE}).text.split() == list(
        dict.fromkeys(expected["object_id"])
    )


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_every_format_and_nothing_at_all(client, kind):
    for where in (WHERE, {"all": [{"column": "n_obs", "op": "<", "value": 0}]}):
        answer = client.post("/api/export", json={"where": where, "format": kind[1:]})
        assert answer.status_code == 200, answer.text
        assert answer.content
    assert client.post("/api/export", json={"format": "../x"}).status_code == 422


def test_an_exported_selection_is_read_as_labels(client, explorer, tmp_path):
    explorer.labels.change("0000001", label="EA")
    (tmp_path / "x.csv").write_text(client.post("/api/export", json={"where": {"all": [{"labelled": True}]}}).text)
    assert "EA" in set(read_labels(tmp_path / "x.csv")["label"])


def test_errors_are_sentences(client):
    assert client.post("/api/rows", content=b"{", headers={"content-type": "application/json"}).status_code == 422
    for path in ("/api/nothing", "/nothing"):
        assert client.get(path, headers={"origin": HERE}).status_code == 404
    assert isinstance(client.post("/api/export", json={"format": 3}).json()["detail"], str)
