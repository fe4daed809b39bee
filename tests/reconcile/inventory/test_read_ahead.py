"""Blocks that are made while the one before is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from subscriber.reconcile.inventory.fill import read_ahead


class Blocks:
    """Numbers from 1, and how many were begun."""

    def __init__(self, count: int, *, ends_with: Exception | None = None, waits: bool = False) -> None:
        self.begun = 0
        self.is_closed = False
        self._count = count
        self._ends_with = ends_with
        self._waits = waits

    async def items(self) -> AsyncGenerator[int, None]:
        """The numbers."""
        try:
            for number in range(1, self._count + 1):
                self.begun = number
                if self._waits and number > 1:
                    await asyncio.Event().wait()
                yield number
            if self._ends_with:
                raise self._ends_with
        finally:
            self.is_closed = True


async def test_the_next_item_is_made_meanwhile() -> None:
    """One, and not more: memory is bounded."""
    blocks = Blocks(5)
    seen = []
    async with aclosing(read_ahead(blocks.items())) as items:
        async for item in items:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            seen.append((item, blocks.begun))
    assert seen == [(1, 2), (2, 3), (3, 4), (4, 5), (5, 5)]
    assert blocks.is_closed


async def test_an_error_comes_after_the_items_before_it() -> None:
    """What was read is written first."""
    items = read_ahead(Blocks(2, ends_with=ValueError("damaged")).items())
    assert [await anext(items), await anext(items)] == [1, 2]
    with pytest.raises(ValueError, match="damaged"):
        await anext(items)


@pytest.mark.parametrize("waits", [False, True])
async def test_leaving_early_ends_what_is_being_made(waits: bool) -> None:
    """Whether it is made already or still waits; its error is nobody's then."""
    blocks = Blocks(1 if not waits else 3, ends_with=ValueError("damaged"), waits=waits)
    async with aclosing(read_ahead(blocks.items())) as items:
        assert await anext(items) == 1
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert blocks.is_closed
    assert {task.get_name() for task in asyncio.all_tasks()} & {"inventory-block"} == set()


async def test_a_cancelled_caller_leaves_nothing_behind() -> None:
    """While it waits for an item."""
    blocks = Blocks(3, waits=True)

    async def read() -> list[int]:
        async with aclosing(read_ahead(blocks.items())) as items:
            return [item async for item in items]

    reading = asyncio.create_task(read(), name="reading")
    for _ in range(10):
        await asyncio.sleep(0)
    assert blocks.begun == 2
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert blocks.is_closed
    assert {task.get_name() for task in asyncio.all_tasks()} & {"inventory-block"} == set()
