"""Questions to the history: changes of a key, and what differs between two moments; only since it is complete."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.features import enabled_features
from subscriber.adapters.postgres.history import changes, differences
from subscriber.adapters.postgres.reader import Reader
from subscriber.changes import Change, Difference
from subscriber.features import EnabledFeature
from subscriber.query.patterns import prefix_end
from subscriber.query.search_query import Moment, QueryError, at

_OFF: Final = "the history is off: `subscriber features enable history` keeps every change from then on"


class HistoryReader:
    """Reads the history through one connection. Every method raises StoreError if the database fails.

    Args:
        options: how to connect; a replica will do.
        timeout_seconds: for one statement.
    """

    def __init__(self, options: StoreOptions, timeout_seconds: float) -> None:
        self._schema = options.schema
        self._reader = Reader(options, timeout_seconds)

    async def close(self) -> None:
        """Close the connection."""
        await self._reader.close()

    async def since(self) -> datetime:
        """From when on the history is complete.

        Raises:
            QueryError: it is off.
        """
        return complete_since((await enabled_features(self._reader, self._schema)).get("history"))

    async def of(self, bucket: str, key: str, at_most: int, *, below: bool) -> list[Change]:
        """The newest changes of a key, or with `below` of all keys that begin with it, the newest first."""
        return await changes(self._reader, self._schema, bucket, (key, prefix_end(key) if below else None), at_most)

    async def diff(self, bucket: str, prefix: str, first: Moment, second: Moment) -> AsyncGenerator[list[Difference]]:
        """The objects below a prefix that differ between two moments, in the order of keys, in batches.

        Raises:
            QueryError: the history is off, or does not reach back so far, or the moments are the wrong way round.
        """
        now, since = datetime.now(UTC), await self.since()
        moments = at(first, now), at(second, now)
        for moment in moments:
            require_known(moment, since)
        if moments[1] < moments[0]:
            raise QueryError("the second moment is before the first: write the older one first")
        async with aclosing(differences(self._reader, self._schema, bucket, prefix, moments)) as batches:
            async for batch in batches:
                yield batch


@asynccontextmanager
async def opened_history(options: StoreOptions, timeout_seconds: float) -> AsyncIterator[HistoryReader]:
    """A reader of the history, closed at the end of the block."""
    reader = HistoryReader(options, timeout_seconds)
    try:
        yield reader
    finally:
        await reader.close()


def complete_since(feature: EnabledFeature | None) -> datetime:
    """From when on the history is complete, by its row.

    Raises:
        QueryError: it is off.
    """
    if feature is None or feature.ready_at is None:
        raise QueryError(_OFF)
    return feature.ready_at


def require_known(moment: datetime, since: datetime) -> None:
    """Refuse a moment of which the history cannot tell.

    Raises:
        QueryError: it is before the history is complete.
    """
    if moment < since:
        raise QueryError(
            f"the history does not reach back to {moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC: "
            f"it is complete since {since.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f} UTC"
        )
