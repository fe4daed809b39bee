"""Move tasks: SQS returns dead letters to their queues, at a rate, until it is canceled."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError

from tests.dead_letters.letters import let_die
from tests.fixtures.queues import FreshQueue, MakeQueue


async def _arn(queue: FreshQueue) -> str:
    answer = await queue.client.get_queue_attributes(QueueUrl=queue.dead_letter_url, AttributeNames=["QueueArn"])
    return str(answer["Attributes"]["QueueArn"])


async def _newest(queue: FreshQueue, arn: str) -> dict[str, Any]:
    results = (await queue.client.list_message_move_tasks(SourceArn=arn))["Results"]
    return dict(results[0])


async def test_all_dead_letters_return_to_their_queue(make_queue: MakeQueue) -> None:
    """The task completes, its counts are right, and the bodies are in the queue that they came from."""
    queue = await make_queue(max_receive_count=1)
    await let_die(queue, "a", "b")
    arn = await _arn(queue)
    await queue.client.start_message_move_task(SourceArn=arn, MaxNumberOfMessagesPerSecond=500)
    async with asyncio.timeout(30):
        while (task := await _newest(queue, arn))["Status"] == "RUNNING":  # noqa: ASYNC110 - the condition is a server's
            await asyncio.sleep(0.05)
    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 2)
    received = await queue.receive(wait_seconds=2) + await queue.receive()
    assert sorted(message["Body"] for message in received) == ["a", "b"]
    assert (await msgspec.structs.replace(queue, url=queue.dead_letter_url).counts())[0] == 0


async def test_a_canceled_task_leaves_the_rest(make_queue: MakeQueue) -> None:
    """A running task has a handle, by which it is canceled; what it has not moved stays."""
    queue = await make_queue(max_receive_count=1)
    await let_die(queue, *(str(number) for number in range(30)))
    arn = await _arn(queue)
    started = await queue.client.start_message_move_task(SourceArn=arn, MaxNumberOfMessagesPerSecond=1)
    await queue.client.cancel_message_move_task(TaskHandle=started["TaskHandle"])
    assert (await _newest(queue, arn))["Status"] in {"CANCELLING", "CANCELLED"}
    assert (await msgspec.structs.replace(queue, url=queue.dead_letter_url).counts())[0] > 0


async def test_only_a_dead_letter_queue_has_tasks(make_queue: MakeQueue) -> None:
    """A queue that no redrive policy names is refused."""
    queue = await make_queue()
    with pytest.raises(ClientError) as caught:
        await queue.client.start_message_move_task(SourceArn=queue.arn)
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValue"
