"""Answers of a model with a taxonomy and periods as JSON, and their schema."""

import json
from types import SimpleNamespace

import pytest

from goodricke.data.taxonomy import Taxonomy
from goodricke.models.bundle import BundleConfig
from goodricke.preprocess import FoldedConfig
from goodricke.service.answers import Answer, answer_request, read_json
from goodricke.service.schemas import answer_fields, answers_type, parameters_type
from tests.making import LEAVES, variables

TREE = Taxonomy.shipped().restricted(LEAVES)
CONFIG = BundleConfig(name="variables", classes=LEAVES, network={}, preprocessing=FoldedConfig(), taxonomy=TREE)
MODEL = SimpleNamespace(
    config=CONFIG,
    name="variables",
    hash="0123456789ab",
    classes=LEAVES,
    preprocessing=CONFIG.preprocessing,
    pairs=(4, len(LEAVES)),
)
QUEUE = SimpleNamespace(
    model=MODEL, is_multiband=False, classify=lambda request: variables(), passes=lambda n: n, most_points=9
)


@pytest.fixture(scope="module")
def body() -> Answer:
    """Return what is sent about four light curves."""
    curve = {"time": [1.0, 2.0], "value": [12.0, 12.5], "unit": "mag"}
    curves = [{"object_id": name, **curve} for name in ("binary", "mira", "strange", "empty")]
    parameters = parameters_type(["variables"])(model="variables")
    return answer_request(read_json(QUEUE, parameters, json.dumps(curves).encode()))


def test_an_answer_has_the_node_the_leaves_and_the_period_with_alternatives(body: Answer) -> None:
    answer = body["answers"][0]
    assert (answer["class"], answer["leaf"], answer["prediction_set"]) == ("ECLIPSING", "EW", ["EB", "EW"])
    assert answer["class_probability"] == pytest.approx(0.97)
    assert answer["node_ECLIPSING"] == pytest.approx(0.97)
    assert (answer["period"], answer["period_error"]) == (0.4, 0.00002)
    assert answer["period_alternatives"] == [0.2, 1 / 1.5]
    assert answer["period_relations"] == ["P/2", "1-day alias"]
    assert answer["period_alternative_probabilities"] == pytest.approx([0.12, 0.05])
    assert answer["false_alarm_probability"] == 1e-30
    assert "fold_period" not in answer


def test_nothing_is_said_where_there_is_no_period_or_no_class(body: Answer) -> None:
    long, none, failed = body["answers"][1:]
    assert "half the time span" in long["period_note"]
    assert none["prediction_set_node"] == "ECLIPSING"
    for answer in (none, failed):
        names = [name for name in answer if name.startswith("period") or name == "false_alarm_probability"]
        assert {answer[name] for name in names} == {None}
    assert failed["class"] is None
    assert failed["reason"].startswith("the light curve has no observation")


def test_answers_are_as_the_schema_says(body: Answer) -> None:
    schema = answers_type(MODEL)
    schema.model_validate_json(json.dumps(body, allow_nan=False))
    described = schema.model_json_schema()["$defs"]["Answer_of_variables"]["properties"]
    assert list(described)[:-2] == answer_fields(MODEL)
    assert [name for name, field in described.items() if not field.get("description")] == []
    assert described["class"]["description"].startswith("Deepest node or leaf of the taxonomy")


def test_models_without_a_taxonomy_have_the_fields_that_they_had() -> None:
    config = BundleConfig(name="tiny", classes=("A", "B"), network={}, preprocessing=FoldedConfig())
    plain = SimpleNamespace(config=config, classes=("A", "B"), preprocessing=config.preprocessing, pairs=(0,))
    fields = ["object_id", "status", "reason", "class", "p_A", "p_B", "p_max", "std_A", "std_B", "entropy"]
    fields += ["mutual_information", "aleatoric_entropy", "novelty", "fold_period", "prediction_set", "n_obs"]
    assert answer_fields(plain) == [*fields, "n_points", "model", "model_hash"]
