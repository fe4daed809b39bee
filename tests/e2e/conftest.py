"""Fixtures of the end-to-end tests."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from testkit.sqs.launch import QueueServer
from testkit.sqs.raw_client import RawClient
from tests.e2e.environment import RunContext


@pytest.fixture
async def plain_schema(postgres_url: str) -> AsyncIterator[str]:
    """The name of a schema that settings accept; it does not exist yet and is dropped at the end."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield name
    connection = await asyncpg.connect(postgres_url, timeout=10)
    await connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
    await connection.close()


@pytest.fixture
def context(queue_server: QueueServer, postgres_url: str, plain_schema: str) -> Iterator[RunContext]:
    """A fresh queue with a dead-letter queue behind it, and a fresh schema."""
    with RawClient(queue_server.endpoint_url) as client:
        name = f"events-{uuid.uuid4().hex[:8]}"
        dead = client.call("CreateQueue", QueueName=f"{name}-dead")["QueueUrl"]
        arn = client.call("GetQueueAttributes", QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        redrive = f'{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"10"}}'
        queue = client.call("CreateQueue", QueueName=name, Attributes={"RedrivePolicy": redrive})["QueueUrl"]
        yield RunContext(client, queue, postgres_url, plain_schema, queue_server.endpoint_url)
