"""Passes on a real database: only what is old goes, upserts win, and an early end costs nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import asyncpg
import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.prune import PrunedTables
from subscriber.adapters.postgres.statements import statement
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import StoreError, Treatment
from subscriber.prune import passes
from subscriber.prune.passes import (
    PruneOptions,
    PruneTally,
    continue_text,
    page_rows,
    position_after,
    position_text,
    progress_text,
    prune_pass,
    result_text,
)
from tests.adapters.postgres.object_rows import NOON, row

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

AGE = timedelta(days=45)
OLD = timedelta(days=46)
YOUNG = timedelta(days=44)


@pytest.fixture
def tables(migrated: StoreOptions) -> PrunedTables:
    """The tables of the test's schema."""
    return PrunedTables(migrated)


async def put(database: Database, store: PostgresStore, key: str, state: Any, age: timedelta, **more: Any) -> None:
    """Store a row that got its content so long ago."""
    await store.store([row(key=key, state=state, **more)])
    await database.execute("UPDATE object_versions SET ingested_at = now() - $1::interval WHERE key = $2", age, key)


async def keys(database: Database) -> list[str]:
    """The keys in the index."""
    return [found[0] for found in await database.fetch("SELECT key FROM object_versions ORDER BY key, version_id")]


async def pruned(tables: PrunedTables, tally: PruneTally | None = None, **options: Any) -> PruneTally:
    """The tally of a pass over tombstones, or of the given one."""
    tally = tally or PruneTally("tombstones", AGE)
    before = datetime.now(UTC) - tally.older_than
    await prune_pass(tables, tally, before, PruneOptions(**options), lambda _: None)
    return tally


async def test_only_old_tombstones_go(tables: PrunedTables, database: Database, store: PostgresStore) -> None:
    """Delete markers, objects and younger tombstones stay, whatever their age; a second pass finds nothing."""
    await put(database, store, "old", "removed", OLD)
    await put(database, store, "young", "removed", YOUNG)
    await put(database, store, "marker", "delete_marker", OLD)
    await put(database, store, "object", "present", OLD)
    tally = await pruned(tables)
    assert (tally.seen, tally.removed, tally.is_complete) == (4, 1, True)
    assert await keys(database) == ["marker", "object", "young"]
    assert (await pruned(tables)).removed == 0


async def test_a_dry_run_counts_the_same_and_changes_nothing(
    tables: PrunedTables, database: Database, store: PostgresStore
) -> None:
    """Nor does it lock a row."""
    await put(database, store, "old", "removed", OLD)
    await put(database, store, "young", "removed", YOUNG)
    before = await database.fetch("SELECT xmin, xmax, key FROM object_versions ORDER BY key")
    tally = await pruned(tables, dry_run=True)
    assert (tally.seen, tally.removed) == (2, 1)
    assert await database.fetch("SELECT xmin, xmax, key FROM object_versions ORDER BY key") == before


async def test_a_late_older_event_does_not_bring_an_object_back(
    tables: PrunedTables, database: Database, store: PostgresStore
) -> None:
    """Its tombstone is younger than the age, so it stays and wins."""
    await put(database, store, "gone", "removed", YOUNG, event_time=NOON, sequencer="9")
    await pruned(tables)
    assert await store.store([row(key="gone", sequencer="1")]) == 0
    assert await database.fetchval("SELECT state FROM object_versions") == "removed"


async def test_an_upsert_of_the_same_key_wins(
    tables: PrunedTables, database: Database, store: PostgresStore, migrated: StoreOptions
) -> None:
    """Whether it is not committed yet, in which case the page does not wait for it, or commits before the lock."""
    await put(database, store, "a", "removed", OLD, sequencer="1")
    await put(database, store, "b", "removed", OLD, sequencer="1")
    async with database.transaction():
        await database.execute("UPDATE object_versions SET state = 'present', ingested_at = now() WHERE key = 'a'")
        async with asyncio.timeout(60):
            tally = await pruned(tables)
        assert (tally.seen, tally.removed) == (2, 1)
    assert await keys(database) == ["a"]
    assert await database.fetchval("SELECT state FROM object_versions") == "present"


async def test_a_row_that_changed_after_the_snapshot_is_judged_anew(
    database: Database, store: PostgresStore, migrated: StoreOptions
) -> None:
    """The statement's snapshot is older than the upsert's commit; what counts is the row under the lock."""
    await put(database, store, "a", "removed", OLD, sequencer="1")
    text = statement("prune_tombstones", migrated.schema)
    waits = text.replace("FOR UPDATE OF stored SKIP LOCKED", "FOR UPDATE OF stored")
    assert waits != text
    other = await asyncpg.connect(migrated.url, timeout=10)
    try:
        transaction = database.transaction()
        await transaction.start()
        await database.execute("UPDATE object_versions SET state = 'present' WHERE key = 'a'")
        pid = other.get_server_pid()
        reading = other.fetch(waits, "", "", "", datetime.now(UTC) - AGE, 10)
        page = asyncio.create_task(reading, name="page")
        blockers = "SELECT cardinality(pg_blocking_pids($1))"
        while not await database.fetchval(blockers, pid):  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)
        await transaction.commit()
        assert [found["removed"] for found in await page] == [0]
        assert await keys(database) == ["a"]
    finally:
        await other.close()


