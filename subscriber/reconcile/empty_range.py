"""Fills a range where the index has no row: of a backfill, nearly everywhere.

A chunk of its listing goes to the table without a verdict on each key: where the index has no row of a key, all its
versions are missing, unless they are younger than the grace. Where the index had no row in the whole range when the
attempt began, nobody asks again for each chunk. The primary key tells, if an event about one of the rows was stored
meanwhile: then nothing of the statement is stored, and the general rule takes the chunk, whose facts lose to the event.
The general rule also takes what this one does not know: fresh keys, keys with too many versions, and a listing without
order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from subscriber.model import KeyRange, ListedVersion, RankedVersion
from subscriber.ports import RowWriter
from subscriber.reconcile.chunks import Chunk
from subscriber.reconcile.compare import Context
from subscriber.reconcile.findings import OpenPage
from subscriber.reconcile.merge import VERSIONS_OF_A_KEY_AT_MOST
from subscriber.reconcile.observation import Moment
from subscriber.reconcile.pace import Pace

PAGES_PER_STATEMENT: Final = 2
"""A chunk is a page and what was left of the page before: one statement, as a rule."""


class EmptyRange:
    """Writes the rows of one attempt at a range.

    Args:
        store: where they go.
        pace: of the job.
        has_no_row: whether the index has no row in a range.
        allowed: raises if nothing may be written.
        batch_rows: of a statement elsewhere; here it has up to twice as many.
        is_empty: whether the index had no row in the whole range. If it had one, each chunk is asked for first, because
            a ghost or an older version conflicts with nothing.
    """

    def __init__(
        self,
        store: RowWriter,
        pace: Pace,
        has_no_row: Callable[[KeyRange], Awaitable[bool]],
        allowed: Callable[[], Awaitable[None]],
        batch_rows: int,
        *,
        is_empty: bool,
    ) -> None:
        self._store, self._pace, self._has_no_row, self._allowed = store, pace, has_no_row, allowed
        self._rows_at_most = PAGES_PER_STATEMENT * batch_rows
        self._asks_always = not is_empty
        self._sequencers = [""]
        """Of each rank."""
        self._has_events = False
        """Whether the table had rows where the last chunk was to go. Then the next one is asked for first: a statement
        that fails leaves rows that vacuum must remove."""

    async def fill(self, page: OpenPage, chunk: Chunk, context: Context) -> bool:
        """Write the rows of a chunk, and count them; False: the general rule takes it.

        Raises:
            ListingError: nothing may be written.
            StoreError: the database failed.
        """
        rows = self._rows(chunk, context)
        if rows is None:
            return False
        await self._allowed()
        if self._asks_always or self._has_events:
            async with self._pace.permit():
                self._has_events = not await self._has_no_row(chunk.keys)
        for begin in range(0, len(rows), self._rows_at_most):
            some = rows[begin : begin + self._rows_at_most]
            if self._has_events or not await self._add(some, context):
                self._has_events = True
                return False
            page.count(written=len(some))
        page.fill(chunk.entries)
        return True

    async def _add(self, rows: Sequence[RankedVersion], context: Context) -> bool:
        async with self._pace.permit():
            return await self._store.add_listed(context.bucket, rows, context.moment.event_name)

    def _rows(self, chunk: Chunk, context: Context) -> Sequence[RankedVersion] | None:
        """The rows of a chunk in the order of the primary key; None: the general rule takes it."""
        entries = chunk.entries
        if not entries or len(entries) > VERSIONS_OF_A_KEY_AT_MOST:
            return None
        if max([each.last_modified for each in entries]) >= context.moment.server_time - context.grace_seconds:
            return None
        return ranked(entries, context.moment, self._sequencers)


def ranked(entries: Sequence[ListedVersion], moment: Moment, sequencers: list[str]) -> Sequence[RankedVersion] | None:
    """Each version with its sequencer, in the order of the primary key.

    None: a version is listed twice, or keys go backward.

    Args:
        entries: whole stacks in the order of keys, newest first.
        moment: what they are worth.
        sequencers: of each rank from 1 on, as far as they were needed so far; it grows.
    """
    keys = [each.key for each in entries]
    if keys != sorted(keys):
        return None
    rows, begin, total = list[RankedVersion](), 0, len(keys)
    while begin < total:
        key, end = keys[begin], begin + 1
        while end < total and keys[end] == key:
            end += 1
        while len(sequencers) <= end - begin:
            sequencers.append(moment.sequencer_of(len(sequencers)))
        if end == begin + 1:
            rows.append((entries[begin], sequencers[1]))
        else:
            stack = [(entries[place], sequencers[end - place]) for place in range(begin, end)]
            stack.sort(key=_version_id)
            if len({each.version_id for each, _ in stack}) < len(stack):
                return None
            rows += stack
        begin = end
    return rows


def _version_id(row: RankedVersion) -> str:
    return row[0].version_id
