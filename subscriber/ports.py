"""What the core asks of its two services: protocols at the boundary, implemented in `adapters`."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Protocol

from subscriber.model import BatchAnswer, KeyRange, Lease, ListedVersion, Message, ObjectEvent, RankedVersion, Rejection


class QueueClient(Protocol):
    """SQS. Every call raises QueueCallError and nothing else; none retries."""

    async def receive(self, lease: Lease) -> list[Message]:
        """Long-poll `lease.queue`: at most MESSAGES_PER_POLL messages."""
        ...

    async def delete(self, queue: str, handles: Sequence[str]) -> BatchAnswer:
        """Delete at most ENTRIES_PER_CALL messages by their receipt handles."""
        ...

    async def change_visibility(self, queue: str, entries: Sequence[tuple[str, int]]) -> BatchAnswer:
        """Keep at most ENTRIES_PER_CALL messages invisible: receipt handle, seconds from now."""
        ...

    async def release(self, queue: str, handles: Sequence[str]) -> BatchAnswer:
        """Make any number of messages visible at once, so that another consumer can receive them.

        Raises:
            QueueCallError: a call failed; the calls before it have taken effect.
        """
        ...


class Store(Protocol):
    """PostgreSQL. Every call raises StoreError, or its work is committed."""

    async def store(self, rows: Sequence[ObjectEvent], limit_seconds: float = math.inf) -> int:
        """Upsert `rows` (one per object version, in key order); return how many replaced an older row or none.

        The server ends the statement after `limit_seconds`, where that is sooner than the write timeout (57014).
        """
        ...

    async def locked_rows(self, rows: Sequence[ObjectEvent], limit_seconds: float) -> frozenset[tuple[str, str, str]]:
        """Which of the stored rows of these versions another session keeps locked: bucket, key and version id of each.

        The server ends the statement after `limit_seconds` (57014).
        """
        ...

    async def rehearse(self, row: ObjectEvent) -> None:
        """Upsert `row` with all that belongs to it (rights, constraints, triggers), and roll it back."""
        ...

    async def quarantine(self, entries: Sequence[tuple[Message, Rejection]]) -> None:
        """Store whole message bodies with the reason of their rejection."""
        ...

    async def ping(self) -> None:
        """Succeed if the database answers and accepts writes."""
        ...


class RowWriter(Protocol):
    """The index, written by a comparison. Every call raises StoreError, or its work is committed."""

    async def store(self, rows: Sequence[ObjectEvent], limit_seconds: float = math.inf) -> int:
        """See Store.store."""
        ...

    async def add_listed(self, bucket: str, versions: Sequence[RankedVersion], event_name: str) -> bool:
        """Add all versions, one row each, if the index has no row of any; False: nothing was stored.

        False may also mean that `store` must take them. They come in the order of key and version id.
        """
        ...


class Lister(Protocol):
    """A bucket's listing. Every call raises ListingError and nothing else."""

    async def server_time(self) -> int:
        """Unix second of the service's own clock, from the `Date` of an answer that came before this returns."""
        ...

    def pages(self, keys: KeyRange) -> AsyncIterator[Sequence[ListedVersion]]:
        """The versions of a range in the order of keys, each key's newest first, page by page.

        A key's versions may continue on the next page. The iterator ends after the last complete page of one unbroken
        chain; whatever breaks the chain is raised.
        """
        ...


class SplittableLister(Lister, Protocol):
    """A lister that can also tell cheaply whether a range has keys, and whose pages can be left early."""

    def pages(self, keys: KeyRange) -> AsyncGenerator[Sequence[ListedVersion], None]:
        """See Lister."""
        ...

    async def first_key(self, keys: KeyRange) -> str | None:
        """The first key in a range, by one request for one entry; None if the range is empty."""
        ...
