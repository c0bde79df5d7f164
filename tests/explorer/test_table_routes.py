import io

import pandas as pd
import pyarrow.parquet as pq
import pytest

from goodricke.data.formats import WRITERS
from goodricke.explorer.session import default_label_path
from goodricke.io import read_labels
from tests.explorer.conftest import rows

T = rows()


def test_labels_lie_beside_the_catalog(tmp_path):
    (tmp_path / "cat").mkdir()
    assert default_label_path(tmp_path / "cat") == tmp_path / "cat-labels.csv"
    assert default_label_path(tmp_path / "night.parquet") == tmp_path / "night-labels.csv"


# ---- export ---------------------------------------------------------------------------------------------------------

WHERE = {"all": [{"column": "class", "op": "=", "value": "ROT"}]}


def test_an_export_is_the_rows(client, explorer):
    explorer.labels.change("0000001", label="EA", comment="x")
    expected = T[T["class"] == "ROT"]
    csv = client.post("/api/export", json={"where": WHERE, "format": "csv"})
    assert csv.headers["content-disposition"] == 'attachment; filename="cat-selection.csv"'
    got = pd.read_csv(io.StringIO(csv.text), dtype={"object_id": str})
    assert got["object_id"].tolist() == expected["object_id"].tolist()
    pd.testing.assert_series_equal(got["ra"], expected["ra"].reset_index(drop=True))
    assert got["source_id"].tolist() == expected["source_id"].tolist()
    parquet = pq.read_table(io.BytesIO(client.post("/api/export", json={"where": WHERE, "format": "parquet"}).content))
    assert parquet["p_ROT"].to_pylist() == expected["p_ROT"].tolist()
    assert parquet["prediction_set"].to_pylist() == expected["prediction_set"].tolist()
    labels = dict(zip(parquet["object_id"].to_pylist(), parquet["label"].to_pylist(), strict=True))
    assert labels.get("0000001", "EA") == "EA"
    assert parquet.schema.metadata[b"model_hash"] == b"0123456789ab"
    assert client.post("/api/export", json={"format": "ids", "where": WHERE}).text.split() == list(
        dict.fromkeys(expected["object_id"])
    )


def test_no_cell_of_a_csv_is_a_formula(client, explorer):
    comments = ["=1+1", "+1", "-1", "@SUM(A1)", "a=1"]
    ids = T["object_id"].drop_duplicates()[:5].tolist()
    for object_id, comment in zip(ids, comments, strict=True):
        explorer.labels.change(object_id, label="X", comment=comment)
    body = {"where": {"all": [{"column": "label", "op": "=", "value": "X"}]}}

    def exported(kind, read):
        table = read(io.BytesIO(client.post("/api/export", json=body | {"format": kind}).content))
        return dict(zip(table["object_id"], table["comment"], strict=True))

    assert exported("parquet", pd.read_parquet) == dict(zip(ids, comments, strict=True))
    csv = exported("csv", lambda file: pd.read_csv(file, dtype={"object_id": str}))
    assert csv == dict(zip(ids, [*("'" + comment for comment in comments[:-1]), "a=1"], strict=True))
    for object_id in ids:
        explorer.labels.remove(object_id)


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_every_format_and_nothing_at_all(client, kind):
    for where in (WHERE, {"all": [{"column": "n_obs", "op": "<", "value": 0}]}):
        answer = client.post("/api/export", json={"where": where, "format": kind[1:]})
        assert answer.status_code == 200, answer.text
        assert answer.content
    assert client.post("/api/export", json={"format": "../x"}).status_code == 422


def test_an_exported_selection_is_read_as_labels(client, explorer, tmp_path):
    explorer.labels.change("0000001", label="EA")
    (tmp_path / "x.csv").write_text(client.post("/api/export", json={"where": {"all": [{"labelled": True}]}}).text)
    assert "EA" in set(read_labels(tmp_path / "x.csv")["label"])
