"""The life cycle of a message: send, receive, visibility, delete."""

from __future__ import annotations

import hashlib
import time

import pytest
from botocore.exceptions import ClientError

from tests.fixtures.queues import MakeQueue


async def test_send_receive_and_delete(make_queue: MakeQueue) -> None:
    """A body arrives unchanged, with its digest, and does not return after it was deleted."""
    queue = await make_queue(VisibilityTimeout="0")
    body = '{"text": "é ü 你好 🚀 \\\\ \t\r\n end"}'
    sent = await queue.client.send_message(QueueUrl=queue.url, MessageBody=body)
    (message,) = await queue.receive(wait_seconds=2, VisibilityTimeout=30)
    assert message["Body"] == body
    assert message["MessageId"] == sent["MessageId"]
    assert message["MD5OfBody"] == sent["MD5OfMessageBody"] == hashlib.md5(body.encode()).hexdigest()
    await queue.client.delete_message(QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"])
    assert await queue.counts() == (0, 0, 0)
    assert await queue.receive() == []


async def test_an_empty_answer_has_no_messages_key(make_queue: MakeQueue) -> None:
    """An empty receive has no member `Messages`."""
    queue = await make_queue()
    answer = await queue.client.receive_message(QueueUrl=queue.url)
    assert set(answer) == {"ResponseMetadata"}


async def test_one_receive_returns_ten_at_most(make_queue: MakeQueue) -> None:
    """A receive returns up to the requested number, one by default."""
    queue = await make_queue()
    await queue.send(*map(str, range(13)))
    assert len(await queue.receive(10)) == 10
    assert len((await queue.client.receive_message(QueueUrl=queue.url))["Messages"]) == 1
    assert len(await queue.receive(10)) == 2
    with pytest.raises(ClientError, match="MaxNumberOfMessages") as caught:
        await queue.receive(11)
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValue"


async def test_a_receive_of_zero_messages_is_rejected(make_queue: MakeQueue) -> None:
    """The minimum of MaxNumberOfMessages is one."""
    queue = await make_queue()
    with pytest.raises(ClientError, match="MaxNumberOfMessages"):
        await queue.receive(0)


async def test_a_message_returns_after_its_visibility_timeout(make_queue: MakeQueue) -> None:
    """A received message is invisible for its timeout, then returns with a higher receive count."""
    queue = await make_queue()
    await queue.send("a", "b")
    await queue.receive(1, VisibilityTimeout=600)
    asked_at = time.monotonic()
    (first,) = await queue.receive(1, VisibilityTimeout=1)
    (second,) = await queue.receive(wait_seconds=20)
    assert time.monotonic() - asked_at > 0.8
    assert await queue.receive() == []
    assert await queue.counts() == (0, 2, 0)
    assert second["MessageId"] == first["MessageId"]
    assert second["ReceiptHandle"] != first["ReceiptHandle"]
    counts = [message["Attributes"]["ApproximateReceiveCount"] for message in (first, second)]
    assert counts == ["1", "2"]


async def test_visibility_zero_releases_at_once(make_queue: MakeQueue) -> None:
    """A message with visibility zero can be received at once."""
    queue = await make_queue()
    await queue.send("a")
    for count in ("1", "2", "3"):
        (message,) = await queue.receive(wait_seconds=2)
        assert message["Attributes"]["ApproximateReceiveCount"] == count
        await queue.client.change_message_visibility(
            QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
        )


async def test_visibility_counts_from_the_change(make_queue: MakeQueue) -> None:
    """A message stays invisible beyond its first timeout if it was extended."""
    queue = await make_queue(VisibilityTimeout="1")
    await queue.send("a")
    (message,) = await queue.receive()
    await queue.client.change_message_visibility(
        QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=60
    )
    assert await queue.receive(wait_seconds=2) == []


async def test_visibility_is_limited_to_twelve_hours(make_queue: MakeQueue) -> None:
    """A timeout that ends more than 43,200 seconds after the receive is rejected, not shortened."""
    queue = await make_queue()
    await queue.send("a")
    (message,) = await queue.receive(wait_seconds=1)
    with pytest.raises(ClientError) as caught:
        await queue.client.change_message_visibility(
            QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=43_200
        )
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValue"


async def test_an_older_handle_leaves_the_message(make_queue: MakeQueue) -> None:
    """Deleting with an older handle succeeds, but the message stays with its new consumer."""
    queue = await make_queue()
    await queue.send("a")
    (first,) = await queue.receive(VisibilityTimeout=0)
    (second,) = await queue.receive(wait_seconds=2)
    await queue.client.delete_message(QueueUrl=queue.url, ReceiptHandle=first["ReceiptHandle"])
    assert await queue.counts() == (0, 1, 0)
    await queue.client.delete_message(QueueUrl=queue.url, ReceiptHandle=second["ReceiptHandle"])
    assert await queue.counts() == (0, 0, 0)


async def test_deleting_twice_is_no_error(make_queue: MakeQueue) -> None:
    """Deleting a deleted message succeeds."""
    queue = await make_queue()
    await queue.send("a")
    (message,) = await queue.receive()
    for _ in range(2):
        await queue.client.delete_message(QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"])
    assert await queue.counts() == (0, 0, 0)


async def test_the_newest_handle_deletes_after_its_timeout(make_queue: MakeQueue) -> None:
    """A message that is visible again, and was not received since, can be deleted with its handle."""
    queue = await make_queue()
    await queue.send("a")
    (message,) = await queue.receive()
    await queue.client.change_message_visibility(
        QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
    )
    await queue.client.delete_message(QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"])
    assert await queue.receive() == []


async def test_the_visibility_of_a_visible_message_cannot_change(make_queue: MakeQueue) -> None:
    """A message after its timeout is not in flight: its visibility cannot be changed."""
    queue = await make_queue()
    await queue.send("a")
    (message,) = await queue.receive()
    change = {"QueueUrl": queue.url, "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}
    await queue.client.change_message_visibility(**change)
    with pytest.raises(ClientError) as caught:
        await queue.client.change_message_visibility(**change)
    error = caught.value.response["Error"]
    assert error["QueryErrorCode"] in {"MessageNotInflight", "InvalidParameterValueException"}


async def test_an_invented_handle_is_rejected(make_queue: MakeQueue) -> None:
    """An invented handle, and one of another queue, is invalid for delete and visibility."""
    queue, other = await make_queue(), await make_queue()
    await other.send("a")
    (message,) = await other.receive()
    for handle in ("made-up", message["ReceiptHandle"]):
        for call in (
            queue.client.delete_message(QueueUrl=queue.url, ReceiptHandle=handle),
            queue.client.change_message_visibility(QueueUrl=queue.url, ReceiptHandle=handle, VisibilityTimeout=0),
        ):
            with pytest.raises(queue.client.exceptions.ReceiptHandleIsInvalid):
                await call


async def test_a_delayed_message_arrives_after_its_delay(make_queue: MakeQueue) -> None:
    """The queue's delay applies unless the message has its own."""
    queue = await make_queue(DelaySeconds="60")
    await queue.send("by the queue's delay")
    await queue.client.send_message(QueueUrl=queue.url, MessageBody="now", DelaySeconds=0)
    assert [message["Body"] for message in await queue.receive(wait_seconds=20)] == ["now"]
    sent_at = time.monotonic()
    await queue.client.send_message(QueueUrl=queue.url, MessageBody="soon", DelaySeconds=1)
    assert [message["Body"] for message in await queue.receive(wait_seconds=20)] == ["soon"]
    assert time.monotonic() - sent_at > 0.8
    assert await queue.counts() == (0, 2, 1)


async def test_system_attributes_are_returned_on_request(make_queue: MakeQueue) -> None:
    """Only requested attributes are returned; times are Unix milliseconds."""
    queue = await make_queue(VisibilityTimeout="0")
    before = int(time.time() * 1_000)
    await queue.send("a")
    (plain,) = (await queue.client.receive_message(QueueUrl=queue.url))["Messages"]
    assert "Attributes" not in plain
    names = ["SentTimestamp", "ApproximateFirstReceiveTimestamp", "ApproximateReceiveCount"]
    answer = await queue.client.receive_message(QueueUrl=queue.url, MessageSystemAttributeNames=names)
    attributes = answer["Messages"][0]["Attributes"]
    after = int(time.time() * 1_000)
    assert set(attributes) == set(names)
    sent, first = int(attributes["SentTimestamp"]), int(attributes["ApproximateFirstReceiveTimestamp"])
    assert before - 5 <= sent <= first + 5 <= after + 10
    assert attributes["ApproximateReceiveCount"] == "2"


async def test_a_body_has_allowed_characters_only(make_queue: MakeQueue) -> None:
    """Characters outside XML 1.0 are rejected, those at its boundaries are accepted."""
    queue = await make_queue()
    for body in ("\x00", "a\x0b", "\x1f", "\ufffe", "\uffff"):
        with pytest.raises(queue.client.exceptions.InvalidMessageContents):
            await queue.client.send_message(QueueUrl=queue.url, MessageBody=body)
    await queue.send("\t\n\r ", "\ud7ff\ue000\ufffd", "\U00010000\U0010ffff", "\x7f\x85")
    assert (await queue.counts())[0] == 4


async def test_a_body_has_a_size_in_bytes(make_queue: MakeQueue) -> None:
    """A body has at most MaximumMessageSize bytes in UTF-8, and is not empty."""
    queue = await make_queue(MaximumMessageSize="1024")
    await queue.client.send_message(QueueUrl=queue.url, MessageBody="é" * 512)
    for body, code in (("é" * 512 + "a", "InvalidParameterValue"), ("", "MissingParameter")):
        with pytest.raises(ClientError) as caught:
            await queue.client.send_message(QueueUrl=queue.url, MessageBody=body)
        assert caught.value.response["Error"]["Code"] == code
