"""Several hosts, several addresses of a name, replicas and slow logins, with a real server."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import asyncpg
import msgspec
import pytest

from subscriber.adapters.postgres.connection import CONNECT_SECONDS, StoreOptions, connect
from subscriber.adapters.postgres.dial import gap_seconds
from subscriber.adapters.postgres.store import PING_SECONDS, PostgresStore
from subscriber.errors import StoreError, Treatment
from testkit.postgres.postgres import LocalPostgres
from tests.adapters.postgres.object_rows import row
from tests.adapters.postgres.slow_login import slow_login
from tests.fixtures.ports import closed_port


def port_of(url: str) -> int:
    """The port of a URL with one host."""
    found = re.search(r"@[^/]+:(\d+)/", url)
    assert found is not None
    return int(found[1])


def at(options: StoreOptions, *hosts: str, **changes: Any) -> StoreOptions:
    """The same database through other hosts."""
    return msgspec.structs.replace(options, url=re.sub("@[^/]+/", f"@{','.join(hosts)}/", options.url), **changes)


@pytest.fixture
def silent() -> Iterator[str]:
    """A host that accepts connections and says nothing, as a balancer without a backend."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


async def test_a_silent_first_host(migrated: StoreOptions, silent: str) -> None:
    """The second host is reached within one probe and within one write, and at the start."""
    options = at(migrated, silent, f"127.0.0.1:{port_of(migrated.url)}")
    for use in (PostgresStore.open, PostgresStore.ping, lambda store: store.store([row()])):
        store = PostgresStore(options)
        await use(store)
        await store.close()
    assert gap_seconds(CONNECT_SECONDS, 2) < PING_SECONDS


async def test_all_hosts_are_silent(migrated: StoreOptions, silent: str) -> None:
    """The failure comes within the limit of a login and names each host."""
    options = at(migrated, silent, silent, write_timeout_seconds=0.4)
    with pytest.raises(StoreError) as caught:
        await connect(options, None)
    assert caught.value.word == "timeout"
    assert caught.value.detail == f"{silent}, {silent}: no login within 0.4 s"


async def test_a_host_that_refuses(migrated: StoreOptions) -> None:
    """The failure of a login names host and port, as those of all hosts do."""
    with closed_port() as port:
        closed = f"127.0.0.1:{port}"
        with pytest.raises(StoreError) as caught:
            await connect(at(migrated, closed), None)
        assert caught.value.word == "unreachable"
        assert caught.value.detail.startswith(f"{closed}: ")
        await (await connect(at(migrated, closed, f"127.0.0.1:{port_of(migrated.url)}"), None)).close()


async def _make_replica(server: LocalPostgres, password: str) -> None:
    """Restart the server in recovery, after giving its user another password."""
    connection = await asyncpg.connect(server.url, timeout=10)
    await connection.execute(f"ALTER ROLE {server.user} PASSWORD '{password}'")
    await connection.close()
    server.stop()
    (server.log_path.parent / "data" / "standby.signal").touch()
    server.start()


async def test_a_replica_is_skipped(store_options: StoreOptions, postgres_server: LocalPostgres) -> None:
    """A replica is told from a writer that is set read-only, and before the writer it is skipped."""
    await _make_replica(postgres_server, store_options.url.rpartition("@")[0].rpartition(":")[2])
    replica = f"127.0.0.1:{postgres_server.port}"
    with pytest.raises(StoreError) as caught:
        await connect(at(store_options, replica), None)
    assert (caught.value.treatment, caught.value.word) == (Treatment.RECONNECT, "standby")
    assert (caught.value.sqlstate, caught.value.detail) == ("25006", f"{replica}: the server is in recovery")
    await (await connect(at(store_options, replica, f"127.0.0.1:{port_of(store_options.url)}"), None)).close()


async def test_a_slow_login_ends_an_outage(migrated: StoreOptions) -> None:
    """A started store gets into a database whose logins take longer than a ping: a second probe does."""
    async with slow_login(port_of(migrated.url), PING_SECONDS + 0.5) as door:
        store = PostgresStore(at(migrated, f"127.0.0.1:{door.port}"))
        await store.open()
        door.reset_all()
        with pytest.raises(StoreError):
            await store.store([row()], limit_seconds=0.1)
        store._drop_idle()
        with pytest.raises(StoreError) as caught:
            await store.ping()
        assert caught.value.word == "timeout"
        began = time.monotonic()
        await store.ping()
        assert time.monotonic() - began > PING_SECONDS
        assert await store.store([row()]) == 1
        await store.close()
