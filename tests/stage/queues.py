"""Real queues for tests: LocalStack and the local queue server.

Both run once per session and only if a test asks for them; every test makes queues of its own.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, TypeAlias

import msgspec
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session

from benchmarks.lab.localstack import localstack_server
from benchmarks.lab.queue import QueueServer, local_queue_server

REGION = "us-east-1"
ACCESS_KEY = "local"
SECRET_KEY = "local"

Client: TypeAlias = Any
"""A client of aiobotocore: its methods are made from the service's model when it is created."""

OpenClient: TypeAlias = Callable[..., AbstractAsyncContextManager[Client]]

_names = itertools.count()


class FreshQueue(msgspec.Struct, frozen=True):
    """A queue made for one test."""

    client: Client
    url: str
    arn: str
    dead_letter_url: str | None = None

    async def send(self, *bodies: str) -> None:
        """Send these bodies, in tens."""
        for start in range(0, len(bodies), 10):
            entries = [{"Id": str(index), "MessageBody": body} for index, body in enumerate(bodies[start : start + 10])]
            answer = await self.client.send_message_batch(QueueUrl=self.url, Entries=entries)
            assert "Failed" not in answer

    async def receive(self, limit: int = 10, wait_seconds: int = 0, **options: Any) -> list[dict[str, Any]]:
        """Receive once, with every system attribute."""
        answer = await self.client.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=limit,
            WaitTimeSeconds=wait_seconds,
            MessageSystemAttributeNames=["All"],
            **options,
        )
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages

    async def counts(self) -> tuple[int, int, int]:
        """How many messages are visible, in flight and delayed."""
        names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ]
        answer = await self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
        visible, in_flight, delayed = (int(answer["Attributes"][name]) for name in names)
        return visible, in_flight, delayed


MakeQueue: TypeAlias = Callable[..., Awaitable[FreshQueue]]


@pytest.fixture(scope="session")
def localstack_url() -> Iterator[str]:
    """The endpoint of a LocalStack that runs for the session."""
    with localstack_server() as server:
        yield server.endpoint_url


@pytest.fixture(scope="session")
def queue_server() -> Iterator[QueueServer]:
    """Our own queue server, running for the session."""
    with local_queue_server(access_key=ACCESS_KEY, secret_key=SECRET_KEY) as server:
        yield server


@pytest.fixture(params=["local", "localstack"])
def sqs_endpoint(request: pytest.FixtureRequest) -> str:
    """The endpoint of each kind of queue server in turn: a law holds on both."""
    if request.param == "local":
        server: QueueServer = request.getfixturevalue("queue_server")
        return server.endpoint_url
    url: str = request.getfixturevalue("localstack_url")
    return url


@pytest.fixture
def aws_client(monkeypatch: pytest.MonkeyPatch) -> OpenClient:
    """A way to open a client of an AWS service, by its name and endpoint, for an `async with` block."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)  # nobody's profile or proxy decides what a test sees

    @asynccontextmanager
    async def open_client(
        service: str, endpoint_url: str, *, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY
    ) -> AsyncIterator[Client]:
        config = AioConfig(
            retries={"mode": "standard", "total_max_attempts": 1},
            connect_timeout=5,
            read_timeout=30,
            max_pool_connections=50,
        )
        async with _session().create_client(
            service,
            region_name=REGION,
            endpoint_url=endpoint_url,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=config,
        ) as client:
            yield client

    return open_client


@pytest.fixture
async def make_queue(sqs_endpoint: str, aws_client: OpenClient) -> AsyncIterator[MakeQueue]:
    """A way to make fresh queues at the server in turn.

    It takes attributes by name; with `max_receive_count` the queue has a dead-letter queue of its own.
    """
    async with AsyncExitStack() as opened:
        client = await opened.enter_async_context(aws_client("sqs", sqs_endpoint))

        async def make(*, max_receive_count: int | None = None, **attributes: str) -> FreshQueue:
            dead_letter_url = None
            if max_receive_count is not None:
                dead_letters = await _create(client, {})
                dead_letter_url = dead_letters.url
                policy = {"deadLetterTargetArn": dead_letters.arn, "maxReceiveCount": max_receive_count}
                attributes["RedrivePolicy"] = msgspec.json.encode(policy).decode()
            made = await _create(client, attributes)
            return msgspec.structs.replace(made, dead_letter_url=dead_letter_url)

        yield make


@functools.cache
def _session() -> AioSession:
    # Kept for the whole run: it holds the service models, which take long to read.
    return get_session()


async def _create(client: Client, attributes: dict[str, str]) -> FreshQueue:
    name = f"test-{os.getpid()}-{next(_names)}"
    url = (await client.create_queue(QueueName=name, Attributes=attributes))["QueueUrl"]
    answer = await client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return FreshQueue(client, url, answer["Attributes"]["QueueArn"])
