import json
import xml.etree.ElementTree as ElementTree
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from goodricke.data.lightcurves import LightCurves
from goodricke.explorer import light_curves as drawing
from goodricke.explorer import periodograms
from goodricke.explorer.app import create_app
from goodricke.explorer.light_curves import Sources, thin
from goodricke.explorer.object_routes import links
from goodricke.explorer.session import find_model, open_explorer
from goodricke.inference import step_probabilities
from goodricke.preprocess import prepare
from goodricke.survey.similar import similar
from tests.alerts.streams import tiny_model
from tests.explorer.conftest import HERE, SEEN, rows

T = rows()


def mean_of(answer):
    return round(np.mean(answer["value"]))


def test_each_row_gets_its_own_light_curve(client, world):
    for row in (0, 1, 17, SEEN - 1):  # rows 0 and 1 are of one object, in different sectors
        got = client.get(f"/api/rows/{row}/light_curve").json()
        assert mean_of(got) == 10 + row
        assert got["time"] == sorted(got["time"])
        told = {"shown": 80, "total": 80, "bands": ["g", "r"], "unit": "mag", "magnitudes": True, "time_scale": "MJD"}
        assert {name: got[name] for name in told} == told
        mine = world.curves[[row]].sorted()
        assert [got["bands"][b] for b in got["band"]] == [world.curves.bands[b] for b in mine.band]
        assert got["period"] == pytest.approx(1 / T["f1"][row])
        assert got["t0"] == got["time"][0]


def test_a_few_of_many_points(client, world):
    got = client.get("/api/rows/3/light_curve?most=10").json()
    assert (got["shown"], got["total"], len(got["time"])) == (10, 80, 10)
    assert got == client.get("/api/rows/3/light_curve?most=10").json()
    assert set(got["time"]) < set(client.get("/api/rows/3/light_curve").json()["time"])
    assert thin(world.curves[[3]], 80) is not None


def test_the_description_of_a_row(client):
    row = int(np.flatnonzero(T["status"] == "OK")[5])
    got = client.get(f"/api/rows/{row}").json()
    assert [p["class"] for p in got["probabilities"]] == sorted(
        ["ECL", "PULS", "ROT"], key=lambda c: -T.loc[row, f"p_{c}"]
    )
    assert got["probabilities"][0]["spread"] == pytest.approx(0.1 * got["probabilities"][0]["p"], rel=1e-5)
    assert got["prediction_set"] == T["prediction_set"][row]
    assert got["novelty"] == T["novelty"][row]
    assert "embedding" not in got["fields"]
    bad = int(np.flatnonzero(T["status"] != "OK")[0])
    none = client.get(f"/api/rows/{bad}").json()
    assert (none["probabilities"], none["prediction_set"], none["novelty"]) == ([], [], None)
    for row in ("600", "-1", "x", "1e3", str(10**30)):
        assert client.get(f"/api/rows/{row}").status_code in (404, 422)


def test_links_go_by_position():
    found = {link["name"]: link["url"] for link in links(10.68471, 41.26875)}
    assert parse_qs(urlsplit(found["SIMBAD"]).query)["Coord"] == ["10.684710 +41.268750"]
    assert parse_qs(urlsplit(found["ALeRCE"]).query)["ra"] == ["10.684710"]
    assert all(url.startswith("https://") and " " not in url for url in found.values())
    assert links(None, 3.0) == links(np.nan, 3.0) == links(3.0, 100.0) == []


def test_the_highest_peak_is_the_frequency_put_in(client, world):
    row = int(np.argmax((T["f1"][:SEEN] > 0.5) & (T["f1"][:SEEN] < 5)))
    got = client.get(f"/api/rows/{row}/periodogram").json()
    peak = got["peaks"][0]
    assert peak["frequency"] == pytest.approx(T["f1"][row], abs=0.01)
    assert peak["period"] == pytest.approx(1 / peak["frequency"])
    assert peak["amplitude"] == pytest.approx(0.3, rel=0.05)
    assert [p["power"] for p in got["peaks"]] == sorted((p["power"] for p in got["peaks"]), reverse=True)
    assert max(got["power"]) == pytest.approx(peak["power"])
    one = client.get(f"/api/rows/{row}/periodogram?band=g").json()
    assert one["peaks"][0]["frequency"] == pytest.approx(T["f1"][row], abs=0.02)
    assert client.get(f"/api/rows/{row}/periodogram?band=i").status_code == 400


