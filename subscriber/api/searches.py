"""A bounded pool of searches, each with a connection of its own, and the limit of what a search may cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.api.problems import BusyError, CostError
from subscriber.query.reader import Page, Search
from subscriber.query.search_query import Query
from subscriber.query.usage import UsageReader

WAIT_SECONDS = 1.0
"""For a connection, before a request is sent away: clients try again."""


class _Slot(NamedTuple):
    """What one request uses at a time; each connects when it is first used."""

    search: Search
    usage: UsageReader


class Searches:
    """Searches that requests take in turns.

    Args:
        options: how to connect.
        size: connections, at most so many statements at once.
        timeout_seconds: for one statement.
        max_cost: in the planner's units (PostgreSQL, "Using EXPLAIN"), of one page.
    """

    def __init__(self, options: StoreOptions, size: int, timeout_seconds: float, max_cost: float) -> None:
        self._all = [
            _Slot(Search(options, timeout_seconds), UsageReader(options, timeout_seconds)) for _ in range(size)
        ]
        self._free: asyncio.LifoQueue[_Slot] = asyncio.LifoQueue()
        for slot in self._all:
            self._free.put_nowait(slot)
        self._max_cost = max_cost

    async def close(self) -> None:
        """Close every connection."""
        for slot in self._all:
            await slot.search.close()
            await slot.usage.close()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Search]:
        """A search for one request.

        Raises:
            BusyError: none becomes free in time.
        """
        async with self._slot() as slot:
            yield slot.search

    @asynccontextmanager
    async def usage(self) -> AsyncIterator[UsageReader]:
        """A reader of amounts for one request.

        Raises:
            BusyError: none becomes free in time.
        """
        async with self._slot() as slot:
            yield slot.usage

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[_Slot]:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                slot = await self._free.get()
        except TimeoutError:
            raise BusyError("all connections for readers are taken: try again in a moment") from None
        try:
            yield slot
        finally:
            self._free.put_nowait(slot)

    async def page(self, query: Query, at_most: int, token: str | None) -> Page:
        """A page, unless PostgreSQL expects it to cost too much.

        Raises:
            CostError: it does.
        """
        async with self.one() as search:
            cost = await search.cost(query, at_most, token)
            if cost > self._max_cost:
                raise CostError(
                    f"PostgreSQL expects this page to cost {cost:.0f} units, and {self._max_cost:.0f} are allowed: "
                    "narrow it by a prefix, ask for fewer rows, or ask the operator for an index"
                )
            return await search.page(query, at_most, token)
