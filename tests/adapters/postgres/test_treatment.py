"""Failures caused in a real server, and their treatments."""

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

from subscriber.adapters.postgres.connection import StoreOptions, _server_timeout_seconds
from subscriber.adapters.postgres.statements import quoted
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import StoreError, Treatment
from tests.adapters.postgres.object_rows import row

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
ROWS = [row(key="a"), row(key="b")]


async def failure(store: PostgresStore, *, rows: Any = ROWS) -> tuple[Treatment, str, str | None]:
    """The failure of a write: treatment, word, SQLSTATE."""
    with pytest.raises(StoreError) as caught:
        await store.store(rows)
    assert caught.value.__cause__ is not None
    return caught.value.treatment, caught.value.word, caught.value.sqlstate


async def until_waiting(database: Database) -> None:
    """Until a session of the store waits for a lock; `database` may be inside a transaction."""
    query = """SELECT pid FROM pg_stat_activity WHERE application_name = 'subscriber' AND datname IS NOT NULL
               AND wait_event_type = 'Lock' AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"""
    async with asyncio.timeout(60):
        while await database.fetchval(query) is None:
            await asyncio.sleep(0.005)
            await database.execute("SELECT pg_stat_clear_snapshot()")


@asynccontextmanager
async def _another(options: StoreOptions, **changes: Any) -> AsyncIterator[PostgresStore]:
    """A store with changed options; not opened, so that opening may fail."""
    store = PostgresStore(msgspec.structs.replace(options, **changes))
    try:
        yield store
    finally:
        await store.close()


async def test_deadlock(store: PostgresStore, database: Database) -> None:
    """The victim of a deadlock writes again, on the same connection."""
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
    """A write that exceeds the lock_timeout of the operator is repeated."""
    async with _another(migrated, url=f"{migrated.url}?lock_timeout=30") as store, database.transaction():
        await database.execute("LOCK TABLE object_versions")
        assert await failure(store) == (Treatment.RETRY, "lock_timeout", "55P03")


def test_the_server_times_out_a_little_earlier() -> None:
    """By a tenth, and at most by a second."""
    assert [_server_timeout_seconds(seconds) for seconds in (1.0, 60.0)] == [pytest.approx(0.9), 59.0]


