"""Sessions of a real database that run statements for as long as a test needs them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg

from subscriber.adapters.postgres.connection import Connection

BURN = "DO $$ DECLARE n bigint := 0; BEGIN LOOP n := n + 1; END LOOP; END $$"
"""Uses a processor fully and touches no file, until it is cancelled."""
SLEEP = "SELECT pg_sleep(1000)"

_IS_AT_IT = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY($1) AND state = 'active'"


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    """A connection of the test's own."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        yield connection
    finally:
        connection.terminate()


@asynccontextmanager
async def sessions(url: str, *statements: str) -> AsyncIterator[None]:
    """Sessions that run these statements, one each, while the block runs; all have started before it."""
    async with AsyncExitStack() as opened:
        watcher = await opened.enter_async_context(connected(url))
        workers = [await opened.enter_async_context(connected(url)) for _ in statements]
        pids = [worker.get_server_pid() for worker in workers]
        tasks = [
            asyncio.create_task(worker.execute(statement), name="session")
            for worker, statement in zip(workers, statements, strict=True)
        ]
        try:
            while await watcher.fetchval(_IS_AT_IT, pids) < len(pids):  # noqa: ASYNC110 – the server sends no event
                await asyncio.sleep(0.01)
            yield
        finally:
            await watcher.execute("SELECT pg_cancel_backend(pid) FROM unnest($1::integer[]) AS pid", pids)
            await asyncio.gather(*tasks, return_exceptions=True)
