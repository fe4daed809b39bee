"""Posting to one origin, over connections that stay open.

What a poll and a delete need of HTTP is little, and it is needed twice for every ten messages: one POST to `/`, one
answer. A general client pays for redirects, cookies, streams and hooks on every call; that came to more than a third
of the daemon's work (docs/performance.md). So the direct way is our own, and a way through a proxy is aiohttp's.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Protocol
from urllib.parse import SplitResult

import aiohappyeyeballs
import aiohttp
import msgspec
from aiohappyeyeballs import AddrInfoType as AddressInfo
from yarl import URL

from subscriber.adapters.aws.http_connection import HttpAnswer, HttpConnection
from subscriber.adapters.keepalive import enable_tcp_keepalive

CONNECT_TIMEOUT_SECONDS = 5.0

NEXT_ADDRESS_SECONDS = 0.25
"""When the next address is tried beside one that says nothing (RFC 8305, section 5): a network may lose IPv6."""

ADDRESSES_SECONDS = 10.0
"""How long a name is taken to lead where it led: aiohttp's own figure; a failed connection ends it at once."""

IDLE_SECONDS = 12.0
"""AWS closes a connection that was idle for twenty; this is botocore's own figure."""


class Transport(Protocol):
    """How requests reach their origin."""

    async def post(self, headers: dict[str, str], body: bytes, timeout_seconds: float) -> HttpAnswer:
        """Post `body` to `/`; `headers` have everything but the length.

        Raises:
            TimeoutError: no answer in time, waiting for a free connection included.
            OSError: no connection, or it ended before the answer did. Whether the server has seen the request, nobody
                knows. The errors of TLS are of this kind.
        """
        ...

    async def close(self) -> None:
        """Close the connections; requests under way must have ended."""
        ...


class Origin(msgspec.Struct, frozen=True):
    """Where connections lead."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    """How the server is verified; None: no TLS."""


def origin_of(endpoint: SplitResult, tls: ssl.SSLContext | None) -> Origin:
    """The origin of an endpoint's URL; `tls` (None: the system's authorities) counts for https only."""
    if endpoint.scheme != "https":
        return Origin(endpoint.hostname or "", endpoint.port or 80, None)
    return Origin(endpoint.hostname or "", endpoint.port or 443, tls or ssl.create_default_context())


def request_bytes(headers: dict[str, str], body: bytes) -> bytes:
    """The request as it goes over the wire."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return f"POST / HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n".encode("latin-1") + body


class DirectTransport:
    """A pool; the connection last used is the next one used, and those that lie idle are let go.

    Args:
        origin: where it leads.
        connections_at_most: further requests wait for one of these.
    """

    def __init__(self, origin: Origin, connections_at_most: int) -> None:
        self._origin = origin
        self._loop = asyncio.get_running_loop()
        self._places = asyncio.Semaphore(connections_at_most)
        self._lookup: asyncio.Task[Sequence[AddressInfo]] | None = None
        self._look_up_again_at = 0.0
        self._idle: deque[HttpConnection] = deque()

    @property
    def idle_connections(self) -> int:
        """How many connections are open and in nobody's use."""
        return sum(connection.is_open for connection in self._idle)

    async def post(self, headers: dict[str, str], body: bytes, timeout_seconds: float) -> HttpAnswer:
        """See Transport."""
        request = request_bytes(headers, body)
        deadline = self._loop.time() + timeout_seconds
        await self._take_place(deadline)
        try:
            return await self._ask(request, deadline)
        finally:
            self._places.release()

    async def close(self) -> None:
        """See Transport."""
        if self._lookup is not None:
            self._lookup.cancel()
        while self._idle:
            self._idle.pop().close()

    async def _take_place(self, deadline: float) -> None:
        if not self._places.locked():
            await self._places.acquire()  # at once
            return
        async with asyncio.timeout_at(deadline):
            await self._places.acquire()

    async def _ask(self, request: bytes, deadline: float) -> HttpAnswer:
        connection = self._take_idle() or await self._connect(deadline)
        try:
            answer = await connection.ask(request, deadline)
        except BaseException:
            connection.close()  # nobody knows what is still under way on it
            raise
        self._give_back(connection)
        return answer

    async def _connect(self, deadline: float) -> HttpConnection:
        async with asyncio.timeout_at(deadline):
            addresses = await self._addresses()
            patience = asyncio.timeout(CONNECT_TIMEOUT_SECONDS)
            try:
                async with patience:
                    return await self._open_connection(addresses)
            except OSError as error:  # time-outs among them
                self._look_up_again_at = 0.0  # the name may lead elsewhere by now
                if not patience.expired():
                    raise
                where = f"{self._origin.host}:{self._origin.port}"
                raise ConnectionError(f"no connection to {where} within {CONNECT_TIMEOUT_SECONDS:g} s") from error

    async def _open_connection(self, addresses: Sequence[AddressInfo]) -> HttpConnection:
        origin, loop = self._origin, self._loop
        connected = await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=NEXT_ADDRESS_SECONDS)
        enable_tcp_keepalive(connected)
        _, connection = await loop.create_connection(
            lambda: HttpConnection(loop),
            sock=connected,
            ssl=origin.tls,
            server_hostname=origin.host if origin.tls else None,
        )
        return connection

    async def _addresses(self) -> Sequence[AddressInfo]:
        """Where the origin is: one look-up for all who ask, since few run at once (libuv has two threads for them)."""
        if self._lookup is None or (self._lookup.done() and self._loop.time() >= self._look_up_again_at):
            self._lookup = self._loop.create_task(self._look_up(), name="look up")
            self._look_up_again_at = 0.0
        return await asyncio.shield(self._lookup)

    async def _look_up(self) -> Sequence[AddressInfo]:
        found = await self._loop.getaddrinfo(self._origin.host, self._origin.port, type=socket.SOCK_STREAM)
        self._look_up_again_at = self._loop.time() + ADDRESSES_SECONDS
        return found

    def _take_idle(self) -> HttpConnection | None:
        fresh_since = self._loop.time() - IDLE_SECONDS
        while self._idle and self._idle[0].idle_since < fresh_since:
            self._idle.popleft().close()
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return None

    def _give_back(self, connection: HttpConnection) -> None:
        if connection.is_open:
            connection.idle_since = self._loop.time()
            self._idle.append(connection)


class ProxiedTransport:
    """Through an HTTP proxy, which aiohttp knows how to ask for a tunnel.

    Args:
        origin: where it leads.
        connections_at_most: further requests wait for one of these.
        proxy: URL of the proxy.
    """

    def __init__(self, origin: Origin, connections_at_most: int, proxy: str) -> None:
        self._url = URL.build(scheme="https" if origin.tls else "http", host=origin.host, port=origin.port, path="/")
        self._proxy = proxy
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=connections_at_most, ssl=origin.tls or True, keepalive_timeout=IDLE_SECONDS
            ),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
        )

    async def post(self, headers: dict[str, str], body: bytes, timeout_seconds: float) -> HttpAnswer:
        """See Transport."""
        posting = self._session.post(self._url, data=body, headers=headers, proxy=self._proxy)
        try:
            async with asyncio.timeout(timeout_seconds), posting as answer:
                return HttpAnswer(answer.status, answer.raw_headers, await answer.read())
        except aiohttp.ClientError as error:
            raise OSError(str(error) or type(error).__name__) from error

    async def close(self) -> None:
        """See Transport."""
        await self._session.close()
