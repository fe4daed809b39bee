"""The kept messages, as they are looked through and marked by hand: page by page, a connection for each errand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.session import session
from subscriber.adapters.postgres.statements import statement

PAGE_BYTES = 8_388_608
"""Bodies of one page together; a single one has a megabyte at most (SQS quotas)."""

_ERRAND_SECONDS = 60.0
"""A filter may have to look at every message that is kept."""


_IF_DENIED = (
    "The quarantine is read and marked by the owner of its table, not by the daemon's writer: run this as that role."
)


class Filters(msgspec.Struct, frozen=True):
    """Which messages are meant; what is None lets all through."""

    reasons: tuple[str, ...] | None = None
    queue: str | None = None
    """Its URL, or its name."""
    before: datetime | None = None
    """Quarantined earlier than this."""
    since: datetime | None = None
    is_replayed: bool | None = None


class Kept(msgspec.Struct, frozen=True):
    """A message in quarantine."""

    queue: str
    message_id: str
    reason: str
    detail: str
    body: bytes
    """UTF-8, with surrogates encoded as if they were characters."""
    receive_count: int
    quarantined_at: datetime
    replayed_at: datetime | None
    replayed_by: str | None

    @property
    def place(self) -> tuple[str, str]:
        """Where it is in the order of pages."""
        return self.queue, self.message_id


class ReasonCount(msgspec.Struct, frozen=True):
    """How many messages are kept for a reason."""

    reason: str
    waiting: int
    replayed: int
    oldest: datetime
    newest: datetime


class Quarantine:
    """Every call raises StoreError where the database refuses, and holds no connection afterwards."""

    def __init__(self, options: StoreOptions) -> None:
        self._options = options

    async def page(self, filters: Filters, behind: tuple[str, str], at_most: int) -> list[Kept]:
        """The messages behind a place, in order; empty at the end. The first page is behind ("", "")."""
        given = (*behind, *_parameters(filters), at_most, PAGE_BYTES)
        async with session(self._options, _ERRAND_SECONDS, if_denied=_IF_DENIED) as connection:
            rows = await connection.fetch(statement("quarantine_page", self._options.schema), *given)
        return [Kept(*row) for row in rows]

    async def counts(self, filters: Filters) -> list[ReasonCount]:
        """How many there are for each reason, the most first."""
        async with session(self._options, _ERRAND_SECONDS, if_denied=_IF_DENIED) as connection:
            text = statement("quarantine_counts", self._options.schema)
            return [ReasonCount(*row) for row in await connection.fetch(text, *_parameters(filters))]

    async def find(self, message_id: str, queue: str | None) -> list[Kept]:
        """The messages of an id: one, unless two queues chose the same."""
        async with session(self._options, _ERRAND_SECONDS, if_denied=_IF_DENIED) as connection:
            text = statement("quarantine_find", self._options.schema)
            return [Kept(*row) for row in await connection.fetch(text, message_id, queue)]

    async def mark(self, replayed: Sequence[Kept], by: str) -> int:
        """Say of messages that they were written after all; how many nobody had said it of before."""
        if not replayed:
            return 0
        queues, ids = zip(*(kept.place for kept in replayed), strict=True)
        async with session(self._options, _ERRAND_SECONDS, if_denied=_IF_DENIED) as connection:
            status = await connection.execute(statement("quarantine_mark", self._options.schema), queues, ids, by)
        return int(status.rpartition(" ")[2])


def _parameters(filters: Filters) -> tuple[object, ...]:
    return filters.reasons, filters.queue, filters.before, filters.since, filters.is_replayed
