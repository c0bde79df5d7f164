import csv
from importlib.resources import files

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from goodricke.data.examples import example_files
from goodricke.data.lightcurves import LightCurves
from goodricke.io import ReadOptions, read
from goodricke.survey.catalog import catalog
from goodricke.survey.jobs import lock_folder
from goodricke.survey.pack import PackingJob, pack, sort_by_object
from goodricke.survey.shards import Folder, completed_shards, read_manifest
from goodricke.survey.tasks import SurveyTask, plan_tasks, run_tasks, unfinished

EXAMPLES = str(files("goodricke").joinpath("data", "examples", "asas"))


def same(a: LightCurves, b: LightCurves) -> bool:
    """Whether two batches hold the same light curves in the same order."""
    points = all(
        np.array_equal(getattr(a, k), getattr(b, k), equal_nan=k != "band") for k in ("time", "value", "error")
    )
    return a.ids == b.ids and points and (a.unit, a.time_scale) == (b.unit, b.time_scale)


def test_a_pack_holds_what_the_files_hold(tmp_path, stars):
    assert pack([EXAMPLES], tmp_path / "p") == 0
    packed = read(tmp_path / "p")
    assert same(packed, sort_by_object(stars))
    assert packed.column("source").tolist() == sorted(example_files(), key=lambda path: (len(path), path))
    assert np.array_equal(packed.column("n_read"), sort_by_object(stars).column("n_read"))


def test_workers_make_the_same_shards(tmp_path):
    for workers in (1, 2):
        out = tmp_path / str(workers)
        job = PackingJob(out, shard_points=2000)
        folder, tasks = _begin(job, 600)
        run_tasks(folder, job, tasks, workers, None, "files", Console(quiet=True))
        folder.finish()
    one, two = ([(e.shard, e.rows, e.sha256) for e in completed_shards(tmp_path / str(w))] for w in (1, 2))
    assert one == two
    assert len(one) > 2


def _begin(job, points):
    folder = Folder(job.out, "pack", job.settings).begin()
    return folder, unfinished(folder, plan_tasks(job.out, example_files(), points, job.options))


def test_full_shards_are_closed_and_new_ones_begun(tmp_path):
    assert pack([EXAMPLES], tmp_path / "p", shard_points=1000) == 0
    entries = completed_shards(tmp_path / "p")
    assert len(entries) > 3
    assert sum(e.rows for e in entries) == 12
    assert same(sort_by_object(read(tmp_path / "p")), sort_by_object(read(example_files())))


def test_units_go_into_shards_of_their_own(tmp_path, shared):
    sources = [EXAMPLES, str(shared / "data/formats/kepler_tess"), str(shared / "data/formats/tglc")]
    assert pack(sources, tmp_path / "p") == 0
    told = [pq.read_schema(tmp_path / "p" / str(e.shard)).metadata for e in completed_shards(tmp_path / "p")]
    units = {(meta[b"unit"], meta[b"time_scale"]) for meta in told}
    assert len(units) == len(told) == 4


def test_bad_files_are_listed_and_the_rest_is_packed(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "good.csv").write_text("time,mag,err\n" + "".join(f"{t},{10 + t % 2},0.1\n" for t in range(50)))
    (tmp_path / "in" / "empty.csv").write_text("")
    (tmp_path / "in" / "page.csv").write_text("<!DOCTYPE html><html>sorry</html>")
    assert pack([str(tmp_path / "in"), str(tmp_path / "nowhere.fits")], tmp_path / "p") == 3
    with open(tmp_path / "p" / "unreadable.csv") as file:
        rows = list(csv.DictReader(file))
    assert {row["file"].rsplit("/", 1)[1] for row in rows} == {"empty.csv", "page.csv", "nowhere.fits"}
    assert all(row["fix"] for row in rows)
    assert read_manifest(tmp_path / "p")["rows"] == 1


def test_new_files_are_added_and_changed_ones_packed_again(tmp_path):
    source, out = tmp_path / "in", tmp_path / "p"
    source.mkdir()

    def write(name, n):
        (source / f"{name}.csv").write_text("time,mag\n" + "".join(f"{t},{10 + t % 3}\n" for t in range(n)))

    write("a", 20)
    pack([str(source)], out)
    write("b", 30)
    pack([str(source)], out)
    assert sorted(zip(read(out).ids, read(out).n_obs.tolist(), strict=True)) == [("a", 20), ("b", 30)]
    write("a", 25)
    pack([str(source)], out)
    assert sorted(zip(read(out).ids, read(out).n_obs.tolist(), strict=True)) == [("a", 25), ("b", 30)]


def test_a_big_nested_file_is_cut_at_its_row_groups(tmp_path, stars):
    path = tmp_path / "nested.parquet"
    pq.write_table(stars.to_arrow(), path, row_group_size=2)
    tasks = plan_tasks(tmp_path, [str(path)], 1500, ReadOptions())
    assert len(tasks) > 2
    parts = [curves for task in tasks for curves, _ in task.batches(ReadOptions())]
    assert same(LightCurves.concat(parts), stars)
    assert sum(task.rows for task in tasks) == 12


def test_rows_without_an_id_are_numbered_through_all_tasks(tmp_path, stars):
    path = tmp_path / "nested.parquet"
    pq.write_table(stars.to_arrow().drop_columns(["object_id"]), path, row_group_size=5)
    tasks = [SurveyTask("0", (str(path),), (k, k + 1)) for k in range(3)]
    ids = [i for task in tasks for curves, _ in task.batches(ReadOptions()) for i in curves.ids]
    assert ids == [f"nested:{i}" for i in range(12)]


