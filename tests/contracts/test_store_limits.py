"""What a store promises of statements with a limit, and of rows that are written and rolled back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import pytest

from subscriber.adapters.postgres.failures import OWN_CONSTRAINTS
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import StoreError, Treatment
from subscriber.model import ObjectEvent
from tests.adapters.postgres.object_rows import row
from tests.contracts.test_store import Inspected, inspected
from tests.fakes.store import FakeStore, Hold, version_of

__all__ = ["inspected"]


async def test_a_rehearsed_row_leaves_nothing(inspected: Inspected) -> None:
    """It succeeds where a write would, and the index stays as it is."""
    await inspected.store.store([row(key="a")])
    before = await inspected.rows()
    await inspected.store.rehearse(row(key="b"))
    assert await inspected.rows() == before


async def test_a_row_that_cannot_be_stored_cannot_be_rehearsed(inspected: Inspected) -> None:
    """With the error of a write, and the next row is taken."""
    with pytest.raises(StoreError) as raised:
        await inspected.store.rehearse(row(key="a", size_bytes=-1))
    assert (raised.value.treatment, raised.value.names_own_constraint) == (Treatment.BISECT, True)
    await inspected.store.rehearse(row(key="a"))


async def test_a_statement_that_waits_ends_at_its_limit(inspected: Inspected) -> None:
    """As a statement timeout, with nothing stored; without a limit it is stored afterwards."""
    if isinstance(inspected.store, FakeStore):
        inspected.store.script(Hold())
        with pytest.raises(StoreError) as raised:
            await inspected.store.store([row(key="a")], 0.2)
    else:
        assert inspected.database is not None
        await inspected.store.store([row(key="a", sequencer="1")])
        async with inspected.database.transaction():
            await inspected.database.execute("SELECT FROM object_versions FOR UPDATE")
            with pytest.raises(StoreError) as raised:
                await inspected.store.store([row(key="a", sequencer="2")], 0.2)
    assert (raised.value.treatment, raised.value.sqlstate) == (Treatment.BACK_OFF, "57014")
    assert await inspected.store.store([row(key="a", sequencer="3")]) == 1


async def test_rows_that_another_session_keeps_locked_are_found(inspected: Inspected) -> None:
    """Those that are stored and asked about, and no others; afterwards none, and all can be stored."""
    rows = [row(key=f"{number}\x1fü", version_id="v") for number in range(100)]
    await inspected.store.store(rows)
    async with locked(inspected, rows[::7], "FOR UPDATE"):
        found = await inspected.store.locked_rows([*rows[:50], row(key="other")], 5.0)
        assert found == {version_of(one) for one in rows[:50:7]}
        assert await inspected.store.locked_rows([row(key="other")], 5.0) == frozenset()
    assert await inspected.store.locked_rows(rows, 5.0) == frozenset()
    assert await inspected.store.store([row(key=one.key, version_id="v", sequencer="FF") for one in rows]) == 100


@pytest.mark.parametrize(
    ("lock", "is_waited_for"),
    [("FOR KEY SHARE", False), ("FOR SHARE", True), ("FOR NO KEY UPDATE", True), ("FOR UPDATE", True)],
)
async def test_a_lock_is_found_if_the_upsert_waits_for_it(
    store: PostgresStore, database: asyncpg.Connection[asyncpg.Record], lock: str, is_waited_for: bool
) -> None:
    """A foreign key's lock is none."""
    await store.store([row(key="a", sequencer="1")])
    async with locked(Inspected(store, database), [row(key="a")], lock):
        assert bool(await store.locked_rows([row(key="a")], 5.0)) == is_waited_for
        upsert = store.store([row(key="a", sequencer="2")], 0.3)
        if is_waited_for:
            with pytest.raises(StoreError):
                await upsert
        else:
            await upsert


