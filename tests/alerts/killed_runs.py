"""Process a stream in processes that are killed at random moments.

``python -m tests.alerts.killed_runs MODEL FOLDER KILLS`` writes FOLDER/undisturbed and FOLDER/killed-1, -2, ... and
prints the number of the latter as JSON. The store is an LMDB store, a file stands for the topic of the answers (a line
is published once it is flushed to the disk), and every run is a fork of this process, which has imported all and
computed nothing.
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

from goodricke.alerts.answers import DeadLetter
from goodricke.alerts.engine import Engine
from goodricke.alerts.store import LmdbStore
from goodricke.io.packets import PacketOptions, decode
from goodricke.models.bundle import load_model
from tests.alerts.streams import augment, by_partition, light_curves, slim_stream

PARTITIONS, OBJECTS, MAX_OBS = 2, 20, 60


def stream():
    """Return the messages of each partition."""
    return by_partition(augment(slim_stream(light_curves(OBJECTS, MAX_OBS, seed=21)), seed=5), PARTITIONS)


def create_engine(model: str, folder: Path) -> Engine:
    """Return an engine on the folder's store; it keeps few observations, so that there are bases."""
    decoder = partial(decode, format="slim", options=PacketOptions(compiled=False))
    return Engine(load_model(model), LmdbStore(folder / "state", sync=False), decoder, keep=8)


def work(model: str, folder: Path, seed: int) -> None:
    """Process all messages that are left, in batches of random sizes."""
    rng, messages = random.Random(seed), stream()
    engine = create_engine(model, folder)
    with open(folder / "answers", "ab") as answers, open(folder / "dead", "ab") as dead:

        def publish(lines) -> None:
            answers.write(b"".join(line + b"\n" for line in lines))
            answers.flush()
            os.fsync(answers.fileno())

        def send_dead_letters(letters: list[DeadLetter]) -> None:
            places = ((letter.message.partition, letter.message.offset) for letter in letters)
            dead.write(b"".join(b"%d %d\n" % place for place in places))
            dead.flush()

        offsets = {}
        for number in messages:
            offsets[number] = engine.assign(number)
            again = engine.recover(number)
            if again is not None:
                publish(again.to_json())
        while any(offsets[number] < len(messages[number]) for number in messages):
            number = rng.choice([n for n in messages if offsets[n] < len(messages[n])])
            start = max(offsets[number] - rng.randint(0, 5), 0)  # a broker may deliver some again
            batch = messages[number][start : offsets[number] + rng.randint(1, 60)]
            result = engine.process(batch, send_dead_letters)
            publish(result.answers.to_json())
            offsets[number] = result.offset
    engine.close()


def fork(model: str, folder: Path, seed: int) -> int:
    """Start a run in a new process and return its number."""
    pid = os.fork()
    if pid == 0:
        try:
            work(model, folder, seed)
            os._exit(0)
        except BaseException as error:
            print(f"the run failed: {error!r}", file=sys.stderr)
            os._exit(99)
    return pid


def run_with_kills(model: str, folder: Path, kills: int, duration: float, rng: random.Random) -> int:
    """Start a run again each time it is killed, at most ``kills`` times, until it is done; return the number of kills.

    Raises
    ------
    RuntimeError
        If a run fails.
    """
    for killed in range(kills + 1):
        pid = fork(model, folder, rng.randrange(1 << 30))
        if killed < kills:
            time.sleep(rng.uniform(0.5, 2.0) * duration / kills + rng.uniform(0, 0.05))
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status):
            break
    if status:
        raise RuntimeError(f"a run ended with status {status}")
    return killed


def main(model: str, folder: Path, kills: int) -> None:
    """Run once without kills, then from the beginning with kills, again if a run is done before all kills."""
    rng, rounds, started = random.Random(0), 0, time.monotonic()
    (folder / "undisturbed").mkdir()
    run_with_kills(model, folder / "undisturbed", 0, 0.0, rng)
    duration = time.monotonic() - started
    while kills > 0:
        rounds += 1
        (folder / f"killed-{rounds}").mkdir()
        kills -= run_with_kills(model, folder / f"killed-{rounds}", kills, duration, rng)
    print(json.dumps({"rounds": rounds}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
