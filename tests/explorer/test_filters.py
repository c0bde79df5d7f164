"""Filters: what users write, cones, regular expressions, subsets, and how they combine."""

import time

import numpy as np
import pytest

from goodricke.explorer.conditions import InSubset, Where
from goodricke.explorer.positions import hammer, parse_position, parse_radius, to_equatorial, to_galactic
from goodricke.explorer.query import parse_filter
from goodricke.explorer.subsets import SubsetFile
from tests.explorer.conftest import EVIL, N, rows

T = rows()
CLASS = T["class"].astype(object)


def matching(client, *conditions, **query):
    """Return the rows that match, by POST with conditions or by GET with a query."""
    if conditions:
        body = {"where": {"all": list(conditions)}, "limit": 1000, "columns": []}
        answer = client.post("/api/rows", json=body)
    else:
        answer = client.get("/api/rows", params={**query, "limit": 1000, "columns": "object_id"})
    assert answer.status_code == 200, answer.text
    return [row["row"] for row in answer.json()["rows"]]


def rows_where(mask):
    return np.flatnonzero(np.asarray(mask)).tolist()


M_G = T["phot_g_mean_mag"] + 5 * np.log10(T["parallax"]) - 10
CASES = {
    'class == "ROT"': CLASS == "ROT",
    "class = ROT": CLASS == "ROT",
    'class in ("ROT", "ECL") and p_max > 0.7': CLASS.isin(["ROT", "ECL"]) & (T["p_max"] > 0.7),
    "class = ROT || class = ECL && p_max > 0.7": (CLASS == "ROT") | ((CLASS == "ECL") & (T["p_max"] > 0.7)),
    "NOT (class = ROT OR n_obs < 100)": ~((CLASS == "ROT") | (T["n_obs"] < 100)),
    "100 <= n_obs < 200": (T["n_obs"] >= 100) & (T["n_obs"] < 200),
    "0.5 > p_max": T["p_max"] < 0.5,
    "not p_max < 0.5": ~(T["p_max"] < 0.5),  # objects without a probability too
    "phot_g_mean_mag + 5*log10(parallax) - 10 < 1.5": M_G < 1.5,
    "ra > 3*dec + 100": T["ra"] > 3 * T["dec"] + 100,
    "dec < -30": T["dec"] < -30,
    'matches(object_id, "^00000[0-3]")': T["object_id"].str.match("^00000[0-3]"),
    'contains(class, "u") and class not in ("ROT",)': CLASS.str.contains("U").fillna(False),
    "missing(class)": CLASS.isna(),
    "is_star and not missing(class)": T["is_star"] & CLASS.notna(),
    f'column("{EVIL}") > 0'.replace('x";', 'x\\";'): T[EVIL] > 0,
    'class = "DROP TABLE rows"': np.zeros(N, bool),
}


@pytest.mark.parametrize("text", CASES)
def test_a_text_is_the_mask_of_numpy(client, text):
    expected = rows_where(CASES[text])
    assert matching(client, {"filter": text}) == expected
    assert matching(client, filter=text) == expected
    assert matching(client, {"not": {"filter": text}}) == sorted(set(range(N)) - set(expected))


def test_conditions_join(client):
    rot, few = {"column": "class", "op": "=", "value": "ROT"}, {"column": "n_obs", "op": "<", "value": 100}
    a, b = CLASS == "ROT", T["n_obs"] < 100
    assert matching(client, {"any": [rot, few]}) == rows_where(a | b)
    assert matching(client, {"any": [{"all": [rot, few]}, {"not": {"any": [rot, few]}}]}) == rows_where(a == b)
    assert matching(client, {"any": []}) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("class ==", "no filter"),
        ("__import__('os').system('id')", "neither true nor false"),
        ("(lambda: 1)() > 0", "no filter"),
        ("ra.__class__ == 1", "only numbers"),
        ("nothing > 1", "no column"),
        ("class > 1 + 2", "class"),
        ("p_max", "neither true nor false"),
        ("cone('nowhere', 10)", "neither a position"),
        ("cone(1, 2, -3)", "no radius"),
        ("cone()", "number of arguments"),
        ("subset('none')", "no subset"),
        ("matches(object_id, '(')", "missing )"),
        ("matches(object_id, '((a{999}){999}){999}')", ""),
        ("not " * 60 + "is_star", "deep"),
        (" and ".join(["is_star"] * 190), ""),
        ("p_max is None", "compare by"),
    ],
)
def test_what_is_no_filter_says_why(client, text, why):
    answer = client.post("/api/rows", json={"where": {"all": [{"filter": text}]}})
    if why:
        assert answer.status_code == 400, answer.text
        assert why in answer.json()["detail"]
    else:
        assert answer.status_code in (200, 400, 422)


