"""Requests to one origin over a pool of persistent connections.

Every ten messages take a poll and a delete, each one POST to `/` with one response; a listing takes a GET per page. A
general client also handles redirects, cookies, streams and hooks in every call, which took more than a third of the
daemon's CPU (docs/explanation/performance.md). Hence direct connections use our own client; connections through a proxy
use aiohttp.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from urllib.parse import SplitResult

import aiohappyeyeballs
import aiohttp
import msgspec
from aiohappyeyeballs import AddrInfoType as AddressInfo
from yarl import URL

from subscriber.adapters.aws.http_connection import HeadConnection, HttpConnection, HttpResponse
from subscriber.adapters.keepalive import enable_tcp_keepalive

CONNECT_TIMEOUT_SECONDS = 5.0

NEXT_ADDRESS_SECONDS = 0.25
"""Delay before the next address is tried in parallel (RFC 8305, section 5): a network may drop IPv6."""

ADDRESSES_SECONDS = 10.0
"""How long a DNS answer is reused, as in aiohttp; a failed connection discards it at once."""

IDLE_SECONDS = 12.0
"""AWS closes a connection after twenty idle seconds; botocore uses twelve as well."""


class Transport(Protocol):
    """Sends requests to an origin, directly or through a proxy."""

    async def post(self, headers: dict[str, str], body: bytes, timeout_seconds: float) -> HttpResponse:
        """Post `body` to `/`; `headers` contain everything but Content-Length.

        Raises:
            TimeoutError: no response within `timeout_seconds`, which include the wait for a free connection.
            OSError: connecting failed, or the connection ended before the response did; the server may or may not
                have processed the request. TLS errors are OSErrors too.
        """
        ...

    async def get(self, target: str, headers: dict[str, str], timeout_seconds: float) -> HttpResponse:
        """Get `target`, a path with its query, both percent-encoded; raises as `post` does."""
        ...

    async def put(self, target: str, headers: dict[str, str], body: bytes, timeout_seconds: float) -> HttpResponse:
        """Put `body` to `target`, as `get` asks for it; raises as `post` does."""
        ...

    async def head(self, target: str, headers: dict[str, str], timeout_seconds: float) -> HttpResponse:
        """The headers that `get` would return, without the content; raises as `post` does."""
        ...

    async def close(self) -> None:
        """Close all connections; call it when no request is in progress."""
        ...


class Origin(msgspec.Struct, frozen=True):
    """Host, port and TLS of a server."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    """The context that verifies the server; None: no TLS."""


def origin_of(endpoint: SplitResult, tls: ssl.SSLContext | None) -> Origin:
    """The origin of an endpoint URL; `tls` (None: the system's CAs) applies to https only."""
    if endpoint.scheme != "https":
        return Origin(endpoint.hostname or "", endpoint.port or 80, None)
    return Origin(endpoint.hostname or "", endpoint.port or 443, tls or ssl.create_default_context())


def request_bytes(headers: dict[str, str], body: bytes, line: str = "POST /") -> bytes:
    """The request as bytes; `line` is method and target."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return f"{line} HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n".encode("latin-1") + body


def read_request_bytes(method: str, target: str, headers: dict[str, str]) -> bytes:
    """A request without content as bytes."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")


