"""Real PostgreSQL for tests: one server for the whole run, a schema of its own for each test.

`postgres_url` is that server, or the one SUBSCRIBER_TEST_DATABASE_URL names. A test that stops or starves its
server takes `postgres_server`, which belongs to it alone.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from benchmarks.lab.postgres import LocalPostgres
from subscriber.edge.postgres import PostgresStore
from subscriber.edge.postgres_connection import StoreOptions
from subscriber.edge.postgres_migrations import migrate


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a running server which many tests share."""
    given = os.environ.get("SUBSCRIBER_TEST_DATABASE_URL")
    if given:
        yield given
        return
    with LocalPostgres(durable=False) as server:
        yield server.url


@pytest.fixture
def postgres_server() -> Iterator[LocalPostgres]:
    """A running server which belongs to one test: it may be stopped, started and starved."""
    with LocalPostgres(durable=False, settings={"max_connections": "12"}) as server:
        yield server


@pytest.fixture
async def schema(postgres_url: str) -> AsyncIterator[str]:
    """The name of a schema that does not exist yet and is dropped at the end, with letters that need quotes."""
    name = f'Test "{uuid.uuid4().hex[:12]}"'
    yield name
    connection = await asyncpg.connect(postgres_url, timeout=10)
    try:
        quoted = name.replace('"', '""')
        await connection.execute(f'DROP SCHEMA IF EXISTS "{quoted}" CASCADE')
    finally:
        await connection.close()


@pytest.fixture
def store_options(postgres_url: str, schema: str) -> StoreOptions:
    """How to reach the test's schema, with a timeout short enough for a test that meets it."""
    return StoreOptions(url=postgres_url, schema=schema, tls="disable", write_timeout_seconds=10.0)


@pytest.fixture
async def migrated(store_options: StoreOptions) -> StoreOptions:
    """The same, with the tables in place."""
    await migrate(store_options)
    return store_options


@pytest.fixture
async def store(migrated: StoreOptions) -> AsyncIterator[PostgresStore]:
    """An open store on the test's schema."""
    store = PostgresStore(migrated)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def database(postgres_url: str, schema: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection of the test's own, whose search path is the test's schema."""
    quoted = schema.replace('"', '""')
    connection = await asyncpg.connect(
        postgres_url, timeout=10, command_timeout=30, server_settings={"search_path": f'"{quoted}"'}
    )
    yield connection
    await connection.close()
