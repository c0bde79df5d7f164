"""Connections of the server: those that send nothing, or slowly, never keep others out.

uvicorn closes idle connections between requests, but waits for ever for the headers of a request, and counts every open
connection to its limit. Here headers have `HEADER_SECONDS` to arrive, an answer has `WRITE_SECONDS` to be taken, and at
the limit the connection that has waited longest without a complete request makes room for a new one. The body of a
request has its own time, `goodricke.service.rest.MAX_ARRIVAL`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 10.0  # for the headers of a request to arrive
WRITE_SECONDS = 30.0  # without anything taken from an answer


class LimitedProtocol(H11Protocol):
    """An HTTP connection that is closed when it keeps others waiting."""

    since = 0.0  # when it began to wait for a request, in the time of the loop
    _header_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None

    @property
    def has_headers(self) -> bool:
        """Whether the headers of a request have arrived whose answer hasn't been sent."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def is_answering(self) -> bool:
        """Whether a request has arrived in full and its answer hasn't been sent."""
        return self.has_headers and not self.cycle.more_body

    def connection_made(self, transport: Any) -> None:
        """Make room for a new connection, and wait for its request."""
        super().connection_made(transport)
        self.since = self.loop.time()
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            self._make_room()
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        """Handle data; once a request begins to arrive, its headers have a time to do so."""
        self._expect_headers()
        super().data_received(data)
        if self.has_headers:
            self._forget_headers()

    def on_response_complete(self) -> None:
        """Wait for the next request, for which uvicorn has a time of its own."""
        self.since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait until the client takes more of the answer."""
        super().pause_writing()
        if self._write_timer is None:
            self._expect_reading(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Go on with an answer."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """End the timers."""
        super().connection_lost(exc)
        self._forget_headers()
        self.resume_writing()

    def _expect_headers(self) -> None:
        if not self.has_headers and self._header_timer is None:
            self._header_timer = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _forget_headers(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _expect_reading(self, size: int) -> None:
        self._write_timer = self.loop.call_later(WRITE_SECONDS, self._abort_unless_read, size)

    def _abort_unless_read(self, size: int) -> None:
        """Give up an answer of which nothing has been taken, and wait on if some of it has, however little."""
        left = self.transport.get_write_buffer_size()
        if left < size:
            self._expect_reading(left)
        else:
            self.transport.abort()

    def _make_room(self) -> None:
        """Close the connection that has waited longest for a request; without any, for the rest of one."""
        open_ones = [other for other in self.connections if isinstance(other, LimitedProtocol)]
        others = [other for other in open_ones if other is not self and not other.is_answering]
        if others:
            oldest = min(others, key=lambda other: (other.has_headers, other.since))
            self.connections.discard(oldest)
            oldest.transport.abort()
