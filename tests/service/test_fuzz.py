"""The REST interface, with random requests; ``FUZZ=2000 pytest ...`` sends more."""

import json
import math
import os
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from starlette.testclient import TestClient

from goodricke.data.examples import example_files
from goodricke.io.measurements import MOST_DAYS
from tests.explorer.rest_fixtures import bands_model, create_test_app, open_catalog

EXAMPLES = int(os.environ.get("FUZZ", "8"))
RUN = {"deadline": None, "derandomize": EXAMPLES < 100, "suppress_health_check": list(HealthCheck)}
WITH_INPUT = [  # paths with input to vary, and those without
    ("/classify", "POST"),
    ("/objects", "GET"),
    ("/objects/{object_id}", "GET"),
    ("/objects/{object_id}/light_curve", "GET"),
]
WITHOUT_INPUT = [("/models", "GET"), ("/health", "GET")]
MODES = [(*each, mode) for each in WITH_INPUT for mode in GenerationMode]
MODES += [(*each, GenerationMode.POSITIVE) for each in WITHOUT_INPUT]


@pytest.fixture(scope="module")
def described(tmp_path_factory, folded_model):
    folder = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        store = open_catalog(folder)
    models = [folded_model, bands_model(folder), bands_model(folder, "context", ("redshift",))]
    yield schemathesis.openapi.from_asgi("/openapi.json", create_test_app(models, store))
    store.close()


def test_all_is_fuzzed(described):
    paths = {(each.ok().path, each.ok().method.upper()) for each in described.get_all_operations()}
    assert paths == {*WITH_INPUT, *WITHOUT_INPUT}


@pytest.mark.parametrize(("path", "method", "mode"), MODES)
def test_every_answer_is_as_described(described, path, method, mode):
    @given(case=described[path][method].as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, **RUN)
    def holds(case):
        response = case.call()
        # the schema doesn't say which light curves a model takes
        excluded = [positive_data_acceptance] if path == "/classify" and response.status_code == 422 else []
        case.validate_response(response, excluded_checks=excluded)

    holds()


numbers = st.one_of(st.none(), st.floats(), st.integers(-(10**25), 10**25), st.sampled_from([0, 1e38, 1e39, -1e308]))


@st.composite
def light_curves(draw):
    n = draw(st.integers(0, 12))

    def values(strategy):
        return draw(st.lists(strategy, min_size=n, max_size=n))

    band = draw(st.sampled_from(["list", "g", None]))
    curve = {"object_id": draw(st.text(max_size=20)), "time": values(numbers), "value": values(numbers)}
    curve |= {
        "error": values(numbers),
        "band": values(st.one_of(st.none(), st.sampled_from("gr"), st.text(max_size=3))),
    }
    curve["band"] = curve["band"] if band == "list" else band
    curve["unit"] = draw(st.sampled_from(["mag", "mmag", "nJy", "unknown"]))
    curve["time_scale"] = draw(st.sampled_from([None, "MJD"]))
    return {**curve, "columns": {"redshift": draw(st.one_of(st.none(), st.floats()))}}


def may_be_no_days(curve):
    """Return whether a light curve states no time scale and has a time larger than any number of days in use."""
    known = [t for t in curve["time"] if t is not None and math.isfinite(t)]
    return curve["time_scale"] is None and max(known, default=0) > MOST_DAYS


@pytest.mark.parametrize("model", ["tiny", "bands", "context"])
def test_every_well_formed_request_is_answered(described, model):
    operation = described["/classify"]["POST"]

    @given(given_curves=st.lists(light_curves(), max_size=4))
    @settings(max_examples=EXAMPLES, **RUN)
    def holds(given_curves):
        body = json.dumps(given_curves).encode("utf-8", "surrogatepass")  # with NaN and Infinity, as Python writes them
        case = operation.Case(query={"model": model, "passes": 2}, body=body, media_type="application/json")
        case.headers = {"content-type": "application/json"}
        response = case.call()
        operation.validate_response(response)
        assert response.status_code == 200, response.text
        answers = response.json()["answers"]
        assert [each["object_id"] for each in answers] == [each["object_id"] for each in given_curves]
        for curve, answer in zip(given_curves, answers, strict=True):
            if answer["status"] == "UNREADABLE":
                assert ("which are no days" in answer["reason"], may_be_no_days(curve)) == (True, True)
        assert all((each["status"] == "OK") == (each["class"] is not None) for each in answers)

    holds()


@st.composite
def damaged_files(draw):
    content = bytearray(Path(example_files()[0]).read_bytes()[: draw(st.integers(1, 3000))])
    for _ in range(draw(st.integers(0, 5))):
        place = draw(st.integers(0, len(content)))
        content[place : place + draw(st.integers(0, 9))] = draw(st.binary(max_size=9))
    return draw(st.text(max_size=30)), bytes(draw(st.sampled_from([b"", b"PAR1", b"SIMPLE  =", b"\x1f\x8b"])) + content)


def test_a_damaged_file_gets_an_answer(described):
    operation = described["/classify"]["POST"]

    @given(file=damaged_files())
    @settings(max_examples=EXAMPLES, **RUN)
    def holds(file):
        response = TestClient(described.app).post("/classify?model=tiny&passes=0", files={"file": file})
        operation.validate_response(response)
        assert response.status_code in (200, 400, 422), response.text

    holds()
