"""Implements `subscriber quarantine` against the database that the settings name."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TextIO, TypeVar

import uvloop

from subscriber.adapters.postgres.auth import authenticated
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import check_schema
from subscriber.adapters.postgres.quarantine import (
    Filters,
    Quarantine,
    QuarantinedMessage,
    QueueCount,
    ReasonCount,
)
from subscriber.adapters.postgres.store import opened_store
from subscriber.errors import StoreError
from subscriber.events.decode import decode
from subscriber.model import Delivery
from subscriber.options import auth_options, pipeline_options, store_options
from subscriber.quarantine.progress import Progress, progress_text
from subscriber.quarantine.replay import Replay, ReplayOptions, Tally, message_of
from subscriber.settings.table import Settings

T = TypeVar("T")


def counts(settings: Settings, filters: Filters) -> list[ReasonCount]:
    """The number of quarantined messages for each reason."""
    return run_on_database(settings, lambda options: Quarantine(options).counts(filters))


def queues(settings: Settings) -> list[QueueCount]:
    """The number of quarantined messages of each queue."""
    return run_on_database(settings, lambda options: Quarantine(options).queues())


def messages(settings: Settings, filters: Filters, at_most: int) -> list[QuarantinedMessage]:
    """The first messages, ordered by queue and id."""

    async def collect(options: StoreOptions) -> list[QuarantinedMessage]:
        quarantine, found = Quarantine(options), list[QuarantinedMessage]()
        while len(found) < at_most:
            after = found[-1].position if found else ("", "")
            page = await quarantine.page(filters, after, at_most - len(found))
            if not page:
                break
            found += page
        return found

    return run_on_database(settings, collect)


def find(settings: Settings, message_id: str, queue: str | None) -> list[tuple[QuarantinedMessage, Delivery]]:
    """The messages with an id, or else those whose id begins so, each with the result of decoding it now."""

    async def decoded(options: StoreOptions) -> list[tuple[QuarantinedMessage, Delivery]]:
        found = await Quarantine(options).find(message_id, queue)
        buckets = pipeline_options(settings).buckets
        return [(message, decode(message_of(message), buckets)) for message in found]

    return run_on_database(settings, decoded)


def replay(settings: Settings, filters: Filters, replay_options: ReplayOptions, stream: TextIO) -> Tally:
    """Replay the waiting messages that the filters select; progress goes to `stream`."""

    async def run(options: StoreOptions) -> Tally:
        quarantine = Quarantine(options)
        total = sum(count.waiting for count in await quarantine.counts(filters))
        progress = Progress(stream, functools.partial(progress_text, total))
        async with opened_store(options) as store:
            known = pipeline_options(settings)
            decode_now = functools.partial(decode, buckets=known.buckets, keeps_requester=known.keeps_requester)
            one_pass = Replay(quarantine, store, decode_now, replay_options, progress.show)
            try:
                tally = await one_pass.run(filters)
            except (asyncio.CancelledError, StoreError):
                progress.end()
                done = one_pass.tally.replayed
                stream.write(f"stopped early, {done} of {total} replayed: run it again to continue\n")
                raise
            progress.end()
            with suppress(StoreError):  # the rows are there; that they are noted by bucket is not worth a failure
                await store.note_buckets(one_pass.bucket_tallies.take())
            return tally

    return run_on_database(settings, run)


def run_on_database(settings: Settings, work: Callable[[StoreOptions], Awaitable[T]]) -> T:
    """Run `work` after checking that the schema fits this release.

    Raises:
        SubscriberError: the database failed or its schema does not fit; the text is for the operator.
    """

    async def run() -> T:
        async with authenticated(store_options(settings), auth_options(settings)) as options:
            await check_schema(options)
            return await work(options)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())
