"""Faults caused by other sessions of the database: locks, row updates in reverse order, table changes, rebuilds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import asyncpg

from benchmarks.chaos.context import RunContext
from benchmarks.chaos.database import ROLE, Connection
from benchmarks.chaos.load import LOCKED_OBJECT
from testkit.workload.backlogs import BUCKET, key

_HELD_SECONDS = 0.4
_BETWEEN_SECONDS = 0.05
_LOCKED_ROWS = 30
"""The first by key: the load overwrites these again and again."""
_LOCK_ROW = """
INSERT INTO {schema}.object_versions AS stored
    (bucket, key, version_id, state, sequencer, event_name, event_time)
VALUES ($1, $2, '', 'present', '', 'Locked', 'epoch')
ON CONFLICT (bucket, key, version_id) DO UPDATE SET ingested_at = stored.ingested_at
"""
"""Locks the row, or the key where there is no row yet: it is rolled back in either case."""
_EXPECTED_ERRORS = (asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError)


@asynccontextmanager
async def lock_timeouts(context: RunContext) -> AsyncIterator[None]:
    """Another session locks the table again and again, and the daemon's role has a lock_timeout of 50 ms."""
    await context.database.execute(
        f"ALTER ROLE {ROLE} SET lock_timeout = '50ms'",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'",
    )
    try:
        async with _repeated(context, _hold_table):
            yield
    finally:
        await context.database.execute(
            f"ALTER ROLE {ROLE} RESET lock_timeout",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'",
        )


def statement_timeouts(context: RunContext) -> AbstractAsyncContextManager[None]:
    """Another session locks the table for longer than a write may take."""
    return _held(context, "object_versions")


def quarantine_locked(context: RunContext) -> AbstractAsyncContextManager[None]:
    """Another session locks the quarantine for longer than a write may take; the index accepts every row."""
    return _held(context, "quarantined_messages")


@asynccontextmanager
async def row_locked(context: RunContext) -> AsyncIterator[None]:
    """Another session keeps the row of one object locked for longer than the rest of the run takes."""
    async with context.database.connected() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(_LOCK_ROW.format(schema=context.database.schema), BUCKET, key(LOCKED_OBJECT))
        try:
            yield
        finally:
            await transaction.rollback()


@asynccontextmanager
async def deadlocks(context: RunContext) -> AsyncIterator[None]:
    """Another writer locks the most written rows in the opposite order."""
    async with _repeated(context, _update_in_reverse):
        yield


@asynccontextmanager
async def table_changed(context: RunContext) -> AsyncIterator[None]:
    """Columns and indexes are added and dropped while prepared statements use the table."""
    async with _repeated(context, _change_table):
        yield


@asynccontextmanager
async def index_rebuilt(context: RunContext) -> AsyncIterator[None]:
    """The indexes of the table are rebuilt concurrently, again and again."""
    async with _repeated(context, _rebuild):
        yield


@asynccontextmanager
async def _held(context: RunContext, table: str) -> AsyncIterator[None]:
    async with context.database.connected() as connection, connection.transaction():
        await connection.execute(f"LOCK TABLE {context.database.schema}.{table} IN EXCLUSIVE MODE")
        yield


async def _hold_table(context: RunContext, connection: Connection) -> None:
    async with connection.transaction():
        await connection.execute(f"LOCK TABLE {context.database.schema}.object_versions IN EXCLUSIVE MODE")
        await asyncio.sleep(_HELD_SECONDS * context.random.random())


async def _update_in_reverse(context: RunContext, connection: Connection) -> None:
    table = f"{context.database.schema}.object_versions"
    async with connection.transaction():
        keys = await connection.fetch(
            f"SELECT bucket, key, version_id FROM {table} WHERE bucket = $1 ORDER BY key LIMIT {_LOCKED_ROWS}", BUCKET
        )
        for row in reversed(keys):
            await connection.execute(
                f"UPDATE {table} SET ingested_at = ingested_at WHERE bucket = $1 AND key = $2 AND version_id = $3", *row
            )
            await asyncio.sleep(0.002)


async def _change_table(context: RunContext, connection: Connection) -> None:
    table = f"{context.database.schema}.object_versions"
    await connection.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS remark text")
    await connection.execute(f"CREATE INDEX IF NOT EXISTS remarked ON {table} (event_time)")
    await asyncio.sleep(_HELD_SECONDS * context.random.random())
    await connection.execute(f"ALTER TABLE {table} DROP COLUMN remark")
    await connection.execute(f"DROP INDEX IF EXISTS {context.database.schema}.remarked")


async def _rebuild(context: RunContext, connection: Connection) -> None:
    await connection.execute(f"REINDEX TABLE CONCURRENTLY {context.database.schema}.object_versions")


@asynccontextmanager
async def _repeated(
    context: RunContext, action: Callable[[RunContext, Connection], Awaitable[None]]
) -> AsyncIterator[None]:
    """Repeats an action in a session of its own while the block runs."""

    async def repeat() -> None:
        async with context.database.connected() as connection:
            await connection.execute("SET statement_timeout = '5s'")
            await connection.execute("SET deadlock_timeout = '3s'")  # the daemon checks first, so its statement fails
            while not is_over.is_set():
                try:
                    await action(context, connection)
                except _EXPECTED_ERRORS as error:
                    context.note(f"the other session failed: {type(error).__name__}")
                await asyncio.sleep(_BETWEEN_SECONDS)

    is_over = asyncio.Event()
    repeating = asyncio.create_task(repeat(), name="other session")
    try:
        yield
    finally:
        is_over.set()
        await asyncio.gather(repeating, return_exceptions=True)
