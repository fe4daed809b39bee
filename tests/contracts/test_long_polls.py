"""Long polls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.fixtures.queues import FreshQueue, MakeQueue

_MANY_SECONDS = 20
"""The longest that SQS allows."""


@pytest.fixture
async def waiting(make_queue: MakeQueue) -> AsyncIterator[asyncio.Task[list[dict[str, Any]]]]:
    """A poll that began first, which nothing ends early: whatever ends while it waits did not wait so long."""
    poll = asyncio.create_task((await make_queue()).receive(wait_seconds=_MANY_SECONDS), name="waiting")
    await asyncio.sleep(0)
    yield poll
    poll.cancel()
    await asyncio.wait([poll])


async def test_a_waiting_poll_returns_when_a_message_arrives(make_queue: MakeQueue, waiting: asyncio.Task[Any]) -> None:
    """A waiting poll returns as soon as a message is sent."""
    queue = await make_queue()
    poll = asyncio.create_task(queue.receive(wait_seconds=_MANY_SECONDS), name="poll")
    await _until_at_server(queue)
    await queue.send("a")
    (message,) = await poll
    assert message["Body"] == "a"
    assert not waiting.done()


async def test_a_waiting_poll_returns_when_a_message_is_released(
    make_queue: MakeQueue, waiting: asyncio.Task[Any]
) -> None:
    """A waiting poll returns as soon as another consumer releases a message."""
    queue = await make_queue()
    await queue.send("a")
    (message,) = await queue.receive(VisibilityTimeout=60)
    poll = asyncio.create_task(queue.receive(wait_seconds=_MANY_SECONDS), name="poll")
    await _until_at_server(queue)
    await queue.client.change_message_visibility(
        QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
    )
    (again,) = await poll
    assert again["MessageId"] == message["MessageId"]
    assert not waiting.done()


async def test_an_empty_poll_ends_when_its_wait_is_over(make_queue: MakeQueue, waiting: asyncio.Task[Any]) -> None:
    """An empty poll ends after its own wait time, or the queue's if it has none."""
    queue = await make_queue(ReceiveMessageWaitTimeSeconds="1")
    started = time.monotonic()
    answer = await queue.client.receive_message(QueueUrl=queue.url)
    assert "Messages" not in answer
    assert time.monotonic() - started > 0.9
    patient = await make_queue(ReceiveMessageWaitTimeSeconds=str(_MANY_SECONDS))
    assert await patient.receive(wait_seconds=0) == []
    assert not waiting.done()


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
