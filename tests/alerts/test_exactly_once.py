"""Promise 8: killed at any moment, whatever the stream, the states and last answers are the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lmdb", reason="needs goodricke[alerts]")

from goodricke.alerts.object_record import ObjectRecord
from goodricke.alerts.store import LmdbStore
from goodricke.models.bundle import load_model
from goodricke.models.recurrent_state import State
from tests.alerts.killed_runs import OBJECTS
from tests.alerts.streams import save_tiny_model

ROOT = Path(__file__).parents[2]


def last_answers(folder) -> dict[str, dict]:
    last: dict[str, dict] = {}
    for line in (folder / "answers").read_text().splitlines():
        answer = json.loads(line)
        before = last.get(answer["object_id"])
        if before is None or answer["offset"] >= before["offset"]:
            last[answer["object_id"]] = answer
    return last


def read_records(folder) -> dict[str, ObjectRecord]:
    store = LmdbStore(folder / "state", readonly=True)
    parts = [store.partition(number) for number in store.partitions()]
    return {key.decode(): ObjectRecord.frombytes(bytes(data)) for part in parts for key, data in part.items()}


def test_ten_kills_change_nothing(tmp_path):
    model = save_tiny_model(tmp_path / "m")
    command = [sys.executable, "-m", "tests.alerts.killed_runs", model, str(tmp_path), "10"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    rounds = json.loads(done.stdout)["rounds"]
    assert 1 <= rounds < 10  # a run that is done early is followed by another from the beginning
    for k in range(rounds):
        compare(tmp_path / f"killed-{k + 1}", tmp_path / "undisturbed", model)


def compare(one: Path, two: Path, model: str) -> None:
    answers, expected = last_answers(one), last_answers(two)
    assert answers.keys() == expected.keys()
    assert len(answers) == OBJECTS
    for name, answer in answers.items():
        other = expected[name]
        for key in ("class", "status", "n_obs", "n_missing", "time", "offset", "partition", "ra", "dec"):
            assert answer[key] == other[key], (name, key)
        for key in ("p_A", "p_B", "p_C"):
            assert answer[key] == other[key] or answer[key] == pytest.approx(other[key], abs=1e-5)
    records, others, config = read_records(one), read_records(two), load_model(model).network.config
    assert records.keys() == others.keys()
    for name, record in records.items():
        other = others[name]
        for key in ("points", "base_hashes", "missing_hashes"):
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
    assert dead[0] == dead[1]  # some perhaps twice
    assert len(dead[0]) > 20
