import json
import re
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

from goodricke.explorer import embedding_map
from goodricke.explorer.conditions import Where
from goodricke.explorer.diagrams import GRID, _round
from goodricke.explorer.embedding_map import EmbeddingMap, make_map, read_embeddings, read_map
from goodricke.explorer.session import open_explorer
from goodricke.survey.shards import Catalog
from tests.explorer.conftest import CLASSES, N, folder_of, rows

T = rows()


def points(client, name, *conditions, most=50_000):
    return client.post(f"/api/diagrams/{name}", json={"where": {"all": list(conditions)}, "most": most}).json()


def lasso(client, name, polygon):
    body = {"where": {"all": [{"inside": {"diagram": name, "polygon": np.asarray(polygon).tolist()}}]}, "limit": 1000}
    return sorted(row["row"] for row in client.post("/api/rows", json={**body, "columns": []}).json()["rows"])


def inside(x, y, polygon):
    """Return which points are inside by the even-odd rule, one edge after the other."""
    result = np.zeros(len(x), bool)
    for (xa, ya), (xb, yb) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        crosses = (ya > y) != (yb > y)
        with np.errstate(divide="ignore", invalid="ignore"):
            result ^= crosses & (x < xa + (y - ya) / (yb - ya) * (xb - xa))
    return result


STAR = [(np.cos(a), np.sin(a)) for a in 2 * np.pi * np.arange(5) * 2 / 5]
BLOB = [((1 + 0.3 * np.sin(5 * a)) * np.cos(a), (1 + 0.3 * np.sin(5 * a)) * np.sin(a)) for a in np.linspace(0, 6.2, 99)]


def test_points_are_the_columns(client):
    got = points(client, "sky")
    assert (got["total"], got["shown"], got["ready"]) == (N, N, True)
    np.testing.assert_allclose(got["x"], T["ra"][got["row"]], rtol=1e-6)
    np.testing.assert_allclose(got["y"], T["dec"][got["row"]], rtol=1e-6)
    told = [None if k < 0 else CLASSES[k] for k in got["class"]]
    assert told == [x if isinstance(x, str) else None for x in T["class"][got["row"]]]
    assert got["row"] != sorted(got["row"])  # no class on top of the others


def test_a_sample_is_the_same_each_time_and_nested(client):
    few, again, more = (points(client, "sky", most=k)["row"] for k in (50, 50, 200))
    assert few == again == more[:50]
    filtered = points(client, "sky", {"column": "class", "op": "=", "value": "ROT"}, most=30)
    assert (filtered["shown"], filtered["total"]) == (30, (T["class"] == "ROT").sum())
    assert set(T["class"][filtered["row"]]) == {"ROT"}


@pytest.mark.parametrize("shape", [BLOB, [(-1, -1), (1, -1), (1, 1), (-1, 1)], [(-1, 0.2), (1.2, 0), (0.3, 1.4)]])
def test_a_lasso_on_the_sky(client, shape):
    polygon = np.array(shape) * [120, 60] + [180, 5]
    expected = np.flatnonzero(inside(T["ra"].to_numpy(), T["dec"].to_numpy(), polygon))
    assert 0 < len(expected) < N
    assert lasso(client, "sky", polygon) == expected.tolist()
    assert lasso(client, "sky", polygon[::-1]) == expected.tolist()


def test_edges_are_straight_on_logarithmic_axes(client):
    polygon = np.array([(-1.5, -3.5), (1.0, -2.5), (0.2, -0.2)])
    f1, a1 = np.log10(T["f1"].to_numpy()), np.log10(T["A1"].to_numpy())
    expected = np.flatnonzero(inside(f1, a1, polygon))
    assert lasso(client, "f1_a1", 10.0**polygon) == expected.tolist()
    linear = inside(T["f1"].to_numpy(), T["A1"].to_numpy(), 10.0**polygon)
    assert linear.sum() != len(expected)


def test_a_lasso_goes_with_other_conditions_and_is_remembered(client, explorer):
    polygon = [[0, -90], [180, -90], [180, 90], [0, 90]]
    condition = {"inside": {"diagram": "sky", "polygon": polygon}}
    both = [condition, {"column": "class", "op": "=", "value": "ROT"}]
    made = explorer.table._selection_count
    for _ in range(3):
        got = client.post("/api/counts", json={"where": {"all": both}}).json()
        assert got["counts"] == [{"value": "ROT", "count": int(((T["ra"] < 180) & (T["class"] == "ROT")).sum())}]
    assert explorer.table._selection_count == made + 1
    shown = points(client, "f1_a1", condition)
    assert sorted(shown["row"]) == np.flatnonzero(T["ra"] < 180).tolist()


