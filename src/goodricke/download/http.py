"""Getting things from archives: so many requests a second, again after an error, and no answer taken on trust.

The standard library does it. At a polite rate, a few requests a second, connections kept open would gain nothing that
could be noticed, and `urllib` knows the proxies, certificates and redirections of the machine it runs on.
"""

from __future__ import annotations

import email.utils
import logging
import random
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, build_opener

from goodricke import __version__

logger = logging.getLogger("goodricke")
T = TypeVar("T")

USER_AGENT = f"goodricke/{__version__} (+https://github.com/goodricke/goodricke)"
GONE = (404, 410)
AGAIN = (408, 425, 429, 500, 502, 503, 504)
REFUSED = (401, 403, 407)
LONGEST = 300.0  # seconds to wait before the next attempt, whatever the server asks for
PIECE = 1 << 16
SLOWEST = 10  # times the timeout that a whole answer may take


class Absent(Exception):  # noqa: N818  no error: the archive has no such thing
    """The archive says that it has no such file."""


class Damaged(Exception):  # noqa: N818  a finding, which costs an attempt
    """An answer came, but not what was asked for: cut short, a web page, another star's file."""


class Stopped(Exception):  # noqa: N818  as KeyboardInterrupt, in the other threads
    """The run is being stopped."""


class Failed(RuntimeError):  # noqa: N818  it failed now, and may work tomorrow
    """A request that came to nothing: of what, why, and what to do about it."""

    def __init__(self, url: str, why: str, fix: str) -> None:
        super().__init__(url, why, fix)
        self.url, self.why, self.fix = url, why, fix

    def __str__(self) -> str:
        return f"{self.url}: {self.why}. Fix: {self.fix}."


class _Again(Exception):  # noqa: N818  makes the loop go round
    def __init__(self, why: str, after: float = 0.0) -> None:
        super().__init__(why)
        self.why, self.after = why, after


@dataclass(frozen=True)
class Manners:
    """How a server is treated.

    Parameters
    ----------
    rate : float
        Requests per second, all connections and attempts together.
    attempts : int
        To get one thing.
    timeout : float
        Seconds without a sign of the server; a whole answer may take ten times as long.
    wait : float
        Seconds before the second attempt, give or take half; twice as many before each further one.
    """

    rate: float = 5.0
    attempts: int = 5
    timeout: float = 60.0
    wait: float = 1.0

    def __post_init__(self) -> None:
        if not (self.rate > 0 and self.attempts >= 1 and self.timeout > 0 and self.wait >= 0):
            raise ValueError(f"rate, attempts and timeout must be above 0 ({self})")


class Client:
    """A visitor with manners, shared by all the threads of a run.

    Parameters
    ----------
    manners : Manners
    """

    def __init__(self, manners: Manners = Manners()) -> None:
        self.manners, self.stop = manners, threading.Event()
        self.requests = self.bytes = 0
        self._opener, self._lock, self._next = build_opener(), threading.Lock(), 0.0

    def get(self, url: str, accept: Callable[[bytes], T], form: Mapping[str, str] | None = None) -> T:
        """Return what ``accept`` makes of the answer; an answer that it calls `Damaged` is asked for again.

        Parameters
        ----------
        url : str
        accept : callable
            Takes the answer's bytes.
        form : mapping, optional
            Sent as a form by POST.

        Raises
        ------
        Absent
            If the server has no such thing (404), or ``accept`` says so.
        Failed
            If it refuses, or doesn't answer properly in as many attempts as `Manners` allows.
        Stopped
            If the run is being stopped.
        """
        why = ""
        for attempt in range(self.manners.attempts):
            self._wait_for_turn()
            try:
                return accept(self._once(url, form))
            except Damaged as error:
                why, after = str(error), 0.0
            except _Again as error:
                why, after = error.why, error.after
            logger.info("%s: %s (attempt %d of %d)", url, why, attempt + 1, self.manners.attempts)
            if after > LONGEST:
                raise Failed(url, f"{why}, and asks to wait {after:.0f} s", "run the same command again after that")
            if attempt + 1 < self.manners.attempts:
                self._pause(attempt, after)
        fix = "the same command tries again what failed; if it goes on, look at the address in a browser"
        raise Failed(url, f"{why}, {self.manners.attempts} times", fix)

    def _once(self, url: str, form: Mapping[str, str] | None) -> bytes:
        if not url.startswith(("http://", "https://")):
            raise Failed(url, "is no address of a web server", "write it as https://...")
        data = None if form is None else urlencode(form).encode()
        request = Request(url, data, {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
        try:
            with self._opener.open(request, timeout=self.manners.timeout) as answer:
                body = self._body(answer)
        except HTTPError as error:
            with error:
                raise _refusal(url, error) from None
        except (OSError, HTTPException) as error:  # URLError and timeouts are OSErrors
            raise _no_answer(url, error) from None
        if body[:1024].lstrip().lower().startswith((b"<!doctype html", b"<html")):
            raise _Again("answered with a web page, not with data")
        return body

    def _body(self, answer: HTTPResponse) -> bytes:
        """Read an answer; http.client takes one that ends early for whole if it is read in pieces."""
        pieces, end = list[bytes](), time.monotonic() + SLOWEST * self.manners.timeout
        while piece := answer.read(PIECE):
            pieces.append(piece)
            if self.stop.is_set():
                raise Stopped
            if time.monotonic() > end:
                raise _Again(f"sent no whole answer in {SLOWEST * self.manners.timeout:.0f} s")
        body, stated = b"".join(pieces), answer.headers.get("Content-Length", "")
        with self._lock:
            self.bytes += len(body)
        if stated.isdigit() and len(body) != int(stated):
            raise _Again(f"broke off after {len(body):,} of {int(stated):,} bytes")
        return body

    def _wait_for_turn(self) -> None:
        with self._lock:
            now = time.monotonic()
            mine = max(now, self._next)
            self._next = mine + 1 / self.manners.rate
            self.requests += 1
        self._sleep(mine - now)

    def _pause(self, attempt: int, after: float) -> None:
        """Wait before another attempt; what a server asks for (Retry-After) holds for all threads."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + after)
        backoff = self.manners.wait * 2**attempt * random.uniform(0.5, 1.5)  # apart, lest all come back at once
        self._sleep(min(max(after, backoff), LONGEST))

    def _sleep(self, seconds: float) -> None:
        if self.stop.wait(max(seconds, 0.0)):
            raise Stopped


def _refusal(url: str, error: HTTPError) -> Exception:
    """Return what an answer other than 200 means."""
    if error.code in GONE:
        return Absent(url)
    if error.code in AGAIN:
        return _Again(f"answered {error.code} {error.reason}", seconds_of(error.headers.get("Retry-After")))
    fix = "check the base URL and the options"
    if error.code in REFUSED:
        fix = "the server, or a proxy before it, wants a login or has shut you out: look at the address in a browser"
    return Failed(url, f"answered {error.code} {error.reason}", fix)


def _no_answer(url: str, error: Exception) -> Exception:
    """Return what an error on the way means."""
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        fix = "check the clock of this machine, and whether a proxy of your network needs its own certificate"
        return Failed(url, f"has a certificate that can't be verified ({reason.verify_message})", fix)
    if isinstance(reason, TimeoutError):
        return _Again("did not answer in time")
    return _Again(f"could not be reached ({reason or type(reason).__name__})")


def seconds_of(retry_after: str | None) -> float:
    """Return the seconds that a Retry-After header asks for, in either of its forms; 0 if it says nothing."""
    if not retry_after:
        return 0.0
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return max(email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time(), 0.0)
    except ValueError:
        return 0.0
