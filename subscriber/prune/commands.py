"""Implements `subscriber prune` for the queues and the database that the settings name."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TextIO

import msgspec
import uvloop

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.prune import PrunedTables, PruneFacts
from subscriber.errors import StoreError
from subscriber.prune.age import require_old_enough, tombstones_before
from subscriber.prune.passes import PruneOptions, PruneTally, progress_text, prune_pass, result_text
from subscriber.prune.retention import retentions
from subscriber.quarantine.commands import run_on_database
from subscriber.quarantine.progress import Progress
from subscriber.quarantine.replay import with_retries
from subscriber.settings.table import Settings


def require_retention(settings: Settings, older_than: timedelta) -> None:
    """Check that no message of any queue can be older than the tombstones that are removed.

    Raises:
        ConfigurationError: one can.
        QueueError: a queue cannot be asked.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        require_old_enough(older_than, runner.run(retentions(settings)))


def prune(
    settings: Settings, options: PruneOptions, seconds: float, tallies: Sequence[PruneTally], stream: TextIO
) -> None:
    """Make one pass for each of `tallies`, all within so many seconds; progress goes to `stream`."""

    async def run(store_options: StoreOptions) -> None:
        tables = PrunedTables(store_options)
        facts = await with_retries(tables.facts)
        timed = msgspec.structs.replace(options, ends_at=asyncio.get_running_loop().time() + seconds)
        for tally in tallies:
            await _prune_table(tables, tally, facts, timed, stream)

    run_on_database(settings, run)


async def _prune_table(
    tables: PrunedTables, tally: PruneTally, facts: PruneFacts, options: PruneOptions, stream: TextIO
) -> None:
    before = facts.now - tally.older_than
    total = facts.jobs if tally.kind == "jobs" else facts.messages
    if tally.kind == "tombstones":
        before = tombstones_before(facts.now, tally.older_than, facts.oldest_waiting)
        total = facts.versions
        if before < facts.now - tally.older_than:
            stream.write(f"{_kept_text(facts, before)}\n")
    progress = Progress(stream, functools.partial(progress_text, total))
    try:
        await prune_pass(tables, tally, before, options, progress.show)
    except (asyncio.CancelledError, StoreError):
        progress.end()
        stream.write(f"stopped early: {result_text(tally, dry_run=options.dry_run)}\n")
        raise
    progress.end()


def _kept_text(facts: PruneFacts, before: datetime) -> str:
    return (
        f"a message waits in quarantine since {facts.oldest_waiting:%Y-%m-%d}; its replay may need the tombstones "
        f"written since {before:%Y-%m-%d}, so they stay (see `subscriber quarantine list`)"
    )
