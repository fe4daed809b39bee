"""A server that stops, crashes or hangs: writes end in time, and the store works again after the recovery."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec
import psutil
import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import migrate
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import StoreError, Treatment
from testkit.postgres.postgres import LocalPostgres
from tests.adapters.postgres.object_rows import row

WRITE_TIMEOUT_SECONDS = 0.8
"""Of writes that must fail; for others it would be short on a busy machine."""
BOUND_SECONDS = 60
"""What is not bounded would wait for the server for ever."""


@pytest.fixture
async def own_store(postgres_server: LocalPostgres) -> AsyncIterator[PostgresStore]:
    """An open store on a dedicated server."""
    options = StoreOptions(url=postgres_server.url, tls="disable")
    await migrate(options)
    store = PostgresStore(options)
    await store.open()
    yield store
    await store.close()


async def _failure(store: PostgresStore) -> tuple[Treatment, str]:
    with pytest.raises(StoreError) as caught:
        await store.store([row()])
    return caught.value.treatment, caught.value.word


async def test_a_restart(own_store: PostgresStore, postgres_server: LocalPostgres) -> None:
    """Writes fail while the server is down; afterwards the same store works again."""
    postgres_server.stop()
    assert (await _failure(own_store))[0] is Treatment.RECONNECT
    assert await _failure(own_store) == (Treatment.RECONNECT, "unreachable")
    with pytest.raises(StoreError):
        await own_store.ping()
    postgres_server.start()
    await own_store.ping()
    assert await own_store.store([row()]) == 1


async def test_committed_rows_survive_a_crash(own_store: PostgresStore, postgres_server: LocalPostgres) -> None:
    """Committed rows are still there after a crash."""
    assert await own_store.store([row()]) == 1
    postgres_server.restart("immediate")
    with suppress(StoreError):  # the first answer may be the end of the old connection
        await own_store.ping()
    assert await own_store.store([row()]) == 0


async def test_a_restart_between_writes_fails_no_write(
    own_store: PostgresStore, postgres_server: LocalPostgres
) -> None:
    """A closed idle connection is not used for a write."""
    postgres_server.restart()
    async with asyncio.timeout(60):
        while not own_store._idle[-1].is_closed():  # noqa: ASYNC110  -- until the loop has read the end
            await asyncio.sleep(0.005)
    assert await own_store.store([row()]) == 1


async def test_a_hung_server_times_out(own_store: PostgresStore, postgres_server: LocalPostgres) -> None:
    """A hung server costs one write timeout, and its connection is not reused."""
    own_store._options = msgspec.structs.replace(own_store._options, write_timeout_seconds=WRITE_TIMEOUT_SECONDS)
    frozen = [psutil.Process(pid) for pid in postgres_server.process_ids()]
    for process in frozen:
        process.suspend()
    try:
        async with asyncio.timeout(BOUND_SECONDS):
            assert await _failure(own_store) == (Treatment.RECONNECT, "timeout")
            assert await _failure(own_store) == (Treatment.RECONNECT, "timeout")  # nor does a new connection help
    finally:
        for process in frozen:
            process.resume()
    assert own_store._idle == []
    await own_store.ping()


async def test_closing_with_a_hung_server_is_bounded(own_store: PostgresStore, postgres_server: LocalPostgres) -> None:
    """Closing takes at most its timeout, even if the server does not answer."""
    frozen = [psutil.Process(pid) for pid in postgres_server.process_ids()]
    for process in frozen:
        process.suspend()
    try:
        async with asyncio.timeout(BOUND_SECONDS):
            await own_store.close(timeout=0.2)
    finally:
        for process in frozen:
            process.resume()