def test_no_peak_is_lost_when_a_periodogram_is_thinned():
    rng = np.random.default_rng(0)
    frequency, power = np.linspace(0, 20, 100_003), rng.random(100_003)
    power[77_777] = 1.0
    few_f, few_p = periodograms._outline(frequency, power)
    assert len(few_f) == periodograms.MAX_FREQUENCIES
    assert (few_f[few_p.argmax()], few_p.max()) == (frequency[77_777], 1.0)
    assert (np.diff(few_f) > 0).all()
    assert set(few_p) <= set(power)


def test_peaks_are_apart():
    frequency = np.linspace(0.1, 5, 2000)
    power = np.exp(-(((frequency - 2) / 0.05) ** 2)) + 0.5 * np.exp(-(((frequency - 3) / 0.05) ** 2))
    power += 0.01 * np.sin(500 * frequency)
    found = periodograms.highest_peaks(frequency, power, span=10.0)
    assert frequency[found[:2]] == pytest.approx([2, 3], abs=0.02)
    assert min(np.diff(np.sort(frequency[found]))) > periodograms.MIN_SEPARATION / 10


def curve(n, **more):
    told = {"time": np.arange(n) * 1.0, "value": np.full(n, 5.0), **more}
    return LightCurves.from_arrays(["x"], [0, n], told["time"], told["value"], np.full(n, 0.1), unit="mag")


@pytest.mark.parametrize("n", [0, 1, 4, 50])
def test_a_light_curve_without_a_period_gets_a_note(n):
    got = periodograms.periodogram_peaks(curve(n))
    assert got["peaks"] == []
    assert got["note"]
    ElementTree.fromstring(drawing.thumbnail(curve(n), 0.7))
    assert drawing.points(curve(n), 10, None)["total"] == n


def test_bright_is_up_in_pictures(client):
    value = np.r_[5.0, 6.0]
    dots = drawing.thumbnail(curve(2, value=value), None)
    first, second = (
        float(part.split("h0")[0].split(" ")[1]) for part in dots.split('d="M')[1].split('"')[0].split("M")
    )
    assert first < second  # magnitude 5 is brighter, and SVG counts downwards
    answer = client.get("/api/rows/3/thumbnail?fold=true")
    assert answer.headers["content-type"] == "image/svg+xml"
    paths = ElementTree.fromstring(answer.text)
    assert len(paths) == 2  # a colour for each band
    assert client.get("/api/rows/3/thumbnail?fold=false").text != answer.text
    empty = client.get(f"/api/rows/{SEEN + 1}/thumbnail")
    assert (empty.status_code, len(ElementTree.fromstring(empty.text))) == (200, 0)


def test_neighbours_are_those_of_similar(client, world):
    ok = int(np.flatnonzero(T["class"].notna())[4])
    got = client.get(f"/api/rows/{ok}/neighbours?k=5").json()
    expected = similar(T["object_id"][ok], world.catalog, 5).to_pylist()
    assert [(n["object_id"], n["class"]) for n in got] == [(n["object_id"], n["class"]) for n in expected]
    assert [n["distance"] for n in got] == pytest.approx([n["distance"] for n in expected])
    assert all(T["object_id"][n["row"]] == n["object_id"] for n in got)
    lost = [r for r in range(0, 600, 2) if T["embedding"][r] is None and T["embedding"][r + 1] is None]
    assert client.get(f"/api/rows/{lost[0]}/neighbours").json() == []


def test_missing_parts_get_a_fix(client, world, tmp_path):
    row = SEEN + 1
    for path in ("light_curve", "periodogram"):
        answer = client.get(f"/api/rows/{row}/{path}")
        assert answer.status_code == 404
        assert "--light-curves" in answer.json()["detail"]
    history = client.get("/api/rows/3/history")
    assert history.status_code == 404
    assert "--model" in history.json()["detail"]
    bare = open_explorer(world.catalog, labels=tmp_path / "l.csv")
    other = TestClient(create_app(bare), base_url=HERE)
    assert not other.get("/api/about").json()["light_curves"]
    assert "--light-curves SRC" in other.get("/api/rows/3/light_curve").json()["detail"]
    assert other.get("/api/live").status_code == 404
    bare.close()


