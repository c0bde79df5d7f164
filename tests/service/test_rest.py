import gzip
import json
import math
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, urlencode

import anyio
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from goodricke.cli.classify import classify_files
from goodricke.data.examples import example_files
from goodricke.data.json import json_values
from goodricke.explorer.app import create_service
from goodricke.inference import classify
from goodricke.io import ReadOptions, as_light_curves, read
from goodricke.service import model_queue, requests, rest
from goodricke.service.answers import as_parameters
from goodricke.service.model_queue import ClassifyRequest, ModelQueue
from goodricke.service.requests import light_curves_from_file, light_curves_from_json, safe_file_name
from goodricke.service.schemas import EXAMPLE, LightCurve, as_json
from goodricke.service.security import Access
from tests.explorer.rest_fixtures import CURVES, bands_model, create_test_app, light_curves, open_catalog

FILE = example_files()[0]
BYTES = Path(FILE).read_bytes()


@pytest.fixture(scope="module")
def served(tmp_path_factory, folded_model):
    folder = tmp_path_factory.mktemp("rest")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        store = open_catalog(folder)
    yield [folded_model, bands_model(folder), bands_model(folder, "context", ("redshift",))], store
    store.close()


@pytest.fixture(scope="module")
def client(served):
    with TestClient(create_test_app(*served)) as client:  # one event loop for all requests, as a server has
        yield client


def post_json(client, query, content):
    """Send JSON, as Python writes it: NaN and all."""
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    return client.post(f"/classify?{query}", content=content, headers={"content-type": "application/json"})


def classify_json(client, body, model="tiny", passes=2, **more):
    """Send light curves as JSON; return the answers."""
    return answers_in(post_json(client, urlencode({"model": model, "passes": passes, **more}), body))


def answers_in(response):
    assert response.status_code == 200, response.text
    return response.json()["answers"]


def upload(client, name, content, model="tiny", **more):
    """Send a file; return the response."""
    params = {"model": model, "passes": 2, **more}
    return client.post("/classify", params=params, files={"file": (name, content)})


def equal(one, other):
    """Tell whether two answers are the same to float32."""
    numbers = [k for k, v in one.items() if isinstance(v, float)]
    assert {k: v for k, v in one.items() if k not in numbers} == {k: v for k, v in other.items() if k not in numbers}
    np.testing.assert_allclose([one[k] for k in numbers], [other[k] for k in numbers], atol=2e-5)
    return True


# ---- the same answer in every way of asking -------------------------------------------------------------------------


def test_a_file_gets_the_row_of_the_command_line(client, folded_model, tmp_path):
    classify_files([FILE], str(folded_model.folder), tmp_path / "out.parquet", passes=2, seed=3)
    row = pq.read_table(tmp_path / "out.parquet").to_pylist()[0]
    (answer,) = answers_in(upload(client, FILE, BYTES, seed=3, embedding=True))
    assert answer.pop("reason") is None
    shared = [name for name in answer if name in row]
    assert {name: answer[name] for name in shared} == {name: json_values(row[name]) for name in shared}
    assert len(answer["embedding"]) == folded_model.embedding_size
    assert all(answer[name] is None for name in answer if name not in row)


def test_json_is_a_file(client):
    (of_file,) = answers_in(upload(client, FILE, BYTES))
    assert classify_json(client, as_json(read(FILE))) == [of_file]


@pytest.mark.parametrize("model", ["tiny", "bands"])
def test_a_light_curve_gets_the_same_answer_in_a_list(client, model):
    many = as_json(read(example_files()[:4]) if model == "tiny" else CURVES)
    together = classify_json(client, many, model)
    assert [each["object_id"] for each in together] == [each["object_id"] for each in many]
    assert all(equal(classify_json(client, one, model)[0], answer) for one, answer in zip(many, together, strict=True))


