"""Compares the stored rows with the simulated buckets, and every sent message with the stored rows.

The two comparisons are independent of each other. First: the index holds the rows of the simulated buckets. Second:
each message that the queue accepted is accounted for: its event is stored or superseded by a newer event of its row,
its body is in the quarantine, or it has nothing for the index.
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
    """The contents of the database."""

    versions: dict[Version, StoredRow]
    objects: frozenset[ObjectRow]
    quarantined: frozenset[str]
    """Message ids."""


class Comparison(msgspec.Struct, frozen=True):
    """What became of all sent messages."""

    sent: int
    committed: int
    """Messages whose event is in the table, or superseded there by a newer one."""
    quarantined: int
    without_row: int
    """Messages without anything for the index."""
    lost: int
    """Messages that are neither stored nor quarantined."""
    wrong_versions: int
    """Rows that are missing, differ, or should not exist."""
    wrong_objects: int
    """The same for the view `objects`."""

    @property
    def is_flawless(self) -> bool:
        """Whether nothing is lost and nothing is wrong."""
        return not (self.lost or self.wrong_versions or self.wrong_objects)


async def read_stored(database_url: str) -> Stored:
    """Read all rows and quarantined message ids.

    Raises:
        asyncpg.PostgresError: the tables are missing, or the server does not track commit timestamps.
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


def compare(sent: Sequence[Sent], stored: Stored, buckets: Iterable[SimulatedBucket]) -> Comparison:
    """Compare the sent messages and the buckets with the contents of the database."""
    buckets = tuple(buckets)
    expected = frozenset(row for bucket in buckets for row in bucket.expected_versions())
    listed = frozenset(row for bucket in buckets for row in bucket.expected_objects())
    held = frozenset(each.row for each in stored.versions.values())
    events = [message for message in sent if message.bucket]
    undecodable = [message for message in sent if message.is_undecodable]
    committed = sum(_is_accounted_for(message, stored.versions) for message in events)
    quarantined = sum(message.message_id in stored.quarantined for message in undecodable)
    return Comparison(
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
    """The number of keys whose rows differ or exist on one side only; a row that differs counts once."""
    return len({(row.bucket, row.key, row.version_id) for row in expected ^ held})
