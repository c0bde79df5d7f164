"""The commands ``goodricke alerts state``, on the store of a replay."""

import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

pytest.importorskip("lmdb", reason="needs goodricke[alerts]")

from goodricke.alerts import inspect_store
from goodricke.alerts.inspect_store import class_names, compact_store, expire_objects, export_answers, verify_records
from goodricke.alerts.store import FencedError, LmdbStore, MemoryStore, open_store
from goodricke.cli import app
from goodricke.models.bundle import load_model, read_config


def invoke(*arguments):
    return CliRunner().invoke(app, ["alerts", "state", *map(str, arguments)])


@pytest.fixture
def store(replayed, tmp_path):
    """Return the folder of a copy of the store."""
    shutil.copytree(replayed / "state", tmp_path / "s")
    return tmp_path / "s"


def damage(folder):
    """Damage one record of a store."""
    part = LmdbStore(folder).partition(0)
    key, data = next(iter(part.items()))
    part.commit({bytes(key): bytes(data[:-1]) + b"\xff"}, part.offset, part.offset)
    part.close()


def test_a_store_is_listed_shown_exported_and_verified(replayed, tmp_path, curves):
    where = replayed / "state"
    assert "30" in invoke("ls", where).output
    assert f"n_obs  {curves.n_obs[3]}" in invoke("show", where, "object 3").output
    assert invoke("show", where, "nobody").exit_code == 2
    out = tmp_path / "objects.parquet"
    assert invoke("export", where, "--out", out, "--model", replayed / "m").exit_code == 0
    table = pq.read_table(out).to_pandas().set_index("object_id").loc[curves.ids]
    answers = pq.read_table(replayed / "answers.parquet").to_pandas().set_index("object_id").loc[curves.ids]
    assert table["class"].fillna("").tolist() == answers["class"].fillna("").tolist()
    np.testing.assert_allclose(table["p_A"], answers["p_A"], atol=1e-6)
    verified = invoke("verify", where)
    assert verified.exit_code == 0
    assert "30 records are sound, 0 are not" in verified.output


def test_damage_is_found(store):
    damage(store)
    result = invoke("verify", store)
    assert result.exit_code == 3
    assert "29 records are sound, 1 are not" in result.output


def test_stale_objects_expire_and_the_copy_is_compact(store, tmp_path):
    assert expire_objects(str(store), days=1) == 0
    assert expire_objects(str(store), days=1, now=4e9) == 30
    assert verify_records(str(store)) == (0, [])
    before, after = compact_store(str(store), tmp_path / "t")
    assert after < before
    assert LmdbStore(tmp_path / "t", readonly=True).partition(0).offset > 0


def test_an_export_is_parquet_with_the_classes_of_its_model(replayed, tmp_path):
    where = str(replayed / "state")
    with pytest.raises(ValueError, match=r"call the file objects\.parquet"):
        export_answers(where, tmp_path / "objects.csv")
    with pytest.raises(ValueError, match="the answers in the store 3; name the store's model"):
        export_answers(where, tmp_path / "objects.parquet", "ztf-bts")
    assert not list(tmp_path.iterdir())


def test_classes_are_those_of_the_shipped_model_of_the_store(replayed, tmp_path):
    assert class_names(LmdbStore(replayed / "state", readonly=True)) == ()  # its model is no shipped one
    assert class_names(MemoryStore()) == ()
    settings = {"model": "ztf-bts", "model_hash": load_model("ztf-bts").hash}
    for name, expected in (("same", read_config("ztf-bts").classes), ("other", ())):
        store = open_store(str(tmp_path / name), settings | ({"model_hash": "0"} if name == "other" else {}))
        store.partition(0).close()
        assert class_names(store) == expected


def test_a_folder_of_other_files_is_no_store(replayed):
    with pytest.raises(ValueError, match="no store there, but other files"):
        verify_records(str(replayed))


def test_expiry_leaves_damaged_records_and_stops_if_a_worker_goes_on(store, monkeypatch):
    damage(store)
    part = LmdbStore(store).partition(0)
    first = part.offset
    part.close()
    is_stale, open_partition, opened = inspect_store._is_stale, LmdbStore.partition, []

    def commit_of_a_worker(data, before):
        if opened[0].offset == first:
            opened[0].commit({}, first, first + 1)
        return is_stale(data, before)

    with monkeypatch.context() as patch:
        patch.setattr(LmdbStore, "partition", lambda self, n: opened.append(open_partition(self, n)) or opened[-1])
        patch.setattr(inspect_store, "_is_stale", commit_of_a_worker)
        with pytest.raises(FencedError):
            expire_objects(str(store), days=1, now=4e9)
        opened.pop().close()
    assert expire_objects(str(store), days=1, now=4e9) == 29


def test_errors_of_a_store_are_one_line():
    pytest.importorskip("redis", reason="needs goodricke[alerts]")
    result = invoke("ls", "redis://:secret@127.0.0.1:9/0")
    assert result.exit_code == 2
    assert "ConnectionError" in result.stderr
    assert "secret" not in result.output