def test_nesting_and_numbers_have_an_end(client):
    deep = {"column": "ra", "op": ">", "value": 0}
    for _ in range(60):
        deep = {"not": deep}
    formulas = [{"formula": f"ra + {k}", "op": ">", "value": 0} for k in range(60)]
    for conditions in ([deep], [{"any": formulas}], [{"any": [{"any": [{"labelled": True}] * 200}] * 2}]):
        assert client.post("/api/rows", json={"where": {"all": conditions}}).status_code in (400, 422)


def test_a_hostile_pattern_costs_no_time(client):
    start = time.perf_counter()
    matching(client, {"column": "object_id", "op": "matches", "value": "^(0+)+(a|aa)+$"})
    assert time.perf_counter() - start < 2


def test_more_lassos_than_are_cached(client):
    box = [[0, -90], [360, -90], [360, 90]]
    lassos = [{"inside": {"diagram": "sky", "polygon": [[x + k / 100, y] for x, y in box]}} for k in range(35)]
    assert len(matching(client, *lassos)) > 0
    for lasso in lassos[:3]:
        matching(client, lasso)


# ---- the sky --------------------------------------------------------------------------------------------------------


def separation(ra, dec, ra0, dec0):
    """Return angles (n,) [deg] by the scalar product."""
    a, d, a0, d0 = (np.radians(v) for v in (ra, dec, ra0, dec0))
    cosine = np.sin(d) * np.sin(d0) + np.cos(d) * np.cos(d0) * np.cos(a - a0)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


@pytest.mark.parametrize(("ra", "dec", "radius"), [(359.9, 10, 20), (120, -89.5, 15), (10, 40, 100), (0, 90, 30)])
def test_a_cone_is_all_that_is_near(client, ra, dec, radius):
    expected = rows_where(separation(T["ra"], T["dec"], ra, dec) <= radius)
    assert len(expected) > 3
    assert matching(client, {"cone": {"position": f"{ra} {dec}", "radius": f"{radius} deg"}}) == expected
    assert matching(client, cone=f"{ra} {dec},{radius * 3600}") == expected
    assert matching(client, filter=f"cone({ra}, {dec}, '{radius} deg')") == expected


def test_a_cone_about_an_object_and_of_named_columns(client):
    row = 8
    expected = rows_where(separation(T["ra"], T["dec"], T["ra"][row], T["dec"][row]) <= 12)
    cone = {"position": T["object_id"][row], "radius": "12 deg"}
    assert matching(client, {"cone": cone}) == expected
    assert matching(client, {"cone": {**cone, "ra": "ra", "dec": "dec"}}) == expected
    assert client.post("/api/rows", json={"where": {"all": [{"cone": {**cone, "ra": "class", "dec": "dec"}}]}}).is_error


@pytest.mark.parametrize(
    "text",
    [
        "83.822083 -5.391111",
        "83.822083,-5.391111",
        "05 35 17.3 -05 23 28",
        "05:35:17.3, -05:23:28",
        "05h35m17.3s -05d23m28s",
        "05h35m17.3s −05°23′28″",
        "83d49m19.5s -05d23m28s",
    ],
)
def test_positions_as_people_write_them(text):
    assert parse_position(text) == pytest.approx((83.822083, -5.391111), abs=1e-5)


@pytest.mark.parametrize("text", ["", "M 42", "83.8", "83.8 -95", "1 2 3", "ASAS 053517-0523.5", "1e5 3"])
def test_other_texts_are_no_positions(text):
    assert parse_position(text) is None


def test_radii():
    assert [parse_radius(text) for text in ("60", 60.0, "1'", "0.5 deg", "3 arcsec")] == [60, 60, 60, 1800, 3]


