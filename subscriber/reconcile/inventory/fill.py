"""Fills the index from an inventory: reads a file's rows and adds those that the index does not have.

Nothing that an event or a listing told is replaced, so that files may be read in any order, twice, and beside live
events (facts.py). After each statement its position in the file is committed. Whoever takes the file over reads it from
its beginning and passes over the rows that are done, which costs decoding and no write.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec

from subscriber.choices import BATCH_MAX_ROWS
from subscriber.events.key import MAX_ETAG_BYTES, MAX_KEY_BYTES, MAX_VERSION_ID_BYTES, is_storable
from subscriber.events.order import fold
from subscriber.jobs import Counters, Job, JobRange, PageDone
from subscriber.model import ListedVersion, ObjectEvent
from subscriber.observe.log import get_logger
from subscriber.reconcile.inventory.facts import inventoried_event
from subscriber.reconcile.inventory.file_ranges import file_number, position_after, rows_done
from subscriber.reconcile.inventory.objects import ObjectReader
from subscriber.reconcile.inventory.source import Source, read_file
from subscriber.reconcile.observation import INVENTORY_MARGIN_SECONDS

ROWS_PER_STATEMENT: Final = BATCH_MAX_ROWS
"""As a batch of the daemon; the rest of a block that was read is kept for the next statement."""
_SIZES = range(1 << 63)
"""What PostgreSQL's bigint holds, from zero."""
_SECONDS = range(-62_135_596_800, 253_402_300_800)
"""Unix seconds of the years 1 to 9999, which Python's datetime holds."""

_log = get_logger()

T = TypeVar("T")


class MissingRows(Protocol):
    """Where rows are added."""

    async def add_missing(self, rows: Sequence[ObjectEvent]) -> int:
        """Add rows that are missing, replace none; how many were added."""
        ...


class FillOptions(msgspec.Struct, frozen=True):
    """How a file is read."""

    prefix: str = ""
    """Rows of other keys are passed over."""
    rows_per_statement: int = ROWS_PER_STATEMENT
    folder: Path | None = None
    """For the temporary copies of Parquet and ORC; None for the system's."""


class InventoryFill:
    """Does the ranges of a job whose ranges are the files of a source; `do_range` is a worker's.

    Args:
        reader: of the source's files.
        source: what `open_source` returned.
        rows: where rows are added.
        options: how.
        requests: how many requests the reader has started so far.
        permit: entered for each statement; it may wait for other work on the database.
    """

    def __init__(
        self,
        reader: ObjectReader,
        source: Source,
        rows: MissingRows,
        options: FillOptions,
        *,
        requests: Callable[[], int] = lambda: 0,
        permit: Callable[[], AbstractAsyncContextManager[object]] = nullcontext,
    ) -> None:
        self._reader = reader
        self._source = source
        self._rows = rows
        self._options = options
        self._requests = requests
        self._counted_requests = 0
        self._permit = permit
        created = source.created_second
        self._second = None if created is None else created - INVENTORY_MARGIN_SECONDS

    async def do_range(self, job: Job, held: JobRange) -> AsyncGenerator[PageDone, str | None]:
        """Add the rows of one file, from the range's position on; see worker.DoRange."""
        file = self._source.files[file_number(held)]
        # A list of keys has no checksum: it may have changed since, so that its rows are counted anew.
        done = rows_done(held) if self._source.manifest else 0
        seen = skipped = 0
        batches = read_file(self._reader, self._source, file, self._options.folder)
        async with aclosing(read_ahead(_blocks(batches, self._options.rows_per_statement))) as blocks:
            async for block in blocks:
                seen += len(block)
                if seen <= done:
                    continue
                new = block[-min(len(block), seen - done) :]
                rows = [row for row in new if row.key.startswith(self._options.prefix)]
                kept = [row for row in rows if is_row_storable(row)]
                skipped += len(rows) - len(kept)
                written = await self._add(job.bucket, kept)
                counters = Counters(listed=len(rows), written=written, requests=self._new_requests())
                yield PageDone(position_after(held, seen), self._second or 0, counters)
        if skipped:
            _log.warning("inventory.rows_skipped", job=job.job_id, file=file.key, rows=skipped)
        assert held.keys.upto is not None, "a file has an end"
        yield PageDone(held.keys.upto, self._second or 0, Counters(requests=self._new_requests()))

    async def _add(self, bucket: str, rows: Sequence[ListedVersion]) -> int:
        events = fold([inventoried_event(bucket, row, self._second) for row in rows])
        async with self._permit():
            return await self._rows.add_missing(events)

    def _new_requests(self) -> int:
        """Those since the last call, of whichever file: the sum over all files is right."""
        so_far = self._requests()
        new, self._counted_requests = so_far - self._counted_requests, so_far
        return new


async def read_ahead(items: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """The same items; while the caller is busy with one, the next is made. An error comes after the items before it.

    The caller closes this generator, which closes `items`.
    """
    async with aclosing(items):
        making = _begun(items)
        try:
            while (item := await making) is not None:
                making = _begun(items)
                yield item
        finally:
            making.cancel()
            await asyncio.wait([making])
            if not making.cancelled():
                making.exception()  # of an item that nobody wants any more


def _begun(items: AsyncGenerator[T, None]) -> asyncio.Task[T | None]:
    return asyncio.create_task(_next_or_none(items), name="inventory-block")


async def _next_or_none(items: AsyncGenerator[T, None]) -> T | None:
    return await anext(items, None)


async def _blocks(
    batches: AsyncGenerator[list[ListedVersion], None], rows: int
) -> AsyncGenerator[list[ListedVersion], None]:
    """The same rows in blocks of so many, and a last one of what is left."""
    kept: list[ListedVersion] = []
    async with aclosing(batches):
        async for batch in batches:
            kept += batch
            while len(kept) >= rows:
                yield kept[:rows]
                kept = kept[rows:]
    if kept:
        yield kept


def is_row_storable(row: ListedVersion) -> bool:
    """Whether the table takes the row: no NUL, not too many bytes, a size and a time within their types."""
    return (
        is_storable(row.key, MAX_KEY_BYTES)
        and is_storable(row.version_id, MAX_VERSION_ID_BYTES)
        and is_storable(row.etag or "", MAX_ETAG_BYTES)
        and (row.size_bytes or 0) in _SIZES
        and row.last_modified in _SECONDS
    )
