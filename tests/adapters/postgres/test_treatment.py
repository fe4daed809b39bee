"""From failure to treatment: the real error, caused in a real server."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg
import msgspec
import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.statements import quoted
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import StoreError, Treatment
from tests.adapters.postgres.object_rows import row

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
ROWS = [row(key="a"), row(key="b")]


async def failure(store: PostgresStore, *, rows: Any = ROWS) -> tuple[Treatment, str, str | None]:
    """What storing fails with."""
    with pytest.raises(StoreError) as caught:
        await store.store(rows)
    assert caught.value.__cause__ is not None
    return caught.value.treatment, caught.value.word, caught.value.sqlstate


async def until_waiting(database: Database) -> None:
    """Until a session of the store waits for a lock; `database` may be inside a transaction."""
    query = """SELECT pid FROM pg_stat_activity WHERE application_name = 'subscriber' AND datname IS NOT NULL
               AND wait_event_type = 'Lock' AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"""
    async with asyncio.timeout(10):
        while await database.fetchval(query) is None:
            await asyncio.sleep(0.005)
            await database.execute("SELECT pg_stat_clear_snapshot()")


@asynccontextmanager
async def _another(options: StoreOptions, **changes: Any) -> AsyncIterator[PostgresStore]:
    """A store like the test's, but for `changes`; not opened, so that opening may fail."""
    store = PostgresStore(msgspec.structs.replace(options, **changes))
    try:
        yield store
    finally:
        await store.close()


async def test_deadlock(store: PostgresStore, database: Database) -> None:
    """The victim of a deadlock is told to write again, and then it works on the same connection."""
    await store.store(ROWS)
    newer = [msgspec.structs.replace(event, sequencer="F") for event in ROWS]
    await database.execute("SET deadlock_timeout = '1h'")  # so that the store is the one to notice
    async with database.transaction():
        await database.execute("SELECT FROM object_versions WHERE key = 'b' FOR UPDATE")
        writing = asyncio.create_task(failure(store, rows=newer), name="write")
        await until_waiting(database)
        await database.execute("SELECT FROM object_versions WHERE key = 'a' FOR UPDATE")
        assert await writing == (Treatment.RETRY, "deadlock", "40P01")
    assert await store.store(newer) == 2


async def test_lock_timeout(migrated: StoreOptions, database: Database) -> None:
    """A lock that is not had in time, where the operator has set such a time, is asked for again."""
    async with _another(migrated, url=f"{migrated.url}?lock_timeout=30") as store, database.transaction():
        await database.execute("LOCK TABLE object_versions")
        assert await failure(store) == (Treatment.RETRY, "lock_timeout", "55P03")


async def test_statement_timeout(migrated: StoreOptions, database: Database) -> None:
    """The server gives up a little before we do, so that the outcome is known: not done, and slow down."""
    async with _another(migrated, write_timeout_seconds=0.6) as store:
        await store.open()
        async with database.transaction():
            await database.execute("LOCK TABLE object_versions")
            assert await failure(store) == (Treatment.BACK_OFF, "statement_timeout", "57014")
        assert await store.store(ROWS) == 2


async def test_read_only_session(store: PostgresStore) -> None:
    """A session that became read-only, as on a demoted writer, is left, and the next one is asked."""
    await store._idle[-1].execute("SET default_transaction_read_only = on")
    assert await failure(store) == (Treatment.RECONNECT, "read_only", "25006")
    assert await store.store(ROWS) == 2


async def test_ping_notices_a_read_only_session(store: PostgresStore) -> None:
    """A ping is good only where a write would be."""
    await store._idle[-1].execute("SET default_transaction_read_only = on")
    with pytest.raises(StoreError) as caught:
        await store.ping()
    assert (caught.value.treatment, caught.value.sqlstate) == (Treatment.RECONNECT, "25006")
    await store.ping()


async def test_read_only_host(migrated: StoreOptions) -> None:
    """A host that takes no writes is not even connected to."""
    async with _another(migrated, url=f"{migrated.url}?default_transaction_read_only=on") as store:
        assert await failure(store) == (Treatment.RECONNECT, "read_only", None)


async def test_session_ended_in_the_middle(store: PostgresStore, database: Database) -> None:
    """A session that an administrator ends under a statement is replaced."""
    async with database.transaction():
        await database.execute("LOCK TABLE object_versions")
        writing = asyncio.create_task(failure(store), name="write")
        await until_waiting(database)
        ended = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"
        await database.execute(ended)
        assert await writing == (Treatment.RECONNECT, "connection_lost", "08003")
    assert await store.store(ROWS) == 2


async def test_statement_cancelled_by_an_administrator(store: PostgresStore, database: Database) -> None:
    """A cancelled statement did nothing; the database wants less for a while."""
    async with database.transaction():
        await database.execute("LOCK TABLE object_versions")
        writing = asyncio.create_task(failure(store), name="write")
        await until_waiting(database)
        cancelled = "SELECT pg_cancel_backend(pid) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"
        await database.execute(cancelled)
        assert await writing == (Treatment.BACK_OFF, "statement_timeout", "57014")


LONG_VALUES = """
    CREATE FUNCTION long(text) RETURNS text IMMUTABLE LANGUAGE sql AS
    $$ SELECT string_agg(md5($1 || n), '') FROM generate_series(1, 300) AS n $$;
    CREATE INDEX ON object_versions (long(key))"""
RAISING_TRIGGER = """
    CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
    CREATE TRIGGER no BEFORE INSERT ON object_versions EXECUTE FUNCTION no()"""
DEEP_TRIGGER = """
    CREATE FUNCTION deep(n int) RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN RETURN {schema}.deep(n + 1); END $$;
    CREATE FUNCTION dive() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM {schema}.deep(0); RETURN NEW; END $$;
    CREATE TRIGGER dive BEFORE INSERT ON object_versions EXECUTE FUNCTION dive()"""