def test_hertzsprung_russell_by_the_formula(client):
    got = points(client, "hr")
    rows_ = np.array(got["row"])
    magnitude = T["phot_g_mean_mag"] + 5 * np.log10(T["parallax"]) - 10
    np.testing.assert_allclose(got["y"], magnitude[rows_], rtol=1e-5)
    np.testing.assert_allclose(got["x"], T["bp_rp"][rows_], rtol=1e-5)
    assert sorted(got["row"]) == np.flatnonzero(T["parallax"] > 5 * T["parallax_error"]).tolist()
    assert "parallax above 5" in got["note"]


def test_missing_diagrams_have_a_reason_and_a_fix(tmp_path):
    few = T.head(30)[["object_id", "status", "class", "p_ECL", "p_PULS", "p_ROT", "embedding"]].assign(ra=np.nan)
    made = open_explorer(folder_of(few, tmp_path / "cat", 1))
    there, missing = made.diagrams.about()
    assert [d["name"] for d in there] == ["embedding"]
    assert [m["name"] for m in missing] == ["hr", "f1_a1", "sky"]
    assert all(m["why"] and m["fix"] for m in missing)
    made.close()


@pytest.mark.parametrize(
    ("columns", "labels"),
    [
        (("dominant_frequency", "dominant_amplitude"), ("dominant_frequency [1/d]", "dominant_amplitude")),
        (("Period", "Amplitude"), ("1 / Period [1/d]", "Amplitude")),
        (("frequency", "amp"), ("frequency", "amp")),
    ],
)
def test_frequency_and_amplitude_need_no_examine(tmp_path, columns, labels):
    few = T.head(30)[["object_id", "status", "class", "p_ECL", "p_PULS", "p_ROT"]]
    frequency, amplitude = T["f1"].to_numpy()[:30], T["A1"].to_numpy()[:30].copy()
    amplitude[3] = 0
    few = few.assign(**{columns[0]: 1 / frequency if columns[0] == "Period" else frequency, columns[1]: amplitude})
    made = open_explorer(folder_of(few.assign(embedding=T["embedding"]), tmp_path / "cat", 1))
    diagram = made.diagrams.diagram("f1_a1")
    assert (diagram.x.label, diagram.y.label) == labels
    got = made.diagrams.points("f1_a1", Where(), 100)
    assert sorted(got["row"]) == [row for row in range(30) if row != 3]
    np.testing.assert_allclose(got["x"], frequency[got["row"]], rtol=1e-6)
    np.testing.assert_allclose(got["y"], amplitude[got["row"]], rtol=1e-6)
    made.close()


@pytest.mark.parametrize(
    ("name", "polygon"),
    [
        ("nothing", [[0, 0], [1, 0], [1, 1]]),
        ("sky", [[0, 0], [1, 1]]),
        ("sky", [[0, 0], [1, 1], ["a", 2]]),
        ("f1_a1", [[0, 0], [1, 0], [1, 1]]),
    ],
)
def test_malformed_lassos_are_refused(client, name, polygon):
    answer = client.post("/api/rows", json={"where": {"all": [{"inside": {"diagram": name, "polygon": polygon}}]}})
    assert answer.status_code in (400, 422)
    assert isinstance(answer.json()["detail"], str)
    assert client.post("/api/diagrams/nothing", json={}).status_code == 400


def test_numbers_keep_seven_digits():
    values = np.array([0.0, -123.456789012, 1e-20, 9.87654321e15, np.nan])
    np.testing.assert_allclose(_round(values), values, rtol=1e-6)
    assert _round(values)[1] == -123.4568


# ---- the map --------------------------------------------------------------------------------------------------------


def test_embeddings_by_row(world):
    wanted = np.array([0, 3, 5, 250, 599])
    got = read_embeddings(Catalog.open(world.catalog), wanted)
    for row, found in zip(wanted, got, strict=True):
        told = T["embedding"][row]
        np.testing.assert_array_equal(found, np.full(6, np.nan) if told is None else told)


@pytest.fixture
def by_axes(monkeypatch):
    monkeypatch.setattr(
        embedding_map, "flatten_embeddings", lambda embedding, **_: (embedding[:, :2].astype(float), "two of the axes")
    )


