"""Failures of sessions and of the server's files, and their treatments."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import msgspec
import psutil
import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import migrate
from subscriber.adapters.postgres.statements import quoted
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import Treatment
from testkit.postgres.postgres import LocalPostgres
from tests.adapters.postgres.object_rows import row
from tests.adapters.postgres.test_treatment import ROWS, Database, failure, until_waiting

MANY = [row(key=f"{number:05}" + "x" * 500) for number in range(500)]


@pytest.mark.parametrize(
    ("sql", "treatment", "word", "sqlstate"),
    [
        ("DEALLOCATE ALL", Treatment.RECONNECT, "statement_lost", "26000"),
        ("SET work_mem = '64kB'; SET temp_file_limit = '1kB'", Treatment.BACK_OFF, "resources", "53400"),
    ],
)
async def test_a_changed_session(
    store: PostgresStore, *, sql: str, treatment: Treatment, word: str, sqlstate: str
) -> None:
    """Somebody changed the session: prepared statements are gone, as behind a pooler, or a limit is too low."""
    await store.store(ROWS)
    await store._idle[-1].execute(sql)
    assert await failure(store, rows=MANY) == (treatment, word, sqlstate)


_TRIGGER = """
    CREATE FUNCTION {schema}.act() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {act}; RETURN NEW; END $$;
    CREATE TRIGGER act BEFORE INSERT ON {schema}.object_versions FOR EACH ROW EXECUTE FUNCTION {schema}.act()"""


@pytest.mark.parametrize(
    ("act", "treatment", "word", "sqlstate"),
    [
        ("ALTER TABLE {schema}.object_versions ADD remark text", Treatment.RETRY, "object_in_use", "55006"),
        ("PERFORM nowhere.nothing()", Treatment.STOP, "no_schema", "3F000"),
    ],
)
async def test_an_error_inside_a_trigger(
    store: PostgresStore,
    database: Database,
    schema: str,
    *,
    act: str,
    treatment: Treatment,
    word: str,
    sqlstate: str,
) -> None:
    """A trigger that fails with an error of the server is treated by that error, not as a raised exception."""
    await database.execute(_TRIGGER.replace("{act}", act).replace("{schema}", quoted(schema)))
    assert await failure(store) == (treatment, word, sqlstate)


async def test_an_expired_idle_session(store: PostgresStore) -> None:
    """A closed session is detected before it is used: the write takes another, and nothing fails."""
    session = store._idle[-1]
    await session.execute("SET idle_session_timeout = 1")
    async with asyncio.timeout(60):
        while not session.is_closed():  # noqa: ASYNC110 – until the loop has read the end
            await asyncio.sleep(0.005)
    assert await store.store(ROWS) == 2


async def test_a_session_in_a_broken_transaction(store: PostgresStore) -> None:
    """A failed open transaction accepts no statement; the session is dropped."""
    await store.store(ROWS)
    session = store._idle[-1]
    await session.execute("BEGIN")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await session.execute("SELECT 1 / 0")
    assert await failure(store) == (Treatment.RECONNECT, "transaction_state", "25P02")
    assert await store.store(ROWS) == 0


async def test_a_prepared_name_that_is_taken(store: PostgresStore) -> None:
    """The name is taken, as if a pooler gave us the session of another client."""
    session = store._idle[-1]
    number = asyncpg.connection._uid + 1  # type: ignore[attr-defined]  # the driver's counter of names
    for name in range(number, number + 5):
        await session.execute(f'PREPARE "__asyncpg_stmt_{name:x}__" AS SELECT 1')
    assert await failure(store) == (Treatment.RECONNECT, "statement_mixed", "42P05")


async def test_a_serialization_race(store: PostgresStore, database: Database) -> None:
    """With a stricter isolation level, the transaction that fails to serialize is repeated."""
    await store.store(ROWS)
    await store._idle[-1].execute("SET default_transaction_isolation = 'repeatable read'")
    newer = [msgspec.structs.replace(event, sequencer="F") for event in ROWS]
    async with database.transaction():
        await database.execute("UPDATE object_versions SET ingested_at = ingested_at + interval '1 s'")
        writing = asyncio.create_task(failure(store, rows=newer), name="write")
        await until_waiting(database)
    assert await writing == (Treatment.RETRY, "serialization", "40001")


async def test_a_duplicate_version(store: PostgresStore) -> None:
    """A bug of ours differs from a bad row, and is repeated."""
    assert await failure(store, rows=[row(), row()]) == (Treatment.RETRY, "duplicate_row", "21000")


async def test_a_connection_closed_before_the_write(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed between taking it and writing: the driver's error has no code, and a new connection is opened."""
    session = store._idle[-1]
    await session.close()
    monkeypatch.setattr(type(session), "is_closed", lambda _: False)
    assert await failure(store) == (Treatment.RECONNECT, "connection_closed", None)
    monkeypatch.undo()
    assert await store.store(ROWS) == 2


