"""The real index as an `Index`: the real upsert, a cursor over the primary key, and the real view."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import asyncpg

from subscriber.adapters.postgres.store import PostgresStore
from subscriber.model import IndexedVersion, KeyRange, ObjectEvent
from testkit.reconcile.model_index import Identity
from testkit.workload.bucket import ObjectRow, VersionRow

Connection: TypeAlias = "asyncpg.Connection[Any]"

_PAGE: Final = """
SELECT key, version_id, state, sequencer, size_bytes, etag, event_time, ingested_at FROM object_versions
WHERE bucket = $1 AND (key, version_id) > ($2, $3) AND key > $4 AND ($5::text IS NULL OR key <= $5)
ORDER BY key, version_id LIMIT $6
"""
_VERSIONS: Final = """
SELECT bucket, key, version_id, state, size_bytes, etag FROM object_versions WHERE bucket = $1 ORDER BY key, version_id
"""
_REMOVED: Final = """
SELECT key, version_id FROM object_versions WHERE bucket = $1 AND state = 'removed' AND version_id <> ''
"""
_OBJECTS: Final = "SELECT bucket, key, version_id, size_bytes, etag FROM objects WHERE bucket = $1 ORDER BY key"


class PostgresIndex:
    """The rows of one bucket.

    Args:
        store: Writes them.
        connection: Reads them; its search path is the store's schema.
        bucket: Its name.
        now: The simulated time. The server's own times, of the same machine's clock, are converted to it.
    """

    def __init__(self, store: PostgresStore, connection: Connection, bucket: str, now: Callable[[], datetime]) -> None:
        self._store = store
        self._connection = connection
        self._bucket = bucket
        self._now = now
        self._written_at: list[float] = []
        self._simulated_at: list[datetime] = []

    async def store(self, rows: Sequence[ObjectEvent]) -> int:
        """Upsert rows; return how many were applied."""
        self._written_at.append(time.time())
        self._simulated_at.append(self._now())
        return await self._store.store(rows)

    async def pages(self, keys: KeyRange, page_rows: int) -> AsyncIterator[Sequence[IndexedVersion]]:
        """The rows of a range in the order of the primary key, each page in a statement of its own."""
        after = ("", "")
        while page := await self._connection.fetch(_PAGE, self._bucket, *after, keys.after, keys.upto, page_rows):
            yield [self._indexed(row) for row in page]
            after = (page[-1]["key"], page[-1]["version_id"])

    async def versions(self) -> list[VersionRow]:
        """All rows, in key order."""
        return [VersionRow(*row) for row in await self._connection.fetch(_VERSIONS, self._bucket)]

    async def objects(self) -> list[ObjectRow]:
        """The rows of the view, in key order."""
        return [ObjectRow(*row) for row in await self._connection.fetch(_OBJECTS, self._bucket)]

    async def removed_for_good(self) -> frozenset[Identity]:
        """The tombstones of versions that are not the null version."""
        return frozenset((row[0], row[1]) for row in await self._connection.fetch(_REMOVED, self._bucket))

    def _indexed(self, row: Any) -> IndexedVersion:
        return IndexedVersion(
            key=row["key"],
            version_id=row["version_id"],
            state=row["state"],
            sequencer=row["sequencer"],
            size_bytes=row["size_bytes"],
            etag=row["etag"],
            event_time=row["event_time"],
            ingested_at=self._simulated(row["ingested_at"]),
        )

    def _simulated(self, ingested_at: datetime) -> datetime:
        """The simulated time of the write that took place then."""
        position = bisect_right(self._written_at, ingested_at.astimezone(UTC).timestamp())
        return self._simulated_at[position - 1]