def test_a_map_is_kept_and_shown(world, by_axes, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    known = np.flatnonzero(T["class"].notna())
    monkeypatch.setattr(EmbeddingMap, "get", lambda self: made(self))

    def made(self):
        make_map(world.catalog, self._rows(), tmp_path / "map")
        return read_map(tmp_path / "map")

    explorer = open_explorer(world.catalog)
    got = explorer.diagrams.points("embedding", no_condition(), 1000)
    assert (sorted(got["row"]), got["ready"]) == (known.tolist(), True)
    np.testing.assert_allclose(got["x"], [T["p_ECL"][r] for r in got["row"]], rtol=1e-5)
    assert "two of the axes" in got["note"]
    assert explorer.diagrams.about()[0][0]["ready"]
    explorer.close()


def no_condition():
    from goodricke.explorer.conditions import Where

    return Where()


def test_another_process_makes_the_map(world, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(embedding_map, "FEW", 0)
    made = EmbeddingMap(Catalog.open(world.catalog), lambda: np.arange(6))  # too few for UMAP
    assert made.get() is None
    assert made.progress().startswith("6 light curves, looking for the neighbours of each")
    made._progress_path.write_text("[50, 200, 0.0]")
    assert "epoch 50 of 200; about " in made.progress()
    for _ in range(600):
        if (found := made.get()) is not None or made.failure:
            break
        time.sleep(0.1)
    assert found is not None, made.failure
    assert set(found.rows) <= set(range(6))
    assert found.method.startswith("principal components")
    made.close()


def test_a_small_map_is_there_at_once(world, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = EmbeddingMap(Catalog.open(world.catalog), lambda: np.arange(20))
    assert set(made.get().rows) <= set(range(20))
    assert made._process is None


def test_umap_reports_its_epochs():
    seen = []
    if (umap := find_spec("umap")) is None:
        pytest.skip("needs goodricke[umap]")
    from goodricke.survey.examine.figures import _Epochs

    _Epochs(lambda *numbers: seen.append(numbers)).write("Epochs completed:  35%| ###       70/200 [00:01]")
    assert seen == [(70, 200)]
    code = Path(umap.origin).with_name("umap_.py").read_text()  # to import it takes a minute the first time
    assert re.search(r"def __init__\([^)]*tqdm_kwds", code)


def test_a_failed_map_has_a_reason(world, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    monkeypatch.setattr(embedding_map, "FEW", 0)
    failing = EmbeddingMap(Catalog.open(world.catalog), lambda: np.arange(6))
    assert failing.get() is None
    failing._process.wait()
    assert failing.get() is None
    assert "could not be made" in failing.failure
    explorer = open_explorer(world.catalog)
    explorer.diagrams._map = failing
    with pytest.raises(ValueError, match="could not be made"):
        explorer.diagrams.points("embedding", no_condition(), 10)
    explorer.close()


def test_no_map_where_nothing_was_classified(tmp_path):
    table = rows(30)
    table["class"], table["embedding"] = None, None
    explorer = open_explorer(folder_of(table, tmp_path / "cat"))
    assert explorer.diagrams.about()[1][0]["why"] == "no light curve was classified"
    assert read_embeddings(explorer.catalog, np.zeros(0, np.int64)).shape == (0, 0)
    explorer.close()


# ---- diagrams of the user's own -------------------------------------------------------------------------------------


def plot(**spec):
    return f"plot:{json.dumps(spec)}"


def test_any_columns_and_formulas(explorer):
    name = plot(x="bp_rp", y="phot_g_mean_mag + 5*log10(parallax) - 10", colour="ra/15", log_x=True)
    got = explorer.diagrams.points(name, Where(), 1000)
    expected = T["phot_g_mean_mag"] + 5 * np.log10(T["parallax"]) - 10
    shown = got["row"]
    assert sorted(shown) == T.index[T["bp_rp"] > 0].tolist()  # a logarithmic axis
    np.testing.assert_allclose(got["x"], T["bp_rp"][shown], rtol=1e-6)
    np.testing.assert_allclose(got["y"], expected[shown], rtol=1e-6)
    np.testing.assert_allclose(got["colour"], T["ra"][shown] / 15, rtol=1e-6)


def test_a_lasso_in_such_a_diagram_selects_by_the_formula(explorer):
    name = plot(x="f1", y="2*A1", log_x=True, log_y=True)
    box = [(0.1, 0.001), (10, 0.001), (10, 0.1), (0.1, 0.1)]
    chosen = explorer.table.matching(Where(all=[{"inside": {"diagram": name, "polygon": box}}]))
    expected = T["f1"].between(0.1, 10) & (2 * T["A1"]).between(0.001, 0.1)
    assert sorted(chosen) == T.index[expected].tolist()


def test_a_plot_is_an_address(client):
    name = quote(plot(x="ra/15", y="dec"), safe="")
    got = client.get(f"/api/diagrams/{name}?class=ROT&most=5").json()
    assert (got["shown"], got["total"]) == (5, (T["class"] == "ROT").sum())


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (plot(x="nothing", y="ra"), "'nothing' is no column"),
        (plot(x="status", y="ra"), "'status' holds no numbers"),
        (plot(x="1+1", y="ra"), "has no column"),
        (plot(x="ra.dtype", y="ra"), "only numbers, columns"),
        (plot(x="ra"), "no diagram"),
        (plot(x="ra", y="dec", z="f1"), "no diagram"),
        ("plot:[", "no diagram"),
    ],
)
def test_what_is_no_plot_is_named(explorer, name, why):
    with pytest.raises(ValueError, match=why):
        explorer.diagrams.points(name, Where(), 10)


# ---- many points, parts of a diagram, the sky -----------------------------------------------------------------------


def test_cells_count_every_point(client):
    answer = client.post("/api/diagrams/f1_a1", json={"cells": True, "most": 100}).json()
    cells = answer["cells"]
    x, y = np.log10(T["f1"]), np.log10(T["A1"])
    ends = np.log10(answer["box"])
    inside = x.between(*ends[:2]) & y.between(*ends[2:])
    assert sum(cells["count"]) == inside.sum() >= N - 4
    counts, *_ = np.histogram2d(y, x, bins=(GRID[1], GRID[0]), range=(ends[2:], ends[:2]))
    np.testing.assert_array_equal(np.flatnonzero(counts), cells["cell"])
    assert (answer["shown"], answer["inside"], answer["total"]) == (100, N, N)
    only = client.post(
        "/api/diagrams/f1_a1",
        json={"cells": True, "most": 1, "where": {"all": [{"column": "class", "op": "=", "value": "ROT"}]}},
    ).json()["cells"]
    assert set(only["class"]) == {CLASSES.index("ROT")}
    assert client.post("/api/diagrams/f1_a1", json={"cells": True}).json().get("cells") is None  # few enough


def test_cells_have_the_mean_of_a_colour(explorer):
    name = plot(x="ra", y="dec", colour="2*n_obs")
    cells = explorer.diagrams.points(name, Where(), 10, cells=True)["cells"]
    total = np.dot(cells["count"], cells["colour"])
    assert total == pytest.approx(2 * T["n_obs"].sum(), rel=0.02)


def test_a_part_of_a_diagram(client):
    answer = client.get("/api/diagrams/sky?view=[10, 100, -20, 20]").json()
    assert sorted(answer["row"]) == T.index[T["ra"].between(10, 100) & T["dec"].between(-20, 20)].tolist()
    assert (answer["total"], answer["inside"]) == (N, len(answer["row"]))
    assert client.get("/api/diagrams/sky?view=[10, NaN, -20, 20]").status_code == 422


def test_sizes_are_a_formula(explorer):
    got = explorer.diagrams.points(plot(x="ra", y="dec", size="log10(A1)"), Where(), 50)
    np.testing.assert_allclose(got["size"], np.log10(T["A1"])[got["row"]], rtol=1e-6)


@pytest.mark.parametrize("name", ["equatorial", "galactic"])
def test_the_whole_sky_and_a_lasso_in_it(client, explorer, name):
    got = points(client, name)
    assert got["total"] == N
    assert np.abs(got["x"]).max() <= 162.1
    x = np.array(got["x"])
    left = lasso(client, name, [[-170, -90], [0, -90], [0, 90], [-170, 90]])
    assert left == sorted(np.array(got["row"])[x < 0].tolist())
    [about] = [d for d in explorer.diagrams.about()[0] if d["name"] == name]
    assert about["kind"] == "sky"
    assert {line["style"] for line in about["outlines"]} == {"edge", "grid", "plane"}


def test_the_confusion_of_two_columns(client):
    made = client.get("/api/crosstab?x=class&y=is_star").json()
    expected = T.groupby(["is_star", "class"]).size()
    for y, row in zip(made["y"], made["counts"], strict=True):
        assert row == [expected[y, x] for x in made["x"]]
    assert made["other"] == 0
    assert client.get("/api/crosstab?x=class&y=object_id").json()["other"] > 0
    assert client.get("/api/crosstab?x=class&y=label").json()["y"] == []
