"""The table against the truth, row by row, in one walk over both: a million rows need the memory of a thousand.

Both sides come in the order of the primary key. PostgreSQL compares text under COLLATE "C" byte by byte, Python
by code points; for UTF-8 that is the same order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import asyncpg
import msgspec

from testkit.checker.compare import Verdict
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
_RESIDENTS: Final = """
SELECT count(*), coalesce(sum(hashtextextended(concat(bucket, key, version_id, state, sequencer, etag), size_bytes)), 0)
FROM subscriber.object_versions WHERE ingested_at <= $1
"""
_QUARANTINED: Final = "SELECT count(*) FROM subscriber.quarantined_messages"
_ROWS_AT_ONCE = 5_000
_COMMAND_TIMEOUT_SECONDS = 300.0

Row = TypeVar("Row", VersionRow, ObjectRow)


class CheckResult(msgspec.Struct, frozen=True):
    """What is wrong after a drain; all zeros mean that nothing is."""

    wrong_versions: int
    """Rows that are missing, that differ, or that should not be."""
    wrong_objects: int
    """The same in the view."""
    lost: int
    """Messages of which there is no trace, among them unreadable ones that are not in the quarantine."""
    disturbed_residents: int = 0
    """1 if the rows that were there before are not what they were."""
    left_in_queue: int = 0
    dead_letters: int = 0

    @property
    def is_flawless(self) -> bool:
        """Nothing lost, nothing wrong, nothing left."""
        return not any(msgspec.structs.astuple(self))


class Before(msgspec.Struct, frozen=True):
    """What the table held before the first message."""

    moment: datetime
    """Of the database's clock; rows written later belong to the drain."""
    residents: tuple[int, int]
    """How many rows there were, and the sum of their hashes."""


async def look_before(database_url: str) -> Before:
    """Notes what is there."""
    connection = await _connect(database_url)
    try:
        moment = await connection.fetchval("SELECT clock_timestamp()")
        return Before(moment, await _residents(connection, moment))
    finally:
        await connection.close()


async def judge_backlog(database_url: str, load: BacklogLoad, before: Before) -> CheckResult:
    """Compares table, view and quarantine with what the backlog told, and the rest with what it was before.

    The view is not read where there were rows before: a DISTINCT ON over all of them says nothing about the drain.
    """
    connection = await _connect(database_url)
    try:
        wrong_objects = 0
        wrong_versions = await differences(load.versions(), _held(connection, _VERSIONS, before.moment, VersionRow))
        if not before.residents[0]:
            wrong_objects = await differences(load.objects(), _held(connection, _OBJECTS, before.moment, ObjectRow))
        quarantined = await connection.fetchval(_QUARANTINED)
        residents = await _residents(connection, before.moment)
    finally:
        await connection.close()
    lost = abs(load.quarantined - quarantined)
    return CheckResult(wrong_versions, wrong_objects, lost, disturbed_residents=int(residents != before.residents))


async def judge_part(database_url: str, load: BacklogLoad, deleted: int) -> CheckResult:
    """Compares the table with a backlog that has not been drained to its end.

    Args:
        database_url: the table; it was empty before.
        load: the backlog.
        deleted: how many of its messages are gone from the queue; each of them must have its row.
    """
    connection = await _connect(database_url)
    try:
        long_ago = datetime.min.replace(tzinfo=UTC)
        wrong, stored = await _strangers(load.versions(), _held(connection, _VERSIONS, long_ago, VersionRow))
        quarantined = await connection.fetchval(_QUARANTINED)
    finally:
        await connection.close()
    return CheckResult(wrong + quarantined, 0, max(0, deleted - (stored - wrong)))


async def _strangers(expected: Iterator[Row], held: AsyncIterator[Row]) -> tuple[int, int]:
    """How many rows differ from the expected one of their place, or have none; and how many rows there are."""
    wrong, stored, mine = 0, 0, next(expected, None)
    async for row in held:
        while mine is not None and _place(mine) < _place(row):
            mine = next(expected, None)
        stored, wrong = stored + 1, wrong + (mine != row)
    return wrong, stored


def of_verdict(verdict: Verdict) -> CheckResult:
    """The same words for what the record of a paced load and the simulated buckets say."""
    return CheckResult(verdict.wrong_versions, verdict.wrong_objects, verdict.lost)


async def differences(expected: Iterator[Row], held: AsyncIterator[Row]) -> int:
    """How many rows one must look at: those on one side only, a row that differs counted once."""
    wrong, mine = 0, next(expected, None)
    async for row in held:
        while mine is not None and _place(mine) < _place(row):
            wrong, mine = wrong + 1, next(expected, None)
        if mine is None or _place(mine) > _place(row):
            wrong += 1
        else:
            wrong, mine = wrong + (mine != row), next(expected, None)
    return wrong + (mine is not None) + sum(1 for _ in expected)


def _place(row: VersionRow | ObjectRow) -> tuple[str, str, str]:
    return (row.bucket, row.key, row.version_id)


async def _held(
    connection: asyncpg.Connection[Any], query: str, moment: datetime, kind: Callable[..., Row]
) -> AsyncIterator[Row]:
    async with connection.transaction():
        async for record in connection.cursor(query, moment, prefetch=_ROWS_AT_ONCE):
            yield kind(*record)


async def _residents(connection: asyncpg.Connection[Any], moment: datetime) -> tuple[int, int]:
    record = await connection.fetchrow(_RESIDENTS, moment)
    assert record is not None
    return int(record[0]), int(record[1])


async def _connect(database_url: str) -> asyncpg.Connection[Any]:
    connection: asyncpg.Connection[Any] = await asyncpg.connect(
        database_url, timeout=10, command_timeout=_COMMAND_TIMEOUT_SECONDS
    )
    return connection
