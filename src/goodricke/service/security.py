"""Who may connect: this machine's own browser, or whoever has the token; and what the page may load.

The Host header must name an address that the server is bound to: otherwise a page of another site could let its own
name point here (DNS rebinding). Changes must come from the server's own page (the Origin header), or from a script.

The token comes as a header or a cookie. In an address it would stay in histories and logs: only a page takes it from
there, once, and moves it into the cookie. The refusal of a wrong token comes late.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = ("0.0.0.0", "::", "")
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
READ_METHODS = ("GET", "HEAD", "OPTIONS")
PAGES = ("/", "/docs")  # addresses that people open
WRONG_TOKEN_SECONDS = 1.0  # until a wrong token is refused
MAX_DELAYED = 32  # refusals that wait so at a time; more are refused at once, to be asked again later
STATIC = ("/static/", "/docs-static/")  # files that change with the package only


@dataclass(frozen=True)
class Access:
    """Who may connect.

    Parameters
    ----------
    host : str
        Address that the server is bound to.
    token : str, optional
        The secret that each request must show; needed for any host but this machine's own.

    Raises
    ------
    ValueError
        If a token is needed and there is none, or it has fewer than 16 characters.
    """

    host: str = "127.0.0.1"
    token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.token is None and self.host not in LOCAL:
            raise ValueError(f"{self.host}: others can reach it, so it needs a token: --token, or let one be made")
        if self.token is not None and len(self.token) < 16:
            raise ValueError("a token has at least 16 characters: leave --token out to have one made")

    @property
    def cookie(self) -> str:
        """Name of the cookie: browsers separate cookies by host, but not by port."""
        return f"goodricke_{sha256((self.token or '').encode()).hexdigest()[:8]}"

    def accepts_host(self, host: str) -> bool:
        """Return whether a Host header names this server."""
        name = _hostname(host)
        if name is None:
            return False
        if name in LOCAL or name == self.host.lower():
            return True
        own = {socket.gethostname().lower(), socket.getfqdn().lower()} if self.host in EVERYWHERE else set()
        return self.host in EVERYWHERE and (name in own or _is_address(name))

    def accepts_token(self, tokens: Sequence[str]) -> bool:
        """Return whether one of the tokens that a request shows is the right one."""
        if self.token is None:
            return True
        matches = [secrets.compare_digest(token.encode(), self.token.encode()) for token in tokens]
        return any(matches)

    def tokens(self, headers: Headers) -> list[str]:
        """Return the tokens that a request shows in its headers: as a Bearer token or in the page's cookie."""
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        cookie = cookie_parser(headers.get("cookie", "")).get(self.cookie, "")
        return [token for token in (bearer.strip() if scheme.lower() == "bearer" else "", cookie) if token]


class Guard:
    """Middleware that refuses requests without access and adds the headers of `HEADERS` to answers."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access, self._delayed = app, access, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers, query = Headers(scope=scope), QueryParams(scope["query_string"])
        response = (
            self._foreign(scope, headers)
            or await self._without_token(scope, headers, query)
            or self._cookie_redirect(scope, query)
        )
        await (response or self.app)(scope, receive, _with_headers(send, scope["path"]))

    def _foreign(self, scope: Scope, headers: Headers) -> Response | None:
        """Return a refusal if a request isn't meant for this server, or is a change from another site's page."""
        host = headers.get("host", "")
        if not self.access.accepts_host(host):
            return _refuse(403, f"this server is not called {host[:100]!r}: open the address printed at its start")
        origin = headers.get("origin")
        if scope["method"] not in READ_METHODS:
            if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
                return _refuse(403, f"a page of {origin[:100]!r} may change nothing here: use this server's own page")
            if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
                return _refuse(403, "a page of another site may change nothing here: use this server's own page")
        return None

    async def _without_token(self, scope: Scope, headers: Headers, query: QueryParams) -> Response | None:
        """Return a refusal of a request without the token, late if it shows a wrong one."""
        tokens = self.access.tokens(headers)
        if _opens_page(scope):
            tokens += query.getlist("token")[:1]
        if self.access.accepts_token(tokens):
            return None
        if tokens and self._delayed >= MAX_DELAYED:
            return _refuse(429, "too many wrong tokens at the same time: ask again later", {"Retry-After": "10"})
        if tokens:
            self._delayed += 1
            try:
                await asyncio.sleep(WRONG_TOKEN_SECONDS)
            finally:
                self._delayed -= 1
        detail = "needs the token printed at the server's start: send it as a Bearer token, or open /?token=TOKEN"
        if "token" in query and not _opens_page(scope):
            detail += "; other addresses than pages take no token"
        return _refuse(401, detail, {"WWW-Authenticate": "Bearer"})

    def _cookie_redirect(self, scope: Scope, query: QueryParams) -> Response | None:
        """Move a token from a page's address into a cookie."""
        if self.access.token is None or "token" not in query or not _opens_page(scope):
            return None
        rest = urlencode([(k, v) for k, v in query.multi_items() if k != "token"])
        response = RedirectResponse(f"{scope['path']}?{rest}" if rest else scope["path"], 303)
        response.set_cookie(self.access.cookie, self.access.token, httponly=True, samesite="strict", path="/")
        return response


def _opens_page(scope: Scope) -> bool:
    return scope["path"] in PAGES and scope["method"] in ("GET", "HEAD")


def new_token() -> str:
    """Return a token that can't be guessed."""
    return secrets.token_urlsafe(24)


def _refuse(code: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"detail": detail}, code, headers)


def _with_headers(send: Send, path: str) -> Callable[[Message], Awaitable[None]]:
    """Return ``send`` with `HEADERS` and the cache control added."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: Any = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-cache" if path.startswith(STATIC) else "no-store")
        await send(message)

    return send_with_headers


def _hostname(host: str) -> str | None:
    """Return the name in a Host header, in lower case and without port; None if it is malformed."""
    try:
        parts = urlsplit(f"//{host}")
        return parts.hostname if parts.netloc == host and "@" not in host and parts.port != 0 else None
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
