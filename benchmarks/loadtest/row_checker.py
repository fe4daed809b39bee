"""The table against the expected rows, in one pass over both: memory does not grow with the number of rows.

Both sides come in the order of the primary key. PostgreSQL compares text under COLLATE "C" byte by byte, Python
by code points; for UTF-8 that is the same order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import asyncpg
import msgspec

from testkit.checker.compare import Comparison
from testkit.workload.backlogs import BacklogLoad
from testkit.workload.bucket import ObjectRow, VersionRow

_VERSIONS: Final = """
SELECT bucket, key, version_id, state, size_bytes, etag FROM subscriber.object_versions
WHERE ingested_at > $1 ORDER BY bucket, key, version_id
"""
_OBJECTS: Final = """
SELECT bucket, key, version_id, size_bytes, etag FROM subscriber.objects
WHERE ingested_at > $1 ORDER BY bucket, key, version_id
"""
_PREFILLED: Final = """
SELECT count(*), coalesce(sum(hashtextextended(concat(bucket, key, version_id, state, sequencer, etag), size_bytes)), 0)
FROM subscriber.object_versions WHERE ingested_at <= $1
"""
_QUARANTINED: Final = "SELECT count(*) FROM subscriber.quarantined_messages"
_ROWS_AT_ONCE = 5_000
_COMMAND_TIMEOUT_SECONDS = 300.0

Row = TypeVar("Row", VersionRow, ObjectRow)


class CheckResult(msgspec.Struct, frozen=True):
    """The faults found after a drain; all zeros mean none."""

    wrong_versions: int
    """Rows that are missing, that differ, or that should not exist."""
    wrong_objects: int
    """The same, in the view of current objects."""
    lost: int
    """Messages without a trace, including unreadable ones that are not in the quarantine."""
    changed_prefilled_rows: int = 0
    """1 if the rows from before the drain have changed."""
    left_in_queue: int = 0
    dead_letters: int = 0

    @property
    def is_flawless(self) -> bool:
        """No message is lost or left, and no row is wrong."""
        return not any(msgspec.structs.astuple(self))


class Snapshot(msgspec.Struct, frozen=True):
    """The state of the table before the first message."""

    moment: datetime
    """By the database's clock; rows written later belong to the drain."""
    prefilled: tuple[int, int]
    """The number of rows, and the sum of their hashes."""


async def take_snapshot(database_url: str) -> Snapshot:
    """The state of the table now."""
    connection = await _connect(database_url)
    try:
        moment = await connection.fetchval("SELECT clock_timestamp()")
        return Snapshot(moment, await _prefilled(connection, moment))
    finally:
        await connection.close()


async def check_backlog(database_url: str, load: BacklogLoad, before: Snapshot) -> CheckResult:
    """Compares table, view and quarantine with the backlog, and all other rows with the snapshot.

    The view is not read if the table was prefilled: a DISTINCT ON over all rows says nothing about the drain.
    """
    connection = await _connect(database_url)
    try:
        wrong_objects = 0
        wrong_versions = await differences(load.versions(), _stored(connection, _VERSIONS, before.moment, VersionRow))
        if not before.prefilled[0]:
            wrong_objects = await differences(load.objects(), _stored(connection, _OBJECTS, before.moment, ObjectRow))
        quarantined = await connection.fetchval(_QUARANTINED)
        prefilled = await _prefilled(connection, before.moment)
    finally:
        await connection.close()
    lost = abs(load.quarantined - quarantined)
    return CheckResult(wrong_versions, wrong_objects, lost, changed_prefilled_rows=int(prefilled != before.prefilled))


async def check_partial_drain(database_url: str, load: BacklogLoad, deleted: int) -> CheckResult:
    """Compares the table with a backlog of which only a part has been drained.

    Args:
        database_url: the table; it was empty before.
        load: the backlog.
        deleted: how many of its messages have left the queue; each must have its row.
    """
    connection = await _connect(database_url)
    try:
        long_ago = datetime.min.replace(tzinfo=UTC)
        wrong, stored = await _unexpected(load.versions(), _stored(connection, _VERSIONS, long_ago, VersionRow))
        quarantined = await connection.fetchval(_QUARANTINED)
    finally:
        await connection.close()
    return CheckResult(wrong + quarantined, 0, max(0, deleted - (stored - wrong)))


async def _unexpected(expected: Iterator[Row], stored: AsyncIterator[Row]) -> tuple[int, int]:
    """The number of rows that differ from the expected row of their key, or have none; and the number of all rows."""
    wrong, count, wanted = 0, 0, next(expected, None)
    async for row in stored:
        while wanted is not None and _key(wanted) < _key(row):
            wanted = next(expected, None)
        count, wrong = count + 1, wrong + (wanted != row)
    return wrong, count


def of_comparison(comparison: Comparison) -> CheckResult:
    """The result of a paced load, whose log of sent messages was compared with the table."""
    return CheckResult(comparison.wrong_versions, comparison.wrong_objects, comparison.lost)


async def differences(expected: Iterator[Row], stored: AsyncIterator[Row]) -> int:
    """The number of wrong rows: those on one side only, and those that differ, each counted once."""
    wrong, wanted = 0, next(expected, None)
    async for row in stored:
        while wanted is not None and _key(wanted) < _key(row):
            wrong, wanted = wrong + 1, next(expected, None)
        if wanted is None or _key(wanted) > _key(row):
            wrong += 1
        else:
            wrong, wanted = wrong + (wanted != row), next(expected, None)
    return wrong + (wanted is not None) + sum(1 for _ in expected)


def _key(row: VersionRow | ObjectRow) -> tuple[str, str, str]:
    return (row.bucket, row.key, row.version_id)


async def _stored(
    connection: asyncpg.Connection[Any], query: str, moment: datetime, kind: Callable[..., Row]
) -> AsyncIterator[Row]:
    async with connection.transaction():
        async for record in connection.cursor(query, moment, prefetch=_ROWS_AT_ONCE):
            yield kind(*record)


async def _prefilled(connection: asyncpg.Connection[Any], moment: datetime) -> tuple[int, int]:
    record = await connection.fetchrow(_PREFILLED, moment)
    assert record is not None
    return int(record[0]), int(record[1])


async def _connect(database_url: str) -> asyncpg.Connection[Any]:
    connection: asyncpg.Connection[Any] = await asyncpg.connect(
        database_url, timeout=10, command_timeout=_COMMAND_TIMEOUT_SECONDS
    )
    return connection
