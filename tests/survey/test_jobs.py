"""The executor: every task once, failures reported, and no process left when its parent is gone."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from goodricke.data.processes import worker_context
from goodricke.survey import jobs  # all else is imported where it is used: every worker imports this module
from goodricke.survey.jobs import lock_folder


def square(x):
    jobs.count(1)
    return x * x


def fail_at_three(x):
    if x == 3:
        raise ValueError(f"no {x}")
    return x


def die_at_three(x):
    if x == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return x


def note_pid(path):
    path.write_text(str(os.getpid()))
    time.sleep(60)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_is_run_once(workers):
    counter = get_context("spawn").Value("q", 0)
    tasks = list(range(20))
    run = jobs.run_here(square, tasks, counter) if workers == 1 else jobs.run_in_processes(square, tasks, 2, counter)
    assert sorted(run) == [(x, x * x) for x in tasks]
    assert counter.value == 20


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_that_raises_is_returned_and_the_others_run(workers):
    tasks = list(range(6))
    results = dict(
        jobs.run_here(fail_at_three, tasks) if workers == 1 else jobs.run_in_processes(fail_at_three, tasks, 2)
    )
    assert isinstance(results.pop(3), ValueError)
    assert results == {x: x for x in tasks if x != 3}


def state_of_the_process(_):
    imported = "goodricke.inference" in sys.modules
    import torch

    return os.getppid(), imported, torch.get_num_threads(), os.environ["OPENBLAS_NUM_THREADS"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each process imports for itself")
def test_processes_share_the_imports_of_one_server_and_have_one_thread_each(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    first, second = (dict(jobs.run_in_processes(state_of_the_process, [1, 2, 3], 2)) for _ in range(2))
    assert len({*first.values(), *second.values()}) == 1
    assert first[1][0] != os.getpid()
    assert first[1][1:] == (True, 1, "1")
    assert os.environ["OPENBLAS_NUM_THREADS"] == "7"


def test_a_task_that_kills_its_process_is_returned_and_the_others_run():
    results = dict(jobs.run_in_processes(die_at_three, list(range(8)), 2))
    assert "process died" in str(results.pop(3))
    assert results == {x: x for x in range(8) if x != 3}


def test_results_in_order_are_those_of_the_tasks_and_few_tasks_wait():
    taken = []

    def tasks():
        for x in range(30):
            taken.append(x)
            yield x

    results = jobs.run_in_order(square, tasks(), 2)
    assert [next(results), next(results)] == [0, 1]
    assert len(taken) <= 2 + 2 * jobs.AHEAD
    assert list(results) == [x * x for x in range(2, 30)]
    assert list(jobs.run_in_order(square, tasks(), 1)) == [x * x for x in range(30)]


def test_in_order_an_error_is_raised_and_a_death_too():
    with pytest.raises(ValueError, match="no 3"):
        list(jobs.run_in_order(fail_at_three, range(6), 2))
    with pytest.raises(RuntimeError, match="a process died: out of memory"):
        list(jobs.run_in_order(die_at_three, range(6), 2))


@pytest.mark.parametrize("work", ["tasks", "periods", "preprocessing"])
def test_no_process_is_left_when_the_parent_is_killed(tmp_path, work):
    if work != "tasks":
        write_long_light_curves(tmp_path / "curves.parquet")
    context = worker_context()
    others = descendants(os.getpid())
    parent = context.Process(target=run_work, args=(work, tmp_path))
    parent.start()
    deadline = time.monotonic() + 60
    workers = set()
    while len(workers) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
        workers = {pid for pid in descendants(os.getpid()) - others - {parent.pid} if is_worker(pid)}
    assert len(workers) >= 2
    parent.kill()
    parent.join()
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(is_running, workers))


def run_work(work, folder):
    if work == "tasks":
        list(jobs.run_in_processes(note_pid, [folder / "a", folder / "b"], 2))
    elif work == "preprocessing":
        from goodricke.data.lightcurves import LightCurves
        from goodricke.preprocess import FoldedConfig, prepare

        prepare(LightCurves.read_parquet(folder / "curves.parquet"), FoldedConfig(), workers=2, chunk=100)
    else:
        from goodricke.survey.variability import measure_variability

        measure_variability(str(folder / "curves.parquet"), folder / "periods", workers=2)


def write_long_light_curves(path):
    """Write light curves whose periodograms take a minute."""
    from goodricke.data.lightcurves import LightCurves
    from tests.making import sine

    (times, values), n = sine(5000, 0.3), 600
    offsets = 5000 * np.arange(n + 1)
    curves = LightCurves.from_arrays(
        [f"S{k}" for k in range(n)], offsets, np.tile(times, n), np.tile(values, n), unit="mag"
    )
    curves.write_parquet(path)


def descendants(pid):
    """Return the processes that a process has started, directly or not."""
    children = [
        int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()
    ]
    return {*children, *(other for child in children for other in descendants(child))}


def command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_worker(pid):
    """Tell whether a process neither starts others nor clears up after them."""
    return not descendants(pid) and "resource_tracker" not in command_line(pid)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_script_without_its_guard_gets_an_error_that_says_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("from goodricke.survey import jobs\nprint(dict(jobs.run_in_processes(abs, [1, 2, 3], 2)))\n")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no process could be started: a script" in done.stderr.splitlines()[-1]
    assert "out of memory" not in done.stdout


def test_a_second_run_in_a_folder_is_refused_until_the_first_has_ended(tmp_path):
    folder = tmp_path / "c"
    with lock_folder(folder), pytest.raises(ValueError, match="another run is at work there"), lock_folder(folder):
        pass
    with lock_folder(folder):
        pass
    assert list(folder.iterdir()) == []
