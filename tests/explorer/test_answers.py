"""The explorer on a catalog of a model with a taxonomy and periods."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from goodricke.data.taxonomy import UNCERTAIN
from goodricke.explorer.app import create_app
from goodricke.explorer.catalog_routes import Objects
from goodricke.explorer.conditions import Where
from goodricke.explorer.object_routes import period_to_fold_on
from goodricke.explorer.session import Explorer, open_explorer
from tests.explorer.conftest import HERE
from tests.making import LEAVES, variables


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explorer]:
    folder: Path = tmp_path_factory.mktemp("answers")
    variables().write(folder / "catalog.parquet")
    explorer = open_explorer(folder / "catalog.parquet", labels=folder / "labels.csv")
    yield explorer
    explorer.close()


@pytest.fixture(scope="module")
def page(opened: Explorer) -> TestClient:
    return TestClient(create_app(opened), base_url=HERE)


def test_an_object_has_its_node_its_leaves_and_its_set(page: TestClient) -> None:
    binary = page.get("/api/rows/0").json()
    assert (binary["fields"]["class"], binary["leaves"]) == ("ECLIPSING", "EW 0.55 / EB 0.42")
    assert binary["class_probability"] == pytest.approx(0.97)
    assert {e["class"]: round(e["p"], 2) for e in binary["nodes"]}["ECLIPSING"] == 0.97
    assert [e["class"] for e in binary["probabilities"]][:2] == ["EW", "EB"]
    assert (binary["set_title"], binary["set_text"]) == ("90 % set", "EW or EB")
    assert binary["is_new"] is False
    strange = page.get("/api/rows/2").json()
    assert (strange["set_text"], strange["is_new"]) == ("ECLIPSING", True)


def test_a_period_has_its_uncertainty_alternatives_and_doubts(page: TestClient) -> None:
    answer = page.get("/api/rows/0").json()["period"]
    assert (answer["period"], answer["text"], answer["false_alarm"], answer["notes"]) == (
        0.4,
        "0.40000(2)",
        "FAP < 1e-06",
        [],
    )
    assert [(e["relation"], e["text"]) for e in answer["alternatives"]] == [
        ("P/2", "0.20000"),
        ("1-day alias", "0.66667"),
    ]
    assert len(page.get("/api/rows/1").json()["period"]["notes"]) == 2
    assert page.get("/api/rows/2").json()["period"] is None
    failed = page.get("/api/rows/3").json()
    assert (failed["period"], failed["class_probability"], failed["leaves"]) == (None, None, "")


def test_light_curves_are_folded_on_the_answered_period() -> None:
    binary, _, none, _ = variables().table.to_pylist()
    assert period_to_fold_on(binary | {"f1": 5.0}) == 0.4
    assert period_to_fold_on(none | {"f1": 5.0}) is None
    assert period_to_fold_on({"f1": 4.0, "fold_period": 1.0}) == 0.25
    assert period_to_fold_on({"f1": None, "fold_period": 1.0}) == 1.0
    assert period_to_fold_on({"period": 3.0}) is None  # of the user's table


def test_rows_are_selected_by_node_and_its_probability(opened: Explorer) -> None:
    objects = Objects(opened.store)
    assert objects.classes == [*LEAVES, "ECLIPSING", UNCERTAIN]
    assert [row["object_id"] for row in objects.page("ECLIPSING", 0.9, 10, -1)] == ["binary"]
    assert objects.page("ECLIPSING", 0.98, 10, -1) == []


def test_lists_of_periods_are_columns_that_can_be_searched(opened: Explorer) -> None:
    assert opened.table.row(0)["period_alternatives"] == [0.2, 1 / 1.5, None]
    assert opened.diagrams._class.tolist() == [2, 4, 0, -1]
    where = Where.model_validate({"all": [{"column": "period_alternatives", "op": "contains", "value": "0.2"}]})
    found = opened.table.matching(where)
    assert found is not None
    assert found.tolist() == [0]
