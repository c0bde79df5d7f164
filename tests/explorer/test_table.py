from itertools import chain

import numpy as np
import pandas as pd
import pytest

from goodricke.explorer import table
from goodricke.explorer.conditions import Where
from goodricke.explorer.session import open_explorer
from tests.explorer.conftest import CLASSES, EVIL, N, folder_of, rows


def found(explorer, *conditions):
    got = explorer.table.matching(Where(all=list(conditions)))
    return np.arange(N) if got is None else np.sort(got)


def compare(column, op, value=None):
    return {"column": column, "op": op, "value": value}


T = rows()
FILTERS = [
    (compare("class", "=", "ROT"), T["class"] == "ROT"),
    (compare("class", "!=", "ROT"), T["class"] != "ROT"),
    (compare("class", "in", ["ROT", "ECL"]), T["class"].isin(["ROT", "ECL"])),
    (compare("class", "in", []), T["class"].isin([])),
    (compare("class", "is null"), T["class"].isna()),
    (compare("class", "not null"), T["class"].notna()),
    (compare("p_max", ">", 0.7), T["p_max"] > np.float32(0.7)),
    (compare("p_max", "<=", "0.7"), T["p_max"] <= np.float32(0.7)),
    (compare("p_max", "is null"), T["p_max"].isna()),
    (compare("n_obs", ">=", 200), T["n_obs"] >= 200),
    (compare("n_obs", "<", 200.5), T["n_obs"] < 200.5),
    (compare("n_obs", "=", 77), T["n_obs"] == 77),
    (compare("is_star", "=", True), T["is_star"]),
    (compare("is_star", "!=", "true"), ~T["is_star"]),
    (compare("source_id", "=", str((1 << 60) + 5)), T["source_id"] == (1 << 60) + 5),
    (compare("object_id", "contains", "00012"), T["object_id"].str.contains("00012")),
    (compare("object_id", "=", "0000012"), T["object_id"] == "0000012"),
    (compare("prediction_set", "contains", "ECL"), T["prediction_set"].map(lambda s: s is not None and "ECL" in s)),
    (compare("prediction_set", "=", "ECL|ROT"), T["prediction_set"].map(lambda s: s == ["ECL", "ROT"])),
    (compare("Teff", "=", 1), T["Teff"] == 1),
    (compare("teff", ">", 6000), T["teff"] > 6000),
    (compare(EVIL, "<", 0), T[EVIL] < 0),
    (compare("catalog_label", "=", "theirs"), T["label"] == "theirs"),
    ({"search": "00012"}, T["object_id"].str.contains("00012")),
    ({"rows": [3, 5, 10**15, -1]}, T.index.isin([3, 5])),
    ({"labelled": False}, T.index >= 0),
]


@pytest.mark.parametrize(("condition", "expected"), FILTERS, ids=[str(c)[:40] for c, _ in FILTERS])
def test_a_filter_is_what_pandas_finds(explorer, condition, expected):
    np.testing.assert_array_equal(found(explorer, condition), np.flatnonzero(expected))


def test_conditions_all_hold(explorer):
    got = found(explorer, compare("class", "=", "ROT"), compare("n_obs", ">", 100), compare("n_obs", "<", 300))
    np.testing.assert_array_equal(got, np.flatnonzero((T["class"] == "ROT") & (T["n_obs"] > 100) & (T["n_obs"] < 300)))


def order(client, *sort, **more):
    answer = client.post("/api/rows", json={"sort": list(sort), "limit": 1000, "columns": [], **more})
    return [row["row"] for row in answer.json()["rows"]]


