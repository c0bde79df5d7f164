"""Replay: archived light curves into an engine or to a topic, and the demonstration."""

import json
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from astropy.table import Table
from typer.testing import CliRunner

pytest.importorskip("lmdb", reason="needs goodricke[alerts]")

from goodricke import classify
from goodricke.alerts import replay as module
from goodricke.alerts.answers import Message
from goodricke.alerts.engine import Engine, EngineCounts, create_engine
from goodricke.alerts.monitoring import RECENT, Metrics
from goodricke.alerts.replay import Pace, feed_topic, observation_times, slim_packets
from goodricke.alerts.store import LmdbStore, MemoryStore
from goodricke.cli import app
from goodricke.io.packets import PacketOptions, decode
from goodricke.models.bundle import load_model
from tests.alerts.streams import light_curves, slim_stream, tiny_model


def invoke(*arguments):
    return CliRunner().invoke(app, ["alerts", "replay", *map(str, arguments), "--no-live"])


def test_a_replay_ends_with_the_answers_of_whole_light_curves(replayed, curves):
    answers = pq.read_table(replayed / "answers.parquet").to_pandas().set_index("object_id").loc[curves.ids]
    expected = classify(curves, load_model(replayed / "m"))
    assert answers["status"].tolist() == expected.column("status").tolist()
    ok = expected.ok
    np.testing.assert_allclose(answers["p_A"].to_numpy()[ok], expected.column("p_A")[ok], atol=1e-5)
    assert answers["n_obs"].tolist() == curves.n_obs.tolist()


def test_a_replay_skips_what_its_store_has(replayed):
    before = dict(LmdbStore(replayed / "state", readonly=True).partition(0).items())
    result = invoke(replayed / "curves.parquet", "--model", replayed / "m", "--state", replayed / "state")
    assert result.exit_code == 0
    assert "of them were skipped" in result.output
    assert dict(LmdbStore(replayed / "state", readonly=True).partition(0).items()) == before


def test_answers_in_other_formats(replayed, tmp_path):
    expected = pq.read_table(replayed / "answers.parquet").to_pydict()
    stream = (replayed / "curves.parquet", "--model", replayed / "m")
    for name in ("answers.csv", "answers.json"):
        assert invoke(*stream, "--out", tmp_path / name).exit_code == 0
    table = pyarrow.csv.read_csv(tmp_path / "answers.csv")
    assert table["object_id"].to_pylist() == expected["object_id"]
    rows = [json.loads(line) for line in (tmp_path / "answers.json").read_text().splitlines()]
    assert [row["n_obs"] for row in rows] == table["n_obs"].to_pylist() == expected["n_obs"]
    assert [row["p_A"] for row in rows] == [None if p is None else pytest.approx(p, abs=1e-6) for p in expected["p_A"]]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".fits"])
def test_all_objects_of_the_store_are_written_whichever_run_brought_them(replayed, tmp_path, suffix):
    state, out = tmp_path / "state", tmp_path / f"answers{suffix}"
    assert invoke(replayed / "curves.parquet", "--model", replayed / "m", "--state", state).exit_code == 0
    result = invoke(replayed / "curves.parquet", "--model", replayed / "m", "--state", state, "--out", out)
    assert result.exit_code == 0, result.output
    if suffix == ".fits":
        ids = [name.strip() for name in Table.read(out)["object_id"].tolist()]
    else:
        ids = (pq.read_table(out) if suffix == ".parquet" else pyarrow.csv.read_csv(out))["object_id"].to_pylist()
    assert sorted(ids) == sorted(pq.read_table(replayed / "answers.parquet")["object_id"].to_pylist())


def test_a_replay_of_which_nothing_fits_is_an_error(replayed, tmp_path):
    light_curves(3, 9, seed=5).rename_bands({"g": "u", "r": "z"}).write_parquet(tmp_path / "u.parquet")
    result = invoke(tmp_path / "u.parquet", "--model", replayed / "m")
    assert result.exit_code == 2
    assert "could be used" in result.stderr
    assert "in a band that the model doesn't know" in result.stderr


def test_times_are_those_of_the_packets():
    curves = light_curves(5, 9, seed=3)
    value = curves.value.copy()
    value[4] = np.nan
    curves = replace(curves, value=value)
    alerts = decode([packet for _, packet in slim_packets(curves)], "slim")
    assert alerts.new.time.tolist() == observation_times(curves).tolist()


def test_the_speed_of_a_replay():
    pace, started = Pace(100.0), time.monotonic()
    for day in (0.0, 5.0, 20.0):
        pace.wait_for(day)
    assert time.monotonic() - started >= 0.199
    with pytest.raises(ValueError, match="above 0"):
        Pace(0)


def test_models_without_a_state_are_refused(replayed):
    assert invoke(replayed / "curves.parquet", "--model", "variables").exit_code == 2


def test_a_replay_warns_of_bands_that_the_model_does_not_know(replayed, caplog, monkeypatch):
    read = module.read
    monkeypatch.setattr(module, "read", lambda *a, **o: replace(read(*a, **o), bands=("u", "J")))
    with pytest.raises(ValueError, match="in a band that the model doesn't know"):
        module.replay(module.stream_light_curves([str(replayed / "curves.parquet")], {}), str(replayed / "m"))
    assert "observations in u, J are left out" in caplog.text


def test_the_store_of_a_replay_is_not_a_workers(replayed):
    engine = create_engine(str(replayed / "m"), str(replayed / "state"), False, "slim", PacketOptions(unit="mag"))
    with pytest.raises(ValueError, match="was made for"):
        engine.assign(0)


def test_a_wrong_file_name_is_refused_before_the_work(tmp_path):
    result = invoke(tmp_path / "nothing.parquet", "--model", "nothing", "--out", tmp_path / "answers.txt")
    assert result.exit_code == 2
    assert "can't write .txt" in result.stderr


def test_messages_that_no_broker_takes_are_an_error():
    pytest.importorskip("confluent_kafka", reason="needs goodricke[alerts]")
    kafka = {"bootstrap.servers": "127.0.0.1:9", "message.timeout.ms": 300, "log_level": 0}
    with pytest.raises(RuntimeError, match=r"doesn't take the messages: 3 of 3"):
        feed_topic(iter([(b"a", b"1")] * 3), None, "t", kafka)


def test_lasair_annotations(replayed):
    decoder = partial(decode, format="slim", options=PacketOptions(compiled=False))
    engine = Engine(load_model(replayed / "m"), MemoryStore(), decoder)
    stream = slim_stream(light_curves(3, 30, seed=51))
    answers = engine.process([Message(i, value) for i, (_, value) in enumerate(stream)]).answers
    notes = [json.loads(note) for note in answers.to_lasair()]
    assert [note["objectId"] for note in notes] == answers.object_id
    assert all(set(note["classdict"]) == {"A", "B", "C"} for note in notes)
    assert notes[0]["version"].startswith("m ")


def test_batch_times_add_up_over_more_than_the_recent_ones():
    metrics = Metrics(EngineCounts())
    engine = Engine(tiny_model(), MemoryStore(), partial(decode, format="slim"))
    answers = engine.process([Message(0, slim_stream(light_curves(1, 1))[0][1])]).answers
    for _ in range(RECENT + 500):
        metrics.add_batch(answers, 0.5, 0.0)
    (batches,) = [family for family in metrics.collect() if family.name == "goodricke_batches"]
    values = {sample.name[18:]: sample.value for sample in batches.samples}
    assert values == {"count": RECENT + 500, "sum": 0.5 * (RECENT + 500)}
