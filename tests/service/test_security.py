import numpy as np
import pytest
from starlette.testclient import TestClient

from goodricke.explorer.app import create_app
from goodricke.service.security import Access, new_token
from goodricke.service.server import address, listen
from tests.explorer.conftest import HERE

TOKEN = new_token()


@pytest.fixture(scope="module")
def guarded(explorer):
    return create_app(explorer, Access("0.0.0.0", TOKEN))


def asking(app, base="http://127.0.0.1:8000", **headers):
    return TestClient(app, base_url=base, headers=headers, follow_redirects=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "localhost", "LOCALHOST:99", "[::1]:8000"])
def test_own_names(client, host):
    assert client.get("/api/about", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.com", "localhost.evil.com", "127.0.0.1.nip.io", "evil.com@localhost", "localhost:x", "", "10.0.0.1"]
)
def test_other_names_are_refused(client, host):
    for path in ("/", "/api/about", "/static/index.html"):
        answer = client.get(path, headers={"host": host})
        assert answer.status_code == 403
        assert "detail" in answer.json()


@pytest.mark.parametrize("origin", ["http://evil.com", "null", "http://127.0.0.1:1", "https://127.0.0.1.evil.com"])
def test_other_pages_change_nothing(client, explorer, origin):
    answer = client.put("/api/rows/1/label", json={"label": "x"}, headers={"origin": origin})
    assert answer.status_code == 403
    assert client.post("/api/rows", json={}, headers={"origin": origin}).status_code == 403
    assert explorer.labels.get("0000000") is None or explorer.labels.get("0000000").label != "x"


def test_the_own_page_and_scripts_do(client):
    assert client.post("/api/rows", json={}, headers={"origin": HERE}).status_code == 200
    assert client.post("/api/rows", json={}).status_code == 200
    other = {"sec-fetch-site": "cross-site"}
    assert client.post("/api/rows", json={}, headers=other).status_code == 403
    assert client.get("/api/about", headers=other).status_code == 200  # which no other page can read


def test_a_token_where_others_can_reach_it():
    for host in ("0.0.0.0", "192.168.1.7", "::"):
        with pytest.raises(ValueError, match="needs a token"):
            Access(host)
    with pytest.raises(ValueError, match="16 characters"):
        Access("127.0.0.1", "short")
    assert len({new_token() for _ in range(100)}) == 100
    assert TOKEN not in repr(Access("0.0.0.0", TOKEN))


PATHS = ["/", "/api/about", "/static/index.html", "/docs", "/openapi.json", "/objects/a", "/nothing"]


@pytest.mark.parametrize("path", PATHS)
def test_nothing_without_it(guarded, path):
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}, {"cookie": "goodricke=x; a=b"}):
        answer = asking(guarded, **headers).get(path)
        assert answer.status_code == 401
        assert TOKEN not in answer.text
    assert asking(guarded).get(f"{path}?token=wrong").status_code == 401


def test_once_in_the_address_then_in_a_cookie(guarded):
    client = asking(guarded)
    welcome = client.get(f"/?token={TOKEN}&row=3")
    assert (welcome.status_code, welcome.headers["location"]) == (303, "/?row=3")
    cookie = welcome.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get("/api/about").status_code == 200
    assert asking(guarded, authorization=f"Bearer {TOKEN}").get("/api/about").status_code == 200
    assert asking(guarded).get(f"/api/about?token={TOKEN}").status_code == 200


def test_where_many_can_reach_it_addresses_are_names(guarded):
    told = {"authorization": f"Bearer {TOKEN}"}
    assert asking(guarded, "http://192.168.3.4:8000", **told).get("/api/about").status_code == 200
    assert asking(guarded, "http://evil.com", **told).get("/api/about").status_code == 403
    one = Access("192.168.3.4", TOKEN)
    assert one.accepts_host("192.168.3.4:80")
    assert not one.accepts_host("192.168.3.5:80")


CLIMBS = [
    "../app.py",
    "..%2fapp.py",
    "%2e%2e/app.py",
    "....//app.py",
    "..\\app.py",
    "/etc/passwd",
    "%00",
    "vendor/../../app.py",
]


@pytest.mark.parametrize("climb", CLIMBS)
def test_no_file_outside(client, climb):
    for path in (f"/static/{climb}", f"/{climb}", f"/api/rows/{climb}", f"/api/diagrams/{climb}"):
        answer = client.get(path)
        assert answer.status_code in (400, 403, 404, 405, 422)
        assert "create_app" not in answer.text
        assert "root:" not in answer.text


def test_headers_keep_the_page_to_itself(client):
    for path in ("/", "/api/about", "/static/index.html", "/nothing"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self'; img-src 'self' data: blob:")
        assert "unsafe-eval" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
    assert client.get("/api/about").headers["cache-control"] == "no-store"
    assert client.get("/static/index.html").headers["cache-control"] == "no-cache"


def test_no_number_that_json_lacks(client):
    text = client.post("/api/rows", json={"limit": 600}).text
    assert "NaN" not in text
    assert "Infinity" not in text
    for value in (np.inf, np.nan):
        body = f'{{"where": {{"all": [{{"column": "p_max", "op": ">", "value": {value}}}]}}}}'.replace(
            "inf", "Infinity"
        )
        answer = client.post(
            "/api/rows", content=body.replace("nan", "NaN"), headers={"content-type": "application/json"}
        )
        assert answer.status_code in (400, 422)


def test_addresses_to_open():
    assert address("127.0.0.1", 80, None) == "http://127.0.0.1:80/"
    assert address("::1", 80, "t") == "http://[::1]:80/?token=t"
    assert "0.0.0.0" not in address("0.0.0.0", 80, "t")
    with listen("127.0.0.1", 0) as first, pytest.raises(ValueError, match="--port"):
        listen("127.0.0.1", first.getsockname()[1])
