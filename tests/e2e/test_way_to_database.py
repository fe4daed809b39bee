"""The real daemon where the way to its database is slow, or its first host is silent."""

from __future__ import annotations

import asyncio
import re
import socket

import asyncpg
import pytest

from benchmarks.chaos.proxy import network
from subscriber.adapters.postgres.granted import COMPARED
from subscriber.adapters.postgres.store import PING_SECONDS
from subscriber.errors import ExitCode
from testkit.postgres.pgbouncer import pgbouncer, pgbouncer_program
from testkit.postgres.postgres import LocalPostgres
from tests.adapters.postgres.slow_login import slow_login
from tests.adapters.postgres.test_hosts import port_of
from tests.e2e.environment import QueueCounts, RunContext, put_body, until
from tests.e2e.test_start import ended
from tests.e2e.test_unavailable import until_a_write_waits

pytestmark = pytest.mark.usefixtures("untraced")


def through(context: RunContext, hosts: str) -> str:
    """The run's database through other hosts."""
    return re.sub("@[^/]+/", f"@{hosts}/", context.database_url)


@pytest.mark.timeout(120)
async def test_slow_logins_end_an_unavailability(context: RunContext) -> None:
    """A daemon whose sessions ended gets into a database whose logins take longer than a ping, and stores the rest."""
    async with slow_login(port_of(context.database_url), PING_SECONDS + 0.5) as door:
        with context.daemon(DATABASE_URL=through(context, f"127.0.0.1:{door.port}")) as daemon:
            await asyncio.to_thread(daemon.wait_for, "pipeline.started", 60)
            async with context.writes_blocked() as blocker:
                context.send(put_body(f"{number}.txt") for number in range(20))
                await until_a_write_waits(blocker)
                door.reset_all()
            await until(lambda: daemon.metric("subscriber_acknowledged_messages_total") == 20, 60)
            assert daemon.metric("subscriber_received_messages_total") == 20
            assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


@pytest.mark.skipif(pgbouncer_program() is None, reason="PgBouncer is not installed (apt-get install pgbouncer)")
async def test_a_session_weaker_than_asked(context: RunContext) -> None:
    """A pooler drops what the login asks for: exit 3 with the sentence of `subscriber check`, and nothing received."""
    context.send([put_body("one.txt")])
    with (
        pgbouncer(context.database_url, sessions=2, mode="session", ignored="jit," + ",".join(COMPARED)) as pooler,
        context.daemon(DATABASE_URL=pooler.url) as daemon,
    ):
        code, lines = await ended(daemon)
        assert not daemon.events("pipeline.started")
    assert code == ExitCode.DATABASE
    (line,) = lines
    assert line == (
        "subscriber: database: gives a session that is weaker than asked (weaker_session: "
        f"127.0.0.1:{port_of(pooler.url)}: statement_timeout is 0 (source: default) instead of 2700); if a pooler or "
        "proxy drops what a login asks for, set SUBSCRIBER_DATABASE_POOLER=transaction; else find the login trigger "
        "or preloaded library that changes it"
    )
    assert context.counts() == QueueCounts(visible=1, in_flight=0)


@pytest.mark.timeout(120)
async def test_a_silent_first_host(context: RunContext) -> None:
    """A daemon starts and writes through the second host, though the first accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hosts = f"127.0.0.1:{silent.getsockname()[1]},127.0.0.1:{port_of(context.database_url)}"
        with context.daemon(DATABASE_URL=through(context, hosts)) as daemon:
            await asyncio.to_thread(daemon.wait_for, "pipeline.started", 60)
            context.send([put_body("one.txt")])
            await until(lambda: daemon.metric("subscriber_acknowledged_messages_total") == 1)
            assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


@pytest.mark.timeout(120)
async def test_a_first_host_that_falls_silent(context: RunContext) -> None:
    """A running daemon goes on by way of the second host, and no message is received a second time."""
    port = port_of(context.database_url)
    async with network(port) as first:
        with context.daemon(DATABASE_URL=through(context, f"127.0.0.1:{first.port},127.0.0.1:{port}")) as daemon:
            await asyncio.to_thread(daemon.wait_for, "pipeline.started", 60)
            context.send([put_body("one.txt")])
            await until(lambda: daemon.metric("subscriber_acknowledged_messages_total") == 1)
            first.set_mode("silent")
            context.send([put_body("two.txt")])
            await until(lambda: daemon.metric("subscriber_acknowledged_messages_total") == 2)
            assert daemon.metric("subscriber_received_messages_total") == 2
            assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


@pytest.mark.skipif(pgbouncer_program() is None, reason="PgBouncer is not installed (apt-get install pgbouncer)")
@pytest.mark.parametrize(
    ("login", "database", "mode", "line"),
    [
        ("postgres:wrong", "postgres", "transaction", "database: rejects the login (credentials 08P01: "),
        ("nobody:wrong", "postgres", "transaction", "database: rejects the login (credentials 08P01: "),
        (None, "nowhere", "transaction", "database: no_database 08P01: "),
        (None, "postgres", "statement", "database: pooler_mode 08003: "),
    ],
)
async def test_a_wrong_login_through_a_pooler(
    context: RunContext, login: str | None, database: str, mode: str, line: str
) -> None:
    """The start ends with exit 3 and says what is wrong, as without a pooler; it does not wait for ever."""
    with pgbouncer(context.database_url, sessions=2, mode=mode) as pooler:
        right, _, address = pooler.url.removeprefix("postgresql://").rpartition("@")
        url = f"postgresql://{login or right}@{address.partition('/')[0]}/{database}"
        with context.daemon(DATABASE_URL=url, DATABASE_POOLER="transaction") as daemon:
            code, lines = await ended(daemon)
            assert daemon.events("database.waiting") == []
    assert code == ExitCode.DATABASE
    assert [text.startswith(f"subscriber: {line}") for text in lines] == [True]


async def test_a_database_that_is_set_read_only(context: RunContext, postgres_server: LocalPostgres) -> None:
    """The start waits, blames the setting and not the host, and goes on by itself when the setting is taken back."""
    admin = await asyncpg.connect(postgres_server.url, timeout=10)
    await admin.execute("ALTER DATABASE postgres SET default_transaction_read_only = on")
    with context.daemon(DATABASE_URL=postgres_server.url) as daemon:
        line = await asyncio.to_thread(daemon.wait_for, "database.waiting")
        assert line["reason"] == "read_only_setting"
        assert line["detail"].startswith("database: is set read-only: default_transaction_read_only is on for the ")
        assert "writer endpoint" not in line["detail"]
        await admin.execute(
            "SET transaction_read_only = off; ALTER DATABASE postgres RESET default_transaction_read_only"
        )
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
    await admin.close()