def test_sorting_is_stable_and_puts_what_is_missing_last(client):
    for column in ("p_max", "class", "n_obs", "object_id", "prediction_set"):
        for descending in (False, True):
            key = (
                T[column].map(lambda s: None if s is None else "|".join(s)) if column == "prediction_set" else T[column]
            )
            expected = key.sort_values(ascending=not descending, kind="stable", na_position="last").index
            if descending:  # pandas turns those that are alike around
                expected = pd.DataFrame({"k": key, "row": T.index}).sort_values(
                    ["k", "row"], ascending=[False, True], na_position="last"
                )["row"]
            assert order(client, {"column": column, "descending": descending}) == list(expected), column


def test_pages_join_to_the_table(client):
    sort = {"column": "class"}
    pages = [order(client, sort, limit=130, offset=k) for k in range(0, N + 130, 130)]
    assert list(chain(*pages)) == order(client, sort)
    assert order(client, limit=130, offset=520) == list(range(520, N))


def test_deep_pages_and_positions_are_of_the_same_order(client, explorer, monkeypatch):
    where, sort = {"all": [compare("n_obs", ">", 100)]}, {"column": "p_max", "descending": True}
    rows = order(client, sort, where=where)
    monkeypatch.setattr(table, "DEEP", 50)
    assert order(client, sort, where=where, limit=70, offset=200) == rows[200:270]
    for body, expected in (
        ({"where": where, "sort": [sort], "row": rows[123]}, 123),
        ({"where": where, "row": int(T.index[T["n_obs"] <= 100][0])}, None),
        ({"row": 17}, 17),
        ({"row": N}, None),
    ):
        assert client.post("/api/position", json=body).json() == {"index": expected}
    labelled = {"where": {"all": [{"labelled": True}]}, "row": 31}
    assert client.post("/api/position", json=labelled).json()["index"] is None
    explorer.labels.change(T["object_id"][31], label="x")  # an order that was remembered is not that of other labels
    assert client.post("/api/position", json=labelled).json()["index"] == 1
    explorer.labels.remove(T["object_id"][31])


def test_rows_are_those_of_the_files(client):
    answer = client.post("/api/rows", json={"limit": 600}).json()
    assert answer["total"] == N
    for row in (answer["rows"][k] for k in (0, 7, 199, 200, 599)):
        told = T.loc[row["row"]]
        for name in ("object_id", "class", "n_obs", "p_max", "is_star", EVIL):
            expected = told[name]
            if expected is None or (isinstance(expected, float) and not np.isfinite(expected)):
                assert row[name] is None
            else:
                assert row[name] == expected
        assert row["source_id"] == str(told["source_id"])  # more digits than JavaScript keeps
        assert row["prediction_set"] == told["prediction_set"]
        assert "embedding" not in row


