"""Queues: create, find, describe, purge, delete; and authentication."""

from __future__ import annotations

import uuid

import pytest
from botocore.exceptions import ClientError

from tests.fixtures.queues import MakeQueue, OpenClient


async def test_a_queue_is_found_by_its_name(make_queue: MakeQueue) -> None:
    """GetQueueUrl and ListQueues return the URL of CreateQueue, and creating it again changes nothing."""
    queue = await make_queue(VisibilityTimeout="7")
    name = queue.url.rpartition("/")[2]
    assert (await queue.client.get_queue_url(QueueName=name))["QueueUrl"] == queue.url
    assert (await queue.client.list_queues(QueueNamePrefix=name))["QueueUrls"] == [queue.url]
    again = await queue.client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "7"})
    assert again["QueueUrl"] == queue.url
    with pytest.raises(queue.client.exceptions.QueueNameExists):
        await queue.client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "8"})


async def test_a_missing_queue_has_two_error_codes(make_queue: MakeQueue) -> None:
    """Code is the older one, QueryErrorCode the newer, and the client has an exception class for it."""
    queue = await make_queue()
    calls = [
        queue.client.receive_message(QueueUrl=queue.url + "-nowhere"),
        queue.client.send_message(QueueUrl=queue.url + "-nowhere", MessageBody="a"),
        queue.client.get_queue_url(QueueName="nowhere"),
    ]
    for call in calls:
        with pytest.raises(queue.client.exceptions.QueueDoesNotExist) as caught:
            await call
        error = caught.value.response["Error"]
        assert error["Code"] == "AWS.SimpleQueueService.NonExistentQueue"
        assert error["QueryErrorCode"] == "QueueDoesNotExist"
        assert error["Type"] == "Sender"


async def test_counts_say_where_the_messages_are(make_queue: MakeQueue) -> None:
    """Visible, in-flight and delayed messages are counted separately."""
    queue = await make_queue()
    await queue.send("a", "b", "c")
    await queue.client.send_message(QueueUrl=queue.url, MessageBody="later", DelaySeconds=60)
    await queue.receive(1)
    assert await queue.counts() == (2, 1, 1)


async def test_attributes_can_be_set_and_read(make_queue: MakeQueue) -> None:
    """Attributes are stored as set, the others have their defaults, and invalid ones are rejected."""
    queue = await make_queue(VisibilityTimeout="45")
    await queue.client.set_queue_attributes(QueueUrl=queue.url, Attributes={"DelaySeconds": "3"})
    answer = await queue.client.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["All"])
    expected = {
        "VisibilityTimeout": "45",
        "DelaySeconds": "3",
        "MaximumMessageSize": "1048576",
        "MessageRetentionPeriod": "345600",
        "ReceiveMessageWaitTimeSeconds": "0",
        "QueueArn": queue.arn,
        "ApproximateNumberOfMessages": "0",
    }
    assert expected.items() <= answer["Attributes"].items()
    with pytest.raises(queue.client.exceptions.InvalidAttributeName):
        await queue.client.set_queue_attributes(QueueUrl=queue.url, Attributes={"Colour": "red"})
    with pytest.raises(queue.client.exceptions.InvalidAttributeName):
        await queue.client.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["Colour"])


async def test_purge_drops_every_message(make_queue: MakeQueue) -> None:
    """After a purge nothing is visible, in flight or delayed."""
    queue = await make_queue()
    await queue.send(*map(str, range(5)))
    await queue.client.send_message(QueueUrl=queue.url, MessageBody="later", DelaySeconds=60)
    await queue.receive(2)
    await queue.client.purge_queue(QueueUrl=queue.url)
    assert await queue.counts() == (0, 0, 0)
    assert await queue.receive() == []


async def test_a_second_purge_within_a_minute_is_rejected(make_queue: MakeQueue) -> None:
    """A queue can be purged once a minute."""
    queue = await make_queue()
    await queue.client.purge_queue(QueueUrl=queue.url)
    with pytest.raises(queue.client.exceptions.PurgeQueueInProgress):
        await queue.client.purge_queue(QueueUrl=queue.url)


async def test_a_deleted_queue_is_gone(make_queue: MakeQueue) -> None:
    """A deleted queue does not exist."""
    queue = await make_queue()
    await queue.client.delete_queue(QueueUrl=queue.url)
    with pytest.raises(queue.client.exceptions.QueueDoesNotExist):
        await queue.receive()


async def test_a_name_cannot_be_reused_for_a_minute(make_queue: MakeQueue) -> None:
    """A queue name cannot be reused just after its queue was deleted."""
    queue = await make_queue()
    await queue.client.delete_queue(QueueUrl=queue.url)
    with pytest.raises(queue.client.exceptions.QueueDeletedRecently):
        await queue.client.create_queue(QueueName=queue.url.rpartition("/")[2])


async def test_a_wrong_secret_is_rejected(sqs_endpoint: str, aws_client: OpenClient) -> None:
    """A request signed with another secret is rejected with 403."""
    async with aws_client("sqs", sqs_endpoint, secret_key="wrong") as client:
        with pytest.raises(ClientError) as caught:
            await client.list_queues(QueueNamePrefix=uuid.uuid4().hex)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert caught.value.response["Error"]["Code"] == "SignatureDoesNotMatch"
    assert caught.value.response["Error"]["QueryErrorCode"] == "InvalidSignatureException"


async def test_an_unknown_access_key_is_rejected(sqs_endpoint: str, aws_client: OpenClient) -> None:
    """A request with an unknown access key is rejected with 403."""
    async with aws_client("sqs", sqs_endpoint, access_key="nobody") as client:
        with pytest.raises(ClientError) as caught:
            await client.list_queues(QueueNamePrefix=uuid.uuid4().hex)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert caught.value.response["Error"]["Code"] == "InvalidClientTokenId"
