from starlette.testclient import TestClient

from goodricke.explorer.app import create_app
from goodricke.explorer.session import open_explorer
from goodricke.service.security import Access, new_token
from tests.explorer.conftest import HERE

CLIMBS = (
    "../app.py",
    "..%2fapp.py",
    "%2e%2e/app.py",
    "....//app.py",
    "..\\app.py",
    "/etc/passwd",
    "%00",
    "vendor/../../app.py",
)


def test_the_page_and_its_files(client):
    assert client.get("/").headers["content-type"].startswith("text/html")
    assert client.get("/static/index.html").headers["cache-control"] == "no-cache"
    assert "unsafe-eval" not in client.get("/docs").headers["content-security-policy"]


def test_diagrams_are_prepared_at_the_start_but_no_map(world, tmp_path):
    explorer = open_explorer(world.catalog, labels=tmp_path / "labels.csv")
    with TestClient(create_app(explorer), base_url=HERE) as client:
        assert client.get("/api/about").status_code == 200
    diagrams, _ = explorer.diagrams.about()
    first = {d["name"] for d in diagrams if d["is_default"]}
    assert set(explorer.diagrams._coordinates) == first - {"embedding"} | {"sky"}  # which the projection needs


def test_no_file_outside_the_static_ones(client):
    for climb in CLIMBS:
        for prefix in ("static", "docs-static", "api/rows", "api/diagrams", ""):
            answer = client.get(f"/{prefix}/{climb}".replace("//", "/", 1))
            assert answer.status_code in (400, 403, 404, 405, 422), (prefix, climb)
            assert "create_app" not in answer.text
            assert "root:" not in answer.text


def test_the_guard_stands_before_every_path(explorer):
    token = new_token()
    guarded = TestClient(create_app(explorer, Access("127.0.0.1", token)), base_url=HERE)
    paths = ("/", "/api/about", "/api/rows/0", "/static/index.html", "/docs", "/openapi.json", "/objects/a", "/nothing")
    for path in paths:
        assert guarded.get(path).status_code == 401, path
    headers = {"authorization": f"Bearer {token}"}
    assert guarded.get("/api/about", headers=headers).status_code == 200
    assert (
        guarded.put("/api/rows/1/label", json={"label": "x"}, headers=headers | {"origin": "null"}).status_code == 403
    )
    assert explorer.labels.get("0000000") is None


def test_no_number_that_json_lacks(client):
    text = client.post("/api/rows", json={"limit": 600}).text
    assert "NaN" not in text
    assert "Infinity" not in text
    for value in ("Infinity", "NaN"):
        body = f'{{"where": {{"all": [{{"column": "p_max", "op": ">", "value": {value}}}]}}}}'
        answer = client.post("/api/rows", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 422)


def test_errors_are_sentences(client):
    assert client.post("/api/rows", content=b"{", headers={"content-type": "application/json"}).status_code == 422
    for path in ("/api/nothing", "/nothing"):
        assert client.get(path, headers={"origin": HERE}).status_code == 404
    assert isinstance(client.post("/api/export", json={"format": 3}).json()["detail"], str)
