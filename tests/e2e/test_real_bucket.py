"""A real PutObject in a real S3-compatible server becomes a row: through SQS alone, through SNS, through EventBridge.

LocalStack puts one constant sequencer into every event, so no key here is written twice within a second; other tests
check the order with bodies as AWS sends them.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from aiobotocore.session import get_session

from subscriber.errors import ExitCode
from testkit.daemon import daemon_process
from tests.e2e.environment import POLL_SECONDS, TIMEOUT_SECONDS, RunContext, fitting_constraints, until

pytestmark = pytest.mark.usefixtures("untraced")

CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
HOSTILE_KEYS = (
    "plain.txt",
    "with space.txt",
    "a+b.txt",
    "100%.txt",
    "%2B%20literal",
    "dir/üñí/日本語/🪣.bin",
    "quotes'\"\\;DROP TABLE object_versions;--",
    "a//b/../c/./d",
    "=&?#:@!$,~*()[]{}<>|^`",
    "e\u0301 is not \u00e9",
    "k" * 1024,
    "é" * 512,
)


class Cloud(msgspec.Struct):
    """Clients of one LocalStack."""

    endpoint_url: str
    clients: dict[str, Any]

    def __getitem__(self, service: str) -> Any:
        return self.clients[service]

    async def make_queue(self, name: str) -> tuple[str, str]:
        """URL and ARN of a new queue."""
        url: str = (await self["sqs"].create_queue(QueueName=name))["QueueUrl"]
        answer = await self["sqs"].get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return url, answer["Attributes"]["QueueArn"]

    async def until_empty(self, queue: str) -> None:
        """Wait until nothing is visible and nothing in flight: LocalStack counts exactly."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                answer = await self["sqs"].get_queue_attributes(QueueUrl=queue, AttributeNames=names)
                if all(int(answer["Attributes"][name]) == 0 for name in names):
                    return
                await asyncio.sleep(POLL_SECONDS)

    async def listing(self, bucket: str) -> dict[str, tuple[int, str]]:
        """Size and eTag of every object, by key."""
        pages = self["s3"].get_paginator("list_objects_v2").paginate(Bucket=bucket)
        found = [item async for page in pages for item in page.get("Contents", [])]
        return {item["Key"]: (item["Size"], item["ETag"].strip('"')) for item in found}


@pytest.fixture
async def cloud(localstack_url: str) -> AsyncIterator[Cloud]:
    """Clients of every service that a notification may pass."""
    async with AsyncExitStack() as stack:
        clients = {
            service: await stack.enter_async_context(
                get_session().create_client(
                    service, region_name="us-east-1", endpoint_url=localstack_url, **CREDENTIALS
                )
            )
            for service in ("s3", "sqs", "sns", "events")
        }
        yield Cloud(endpoint_url=localstack_url, clients=clients)


async def notify_directly(cloud: Cloud, bucket: str, queue_arn: str) -> None:
    """S3 → SQS."""
    events = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
    configuration = {"QueueConfigurations": [{"QueueArn": queue_arn, "Events": events}]}
    await cloud["s3"].put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)


async def notify_by_topic(cloud: Cloud, bucket: str, queue_arn: str, *, raw: bool) -> None:
    """S3 → SNS → SQS, wrapped or raw."""
    topic = (await cloud["sns"].create_topic(Name=f"topic-of-{bucket}"))["TopicArn"]
    attributes = {"RawMessageDelivery": "true" if raw else "false"}
    await cloud["sns"].subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn, Attributes=attributes)
    events = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
    configuration = {"TopicConfigurations": [{"TopicArn": topic, "Events": events}]}
    await cloud["s3"].put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)


async def notify_by_bus(cloud: Cloud, bucket: str, queue_arn: str) -> None:
    """S3 → EventBridge → SQS."""
    rule = f"rule-of-{bucket}"
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}
    await cloud["events"].put_rule(Name=rule, EventPattern=json.dumps(pattern))
    await cloud["events"].put_targets(Rule=rule, Targets=[{"Id": "queue", "Arn": queue_arn}])
    configuration: dict[str, dict[str, str]] = {"EventBridgeConfiguration": {}}
    await cloud["s3"].put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)