def test_units_and_time_scales_may_differ_within_a_list(client):
    (one,) = as_json(read(FILE))
    milli = {**one, "value": [1000 * x for x in one["value"]], "unit": "mmag", "error": None}
    plain, other, last = classify_json(
        client, [{**one, "error": None}, milli, {**one, "time_scale": "JD", "error": None}]
    )
    assert equal(plain, other)
    assert equal(plain, last)


def test_null_nan_and_absent_are_the_same(client):
    one = {**as_json(CURVES[0])[0], "unit": "mag"}
    holes = {**one, "value": [None, float("nan"), *one["value"][2:]], "time": [*one["time"][:-1], None]}
    cut = {key: x[2:-1] if isinstance(x, list) else x for key, x in one.items()}
    assert equal(classify_json(client, holes, "bands")[0], classify_json(client, cut, "bands")[0])


def test_seed_and_passes(client):
    one = as_json(read(FILE))[0]
    assert (
        classify_json(client, one, seed=1) == classify_json(client, one, seed=1) != classify_json(client, one, seed=2)
    )
    assert classify_json(client, one, passes=0)[0]["std_ECL"] is None


def test_the_last_of_the_history_is_the_answer(client):
    (answer,) = classify_json(client, as_json(CURVES[1]), "bands", history=True)
    history = answer["history"]
    assert len(history["time"]) == len(history["band"]) == len(history["p"]["B/C"]) == answer["n_obs"] - 4
    for name in ("A", "B/C", "D"):
        assert history["p"][name][-1] == pytest.approx(answer[f"p_{name}"], abs=2e-6)


def test_context_columns_change_the_answer(client):
    one = as_json(CURVES[0])[0]
    near, far, unknown = (
        classify_json(client, {**one, "columns": {"redshift": z}}, "context")[0] for z in (0.1, 5, None)
    )
    assert near["p_A"] != far["p_A"]
    assert unknown["status"] == "OK"


# ---- faults of light curves and of requests -------------------------------------------------------------------------


def test_statuses_have_reasons_and_no_scores(client):
    one = as_json(CURVES[0])[0]
    few = {**one, "time": one["time"][:2], "value": one["value"][:2], "error": None, "band": "g"}
    other = {**one, "band": "H"}
    empty = {"time": [], "value": [], "unit": "mag"}
    answers = classify_json(client, [few, one, other, empty], "bands", history=True, embedding=True)
    assert [each["status"] for each in answers] == ["TOO_FEW_POINTS", "OK", "UNKNOWN_BAND", "EMPTY"]
    for answer in (answers[0], *answers[2:]):
        assert answer["reason"]
        names = [k for k in answer if k.startswith(("p_", "std_")) or k in ("class", "novelty", "history", "embedding")]
        assert all(answer[name] is None for name in names)
    assert equal(answers[1], classify_json(client, one, "bands", history=True, embedding=True)[0])
    assert classify_json(client, [], "bands") == []


def test_a_wrong_unit_is_a_status_and_the_notes_say_why(client):
    body = {**as_json(CURVES[0])[0], "unit": "flux"}
    response = post_json(client, "model=bands&history=true", body).json()
    (answer,) = response["answers"]
    assert (answer["status"], answer["class"], answer["history"]) == ("WRONG_UNIT", None, None)
    assert "zero point" in " ".join(response["notes"])


def test_notes_name_the_bands_left_out_and_the_log_does_not(client, caplog):
    one = as_json(CURVES[0])[0]
    body = {**one, "band": ["H", *one["band"][1:]]}
    notes = post_json(client, "model=bands&unit=nJy", body).json()["notes"]
    assert "observations in H are left out: bands has g, r" in " ".join(notes)
    assert notes[0].startswith("unit: ignored")
    assert not caplog.records


def test_notes_say_that_bands_are_taken_together(client):
    body = as_json(CURVES[0])[0]
    assert "tiny combines their bands" in " ".join(post_json(client, "model=tiny", body).json()["notes"])
    alone = {**body, "band": "g"}
    assert "together" not in " ".join(post_json(client, "model=tiny", alone).json()["notes"])


