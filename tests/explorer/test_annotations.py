import csv
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from goodricke.explorer import annotations as module
from goodricke.explorer.annotations import LabelFile
from goodricke.io import Unreadable, read_labels
from goodricke.training.labels import read_labelled
from goodricke.training.recipe import DataConfig


def test_labels_are_read_by_the_training(client, explorer, world):
    given = {0: "RRab", 2: "RRab", 5: "RRab", 6: "EA", 8: "EA", 9: "EA", 10: "EA"}  # 8 and 9 are of one object
    for row, label in given.items():
        answer = client.put(f"/api/rows/{row}/label", json={"label": label, "comment": None})
        assert answer.json()["label"] == label
    client.put("/api/rows/12/label", json={"label": None, "comment": 'blended, "maybe"\nlook again'})
    config = DataConfig(light_curves=world.pack, labels=str(explorer.labels.path), fewest=3)
    data = read_labelled(config)
    names = dict(zip(data.curves.ids, [data.classes[k] for k in data.label], strict=True))
    assert names == {f"{k:07d}": "RRab" if k < 3 else "EA" for k in range(6)}
    assert len(data.curves) == 12  # both of each object
    frame = read_labels(explorer.labels.path).set_index("object_id")
    assert frame.loc["0000006", "label"] is None or frame.loc["0000006", "label"] != frame.loc["0000006", "label"]
    assert frame.loc["0000006", "comment"] == 'blended, "maybe" look again'


def test_a_label_belongs_to_the_object_and_stays(client, explorer):
    client.put("/api/rows/20/label", json={"label": "RRc", "comment": "sure"})
    shown = client.post("/api/rows", json={"where": {"all": [{"rows": [20, 21]}]}, "columns": []}).json()["rows"]
    assert [(row["row"], row["label"], row["comment"]) for row in shown] == [(20, "RRc", "sure"), (21, "RRc", "sure")]
    again = LabelFile(explorer.labels.path)
    assert again.get("0000010").as_json() == explorer.labels.get("0000010").as_json()
    assert client.get("/api/rows/21").json()["label"] == "RRc"
    known = client.get("/api/about").json()["labels"]["names"]
    assert known[:3] == ["ECL", "PULS", "ROT"]
    assert "RRc" in known
    searched = client.post("/api/rows", json={"where": {"all": [{"search": "rRC"}]}, "columns": []}).json()
    assert [row["row"] for row in searched["rows"]] == [20, 21]
    labelled = {"where": {"all": [{"labelled": True}, {"column": "label", "op": "=", "value": "RRc"}]}}
    assert client.post("/api/rows", json=labelled).json()["total"] == 2
    counts = client.post("/api/counts", json={"by": "label"}).json()["counts"]
    assert {"value": "RRc", "count": 2} in counts
    assert client.delete("/api/rows/21/label").json()["label"] is None
    assert client.post("/api/rows", json=labelled).json()["total"] == 0
    assert "0000010" not in [e["object_id"] for e in client.get("/api/labels").json()["entries"]]


def test_absent_parts_stay(client):
    client.put("/api/rows/40/label", json={"label": "RRc", "comment": "sure"})
    assert client.put("/api/rows/40/label", json={"label": None}).json()["comment"] == "sure"
    assert client.put("/api/rows/40/label", json={"label": "EA"}).json()["comment"] == "sure"
    assert client.put("/api/rows/40/label", json={"comment": None}).json()["label"] == "EA"
    assert client.put("/api/rows/40/label", json={"label": None}).json()["time"] is None


def test_an_unreadable_file_is_a_503(client, explorer, tmp_path, monkeypatch):
    monkeypatch.setattr(explorer.labels, "path", tmp_path)
    answer = client.get("/api/rows/40")
    assert answer.status_code == 503
    assert "can't be read" in answer.json()["detail"]


def test_a_file_replaced_at_the_same_moment_is_read_again(tmp_path, monkeypatch):
    path = tmp_path / "l.csv"
    labels, complete = LabelFile(path), module.atomic_path

    @contextmanager
    def overtaken(path):
        with complete(path) as partial:
            yield partial
        other = path.with_name("other")
        other.write_text(path.read_text().replace("EA", "EB"))
        other.replace(path)

    monkeypatch.setattr(module, "atomic_path", overtaken)
    labels.change("a", label="EA")
    assert labels.get("a").label == "EB"


def test_text_is_one_line_of_reasonable_length(client, tmp_path):
    labels = LabelFile(tmp_path / "l.csv")
    assert labels.change("a", label="  RR\tab \x00", comment="x\r\ny").as_json() | {"time": ""} == {
        "object_id": "a",
        "label": "RR ab",
        "comment": "x y",
        "time": "",
    }
    with pytest.raises(ValueError, match="at most 100"):
        labels.change("a", label="x" * 101)
    assert client.put("/api/rows/1/label", json={"label": "x" * 101}).status_code == 400
    assert client.put("/api/rows/1/label", json={"lable": "x"}).status_code == 422
    assert client.put("/api/rows/600/label", json={"label": "x"}).status_code == 404
    assert client.put("/api/rows/1/label", json={"label": "x"}, headers={"origin": "http://evil"}).status_code == 403


def test_a_file_of_suggestions_is_filled_in(tmp_path):
    path = tmp_path / "suggested.csv"
    path.write_text('rank,object_id,label,why\n1,a,,"odd, new"\n2,b,RR,rare\n')
    labels = LabelFile(path)
    assert (labels.count(), labels.names()) == (1, ["RR"])
    labels.change("a", label="EA")
    labels.change("c", label="EB", comment="far")
    labels.remove("b")
    with open(path) as file:
        rows = list(csv.DictReader(file))
    assert [(r["rank"], r["object_id"], r["label"], r["why"]) for r in rows] == [
        ("1", "a", "EA", "odd, new"),
        ("2", "b", "", "rare"),
        ("", "c", "EB", ""),
    ]


def test_other_files_are_not_written_to(tmp_path):
    for name, text in (("no.csv", "a,b\n1,2\n"), ("bytes.csv", "object_id,label\n\udcff\xff,1")):
        (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape").replace(b"\xc3\xbf", b"\xff"))
        with pytest.raises(Unreadable, match=name):
            LabelFile(tmp_path / name)
    (tmp_path / "folder").write_text("")
    with pytest.raises(ValueError, match="--labels"):
        LabelFile(tmp_path / "folder" / "l.csv").change("a", label="b")


def write(path, name):
    labels = LabelFile(path)
    for k in range(20):
        labels.change(f"{name}-{k}", label="EA")


def test_several_writers_lose_nothing(tmp_path):
    path = tmp_path / "l.csv"
    here, fork = LabelFile(path), multiprocessing.get_context("fork")
    others = [fork.Process(target=write, args=(path, name)) for name in "ab"]
    for other in others:
        other.start()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda k: here.change(f"here-{k}", label="RR"), range(20)))
    for other in others:
        other.join(60)
    assert [other.exitcode for other in others] == [0, 0]
    assert here.count() == 60
    assert len(read_labels(path)) == 60


def test_a_change_by_an_editor_is_seen(tmp_path):
    path = tmp_path / "l.csv"
    labels = LabelFile(path)
    labels.change("a", label="RR")
    version = labels.current()[0]
    path.write_text("object_id,label\na,EA\nb,EB\n")
    assert labels.get("a").label == "EA"
    assert labels.count() == 2
    assert labels.current()[0] > version
    path.unlink()
    assert labels.count() == 0
