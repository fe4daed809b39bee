"""A local environment for measurements: PostgreSQL and an SQS emulator, each a process of its own.

`local_stack.py` and `benchmarks/loadtest/` add the consumer: the daemon, a baseline or a competitor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Final

import msgspec

from testkit.postgres.postgres import LocalPostgres
from testkit.sqs import QueueServer, local_queue_server
from testkit.sqs.raw_client import RawClient

REGION: Final = "us-east-1"
_DEAD_LETTERS = "-dead"
_VISIBILITY_SECONDS = 300
_MAX_RECEIVES = 10
"""The default of a redrive policy that is created in the SQS console."""
_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class LocalEnvironment:
    """A database and an SQS emulator, made by `local_environment`."""

    def __init__(self, postgres: LocalPostgres, server: QueueServer, client: RawClient) -> None:
        self.postgres = postgres
        self.server = server
        self.client = client

    def make_queue(self, name: str) -> str:
        """Create a queue with a dead-letter queue, as in production; return its URL."""
        dead_letter_queue_url = self.client.call("CreateQueue", QueueName=name + _DEAD_LETTERS)["QueueUrl"]
        redrive = {
            "deadLetterTargetArn": self._attributes(dead_letter_queue_url)["QueueArn"],
            "maxReceiveCount": _MAX_RECEIVES,
        }
        attributes = {
            "VisibilityTimeout": str(_VISIBILITY_SECONDS),
            "RedrivePolicy": msgspec.json.encode(redrive).decode(),
        }
        created = self.client.call("CreateQueue", QueueName=name, Attributes=attributes)
        return str(created["QueueUrl"])

    def unfinished(self, queue_url: str) -> int:
        """The number of messages in a queue: visible, in flight and delayed."""
        attributes = self._attributes(queue_url)
        return sum(int(attributes[name]) for name in _COUNTS)

    def dead_letters(self, queue_url: str) -> int:
        """The number of messages in the dead-letter queue of a queue."""
        return self.unfinished(queue_url + _DEAD_LETTERS)

    def aws_variables(self) -> dict[str, str]:
        """The AWS_ environment variables that lead any client to the SQS emulator."""
        return {
            "AWS_ENDPOINT_URL_SQS": self.server.endpoint_url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
        }

    def _attributes(self, queue_url: str) -> dict[str, str]:
        answer = self.client.call("GetQueueAttributes", QueueUrl=queue_url, AttributeNames=["All"])
        return dict(answer["Attributes"])


@contextmanager
def local_environment(postgres_settings: Mapping[str, str] | None = None) -> Iterator[LocalEnvironment]:
    """A database and an SQS emulator that run while the block runs.

    Raises:
        ProcessError: the SQS emulator does not start; with the end of its log.
        LocalPostgresError: PostgreSQL does not start.
    """
    with ExitStack() as parts:
        postgres = parts.enter_context(LocalPostgres(settings=postgres_settings))
        server = parts.enter_context(local_queue_server(region=REGION))
        client = parts.enter_context(RawClient(server.endpoint_url, region=REGION))
        yield LocalEnvironment(postgres, server, client)
