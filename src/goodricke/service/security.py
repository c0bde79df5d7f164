"""Who may ask: this machine's own browser, or whoever has the token; and what the page may load.

Names in the Host header are checked against those the server is bound to, lest a page elsewhere on the net has its own
name point here (DNS rebinding); changes must come from our own page (the Origin header), or from a script.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Awaitable, Callable
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
READS = ("GET", "HEAD", "OPTIONS")
PAGES = ("/", "/docs")  # what people open


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Parameters
    ----------
    host : str
        What the server is bound to.
    token : str, optional
        What must be shown; needed for any host but this machine's own.

    Raises
    ------
    ValueError
        If there is no token where one is needed, or it is too short to be one.
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
        """Name of the cookie: browsers tell them apart by the host only, and not by the port."""
        return f"goodricke_{sha256((self.token or '').encode()).hexdigest()[:8]}"

    def names(self, host: str) -> bool:
        """Tell whether a Host header names this server."""
        name = _hostname(host)
        if name is None:
            return False
        if name in LOCAL or name == self.host.lower():
            return True
        own = {socket.gethostname().lower(), socket.getfqdn().lower()} if self.host in EVERYWHERE else set()
        return self.host in EVERYWHERE and (name in own or _is_address(name))

    def knows(self, headers: Headers, query: QueryParams) -> bool:
        """Tell whether a request shows the token, as a header, a cookie or in its address."""
        if self.token is None:
            return True
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        shown = [bearer.strip() if scheme.lower() == "bearer" else "", query.get("token", "")]
        shown.append(cookie_parser(headers.get("cookie", "")).get(self.cookie, ""))
        return any(secrets.compare_digest(each.encode(), self.token.encode()) for each in shown)


class Guard:
    """What stands before the application; see the module."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers, query = Headers(scope=scope), QueryParams(scope["query_string"])
        response = self._refusal(scope, headers, query) or self._welcome(scope, query)
        await (response or self.app)(scope, receive, _with_headers(send, scope["path"]))

    def _refusal(self, scope: Scope, headers: Headers, query: QueryParams) -> Response | None:
        host = headers.get("host", "")
        if not self.access.names(host):
            told = f"this server is not called {host[:100]!r}: open it by the address that was printed when it began"
            return _refused(403, told)
        origin = headers.get("origin")
        if scope["method"] not in READS and origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return _refused(403, f"a page of {origin[:100]!r} may change nothing here: use this server's own page")
        if scope["method"] not in READS and headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return _refused(403, "a page of another site may change nothing here: use this server's own page")
        if not self.access.knows(headers, query):
            told = "needs the token printed when the server began: open /?token=TOKEN, or send it as a Bearer token"
            return _refused(401, told, {"WWW-Authenticate": "Bearer"})
        return None

    def _welcome(self, scope: Scope, query: QueryParams) -> Response | None:
        """Put a token that came in the address into a cookie, and take it out of the address."""
        if self.access.token is None or "token" not in query or scope["path"] not in PAGES:
            return None
        rest = urlencode([(k, v) for k, v in query.multi_items() if k != "token"])
        response = RedirectResponse(f"{scope['path']}?{rest}" if rest else scope["path"], 303)
        response.set_cookie(self.access.cookie, self.access.token, httponly=True, samesite="strict", path="/")
        return response


def new_token() -> str:
    """Return a token that nobody guesses."""
    return secrets.token_urlsafe(24)


def _refused(code: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"detail": detail}, code, headers)


def _with_headers(send: Send, path: str) -> Callable[[Message], Awaitable[None]]:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: Any = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            # what is asked for anew each time, and what may change with the package
            headers.setdefault("Cache-Control", "no-cache" if path.startswith("/static/") else "no-store")
        await send(message)

    return sent


def _hostname(host: str) -> str | None:
    """Return the name in a Host header, in small letters without port; None if it is none."""
    try:
        told = urlsplit(f"//{host}")
        return told.hostname if told.netloc == host and "@" not in host and told.port != 0 else None
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
