"""Promise 8: killed at any moment, whatever the stream, the states and last answers are the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lmdb", reason="needs goodricke[alerts]")

from goodricke.alerts.record import Record
from goodricke.alerts.store import LmdbStore
from goodricke.models.bundle import load_model
from goodricke.models.recurrent_state import State
from tests.alerts.streams import tiny_model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "m"
    tiny_model().save(folder, "# m\n\nUntrained, for tests.\n", half=False)
    return str(folder)


def killed(model, folder, kills, seed=1):
    command = [sys.executable, "-m", "tests.alerts.killing", model, str(folder), str(kills), str(seed)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["code"] == 0, done.stderr
    return told["kills"]


def last_answers(folder) -> dict[str, dict]:
    last: dict[str, dict] = {}
    for line in (folder / "answers").read_text().splitlines():
        answer = json.loads(line)
        before = last.get(answer["object_id"])
        if before is None or answer["offset"] >= before["offset"]:
            last[answer["object_id"]] = answer
    return last


def records(folder) -> dict[str, Record]:
    store = LmdbStore(folder / "state", readonly=True)
    parts = [store.partition(number) for number in store.partitions()]
    return {key.decode(): Record.frombytes(bytes(data)) for part in parts for key, data in part.items()}


def test_sixty_kills_change_nothing(tmp_path, model):
    assert killed(model, tmp_path / "whole", 0) == 0
    kills, rounds = 0, 0
    while kills < 60:  # a run that comes to its end early is followed by another from the beginning
        rounds += 1
        folder = tmp_path / f"killed-{rounds}"
        kills += killed(model, folder, 60 - kills, seed=rounds)
        compare(folder, tmp_path / "whole", model)
    assert rounds < 10


def compare(one: Path, two: Path, model: str) -> None:
    answers, expected = last_answers(one), last_answers(two)
    assert answers.keys() == expected.keys()
    assert len(answers) == 25
    for name, answer in answers.items():
        other = expected[name]
        for key in ("class", "status", "n_obs", "n_missing", "time", "offset", "partition", "ra", "dec"):
            assert answer[key] == other[key], (name, key)
        for key in ("p_A", "p_B", "p_C"):
            assert answer[key] == other[key] or answer[key] == pytest.approx(other[key], abs=1e-5)
    mine, its, config = records(one), records(two), load_model(model).network.config
    assert mine.keys() == its.keys()
    for name, record in mine.items():
        other = its[name]
        for key in ("points", "folded", "missing"):
            assert np.array_equal(getattr(record, key), getattr(other, key)), (name, key)
        for key in ("n_obs", "partition", "offset"):
            assert getattr(record, key) == getattr(other, key), (name, key)
        for a, b in ((record.state, other.state), (record.base, other.base)):
            assert bool(a) == bool(b)
            if a:
                x, y = State.frombytes([a], config).records, State.frombytes([b], config).records
                np.testing.assert_allclose(x["central_cells"], y["central_cells"], atol=1e-4)
                np.testing.assert_allclose(x["band_cells"], y["band_cells"], atol=1e-4)
                assert (x["bands"]["count"] == y["bands"]["count"]).all()
    dead = [set((folder / "dead").read_text().splitlines()) for folder in (one, two)]
    assert dead[0] == dead[1]  # each told of, some perhaps twice
    assert len(dead[0]) > 20
