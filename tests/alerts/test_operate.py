"""Replay, shadow, the look into a store and the commands, on one small stream."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tests.alerts.streams import keyed, light_curves, tiny_model

pytest.importorskip("lmdb", reason="needs goodricke[alerts]")

from goodricke import classify
from goodricke.alerts import inspect_store
from goodricke.alerts.answers import Answers
from goodricke.alerts.replay import Pace
from goodricke.alerts.store import LmdbStore
from goodricke.cli import app
from goodricke.models.bundle import load_model


@pytest.fixture(scope="module")
def curves():
    return light_curves(30, 40, seed=50)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, curves):
    """Return a folder with a model, light curves, and the store and answers of a replay."""
    made = tmp_path_factory.mktemp("replay")
    tiny_model().save(made / "m", "# m\n\nUntrained, for tests.\n", half=False)
    curves.write_parquet(made / "curves.parquet")
    command = ["alerts", "replay", str(made / "curves.parquet"), "--model", str(made / "m"), "--no-live"]
    command += ["--state", str(made / "state"), "--out", str(made / "answers.parquet"), "--batch", "70"]
    result = CliRunner().invoke(app, [*command, "--shadow", str(made / "m")])
    assert result.exit_code == 0, result.output
    assert "disagree on 0.0% of" in result.output
    return made


def test_a_replay_ends_with_the_answers_of_whole_light_curves(folder, curves):
    answers = pq.read_table(folder / "answers.parquet").to_pandas().set_index("object_id").loc[curves.ids]
    whole = classify(curves, load_model(folder / "m"))
    assert answers["status"].tolist() == whole.column("status").tolist()
    ok = whole.ok
    np.testing.assert_allclose(answers["p_A"].to_numpy()[ok], whole.column("p_A")[ok], atol=1e-5)
    assert answers["n_obs"].tolist() == curves.n_obs.tolist()


def test_a_replay_goes_on_behind_what_its_store_has(folder):
    before = dict(LmdbStore(folder / "state", readonly=True).partition(0).items())
    command = ["alerts", "replay", str(folder / "curves.parquet"), "--model", str(folder / "m"), "--no-live"]
    assert CliRunner().invoke(app, [*command, "--state", str(folder / "state")]).exit_code == 0
    assert dict(LmdbStore(folder / "state", readonly=True).partition(0).items()) == before


def test_the_store_is_listed_shown_exported_and_verified(folder, tmp_path, curves):
    where = str(folder / "state")
    run = CliRunner().invoke
    assert "30" in run(app, ["alerts", "state", "ls", where]).output
    shown = run(app, ["alerts", "state", "show", where, "object 3"]).output
    assert f"n_obs  {curves.n_obs[3]}" in shown
    assert run(app, ["alerts", "state", "show", where, "nobody"]).exit_code == 2
    out = tmp_path / "objects.parquet"
    assert (
        run(app, ["alerts", "state", "export", where, "--out", str(out), "--model", str(folder / "m")]).exit_code == 0
    )
    table = pq.read_table(out).to_pandas().set_index("object_id").loc[curves.ids]
    answers = pq.read_table(folder / "answers.parquet").to_pandas().set_index("object_id").loc[curves.ids]
    assert table["class"].fillna("").tolist() == answers["class"].fillna("").tolist()
    np.testing.assert_allclose(table["p_A"], answers["p_A"], atol=1e-6)
    verified = run(app, ["alerts", "state", "verify", where])
    assert verified.exit_code == 0
    assert "30 records are sound, 0 are not" in verified.output


def test_what_a_shadow_found_is_in_its_store(folder):
    told = CliRunner().invoke(app, ["alerts", "state", "ls", str(folder / "state-shadow")]).output
    assert "another class than the first model's in 0.0% of" in " ".join(told.split())
    assert "another class" not in CliRunner().invoke(app, ["alerts", "state", "ls", str(folder / "state")]).output
    report = inspect_store.disagreement(str(folder / "state-shadow"))
    assert report is not None
    assert report.compared > 100
    assert (report.differing, report.alone) == (0, 0)


def test_damage_is_found(folder, tmp_path):
    import shutil

    shutil.copytree(folder / "state", tmp_path / "s")
    part = LmdbStore(tmp_path / "s").partition(0)
    key, data = next(iter(part.items()))
    part.commit({bytes(key): bytes(data[:-1]) + b"\xff"}, part.offset, part.offset)
    part.close()
    result = CliRunner().invoke(app, ["alerts", "state", "verify", str(tmp_path / "s")])
    assert result.exit_code == 3
    assert "29 records are sound, 1 are not" in result.output


def test_stale_objects_expire_and_the_copy_is_compact(folder, tmp_path):
    import shutil

    shutil.copytree(folder / "state", tmp_path / "s")
    where = str(tmp_path / "s")
    assert inspect_store.expire(where, days=1) == 0
    assert inspect_store.expire(where, days=1, now=4e9) == 30
    assert inspect_store.verify(where) == (0, [])
    before, after = inspect_store.compact(where, tmp_path / "t")
    assert after < before
    assert LmdbStore(tmp_path / "t", readonly=True).partition(0).offset > 0


def test_lasair_annotations(folder):
    from functools import partial

    from goodricke.alerts.engine import Engine, Message
    from goodricke.alerts.store import MemoryStore
    from goodricke.io.packets import PacketOptions, decode

    decoder = partial(decode, format="slim", options=PacketOptions(compiled=False))
    made = Engine(load_model(folder / "m"), MemoryStore(), decoder)
    stream = keyed(light_curves(3, 30, seed=51))
    answers = made.take([Message(i, value) for i, (_, value) in enumerate(stream)]).answers
    notes = [json.loads(note) for note in answers.as_lasair()]
    assert [note["objectId"] for note in notes] == answers.object_id
    assert all(set(note["classdict"]) == {"A", "B", "C"} for note in notes)
    assert notes[0]["version"].startswith("m ")


def test_the_speed_of_a_replay():
    import time

    pace, begun = Pace(100.0), time.monotonic()
    for day in (0.0, 5.0, 20.0):
        pace.wait_for(day)
    assert time.monotonic() - begun >= 0.199
    with pytest.raises(ValueError, match="above 0"):
        Pace(0)


def test_models_without_a_state_are_refused(folder):
    command = ["alerts", "replay", str(folder / "curves.parquet"), "--model", "asas-v", "--no-live"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2


def test_an_export_is_parquet_with_the_names_of_its_own_model(folder, tmp_path):
    with pytest.raises(ValueError, match=r"call the file objects\.parquet"):
        inspect_store.export(str(folder / "state"), tmp_path / "objects.csv")
    with pytest.raises(ValueError, match="it has 14 classes"):
        inspect_store.export(str(folder / "state"), tmp_path / "objects.parquet", tuple("ABCDEFGHIJKLMN"))
    assert not list(tmp_path.iterdir())


def test_a_folder_of_other_files_is_no_store(folder):
    with pytest.raises(ValueError, match="no store there, but other files"):
        inspect_store.verify(str(folder))


def test_a_replay_names_bands_that_the_model_does_not_know(folder, caplog, monkeypatch):
    from dataclasses import replace

    from goodricke.alerts import operate

    read = operate.read
    monkeypatch.setattr(operate, "read", lambda *a, **o: replace(read(*a, **o), bands=("u", "J")))
    stream = operate.light_curves([str(folder / "curves.parquet")], {})
    operate.replay(stream, str(folder / "m"), "memory:", False, None, None, 1000, None, False)
    assert "observations in u, J are left out" in caplog.text


def test_the_store_of_a_replay_is_not_a_workers(folder):
    from goodricke.alerts.operate import engine_for
    from goodricke.io.packets import PacketOptions

    made = engine_for(str(folder / "m"), str(folder / "state"), False, "slim", PacketOptions(unit="mag"))
    with pytest.raises(ValueError, match="was made for"):
        made.assign(0)


def test_a_replay_says_what_it_leaves_out(folder):
    command = ["alerts", "replay", str(folder / "curves.parquet"), "--model", str(folder / "m"), "--no-live"]
    result = CliRunner().invoke(app, [*command, "--state", str(folder / "state")])
    assert "of them were left out" in result.output


def test_a_table_that_cannot_be_written_is_told_before_the_work(tmp_path):
    command = ["alerts", "replay", str(tmp_path / "nothing.parquet"), "--model", "nothing", "--no-live"]
    result = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "answers.txt")])
    assert result.exit_code == 2
    assert "can't write .txt" in result.stderr


def test_expiry_leaves_damaged_records_and_stops_when_a_worker_goes_on(folder, tmp_path, monkeypatch):
    import shutil

    from goodricke.alerts.store import Fenced

    shutil.copytree(folder / "state", tmp_path / "s")
    part = LmdbStore(tmp_path / "s").partition(0)
    key, data = next(iter(part.items()))
    part.commit({bytes(key): bytes(data[:-1]) + b"\xff"}, part.offset, part.offset)
    part.close()
    seen = inspect_store._stale

    def meanwhile(data, before):
        part = opened[0]
        if part.offset == first:
            part.commit({}, first, first + 1)
        return seen(data, before)

    opened, plain = [], LmdbStore.partition
    monkeypatch.setattr(LmdbStore, "partition", lambda self, n: opened.append(plain(self, n)) or opened[-1])
    part = LmdbStore(tmp_path / "s").partition(0)
    first = part.offset
    part.close()
    opened.clear()
    monkeypatch.setattr(inspect_store, "_stale", meanwhile)
    with pytest.raises(Fenced):
        inspect_store.expire(str(tmp_path / "s"), days=1, now=4e9)
    opened.pop().close()
    monkeypatch.setattr(inspect_store, "_stale", seen)
    assert inspect_store.expire(str(tmp_path / "s"), days=1, now=4e9) == 29


@pytest.mark.parametrize(
    ("state", "shadow"),
    [
        ("redis://h:1/0", "redis://h:1/0?prefix=goodricke-shadow"),
        ("redis://h:1/0?prefix=a&socket_timeout=5", "redis://h:1/0?prefix=a-shadow&socket_timeout=5"),
        ("some/state/", "some/state-shadow"),
        ("memory:", "memory:"),
    ],
)
def test_the_shadows_store_is_beside_its_streams(state, shadow):
    from goodricke.alerts.operate import _beside

    assert _beside(state) == shadow


def test_batch_times_add_up_over_more_than_the_recent_ones():
    from goodricke.alerts import monitoring
    from goodricke.alerts.answers import Counts

    made = monitoring.Metrics(Counts())
    for _ in range(monitoring.RECENT + 500):
        made.batch(Answers.none(("A",)), 0.5, 0.0)
    (batches,) = [family for family in made.collect() if family.name == "goodricke_batches"]
    assert {sample.name[18:]: sample.value for sample in batches.samples} == {
        "count": monitoring.RECENT + 500,
        "sum": 0.5 * (monitoring.RECENT + 500),
    }


def test_records_that_no_broker_takes_are_not_sent():
    pytest.importorskip("confluent_kafka", reason="needs goodricke[alerts]")
    from goodricke.alerts.replay import into_topic

    kafka = {"bootstrap.servers": "127.0.0.1:9", "message.timeout.ms": 300, "log_level": 0}
    with pytest.raises(RuntimeError, match=r"doesn't take the records: 3 of 3"):
        into_topic(iter([(b"a", b"1")] * 3), None, "t", kafka)


def test_errors_of_a_store_are_told_in_a_line(tmp_path):
    pytest.importorskip("redis", reason="needs goodricke[alerts]")
    result = CliRunner().invoke(app, ["alerts", "state", "ls", "redis://:secret@127.0.0.1:9/0"])
    assert result.exit_code == 2
    assert "ConnectionError" in result.stderr
    assert "secret" not in result.output