FOREIGN_KEY = """
    CREATE TABLE buckets (name text COLLATE "C" PRIMARY KEY);
    ALTER TABLE object_versions ADD FOREIGN KEY (bucket) REFERENCES buckets"""
OPERATORS_DOING = [
    ("DROP TABLE object_versions CASCADE", Treatment.STOP, "schema_mismatch", "42P01"),
    ("DROP SCHEMA {schema} CASCADE", Treatment.STOP, "schema_mismatch", "42P01"),
    ("ALTER TABLE object_versions DROP etag CASCADE", Treatment.STOP, "schema_mismatch", "42703"),
    (RAISING_TRIGGER, Treatment.MAYBE_ROW, "trigger", "P0001"),
    (DEEP_TRIGGER, Treatment.BACK_OFF, "stack_depth", "54001"),
    ("CREATE RULE r AS ON INSERT TO object_versions DO ALSO SELECT 1", Treatment.STOP, "unsupported", "0A000"),
    (
        "ALTER TABLE object_versions DROP CONSTRAINT object_versions_pkey",
        Treatment.RETRY,
        "conflict_target",
        "42P10",
    ),
    ("CREATE UNIQUE INDEX ON object_versions (etag)", Treatment.RETRY, "unique_violation", "23505"),
    (FOREIGN_KEY, Treatment.BISECT, "foreign_key", "23503"),
    ("ALTER TABLE object_versions ADD CHECK (size_bytes > 100)", Treatment.BISECT, "check_violation", "23514"),
    ("ALTER TABLE object_versions ADD owner text NOT NULL", Treatment.BISECT, "null_value", "23502"),
    (LONG_VALUES, Treatment.MAYBE_ROW, "program_limit", "54000"),
]


@pytest.mark.parametrize(("sql", "treatment", "word", "sqlstate"), OPERATORS_DOING)
async def test_what_an_operator_did_to_the_schema(
    store: PostgresStore,
    database: Database,
    schema: str,
    *,
    sql: str,
    treatment: Treatment,
    word: str,
    sqlstate: str,
) -> None:
    """A schema that was changed by hand is no fault of a message, unless it refuses single rows."""
    await database.execute(sql.replace("{schema}", quoted(schema)))
    assert await failure(store) == (treatment, word, sqlstate)


@pytest.mark.parametrize(
    ("bad", "sqlstate"),
    [({"key": "nul\0"}, "22021"), ({"key": "half\udc00"}, "22000"), ({"size_bytes": 2**63}, "22000")],
)
async def test_unstorable_value(store: PostgresStore, bad: dict[str, Any], sqlstate: str) -> None:
    """A value that no column can hold is a matter of its row, whether driver or server refuses it."""
    found = await failure(store, rows=[row(), row(**{"key": "bad"} | bad)])
    assert found == (Treatment.BISECT, "unstorable_value", sqlstate)


@asynccontextmanager
async def _role(database: Database, attributes: str) -> AsyncIterator[str]:
    name = f"role_{uuid.uuid4().hex[:12]}"
    await database.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret' {attributes}")
    try:
        yield name
    finally:
        await database.execute(f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")


def _login(options: StoreOptions, role: str, password: str = "secret") -> str:
    return re.sub("//[^@]+@", f"//{role}:{password}@", options.url)


async def test_wrong_password(migrated: StoreOptions, database: Database) -> None:
    """A refused password asks for fresh credentials, and never shows in the text."""
    async with _role(database, "") as role, _another(migrated, url=_login(migrated, role, "stale")) as store:
        with pytest.raises(StoreError) as caught:
            await store.open()
    assert (caught.value.treatment, caught.value.sqlstate) == (Treatment.CREDENTIALS, "28P01")
    assert "stale" not in str(caught.value)


async def test_no_privilege(migrated: StoreOptions, database: Database) -> None:
    """A role without rights is for the operator to mend."""
    async with _role(database, "") as role, _another(migrated, url=_login(migrated, role)) as store:
        assert await failure(store) == (Treatment.STOP, "no_privilege", "42501")


async def test_too_many_connections(migrated: StoreOptions, database: Database) -> None:
    """A server, or role, without a free connection is asked for less."""
    async with (
        _role(database, "CONNECTION LIMIT 0") as role,
        _another(migrated, url=_login(migrated, role)) as store,
    ):
        assert await failure(store) == (Treatment.BACK_OFF, "too_many_connections", "53300")


async def test_missing_database(migrated: StoreOptions) -> None:
    """A database that does not exist is for the operator to make."""
    async with _another(migrated, url=migrated.url.rpartition("/")[0] + "/nowhere") as store:
        assert await failure(store) == (Treatment.STOP, "no_database", "3D000")


@pytest.mark.parametrize(
    ("parameter", "word", "sqlstate"),
    [("no_such_thing=1", "unknown_name", "42704"), ("lock_timeout=soon", "driver", "22023")],
)
async def test_useless_parameter(migrated: StoreOptions, *, parameter: str, word: str, sqlstate: str) -> None:
    """A parameter of the URL which the server refuses is for the operator to correct: it is no fault of a row."""
    async with _another(migrated, url=f"{migrated.url}?{parameter}") as store:
        assert await failure(store) == (Treatment.STOP, word, sqlstate)


async def test_encryption_where_there_is_none(migrated: StoreOptions) -> None:
    """Asked for TLS, we never fall back to plain text: the operator decides which side is to change."""
    async with _another(migrated, tls="verify-full") as store:
        treatment, word, _ = await failure(store)
    assert (treatment, word) == (Treatment.STOP, "no_tls")