def carried_keys(envelope: str) -> tuple[str, ...]:
    """The keys that an envelope can carry here.

    LocalStack 4.13 form-encodes keys in EventBridge events, which AWS does not: there the daemon rightly stores the
    encoded key, and a key of 1,024 bytes would exceed the maximum length.
    """
    if envelope != "eventbridge":
        return HOSTILE_KEYS
    return tuple(key for key in HOSTILE_KEYS if len(quote(key)) <= 1024)


def key_in_event(envelope: str, key: str) -> str:
    """The key that the daemon reads from the envelope's event."""
    return quote(key) if envelope == "eventbridge" else key


async def start_notifying(cloud: Cloud, bucket: str, queue_arn: str, envelope: str) -> None:
    """Send the events of `bucket` to the queue, in one envelope."""
    match envelope:
        case "native":
            await notify_directly(cloud, bucket, queue_arn)
        case "eventbridge":
            await notify_by_bus(cloud, bucket, queue_arn)
        case _:
            await notify_by_topic(cloud, bucket, queue_arn, raw=envelope == "sns-raw")


async def next_second() -> None:
    """Wait for the next second: the order of LocalStack's events has no finer resolution."""
    await asyncio.sleep(1.05 - time.time() % 1)


async def indexed(context: RunContext, bucket: str) -> dict[str, tuple[int, str]]:
    """The objects of one bucket in the view, in the shape of its listing."""
    rows = await context.fetch("SELECT bucket, key, size_bytes, etag FROM objects")
    return {row["key"]: (row["size_bytes"], row["etag"]) for row in rows if row["bucket"] == bucket}


@pytest.mark.parametrize("envelope", ["native", "sns", "sns-raw", "eventbridge"])
async def test_the_view_equals_the_listing(context: RunContext, cloud: Cloud, envelope: str) -> None:
    """Objects with hostile keys, some deleted again: the view `objects` equals the listing of the bucket."""
    bucket, keys = f"lake-{envelope}", carried_keys(envelope)
    queue, queue_arn = await cloud.make_queue(f"events-{envelope}")
    await cloud["s3"].create_bucket(Bucket=bucket)
    await start_notifying(cloud, bucket, queue_arn, envelope)
    environment = context.environment() | {
        "AWS_ENDPOINT_URL_SQS": cloud.endpoint_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "SUBSCRIBER_QUEUE_URLS": queue,
    }
    with daemon_process(environment, "--migrate") as daemon:
        for number, key in enumerate(keys):
            await cloud["s3"].put_object(Bucket=bucket, Key=key, Body=b"x" * number)
        await next_second()
        for key in keys[::3]:
            await cloud["s3"].delete_object(Bucket=bucket, Key=key)
        listing = await cloud.listing(bucket)
        assert set(listing) == set(keys) - set(keys[::3])
        events = len(keys) + len(keys[::3])
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        await until(lambda: daemon.metric("subscriber_acknowledged_messages_total") >= events)
        await cloud.until_empty(queue)  # one of the acknowledged messages may have been a test event
        assert await indexed(context, bucket) == {key_in_event(envelope, key): facts for key, facts in listing.items()}
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
    assert await context.fetch("SELECT FROM quarantined_messages") == []


async def test_a_fifo_queue_ends_the_start(context: RunContext, cloud: Cloud) -> None:
    """Exit 4, and the line says why, and what to use instead."""
    answer = await cloud["sqs"].create_queue(QueueName="ordered.fifo", Attributes={"FifoQueue": "true"})
    environment = context.environment() | {
        "AWS_ENDPOINT_URL_SQS": cloud.endpoint_url,
        "SUBSCRIBER_QUEUE_URLS": answer["QueueUrl"],
        **fitting_constraints(),
    }
    with daemon_process(environment, "--migrate") as daemon:
        code = await asyncio.to_thread(daemon.wait)
        lines = [line["text"] for line in daemon.log if "text" in line]
    assert code == ExitCode.QUEUE
    assert "is a FIFO queue" in lines[0]
    assert lines[0].endswith("use a standard queue")
