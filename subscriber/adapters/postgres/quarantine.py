"""Reads and marks quarantined messages for the operator's commands, with a connection per call."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.session import session
from subscriber.adapters.postgres.statements import statement

PAGE_BYTES = 8_388_608
"""All bodies of one page; a single body has a megabyte at most (SQS quotas)."""

_TIMEOUT_SECONDS = 60.0
"""A filter may have to scan all quarantined messages."""

WAITING_COUNTED_AT_MOST = 10_000
_WAITING_TIMEOUT_SECONDS = 5.0

_IF_UNCOUNTABLE = "To count what waits in the quarantine, run config/sql/grants.sql again."

_IF_DENIED = (
    "Only the owner of the quarantine table can read and mark messages, not the daemon's writer: run this as that role."
)


class Filters(msgspec.Struct, frozen=True):
    """Selects messages; a field that is None accepts every message."""

    reasons: tuple[str, ...] | None = None
    queue: str | None = None
    """Its URL, or its name."""
    before: datetime | None = None
    """Quarantined before this time."""
    since: datetime | None = None
    """Quarantined at or after this time."""
    is_replayed: bool | None = None


class QuarantinedMessage(msgspec.Struct, frozen=True):
    """One row of the quarantine."""

    queue: str
    message_id: str
    reason: str
    detail: str
    body: bytes
    """UTF-8, in which surrogates are encoded like characters."""
    receive_count: int
    quarantined_at: datetime
    replayed_at: datetime | None
    replayed_by: str | None

    @property
    def position(self) -> tuple[str, str]:
        """Its position in the order of pages."""
        return self.queue, self.message_id


class ReasonCount(msgspec.Struct, frozen=True):
    """The number of messages with one reason."""

    reason: str
    waiting: int
    replayed: int
    oldest: datetime
    newest: datetime


class QueueCount(msgspec.Struct, frozen=True):
    """The number of messages of one queue."""

    queue: str
    """Its URL."""
    waiting: int
    replayed: int


class Quarantine:
    """The quarantine table. Every method raises StoreError if the database fails, and opens a connection of its own."""

    def __init__(self, options: StoreOptions) -> None:
        self._options = options

    async def page(self, filters: Filters, after: tuple[str, str], at_most: int) -> list[QuarantinedMessage]:
        """The messages after a position, in order; empty at the end. The first page is after ("", "")."""
        parameters = (*msgspec.structs.astuple(filters), *after, at_most, PAGE_BYTES)
        async with session(self._options, _TIMEOUT_SECONDS, if_denied=_IF_DENIED) as connection:
            rows = await connection.fetch(statement("quarantine_page", self._options.schema), *parameters)
        return [QuarantinedMessage(*row) for row in rows]

    async def counts(self, filters: Filters) -> list[ReasonCount]:
        """The number of messages for each reason, the largest first."""
        async with session(self._options, _TIMEOUT_SECONDS, if_denied=_IF_DENIED) as connection:
            text = statement("quarantine_counts", self._options.schema)
            return [ReasonCount(*row) for row in await connection.fetch(text, *msgspec.structs.astuple(filters))]

    async def waiting(self, reasons_at_most: int) -> dict[str, int]:
        """How many messages wait for each reason, WAITING_COUNTED_AT_MOST in all; it needs no more than the writer."""
        text = statement("quarantine_waiting", self._options.schema)
        async with session(self._options, _WAITING_TIMEOUT_SECONDS, if_denied=_IF_UNCOUNTABLE) as connection:
            rows = await connection.fetch(text, WAITING_COUNTED_AT_MOST, reasons_at_most)
        return {row["reason"]: row["waiting"] for row in rows}

    async def queues(self) -> list[QueueCount]:
        """The number of messages of each queue."""
        async with session(self._options, _TIMEOUT_SECONDS, if_denied=_IF_DENIED) as connection:
            rows = await connection.fetch(statement("quarantine_queues", self._options.schema))
        return [QueueCount(*row) for row in rows]

    async def find(self, message_id: str, queue: str | None) -> list[QuarantinedMessage]:
        """The messages with an id: one, unless two queues assigned the same id. If there is none, the id is a prefix.

        With a prefix they are the first twenty whose id begins so.
        """
        parameters = (*msgspec.structs.astuple(Filters(queue=queue)), message_id)
        async with session(self._options, _TIMEOUT_SECONDS, if_denied=_IF_DENIED) as connection:
            text = statement("quarantine_find", self._options.schema)
            found = [QuarantinedMessage(*row) for row in await connection.fetch(text, *parameters)]
        return [message for message in found if message.message_id == message_id] or found

    async def mark(self, replayed: Sequence[QuarantinedMessage], by: str) -> int:
        """Mark messages as replayed; return how many were not marked before."""
        if not replayed:
            return 0
        queues, ids = zip(*(message.position for message in replayed), strict=True)
        async with session(self._options, _TIMEOUT_SECONDS, if_denied=_IF_DENIED) as connection:
            status = await connection.execute(statement("quarantine_mark", self._options.schema), queues, ids, by)
        return int(status.rpartition(" ")[2])
