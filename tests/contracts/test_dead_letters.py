"""Messages that exceed maxReceiveCount."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError

from tests.fixtures.queues import FreshQueue, MakeQueue


async def _fail(queue: FreshQueue, times: int) -> dict[str, Any]:
    message: dict[str, Any] = {}
    for _ in range(times):
        (message,) = await queue.receive(wait_seconds=2)
        await queue.client.change_message_visibility(
            QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
        )
    return message


async def test_a_message_moves_after_its_last_receive(make_queue: MakeQueue) -> None:
    """A message moves, and is not deleted, at the receive after the last that the policy allows.

    Its id and send time stay, so its age does not start again; its receive count continues.
    """
    queue = await make_queue(max_receive_count=2)
    await queue.send("poison")
    last = await _fail(queue, 2)
    assert last["Attributes"]["ApproximateReceiveCount"] == "2"
    assert await queue.receive() == []
    assert await queue.counts() == (0, 0, 0)
    assert queue.dead_letter_url is not None
    dead_letters = msgspec.structs.replace(queue, url=queue.dead_letter_url)
    (letter,) = await dead_letters.receive(wait_seconds=2)
    assert (letter["Body"], letter["MessageId"]) == ("poison", last["MessageId"])
    attributes = letter["Attributes"]
    assert attributes["SentTimestamp"] == last["Attributes"]["SentTimestamp"]
    assert attributes["ApproximateReceiveCount"] == "3"
    assert attributes["DeadLetterQueueSourceArn"] == queue.arn


async def test_the_policy_can_be_read_and_removed(make_queue: MakeQueue) -> None:
    """The redrive policy is returned as it was set; an empty one removes it."""
    queue = await make_queue(max_receive_count=1)
    names = ["RedrivePolicy"]
    answer = await queue.client.get_queue_attributes(QueueUrl=queue.url, AttributeNames=names)
    assert json.loads(answer["Attributes"]["RedrivePolicy"])["maxReceiveCount"] == 1
    await queue.client.set_queue_attributes(QueueUrl=queue.url, Attributes={"RedrivePolicy": ""})
    answer = await queue.client.get_queue_attributes(QueueUrl=queue.url, AttributeNames=names)
    assert "RedrivePolicy" not in answer.get("Attributes", {})
    await queue.send("a")
    await _fail(queue, 3)
    assert (await queue.counts())[0] == 1


async def test_a_dead_letter_target_must_exist(make_queue: MakeQueue) -> None:
    """A policy that names a missing queue is rejected."""
    queue = await make_queue()
    policy = json.dumps({"deadLetterTargetArn": queue.arn + "-nowhere", "maxReceiveCount": 3})
    with pytest.raises(ClientError) as caught:
        await queue.client.set_queue_attributes(QueueUrl=queue.url, Attributes={"RedrivePolicy": policy})
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValue"
