"""Reads what is known of each bucket, for `subscriber buckets`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.session import session
from subscriber.adapters.postgres.statements import statement
from subscriber.buckets import BucketEvents, BucketJob

TIMEOUT_SECONDS = 60.0
JOBS_AT_MOST = 20
"""Jobs of a whole bucket that are looked at: half a year of a weekly schedule, with some by hand."""
PREFIXES_AT_MOST = 50
"""Prefixes of a bucket whose jobs are looked at, the first by name."""
_IF_DENIED = "To read what is known of the buckets, run config/sql/grants.sql again, or use the owner's role."


class BucketsTable:
    """Every method raises StoreError if the database fails, and opens a connection of its own."""

    def __init__(self, options: StoreOptions) -> None:
        self._options = options

    async def events(self, at_most: int, named: Sequence[str]) -> list[BucketEvents]:
        """The first buckets that are known from anywhere, or that are `named`, ordered by name."""
        async with session(self._options, TIMEOUT_SECONDS, if_denied=_IF_DENIED) as connection:
            text = statement("buckets_list", self._options.schema)
            return [BucketEvents(*row) for row in await connection.fetch(text, at_most, [*named])]

    async def jobs(self, buckets: Sequence[str]) -> list[BucketJob]:
        """The jobs that tell how complete the index is of these buckets; of each bucket and prefix the oldest first."""
        async with session(self._options, TIMEOUT_SECONDS, if_denied=_IF_DENIED) as connection:
            text = statement("buckets_jobs", self._options.schema)
            rows = await connection.fetch(text, [*buckets], JOBS_AT_MOST, PREFIXES_AT_MOST)
        return [BucketJob(*row) for row in rows]

    async def now(self) -> datetime:
        """The time by the clock of the database, by which all these times are."""
        async with session(self._options, TIMEOUT_SECONDS) as connection:
            time: datetime = await connection.fetchval("SELECT now()")
        return time