class DirectTransport:
    """A pool that reuses the most recently used connection first and closes idle ones.

    Args:
        origin: the server.
        connections_at_most: further requests wait for a free connection.
    """

    def __init__(self, origin: Origin, connections_at_most: int) -> None:
        self._origin = origin
        self._loop = asyncio.get_running_loop()
        self._slots = asyncio.Semaphore(connections_at_most)
        self._address_lookup: asyncio.Task[Sequence[AddressInfo]] | None = None
        self._look_up_again_at = 0.0
        self._idle: deque[HttpConnection] = deque()

    @property
    def idle_connections(self) -> int:
        """How many connections are open and unused."""
        return sum(connection.is_open for connection in self._idle)

    async def post(self, headers: dict[str, str], body: bytes, timeout_seconds: float) -> HttpResponse:
        """See Transport."""
        return await self._send(request_bytes(headers, body), timeout_seconds)

    async def get(self, target: str, headers: dict[str, str], timeout_seconds: float) -> HttpResponse:
        """See Transport."""
        return await self._send(read_request_bytes("GET", target, headers), timeout_seconds)

    async def put(self, target: str, headers: dict[str, str], body: bytes, timeout_seconds: float) -> HttpResponse:
        """See Transport."""
        return await self._send(request_bytes(headers, body, f"PUT {target}"), timeout_seconds)

    async def head(self, target: str, headers: dict[str, str], timeout_seconds: float) -> HttpResponse:
        """See Transport. It takes a connection of its own, because only the request tells that no content follows."""
        deadline = self._loop.time() + timeout_seconds
        await self._take_slot(deadline)
        try:
            connection = await self._connect(deadline, HeadConnection)
            try:
                return await connection.exchange(read_request_bytes("HEAD", target, headers), deadline)
            finally:
                connection.close()
        finally:
            self._slots.release()

    async def close(self) -> None:
        """See Transport."""
        if self._address_lookup is not None:
            self._address_lookup.cancel()
        while self._idle:
            self._idle.pop().close()

    async def _send(self, request: bytes, timeout_seconds: float) -> HttpResponse:
        deadline = self._loop.time() + timeout_seconds
        await self._take_slot(deadline)
        try:
            return await self._exchange(request, deadline)
        finally:
            self._slots.release()

    async def _take_slot(self, deadline: float) -> None:
        if not self._slots.locked():
            await self._slots.acquire()  # returns at once; the usual case skips the cost of a timeout
            return
        async with asyncio.timeout_at(deadline):
            await self._slots.acquire()

    async def _exchange(self, request: bytes, deadline: float) -> HttpResponse:
        connection = self._take_idle() or await self._connect(deadline)
        try:
            response = await connection.exchange(request, deadline)
        except BaseException:
            connection.close()  # the response may still arrive on it
            raise
        self._return_idle(connection)
        return response

    async def _connect(self, deadline: float, kind: type[HttpConnection] = HttpConnection) -> HttpConnection:
        async with asyncio.timeout_at(deadline):
            addresses = await self._addresses()
            connect_timeout = asyncio.timeout(CONNECT_TIMEOUT_SECONDS)
            try:
                async with connect_timeout:
                    return await self._open_connection(addresses, kind)
            except (OSError, RuntimeError) as error:  # includes TimeoutError
                self._look_up_again_at = 0.0  # the name may have another address by now
                if isinstance(error, RuntimeError):  # aiohappyeyeballs: uvloop still uses the socket's descriptor
                    raise ConnectionError(str(error)) from error
                if not connect_timeout.expired():
                    raise
                where = f"{self._origin.host}:{self._origin.port}"
                raise ConnectionError(f"no connection to {where} within {CONNECT_TIMEOUT_SECONDS:g} s") from error

    async def _open_connection(self, addresses: Sequence[AddressInfo], kind: type[HttpConnection]) -> HttpConnection:
        origin, loop = self._origin, self._loop
        connected = await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=NEXT_ADDRESS_SECONDS)
        enable_tcp_keepalive(connected)
        _, connection = await loop.create_connection(
            lambda: kind(loop),
            sock=connected,
            ssl=origin.tls,
            server_hostname=origin.host if origin.tls else None,
        )
        return connection

    async def _addresses(self) -> Sequence[AddressInfo]:
        """The addresses of the origin. Concurrent callers share one DNS lookup: libuv has few threads for lookups."""
        lookup = self._address_lookup
        if lookup is None or (lookup.done() and self._loop.time() >= self._look_up_again_at):
            self._address_lookup = lookup = self._loop.create_task(self._look_up(), name="DNS lookup")
            self._look_up_again_at = 0.0
        return await asyncio.shield(lookup)

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

    def _return_idle(self, connection: HttpConnection) -> None:
        if connection.is_open:
            connection.idle_since = self._loop.time()
            self._idle.append(connection)


class ProxiedTransport:
    """Sends requests through an HTTP proxy; aiohttp opens the tunnel for https.

    Args:
        origin: the server.
        connections_at_most: further requests wait for a free connection.
        proxy: URL of the proxy.
    """

    def __init__(self, origin: Origin, connections_at_most: int, proxy: str) -> None:
        self._url = URL.build(scheme="https" if origin.tls else "http", host=origin.host, port=origin.port, path="/")
        self._origin = str(self._url).removesuffix("/")
        self._proxy = proxy
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=connections_at_most, ssl=origin.tls or True, keepalive_timeout=IDLE_SECONDS
            ),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
        )

    async def post(self, headers: dict[str, str], body: bytes, timeout_seconds: float) -> HttpResponse:
        """See Transport."""
        return await self._answer(
            self._session.post(self._url, data=body, headers=headers, proxy=self._proxy), timeout_seconds
        )

    async def get(self, target: str, headers: dict[str, str], timeout_seconds: float) -> HttpResponse:
        """See Transport."""
        return await self._ask("GET", target, headers, None, timeout_seconds)

    async def put(self, target: str, headers: dict[str, str], body: bytes, timeout_seconds: float) -> HttpResponse:
        """See Transport."""
        return await self._ask("PUT", target, headers, body, timeout_seconds)

    async def head(self, target: str, headers: dict[str, str], timeout_seconds: float) -> HttpResponse:
        """See Transport."""
        return await self._ask("HEAD", target, headers, None, timeout_seconds)

    async def _ask(
        self, method: str, target: str, headers: dict[str, str], body: bytes | None, timeout_seconds: float
    ) -> HttpResponse:
        url = URL(f"{self._origin}{target}", encoded=True)
        asking = self._session.request(
            method, url, headers=headers, data=body, proxy=self._proxy, allow_redirects=False
        )
        return await self._answer(asking, timeout_seconds)

    @staticmethod
    async def _answer(
        asking: AbstractAsyncContextManager[aiohttp.ClientResponse], timeout_seconds: float
    ) -> HttpResponse:
        try:
            async with asyncio.timeout(timeout_seconds), asking as response:
                return HttpResponse(response.status, response.raw_headers, await response.read())
        except (aiohttp.ClientError, RuntimeError) as error:  # RuntimeError: as in DirectTransport
            raise OSError(str(error) or type(error).__name__) from error

    async def close(self) -> None:
        """See Transport."""
        await self._session.close()
