"""Pages of a listing as chunks of whole stacks, and the next page asked for while this one is compared."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import msgspec

from subscriber.model import KeyRange, ListedVersion
from subscriber.reconcile.merge import VERSIONS_OF_A_KEY_AT_MOST


class Chunk(msgspec.Struct, frozen=True):
    """A part of a range: in it the bucket holds `entries` and nothing else."""

    keys: KeyRange
    """The chunks of a range together cover it, each key once."""
    entries: Sequence[ListedVersion]
    """Whole stacks in the order of keys; of a key with more versions than are held, one more than that many."""
    requests: int
    """Pages that were asked for it."""

    def up_to(self, upto: str | None) -> Chunk | None:
        """The part of it in a range that may end earlier now: itself, if that is all of it, or None."""
        if upto is None or (self.keys.upto is not None and self.keys.upto <= upto):
            return self
        if upto <= self.keys.after:
            return None
        entries = self.entries[: bisect_right(self.entries, upto, key=_key)]
        return Chunk(KeyRange(self.keys.after, upto), entries, self.requests)


async def chunks(
    pages: AsyncGenerator[Sequence[ListedVersion], None],
    keys: KeyRange,
    versions_at_most: int = VERSIONS_OF_A_KEY_AT_MOST,
) -> AsyncGenerator[Chunk, None]:
    """Cut the pages of a complete chain after the last key that no later page can continue.

    The last key of a page stays behind until the next page shows that it is whole. At most one page and one stack are
    held.

    Args:
        pages: of `keys`; closed at the end.
        keys: the range.
        versions_at_most: of one key; a verdict on part of a stack is none, so the rest is dropped.
    """
    after, kept, requests = keys.after, list[ListedVersion](), 0
    async with aclosing(pages):
        async for page in pages:
            requests += 1
            if not page:
                continue
            last_key = page[-1].key
            begin = bisect_left(page, last_key, key=_key)
            if begin or (kept and kept[-1].key != last_key):
                whole = [*kept, *page[:begin]]
                yield Chunk(KeyRange(after, whole[-1].key), whole, requests)
                after, kept, requests = whole[-1].key, list(page[begin:]), 0
            else:
                kept += page[: max(0, versions_at_most + 1 - len(kept))]
    yield Chunk(KeyRange(after, keys.upto), kept, requests)


async def ahead(
    pages: AsyncGenerator[Sequence[ListedVersion], None],
) -> AsyncGenerator[Sequence[ListedVersion], None]:
    """The same pages; each is asked for while the one before is used. One page more is held."""
    async with aclosing(pages):
        asked = asyncio.create_task(_next(pages), name="next page")
        try:
            while (page := await asked) is not None:
                asked = asyncio.create_task(_next(pages), name="next page")
                yield page
        finally:
            asked.cancel()
            await asyncio.wait([asked])
            if not asked.cancelled():
                asked.exception()  # nobody waits for it any more


async def _next(pages: AsyncGenerator[Sequence[ListedVersion], None]) -> Sequence[ListedVersion] | None:
    return await anext(pages, None)


def _key(entry: ListedVersion) -> str:
    return entry.key
