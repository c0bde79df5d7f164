import asyncio

import httpx
import pytest
from starlette.testclient import TestClient

from goodricke.service import security
from goodricke.service.rest import create_rest_app
from goodricke.service.security import Access, new_token
from goodricke.service.server import address, listen

HERE, TOKEN = "http://127.0.0.1", new_token()


def app_of(access):
    """Return an application with one path that takes changes."""
    app = create_rest_app([], access)
    app.post("/change")(lambda: {})
    app.get("/")(lambda: {})
    return app


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Wrong tokens are refused without delay, except where that is the matter."""
    monkeypatch.setattr(security, "WRONG_TOKEN_SECONDS", 0)


@pytest.fixture(scope="module")
def client():
    return TestClient(app_of(Access()), base_url=HERE)


@pytest.fixture(scope="module")
def guarded():
    return app_of(Access("0.0.0.0", TOKEN))


def connect(app, base="http://127.0.0.1:8000", **headers):
    return TestClient(app, base_url=base, headers=headers, follow_redirects=False)


def test_own_names_are_accepted_and_others_refused(client):
    for host in ("127.0.0.1", "127.0.0.1:8000", "localhost", "LOCALHOST:99", "[::1]:8000"):
        assert client.get("/health", headers={"host": host}).status_code == 200, host
    foreign = [
        "evil.com",
        "localhost.evil.com",
        "127.0.0.1.nip.io",
        "evil.com@localhost",
        "localhost:x",
        "",
        "10.0.0.1",
    ]
    for host in foreign:
        for path in ("/", "/health", "/docs-static/docs.html"):
            answer = client.get(path, headers={"host": host})
            assert answer.status_code == 403, host
            assert "detail" in answer.json()


def test_other_pages_change_nothing(client):
    for origin in ("http://evil.com", "null", "http://127.0.0.1:1", "https://127.0.0.1.evil.com"):
        assert client.post("/change", headers={"origin": origin}).status_code == 403, origin
    other = {"sec-fetch-site": "cross-site"}
    assert client.post("/change", headers=other).status_code == 403
    assert client.get("/health", headers=other).status_code == 200  # which no other page can read


def test_the_own_page_and_scripts_do(client):
    assert client.post("/change", headers={"origin": HERE}).status_code == 200
    assert client.post("/change").status_code == 200


def test_a_token_where_others_can_reach_it():
    for host in ("0.0.0.0", "192.168.1.7", "::"):
        with pytest.raises(ValueError, match="needs a token"):
            Access(host)
    with pytest.raises(ValueError, match="16 characters"):
        Access("127.0.0.1", "short")
    assert len({new_token() for _ in range(100)}) == 100
    assert TOKEN not in repr(Access("0.0.0.0", TOKEN))


@pytest.mark.parametrize("path", ["/", "/health", "/docs-static/docs.html", "/docs", "/openapi.json", "/nothing"])
def test_nothing_without_the_token(guarded, path):
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}, {"cookie": "goodricke=x; a=b"}):
        answer = connect(guarded, **headers).get(path)
        assert answer.status_code == 401
        assert TOKEN not in answer.text
    assert connect(guarded).get(f"{path}?token=wrong").status_code == 401


def test_once_in_the_address_then_in_a_cookie(guarded):
    client = connect(guarded)
    welcome = client.get(f"/?token={TOKEN}&row=3")
    assert (welcome.status_code, welcome.headers["location"]) == (303, "/?row=3")
    cookie = welcome.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get("/health").status_code == 200
    assert connect(guarded, authorization=f"Bearer {TOKEN}").get("/health").status_code == 200


def test_no_other_address_takes_the_token(guarded):
    for method, path in (("GET", "/health"), ("POST", "/"), ("POST", "/change"), ("GET", "/docs-static/docs.html")):
        answer = connect(guarded).request(method, f"{path}?token={TOKEN}")
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
        assert TOKEN not in answer.text
    assert "other addresses than pages" in connect(guarded).get(f"/health?token={TOKEN}").json()["detail"]


def test_wrong_tokens_are_refused_late_and_do_not_keep_others_out(guarded, monkeypatch):
    monkeypatch.setattr(security, "WRONG_TOKEN_SECONDS", 1e4)
    monkeypatch.setattr(security, "MAX_DELAYED", 3)

    async def ask(path="/health", **headers):
        transport = httpx.ASGITransport(guarded)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
            return (await client.get(path)).status_code

    async def main():
        wrong = {"authorization": "Bearer wrong"}
        late = [asyncio.create_task(ask(**wrong)) for _ in range(2)] + [asyncio.create_task(ask("/?token=wrong"))]
        await asyncio.sleep(0.2)
        assert not any(task.done() for task in late)
        assert await ask(**wrong) == 429
        assert await ask() == 401  # none at all is a mistake and no guess
        assert await ask(authorization=f"Bearer {TOKEN}") == 200
        for task in late:
            task.cancel()

    asyncio.run(main())


def test_where_many_can_reach_it_addresses_are_names(guarded):
    headers = {"authorization": f"Bearer {TOKEN}"}
    assert connect(guarded, "http://192.168.3.4:8000", **headers).get("/health").status_code == 200
    assert connect(guarded, "http://evil.com", **headers).get("/health").status_code == 403
    one = Access("192.168.3.4", TOKEN)
    assert one.accepts_host("192.168.3.4:80")
    assert not one.accepts_host("192.168.3.5:80")


def test_headers_keep_the_page_to_itself(client):
    for path in ("/", "/health", "/docs-static/docs.html", "/nothing"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self'; img-src 'self' data: blob:")
        assert "unsafe-eval" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
    assert client.get("/health").headers["cache-control"] == "no-store"
    assert client.get("/docs-static/docs.html").headers["cache-control"] == "no-cache"


def test_addresses_to_open():
    assert address("127.0.0.1", 80) == "http://127.0.0.1:80/"
    assert address("::1", 80, "t", "docs") == "http://[::1]:80/docs?token=t"
    assert "0.0.0.0" not in address("0.0.0.0", 80, "t")
    with listen("127.0.0.1", 0) as first, pytest.raises(ValueError, match="--port"):
        listen("127.0.0.1", first.getsockname()[1])
