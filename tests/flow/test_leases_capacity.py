"""Leases of a queue that lets in larger bodies than S3 sends: how much room a poll is given."""

from __future__ import annotations

import asyncio

from subscriber.flow.leases import POLL_BYTES, POLL_MESSAGES
from subscriber.model import Lease
from tests.fakes.samples import OTHER_QUEUE, QUEUE, message
from tests.fakes.virtual_time import settle
from tests.flow.test_leases import filled, leases_of


async def test_large_bodies_pass_the_ceiling_once_at_most() -> None:
    """A queue that lets in more than S3 sends: after its first poll of that kind each has room for as much."""
    book = leases_of(messages=1000, byte_limit=8 * POLL_BYTES)
    large = "x" * (POLL_BYTES // 5)
    book.settle(await filled(book, POLL_MESSAGES, body=large))
    leases: list[Lease] = []
    opening = asyncio.create_task(book.open(QUEUE), name="open")
    while not await _waits(opening):
        leases.append(opening.result())
        opening = asyncio.create_task(book.open(QUEUE), name="open")
    for lease in leases:
        book.fill(lease, [message(body=large, under=lease) for _ in range(POLL_MESSAGES)])
        assert book.bytes_held <= 8 * POLL_BYTES
    assert len(leases) == 4
    opening.cancel()


async def test_large_bodies_are_forgotten() -> None:
    """Else one sender could slow down a queue for ever."""
    book = leases_of(messages=1000, byte_limit=8 * POLL_BYTES)
    book.settle(await filled(book, POLL_MESSAGES, body="x" * (POLL_BYTES // 5)))
    for _ in range(10):
        book.settle(await filled(book, 1))
    await book.open(QUEUE)
    assert book.bytes_held == POLL_BYTES


async def test_bodies_larger_than_the_ceiling_leave_each_queue_its_poll() -> None:
    """What a poll is given room for is never more than there is when nothing is held."""
    book = leases_of(QUEUE, OTHER_QUEUE, byte_limit=2 * POLL_BYTES)
    for queue in (QUEUE, OTHER_QUEUE):
        book.settle(await filled(book, POLL_MESSAGES, queue=queue, body="x" * POLL_BYTES))
    await book.open(QUEUE)
    await book.open(OTHER_QUEUE)
    assert book.bytes_held == 2 * POLL_BYTES


async def _waits(opening: asyncio.Task[Lease]) -> bool:
    await settle()
    return not opening.done()
