"""Views as addresses: a GET gives what the POST with the same fields gives."""

import io
import json

import pandas as pd
import pytest
from fastapi import HTTPException

from goodricke.explorer.table_routes import RowsBody
from goodricke.explorer.views import body_of_query
from tests.explorer.conftest import EVIL, rows

T = rows()
WHERE = {"all": [{"column": "class", "op": "=", "value": "ROT"}, {"column": "p_max", "op": ">", "value": 0.6}]}
SORT = [{"column": "ra", "descending": True}]


def get(client, path, **query):
    answer = client.get(path, params={k: v if isinstance(v, str | int) else json.dumps(v) for k, v in query.items()})
    assert answer.status_code == 200, answer.text
    return {k: v for k, v in answer.json().items() if k != "seconds"}


def post(client, path, **body):
    return {k: v for k, v in client.post(path, json=body).json().items() if k != "seconds"}


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/api/rows", {"sort": SORT, "limit": 7, "offset": 3, "columns": ["object_id", "ra"]}),
        ("/api/position", {"sort": SORT, "row": int(T.index[T["class"] == "ROT"][0])}),
        ("/api/counts", {"by": "is_star"}),
        ("/api/histogram", {"column": "ra", "bins": 7}),
        ("/api/diagrams/sky", {"most": 50}),
    ],
)
def test_a_get_is_the_post(client, path, fields):
    expected = post(client, path, where=WHERE, **fields)
    assert get(client, path, where=WHERE, **fields) == expected
    plain = {"class": "ROT", "p_max__gt": "0.6"}
    assert get(client, path, **plain, **fields) == expected
    assert get(client, path) if path == "/api/rows" else True


def test_short_forms(client):
    expected = post(client, "/api/rows", where=WHERE, sort=SORT, columns=["object_id", "ra"])
    query = {"class": "ROT", "p_max__gt": "0.6", "sort": "-ra", "columns": "object_id,ra"}
    assert get(client, "/api/rows", **query) == expected
    assert get(client, "/api/rows", class__in="ROT,ECL")["total"] == T["class"].isin(["ROT", "ECL"]).sum()
    assert get(client, "/api/rows", class__isnull="")["total"] == T["class"].isna().sum()
    assert get(client, "/api/rows", search="0000001")["total"] == 2
    assert get(client, "/api/rows", labelled="false")["total"] == len(T)
    assert get(client, "/api/rows", **{EVIL: "1.5"})["total"] == 0


def test_an_export_is_an_address(client):
    table = pd.read_csv(io.StringIO(client.get("/api/export?class=ROT&format=csv").text), dtype={"object_id": str})
    assert table["object_id"].tolist() == T["object_id"][T["class"] == "ROT"].tolist()


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("nothing=1", "nothing: neither a column"),
        ("p_max__above=1", "p_max__above: neither"),
        ("where={", "where: is no JSON"),
        ("where=[1]", "where"),
        ("where=[1]&class=ROT", "where: must be"),
        ('where={"all":3}&class=ROT', "where: must be"),
        ("limit=1001", "limit"),
        ("limit=many", "limit"),
        ("class=ROT&class=ECL", "given more than once: class"),
        ("row=3", "row: neither"),
    ],
)
def test_what_is_wrong_is_named(client, query, why):
    answer = client.get(f"/api/rows?{query}")
    assert answer.status_code == 422
    assert why in answer.json()["detail"]
    deep = "[" * 100_000
    with pytest.raises(HTTPException):
        body_of_query(RowsBody, [("where", deep)], [])


def test_a_wrong_number_is_refused(client):
    assert client.get("/api/rows?p_max__gt=much").status_code == 400
    assert client.get('/api/rows?where={"all":[{"column":"p_max","op":">","value":NaN}]}').status_code in (400, 422)


def test_the_addresses_are_described(client):
    paths = client.get("/openapi.json").json()["paths"]
    for path in ("/api/rows", "/api/position", "/api/counts", "/api/histogram", "/api/diagrams/{name}", "/api/export"):
        names = [p["name"] for p in paths[path]["get"]["parameters"]]
        assert "where" in names
        assert len(names) == len(set(names))
