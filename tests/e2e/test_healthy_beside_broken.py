"""The real daemon and a real PostgreSQL: what is healthy does not wait for what is broken."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.environment import RunContext, put_body, until

TRIGGER = """
CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {what} RETURN NEW; END $$;
CREATE TRIGGER broken AFTER INSERT ON object_versions FOR EACH ROW {when} EXECUTE FUNCTION broken()
"""
FAILURES = {
    "22012": "PERFORM 1/0;",
    "23502": "CREATE TEMP TABLE IF NOT EXISTS audit (who text NOT NULL); INSERT INTO audit VALUES (NULL);",
    "P0001": "RAISE EXCEPTION 'no';",
}


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


@pytest.mark.parametrize("sqlstate", FAILURES)
async def test_a_trigger_that_fails_for_all_quarantines_nothing(context: RunContext, sqlstate: str) -> None:
    """Whatever its SQLSTATE: the circuit opens, and everything is stored once the trigger is gone."""
    with context.daemon() as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        operator = await context.connect()
        try:
            await operator.execute(TRIGGER.format(what=FAILURES[sqlstate], when=""))
            context.send(put_body(f"{number}") for number in range(200))
            await asyncio.to_thread(daemon.wait_for, "database.unavailable")
            assert await operator.fetchval("SELECT count(*) FROM quarantined_messages") == 0
            await operator.execute("DROP TRIGGER broken ON object_versions")
            await context.until_empty()
            assert await operator.fetchval("SELECT count(*) FROM objects") == 200
            assert await operator.fetchval("SELECT count(*) FROM quarantined_messages") == 0
        finally:
            await operator.close()


@pytest.mark.parametrize("sqlstate", FAILURES)
async def test_a_trigger_that_fails_for_one_row_in_a_quiet_night(context: RunContext, sqlstate: str) -> None:
    """Nothing else comes: a row of ours is the comparison, and the message is quarantined in seconds."""
    with context.daemon() as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        operator = await context.connect()
        try:
            await operator.execute(TRIGGER.format(what=FAILURES[sqlstate], when="WHEN (NEW.key = 'bad')"))
            context.send([put_body("bad")])
            await context.until_empty()
            assert await operator.fetchval("SELECT count(*) FROM quarantined_messages") == 1
            assert await operator.fetchval("SELECT count(*) FROM object_versions") == 0
        finally:
            await operator.close()
        assert daemon.events("database.unavailable") == []
