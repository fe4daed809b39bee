"""The queue of object versions whose metadata is to be asked for, and what was found.

A claim is a lease of a generation: the version's next change begins another generation, so a worker that was slow, or
was taken for dead, changes nothing any more. The result and the end of its row are one statement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.kept_connection import KeptConnection
from subscriber.adapters.postgres.statements import quoted, statement

TIMEOUT_SECONDS: Final = 30.0
"""For one call."""
PAGE_ROWS: Final = 5000
"""Of one statement that queues what is there already."""

_IF_DENIED: Final = "To ask for the metadata of objects, run config/sql/grants.sql again, or use the owner's role."


class ClaimedVersion(msgspec.Struct, frozen=True):
    """An object version that a worker has taken."""

    bucket: str
    key: str
    version_id: str
    """Empty for the null version."""
    generation: int
    attempts: int
    """This one included."""


class EnrichmentStatus(msgspec.Struct, frozen=True):
    """What waits, what was given up, and what this month has cost."""

    due: int
    """Versions that a worker may take at once."""
    later: int
    """Versions in work, and those that failed and are tried again."""
    given_up: int
    oldest_queued_at: datetime | None
    """Of those that are not given up."""
    enriched_estimate: int
    """Versions with metadata, by PostgreSQL's statistics."""
    month_requests: int
    """Of the fleet, in this month (UTC)."""
    errors: tuple[tuple[str, int], ...]
    """With how many versions have each, the most frequent first."""


class Enrichment:
    """The tables of a schema. Every method raises StoreError if the database fails; the caller may repeat it.

    The methods share one connection and take turns. Close it at the end.
    """

    def __init__(self, options: StoreOptions) -> None:
        self._schema = options.schema
        self._kept = KeptConnection(options, TIMEOUT_SECONDS, if_denied=_IF_DENIED)

    async def close(self) -> None:
        """Close the connection."""
        await self._kept.close()

    async def add(self, bucket: str, versions: Sequence[tuple[str, str]]) -> int:
        """Queue versions, given by key and version id, each once; return how many of them exist in the index."""
        keys, version_ids = [key for key, _ in versions], [version_id for _, version_id in versions]
        return await self._execute("add", bucket, keys, version_ids)

    async def claim(self, at_most: int, lease_seconds: float) -> list[ClaimedVersion]:
        """Take the newest due versions; after the lease another worker may take them."""
        async with self._kept.use() as connection:
            rows = await connection.fetch(self._sql("claim"), at_most, lease_seconds)
        return [ClaimedVersion(*row) for row in rows]

    async def store(self, version: ClaimedVersion, metadata: Mapping[str, object], etag: str) -> bool:
        """Store what S3 has answered for a version, and take it off the queue, in one transaction.

        Args:
            version: as it was claimed.
            metadata: the document.
            etag: of the object that the answer is about.

        Returns:
            False: nothing was stored, and the version stays in the queue: it has changed since the claim, or the index
            has another ETag than the answer.
        """
        text = msgspec.json.encode(metadata).decode()
        async with self._kept.use() as connection:
            is_done: bool = await connection.fetchval(self._sql("store"), *_place(version), text, etag)
        return is_done

    async def remove(self, version: ClaimedVersion) -> None:
        """S3 has no such version: take it off the queue, with its metadata, unless it has changed since the claim."""
        await self._execute("gone", *_place(version))

    async def fail(
        self, version: ClaimedVersion, error: str, retry_seconds: float | None, *, counts: bool = True
    ) -> None:
        """Note why a version has no metadata; it is due again after so many seconds, or given up (None).

        Unless it counts, the attempt is none of the version's.
        """
        await self._execute("fail", *_place(version), error.replace("\0", "\ufffd"), retry_seconds, counts)

    async def spend(self, requests: int) -> int:
        """Note requests to S3; how many the fleet has made in this month (UTC)."""
        async with self._kept.use() as connection:
            total: int = await connection.fetchval(self._sql("spend"), requests)
        return total

    async def status(self, errors_at_most: int) -> EnrichmentStatus:
        """The queue, and the most frequent errors of it; reads all of the queue."""
        table = f"{quoted(self._schema)}.object_metadata"
        async with self._kept.use() as connection:
            row = await connection.fetchrow(self._sql("status"), table)
            errors = await connection.fetch(self._sql("errors"), errors_at_most)
        due, later, given_up, oldest, estimate, requests = row or (0, 0, 0, None, 0, 0)
        return EnrichmentStatus(
            due, later, given_up, oldest, max(0, estimate), requests, tuple((error, count) for error, count in errors)
        )

    async def retry(self) -> int:
        """Make versions that were given up due again; how many there were."""
        return await self._execute("retry")

    async def queue_range(
        self, bucket: str, keys: tuple[str, str], *, again: bool, page_rows: int = PAGE_ROWS
    ) -> tuple[int, int]:
        """Queue what the index has in a range of keys, in pages.

        Args:
            bucket: whose.
            keys: the first key, and the first one behind the range.
            again: also versions whose metadata is known.
            page_rows: of a statement.

        Returns:
            How many versions were looked at, and how many of them are queued now and were not before.
        """
        after, seen, queued = ("", ""), 0, 0
        while True:
            async with self._kept.use() as connection:
                row = await connection.fetchrow(self._sql("page"), bucket, *keys, *after, page_rows, again)
            if row is None:
                return seen, queued
            after, seen, queued = (row["key"], row["version_id"]), seen + row["seen"], queued + row["queued"]

    async def _execute(self, name: str, *parameters: object) -> int:
        async with self._kept.use() as connection:
            status = await connection.execute(self._sql(name), *parameters)
        return int(status.rpartition(" ")[2])

    def _sql(self, name: str) -> str:
        return statement(f"enrichment_{name}", self._schema)


def _place(version: ClaimedVersion) -> tuple[str, str, str, int]:
    return version.bucket, version.key, version.version_id, version.generation
