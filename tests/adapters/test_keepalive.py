"""A network that drops packets without closing connections, and DNS after a failover."""

from __future__ import annotations

import asyncio
import re
import socket
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
BOUND_SECONDS = 60
"""What is not bounded would wait for ever."""


def through(options: StoreOptions, port: int, host: str = "127.0.0.1", **changes: Any) -> StoreOptions:
    """The same database through another address."""
    url = re.sub("@[^/]+/", f"@{host}:{port}/", options.url)
    return msgspec.structs.replace(options, url=url, **changes)


def port_of(options: StoreOptions) -> int:
    """The port of the database."""
    found = re.search(r"@[^/]+:(\d+)/", options.url)
    assert found is not None
    return int(found[1])


async def test_a_write_into_a_dead_network_times_out(migrated: StoreOptions) -> None:
    """The outcome is unknown and counts as not done: a repeated write gives the same row."""
    async with network_to(port_of(migrated)) as network:
        options = through(migrated, network.port)
        store = PostgresStore(options)
        await store.open()
        network.set_mode("silent")
        store._options = msgspec.structs.replace(options, write_timeout_seconds=WRITE_TIMEOUT_SECONDS)
        async with asyncio.timeout(BOUND_SECONDS):
            with pytest.raises(StoreError) as caught:
                await store.store([row()])
        store._options = options
        assert (caught.value.treatment, caught.value.word) == (Treatment.RECONNECT, "timeout")
        connections = network.connections
        network.set_mode("normal")
        assert await store.store([row()]) + await store.store([row()]) <= 1
        assert network.connections > connections
        await store.close()


async def test_a_ping_into_a_dead_network_is_short(migrated: StoreOptions) -> None:
    """Whatever the write timeout, so that the next probe can follow soon."""
    async with network_to(port_of(migrated)) as network:
        store = PostgresStore(through(migrated, network.port, write_timeout_seconds=600))
        network.set_mode("silent")
        with pytest.raises(StoreError) as caught:
            await store.ping()
        assert caught.value.detail.endswith(f": no login within {PING_SECONDS:g} s")
        await store.close()


async def test_every_connection_resolves_the_name(migrated: StoreOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failover the cluster's name leads to the new writer: nothing caches the old address."""
    loop = asyncio.get_running_loop()
    real, addresses, looked_up = loop.getaddrinfo, ["127.0.0.9"], []

    async def look_up(host: str | None, port: int, **options: Any) -> Any:
        if host != "writer.test":
            return await real(host, port, **options)
        looked_up.append(addresses[0])
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (addresses[0], port))]

    monkeypatch.setattr(loop, "getaddrinfo", look_up)
    store = PostgresStore(through(migrated, port_of(migrated), "writer.test"))
    with pytest.raises(StoreError) as caught:
        await store.ping()
    assert (caught.value.treatment, caught.value.word) == (Treatment.RECONNECT, "unreachable")
    addresses[0] = "127.0.0.1"
    await store.ping()
    assert await store.store([row()]) == 1
    assert looked_up == ["127.0.0.9", "127.0.0.1"]
    await store.close()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="a platform without these options")
async def test_sqs_connections_have_tcp_keepalive() -> None:
    """A dead peer is detected within ten seconds, also during a long poll."""
    found: list[tuple[int, ...]] = []
    tcp = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        (connection,) = [one for one in opened if one.is_open]
        kernel_socket = connection._transport.get_extra_info("socket")
        on = kernel_socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        found.append((on, *(kernel_socket.getsockopt(socket.IPPROTO_TCP, option) for option in tcp)))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    transport = DirectTransport(Origin("127.0.0.1", server.sockets[0].getsockname()[1], None), 1)
    opened: list[Any] = []
    open_connection = transport._open_connection

    async def remember(addresses: Any, kind: Any) -> Any:
        opened.append(await open_connection(addresses, kind))
        return opened[-1]

    transport._open_connection = remember  # type: ignore[method-assign]  # to inspect the connection
    await transport.post({"host": "queues.test"}, b"{}", 5)
    assert found == [(1, 5, 1, 5, 10_000)]
    await transport.close()
    server.close()
    await server.wait_closed()
