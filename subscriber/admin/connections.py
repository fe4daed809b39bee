"""Bounds on the connections of the HTTP server: clients that say nothing use up no descriptors.

A connection must bring a whole request within five seconds of its opening, and each further request within five seconds
of its first byte. At most 64 connections are open: one more closes the one from which nothing came for the longest
time, so a new client, such as a health check, is always served.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

from aiohttp import web

from subscriber.admin.limits import CONNECTIONS_AT_MOST

REQUEST_SECONDS = 5.0
"""How long a client may take to send a request line and its headers, which fit into one packet."""

IDLE_SECONDS = 75.0
"""How long a connection may be idle between requests: longer than Prometheus waits between two scrapes."""


class Connections:
    """The open connections; `serve` is the middleware that learns which of them have sent a request.

    Args:
        at_most: how many are open; one more closes the one that has been silent for the longest time.
        request_seconds: how long each may take to send a request.
    """

    def __init__(self, at_most: int = CONNECTIONS_AT_MOST, request_seconds: float = REQUEST_SECONDS) -> None:
        self._at_most = at_most
        self._request_seconds = request_seconds
        self._open: dict[asyncio.Protocol, _Connection] = {}
        """By their handlers; the one that has been silent for the longest time is the first."""

    def protocol(self, handler: asyncio.Protocol) -> asyncio.Protocol:
        """The protocol of a new connection, which `handler` serves."""
        return _Connection(self, handler, self._request_seconds)

    def add(self, connection: _Connection) -> None:
        """A client has connected."""
        if len(self._open) >= self._at_most:
            next(iter(self._open.values())).abort()
        self._open[connection.handler] = connection

    def touch(self, connection: _Connection) -> None:
        """A client has sent something."""
        if self._open.pop(connection.handler, None):
            self._open[connection.handler] = connection

    def discard(self, connection: _Connection) -> None:
        """A connection is closed."""
        self._open.pop(connection.handler, None)

    @web.middleware
    async def serve(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Handle a request whose headers are complete."""
        connection = self._open.get(request.protocol)
        if connection is None:  # closed in this moment
            return await handler(request)
        connection.request_began()
        try:
            return await handler(request)
        finally:
            connection.request_ended()


class _Connection(asyncio.Protocol):
    """Passes everything on to the handler, and closes the connection when a request takes too long."""

    def __init__(self, all_: Connections, handler: asyncio.Protocol, request_seconds: float) -> None:
        self.handler = handler
        self._all = all_
        self._request_seconds = request_seconds
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._is_serving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # those of uvloop are no subclass
        self._all.add(self)
        self._set_deadline()
        self.handler.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._all.touch(self)
        if self._deadline is None and not self._is_serving:
            self._set_deadline()
        self.handler.data_received(data)

    def eof_received(self) -> bool | None:
        return self.handler.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._clear_deadline()
        self._all.discard(self)
        self.handler.connection_lost(exc)

    def pause_writing(self) -> None:
        self.handler.pause_writing()

    def resume_writing(self) -> None:
        self.handler.resume_writing()

    def request_began(self) -> None:
        """The headers are complete; a handler that reads a body has a limit of its own."""
        self._is_serving = True
        self._clear_deadline()

    def request_ended(self) -> None:
        """The next bytes begin another request."""
        self._is_serving = False

    def abort(self) -> None:
        """Close the connection at once."""
        self._all.discard(self)
        if self._transport is not None:
            self._transport.abort()

    def _set_deadline(self) -> None:
        self._deadline = asyncio.get_running_loop().call_later(self._request_seconds, self.abort)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