async def test_a_row_that_is_not_committed_is_not_found(
    store: PostgresStore, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """It cannot be seen: the statement that waits for it is halved."""
    async with database.transaction():
        await database.execute(
            "INSERT INTO object_versions (bucket, key, version_id, state, sequencer, event_name, event_time) "
            "VALUES ('lake', 'a', '', 'present', '1', 'x', now())"
        )
        assert await store.locked_rows([row(bucket="lake", key="a", version_id="")], 5.0) == frozenset()


async def test_the_question_waits_no_longer_than_its_limit(
    store: PostgresStore, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """As for a table that is locked as a whole."""
    await store.store([row(key="a")])
    async with database.transaction():
        await database.execute("LOCK object_versions IN EXCLUSIVE MODE")
        with pytest.raises(StoreError) as raised:
            await store.locked_rows([row(key="a")], 0.2)
    assert raised.value.sqlstate == "57014"
    assert await store.locked_rows([row(key="a")], 0.2) == frozenset()


@asynccontextmanager
async def locked(inspected: Inspected, rows: Sequence[ObjectEvent], lock: str) -> AsyncIterator[None]:
    """Another session keeps these rows locked."""
    if isinstance(inspected.store, FakeStore):
        inspected.store.locked = {version_of(one) for one in rows}
        yield
        inspected.store.locked = set()
        return
    assert inspected.database is not None
    async with inspected.database.transaction():
        keys = [one.key for one in rows]
        await inspected.database.execute(f"SELECT FROM object_versions WHERE key = ANY ($1) {lock}", keys)
        yield


async def test_a_limit_lasts_for_its_statement(store: PostgresStore) -> None:
    """The connection is as good as before: the next statement may take its whole time."""
    await store.store([row(key="a")], 0.5)
    async with store._connection() as connection:
        assert await connection.fetchval("SHOW statement_timeout") != "500ms"


@pytest.mark.parametrize("schema", ["same", "other"])
async def test_only_a_constraint_of_our_own_table_is_ours(
    store: PostgresStore, database: asyncpg.Connection[asyncpg.Record], schema: str
) -> None:
    """A trigger may copy into a table made LIKE ours, whose constraint of the same name is not ours."""
    if schema == "other":
        await database.execute(
            f"""CREATE TABLE copies (LIKE object_versions INCLUDING ALL);
            CREATE FUNCTION copy() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN INSERT INTO "{store._options.schema}".copies SELECT (NEW).*; RETURN NEW; END $$;
            ALTER TABLE copies ADD CONSTRAINT object_versions_etag_check_2 CHECK (size_bytes < 5);
            CREATE TRIGGER copy AFTER INSERT ON object_versions FOR EACH ROW EXECUTE FUNCTION copy()"""
        )
    bad = row(key="a", size_bytes=-1) if schema == "same" else row(key="a", size_bytes=10)
    with pytest.raises(StoreError) as raised:
        await store.store([bad])
    assert raised.value.sqlstate == "23514"
    assert raised.value.names_own_constraint == (schema == "same")


async def test_a_trigger_is_rehearsed_as_well(
    store: PostgresStore, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """One that fails for every row fails for ours, deferred ones included:."""
    await database.execute(
        """CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM 1/0; RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER no AFTER INSERT ON object_versions DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION no()"""
    )
    with pytest.raises(StoreError) as raised:
        async with asyncio.timeout(60):
            await store.rehearse(row(key="a"))
    assert raised.value.sqlstate == "22012"


@pytest.mark.usefixtures("store")
async def test_our_constraints_are_those_of_the_table(database: asyncpg.Connection[asyncpg.Record]) -> None:
    """PostgreSQL names them itself; a migration that adds one adds it to the list."""
    found = await database.fetch(
        "SELECT conname FROM pg_constraint WHERE contype = 'c' AND conrelid = 'object_versions'::regclass"
    )
    assert {("object_versions", record["conname"]) for record in found} == OWN_CONSTRAINTS


async def test_rows_that_a_writer_like_us_holds_are_not_found(
    store: PostgresStore, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """It lets go at its own timeout; only whoever keeps it waiting is looked for."""
    await store.store([row(key="a")])
    await database.execute("SET application_name = 'subscriber-another'")
    async with locked(Inspected(store, database), [row(key="a")], "FOR NO KEY UPDATE"):
        assert await store.locked_rows([row(key="a")], 5.0) == frozenset()
    await database.execute("SET application_name = 'psql'")
    async with locked(Inspected(store, database), [row(key="a")], "FOR NO KEY UPDATE"):
        assert len(await store.locked_rows([row(key="a")], 5.0)) == 1
