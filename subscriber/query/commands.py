"""Runs a search on the database that the settings name; no queue is called, and a reader's role is enough."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import uvloop

from subscriber.adapters.postgres.auth import authenticated
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.options import auth_options, store_options
from subscriber.query.reader import Search, opened_search
from subscriber.settings.table import Settings

T = TypeVar("T")


def run_search(settings: Settings, timeout_seconds: float, work: Callable[[Search], Awaitable[T]]) -> T:
    """Run `work` with a search.

    Raises:
        SubscriberError: the database failed, or the query cannot be answered; the text is for the operator.
    """

    async def run(options: StoreOptions) -> T:
        async with opened_search(options, timeout_seconds) as search:
            return await work(search)

    return run_as_reader(settings, run)


def run_as_reader(settings: Settings, work: Callable[[StoreOptions], Awaitable[T]]) -> T:
    """Run `work` without a look at the schema's version, which readers need not see."""

    async def run() -> T:
        async with authenticated(store_options(settings), auth_options(settings)) as options:
            return await work(options)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())
