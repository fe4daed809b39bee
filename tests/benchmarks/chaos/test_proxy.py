"""The proxy of the chaos tests treats traffic as its mode says, and in no other way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from benchmarks.chaos.proxy import Network, network

COMMITTED = b"INSERT 0 5\0"


class Ends:
    """A client, and the server that it reaches through the proxy."""

    def __init__(self, between: Network, client: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        self.between = between
        self.client_reader, self.client_writer = client
        self.server_reader: asyncio.StreamReader
        self.server_writer: asyncio.StreamWriter

    async def to_server(self, data: bytes) -> bytes:
        """Sends data from the client; returns what arrives at the server."""
        self.client_writer.write(data)
        return await self.server_reader.readexactly(len(data))

    async def to_client(self, data: bytes) -> bytes:
        """Sends data from the server; returns what arrives at the client."""
        self.server_writer.write(data)
        return await self.client_reader.readexactly(len(data))


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    """Client and server with a proxy in mode `normal` between them."""
    accepted: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue(1)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accepted.put((reader, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server, network(server.sockets[0].getsockname()[1]) as between, asyncio.timeout(60):
        made = Ends(between, await asyncio.open_connection("127.0.0.1", between.port))
        made.server_reader, made.server_writer = await accepted.get()
        yield made
        for writer in (made.client_writer, made.server_writer):
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def test_normal(ends: Ends) -> None:
    """Data passes unchanged in both directions."""
    assert await ends.to_server(b"question") == b"question"
    assert await ends.to_client(COMMITTED) == COMMITTED


async def test_silence_holds_data_back_until_it_ends(ends: Ends) -> None:
    """Nothing arrives and no connection is closed; afterwards everything arrives."""
    ends.between.set_mode("silent")
    sending = asyncio.create_task(ends.to_server(b"hello?"), name="sending")
    done, _ = await asyncio.wait({sending}, timeout=0.2)
    assert not done
    ends.between.set_mode("normal")
    assert await sending == b"hello?"


async def test_connections_are_cut_after_a_commit(ends: Ends) -> None:
    """Other responses pass; the confirmation of a commit does not, and both sides are reset."""
    ends.between.set_mode("cut_after_commit")
    assert await ends.to_server(b"insert") == b"insert"
    assert await ends.to_client(b"parsed") == b"parsed"
    ends.server_writer.write(COMMITTED)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await ends.client_reader.readexactly(1)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await ends.server_reader.readexactly(1)


async def test_a_reset_breaks_every_connection(ends: Ends) -> None:
    """Both ends see a closed connection."""
    assert await ends.to_server(b"here") == b"here"
    ends.between.reset_all()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await ends.client_reader.readexactly(1)


async def test_slow_delays_data(ends: Ends) -> None:
    """Data arrives later by the given time."""
    ends.between.slow_seconds = 0.2
    ends.between.set_mode("slow")
    clock = asyncio.get_running_loop().time
    began = clock()
    assert await ends.to_server(b"late") == b"late"
    assert clock() - began >= 0.2


async def test_a_slow_login_delays_new_connections_only(ends: Ends) -> None:
    """An open connection stays as quick as it was; a new one waits before the server sees it."""
    ends.between.login_seconds = 30.0
    reader, writer = await asyncio.open_connection("127.0.0.1", ends.between.port)
    writer.write(b"login")
    reading = asyncio.create_task(reader.read(1), name="reading")
    assert await ends.to_server(b"question") == b"question"
    assert not reading.done()
    writer.close()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def test_a_silent_proxy_ends() -> None:
    """Connections that wait in silence are closed with it, and nobody waits for them."""
    async with asyncio.timeout(60):
        async with network(1) as between:
            between.set_mode("silent")
            reader, writer = await asyncio.open_connection("127.0.0.1", between.port)
            writer.write(b"hello?")
            while not between.connections:  # noqa: ASYNC110 -- a counter, which no event accompanies
                await asyncio.sleep(0)
        assert await reader.read() == b""
        writer.close()
