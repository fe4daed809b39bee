"""Passes over the tables: page by page in the order of the primary key, at a rate, for a time.

A pass keeps nothing but its position. It may be interrupted at any moment, repeated, and run beside the daemon and
beside another pass: every page is one statement and one transaction of its own.
"""

from __future__ import annotations

import asyncio
import math
import shlex
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from itertools import takewhile

import msgspec

from subscriber.adapters.postgres.prune import FIRST, Kind, Position, PrunedTables
from subscriber.quarantine.replay import pause_for, with_retries

PAGE_ROWS = 5000
_NOUNS: dict[Kind, str] = {"tombstones": "tombstone", "quarantine": "replayed message", "jobs": "ended job"}


class PruneOptions(msgspec.Struct, frozen=True):
    """Options of all passes of one command."""

    rate: float = 0.0
    """Rows read per second at most; 0: unlimited."""
    ends_at: float = math.inf
    """When to stop, by the loop's clock, though a pass is not at its end."""
    dry_run: bool = False
    """Count only."""


class PruneTally:
    """The counts of one pass so far."""

    def __init__(self, kind: Kind, older_than: timedelta, after: Position = ()) -> None:
        self.kind: Kind = kind
        self.older_than = older_than
        """How old what goes must be."""
        self.seen = 0
        """Rows read."""
        self.removed = 0
        """Rows deleted; in a dry run, rows that would be."""
        self.last = after or FIRST[kind]
        """The position of the last row that was read."""
        self.is_complete = False
        """Whether the end of the table was reached."""


async def prune_pass(
    tables: PrunedTables,
    tally: PruneTally,
    before: datetime,
    options: PruneOptions,
    report: Callable[[PruneTally], None],
) -> None:
    """Delete what is older than `before`, from the tally's position to the end of the table or of the time.

    Raises:
        StoreError: the database failed for good or for too long; the pages before are done.
    """
    clock = asyncio.get_running_loop().time
    started_at = clock()
    at_most = page_rows(options.rate)
    while clock() < options.ends_at:
        call = partial(tables.prune, tally.kind, tally.last, before, at_most, dry_run=options.dry_run)
        page = await with_retries(call)
        if page is None:
            tally.is_complete = True
            return
        tally.seen += page.seen
        tally.removed += page.removed
        tally.last = page.last
        report(tally)
        await asyncio.sleep(pause_for(options.rate, tally.seen, clock() - started_at))


def page_rows(rate: float) -> int:
    """The rows of a page: at most those of one second, so that the pace is even."""
    return PAGE_ROWS if rate <= 0 else max(1, min(PAGE_ROWS, int(rate)))


def position_after(text: str) -> Position:
    """The position that BUCKET/KEY names: everything up to it has been read."""
    bucket, _, key = text.partition("/")
    return bucket, key, ""


def position_text(last: Position) -> str:
    """A position of the index as an argument for the shell.

    It ends before the first character that is not printable: a position that is a little earlier costs a few rows.
    """
    bucket, key, *_ = last
    return shlex.quote("".join(takewhile(str.isprintable, f"{bucket}/{key}")))


def progress_text(total: int, tally: PruneTally, elapsed_seconds: float) -> str:
    """Rows read and their estimated total, what was removed, and the rate."""
    percent = min(100.0, 100 * tally.seen / total) if total else 100.0
    rate = tally.seen / elapsed_seconds if elapsed_seconds > 0 else 0.0
    return f"{tally.kind}: {tally.seen} of about {total} rows read ({percent:.0f} %), {tally.removed} old; {rate:.0f}/s"


def result_text(tally: PruneTally, *, dry_run: bool) -> str:
    """What a pass did, for standard output."""
    noun = _NOUNS[tally.kind]
    number = f"{tally.removed} {noun}" if tally.removed == 1 else f"{tally.removed} {noun}s"
    verb = "would be removed" if dry_run else ("was removed" if tally.removed == 1 else "were removed")
    rows = "1 row" if tally.seen == 1 else f"{tally.seen} rows"
    end = "" if tally.is_complete else f"; not finished: {continue_text(tally)}"
    return f"{number} {verb}, {rows} read{end}"


def continue_text(tally: PruneTally) -> str:
    """How to go on after an early end."""
    if tally.kind != "tombstones" or not any(tally.last):
        return "run it again to continue"
    return f"run it again with --after {position_text(tally.last)} to continue"
