"""The counters of the feature `usage`: asked by readers, folded by daemons, counted anew by the owner."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from subscriber.adapters.postgres.connection import Connection, StoreOptions
from subscriber.adapters.postgres.reader import Reader
from subscriber.adapters.postgres.session import session
from subscriber.adapters.postgres.statements import quoted, statement
from subscriber.errors import ConfigurationError
from subscriber.features import Usage, UsageDifference

COUNT_SECONDS: Final = 24 * 3600.0
"""A day, in which more than ten billion rows are read."""
DIFFERENCES_AT_MOST: Final = 1000
_POLL_SECONDS: Final = 0.5
_FIELDS: Final = len(Usage.__struct_fields__)
_HAVE_ENDED: Final = "SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $1::text::xid8"
_IF_DENIED: Final = "Only the owner of the tables can count anew: run this as that role."


class UsageFold:
    """Folds deltas into totals.

    Args:
        lend: lends a connection, as PostgresStore.noting does.
        schema: of the counters.
    """

    def __init__(self, lend: Callable[[], AbstractAsyncContextManager[Connection]], schema: str) -> None:
        self._lend = lend
        self._text = f"SELECT deltas, touched FROM {quoted(schema)}.fold_usage($1::integer)"  # noqa: S608 - quoted

    async def fold(self, rows_at_most: int) -> tuple[int, int]:
        """Fold so many rows at most of each kind; how many deltas and how many noted keys there were.

        Nothing, while the feature is off or another session folds.

        Raises:
            StoreError: nothing was folded; with RECONNECT the outcome is unknown.
        """
        async with self._lend() as connection:
            row = await connection.fetchrow(self._text, rows_at_most)
        return (0, 0) if row is None else (row["deltas"], row["touched"])


async def usage_by_folder(reader: Reader, schema: str, bucket: str, prefix: str, depth: int) -> list[tuple[str, Usage]]:
    """The exact usage of folders that begin with a prefix, gathered to a depth, in the order of their names.

    Raises:
        StoreError: the database failed.
    """
    rows = await reader.fetch(statement("usage_du", schema), (bucket, prefix, depth))
    return [(row[0], _usage(row[1:])) for row in rows]


async def usage_by_scan(reader: Reader, schema: str, bucket: str, keys: tuple[str, str]) -> Usage:
    """The exact usage of a range of keys, from the first to before the second, by reading all of it.

    Raises:
        StoreError: the database failed, or it took too long.
    """
    (row,) = await reader.fetch(statement("usage_scan", schema), (bucket, *keys))
    return _usage(row)


async def count_anew(options: StoreOptions) -> list[UsageDifference]:
    """Count all rows, put that in the place of the counters, and return where they had differed; the first 1,000.

    Writers go on meanwhile. It waits until every transaction has ended that ran when it began.

    Raises:
        ConfigurationError: a transaction pooler is in between.
        StoreError: the database failed.
    """
    if options.pooler != "none":
        raise ConfigurationError(
            "rows are counted in a transaction that waits for others first, which a pooler in transaction mode cannot "
            "do: let SUBSCRIBER_DATABASE_URL name the database itself, without SUBSCRIBER_DATABASE_POOLER"
        )
    async with session(options, COUNT_SECONDS, if_denied=_IF_DENIED) as connection:
        await connection.execute(statement("usage_flag", options.schema))
        await _wait_for_older_transactions(connection)
        async with connection.transaction(isolation="repeatable_read"):
            await connection.execute(f"LOCK TABLE {quoted(options.schema)}.usage_state IN EXCLUSIVE MODE")
            await connection.execute(statement("usage_count", options.schema))
            rows = await connection.fetch(statement("usage_differences", options.schema), DIFFERENCES_AT_MOST)
            await connection.execute(statement("usage_replace", options.schema))
    return [UsageDifference(row[0], row[1], _usage([*row][2:-_FIELDS]), _usage([*row][-_FIELDS:])) for row in rows]


async def _wait_for_older_transactions(connection: Connection) -> None:
    """Wait until every transaction knows which buckets have versions."""
    limit = await connection.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
    while not await connection.fetchval(_HAVE_ENDED, limit):  # noqa: ASYNC110 - the condition is in the database
        await asyncio.sleep(_POLL_SECONDS)


def _usage(values: Sequence[Any]) -> Usage:
    return Usage(*map(int, values))
