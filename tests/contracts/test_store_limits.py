"""What a store promises of statements with a limit, and of rows that are written and rolled back."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from subscriber.adapters.postgres.failures import OWN_CONSTRAINTS
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import StoreError, Treatment
from tests.adapters.postgres.object_rows import row
from tests.contracts.test_store import Inspected, inspected
from tests.fakes.store import FakeStore, Hold

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
        async with asyncio.timeout(10):
            await store.rehearse(row(key="a"))
    assert raised.value.sqlstate == "22012"


@pytest.mark.usefixtures("store")
async def test_our_constraints_are_those_of_the_table(database: asyncpg.Connection[asyncpg.Record]) -> None:
    """PostgreSQL names them itself; a migration that adds one adds it to the list."""
    found = await database.fetch(
        "SELECT conname FROM pg_constraint WHERE contype = 'c' AND conrelid = 'object_versions'::regclass"
    )
    assert {("object_versions", record["conname"]) for record in found} == OWN_CONSTRAINTS
