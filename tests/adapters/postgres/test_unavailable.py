"""A server that goes, falls, or says nothing: writes end in time, and the store works again when it is back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import psutil
import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import migrate
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import StoreError, Treatment
from testkit.postgres.postgres import LocalPostgres
from tests.adapters.postgres.object_rows import row

WRITE_TIMEOUT_SECONDS = 0.8


@pytest.fixture
async def own_store(postgres_server: LocalPostgres) -> AsyncIterator[PostgresStore]:
    """An open store on a server of the test's own."""
    options = StoreOptions(url=postgres_server.url, tls="disable", write_timeout_seconds=WRITE_TIMEOUT_SECONDS)
    await migrate(options)
    store = PostgresStore(options)
    await store.open()
    yield store
    await store.close()


async def _failure(store: PostgresStore) -> tuple[Treatment, str]:
    with pytest.raises(StoreError) as caught:
        await store.store([row()])
    return caught.value.treatment, caught.value.word


async def test_away_and_back(own_store: PostgresStore, postgres_server: LocalPostgres) -> None:
    """While the server is away writes say so; when it is back the same store works again."""
    postgres_server.stop()
    assert (await _failure(own_store))[0] is Treatment.RECONNECT
    assert await _failure(own_store) == (Treatment.RECONNECT, "unreachable")
    with pytest.raises(StoreError):
        await own_store.ping()
    postgres_server.start()
    await own_store.ping()
    assert await own_store.store([row()]) == 1


async def test_what_was_stored_survives_a_crash(own_store: PostgresStore, postgres_server: LocalPostgres) -> None:
    """What a call of store said was applied is there after the server fell down and came back."""
    assert await own_store.store([row()]) == 1
    postgres_server.restart("immediate")
    with suppress(StoreError):  # the first answer may be the end of the old connection
        await own_store.ping()
    assert await own_store.store([row()]) == 0


async def test_a_restart_between_writes_is_hardly_noticed(
    own_store: PostgresStore, postgres_server: LocalPostgres
) -> None:
    """An idle connection whose end was noticed meanwhile is not used for a write."""
    postgres_server.restart()
    async with asyncio.timeout(5):
        while not own_store._idle[-1].is_closed():  # noqa: ASYNC110  -- until the loop has read the end
            await asyncio.sleep(0.005)
    assert await own_store.store([row()]) == 1


async def test_silence_ends_in_time(own_store: PostgresStore, postgres_server: LocalPostgres) -> None:
    """A server that says nothing at all costs one write timeout, and its connection is not used again."""
    frozen = [psutil.Process(pid) for pid in postgres_server.process_ids()]
    for process in frozen:
        process.suspend()
    try:
        began = time.monotonic()
        assert await _failure(own_store) == (Treatment.RECONNECT, "timeout")
        assert await _failure(own_store) == (Treatment.RECONNECT, "timeout")  # nor does a new connection help
        assert time.monotonic() - began < 2 * WRITE_TIMEOUT_SECONDS + 1
    finally:
        for process in frozen:
            process.resume()
    assert own_store._idle == []
    await own_store.ping()


async def test_closing_a_silent_server_is_bounded(own_store: PostgresStore, postgres_server: LocalPostgres) -> None:
    """Closing waits no longer than it was told to, even for a server that does not answer."""
    frozen = [psutil.Process(pid) for pid in postgres_server.process_ids()]
    for process in frozen:
        process.suspend()
    try:
        began = time.monotonic()
        await own_store.close(timeout=0.2)
        assert time.monotonic() - began < 1
    finally:
        for process in frozen:
            process.resume()
