"""What every measurement stands on: PostgreSQL and a queue server, each in processes of their own, and queues.

Who drains the queues, the daemon or a peer, comes on top of it (`local_stack.py`, `benchmarks/loadtest/`).
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
"""SQS's own default for a redrive policy made in its console."""
_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class Stage:
    """A database and a queue server. Made by `stage`."""

    def __init__(self, postgres: LocalPostgres, server: QueueServer, client: RawClient) -> None:
        self.postgres = postgres
        self.server = server
        self.client = client

    def make_queue(self, name: str) -> str:
        """A queue as it should be in production, with a dead-letter queue behind it; its URL."""
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
        """All messages of a queue: waiting, in flight and delayed."""
        attributes = self._attributes(queue_url)
        return sum(int(attributes[name]) for name in _COUNTS)

    def dead_letters(self, queue_url: str) -> int:
        """The messages that a queue has given up."""
        return self.unfinished(queue_url + _DEAD_LETTERS)

    def environment(self) -> dict[str, str]:
        """AWS's own variables, so that any client finds the queue server."""
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
def stage(postgres_settings: Mapping[str, str] | None = None) -> Iterator[Stage]:
    """A database and a queue server while the block runs.

    Raises:
        PartError: the queue server does not come up; with the end of its log.
        LocalPostgresError: PostgreSQL does not.
    """
    with ExitStack() as parts:
        postgres = parts.enter_context(LocalPostgres(settings=postgres_settings))
        server = parts.enter_context(local_queue_server(region=REGION))
        client = parts.enter_context(RawClient(server.endpoint_url, region=REGION))
        yield Stage(postgres, server, client)
