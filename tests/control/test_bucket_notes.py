"""The notes about buckets: seldom, kept when they fail, and written once more at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog

from subscriber.buckets import BucketTallies, BucketTally
from subscriber.control.bucket_notes import END_SECONDS, PERIOD_SECONDS, BucketNotes
from subscriber.errors import StoreError, Treatment
from tests.fakes.samples import object_event

DENIED = StoreError(Treatment.STOP, "no_privilege", "42501", "permission denied", "run grants.sql")


class Table:
    """Adds up what it is given, or does not answer, or fails."""

    def __init__(self) -> None:
        self.rows = 0
        self.asked: list[float] = []
        self.error: StoreError | None = None
        self.is_silent = False
        self.tallies = BucketTallies()
        self.notes = BucketNotes(self.tallies, self.write)

    async def write(self, tallies: Mapping[str, BucketTally]) -> None:
        """One statement."""
        self.asked.append(asyncio.get_running_loop().time())
        if self.error is not None:
            raise self.error
        if self.is_silent:
            await asyncio.Event().wait()
        self.rows += sum(tally.rows for tally in tallies.values())

    def start(self) -> asyncio.Task[None]:
        """The notes, running."""
        return asyncio.create_task(self.notes.run(), name="notes")

    def store(self) -> None:
        """One more row."""
        self.tallies.add([object_event()], asyncio.get_running_loop().time())


async def test_many_batches_are_one_statement() -> None:
    """However often rows are stored; without rows there is none."""
    table = Table()
    running = table.start()
    for _ in range(1000):
        table.store()
        await asyncio.sleep(PERIOD_SECONDS / 100)
    await asyncio.sleep(100 * PERIOD_SECONDS)
    assert table.rows == 1000
    assert 8 <= len(table.asked) <= 14
    await table.notes.end(running)


async def test_what_is_not_noted_is_kept() -> None:
    """The log names the remedy, more and more rarely; then all is noted."""
    table = Table()
    running = table.start()
    with structlog.testing.capture_logs() as logs:
        table.error = DENIED
        table.store()
        await asyncio.sleep(9.9 * PERIOD_SECONDS)
        table.store()
        table.error = None
        await asyncio.sleep(1.5 * PERIOD_SECONDS)
    assert table.rows == 2
    assert [(line["event"], line["failures"]) for line in logs] == [
        ("buckets.not_noted", each) for each in (1, 2, 4, 8)
    ]
    assert "run grants.sql" in logs[0]["detail"]
    await table.notes.end(running)


async def test_the_end_notes_what_is_left() -> None:
    """Also what a statement had in hand when it was cancelled."""
    table = Table()
    running = table.start()
    table.is_silent = True
    table.store()
    await asyncio.sleep(1.5 * PERIOD_SECONDS)
    assert (len(table.asked), table.rows) == (1, 0)
    table.is_silent = False
    table.store()
    await table.notes.end(running)
    assert running.cancelled()
    assert table.rows == 2


async def test_the_end_does_not_wait_for_a_silent_database() -> None:
    """A stop has little time."""
    table = Table()
    running = table.start()
    table.is_silent = True
    table.store()
    started = asyncio.get_running_loop().time()
    await table.notes.end(running)
    assert asyncio.get_running_loop().time() - started <= END_SECONDS
    assert len(table.tallies.take()) == 1