@pytest.mark.parametrize(
    "unit", ["mag", "ABmag", "mmag", "nJy", "uJy", "electron / s", "relative", "ppm", "standardised"]
)
def test_units_of_brightness_are_taken(unit):
    assert LightCurve(time=[1], value=[1], unit=unit).unit == unit


CURVE = {"time": [1, 2], "value": [1, 2], "unit": "mag"}


@pytest.mark.parametrize(
    ("query", "body", "detail"),
    [
        ("model=tiny", {**CURVE, "value": [1]}, "value has 1 entries and time has 2"),
        ("model=tiny", {**CURVE, "flux": [1, 2]}, "flux: not known here"),
        ("model=tiny", {"time": [1], "value": [1]}, "unit: is missing"),
        ("model=tiny", {**CURVE, "unit": "banana"}, "unit: 'banana' is no unit of brightness"),
        ("model=tiny&unit=km", CURVE, "unit: 'km' is no unit of brightness"),
        ("model=tiny&passes=1&passes=2", CURVE, "given more than once: passes"),
        ("model=tiny", [CURVE, {**CURVE, "time": [1, "x"]}], "1.time.1: must be a number"),
        ("model=other", CURVE, "'tiny', 'bands' or 'context'"),
        ("passes=2", CURVE, "model: is missing"),
        ("model=tiny&passes=101", CURVE, "passes"),
        ("model=tiny&pases=1", CURVE, "pases: not known here"),
        ("model=tiny&history=true", CURVE, "has no history"),
    ],
)
def test_malformed_requests_get_a_detail(client, query, body, detail):
    response = post_json(client, query, body)
    assert response.status_code == 422
    assert detail in response.json()["detail"]


def test_bodies_that_are_neither_json_nor_a_form(client, monkeypatch):
    assert [post_json(client, "model=tiny", body).status_code for body in (b"{", b"\xff\xfe", b"", b"null")] == [
        422
    ] * 4
    for kind, code in (("text/csv", 415), ("multipart/form-data", 400), ("multipart/form-data; boundary=x", 400)):
        answer = client.post("/classify?model=tiny", content=b"a,b", headers={"content-type": kind})
        assert (answer.status_code, "curl -F file=@" in answer.text) == (code, True)
    monkeypatch.setattr(rest, "MAX_BYTES", 1000)
    assert post_json(client, "model=tiny", json.dumps(EXAMPLE).encode() + b" " * 1000).status_code == 413


def test_a_request_that_does_not_arrive_is_refused(client, monkeypatch):
    monkeypatch.setattr(rest, "MAX_ARRIVAL", 0.05)
    messages = []

    async def receive():
        await anyio.sleep(20)

    async def send(message):
        messages.append(message)

    scope = {"type": "http", "method": "POST", "path": "/classify", "query_string": b"model=tiny", "root_path": ""}
    scope |= {"headers": [(b"content-type", b"application/json")], "http_version": "1.1", "scheme": "http"}
    anyio.run(client.app, scope, receive, send)
    assert messages[0]["status"] == 408


def test_too_many_light_curves_or_observations(client, monkeypatch):
    monkeypatch.setattr(requests, "MAX_CURVES", 2)
    assert post_json(client, "model=tiny", [CURVE] * 3).status_code == 413
    monkeypatch.setattr(requests, "MAX_POINTS", 100)
    answer = upload(client, FILE, BYTES)
    assert answer.status_code == 413
    assert "goodricke catalog" in answer.json()["detail"]


# ---- files ----------------------------------------------------------------------------------------------------------


