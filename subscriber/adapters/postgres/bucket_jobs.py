"""What the tables of jobs say about whole buckets: when each was last compared with the index, and what was found."""

from __future__ import annotations

from collections.abc import Sequence

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.kept_connection import KeptConnection
from subscriber.adapters.postgres.statements import statement
from subscriber.jobs import BucketJobs

TIMEOUT_SECONDS = 30.0
_IF_DENIED = "To read the jobs, run config/sql/grants.sql again, or use the owner's role."


class BucketJobsTable:
    """Every method raises StoreError if the database fails. Close it at the end."""

    def __init__(self, options: StoreOptions) -> None:
        self._schema = options.schema
        self._kept = KeptConnection(options, TIMEOUT_SECONDS, if_denied=_IF_DENIED)

    async def close(self) -> None:
        """Close the connection; a later call opens another."""
        await self._kept.close()

    async def of(self, buckets: Sequence[str], creator: str) -> list[BucketJobs]:
        """The jobs of each bucket, ordered by its name.

        Args:
            buckets: their names, each once.
            creator: how `created_by` of a job begins that may be gone on with.
        """
        async with self._kept.use() as connection:
            rows = await connection.fetch(statement("jobs_of_buckets", self._schema), list(buckets), creator)
        return [BucketJobs(*row) for row in rows]

    async def indexed_buckets(self, at_most: int) -> list[str]:
        """The first buckets that have rows in the index, ordered by name."""
        async with self._kept.use() as connection:
            rows = await connection.fetch(statement("check_buckets", self._schema), at_most)
        return [row["bucket"] for row in rows]