def test_a_damaged_row_group_is_told_and_not_raised(tmp_path, stars):
    path = tmp_path / "nested.parquet"
    pq.write_table(stars.to_arrow(), path, row_group_size=4)
    data = bytearray(path.read_bytes())
    group = pq.ParquetFile(path).metadata.row_group(1)
    values = next(c for c in map(group.column, range(group.num_columns)) if c.path_in_schema.startswith("lightcurve.v"))
    at = values.dictionary_page_offset or values.data_page_offset
    data[at : at + 200] = b"\xff" * 200
    path.write_bytes(data)
    found = [list(SurveyTask("0", (str(path),), (k, k + 1)).batches(ReadOptions())) for k in range(3)]
    assert found[0][0][0] is not None
    assert found[2][0][0] is not None
    assert [str(path) in str(failure) for _, failures in found[1] for failure in failures] == [True]


def test_a_catalog_is_no_source_of_light_curves(tmp_path, folded_model):
    catalog([EXAMPLES], str(folded_model.folder), tmp_path / "c", passes=0)
    with pytest.raises(ValueError, match="predictions, not light curves"):
        catalog([str(tmp_path / "c")], str(folded_model.folder), tmp_path / "d", passes=0)


def test_light_curves_of_an_object_are_neighbours_in_time():
    curves = LightCurves.from_arrays(["10", "9", "10", "9"], [0, 1, 2, 3, 3], [5.0, 1.0, 2.0], [1.0, 1.0, 1.0])
    assert [(i, list(c.time)) for i, c in zip(sort_by_object(curves).ids, sort_by_object(curves), strict=True)] == [
        ("9", [1.0]),
        ("9", []),
        ("10", [2.0]),
        ("10", [5.0]),
    ]


def write_csv(path, n=20):
    path.parent.mkdir(exist_ok=True)
    path.write_text("time,mag\n" + "".join(f"{t},{10 + t % 3}\n" for t in range(n)))


def test_a_file_given_twice_is_packed_once(tmp_path):
    write_csv(tmp_path / "in" / "a.csv")
    assert pack([str(tmp_path / "in"), str(tmp_path / "in" / "a.csv")], tmp_path / "p") == 0
    assert read(tmp_path / "p").ids == ["a"]


def test_a_pack_inside_its_source_is_not_packed_again(tmp_path):
    source, out = tmp_path / "in", tmp_path / "in" / "packed"
    write_csv(source / "a.csv")
    (source / "empty.csv").write_text("")
    for _ in range(2):
        assert pack([str(source)], out, options={"recursive": True}) == 3
    assert read(sorted(out.glob("*.parquet"))).ids == ["a"]
    assert read_manifest(out)["rows"] == 1


def test_mended_files_are_unreadable_no_more(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("")
    assert pack([str(tmp_path / "in")], tmp_path / "p") == 3
    write_csv(tmp_path / "in" / "a.csv")
    assert pack([str(tmp_path / "in")], tmp_path / "p") == 0
    assert not (tmp_path / "p" / "unreadable.csv").exists()


def test_what_was_packed_outlives_its_files(tmp_path, caplog):
    write_csv(tmp_path / "in" / "a.csv")
    pack([str(tmp_path / "in")], tmp_path / "p")
    (tmp_path / "in" / "a.csv").unlink()
    write_csv(tmp_path / "in" / "b.csv")
    assert pack([str(tmp_path / "in")], tmp_path / "p") == 0
    assert sorted(read(tmp_path / "p").ids) == ["a", "b"]
    assert "a.csv) are gone" in caplog.text


def test_a_shard_that_is_lost_is_made_again(tmp_path):
    write_csv(tmp_path / "in" / "a.csv")
    for _ in range(2):
        assert pack([str(tmp_path / "in")], tmp_path / "p") == 0
        shard = tmp_path / "p" / str(completed_shards(tmp_path / "p")[0].shard)
        assert shard.exists()
        shard.unlink()


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path, monkeypatch):
    source, out, write = tmp_path / "in", tmp_path / "p", PackingJob._write

    def late(self, *arguments):
        write_csv(source / "a.csv", 30)
        return write(self, *arguments)

    write_csv(source / "a.csv", 20)
    monkeypatch.setattr(PackingJob, "_write", late)
    pack([str(source)], out)
    monkeypatch.setattr(PackingJob, "_write", write)
    pack([str(source)], out)
    assert read(out).n_obs.tolist() == [30]


@pytest.mark.parametrize("now", [12, 1])
def test_a_nested_file_written_anew_has_all_its_rows_and_no_others(tmp_path, stars, now):
    path, out = tmp_path / "nested.parquet", tmp_path / "p"
    pq.write_table(stars.to_arrow()[:6], path, row_group_size=2)
    job = PackingJob(out)
    for size in (2, now):
        if size != 2:
            pq.write_table(stars.to_arrow(), path, row_group_size=size)
        folder = Folder(out, "pack", job.settings).begin()
        tasks = unfinished(folder, plan_tasks(out, [str(path)], 100, job.options))
        run_tasks(folder, job, tasks, 1, None, "files", Console(quiet=True))
        folder.finish()
    assert same(sort_by_object(read(out)), sort_by_object(stars))
    assert unfinished(folder, plan_tasks(out, [str(path)], 100, job.options)) == []


def test_two_runs_at_once_keep_out_of_each_others_way(tmp_path):
    for go in (lambda: pack([EXAMPLES], tmp_path), lambda: catalog([EXAMPLES], "variables", tmp_path)):
        with lock_folder(tmp_path), pytest.raises(ValueError, match="another run is at work there"):
            go()


def test_a_source_that_does_not_exist_is_wrong_usage_and_leaves_no_task(tmp_path):
    with pytest.raises(ValueError, match="nowhere: names no file"):
        pack([str(tmp_path / "nowhere")], tmp_path / "p")
    assert pack([EXAMPLES], tmp_path / "p") == 0