def test_counts_are_those_of_pandas(client):
    got = client.post("/api/counts", json={"where": {"all": [compare("n_obs", ">", 100)]}}).json()
    expected = T[T["n_obs"] > 100]["class"].value_counts(dropna=False)
    assert {c["value"]: c["count"] for c in got["counts"]} == {
        (None if pd.isna(k) else k): v for k, v in expected.items()
    }
    assert (got["total"], got["other"]) == (int((T["n_obs"] > 100).sum()), 0)
    many = client.post("/api/counts", json={"by": "object_id"}).json()
    assert (len(many["counts"]), many["other"], many["values"]) == (100, N - 200, N // 2)


def test_histogram_is_that_of_numpy(client):
    got = client.post("/api/histogram", json={"column": "p_max", "bins": 20}).json()
    counts, edges = np.histogram(T["p_max"].dropna().astype(float), 20)
    assert got["counts"] == counts.tolist()
    np.testing.assert_allclose(got["edges"], edges)
    endless = client.post("/api/histogram", json={"column": EVIL}).json()
    assert sum(endless["counts"]) == N - 1
    assert client.post("/api/histogram", json={"column": "Teff", "bins": 3}).json()["counts"] == [N, 0, 0]
    assert client.post("/api/histogram", json={"column": "class"}).status_code == 400
    none = {"where": {"all": [compare("n_obs", "<", 0)]}, "column": "n_obs"}
    assert client.post("/api/histogram", json=none).json() == {"edges": [], "counts": []}


REFUSED = [
    ("/api/rows", {"sort": [{"column": "row; DROP TABLE rows"}]}, 400, "no column"),
    ("/api/rows", {"columns": ["c0"]}, 400, "no column"),
    ("/api/rows", {"where": {"all": [compare("n_obs", "=", "many")]}}, 400, "holds numbers"),
    ("/api/rows", {"where": {"all": [compare("n_obs", "=", 1e300)]}}, 400, "holds numbers"),
    ("/api/rows", {"where": {"all": [compare("n_obs", "=")]}}, 400, "one value"),
    ("/api/rows", {"where": {"all": [compare("n_obs", "=", [1, 2])]}}, 400, "one value"),
    ("/api/rows", {"where": {"all": [compare("is_star", "=", "perhaps")]}}, 400, "true or false"),
    ("/api/rows", {"where": {"all": [compare("n_obs", "OR 1=1", 3)]}}, 422, "op"),
    ("/api/rows", {"where": {"all": [{"nothing": 1}]}}, 422, ""),
    ("/api/rows", {"limit": 1001}, 422, "limit"),
    ("/api/rows", {"offset": -1}, 422, "offset"),
    ("/api/rows", {"unknown": 1}, 422, "unknown"),
    ("/api/counts", {"by": "nothing"}, 400, "no column"),
    ("/api/histogram", {"column": "n_obs", "bins": 201}, 422, "bins"),
]


@pytest.mark.parametrize(("path", "body", "code", "word"), REFUSED)
def test_malformed_requests_get_a_reason(client, path, body, code, word):
    answer = client.post(path, json=body)
    assert answer.status_code == code, answer.text
    assert isinstance(answer.json()["detail"], str)
    assert word in answer.json()["detail"]


TRIES = ["' OR 1=1 --", "'; DROP TABLE labels; --", '"; DROP TABLE rows; --', "\\'; SELECT 1", "%", "_", "\x00", "🜨"]


@pytest.mark.parametrize("text", TRIES)
def test_values_never_become_sql(explorer, text):
    for condition in (
        compare("object_id", "=", text),
        compare("object_id", "contains", text),
        compare("class", "in", [text]),
        {"search": text},
        compare("prediction_set", "contains", text),
    ):
        assert len(found(explorer, condition)) == 0
    assert len(explorer.table) == N == len(found(explorer, compare("status", "not null")))


def test_sql_reaches_no_file(explorer, tmp_path):
    with pytest.raises(Exception, match="disabled"):
        explorer.store.execute("SELECT * FROM read_csv(?)", [str(tmp_path / "x.csv")])
    with pytest.raises(Exception, match="locked"):
        explorer.store.execute("SET enable_external_access = true")
    with pytest.raises(Exception, match="read-only"):
        explorer.store.execute(f"DELETE FROM {explorer.store.rows}")


def test_columns_are_described(client):
    about = client.get("/api/about").json()
    known = {c["name"]: c for c in about["columns"]}
    assert about["rows"] == N
    assert about["classes"] == list(CLASSES)
    assert {known[n]["type"] for n in ("p_max", "n_obs", "source_id")} == {"number"}
    assert (known["is_star"]["type"], known["prediction_set"]["type"]) == ("boolean", "list")
    assert "embedding" not in known
    assert known["std_ECL"]["hidden"]
    assert not known["p_max"]["hidden"]
    assert known["ra"]["about"] == "Right ascension [deg]"


def test_a_copy_is_kept_and_made_anew_when_the_catalog_changes(tmp_path):
    first = rows(100)
    catalog, copied = folder_of(first, tmp_path / "cat"), []
    for expected in (100, 0):
        copied.clear()
        made = open_explorer(catalog, progress=copied.append)
        assert (sum(copied), len(made.table)) == (expected, 100)
        made.close()
    more = pd.concat([first, first.head(10)], ignore_index=True)
    folder_of(more, tmp_path / "new")
    for path in (tmp_path / "new").iterdir():
        path.replace(catalog / path.name)
    made = open_explorer(catalog, progress=copied.append)
    assert (sum(copied), len(made.table)) == (110, 110)
    made.close()


def test_two_explorers_share_a_copy(explorer, world):
    other = open_explorer(world.catalog)
    assert other.table.total(Where(all=[compare("class", "=", "ROT")])) == (T["class"] == "ROT").sum()
    other.close()
    assert explorer.table.total(Where()) == N


def test_it_works_without_a_cache(world, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    made = open_explorer(world.catalog)
    assert made.table.total(Where(all=[compare("class", "=", "ROT")])) == (T["class"] == "ROT").sum()
    made.close()


def test_another_table_is_joined(tmp_path, world):
    by_object = pd.DataFrame({"object_id": ["0000003", "0000000", "nobody"], "vmag": [3.0, 0.0, 9.0], "p_ECL": 5.0})
    by_object.to_csv(tmp_path / "by_object.csv", index=False)
    by_curve = pd.DataFrame({"object_id": ["0000001", "0000001"], "sector": [1, 0], "vmag": [11.0, 10.0]})
    by_curve.to_parquet(tmp_path / "by_curve.parquet")
    for name, expected in (
        ("by_object.csv", {0: 0.0, 1: 0.0, 6: 3.0, 7: 3.0}),
        ("by_curve.parquet", {2: 10.0, 3: 11.0}),
    ):
        made = open_explorer(world.catalog, extra=tmp_path / name)
        value = made.table.all_numbers(["vmag"])["vmag"]
        assert {k: v for k, v in enumerate(value) if np.isfinite(v)} == expected
        assert made.table.row(0)["p_ECL"] != 5
        made.close()
    pd.DataFrame({"object_id": ["nobody"], "vmag": [1]}).to_csv(tmp_path / "none.csv", index=False)
    with pytest.raises(ValueError, match="none of the catalog's objects"):
        open_explorer(world.catalog, extra=tmp_path / "none.csv")


def test_several_tables_are_joined_and_the_first_value_counts(tmp_path, world):
    """Positions and columns of one table stay where a later one, as that of ``examine``, has none."""
    own = world.catalog.with_name("without-positions")
    folder_of(T.drop(columns=["ra", "dec"]), own)
    one = pd.DataFrame({"object_id": ["0000000", "0000001"], "ra": [10.0, 20.0], "dec": [1.0, 2.0], "vmag": [1, 2]})
    other = pd.DataFrame(
        {"object_id": ["0000000", "0000002"], "ra": [np.nan, 30.0], "dec": [np.nan, 3.0], "vmag": [9.5, 3]}
    )
    one.to_csv(tmp_path / "one.csv", index=False)
    other.to_parquet(tmp_path / "other.parquet")
    paths = [tmp_path / "one.csv", tmp_path / "other.parquet"]
    for extra, vmag in ((paths, 1.0), (paths[::-1], 9.5)):
        made = open_explorer(own, extra=extra)
        values = made.table.all_numbers(["ra", "dec", "vmag"])
        assert values["ra"][[0, 2, 4]].tolist() == [10, 20, 30]
        assert values["dec"][[0, 2, 4]].tolist() == [1, 2, 3]
        assert values["vmag"][[0, 2, 4]].tolist() == [vmag, 2, 3]
        assert any(d["name"] == "sky" for d in made.diagrams.about()[0])
        made.close()
    pd.DataFrame({"object_id": ["0000000"], "vmag": ["bright"]}).to_csv(tmp_path / "text.csv", index=False)
    with pytest.raises(ValueError, match="vmag is of another kind"):
        open_explorer(own, extra=[*paths, tmp_path / "text.csv"])
