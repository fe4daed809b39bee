"""The feature `history`: its partitions, tended by daemons, and what readers ask of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Final

from subscriber.adapters.postgres.connection import Connection
from subscriber.adapters.postgres.reader import Reader
from subscriber.adapters.postgres.statements import quoted, statement
from subscriber.changes import Change, Difference, TendedDays

DAYS_AHEAD: Final = 3
"""Days after today that have a partition: time for an operator to notice that none is made any more."""
_BATCH_ROWS: Final = 1000
_STEP_ROWS: Final = 2000
"""Versions, and changes, of one step through a prefix as of a moment: some hundredths of a second."""


class HistoryDays:
    """Makes partitions of the history ahead, and drops those that are old.

    Args:
        lend: lends a connection, as PostgresStore.noting does.
        schema: of the history.
    """

    def __init__(self, lend: Callable[[], AbstractAsyncContextManager[Connection]], schema: str) -> None:
        self._lend = lend
        self._text = f"SELECT made, dropped, days_ahead FROM {quoted(schema)}.tend_history($1::integer)"  # noqa: S608 - quoted

    async def tend(self) -> TendedDays:
        """Make and drop what is due; nothing, while the feature is off or another session does it.

        Raises:
            StoreError: nothing was changed; with RECONNECT the outcome is unknown.
        """
        async with self._lend() as connection:
            row = await connection.fetchrow(self._text, DAYS_AHEAD)
        return TendedDays(0, 0, None) if row is None else TendedDays(*row)


async def changes(reader: Reader, schema: str, bucket: str, keys: tuple[str, str | None], at_most: int) -> list[Change]:
    """The newest changes of keys from one to before another, or of one alone, the newest first.

    Raises:
        StoreError: the database failed, or it took too long.
    """
    rows = await reader.fetch(statement("history_of", schema), (bucket, *keys, at_most))
    return [Change(*row) for row in rows]


async def differences(
    reader: Reader, schema: str, bucket: str, prefix: str, moments: tuple[datetime, datetime]
) -> AsyncGenerator[list[Difference], None]:
    """The objects below a prefix that differ between two moments, in the order of keys, in batches.

    Raises:
        StoreError: the database failed, or a batch took too long.
    """
    text = statement("history_diff", schema)
    async for rows in reader.batches(text, (bucket, prefix, *moments), _BATCH_ROWS):
        yield [Difference(*row) for row in rows]


async def step_end(reader: Reader, schema: str, bucket: str, keys: tuple[str, str], moment: datetime) -> str | None:
    """The last key of the next step from the first of these keys to before the second; None: take all that is left.

    Raises:
        StoreError: the database failed, or it took too long.
    """
    rows = await reader.fetch(statement("history_step", schema), (bucket, *keys, moment, _STEP_ROWS))
    last_key: str | None = rows[0][0]
    return last_key