def test_a_form_without_the_file(client):
    other = client.post("/classify?model=tiny", files={"data": b"x"})
    assert (other.status_code, "curl -F file=@" in other.text) == (422, True)
    assert client.post("/classify?model=tiny", files=[("file", b"x"), ("file", b"y")]).status_code == 400


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\data\\a b.csv", "a_b.csv"),
        ("..", "upload"),
        ("", "upload"),
        ("ok-1.0_x+y.fits.gz", "ok-1.0_x+y.fits.gz"),
        ("星.csv", "星.csv"),
        ("星" * 100 + ".csv", "星" * 48 + ".csv"),
        ("a\x00\n<b>.csv", "a___b_.csv"),
    ],
)
def test_file_names_become_safe(name, plain):
    assert safe_file_name(name) == plain


def test_an_unreadable_file_is_an_answer_without_our_folders(client):
    (answer,) = answers_in(upload(client, "sky.csv", b"name,ra\na,1\n"))
    assert (answer["status"], answer["object_id"]) == ("UNREADABLE", "sky.csv")
    assert "has no time column" in answer["reason"]
    assert "?time_column=NAME" in answer["reason"]
    assert "goodricke-" not in answer["reason"]


def test_columns_can_be_named(client):
    text = "when,how_bright\n" + "\n".join(f"{x},{12 + x % 3}" for x in range(50))
    more = {"time_column": "when", "value_column": "how_bright", "unit": "mag"}
    assert answers_in(upload(client, "a.csv", text.encode(), **more))[0]["object_id"] == "a"


def test_a_list_of_paths_is_not_followed(client):
    (answer,) = answers_in(upload(client, "list.txt", f"{FILE}\n".encode()))
    assert answer["status"] == "UNREADABLE"


@pytest.mark.parametrize(
    "text",
    [
        '<STREAM href="file:///etc/passwd"/>',
        '<v:stream\n encoding="gzip">x</v:stream>',
        '<!DOCTYPE VOTABLE [<!ENTITY a "b">]>',
    ],
)
def test_a_votable_with_its_data_elsewhere_is_refused(text):
    found, (_, why) = light_curves_from_file(
        "a.vot", b"<?xml version='1.0'?><VOTABLE>" + text.encode() + b"</VOTABLE>", ReadOptions()
    )
    assert not found
    assert "elsewhere" in why


def test_a_file_that_unpacks_to_too_much_is_refused(client, monkeypatch):
    monkeypatch.setattr(requests, "MAX_UNPACKED", 1 << 20)
    assert upload(client, "a.csv.gz", gzip.compress(b"0" * (1 << 22))).status_code == 413
    assert answers_in(upload(client, "a.csv.gz", gzip.compress(BYTES)))[0]["status"] == "OK"


def test_a_parquet_file_of_many_rows_in_few_bytes_is_refused(client, tmp_path):
    pq.write_table(pa.table({"time": pa.repeat(1.0, 2_000_000), "mag": pa.repeat(1.0, 2_000_000)}), tmp_path / "a")
    assert upload(client, "a.parquet", (tmp_path / "a").read_bytes()).status_code == 413


def test_real_files_of_every_product_are_answered(client, shared):
    folder = shared / "data" / "formats"
    names = [
        "kepler_tess/tess2018206045859-s0001-0000000358108509-0120-s_lc.fits",
        "ztf_alert/2019_01_10_739260766315010006.avro",
        "alerce/detections_sample.parquet",
        "kepler_tess/pony010002792-2009259160929_llc.fits",
    ]
    for name in names:
        expected = read(folder / name)
        answers = answers_in(upload(client, name, (folder / name).read_bytes(), passes=0))
        assert [each["object_id"] for each in answers] == expected.ids


# ---- many at the same time ------------------------------------------------------------------------------------------


def test_at_the_same_time_as_one_after_the_other(client):
    curves = as_json(read(example_files()[:6]))
    alone = [classify_json(client, one)[0] for one in curves]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda one: classify_json(client, one)[0], curves))
    assert all(equal(one, other) for one, other in zip(alone, together, strict=True))