def test_galactic_positions_are_astropys():
    from astropy.coordinates import SkyCoord

    ra, dec = T["ra"].to_numpy(), T["dec"].to_numpy()
    expected = SkyCoord(ra, dec, unit="deg").galactic
    longitude, latitude = to_galactic(ra, dec)
    np.testing.assert_allclose(longitude, expected.l.deg, atol=1e-4)
    np.testing.assert_allclose(latitude, expected.b.deg, atol=1e-5)
    np.testing.assert_allclose(to_equatorial(longitude, latitude), (ra, dec), atol=1e-4)


def test_the_projection_keeps_areas_and_turns_left():
    x, y = hammer(np.array([0.0, 90.0, 0.0, 180.001, 179.999]), np.array([0.0, 0.0, 90.0, 0.0, 0.0]), 0.0)
    np.testing.assert_allclose(x, [0, -87.7, 0, 162.0, -162.0], atol=0.1)
    np.testing.assert_allclose(y, [0, 0, 81.0, 0, 0], atol=0.1)
    rng = np.random.default_rng(0)
    x, y = hammer(rng.uniform(0, 360, 200_000), np.degrees(np.arcsin(rng.uniform(-1, 1, 200_000))), 180.0)
    counts, *_ = np.histogram2d(x, y, bins=(8, 4), range=((-60, 60), (-30, 30)))
    assert counts.std() / counts.mean() < 0.05


# ---- subsets --------------------------------------------------------------------------------------------------------


def test_subsets_are_conditions(client, explorer):
    body = {"all": [{"column": "class", "op": "=", "value": "ROT"}]}
    assert client.put("/api/subsets/spotted ones", json={"where": body}).status_code == 200
    listed = client.get("/api/subsets").json()["subsets"]
    assert [(one["name"], one["count"]) for one in listed] == [("spotted ones", int((CLASS == "ROT").sum()))]
    spotted = {"subset": "spotted ones"}
    assert matching(client, spotted) == rows_where(CLASS == "ROT")
    assert matching(client, filter='not subset("spotted ones")') == rows_where(CLASS != "ROT")
    narrower = {"all": [spotted, {"column": "p_max", "op": ">", "value": 0.8}]}
    assert client.put("/api/subsets/spotted ones", json={"where": narrower}).status_code == 200  # of itself, before
    assert matching(client, spotted) == rows_where((CLASS == "ROT") & (T["p_max"] > 0.8))
    again = SubsetFile(explorer.table.subsets.path)
    assert list(again.all()) == ["spotted ones"]
    assert client.delete("/api/subsets/spotted ones").status_code == 200
    assert client.post("/api/rows", json={"where": {"all": [spotted]}}).status_code == 400
    assert client.put("/api/subsets/x", json={"where": {"all": [{"filter": "nothing > 1"}]}}).status_code == 400


def test_circles_of_subsets_end(tmp_path):
    file = SubsetFile(tmp_path / "subsets.json")
    file.save("a", Where.model_validate({"all": [{"filter": 'subset("b")'}]}))
    file.save("b", Where.model_validate({"all": [{"filter": 'subset("a") or subset("b")'}]}))
    file.save("c", Where(all=[InSubset(subset="c")]))
    assert set(SubsetFile(file.path).all()) == {"a", "b", "c"}
    assert parse_filter('subset("a")', {}) == InSubset(subset="a")


# ---- labels of a selection ------------------------------------------------------------------------------------------


def test_a_selection_is_labelled_at_once_and_undone(client, explorer):
    where = {"all": [{"column": "class", "op": "=", "value": "ROT"}]}
    objects = sorted(set(T["object_id"][CLASS == "ROT"]))
    explorer.labels.change(objects[0], label="mine", comment="stays")
    answer = client.post("/api/labels", json={"where": where, "label": "ROT"}).json()
    assert answer["changed"] == len(objects)
    assert matching(client, {"labelled": True}) == rows_where(T["object_id"].isin(objects))
    assert explorer.labels.get(objects[0]).comment == "stays"
    undone = client.put("/api/labels", json={"entries": answer["before"]})
    assert undone.json()["changed"] == len(objects)
    assert [entry.label for entry in explorer.labels.current()[1]] == ["mine"]
    explorer.labels.remove(objects[0])
    assert client.post("/api/labels", json={"where": where, "label": "x" * 101}).status_code == 400
    assert explorer.labels.current()[1] == []
