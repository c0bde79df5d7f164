"""The example of a proxy in docs/rest.md, with a real nginx where there is one."""

import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from goodricke.service import security
from goodricke.service.security import Access, new_token
from goodricke.service.server import listen
from tests.service.test_connections import SLOW, is_closed, open_connection, running

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/sbin:/opt/homebrew/bin")
PAGE = Path(__file__).parents[2] / "docs" / "rest.md"
TOKEN = new_token()
MAIN = """
daemon off; pid {folder}/pid; error_log stderr; worker_processes 1;
events {{}}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/a; uwsgi_temp_path {folder}/b; scgi_temp_path {folder}/c;
    {server}
}}
"""

pytestmark = pytest.mark.skipif(NGINX is None, reason="needs nginx")


def example(port, upstream, waits="300ms"):
    """Return the documentation's configuration for these ports, without certificates and with short waits."""
    text = re.search(r"```nginx\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]
    text = re.sub(r"\s*ssl_certificate.*", "", text).replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    text = text.replace("127.0.0.1:8000", f"127.0.0.1:{upstream}")
    text, changed = re.subn(r"(client_(header|body)_timeout) 10s", rf"\1 {waits}", text)
    assert changed == 2
    return text


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nginx")
    with listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch, running(access=Access("127.0.0.1", TOKEN)) as (upstream, _):
        patch.setattr(security, "WRONG_TOKEN_SECONDS", 0)
        (folder / "nginx.conf").write_text(MAIN.format(folder=folder, server=example(port, upstream)))
        command = [NGINX, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        yield port
        process.terminate()
        process.wait(20)


def test_requests_reach_the_service_with_the_token_only(proxy):
    base, bearer = f"http://127.0.0.1:{proxy}", {"authorization": f"Bearer {TOKEN}", "host": "classify.example.org"}
    assert httpx.get(f"{base}/health").status_code == 401
    assert httpx.get(f"{base}/health", headers=bearer).json()["status"] == "ok"
    page = httpx.get(f"{base}/docs?token={TOKEN}", headers={"host": "classify.example.org"})
    assert (page.status_code, page.headers["location"]) == (303, "/docs")
    assert {"secure", "httponly", "samesite=strict"} <= set(page.headers["set-cookie"].lower().split("; "))


def test_the_own_page_sends_and_no_other(proxy):
    headers = {"authorization": f"Bearer {TOKEN}", "host": "classify.example.org", "sec-fetch-site": "same-origin"}
    address = f"http://127.0.0.1:{proxy}/echo"
    own = headers | {"origin": "https://classify.example.org"}
    assert httpx.post(address, content=b"abc", headers=own).json() == 3
    other = headers | {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    assert httpx.post(address, content=b"abc", headers=other).status_code == 403


@pytest.mark.parametrize("data", [SLOW["slow headers"], SLOW["slow body"]], ids=["headers", "body"])
def test_slow_clients_do_not_reach_it(proxy, data):
    slow = [open_connection(proxy, data) for _ in range(15)]
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert httpx.get(f"http://127.0.0.1:{proxy}/health", headers=bearer).status_code == 200
    assert all(is_closed(connection) for connection in slow)
    too_large = open_connection(proxy, f"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {33 << 20}\r\n\r\n".encode())
    assert too_large.recv(100).startswith(b"HTTP/1.1 413")
