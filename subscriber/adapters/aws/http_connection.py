"""One HTTP/1.1 connection: a request goes out in one write, its answer comes back as one value.

The grammar is llhttp's, through httptools. An answer has to say how long it is, by a length or in chunks, as AWS's do:
one that ends with its connection cannot be told from one that was cut off.
"""

from __future__ import annotations

import asyncio
from typing import cast

import httptools
import msgspec

ANSWER_BYTES_AT_MOST = 64 * 1024**2
"""Ten messages of a megabyte, each character escaped, fit twice."""

_FINAL_STATUS = 200
"""From here on an answer is the answer; what is 1xx only precedes it (RFC 9110, section 15.2)."""


class HttpAnswer(msgspec.Struct, frozen=True):
    """An answer as it came; header names in the server's spelling."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    content: bytes

    def header(self, name: str) -> str:
        """The first header of this name, in any spelling; empty if there is none."""
        wanted = name.lower().encode()
        return next((value.decode("latin-1") for spelled, value in self.headers if spelled.lower() == wanted), "")


class HttpConnection(asyncio.Protocol):
    """One connection, one request at a time; httptools calls the methods named `on_…`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[HttpAnswer] | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._bytes = 0
        self.idle_since = 0.0
        """By the loop's clock; kept by the pool."""

    @property
    def is_open(self) -> bool:
        """Whether a request may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes, deadline: float) -> HttpAnswer:
        """Send `request` and wait for its answer, until the loop's clock reads `deadline`.

        Whatever ends the wait early leaves the connection unusable.

        Raises:
            ConnectionError: the connection ended, or the answer was not HTTP or larger than we take.
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
        """Drop the connection: nothing that could be lost is under way between two requests."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The way is open."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not its subclasses

    def connection_lost(self, exc: Exception | None) -> None:
        """The way is closed, by either side."""
        self._transport = None
        self._fail(ConnectionResetError(f"the server closed the connection: {exc}" if exc else "the server hung up"))

    def data_received(self, data: bytes) -> None:
        """Some of an answer; what nobody asked for, as a load balancer's 408, ends the connection."""
        self._bytes += len(data)
        if self._waiter is None or self._bytes > ANSWER_BYTES_AT_MOST:
            self._fail(ConnectionError(f"an answer of more than {ANSWER_BYTES_AT_MOST} bytes"))
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(ConnectionError(f"the answer is not HTTP: {error}"))
            self.close()

    def on_message_begin(self) -> None:
        """An answer begins. One that nobody asked for would be taken for the answer to the next request."""
        if self._waiter is None:
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header is complete."""
        self._headers.append((name, value))

    def on_body(self, part: bytes) -> None:
        """Some of the content, without the marks of chunks."""
        self._parts.append(part)

    def on_message_complete(self) -> None:
        """An answer is complete."""
        status = self._parser.get_status_code()
        answer = HttpAnswer(status, tuple(self._headers), b"".join(self._parts))
        self._headers.clear()
        self._parts.clear()
        if status < _FINAL_STATUS:
            return
        self._bytes = 0
        if not self._parser.should_keep_alive():
            self.close()
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(answer)

    def _fail(self, error: OSError) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
