"""Was anything lost? The table against the bucket, and every single message against the table.

Two questions that do not know of each other: does the index hold what the simulated buckets hold, row by row;
and is each message that the queue accepted accounted for, stored or outdone by a newer event of its row, or in
the quarantine, or without anything for the index.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias, TypeVar

import asyncpg
import msgspec

from testkit.workload.bucket import ObjectRow, SimulatedBucket, VersionRow
from testkit.workload.send_log import Sent

_VERSIONS: Final = """
SELECT bucket, key, version_id, state, size_bytes, etag, sequencer,
       extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 AS committed_at
FROM subscriber.object_versions
"""
_OBJECTS: Final = "SELECT bucket, key, version_id, size_bytes, etag FROM subscriber.objects"
_QUARANTINE: Final = "SELECT message_id FROM subscriber.quarantined_messages"
_COMMAND_TIMEOUT_SECONDS = 60.0

Version: TypeAlias = tuple[str, str, str]
Row = TypeVar("Row", VersionRow, ObjectRow)


class StoredRow(msgspec.Struct, frozen=True, gc=False):
    """A row of `object_versions`, and when it was committed."""

    row: VersionRow
    sequencer: str
    committed_at: float
    """Unix seconds."""


class Stored(msgspec.Struct, frozen=True):
    """What the database holds."""

    versions: dict[Version, StoredRow]
    objects: frozenset[ObjectRow]
    quarantined: frozenset[str]
    """Message ids."""


class Verdict(msgspec.Struct, frozen=True):
    """What became of everything that was sent."""

    sent: int
    committed: int
    """Messages whose event is in the table, or outdone there by a newer one."""
    quarantined: int
    without_row: int
    """Messages that say nothing about existence."""
    lost: int
    """Messages of which there is no trace."""
    wrong_versions: int
    """Rows that are missing, that differ, or that should not be."""
    wrong_objects: int
    """The same in the view."""

    @property
    def is_flawless(self) -> bool:
        """Nothing lost and nothing wrong."""
        return not (self.lost or self.wrong_versions or self.wrong_objects)


async def read_stored(database_url: str) -> Stored:
    """Everything the daemon has written.

    Raises:
        asyncpg.PostgresError: the database has no such tables, or tracks no commit times.
    """
    connection = await asyncpg.connect(database_url, timeout=10, command_timeout=_COMMAND_TIMEOUT_SECONDS)
    try:
        versions = [
            StoredRow(VersionRow(*record[:6]), record["sequencer"], record["committed_at"])
            for record in await connection.fetch(_VERSIONS)
        ]
        objects = frozenset(ObjectRow(*record) for record in await connection.fetch(_OBJECTS))
        quarantined = frozenset(record["message_id"] for record in await connection.fetch(_QUARANTINE))
    finally:
        await connection.close()
    by_version = {(each.row.bucket, each.row.key, each.row.version_id): each for each in versions}
    return Stored(by_version, objects, quarantined)


def judge(sent: Sequence[Sent], stored: Stored, buckets: Iterable[SimulatedBucket]) -> Verdict:
    """Compares what was sent, what the buckets hold, and what the database holds."""
    buckets = tuple(buckets)
    expected = frozenset(row for bucket in buckets for row in bucket.expected_versions())
    listed = frozenset(row for bucket in buckets for row in bucket.expected_objects())
    held = frozenset(each.row for each in stored.versions.values())
    events = [message for message in sent if message.bucket]
    undecodable = [message for message in sent if message.is_undecodable]
    committed = sum(_is_accounted_for(message, stored.versions) for message in events)
    quarantined = sum(message.message_id in stored.quarantined for message in undecodable)
    return Verdict(
        sent=len(sent),
        committed=committed,
        quarantined=quarantined,
        without_row=len(sent) - len(events) - len(undecodable),
        lost=len(events) - committed + len(undecodable) - quarantined,
        wrong_versions=_wrong(expected, held),
        wrong_objects=_wrong(listed, stored.objects),
    )


def _is_accounted_for(message: Sent, rows: Mapping[Version, StoredRow]) -> bool:
    row = rows.get(message.version)
    return row is not None and row.sequencer >= message.sequencer


def _wrong(expected: frozenset[Row], held: frozenset[Row]) -> int:
    """How many rows one must look at: those on one side only, a row that differs counted once."""
    return len({(row.bucket, row.key, row.version_id) for row in expected ^ held})
