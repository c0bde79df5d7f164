"""A row per observation: the answer from all observations up to it."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

pytest.importorskip("lmdb", reason="needs goodricke[alerts]")

from goodricke import classify
from goodricke.alerts.history import observation_history
from goodricke.cli import app
from goodricke.data.lightcurves import LightCurves
from tests.alerts.streams import light_curves, tiny_model


def test_each_row_is_the_answer_to_the_light_curve_so_far():
    curves, model = light_curves(4, 12, seed=9), tiny_model()
    rows = observation_history(curves, model).to_pandas()
    assert rows["object_id"].tolist() == [
        name for name, n in zip(curves.ids, curves.n_obs, strict=True) for _ in range(n)
    ]
    np.testing.assert_array_equal(rows["time"], curves.time)
    assert rows["band"].tolist() == [curves.bands[b] for b in curves.band]
    for i, name in enumerate(curves.ids):
        mine = rows[rows.object_id == name].reset_index()
        for k in range(len(mine)):
            so_far = classify(curves[i].where(np.arange(len(curves[i].time)) <= k), model)
            assert mine["status"][k] == so_far.column("status")[0]
            assert mine["n_obs"][k] == so_far.column("n_obs")[0]
            if mine["status"][k] == "OK":
                np.testing.assert_allclose(mine["p_A"][k], so_far.column("p_A")[0], atol=1e-5)


def test_observations_in_other_bands_have_no_row_and_nothing_has_the_same_columns():
    curves, model = light_curves(3, 9, seed=10), tiny_model()
    some = observation_history(curves.rename_bands({"r": "z"}), model)
    assert set(some["band"].to_pylist()) == {"g"}
    none = observation_history(LightCurves.from_arrays([], [0], [], [], unit="mag", bands=("g",)), model)
    assert none.schema.names == some.schema.names
    assert len(none) == 0


def test_a_replay_writes_the_history(replayed, tmp_path):
    out = tmp_path / "history.parquet"
    command = ["alerts", "replay", str(replayed / "curves.parquet"), "--model", str(replayed / "m"), "--no-live"]
    result = CliRunner().invoke(app, [*command, "--history", str(out)])
    assert result.exit_code == 0, result.output
    last = pq.read_table(out).to_pandas().groupby("object_id").last()
    answers = pq.read_table(replayed / "answers.parquet").to_pandas().set_index("object_id").loc[last.index]
    assert last["n_obs"].tolist() == answers["n_obs"].tolist()
    np.testing.assert_allclose(last["p_A"], answers["p_A"], atol=1e-5)
