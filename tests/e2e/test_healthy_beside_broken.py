"""The real daemon and a real PostgreSQL: what is healthy does not wait for what is broken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import msgspec
import pytest

from testkit.daemon import DaemonProcess
from tests.e2e.environment import RunContext, put_body, until

pytestmark = pytest.mark.usefixtures("untraced")

TRIGGER = """
CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {what} RETURN NEW; END $$;
CREATE TRIGGER broken AFTER INSERT ON object_versions FOR EACH ROW {when} EXECUTE FUNCTION broken()
"""
FAILURES = {
    "22012": "PERFORM 1/0;",
    "23502": "CREATE TEMP TABLE IF NOT EXISTS audit (who text NOT NULL); INSERT INTO audit VALUES (NULL);",
    "P0001": "RAISE EXCEPTION 'no';",
}


class Operator(msgspec.Struct, frozen=True):
    """A daemon, and a connection beside it."""

    daemon: DaemonProcess
    connection: asyncpg.Connection[asyncpg.Record]

    async def rows_in(self, table: str) -> int:
        """Rows of a table or view."""
        return int(await self.connection.fetchval(f"SELECT count(*) FROM {table}"))


async def test_a_locked_row_does_not_hold_up_its_batch(context: RunContext) -> None:
    """The other 999 are stored while the lock is held; the one gets a retry delay, and the circuit stays closed."""
    with context.daemon(WRITE_TIMEOUT_SECONDS=2, BATCH_LINGER_SECONDS=2) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        context.send([put_body("locked", second=1)])
        await context.until_empty()
        blocker = await context.connect()
        try:
            await blocker.execute("BEGIN; SELECT FROM object_versions WHERE key = 'locked' FOR UPDATE")
            context.send([*(put_body(f"{number}") for number in range(999)), put_body("locked", second=2)])
            await until(lambda: daemon.metric("subscriber_rows_applied_total") == 1000, 60)
            await until(lambda: daemon.metric("subscriber_retry_delayed_messages_total") == 1, 60)
        finally:
            await blocker.close()
        assert daemon.events("database.unavailable") == []


@asynccontextmanager
async def broken_trigger(context: RunContext, sqlstate: str, when: str = "") -> AsyncIterator[Operator]:
    """The daemon at work, with an operator's trigger that fails for every row, or for those that match `when`."""
    with context.daemon() as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        connection = await context.connect()
        try:
            await connection.execute(TRIGGER.format(what=FAILURES[sqlstate], when=when))
            yield Operator(daemon, connection)
        finally:
            await connection.close()


@pytest.mark.parametrize("sqlstate", FAILURES)
async def test_a_trigger_that_fails_for_all_quarantines_nothing(context: RunContext, sqlstate: str) -> None:
    """Whatever its SQLSTATE: the circuit opens, and everything is stored once the trigger is gone."""
    async with broken_trigger(context, sqlstate) as operator:
        context.send(put_body(f"{number}") for number in range(200))
        await asyncio.to_thread(operator.daemon.wait_for, "database.unavailable")
        assert await operator.rows_in("quarantined_messages") == 0
        await operator.connection.execute("DROP TRIGGER broken ON object_versions")
        await context.until_empty()
        assert (await operator.rows_in("objects"), await operator.rows_in("quarantined_messages")) == (200, 0)


CHANGES = {
    "a column that nobody fills": (
        "ALTER TABLE object_versions ADD tenant text NOT NULL",
        "ALTER TABLE object_versions DROP tenant",
    ),
    "a CHECK that no row meets": (
        "ALTER TABLE object_versions ADD CONSTRAINT never CHECK (bucket = 'x') NOT VALID",
        "ALTER TABLE object_versions DROP CONSTRAINT never",
    ),
    "a foreign key to an empty table": (
        """CREATE TABLE allowed_buckets (name text PRIMARY KEY);
        ALTER TABLE object_versions ADD CONSTRAINT known FOREIGN KEY (bucket) REFERENCES allowed_buckets""",
        "ALTER TABLE object_versions DROP CONSTRAINT known",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_fault_of_the_table_quarantines_nothing(context: RunContext, change: str) -> None:
    """The circuit opens, a line names the cause at warning or above, /readyz is 503; mended, everything is stored."""
    made, undone = CHANGES[change]
    with context.daemon() as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        connection = await context.connect()
        operator = Operator(daemon, connection)
        try:
            await connection.execute(made)
            context.send(put_body(f"{number}") for number in range(60))
            line = await asyncio.to_thread(daemon.wait_for, "database.unavailable")
            assert line["level"] in {"warning", "error"}
            assert daemon.page("/readyz")[0] == 503
            assert await operator.rows_in("quarantined_messages") == 0
            await connection.execute(undone)
            await context.until_empty()
            assert (await operator.rows_in("objects"), await operator.rows_in("quarantined_messages")) == (60, 0)
        finally:
            await connection.close()


@pytest.mark.parametrize("sqlstate", FAILURES)
async def test_a_trigger_that_fails_for_one_row_in_a_quiet_night(context: RunContext, sqlstate: str) -> None:
    """Nothing else comes: a row of ours is the comparison, and the message is quarantined in seconds."""
    async with broken_trigger(context, sqlstate, "WHEN (NEW.key = 'bad')") as operator:
        context.send([put_body("bad")])
        await context.until_empty()
        assert (await operator.rows_in("object_versions"), await operator.rows_in("quarantined_messages")) == (0, 1)
        assert operator.daemon.events("database.unavailable") == []
