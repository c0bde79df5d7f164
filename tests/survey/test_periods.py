import json

import numpy as np
import pyarrow as pa
import pytest

from goodricke.data.examples import example_files
from goodricke.data.lightcurves import LightCurves
from goodricke.io import read
from goodricke.survey import variability
from goodricke.survey.variability import dominant_variability, measure_variability, read_variability
from tests.making import sine


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """Write 250 light curves: sines, some of one star in two sectors, some that nothing can be found in."""
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 60, 250)
    counts[:6] = 0, 3, 5, 40, 40, 40
    parts = [sine(n, 0.3 + 0.01 * k, seed=k) for k, n in enumerate(counts)]
    curves = LightCurves.from_arrays(
        [f"S{k // 2}" for k in range(250)],
        np.append(0, np.cumsum(counts)),
        np.concatenate([time for time, _ in parts]),
        np.concatenate([value for _, value in parts]),
        unit="mag",
        time_scale="MJD",
    ).with_columns(sector=pa.array(14 + np.arange(250) % 2, pa.int32()))
    path = tmp_path_factory.mktemp("survey") / "curves.parquet"
    curves.write_parquet(path)
    return path


def test_one_row_per_light_curve_in_order(survey, tmp_path):
    measured = read_variability(measure_variability(str(survey), tmp_path / "p", rows=60, with_spectrum={"S2"}))
    curves = read(survey)
    assert measured["object_id"].to_pylist() == curves.ids
    assert measured["sector"].to_pylist() == curves.column("sector").tolist()
    direct = dominant_variability(curves)
    assert measured["f1_status"].to_pylist() == direct.status.tolist()
    np.testing.assert_array_equal(measured["f1"].to_numpy(), direct.f1)
    assert measured["f1"].null_count == (direct.status != "OK").sum() > 0
    drawn = [name for name, s in zip(curves.ids, measured["spectrum"].to_pylist(), strict=True) if s is not None]
    assert drawn == ["S2", "S2"]
    told = json.loads((tmp_path / "p" / "manifest.json").read_text())
    assert (told["kind"], told["rows"], len(told["shards"])) == ("periods", 250, 5)


def test_two_processes_find_what_one_finds(survey, tmp_path):
    one, two = (
        read_variability(measure_variability(str(survey), tmp_path / str(n), workers=n, rows=70)) for n in (1, 2)
    )
    assert one.equals(two)


def test_resumed_is_uninterrupted(survey, tmp_path, monkeypatch):
    whole = read_variability(measure_variability(str(survey), tmp_path / "whole", rows=60))
    true, written = variability.write_shard, []

    def fails_at_third(path, table, rows, **told):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path)
        return true(path, table, rows, **told)

    monkeypatch.setattr(variability, "write_shard", fails_at_third)
    with pytest.raises(KeyboardInterrupt):
        measure_variability(str(survey), tmp_path / "broken", rows=60)
    monkeypatch.setattr(variability, "write_shard", true)
    before = [path.stat().st_mtime_ns for path in written]
    ticks = []
    measure_variability(str(survey), tmp_path / "broken", rows=60, tick=ticks.append)
    assert read_variability(tmp_path / "broken").equals(whole)
    assert [path.stat().st_mtime_ns for path in written] == before
    assert sum(ticks) == 250
    measure_variability(str(survey), tmp_path / "broken", rows=60)  # done: nothing to do
    assert read_variability(tmp_path / "broken").equals(whole)


def test_other_light_curves_are_refused(survey, tmp_path, monkeypatch):
    changing = tmp_path / "changing.parquet"
    curves = read(survey)
    curves[:60].write_parquet(changing)
    monkeypatch.setattr(variability.Folder, "finish", lambda self: None)  # as if killed before the end
    monkeypatch.setattr(variability.SurveyTask, "fingerprint", "same")  # of a time of change that is too coarse
    measure_variability(str(changing), tmp_path / "p", rows=30)
    curves[100:200].write_parquet(changing)
    with pytest.raises(ValueError, match="other light curves"):
        measure_variability(str(changing), tmp_path / "p", rows=30)


def test_unreadable_files_have_their_row(tmp_path):
    bad = tmp_path / "bad.fits"
    bad.write_bytes(b"SIMPLE  =  nonsense")
    measured = read_variability(measure_variability([*example_files()[:2], str(bad)], tmp_path / "p"))
    assert len(measured) == 3
    row = next(r for r in measured.to_pylist() if r["f1_status"] == "UNREADABLE")
    assert (row["object_id"], row["source"], row["f1"]) == ("bad.fits", str(bad), None)


def test_a_catalog_of_predictions_is_no_source(tmp_path):
    variability.Folder(tmp_path / "c", "catalog", {}).begin()
    with pytest.raises(ValueError, match="not light curves"):
        measure_variability(str(tmp_path / "c"), tmp_path / "p")


def test_catalina_periods(shared, tmp_path):
    import pandas as pd

    data = shared / "data" / "crts_periodic"
    if not (data / "labels.csv").exists():
        pytest.skip("no Catalina light curves on this machine")
    labels = pd.read_csv(data / "labels.csv", dtype={"id": str}).set_index("id")
    curves = read(data / "lightcurves.parquet")
    chosen = np.flatnonzero(labels.reindex(curves.ids)["label"].isin(["RRab", "RRc"]))[:60]
    curves[chosen].write_parquet(tmp_path / "few.parquet")
    measured = read_variability(measure_variability(str(tmp_path / "few.parquet"), tmp_path / "p"))
    cycles = measured["f1"].to_numpy() * labels.reindex(measured["object_id"].to_pylist())["period"].to_numpy()
    assert np.mean(np.abs(cycles - 1) < 1e-3) > 0.75  # the others are aliases


@pytest.mark.parametrize("collection", [False, True])
def test_hats_catalogs_are_read_without_their_margins(survey, tmp_path, collection):
    dataset = tmp_path / "hats" / ("objects" if collection else ".") / "dataset" / "Norder=0" / "Dir=0"
    dataset.mkdir(parents=True)
    read(survey)[:20].write_parquet(dataset / "Npix=3.parquet")
    (dataset.parents[2] / "hats.properties").write_text("obs_collection=x\n")
    (dataset.parents[1] / "_common_metadata").write_bytes(b"not a shard")
    if collection:
        (tmp_path / "hats" / "collection.properties").write_text("obs_collection=x\nhats_primary_table_url=objects\n")
        margin = tmp_path / "hats" / "margin" / "dataset"
        margin.mkdir(parents=True)
        (margin / "Npix=3.parquet").write_bytes(b"")
    measured = read_variability(measure_variability(str(tmp_path / "hats"), tmp_path / "p"))
    assert measured["object_id"].to_pylist() == read(survey).ids[:20]


def test_light_curves_that_changed_are_not_taken_for_measured(survey, tmp_path):
    path = tmp_path / "curves.parquet"
    read(survey)[:20].write_parquet(path)
    measure_variability(str(path), tmp_path / "p")
    read(survey)[20:40].write_parquet(path)
    with pytest.raises(ValueError, match="begun with other settings: light curves"):
        measure_variability(str(path), tmp_path / "p")


def test_subfolders_are_searched_when_asked_for(survey, tmp_path):
    curves = read(survey)
    for name, part in (("a", curves[:3]), ("sub/b", curves[3:5])):
        path = tmp_path / "in" / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        part.write_parquet(path)
    assert len(read_variability(measure_variability(str(tmp_path / "in"), tmp_path / "p", recursive=True))) == 5
