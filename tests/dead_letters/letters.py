"""Makes dead letters as SQS does: by receives that nobody deletes."""

from __future__ import annotations

import asyncio

import msgspec

from tests.fixtures.queues import FreshQueue


async def let_die(queue: FreshQueue, *bodies: str) -> FreshQueue:
    """Send bodies to a queue with maxReceiveCount 1 and receive them until they are dead; their dead-letter queue."""
    assert queue.dead_letter_url is not None
    dead = msgspec.structs.replace(queue, url=queue.dead_letter_url)
    await queue.send(*bodies)
    async with asyncio.timeout(30):
        while (await dead.counts())[0] < len(bodies):
            await queue.receive(VisibilityTimeout=0)
    return dead
