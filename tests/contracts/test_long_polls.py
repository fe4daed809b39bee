"""Long polls."""

from __future__ import annotations

import asyncio
import time

from tests.fixtures.queues import FreshQueue, MakeQueue

_MANY_SECONDS = 15
"""Long enough to notice a poll that was not woken."""


async def test_a_waiting_poll_returns_when_a_message_arrives(make_queue: MakeQueue) -> None:
    """A waiting poll returns as soon as a message is sent."""
    queue = await make_queue()
    poll = asyncio.create_task(queue.receive(wait_seconds=_MANY_SECONDS), name="poll")
    await _until_at_server(queue)
    sent_at = time.monotonic()
    await queue.send("a")
    (message,) = await poll
    assert message["Body"] == "a"
    assert time.monotonic() - sent_at < 3


async def test_a_waiting_poll_returns_when_a_message_is_released(make_queue: MakeQueue) -> None:
    """A waiting poll returns as soon as another consumer releases a message."""
    queue = await make_queue()
    await queue.send("a")
    (message,) = await queue.receive(VisibilityTimeout=60)
    poll = asyncio.create_task(queue.receive(wait_seconds=_MANY_SECONDS), name="poll")
    await _until_at_server(queue)
    await queue.client.change_message_visibility(
        QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
    )
    released_at = time.monotonic()
    (again,) = await poll
    assert again["MessageId"] == message["MessageId"]
    assert time.monotonic() - released_at < 3


async def test_an_empty_poll_ends_when_its_wait_is_over(make_queue: MakeQueue) -> None:
    """An empty poll ends after its own wait time, or the queue's if it has none."""
    queue = await make_queue(ReceiveMessageWaitTimeSeconds="1")
    started = time.monotonic()
    answer = await queue.client.receive_message(QueueUrl=queue.url)
    assert "Messages" not in answer
    assert 0.9 < time.monotonic() - started < 4
    started = time.monotonic()
    assert await queue.receive(wait_seconds=0) == []
    assert time.monotonic() - started < 0.9


async def test_every_message_goes_to_one_poll(make_queue: MakeQueue) -> None:
    """Several waiting polls receive different messages, and together all of them."""
    queue = await make_queue()
    polls = [asyncio.create_task(queue.receive(1, wait_seconds=_MANY_SECONDS), name=f"poll-{n}") for n in range(4)]
    await _until_at_server(queue)
    await queue.send("a", "b", "c", "d")
    received = [message["Body"] for messages in await asyncio.gather(*polls) for message in messages]
    assert sorted(received) == ["a", "b", "c", "d"]


async def _until_at_server(queue: FreshQueue) -> None:
    # A round trip on another connection: the server has the poll by then.
    for _ in range(3):
        await queue.counts()
