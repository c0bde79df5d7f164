import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goodricke.io import find
from goodricke.survey.shards import (
    LOG,
    Catalog,
    Entry,
    Folder,
    completed_shards,
    read_log,
    read_manifest,
    write_shard,
)

ROWS = pa.table({"object_id": ["a", "b"], "status": ["OK", "OK"], "p_X": [0.1, 0.9], "p_max": [0.9, 0.9]})


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "c", "catalog", {"seed": 0, "reading": {"flux": None}}).begin()


def add(folder, task, table=ROWS, **more):
    size, sha256 = write_shard(folder.path / f"shard-{task}.parquet", table, 10)
    folder.log(Entry(task, f"shard-{task}.parquet", len(table), size, sha256, details=more))


def test_a_line_of_the_log_is_read_as_it_was_written():
    entry = Entry("7", "shard-7.parquet", 3, 100, "ab", 1.5, details={"status": {"OK": 3}})
    assert Entry.from_json(entry.to_json()) == entry


def test_a_shard_is_whole_and_its_hash_is_that_of_the_file(folder):
    size, sha256 = write_shard(folder.path / "shard-0.parquet", ROWS, 1, model="m")
    data = (folder.path / "shard-0.parquet").read_bytes()
    assert (size, sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert pq.read_table(folder.path / "shard-0.parquet").replace_schema_metadata().equals(ROWS)
    assert pq.read_schema(folder.path / "shard-0.parquet").metadata[b"model"] == b"m"


def test_a_folder_is_continued_with_the_same_settings_only(folder):
    Folder(folder.path, "catalog", folder.settings).begin()
    with pytest.raises(ValueError, match=r"seed = 0 \(now 1\)"):
        Folder(folder.path, "catalog", {**folder.settings, "seed": 1}).begin()
    with pytest.raises(ValueError, match="is a catalog, not a pack"):
        Folder(folder.path, "pack", folder.settings).begin()


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ValueError, match=r"thesis\.tex"):
        Folder(tmp_path, "pack", {}).begin()


def test_a_folder_of_a_newer_goodricke_is_refused(folder):
    told = read_manifest(folder.path)
    (folder.path / "manifest.json").write_text(json.dumps({**told, "format": 99}))
    with pytest.raises(ValueError, match="update"):
        folder.begin()


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_line_costs_itself_and_not_the_next(folder, cut):
    folder.log(Entry("0", "shard-0.parquet", 1, 1, "a"))
    folder.log(Entry("1", "shard-1.parquet", 1, 1, "b"))
    path = folder.path / LOG
    path.write_bytes(path.read_bytes()[:-cut])
    folder.log(Entry("2", "shard-2.parquet", 1, 1, "c"))
    done = [entry.task for entry in read_log(folder.path)]
    assert done[0] == "0"
    assert done[-1] == "2"
    assert done in (["0", "2"], ["0", "1", "2"])


def test_stale_halves_are_swept_away(folder):
    stale = folder.path / ".shard-0.parquet.123.partial"
    stale.write_text("half")
    folder.begin()
    assert not stale.exists()


def test_of_a_task_with_several_shards_those_of_its_last_time_count(folder):
    for part in range(3):
        add(folder, f"0/{part}".replace("/", "-"))
        folder.log(Entry(f"0/{part}", f"shard-0-{part}.parquet", 2, 1, "x"))
    assert [
        e.task for e in completed_shards(folder.path) if e.task.startswith("0/")
    ] == []  # not all of them: no word yet
    folder.log(Entry("0", details={"parts": 3}))
    assert [e.task for e in completed_shards(folder.path) if "/" in e.task] == ["0/0", "0/1", "0/2"]
    folder.log(Entry("0", details={"parts": 1}))
    assert [e.task for e in completed_shards(folder.path) if "/" in e.task] == ["0/0"]


def test_the_manifest_sums_up(folder):
    add(folder, "0")
    add(folder, "1")
    folder.log(Entry("2", error="OSError: disk"))
    told = folder.finish(status={"OK": 4})
    assert told == read_manifest(folder.path)
    assert (told["rows"], len(told["shards"]), told["failed"]) == (4, 2, {"2": "OSError: disk"})
    assert told["shards"][0]["sha256"] == hashlib.sha256((folder.path / "shard-0.parquet").read_bytes()).hexdigest()


def test_a_catalog_reads_shards_whose_columns_differ(folder):
    add(folder, "0")
    add(folder, "1", ROWS.append_column("sector", pa.array([1, 2])))
    folder.finish()
    catalog = Catalog.open(folder.path)
    assert catalog.classes == ("X",)
    assert len(catalog) == 4
    assert catalog.read(["sector"])["sector"].to_pylist() == [None, None, 1, 2]


def test_only_shards_in_the_log_belong_to_the_catalog(folder):
    add(folder, "0")
    write_shard(folder.path / "shard-9.parquet", ROWS, 1)
    assert len(Catalog.open(folder.path)) == 2


def test_a_single_file_and_a_plain_folder_are_catalogs_too(tmp_path):
    pq.write_table(ROWS, tmp_path / "one.parquet")
    assert len(Catalog.open(tmp_path / "one.parquet")) == 2
    assert len(Catalog.open(tmp_path)) == 2


def test_what_is_no_catalog_is_said_so(tmp_path):
    with pytest.raises(ValueError, match="no catalog"):
        Catalog.open(tmp_path)
    pq.write_table(pa.table({"x": [1]}), tmp_path / "x.parquet")
    with pytest.raises(ValueError, match="p_<CLASS>"):
        Catalog.open(tmp_path / "x.parquet")


def test_the_thumbnail_of_a_hats_catalog_is_none_of_its_rows(tmp_path):
    part = tmp_path / "dataset" / "Norder=0" / "Dir=0" / "Npix=3.parquet"
    part.parent.mkdir(parents=True)
    (tmp_path / "hats.properties").write_text("obs_collection=x\n")
    pq.write_table(ROWS, part)
    pq.write_table(ROWS, tmp_path / "dataset" / "data_thumbnail.parquet")
    assert len(Catalog.open(tmp_path)) == 2
    assert find(tmp_path) == [str(part)]


def test_shards_that_count_no_more_are_swept_away_at_the_end(folder):
    add(folder, "0")
    write_shard(folder.path / "shard-9.parquet", ROWS, 1)
    folder.finish()
    assert [p.name for p in folder.path.glob("*.parquet")] == ["shard-0.parquet"]


def test_of_a_group_of_settings_only_what_differs_is_told(tmp_path):
    first = {"seed": 0, "reading": {"quality": "default", "unit": None, "more": {"a": 1, "b": "x" * 100}}}
    Folder(tmp_path / "c", "catalog", first).begin()
    other = {"seed": 0, "reading": {"quality": "hard", "unit": None, "more": {"a": 2, "b": "x" * 100}}}
    with pytest.raises(ValueError, match="other settings") as caught:
        Folder(tmp_path / "c", "catalog", other).begin()
    assert 'reading.more.a = 1 (now 2), reading.quality = "default" (now "hard"). Fix: ' in str(caught.value)


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("object_id,p_A\nx,1\n")
    with pytest.raises(ValueError, match=r"a\.csv: is no Parquet file, or damaged"):
        Catalog.open(tmp_path / "a.csv")
