"""Models of class and period together, wherever light curves are classified: the answers are those of `classify`."""

import json
import logging

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from goodricke import LightCurves, Predictions, classify
from goodricke.data.taxonomy import UNCERTAIN
from goodricke.estimator import GoodrickeClassifier
from goodricke.models.bundle import Model, verify_model
from goodricke.service.schemas import as_json
from goodricke.spark import classifier_udf, classify_rows
from goodricke.survey import Catalog
from goodricke.survey.catalog import catalog
from goodricke.survey.hats import classify_partition
from tests.explorer.rest_fixtures import create_test_app
from tests.making import sky

NUMBERS = ("p_max", "entropy", "class_probability", "period", "period_probability", "period_error")


@pytest.fixture(scope="module")
def few(stars: LightCurves) -> LightCurves:
    """Return five stars, and one that can't be classified among them."""
    return LightCurves.concat(
        [stars[:2], stars[2].where(np.arange(stars.offsets[3] - stars.offsets[2]) < 4), stars[3:5]]
    )


@pytest.fixture(scope="module")
def expected(few: LightCurves, variables_model: Model) -> Predictions:
    return classify(few, variables_model, passes=0)


def close(found: pd.DataFrame, expected: Predictions) -> None:
    """Check class, period with alternatives, and probabilities."""
    frame = expected.to_pandas()
    assert found["status"].tolist() == frame["status"].tolist()
    assert found["class"].fillna("").tolist() == frame["class"].fillna("").tolist()
    for name in (*NUMBERS, *(name for name in frame if name.startswith("p_"))):
        np.testing.assert_allclose(found[name].to_numpy(float), frame[name].to_numpy(float), rtol=1e-5, atol=1e-5)
    for a, b in zip(found["period_alternatives"], frame["period_alternatives"], strict=True):
        np.testing.assert_allclose(*(x if isinstance(x, list | np.ndarray) else [] for x in (a, b)), rtol=1e-9)


def test_a_row_has_class_node_and_period(expected: Predictions, variables_model: Model) -> None:
    assert verify_model(variables_model) < 1e-4
    assert expected.column("status").tolist() == ["OK", "OK", "TOO_FEW_POINTS", "OK", "OK"]
    frame = expected.to_pandas()
    tree = variables_model.config.taxonomy
    assert tree is not None
    assert set(frame["class"].dropna()) <= {*tree.names, UNCERTAIN}
    has_period = frame["p_CONSTANT"] < frame[[f"p_{leaf}" for leaf in tree.leaves if leaf != "CONSTANT"]].max(axis=1)
    assert (frame["period"].notna() == (has_period & expected.ok)).all()


@pytest.mark.parametrize("passes", [0, 2])
def test_a_star_alone_is_the_star_in_company(few: LightCurves, variables_model: Model, passes: int) -> None:
    together = classify(few, variables_model, passes)
    for i, one in enumerate(few):
        close(
            classify(one, variables_model, passes).to_pandas(),
            Predictions(together.table.slice(i, 1), together.classes),
        )
    backwards = classify(few[::-1], variables_model, passes)
    close(backwards.to_pandas()[::-1].reset_index(drop=True), together)


def test_a_catalog_has_the_rows_of_classify(few, variables_model, expected, tmp_path) -> None:
    path = tmp_path / "few.parquet"
    few.write_parquet(path)
    assert catalog([str(path)], str(variables_model.folder), tmp_path / "out", passes=0, points=1500) == 0
    found = Catalog.open(tmp_path / "out").read().to_pandas().set_index("object_id").loc[few.ids]
    close(found, expected)


def test_the_service_answers_with_the_numbers_of_classify(few, variables_model, expected) -> None:
    client = TestClient(create_test_app([variables_model]))
    headers = {"content-type": "application/json"}
    response = client.post("/classify?passes=0", content=json.dumps(as_json(few)), headers=headers)
    assert response.status_code == 200, response.text
    found = pd.DataFrame(response.json()["answers"])
    close(found, expected)
    assert client.get("/models").json()[0]["family"] == "variables"


def test_spark_gets_the_rows_of_classify(few, variables_model, expected) -> None:
    names = {"id": "object_id", "t": "mjd", "m": "mag", "e": "magerr"}
    frame = pd.DataFrame([(c.ids[0], c.time, c.value, c.error) for c in few], columns=list(names))
    folder = variables_model.folder
    work = classify_rows(folder, names, unit="mag")
    (found,) = work(iter([frame]))
    close(found, expected)
    kinds = dict(field.split() for field in work.schema.split(", "))
    assert list(found.columns) == list(kinds)
    assert (kinds["period"], kinds["period_alternatives"]) == ("double", "array<double>")
    assert classifier_udf(folder, tuple(names.values()), unit="mag").schema == work.schema


def test_a_partition_of_a_hats_catalog_gets_the_rows_of_classify(few, variables_model, expected) -> None:
    pytest.importorskip("nested_pandas", reason="needs goodricke[survey]")
    frame, folder = few.to_nested_pandas(), str(variables_model.folder)
    found = classify_partition(frame, folder, variables_model.hash, passes=0)
    close(found.reset_index(drop=True), expected)
    empty = classify_partition(frame[:0], folder, variables_model.hash, passes=0)
    assert dict(empty.dtypes.items()) == dict(found.dtypes.items())


def test_several_bands_are_no_reason_for_a_warning(variables_model: Model, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "goodricke"):
        result = classify(sky(3, counts=(20, 30))[0], variables_model, passes=0)
    assert not caplog.records
    assert result.ok.all()


# ---- training on own labels -----------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_classifier_learns_and_starts_from_a_model(variables_model: Model) -> None:
    curves, code = sky(30, counts=(20, 30))
    y = np.array(["slow", "fast"])[code]
    parameters = {"size": "tiny", "epochs": 8, "batch": 8, "rate": 1e-2, "passes": 0}
    fitted = GoodrickeClassifier(**parameters).fit(curves, y)
    assert fitted.model_.config.family == "variables"
    assert fitted.score(curves, y) > 0.9
    p = fitted.predict_proba(curves)
    np.testing.assert_allclose(np.concatenate([fitted.predict_proba(one) for one in curves[:3]]), p[:3], atol=1e-5)
    assert (fitted.predictions(curves).column("period") > 0).all()

    further = GoodrickeClassifier(init=str(variables_model.folder), **parameters).fit(curves, y)
    network, initial = further.model_.network, variables_model.network
    assert network.config.filters == initial.config.filters
    np.testing.assert_array_equal(network.context_mean, initial.context_mean)  # which the adopted weights depend on
    assert further.score(curves, y) > 0.9
