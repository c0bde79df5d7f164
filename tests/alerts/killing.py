"""Take a stream in processes that are killed at random moments; prints the number of kills as JSON.

``python -m tests.alerts.killing MODEL FOLDER KILLS SEED``: the store is an LMDB store, a file stands for the topic of
the answers (a line is published once it is flushed to the disk), and every run is a fork of this process, which has
imported all and computed nothing.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from functools import partial
from pathlib import Path

from goodricke.alerts.engine import DeadLetter, Engine
from goodricke.alerts.store import LmdbStore
from goodricke.io.packets import PacketOptions, decode
from goodricke.models.bundle import load_model
from tests.alerts.streams import keyed, light_curves, partitioned, troubled

PARTITIONS = 2


def stream():
    """Return the messages of each partition."""
    return partitioned(troubled(keyed(light_curves(25, 90, seed=21)), seed=5), PARTITIONS)


def engine(model: str, folder: Path) -> Engine:
    """Return an engine on the folder's store; few observations are kept, so that bases are made."""
    decoder = partial(decode, format="slim", options=PacketOptions(compiled=False))
    return Engine(load_model(model), LmdbStore(folder / "state", sync=False), decoder, keep=8)


def work(model: str, folder: Path, seed: int) -> None:
    """Take all that is left, in batches of random sizes."""
    rng, messages = random.Random(seed), stream()
    made = engine(model, folder)
    with open(folder / "answers", "ab") as answers, open(folder / "dead", "ab") as dead:

        def publish(lines) -> None:
            answers.write(b"".join(line + b"\n" for line in lines))
            answers.flush()
            os.fsync(answers.fileno())

        def bury(letters: list[DeadLetter]) -> None:
            dead.write(b"".join(b"%d %d\n" % (each.message.partition, each.message.offset) for each in letters))
            dead.flush()

        places = {}
        for number in messages:
            places[number] = made.assign(number)
            again = made.recover(number)
            if again is not None:
                publish(again.as_json())
        while any(places[number] < len(messages[number]) for number in messages):
            number = rng.choice([n for n in messages if places[n] < len(messages[n])])
            start = max(places[number] - rng.randint(0, 5), 0)  # a broker may give some again
            some = messages[number][start : places[number] + rng.randint(1, 60)]
            taken = made.take(some, bury)
            publish(taken.answers.as_json())
            places[number] = taken.offset
    made.close()


def forked(model: str, folder: Path, seed: int) -> int:
    """Begin a run in a new process and return its number."""
    pid = os.fork()
    if pid == 0:
        try:
            work(model, folder, seed)
            os._exit(0)
        except BaseException as error:
            print(f"the run failed: {error!r}", file=sys.stderr)
            os._exit(99)
    return pid


def kill_some(model: str, folder: Path, kills: int, seed: int) -> dict[str, int]:
    """Begin again and again and kill, until killed so often in mid-stream, then let it end."""
    rng, done, whole = random.Random(seed), 0, 0
    folder.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    if kills:
        trial = folder / "trial"
        trial.mkdir()
        os.waitpid(forked(model, trial, seed), 0)
        whole = time.monotonic() - begun
    while done < kills:
        pid = forked(model, folder, rng.randrange(1 << 30))
        time.sleep(rng.uniform(0.5, 2.0) * whole / kills + rng.uniform(0, 0.05))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status):
            break  # it has come to the end
        done += 1
    _, status = os.waitpid(forked(model, folder, seed), 0)
    return {"kills": done, "code": os.WEXITSTATUS(status)}


if __name__ == "__main__":
    model, folder, kills, seed = sys.argv[1:]
    print(json.dumps(kill_some(model, Path(folder), int(kills), int(seed))))
