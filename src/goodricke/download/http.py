"""An HTTP client for archives: a limited rate, retries after errors, and checks of every response.

The standard library does it. At a polite rate, a few requests a second, open connections would gain nothing, and
`urllib` knows the proxies, certificates and redirections of the machine it runs on.
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
ABSENT_CODES = (404, 410)
RETRY_CODES = (408, 425, 429, 500, 502, 503, 504)
REFUSAL_CODES = (401, 403, 407)
LONGEST_WAIT = 300.0  # seconds before the next attempt, whatever the server asks for
PIECE = 1 << 16
SLOWEST = 10  # times the timeout that a complete response may take


class AbsentFileError(Exception):
    """The archive has no such file."""


class InvalidResponseError(Exception):
    """A response is not what was requested: incomplete, a web page, another star's file."""


class StoppedError(Exception):
    """The run is being stopped; as KeyboardInterrupt, in the other threads."""


class RequestError(RuntimeError):
    """A request failed, and may succeed another time.

    Parameters
    ----------
    url, reason, fix : str
    """

    def __init__(self, url: str, reason: str, fix: str) -> None:
        super().__init__(url, reason, fix)
        self.url, self.reason, self.fix = url, reason, fix

    def __str__(self) -> str:
        return f"{self.url}: {self.reason}. Fix: {self.fix}."


class _RetryError(Exception):
    """An attempt failed; the next may succeed after ``delay`` seconds."""

    def __init__(self, reason: str, delay: float = 0.0) -> None:
        super().__init__(reason)
        self.reason, self.delay = reason, delay


@dataclass(frozen=True)
class RequestPolicy:
    """Limits of the load on a server.

    Parameters
    ----------
    rate : float
        Requests per second, all connections and attempts together.
    attempts : int
        Per request.
    timeout : float
        Seconds without a sign of the server; a complete response may take ten times as long.
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
    """A client with a policy, shared by all threads of a run."""

    def __init__(self, policy: RequestPolicy = RequestPolicy()) -> None:
        self.policy, self.stop = policy, threading.Event()
        self.requests = self.bytes = 0
        self._opener, self._lock, self._next = build_opener(), threading.Lock(), 0.0

    def get(self, url: str, accept: Callable[[bytes], T], form: Mapping[str, str] | None = None) -> T:
        """Return what ``accept`` makes of the response; after `InvalidResponseError` the request is repeated.

        Parameters
        ----------
        url : str
        accept : callable
            Takes the bytes of the response.
        form : mapping, optional
            Sent as a form by POST.

        Raises
        ------
        AbsentFileError
            If the server has no such file (404), or ``accept`` raises it.
        RequestError
            If it refuses, or gives no valid response in as many attempts as the policy allows.
        StoppedError
            If the run is being stopped.
        """
        reason, attempts = "", self.policy.attempts
        for attempt in range(attempts):
            self._wait_for_slot()
            try:
                return accept(self._request(url, form))
            except InvalidResponseError as error:
                reason, delay = str(error), 0.0
            except _RetryError as error:
                reason, delay = error.reason, error.delay
            logger.info("%s: %s (attempt %d of %d)", url, reason, attempt + 1, attempts)
            if delay > LONGEST_WAIT:
                raise RequestError(
                    url, f"{reason}, and asks to wait {delay:.0f} s", "run the same command again after that"
                )
            if attempt + 1 < attempts:
                self._wait_before_retry(attempt, delay)
        fix = "the same command tries again what failed; if it fails again, open the address in a browser"
        raise RequestError(url, f"{reason}, {attempts} times", fix)

    def _request(self, url: str, form: Mapping[str, str] | None) -> bytes:
        if not url.startswith(("http://", "https://")):
            raise RequestError(url, "is no address of a web server", "write it as https://...")
        data = None if form is None else urlencode(form).encode()
        request = Request(url, data, {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
        try:
            with self._opener.open(request, timeout=self.policy.timeout) as response:
                body = self._read_body(response)
        except HTTPError as error:
            with error:
                raise _status_error(url, error) from None
        except (OSError, HTTPException) as error:  # URLError and timeouts are OSErrors
            raise _connection_error(url, error) from None
        if body[:1024].lstrip().lower().startswith((b"<!doctype html", b"<html")):
            raise _RetryError("answered with a web page, not with data")
        return body

    def _read_body(self, response: HTTPResponse) -> bytes:
        """Read a response; read in pieces, http.client would accept an incomplete one."""
        pieces, longest = list[bytes](), SLOWEST * self.policy.timeout
        end = time.monotonic() + longest
        while piece := response.read(PIECE):
            pieces.append(piece)
            if self.stop.is_set():
                raise StoppedError
            if time.monotonic() > end:
                raise _RetryError(f"sent no complete response in {longest:.0f} s")
        body, stated = b"".join(pieces), response.headers.get("Content-Length", "")
        with self._lock:
            self.bytes += len(body)
        if stated.isdigit() and len(body) != int(stated):
            raise _RetryError(f"broke off after {len(body):,} of {int(stated):,} bytes")
        return body

    def _wait_for_slot(self) -> None:
        """Wait until the rate allows another request."""
        with self._lock:
            now = time.monotonic()
            slot = max(now, self._next)
            self._next = slot + 1 / self.policy.rate
            self.requests += 1
        self._sleep(slot - now)

    def _wait_before_retry(self, attempt: int, delay: float) -> None:
        """Wait before another attempt; the delay that a server asks for (Retry-After) holds for all threads."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + delay)
        backoff = self.policy.wait * 2**attempt * random.uniform(0.5, 1.5)  # random, so that retries don't coincide
        self._sleep(min(max(delay, backoff), LONGEST_WAIT))

    def _sleep(self, seconds: float) -> None:
        if self.stop.wait(max(seconds, 0.0)):
            raise StoppedError


def _status_error(url: str, error: HTTPError) -> Exception:
    """Return the exception for a response with an error status."""
    if error.code in ABSENT_CODES:
        return AbsentFileError(url)
    if error.code in RETRY_CODES:
        return _RetryError(f"answered {error.code} {error.reason}", retry_delay(error.headers.get("Retry-After")))
    fix = "check the base URL and the options"
    if error.code in REFUSAL_CODES:
        fix = "the server or a proxy asks for a login or has blocked this machine: open the address in a browser"
    return RequestError(url, f"answered {error.code} {error.reason}", fix)


def _connection_error(url: str, error: Exception) -> Exception:
    """Return the exception for a failed connection."""
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        fix = "check the clock of this machine, and whether a proxy of your network needs its own certificate"
        return RequestError(url, f"has a certificate that can't be verified ({reason.verify_message})", fix)
    if isinstance(reason, TimeoutError):
        return _RetryError("did not answer in time")
    return _RetryError(f"could not be reached ({reason or type(reason).__name__})")


def retry_delay(retry_after: str | None) -> float:
    """Return the seconds in a Retry-After header, in either of its forms; 0 without one."""
    if not retry_after:
        return 0.0
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return max(email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time(), 0.0)
    except ValueError:
        return 0.0
