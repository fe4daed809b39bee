"""One HTTP/1.1 connection: sends a request in one write and returns the whole response.

httptools (llhttp) parses. A response must state its length, by Content-Length or chunks, as AWS's do: a response that
ends with its connection looks the same as a truncated one.
"""

from __future__ import annotations

import asyncio
from typing import cast

import httptools
import msgspec

RESPONSE_BYTES_AT_MOST = 64 * 1024**2
"""Twice the size of ten messages of a megabyte with every character escaped."""

_FINAL_STATUS = 200
"""The lowest final status; 1xx responses precede the final one (RFC 9110, section 15.2)."""


class HttpResponse(msgspec.Struct, frozen=True):
    """A response; header names are spelled as the server sent them."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    content: bytes

    def header(self, name: str) -> str:
        """The first header of this name, in upper or lower case; empty if there is none."""
        wanted = name.lower().encode()
        return next((value.decode("latin-1") for spelled, value in self.headers if spelled.lower() == wanted), "")


class HttpConnection(asyncio.Protocol):
    """One connection, one request at a time; httptools calls the methods named `on_…`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[HttpResponse] | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._bytes = 0
        self.idle_since = 0.0
        """Seconds of the loop's clock; the pool sets it."""

    @property
    def is_open(self) -> bool:
        """Whether a request may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    async def exchange(self, request: bytes, deadline: float) -> HttpResponse:
        """Send `request` and return its response; `deadline` is a time of the loop's clock.

        After any exception, cancellation included, the connection must not be used again.

        Raises:
            ConnectionError: the connection ended, or the response is not HTTP or exceeds RESPONSE_BYTES_AT_MOST.
            TimeoutError: the deadline has passed.
        """
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the connection is closed")
        self._waiter = self._loop.create_future()
        # A timer of our own: asyncio.timeout would cancel and uncancel the task, which costs several times as much.
        timer = self._loop.call_at(deadline, self._fail, TimeoutError())
        try:
            self._transport.write(request)
            return await self._waiter
        finally:
            timer.cancel()

    def close(self) -> None:
        """Abort the connection; between two requests nothing is in transit."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is established."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not its subclasses

    def connection_lost(self, exc: Exception | None) -> None:
        """Either side closed the connection."""
        self._transport = None
        self._fail(
            ConnectionResetError(
                f"the server closed the connection: {exc}" if exc else "the server closed the connection"
            )
        )

    def data_received(self, data: bytes) -> None:
        """Parse received bytes; bytes that no request asked for, such as a load balancer's 408, end the connection."""
        self._bytes += len(data)
        if self._waiter is None or self._bytes > RESPONSE_BYTES_AT_MOST:
            self._fail(ConnectionError(f"a response of more than {RESPONSE_BYTES_AT_MOST} bytes"))
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(ConnectionError(f"the response is not HTTP: {error}"))
            self.close()

    def on_message_begin(self) -> None:
        """Close if no request is pending: this response would be taken for that of the next request."""
        if self._waiter is None:
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header is complete."""
        self._headers.append((name, value))

    def on_body(self, part: bytes) -> None:
        """A part of the content, without chunk markers."""
        self._parts.append(part)

    def on_message_complete(self) -> None:
        """The response is complete."""
        status = self._parser.get_status_code()
        response = HttpResponse(status, tuple(self._headers), b"".join(self._parts))
        self._headers.clear()
        self._parts.clear()
        if status < _FINAL_STATUS:
            return
        self._bytes = 0
        if not self._parser.should_keep_alive():
            self.close()
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(response)

    def _fail(self, error: OSError) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)


class HeadConnection(HttpConnection):
    """A connection for one HEAD request: its response ends with its headers (RFC 9110, section 9.3.2)."""

    def on_headers_complete(self) -> None:
        """The response is complete, whatever length it states."""
        if self._parser.get_status_code() >= _FINAL_STATUS:
            self.on_message_complete()
            self.close()
