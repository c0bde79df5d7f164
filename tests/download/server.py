"""A real web server on this machine that plays the archives: recorded answers, and faults on request."""

import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs


class Answer(NamedTuple):
    """What the server says."""

    body: bytes = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    cut: int | None = None  # bytes after which the connection is closed
    delay: float = 0.0


PAGE = Answer(
    b"<!DOCTYPE html><html><body>Scheduled maintenance</body></html>", headers=(("Content-Type", "text/html"),)
)
BUSY, NONE = Answer(b"busy", 503), Answer(b"<html>no such file</html>", 404)


class Server:
    """Answers by path; a list of answers is gone through, the last one stays."""

    def __init__(self) -> None:
        self.answers: dict[str, object] = {}
        self.asked, self.times, self.agents, self.at_once = Counter(), [], set(), 0
        self._busy, self._lock = 0, threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server._handle(self, {})

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                server._handle(self, {name: values[0] for name, values in form.items()})

            def log_message(self, *arguments: object) -> None:
                pass

        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._httpd.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._httpd.server_port}"
        self._thread = threading.Thread(target=self._httpd.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def __setitem__(self, path: str, answer: object) -> None:
        """Give an answer, a list of them, bytes, or a function of path and form."""
        self.answers[path] = answer

    def close(self) -> None:
        self._httpd.shutdown()
        self._httpd.server_close()

    def _choose(self, path: str, form: dict[str, str]) -> Answer:
        found = self.answers.get(path, self.answers.get("*", NONE))
        if callable(found):
            found = found(path, form)
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        return Answer(found) if isinstance(found, bytes) else found

    def _handle(self, handler: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        with self._lock:
            self.asked[handler.path] += 1
            self.times.append(time.monotonic())
            self.agents.add(handler.headers["User-Agent"])
            self._busy += 1
            self.at_once = max(self.at_once, self._busy)
            answer = self._choose(handler.path, form)
        try:
            time.sleep(answer.delay)
            handler.send_response(answer.status)
            for name, value in answer.headers:
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(answer.body)))
            handler.end_headers()
            handler.wfile.write(answer.body if answer.cut is None else answer.body[: answer.cut])
        except OSError:
            pass  # the client has gone
        finally:
            with self._lock:
                self._busy -= 1


KEPLER = "kplr010002792-2010174085026_llc.fits"  # the real file that others are made of


def kepler_file(real: bytes, kic: int, quarter: int = 9) -> bytes:
    """Return the real light curve as one of another star and quarter, by its header cards."""
    for name, value in ((b"KEPLERID", kic), (b"QUARTER ", quarter)):
        at, body = -1, real
        while (at := body.find(name + b"=", at + 1)) >= 0:
            if at % 80 == 0:
                card = (name + b"= " + str(value).rjust(20).encode() + body[at + 30 : at + 80])[:80]
                body = body[:at] + card + body[at + 80 :]
        real = body
    return real


def kepler_path(kic: int, stamp: str = "2011177032512", kind: str = "llc") -> str:
    return f"/missions/kepler/lightcurves/{kic // 100000:04d}/{kic:09d}/kplr{kic:09d}-{stamp}_{kind}.fits"
