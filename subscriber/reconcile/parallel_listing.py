"""Lists ranges with several workers; an idle one takes over half of the largest part that is left."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing

import msgspec

from subscriber.model import KeyRange, ListedVersion
from subscriber.ports import SplittableLister
from subscriber.reconcile.splitting import Lookahead, Part, Splitting


class PartPage(msgspec.Struct, frozen=True):
    """Some entries of one part, in order."""

    part: int
    """The pages of one part come one after the other, in the order of keys; those of different parts mixed."""
    keys: KeyRange
    """What this page covers: in it the bucket holds `entries` and nothing else. The pages of a listing together cover
    its ranges, each key once. The versions of the last key may go on in the part's next page."""
    entries: Sequence[ListedVersion]


Take = Callable[[PartPage], Awaitable[None]]


class ParallelListing:
    """Lists ranges; memory holds one page for each worker.

    Args:
        lister: of the bucket; its budget bounds the requests.
        ranges: to be listed; they do not overlap.
        take: is awaited for each page; a worker asks for no further page before.
    """

    def __init__(self, lister: SplittableLister, ranges: Sequence[KeyRange], take: Take) -> None:
        self._lister = lister
        self._splitting = Splitting(ranges)
        self._take = take
        self._changed = asyncio.Event()

    async def run(self, workers: int) -> None:
        """List everything.

        Raises:
            ListingError: a page cannot be had. What was taken before stands.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(workers):
                    group.create_task(self._work(), name=f"listing worker {number}")
        except ExceptionGroup as errors:
            raise _first_of(errors) from None

    async def _work(self) -> None:
        while not self._splitting.is_done:
            if (part := self._splitting.next_part()) is not None:
                await self._list(part)
            elif (lookahead := self._splitting.next_lookahead()) is not None:
                await self._ask(lookahead)
            else:
                await self._changed.wait()
                continue
            self._announce()

    async def _list(self, part: Part) -> None:
        async with aclosing(self._lister.pages(part.rest)) as pages:
            async for entries in pages:
                kept = _up_to(entries, part.upto)
                if len(kept) < len(entries):
                    await self._finish(part, kept)
                    return
                if kept:
                    await self._give(part, kept)
        await self._finish(part, ())

    async def _give(self, part: Part, entries: Sequence[ListedVersion]) -> None:
        """Give a page that is not the part's last one."""
        after, last_key = part.after, entries[-1].key
        self._splitting.page_given(part, last_key)
        await self._take(PartPage(part.number, KeyRange(after, last_key), entries))
        self._announce()

    async def _finish(self, part: Part, entries: Sequence[ListedVersion]) -> None:
        """Give what is left of a part."""
        self._splitting.part_ended(part)
        if entries or part.upto is None or part.after < part.upto:
            await self._take(PartPage(part.number, part.rest, entries))

    async def _ask(self, lookahead: Lookahead) -> None:
        empty = self._splitting.answered(lookahead, await self._lister.first_key(lookahead.keys))
        if empty is not None:
            await self._take(PartPage(lookahead.part.number, empty, ()))

    def _announce(self) -> None:
        """Wake the idle workers: there may be a part, a place to cut, or nothing left."""
        self._changed.set()
        self._changed = asyncio.Event()


def _first_of(error: Exception) -> Exception:
    """The error that came first: several workers may fail before the group ends them."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _up_to(entries: Sequence[ListedVersion], upto: str | None) -> Sequence[ListedVersion]:
    """The entries of a page that belong to a part whose end may have moved since it was asked."""
    if upto is None or not entries or entries[-1].key <= upto:
        return entries
    return entries[: bisect_right(entries, upto, key=_key)]


def _key(entry: ListedVersion) -> str:
    return entry.key