def test_history_is_every_step(world, tmp_path):
    model = tiny_model().save(tmp_path / "m", "# m\n", prepare(world.curves[:3], tiny_model().preprocessing))
    explorer = open_explorer(world.catalog, light_curves=[world.pack], labels=tmp_path / "l.csv")
    explorer.model = model
    client = TestClient(create_app(explorer), base_url=HERE)
    assert client.get("/api/about").json()["multiband"]
    got = client.get("/api/rows/1/history").json()
    steps = prepare(world.curves[[1]], model.preprocessing)
    np.testing.assert_allclose(
        np.stack([got["p"][c] for c in model.classes], 1), step_probabilities(model, steps), atol=1e-6
    )
    assert got["time"] == steps.time.tolist()
    assert got["steps"] == list(range(1, len(got["time"]) + 1))
    assert set(got["band"]) == {"g", "r"}
    explorer.close()


def test_the_model_is_the_one_that_made_the_catalog(tmp_path, world):
    model = tiny_model().save(tmp_path / "m", "# m\n", prepare(world.curves[:3], tiny_model().preprocessing))
    folder = str(tmp_path / "m")
    told = {"model": folder, "model_hash": model.hash}
    assert find_model(told, None)[0].hash == model.hash
    other = {"model": folder, "model_hash": "0" * 12}
    assert find_model(other, None)[0] is None
    assert "--model" in find_model(other, None)[1]
    with pytest.raises(ValueError, match="was made by"):
        find_model(other, folder)
    assert "isn't found" in find_model({"model": "nobody's", "model_hash": "x"}, None)[1]
    assert "doesn't say" in find_model({}, None)[1]


# ---- where light curves are found -----------------------------------------------------------------------------------


def values(curves):
    return None if curves is None else sorted(curves.value.tolist())


def test_sources_of_all_kinds_give_the_same(world, explorer, tmp_path):
    world.curves.to_long().rename(columns={"value": "mag"}).to_csv(tmp_path / "long.csv", index=False)
    single = tmp_path / "single"
    single.mkdir()
    for name in dict.fromkeys(world.curves.ids):
        mine = world.curves[np.flatnonzero(np.array(world.curves.ids) == name)]
        mine.to_long().rename(columns={"value": "mag"}).to_csv(single / f"{name}.csv", index=False)
    for given in ([str(tmp_path / "long.csv")], [str(single)], [str(single / "*.csv")]):
        found = Sources(given, explorer.table, columns={"object_id": "object_id"})
        for name in ("0000003", "0000019", "0000000"):
            assert values(found.find(name)) == pytest.approx(values(explorer.light_curves.find(name)), rel=1e-5)
        assert found.find("nobody") is None


def test_only_the_files_given_are_read(world, explorer, tmp_path, monkeypatch):
    secret = tmp_path / "secret.csv"
    world.curves[[0]].to_long().to_csv(secret, index=False)
    (tmp_path / "given").mkdir()
    world.curves[[5]].to_long().to_csv(tmp_path / "given" / "0000002.csv", index=False)
    found = Sources([str(tmp_path / "given")], explorer.table, columns={"object_id": "object_id"})
    told = pa.table({"row": [0], "object_id": ["0000000"], "source": [str(secret)]})
    monkeypatch.setattr(found._table, "rows_of_object", lambda *_: told)
    assert found.find("0000000") is None  # though the catalog names a file that has it
    inside = told.set_column(2, "source", pa.array([str(tmp_path / "given" / ".." / "given" / "0000002.csv")]))
    monkeypatch.setattr(found._table, "rows_of_object", lambda *_: inside)
    assert found.find("0000002") is not None


def test_no_such_source(explorer):
    with pytest.raises(ValueError, match="no such file"):
        Sources(["nowhere.parquet"], explorer.table)


def test_answers_are_json(client):
    for path in ("", "/light_curve", "/periodogram"):
        json.loads(client.get(f"/api/rows/2{path}").text, parse_constant=pytest.fail)


# ---- several light curves, prewhitening, conventions ----------------------------------------------------------------


def sines(frequencies, n=400, days=60.0, nightly=False):
    """Return a light curve of sines of amplitude 1, 1/2, ..., in two bands."""
    rng = np.random.default_rng(4)
    time = np.sort(rng.uniform(0, days, n))
    if nightly:
        time = np.floor(time) + 0.1 + 0.25 * (time % 1)
    value = sum(np.sin(2 * np.pi * f * time + k) / (k + 1) for k, f in enumerate(frequencies))
    band = rng.integers(0, 2, n)
    return LightCurves.from_arrays(
        ["a"], [0, n], time, value + 12 + band, np.full(n, 0.01), band, bands=("g", "r"), unit="mag"
    )