def test_waiting_requests_share_a_call(served, monkeypatch):
    sizes, released = [], threading.Event()

    def slow(curves, *args, **more):
        sizes.append(len(curves))
        released.wait(10)
        return classify(curves, *args, **more)

    monkeypatch.setattr(model_queue, "classify", slow)
    queue = ModelQueue(served[0][1])
    parts = [ClassifyRequest(CURVES[i]) for i in range(4)] + [ClassifyRequest(CURVES[4], seed=1)]
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(queue.classify, parts[0])
        while not sizes:
            time.sleep(0.01)
        others = [pool.submit(queue.classify, each) for each in parts[1:]]
        while len(queue._waiting) < 4:
            time.sleep(0.01)
        released.set()
        found = [first.result(), *(each.result() for each in others)]
    assert sorted(sizes) == [1, 1, 3]
    assert [each.table["object_id"].to_pylist() for each in found] == [[each] for each in CURVES.ids[:5]]


def test_a_faulty_request_fails_alone(served, monkeypatch):
    def picky(curves, *args, **more):
        if "2" in curves.ids:
            raise ValueError("not that one")
        return classify(curves, *args, **more)

    monkeypatch.setattr(model_queue, "classify", picky)
    queue = ModelQueue(served[0][1])
    bad, good = ClassifyRequest(CURVES[2]), ClassifyRequest(CURVES[3])
    queue._classify_group([bad, good])
    assert len(good.answer.result()) == 1
    with pytest.raises(ValueError, match="not that one"):
        bad.answer.result()


# ---- the catalog ----------------------------------------------------------------------------------------------------


def test_an_object_has_all_its_rows(client):
    rows = client.get("/objects/S0").json()
    assert [(row["row"], row["sector"]) for row in rows] == [(14, 14), (30, 30)]
    assert "embedding" not in rows[0]


@pytest.mark.parametrize("name", ["a/b", "ZTF 18ab cd", "naïve-星", "100%", "../etc", "light_curve", "00", "x?y=1#z"])
def test_odd_names_are_found(client, name):
    assert [row["object_id"] for row in client.get(f"/objects/{quote(name, safe='')}").json()] == [name]


