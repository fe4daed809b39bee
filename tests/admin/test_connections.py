"""The bounds on the connections of the HTTP server, over real sockets on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from subscriber.admin.connections import REQUEST_SECONDS, Connections
from subscriber.admin.control import ControlPage
from subscriber.admin.limits import CONNECTIONS_AT_MOST
from subscriber.admin.server import AdminServer

REQUEST = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
TOKEN = "open-sesame-42"


@asynccontextmanager
async def serving(connections: Connections) -> AsyncIterator[int]:
    """The port of a server with these bounds."""
    control = ControlPage(TOKEN, lambda: None).routes()
    server = AdminServer("127.0.0.1", 0, CollectorRegistry(), dict, control, connections=connections)
    await server.start()
    try:
        yield server.port
    finally:
        await server.stop()


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, port: int) -> Client:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self) -> bytes:
        """Send a whole request; the body of the answer."""
        self.writer.write(REQUEST)
        await self.reader.readuntil(b"\r\n\r\n")
        return await self.reader.readexactly(len(b"alive\n"))

    async def wait_closed(self) -> bytes:
        """What the server sent until it closed the connection."""
        try:
            return await self.reader.read()
        except ConnectionResetError:
            return b""
        finally:
            self.writer.close()


def test_the_bounds_are_small() -> None:
    """Five seconds for a request, and 64 connections: far less than the descriptors of a process."""
    assert (REQUEST_SECONDS, CONNECTIONS_AT_MOST) == (5.0, 64)


@pytest.mark.parametrize("sent", [b"", b"GET", b"GET /livez HTTP/1.1\r\nX: "], ids=["nothing", "a word", "half"])
async def test_a_request_that_does_not_come_closes_the_connection(sent: bytes) -> None:
    """An empty connection and half a request are closed without an answer once their time is over."""
    async with serving(Connections(request_seconds=0.2)) as port:
        client = await Client.to(port)
        client.writer.write(sent)
        assert await client.wait_closed() == b""


async def test_a_client_that_drips_gets_no_more_time() -> None:
    """A byte now and then does not prolong the time for a request."""
    async with serving(Connections(request_seconds=1.0)) as port:
        client = await Client.to(port)
        closed = asyncio.create_task(client.wait_closed(), name="closed")
        dripped = 0
        while not closed.done():
            client.writer.write(b"X" if dripped else b"GET /")
            dripped += 1
            await asyncio.wait({closed}, timeout=0.02)
        assert (await closed, dripped > 2) == (b"", True)


async def test_half_of_a_second_request_closes_the_connection() -> None:
    """The time counts for each request on a connection that is kept open."""
    async with serving(Connections(request_seconds=0.2)) as port:
        client = await Client.to(port)
        assert await client.ask() == b"alive\n"
        client.writer.write(b"GET /livez")
        assert await client.wait_closed() == b""


async def test_a_connection_is_kept_between_requests() -> None:
    """The time between two requests is not limited by the time for one."""
    async with serving(Connections(request_seconds=0.1)) as port:
        kept, silent = await Client.to(port), await Client.to(port)
        assert await kept.ask() == b"alive\n"
        await silent.wait_closed()  # the time for a request has passed
        assert await kept.ask() == b"alive\n"
        kept.writer.close()


async def test_a_body_that_does_not_come_closes_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers that announce a body without one: the page answers, and the connection ends."""
    monkeypatch.setattr("subscriber.admin.control._BODY_SECONDS", 0.2)
    monkeypatch.setattr("subscriber.admin.server._UNREAD_BODY_SECONDS", 0.2)
    async with serving(Connections()) as port:
        for line in (b"GET /livez", b"POST /control"):
            client = await Client.to(port)
            head = b" HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\nContent-Length: 9\r\n\r\n"
            client.writer.write(line + head)
            answer = await client.wait_closed()
            assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 408"))


async def test_one_connection_too_many_closes_the_most_silent_one() -> None:
    """The others stay, and the new one is served: silent clients cannot keep a health check out."""
    async with serving(Connections(at_most=3)) as port:
        first, second, third = [await Client.to(port) for _ in range(3)]
        assert await first.ask() == b"alive\n"  # now the second is the most silent one
        fourth = await Client.to(port)
        assert await fourth.ask() == b"alive\n"
        assert await second.wait_closed() == b""
        for client in (first, third, fourth):
            assert await client.ask() == b"alive\n"
            client.writer.close()
