"""SAMP, with astropy's own hub and a client of it in the part of TOPCAT."""

import time
import warnings

import numpy as np
import pytest
from astropy.table import Table
from starlette.testclient import TestClient

from goodricke.explorer.app import create_app
from goodricke.explorer.samp import fetch
from goodricke.explorer.session import open_explorer
from tests.explorer.conftest import HERE, rows

T = rows()
ROT = {"all": [{"column": "class", "op": "=", "value": "ROT"}]}


def until(true, seconds=60):
    """Wait for others' messages."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.05)
    raise AssertionError("no message")


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """Run a hub whose lockfile is in a folder of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from astropy.samp import SAMPHubServer, SAMPIntegratedClient, conf
    conf.use_internet = False
    lock = tmp_path_factory.mktemp("hub") / "samp"
    server = SAMPHubServer(web_profile=False, mode="single", addr="127.0.0.1", lockfile=str(lock))
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMP_HUB", f"std-lockurl:{lock.as_uri()}")
        client = SAMPIntegratedClient(name="other", addr="127.0.0.1")
        client.connect()
        yield client
        client.disconnect()
        server.stop()


@pytest.fixture(scope="module")
def linked(hub, world, tmp_path_factory):
    """Return a client of an explorer that has joined the hub."""
    explorer = open_explorer(world.catalog, labels=tmp_path_factory.mktemp("labels") / "labels.csv", samp=True)
    yield TestClient(create_app(explorer), base_url=HERE)
    explorer.close()


def test_a_table_goes_out_and_rows_come_back(hub, linked):
    got = []

    def take(key, sender, kind, parameters, extra):  # astropy counts its arguments
        got.append((kind, dict(parameters)))

    for kind in ("table.load.votable", "table.select.rowList", "table.highlight.row", "coord.pointAt.sky"):
        hub.bind_receive_notification(kind, take)
    assert linked.post("/api/samp/rows", json={}).status_code == 400  # no table yet
    where = np.flatnonzero(T["class"] == "ROT")
    assert linked.post("/api/samp/table", json={"where": ROT}).json() == {"rows": len(where)}
    kind, sent = until(lambda: got.pop() if got else None)
    assert kind == "table.load.votable"
    fetched = Table.read(sent["url"].removeprefix("file://"), format="votable")
    assert fetched["object_id"].tolist() == T["object_id"][where].tolist()

    few = {"all": [*ROT["all"], {"column": "p_max", "op": ">", "value": 0.9}]}
    expected = np.flatnonzero(T["p_max"].to_numpy()[where] > 0.9)
    assert linked.post("/api/samp/rows", json={"where": few}).json() == {"rows": len(expected)}
    kind, selected = until(lambda: got.pop() if got else None)
    assert [int(i) for i in selected["row-list"]] == expected.tolist()
    linked.post("/api/samp/highlight", json={"row": int(where[4])})
    until(lambda: len(got) == 2)
    messages = dict(got)
    assert messages["table.highlight.row"]["row"] == "4"
    assert float(messages["coord.pointAt.sky"]["ra"]) == T["ra"][where[4]]

    message = {
        "samp.mtype": "table.select.rowList",
        "samp.params": {"table-id": sent["table-id"], "row-list": ["0", "2"]},
    }
    hub.notify_all(message)
    event = until(lambda: linked.get("/api/samp").json()["events"])[-1]
    assert (event["kind"], event["rows"]) == ("rows", where[[0, 2]].tolist())
    params = {"table-id": sent["table-id"], "row": "1"}
    hub.notify_all({"samp.mtype": "table.highlight.row", "samp.params": params})
    last = event["id"]
    [event] = until(lambda: linked.get(f"/api/samp?after={last}").json()["events"])
    assert (event["kind"], event["row"]) == ("open", where[1])


def test_a_table_becomes_a_subset(hub, linked, tmp_path):
    path = tmp_path / "theirs.vot"
    Table({"object_id": ["0000003", "0000005", "nobody"]}).write(path, format="votable")
    params = {"url": path.as_uri(), "table-id": "t1", "name": "theirs"}
    hub.notify_all({"samp.mtype": "table.load.votable", "samp.params": params})
    event = until(lambda: [e for e in linked.get("/api/samp").json()["events"] if e["kind"] == "subset"])[-1]
    assert (event["name"], event["count"]) == ("theirs", 4)  # two rows for each object
    found = linked.post("/api/rows", json={"where": {"all": [{"subset": "theirs"}]}}).json()
    assert [row["row"] for row in found["rows"]] == [6, 7, 10, 11]
    hub.notify_all({"samp.mtype": "table.load.votable", "samp.params": params | {"url": "http://example.org/t.vot"}})
    event = until(lambda: [e for e in linked.get("/api/samp").json()["events"] if e["kind"] == "error"])[-1]
    assert "this machine only" in event["text"]


@pytest.mark.parametrize(
    "url", ["ftp://localhost/a", "http://10.0.0.1/a", "file://elsewhere/a", "file:///nowhere", "x"]
)
def test_tables_come_from_this_machine(url, tmp_path):
    with pytest.raises(ValueError, match=r"this machine only|no file"):
        fetch(url, tmp_path / "table")


def test_it_is_off_unless_asked_for(client, world, tmp_path, monkeypatch):
    assert client.get("/api/samp").status_code == 404
    assert client.post("/api/samp/table", json={}).status_code == 404
    assert client.get("/api/about").json()["samp"] is False
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:{(tmp_path / 'none').as_uri()}")
    with pytest.raises(ValueError, match="no SAMP hub runs"):
        open_explorer(world.catalog, labels=tmp_path / "labels.csv", samp=True)
