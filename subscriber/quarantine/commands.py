"""The composition of `subscriber quarantine`: settings become a quarantine, a store and an errand on a loop."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TextIO, TypeVar

import uvloop

from subscriber.adapters.postgres.auth import authenticated
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import check_schema
from subscriber.adapters.postgres.quarantine import Filters, Kept, Quarantine, ReasonCount
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import StoreError
from subscriber.events.decode import decode
from subscriber.model import Delivery
from subscriber.options import auth_options, pipeline_options, store_options
from subscriber.quarantine.progress import Progress
from subscriber.quarantine.replay import Replay, ReplayOptions, Tally, message_of
from subscriber.settings.table import Settings

T = TypeVar("T")


def counts(settings: Settings, filters: Filters) -> list[ReasonCount]:
    """How many messages are kept for each reason."""
    return _run(settings, lambda options: Quarantine(options).counts(filters))


def messages(settings: Settings, filters: Filters, at_most: int) -> list[Kept]:
    """The first messages, by queue and id."""

    async def look(options: StoreOptions) -> list[Kept]:
        quarantine, found = Quarantine(options), list[Kept]()
        while len(found) < at_most:
            behind = found[-1].place if found else ("", "")
            page = await quarantine.page(filters, behind, at_most - len(found))
            if not page:
                break
            found += page
        return found

    return _run(settings, look)


def find(settings: Settings, message_id: str, queue: str | None) -> list[tuple[Kept, Delivery]]:
    """The messages of an id, with what each means today."""

    async def look(options: StoreOptions) -> list[tuple[Kept, Delivery]]:
        found = await Quarantine(options).find(message_id, queue)
        buckets = pipeline_options(settings).buckets
        return [(kept, decode(message_of(kept), buckets)) for kept in found]

    return _run(settings, look)


def replay(settings: Settings, filters: Filters, replay_options: ReplayOptions, stream: TextIO) -> Tally:
    """Have the messages written that wait and that the filters let through; progress goes to `stream`."""

    async def run(options: StoreOptions) -> Tally:
        quarantine = Quarantine(options)
        total = sum(count.waiting for count in await quarantine.counts(filters))
        progress = Progress(stream, total)
        async with _store(options) as store:
            reading = functools.partial(decode, buckets=pipeline_options(settings).buckets)
            ongoing = Replay(quarantine, store, reading, replay_options, progress.show)
            try:
                tally = await ongoing.run(filters)
            except (asyncio.CancelledError, StoreError):
                progress.end()
                stream.write(f"ended early, {ongoing.tally.replayed} of {total} replayed: run it again to go on\n")
                raise
            progress.end()
            return tally

    return _run(settings, run)


@asynccontextmanager
async def _store(options: StoreOptions) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(options)
    try:
        yield store
    finally:
        await store.close()


def _run(settings: Settings, work: Callable[[StoreOptions], Awaitable[T]]) -> T:
    """Do an errand with a schema of this release.

    Raises:
        SubscriberError: the database or its schema refuses; the text is for the operator.
    """

    async def run() -> T:
        async with authenticated(store_options(settings), auth_options(settings)) as options:
            await check_schema(options)
            return await work(options)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())
