"""Byte reservations for a queue whose bodies are larger than those of S3."""

from __future__ import annotations

import asyncio

from subscriber.model import MESSAGES_PER_POLL, POLL_BYTES, Lease
from tests.fakes.samples import OTHER_QUEUE, QUEUE, message
from tests.fakes.virtual_time import settle
from tests.flow.test_leases import filled, leases_of


async def test_large_bodies_exceed_the_limit_once_at_most() -> None:
    """After the first poll with large bodies, each poll of the queue reserves as many bytes."""
    leases = leases_of(messages=1000, byte_limit=8 * POLL_BYTES)
    large = "x" * (POLL_BYTES // 5)
    leases.settle(await filled(leases, MESSAGES_PER_POLL, body=large))
    polls: list[Lease] = []
    opening = asyncio.create_task(leases.open(QUEUE), name="open")
    while not await _waits(opening):
        polls.append(opening.result())
        opening = asyncio.create_task(leases.open(QUEUE), name="open")
    for lease in polls:
        leases.fill(lease, [message(body=large, under=lease) for _ in range(MESSAGES_PER_POLL)])
        assert leases.bytes_held + leases.bytes_reserved <= 8 * POLL_BYTES
    assert len(polls) == 4
    opening.cancel()


async def test_a_large_reservation_decays() -> None:
    """Otherwise one sender could slow down a queue forever."""
    leases = leases_of(messages=1000, byte_limit=8 * POLL_BYTES)
    leases.settle(await filled(leases, MESSAGES_PER_POLL, body="x" * (POLL_BYTES // 5)))
    for _ in range(10):
        leases.settle(await filled(leases, 1))
    await leases.open(QUEUE)
    assert leases.bytes_reserved == POLL_BYTES


async def test_bodies_larger_than_the_limit_leave_each_queue_one_poll() -> None:
    """A reservation is never larger than a queue's share of the limit."""
    leases = leases_of(QUEUE, OTHER_QUEUE, byte_limit=2 * POLL_BYTES)
    for queue in (QUEUE, OTHER_QUEUE):
        leases.settle(await filled(leases, MESSAGES_PER_POLL, queue=queue, body="x" * POLL_BYTES))
    await leases.open(QUEUE)
    await leases.open(OTHER_QUEUE)
    assert leases.bytes_reserved == 2 * POLL_BYTES


async def _waits(opening: asyncio.Task[Lease]) -> bool:
    await settle()
    return not opening.done()
