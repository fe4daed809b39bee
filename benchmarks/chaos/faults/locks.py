"""Faults of those who share the database: locks held, rows taken in the wrong order, the table changed or rebuilt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import asyncpg

from benchmarks.chaos.context import RunContext
from benchmarks.chaos.database import ROLE, Connection
from testkit.workload.backlogs import BUCKET

_HELD_SECONDS = 0.4
_BETWEEN_SECONDS = 0.05
_ROWS_TAKEN = 30
"""The first by key: those that the load overwrites again and again."""
_COMES_TO_NOTHING = (asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError)


@asynccontextmanager
async def lock_timeouts(scene: RunContext) -> AsyncIterator[None]:
    """Somebody locks the table again and again, and the daemon's role waits for no lock longer than 50 ms."""
    await scene.database.execute(
        f"ALTER ROLE {ROLE} SET lock_timeout = '50ms'",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'",
    )
    try:
        async with _repeated(scene, _hold_table):
            yield
    finally:
        await scene.database.execute(
            f"ALTER ROLE {ROLE} RESET lock_timeout",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'",
        )


def statement_timeouts(scene: RunContext) -> AbstractAsyncContextManager[None]:
    """Somebody holds the table for longer than a write may take."""
    return _held(scene, "object_versions")


def quarantine_locked(scene: RunContext) -> AbstractAsyncContextManager[None]:
    """Somebody holds the quarantine for longer than a write may take; the index takes every row."""
    return _held(scene, "quarantined_messages")


@asynccontextmanager
async def deadlocks(scene: RunContext) -> AsyncIterator[None]:
    """A foreign writer takes the rows that are written most in the opposite order."""
    async with _repeated(scene, _take_backwards):
        yield


@asynccontextmanager
async def table_changed(scene: RunContext) -> AsyncIterator[None]:
    """Columns and indexes come and go under prepared statements."""
    async with _repeated(scene, _change_table):
        yield


@asynccontextmanager
async def index_rebuilt(scene: RunContext) -> AsyncIterator[None]:
    """The primary key is rebuilt, concurrently, again and again."""
    async with _repeated(scene, _rebuild):
        yield


@asynccontextmanager
async def _held(scene: RunContext, table: str) -> AsyncIterator[None]:
    async with scene.database.connected() as connection, connection.transaction():
        await connection.execute(f"LOCK TABLE {scene.database.schema}.{table} IN EXCLUSIVE MODE")
        yield


async def _hold_table(scene: RunContext, connection: Connection) -> None:
    async with connection.transaction():
        await connection.execute(f"LOCK TABLE {scene.database.schema}.object_versions IN EXCLUSIVE MODE")
        await asyncio.sleep(_HELD_SECONDS * scene.random.random())


async def _take_backwards(scene: RunContext, connection: Connection) -> None:
    table = f"{scene.database.schema}.object_versions"
    async with connection.transaction():
        keys = await connection.fetch(
            f"SELECT bucket, key, version_id FROM {table} WHERE bucket = $1 ORDER BY key LIMIT {_ROWS_TAKEN}", BUCKET
        )
        for row in reversed(keys):
            await connection.execute(
                f"UPDATE {table} SET ingested_at = ingested_at WHERE bucket = $1 AND key = $2 AND version_id = $3", *row
            )
            await asyncio.sleep(0.002)


async def _change_table(scene: RunContext, connection: Connection) -> None:
    table = f"{scene.database.schema}.object_versions"
    await connection.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS remark text")
    await connection.execute(f"CREATE INDEX IF NOT EXISTS remarked ON {table} (event_time)")
    await asyncio.sleep(_HELD_SECONDS * scene.random.random())
    await connection.execute(f"ALTER TABLE {table} DROP COLUMN remark")
    await connection.execute(f"DROP INDEX IF EXISTS {scene.database.schema}.remarked")


async def _rebuild(scene: RunContext, connection: Connection) -> None:
    await connection.execute(f"REINDEX TABLE CONCURRENTLY {scene.database.schema}.object_versions")


@asynccontextmanager
async def _repeated(scene: RunContext, act: Callable[[RunContext, Connection], Awaitable[None]]) -> AsyncIterator[None]:
    """Somebody does this in a session of his own, as often as it goes, while the block runs."""

    async def repeat() -> None:
        async with scene.database.connected() as connection:
            await connection.execute("SET statement_timeout = '5s'")
            await connection.execute("SET deadlock_timeout = '3s'")  # whoever looks first gives way: the daemon
            while not is_over.is_set():
                try:
                    await act(scene, connection)
                except _COMES_TO_NOTHING as error:
                    scene.note(f"the other one gave way: {type(error).__name__}")
                await asyncio.sleep(_BETWEEN_SECONDS)

    is_over = asyncio.Event()
    repeating = asyncio.create_task(repeat(), name="foreign session")
    try:
        yield
    finally:
        is_over.set()
        await asyncio.gather(repeating, return_exceptions=True)