@asynccontextmanager
async def _own_store(server: LocalPostgres) -> AsyncIterator[PostgresStore]:
    options = StoreOptions(url=server.url, tls="disable", write_timeout_seconds=10)
    store = PostgresStore(options)
    try:
        yield store
    finally:
        await store.close()


async def _file_of(server: LocalPostgres) -> Path:
    """The file of the table; the server is stopped afterwards."""
    await migrate(StoreOptions(url=server.url, tls="disable"))
    connection = await asyncpg.connect(server.url)
    path: str = await connection.fetchval("SELECT pg_relation_filepath('subscriber.object_versions')")
    await connection.close()
    server.stop()
    return server.log_path.parent / "data" / path


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a platform without a device that is always full")
async def test_a_full_disk(postgres_server: LocalPostgres) -> None:
    """The disk is full: no row is at fault, and an operator has to free space."""
    path = await _file_of(postgres_server)
    path.unlink()
    path.symlink_to("/dev/full")
    postgres_server.start()
    try:
        async with _own_store(postgres_server) as store:
            assert await failure(store) == (Treatment.STOP, "disk_full", "53100")
    finally:
        postgres_server.stop("immediate")


async def test_a_missing_file(postgres_server: LocalPostgres) -> None:
    """The table's file is missing: a system error."""
    path = await _file_of(postgres_server)
    path.unlink()
    postgres_server.start()
    async with _own_store(postgres_server) as store:
        assert await failure(store) == (Treatment.STOP, "system_error", "58P01")
    postgres_server.stop("immediate")


async def test_a_corrupt_page(postgres_server: LocalPostgres) -> None:
    """A page of the table is corrupt: only an operator can fix it."""
    path = await _file_of(postgres_server)
    path.write_bytes(b"\xff" * 8192)
    postgres_server.start()
    async with _own_store(postgres_server) as store:
        assert await failure(store) == (Treatment.STOP, "internal_error", "XX001")


async def test_a_server_without_memory(postgres_server: LocalPostgres) -> None:
    """The shared lock table is full: the treatment is to write less at a time."""
    await migrate(StoreOptions(url=postgres_server.url, tls="disable"))
    connection = await asyncpg.connect(postgres_server.url)
    take_all = "PERFORM pg_advisory_xact_lock(n) FROM generate_series(1, 10000000) AS n"
    await connection.execute(_TRIGGER.replace("{act}", take_all).replace("{schema}", "subscriber"))
    async with _own_store(postgres_server) as store:
        assert await failure(store) == (Treatment.BACK_OFF, "out_of_memory", "53200")
        await connection.execute("DROP FUNCTION subscriber.act() CASCADE")
        assert await store.store(ROWS) == 2
    await connection.close()


async def test_a_server_that_is_shutting_down(postgres_server: LocalPostgres) -> None:
    """While it waits for its last client it accepts no new one: the treatment is to reconnect."""
    last_client = await asyncpg.connect(postgres_server.url)
    try:
        psutil.Process(postgres_server.process_ids()[0]).terminate()
        async with asyncio.timeout(60):
            while "received smart shutdown request" not in postgres_server.log_tail():  # noqa: ASYNC110 – another process
                await asyncio.sleep(0.01)
        async with _own_store(postgres_server) as store:
            assert await failure(store) == (Treatment.RECONNECT, "not_ready", "57P03")
    finally:
        await last_client.close()
