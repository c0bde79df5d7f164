"""A local server that speaks the Hugging Face hub's protocol, and the authors' files of light curves made up for it."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

COMMIT = "89abcdef0123456789abcdef0123456789abcdef"
RESOLVE = re.compile(r"/(?P<repo>(datasets/)?[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
API = re.compile(r"/api/(?P<kind>models|datasets)/(?P<name>[^/]+/[^/]+)/(revision|tree)/(?P<revision>[^/]+)")


class HubHandler(BaseHTTPRequestHandler):
    """Answers as the hub does: metadata, and files, large ones by a redirection."""

    protocol_version = "HTTP/1.1"
    server: "HubServer"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.requests.append((self.command, self.path))
        path = self.path.partition("?")[0]
        if (stored := self.server.stored.get(path.removeprefix("/stored/"))) is not None:
            self.reply(200, stored, {"ETag": f'"{path.removeprefix("/stored/")}"'})
        elif (match := RESOLVE.fullmatch(path)) is not None:
            self.resolve(match["repo"], match["revision"], match["file"])
        elif (match := API.match(path)) is not None:
            prefix = "" if match["kind"] == "models" else "datasets/"
            self.describe(prefix + match["name"], match["revision"], "/tree/" in path)
        else:
            self.refuse("EntryNotFound")

    def files(self, repo: str, revision: str) -> Mapping[str, bytes] | None:
        """Return the files of a repository, or answer that there is none."""
        if repo not in self.server.repositories:
            self.refuse("RepoNotFound")
        elif revision not in ("main", "v1", COMMIT):
            self.refuse("RevisionNotFound")
        else:
            return self.server.repositories[repo]
        return None

    def resolve(self, repo: str, revision: str, name: str) -> None:
        files = self.files(repo, revision)
        if files is None:
            return
        if name not in files:
            self.refuse("EntryNotFound")
            return
        body, about = files[name], {"X-Repo-Commit": COMMIT}
        if len(body) < 10_000:
            self.reply(200, body, about | {"ETag": f'"{hashlib.sha1(body).hexdigest()}"'})
            return
        sha = hashlib.sha256(body).hexdigest()
        other_host = self.server.url.replace("127.0.0.1", "localhost")  # the client follows those to its own host
        linked = {"X-Linked-Etag": f'"{sha}"', "X-Linked-Size": str(len(body)), "ETag": '"pointer"'}
        self.reply(302, b"", about | linked | {"Location": f"{other_host}/stored/{sha}"})

    def describe(self, repo: str, revision: str, tree: bool) -> None:
        files = self.files(repo, revision)
        if files is None:
            return
        rows = [{"type": "file", "path": name, "size": len(body), "oid": "0" * 40} for name, body in files.items()]
        about = {"id": repo, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files], "tags": []}
        self.reply(200, json.dumps(rows if tree else about).encode(), {"Content-Type": "application/json"})

    def refuse(self, code: str) -> None:
        self.reply(404, b"not here", {"X-Error-Code": code, "X-Error-Message": code})

    def reply(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


class HubServer(ThreadingHTTPServer):
    """Repositories by name (data sets as ``datasets/owner/name``), each with its files; what was asked for."""

    def __init__(self, repositories: Mapping[str, Mapping[str, bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.repositories = repositories
        bodies = [body for files in repositories.values() for body in files.values()]
        self.stored = {hashlib.sha256(body).hexdigest(): body for body in bodies}
        self.requests: list[tuple[str, str]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def hub_server(repositories: Mapping[str, Mapping[str, bytes]]) -> Iterator[HubServer]:
    """Run a server until the end of the block."""
    server = HubServer(repositories)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


CLASSES = ("APERIODIC", "CONTACT_ROT", "DSCT_BCEP", "ECLIPSE", "GDOR_SPB", "INSTRUMENT/JUNK", "RRLYR_CEPH", "SOLARLIKE")


def write_tensors(folder: Path, name: str, n: int, points: int = 1171, seed: int = 0) -> dict[str, np.ndarray]:
    """Write ``name``.safetensors and .json of the authors' layout: sines of another frequency in each class."""
    rng = np.random.default_rng(seed)
    mask = np.arange(points) < rng.integers(points // 2, points + 1, n)[:, None]
    time = np.where(mask, np.arange(points) / 48, 0).astype(np.float32)
    number = np.arange(n) % len(CLASSES)
    wave = np.sin(2 * np.pi * time * 2.0 ** (number[:, None] / 2) + rng.uniform(0, 6, (n, 1)))
    flux = np.where(mask, 1.4 * wave + 0.1 * rng.normal(size=mask.shape), 0).astype(np.float32)
    tensors = {"flux": flux, "time": time, "mask": mask, "labels": np.eye(len(CLASSES), dtype=np.float32)[number]}
    save_file(tensors, folder / f"{name}.safetensors")
    (folder / f"{name}.json").write_text(json.dumps({"label_map": {c: k for k, c in enumerate(CLASSES)}}))
    return tensors
