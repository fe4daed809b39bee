"""Whether ranges that fill the index wait for their listing; in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable

from subscriber.reconcile.listing_wait import ListingWait


async def listing(seconds: Iterable[float]) -> AsyncGenerator[float, None]:
    """Chunks that are so long in coming."""
    for each in seconds:
        await asyncio.sleep(each)
        yield each


async def fill(waits: ListingWait, listed_seconds: Iterable[float], written_seconds: float) -> list[bool]:
    """Write chunks, and note after each whether the wait is long."""
    found = []
    async for _ in waits.timed(listing(listed_seconds)):
        await asyncio.sleep(written_seconds)
        found.append(waits.is_long)
    return found


async def test_it_is_long_while_the_listing_is_slower_than_the_writes() -> None:
    """And not while the writes are slower."""
    assert all((await fill(ListingWait(), [0.1] * 5, 0.01))[1:])
    assert not any(await fill(ListingWait(), [0.01] * 5, 0.1))


async def test_the_last_pages_count_most() -> None:
    """A wait that has ended is forgotten within some pages, and so is one that has begun."""
    found = await fill(ListingWait(), [*[0.2] * 20, *[0.01] * 40, *[0.2] * 20], 0.05)
    assert (found[19], found[59], found[79]) == (True, False, True)


async def test_a_process_that_fills_nothing_helps() -> None:
    """Before, and after its last range."""
    waits = ListingWait()
    assert waits.is_long
    assert await fill(waits, [0.01], 0.1) == [False]
    assert waits.is_long


async def test_several_ranges_count_together() -> None:
    """Two that wait outweigh one that does not."""
    waits = ListingWait()
    found = await asyncio.gather(*(fill(waits, [listed] * 10, 0.01) for listed in (0.1, 0.1, 0.001)))
    assert found[0][-1]
    assert waits.ranges == 0
