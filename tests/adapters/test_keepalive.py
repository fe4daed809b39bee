"""A network that falls silent without closing anything, and a name that leads elsewhere after a failover."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from typing import Any

import msgspec
import pytest

from benchmarks.chaos.proxy import network as network_to
from subscriber.adapters.aws.http_pool import DirectTransport, Origin
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.store import PING_SECONDS, PostgresStore
from subscriber.errors import StoreError, Treatment
from tests.adapters.postgres.object_rows import row

WRITE_TIMEOUT_SECONDS = 0.8


def through(options: StoreOptions, port: int, host: str = "127.0.0.1", **changes: Any) -> StoreOptions:
    """The same database by another address."""
    url = re.sub("@[^/]+/", f"@{host}:{port}/", options.url)
    return msgspec.structs.replace(options, url=url, **changes)


def port_of(options: StoreOptions) -> int:
    """Where the database listens."""
    found = re.search(r"@[^/]+:(\d+)/", options.url)
    assert found is not None
    return int(found[1])


async def test_a_write_into_silence_ends_in_time_and_the_next_is_on_a_new_connection(migrated: StoreOptions) -> None:
    """Its outcome is unknown, which counts as not done: written again it is the same row."""
    async with network_to(port_of(migrated)) as network:
        store = PostgresStore(through(migrated, network.port, write_timeout_seconds=WRITE_TIMEOUT_SECONDS))
        await store.open()
        network.set_weather("silent")
        began = time.monotonic()
        with pytest.raises(StoreError) as caught:
            await store.store([row()])
        assert time.monotonic() - began < WRITE_TIMEOUT_SECONDS + 1
        assert (caught.value.treatment, caught.value.word) == (Treatment.RECONNECT, "timeout")
        made = network.connections
        network.set_weather("fair")
        assert await store.store([row()]) + await store.store([row()]) <= 1
        assert network.connections > made
        await store.close()


async def test_a_ping_into_silence_is_short(migrated: StoreOptions) -> None:
    """Whatever the write timeout is: who knocks must soon be free to knock again."""
    async with network_to(port_of(migrated)) as network:
        store = PostgresStore(through(migrated, network.port, write_timeout_seconds=30))
        network.set_weather("silent")
        began = time.monotonic()
        with pytest.raises(StoreError):
            await store.ping()
        assert time.monotonic() - began < PING_SECONDS + 1
        await store.close()


async def test_a_name_is_looked_up_for_every_connection(
    migrated: StoreOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failover the cluster's name leads to the new writer, and so do we: nothing of ours remembers the old."""
    loop = asyncio.get_running_loop()
    real, leads_to, asked = loop.getaddrinfo, ["127.0.0.9"], []

    async def look_up(host: str | None, port: int, **options: Any) -> Any:
        if host != "writer.test":
            return await real(host, port, **options)
        asked.append(leads_to[0])
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (leads_to[0], port))]

    monkeypatch.setattr(loop, "getaddrinfo", look_up)
    store = PostgresStore(through(migrated, port_of(migrated), "writer.test"))
    with pytest.raises(StoreError) as caught:
        await store.ping()
    assert (caught.value.treatment, caught.value.word) == (Treatment.RECONNECT, "unreachable")
    leads_to[0] = "127.0.0.1"
    await store.ping()
    assert await store.store([row()]) == 1
    assert asked == ["127.0.0.9", "127.0.0.1"]
    await store.close()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="a platform without these options")
async def test_the_kernel_watches_the_queues_connections_too() -> None:
    """A dead peer is found in ten seconds, in the middle of a long poll as well."""
    found: list[tuple[int, ...]] = []
    tcp = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        (connection,) = [one for one in made if one.is_open]
        wire = connection._transport.get_extra_info("socket")
        on = wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        found.append((on, *(wire.getsockopt(socket.IPPROTO_TCP, option) for option in tcp)))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    transport = DirectTransport(Origin("127.0.0.1", server.sockets[0].getsockname()[1], None), 1)
    made: list[Any] = []
    open_connection = transport._open_connection

    async def remember(addresses: Any) -> Any:
        made.append(await open_connection(addresses))
        return made[-1]

    transport._open_connection = remember  # type: ignore[method-assign]  # to see the connection it makes
    await transport.post({"host": "queues.test"}, b"{}", 5)
    assert found == [(1, 5, 1, 5, 10_000)]
    await transport.close()
    server.close()
    await server.wait_closed()
