"""Whether the index is equal to the bucket, row by row, and which rows a repair has written; it uses no code of either.

A bucket of millions of keys is compared block by block. What has changed is listed anew, by the standard library.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final, TypeAlias

import asyncpg
import msgspec

from benchmarks.reconcile.changes import LiveKeys
from benchmarks.reconcile.parts import BUCKET, TABLE, Parts
from testkit.s3.entries import NULL_VERSION
from testkit.s3.generated import GeneratedBucket, GeneratedPlan
from testkit.s3.raw_client import RawS3

Shown: TypeAlias = tuple[str, int | None, str | None, bool]
"""State, size, ETag, and whether readers see the version: the newest, and no delete marker."""
Rows: TypeAlias = dict[tuple[str, str], Shown]

_LISTED: Final = "Observed:List"
"""Event name of the rows that a repair writes, until an event about the same version comes."""
_AFTER_ALL: Final = "\U0010ffff"
_RANGE: Final = "bucket = $1 AND key >= $2 AND key < $3"
_ROWS: Final = f"SELECT key, version_id, state, size_bytes, etag FROM {TABLE} WHERE {_RANGE} AND state <> 'removed'"
_SEEN: Final = f"SELECT key, version_id FROM subscriber.objects WHERE {_RANGE}"
_REPAIRED: Final = (
    f"SELECT DISTINCT key FROM {TABLE} WHERE bucket = $1 AND event_name = '{_LISTED}' AND ingested_at >= $2"
)


class Differences(msgspec.Struct, frozen=True):
    """What is wrong after a repair; both must be 0."""

    unequal: int
    """Versions that the index has and the bucket has not, or the other way round, or with other values."""
    repaired: int
    """Keys that a repair has written although neither drift was planted in them nor an event was under way."""


async def differences(
    parts: Parts, plan: GeneratedPlan, live: LiveKeys, planted: Collection[str], since: datetime
) -> Differences:
    """Compare everything.

    Args:
        parts: the servers; nothing changes any more.
        plan: of the bucket.
        live: the keys that changed.
        planted: the keys in which drift was planted.
        since: by the clock of the database, when the repair had not begun.
    """
    bucket, unequal, rows = GeneratedBucket(plan), 0, 0
    connection = await asyncpg.connect(parts.database_url)
    try:
        for block in range(bucket.blocks):
            prefix = bucket.prefix(block)
            expected = _listed(parts, prefix) if block in live.blocks else _generated(bucket, block)
            stored = await _stored(connection, prefix)
            unequal += len(dict(expected.items() ^ stored.items()))
            rows += len(stored)
        total = await connection.fetchval(f"SELECT count(*) FROM {TABLE} WHERE state <> 'removed'")
        repaired = {row["key"] for row in await connection.fetch(_REPAIRED, BUCKET, since)}
    finally:
        await connection.close()
    # A key whose event is under way is added early, with its whole stack; the event comes and wins.
    return Differences(unequal + total - rows, len(repaired - set(planted) - set(live.stacks())))


async def _stored(connection: asyncpg.Connection[asyncpg.Record], prefix: str) -> Rows:
    parameters = (BUCKET, prefix, prefix + _AFTER_ALL)
    seen = {(record[0], record[1]) for record in await connection.fetch(_SEEN, *parameters)}
    return {
        (record[0], record[1]): (record[2], record[3], record[4], (record[0], record[1]) in seen)
        for record in await connection.fetch(_ROWS, *parameters)
    }


def _generated(bucket: GeneratedBucket, block: int) -> Rows:
    return {
        (entry.key.decode(), "" if entry.version_id == NULL_VERSION else entry.version_id): (
            ("delete_marker", None, None, False)
            if entry.is_marker
            else ("present", entry.size_bytes, entry.etag, entry.is_latest)
        )
        for entry in bucket.entries_of(block)
    }


def _listed(parts: Parts, prefix: str) -> Rows:
    with RawS3(parts.server.endpoint_url) as client:
        pages = client.pages(BUCKET, {"versions": "", "prefix": prefix, "encoding-type": "url"})
        entries = [entry for page in pages for entry in page.entries]
    return {
        (entry.key, entry.version_id): (
            ("delete_marker", None, None, False)
            if entry.is_marker
            else ("present", entry.size_bytes, entry.etag, entry.is_latest)
        )
        for entry in entries
    }
