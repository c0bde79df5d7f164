import os
import signal
import subprocess
import sys
import time
from multiprocessing import get_context

import pytest

from goodricke.survey import jobs


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


def collected(done):
    return dict(done)


@pytest.mark.parametrize("how", ["here", "processes"])
def test_every_task_is_done_once(how):
    counter = get_context("spawn").Value("q", 0)
    jobs.progress.counter = counter
    tasks = list(range(20))
    done = list(jobs.here(square, tasks) if how == "here" else jobs.processes(square, tasks, 2, counter))
    jobs.progress.counter = None
    assert sorted(done) == [(x, x * x) for x in tasks]
    assert counter.value == 20


@pytest.mark.parametrize("workers", [0, 2])
def test_a_task_that_raises_is_told_and_the_others_done(workers):
    tasks = list(range(6))
    done = collected(jobs.processes(fail_at_three, tasks, workers) if workers else jobs.here(fail_at_three, tasks))
    assert isinstance(done.pop(3), ValueError)
    assert done == {x: x for x in tasks if x != 3}


def test_a_task_that_kills_its_process_is_told_and_the_others_done():
    done = collected(jobs.processes(die_at_three, list(range(8)), 2))
    assert "process died" in str(done.pop(3))
    assert done == {x: x for x in range(8) if x != 3}


def test_processes_are_gone_when_the_one_that_began_them_is_killed(tmp_path):
    path = tmp_path / "pid"
    parent = get_context("spawn").Process(target=_with_workers, args=(path,))
    parent.start()
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    worker = int(path.read_text())
    parent.kill()
    parent.join()
    while _alive(worker) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _alive(worker)


def _with_workers(path):
    list(jobs.processes(note_pid, [path, path], 2))


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_script_that_is_not_guarded_is_told_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("from goodricke.survey import work\nprint(dict(work.processes(abs, [1, 2, 3], 2)))\n")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no process could be begun: a script" in done.stderr.splitlines()[-1]
    assert "out of memory" not in done.stdout
