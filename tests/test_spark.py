"""Functions for Spark, held on plain pandas frames as Spark hands them over: an iterator in, an iterator out.

Nothing here needs Spark or a JVM; the last test runs in a real, local Spark where there is one.
"""

import os
import pickle
import shutil
from collections.abc import Iterator
from typing import get_type_hints

import numpy as np
import pandas as pd
import pytest

import goodricke as gr
from goodricke.data.lightcurves import LightCurves
from goodricke.io import read
from goodricke.spark import classifier_udf, classify_rows
from tests.making import sky

MODEL = "ztf-bts"


@pytest.fixture(scope="module")
def curves() -> LightCurves:
    return sky(12)[0]


def fink(curves: LightCurves) -> pd.DataFrame:
    """Return light curves as Fink's columns of arrays."""
    rows = [(c.time + 2459000.5, c.value, c.error, (c.band + 1).astype(np.int32)) for c in curves]
    frame = pd.DataFrame(rows, columns=["cjd", "cmagpsf", "csigmapsf", "cfid"])
    return frame.assign(objectId=curves.ids, candid=np.arange(len(curves)))


@pytest.fixture(scope="module")
def expected(curves) -> gr.Predictions:
    return gr.classify(curves, MODEL)


def test_rows_give_the_predictions_of_classify_for_any_batches(curves, expected):
    work, frame = classify_rows(MODEL, keep=["objectId", "candid bigint"]), fink(curves)
    frames = list(work(iter([frame[:5], frame[5:6], frame[6:]])))
    assert [len(part) for part in frames] == [5, 1, 6]
    result = pd.concat(frames)
    assert result["objectId"].tolist() == curves.ids
    np.testing.assert_allclose(result["p_IA"], expected.column("p_IA"), atol=1e-5)
    assert result["class"].tolist() == expected.column("class").tolist()
    assert [list(x) for x in result["prediction_set"]] == expected.table["prediction_set"].to_pylist()


def test_the_schema_names_the_columns_in_order(curves):
    work = classify_rows(MODEL, keep=["objectId", "candid bigint"])
    (result,) = work(iter([fink(curves)]))
    fields = [field.split() for field in work.schema.split(", ")]
    assert [name for name, _ in fields] == list(result.columns)
    kinds = dict(fields)
    assert (kinds["candid"], kinds["p_IA"], kinds["prediction_set"]) == ("bigint", "float", "array<string>")
    assert kinds["n_obs"] == "int"
    assert "embedding array<float>" in classify_rows(MODEL, embedding=True).schema


def test_columns_and_rows_give_the_same(curves):
    frame, udf = fink(curves), classifier_udf(MODEL)
    batches = [tuple(part[c] for c in ("cjd", "cmagpsf", "csigmapsf", "cfid")) for part in (frame[:7], frame[7:])]
    result = pd.concat(list(udf(iter(batches))))
    (rows,) = classify_rows(MODEL)(iter([frame]))
    pd.testing.assert_frame_equal(result.reset_index(drop=True), rows, rtol=1e-5)
    assert udf.schema == classify_rows(MODEL).schema
    hints = get_type_hints(udf)  # from which Spark infers the kind of function
    assert hints == {"batches": Iterator[tuple[pd.Series, ...]], "return": Iterator[pd.DataFrame]}


def test_other_columns_and_units(curves, expected):
    names = {"objectId": "object_id", "t": "mjd", "m": "mag", "e": "magerr", "b": "band"}
    frame = fink(curves).rename(columns=dict(zip(["cjd", "cmagpsf", "csigmapsf", "cfid"], "tmeb", strict=True)))
    frame["b"] = [["g" if k == 1 else "r" for k in bands] for bands in frame["b"]]
    (result,) = classify_rows(MODEL, names)(iter([frame]))
    np.testing.assert_allclose(result["p_IA"], expected.column("p_IA"), atol=1e-5)
    udf = classifier_udf(MODEL, ("mjd", "mag", "magerr", "band"))
    (again,) = udf(iter([tuple(frame[c] for c in "tmeb")]))
    np.testing.assert_allclose(again["p_IA"], result["p_IA"], atol=1e-5)