def test_a_frequency_is_subtracted():
    both, second = sines((1.3, 3.7)), 0.5 * np.sin(2 * np.pi * 3.7 * sines((1.3,)).time + 1)
    rest = drawing.subtract_frequency(both, 1.3)
    level = rest.value - rest.band - 12
    assert np.abs(level - second).max() < 0.1
    assert drawing.subtract_frequency(rest, 3.7).value.std() < 0.55 < rest.value.std()  # the two levels are left
    peaks = [periodograms.describe_periodogram(curve)["peaks"][0]["frequency"] for curve in (both, rest)]
    assert peaks == pytest.approx([1.3, 3.7], abs=1e-3)


def test_a_query_subtracts_and_joins(client, world):
    f = max(1 / client.get("/api/rows/0/light_curve").json()["period"], 0.2)
    before, after = (client.get(f"/api/rows/0/light_curve{q}").json()["value"] for q in ("", f"?subtract={f}"))
    assert np.std(after) < np.std(before)
    joined = client.get("/api/rows/0/light_curve?together=true").json()
    assert (joined["total"], mean_of(joined)) == (160, 10)  # rows 0 and 1, at the level of the first
    assert client.get("/api/rows/0").json()["light_curves"] == 2
    assert client.get("/api/rows/0/periodogram?together=true&subtract=1.5&harmonics=2").json()["peaks"]
    assert client.get("/api/rows/0/periodogram?subtract=-1").status_code == 422


def test_fluxes_are_scaled_and_differences_shifted():
    def two(level, other):
        value = np.r_[level + np.sin(np.arange(50)), other * (1 + np.sin(np.arange(50)) / level)]
        return LightCurves.from_arrays(["a", "a"], [0, 50, 100], np.arange(100.0), value, unit="e/s")

    joined = drawing.join_light_curves(two(100.0, 300.0))
    np.testing.assert_allclose(joined.value[:50], joined.value[50:], rtol=1e-4)
    shifted = drawing.join_light_curves(two(0.5, 2.0))
    assert np.median(shifted.value[:50]) == pytest.approx(np.median(shifted.value[50:]), abs=1e-5)


def test_peaks_say_what_they_are():
    nightly = periodograms.describe_periodogram(sines((2.3,), nightly=True))
    assert nightly["peaks"][0]["relation"] == ""
    assert "1-day alias" in [peak["relation"] for peak in nightly["peaks"][1:]]
    assert nightly["best"] == pytest.approx(1 / 2.3, rel=1e-4)
    orbital = periodograms.describe_periodogram(sines((2.3,), nightly=True), class_name="EW")
    assert (orbital["best"], orbital["convention"]) == (pytest.approx(2 / 2.3, rel=1e-4), "orbital: 2 / f")
    peaks = [{"frequency": f, "period": 1 / f} for f in (2.3, 1.001, 4.6)]
    periodograms.mark_relations(peaks, sines((1,), nightly=True).time)
    assert [peak["relation"] for peak in peaks] == ["", "1/d: the nights", "P/2"]
    periodograms.mark_relations(peaks, sines((1,)).time)  # from space there are no nights
    assert peaks[1]["relation"] != "1/d: the nights"


def test_the_network_s_flux_has_its_own_spectrum():
    from goodricke.preprocess.dense import DenseConfig

    time = np.arange(0, 20, 1 / 48)
    flux = 1e4 * (1 + 0.002 * np.sin(2 * np.pi * 2.5 * time) + 0.01 * (time / 20) ** 2)
    curve = LightCurves.from_arrays(["a"], [0, len(time)], time, flux, np.full(len(time), 1.0), unit="e/s")
    got = periodograms.describe_periodogram(curve, dense=DenseConfig())
    assert got["quantity"] == "amplitude [ppm]"
    assert got["peaks"][0]["frequency"] == pytest.approx(2.5, abs=0.01)
    assert got["peaks"][0]["amplitude"] == pytest.approx(2000, rel=0.1)
    assert len(got["noise"]) == len(got["power"])