async def test_statement_timeout(migrated: StoreOptions, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server times out earlier than we do, so the outcome is known: not done; back off."""
    monkeypatch.setattr("subscriber.adapters.postgres.connection._server_timeout_seconds", lambda _: 0.3)
    async with _another(migrated) as store:
        await store.open()
        async with database.transaction():
            await database.execute("LOCK TABLE object_versions")
            assert await failure(store) == (Treatment.BACK_OFF, "statement_timeout", "57014")
        assert await store.store(ROWS) == 2


async def test_read_only_session(store: PostgresStore) -> None:
    """A session that became read-only, as on a demoted writer, is dropped, and a new one is opened."""
    await store._idle[-1].execute("SET default_transaction_read_only = on")
    assert await failure(store) == (Treatment.RECONNECT, "read_only", "25006")
    assert await store.store(ROWS) == 2


async def test_ping_notices_a_read_only_session(store: PostgresStore) -> None:
    """A ping succeeds only if a write would."""
    await store._idle[-1].execute("SET default_transaction_read_only = on")
    with pytest.raises(StoreError) as caught:
        await store.ping()
    assert (caught.value.treatment, caught.value.word) == (Treatment.RECONNECT, "read_only_setting")
    await store.ping()


async def test_a_read_only_setting(migrated: StoreOptions) -> None:
    """A login into a database whose sessions are read-only fails, and it is not taken for a replica."""
    async with _another(migrated, url=f"{migrated.url}?default_transaction_read_only=on") as store:
        assert await failure(store) == (Treatment.RECONNECT, "read_only_setting", "25006")


async def test_a_session_terminated_during_a_statement(store: PostgresStore, database: Database) -> None:
    """A session that an administrator terminates during a statement is replaced."""
    async with database.transaction():
        await database.execute("LOCK TABLE object_versions")
        writing = asyncio.create_task(failure(store), name="write")
        await until_waiting(database)
        ended = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"
        await database.execute(ended)
        assert await writing == (Treatment.RECONNECT, "connection_lost", "08003")
    assert await store.store(ROWS) == 2


async def test_statement_cancelled_by_an_administrator(store: PostgresStore, database: Database) -> None:
    """A cancelled statement has no effect; the treatment is to back off."""
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
    CREATE TABLE allowed_buckets (name text COLLATE "C" PRIMARY KEY);
    ALTER TABLE object_versions ADD FOREIGN KEY (bucket) REFERENCES allowed_buckets"""
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
async def test_a_schema_changed_by_an_operator(
    store: PostgresStore,
    database: Database,
    schema: str,
    *,
    sql: str,
    treatment: Treatment,
    word: str,
    sqlstate: str,
) -> None:
    """A manually changed schema is not a poison message, unless it rejects single rows."""
    await database.execute(sql.replace("{schema}", quoted(schema)))
    assert await failure(store) == (treatment, word, sqlstate)


@pytest.mark.parametrize(
    ("bad", "sqlstate"),
    [({"key": "nul\0"}, "22021"), ({"key": "half\udc00"}, "22000"), ({"size_bytes": 2**63}, "22000")],
)
async def test_unstorable_value(store: PostgresStore, bad: dict[str, Any], sqlstate: str) -> None:
    """A value that a column cannot store concerns its row, whether driver or server rejects it."""
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
    """A rejected password needs fresh credentials, and does not appear in the text."""
    async with _role(database, "") as role, _another(migrated, url=_login(migrated, role, "stale")) as store:
        with pytest.raises(StoreError) as caught:
            await store.open()
    assert (caught.value.treatment, caught.value.sqlstate) == (Treatment.CREDENTIALS, "28P01")
    assert "stale" not in str(caught.value)


async def test_no_privilege(migrated: StoreOptions, database: Database) -> None:
    """Only an operator can grant the missing privileges."""
    async with _role(database, "") as role, _another(migrated, url=_login(migrated, role)) as store:
        assert await failure(store) == (Treatment.STOP, "no_privilege", "42501")


async def test_too_many_connections(migrated: StoreOptions, database: Database) -> None:
    """Without a free connection, of server or role, the treatment is to back off."""
    async with (
        _role(database, "CONNECTION LIMIT 0") as role,
        _another(migrated, url=_login(migrated, role)) as store,
    ):
        assert await failure(store) == (Treatment.BACK_OFF, "too_many_connections", "53300")


async def test_missing_database(migrated: StoreOptions) -> None:
    """Only an operator can create the missing database."""
    async with _another(migrated, url=migrated.url.rpartition("/")[0] + "/nowhere") as store:
        assert await failure(store) == (Treatment.STOP, "no_database", "3D000")


@pytest.mark.parametrize(
    ("parameter", "word", "sqlstate"),
    [
        ("no_such_thing=1", "unknown_name", "42704"),
        ("lock_timeout=soon", "driver", "22023"),
        ("options=project%3Dx", "driver", "42601"),
    ],
)
async def test_rejected_parameter(migrated: StoreOptions, *, parameter: str, word: str, sqlstate: str) -> None:
    """Only an operator can correct a URL parameter that the server rejects; no row is at fault."""
    async with _another(migrated, url=f"{migrated.url}?{parameter}") as store:
        assert await failure(store) == (Treatment.STOP, word, sqlstate)


async def test_a_server_without_tls_is_not_used(migrated: StoreOptions) -> None:
    """With TLS required there is no fallback to plain text: an operator has to change one side."""
    async with _another(migrated, tls="verify-full") as store:
        treatment, word, _ = await failure(store)
    assert (treatment, word) == (Treatment.STOP, "no_tls")