def test_rows_without_a_light_curve_have_a_status_and_stop_nothing(curves, expected):
    frame = fink(curves[:6]).astype(object)
    frame.at[1, "cmagpsf"] = frame.at[1, "cmagpsf"][:-1]  # lengths differ
    for name in ("cjd", "cmagpsf", "csigmapsf", "cfid"):
        frame.at[2, name] = None
        frame.at[3, name] = []
    frame.at[4, "cmagpsf"] = np.full(len(frame.at[4, "cmagpsf"]), None)  # upper limits only
    (result,) = classify_rows(MODEL)(iter([frame]))
    assert result["status"].tolist() == ["OK", "EMPTY", "EMPTY", "EMPTY", "NON_FINITE", "OK"]
    assert result["class"].isna().tolist() == [False, True, True, True, True, False]
    np.testing.assert_allclose(result["p_IA"][[0, 5]], expected.column("p_IA")[[0, 5]], atol=1e-5)
    for part in (frame[2:3], frame[:0]):  # a column of nothing but nulls; no row
        (result,) = classify_rows(MODEL)(iter([part]))
        assert result["status"].tolist() == ["EMPTY"] * len(part)
    assert list(classify_rows(MODEL)(iter([]))) == []


def test_differences_with_a_sign_are_fluxes(curves, expected):
    frame = fink(curves)
    frame["cisdiffpos"] = [np.full(len(x), "t") for x in frame["cjd"]]
    (result,) = classify_rows(MODEL)(iter([frame]))
    np.testing.assert_allclose(result["p_IA"], expected.column("p_IA"), atol=1e-3)
    frame["cisdiffpos"] = [np.full(len(x), "f") for x in frame["cjd"]]
    (result,) = classify_rows(MODEL)(iter([frame]))
    assert (result["node_TRANSIENT"] < 0.5).all()  # a difference below the reference is no new source


def test_the_function_goes_to_workers_and_refuses_another_model(curves, monkeypatch):
    cloudpickle = pytest.importorskip("cloudpickle", reason="Spark brings its own")
    work = pickle.loads(cloudpickle.dumps(classify_rows(MODEL)))
    (result,) = work(iter([fink(curves)]))
    assert len(result) == len(curves)
    monkeypatch.setattr("goodricke.spark.load_once", lambda *expected: gr.load_model("plasticc"))
    with pytest.raises(ValueError, match="another model on this worker"):
        list(work(iter([fink(curves)])))


def test_alerts_as_fink_ships_them_give_what_its_reader_gives(shared):
    """Rows made of whole packets, as Fink's `concat_col` makes them: history first, then the alert."""
    path = shared / "data/formats/fink/ztf_alerts.parquet"
    if not path.exists():
        pytest.skip("no Fink sample beside the checkout")
    packets = pd.read_parquet(path, columns=["objectId", "candidate", "prv_candidates"])
    last = packets.groupby("objectId", sort=False).tail(1).reset_index(drop=True)
    fields = {"cjd": "jd", "cmagpsf": "magpsf", "csigmapsf": "sigmapsf", "cfid": "fid", "cisdiffpos": "isdiffpos"}
    for name, inner in fields.items():
        history = [[p[inner] for p in (old if old is not None else [])] for old in last["prv_candidates"]]
        last[name] = [[*old, now[inner]] for old, now in zip(history, last["candidate"], strict=True)]
    (result,) = classify_rows(MODEL, keep=["objectId"])(iter([last]))
    reader = gr.classify(read(path), MODEL).to_pandas().set_index("object_id")
    complete = result.set_index("objectId")
    same = complete["n_obs"] == reader["n_obs"].reindex(complete.index)  # other packets may know of more
    assert same.sum() > 20
    expected = reader.loc[complete.index[same]]
    assert complete["status"][same].tolist() == expected["status"].tolist()
    np.testing.assert_allclose(complete["p_IA"][same], expected["p_IA"], atol=1e-4)


@pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs a JVM")
@pytest.mark.skipif("GOODRICKE_SPARK" not in os.environ, reason="takes a minute: set GOODRICKE_SPARK=1 to run it")
def test_in_a_real_spark(curves, expected):
    sql = pytest.importorskip("pyspark.sql")
    from pyspark.sql.functions import pandas_udf

    spark = sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        frame = fink(curves)
        frame = frame.apply(lambda column: column.map(lambda x: x.tolist() if hasattr(x, "tolist") else x))
        table = spark.createDataFrame(frame).repartition(3)
        work, udf = classify_rows(MODEL, keep=["objectId"]), classifier_udf(MODEL)
        result = table.mapInPandas(work, work.schema).toPandas().set_index("objectId").loc[curves.ids]
        np.testing.assert_allclose(result["p_IA"], expected.column("p_IA"), atol=1e-5)
        output = pandas_udf(udf, udf.schema)("cjd", "cmagpsf", "csigmapsf", "cfid")
        again = table.select("objectId", output.alias("g")).select("objectId", "g.*").toPandas()
        again = again.set_index("objectId").loc[curves.ids]
        np.testing.assert_allclose(again["p_IA"], expected.column("p_IA"), atol=1e-5)
        assert [list(x) for x in again["prediction_set"]] == expected.table["prediction_set"].to_pylist()
    finally:
        spark.stop()