async def test_an_interrupted_pass_is_continued_or_repeated(
    tables: PrunedTables, database: Database, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it deleted is gone, its position is where the next one begins, and no row is missed."""
    monkeypatch.setattr(passes, "PAGE_ROWS", 2)
    for number in range(7):
        await put(database, store, f"k{number}", "removed", OLD)
    tally = PruneTally("tombstones", AGE)

    def cancel(_: PruneTally) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await prune_pass(tables, tally, datetime.now(UTC) - AGE, PruneOptions(), cancel)
    assert (tally.removed, tally.last, tally.is_complete) == (2, ("bucket", "k1", ""), False)
    assert continue_text(tally) == "run it again with --after bucket/k1 to continue"
    rest = await pruned(tables, PruneTally("tombstones", AGE, position_after("bucket/k1")))
    assert (rest.seen, rest.removed) == (5, 5)
    assert await keys(database) == []


async def test_versions_of_one_key_at_the_end_of_a_page(
    tables: PrunedTables, database: Database, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page may end between two of them."""
    monkeypatch.setattr(passes, "PAGE_ROWS", 1)
    for version in ("", "v1", "v2"):
        await put(database, store, "k", "removed", OLD, version_id=version)
    assert (await pruned(tables)).removed == 3


async def test_a_pass_ends_with_its_time(tables: PrunedTables, database: Database, store: PostgresStore) -> None:
    """And says how to go on."""
    await put(database, store, "k", "removed", OLD)
    tally = await pruned(tables, ends_at=0.0)
    assert result_text(tally, dry_run=False) == (
        "0 tombstones were removed, 0 rows read; not finished: run it again to continue"
    )


async def test_only_messages_that_were_replayed_long_ago_go(tables: PrunedTables, database: Database) -> None:
    """A waiting message is the only copy: it stays, whatever its age."""
    for name, replayed in {"old": OLD, "young": YOUNG, "waiting": None}.items():
        await database.execute(
            "INSERT INTO quarantined_messages VALUES ('q', $1, 'not_json', '', '', 1, now() - '1 year'::interval, "
            "now() - $2::interval)",
            name,
            replayed,
        )
    dry = await pruned(tables, PruneTally("quarantine", AGE), dry_run=True)
    tally = await pruned(tables, PruneTally("quarantine", AGE))
    assert (dry.seen, dry.removed, tally.seen, tally.removed) == (3, 1, 3, 1)
    left = await database.fetch("SELECT message_id FROM quarantined_messages ORDER BY 1")
    assert [found[0] for found in left] == ["waiting", "young"]


async def test_facts(tables: PrunedTables, database: Database, store: PostgresStore) -> None:
    """The database's clock, the planner's estimates, and only waiting messages count."""
    await put(database, store, "k", "removed", OLD)
    await database.execute("ANALYZE object_versions")
    assert (await tables.facts()).oldest_waiting is None
    insert = "INSERT INTO quarantined_messages VALUES ('q', $1, 'r', '', '', 1, now() - $2::interval, $3)"
    await database.execute(insert, "waiting", YOUNG, None)
    await database.execute(insert, "replayed", OLD, datetime.now(UTC))
    facts = await tables.facts()
    assert facts.oldest_waiting is not None
    assert facts.now - facts.oldest_waiting > YOUNG - timedelta(minutes=1)
    assert (facts.versions, facts.messages, facts.jobs) == (1, 0, 0)


async def test_a_lost_connection_is_tried_again(tables: PrunedTables, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page is a statement of its own, so nothing is lost by it."""
    real, calls = tables.prune, []

    async def fail_first(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 1:
            raise StoreError(Treatment.RECONNECT, "connection_lost", None, "injected failure")
        return await real(*arguments, **options)

    monkeypatch.setattr(tables, "prune", fail_first)
    assert (await pruned(tables)).is_complete
    assert len(calls) == 2


@pytest.mark.parametrize(("rate", "rows"), [(0, 5000), (0.5, 1), (10, 10), (1e6, 5000)])
def test_page_rows(rate: float, rows: int) -> None:
    """The rows of a second, within bounds."""
    assert page_rows(rate) == rows


def test_a_position_is_safe_in_a_terminal() -> None:
    """Quoted for the shell, and cut where a key could control the terminal: an earlier position misses nothing."""
    assert position_text(("b", "a b", "v")) == "'b/a b'"
    assert position_text(("b", "a\x1b[2J", "v")) == "b/a"
    assert position_after("b/a/c") == ("b", "a/c", "")
    assert position_after("b/a") < ("b", "a\x1b[2J", "")


def test_texts() -> None:
    """Singular and plural, dry run, progress."""
    tally = PruneTally("tombstones", AGE)
    tally.seen, tally.removed, tally.is_complete = 500, 1, True
    assert result_text(tally, dry_run=False) == "1 tombstone was removed, 500 rows read"
    assert result_text(tally, dry_run=True) == "1 tombstone would be removed, 500 rows read"
    assert progress_text(1000, tally, 5.0) == "tombstones: 500 of about 1000 rows read (50 %), 1 old; 100/s"
    assert progress_text(0, PruneTally("quarantine", AGE), 0.0).startswith("quarantine: 0 of about 0 rows read (100 %)")
