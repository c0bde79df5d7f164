"""Run a catalog in processes that are killed at random moments; prints the number of kills as JSON.

``python -m tests.survey.killing SOURCE MODEL OUT KILLS SEED``: every run is a fork of this process, which has
imported all and computed nothing, so that a run begins at once.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import torch

from goodricke.survey import catalog as run
from goodricke.survey.shards import read_manifest

POINTS = 1000


def catalog(source: str, model: str, out: Path) -> int:
    """Run the catalog in this process."""
    torch.set_num_threads(1)
    return run.catalog([source], model, out, passes=2, points=POINTS, console=run.Console(quiet=True))


def forked(source: str, model: str, out: Path) -> int:
    """Begin a run in a new process and return its number."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(catalog(source, model, out))
        except BaseException as error:
            print(f"the run failed: {error!r}", file=sys.stderr)
            os._exit(99)
    return pid


def finished(out: Path) -> bool:
    """Whether a run has come to its end."""
    return (out / "manifest.json").exists() and "finished" in read_manifest(out)


def kill_some(source: str, model: str, out: Path, kills: int, seed: int) -> dict[str, int]:
    """Begin the run again and again and kill it, until it was killed so often, then let it end."""
    rng, done, wholes, codes = random.Random(seed), 0, 0, 0
    begun = time.monotonic()
    os.waitpid(forked(source, model, out), 0)
    whole = time.monotonic() - begun
    shutil.rmtree(out)
    while done < kills:
        pid = forked(source, model, out)
        time.sleep(rng.uniform(0, whole / 2))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        killed = os.WIFSIGNALED(status)
        codes |= 0 if killed else os.WEXITSTATUS(status)
        done += killed
        if finished(out) and done < kills:
            wholes += 1
            shutil.rmtree(out)
    _, status = os.waitpid(forked(source, model, out), 0)
    return {"kills": done, "finished": wholes + 1, "code": codes | os.WEXITSTATUS(status)}


if __name__ == "__main__":
    source, model, out, kills, seed = sys.argv[1:]
    print(json.dumps(kill_some(source, model, Path(out), int(kills), int(seed))))