def test_unknown_objects_get_a_fix(client):
    for path in ("/objects/none", "/objects/", "/objects/S0/light_curve", "/objects/' OR 1=1"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert "GET /objects lists" in answer.json()["detail"]


def test_pages_join_to_the_catalog(client, served):
    seen, after, pages = [], -1, 0
    while after is not None:
        page = client.get("/objects", params={"limit": 7, "after": after}).json()
        seen, after, pages = seen + page["objects"], page["after"], pages + 1
    assert [row["row"] for row in seen] == list(range(served[1].count))
    assert pages == 5
    sure = client.get("/objects", params={"class": "EA", "p_min": 0.7}).json()["objects"]
    expected = [r["row"] for r in seen if r["class"] == "EA" and r["p_max"] >= 0.7]
    assert [r["row"] for r in sure] == expected != []
    assert client.get("/objects?limit=1&limit=2").status_code == 422
    refused = client.get("/objects?class=DOG")
    assert (refused.status_code, "'EA', 'EB' or 'RRAB'" in refused.json()["detail"]) == (422, True)


def test_light_curves_of_the_catalog_can_be_classified(client):
    found = client.get("/objects/1/light_curve").json()
    (expected,) = classify_json(client, as_json(light_curves("1")), "bands")
    assert classify_json(client, found, "bands") == [expected]


def test_as_json_and_back():
    (((rows, back),), _) = light_curves_from_json(
        [LightCurve.model_validate(each) for each in json_values(as_json(CURVES))]
    )
    assert rows.tolist() == list(range(len(CURVES)))
    for name in ("time", "value", "error", "offsets"):
        np.testing.assert_array_equal(getattr(back, name), getattr(CURVES, name))
    assert [back.bands[b] for b in back.band] == [CURVES.bands[b] for b in CURVES.band]


# ---- about ----------------------------------------------------------------------------------------------------------


def test_models_and_health(client, served):
    cards = {card["name"]: card for card in client.get("/models").json()}
    assert cards["context"]["columns"] == ["redshift"]
    assert cards["bands"]["bands"] == ["g", "r"]
    assert cards["tiny"]["hash"] == served[0][0].hash
    names = ("photometry", "answers_period", "has_history", "has_passes", "max_points")
    assert [cards["tiny"][name] for name in names] == [None, False, False, True, 200_000]
    assert [cards["bands"][name] for name in names] == [None, False, True, False, 10_000]
    assert client.get("/health").json()["rows"] == served[1].count


def test_one_model_needs_no_name_and_two_of_one_name_are_refused(served):
    alone = TestClient(create_test_app(served[0][:1]))
    assert answers_in(alone.post("/classify?passes=0", json=as_json(read(FILE))[0]))[0]["status"] == "OK"
    assert alone.get("/objects").status_code == 404
    with pytest.raises(ValueError, match="two models are called tiny"):
        create_test_app([served[0][0], served[0][0]])


def test_the_service_has_its_page_and_asks_for_the_token(served):
    guarded = TestClient(
        create_service(served[0], access=Access("localhost", "0123456789abcdef")), base_url="http://localhost"
    )
    assert guarded.post("/classify?model=tiny", json=CURVE).status_code == 401
    guarded.headers["authorization"] = "Bearer 0123456789abcdef"
    page = guarded.get("/docs")
    assert "unsafe-eval" not in page.headers["content-security-policy"]
    own = [part.split('"')[0] for mark in ('src="', 'href="') for part in page.text.split(mark)[1:]]
    for path in own:
        assert path.startswith("data:") or guarded.get(f"/{path}").status_code == 200
    assert guarded.get("/openapi.json").json()["paths"].keys() == {"/health", "/models", "/classify"}
    assert guarded.get("/").url.path == "/docs"


def test_nothing_heavy_is_imported_for_the_help():
    script = "import sys, goodricke.cli.serve; print({'torch', 'fastapi', 'duckdb', 'uvicorn'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "set()\n"


def test_options_become_parameters():
    text = "say --column object_id=NAME, --column time=NAME, --unit mag or --time-scale MJD (see --quality)"
    expected = "say ?id_column=NAME, ?time_column=NAME, ?unit=mag or ?time_scale=MJD (see ?quality=)"
    assert as_parameters(text).replace("= ", "=") == expected


@pytest.mark.parametrize("seed", range(6))
def test_a_table_is_the_same_in_every_container(seed, tmp_path):
    """Sentinels, limits, gaps, units and interleaved stars are judged in JSON as they are in files and in Python."""
    rng = np.random.default_rng(seed)
    n, mag = 60, bool(seed % 2)
    frame = pd.DataFrame({"id": rng.choice(["a", "b", "c"], n), "mjd": rng.uniform(58000, 59000, n).round(5)})
    frame["band"] = rng.choice(["g", "r"], n)
    value, error = rng.normal(15.0, 0.3, n).round(3), rng.uniform(0.01, 0.1, n).round(3)
    sentinels = (99.9, 29.999, -999.0, np.nan) if mag else (-999.0, 1e30, np.nan, 0.0)
    for cells, sentinel in zip(np.split(rng.permutation(n)[:20], 4), sentinels, strict=True):
        value[cells] = sentinel
        error[cells] = 0.0 if sentinel == 0 else rng.choice([99.99, -1.0, np.nan])
    name, unit, factor = ("mag [mmag]", "mmag", 1e3) if mag else ("flux [mJy]", "mJy", 1)
    error_name = name.replace("mag", "magerr", 1) if mag else name.replace("flux", "fluxerr")
    value, error = ((cells * factor).astype(np.float32) for cells in (value, error))
    frame[name], frame[error_name] = value, error
    frame.loc[rng.integers(0, n, 3), "mjd"] = np.nan
    stars = [frame[frame["id"] == star] for star in dict.fromkeys(frame["id"])]

    def cells(column):
        return [None if math.isnan(x) else float(x) for x in column]

    items = [
        {
            **{"object_id": star["id"].iloc[0], "time": cells(star["mjd"]), "value": cells(star[name])},
            **{"error": cells(star[error_name]), "band": star["band"].tolist(), "unit": unit},
        }
        for star in stars
    ]
    (((_, of_json),), _) = light_curves_from_json([LightCurve.model_validate(item) for item in items])
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    files = [light_curves_from_file(f.name, f.read_bytes(), ReadOptions())[0] for f in sorted(tmp_path.iterdir())]
    assert 20 < len(of_json.time) < n
    for other in (*(batch for (batch,) in files), as_light_curves(frame)):
        assert (other.unit, other.time_scale) == (of_json.unit, of_json.time_scale) == ("mag" if mag else "mJy", "MJD")
        for star in "abc":
            one, two = other[other.ids.index(star)], of_json[of_json.ids.index(star)]
            assert one.time.tolist() == two.time.tolist()
            assert one.value.tolist() == two.value.tolist()
            np.testing.assert_array_equal(one.error, two.error)
            assert [one.bands[i] for i in one.band] == [two.bands[i] for i in two.band]


SECONDS = {"object_id": "seconds", "time": [1.4e9, 1.5e9], "value": [1, 2], "unit": "mag", "band": "g"}
PADDED = {**SECONDS, "object_id": "padded", "time": [0, 0, 1.5e9], "value": [1, 2, 3]}  # zeros fill tables up
MANY_BANDS = {
    "object_id": "bands",
    "time": [1.0] * 300,
    "value": [1] * 300,
    "unit": "mag",
    "band": [*map(str, range(300))],
}
ARRAYS = ("embedding", "history")
LACKING = {**CURVE, "object_id": "lacking", "band": "g"}


@pytest.mark.parametrize(
    ("bad", "model", "reason"),
    [
        (SECONDS, "bands", "has times around 1.45e+09, which are no days: seconds, as a rule. Fix: convert"),
        (PADDED, "tiny", "has times around 1.5e+09, which are no days"),
        (MANY_BANDS, "tiny", "has 300 different bands"),
        (LACKING, "context", 'lacks redshift, which the model needs for each object. Fix: add it, {"columns": {"redsh'),
    ],
)
def test_an_unreadable_light_curve_costs_its_own_answer_only(client, bad, model, reason):
    extra = {"history": True, "embedding": True} if model != "tiny" else {"embedding": True}
    good = [{**one, "columns": {"redshift": 0.1}} for one in as_json(CURVES)]
    expected = classify_json(client, good, model, **extra)
    assert any(answer["status"] == "OK" for answer in expected)
    for place in (0, 1, len(good)):
        answers = classify_json(client, [*good[:place], bad, *good[place:]], model, **extra)
        row = answers.pop(place)
        assert (row["object_id"], row["status"], row["class"], row["n_obs"]) == (
            bad["object_id"],
            "UNREADABLE",
            None,
            0,
        )
        assert reason in row["reason"]
        assert row.keys() == expected[0].keys()
        for answer, alone in zip(answers, expected, strict=True):
            assert equal(*({k: v for k, v in each.items() if k not in ARRAYS} for each in (answer, alone)))
    (row,) = classify_json(client, bad, model, **extra)
    assert (row["status"], reason in row["reason"]) == ("UNREADABLE", True)


def test_a_stated_time_scale_is_believed(client):
    (answer,) = classify_json(client, {**SECONDS, "time_scale": "unknown"}, "bands")
    assert answer["status"] == "TOO_FEW_POINTS"
