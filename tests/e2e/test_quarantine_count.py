"""The daemon's metric for what waits in the quarantine, from a real table."""

from __future__ import annotations

import asyncpg

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import migrate
from tests.e2e.environment import RunContext, until


async def test_the_daemon_counts_what_waits(context: RunContext) -> None:
    """What an earlier process has left there, too; a replayed message does not count."""
    await migrate(StoreOptions(url=context.database_url, schema=context.schema, tls="disable"))
    settings = {"search_path": context.schema}
    connection = await asyncpg.connect(context.database_url, timeout=10, server_settings=settings)
    await connection.execute(
        "INSERT INTO quarantined_messages VALUES ('q', '1', 'bad_key', '', '', 1, now(), NULL), "
        "('q', '2', 'bad_key', '', '', 1, now(), NULL), ('q', '3', 'bad_key', '', '', 1, now(), now())"
    )
    await connection.close()
    with context.daemon() as daemon:
        await until(lambda: daemon.metric("subscriber_quarantine_waiting_messages", reason="bad_key") == 2)
        assert daemon.events("quarantine.not_counted") == []
