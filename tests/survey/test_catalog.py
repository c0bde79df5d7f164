"""Promise 7: killed at any moment and started again, a catalog has the same rows, none lost, none twice."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goodricke import classify
from goodricke.io import read
from goodricke.models.bundle import load_model
from goodricke.survey import Catalog
from goodricke.survey import catalog as classifying
from goodricke.survey import catalog as run
from goodricke.survey.catalog import (
    DENSE_POINTS,
    FEWEST_POINTS,
    MULTIBAND_POINTS,
    VARIABLES_POINTS,
    ClassificationJob,
    task_points,
)
from goodricke.survey.shards import LOG, Folder, completed_shards, read_log, read_manifest
from goodricke.survey.tasks import SurveyTask
from tests.processes import start_command
from tests.survey.prediction_tables import assert_same_shards

EXAMPLES = str(files("goodricke").joinpath("data", "examples", "asas"))
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def pack(tmp_path_factory, stars):
    """Return a nested file of 24 light curves in as many row groups."""
    path = tmp_path_factory.mktemp("pack") / "stars.parquet"
    table = pa.concat_tables([stars.with_columns(copy=np.full(12, k)).to_arrow() for k in range(2)])
    table = table.set_column(0, "object_id", pa.array([f"star {i}" for i in range(24)]))
    pq.write_table(table, path, row_group_size=1)
    return str(path)


def rows(path) -> dict[str, list]:
    """Return the rows of a catalog, without the column that tells which shard they are in."""
    return Catalog.open(path).read().sort_by("object_id").to_pydict()


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory, pack, folded_model):
    out = tmp_path_factory.mktemp("catalog") / "c"
    assert run.catalog([pack], str(folded_model.folder), out, passes=2, points=1000) == 0
    return out


def test_a_catalog_has_the_rows_of_classify(uninterrupted, pack, folded_model):
    direct = classify(read(pack), folded_model, passes=2)
    catalog = Catalog.open(uninterrupted).read()
    assert len(completed_shards(uninterrupted)) > 10
    assert catalog["object_id"].to_pylist() == direct.table["object_id"].to_pylist()
    assert catalog["class"].to_pylist() == direct.table["class"].to_pylist()
    for name in direct.table.column_names:
        if name.startswith(("p_", "std_", "entropy")):
            np.testing.assert_allclose(catalog[name].to_numpy(), direct.column(name), atol=1e-5)


def test_the_manifest_tells_model_settings_and_hashes(uninterrupted, folded_model):
    told = read_manifest(uninterrupted)
    assert told["settings"]["model_hash"] == folded_model.hash
    assert told["status"] == {"OK": 24}
    assert told["rows"] == sum(shard["rows"] for shard in told["shards"]) == 24
    assert all(len(shard["sha256"]) == 64 for shard in told["shards"])


def test_killed_five_times_a_catalog_has_the_same_rows(tmp_path, uninterrupted, pack, folded_model):
    command = [
        sys.executable,
        "-m",
        "tests.survey.killing",
        pack,
        str(folded_model.folder),
        str(tmp_path / "c"),
        "5",
        "7",
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["kills"] == 5
    assert told["code"] == 0
    assert told["finished"] < 3  # most kills were in the middle
    assert rows(tmp_path / "c") == rows(uninterrupted)
    assert read_manifest(tmp_path / "c")["rows"] == 24


def test_killed_with_its_workers_at_work_and_continued_by_others_it_has_the_same_shards(
    tmp_path, uninterrupted, pack, folded_model
):
    out = tmp_path / "c"
    options = ["--out", out, "--mc", 2, "--points", 1000, "--workers", 2]
    process = start_command("catalog", pack, "--model", folded_model.folder, *options)
    deadline = time.monotonic() + 120
    while len(list(read_log(out))) < 4 and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert "finished" not in read_manifest(out)
    assert run.catalog([pack], str(folded_model.folder), out, workers=2, passes=2, points=1000) == 0
    assert_same_shards(uninterrupted, out)


def test_a_finished_catalog_is_not_done_again(tmp_path, pack, folded_model, monkeypatch):
    run.catalog([pack], str(folded_model.folder), tmp_path / "c", passes=0)
    log = (tmp_path / "c" / LOG).read_text()
    monkeypatch.setattr(ClassificationJob, "__call__", lambda *_: pytest.fail("done again"))
    assert run.catalog([pack], str(folded_model.folder), tmp_path / "c", passes=0) == 0
    assert (tmp_path / "c" / LOG).read_text() == log


def test_a_shard_that_fails_is_set_aside_and_tried_again_next_time(tmp_path, pack, folded_model, monkeypatch, capsys):
    whole = ClassificationJob.__call__

    def fail(self, task):
        if task.name == "000002":
            raise MemoryError("no room")
        return whole(self, task)

    monkeypatch.setattr(ClassificationJob, "__call__", fail)
    model = str(folded_model.folder)
    assert run.catalog([pack], model, tmp_path / "c", passes=0, points=3000) == 3
    assert "no room" in capsys.readouterr().out
    assert list(read_manifest(tmp_path / "c")["failed"]) == ["000002"]
    before = len(Catalog.open(tmp_path / "c"))
    monkeypatch.setattr(ClassificationJob, "__call__", whole)
    assert run.catalog([pack], model, tmp_path / "c", passes=0, points=3000) == 0
    assert before < len(Catalog.open(tmp_path / "c")) == 24
    assert read_manifest(tmp_path / "c")["failed"] == {}


def test_other_settings_want_another_folder(tmp_path, pack, folded_model):
    run.catalog([pack], str(folded_model.folder), tmp_path / "c", passes=0)
    with pytest.raises(ValueError, match=r"seed = 0 \(now 1\)"):
        run.catalog([pack], str(folded_model.folder), tmp_path / "c", passes=0, seed=1)


def test_a_catalog_records_the_precision_that_auto_became_and_keeps_to_it(tmp_path, pack, folded_model):
    model, out = str(folded_model.folder), tmp_path / "c"
    run.catalog([pack], model, out, passes=0, precision="auto")
    assert json.loads((out / "manifest.json").read_text())["settings"]["precision"] == "float32"
    assert run.catalog([pack], model, out, passes=0, precision="float32") == 0  # the same by name: nothing left to do
    with pytest.raises(ValueError, match="precision"):
        run.catalog([pack], model, out, passes=0, precision="bfloat16")


def test_a_model_that_changes_under_a_run_is_noticed(tmp_path, pack, folded_model):
    job = ClassificationJob(tmp_path, str(folded_model.folder), "another hash", passes=0)
    with pytest.raises(ValueError, match="has changed"):
        job(SurveyTask("0", (pack,)))


def test_files_that_cannot_be_read_have_a_row(tmp_path, folded_model):
    sources = [EXAMPLES, str(tmp_path / "nowhere.fits")]
    assert run.catalog(sources, str(folded_model.folder), tmp_path / "c", passes=0) == 0
    table = Catalog.open(tmp_path / "c").read()
    assert table["status"].to_pylist().count("OK") == 12
    assert table["status"].to_pylist().count("UNREADABLE") == 1
    assert "nowhere.fits" in (tmp_path / "c" / "unreadable.csv").read_text()


def test_nothing_but_bad_files_is_a_catalog_of_bad_rows(tmp_path, folded_model):
    (tmp_path / "empty.fits").write_text("")
    assert run.catalog([str(tmp_path / "empty.fits")], str(folded_model.folder), tmp_path / "c", passes=0) == 3
    assert Catalog.open(tmp_path / "c").read()["status"].to_pylist() == ["UNREADABLE"]


def test_tasks_are_about_ten_minutes_of_a_core(folded_model):
    assert task_points(folded_model, 0) == DENSE_POINTS
    assert task_points(folded_model, 20) == DENSE_POINTS // 20 == FEWEST_POINTS
    assert task_points(load_model("ztf-bts"), 20) == MULTIBAND_POINTS
    assert task_points(load_model("variables"), 20) == VARIABLES_POINTS


def test_a_file_that_changes_while_it_is_classified_is_classified_again(tmp_path, stars, folded_model, monkeypatch):
    path, model, whole = tmp_path / "stars.parquet", str(folded_model.folder), classifying.classify_batches

    def late(*arguments, **options):
        stars.write_parquet(path)
        return whole(*arguments, **options)

    stars[:5].write_parquet(path)
    monkeypatch.setattr(classifying, "classify_batches", late)
    run.catalog([str(path)], model, tmp_path / "c", passes=0)
    monkeypatch.setattr(classifying, "classify_batches", whole)
    run.catalog([str(path)], model, tmp_path / "c", passes=0)
    assert len(Catalog.open(tmp_path / "c")) == 12


def test_columns_named_like_a_prediction_are_no_classes(tmp_path, stars, folded_model):
    own = {name: np.full(12, 2.0) for name in ("p_value", "std_mag", "p_max", "amplitude")}
    stars.with_columns(**own).write_parquet(tmp_path / "stars.parquet")
    run.catalog([str(tmp_path / "stars.parquet")], str(folded_model.folder), tmp_path / "c", passes=0)
    catalog = Catalog.open(tmp_path / "c")
    assert catalog.classes == folded_model.classes
    assert catalog.read(["amplitude"])["amplitude"].to_pylist() == [2.0] * 12
    assert max(catalog.read(["p_max"])["p_max"].to_pylist()) <= 1


def test_threads_that_share_a_model_write_the_shards_of_one(tmp_path, pack, folded_model):
    tasks = [SurveyTask(str(k), (pack,), (k, k + 1)) for k in range(8)]
    for threads in (1, 4):
        (tmp_path / str(threads)).mkdir()
        job = ClassificationJob(tmp_path / str(threads), str(folded_model.folder), folded_model.hash, passes=3)
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(job, tasks))
    for k in range(8):
        one, four = (pq.read_table(tmp_path / folder / f"shard-{k}.parquet") for folder in ("1", "4"))
        for name in ("p_ECL", "std_ECL"):
            np.testing.assert_allclose(four[name].to_numpy(), one[name].to_numpy(), atol=1e-6)


def test_a_catalog_that_is_being_added_to_has_all_its_columns(tmp_path, stars, folded_model, monkeypatch):
    stars.write_parquet(tmp_path / "a.parquet")
    stars.with_columns(amplitude=np.ones(12)).write_parquet(tmp_path / "b.parquet")
    run.catalog([str(tmp_path / "a.parquet")], str(folded_model.folder), tmp_path / "c", passes=0)
    monkeypatch.setattr(Folder, "finish", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run.catalog([str(tmp_path / "b.parquet")], str(folded_model.folder), tmp_path / "c", passes=0)
    assert Catalog.open(tmp_path / "c").read(["amplitude"])["amplitude"].to_pylist() == [None] * 12 + [1.0] * 12
