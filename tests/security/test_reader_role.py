"""A reader of config/sql searches the index, and can do nothing else."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import asyncpg
import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.index_builds import index_states
from subscriber.adapters.postgres.migrations import migrate
from subscriber.adapters.postgres.store import opened_store
from subscriber.query.reader import opened_search
from subscriber.query.search_query import Query
from tests.adapters.postgres.object_rows import row
from tests.security.sql_roles import SQL, create_roles, drop_roles, run

FORBIDDEN = (
    "SELECT * FROM object_versions",
    "SELECT * FROM quarantined_messages",
    "SELECT * FROM jobs",
    "SELECT * FROM schema_migrations",
    "INSERT INTO object_versions DEFAULT VALUES",
    "DELETE FROM versions",
    "DELETE FROM objects",
    "CREATE TABLE x ()",
    "CREATE INDEX ON object_versions (etag)",
)


@pytest.fixture
async def reader(postgres_url: str, plain_schema: str) -> AsyncIterator[StoreOptions]:
    """The options of a login that reader.sql made, on a schema with one object."""
    roles = await create_roles(postgres_url, plain_schema)
    owner = StoreOptions(url=roles.owner_url, schema=plain_schema, tls="disable", write_timeout_seconds=10.0)
    await migrate(owner)
    async with opened_store(owner) as store:
        await store.store([row(key="a/1"), row(key="a/2", state="removed")])
    await run(roles.owner_url, roles.script("grants.sql"))
    login, password = f"analyst_{secrets.token_hex(6)}", secrets.token_urlsafe(12)
    script = SQL.joinpath("reader.sql").read_text().replace(':"login"', login).replace(':"reader"', roles.reader)
    await run(postgres_url, f"{script} ALTER ROLE {login} PASSWORD '{password}';")
    yield StoreOptions(
        url=postgres_url.replace(postgres_url.partition("@")[0], f"postgresql://{login}:{password}"),
        schema=plain_schema,
        tls="disable",
    )
    await run(postgres_url, f"DROP ROLE {login};")
    await drop_roles(postgres_url, roles)


async def test_a_reader_searches(reader: StoreOptions) -> None:
    """Pages, look-ups, explanations and the state of the indexes, though its sessions are read-only."""
    async with opened_search(reader) as search:
        page = await search.page(Query(bucket="bucket", prefix="a/"), 10)
        assert [each.key for each in page.rows] == ["a/1"]
        assert [each.exists for each in await search.look_up("bucket", ["a/1", "a/2"])] == [True, False]
        assert await search.explain(Query(bucket="bucket"))
        assert await index_states(search._reader, reader.schema)


async def test_a_reader_can_do_nothing_else(reader: StoreOptions) -> None:
    """Also where the session is set to write."""
    connection = await asyncpg.connect(reader.url, timeout=10, server_settings={"search_path": reader.schema})
    await connection.execute("SET default_transaction_read_only = off")
    try:
        for statement in FORBIDDEN:
            with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ObjectNotInPrerequisiteStateError)):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_the_defaults_of_a_reader(reader: StoreOptions) -> None:
    """A forgotten query or transaction ends by itself."""
    connection = await asyncpg.connect(reader.url, timeout=10)
    try:
        names = ("default_transaction_read_only", "statement_timeout", "idle_in_transaction_session_timeout")
        found = [await connection.fetchval("SELECT current_setting($1)", name) for name in names]
        assert found == ["on", "1min", "1min"]
    finally:
        await connection.close()
