"""Dask: the same shards, whoever makes them; a worker that is killed costs nothing."""

import os
import signal
import time
from pathlib import Path

import pytest

from goodricke.survey import catalog
from goodricke.survey.jobs import AHEAD, open_client, run_on_dask
from tests.survey.prediction_tables import assert_same_shards

distributed = pytest.importorskip("distributed", reason="needs goodricke[dask]")


def slowly(task):
    """Leave a note of who is at it, take a while, return the task."""
    folder, number = task
    (Path(folder) / f"{number}.{os.getpid()}").touch()
    time.sleep(0.2)
    return number


def fail_at_two(task):
    if task == 2:
        raise ValueError("two")
    return task


@pytest.fixture(scope="module")
def cluster():
    with open_client("local", 2) as client:
        yield client.cluster


def test_every_task_is_done_once_and_failures_are_told(cluster):
    done = dict(run_on_dask(fail_at_two, range(30), cluster.scheduler_address, 2))
    assert isinstance(done.pop(2), ValueError)
    assert done == {x: x for x in range(30) if x != 2}


def test_a_worker_killed_at_work_loses_nothing(cluster, tmp_path):
    tasks, done = [(str(tmp_path), k) for k in range(30)], []
    for number, result in enumerate(run_on_dask(slowly, tasks, cluster.scheduler_address, 2)):
        done.append(result)
        if number == 5:
            newest = max(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime_ns)
            os.kill(int(newest.suffix[1:]), signal.SIGKILL)
    assert sorted(result[1] for result in done) == list(range(30))
    assert len(list(tmp_path.iterdir())) > 30  # the one it was at was begun twice


def test_dask_writes_the_shards_that_one_process_writes(cluster, tmp_path, folded_model, stars):
    import pyarrow.parquet as pq

    pq.write_table(stars.to_arrow(), tmp_path / "stars.parquet", row_group_size=2)
    sources, model = [str(tmp_path / "stars.parquet")], str(folded_model.folder)
    assert catalog.catalog(sources, model, tmp_path / "one", passes=2, points=1500) == 0
    address = cluster.scheduler_address
    assert catalog.catalog(sources, model, tmp_path / "two", passes=2, points=1500, dask=address) == 0
    assert_same_shards(tmp_path / "one", tmp_path / "two")


def test_a_cluster_of_its_own_is_made_and_closed():
    with open_client("local", 1) as client:
        assert client.submit(sum, [1, 2]).result() == 3
        assert [w["nthreads"] for w in client.scheduler_info()["workers"].values()] == [1]


@pytest.mark.parametrize("where", ["here", "slurm:/nowhere.toml"])
def test_no_such_cluster_is_told(where):
    with pytest.raises(ValueError, match=where.removeprefix("slurm:")), open_client(where, 1):
        pass


def test_slurm_jobs_are_asked_for_as_the_file_says(tmp_path):
    jobqueue = pytest.importorskip("dask_jobqueue", reason="needs goodricke[dask]")
    from goodricke.survey.jobs import read_slurm_settings

    file = tmp_path / "slurm.toml"
    file.write_text('queue = "short"\ncores = 1\nmemory = "4GB"\nwalltime = "00:30:00"\n')
    script = jobqueue.SLURMCluster(
        **read_slurm_settings(file), scheduler_options={"dashboard_address": None}
    ).job_script()
    assert "#SBATCH -p short" in script
    assert "#SBATCH -t 00:30:00" in script


def test_workers_that_come_later_get_tasks_too(tmp_path):
    options = {"threads_per_worker": 1, "dashboard_address": None, "processes": False, "protocol": "tcp"}
    with distributed.LocalCluster(n_workers=1, **options) as growing:
        done = run_on_dask(slowly, [(str(tmp_path), k) for k in range(30)], growing.scheduler_address, 1)
        results = [next(done)]
        growing.scale(2)
        growing.wait_for_workers(2)
        results += [next(done), next(done)]
        assert len(growing.scheduler.tasks) > AHEAD + 1
        results += done
    assert sorted(number for _, number in results) == list(range(30))
