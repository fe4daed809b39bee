"""The commit log of a real server returns every row with its commit time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import asyncpg
import msgspec
import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import migrate
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.model import Lease, Message, ObjectEvent, Rejection
from testkit.checker.commit_log import CommitLog, QuarantineCommit, RowCommit, parsed
from testkit.postgres.postgres import LocalPostgres

ROW = ObjectEvent(
    bucket="lake",
    key="it's 'odd'\n[text]:'x' \\ ü",
    version_id="v",
    state="present",
    sequencer="6A8F01",
    event_name="ObjectCreated:Put",
    event_time=datetime(2026, 8, 2, 7, 51, 20, 63_000, tzinfo=UTC),
    size_bytes=5,
    etag="abc",
)
GONE = msgspec.structs.replace(
    ROW, state="removed", sequencer="6A8F02", event_name="ObjectRemoved:Delete", size_bytes=None, etag=None
)


@pytest.fixture(scope="module")
def logical_postgres() -> Iterator[LocalPostgres]:
    """A server with wal_level = logical."""
    with LocalPostgres(durable=False, logical=True) as server:
        yield server


async def test_the_log_has_each_write_with_its_commit_time(logical_postgres: LocalPostgres) -> None:
    """An insert, an update and a quarantined body, each with a time within its call; DDL gives no change."""
    options = StoreOptions(url=logical_postgres.url, schema="seen", tls="disable")
    connection = await asyncpg.connect(logical_postgres.url, server_settings={"timezone": "UTC"})
    log, store = CommitLog(connection, "seen", "seen"), PostgresStore(options)
    await log.begin()
    await migrate(options)
    moments = [time.time()]
    message = Message("q", "id's", "handle", "?", 0.0, 1, Lease(queue="q", expires_at=0.0, handles=set()))
    for write in (store.store([ROW]), store.store([GONE]), store.quarantine([(message, Rejection("r", "d"))])):
        await write
        moments.append(time.time())
    changes = await log.changes()
    await log.end()
    await store.close()
    await connection.close()
    at = [change.committed_at for change in changes]
    assert changes == [RowCommit(at[0], ROW), RowCommit(at[1], GONE), QuarantineCommit(at[2], "id's")]
    assert sorted([*at, *moments]) == [moments[0], at[0], moments[1], at[1], moments[2], at[2], moments[3]]


def test_a_line_that_cannot_be_parsed_is_an_error() -> None:
    """A skipped row would look like a loss, or hide one."""
    with pytest.raises(ValueError, match="not a row of the index"):
        list(parsed(["BEGIN 7", "table seen.object_versions: INSERT: bucket[text]:'b'", "COMMIT 7"], "seen"))
