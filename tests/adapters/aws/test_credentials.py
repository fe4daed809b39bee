"""Credentials whose source answers a moment later, and those whose source never does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest
import structlog
from aiobotocore.utils import AioContainerMetadataFetcher
from botocore.exceptions import (
    CredentialRetrievalError,
    EndpointConnectionError,
    MetadataRetrievalError,
    ProfileNotFound,
)

from subscriber.adapters.aws.credentials import ATTEMPTS, BACKOFF, once_credentials_come
from subscriber.adapters.postgres.auth import AuthOptions, authenticated
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.sqs.client import Sqs
from subscriber.adapters.sqs.options import SqsOptions
from subscriber.errors import ExitCode, QueueError
from subscriber.flow.backoff import Backoff
from tests.fakes.virtual_time import VirtualTimeLoop

NOT_YET = CredentialRetrievalError(provider="container-role", error_msg="connection refused")
CREDENTIALS = (
    b'{"AccessKeyId": "local", "SecretAccessKey": "local", "Token": "t", "Expiration": "2099-01-01T00:00:00Z"}'
)


class Source:
    """Fails so many times with an error, then succeeds."""

    def __init__(self, failures: int, error: Exception = NOT_YET) -> None:
        self.failures, self.error, self.asked = failures, error, 0

    async def attempt(self) -> str:
        """One attempt."""
        self.asked += 1
        if self.asked <= self.failures:
            raise self.error
        return "key"


def outcome(source: Source) -> tuple[str | QueueError, float]:
    """The result, or the error, and the seconds it took."""

    async def scenario() -> tuple[str | QueueError, float]:
        clock = asyncio.get_running_loop().time
        began_at = clock()
        try:
            result: str | QueueError = await once_credentials_come(source.attempt)
        except QueueError as error:
            result = error
        return result, clock() - began_at

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(scenario())


@pytest.mark.parametrize(
    "error",
    [
        NOT_YET,
        MetadataRetrievalError(error_msg="timed out"),
        EndpointConnectionError(endpoint_url="http://169.254.170.2"),
    ],
)
def test_a_source_that_fails_is_asked_again(error: Exception) -> None:
    """Up to five times in all, within seconds; each failure is logged."""
    source = Source(ATTEMPTS - 1, error)
    with structlog.testing.capture_logs() as lines:
        result, seconds = outcome(source)
    assert (result, source.asked) == ("key", ATTEMPTS)
    assert 0.5 < seconds <= ATTEMPTS * BACKOFF.max_seconds
    assert [(line["event"], line["reason"]) for line in lines] == [("credentials.waiting", type(error).__name__)] * (
        ATTEMPTS - 1
    )


def test_a_source_that_never_answers_ends_the_start_with_a_sentence() -> None:
    """Of the queue's kind, exit code 4: nothing is wrong with the settings."""
    error, _ = outcome(Source(ATTEMPTS))
    assert isinstance(error, QueueError)
    assert error.exit_code == ExitCode.QUEUE
    assert str(error) == (
        "no AWS credentials after 5 attempts: Error when retrieving credentials from container-role: connection "
        "refused; check the task's role, and the endpoint, file or process from which AWS's variables take credentials"
    )


def test_a_mistake_in_the_settings_is_not_tried_again() -> None:
    """It would fail again."""
    source = Source(1, ProfileNotFound(profile="nobody"))
    with pytest.raises(ProfileNotFound):
        outcome(source)
    assert source.asked == 1


@pytest.fixture
def container_socket(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Bound to the port where this container's credentials are expected; botocore's own tries follow at once."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    port = bound.getsockname()[1]
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{port}/credentials")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setattr(AioContainerMetadataFetcher, "SLEEP_TIME", 0)
    yield bound
    bound.close()


OPTIONS = SqsOptions(
    queues=("https://sqs.eu-west-1.amazonaws.com/123456789012/events",),
    wait_seconds=1,
    visibility_seconds=30,
    polls_at_most=1,
    settle_calls_at_most=1,
)


async def test_the_queue_client_opens_when_the_container_has_its_role(
    container_socket: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The endpoint listens after the first failure, over a real socket."""
    served: list[asyncio.Server] = []
    failed = asyncio.Event()

    class Announced:
        def delay_seconds(self, failures: int) -> float:
            failed.set()
            return 0.05 * failures

    monkeypatch.setattr("subscriber.adapters.aws.credentials.BACKOFF", Announced())

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(CREDENTIALS)}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode() + CREDENTIALS)
        await writer.drain()
        writer.close()

    async def listen_after_the_first_failure() -> None:
        await failed.wait()
        served.append(await asyncio.start_server(answer, sock=container_socket))

    listening = asyncio.create_task(listen_after_the_first_failure(), name="listen")
    async with Sqs(OPTIONS) as queues:
        frozen = await queues._regions[OPTIONS.queues[0]].receive._credentials.get_frozen_credentials()
        assert (frozen.access_key, frozen.token) == ("local", "t")
    await listening
    for server in served:
        server.close()


@pytest.mark.usefixtures("container_socket")
async def test_logins_by_iam_end_with_the_same_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with the advice to check AWS's settings."""
    monkeypatch.setattr("subscriber.adapters.aws.credentials.BACKOFF", Backoff(0, 0, 0))
    auth = AuthOptions(method="iam", host="lake.example", port=5432, user="daemon")
    with pytest.raises(QueueError, match="no AWS credentials after 5 attempts"):
        async with authenticated(StoreOptions(url="postgresql://daemon@lake.example/index"), auth):
            pass
